//! The fleet mode: the real scheduler with up to 100,000 provers that come and go, and everything else as costs.
//!
//! Provers and the network are modelled at the level of events: a segment, a check-in, an upload. What the coordinator
//! computes is charged to a pool of native cores, by what it was measured to take.

mod cores;
mod tabs;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};

use crowdfold_sched::{
    Bytes, ClientId, Config, Effect, Event, JobEnd, JobId, JobSpec, Millis, ProofId, Scheduler, TaskId, Verdict,
};

use crate::random::Random;
use cores::Work;
use tabs::{Tab, Upload};

/// A fleet.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Provers at any time.
    pub provers: u64,
    /// Simulated seconds that are measured, after [`Self::warm_up`].
    pub seconds: u64,
    /// Simulated seconds before them.
    pub warm_up: u64,
    /// Mean stay in seconds.
    pub mean_stay: f64,
    /// Milliseconds between check-ins at least; a line that is slower than that sets its own pace.
    pub checkpoint_ms: u64,
    /// Milliseconds that a segment should take.
    pub target_ms: u64,
    /// Native cores; 0 for as many as there is work for.
    pub cores: usize,
    /// The seed.
    pub seed: u64,
}

impl Options {
    /// A fleet with a mean stay of 10 minutes and the usual intervals.
    pub fn new(provers: u64, seconds: u64) -> Self {
        Self {
            provers,
            seconds,
            warm_up: 300,
            mean_stay: 600.0,
            checkpoint_ms: 15_000,
            target_ms: 120_000,
            cores: 0,
            seed: 1,
        }
    }
}

/// What was measured. Steps without a verdict at the end are left out, and the time that they took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Share of the provers' time in which they folded steps that count.
    pub utilisation: f64,
    /// Share of the steps folded that count for nothing.
    pub wasted: f64,
    /// Steps that count.
    pub counted: u64,
    /// Steps that were lost with provers that left without a word.
    pub lost_left: u64,
    /// Steps that were lost in tasks that were cancelled, and in proofs that came too late or twice.
    pub lost_cancelled: u64,
    /// Share of the provers' time without a task.
    pub idle: f64,
    /// Provers that left.
    pub left: u64,
    /// Proofs that count, and check-ins that a longer one superseded.
    pub proofs: u64,
    /// Of these the latter.
    pub superseded: u64,
    /// Jobs that were done.
    pub jobs: u64,
    /// Native cores that are busy on average.
    pub cores_busy: f64,
    /// Native cores of the pool.
    pub cores: usize,
    /// Most verifications and merges that waited for a core at once.
    pub queue: usize,
    /// Proofs to the coordinator, megabits a second.
    pub upload_mbits: f64,
    /// Inputs to the provers, megabits a second.
    pub input_mbits: f64,
    /// Steps that count for each second of a native core: what the fleet multiplies it by is this times what such a core
    /// takes to prove one itself.
    pub steps_per_core_second: f64,
    /// Events of the scheduler.
    pub events: u64,
    /// Those that it ignored: what was said of tasks that had ended.
    pub ignored: u64,
}

/// Rows of a step as measured of the rollup, bytes of a proof, 65.5 for each, and of a step's input.
const ROWS: u64 = 63_442;
const PROOF_BYTES: f64 = 65.5 * 63_442.0;
const INPUT_BYTES: f64 = 10_764.0;
/// Jobs at any time.
const JOBS: usize = 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// A prover is at the end of a step, and makes a proof if it is time for one.
    Step(u64, u64),
    Uploaded(u64),
    Leave(u64),
    Core(u64),
    Tick,
}

