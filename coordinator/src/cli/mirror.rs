//! `params serve`: what provers fetch, without a coordinator.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use crowdfold_coordinator::catalog::{Catalog, Entry};
use crowdfold_programs::Program as _;
use crowdfold_wire::ParametersId;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::options::LogArgs;
use super::signals::Signals;
use super::{logs, serve};

/// What to serve, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// Folder with the parameters of programs.
    #[arg(long, env = "COORDINATOR_PARAMS", default_value = "params")]
    params: PathBuf,
    /// Address and port; port 0 for any that is free.
    #[arg(long, default_value = "127.0.0.1:4091")]
    listen: SocketAddr,
    #[command(flatten)]
    logs: LogArgs,
}

/// Serves until a signal comes.
pub(crate) async fn run(serve: &Serve, json: bool) -> anyhow::Result<()> {
    let mut signals = Signals::watch()?;
    logs::start(&serve.logs.settings())?;
    let catalog = serve::catalog(&serve.params)?;
    let listen = || format!("{} can't be listened at", serve.listen);
    let listener = TcpListener::bind(serve.listen).await.with_context(listen)?;
    serve::announce(listener.local_addr().with_context(listen)?, json)?;
    tokio::select! {
        ended = axum::serve(listener, router(catalog)) => Ok(ended?),
        () = signals.next() => Ok(()),
    }
}

/// The routes, which are those of a coordinator.
fn router(catalog: Catalog) -> Router {
    Router::new()
        .route("/v1/programs", get(programs))
        .route("/v1/parameters/{id}/{kind}", get(parameters))
        .route("/healthz", get(async || "ok\n"))
        .with_state(Arc::new(catalog))
}

async fn programs(State(catalog): State<Arc<Catalog>>) -> Json<Value> {
    let program = |entry: &Arc<Entry>| {
        let prover = entry.parameters.prover();
        json!({
            "name": entry.name, "summary": prover.step().summary(), "parameters": entry.id.to_string(),
            "rows": entry.rows, "insecure": prover.is_insecure(),
        })
    };
    Json(Value::Array(catalog.entries().map(program).collect()))
}

async fn parameters(State(catalog): State<Arc<Catalog>>, Path((id, kind)): Path<(String, String)>) -> Response {
    let entry = ParametersId::parse(&id).and_then(|id| catalog.of(id));
    let file = match (entry, kind.as_str()) {
        (Some(entry), "fold") => entry.fold_file.clone(),
        (Some(entry), "merge") => entry.merge_file.clone(),
        _ => {
            let message = json!({ "error": "not_found", "message": "there are no such parameters" });
            return (StatusCode::NOT_FOUND, Json(message)).into_response();
        }
    };
    // Their name is their digest, so they never change.
    let headers =
        [("content-type", "application/octet-stream"), ("cache-control", "public, max-age=31536000, immutable")];
    (headers, file).into_response()
}
