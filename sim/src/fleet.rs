//! The fleet mode: the real scheduler with up to 100,000 provers that come and go, and everything else as costs.
//!
//! Provers and the network are modelled at the level of events: a segment, a checkpoint, an upload. What the coordinator
//! computes is charged to a pool of native cores.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};

use crowdfold_sched::{
    Bytes, ClientId, Config, Effect, Event, JobEnd, JobId, JobSpec, Millis, ProofId, ProverId, ProverSpec, Range,
    Scheduler, Speed, StepIndex, TaskId, Verdict,
};

use crate::random::Random;

/// Rows of a step as measured of the rollup, and bytes of a proof: 65.5 for each.
const ROWS: u64 = 63_442;
const PROOF_BYTES: f64 = 65.5 * 63_442.0;
/// Milliseconds of a core: for the batch, for each proof in it, for merging two segments and two merged ranges on two cores.
const VERIFY_BATCH_MS: f64 = 73.0;
const VERIFY_EACH_MS: f64 = 7.0;
const BATCH: usize = 16;
const MERGE_SEGMENTS_MS: f64 = 440.0;
const MERGE_RANGES_MS: f64 = 840.0;
/// Milliseconds to finish a proof after its last step.
const FINISH_MS: u64 = 60;
/// Jobs at any time.
const JOBS: usize = 24;
/// Rows a second of a tab with a thread, the deviation of its logarithm, and its threads.
const ROWS_PER_SECOND: f64 = 16_000.0;
const SPREAD: f64 = 0.5;

/// A fleet.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Provers at any time.
    pub provers: u64,
    /// Simulated seconds that are measured; a tenth more before them is not.
    pub seconds: u64,
    /// Mean stay in seconds.
    pub mean_stay: f64,
    /// Milliseconds between checkpoints at least; a slow line gets more, so that it keeps up.
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
        Self { provers, seconds, mean_stay: 600.0, checkpoint_ms: 8_000, target_ms: 120_000, cores: 0, seed: 1 }
    }
}

/// What was measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Share of the provers' time that they folded steps that count.
    pub utilisation: f64,
    /// Share of the steps folded that count for nothing.
    pub wasted: f64,
    /// Provers without work at the end.
    pub idle: u64,
    /// Steps that count.
    pub counted: u64,
    /// Native cores that are busy on average.
    pub cores_busy: f64,
    /// Native cores of the pool.
    pub cores: usize,
    /// Most proofs that waited for a core at once.
    pub queue: usize,
    /// Upload, megabits a second.
    pub upload_mbits: f64,
    /// Provers that left.
    pub left: u64,
    /// Segments that were proved, with checkpoints.
    pub proofs: u64,
    /// Jobs that were done.
    pub jobs: u64,
    /// Events of the scheduler.
    pub events: u64,
    /// Those that it ignored: what was said of tasks that had ended.
    pub ignored: u64,
    /// Steps that were lost with provers that left, in work that was cancelled, and in proofs that came too late or twice.
    pub lost: [u64; 3],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// A prover finishes a proof of what it has: a checkpoint or its segment.
    Finish(u64, u64),
    Uploaded(u64),
    Leave(u64, u64),
    Core(u64),
    Tick,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    task: TaskId,
    job: JobId,
    range: Range,
}

/// A prover that is there.
#[derive(Debug)]
struct Tab {
    /// Rows a second, and bytes a millisecond upwards.
    speed: f64,
    upload: f64,
    /// Milliseconds between its checkpoints: as the coordinator says to each, so that its line keeps up.
    checkpoint: f64,
    tasks: VecDeque<Segment>,
    /// The first step that is not in a proof, and when it began with it.
    chain: (u64, u64),
    /// Goes up whenever what was planned is void.
    turn: u64,
    /// When its line is free.
    line: u64,
    since: u64,
}

