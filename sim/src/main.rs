//! `cargo run -p crowdfold-sim -- --seeds N [--seed S]`: runs seeds, and says which one failed and how to repeat it.

// A command-line tool speaks on standard output, and says how long things took.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use clap::Parser;
use crowdfold_sim::fleet;
use crowdfold_sim::small::{self, Bug, Fault, Options, Outcomes};

/// Runs the system on a fake clock, once for each seed.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    /// The first seed. Alone it runs that one and prints its log.
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds to run.
    #[arg(long)]
    seeds: Option<u64>,
    /// Kinds of faults to leave out, with commas.
    #[arg(long, value_delimiter = ',')]
    without: Vec<Fault>,
    /// A bug to plant, to see what a checker says of it.
    #[arg(long)]
    bug: Option<Bug>,
    /// Every so many seeds, one is run twice to see that it is the same.
    #[arg(long, default_value_t = 16)]
    twice: u64,
    /// Runs a fleet of so many provers instead.
    #[arg(long)]
    fleet: Option<u64>,
    /// Simulated seconds of the fleet.
    #[arg(long, default_value_t = 3600)]
    seconds: u64,
    /// Native cores of the fleet's coordinator; 0 for as many as its size asks for.
    #[arg(long, default_value_t = 0)]
    cores: usize,
    /// Goes on after a failure and counts them.
    #[arg(long)]
    keep_going: bool,
}

impl Cli {
    fn options(&self) -> Options {
        Options { without: self.without.iter().copied().collect(), bug: self.bug, ..Options::default() }
    }
}

#[derive(Default)]
struct Sums {
    seeds: u64,
    failed: u64,
    ends: [u64; 3],
    events: u64,
    crashes: u64,
    prefixes: u64,
    returned: u64,
    restored: u64,
    resubmitted: u64,
    replaced: u64,
    after_calm: u64,
    steps: (u64, u64),
}

impl Sums {
    fn add(&mut self, outcomes: &Outcomes) {
        self.seeds += 1;
        self.failed += u64::from(outcomes.broken.is_some());
        self.ends.iter_mut().zip(outcomes.ends).for_each(|(sum, more)| *sum += more);
        self.events += outcomes.events;
        self.crashes += outcomes.crashes;
        self.prefixes += outcomes.prefixes;
        self.returned += outcomes.returned;
        self.restored += outcomes.restored;
        self.resubmitted += outcomes.resubmitted;
        self.replaced += outcomes.replaced;
        self.after_calm = self.after_calm.max(outcomes.after_calm);
        self.steps = (self.steps.0 + outcomes.steps.0, self.steps.1 + outcomes.steps.1);
    }
}

fn report(cli: &Cli, seed: u64, what: &str) {
    let mut options = String::new();
    if !cli.without.is_empty() {
        let names: Vec<_> = cli.without.iter().map(ToString::to_string).collect();
        options = format!(" --without {}", names.join(","));
    }
    if let Some(bug) = cli.bug {
        options += &format!(" --bug {bug}");
    }
    println!("seed {seed}: {what}");
    println!("    repeat it with: cargo run -p crowdfold-sim -- --seed {seed}{options}");
    if !cli.keep_going {
        let log = small::run(seed, &Options { keeps_log: true, ..cli.options() }).log;
        println!("    the end of its log:");
        log.iter().skip(log.len().saturating_sub(30)).for_each(|line| println!("{line}"));
    }
}

fn run(cli: &Cli, first: u64, count: u64) -> u64 {
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let sums = Mutex::new(Sums::default());
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                return;
            }
            let seed = first + at;
            let twice = cli.twice > 0 && seed.is_multiple_of(cli.twice);
            let outcomes = small::run(seed, &Options { twice, ..cli.options() });
            let mut sums = sums.lock().unwrap_or_else(PoisonError::into_inner);
            sums.add(&outcomes);
            if let Some(what) = &outcomes.broken {
                stop.store(!cli.keep_going, Ordering::Relaxed);
                report(cli, seed, what);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let started = Instant::now();
    std::thread::scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(work)));
    let sums = sums.into_inner().unwrap_or_else(PoisonError::into_inner);
    let Sums { seeds, failed, ends: [done, cancelled, expired], events, crashes, prefixes, .. } = sums;
    let Sums { returned, restored, resubmitted, replaced, after_calm, steps: (counted, folded), .. } = sums;
    println!("{seeds} seeds in {:.1} s, {failed} failed", started.elapsed().as_secs_f64());
    println!("jobs: {done} done, {cancelled} cancelled, {expired} expired; {events} events, {crashes} crashes");
    println!("steps: {folded} folded, {counted} count; {prefixes} proofs of a part of their segment");
    println!("proofs: {returned} that a new page had, {restored} that only the disk had after a crash");
    println!("jobs submitted again: {resubmitted}; connections replaced: {replaced}");
    println!("the last job ended at most {} s after the last fault", after_calm / 1_000);
    failed
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(provers) = cli.fleet {
        let seed = cli.seed.unwrap_or(1);
        let started = Instant::now();
        let report = fleet::run(fleet::Options { seed, cores: cli.cores, ..fleet::Options::new(provers, cli.seconds) });
        println!("{provers} provers for {} s, in {:.1} s", cli.seconds, started.elapsed().as_secs_f64());
        println!("{report:#?}");
        return ExitCode::SUCCESS;
    }
    if let (Some(seed), None) = (cli.seed, cli.seeds) {
        let outcomes = small::run(seed, &Options { keeps_log: true, ..cli.options() });
        outcomes.log.iter().for_each(|line| println!("{line}"));
        return if outcomes.broken.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let failed = run(&cli, cli.seed.unwrap_or(0), cli.seeds.unwrap_or(100));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
