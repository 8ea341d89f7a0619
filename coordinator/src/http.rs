//! The interface for clients, and what provers fetch beside their connection.

pub mod rollup;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use crowdfold_fold::{Address, Job, StepFunction as _};
use crowdfold_programs::{Builtin, Plan, PlanError, Program as _};
use crowdfold_sched::{BadEvent, JobEnd, JobId, JobSpec, Millis, limits};
use crowdfold_wire::ParametersId;
use crowdfold_wire::limits::{MAX_FRAME_BYTES, SUBPROTOCOL};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot, watch};

use crate::catalog::{Catalog, Entry};
use crate::chance;
use crate::hub::{Command, View};
use crate::store::{
    Accepted, Client, IdempotencyKey, JobWriter, NewJob, Role, Store as _, StoreError, StoredJob, TokenHash,
};
use crate::ws::{self, Gateway};

/// Bytes of a job as a client sends it. Programs have their own limits below.
pub const JOB_BYTES: usize = 256 << 20;
/// Bytes of an idempotency key.
const KEY_BYTES: usize = 256;
/// Steps that are executed ahead of the disk.
const AHEAD: usize = 64;
/// Jobs on a page.
const PAGE: u32 = 100;

/// What all requests share.
#[derive(Clone, Debug)]
pub struct App {
    /// Connections of provers, the store, the hub.
    pub gateway: Arc<Gateway>,
    /// Programs.
    pub catalog: Catalog,
    /// How things are.
    pub view: watch::Receiver<Arc<View>>,
    /// Chain and contract of jobs whose clients name none.
    pub settlement: (u64, Address),
}

/// What is wrong with a request, or here.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No token, or none that is known.
    #[error("a client's token is needed: send it as `Authorization: Bearer TOKEN`")]
    Unauthorized,
    /// There is no such thing, or it is another client's.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The request can't be granted.
    #[error("{0}")]
    Bad(String),
    /// It is too large.
    #[error("{0}")]
    TooLarge(String),
    /// It contradicts what is there.
    #[error("{0}")]
    Conflict(String),
    /// It can't be done now.
    #[error("{0}")]
    Unavailable(String),
}

impl HttpError {
    fn parts(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            Self::Bad(_) => (StatusCode::BAD_REQUEST, "bad_request"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        }
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let (status, code) = self.parts();
        (status, Json(json!({ "error": code, "message": self.to_string() }))).into_response()
    }
}

impl From<StoreError> for HttpError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::KeyReused { .. } => Self::Conflict("this idempotency key was used for another request".into()),
            StoreError::Conflict { .. } => Self::Conflict(error.to_string()),
            StoreError::Limit { .. } => Self::TooLarge(error.to_string()),
            other => {
                tracing::error!(error = %other, "the store fails");
                Self::Unavailable("the coordinator can't store this now".into())
            }
        }
    }
}

impl From<PlanError> for HttpError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::TooLarge { .. } => Self::TooLarge(error.to_string()),
            other => Self::Bad(other.to_string()),
        }
    }
}

type Answer<T = Json<Value>> = Result<T, HttpError>;

/// All routes.
pub fn app(app: App) -> Router {
    Router::new()
        .route("/v1/prove", get(prove))
        .route("/v1/parameters/{id}/{kind}", get(parameters))
        .route("/v1/programs", get(programs))
        .route("/v1/jobs", post(submit).get(list))
        .route("/v1/jobs/{id}", get(show).delete(cancel))
        .route("/v1/jobs/{id}/proof", get(root))
        .route("/healthz", get(async || "ok\n"))
        .layer(DefaultBodyLimit::max(JOB_BYTES))
        .with_state(app)
}

async fn prove(State(app): State<App>, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .protocols([SUBPROTOCOL])
        .max_message_size(MAX_FRAME_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .on_upgrade(move |socket| ws::serve(socket, app.gateway))
}

async fn parameters(State(app): State<App>, Path((id, kind)): Path<(String, String)>) -> Answer<Response> {
    let entry = ParametersId::parse(&id).and_then(|id| app.catalog.of(id)).ok_or(HttpError::NotFound("parameters"))?;
    let file = match kind.as_str() {
        "fold" => entry.fold_file.clone(),
        "merge" => entry.merge_file.clone(),
        _ => return Err(HttpError::NotFound("kind of parameters: expected fold or merge")),
    };
    let headers =
        [("content-type", "application/octet-stream"), ("cache-control", "public, max-age=31536000, immutable")];
    Ok((headers, Body::from(file)).into_response())
}

async fn programs(State(app): State<App>) -> Json<Value> {
    let program = |entry: &Arc<Entry>| {
        let step = entry.parameters.prover().step();
        json!({
            "name": entry.name, "summary": step.summary(), "parameters": entry.id.to_string(), "rows": entry.rows,
            "insecure": entry.parameters.prover().is_insecure(),
        })
    };
    Json(Value::Array(app.catalog.entries().map(program).collect()))
}

/// The client of a request's token.
async fn client(app: &App, headers: &HeaderMap) -> Answer<Client> {
    let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let mut bytes = [0; 32];
    let token = token.ok_or(HttpError::Unauthorized)?;
    hex::decode_to_slice(token, &mut bytes).map_err(|_| HttpError::Unauthorized)?;
    let hash = TokenHash(Sha256::digest(bytes).into());
    let found = app.gateway.storage.store.client(hash).await?;
    found.filter(|client| client.revoked.is_none()).ok_or(HttpError::Unauthorized)
}

/// What is said of a job beside its bytes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    program: String,
    /// Seconds from now.
    deadline_s: Option<u64>,
    /// Thousandths of the going rate.
    bounty: Option<u32>,
    height: Option<u64>,
}

