//! The coordinator's command line.

// A command-line tool speaks on standard output.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::fs::File;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::{Parser, Subcommand};
use crowdfold_coordinator::catalog::{Catalog, file_name};
use crowdfold_coordinator::chance;
use crowdfold_coordinator::hub::Clock;
use crowdfold_coordinator::open_files;
use crowdfold_coordinator::server::{Options, Server};
use crowdfold_coordinator::store::{self, NewClient, Role, Storage, Store as _, TokenHash};
use crowdfold_fold::{Address, Parameters, Srs};
use crowdfold_programs::{Builtin, Program as _};
use crowdfold_sched::Config;
use sha2::{Digest as _, Sha256};

/// Takes jobs, hands their steps to provers, verifies and merges what comes back.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Serve clients and provers until a signal comes.
    Serve(Serve),
    /// Add a client while the coordinator does not run, and print its token. It is shown this once.
    AddClient(AddClient),
    /// Make the parameters of a program from powers of tau.
    MakeParams(MakeParams),
}

#[derive(Debug, clap::Args)]
struct Serve {
    /// Folder of jobs, proofs and credit.
    #[arg(long, env = "COORDINATOR_DATA", default_value = "coordinator-data")]
    data: PathBuf,
    /// Folder with the parameters of programs.
    #[arg(long, env = "COORDINATOR_PARAMS", default_value = "params")]
    params: PathBuf,
    /// Address and port.
    #[arg(long, env = "COORDINATOR_LISTEN", default_value = "127.0.0.1:4090")]
    listen: SocketAddr,
    /// Origin by which provers dial, as https://prove.example; may be given several times.
    #[arg(long)]
    origin: Vec<String>,
    /// Chain of its jobs.
    #[arg(long, default_value_t = 31_337)]
    chain_id: u64,
    /// Contract of its jobs: 40 hexadecimal digits after 0x.
    #[arg(long, default_value = "0x0000000000000000000000000000000000000000", value_parser = address)]
    contract: Address,
    /// Seconds that a segment should take its prover.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3600))]
    target: u64,
    /// Steps that a segment has at least, except where fewer are left between others.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    min_steps: u64,
    /// Lines of JSON in place of text for people.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct AddClient {
    /// Folder of jobs, proofs and credit.
    #[arg(long, env = "COORDINATOR_DATA", default_value = "coordinator-data")]
    data: PathBuf,
    /// Its name.
    name: String,
    /// Lets it see and cancel the jobs of all clients.
    #[arg(long)]
    admin: bool,
    /// Its share of the provers' work.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    weight: u32,
}

#[derive(Debug, clap::Args)]
struct MakeParams {
    /// The program, as rollup/1.
    program: String,
    /// File with powers of tau.
    #[arg(long)]
    srs: PathBuf,
    /// How many of them to read, a power of two.
    #[arg(long, default_value_t = 1 << 16)]
    powers: usize,
    /// Folder for the result.
    #[arg(long, default_value = "params")]
    out: PathBuf,
}

fn address(text: &str) -> Result<Address, String> {
    let expected = || format!("expected 0x and 40 hexadecimal digits, got `{text}`");
    let mut bytes = [0; 20];
    hex::decode_to_slice(text.strip_prefix("0x").ok_or_else(expected)?, &mut bytes).map_err(|_| expected())?;
    Ok(Address(bytes))
}

async fn serve(serve: Serve) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if serve.json {
        logs.json().init();
    } else {
        logs.init();
    }
    open_files::allow();
    let catalog = Catalog::load(&serve.params)?;
    ensure!(
        catalog.entries().next().is_some(),
        "{} has no parameters: make some with `coordinator make-params`",
        serve.params.display()
    );
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let scheduler = Config {
        target_ms: serve.target * 1000,
        min_steps: serve.min_steps,
        native_merges: cores,
        ..Config::default()
    };
    let settlement = (serve.chain_id, serve.contract);
    let Serve { data, listen, origin: origins, .. } = serve;
    let server = Server::start(Options { data, listen, origins, settlement, scheduler }, catalog).await?;
    tracing::info!(address = %server.address, "listening");
    println!("listening on http://{}", server.address);
    tokio::select! {
        ended = server.run() => Ok(ended?),
        // What anybody was told is on disk, so there is nothing to wait for.
        signal = tokio::signal::ctrl_c() => signal.context("signals can't be watched"),
    }
}

async fn add_client(add: AddClient) -> anyhow::Result<()> {
    let token: [u8; 32] = chance::bytes()?;
    let storage = Storage::open(&add.data, store::Options::default()).await?;
    let role = if add.admin { Role::Admin } else { Role::Client };
    let (created, hash) = (Clock::new().now(), TokenHash(Sha256::digest(token).into()));
    let client = NewClient { name: add.name, role, token: hash, weight: add.weight, created };
    storage.store.add_client(&client).await?;
    storage.close().await;
    println!("{}", hex::encode(token));
    Ok(())
}

fn make_params(make: &MakeParams) -> anyhow::Result<()> {
    let expected = || format!("there is no program `{}`: expected {}", make.program, Builtin::forms());
    let program = Builtin::from_name(&make.program).with_context(expected)?;
    let file = File::open(&make.srs).with_context(|| make.srs.display().to_string())?;
    let srs = Srs::read_ptau(BufReader::new(file), make.powers, None, &mut chance::generator()?)?;
    let parameters = Parameters::generate(program, &srs)?;
    std::fs::create_dir_all(&make.out).with_context(|| make.out.display().to_string())?;
    let path = make.out.join(file_name(&make.program));
    std::fs::write(&path, parameters.to_bytes()).with_context(|| path.display().to_string())?;
    if parameters.prover().is_insecure() {
        eprintln!("!! INSECURE: these powers of tau are for development. Anyone can forge proofs with them.");
    }
    println!("{}: {}", path.display(), crowdfold_wire::ParametersId::from(parameters.prover().digest()));
    Ok(())
}

fn main() -> ExitCode {
    let run = || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        match Cli::parse().task {
            Task::Serve(task) => runtime.block_on(serve(task)),
            Task::AddClient(task) => runtime.block_on(add_client(task)),
            Task::MakeParams(task) => make_params(&task),
        }
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("coordinator: {error:#}");
            ExitCode::FAILURE
        }
    }
}
