//! The interface for clients and administrators, and what provers fetch beside their connection.
//!
//! Each answer that is no success has an [`error::ErrorBody`]. `GET /openapi.json` describes all of it; `GET /docs` shows
//! that to people.

pub mod access;
mod clients;
mod docs;
pub mod error;
mod events;
mod extract;
mod forms;
mod health;
mod jobs;
mod pace;
pub mod programs;
mod proofs;
mod provers;
pub mod rollup;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use tokio::sync::{Semaphore, watch};
use tower_http::timeout::{RequestBodyTimeoutLayer, TimeoutLayer};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::bus::Bus;
use crate::catalog::Catalog;
use crate::hub::View;
use crate::jobs::Jobs;
use crate::listen::Counted;
use crate::metrics::Metrics;
use crate::sequencer::Sequencer;
use crate::settings::Settings;
use crate::ws::{self, Gateway};

pub use error::HttpError;
pub use pace::Pace;

/// Bytes that are neither text nor form.
pub(crate) const OCTETS: &str = "application/octet-stream";
/// Bytes of a request that is neither a job nor a proof.
const BODY_BYTES: usize = 1 << 20;
/// Rows of a page of a list, unless fewer are asked for.
const PAGE: u32 = 100;

/// What all requests share.
#[derive(Clone, Debug)]
pub struct App {
    /// Connections of provers, the store, the hub.
    pub gateway: Arc<Gateway>,
    /// The entrance for jobs.
    pub jobs: Jobs,
    /// The sequencer, where there is one.
    pub sequencer: Option<Sequencer>,
    /// Programs.
    pub catalog: Catalog,
    /// How things are.
    pub view: watch::Receiver<Arc<View>>,
    /// What happens.
    pub bus: Arc<dyn Bus>,
    /// How fast it happens.
    pub pace: Pace,
    /// What is counted.
    pub metrics: Metrics,
    /// What the operator chose.
    pub settings: Arc<Settings>,
    /// Of requests.
    pub limiter: access::Limiter,
    /// Room for jobs that are uploaded, and proofs that are checked for clients.
    pub room: Room,
}

/// Room for what takes memory and cores.
#[derive(Clone, Debug)]
pub struct Room {
    /// Jobs that are uploaded and executed.
    pub jobs: Arc<Semaphore>,
    /// Proofs that are verified for clients.
    pub checks: Arc<Semaphore>,
    /// Streams of events.
    pub events: Arc<Semaphore>,
}

impl Room {
    /// As much as settings say.
    pub fn new(settings: &Settings) -> Self {
        let of = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        let requests = &settings.requests;
        Self {
            jobs: of(requests.jobs_at_once),
            checks: of(requests.checks_at_once),
            events: of(requests.event_readers),
        }
    }
}

/// An answer.
type Answer<T> = Result<T, HttpError>;

/// All routes, and what describes them.
fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(docs::about())
        .routes(routes!(jobs::submit, jobs::list))
        .routes(routes!(jobs::show, jobs::cancel))
        .routes(routes!(jobs::ranges))
        .routes(routes!(jobs::quote))
        .routes(routes!(proofs::root))
        .routes(routes!(proofs::check))
        .routes(routes!(provers::list))
        .routes(routes!(provers::show))
        .routes(routes!(provers::credits))
        .routes(routes!(provers::leaderboard))
        .routes(routes!(events::events))
        .routes(routes!(health::status))
        .routes(routes!(health::healthy))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
        .routes(routes!(clients::list, clients::add))
        .routes(routes!(clients::revoke))
        .routes(routes!(clients::backup))
}

/// What answers requests.
pub fn app(app: App) -> Router {
    let requests = &app.settings.requests;
    let (pause, answer) = (Duration::from_secs(requests.body_pause_s), Duration::from_secs(requests.answer_s));
    let mut routes = routes().merge(programs::routes().with_state(app.catalog.clone()));
    if let Some(sequencer) = &app.sequencer {
        let admin = rollup::admin_routes(sequencer).layer(from_fn_with_state(app.clone(), access::admin));
        routes = routes.merge(rollup::routes().merge(admin).with_state(sequencer.clone()));
    }
    let (router, openapi) = routes.split_for_parts();
    router
        .route("/v1/prove", get(prove))
        .merge(docs::routes(openapi))
        .fallback(async || HttpError::NotFound("page"))
        .method_not_allowed_fallback(async || HttpError::Method)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(RequestBodyTimeoutLayer::new(pause))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, answer))
        .layer(from_fn_with_state(app.clone(), access::guard))
        .with_state(app)
}

/// A prover's connection, which counts as one of its address for as long as it lives.
async fn prove(
    State(app): State<App>,
    counted: Option<Extension<Arc<Counted>>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Answer<Response> {
    Ok(ws::accept(upgrade?, app.gateway, counted.map(|Extension(counted)| counted))?)
}