async fn submit(
    State(app): State<App>,
    Query(order): Query<Order>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<(StatusCode, Json<Value>)> {
    let client = client(&app, &headers).await?;
    let unknown = || {
        let known: Vec<_> = app.catalog.entries().map(|entry| entry.name.as_str()).collect();
        HttpError::Bad(format!("there is no program `{}` here, only {}", order.program, known.join(", ")))
    };
    let entry = app.catalog.named(&order.program).cloned().ok_or_else(unknown)?;
    let key = headers.get("idempotency-key").map(|key| key.to_str().map(str::to_owned));
    let key = key.transpose().map_err(|_| HttpError::Bad("an idempotency key is text".into()))?;
    if key.as_ref().is_some_and(|key| key.is_empty() || key.len() > KEY_BYTES) {
        return Err(HttpError::Bad(format!("an idempotency key has 1 to {KEY_BYTES} bytes")));
    }
    let mut digest = Sha256::new_with_prefix(order.program.as_bytes());
    digest.update(&body);
    let key = key.map(|key| IdempotencyKey { key, body: digest.finalize().into() });
    let store = &app.gateway.storage.store;
    if let Some(key) = &key
        && let Some(job) = store.job_of_key(client.id, key).await?
    {
        return Ok((StatusCode::OK, Json(json!({ "job": job.0 }))));
    }
    let job = execute(&app, &client, &entry, &order, key, body).await?;
    match store.add_job(&job).await? {
        Accepted::Before(job) => Ok((StatusCode::OK, Json(json!({ "job": job.0 })))),
        Accepted::New(id) => {
            let stored = store.job(id).await?.ok_or(HttpError::NotFound("job"))?;
            // It is accepted: if the hub is gone, the next run goes on with it.
            _ = app.gateway.hub.send(Command::Accepted(Box::new(stored))).await;
            Ok((StatusCode::CREATED, Json(json!({ "job": id.0, "steps": job.data.steps() }))))
        }
    }
}

/// Executes a job natively, so that the state at every step is known and a job that can't be proved is refused.
async fn execute(
    app: &App,
    client: &Client,
    entry: &Arc<Entry>,
    order: &Order,
    key: Option<IdempotencyKey>,
    body: Bytes,
) -> Answer<NewJob> {
    let storage = &app.gateway.storage;
    let program = entry.parameters.prover().step().clone();
    let plan: Plan<_> = program.plan(&body)?;
    if plan.steps > limits::JOB_STEPS {
        return Err(HttpError::TooLarge(format!(
            "a job has at most {} steps, this has {}",
            limits::JOB_STEPS,
            plan.steps
        )));
    }
    let start = program.encode_state(&plan.start);
    let id = storage.store.job_number().await?;
    let mut writer = JobWriter::begin(&storage.blobs, id, &start).await?;
    let (steps, mut executed) = mpsc::channel(AHEAD);
    let working = tokio::task::spawn_blocking(move || run_steps(&program, plan, &steps));
    let mut end = start.clone();
    while let Some((input, state)) = executed.recv().await {
        writer.push(&input, &state).await?;
        end = state;
    }
    working.await.map_err(|_| HttpError::Bad("the job can't be executed".into()))??;
    let data = writer.finish().await?;
    let now = app.gateway.clock.now();
    let deadline = order.deadline_s.map_or(u64::MAX >> 1, |seconds| now.0.saturating_add(seconds.saturating_mul(1000)));
    let (chain_id, contract) = app.settlement;
    let job_id = chance::bytes().map_err(|error| HttpError::Unavailable(error.to_string()))?;
    let spec = JobSpec {
        client: client.id,
        weight: client.weight,
        bounty: order.bounty.unwrap_or(1000),
        steps: data.steps(),
        rows: entry.rows,
        deadline: Millis(deadline.min(u64::MAX >> 1)),
        memory: crowdfold_sched::Bytes(0),
        height: order.height.unwrap_or(id.0),
    };
    Ok(NewJob {
        data,
        spec,
        name: Job { chain_id, contract, job_id },
        program: entry.name.clone(),
        parameters: entry.id,
        cost: entry.rows,
        start,
        end,
        submitted: now,
        key,
    })
}

/// Sends the encoded input and state of each step.
fn run_steps(
    program: &Builtin,
    plan: Plan<<Builtin as crowdfold_fold::StepFunction>::Input>,
    steps: &mpsc::Sender<(Vec<u8>, Vec<u8>)>,
) -> Result<(), PlanError> {
    for step in plan.execute(program) {
        let step = step?;
        let executed = (program.encode_input(&step.input), program.encode_state(&step.state));
        if steps.blocking_send(executed).is_err() {
            // Whoever asked is gone.
            return Ok(());
        }
    }
    Ok(())
}

/// A job of this client, or of any if it is an administrator.
async fn job_of(app: &App, headers: &HeaderMap, id: u64) -> Answer<StoredJob> {
    let client = client(app, headers).await?;
    let found = app.gateway.storage.store.job(JobId(id)).await?;
    let own = |job: &StoredJob| job.spec.client == client.id || client.role == Role::Admin;
    found.filter(own).ok_or(HttpError::NotFound("job"))
}

fn job_json(app: &App, job: &StoredJob) -> Value {
    let view = app.view.borrow().jobs.get(&job.id()).copied();
    let state = match job.ended.as_ref().map(|ended| ended.end) {
        None => "open",
        Some(JobEnd::Done) => "done",
        Some(JobEnd::Cancelled) => "cancelled",
        Some(JobEnd::Expired) => "expired",
        Some(JobEnd::Failed) => "failed",
    };
    let covered = view.map_or(if state == "done" { job.data.steps() } else { 0 }, |view| view.covered);
    json!({
        "job": job.id().0, "program": job.program, "parameters": job.parameters.to_string(), "state": state,
        "steps": job.data.steps(), "covered": covered, "ranges": view.map_or(0, |view| view.ranges),
        "submitted_ms": job.submitted.0, "ended_ms": job.ended.as_ref().map(|ended| ended.at.0),
        "reason": job.ended.as_ref().map(|ended| &ended.reason),
        "start": hex::encode(&job.start), "end": hex::encode(&job.end),
        "chain_id": job.name.chain_id, "contract": format!("0x{}", hex::encode(job.name.contract.0)),
        "job_id": hex::encode(job.name.job_id),
    })
}

async fn show(State(app): State<App>, Path(id): Path<u64>, headers: HeaderMap) -> Answer {
    let job = job_of(&app, &headers, id).await?;
    Ok(Json(job_json(&app, &job)))
}

/// Where a page of jobs begins.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    before: Option<u64>,
}

