//! Root proofs, and the verification of any proof.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use crowdfold_fold::{RangeProof, verify};
use crowdfold_programs::Program as _;
use serde::Serialize;
use utoipa::ToSchema;

use super::access::Caller;
use super::error::{ErrorBody, HttpError};
use super::extract::Path;
use super::jobs::{any_job, read};
use super::{Answer, App, OCTETS};
use crate::catalog::Catalog;
use crate::chance;
use crate::settings::Readers;
use crate::store::{Client, Role, StoredJob, limits};

/// Whether somebody may fetch a job's root proof now.
fn may_read(app: &App, client: Option<&Client>, job: &StoredJob) -> bool {
    if client.is_some_and(|client| client.id == job.spec.client || client.role == Role::Admin) {
        return true;
    }
    let settings = &app.settings.proofs;
    let is_reader = match settings.readers {
        Readers::Owner => false,
        Readers::Clients => client.is_some(),
        Readers::Public => true,
    };
    let from = job.ended.as_ref().map(|ended| ended.at.0.saturating_add(settings.after_s.saturating_mul(1000)));
    is_reader && from.is_some_and(|from| from <= app.gateway.clock.now().0)
}

/// Fetch the root proof of a job that is done.
///
/// Who else than its client may, and from when on, is a setting.
#[utoipa::path(
    get, path = "/v1/jobs/{job}/proof", tag = "proofs",
    responses(
        (status = 200, content_type = "application/octet-stream"), (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
    ),
    security((), ("token" = [])),
)]
pub(super) async fn root(State(app): State<App>, caller: Option<Caller>, Path(job): Path<u64>) -> Answer<Response> {
    let client = caller.map(|Caller(client)| client);
    let job = any_job(&app, job).await?;
    if !may_read(&app, client.as_ref(), &job) {
        // Whether there is such a job is not told to others.
        return Err(if client.is_some() { HttpError::NotFound("job") } else { HttpError::Unauthorized });
    }
    let root = job.ended.as_ref().and_then(|ended| ended.root).ok_or(HttpError::NotFound("root proof yet"))?;
    if job.kept < crate::store::Kept::Root {
        return Err(HttpError::NotFound("root proof any more: it is not kept for longer"));
    }
    let bytes = app.gateway.storage.blobs.proof(root).await?;
    Ok(([(CONTENT_TYPE, OCTETS)], Body::from(bytes)).into_response())
}

/// Who folded how much.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReceiptBody {
    /// The address that is paid.
    prover: String,
    /// Steps.
    steps: u64,
}

/// What a proof says.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StatementBody {
    /// The program.
    program: String,
    /// Digest of its parameters.
    parameters: String,
    /// Whether they come from powers of tau for development, so that anybody could have forged it.
    insecure: bool,
    /// Steps that it covers.
    count: u64,
    /// Encoded state before them, in hexadecimal digits.
    start: String,
    /// Encoded state after them.
    end: String,
    /// The chain that it is for.
    chain_id: u64,
    /// The contract.
    contract: String,
    /// The job.
    job_id: String,
    /// Who folded them.
    receipts: Vec<ReceiptBody>,
}

/// Whether a proof is one.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CheckBody {
    /// Whether it proves what it says.
    valid: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What it says; nothing if it can't be read.
    statement: Option<StatementBody>,
}

fn statement(catalog: &Catalog, bytes: &[u8]) -> CheckBody {
    let mut reason = "no program is proved here".to_owned();
    for entry in catalog.entries() {
        let parameters = &entry.parameters;
        let proof = match RangeProof::from_bytes(parameters, bytes) {
            Ok(proof) => proof,
            Err(error) => {
                reason = format!("it is no proof of a program that is proved here: {error}");
                continue;
            }
        };
        let (program, job) = (parameters.prover().step(), proof.job());
        let receipts = proof.receipts();
        let statement = StatementBody {
            program: entry.name.clone(),
            parameters: entry.id.to_string(),
            insecure: parameters.prover().is_insecure(),
            count: proof.count(),
            start: hex::encode(program.encode_state(proof.start())),
            end: hex::encode(program.encode_state(proof.end())),
            chain_id: job.chain_id,
            contract: format!("0x{}", hex::encode(job.contract.0)),
            job_id: hex::encode(job.job_id),
            receipts: receipts
                .iter()
                .map(|receipt| ReceiptBody {
                    prover: format!("0x{}", hex::encode(receipt.prover.0)),
                    steps: receipt.count,
                })
                .collect(),
        };
        let checked = chance::generator().map_err(|error| error.to_string());
        let checked = checked.and_then(|mut rng| verify(parameters, &proof, &mut rng).map_err(|e| e.to_string()));
        return CheckBody { valid: checked.is_ok(), reason: checked.err(), statement: Some(statement) };
    }
    CheckBody { valid: false, reason: Some(reason), statement: None }
}

/// Verify a proof.
///
/// The body is a range proof of any program that is proved here. It is verified in full; whether its statement is the
/// wanted one is for the caller to compare.
#[utoipa::path(
    post, path = "/v1/verify", tag = "proofs", request_body(content((Vec<u8> = "application/octet-stream"))),
    responses((status = 200, body = CheckBody), (status = 413, body = ErrorBody)),
)]
pub(super) async fn check(State(app): State<App>, body: Body) -> Answer<Json<CheckBody>> {
    let _room = app.room.checks.acquire().await.map_err(|_| HttpError::stopping())?;
    let most = usize::try_from(limits::PROOF_BYTES).unwrap_or(usize::MAX);
    let bytes = read(body, most).await?;
    let catalog = app.catalog.clone();
    let checked = tokio::task::spawn_blocking(move || statement(&catalog, &bytes)).await;
    Ok(Json(checked.map_err(|_| HttpError::Bad("the proof can't be verified".into()))?))
}
