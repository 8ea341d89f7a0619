//! After a crash, or any other end: what is on disk is told to the scheduler again.

use crowdfold_sched::{Effect, Event, JobEnd, JobId, Millis, ProofId, ProverId, Standing, Verdict};

use super::{Cover, Hub, HubError, JobView, LiveJob, Part, Pending};
use crate::store::{Proof, Store as _, StoredJob, limits};

/// A job whose program's parameters are missing: it goes on in a run that has them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paused {
    pub(super) view: JobView,
    deadline: Millis,
}

impl Hub {
    /// Adds the jobs that did not end, their covers and what became of their proofs; then, before any prover comes, the
    /// proofs that had all come and had no verdict.
    pub(super) async fn restore(&mut self) -> Result<(), HubError> {
        let (mut after, mut undecided) = (None, Vec::new());
        loop {
            let page = self.storage.store.open_jobs(after, limits::PAGE).await?;
            let Some(last) = page.last().map(StoredJob::id) else { break };
            after = Some(last);
            for stored in page {
                let (job, spec) = (stored.id(), stored.spec);
                self.changed.insert(job);
                match self.catalog.of(stored.parameters).cloned() {
                    Some(entry) => {
                        self.jobs.insert(job, LiveJob::new(stored, entry));
                        self.events.push_back(Event::JobAdded { job, spec });
                        self.restore_cover(job).await?;
                    }
                    None if spec.deadline > self.clock.now() => {
                        self.pause(&stored).await?;
                        continue;
                    }
                    // Its end needs no parameters.
                    None => self.events.push_back(Event::JobAdded { job, spec }),
                }
                undecided.extend(self.restore_proofs(job).await?);
            }
        }
        for Proof { proof, prover, payout, job, range, bytes, .. } in undecided {
            self.pending.insert(proof, Pending { prover, payout, job, range, bytes });
            self.from_before.add(prover, proof, range);
            self.events.push_back(Event::ProofReceived { proof, prover, job, range, task: None });
        }
        Ok(())
    }

    async fn restore_cover(&mut self, job: JobId) -> Result<(), HubError> {
        for covered in self.storage.store.cover(job).await? {
            let (range, proof, bytes) = (covered.range, covered.proof, covered.bytes);
            self.covers.entry(job).or_default().insert(Part { range, proof, bytes });
            let (prover, standing) = (covered.prover.unwrap_or(ProverId(0)), Standing::Cover);
            self.events.push_back(Event::RangeRestored { job, range, proof, prover, standing });
        }
        Ok(())
    }

    /// Keeps a job of which nothing can be proved now. Its proofs stay as they are.
    async fn pause(&mut self, stored: &StoredJob) -> Result<(), HubError> {
        let (job, spec) = (stored.id(), stored.spec);
        tracing::warn!(
            %job,
            program = stored.program,
            parameters = %stored.parameters,
            "a job is paused: load these parameters and start again, or cancel it"
        );
        let cover = self.storage.store.progress(job).await?;
        let view = JobView { steps: spec.steps, covered: cover.steps, ranges: cover.ranges, paused: true };
        self.paused.insert(job, Paused { view, deadline: spec.deadline });
        Ok(())
    }

    /// Ends a job that is paused. False if there is none.
    pub(super) fn end_paused(&mut self, job: JobId, end: JobEnd) -> bool {
        let is_paused = self.paused.contains_key(&job) && !self.ending.contains(&job);
        if is_paused {
            self.end_of(job, end, self.clock.now());
            self.effects.push(Effect::JobEnded { job, end });
        }
        is_paused
    }

    /// Ends paused jobs whose deadline has passed.
    pub(super) fn expire_paused(&mut self) {
        let now = self.clock.now();
        let over = self.paused.iter().filter(|(_, paused)| paused.deadline <= now).map(|(job, _)| *job);
        for job in over.collect::<Vec<_>>() {
            self.end_paused(job, JobEnd::Expired);
        }
    }

    /// Tells what became of a job's proofs; returns those without a verdict.
    async fn restore_proofs(&mut self, job: JobId) -> Result<Vec<Proof>, HubError> {
        let (mut after, mut undecided) = (None::<ProofId>, Vec::new());
        let covering: Vec<ProofId> = self.covers.get(&job).into_iter().flat_map(Cover::proofs).collect();
        loop {
            let page = self.storage.store.proofs(job, after, limits::PAGE).await?;
            let Some(last) = page.last() else { return Ok(undecided) };
            after = Some(last.proof);
            for found in page {
                let Proof { proof, prover, payout, range, bytes, .. } = found;
                let standing = match found.verdict {
                    _ if covering.contains(&proof) => continue,
                    None => {
                        undecided.push(found);
                        continue;
                    }
                    Some(Verdict::Spare { owed }) => {
                        self.pending.insert(proof, Pending { prover, payout, job, range, bytes });
                        Standing::Spare { owed }
                    }
                    Some(_) => Standing::Settled,
                };
                self.events.push_back(Event::RangeRestored { job, range, proof, prover, standing });
            }
        }
    }
}
