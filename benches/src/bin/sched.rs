//! `./just bench sched`: events a second through the scheduler with 100,000 provers that hold 1,000,000 segments, on one
//! core; and how well simulated fleets with churn are used.

// Measuring needs a clock, and the result goes to standard output.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr)]

use std::collections::VecDeque;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use crowdfold_bench::report::{self, Measure};
use crowdfold_bench::sample::{median, timed};
use crowdfold_sched::{
    Bytes, ClientId, Config, Effect, Event, JobId, JobSpec, Millis, ProofId, ProverId, ProverSpec, Range, Scheduler,
    Speed, TaskId,
};
use crowdfold_sim::fleet::{self, Options, Report};

/// Provers, and segments that each holds.
const PROVERS: u64 = 100_000;
const HELD: u16 = 10;
/// Jobs, and clients that ordered them.
const JOBS: u64 = 200;
const CLIENTS: u64 = 50;
/// Reports of progress on each segment.
const REPORTS: u64 = 6;
/// Rounds, of which the median counts, and rounds before that don't count.
const ROUNDS: usize = 7;
const WARM_UP: usize = 2;
/// Segments that are finished in a round.
const FINISHED: u64 = 50_000;
/// Every so many segments, a prover leaves and comes back.
const CHURN: u64 = 20;
/// What a segment takes, in milliseconds: so little that a prover is given ten.
const TARGET_MS: u64 = 1_000;
/// Segments that such a fleet finishes in a millisecond.
const FINISHED_MS: f64 = 100.0;

/// A segment as a prover knows it.
#[derive(Clone, Copy)]
struct Segment {
    task: TaskId,
    job: JobId,
    range: Range,
}

/// The scheduler and those around it.
struct Fleet {
    scheduler: Scheduler,
    held: Vec<VecDeque<Segment>>,
    /// Provers that lost a segment, and may ask for another.
    cancelled: Vec<ProverId>,
    /// Merges that the coordinator was asked for.
    merges: VecDeque<TaskId>,
    effects: Vec<Effect>,
    events: u64,
    finished: u64,
    random: u64,
}

impl Fleet {
    fn new() -> Self {
        let config = Config { target_ms: TARGET_MS, native_merges: 1 << 20, unverified: 1 << 20, ..Config::default() };
        Self {
            scheduler: Scheduler::new(config),
            held: (0..PROVERS).map(|_| VecDeque::new()).collect(),
            cancelled: Vec::new(),
            merges: VecDeque::new(),
            effects: Vec::new(),
            events: 0,
            finished: 0,
            random: 1,
        }
    }

    /// Number below `limit` (xorshift).
    fn random(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % limit
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    fn now(&self) -> Millis {
        Millis((self.finished as f64 / FINISHED_MS) as u64)
    }

    fn step(&mut self, event: Event) -> anyhow::Result<()> {
        self.events += 1;
        let now = self.now();
        self.scheduler.step_into(now, event, &mut self.effects);
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Assign { task, prover, job, range, .. } => {
                    self.held[usize::try_from(prover.0)?].push_back(Segment { task, job, range });
                }
                Effect::Cancel { task, prover: Some(prover), .. } => {
                    self.held[usize::try_from(prover.0)?].retain(|segment| segment.task != task);
                    self.cancelled.push(prover);
                }
                Effect::MergeNatively { task, .. } => self.merges.push_back(task),
                Effect::Ignored(bad) => anyhow::bail!("{event:?}: {bad}"),
                _ => {}
            }
        }
        Ok(())
    }

    fn join(&mut self, id: u64) -> anyhow::Result<()> {
        let spec = ProverSpec {
            speed: Speed(50_000 + id),
            memory: Bytes(1 << 31),
            merges: false,
            most_steps: u64::MAX,
            strikes: 0,
        };
        self.step(Event::ProverJoined { prover: ProverId(id), spec })?;
        self.ready(ProverId(id))
    }

    /// A prover asks for as many segments as it has room for.
    fn ready(&mut self, prover: ProverId) -> anyhow::Result<()> {
        let held = u16::try_from(self.held[usize::try_from(prover.0)?].len())?;
        self.step(Event::Ready { prover, segments: HELD.saturating_sub(held), merges: 0 })
    }

    fn fill(&mut self) -> anyhow::Result<()> {
        for id in 0..JOBS {
            let (deadline, memory) = (Millis(u64::MAX), Bytes(1 << 30));
            let client = ClientId(id % CLIENTS);
            let spec =
                JobSpec { client, weight: 1, bounty: 1000, steps: 1 << 30, rows: 5_000, deadline, memory, height: id };
            self.step(Event::JobAdded { job: JobId(id), spec })?;
        }
        (0..PROVERS).try_for_each(|id| self.join(id))
    }

    /// A prover reports progress on its first segment, hands it in and asks for another; what can be merged is.
    fn finish(&mut self) -> anyhow::Result<()> {
        let id = self.random(PROVERS);
        let prover = ProverId(id);
        if self.finished.is_multiple_of(CHURN) {
            self.held[usize::try_from(id)?].clear();
            self.step(Event::ProverLeft { prover })?;
            self.join(id)?;
        }
        let Segment { task, job, range } = *self.held[usize::try_from(id)?].front().context("a prover without work")?;
        for report in 1..=REPORTS {
            self.step(Event::Progress { prover, task, steps: range.steps() * report / REPORTS })?;
        }
        let mut proof = ProofId([0; 32]);
        proof.0[..8].copy_from_slice(&self.finished.to_le_bytes());
        self.held[usize::try_from(id)?].pop_front();
        self.step(Event::ProofReceived { proof, prover, job, range, task: Some(task) })?;
        self.step(Event::Verified { proof })?;
        self.ready(prover)?;
        while let Some(prover) = self.cancelled.pop() {
            self.ready(prover)?;
        }
        while let Some(task) = self.merges.pop_front() {
            self.step(Event::MergeDone { task })?;
        }
        self.finished += 1;
        Ok(())
    }

    /// Events a second.
    #[allow(clippy::cast_precision_loss)]
    fn round(&mut self) -> anyhow::Result<f64> {
        let before = self.events;
        let (result, seconds) = timed(|| (0..FINISHED).try_for_each(|_| self.finish()));
        result?;
        Ok((self.events - before) as f64 / seconds)
    }
}

