//! What must always hold, checked from scratch: for tests and the simulator.

use std::collections::BTreeSet;

use super::Scheduler;
use crate::ids::{JobId, TaskId};
use crate::job::{Holder, Job, LAYERS};
use crate::lease::Phase;

impl Scheduler {
    /// Checks the state against its invariants. Takes time in proportion to all of it.
    ///
    /// # Errors
    /// What does not hold.
    pub fn audit(&self) -> Result<(), String> {
        let mut jobs: Vec<_> = self.jobs.keys().copied().collect();
        jobs.sort();
        let mut live = BTreeSet::new();
        for id in &jobs {
            let job = &self.jobs[id];
            self.audit_job(*id, job, &mut live).map_err(|what| format!("job {id}: {what}"))?;
        }
        let mut provers: Vec<_> = self.provers.keys().copied().collect();
        provers.sort();
        let (mut leases, mut speed) = (0, 0_u64);
        for id in provers {
            let prover = &self.provers[&id];
            for (tasks, ended) in [(&prover.leases, false), (&Vec::from(prover.rights.clone()), true)] {
                for &task in tasks {
                    let lease = self.leases.get(task).ok_or(format!("prover {id} has the unknown task {task}"))?;
                    let right = lease.prover == id && (lease.phase == Phase::Ended) == ended;
                    ensure(right, || format!("prover {id} has {lease:?}"))?;
                    ensure(ended || live.contains(&task), || format!("task {task} claims nothing"))?;
                    leases += 1;
                }
            }
            speed += prover.waiting.map_or(0, |(_, speed)| speed);
        }
        ensure(leases == self.leases.len(), || format!("{leases} of {} leases have provers", self.leases.len()))?;
        ensure(speed == self.waiting_speed, || "the speed of those who wait is wrong".to_owned())?;
        ensure(self.pending.len() == self.pending_by_proof.len(), || "proofs that wait".to_owned())?;
        let merging: usize =
            jobs.iter().map(|id| self.jobs[id].cover.values().filter(|n| n.merge.is_some()).count()).sum();
        ensure(merging == 2 * self.merges.len(), || "each merge has two ranges".to_owned())
    }

    fn audit_job(&self, id: JobId, job: &Job, live: &mut BTreeSet<TaskId>) -> Result<(), String> {
        let mut parts: Vec<(u64, u64)> = job.cover.iter().map(|(&lo, node)| (lo, node.end)).collect();
        let sum = |parts: &[(u64, u64)]| parts.iter().map(|(lo, hi)| hi - lo).sum::<u64>();
        ensure(sum(&parts) == job.covered, || "covered steps are counted wrong".to_owned())?;
        parts.extend(job.gaps.iter().map(|(&lo, &hi)| (lo, hi)));
        ensure(sum(&parts) == job.covered + job.open, || "open steps are counted wrong".to_owned())?;
        parts.extend(job.layers[0].iter().map(|(&lo, claim)| (lo, claim.end)));
        parts.sort_unstable();
        let whole = parts.iter().try_fold(0, |at, &(lo, hi)| (at == lo && lo < hi).then_some(hi));
        ensure(whole == Some(job.spec.steps), || format!("not a partition: {parts:?}"))?;
        for layer in 0..LAYERS {
            let mut at = 0;
            for (&lo, claim) in &job.layers[layer] {
                ensure(at <= lo && lo < claim.end, || format!("layer {layer} overlaps at {lo}"))?;
                at = claim.end;
                match claim.holder {
                    Holder::Lease(task) => {
                        let lease = self.leases.get(task).ok_or(format!("unknown task {task}"))?;
                        let (lease_lo, lease_hi) = (lease.lo, lease.hi);
                        let same = (lease_lo, lease_hi, lease.layer, lease.job) == (lo, claim.end, layer, id);
                        ensure(same && lease.phase != Phase::Ended, || format!("layer {layer} at {lo}: {lease:?}"))?;
                        ensure(layer > 0 || lease.phase == Phase::Active, || format!("{task} is overdue"))?;
                        let listed = lease.by_end.is_some_and(|end| job.by_end.contains(&(end, task)));
                        ensure(listed == lease.by_end.is_some(), || format!("{task} is not listed"))?;
                        ensure(lease.by_end.is_none() || layer == 0, || format!("{task} is listed"))?;
                        ensure(live.insert(task), || format!("{task} claims twice"))?;
                    }
                    Holder::Proof(number) => {
                        let pending = self.pending.get(&number).ok_or(format!("unknown proof {number}"))?;
                        ensure(pending.job == id && pending.claim == Some(lo), || format!("proof {number}"))?;
                    }
                }
            }
        }
        let stale = job.spares.values().any(|spare| job.cover_overlaps(spare.range));
        ensure(!stale, || "a spare overlaps the cover".to_owned())?;
        ensure(job.queued != job.gaps.is_empty(), || "in the wrong queue".to_owned())
    }
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}
