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
        let parked: BTreeSet<u64> =
            self.pending.iter().filter(|(_, pending)| pending.parked).map(|(&number, _)| number).collect();
        ensure(parked.len() == self.parked, || "check-ins are counted wrong".to_owned())?;
        let held = live.iter().filter_map(|&task| self.leases.get(task)?.check_in);
        let held = held.filter(|number| parked.contains(number)).count();
        ensure(held == self.parked, || "a check-in waits for a lease that ended".to_owned())?;
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
                        ensure(pending.job == id && pending.claims.contains(&lo), || format!("proof {number}"))?;
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

#[cfg(test)]
mod tests {
    use super::Scheduler;
    use crate::config::Config;
    use crate::event::{Event, JobSpec, ProverSpec, Standing};
    use crate::ids::{Bytes, ClientId, JobId, Millis, ProofId, ProverId, Range, Speed, TaskId};
    use crate::job::{Holder, Job, Node, Spare};
    use crate::lease::Phase;

    const JOB: JobId = JobId(1);

    /// A job of which one prover has checked in a part, another waits for work, and two ranges are being merged.
    fn busy() -> Scheduler {
        let mut scheduler = Scheduler::new(Config { target_ms: 10_000, ..Config::default() });
        let mut step = |event| _ = scheduler.step(Millis(0), event);
        let (client, deadline, memory) = (ClientId(1), Millis(1_000_000), Bytes(1000));
        let spec = JobSpec { client, weight: 1, bounty: 1000, steps: 1000, rows: 1000, deadline, memory, height: 0 };
        step(Event::JobAdded { job: JOB, spec });
        for (lo, hi) in [(0, 10), (10, 20)] {
            let (proof, range) = (ProofId([u8::try_from(hi).unwrap(); 32]), Range { lo, hi });
            let (prover, standing) = (ProverId(9), Standing::Cover);
            step(Event::RangeRestored { job: JOB, range, proof, prover, standing });
        }
        for (prover, memory) in [(1, 1000), (2, 1)] {
            let spec = ProverSpec {
                speed: Speed(1000),
                memory: Bytes(memory),
                merges: false,
                most_steps: u64::MAX,
                strikes: 0,
            };
            step(Event::ProverJoined { prover: ProverId(prover), spec });
            step(Event::Ready { prover: ProverId(prover), segments: 1, merges: 0 });
        }
        let task = scheduler.provers[&ProverId(1)].leases[0];
        let (proof, range) = (ProofId([77; 32]), Range { lo: 20, hi: 23 });
        let event = Event::ProofReceived { proof, prover: ProverId(1), job: JOB, range, task: Some(task) };
        scheduler.step(Millis(0), event);
        assert_eq!((scheduler.parked, scheduler.waiting.len(), scheduler.merges.len()), (1, 1, 1));
        assert_eq!(scheduler.audit(), Ok(()));
        scheduler
    }

    fn task(scheduler: &Scheduler) -> TaskId {
        scheduler.provers[&ProverId(1)].leases[0]
    }

    fn job(scheduler: &mut Scheduler) -> &mut Job {
        scheduler.jobs.get_mut(&JOB).unwrap()
    }

    #[track_caller]
    fn finds(what: &str, corrupt: impl Fn(&mut Scheduler)) {
        let mut scheduler = busy();
        corrupt(&mut scheduler);
        let found = scheduler.audit().expect_err(what);
        assert!(found.contains(what), "{found}");
    }

    #[test]
    fn every_check_finds_what_it_is_for() {
        finds("covered steps are counted wrong", |s| job(s).covered += 1);
        finds("open steps are counted wrong", |s| job(s).open += 1);
        finds("not a partition", |s| {
            job(s).layers[0].pop_first();
        });
        finds("not a partition", |s| {
            let node = Node { end: 25, merge: None };
            job(s).cover.insert(20, node);
            job(s).covered += 5;
        });
        finds("layer 1 overlaps", |s| {
            for (lo, hi) in [(40, 60), (50, 70)] {
                job(s).claim(1, Range { lo, hi }, Holder::Proof(1));
            }
            let pending = s.pending.values_mut().next().unwrap();
            pending.claims.extend([40, 50]);
        });
        finds("unknown task", |s| job(s).claim(1, Range { lo: 40, hi: 60 }, Holder::Lease(TaskId(5))));
        finds("unknown proof", |s| job(s).claim(1, Range { lo: 40, hi: 60 }, Holder::Proof(55)));
        finds("layer 0 at", |s| {
            let task = task(s);
            s.leases.get_mut(task).unwrap().lo += 1;
        });
        finds("layer 0 at", |s| {
            let task = task(s);
            s.leases.get_mut(task).unwrap().phase = Phase::Ended;
        });
        finds("is overdue", |s| {
            let task = task(s);
            s.leases.get_mut(task).unwrap().phase = Phase::Overdue;
        });
        finds("is not listed", |s| job(s).by_end.clear());
        finds("proof ", |s| s.pending.values_mut().for_each(|pending| pending.claims.clear()));
        finds("a spare overlaps", |s| {
            let (range, proof) = (Range { lo: 5, hi: 8 }, ProofId([5; 32]));
            let spare = Spare { range, proof, prover: ProverId(1), owed: 0 };
            job(s).spares.insert((5, proof), spare);
        });
        finds("in the wrong queue", |s| job(s).queued = false);
        finds("has the unknown task", |s| s.provers.get_mut(&ProverId(1)).unwrap().leases.push(TaskId(5)));
        finds("prover 2 has", |s| {
            let task = task(s);
            s.provers.get_mut(&ProverId(2)).unwrap().leases.push(task);
        });
        finds("have provers", |s| s.provers.get_mut(&ProverId(1)).unwrap().leases.clear());
        finds("the speed of those who wait", |s| s.waiting_speed += 1);
        finds("proofs that wait", |s| s.pending_by_proof.clear());
        finds("check-ins are counted wrong", |s| s.parked = 0);
        finds("a check-in waits for a lease that ended", |s| {
            let task = task(s);
            s.leases.get_mut(task).unwrap().check_in = None;
        });
        finds("each merge has two ranges", |s| s.merges.clear());
    }
}
