//! Proofs arrive, are verified and get their verdict.

use super::{Scheduler, Timer};
use crate::effect::{BadEvent, CancelReason, Effect, Verdict};
use crate::event::ProverSpec;
use crate::ids::{Bytes, JobId, ProofId, ProverId, Range, Speed, TaskId};
use crate::job::{Holder, Spare};
use crate::lease::Phase;
use crate::limits;

/// A proof that waits for verification, or for a longer one.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) job: JobId,
    pub(super) spare: Spare,
    /// Where its claims start. Most have one; where the layer of its lease changed between check-ins there are more.
    pub(super) claims: Vec<u64>,
    /// Whether its chain goes on, so that it is not verified yet.
    pub(super) parked: bool,
}

impl Scheduler {
    pub(super) fn proof_received(
        &mut self,
        proof: ProofId,
        from: ProverId,
        id: JobId,
        range: Range,
        task: Option<TaskId>,
    ) -> Result<(), BadEvent> {
        let known = self.jobs.get(&id);
        let proofs = known.map(|job| &job.history).or_else(|| self.ended.get(&id).map(|(_, history)| history));
        let proofs = proofs.map(|history| &history.proofs);
        if self.pending_by_proof.contains_key(&proof) || proofs.is_some_and(|proofs| proofs.contains(&proof)) {
            return Err(BadEvent::KnownProof(proof));
        }
        if known.is_some_and(|job| range.hi > job.spec.steps) {
            return Err(BadEvent::BadRange(range));
        }
        let waiting = self.provers.get(&from).map_or(0, |prover| prover.unverified);
        if self.unverified() >= limits::UNVERIFIED || waiting >= limits::UNVERIFIED_PER_PROVER {
            return Err(BadEvent::Full("proofs that wait for verification"));
        }
        if proofs.is_some_and(|proofs| proofs.len() >= limits::PROOFS_PER_JOB) {
            return Err(BadEvent::Full("proofs of a job"));
        }
        let lease =
            task.filter(|&task| self.leases.get(task).is_some_and(|lease| lease.prover == from && lease.job == id));
        let is_known = lease.and_then(|task| self.leases.get(task)).is_some_and(|lease| lease.has(range));
        let handed_in = lease.map_or(0, |task| self.leases.get_mut(task).map_or(0, |lease| lease.hand_in(range)));
        if is_known || handed_in == 0 && !self.is_open(id, range) {
            // Nothing hangs on whether it is valid.
            self.settle(id, Spare { range, proof, prover: from, owed: 0 });
            return Ok(());
        }
        if let Some(job) = self.jobs.get_mut(&id) {
            job.history.proofs.insert(proof);
        } else if let Some((_, history)) = self.ended.get_mut(&id) {
            history.proofs.insert(proof);
        }
        let lease = lease.filter(|_| handed_in > 0);
        let (number, mut claims, owed) = match lease.and_then(|task| self.supersede(task, range)) {
            Some((number, shorter)) => (number, shorter.claims, shorter.spare.owed),
            None => {
                self.pending_count += 1;
                (self.pending_count, Vec::new(), 0)
            }
        };
        claims.extend(self.claim_for_proof(number, id, range, lease));
        let spare = Spare { range, proof, prover: from, owed: owed + handed_in };
        self.pending.insert(number, Pending { job: id, spare, claims, parked: true });
        self.pending_by_proof.insert(proof, number);
        self.parked += 1;
        let goes_on = lease.is_some_and(|task| self.check_in(task, number, range));
        if !goes_on {
            self.unpark(number);
        }
        self.refresh(id);
        Ok(())
    }

    /// Whether a proof with these steps would get another verdict than [`Verdict::Late`] if it is valid: what is not
    /// wanted need not even be uploaded.
    pub fn wants(&self, prover: ProverId, job: JobId, range: Range, task: Option<TaskId>) -> bool {
        let lease = task.and_then(|task| self.leases.get(task));
        let lease = lease.filter(|lease| lease.prover == prover && lease.job == job);
        let is_known = lease.is_some_and(|lease| lease.has(range));
        !is_known && (lease.is_some_and(|lease| lease.owed(range) > 0) || self.is_open(job, range))
    }

    /// Whether all steps of `range` are uncovered.
    fn is_open(&self, id: JobId, range: Range) -> bool {
        self.jobs.get(&id).is_some_and(|job| range.hi <= job.spec.steps && !job.cover_overlaps(range))
    }

    /// Proofs that wait for verification now.
    pub(super) fn unverified(&self) -> usize {
        self.pending.len() - self.parked
    }

