//! Jobs: ordering, looking at, cancelling.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use crowdfold_programs::Program as _;
use crowdfold_sched::{BadEvent, JobEnd, JobId, Millis};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use utoipa::{IntoParams, ToSchema};

use super::access::Caller;
use super::error::{ErrorBody, HttpError};
use super::extract::{Path, Query};
use super::{Answer, App, PAGE, forms};
use crate::catalog::Entry;
use crate::hub::{self, Command};
use crate::jobs::{Order, deadline};
use crate::store::{Accepted, Client, JobFilter, Role, Store as _, StoredJob};

/// What is said of a job beside its bytes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct OrderQuery {
    /// The program, by its name.
    program: String,
    /// Seconds from now after which nobody wants it any more.
    deadline_s: Option<u64>,
    /// Thousandths of the going rate; 250 to 4000 have an effect, 1000 is usual.
    bounty: Option<u32>,
    /// Place among one's own jobs: lower ones come first. The job's number if nothing is said.
    height: Option<u64>,
}

/// A job that was accepted.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AcceptedBody {
    /// Its number.
    job: u64,
    /// Its steps; not told again for a repeated order.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<u64>,
}

fn entry(app: &App, program: &str) -> Answer<Arc<Entry>> {
    let unknown = || {
        let open = app.catalog.entries().filter(|entry| !entry.is_draining);
        let known: Vec<_> = open.map(|entry| entry.name.as_str()).collect();
        HttpError::Bad(format!("there is no program `{program}` here for new jobs, only {}", known.join(", ")))
    };
    app.catalog.named(program).cloned().ok_or_else(unknown)
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.split(';').next().is_some_and(|kind| kind.trim() == "application/json"))
}

/// Reads a body of at most so many bytes.
pub(super) async fn read(body: Body, most: usize) -> Answer<Bytes> {
    axum::body::to_bytes(body, most).await.map_err(|error| {
        let error = error.into_inner();
        if error.is::<tower_http::timeout::TimeoutError>() {
            HttpError::Bad("the body did not come in time".into())
        } else if std::error::Error::source(&*error).is_some() {
            HttpError::Bad(format!("the body can't be read: {error}"))
        } else {
            HttpError::TooLarge(format!("the body has at most {most} bytes: {error}"))
        }
    })
}

/// The job in a body, as bytes.
async fn job_bytes(app: &App, entry: &Arc<Entry>, headers: &HeaderMap, body: Body) -> Answer<Bytes> {
    let bytes = read(body, app.settings.requests.job_bytes).await?;
    if !is_json(headers) {
        return Ok(bytes);
    }
    let program = entry.parameters.prover().step().clone();
    let made = tokio::task::spawn_blocking(move || forms::job(&program, &bytes)).await;
    made.map_err(|_| HttpError::Bad("the job can't be read".into()))?.map_err(HttpError::Bad)
}

/// Order a job.
///
/// The body is the job in its program's bytes, or in JSON. The job is executed before it is accepted, and one that is
/// accepted survives a crash. A repeated order with the same `Idempotency-Key` gives the same job.
#[utoipa::path(
    post, path = "/v1/jobs", tag = "jobs", params(OrderQuery, ("idempotency-key" = Option<String>, Header)),
    request_body(content((Vec<u8> = "application/octet-stream"), (Object = "application/json"))),
    responses(
        (status = 201, body = AcceptedBody), (status = 200, description = "it was ordered before", body = AcceptedBody),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 413, body = ErrorBody),
    ),
    security(("token" = [])),
)]
pub(super) async fn submit(
    State(app): State<App>,
    Caller(client): Caller,
    Query(query): Query<OrderQuery>,
    headers: HeaderMap,
    body: Body,
) -> Answer<(StatusCode, Json<AcceptedBody>)> {
    let entry = entry(&app, &query.program)?;
    let key = headers.get("idempotency-key").map(|key| key.to_str().map(str::to_owned));
    let key = key.transpose().map_err(|_| HttpError::Bad("an idempotency key is text".into()))?;
    let _room = app.room.jobs.acquire().await.map_err(|_| HttpError::stopping())?;
    let bytes = job_bytes(&app, &entry, &headers, body).await?;
    let key = key.map(|key| crate::jobs::key(key, &entry.name, &bytes)).transpose()?;
    let now = app.gateway.clock.now();
    let deadline = query.deadline_s.map(|seconds| Millis(now.0.saturating_add(seconds.saturating_mul(1000))));
    let order = Order { client, entry, name: None, deadline, bounty: query.bounty, height: query.height, key };
    match app.jobs.accept(order, bytes).await? {
        Accepted::Before(job) => Ok((StatusCode::OK, Json(AcceptedBody { job: job.0, steps: None }))),
        Accepted::New(job) => {
            let stored = app.gateway.storage.store.job(job).await?;
            let steps = stored.map(|stored| stored.spec.steps);
            Ok((StatusCode::CREATED, Json(AcceptedBody { job: job.0, steps })))
        }
    }
}

