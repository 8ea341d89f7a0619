//! `./just bench coordinator`: a coordinator of its own process under load. Provers connect to it over real WebSockets;
//! all they upload are real proofs, no two of which are alike. Those that fold are processes of `prover-native`.

// Measuring needs a clock, and the result goes to standard output.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr)]

mod dispatch;
mod folding;
mod idle;
mod light;
mod process;
mod recovery;
mod verify;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use crowdfold_bench::report::{self, Measure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;

use process::{Binaries, Choices, Coordinator, Site};
use work::Programs;

#[derive(Parser)]
#[command(about = "Measures the coordinator under load and writes target/bench/coordinator.json")]
struct Cli {
    /// Measure only a part, and write no file.
    #[arg(long)]
    only: Option<Part>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Connections that are held, and the memory of each.
    Idle,
    /// From asking for a task to its first input.
    Dispatch,
    /// Uploads verified a second.
    Verify,
    /// From `kill -9` to the first task of the next run.
    Recovery,
    /// What two provers do over what one does.
    Scaling,
    /// Processor time of the coordinator over that of provers.
    Share,
}

/// What all parts measure with.
struct World {
    binaries: Binaries,
    programs: Programs,
    folder: PathBuf,
    runtime: Runtime,
}

impl World {
    /// A coordinator without any job, whose data folder has this name.
    fn coordinator(&self, name: &str, choices: Choices) -> anyhow::Result<Coordinator> {
        Site::new(&self.binaries, &self.folder, name, choices)?.start()
    }
}

/// Lets this process have as many connections as the system allows.
fn allow_files() -> anyhow::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).context("more files can't be open")
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let root = report::root()?;
    let folder = root.join("target/bench/coordinator");
    allow_files()?;
    eprintln!("building the coordinator and the prover");
    let binaries = Binaries::build(root)?;
    eprintln!("making parameters");
    let programs = Programs::generate(&folder)?;
    let world = World { binaries, programs, folder, runtime: Runtime::new()? };
    type Measured = fn(&World) -> anyhow::Result<Vec<Measure>>;
    let parts: [(Part, Measured); 6] = [
        (Part::Idle, idle::measure),
        (Part::Dispatch, dispatch::measure),
        (Part::Verify, verify::measure),
        (Part::Recovery, recovery::measure),
        (Part::Scaling, folding::scaling),
        (Part::Share, folding::share),
    ];
    let mut measures = Vec::new();
    for (_, measure) in parts.into_iter().filter(|(part, _)| cli.only.is_none_or(|only| only == *part)) {
        measures.extend(measure(&world)?);
    }
    report::tell("coordinator", &measures, cli.only.is_some())
}

fn main() -> ExitCode {
    report::exit("coordinator", run(&Cli::parse()))
}
