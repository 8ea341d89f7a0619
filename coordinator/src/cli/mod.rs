//! The command line: what can be asked for, and how it is answered.
//!
//! Results go to standard output, everything else to standard error. An error is one line there, `coordinator: ...`, or
//! with `--json` one object; the exit code says of what kind it is ([`exit::Exit`]).

mod backup;
mod clients;
mod config;
mod exit;
mod files;
mod jobs;
mod logs;
mod mirror;
mod options;
mod output;
mod params;
mod prove;
mod push;
mod remote;
mod screen;
mod serve;
mod signals;
mod verify;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Takes jobs, hands their steps to provers, verifies and merges what comes back.
#[derive(Debug, Parser)]
#[command(version, about, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    task: Task,
    /// Prints JSON in place of text for people, errors too.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Serve clients and provers until a signal comes.
    Serve(serve::Serve),
    /// Hand in jobs at a coordinator, follow them, fetch their proofs.
    #[command(subcommand)]
    Job(jobs::Task),
    /// Prove a job in this process alone, without network or coordinator.
    Prove(prove::Prove),
    /// Verify a proof and say what it proves.
    Verify(verify::Verify),
    /// Make, check and serve the parameters of programs.
    #[command(subcommand)]
    Params(params::Task),
    /// Who may hand in jobs at a coordinator that does not run, or with --url at one that does.
    #[command(subcommand)]
    Client(clients::Task),
    /// Functions to which a coordinator posts tasks.
    #[command(subcommand)]
    Push(push::Task),
    /// The file of settings.
    #[command(subcommand)]
    Config(config::Task),
    /// Copy all that is stored: of a coordinator that does not run, or with --url of one that does.
    Backup(backup::Backup),
    /// Make a data folder of a backup.
    Restore(backup::Restore),
    /// Read all that is stored and see whether it fits together, while the coordinator does not run.
    Check(backup::Check),
    /// Ask a coordinator whether it serves.
    Health(remote::RemoteArgs),
}

/// Runs the command that the process was started with.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.json;
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::tell(&error, json),
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let json = cli.json;
    let done = match cli.task {
        Task::Serve(task) => runtime.block_on(serve::run(&task, json)),
        Task::Job(task) => jobs::run(&task, json),
        Task::Prove(task) => runtime.block_on(prove::run(task, json)),
        Task::Verify(task) => verify::run(&task, json),
        Task::Params(task) => runtime.block_on(params::run(&task, json)),
        Task::Client(task) => runtime.block_on(clients::run(&task, json)),
        Task::Push(task) => push::run(&task, json),
        Task::Config(task) => config::run(&task, json),
        Task::Backup(task) => runtime.block_on(backup::backup(&task, json)),
        Task::Restore(task) => runtime.block_on(backup::restore(&task, json)),
        Task::Check(task) => runtime.block_on(backup::check(&task, json)),
        Task::Health(task) => remote::health(&task, json),
    };
    // A proof that is being verified, or a merge, would hold the process for minutes; what matters is on disk.
    runtime.shutdown_background();
    done
}
