//! The coordinator's command line.

// A command-line tool speaks on standard error, and reads the clock.
#![allow(clippy::print_stderr, clippy::disallowed_methods)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