/// A job.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct JobBody {
    /// Its number.
    job: u64,
    /// Its program.
    program: String,
    /// Digest of its parameters.
    parameters: String,
    /// `open`, `done`, `cancelled`, `expired` or `failed`.
    state: &'static str,
    /// Its steps.
    steps: u64,
    /// Steps with verified proofs.
    covered: u64,
    /// Ranges that they are in; a job with one range of all steps is done.
    ranges: u64,
    /// Whether it waits for parameters that are not loaded here.
    paused: bool,
    /// When it was accepted, in milliseconds since 1970.
    submitted_ms: u64,
    /// When it ended.
    ended_ms: Option<u64>,
    /// When it expires.
    deadline_ms: Option<u64>,
    /// Milliseconds till it is done, if it goes on as in the last ten minutes; nothing where that is not known.
    left_ms: Option<u64>,
    /// Why it ended.
    reason: Option<String>,
    /// Encoded state before its first step, in hexadecimal digits.
    start: String,
    /// Encoded state after its last step.
    end: String,
    /// The chain that it is proved for.
    chain_id: u64,
    /// The contract.
    contract: String,
    /// Its name there.
    job_id: String,
}

impl JobBody {
    fn new(app: &App, job: &StoredJob) -> Self {
        let ended = job.ended.as_ref();
        let view = app.view.borrow().jobs.get(&job.id()).copied();
        let steps = job.spec.steps;
        let covered = match ended {
            None => view.map_or(0, |view| view.covered),
            Some(ended) if ended.end == JobEnd::Done => steps,
            Some(_) => 0,
        };
        let left = || app.pace.left_ms(job.id().0, steps.saturating_sub(covered));
        Self {
            job: job.id().0,
            program: job.program.clone(),
            parameters: job.parameters.to_string(),
            state: hub::state(ended.map(|ended| ended.end)),
            steps,
            covered,
            ranges: view.map_or(0, |view| view.ranges),
            paused: ended.is_none() && view.is_some_and(|view| view.paused),
            submitted_ms: job.submitted.0,
            ended_ms: ended.map(|ended| ended.at.0),
            deadline_ms: deadline(&job.spec).map(|deadline| deadline.0),
            left_ms: if ended.is_none() { left() } else { None },
            reason: ended.map(|ended| ended.reason.clone()),
            start: hex::encode(&job.start),
            end: hex::encode(&job.end),
            chain_id: job.name.chain_id,
            contract: format!("0x{}", hex::encode(job.name.contract.0)),
            job_id: hex::encode(job.name.job_id),
        }
    }
}

/// A job of this client, or of any if it is an administrator.
async fn job_of(app: &App, client: &Client, job: u64) -> Answer<StoredJob> {
    let found = app.gateway.storage.store.job(JobId(job)).await?;
    let own = |job: &StoredJob| job.spec.client == client.id || client.role == Role::Admin;
    found.filter(own).ok_or(HttpError::NotFound("job"))
}

/// Look at a job.
#[utoipa::path(
    get, path = "/v1/jobs/{job}", tag = "jobs",
    responses((status = 200, body = JobBody), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn show(
    State(app): State<App>,
    Caller(client): Caller,
    Path(job): Path<u64>,
) -> Answer<Json<JobBody>> {
    Ok(Json(JobBody::new(&app, &job_of(&app, &client, job).await?)))
}

/// Which jobs are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Only those in this state: `open`, `done`, `cancelled`, `expired` or `failed`.
    state: Option<String>,
    /// Only those of this program.
    program: Option<String>,
    /// Only those that came before this one.
    before: Option<u64>,
    /// So many at most, up to 1000; 100 if nothing is said.
    limit: Option<u32>,
    /// Those of all clients; for administrators.
    #[serde(default)]
    all: bool,
}

/// A page of jobs, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct JobsBody {
    /// The jobs.
    jobs: Vec<JobBody>,
    /// What to ask for as `before` to get the next page, if there may be one.
    before: Option<u64>,
}

fn end_of(state: &str) -> Answer<Option<JobEnd>> {
    let ends = [None, Some(JobEnd::Done), Some(JobEnd::Cancelled), Some(JobEnd::Expired), Some(JobEnd::Failed)];
    let found = ends.into_iter().find(|end| hub::state(*end) == state);
    let names = || ends.map(hub::state).join(", ");
    found.ok_or_else(|| HttpError::Bad(format!("there is no state `{state}` of a job, only {}", names())))
}

