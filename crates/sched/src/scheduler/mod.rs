//! The state machine: its state, its one entrance, and the timers.

mod audit;
mod cover;
mod jobs;
mod leases;
mod matching;
mod merges;
mod proofs;
mod provers;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::config::Config;
use crate::effect::{BadEvent, Effect};
use crate::event::Event;
use crate::fair::Fair;
use crate::ids::{JobId, Millis, ProofId, ProverId, Range, TaskId};
use crate::job::{History, Job};
use crate::lease::Leases;
use crate::limits;
use crate::prover::Prover;
use merges::Merge;
use proofs::Pending;

/// What may have to be done at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// A deadline of a lease, or the time to forget it.
    Lease(TaskId),
    /// The deadline of a merge that a prover has.
    Merge(TaskId),
    /// A job's deadline.
    Job(JobId),
    /// The end of a suspension.
    Prover(ProverId),
    /// The time to forget the proofs of a job that ended.
    Ended(JobId),
}

/// How much the scheduler has in its hands, and what it has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Jobs that did not end.
    pub jobs: usize,
    /// Provers that are known, connected or not.
    pub provers: usize,
    /// Provers that wait for work.
    pub waiting: usize,
    /// Leases, those among them that ended and are remembered for compensation.
    pub leases: usize,
    /// Merges that were not made yet.
    pub merges: usize,
    /// Proofs that wait for verification.
    pub unverified: usize,
    /// Check-ins that wait for a longer proof of the same chain.
    pub parked: usize,
    /// Clients that are remembered.
    pub clients: usize,
    /// Timers that are set.
    pub timers: usize,
    /// Events so far.
    pub events: u64,
    /// Events that were ignored.
    pub ignored: u64,
    /// Events whose time was before that of one before; they count as of the same time.
    pub time_reversals: u64,
}

/// The scheduler. See the [crate's page](crate) for what it does.
#[derive(Debug)]
pub struct Scheduler {
    config: Config,
    now: Millis,
    jobs: HashMap<JobId, Job>,
    /// What is known of jobs that ended, and till when: nothing is to be paid for twice.
    ended: BTreeMap<JobId, (Millis, History)>,
    /// Number of jobs so far: the next one's age.
    ages: u64,
    fair: Fair,
    provers: HashMap<ProverId, Prover>,
    leases: Leases,
    merges: HashMap<TaskId, Merge>,
    /// Merges that nobody does yet, in the order they came up in.
    merge_queue: BTreeSet<(u64, TaskId)>,
    merge_count: u64,
    native: usize,
    pending: BTreeMap<u64, Pending>,
    pending_by_proof: HashMap<ProofId, u64>,
    pending_count: u64,
    /// Those of them that wait for a longer one.
    parked: usize,
    timers: BTreeSet<(Millis, Timer)>,
    /// Provers that wait for a segment, by memory, so that small jobs go to small ones.
    waiting: BTreeSet<(u64, ProverId)>,
    /// Sum of their speeds.
    waiting_speed: u64,
    /// Where the last tick stopped looking for work for them.
    cursor: (u64, ProverId),
    waiting_merge: BTreeSet<(u64, ProverId)>,
    /// Provers that get nothing until verification has come up.
    throttled: BTreeSet<ProverId>,
    /// Absent provers without obligations, by when they left.
    absent: BTreeSet<(Millis, ProverId)>,
    /// Jobs with nothing to hand out, by when their last lease is expected to end.
    tails: BTreeSet<(Millis, JobId)>,
    /// Jobs that have something to hand out again while provers wait.
    fresh: BTreeSet<JobId>,
    /// Provers that ask for more and have less than enough since the last event.
    freed: BTreeSet<ProverId>,
    /// Steps whose lease ended: spares may fit there.
    vacated: Vec<(JobId, Range)>,
    counted: Stats,
    out: Vec<Effect>,
}

