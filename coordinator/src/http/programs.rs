//! Programs and their parameters.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use crowdfold_programs::Program as _;
use crowdfold_wire::ParametersId;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::OCTETS;
use super::error::{ErrorBody, HttpError};
use super::extract::Path;
use crate::catalog::{Catalog, Entry};

/// What provers fetch before they prove, of a coordinator or a mirror of one.
pub fn routes() -> OpenApiRouter<Catalog> {
    OpenApiRouter::new().routes(routes!(programs)).routes(routes!(parameters))
}

/// A program that is proved here.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProgramBody {
    /// Its name, with which jobs are ordered.
    #[schema(example = "rollup/1")]
    name: String,
    /// What a step does.
    summary: String,
    /// Digest of its parameters.
    parameters: String,
    /// Rows of a step's circuit, in which work is measured: the credit of a step.
    rows: u64,
    /// Whether its parameters come from powers of tau for development, with which anybody can forge proofs.
    insecure: bool,
    /// Whether it takes no new jobs, as other parameters took its place.
    draining: bool,
}

/// The programs that are proved here.
#[utoipa::path(get, path = "/v1/programs", tag = "programs", responses((status = 200, body = [ProgramBody])))]
async fn programs(State(catalog): State<Catalog>) -> Json<Vec<ProgramBody>> {
    let body = |entry: &Arc<Entry>| {
        let prover = entry.parameters.prover();
        ProgramBody {
            name: entry.name.clone(),
            summary: prover.step().summary(),
            parameters: entry.id.to_string(),
            rows: entry.rows,
            insecure: prover.is_insecure(),
            draining: entry.is_draining,
        }
    };
    Json(catalog.entries().map(body).collect())
}

/// Parameters, as their digest names them: they never change.
#[utoipa::path(
    get, path = "/v1/parameters/{digest}/{kind}", tag = "programs",
    params(
        ("digest", description = "64 hexadecimal digits"),
        ("kind", description = "`fold` for provers of segments, `merge` for provers that also merge, and for verifying"),
    ),
    responses((status = 200, content_type = "application/octet-stream"), (status = 404, body = ErrorBody)),
)]
async fn parameters(
    State(catalog): State<Catalog>,
    Path((digest, kind)): Path<(String, String)>,
) -> Result<Response, HttpError> {
    let id = ParametersId::parse(&digest).ok_or(HttpError::NotFound("parameters"))?;
    let entry = catalog.of(id).ok_or(HttpError::NotFound("parameters"))?;
    let file = match kind.as_str() {
        "fold" => entry.fold_file.clone(),
        "merge" => entry.merge_file.clone(),
        _ => return Err(HttpError::NotFound("kind of parameters: expected fold or merge")),
    };
    let headers = [
        (CONTENT_TYPE, OCTETS),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
        // Pages of any origin may prove, and nothing here is anybody's own.
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    Ok((headers, Body::from(file)).into_response())
}