/// List jobs.
#[utoipa::path(
    get, path = "/v1/jobs", tag = "jobs", params(ListQuery),
    responses((status = 200, body = JobsBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn list(
    State(app): State<App>,
    Caller(client): Caller,
    Query(query): Query<ListQuery>,
) -> Answer<Json<JobsBody>> {
    if query.all && client.role != Role::Admin {
        return Err(HttpError::Forbidden);
    }
    let filter = JobFilter {
        client: (!query.all).then_some(client.id),
        state: query.state.as_deref().map(end_of).transpose()?,
        program: query.program,
        before: query.before.map(JobId),
    };
    let limit = query.limit.unwrap_or(PAGE).clamp(1, crate::store::limits::PAGE);
    let jobs = app.gateway.storage.store.jobs(&filter, limit).await?;
    let is_full = jobs.len() as u64 == u64::from(limit);
    let before = jobs.last().filter(|_| is_full).map(|job| job.id().0);
    Ok(Json(JobsBody { jobs: jobs.iter().map(|job| JobBody::new(&app, job)).collect(), before }))
}

/// A job that was cancelled.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CancelledBody {
    /// Its number.
    job: u64,
    /// `cancelled`.
    state: &'static str,
}

/// Cancel a job.
///
/// What was folded for it is paid for as usual.
#[utoipa::path(
    delete, path = "/v1/jobs/{job}", tag = "jobs",
    responses((status = 200, body = CancelledBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn cancel(
    State(app): State<App>,
    Caller(client): Caller,
    Path(job): Path<u64>,
) -> Answer<Json<CancelledBody>> {
    let found = job_of(&app, &client, job).await?;
    let (answer, answered) = oneshot::channel();
    app.gateway.hub.send(Command::Cancel(found.id(), answer)).await.map_err(|_| HttpError::stopping())?;
    match answered.await.map_err(|_| HttpError::stopping())? {
        true => Ok(Json(CancelledBody { job, state: "cancelled" })),
        false => Err(HttpError::Conflict(BadEvent::UnknownJob(found.id()).to_string())),
    }
}

/// A verified range of a job.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RangeBody {
    /// Its first step.
    first: u64,
    /// Its steps.
    steps: u64,
    /// Bytes of its proof.
    bytes: u64,
    /// Who made it; nothing for a merge.
    prover: Option<u64>,
}

/// The verified ranges of a job that is open, in order.
#[utoipa::path(
    get, path = "/v1/jobs/{job}/ranges", tag = "jobs",
    responses((status = 200, body = [RangeBody]), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn ranges(
    State(app): State<App>,
    Caller(client): Caller,
    Path(job): Path<u64>,
) -> Answer<Json<Vec<RangeBody>>> {
    let job = job_of(&app, &client, job).await?;
    let cover = app.gateway.storage.store.cover(job.id()).await?;
    let body = |part: crate::store::Covered| RangeBody {
        first: part.range.start().0,
        steps: part.range.steps(),
        bytes: part.bytes,
        prover: part.prover.map(|prover| prover.0),
    };
    Ok(Json(cover.into_iter().map(body).collect()))
}

/// What is to be quoted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct QuoteQuery {
    /// The program, by its name.
    program: String,
    /// Its steps; those of the job in the body if nothing is said.
    steps: Option<u64>,
}

/// What proving would cost and take.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct QuoteBody {
    /// Steps.
    steps: u64,
    /// Rows of a step.
    rows: u64,
    /// Credit that provers get for it: steps times rows.
    credit: u64,
    /// The price. It binds nobody.
    price: String,
    /// Of what.
    unit: String,
    /// Seconds that it would take if all provers folded nothing else, at the pace of the last ten minutes; nothing
    /// where they folded nothing.
    seconds: Option<u64>,
}

/// Ask what proving would cost.
///
/// The number of steps is said, or is that of the job in the body, in bytes or JSON as for ordering it.
#[utoipa::path(
    post, path = "/v1/quotes", tag = "jobs", params(QuoteQuery),
    request_body(content((Vec<u8> = "application/octet-stream"), (Object = "application/json"))),
    responses((status = 200, body = QuoteBody), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn quote(
    State(app): State<App>,
    _: Caller,
    Query(query): Query<QuoteQuery>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Json<QuoteBody>> {
    let entry = entry(&app, &query.program)?;
    let steps = match query.steps {
        Some(steps) => steps,
        None => {
            let _room = app.room.jobs.acquire().await.map_err(|_| HttpError::stopping())?;
            let bytes = job_bytes(&app, &entry, &headers, body).await?;
            let program = entry.parameters.prover().step().clone();
            let planned = tokio::task::spawn_blocking(move || program.plan(&bytes).map(|plan| plan.steps)).await;
            planned.map_err(|_| HttpError::Bad("the job can't be read".into()))?.map_err(crate::jobs::JobError::from)?
        }
    };
    let credit = steps.saturating_mul(entry.rows);
    let prices = &app.settings.prices;
    let price = (u128::from(credit) * u128::from(prices.per_million_rows)).div_ceil(1_000_000).to_string();
    let speed = app.pace.rows_per_second();
    let seconds = (speed > 0).then(|| credit.div_ceil(speed));
    Ok(Json(QuoteBody { steps, rows: entry.rows, credit, price, unit: prices.unit.clone(), seconds }))
}

/// The job that a request is about, for whoever may see its proof.
pub(super) async fn any_job(app: &App, job: u64) -> Answer<StoredJob> {
    app.gateway.storage.store.job(JobId(job)).await?.ok_or(HttpError::NotFound("job"))
}
