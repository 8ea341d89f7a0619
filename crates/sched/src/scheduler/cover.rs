//! The covering rule: what becomes of a verified range, and of the steps of a lease that ended.

use super::Scheduler;
use crate::effect::{CancelReason, Effect, JobEnd, Verdict};
use crate::ids::{JobId, ProofId, Range};
use crate::job::{Holder, LAYERS, Spare};
use crate::lease::Phase;
use crate::limits;

impl Scheduler {
    /// Decides about a verified range: cover, spare or neither. One that `was_spare` is not told again that it is one.
    pub(super) fn judge(&mut self, id: JobId, spare: Spare, was_spare: bool) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.cover_overlaps(spare.range) {
            self.settle(id, spare);
            return;
        }
        let chain = job.chain(spare.range);
        let whole = chain.iter().fold(spare.range, |whole, part| Range {
            lo: whole.lo.min(part.range.lo),
            hi: whole.hi.max(part.range.hi),
        });
        if self.invested(id, whole) <= whole.steps() {
            for part in chain.into_iter().chain([spare]) {
                self.count(id, part);
            }
            return;
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Spare { range, proof, prover, owed } = spare;
        if !was_spare {
            if job.spares.len() >= limits::SPARES_PER_JOB {
                self.settle(id, spare);
                return;
            }
            self.out.push(Effect::Verdict { proof, prover, job: id, range, verdict: Verdict::Spare { owed } });
        }
        job.spares.insert((range.lo, proof), spare);
    }

    /// Folded steps that would be lost if `range` came into the cover: those of leases in the bottom layer, and proofs
    /// there that wait for verification.
    fn invested(&self, id: JobId, range: Range) -> u64 {
        let Some(job) = self.jobs.get(&id) else { return 0 };
        let invested = |(claimed, holder): (Range, Holder)| match holder {
            Holder::Lease(task) => self.leases.get(task).map_or(0, |lease| lease.invested()),
            Holder::Proof(_) => claimed.steps(),
        };
        job.claims(0, range).map(invested).fold(0, u64::saturating_add)
    }

    /// Puts a proof into the cover and credits it. It pays for its prover's shorter ones too.
    fn count(&mut self, id: JobId, spare: Spare) {
        let Spare { range, proof, prover, .. } = spare;
        if let Some(job) = self.jobs.get_mut(&id) {
            job.spares.remove(&(range.lo, proof));
            let same = job.spares.range((range.lo, ProofId([0; 32]))..=(range.lo, ProofId([255; 32])));
            let own = same.map(|(_, spare)| *spare).filter(|spare| spare.prover == prover && spare.range.hi < range.hi);
            for Spare { range, proof, .. } in own.collect::<Vec<_>>() {
                job.spares.remove(&(range.lo, proof));
                self.out.push(Effect::Verdict { proof, prover, job: id, range, verdict: Verdict::Superseded });
            }
            self.pay(id, prover, range);
            self.out.push(Effect::Verdict { proof, prover, job: id, range, verdict: Verdict::Counted });
            self.accept(id, range);
        }
    }

    /// Puts a range into the cover. Whoever held a step of it stops.
    pub(super) fn accept(&mut self, id: JobId, range: Range) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.close_gaps(range);
        job.cover(range);
        let mut leftovers = Vec::new();
        for layer in 0..LAYERS {
            let Some(job) = self.jobs.get_mut(&id) else { return };
            let claims: Vec<_> = job.claims(layer, range).collect();
            for (claimed, holder) in claims {
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.unclaim(claimed.lo, holder);
                }
                if let Holder::Lease(task) = holder {
                    self.cancel(task, CancelReason::Covered);
                }
                if layer == 0 {
                    leftovers.extend(claimed.without(range).into_iter().flatten());
                }
            }
        }
        for rest in leftovers {
            self.vacate(id, rest);
        }
        self.settle_covered_spares(id, range);
        if let Some(job) = self.jobs.get(&id) {
            if job.done() {
                self.end_job(id, JobEnd::Done);
            } else {
                self.merge_at(id, range.lo);
                self.refresh(id);
            }
        }
    }

    fn settle_covered_spares(&mut self, id: JobId, range: Range) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let covered: Vec<Spare> = job.spares.values().filter(|spare| spare.range.overlaps(range)).copied().collect();
        for spare in &covered {
            job.spares.remove(&(spare.range.lo, spare.proof));
        }
        for spare in covered {
            self.settle(id, spare);
        }
    }

    /// Steps of the bottom layer that lost their holder: a duplicate takes over what it covers entirely, the rest is a
    /// gap. The claim must be removed already.
    pub(super) fn vacate(&mut self, id: JobId, range: Range) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let mut pieces = vec![range];
        for layer in 1..LAYERS {
            let above: Vec<_> = job.claims(layer, range).collect();
            for (claimed, holder) in above {
                let active = match holder {
                    Holder::Lease(task) => self.leases.get(task).is_some_and(|lease| lease.phase == Phase::Active),
                    Holder::Proof(_) => true,
                };
                let Some(at) = pieces.iter().position(|piece| active && piece.contains(claimed)) else { continue };
                let piece = pieces.swap_remove(at);
                pieces.extend(piece.without(claimed).into_iter().flatten());
                job.unclaim(claimed.lo, holder);
                job.claim(0, claimed, holder);
                if let Holder::Lease(task) = holder
                    && let Some(lease) = self.leases.get_mut(task)
                {
                    lease.layer = 0;
                    if !lease.copied {
                        lease.by_end = Some(lease.expected);
                        job.by_end.insert((lease.expected, task));
                    }
                }
            }
        }
        for piece in pieces {
            job.open_gap(piece);
        }
        if !job.spares.is_empty() {
            self.vacated.push((id, range));
        }
        self.refresh(id);
    }

    /// Tries the spares where leases ended, the longest first.
    pub(super) fn retry_spares(&mut self) {
        while let Some((id, range)) = self.vacated.pop() {
            let Some(job) = self.jobs.get(&id) else { continue };
            let mut spares: Vec<Spare> =
                job.spares.values().filter(|spare| spare.range.overlaps(range)).copied().collect();
            spares.sort_by_key(|spare| (std::cmp::Reverse(spare.range.steps()), spare.range.lo, spare.proof));
            for spare in spares {
                let taken = self.jobs.get_mut(&id).and_then(|job| job.spares.remove(&(spare.range.lo, spare.proof)));
                if let Some(spare) = taken {
                    self.judge(id, spare, true);
                }
            }
        }
    }
}
