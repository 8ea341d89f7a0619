//! A coordinator, put together: the store, the hub, the pool and the listener.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::serve::ListenerExt as _;
use crowdfold_fold::Address;
use crowdfold_sched::Config;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::catalog::Catalog;
use crate::http::{self, App};
use crate::hub::{Clock, Hub, HubError, INBOX};
use crate::store::{self, Storage, StoreError};
use crate::ws::{Gateway, Register};

/// What a coordinator is given.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its folder.
    pub data: PathBuf,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Origins by which provers may dial, as `https://prove.example`; that of the listener is added.
    pub origins: Vec<String>,
    /// Chain and contract of its jobs.
    pub settlement: (u64, Address),
    /// Of the scheduler.
    pub scheduler: Config,
}

/// Why a coordinator does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Its folder.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its jobs.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// Its address.
    #[error("{address}: {error}")]
    Listen {
        /// Where it should listen.
        address: SocketAddr,
        /// Why it can't.
        error: std::io::Error,
    },
    /// A part of it failed.
    #[error("a part of the coordinator failed: {0}")]
    Part(String),
}

/// A coordinator that runs.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its store.
    pub storage: Arc<Storage>,
    hub: JoinHandle<Result<(), HubError>>,
    http: JoinHandle<std::io::Result<()>>,
}

impl Server {
    /// Goes on from what is stored, and listens.
    ///
    /// # Errors
    /// [`ServerError`].
    pub async fn start(options: Options, catalog: Catalog) -> Result<Self, ServerError> {
        let storage = Arc::new(Storage::open(&options.data, store::Options::default()).await?);
        let clock = Clock::new();
        let (done, worked) = mpsc::unbounded_channel();
        let (hub, view) = Hub::start(Arc::clone(&storage), catalog.clone(), options.scheduler, clock, done).await?;
        let (to_hub, inbox) = mpsc::channel(INBOX);
        let hub = tokio::spawn(hub.run(inbox, worked));
        let listen = |error| ServerError::Listen { address: options.listen, error };
        let listener = TcpListener::bind(options.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let mut origins = options.origins;
        origins.extend([format!("http://{address}"), format!("http://localhost:{}", address.port())]);
        let (storage_too, links) = (Arc::clone(&storage), AtomicU64::new(1));
        let (register, catalog_too) = (Register::start(Arc::clone(&storage)), catalog.clone());
        let gateway =
            Gateway { storage: storage_too, register, hub: to_hub, catalog: catalog_too, origins, clock, links };
        let gateway = Arc::new(gateway);
        let app = App { gateway, catalog, view, settlement: options.settlement };
        // A segment and its first inputs are two messages: the second one must not wait for the first one's receipt.
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection stays slow");
            }
        });
        let http = tokio::spawn(async move { axum::serve(listener, http::app(app)).await });
        Ok(Self { address, storage, hub, http })
    }

    /// Runs until a part of it fails.
    ///
    /// # Errors
    /// [`ServerError`] with what failed.
    pub async fn run(self) -> Result<(), ServerError> {
        let part = |error: tokio::task::JoinError| ServerError::Part(error.to_string());
        tokio::select! {
            hub = self.hub => Ok(hub.map_err(part)??),
            http = self.http => http.map_err(part)?.map_err(|error| ServerError::Part(error.to_string())),
        }
    }

    /// Stops at once, as a crash would: whatever was told to anybody is on disk.
    pub async fn kill(self) {
        self.http.abort();
        self.hub.abort();
        // Both have ended once these return; that they were aborted is what was wanted.
        _ = (self.http.await, self.hub.await);
    }
}
