//! Provers, their credit, and who has most of it.

use axum::Json;
use axum::extract::State;
use crowdfold_fold::Address;
use crowdfold_sched::ProverId;
use crowdfold_wire::PublicKey;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use utoipa::{IntoParams, ToSchema};

use super::error::{ErrorBody, HttpError};
use super::extract::{Path, Query};
use super::{Answer, App, PAGE};
use crate::hub::{Command, ProverView};
use crate::settings::address;
use crate::store::{Credit, Prover, Store as _, limits};

/// A prover that is connected.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConnectedBody {
    /// Its number.
    prover: u64,
    /// Segments that it has.
    segments: u64,
    /// Merges that it has.
    merges: u64,
    /// Rows a second, as measured by what it delivered.
    rows_per_second: u64,
}

/// The provers that are connected.
#[utoipa::path(get, path = "/v1/provers", tag = "provers", responses((status = 200, body = [ConnectedBody])))]
pub(super) async fn list(State(app): State<App>) -> Answer<Json<Vec<ConnectedBody>>> {
    let body = |view: ProverView| ConnectedBody {
        prover: view.prover.0,
        segments: view.segments as u64,
        merges: view.merges as u64,
        rows_per_second: view.speed.0,
    };
    let (answer, answered) = oneshot::channel();
    app.gateway.hub.send(Command::Fleet(answer)).await.map_err(|_| HttpError::stopping())?;
    let fleet = answered.await.map_err(|_| HttpError::stopping())?;
    Ok(Json(fleet.into_iter().map(body).collect()))
}

/// A prover.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProverBody {
    /// Its number.
    prover: u64,
    /// Its key, in hexadecimal digits.
    key: String,
    /// Where it was last to be paid.
    payout: String,
    /// Its credit: the rows of all steps whose proofs count.
    credit: u64,
    /// When it came first, in milliseconds since 1970.
    first_seen_ms: u64,
    /// When it came last.
    last_seen_ms: u64,
    /// How often it was suspended.
    strikes: u32,
    /// Till when it gets no work, if it is suspended.
    suspended_until_ms: Option<u64>,
}

impl ProverBody {
    fn new(app: &App, prover: &Prover) -> Self {
        let until = prover.suspended_until;
        Self {
            prover: prover.id.0,
            key: hex::encode(prover.key.0),
            payout: text(prover.payout),
            credit: prover.credit,
            first_seen_ms: prover.first_seen.0,
            last_seen_ms: prover.last_seen.0,
            strikes: prover.strikes,
            suspended_until_ms: (until > app.gateway.clock.now()).then_some(until.0),
        }
    }
}

fn text(address: Address) -> String {
    format!("0x{}", hex::encode(address.0))
}

async fn prover(app: &App, key: &str) -> Answer<Prover> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(key, &mut bytes)
        .map_err(|_| HttpError::Bad("a prover's key has 64 hexadecimal digits".into()))?;
    app.gateway.storage.store.prover(PublicKey(bytes)).await?.ok_or(HttpError::NotFound("prover"))
}

/// Look at a prover.
#[utoipa::path(
    get, path = "/v1/provers/{key}", tag = "provers", params(("key", description = "64 hexadecimal digits")),
    responses((status = 200, body = ProverBody), (status = 404, body = ErrorBody)),
)]
pub(super) async fn show(State(app): State<App>, Path(key): Path<String>) -> Answer<Json<ProverBody>> {
    Ok(Json(ProverBody::new(&app, &prover(&app, &key).await?)))
}

/// Where a page of a list begins.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct CreditsQuery {
    /// Only what came after this entry.
    after: Option<u64>,
    /// So many at most, up to 1000; 100 if nothing is said.
    limit: Option<u32>,
}

/// Credit for a proof.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CreditBody {
    /// Its place in the ledger.
    entry: u64,
    /// The proof's SHA-256.
    proof: String,
    /// Who is paid.
    payout: String,
    /// The job.
    job: u64,
    /// The steps.
    steps: u64,
    /// Steps times the rows of one.
    credit: u64,
    /// When, in milliseconds since 1970.
    at_ms: u64,
}

/// A page of credits, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CreditsBody {
    /// The credits.
    credits: Vec<CreditBody>,
    /// What to ask for as `after` to get the next page, if there may be one.
    after: Option<u64>,
}

