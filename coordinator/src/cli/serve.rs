//! `serve`.

use std::net::SocketAddr;
use std::path::Path;

use crowdfold_coordinator::catalog::Catalog;
use crowdfold_coordinator::open_files;
use crowdfold_coordinator::server::Server;
use serde_json::json;

use super::exit::Exit;
use super::logs;
use super::options::SettingsArgs;
use super::output::answer;
use super::signals::Signals;

/// What to serve with.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Serves until a signal comes or a part of the coordinator fails.
pub(crate) async fn run(serve: &Serve, json: bool) -> anyhow::Result<()> {
    let mut signals = Signals::watch()?;
    let settings = serve.settings.settings()?;
    logs::start(&settings.logs)?;
    open_files::allow();
    // A task of its own, so that a signal counts while parameters are being loaded too.
    let serving = tokio::spawn(async move {
        let catalog = catalog(&settings.server.params)?;
        let server = Server::start(settings, catalog).await?;
        tracing::info!(address = %server.address, version = env!("CARGO_PKG_VERSION"), "listening");
        announce(server.address, json)?;
        anyhow::Ok(server.run().await?)
    });
    tokio::select! {
        ended = serving => ended?,
        // What anybody was told is on disk, so there is nothing to wait for.
        () = signals.next() => {
            tracing::info!("stopped by a signal");
            Ok(())
        }
    }
}

/// Says where a server listens, which only it knows if it was to choose the port.
pub(crate) fn announce(address: SocketAddr, json: bool) -> anyhow::Result<()> {
    let url = format!("http://{address}");
    answer(json, &json!({ "listening": url }), format!("listening on {url}"))
}

/// The programs of a folder: at least one.
pub(crate) fn catalog(folder: &Path) -> anyhow::Result<Catalog> {
    let none = || {
        let folder = folder.display();
        Exit::NotFound.error(format!("{folder} has no parameters: make some with `coordinator params make`"))
    };
    if !folder.exists() {
        return Err(none());
    }
    let catalog = Catalog::load(folder)?;
    for entry in catalog.entries().filter(|entry| entry.parameters.prover().is_insecure()) {
        tracing::warn!(program = entry.name, "INSECURE parameters: anyone can forge proofs made with them");
    }
    if catalog.entries().next().is_none() { Err(none()) } else { Ok(catalog) }
}
