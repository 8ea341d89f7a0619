//! After a crash, or any other end: what is on disk is told to the scheduler again.

use crowdfold_sched::{Event, JobId, ProofId, ProverId, Standing, Verdict};

use super::{Hub, HubError, LiveJob, Part, Pending};
use crate::store::{Proof, Store as _, limits};

impl Hub {
    /// Adds the jobs that did not end, their covers and what became of their proofs; then, before any prover comes, the
    /// proofs that had all come and had no verdict.
    pub(super) async fn restore(&mut self) -> Result<(), HubError> {
        let (mut after, mut undecided) = (None, Vec::new());
        loop {
            let page = self.storage.store.open_jobs(after, limits::PAGE).await?;
            let Some(last) = page.last().map(crate::store::StoredJob::id) else { break };
            after = Some(last);
            for stored in page {
                let job = stored.id();
                let entry = self.catalog.of(stored.parameters).cloned().ok_or_else(|| HubError::Program {
                    job,
                    program: stored.program.clone(),
                    parameters: stored.parameters,
                })?;
                let spec = stored.spec;
                self.jobs.insert(job, LiveJob::new(stored, entry));
                self.events.push_back(Event::JobAdded { job, spec });
                self.restore_cover(job).await?;
                undecided.extend(self.restore_proofs(job).await?);
            }
        }
        for Proof { proof, prover, payout, job, range, bytes, .. } in undecided {
            self.pending.insert(proof, Pending { prover, payout, job, range, bytes });
            self.events.push_back(Event::ProofReceived { proof, prover, job, range, task: None });
        }
        Ok(())
    }

    async fn restore_cover(&mut self, job: JobId) -> Result<(), HubError> {
        for covered in self.storage.store.cover(job).await? {
            let (range, proof, bytes) = (covered.range, covered.proof, covered.bytes);
            self.covers.entry(job).or_default().insert(range.start().0, Part { range, proof, bytes });
            let (prover, standing) = (covered.prover.unwrap_or(ProverId(0)), Standing::Cover);
            self.events.push_back(Event::RangeRestored { job, range, proof, prover, standing });
        }
        Ok(())
    }

    /// Tells what became of a job's proofs; returns those without a verdict.
    async fn restore_proofs(&mut self, job: JobId) -> Result<Vec<Proof>, HubError> {
        let (mut after, mut undecided) = (None::<ProofId>, Vec::new());
        let covering: Vec<ProofId> =
            self.covers.get(&job).map(|cover| cover.values().map(|part| part.proof).collect()).unwrap_or_default();
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
