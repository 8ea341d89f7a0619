//! Posting tasks to functions, which fold but can hold no connection (`docs/spec/network.md`, section 4).
//!
//! Each function is a prover of the hub with a key of its own: its segments, verification, credit and suspension are those
//! of every prover. What is its own is the way: a segment goes out as one signed request, and its proof comes as the
//! answer. Whatever a function does ends its task, and at worst lets it rest.

mod budget;
mod driver;
mod key;
mod post;
mod settings;

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::ws::Gateway;
use driver::{Driver, Shared};

pub use key::{FILE as KEY_FILE, KeyError, PushKey};
pub use post::STEPS_HEADER;
pub use settings::{Function, MAX_FUNCTIONS, Settings};

/// Posts tasks to functions for as long as the hub is there; for ever if there are none.
pub async fn run(gateway: Arc<Gateway>, functions: Vec<Function>, key: PushKey) {
    let shared = Arc::new(Shared::new(gateway, key));
    let mut drivers = JoinSet::new();
    for function in functions {
        match Driver::new(Arc::clone(&shared), function) {
            Ok(driver) => _ = drivers.spawn(driver.run()),
            Err(error) => tracing::error!(%error, "a function can't be used"),
        }
    }
    while let Some(ended) = drivers.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a function gets no more tasks in this run");
        }
    }
    std::future::pending().await
}
