//! The sequencer for wallets, explorers and operators (`docs/guide/sequencer.md`).

use axum::Json;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use crowdfold_fold::Fr;
use crowdfold_programs::rollup::{Deposit, Request, SignedTransaction};
use crowdfold_rollup::forms::{Amount, KeyText, TransactionForm, TransactionsFile, hexadecimal};
use rayon::prelude::*;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{ErrorBody, HttpError};
use super::extract::{Form, Path, Query};
use super::jobs::read;
use super::{OCTETS, PAGE};
use crate::sequencer::{AccountName, Answer as Decided, Offered, Refused, Sequencer, SequencerError, Unanswered};
use crate::store::{
    BatchState, DepositConflict, Place, StoredBatch, StoredSequence, TransactionHash, TransactionReceipt,
};

/// Bytes of a request for each transaction that it may have: twice what one takes as JSON.
const TRANSACTION_BYTES: usize = 1_024;
/// Bytes of what is around them.
const REQUEST_BYTES: usize = 4_096;
/// Transactions that a thread decodes in one go.
const CHUNK: usize = 16;

type Answer<T = Json<Value>> = Result<T, HttpError>;

impl From<Unanswered> for HttpError {
    fn from(error: Unanswered) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<SequencerError> for HttpError {
    fn from(error: SequencerError) -> Self {
        if let SequencerError::Store(error) = error {
            return error.into();
        }
        tracing::error!(%error, "the sequencer fails");
        Self::Unavailable("the sequencer can't read this now".into())
    }
}

fn body_limit(sequencer: &Sequencer) -> usize {
    REQUEST_BYTES + TRANSACTION_BYTES * sequencer.settings().request_transactions
}

/// What anybody may do.
pub fn routes() -> OpenApiRouter<Sequencer> {
    OpenApiRouter::new()
        .routes(routes!(submit))
        .routes(routes!(transaction))
        .routes(routes!(account))
        .routes(routes!(state))
        .routes(routes!(batches))
        .routes(routes!(batch))
        .routes(routes!(batch_data))
        .routes(routes!(sequences))
        .routes(routes!(sequence))
        .routes(routes!(sequence_proof))
}

/// What only administrators may do: the caller sees to that.
pub fn admin_routes(sequencer: &Sequencer) -> OpenApiRouter<Sequencer> {
    let limit = DefaultBodyLimit::max(body_limit(sequencer));
    OpenApiRouter::new().routes(routes!(deposits)).routes(routes!(seal)).layer(limit)
}

/// A transaction, or why it is none.
type Sent = Result<Offered, Refused>;

/// Send signed transactions.
///
/// A transaction in JSON, a list of them, a file of them, or encodings one behind the other. Each has its own result in
/// `results`, in order: a receipt, or `status` `refused` with a code in `error`. One that has a receipt is not lost; the
/// same one again gets its receipt again.
#[utoipa::path(
    post, path = "/v1/rollup/transactions", tag = "rollup",
    request_body(content((Object = "application/json"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 200, body = Object), (status = 400, body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 503, body = ErrorBody)),
)]
async fn submit(State(sequencer): State<Sequencer>, headers: HeaderMap, body: Body) -> Answer {
    let body = read(body, body_limit(&sequencer)).await?;
    let binary = headers.get(CONTENT_TYPE).is_some_and(|kind| kind == OCTETS);
    let (domain, limit) = (sequencer.domain(), sequencer.settings().request_transactions);
    let read = move || if binary { read_binary(&body, domain, limit) } else { read_json(&body, domain, limit) };
    let read = tokio::task::spawn_blocking(read).await;
    let sent: Vec<Sent> = read.map_err(|_| HttpError::Bad("the transactions can't be read".into()))??;
    let good: Vec<Offered> = sent.iter().filter_map(|sent| sent.as_ref().ok().copied()).collect();
    let mut decided = match good[..] {
        [] => Vec::new(),
        _ => sequencer.submit(good).await?,
    }
    .into_iter();
    let mut results = Vec::with_capacity(sent.len());
    for sent in sent {
        results.push(match sent {
            Err(refused) => refused_json(None, &refused),
            Ok(offered) => match decided.next().ok_or(Unanswered::Failed)? {
                Decided::Accepted(receipt) => receipt_json(&receipt),
                Decided::Known(receipt) => {
                    let mut shown = receipt_json(&receipt);
                    shown["duplicate"] = true.into();
                    shown
                }
                Decided::Refused(refused) => refused_json(Some(offered.hash), &refused),
            },
        });
    }
    Ok(Json(json!({ "results": results })))
}