impl Scheduler {
    /// A scheduler that knows nothing yet. After a crash the coordinator adds its jobs again, then the ranges that were
    /// verified, then whatever happens.
    pub fn new(config: Config) -> Self {
        Self {
            leases: Leases::new(config.epoch),
            config,
            now: Millis(0),
            jobs: HashMap::new(),
            ended: BTreeMap::new(),
            ages: 0,
            fair: Fair::default(),
            provers: HashMap::new(),
            merges: HashMap::new(),
            merge_queue: BTreeSet::new(),
            merge_count: 0,
            native: 0,
            pending: BTreeMap::new(),
            pending_by_proof: HashMap::new(),
            pending_count: 0,
            parked: 0,
            timers: BTreeSet::new(),
            waiting: BTreeSet::new(),
            waiting_speed: 0,
            cursor: (0, ProverId(0)),
            waiting_merge: BTreeSet::new(),
            throttled: BTreeSet::new(),
            absent: BTreeSet::new(),
            tails: BTreeSet::new(),
            fresh: BTreeSet::new(),
            freed: BTreeSet::new(),
            vacated: Vec::new(),
            counted: Stats::default(),
            out: Vec::new(),
        }
    }

    /// Takes note of what happened and says what to do about it. The same events give the same effects.
    pub fn step(&mut self, now: Millis, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.step_into(now, event, &mut effects);
        effects
    }

    /// [`Scheduler::step`] that appends to what the caller has.
    pub fn step_into(&mut self, now: Millis, event: Event, effects: &mut Vec<Effect>) {
        std::mem::swap(&mut self.out, effects);
        self.counted.events += 1;
        self.counted.time_reversals += u64::from(now < self.now);
        self.now = self.now.max(now);
        self.ring();
        if let Err(bad) = self.apply(event) {
            self.counted.ignored += 1;
            self.out.push(Effect::Ignored(bad));
        }
        self.retry_spares();
        self.serve_freed();
        self.wake();
        std::mem::swap(&mut self.out, effects);
    }

    /// When the next deadline is: by then at the latest the scheduler wants a [`Event::Tick`].
    pub fn next_deadline(&self) -> Option<Millis> {
        self.timers.first().map(|&(at, _)| at)
    }

    /// How much it has in its hands.
    pub fn stats(&self) -> Stats {
        Stats {
            jobs: self.jobs.len(),
            provers: self.provers.len(),
            waiting: self.waiting.len(),
            leases: self.leases.len(),
            merges: self.merges.len(),
            unverified: self.unverified(),
            parked: self.parked,
            clients: self.fair.clients(),
            timers: self.timers.len(),
            ..self.counted
        }
    }

    fn apply(&mut self, event: Event) -> Result<(), BadEvent> {
        match event {
            Event::JobAdded { job, spec } => self.job_added(job, spec),
            Event::RangeRestored { job, range, proof, prover, standing } => {
                self.range_restored(job, range, proof, prover, standing)
            }
            Event::JobCancelled { job } => self.job_cancelled(job),
            Event::ProverJoined { prover, spec } => self.prover_joined(prover, spec),
            Event::ProverLeft { prover } => self.prover_left(prover),
            Event::Ready { prover, segments, merges } => self.ready(prover, segments, merges),
            Event::Progress { prover, task, steps } => self.progress(prover, task, steps),
            Event::Released { prover, task, why } => self.released(prover, task, why),
            Event::ProofReceived { proof, prover, job, range, task } => {
                self.proof_received(proof, prover, job, range, task)
            }
            Event::Verified { proof } => self.verified(proof),
            Event::Refused { proof } => self.refused(proof),
            Event::Withdrawn { proof } => self.withdrawn(proof),
            Event::MergeDone { task } => self.merge_done(task),
            Event::MergeFailed { task, prover, bad_proof } => self.merge_failed(task, prover, bad_proof),
            Event::Tick => {
                self.sweep();
                Ok(())
            }
        }
    }

    /// Acts on the deadlines that have passed.
    fn ring(&mut self) {
        for _ in 0..limits::TIMERS_PER_STEP {
            let Some(&(at, timer)) = self.timers.first().filter(|&&(at, _)| at <= self.now) else { return };
            self.timers.remove(&(at, timer));
            match timer {
                Timer::Lease(task) => self.lease_timer(task),
                Timer::Merge(task) => self.merge_timer(task),
                Timer::Job(job) => self.job_expired(job),
                Timer::Prover(prover) => self.suspension_over(prover),
                Timer::Ended(job) => {
                    self.ended.remove(&job);
                }
            }
        }
    }
}
