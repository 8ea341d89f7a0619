//! Keys, accounts, transactions and batches of a rollup, by hand (`docs/guide/rollup.md`).

// A command-line tool speaks on standard output.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod commands;

use clap::{Parser, Subcommand};
use commands::{accounts, batch, genesis, key, transaction, workload};
use std::process::ExitCode;

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Make and show keys.
    #[command(subcommand)]
    Key(key::Task),
    /// Make a store of the accounts that a rollup starts with.
    Genesis(genesis::Options),
    /// Show an account with its path to the root.
    Account(accounts::Account),
    /// Show the state of a store.
    State(accounts::State),
    /// Read and hash all of a store.
    Check(accounts::Check),
    /// Make, show and verify transactions.
    #[command(subcommand)]
    Tx(transaction::Task),
    /// Make, show and check batches.
    #[command(subcommand)]
    Batch(batch::Task),
    /// Make accounts and transactions from a seed, for tests and measurements.
    Workload(workload::Options),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Key(task) => key::run(&task),
        Task::Genesis(options) => genesis::run(&options),
        Task::Account(options) => accounts::account(&options),
        Task::State(options) => accounts::state(&options),
        Task::Check(options) => accounts::check(&options),
        Task::Tx(task) => transaction::run(&task),
        Task::Batch(task) => batch::run(&task),
        Task::Workload(options) => workload::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crowdfold-rollup: {error:#}");
            ExitCode::FAILURE
        }
    }
}
