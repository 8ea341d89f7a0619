//! How the coordinator is.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{ErrorBody, HttpError};
use super::{Answer, App};

/// How old the hub's view may be at most, in milliseconds, for the coordinator to be ready.
const STALE_MS: u64 = 10_000;

/// An open job, as everybody may know it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OpenJobBody {
    /// Its number.
    job: u64,
    /// Its steps.
    steps: u64,
    /// Steps with verified proofs.
    covered: u64,
    /// Ranges that they are in.
    ranges: u64,
    /// Milliseconds till it is done, where that is known.
    left_ms: Option<u64>,
}

/// How things are.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StatusBody {
    /// The coordinator's version.
    version: &'static str,
    /// Jobs that did not end.
    jobs: Vec<OpenJobBody>,
    /// Provers that are connected.
    provers: u64,
    /// Segments that are handed out.
    segments: u64,
    /// Proofs that wait for verification.
    unverified: u64,
    /// Rows a second that were proved in the last ten minutes.
    rows_per_second: u64,
}

impl StatusBody {
    pub(super) fn new(app: &App) -> Self {
        let view = app.view.borrow().clone();
        let job = |(id, view): (&crowdfold_sched::JobId, &crate::hub::JobView)| OpenJobBody {
            job: id.0,
            steps: view.steps,
            covered: view.covered,
            ranges: view.ranges,
            left_ms: app.pace.left_ms(id.0, view.steps.saturating_sub(view.covered)),
        };
        Self {
            version: env!("CARGO_PKG_VERSION"),
            jobs: view.jobs.iter().map(job).collect(),
            provers: view.connected as u64,
            segments: view.stats.leases as u64,
            unverified: view.stats.unverified as u64,
            rows_per_second: app.pace.rows_per_second(),
        }
    }
}

/// How things are, for everybody.
#[utoipa::path(get, path = "/v1/status", tag = "events", responses((status = 200, body = StatusBody)))]
pub(super) async fn status(State(app): State<App>) -> Json<StatusBody> {
    Json(StatusBody::new(&app))
}

/// Whether the process lives.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, body = String)))]
pub(super) async fn healthy() -> &'static str {
    "ok\n"
}

/// Whether work is taken and given out: the hub's loop turns, and there is a program.
#[utoipa::path(
    get, path = "/readyz", tag = "health",
    responses((status = 200, body = String), (status = 503, body = ErrorBody)),
)]
pub(super) async fn ready(State(app): State<App>) -> Answer<&'static str> {
    let at = app.view.borrow().at;
    if app.gateway.clock.now().0.saturating_sub(at.0) > STALE_MS || app.gateway.hub.is_closed() {
        return Err(HttpError::Unavailable("the hub does not answer: the disk may be full or very slow".into()));
    }
    if app.catalog.entries().next().is_none() {
        return Err(HttpError::Unavailable("there are no parameters of any program".into()));
    }
    Ok("ready\n")
}

/// What is counted and measured, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, content_type = "application/openmetrics-text")))]
pub(super) async fn metrics(State(app): State<App>) -> Answer<Response> {
    let text = app.metrics.text().map_err(|_| HttpError::Unavailable("there are no figures now".into()))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok((StatusCode::OK, [(CONTENT_TYPE, kind)], text).into_response())
}