fn check_number(found: usize, limit: usize) -> Answer<()> {
    if found <= limit {
        return Ok(());
    }
    Err(HttpError::TooLarge(format!("a request has at most {limit} transactions, this has {found}")))
}

/// Encodings, one behind the other.
fn read_binary(body: &[u8], domain: Fr, limit: usize) -> Answer<Vec<Sent>> {
    let (mut rest, mut parts) = (body, Vec::new());
    while let Some(kind) = rest.first() {
        let part = SignedTransaction::encoded_bytes(*kind).and_then(|bytes| rest.split_at_checked(bytes));
        let Some((part, behind)) = part else {
            let at = body.len() - rest.len();
            let expected = "a transfer (1 and 100 bytes) or a withdrawal (3 and 116 bytes)";
            return Err(HttpError::Bad(format!("at byte {at}: expected {expected}")));
        };
        check_number(parts.len() + 1, limit)?;
        parts.push(part);
        rest = behind;
    }
    let read = |part: &&[u8]| match SignedTransaction::from_bytes(part) {
        Ok(signed) => Ok(Offered::new(signed, domain)),
        Err(error) => Err(Refused::Malformed { why: error.to_string() }),
    };
    Ok(parts.par_iter().with_min_len(CHUNK).map(read).collect())
}

/// What tells a file from a single transaction.
#[derive(Deserialize)]
struct Probe {
    form: Option<IgnoredAny>,
}

/// A file's form, a list of transactions, or a single one.
fn read_json(body: &[u8], domain: Fr, limit: usize) -> Answer<Vec<Sent>> {
    let bad = |error: &dyn std::fmt::Display| {
        HttpError::Bad(format!("expected a transaction, a list of them, or a file of them: {error}"))
    };
    let forms: Vec<TransactionForm> = if body.trim_ascii_start().starts_with(b"[") {
        serde_json::from_slice(body).map_err(|error| bad(&error))?
    } else if serde_json::from_slice::<Probe>(body).is_ok_and(|probe| probe.form.is_some()) {
        let file = TransactionsFile::from_json(body).map_err(|error| {
            let cause = std::error::Error::source(&error).map_or(String::new(), |cause| format!(": {cause}"));
            HttpError::Bad(format!("{error}{cause}"))
        })?;
        if file.domain().is_some_and(|found| found != domain) {
            let expected = hexadecimal(&domain);
            return Err(HttpError::Bad(format!(
                "the file is of another chain or contract: domains here are {expected}"
            )));
        }
        file.transactions().to_vec()
    } else {
        vec![serde_json::from_slice(body).map_err(|error| bad(&error))?]
    };
    check_number(forms.len(), limit)?;
    let read = |form: &TransactionForm| match form.decode_request() {
        Ok(Request::Signed(signed)) => Ok(Offered::new(signed, domain)),
        Ok(Request::Deposit(_)) => Err(Refused::NotSigned),
        Err(error) => Err(Refused::Malformed { why: error.to_string() }),
    };
    Ok(forms.par_iter().with_min_len(CHUNK).map(read).collect())
}

fn refused_json(hash: Option<TransactionHash>, refused: &Refused) -> Value {
    let hash = hash.map(|hash| hash.to_string());
    json!({ "hash": hash, "status": "refused", "error": refused.code(), "message": refused.to_string() })
}

