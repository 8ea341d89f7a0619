//! What the hub is told, turned into events of the scheduler.

use crowdfold_fold::Address;
use crowdfold_sched::{Event, JobEnd, JobId, Millis, ProofId, ProverId, Range, Verdict};
use crowdfold_wire::{GoodbyeCode, Outcome, UploadId};

use super::{
    Answer, Command, Handed, Hub, HubError, Kind, Link, LinkId, LiveJob, Merging, Offered, Part, Pending, REMEMBER_MS,
    ToLink,
};
use crate::bus::News;
use crate::metrics::{Place, Refusal};
use crate::pool::{Checked, Claim, Done, Merged};
use crate::store::{BlobName, Record, StoredProof};

impl Hub {
    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::Joined { link, prover, payout, spec, to } => {
                if let Some(old) = self.by_prover.insert(prover, link) {
                    let text = "another connection of the same key".to_owned();
                    self.tell(old, ToLink::Goodbye { code: GoodbyeCode::Replaced, text });
                    self.links.remove(&old);
                    self.events.push_back(Event::ProverLeft { prover });
                } else {
                    self.news.push(News::ProverJoined { prover: prover.0 });
                }
                // It wants nothing before it says so, which the scheduler knows.
                let (ready, told) = ((0, 0), (0, 0));
                self.links.insert(link, Link { prover, payout, to, ready, told, holds: Default::default() });
                self.events.push_back(Event::ProverJoined { prover, spec });
            }
            Command::Left(link) => {
                let Some(gone) = self.links.remove(&link) else { return };
                if self.by_prover.get(&gone.prover) == Some(&link) {
                    self.by_prover.remove(&gone.prover);
                    self.news.push(News::ProverLeft { prover: gone.prover.0 });
                    self.events.push_back(Event::ProverLeft { prover: gone.prover });
                }
            }
            Command::Ready(id, tasks, merges) => {
                let Some(link) = self.links.get_mut(&id) else { return };
                link.ready = (tasks, merges);
                let prover = link.prover;
                self.unsettled.insert(id);
                if tasks > 0 {
                    self.prover_asked(prover);
                }
            }
            Command::Progress(link, task, steps) => {
                if let Some((prover, handed)) = self.of_link(link, task) {
                    self.events.push_back(Event::Progress { prover, task: handed.task, steps });
                }
            }
            Command::Released(link, task, why) => {
                let Some((prover, Handed { task: name, kind, .. })) = self.of_link(link, task) else { return };
                self.drop_hold(prover, task);
                self.events.push_back(match kind {
                    Kind::Segment(_) => Event::Released { prover, task: name, why },
                    Kind::Merge(..) => Event::MergeFailed { task: name, prover: Some(prover), bad_proof: false },
                });
            }
            Command::Offered(link, offered, answer) => {
                let said = self.offered(link, offered);
                // The connection may be gone.
                _ = answer.send(said);
            }
            Command::Uploaded(link, offered, stored, answer) => {
                self.uploaded(link, offered, stored);
                self.answers.push((answer, true));
            }
            Command::Accepted(stored) => {
                let Some(entry) = self.catalog.of(stored.parameters).cloned() else { return };
                let (job, spec) = (stored.id(), stored.spec);
                self.jobs.insert(job, LiveJob::new(*stored, entry));
                self.changed.insert(job);
                self.events.push_back(Event::JobAdded { job, spec });
            }
            Command::Cancel(job, answer) => {
                let is_live = self.jobs.contains_key(&job) && !self.ending.contains(&job);
                if is_live {
                    self.events.push_back(Event::JobCancelled { job });
                }
                let known = is_live || self.end_paused(job, JobEnd::Cancelled);
                self.answers.push((answer, known));
            }
            // Who asked may be gone.
            Command::Fleet(answer) => _ = answer.send(self.fleet()),
        }
    }

    fn of_link(&self, link: LinkId, task: u64) -> Option<(ProverId, Handed)> {
        let prover = self.links.get(&link)?.prover;
        let handed = *self.handed.get(&task).filter(|handed| handed.prover == prover)?;
        Some((prover, handed))
    }

    /// A prover does not hold a task any more.
    pub(super) fn drop_hold(&mut self, prover: ProverId, task: u64) {
        if let Some(link) = self.link_of(prover) {
            _ = link.holds.0.remove(&task) | link.holds.1.remove(&task);
        }
    }

    /// The job and the steps that an offer is of; of a task that is not known the proof itself will tell.
    fn place(&self, prover: ProverId, offered: Offered) -> Option<(JobId, Range, Handed)> {
        let handed = *self.handed.get(&offered.task).filter(|handed| handed.prover == prover)?;
        let range = match handed.kind {
            Kind::Segment(_) => offered.range,
            Kind::Merge(left, right) => Range::new(left.start(), right.end())?,
        };
        Some((handed.job, range, handed))
    }

    fn offered(&mut self, link: LinkId, offered: Offered) -> Answer {
        let Some(prover) = self.links.get(&link).map(|link| link.prover) else { return Answer::Wait };
        if self.pending.contains_key(&offered.proof) || self.merging.contains_key(&offered.proof) {
            return Answer::Wait;
        }
        let Some((job, range, handed)) = self.place(prover, offered) else {
            // Its task is of a run before this one, or of a job that ended long ago.
            self.from_before.offered(prover, offered.range);
            let most = self.catalog.entries().map(|entry| entry.proof_bytes).max();
            return most.map_or_else(|| self.not_needed(), |most| Answer::Want { most, is_known: false });
        };
        let most = self.jobs.get(&job).map_or(0, |job| job.entry.proof_bytes);
        match handed.kind {
            Kind::Segment(whole) => {
                // An offer tells how far its prover is, before its bytes do.
                let steps = range.end().0.saturating_sub(whole.start().0);
                if whole.contains(range) {
                    self.events.push_back(Event::Progress { prover, task: handed.task, steps });
                }
                if range.end() == whole.end() {
                    self.drop_hold(prover, offered.task);
                }
                if self.scheduler.wants(prover, job, range, Some(handed.task)) && most > 0 {
                    Answer::Want { most, is_known: true }
                } else {
                    self.not_needed()
                }
            }
            Kind::Merge(..) => {
                self.drop_hold(prover, offered.task);
                // The merge circuit's part comes on top.
                let most = most + crowdfold_prover::limits::MERGE_PART_BYTES;
                if self.jobs.contains_key(&job) { Answer::Want { most, is_known: true } } else { self.not_needed() }
            }
        }
    }

    fn uploaded(&mut self, link: LinkId, offered: Offered, stored: StoredProof) {
        let Some(link) = self.links.get(&link) else { return };
        let (prover, payout, proof) = (link.prover, link.payout, stored.proof());
        if self.pending.contains_key(&proof) || self.merging.contains_key(&proof) {
            return;
        }
        let Some((job, range, handed)) = self.place(prover, offered) else {
            self.uploaded_from_before(prover, payout, offered, stored);
            return;
        };
        if let Kind::Merge(..) = handed.kind {
            self.merging.insert(proof, Merging { stored, prover, task: handed.task, job, range });
            match self.claim(proof, job, range, None) {
                Some(claim) => self.pool.verify(claim),
                None => _ = self.merging.remove(&proof),
            }
            return;
        }
        if self.jobs.contains_key(&job) || self.scheduler.wants(prover, job, range, Some(handed.task)) {
            let bytes = stored.bytes();
            self.receive(Pending { prover, payout, job, range, bytes }, stored, Some(handed.task));
        } else {
            self.unneeded(prover, proof);
        }
    }

    /// A proof need not be uploaded.
    fn not_needed(&self) -> Answer {
        self.metrics.refuse(Refusal::NotNeeded);
        Answer::Verdict(Outcome::NotNeeded)
    }

    /// All of a proof is there, and nobody needs it.
    fn unneeded(&mut self, prover: ProverId, proof: ProofId) {
        self.metrics.refuse(Refusal::NotNeeded);
        self.tell_prover(prover, ToLink::Verdict { upload: UploadId(proof.0), outcome: Outcome::NotNeeded });
    }

    /// A proof of a task of an earlier run. Its job is the one that it names and whose state it starts from.
    fn uploaded_from_before(&mut self, prover: ProverId, payout: Address, offered: Offered, stored: StoredProof) {
        let live = offered.job.filter(|job| self.jobs.contains_key(job));
        match live.filter(|job| self.scheduler.wants(prover, *job, offered.range, None)) {
            Some(job) => {
                let (range, bytes) = (offered.range, stored.bytes());
                self.receive(Pending { prover, payout, job, range, bytes }, stored, None);
            }
            None => self.unneeded(prover, stored.proof()),
        }
    }

    fn receive(&mut self, pending: Pending, stored: StoredProof, task: Option<crowdfold_sched::TaskId>) {
        let Pending { prover, payout, job, range, .. } = pending;
        let (proof, at) = (stored.proof(), self.clock.now());
        self.pending.insert(proof, pending);
        self.records.push(Record::Uploaded { proof: stored, prover, payout, job, range, task, at });
        self.events.push_back(Event::ProofReceived { proof, prover, job, range, task });
    }

    /// What the pool needs to verify a proof.
    pub(super) fn claim(&self, proof: ProofId, job: JobId, range: Range, payout: Option<Address>) -> Option<Claim> {
        let live = self.jobs.get(&job).or_else(|| self.ended.get(&job))?;
        let (entry, data) = (live.entry.clone(), live.data.clone());
        Some(Claim { proof, entry, job: live.stored.name, data, range, payout })
    }

    /// The pool has done something.
    pub(super) fn done(&mut self, done: Done) -> Result<(), HubError> {
        match done {
            Done::Checked(proof, checked) => match self.merging.remove(&proof) {
                Some(merging) => self.merge_checked(merging, checked),
                None => self.checked(proof, checked),
            },
            Done::Merged(task, Merged::Failed(why)) => {
                tracing::warn!(%task, why, "a native merge failed");
                self.events.push_back(Event::MergeFailed { task, prover: None, bad_proof: false });
            }
            Done::Merged(_, Merged::Unstored(error)) => return Err(error.into()),
            Done::Merged(task, Merged::Stored(stored)) => {
                if let Some(&(job, range)) = self.natively.get(&task) {
                    self.merged(task, job, range, stored, None);
                }
            }
        }
        Ok(())
    }

    fn checked(&mut self, proof: ProofId, checked: Checked) {
        match checked {
            Checked::Valid => self.events.push_back(Event::Verified { proof }),
            Checked::Refused(why) => {
                self.reasons.insert(proof, why);
                self.events.push_back(Event::Refused { proof });
            }
            Checked::Unreadable(error) => {
                tracing::error!(?proof, %error, blob = %BlobName::Proof(proof), "a proof can't be read");
                self.withdraw(proof);
            }
        }
    }

    /// A proof's bytes are lost. It is as if it had never come: its prover may upload it again.
    pub(super) fn withdraw(&mut self, proof: ProofId) {
        self.pending.remove(&proof);
        self.records.push(Record::Withdrawn { proof });
        self.events.push_back(Event::Withdrawn { proof });
    }

    fn merge_checked(&mut self, merging: Merging, checked: Checked) {
        let Merging { stored, prover, task, job, range } = merging;
        let upload = UploadId(stored.proof().0);
        let outcome = match checked {
            Checked::Valid if self.merges.contains(&task) => {
                self.merged(task, job, range, stored, Some(prover));
                super::outcome(Verdict::Counted, range, None)
            }
            Checked::Valid => Outcome::NotNeeded,
            Checked::Refused(why) => {
                self.metrics.refuse(Refusal::Merge);
                self.events.push_back(Event::MergeFailed { task, prover: Some(prover), bad_proof: true });
                Outcome::Refused(crowdfold_wire::Reason::lossy(&why))
            }
            Checked::Unreadable(_) => {
                self.events.push_back(Event::MergeFailed { task, prover: Some(prover), bad_proof: false });
                Outcome::NotNeeded
            }
        };
        self.tell_prover(prover, ToLink::Verdict { upload, outcome });
    }

    fn merged(
        &mut self,
        task: crowdfold_sched::TaskId,
        job: JobId,
        range: Range,
        stored: StoredProof,
        by: Option<ProverId>,
    ) {
        let is_wanted = self.natively.remove(&task).is_some() | self.merges.remove(&task);
        if is_wanted && self.jobs.contains_key(&job) {
            let part = Part { range, proof: stored.proof(), bytes: stored.bytes() };
            self.covers.entry(job).or_default().insert(part);
            self.changed.insert(job);
            self.records.push(Record::Merged { job, range, proof: stored });
            let r#where = if by.is_some() { "prover" } else { "here" };
            self.metrics.merges.get_or_create(&Place { r#where }).inc();
            let (first, steps, prover) = (range.start().0, range.steps(), by.map(|prover| prover.0));
            self.news.push(News::RangeMerged { job: job.0, first, steps, prover });
            self.events.push_back(Event::MergeDone { task });
        }
    }

    /// Sends something to a connection. One that does not take it is too slow, and ends.
    pub(super) fn tell(&mut self, link: LinkId, message: ToLink) {
        if let Some(found) = self.links.get(&link)
            && found.to.try_send(message).is_err()
        {
            self.metrics.refuse(Refusal::Slow);
            let prover = found.prover;
            // Its task sees the channel close when it is dropped, and says that it left.
            self.links.remove(&link);
            // Its prover may be here again.
            if self.by_prover.get(&prover) == Some(&link) {
                self.by_prover.remove(&prover);
                self.events.push_back(Event::ProverLeft { prover });
                self.news.push(News::ProverLeft { prover: prover.0 });
            }
        }
    }

    pub(super) fn tell_prover(&mut self, prover: ProverId, message: ToLink) {
        if let Some(&link) = self.by_prover.get(&prover) {
            self.tell(link, message);
        }
    }

    /// Forgets the tasks of jobs that ended long ago.
    pub(super) fn forget_old(&mut self) {
        let now: Millis = self.clock.now();
        while let Some(&(at, job)) = self.old.front()
            && at <= now
        {
            self.old.pop_front();
            self.ended.remove(&job);
            self.handed.retain(|_, handed| handed.job != job);
            self.wire_of.retain(|_, wire| self.handed.contains_key(wire));
        }
    }

    pub(super) fn remember(&mut self, job: JobId) {
        self.old.push_back((Millis(self.clock.now().0 + REMEMBER_MS), job));
    }
}
