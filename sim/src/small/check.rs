//! What must hold, and the first thing that did not.
//!
//! The checkers look where the coordinator can't mislead them: at the proofs as they are made, at the frames as they
//! arrive, and at the disk. `sim/tests/it/planted.rs` has a bug for each of them.

mod rules;

use std::collections::{BTreeMap, BTreeSet};

use crowdfold_sched::{JobEnd, JobId, ProofId, ProverId, Range, StepIndex, Verdict};

use super::disk::Disk;
use super::host::payout;
use super::plan::Order;
use crate::model::{Modelled, Truth};
pub(crate) use rules::Rules;

/// A range proof of a segment, when it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub(crate) prover: ProverId,
    pub(crate) job: JobId,
    pub(crate) range: Range,
    /// Whether it proves these steps, as its prover's.
    pub(crate) is_valid: bool,
    pub(crate) bytes: u64,
}

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    /// The first thing that did not hold.
    pub(crate) broken: Option<String>,
    /// Jobs that their client was told are accepted.
    pub(crate) accepted: BTreeSet<JobId>,
    /// Proofs that a prover was told are credited, and their steps.
    pub(crate) promised: BTreeMap<ProofId, (ProverId, u64)>,
    pub(crate) made: BTreeMap<ProofId, Made>,
    /// Bytes of each upload that its prover was told are safe.
    pub(crate) acknowledged: BTreeMap<(ProverId, ProofId), u64>,
    pub(crate) counted: BTreeMap<JobId, Vec<(Range, ProofId)>>,
    /// When jobs ended.
    pub(crate) ended: BTreeMap<JobId, u64>,
    /// Jobs that end in the step that is being acted on.
    ending: BTreeSet<JobId>,
    pub(crate) rules: Rules,
    pub(crate) prefixes: u64,
    pub(crate) crashes: u64,
    pub(crate) events: u64,
    pub(crate) resubmitted: u64,
    pub(crate) replaced: u64,
    /// Check-ins that only the disk had after a crash.
    pub(crate) restored: u64,
}

impl Checker {
    pub(crate) fn ensure(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.broken.is_none() {
            self.broken = Some(what());
        }
    }

    /// A prover finished a proof of a segment.
    pub(crate) fn made(&mut self, proof: ProofId, prover: ProverId, steps: (u64, u64), bytes: &[u8], orders: &[Order]) {
        let Some(read) = Modelled::decode(bytes).filter(|read| read.parts.len() == 1) else { return };
        let order = orders.iter().find(|order| order.truth.job == read.job);
        let range = Range::new(StepIndex(steps.0), StepIndex(steps.0 + steps.1));
        let Some((order, range)) = order.zip(range) else { return };
        let own = read.parts.iter().all(|(bound, _)| *bound == payout(prover.0));
        let is_valid = own && read.proves(&order.truth, range);
        self.made.insert(proof, Made { prover, job: order.id, range, is_valid, bytes: bytes.len() as u64 });
    }

    /// A verdict is written down, or found after a crash.
    pub(crate) fn judged(&mut self, disk: &Disk, proof: ProofId, prover: ProverId, range: Range, verdict: Verdict) {
        let Some(made) = self.made.get(&proof).copied() else {
            return self.ensure(false, || format!("{verdict:?} for {proof:?}, which nobody made"));
        };
        let job = made.job;
        match verdict {
            Verdict::Counted | Verdict::Compensated { .. } | Verdict::Spare { .. } => {
                self.ensure(made.is_valid, || format!("{verdict:?} for {proof:?}, which is not valid"));
                self.ensure((made.prover, made.range) == (prover, range), || {
                    format!("{proof:?} is {made:?}, and credited to {prover} for {range:?}")
                });
            }
            Verdict::Refused => self.ensure(!made.is_valid, || format!("{proof:?} is valid, and refused")),
            Verdict::Late => {
                let open = disk.is_live(job)
                    && !self.ending.contains(&job)
                    && !disk.parts(job).any(|part| part.overlaps(range));
                self.ensure(!made.is_valid || !open, || format!("{proof:?} is late, and its steps {range:?} are open"));
            }
            Verdict::Superseded => {
                // After a crash nobody may want the longer one any more.
                let longer = self.made.iter().any(|(other, longer)| {
                    let bytes = disk.uploads.get(&(prover, *other)).map_or(0, |bytes| bytes.len() as u64);
                    (longer.prover, longer.job, longer.range.start()) == (prover, job, range.start())
                        && longer.range.end() > range.end()
                        && (bytes == longer.bytes
                            || disk.judged.contains_key(other)
                            || disk.damaged.contains(&(prover, *other)))
                });
                self.ensure(longer, || format!("{proof:?} is superseded by nothing that is there"));
            }
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
            self.judged(disk, proof, judged.prover, judged.range, judged.verdict);
        }
        let lost = self.accepted.iter().find(|job| !disk.jobs.contains_key(job)).copied();
        self.ensure(lost.is_none(), || format!("job {lost:?} was accepted and is lost"));
        self.durable_credits(disk);
        for (job, counted) in self.counted.clone() {
            for (range, proof) in counted {
                let durable = disk.judged.get(&proof).is_some_and(|judged| judged.verdict == Verdict::Counted);
                let covered = disk.parts(job).any(|part| part.contains(range));
                // What was not written before the crash never counted.
                self.ensure(!durable || covered, || format!("job {job}: {range:?} was counted and is lost"));
            }
        }
        for (&(prover, proof), &safe) in &self.acknowledged.clone() {
            let key = (prover, proof);
            let stored = disk.uploads.get(&key).map_or(0, |bytes| bytes.len() as u64);
            let over = disk.judged.contains_key(&proof) || disk.damaged.contains(&key);
            self.ensure(over || stored >= safe, || {
                format!("{proof:?}: {safe} bytes were acknowledged, {stored} are left")
            });
        }
    }

