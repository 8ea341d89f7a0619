//! Rules for the scheduler that can be seen from outside, whatever its own audit says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crowdfold_sched::{
    BadEvent, CancelReason, Config, Effect, Event, JobId, ProofId, ProverId, Range, Scheduler, TaskId,
};

use super::Checker;
use crate::small::disk::Disk;
use crate::small::plan::Order;

/// Failures of a prover that are remembered: fewer than the scheduler does, so that none is held against it that it may
/// have forgotten.
const FAILURES: usize = 8;
/// Milliseconds by which a deadline may be missed: the scheduler's clock ticks once a second.
const TICK_MS: u64 = 1_000;

/// What the scheduler has to remember, followed from outside.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    config: Config,
    /// Till when a prover gets nothing at least.
    suspended: BTreeMap<ProverId, u64>,
    connected: BTreeSet<ProverId>,
    /// What provers failed on while they were there, and till when they don't get it again.
    failed: BTreeMap<ProverId, VecDeque<(JobId, Range, u64)>>,
    leases: BTreeMap<TaskId, Lease>,
    /// Jobs that ended in this run.
    over: BTreeSet<JobId>,
    makers: BTreeMap<ProofId, (ProverId, JobId, Range)>,
    /// Proofs that came while their prover was there: of others the scheduler need not know who they are.
    present: BTreeSet<ProofId>,
    /// Proofs that wait for verification.
    unverified: BTreeSet<(ProverId, ProofId)>,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    prover: ProverId,
    job: JobId,
    range: Range,
    hard: u64,
}

impl Rules {
    /// For a run of the coordinator, which knows nothing of the one before.
    pub(crate) fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// A prover says that it failed on these steps.
    pub(crate) fn failed(&mut self, now: u64, prover: ProverId, job: JobId, range: Range) {
        if !self.connected.contains(&prover) {
            return;
        }
        let failed = self.failed.entry(prover).or_default();
        failed.push_back((job, range, now + self.config.avoid_ms));
        if failed.len() > FAILURES {
            failed.pop_front();
        }
    }

    fn is_behind(&self, prover: ProverId) -> bool {
        let own = (prover, ProofId([0; 32]))..=(prover, ProofId([255; 32]));
        self.unverified.len() > self.config.unverified && self.unverified.range(own).next().is_some()
    }

    fn note(&mut self, now: u64, event: Event) {
        match event {
            Event::ProofReceived { proof, prover, job, range, task } => {
                self.makers.insert(proof, (prover, job, range));
                if self.connected.contains(&prover) {
                    self.present.insert(proof);
                }
                if let Some(lease) = task.and_then(|task| self.leases.get_mut(&task)) {
                    // What was handed in is no failure.
                    lease.range =
                        Range::new(range.end().max(lease.range.start()), lease.range.end()).unwrap_or(lease.range);
                }
            }
            Event::Verified { proof } | Event::Refused { proof } => {
                let Some(&(prover, job, range)) = self.makers.get(&proof) else { return };
                let was_there = self.unverified.remove(&(prover, proof));
                let is_known = self.present.contains(&proof) || self.connected.contains(&prover);
                if was_there && is_known && event == (Event::Refused { proof }) {
                    self.suspended.insert(prover, now + self.config.suspension_ms);
                    self.failed(now, prover, job, range);
                }
            }
            Event::Released { task, .. } => _ = self.leases.remove(&task),
            Event::ProverJoined { prover, .. } => _ = self.connected.insert(prover),
            // The scheduler may forget an absent prover, but not that it was suspended.
            Event::ProverLeft { prover } => {
                self.connected.remove(&prover);
                self.failed.remove(&prover);
            }
            _ => {}
        }
    }

    fn note_effect(&mut self, now: u64, event: Event, effect: Effect) {
        match effect {
            Effect::Assign { task, prover, job, range, hard, .. } => {
                self.leases.insert(task, Lease { prover, job, range, hard: hard.0 });
            }
            Effect::Cancel { task, reason, .. } => {
                let lease = self.leases.remove(&task);
                if let Some(lease) = lease.filter(|lease| reason == CancelReason::Deadline && lease.hard <= now) {
                    self.failed(now, lease.prover, lease.job, lease.range);
                }
            }
            Effect::Suspend { prover, until } => {
                let least = self.suspended.entry(prover).or_default();
                *least = until.0.max(*least);
            }
            Effect::Verify { proof, .. } => {
                let new = match event {
                    Event::ProofReceived { proof: new, prover, .. } if new == proof => Some(prover),
                    _ => self.makers.get(&proof).map(|(prover, ..)| *prover),
                };
                self.unverified.extend(new.map(|prover| (prover, proof)));
            }
            // What the event itself is about is for `note`.
            Effect::Verdict { proof, prover, .. } if event != (Event::Refused { proof }) => {
                self.unverified.remove(&(prover, proof));
            }
            Effect::JobEnded { job, .. } => _ = self.over.insert(job),
            _ => {}
        }
    }
}

