//! Tasks of the repository that need more than a shell line. `./just` calls them.

// A command-line tool speaks on standard output, and says how long things took.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods)]

mod chain;
mod demo;
mod fixture;
mod jobs;
mod npm;
mod parameters;
mod rustc;
mod srs;
mod vectors;
mod wasm;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the WASM packages of wasm-pack.toml.
    Wasm(wasm::Options),
    /// Make powers of tau for development, or check a file of real ones.
    #[command(subcommand)]
    Srs(srs::Task),
    /// Send signed payments to a coordinator, have native provers fold them, and show where the time goes.
    Demo(demo::Options),
    /// Make a folder of segments to prove, some of them proved here.
    ProveFixture(fixture::Make),
    /// Verify and merge all proofs of such a folder.
    CheckFixture(fixture::Check),
    /// Write keys, signatures and Poseidon hashes from a seed, for npm packages to check.
    Vectors(vectors::Options),
}

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace's root");
    let outcome = match Cli::parse().task {
        Task::Wasm(options) => wasm::run(root, &options),
        Task::Srs(task) => srs::run(root, &task),
        Task::Demo(options) => demo::run(root, &options),
        Task::ProveFixture(options) => fixture::make(root, &options),
        Task::CheckFixture(options) => fixture::check(root, &options),
        Task::Vectors(options) => vectors::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
