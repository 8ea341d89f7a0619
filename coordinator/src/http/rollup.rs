//! The sequencer for wallets, explorers and operators (`docs/guide/sequencer.md`).

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use crowdfold_fold::Fr;
use crowdfold_programs::rollup::{Deposit, Request, SignedTransaction};
use crowdfold_rollup::forms::{Amount, KeyText, TransactionForm, TransactionsFile, hexadecimal};
use rayon::prelude::*;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::HttpError;
use crate::sequencer::{AccountName, Answer as Decided, Offered, Refused, Sequencer, SequencerError, Unanswered};
use crate::store::{
    BatchState, DepositConflict, Place, StoredBatch, StoredSequence, TransactionHash, TransactionReceipt,
};

/// Bytes of a request for each transaction that it may have: twice what one takes as JSON.
const TRANSACTION_BYTES: usize = 1_024;
/// Bytes of what is around them.
const REQUEST_BYTES: usize = 4_096;
/// Batches or sequences on a page.
const PAGE: u32 = 100;
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
        tracing::error!(%error, "the sequencer fails");
        Self::Unavailable("the sequencer can't read this now".into())
    }
}

fn body_limit(sequencer: &Sequencer) -> DefaultBodyLimit {
    DefaultBodyLimit::max(REQUEST_BYTES + TRANSACTION_BYTES * sequencer.settings().request_transactions)
}

/// What anybody may do.
pub fn routes(sequencer: Sequencer) -> Router {
    Router::new()
        .route("/v1/rollup/transactions", post(submit))
        .route("/v1/rollup/transactions/{hash}", get(transaction))
        .route("/v1/rollup/accounts/{name}", get(account))
        .route("/v1/rollup/state", get(state))
        .route("/v1/rollup/batches", get(batches))
        .route("/v1/rollup/batches/{number}", get(batch))
        .route("/v1/rollup/batches/{number}/data", get(batch_data))
        .route("/v1/rollup/sequences", get(sequences))
        .route("/v1/rollup/sequences/{number}", get(sequence))
        .route("/v1/rollup/sequences/{number}/proof", get(sequence_proof))
        .layer(body_limit(&sequencer))
        .with_state(sequencer)
}

/// What only administrators may do: the caller sees to that.
pub fn admin_routes(sequencer: Sequencer) -> Router {
    Router::new()
        .route("/v1/rollup/deposits", post(deposits))
        .route("/v1/rollup/seal", post(seal))
        .layer(body_limit(&sequencer))
        .with_state(sequencer)
}

/// A transaction, or why it is none.
type Sent = Result<Offered, Refused>;

async fn submit(State(sequencer): State<Sequencer>, headers: HeaderMap, body: Bytes) -> Answer {
    let binary = headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/octet-stream");
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

async fn transaction(State(sequencer): State<Sequencer>, Path(hash): Path<String>) -> Answer {
    let mut bytes = [0; 32];
    hex::decode_to_slice(hash.strip_prefix("0x").unwrap_or(&hash), &mut bytes)
        .map_err(|_| HttpError::Bad("the name of a transaction is 0x and 64 hexadecimal digits".into()))?;
    let found = sequencer.storage().store.transaction(TransactionHash(bytes)).await?;
    Ok(Json(receipt_json(&found.ok_or(HttpError::NotFound("transaction"))?)))
}

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
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
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

async fn batches(State(sequencer): State<Sequencer>, Query(at): Query<Page>) -> Answer {
    let found = sequencer.storage().store.batches(at.before, PAGE).await?;
    Ok(page("batches", &found, |batch| batch.number, batch_json))
}

async fn find_batch(sequencer: &Sequencer, number: u64) -> Answer<StoredBatch> {
    sequencer.storage().store.batch(number).await?.ok_or(HttpError::NotFound("batch"))
}

async fn batch(State(sequencer): State<Sequencer>, Path(number): Path<u64>) -> Answer {
    Ok(Json(batch_json(&find_batch(&sequencer, number).await?)))
}

fn bytes_answer(bytes: Bytes) -> Response {
    ([(CONTENT_TYPE, "application/octet-stream")], Body::from(bytes)).into_response()
}

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

async fn sequences(State(sequencer): State<Sequencer>, Query(at): Query<Page>) -> Answer {
    let found = sequencer.storage().store.sequences(at.before, PAGE).await?;
    Ok(page("sequences", &found, |sequence| sequence.number, sequence_json))
}

async fn find_sequence(sequencer: &Sequencer, number: u64) -> Answer<StoredSequence> {
    sequencer.storage().store.sequence(number).await?.ok_or(HttpError::NotFound("sequence"))
}

async fn sequence(State(sequencer): State<Sequencer>, Path(number): Path<u64>) -> Answer {
    Ok(Json(sequence_json(&find_sequence(&sequencer, number).await?)))
}

async fn sequence_proof(State(sequencer): State<Sequencer>, Path(number): Path<u64>) -> Answer<Response> {
    let sequence = find_sequence(&sequencer, number).await?;
    let (root, ..) = sequence.root.ok_or(HttpError::NotFound("root proof yet"))?;
    Ok(bytes_answer(sequencer.storage().blobs.proof(root).await?))
}

/// Deposits of the contract's queue.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deposits {
    /// The number of the first one; the others follow.
    first: u64,
    deposits: Vec<DepositForm>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DepositForm {
    key: KeyText,
    amount: Amount,
}

async fn deposits(State(sequencer): State<Sequencer>, Json(sent): Json<Deposits>) -> Answer {
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
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seal {
    /// Whether to close the sequence too.
    #[serde(default)]
    close: bool,
}

async fn seal(State(sequencer): State<Sequencer>, Query(wanted): Query<Seal>) -> Answer {
    let sealed = sequencer.seal(wanted.close).await?;
    Ok(Json(json!({ "batch": sealed.batch, "closed_sequence": sealed.closed })))
}