fn receipt_json(receipt: &TransactionReceipt) -> Value {
    let mut shown = json!({
        "hash": receipt.hash.to_string(), "account": receipt.account, "nonce": receipt.nonce,
        "received_ms": receipt.received.0,
    });
    match &receipt.place {
        Place::Pending => shown["status"] = "pending".into(),
        Place::Included { batch, position, sequence, job, is_proved } => {
            shown["status"] = if *is_proved { "proved" } else { "included" }.into();
            shown["batch"] = (*batch).into();
            shown["position"] = (*position).into();
            shown["sequence"] = (*sequence).into();
            shown["job"] = job.map(|job| job.0).into();
        }
        Place::Dropped { at, why } => {
            shown["status"] = "dropped".into();
            shown["dropped_ms"] = at.0.into();
            shown["reason"] = why.reason.clone().into();
            shown["detail"] = why.detail.clone().into();
        }
    }
    shown
}

/// The receipt of a transaction.
///
/// `status` is `pending`, `included` in a batch, `proved`, or `dropped` with a `reason`.
#[utoipa::path(
    get, path = "/v1/rollup/transactions/{hash}", tag = "rollup", params(("hash", description = "0x and 64 digits")),
    responses((status = 200, body = Object), (status = 404, body = ErrorBody)),
)]
async fn transaction(State(sequencer): State<Sequencer>, Path(hash): Path<String>) -> Answer {
    let mut bytes = [0; 32];
    hex::decode_to_slice(hash.strip_prefix("0x").unwrap_or(&hash), &mut bytes)
        .map_err(|_| HttpError::Bad("the name of a transaction is 0x and 64 hexadecimal digits".into()))?;
    let found = sequencer.storage().store.transaction(TransactionHash(bytes)).await?;
    Ok(Json(receipt_json(&found.ok_or(HttpError::NotFound("transaction"))?)))
}

/// An account after the last sealed batch, with its Merkle path.
#[utoipa::path(
    get, path = "/v1/rollup/accounts/{name}", tag = "rollup",
    params(("name", description = "its index, or the 64 hexadecimal digits of its key")),
    responses((status = 200, body = Object), (status = 404, body = ErrorBody)),
)]
async fn account(State(sequencer): State<Sequencer>, Path(name): Path<String>) -> Answer {
    let expected = || HttpError::Bad("an account is named by its index below 2^24 or its key of 64 digits".into());
    let name = AccountName::parse(&name).ok_or_else(expected)?;
    let found = match sequencer.account(name).await {
        Err(SequencerError::Accounts(crowdfold_rollup::Error::Value { .. })) => return Err(expected()),
        found => found?.ok_or(HttpError::NotFound("account"))?,
    };
    Ok(Json(json!({
        "account": found.proof, "batch": found.batch, "pending": found.pending, "next_nonce": found.next_nonce,
        "available": found.available.to_string(),
    })))
}

/// The state after the last sealed batch, what waits, and what is taken.
#[utoipa::path(get, path = "/v1/rollup/state", tag = "rollup", responses((status = 200, body = Object)))]
async fn state(State(sequencer): State<Sequencer>) -> Answer {
    let view = sequencer.view();
    let (head, settings, (chain_id, contract)) = (*view.snapshot.head(), sequencer.settings(), sequencer.settlement());
    let state = head.state;
    Ok(Json(json!({
        "batch": head.batch, "accounts": head.accounts, "root": hexadecimal(&state.root),
        "state": {
            "root": hexadecimal(&state.root), "deposits": hexadecimal(&state.deposits),
            "withdrawals": hexadecimal(&state.withdrawals), "sealed": hexadecimal(&state.sealed),
            "count": hexadecimal(&state.count), "domain": hexadecimal(&state.domain),
            "operator": hexadecimal(&state.operator),
        },
        "chain_id": chain_id, "contract": format!("0x{}", hex::encode(contract.0)), "program": settings.program,
        "pending": view.pending, "executable": view.executable, "pending_accounts": view.accounts,
        "pending_deposits": view.deposits, "stuck_deposit": view.stuck, "is_working": view.is_working,
        "policy": {
            "least_fee": settings.least_fee.to_string(), "replacement_percent": settings.replacement_percent,
            "pending": settings.pending, "account_pending": settings.account_pending,
            "nonce_gap": settings.nonce_gap, "pending_s": settings.pending_s, "receipts_s": settings.receipts_s,
            "request_transactions": settings.request_transactions,
            "batch_transactions": settings.batch_transactions, "batch_age_s": settings.batch_age_s,
        },
    })))
}

