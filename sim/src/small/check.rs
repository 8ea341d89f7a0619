//! What must hold, and the first thing that did not.

use std::collections::{BTreeMap, BTreeSet};

use crowdfold_sched::{BadEvent, Effect, Event, JobEnd, JobId, ProofId, ProverId, Range, Scheduler, Verdict};

use super::disk::Disk;
use super::plan::Order;
use crate::model::{Modelled, Truth};

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    /// The first thing that did not hold.
    pub(crate) broken: Option<String>,
    /// Jobs that their client was told are accepted.
    pub(crate) accepted: BTreeSet<JobId>,
    /// Proofs that a prover was told count, and their steps.
    pub(crate) promised: BTreeMap<ProofId, (ProverId, u64)>,
    /// Proofs that were really verified, in any run.
    pub(crate) verified: BTreeSet<ProofId>,
    /// Every credit is given for bytes that were seen: who is in them and how many steps.
    pub(crate) seen: BTreeMap<ProofId, (ProverId, Range)>,
    pub(crate) counted: BTreeMap<JobId, Vec<(Range, ProofId)>>,
    pub(crate) prefixes: u64,
    pub(crate) crashes: u64,
    pub(crate) events: u64,
}

impl Checker {
    pub(crate) fn ensure(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.broken.is_none() {
            self.broken = Some(what());
        }
    }

    /// After every event of the scheduler.
    pub(crate) fn after_step(&mut self, scheduler: &Scheduler, event: Event, effects: &[Effect]) {
        self.events += 1;
        if let Err(what) = scheduler.audit() {
            self.ensure(false, || format!("the scheduler's audit after {event:?}: {what}"));
        }
        for effect in effects {
            match effect {
                // Races between the ends of tasks and what is said of them are nobody's fault.
                Effect::Ignored(BadEvent::UnknownTask(_) | BadEvent::UnknownJob(_) | BadEvent::UnknownProof(_)) => {}
                Effect::Ignored(bad) => self.ensure(false, || format!("{event:?} was ignored: {bad}")),
                _ => {}
            }
        }
    }

    /// A verdict is written down.
    pub(crate) fn judged(&mut self, proof: ProofId, prover: ProverId, job: JobId, range: Range, verdict: Verdict) {
        if matches!(verdict, Verdict::Counted | Verdict::Compensated | Verdict::Spare) {
            let verified = self.verified.contains(&proof);
            self.ensure(verified, || format!("{verdict:?} for {proof:?}, which was not verified"));
            let seen = self.seen.get(&proof).copied();
            self.ensure(seen == Some((prover, range)), || {
                format!("{proof:?} of {seen:?} credited to {prover} {range:?}")
            });
        }
        if verdict == Verdict::Counted {
            let counted = self.counted.entry(job).or_default();
            let twice = counted.iter().find(|(other, by)| other.overlaps(range) && *by != proof).copied();
            if !counted.contains(&(range, proof)) {
                counted.push((range, proof));
            }
            self.ensure(twice.is_none(), || format!("job {job}: {range:?} counts, and so does {twice:?}"));
        }
    }

    /// What is on disk when a run begins, or at the end.
    pub(crate) fn durable(&mut self, disk: &Disk) {
        // What was written just before a crash was not looked at yet.
        for (&proof, judged) in &disk.judged {
            self.judged(proof, judged.prover, judged.job, judged.range, judged.verdict);
        }
        let lost = self.accepted.iter().find(|job| !disk.jobs.contains_key(job)).copied();
        self.ensure(lost.is_none(), || format!("job {lost:?} was accepted and is lost"));
        for (proof, (prover, steps)) in self.promised.clone() {
            let credits = disk.ledger.iter().filter(|entry| **entry == (proof, prover, steps)).count();
            self.ensure(credits == 1, || {
                format!("{proof:?} was promised {steps} steps, the ledger has it {credits} times")
            });
        }
        let mut credited = BTreeSet::new();
        for (proof, ..) in &disk.ledger {
            self.ensure(credited.insert(*proof), || format!("{proof:?} was credited twice"));
        }
        let contradiction = disk.contradictions.first();
        self.ensure(contradiction.is_none(), || format!("two verdicts on {contradiction:?}"));
        for (job, counted) in self.counted.clone() {
            for (range, proof) in counted {
                let durable = disk.judged.get(&proof).is_some_and(|judged| judged.verdict == Verdict::Counted);
                let covered = disk.parts(job).any(|part| part.contains(range));
                let told = self.promised.contains_key(&proof);
                self.ensure(!told || durable && covered, || format!("job {job}: {range:?} was counted and is lost"));
            }
        }
    }

    /// A job ended.
    pub(crate) fn ended(&mut self, disk: &Disk, order: &Order, end: JobEnd) {
        let id = order.id;
        self.ensure(end != JobEnd::Failed, || format!("job {id} failed"));
        self.ensure(end != JobEnd::Cancelled || order.cancelled_at.is_some(), || format!("job {id} was not cancelled"));
        if end != JobEnd::Done {
            return;
        }
        let root = Range::new(crowdfold_sched::StepIndex(0), crowdfold_sched::StepIndex(order.spec.steps));
        let root = root.and_then(|range| Some((range, Modelled::decode(disk.proof_of(id, range)?.1)?)));
        let proven = root.as_ref().is_some_and(|(range, proof)| proof.proves(&order.truth, *range));
        self.ensure(proven, || format!("job {id} is done without a valid root proof"));
        let Some((_, proof)) = root else { return };
        // The receipts in the root are those who were credited.
        let mut counted: Vec<_> = self.counted.get(&id).cloned().unwrap_or_default();
        counted.retain(|(_, proof)| disk.judged.get(proof).is_some_and(|judged| judged.verdict == Verdict::Counted));
        counted.sort();
        let steps: Vec<u64> = counted.iter().map(|(range, _)| range.steps()).collect();
        let receipts: Vec<u64> = proof.parts.iter().map(|(_, steps)| *steps).collect();
        self.ensure(steps == receipts, || format!("job {id}: credited are {steps:?}, receipts {receipts:?}"));
    }

    /// A prover got a segment or inputs.
    pub(crate) fn handed(&mut self, truth: &Truth, first: u64, inputs: &[&[u8]]) {
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        let right = truth
            .inputs
            .get(first..)
            .is_some_and(|rest| rest.len() >= inputs.len() && rest.iter().zip(inputs).all(|(own, sent)| own == sent));
        self.ensure(right, || format!("inputs from step {first} on are not those of the segment"));
    }
}
