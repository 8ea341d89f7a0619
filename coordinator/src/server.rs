//! A coordinator, put together: the store, the hub, the pool and the listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crowdfold_sched::limits::PATIENCE;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::bus::{Bus, Heard, Listener, LocalBus, News, Numbered};
use crate::catalog::Catalog;
use crate::http::access::Limiter;
use crate::http::{self, App, Pace, Room};
use crate::hub::{Around, Clock, Hub, HubError, INBOX};
use crate::jobs::{Batches, Jobs};
use crate::keeper::Keeper;
use crate::listen;
use crate::metrics::Metrics;
use crate::push::{self, KeyError, PushKey};
use crate::sequencer::{self, Folding, Sequencer, SequencerError, Service};
use crate::settings::{BadSetting, Settings};
use crate::store::{self, Storage, Store as _, StoreError};
use crate::ws::{FIRST_SPEED, Gateway, HandingIn, Register};

/// Why a coordinator does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A setting that can't be.
    #[error(transparent)]
    Setting(#[from] BadSetting),
    /// Its folder.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its sequencer.
    #[error(transparent)]
    Sequencer(#[from] SequencerError),
    /// Its sequencer's program.
    #[error("the sequencer needs parameters of the program `{0}`: make them, or turn it off")]
    Program(String),
    /// The key with which it signs tasks for functions.
    #[error("the key of posted tasks: {0}")]
    Key(#[from] KeyError),
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
    http: JoinHandle<()>,
    keeper: JoinHandle<()>,
    /// It goes on for ever where there is no sequencer.
    sequencing: JoinHandle<Result<(), SequencerError>>,
    /// It goes on for ever, whatever functions do.
    pushing: JoinHandle<()>,
}

impl Server {
    /// Goes on from what is stored, and listens.
    ///
    /// # Errors
    /// [`ServerError`].
    pub async fn start(settings: Settings, catalog: Catalog) -> Result<Self, ServerError> {
        settings.check()?;
        warn_of_idle_provers(&settings, &catalog);
        let storage = Arc::new(Storage::open(&settings.server.data, store::Options::default()).await?);
        let (clock, metrics) = (Clock::new(), Metrics::new());
        let bus: Arc<dyn Bus> = Arc::new(LocalBus::new(storage.store.epoch()));
        let pace = Pace::start(&*bus, clock);
        let (done, worked) = mpsc::unbounded_channel();
        let (to_hub, inbox) = mpsc::channel(INBOX);
        let around = Around {
            storage: Arc::clone(&storage),
            catalog: catalog.clone(),
            clock,
            bus: Arc::clone(&bus),
            metrics: metrics.clone(),
        };
        let (hub, view) = Hub::start(around, settings.scheduler.config(), done).await?;
        let hub = tokio::spawn(hub.run(inbox, worked));
        let listen = |error| ServerError::Listen { address: settings.server.listen, error };
        let listener = TcpListener::bind(settings.server.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let mut origins = settings.server.origins.clone();
        origins.extend([format!("http://{address}"), format!("http://localhost:{}", address.port())]);
        let gateway = Arc::new(Gateway {
            storage: Arc::clone(&storage),
            register: Register::start(Arc::clone(&storage)),
            hub: to_hub.clone(),
            catalog: catalog.clone(),
            origins,
            clock,
            metrics: metrics.clone(),
            links: AtomicU64::new(1),
            handing_in: HandingIn::default(),
        });
        let chain = settings.chain.clone();
        let jobs = Jobs { storage: Arc::clone(&storage), hub: to_hub.clone(), bus: Arc::clone(&bus), clock, chain };
        let (sequencer, sequencing) = match settings.sequencer.enabled {
            true => {
                let (sequencer, service) = sequencer(&settings, &jobs, &catalog).await?;
                tokio::spawn(tell_of_ends(sequencer.clone(), bus.listen(None)));
                (Some(sequencer), tokio::spawn(service.run()))
            }
            false => (None, tokio::spawn(std::future::pending())),
        };
        let keeper = Keeper {
            storage: Arc::clone(&storage),
            data: settings.server.data.clone(),
            settings: settings.retention.clone(),
            view: view.clone(),
            hub: to_hub,
            sequencer: sequencer.clone(),
            metrics: metrics.clone(),
            clock,
        };
        let keeper = tokio::spawn(keeper.run());
        let functions = settings.push.functions.clone();
        let pushing = match functions.is_empty() {
            true => tokio::spawn(std::future::pending()),
            false => tokio::spawn(push::run(Arc::clone(&gateway), functions, PushKey::open(&settings.server.data)?)),
        };
        let (limiter, room) = (Limiter::new(&settings.requests), Room::new(&settings));
        let (requests, settings) = (settings.requests.clone(), Arc::new(settings));
        let counts = metrics.clone();
        let app = App { gateway, jobs, sequencer, catalog, view, bus, pace, metrics, settings, limiter, room };
        let http = tokio::spawn(listen::serve(listener, http::app(app), requests, counts));
        Ok(Self { address, storage, hub, http, keeper, sequencing, pushing })
    }

    /// Runs until a part of it fails.
    ///
    /// # Errors
    /// [`ServerError`] with what failed.
    pub async fn run(self) -> Result<(), ServerError> {
        let part = |error: tokio::task::JoinError| ServerError::Part(error.to_string());
        tokio::select! {
            hub = self.hub => Ok(hub.map_err(part)??),
            http = self.http => http.map_err(part),
            keeper = self.keeper => keeper.map_err(part),
            sequencing = self.sequencing => Ok(sequencing.map_err(part)??),
            pushing = self.pushing => pushing.map_err(part),
        }
    }

    /// Stops at once, as a crash would: whatever was told to anybody is on disk.
    pub async fn kill(self) {
        self.http.abort();
        self.hub.abort();
        self.keeper.abort();
        self.sequencing.abort();
        self.pushing.abort();
        // All have ended once these return; that they were aborted is what was wanted.
        _ = (self.http.await, self.hub.await, self.keeper.await, self.sequencing.await, self.pushing.await);
    }
}

/// The sequencer that settings ask for.
async fn sequencer(settings: &Settings, jobs: &Jobs, catalog: &Catalog) -> Result<(Sequencer, Service), ServerError> {
    let program = &settings.sequencer.program;
    let entry = catalog.named(program).ok_or_else(|| ServerError::Program(program.clone()))?;
    let started = Sequencer::start(sequencer::Options {
        settings: settings.sequencer.clone(),
        accounts: settings.sequencer.accounts_in(&settings.server.data),
        settlement: (settings.chain.id, settings.chain.contract),
        storage: Arc::clone(&jobs.storage),
        clock: jobs.clock,
        jobs: Arc::new(Batches { jobs: jobs.clone(), catalog: catalog.clone() }),
        merge: Arc::new(Folding(Arc::clone(entry))),
    });
    Ok(started.await?)
}

/// Tells the sequencer when jobs end, which are perhaps those of its batches.
async fn tell_of_ends(sequencer: Sequencer, mut listener: Listener) {
    while let Some(heard) = listener.next().await {
        match heard {
            Heard::News(Numbered { news, .. }) if !matches!(*news, News::JobEnded { .. }) => {}
            _ => sequencer.job_ended(),
        }
    }
}

/// A prover gets no segment that would take it far longer than the target, even if it is as short as may be. One that has
/// not been measured yet is taken to be slow, so settings can keep all of them idle for ever.
fn warn_of_idle_provers(settings: &Settings, catalog: &Catalog) {
    let scheduler = &settings.scheduler;
    for entry in catalog.entries() {
        let seconds = scheduler.min_steps.saturating_mul(entry.rows).div_ceil(FIRST_SPEED);
        let most = scheduler.target_s.saturating_mul(PATIENCE);
        if seconds > most {
            tracing::warn!(
                program = entry.name,
                seconds,
                most,
                "new provers get no segments of this program, as the shortest would take a slow one too long: raise \
                 scheduler.target_s or lower scheduler.min_steps"
            );
        }
    }
}
