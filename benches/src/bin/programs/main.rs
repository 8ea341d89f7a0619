//! `./just bench programs`: sizes of the rollup's circuit, and times of proving natively and in Chromium, of execution, of
//! making witnesses and of checking signatures.

// Measuring needs a clock, and the result goes to standard output.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr)]

mod browser;
mod execution;
mod profile;
mod proving;
mod setup;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use crowdfold_bench::report;

use setup::Setup;

#[derive(Parser)]
#[command(about = "Measures the programs and writes target/bench/programs.json")]
struct Cli {
    /// Measure only a part, and write no file.
    #[arg(long)]
    part: Option<Part>,
    /// Also show where the rows and the time of a native step go.
    #[arg(long)]
    profile: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Sizes, and native proving.
    Native,
    /// Execution, witnesses and signatures.
    Execution,
    /// Proving in Chromium.
    Browser,
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let root = report::root()?;
    let wants = |part| cli.part.is_none_or(|only| only == part);
    // What may be missing is asked for before minutes are spent.
    let browser = if wants(Part::Browser) { Some(browser::prepare(root)?) } else { None };
    eprintln!("making parameters");
    let setup = Setup::generate()?;
    let mut measures = Vec::new();
    if wants(Part::Native) {
        measures.extend(proving::measure(&setup)?);
    }
    if cli.profile {
        profile::print(&setup)?;
    }
    if let Some(browser) = browser {
        measures.extend(browser::measure(&browser, &setup)?);
    }
    if wants(Part::Execution) {
        measures.extend(execution::measure()?);
    }
    measures.extend(execution::gap(&measures));
    report::tell("programs", &measures, cli.part.is_some())
}

fn main() -> ExitCode {
    report::exit("programs", run(&Cli::parse()))
}