    /// A longer proof of the same chain has come: the one before has no use any more, unless only the shorter one can
    /// count. Returns its number, which passes on to the longer one with the claims under it.
    fn supersede(&mut self, task: TaskId, range: Range) -> Option<(u64, Pending)> {
        let (number, id) = self.leases.get(task).and_then(|lease| Some((lease.check_in?, lease.job)))?;
        if self.jobs.contains_key(&id) && !self.is_open(id, range) {
            return None;
        }
        let same = |pending: &Pending| pending.spare.range.lo == range.lo && pending.spare.range.hi < range.hi;
        self.pending.get(&number).filter(|pending| same(pending))?;
        let shorter = self.pending.remove(&number)?;
        let Spare { range, proof, prover, .. } = shorter.spare;
        self.pending_by_proof.remove(&proof);
        if shorter.parked {
            self.parked -= 1;
        } else if let Some(prover) = self.provers.get_mut(&prover) {
            prover.unverified = prover.unverified.saturating_sub(1);
        }
        self.out.push(Effect::Verdict { proof, prover, job: shorter.job, range, verdict: Verdict::Superseded });
        Some((number, shorter))
    }

    /// A proof of a lease has come. Returns whether its chain may go on, so that a longer one is worth waiting for.
    fn check_in(&mut self, task: TaskId, number: u64, range: Range) -> bool {
        let Some(lease) = self.leases.get_mut(task) else { return false };
        let before = lease.check_in.replace(number).filter(|&before| before != number);
        let goes_on = lease.phase != Phase::Ended && lease.lo == range.hi;
        let is_overdue = lease.phase == Phase::Overdue;
        if let Some(before) = before {
            // Another chain of the same lease.
            self.unpark(before);
        }
        if goes_on && is_overdue {
            // Nobody waits for what comes after, and a longer proof would not fit once this one counts.
            self.cancel(task, CancelReason::Deadline);
        }
        goes_on && !is_overdue
    }

    /// No longer proof is worth waiting for.
    pub(super) fn unpark(&mut self, number: u64) {
        if let Some((proof, job, range)) = self.unpark_silently(number) {
            self.out.push(Effect::Verify { proof, job, range });
        }
    }

    /// A proof is not parked any more; returns what it is of if it was.
    fn unpark_silently(&mut self, number: u64) -> Option<(ProofId, JobId, Range)> {
        let pending = self.pending.get_mut(&number).filter(|pending| pending.parked)?;
        pending.parked = false;
        self.parked -= 1;
        let Spare { range, proof, prover, .. } = pending.spare;
        if let Some(prover) = self.provers.get_mut(&prover) {
            prover.unverified += 1;
        }
        Some((proof, pending.job, range))
    }

    /// Whether the lease has a check-in that waits for a longer one.
    pub(super) fn is_parked(&self, task: TaskId) -> bool {
        let check_in = self.leases.get(task).and_then(|lease| lease.check_in);
        check_in.is_some_and(|number| self.pending.get(&number).is_some_and(|pending| pending.parked))
    }

    /// Moves the steps of a proof from its lease, or from the gap that it fits, to the proof, so that nobody else gets
    /// them while it is verified. Returns where the claim starts, if it is a new one.
    fn claim_for_proof(&mut self, number: u64, id: JobId, range: Range, task: Option<TaskId>) -> Option<u64> {
        let holder = Holder::Proof(number);
        let handed_in = task.and_then(|task| self.take_from_lease(task, id, range));
        let job = self.jobs.get_mut(&id)?;
        let unheld = !job.cover_overlaps(range) && job.claims(0, range).next().is_none();
        if unheld {
            // What is neither covered nor claimed is in gaps, or was this lease's.
            job.close_gaps(range);
            job.claim(0, range, holder);
            return Some(range.lo);
        }
        let (layer, part) = handed_in?;
        job.claim_on(layer, part, holder)
    }

    /// Takes the steps of `range` out of a lease; returns them with the layer they were in. What is before them goes to
    /// whoever is next: a chain that handed in this range has left it behind.
    fn take_from_lease(&mut self, task: TaskId, id: JobId, range: Range) -> Option<(usize, Range)> {
        self.folded(task, range.hi);
        let lease = self.leases.get_mut(task).filter(|lease| lease.phase != Phase::Ended)?;
        let (left, layer, from) = (lease.left()?, lease.layer, lease.prover);
        let delivered = lease.full.filter(|_| range.hi == lease.whole.hi).map(|since| self.now.since(since));
        let part = left.intersection(range)?;
        let [before, rest] = left.without(part);
        let job = self.jobs.get_mut(&id)?;
        job.unclaim(left.lo, Holder::Lease(task));
        (lease.lo, lease.hi) = (part.hi, left.hi);
        if let Some(rest) = rest {
            job.claim(layer, rest, Holder::Lease(task));
        } else {
            self.end_lease(task, true);
        }
        if let Some(before) = before.filter(|_| layer == 0) {
            self.vacate(id, before);
        }
        if let Some((prover, took)) = self.provers.get_mut(&from).zip(delivered) {
            prover.delivered(took);
        }
        Some((layer, part))
    }

