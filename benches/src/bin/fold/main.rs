//! `./just bench fold`: sizes of the circuits, and times of steps, merges and verification natively and in Chromium.

// Measuring needs a clock, and the result goes to standard output.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr)]

mod browser;
mod native;
mod setup;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use crowdfold_bench::{profile, report};
use crowdfold_fold::{Address, Context, Fr, Job};

use setup::Setup;

/// Steps of the profile.
const PROFILED: u64 = 10;

#[derive(Parser)]
#[command(about = "Measures folding against nova-snark and writes target/bench/fold.json")]
struct Cli {
    /// Measure only a part, and write no file.
    #[arg(long)]
    part: Option<Part>,
    /// Also show where the time of a native step goes.
    #[arg(long)]
    profile: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Native,
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
        measures.extend(native::measure(&setup)?);
    }
    if cli.profile {
        let job = Job { chain_id: 1, contract: Address([1; 20]), job_id: [2; 32] };
        let context = Context { job, prover: Address([3; 20]) };
        let inputs: Vec<Fr> = (0..PROFILED).map(Fr::from).collect();
        profile::print(setup.step.prover(), context, &[Fr::from(3)], &inputs)?;
    }
    if let Some(browser) = browser {
        measures.extend(browser::measure(&browser, &setup)?);
    }
    report::tell("fold", &measures, cli.part.is_some())
}

fn main() -> ExitCode {
    report::exit("fold", run(&Cli::parse()))
}