/// Where a page begins.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    /// Only those before this one.
    before: Option<u64>,
}

/// A page, and where the next one begins.
fn page<T>(what: &str, found: &[T], number: impl Fn(&T) -> u64, shown: impl Fn(&T) -> Value) -> Json<Value> {
    let next = if found.len() == PAGE as usize { found.last().map(number) } else { None };
    Json(json!({ what: found.iter().map(shown).collect::<Vec<_>>(), "before": next }))
}

fn batch_json(batch: &StoredBatch) -> Value {
    let status = match batch.state {
        BatchState::Sealed => "sealed",
        BatchState::Proving => "proving",
        BatchState::Proved => "proved",
        BatchState::Failed => "failed",
    };
    json!({
        "batch": batch.number, "sequence": batch.sequence, "status": status, "transactions": batch.transactions,
        "deposits": batch.deposits, "steps": batch.steps, "job": batch.job.map(|job| job.0), "attempt": batch.attempt,
        "job_bytes": batch.job_bytes, "data_bytes": batch.data_bytes, "sealed_ms": batch.sealed.0,
        "ended_ms": batch.ended.map(|at| at.0), "end": hex::encode(&batch.end),
        "proof": batch.root.map(|root| hex::encode(root.0)),
    })
}

/// Batches, the newest first.
#[utoipa::path(
    get, path = "/v1/rollup/batches", tag = "rollup", params(Page), responses((status = 200, body = Object)),
)]
async fn batches(State(sequencer): State<Sequencer>, Query(at): Query<Page>) -> Answer {
    let found = sequencer.storage().store.batches(at.before, PAGE).await?;
    Ok(page("batches", &found, |batch| batch.number, batch_json))
}

async fn find_batch(sequencer: &Sequencer, number: u64) -> Answer<StoredBatch> {
    sequencer.storage().store.batch(number).await?.ok_or(HttpError::NotFound("batch"))
}

/// A batch.
#[utoipa::path(
    get, path = "/v1/rollup/batches/{number}", tag = "rollup",
    responses((status = 200, body = Object), (status = 404, body = ErrorBody)),
)]
async fn batch(State(sequencer): State<Sequencer>, Path(number): Path<u64>) -> Answer {
    Ok(Json(batch_json(&find_batch(&sequencer, number).await?)))
}

fn bytes_answer(bytes: Bytes) -> Response {
    ([(CONTENT_TYPE, OCTETS)], Body::from(bytes)).into_response()
}

/// The data of a batch, as it goes to the chain.
#[utoipa::path(
    get, path = "/v1/rollup/batches/{number}/data", tag = "rollup",
    responses((status = 200, content_type = "application/octet-stream"), (status = 404, body = ErrorBody)),
)]
async fn batch_data(State(sequencer): State<Sequencer>, Path(number): Path<u64>) -> Answer<Response> {
    let batch = find_batch(&sequencer, number).await?;
    let blobs = &sequencer.storage().blobs;
    Ok(bytes_answer(blobs.whole(batch.data_blob(), batch.data_bytes, batch.data_hash).await?))
}

fn sequence_json(sequence: &StoredSequence) -> Value {
    let status = match (sequence.root, sequence.closed) {
        (Some(_), _) => "proved",
        (None, Some(_)) => "closed",
        (None, None) => "open",
    };
    let (first, last) = sequence.batches;
    json!({
        "sequence": sequence.number, "status": status, "first_batch": first, "last_batch": last,
        "proved_batches": sequence.proved, "job_id": hex::encode(sequence.chain_job), "opened_ms": sequence.opened.0,
        "closed_ms": sequence.closed.map(|at| at.0), "proof": sequence.root.map(|(root, ..)| hex::encode(root.0)),
        "proof_bytes": sequence.root.map(|(_, bytes, _)| bytes), "proved_ms": sequence.root.map(|(.., at)| at.0),
    })
}