/// The credits of a prover.
#[utoipa::path(
    get, path = "/v1/provers/{key}/credits", tag = "provers", params(CreditsQuery),
    responses((status = 200, body = CreditsBody), (status = 404, body = ErrorBody)),
)]
pub(super) async fn credits(
    State(app): State<App>,
    Path(key): Path<String>,
    Query(query): Query<CreditsQuery>,
) -> Answer<Json<CreditsBody>> {
    let prover = prover(&app, &key).await?;
    let limit = query.limit.unwrap_or(PAGE).clamp(1, limits::PAGE);
    let credits = app.gateway.storage.store.ledger(prover.id, query.after, limit).await?;
    let is_full = credits.len() as u64 == u64::from(limit);
    let after = credits.last().filter(|_| is_full).map(|credit| credit.entry);
    let body = |credit: Credit| CreditBody {
        entry: credit.entry,
        proof: hex::encode(credit.proof.0),
        payout: text(credit.payout),
        job: credit.job.0,
        steps: credit.steps,
        credit: credit.credit,
        at_ms: credit.at.0,
    };
    Ok(Json(CreditsBody { credits: credits.into_iter().map(body).collect(), after }))
}

/// Whose credit is compared.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum By {
    /// That of provers.
    #[default]
    Prover,
    /// That of the addresses that are paid.
    Address,
}

/// Where a page of the leaderboard begins.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct BoardQuery {
    /// Whose credit is compared.
    #[serde(default)]
    #[param(inline)]
    by: By,
    /// Only after the one with this, from the page before.
    after: Option<String>,
    /// So many at most, up to 1000; 100 if nothing is said.
    limit: Option<u32>,
}

/// One of the leaderboard.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LeaderBody {
    /// Its number, of a prover.
    #[serde(skip_serializing_if = "Option::is_none")]
    prover: Option<u64>,
    /// Its key, of a prover.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// The address that is paid.
    payout: String,
    /// Credit: the rows of all steps whose proofs count.
    credit: u64,
}

/// A page of the leaderboard, the highest credit first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BoardBody {
    /// Those with most credit.
    leaders: Vec<LeaderBody>,
    /// What to ask for as `after` to get the next page, if there may be one.
    after: Option<String>,
}

/// Who has most credit.
#[utoipa::path(
    get, path = "/v1/leaderboard", tag = "provers", params(BoardQuery),
    responses((status = 200, body = BoardBody), (status = 400, body = ErrorBody)),
)]
pub(super) async fn leaderboard(State(app): State<App>, Query(query): Query<BoardQuery>) -> Answer<Json<BoardBody>> {
    let store = &app.gateway.storage.store;
    let limit = query.limit.unwrap_or(PAGE).clamp(1, limits::PAGE);
    let wrong = || HttpError::Bad("`after` is to be taken from the page before".into());
    let after = match &query.after {
        None => None,
        Some(after) => {
            let (credit, place) = after.split_once('-').ok_or_else(wrong)?;
            Some((credit.parse().map_err(|_| wrong())?, place))
        }
    };
    let (leaders, last): (Vec<_>, _) = match query.by {
        By::Prover => {
            let after = after.map(|(credit, id)| Answer::Ok((credit, ProverId(id.parse().map_err(|_| wrong())?))));
            let found = store.leaderboard(after.transpose()?, limit).await?;
            let last = found.last().map(|prover| format!("{}-{}", prover.credit, prover.id.0));
            let body = |prover: Prover| LeaderBody {
                prover: Some(prover.id.0),
                key: Some(hex::encode(prover.key.0)),
                payout: text(prover.payout),
                credit: prover.credit,
            };
            (found.into_iter().map(body).collect(), last)
        }
        By::Address => {
            let after = after.map(|(credit, place)| Answer::Ok((credit, address(place).map_err(|_| wrong())?)));
            let found = store.payouts(after.transpose()?, limit).await?;
            let last = found.last().map(|(address, credit)| format!("{credit}-{}", text(*address)));
            let body = |(address, credit)| LeaderBody { prover: None, key: None, payout: text(address), credit };
            (found.into_iter().map(body).collect(), last)
        }
    };
    let is_full = leaders.len() as u64 == u64::from(limit);
    Ok(Json(BoardBody { leaders, after: last.filter(|_| is_full) }))
}