async fn list(State(app): State<App>, Query(page): Query<Page>, headers: HeaderMap) -> Answer {
    let client = client(&app, &headers).await?;
    let jobs = app.gateway.storage.store.jobs_of(client.id, page.before.map(JobId), PAGE).await?;
    let next = if jobs.len() as u64 == u64::from(PAGE) { jobs.last().map(|job| job.id().0) } else { None };
    Ok(Json(json!({ "jobs": jobs.iter().map(|job| job_json(&app, job)).collect::<Vec<_>>(), "before": next })))
}

async fn cancel(State(app): State<App>, Path(id): Path<u64>, headers: HeaderMap) -> Answer {
    let job = job_of(&app, &headers, id).await?;
    let (answer, answered) = oneshot::channel();
    let gone = |_| HttpError::Unavailable("the coordinator is stopping".into());
    app.gateway.hub.send(Command::Cancel(job.id(), answer)).await.map_err(|_| gone(()))?;
    match answered.await.map_err(|_| gone(()))? {
        true => Ok(Json(json!({ "job": id, "state": "cancelled" }))),
        false => Err(HttpError::Conflict(BadEvent::UnknownJob(job.id()).to_string())),
    }
}

async fn root(State(app): State<App>, Path(id): Path<u64>, headers: HeaderMap) -> Answer<Response> {
    let job = job_of(&app, &headers, id).await?;
    let root = job.ended.as_ref().and_then(|ended| ended.root).ok_or(HttpError::NotFound("root proof yet"))?;
    let bytes = app.gateway.storage.blobs.proof(root).await?;
    Ok(([(CONTENT_TYPE, "application/octet-stream")], Body::from(bytes)).into_response())
}
