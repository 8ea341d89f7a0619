//! The prover for browser tabs and edge functions.
//!
//! Built by `cargo run -p xtask -- wasm` into one npm package for each variant of `wasm-pack.toml`. In the `threads`
//! variant the page awaits the exported `initThreadPool` before it calls anything else: rayon settles on one thread for
//! good if it is used first.
//!
//! [`Session`] is a prover at work for a coordinator; [`Prover`] and [`Segment`] prove what they are given, for tests,
//! benches, and functions that a coordinator posts tasks to, each a [`PushTask`].
//!
//! Proving blocks the thread that calls, so in a page it belongs in a worker. Bad arguments never panic: they become
//! JavaScript errors with a `kind` (see [`Error`]), and the object that was called stays usable.

mod arguments;
mod error;
mod identity;
mod prover;
mod push;
mod segment;
mod session;

pub use error::Error;
pub use identity::{derive_identity, public_key};
pub use prover::Prover;
pub use push::PushTask;
pub use segment::Segment;
pub use session::Session;

// The programs that this prover knows. To prove others too, name another set made with `crowdfold_programs::registry!`.
use crowdfold_programs::Builtin as Programs;
use wasm_bindgen::prelude::*;

#[cfg(all(feature = "threads", target_family = "wasm"))]
pub use wasm_bindgen_rayon::init_thread_pool;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn console_error(message: &str);
}

/// Runs when the module is instantiated: a panic says what happened on the console before it traps.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| console_error(&panic.to_string())));
}

/// Version of this package.
#[wasm_bindgen]
#[must_use]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// Number of threads that proving uses, including the calling one where it takes part.
#[wasm_bindgen]
#[must_use]
pub fn threads() -> usize {
    rayon::current_num_threads()
}

/// Size of the module's memory in bytes. WASM memory never shrinks, so this is also its peak.
#[cfg(target_arch = "wasm32")]
#[wasm_bindgen]
#[must_use]
pub fn memory_bytes() -> f64 {
    const PAGE_BYTES: f64 = 65_536.0;
    core::arch::wasm32::memory_size::<0>() as f64 * PAGE_BYTES
}