impl Checker {
    /// After every event of the scheduler, before anything is done about the effects.
    pub(crate) fn after_step(
        &mut self,
        now: u64,
        scheduler: &Scheduler,
        event: Event,
        effects: &[Effect],
        (disk, orders): (&Disk, &[Order]),
    ) {
        self.events += 1;
        if let Err(what) = scheduler.audit() {
            self.ensure(false, || format!("the scheduler's audit after {event:?}: {what}"));
        }
        let behind = |rules: &Rules| {
            let provers: BTreeSet<_> = rules.unverified.iter().map(|(prover, _)| *prover).collect();
            provers.into_iter().filter(|prover| rules.is_behind(*prover)).collect::<BTreeSet<_>>()
        };
        let behind_before = behind(&self.rules);
        let ends = |effect: &Effect| if let Effect::JobEnded { job, .. } = effect { Some(*job) } else { None };
        self.ending = effects.iter().filter_map(ends).collect();
        for effect in effects {
            self.follow(now, event, *effect, disk, orders);
        }
        self.rules.note(now, event);
        let behind = behind(&self.rules);
        for effect in effects {
            if let Effect::Assign { prover, .. } = effect {
                let held_up = behind.contains(prover) && behind_before.contains(prover);
                self.ensure(!held_up, || format!("{prover} gets work, and too much waits for verification"));
            }
        }
        self.stops(now, event, disk, orders);
    }

    /// What is cancelled or expired ends at once.
    fn stops(&mut self, now: u64, event: Event, disk: &Disk, orders: &[Order]) {
        if let Event::JobCancelled { job } = event {
            let stays = disk.is_live(job) && !self.ending.contains(&job);
            self.ensure(!stays, || format!("job {job} should have been cancelled"));
        }
        for order in orders.iter().filter(|order| event == Event::Tick && disk.is_live(order.id)) {
            let due = order.spec.deadline.0.saturating_add(TICK_MS) < now;
            let ends = self.ending.contains(&order.id);
            self.ensure(!due || ends, || format!("job {} should have expired", order.id));
        }
    }

    /// One effect: whether it may be, and what follows from it.
    fn follow(&mut self, now: u64, event: Event, effect: Effect, disk: &Disk, orders: &[Order]) {
        let job = match effect {
            // Races between the ends of tasks and what is said of them are nobody's fault.
            Effect::Ignored(BadEvent::UnknownTask(_) | BadEvent::UnknownJob(_) | BadEvent::UnknownProof(_)) => None,
            Effect::Ignored(bad) => {
                self.ensure(false, || format!("{event:?} was ignored: {bad}"));
                None
            }
            Effect::Assign { prover, job, range, .. } => {
                self.may_have(now, prover, job, Some(range));
                let steps = orders.iter().find(|order| order.id == job).map_or(0, |order| order.spec.steps);
                self.ensure(range.end().0 <= steps, || format!("job {job} has no steps {range:?}"));
                Some(job)
            }
            Effect::AssignMerge { prover, job, .. } => {
                self.may_have(now, prover, job, None);
                Some(job)
            }
            Effect::MergeNatively { job, .. } => Some(job),
            _ => None,
        };
        if let Some(job) = job {
            let is_over = matches!(disk.jobs.get(&job), Some(Some(_))) || self.rules.over.contains(&job);
            self.ensure(!is_over, || format!("job {job} is over, and {effect:?}"));
        }
        self.rules.note_effect(now, event, effect);
    }

    /// Whether a prover may get something.
    fn may_have(&mut self, now: u64, prover: ProverId, job: JobId, range: Option<Range>) {
        let until = self.rules.suspended.get(&prover).copied().unwrap_or(0);
        self.ensure(until <= now, || format!("{prover} is suspended till {until}, and gets {job} {range:?}"));
        let failed = self.rules.failed.get(&prover).into_iter().flatten();
        let failed = failed
            .filter(|(of, steps, till)| *of == job && *till > now && range.is_some_and(|range| range.overlaps(*steps)));
        let failed = failed.copied().next();
        self.ensure(failed.is_none(), || format!("{prover} gets {range:?} of {job}, and failed on {failed:?}"));
    }
}
