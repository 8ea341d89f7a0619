//! A prover for servers: it dials a coordinator, folds what it is given, and is paid by what its proofs say.
//!
//! The prover itself is [`crowdfold_prover::Prover`]; this is its clock, its connection, its disk and its screen.

// A command-line tool speaks on standard output, and reads the clock.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods)]

mod cli;
mod disk;
mod host;
mod line;
mod screen;

use std::process::ExitCode;

use clap::Parser;

/// The coordinator does not want this prover: what to do is on standard error.
const REFUSED: u8 = 3;

fn main() -> ExitCode {
    match cli::Cli::parse().options().and_then(host::run) {
        Ok(host::End::Stopped) => ExitCode::SUCCESS,
        Ok(host::End::Refused(why)) => {
            eprintln!("prover-native: the coordinator refuses this prover: {why}");
            ExitCode::from(REFUSED)
        }
        Err(error) => {
            eprintln!("prover-native: {error:#}");
            ExitCode::FAILURE
        }
    }
}