    /// Takes a proof from those that wait for verification, and its claims; with the steps that nobody in the bottom
    /// layer holds without it.
    fn take_pending(&mut self, proof: ProofId) -> Result<(Pending, Vec<Range>), BadEvent> {
        let unknown = BadEvent::UnknownProof(proof);
        let number = *self.pending_by_proof.get(&proof).ok_or(unknown)?;
        self.pending.get(&number).filter(|pending| !pending.parked).ok_or(unknown)?;
        self.pending_by_proof.remove(&proof);
        let pending = self.pending.remove(&number).ok_or(unknown)?;
        if let Some(prover) = self.provers.get_mut(&pending.spare.prover) {
            prover.unverified = prover.unverified.saturating_sub(1);
        }
        let mut holes = Vec::new();
        if let Some(job) = self.jobs.get_mut(&pending.job) {
            let claims = pending.claims.iter().filter_map(|&start| job.unclaim(start, Holder::Proof(number)));
            holes.extend(claims.filter(|&(layer, _)| layer == 0).map(|(_, range)| range));
        }
        Ok((pending, holes))
    }

    pub(super) fn verified(&mut self, proof: ProofId) -> Result<(), BadEvent> {
        let (Pending { job: id, spare, .. }, holes) = self.take_pending(proof)?;
        self.accepted_from(spare.prover);
        if self.jobs.contains_key(&id) {
            // As a gap the steps that it held belong to nobody, which is what the rule asks about.
            if let Some(job) = self.jobs.get_mut(&id) {
                holes.iter().for_each(|&hole| job.open_gap(hole));
            }
            self.judge(id, spare, false);
            holes.into_iter().for_each(|hole| self.give_back(id, hole));
            self.refresh(id);
        } else {
            self.settle(id, spare);
        }
        self.verification_went_on(spare.prover);
        Ok(())
    }

    pub(super) fn refused(&mut self, proof: ProofId) -> Result<(), BadEvent> {
        let (Pending { job: id, spare, .. }, holes) = self.take_pending(proof)?;
        let Spare { range, prover, .. } = spare;
        self.out.push(Effect::Verdict { proof, prover, job: id, range, verdict: Verdict::Refused });
        holes.into_iter().for_each(|hole| self.vacate(id, hole));
        let until = self.now.after(self.config.avoid_ms);
        if let Some(prover) = self.provers.get_mut(&prover) {
            prover.avoid(id, range, until);
        }
        self.suspend(prover);
        self.verification_went_on(prover);
        Ok(())
    }

    pub(super) fn withdrawn(&mut self, proof: ProofId) -> Result<(), BadEvent> {
        let number = *self.pending_by_proof.get(&proof).ok_or(BadEvent::UnknownProof(proof))?;
        self.unpark_silently(number);
        let (Pending { job: id, spare, .. }, holes) = self.take_pending(proof)?;
        if let Some(job) = self.jobs.get_mut(&id) {
            job.history.proofs.remove(&proof);
        }
        holes.into_iter().for_each(|hole| self.vacate(id, hole));
        self.verification_went_on(spare.prover);
        Ok(())
    }

    /// If steps that a proof held are still open, duplicates get them before others do.
    fn give_back(&mut self, id: JobId, hole: Range) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.is_gap(hole) {
            job.close_gaps(hole);
            self.vacate(id, hole);
        }
    }

    /// A bad proof: no work for a while, and what the prover has goes to others.
    pub(super) fn suspend(&mut self, id: ProverId) {
        let now = self.now;
        if !self.provers.contains_key(&id) {
            // Its proof was checked in before a crash, and it did not come back since.
            let nobody =
                ProverSpec { speed: Speed(0), memory: Bytes(0), merges: false, most_steps: u64::MAX, strikes: 0 };
            if self.prover_joined(id, nobody).is_err() {
                return;
            }
            if let Some(prover) = self.provers.get_mut(&id) {
                prover.connected = false;
            }
        }
        let Some(prover) = self.provers.get_mut(&id) else { return };
        let doubled = self.config.suspension_ms.saturating_mul(1 << prover.strikes.min(32));
        prover.strikes = prover.strikes.saturating_add(1);
        prover.accepted = 0;
        prover.offended = now;
        let until = now.after(doubled.min(limits::SUSPENSION_MS)).max(prover.suspended_until);
        self.timers.remove(&(prover.suspended_until, Timer::Prover(id)));
        prover.suspended_until = until;
        self.timers.insert((until, Timer::Prover(id)));
        let (leases, merging) = (prover.leases.clone(), prover.merging.clone());
        self.out.push(Effect::Suspend { prover: id, until });
        for task in leases {
            self.out.push(Effect::Cancel { task, prover: Some(id), reason: CancelReason::Suspended });
            self.end_lease(task, false);
        }
        for task in merging {
            self.out.push(Effect::Cancel { task, prover: Some(id), reason: CancelReason::Suspended });
            self.merge_lost(task);
        }
        let rights = self.provers.get(&id).map(|prover| prover.rights.clone()).unwrap_or_default();
        for task in rights {
            self.forget_right(task);
        }
        self.update_waiting(id);
        self.may_forget(id);
    }
}