/// A fleet that is simulated.
struct Simulated {
    provers: u64,
    /// Simulated seconds that are measured.
    seconds: u64,
    /// Names of the measures.
    utilisation: &'static str,
    cores: &'static str,
    leverage: &'static str,
    /// What its utilisation should be at least.
    least: Option<f64>,
}

const FLEETS: [Simulated; 3] = [
    Simulated {
        provers: 10,
        seconds: 36_000,
        utilisation: "sim_utilisation_10",
        cores: "sim_cores_10",
        leverage: "sim_leverage_10",
        least: None,
    },
    Simulated {
        provers: 1_000,
        seconds: 3_600,
        utilisation: "sim_utilisation_1000",
        cores: "sim_cores_1000",
        leverage: "sim_leverage_1000",
        least: Some(0.95),
    },
    Simulated {
        provers: 100_000,
        seconds: 600,
        utilisation: "sim_utilisation_100000",
        cores: "sim_cores_100000",
        leverage: "sim_leverage_100000",
        least: Some(0.90),
    },
];

/// How well a fleet with a mean stay of 10 minutes is used, whose provers all leave without a word; and the share of its
/// steps that count for nothing.
fn simulate(fleet: &Simulated) -> (Vec<Measure>, f64) {
    let Simulated { provers, seconds, .. } = *fleet;
    let (report, took) = timed(|| fleet::run(Options::new(provers, seconds)));
    eprintln!("{provers} provers for {seconds} s, in {took:.0} s: {report:#?}");
    let Report { left, jobs, cores, upload_mbits, .. } = report;
    let what = format!("{provers} provers for {seconds} s: {left} left, {jobs} jobs done; time that counts");
    let used = Measure::new(fleet.utilisation, what, report.utilisation, "");
    let busy = format!("of a pool of {cores} native cores are busy, with {upload_mbits:.0} Mbit/s of proofs");
    let leverage = "steps that count for a second of such a core";
    let measures = vec![
        fleet.least.map_or(used.clone(), |least| used.at_least(least)),
        Measure::new(fleet.cores, busy, report.cores_busy, "cores"),
        Measure::new(fleet.leverage, leverage, report.steps_per_core_second, "steps/s"),
    ];
    (measures, report.wasted)
}

/// Bytes of memory that the process has.
fn resident() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status").context("the memory in use is only known on Linux")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0)
}

#[allow(clippy::cast_precision_loss)]
fn run() -> anyhow::Result<()> {
    eprintln!("{PROVERS} provers get {HELD} segments each");
    let mut fleet = Fleet::new();
    let (filled, seconds) = timed(|| fleet.fill());
    filled?;
    let fill = fleet.events as f64 / seconds;
    eprintln!("rounds of {FINISHED} segments");
    let mut rates = Vec::new();
    for _ in 0..WARM_UP + ROUNDS {
        rates.push(fleet.round()?);
    }
    let (stats, open) = (fleet.scheduler.stats(), fleet.held.iter().map(VecDeque::len).sum::<usize>());
    let wanted = usize::try_from(PROVERS * u64::from(HELD))?;
    ensure!(open >= wanted * 99 / 100, "only {open} segments are open");
    let memory = resident()?;
    let mut measures = vec![
        Measure::new(
            "sched_events_s",
            "events, one core, the fleet's model included",
            median(rates.split_off(WARM_UP)),
            "1/s",
        )
        .at_least(200_000.0),
        Measure::new("sched_fill_events_s", "events while the fleet joins, half of them with 10 segments", fill, "1/s"),
        Measure::new("sched_leases", "leases, among them ended and overdue ones", stats.leases as f64, "leases"),
        Measure::new("sched_memory_mb", "resident memory, the fleet's model included", memory / 1e6, "MB"),
        Measure::new("sched_memory_lease", "resident memory over leases", memory / stats.leases as f64, "bytes"),
    ];
    drop(fleet);
    let mut wasted = 0.0_f64;
    for fleet in &FLEETS {
        let (more, lost) = simulate(fleet);
        measures.extend(more);
        wasted = wasted.max(lost);
    }
    let what = "steps folded that count for nothing, the worst of these fleets";
    measures.push(Measure::new("sim_wasted_work", what, wasted, "").at_most(0.03));
    report::tell("sched", &measures, false)
}

fn main() -> ExitCode {
    report::exit("sched", run())
}