#[derive(Debug)]
enum Work {
    Verify(Vec<ProofId>),
    Merge(TaskId),
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
    uploads: HashMap<u64, Event>,
    steps_of: HashMap<ProofId, (u64, u64)>,
    to_verify: VecDeque<ProofId>,
    to_merge: VecDeque<(TaskId, bool)>,
    running: BTreeMap<u64, Work>,
    works: u64,
    cores: usize,
    inbox: VecDeque<Event>,
    effects: Vec<Effect>,
    measured_from: u64,
    present_ms: u64,
    useful_ms: f64,
    folded: u64,
    counted: u64,
    busy_ms: f64,
    bytes: f64,
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
        // What a pool has to do if the whole fleet is at work: each checkpoint interval a proof of each, and a merge for it.
        let per_second = float(options.provers) * 1000.0 / float(options.checkpoint_ms.min(options.target_ms));
        let each = VERIFY_EACH_MS + VERIFY_BATCH_MS / 16.0 + MERGE_RANGES_MS;
        let needed = usize::try_from(ms(per_second * each / 1000.0 * 1.25)).unwrap_or(usize::MAX) + 2;
        let cores = if options.cores == 0 { needed } else { options.cores };
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
            steps_of: HashMap::new(),
            to_verify: VecDeque::new(),
            to_merge: VecDeque::new(),
            running: BTreeMap::new(),
            works: 0,
            cores,
            inbox: VecDeque::new(),
            effects: Vec::new(),
            measured_from: options.seconds * 100,
            present_ms: 0,
            useful_ms: 0.0,
            folded: 0,
            counted: 0,
            busy_ms: 0.0,
            bytes: 0.0,
            report: Report::default(),
        }
    }

    fn at(&mut self, at: u64, what: What) {
        self.count += 1;
        self.queue.push(Reverse((at, self.count, what)));
    }

    fn run(&mut self) {
        for _ in 0..JOBS {
            self.add_job();
        }
        for _ in 0..self.options.provers {
            self.join(true);
        }
        self.at(0, What::Tick);
        let end = self.options.seconds * 1_100;
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
                What::Finish(tab, turn) => self.finished(tab, turn),
                What::Uploaded(upload) => self.uploaded(upload),
                What::Leave(tab, _) => self.leave(tab),
                What::Core(work) => self.worked(work),
            }
            self.settle();
        }
        self.report.idle = self.tabs.values().filter(|tab| tab.tasks.is_empty()).count() as u64;
        let still: u64 = self.tabs.values().map(|tab| end - tab.since.max(self.measured_from)).sum();
        self.present_ms += still;
    }

    /// Jobs of different lengths, so that their tails come one after the other and there is always other work.
    fn add_job(&mut self) {
        self.next_job += 1;
        let spec = JobSpec {
            client: ClientId(self.next_job % 4),
            weight: 1,
            bounty: 1000,
            steps: self.options.provers * self.random.between(50, 1_000) + 100,
            rows: ROWS,
            deadline: Millis(u64::MAX),
            memory: Bytes(1 << 30),
            height: self.next_job,
        };
        self.inbox.push_back(Event::JobAdded { job: JobId(self.next_job), spec });
    }

    /// Stays have a heavy tail: a Pareto distribution of exponent 1.5, whose mean is three times its least value.
    fn join(&mut self, first: bool) {
        let id = self.next_tab;
        self.next_tab += 1;
        let least = self.options.mean_stay / 3.0;
        let chance = 1.0 - self.random.unit();
        // What is left of the stays of those who are there at a moment: a third of them have less than the least stay.
        let left = match first {
            false => least / chance.powf(1.0 / 1.5),
            true if self.random.chance(333) => least * chance,
            true => least / (chance * chance),
        };
        let threads = float(1 << self.random.between(0, 3));
        let speed = ROWS_PER_SECOND * threads * (SPREAD * self.random.normal()).exp();
        let upload = 125.0 * 20_f64.powf(self.random.unit());
        let said = speed * (0.3 * self.random.normal()).exp();
        let (now, leaves) = (self.now, self.now + ms(left * 1000.0).max(1));
        // So many to a segment that the line keeps up, and a little longer than that, so that its end is not a crumb.
        let target = float(self.options.target_ms);
        let interval = float(self.options.checkpoint_ms).max(1.15 * PROOF_BYTES / upload);
        let checkpoint = 1.1 * target / (target / interval).floor().max(1.0);
        let tab =
            Tab { speed, upload, checkpoint, tasks: VecDeque::new(), chain: (0, now), turn: 0, line: now, since: now };
        self.tabs.insert(id, tab);
        self.at(leaves, What::Leave(id, 0));
        let spec = ProverSpec { speed: Speed(ms(said)), memory: Bytes(1 << 32), merges: false };
        self.inbox.push_back(Event::ProverJoined { prover: ProverId(id), spec });
        self.inbox.push_back(Event::Ready { prover: ProverId(id), segments: 2, merges: 0 });
    }

    fn is_measured(&self) -> bool {
        self.now >= self.measured_from
    }

    /// The page is closed without a word: what was not uploaded is lost, and somebody else comes.
    fn leave(&mut self, id: u64) {
        if let Some(tab) = self.tabs.remove(&id) {
            if self.is_measured() {
                self.present_ms += self.now - tab.since.max(self.measured_from);
                self.report.left += 1;
                if let Some(segment) = tab.tasks.front() {
                    let took = float(self.now.saturating_sub(tab.chain.1));
                    let steps = ms(took * tab.speed / 1000.0 / float(ROWS));
                    let steps = steps.min(segment.range.end().0.saturating_sub(tab.chain.0));
                    self.folded += steps;
                    self.report.lost[0] += steps;
                }
            }
            self.inbox.push_back(Event::ProverLeft { prover: ProverId(id) });
        }
        self.join(false);
    }

    /// What was under way when its prover left is lost.
    fn uploaded(&mut self, upload: u64) {
        let Some(event) = self.uploads.remove(&upload) else { return };
        if let Event::ProofReceived { prover, proof, .. } = event {
            if self.tabs.contains_key(&prover.0) {
                self.inbox.push_back(event);
            } else {
                self.report.lost[0] += self.steps_of.remove(&proof).map_or(0, |(steps, _)| steps);
            }
        }
    }

    /// Plans what a prover does next with its first task.
    fn begin(&mut self, id: u64) {
        let now = self.now;
        let Some(tab) = self.tabs.get_mut(&id) else { return };
        tab.turn += 1;
        let Some(segment) = tab.tasks.front() else { return };
        let start = tab.chain.0.max(segment.range.start().0);
        tab.chain = (start, now);
        let each = float(ROWS) * 1000.0 / tab.speed;
        let until = float(segment.range.end().0 - start).min((tab.checkpoint / each).ceil().max(1.0));
        let at = now + ms(until * each).max(1) + FINISH_MS;
        let turn = tab.turn;
        self.at(at, What::Finish(id, turn));
    }

    /// A proof is finished: it goes up the line while the next steps are folded.
    fn finished(&mut self, id: u64, turn: u64) {
        let now = self.now;
        let Some(tab) = self.tabs.get_mut(&id).filter(|tab| tab.turn == turn) else { return };
        let Some(&Segment { task, job, range }) = tab.tasks.front() else { return };
        let first = range.start().0;
        let each = float(ROWS) * 1000.0 / tab.speed;
        let steps = (range.end().0 - tab.chain.0).min(ms((tab.checkpoint / each).ceil().max(1.0)));
        let (from, to) = (tab.chain.0, tab.chain.0 + steps);
        tab.chain.0 = to;
        tab.line = tab.line.max(now) + ms(PROOF_BYTES / tab.upload);
        let line = tab.line;
        let is_last = to == range.end().0;
        if is_last {
            tab.tasks.pop_front();
            tab.chain.0 = 0;
        }
        let useful = float(steps) * each;
        let prover = ProverId(id);
        self.works += 1;
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&self.works.to_le_bytes());
        let proof = ProofId(hash);
        let part = Range::new(StepIndex(from), StepIndex(to));
        if self.is_measured() {
            self.folded += steps;
            self.bytes += PROOF_BYTES;
            self.steps_of.insert(proof, (steps, ms(useful)));
        }
        if let Some(range) = part {
            self.uploads.insert(self.works, Event::ProofReceived { proof, prover, job, range, task: Some(task) });
            self.at(line, What::Uploaded(self.works));
            self.inbox.push_back(Event::Progress { prover, task, steps: to - first });
        }
        self.begin(id);
        if is_last {
            let held = self.tabs.get(&id).map_or(0, |tab| tab.tasks.len());
            let segments = u16::try_from(2_usize.saturating_sub(held)).unwrap_or(0);
            self.inbox.push_back(Event::Ready { prover, segments, merges: 0 });
        }
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
            Effect::Assign { task, prover, job, range, .. } => {
                let Some(tab) = self.tabs.get_mut(&prover.0) else { return };
                tab.tasks.push_back(Segment { task, job, range });
                if tab.tasks.len() == 1 {
                    tab.chain.0 = 0;
                    self.begin(prover.0);
                }
            }
            Effect::Cancel { task, prover: Some(prover), .. } => self.cancel(task, prover.0),
            Effect::MergeNatively { task, left, right, .. } => {
                self.to_merge.push_back((task, left.steps() + right.steps() > 64));
            }
            Effect::Verify { proof, .. } => self.to_verify.push_back(proof),
            Effect::Verdict { proof, verdict, .. } if verdict != Verdict::Spare => {
                let steps = self.steps_of.remove(&proof);
                if let (Verdict::Counted, Some((steps, useful))) = (verdict, steps) {
                    self.counted += steps;
                    self.useful_ms += float(useful);
                    self.report.proofs += 1;
                } else if let Some((steps, _)) = steps {
                    self.report.lost[2] += steps;
                }
            }
            Effect::JobEnded { end, .. } => {
                self.report.jobs += u64::from(end == JobEnd::Done);
                self.add_job();
            }
            Effect::Ignored(_) => self.report.ignored += 1,
            _ => {}
        }
    }

    /// What was folded of the task since its last proof is lost.
    fn cancel(&mut self, task: TaskId, id: u64) {
        let (now, measured) = (self.now, self.is_measured());
        let Some(tab) = self.tabs.get_mut(&id) else { return };
        let Some(at) = tab.tasks.iter().position(|segment| segment.task == task) else { return };
        let Some(segment) = tab.tasks.remove(at) else { return };
        if at == 0 {
            let steps = ms(float(now.saturating_sub(tab.chain.1)) * tab.speed / 1000.0 / float(ROWS));
            if measured {
                let steps = steps.min(segment.range.end().0.saturating_sub(tab.chain.0));
                self.folded += steps;
                self.report.lost[1] += steps;
            }
            tab.chain.0 = 0;
            self.begin(id);
        }
        let held = self.tabs.get(&id).map_or(0, |tab| tab.tasks.len());
        let segments = u16::try_from(2_usize.saturating_sub(held)).unwrap_or(0);
        self.inbox.push_back(Event::Ready { prover: ProverId(id), segments, merges: 0 });
    }

    fn employ(&mut self) {
        self.report.queue = self.report.queue.max(self.to_verify.len());
        while self.running.len() < self.cores {
            let (work, took) = if self.to_verify.is_empty() {
                let Some((task, ranges)) = self.to_merge.pop_front() else { return };
                (Work::Merge(task), if ranges { MERGE_RANGES_MS } else { MERGE_SEGMENTS_MS })
            } else {
                let batch: Vec<_> = self.to_verify.drain(..self.to_verify.len().min(BATCH)).collect();
                let took = VERIFY_BATCH_MS + VERIFY_EACH_MS * float(batch.len() as u64);
                (Work::Verify(batch), took)
            };
            if self.is_measured() {
                self.busy_ms += took;
            }
            self.works += 1;
            self.running.insert(self.works, work);
            self.at(self.now + ms(took), What::Core(self.works));
        }
    }

    fn worked(&mut self, work: u64) {
        match self.running.remove(&work) {
            Some(Work::Verify(batch)) => {
                self.inbox.extend(batch.into_iter().map(|proof| Event::Verified { proof }));
            }
            Some(Work::Merge(task)) => self.inbox.push_back(Event::MergeDone { task }),
            None => {}
        }
    }

    fn finish(self) -> Report {
        let seconds = float(self.options.seconds);
        // Proofs on their way at the end count for neither.
        let open: u64 = self.steps_of.values().map(|(steps, _)| *steps).sum();
        let decided = self.folded - open.min(self.folded);
        Report {
            utilisation: self.useful_ms / float(self.present_ms.max(1)),
            counted: self.counted,
            wasted: 1.0 - float(self.counted) / float(decided.max(1)),
            cores_busy: self.busy_ms / seconds / 1000.0,
            cores: self.cores,
            upload_mbits: self.bytes * 8.0 / 1e6 / seconds,
            ..self.report
        }
    }
}
