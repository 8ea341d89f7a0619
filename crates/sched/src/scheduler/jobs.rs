//! Jobs come and end.

use super::{Scheduler, Timer};
use crate::effect::{BadEvent, CancelReason, Effect, JobEnd, Verdict};
use crate::event::{JobSpec, Standing};
use crate::ids::{JobId, ProofId, ProverId, Range};
use crate::job::{History, Holder, Job, LAYERS, Spare};
use crate::limits;

impl Scheduler {
    pub(super) fn job_added(&mut self, id: JobId, spec: JobSpec) -> Result<(), BadEvent> {
        if self.jobs.contains_key(&id) || self.ended.contains_key(&id) {
            return Err(BadEvent::KnownJob(id));
        }
        let within = |value: u64, limit: u64| (1..=limit).contains(&value);
        let weight = (1..=limits::WEIGHT).contains(&spec.weight);
        if !within(spec.steps, limits::JOB_STEPS) || !within(spec.rows, limits::STEP_ROWS) || !weight {
            return Err(BadEvent::BadJob(id));
        }
        if self.jobs.len() >= limits::JOBS || self.fair.jobs(spec.client) >= limits::JOBS_PER_CLIENT {
            return Err(BadEvent::Full("jobs"));
        }
        if spec.deadline <= self.now {
            self.out.push(Effect::JobEnded { job: id, end: JobEnd::Expired });
            return Ok(());
        }
        self.fair.job_added(spec.client);
        self.jobs.insert(id, Job::new(spec, self.ages, self.fair.need(spec.memory.0)));
        self.ages += 1;
        self.timers.insert((spec.deadline, Timer::Job(id)));
        self.refresh(id);
        Ok(())
    }

    pub(super) fn range_restored(
        &mut self,
        id: JobId,
        range: Range,
        proof: ProofId,
        prover: ProverId,
        standing: Standing,
    ) -> Result<(), BadEvent> {
        let Some(job) = self.jobs.get_mut(&id) else {
            let Standing::Spare { owed } = standing else { return Err(BadEvent::UnknownJob(id)) };
            // The job expired while nobody was there to decide about it.
            let steps = owed.min(range.steps());
            let verdict = if steps > 0 { Verdict::Compensated { steps } } else { Verdict::Late };
            self.out.push(Effect::Verdict { proof, prover, job: id, range, verdict });
            return Ok(());
        };
        let covers = standing == Standing::Cover;
        if range.hi > job.spec.steps || (covers && job.cover_overlaps(range)) {
            return Err(BadEvent::BadRange(range));
        }
        if self.pending_by_proof.contains_key(&proof) || job.history.proofs.contains(&proof) {
            return Err(BadEvent::KnownProof(proof));
        }
        if job.history.proofs.len() >= limits::PROOFS_PER_JOB {
            return Err(BadEvent::Full("proofs of a job"));
        }
        job.history.proofs.insert(proof);
        match standing {
            Standing::Cover => {
                self.accept(id, range);
            }
            Standing::Spare { owed } => {
                let owed = owed.min(range.steps());
                self.judge(id, Spare { range, proof, prover, owed }, false);
            }
            Standing::Settled => {}
        }
        Ok(())
    }

    pub(super) fn job_cancelled(&mut self, id: JobId) -> Result<(), BadEvent> {
        if !self.jobs.contains_key(&id) {
            return Err(BadEvent::UnknownJob(id));
        }
        self.end_job(id, JobEnd::Cancelled);
        Ok(())
    }

    pub(super) fn job_expired(&mut self, id: JobId) {
        self.end_job(id, JobEnd::Expired);
    }

    /// Whether the job is in the queues that it belongs to; called after whatever changed its gaps or leases.
    pub(super) fn refresh(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let open = !job.gaps.is_empty();
        let key = (job.spec.height, job.age, id);
        if open != job.queued {
            job.queued = open;
            if open {
                self.fair.open(job.spec.client, job.need, key);
            } else {
                self.fair.close(job.spec.client, job.need, key);
            }
        }
        if open && !self.waiting.is_empty() {
            self.fresh.insert(id);
        }
        let tail = if open { None } else { job.by_end.last().map(|&(end, _)| end) };
        if tail != job.tail {
            if let Some(old) = job.tail {
                self.tails.remove(&(old, id));
            }
            if let Some(new) = tail {
                self.tails.insert((new, id));
            }
            job.tail = tail;
        }
    }

    /// Ends a job: whoever works on it is told to stop, and nothing of it is kept.
    pub(super) fn end_job(&mut self, id: JobId, end: JobEnd) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let mut merges: Vec<_> = job.cover.values().filter_map(|node| node.merge).collect();
        merges.dedup();
        let claims = job.layers.iter().flat_map(|claims| claims.values());
        let leases: Vec<_> = claims
            .filter_map(|claim| match claim.holder {
                Holder::Lease(task) => Some(task),
                Holder::Proof(_) => None,
            })
            .collect();
        let spares = std::mem::take(&mut job.spares);
        // The steps are nobody's now, so that ending the leases does not hand them out again.
        job.gaps.clear();
        job.open = 0;
        for layer in 0..LAYERS {
            job.layers[layer].clear();
        }
        for task in leases {
            self.cancel(task, CancelReason::JobEnded);
        }
        for task in merges {
            self.drop_merge(task);
        }
        for spare in spares.into_values() {
            self.settle(id, spare);
        }
        self.refresh(id);
        if let Some(job) = self.jobs.remove(&id) {
            self.fair.job_ended(job.spec.client);
            self.timers.remove(&(job.spec.deadline, Timer::Job(id)));
            if let Some(tail) = job.tail {
                self.tails.remove(&(tail, id));
            }
            self.remember(id, job.history);
        }
        self.fresh.remove(&id);
        self.out.push(Effect::JobEnded { job: id, end });
    }

    /// Keeps what has to be known of a job for as long as proofs for it may be compensated.
    fn remember(&mut self, id: JobId, history: History) {
        if self.ended.len() >= limits::ENDED_JOBS
            && let Some((oldest, (until, _))) = self.ended.pop_first()
        {
            self.timers.remove(&(until, Timer::Ended(oldest)));
        }
        let until = self.now.after(self.config.grace_ms);
        self.timers.insert((until, Timer::Ended(id)));
        self.ended.insert(id, (until, history));
    }

    /// Notes that a prover is paid for steps; returns how many it was not paid for before.
    pub(super) fn pay(&mut self, job: JobId, prover: ProverId, range: Range) -> u64 {
        let history = self.jobs.get_mut(&job).map(|job| &mut job.history);
        let history = history.or_else(|| self.ended.get_mut(&job).map(|(_, history)| history));
        history.map_or(0, |history| history.pay(prover, range))
    }

    /// The verdict on a valid proof that the job has no use for.
    pub(super) fn settle(&mut self, job: JobId, spare: Spare) {
        let Spare { range, proof, prover, owed } = spare;
        let steps = if owed > 0 { self.pay(job, prover, range).min(owed) } else { 0 };
        let verdict = if steps > 0 { Verdict::Compensated { steps } } else { Verdict::Late };
        self.out.push(Effect::Verdict { proof, prover, job, range, verdict });
    }
}