struct Fleet {
    options: Options,
    scheduler: Scheduler,
    now: u64,
    queue: BinaryHeap<Reverse<(u64, u64, What)>>,
    count: u64,
    tabs: HashMap<u64, Tab>,
    random: Random,
    next_tab: u64,
    next_job: u64,
    uploads: HashMap<u64, Upload>,
    /// Of proofs without a final verdict, the steps folded while it was measured, and the milliseconds for each.
    undecided: HashMap<ProofId, (u64, f64)>,
    to_verify: VecDeque<ProofId>,
    to_merge: VecDeque<(TaskId, f64)>,
    running: BTreeMap<u64, Work>,
    works: u64,
    cores: usize,
    inbox: VecDeque<Event>,
    effects: Vec<Effect>,
    measured_from: u64,
    present_ms: u64,
    idle_ms: u64,
    useful_ms: f64,
    wasted_ms: f64,
    folded_ms: f64,
    busy_ms: f64,
    bytes: f64,
    steps: u64,
    report: Report,
}

/// Milliseconds of a duration that is not negative.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn ms(duration: f64) -> u64 {
    duration as u64
}

/// A count as a number to calculate with.
#[allow(clippy::cast_precision_loss)]
fn float(count: u64) -> f64 {
    count as f64
}

/// Runs a fleet.
pub fn run(options: Options) -> Report {
    let mut fleet = Fleet::new(options);
    fleet.run();
    fleet.finish()
}

impl Fleet {
    fn new(options: Options) -> Self {
        let cores = if options.cores == 0 { cores::needed(&options) } else { options.cores };
        let target_ms = options.target_ms;
        let config = Config { target_ms, min_steps: 1, native_merges: cores, unverified: 1 << 18, ..Config::default() };
        Self {
            options,
            scheduler: Scheduler::new(config),
            now: 0,
            queue: BinaryHeap::new(),
            count: 0,
            tabs: HashMap::new(),
            random: Random::new(options.seed, 3),
            next_tab: 0,
            next_job: 0,
            uploads: HashMap::new(),
            undecided: HashMap::new(),
            to_verify: VecDeque::new(),
            to_merge: VecDeque::new(),
            running: BTreeMap::new(),
            works: 0,
            cores,
            inbox: VecDeque::new(),
            effects: Vec::new(),
            measured_from: options.warm_up * 1_000,
            present_ms: 0,
            idle_ms: 0,
            useful_ms: 0.0,
            wasted_ms: 0.0,
            folded_ms: 0.0,
            busy_ms: 0.0,
            bytes: 0.0,
            steps: 0,
            report: Report::default(),
        }
    }

    fn at(&mut self, at: u64, what: What) {
        self.count += 1;
        self.queue.push(Reverse((at, self.count, what)));
    }

    /// A name that was not given before.
    fn name(&mut self) -> u64 {
        self.works += 1;
        self.works
    }

    fn is_measured(&self) -> bool {
        self.now >= self.measured_from
    }

    fn run(&mut self) {
        for _ in 0..JOBS {
            self.add_job();
        }
        for _ in 0..self.options.provers {
            self.join(true);
        }
        self.at(0, What::Tick);
        let end = self.measured_from + self.options.seconds * 1_000;
        while let Some(Reverse((at, _, what))) = self.queue.pop() {
            if at > end {
                break;
            }
            self.now = at;
            match what {
                What::Tick => {
                    self.inbox.push_back(Event::Tick);
                    self.at(self.now + 1_000, What::Tick);
                }
                What::Step(tab, turn) => self.step(tab, turn),
                What::Uploaded(upload) => self.uploaded(upload),
                What::Leave(tab) => self.leave(tab),
                What::Core(work) => self.worked(work),
            }
            self.settle();
        }
        self.now = end;
        let there: Vec<u64> = self.tabs.keys().copied().collect();
        there.into_iter().for_each(|tab| self.account_presence(tab));
    }

    /// Jobs of different lengths, so that their tails come one after the other and there is always other work.
    fn add_job(&mut self) {
        self.next_job += 1;
        let spec = JobSpec {
            client: ClientId(self.next_job % 4),
            weight: 1,
            bounty: 1000,
            steps: self.options.provers * self.random.between(20, 200) + 100,
            rows: ROWS,
            deadline: Millis(u64::MAX),
            memory: Bytes(1 << 30),
            height: self.next_job,
        };
        self.inbox.push_back(Event::JobAdded { job: JobId(self.next_job), spec });
    }