/// Sequences of batches whose proofs become one, the newest first.
#[utoipa::path(
    get, path = "/v1/rollup/sequences", tag = "rollup", params(Page), responses((status = 200, body = Object)),
)]
async fn sequences(State(sequencer): State<Sequencer>, Query(at): Query<Page>) -> Answer {
    let found = sequencer.storage().store.sequences(at.before, PAGE).await?;
    Ok(page("sequences", &found, |sequence| sequence.number, sequence_json))
}

async fn find_sequence(sequencer: &Sequencer, number: u64) -> Answer<StoredSequence> {
    sequencer.storage().store.sequence(number).await?.ok_or(HttpError::NotFound("sequence"))
}

/// A sequence.
#[utoipa::path(
    get, path = "/v1/rollup/sequences/{number}", tag = "rollup",
    responses((status = 200, body = Object), (status = 404, body = ErrorBody)),
)]
async fn sequence(State(sequencer): State<Sequencer>, Path(number): Path<u64>) -> Answer {
    Ok(Json(sequence_json(&find_sequence(&sequencer, number).await?)))
}

/// The root proof of a sequence.
#[utoipa::path(
    get, path = "/v1/rollup/sequences/{number}/proof", tag = "rollup",
    responses((status = 200, content_type = "application/octet-stream"), (status = 404, body = ErrorBody)),
)]
async fn sequence_proof(State(sequencer): State<Sequencer>, Path(number): Path<u64>) -> Answer<Response> {
    let sequence = find_sequence(&sequencer, number).await?;
    let (root, ..) = sequence.root.ok_or(HttpError::NotFound("root proof yet"))?;
    Ok(bytes_answer(sequencer.storage().blobs.proof(root).await?))
}

/// Deposits of the contract's queue.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Deposits {
    /// The number of the first one; the others follow.
    first: u64,
    /// The deposits.
    deposits: Vec<DepositForm>,
}

/// A deposit.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DepositForm {
    /// Whose it becomes.
    #[schema(value_type = String)]
    key: KeyText,
    /// How much, in decimal digits.
    #[schema(value_type = String)]
    amount: Amount,
}

/// Add deposits of the contract's queue.
///
/// Their numbers follow each other without a gap. Those that were added before are not added again.
#[utoipa::path(
    post, path = "/v1/rollup/deposits", tag = "rollup", request_body = Deposits,
    responses((status = 200, body = Object), (status = 403, body = ErrorBody), (status = 409, body = ErrorBody)),
    security(("token" = [])),
)]
async fn deposits(State(sequencer): State<Sequencer>, Form(sent): Form<Deposits>) -> Answer {
    check_number(sent.deposits.len(), sequencer.settings().request_transactions)?;
    let mut deposits = Vec::with_capacity(sent.deposits.len());
    for (number, form) in (sent.first..).zip(&sent.deposits) {
        let bad = |error: crowdfold_rollup::Error| HttpError::Bad(format!("deposit {number}: {error}"));
        deposits.push((number, Deposit { key: form.key.decode().map_err(bad)?, amount: form.amount.0 }));
    }
    match sequencer.add_deposits(deposits).await? {
        Ok(added) => Ok(Json(json!({ "added": added }))),
        Err(DepositConflict::Gap { next }) => {
            Err(HttpError::Conflict(format!("the next deposit is number {next}: send those between first")))
        }
        Err(DepositConflict::Differs { number }) => {
            Err(HttpError::Conflict(format!("deposit {number} is another one: none of these was taken")))
        }
    }
}

/// What is to be sealed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Seal {
    /// Whether to close the sequence too.
    #[serde(default)]
    close: bool,
}

/// Seal a batch of what waits now, and close the sequence if that is wanted.
#[utoipa::path(
    post, path = "/v1/rollup/seal", tag = "rollup", params(Seal),
    responses((status = 200, body = Object), (status = 403, body = ErrorBody)), security(("token" = [])),
)]
async fn seal(State(sequencer): State<Sequencer>, Query(wanted): Query<Seal>) -> Answer {
    let sealed = sequencer.seal(wanted.close).await?;
    Ok(Json(json!({ "batch": sealed.batch, "closed_sequence": sealed.closed })))
}
