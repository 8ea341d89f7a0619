//! Proofs arrive, are verified and get their verdict.

use super::{Scheduler, Timer};
use crate::effect::{BadEvent, CancelReason, Effect, Verdict};
use crate::ids::{JobId, ProofId, ProverId, Range, TaskId};
use crate::job::{Holder, Spare};
use crate::lease::Phase;
use crate::limits;

/// A proof that waits for verification.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub(super) job: JobId,
    pub(super) spare: Spare,
    /// Where its claim starts, if it has one.
    pub(super) claim: Option<u64>,
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
        let proofs = known.map(|job| &job.proofs).or_else(|| self.ended.get(&id).map(|(_, proofs)| proofs));
        if self.pending_by_proof.contains_key(&proof) || proofs.is_some_and(|proofs| proofs.contains(&proof)) {
            return Err(BadEvent::KnownProof(proof));
        }
        if known.is_some_and(|job| range.hi > job.spec.steps) {
            return Err(BadEvent::BadRange(range));
        }
        let waiting = self.provers.get(&from).map_or(0, |prover| prover.unverified);
        if self.pending.len() >= limits::UNVERIFIED || waiting >= limits::UNVERIFIED_PER_PROVER {
            return Err(BadEvent::Full("proofs that wait for verification"));
        }
        if proofs.is_some_and(|proofs| proofs.len() >= limits::PROOFS_PER_JOB) {
            return Err(BadEvent::Full("proofs of a job"));
        }
        let lease =
            task.filter(|&task| self.leases.get(task).is_some_and(|lease| lease.prover == from && lease.job == id));
        let entitled = lease.is_some_and(|task| self.leases.get_mut(task).is_some_and(|lease| lease.hand_in(range)));
        let wanted = self.jobs.get(&id).is_some_and(|job| !job.cover_overlaps(range));
        if !entitled && !wanted {
            // Nothing hangs on whether it is valid.
            self.settle(id, Spare { range, proof, prover: from, entitled });
            return Ok(());
        }
        if let Some(job) = self.jobs.get_mut(&id) {
            job.proofs.insert(proof);
        } else if let Some((_, proofs)) = self.ended.get_mut(&id) {
            proofs.insert(proof);
        }
        let number = self.pending_count;
        self.pending_count += 1;
        let claim = self.claim_for_proof(number, id, range, lease.filter(|_| entitled));
        self.pending.insert(number, Pending { job: id, spare: Spare { range, proof, prover: from, entitled }, claim });
        self.pending_by_proof.insert(proof, number);
        if let Some(prover) = self.provers.get_mut(&from) {
            prover.unverified += 1;
        }
        self.out.push(Effect::Verify { proof, job: id, range });
        self.refresh(id);
        Ok(())
    }

    /// Moves the steps of a proof from its lease, or from the gap that it fits, to the proof, so that nobody else gets
    /// them while it is verified. Returns where the claim starts.
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
        job.claim(layer, part, holder);
        Some(part.lo)
    }

    /// Takes the steps of `range` out of a lease; returns them with the layer they were in. What is before them goes to
    /// whoever is next: a chain that handed in this range has left it behind.
    fn take_from_lease(&mut self, task: TaskId, id: JobId, range: Range) -> Option<(usize, Range)> {
        self.folded(task, range.hi);
        let lease = self.leases.get_mut(task).filter(|lease| lease.phase != Phase::Ended)?;
        let (left, layer) = (lease.left()?, lease.layer);
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
        Some((layer, part))
    }

    /// Takes a proof from those that wait, and its claim; with the steps that nobody in the bottom layer holds without
    /// it.
    fn take_pending(&mut self, proof: ProofId) -> Result<(Pending, Option<Range>), BadEvent> {
        let number = self.pending_by_proof.remove(&proof).ok_or(BadEvent::UnknownProof(proof))?;
        let pending = self.pending.remove(&number).ok_or(BadEvent::UnknownProof(proof))?;
        if let Some(prover) = self.provers.get_mut(&pending.spare.prover) {
            prover.unverified = prover.unverified.saturating_sub(1);
        }
        let job = self.jobs.get_mut(&pending.job);
        let claim = job.zip(pending.claim).and_then(|(job, start)| job.unclaim(start, Holder::Proof(number)));
        let hole = claim.filter(|&(layer, _)| layer == 0).map(|(_, range)| range);
        Ok((pending, hole))
    }

    pub(super) fn verified(&mut self, proof: ProofId) -> Result<(), BadEvent> {
        let (Pending { job: id, spare, .. }, hole) = self.take_pending(proof)?;
        self.accepted_from(spare.prover);
        if self.jobs.contains_key(&id) {
            // As a gap the steps that it held belong to nobody, which is what the rule asks about.
            if let (Some(job), Some(hole)) = (self.jobs.get_mut(&id), hole) {
                job.open_gap(hole);
            }
            self.judge(id, spare, false);
            self.give_back(id, hole);
            self.refresh(id);
        } else {
            self.settle(id, spare);
        }
        self.verification_went_on(spare.prover);
        Ok(())
    }

    pub(super) fn refused(&mut self, proof: ProofId) -> Result<(), BadEvent> {
        let (Pending { job: id, spare, .. }, hole) = self.take_pending(proof)?;
        let Spare { range, prover, .. } = spare;
        self.out.push(Effect::Verdict { proof, prover, job: id, range, verdict: Verdict::Refused });
        if let Some(hole) = hole {
            self.vacate(id, hole);
        }
        let until = self.now.after(self.config.avoid_ms);
        if let Some(prover) = self.provers.get_mut(&prover) {
            prover.avoid(id, range, until);
        }
        self.suspend(prover);
        self.verification_went_on(prover);
        Ok(())
    }

    /// If steps that a proof held are still open, duplicates get them before others do.
    fn give_back(&mut self, id: JobId, hole: Option<Range>) {
        let Some((job, hole)) = self.jobs.get_mut(&id).zip(hole) else { return };
        if job.is_gap(hole) {
            job.close_gaps(hole);
            self.vacate(id, hole);
        }
    }

    /// A bad proof: no work for a while, and what the prover has goes to others.
    pub(super) fn suspend(&mut self, id: ProverId) {
        let now = self.now;
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
    }
}