    fn settle(&mut self) {
        while let Some(event) = self.inbox.pop_front() {
            self.report.events += 1;
            let mut effects = std::mem::take(&mut self.effects);
            self.scheduler.step_into(Millis(self.now), event, &mut effects);
            for effect in effects.drain(..) {
                self.act(effect);
            }
            self.effects = effects;
        }
        self.employ();
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Assign { task, prover, job, range, .. } => self.assigned(prover.0, task, job, range),
            Effect::Cancel { task, prover: Some(prover), .. } => self.cancelled(task, prover.0),
            Effect::MergeNatively { task, left, right, .. } => {
                self.to_merge.push_back((task, cores::merge_ms(left, right)))
            }
            Effect::Verify { proof, .. } => self.to_verify.push_back(proof),
            Effect::Verdict { proof, verdict, .. } => self.judged(proof, verdict),
            Effect::JobEnded { end, .. } => {
                self.report.jobs += u64::from(end == JobEnd::Done);
                self.add_job();
            }
            Effect::Ignored(_) => self.report.ignored += 1,
            _ => {}
        }
    }

    /// A proof has its verdict; of one that was superseded the longer one will tell.
    fn judged(&mut self, proof: ProofId, verdict: Verdict) {
        if matches!(verdict, Verdict::Spare { .. }) {
            return;
        }
        let Some((steps, each)) = self.undecided.remove(&proof) else { return };
        match verdict {
            Verdict::Counted => {
                self.report.counted += steps;
                self.useful_ms += float(steps) * each;
                self.report.proofs += 1;
            }
            Verdict::Superseded => {
                self.report.proofs += 1;
                self.report.superseded += 1;
            }
            // Some of its steps may count by a shorter one.
            Verdict::Compensated { steps: paid } => self.lose(steps.min(paid), each, false),
            _ => self.lose(steps, each, false),
        }
    }

    /// Steps count for nothing.
    fn lose(&mut self, steps: u64, each: f64, left: bool) {
        let lost = if left { &mut self.report.lost_left } else { &mut self.report.lost_cancelled };
        *lost += steps;
        self.wasted_ms += float(steps) * each;
    }

    fn finish(self) -> Report {
        let seconds = float(self.options.seconds);
        let Report { counted, lost_left, lost_cancelled, .. } = self.report;
        let lost = lost_left + lost_cancelled;
        let open_ms = (self.folded_ms - self.useful_ms - self.wasted_ms).max(0.0);
        let present_ms = float(self.present_ms);
        Report {
            utilisation: self.useful_ms / (present_ms - open_ms).max(1.0),
            wasted: float(lost) / float((counted + lost).max(1)),
            idle: float(self.idle_ms) / present_ms.max(1.0),
            cores_busy: self.busy_ms / seconds / 1000.0,
            cores: self.cores,
            upload_mbits: self.bytes * 8.0 / 1e6 / seconds,
            input_mbits: float(self.steps) * INPUT_BYTES * 8.0 / 1e6 / seconds,
            steps_per_core_second: float(counted) / (self.busy_ms / 1000.0).max(1.0),
            ..self.report
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Options, run};

    #[test]
    fn a_small_fleet_is_well_used() {
        let report = run(Options { warm_up: 60, ..Options::new(50, 600) });
        assert!(report.utilisation > 0.8 && report.utilisation < 1.0, "{report:#?}");
        assert!(report.counted > 10_000 && report.ignored < 10, "{report:#?}");
        assert!(report.wasted > 0.0 && report.wasted < 0.1, "{report:#?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_fleet() {
        let text = || format!("{:?}", run(Options::new(20, 120)));
        assert_eq!(text(), text());
    }

    #[test]
    fn without_cores_nothing_counts_in_time() {
        let plenty = run(Options { warm_up: 60, ..Options::new(200, 300) });
        let scarce = run(Options { warm_up: 60, cores: 1, ..Options::new(200, 300) });
        assert!(scarce.jobs <= plenty.jobs && scarce.queue > plenty.queue, "{scarce:#?}");
    }
}
