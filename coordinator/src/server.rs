//! A coordinator, put together: the store, the hub, the pool and the listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::catalog::Catalog;
use crate::http::{self, App};
use crate::hub::{Clock, Hub, HubError, INBOX};
use crate::settings::{BadSetting, Settings};
use crate::store::{self, Storage, StoreError};
use crate::ws::Gateway;

/// Why a coordinator does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A setting that can't be.
    #[error(transparent)]
    Setting(#[from] BadSetting),
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
    pub async fn start(settings: Settings, catalog: Catalog) -> Result<Self, ServerError> {
        settings.check()?;
        let storage = Arc::new(Storage::open(&settings.server.data, store::Options::default()).await?);
        let clock = Clock::new();
        let (done, worked) = mpsc::unbounded_channel();
        let (hub, view) =
            Hub::start(Arc::clone(&storage), catalog.clone(), settings.scheduler.config(), clock, done).await?;
        let (to_hub, inbox) = mpsc::channel(INBOX);
        let hub = tokio::spawn(hub.run(inbox, worked));
        let listen = |error| ServerError::Listen { address: settings.server.listen, error };
        let listener = TcpListener::bind(settings.server.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let mut origins = settings.server.origins.clone();
        origins.extend([format!("http://{address}"), format!("http://localhost:{}", address.port())]);
        let (storage_too, links) = (Arc::clone(&storage), AtomicU64::new(1));
        let gateway = Gateway { storage: storage_too, hub: to_hub, catalog: catalog.clone(), origins, clock, links };
        let gateway = Arc::new(gateway);
        let app = App { gateway, catalog, view, settlement: (settings.chain.id, settings.chain.contract) };
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