    fn durable_credits(&mut self, disk: &Disk) {
        let mut credited = BTreeSet::new();
        for (proof, ..) in &disk.ledger {
            self.ensure(credited.insert(*proof), || format!("{proof:?} was credited twice"));
        }
        for (proof, promise) in self.promised.clone() {
            let credit = disk.ledger.iter().find(|(credited, ..)| *credited == proof);
            let credit = credit.map(|(_, prover, steps)| (*prover, *steps));
            self.ensure(credit == Some(promise), || {
                format!("{proof:?} was promised {promise:?}, the ledger says {credit:?}")
            });
        }
        let contradiction = disk.contradictions.first();
        self.ensure(contradiction.is_none(), || format!("two verdicts on {contradiction:?}"));
    }

    /// Nobody waits for a second verdict that can't come any more.
    pub(crate) fn spares_decided(&mut self, disk: &Disk) {
        for (proof, judged) in &disk.judged {
            let open = matches!(judged.verdict, Verdict::Spare { owed } if owed > 0) && !disk.is_live(judged.job);
            self.ensure(!open, || format!("the job of {proof:?} ended, and it is still a spare"));
        }
    }

    /// A run began: what was there in full before is before the scheduler again.
    pub(crate) fn resumed(&mut self, disk: &Disk, is_known: impl Fn(ProofId) -> bool) {
        self.spares_decided(disk);
        for (&(prover, proof), &safe) in &self.acknowledged.clone() {
            let Some(made) = self.made.get(&proof).copied() else { continue };
            let open = disk.is_live(made.job) && !disk.judged.contains_key(&proof);
            let there = safe == made.bytes && !disk.damaged.contains(&(prover, proof));
            let lost = open && there && !is_known(proof);
            self.ensure(!lost, || format!("{proof:?} of {made:?} was there in full before the crash and is forgotten"));
        }
    }

    /// A job ended.
    pub(crate) fn ended(&mut self, disk: &Disk, order: &Order, end: JobEnd, now: u64) {
        let id = order.id;
        self.ended.insert(id, now);
        self.ensure(disk.is_live(id), || format!("job {id} ended twice"));
        self.ensure(end != JobEnd::Failed, || format!("job {id} failed"));
        self.ensure(end != JobEnd::Cancelled || order.cancelled_at.is_some(), || format!("job {id} was not cancelled"));
        if end != JobEnd::Done {
            return;
        }
        let root = Range::new(StepIndex(0), StepIndex(order.spec.steps));
        let root = root.and_then(|range| Some((range, Modelled::decode(disk.proof_of(id, range)?.1)?)));
        let proven = root.as_ref().is_some_and(|(range, proof)| proof.proves(&order.truth, *range));
        self.ensure(proven, || format!("job {id} is done without a valid root proof"));
        let Some((_, proof)) = root else { return };
        // The receipts in the root are those who were credited.
        let mut counted: Vec<_> = self.counted.get(&id).cloned().unwrap_or_default();
        counted.retain(|(_, proof)| disk.judged.get(proof).is_some_and(|judged| judged.verdict == Verdict::Counted));
        counted.sort();
        let who = |proof| disk.judged.get(proof).map_or(payout(0), |judged| payout(judged.prover.0));
        let credited: Vec<_> = counted.iter().map(|(range, proof)| (who(proof), range.steps())).collect();
        self.ensure(credited == proof.parts, || {
            format!("job {id}: credited are {credited:?}, receipts {:?}", proof.parts)
        });
    }

    /// A prover got inputs.
    pub(crate) fn handed(&mut self, truth: &Truth, first: u64, inputs: &[&[u8]]) {
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        let right = truth
            .inputs
            .get(first..)
            .is_some_and(|rest| rest.len() >= inputs.len() && rest.iter().zip(inputs).all(|(own, sent)| own == sent));
        self.ensure(right, || format!("inputs from step {first} on are not those of the segment"));
    }

    /// Bytes of a proof are asked for, or acknowledged while more are to come.
    pub(crate) fn asked(&mut self, proof: ProofId, now: u64, grace_ms: u64) {
        let Some(made) = self.made.get(&proof).copied() else { return };
        let over = self.ended.get(&made.job).is_some_and(|ended| ended + grace_ms < now);
        self.ensure(!over, || format!("bytes of {proof:?} are asked for, and {} is long over", made.job));
    }
}
