//! `params serve`: what provers fetch, without a coordinator.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use axum::Router;
use axum::routing::get;
use crowdfold_coordinator::catalog::Catalog;
use crowdfold_coordinator::http::programs;
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
    Router::from(programs::routes().with_state(catalog)).route("/healthz", get(async || "ok\n"))
}
