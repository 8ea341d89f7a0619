//! Proofs on their way to the model coordinator: offers, bytes, and what becomes of them.

use crowdfold_fold::Address;
use crowdfold_sched::{Event, JobId, ProofId, ProverId, Range, StepIndex, Verdict};
use crowdfold_wire::{Chunk, ChunkState, Offer, Outcome, Reason, SendError, Stored, UploadId, UploadReceiver, Within};

use super::coordinator::{Coordinator, Env, Handed, Kind, Pending};
use super::disk::{Crash, Offered, Record};
use super::log::log;
use super::plan::chain_job;
use super::plant::Bug;
use crate::model::Modelled;

fn id(upload: UploadId) -> ProofId {
    ProofId(upload.0)
}

fn range_of(first: u64, steps: u64) -> Option<Range> {
    Range::new(StepIndex(first), StepIndex(first.checked_add(steps)?))
}

impl Coordinator {
    pub(super) fn offer(&mut self, env: &mut Env<'_>, conn: u64, offer: &Offer) -> Result<(), Crash> {
        let Some(prover) = self.links.get(&conn).and_then(|link| link.prover) else { return Ok(()) };
        let proof = id(offer.upload);
        let judged = env.disk.judged.get(&proof).copied();
        let judged = judged.filter(|_| !(env.has(Bug::JudgeAgain) && env.disk.epoch > 1));
        self.offers.insert((prover, proof), offer.clone());
        if let Some(judged) = judged {
            self.tell(env, prover, proof, outcome(judged.verdict, judged.range));
            return Ok(());
        }
        if env.has(Bug::SupersedeEarly) {
            self.supersede_early(env, prover, offer)?;
        }
        if self.pending.contains_key(&proof) {
            return Ok(());
        }
        if !self.is_wanted(env, prover, proof) {
            return self.turn_away(env, prover, proof);
        }
        let mut receiver = UploadReceiver::new(offer.upload, offer.bytes.get());
        if let Some(stored) = env.disk.uploads.get(&(prover, proof)) {
            receiver.resume(stored);
        }
        match receiver.state() {
            ChunkState::Complete => return self.complete(env, prover, proof),
            ChunkState::Corrupt => {
                env.disk.write(Record::Damaged(prover, proof))?;
                receiver = UploadReceiver::new(offer.upload, offer.bytes.get());
            }
            ChunkState::More => {}
        }
        if let Some(&payout) = self.payouts.get(&prover).filter(|_| !env.disk.offered.contains_key(&(prover, proof))) {
            let steps = (offer.first.get(), offer.steps.get());
            env.disk.write(Record::Offered(prover, proof, Offered { steps, bytes: offer.bytes.get(), payout }))?;
        }
        self.want(env, conn, receiver);
        Ok(())
    }

    fn want(&mut self, env: &mut Env<'_>, conn: u64, receiver: UploadReceiver) {
        let prover = self.links.get(&conn).and_then(|link| link.prover);
        let offer = prover.and_then(|prover| self.offers.get(&(prover, id(receiver.upload()))));
        let known = prover.zip(offer).is_some_and(|(prover, offer)| self.job_of(env, prover, offer).is_some());
        if known {
            env.check.asked(id(receiver.upload()), env.now, self.grace_ms);
        }
        let Some(link) = self.links.get_mut(&conn) else { return };
        let wanted = link.session.want(env.millis(), receiver);
        env.check.ensure(!matches!(wanted, Err(SendError::Refused(_))), || format!("a want is refused: {wanted:?}"));
    }

    /// The task of an offer, if it is of this run.
    fn handed_for(&self, prover: ProverId, offer: &Offer) -> Option<Handed> {
        self.handed.get(&offer.task.0).filter(|handed| handed.prover == prover).copied()
    }

    /// The job that an offer is of. Without a task of this run only the first bytes can say it.
    fn job_of(&self, env: &Env<'_>, prover: ProverId, offer: &Offer) -> Option<JobId> {
        let head = env.disk.uploads.get(&(prover, id(offer.upload))).and_then(|bytes| Modelled::job_of(bytes));
        let by_head = head.and_then(|head| env.orders.iter().find(|order| chain_job(order.id) == head));
        self.handed_for(prover, offer).map(|handed| handed.job).or(by_head.map(|order| order.id))
    }

    /// Whether a proof that was offered can be good for anything, whatever its bytes are.
    fn is_wanted(&self, env: &Env<'_>, prover: ProverId, proof: ProofId) -> bool {
        let Some(offer) = self.offers.get(&(prover, proof)).filter(|_| !env.has(Bug::AskForAll)) else { return true };
        let handed = self.handed_for(prover, offer);
        let Some(job) = self.job_of(env, prover, offer) else { return true };
        if let Some(Handed { kind: Kind::Merge(..), .. }) = handed {
            return env.disk.is_live(job);
        }
        let range = range_of(offer.first.get(), offer.steps.get());
        range.is_none_or(|range| self.scheduler.wants(prover, job, range, handed.map(|handed| handed.task)))
    }

    /// Tells a prover that nobody wants its proof, without having all of it.
    fn turn_away(&mut self, env: &mut Env<'_>, prover: ProverId, proof: ProofId) -> Result<(), Crash> {
        if env.disk.offered.contains_key(&(prover, proof)) {
            env.disk.write(Record::Damaged(prover, proof))?;
        }
        self.tell(env, prover, proof, Outcome::NotNeeded);
        Ok(())
    }

    /// A job ended: what is under way for it may not be wanted any more.
    pub(super) fn drop_unwanted(&mut self, env: &mut Env<'_>, job: JobId) -> Result<(), Crash> {
        let under_way = self.offers.iter().filter(|((_, proof), _)| !self.pending.contains_key(proof));
        let of_job = under_way
            .filter(|((prover, _), offer)| self.handed_for(*prover, offer).is_some_and(|handed| handed.job == job));
        let unwanted = of_job.map(|(key, _)| *key).filter(|(prover, proof)| !self.is_wanted(env, *prover, *proof));
        for (prover, proof) in unwanted.collect::<Vec<_>>() {
            self.turn_away(env, prover, proof)?;
        }
        Ok(())
    }

    pub(super) fn chunk(&mut self, env: &mut Env<'_>, conn: u64, chunk: Chunk, state: ChunkState) -> Result<(), Crash> {
        let Some(prover) = self.links.get(&conn).and_then(|link| link.prover) else { return Ok(()) };
        let (proof, at) = (id(chunk.upload), usize::try_from(chunk.offset.get()).unwrap_or(usize::MAX));
        let end = chunk.offset.get() + chunk.bytes.len() as u64;
        log!(env.log, "{conn} > chunk {proof:?} to {end}");
        if state == ChunkState::Corrupt {
            env.disk.write(Record::Damaged(prover, proof))?;
            if let Some(offer) = self.offers.get(&(prover, proof)) {
                let receiver = UploadReceiver::new(offer.upload, offer.bytes.get());
                self.want(env, conn, receiver);
            }
            return Ok(());
        }
        env.disk.write(Record::Upload(prover, proof, at, chunk.bytes.into_vec()))?;
        if state == ChunkState::More && !self.is_wanted(env, prover, proof) {
            return self.turn_away(env, prover, proof);
        }
        if let (Some(link), Ok(bytes)) = (self.links.get_mut(&conn), Within::new(end)) {
            if state == ChunkState::More {
                env.check.asked(proof, env.now, self.grace_ms);
            }
            let sent = link.session.send(env.millis(), Stored { upload: chunk.upload, bytes });
            env.check.ensure(!matches!(sent, Err(SendError::Refused(_))), || format!("Stored is refused: {sent:?}"));
        }
        if state == ChunkState::Complete { self.complete(env, prover, proof) } else { Ok(()) }
    }

    /// All bytes of a proof are there and are the right ones.
    fn complete(&mut self, env: &mut Env<'_>, prover: ProverId, proof: ProofId) -> Result<(), Crash> {
        let Some(offer) = self.offers.get(&(prover, proof)) else { return Ok(()) };
        let steps = (offer.first.get(), offer.steps.get());
        let handed = self.handed_for(prover, offer);
        let Some(&payout) = self.payouts.get(&prover) else { return Ok(()) };
        if let Some(Handed { kind: Kind::Merge(left, right), task, job, .. }) = handed {
            let Some(range) = Range::new(left.start(), right.end()) else { return Ok(()) };
            let merge = Some((task, left, right));
            self.pending.insert(proof, Pending { prover, job, range, payout, merge });
            self.to_verify.push_back(proof);
            return Ok(());
        }
        if handed.is_some_and(|handed| matches!(handed.kind, Kind::Segment(whole) if steps.1 < whole.steps())) {
            env.check.prefixes += 1;
        }
        self.hand_in(env, (prover, proof), steps, payout, handed)
    }

    /// Tells the scheduler of a proof that is there.
    fn hand_in(
        &mut self,
        env: &mut Env<'_>,
        (prover, proof): (ProverId, ProofId),
        (first, steps): (u64, u64),
        payout: Address,
        handed: Option<Handed>,
    ) -> Result<(), Crash> {
        let read = env.disk.uploads.get(&(prover, proof)).and_then(|bytes| Modelled::decode(bytes));
        let known =
            read.and_then(|read| Some((env.orders.iter().find(|order| chain_job(order.id) == read.job)?, read)));
        let Some((order, read)) = known else {
            env.disk.write(Record::Damaged(prover, proof))?;
            self.tell(env, prover, proof, Outcome::Refused(Reason::lossy("not a proof of a known job")));
            return Ok(());
        };
        let range = range_of(first, steps).filter(|range| range.end().0 <= order.spec.steps && read.parts.len() == 1);
        let Some(range) = range else {
            return self.turn_away(env, prover, proof);
        };
        let (job, task) = (order.id, handed.filter(|handed| handed.job == order.id).map(|handed| handed.task));
        self.pending.insert(proof, Pending { prover, job, range, payout, merge: None });
        let times = if env.has(Bug::HandInTwice) { 2 } else { 1 };
        self.inbox.extend(vec![Event::ProofReceived { proof, prover, job, range, task }; times]);
        Ok(())
    }

    /// After a crash: proofs that are there in full and had no verdict are handed in again. Their provers may never
    /// come back, and may have forgotten the bytes since they were acknowledged.
    pub(super) fn restore_uploads(&mut self, env: &mut Env<'_>) -> Result<(), Crash> {
        let complete = |(key, offered): (&(ProverId, ProofId), &Offered)| {
            let bytes = env.disk.uploads.get(key).filter(|bytes| bytes.len() as u64 == offered.bytes)?;
            let is_right = UploadId::of(bytes).0 == key.1.0;
            let job = Modelled::job_of(bytes)?;
            let live = env.disk.jobs.keys().any(|id| chain_job(*id) == job && env.disk.is_live(*id));
            (is_right && live).then_some((*key, *offered))
        };
        let complete: Vec<_> = env.disk.offered.iter().filter_map(complete).collect();
        for (key, offered) in complete {
            env.check.restored += 1;
            self.hand_in(env, key, offered.steps, offered.payout, None)?;
        }
        Ok(())
    }

    /// A planted bug: what the prover has before the scheduler is given up for what it only announces.
    fn supersede_early(&mut self, env: &mut Env<'_>, prover: ProverId, offer: &Offer) -> Result<(), Crash> {
        let shorter = self.pending.iter().find(|(_, pending)| {
            let (first, steps) = (pending.range.start().0, pending.range.steps());
            pending.prover == prover && first == offer.first.get() && steps < offer.steps.get()
        });
        let Some((&proof, &Pending { job, range, merge: None, .. })) = shorter else { return Ok(()) };
        let verdict = Verdict::Superseded;
        env.disk.write(Record::Judged { proof, prover, job, range, verdict })?;
        env.check.judged(env.disk, proof, prover, range, verdict);
        Ok(())
    }

    /// Whether a proof holds, as the verifier would say.
    pub(super) fn verifies(&self, env: &Env<'_>, proof: ProofId) -> bool {
        let Some(pending) = self.pending.get(&proof) else { return false };
        let Some(order) = env.order(pending.job) else { return false };
        let bytes = env.disk.uploads.get(&(pending.prover, proof));
        let Some(mut read) = bytes.and_then(|bytes| Modelled::decode(bytes)) else { return false };
        let is_merge = pending.merge.is_some();
        match env.bug {
            Some(Bug::SkipMerge) if is_merge => return true,
            Some(Bug::RefuseGood) if !is_merge && proof.0[0] < 32 => return false,
            Some(Bug::SkipSeal) if !is_merge => read.sealed = true,
            Some(Bug::SkipEnd) if !is_merge => read.end = order.truth.state(pending.range.end().0).unwrap_or(read.end),
            Some(Bug::SkipProver) if !is_merge => read.parts[0].0 = pending.payout,
            _ => {}
        }
        read.proves(&order.truth, pending.range)
            && (is_merge || read.parts.iter().all(|(prover, _)| *prover == pending.payout))
    }

    /// Tells a prover what became of a proof, if it is there and waits for that.
    pub(super) fn tell(&mut self, env: &mut Env<'_>, prover: ProverId, proof: ProofId, outcome: Outcome) {
        self.offers.remove(&(prover, proof));
        let link = self.by_prover.get(&prover).and_then(|conn| self.links.get_mut(conn));
        log!(env.log, "{prover} < {proof:?}: {outcome:?}");
        let Some(link) = link.filter(|_| !env.has(Bug::ForgetVerdict)) else { return };
        let outcome = match (env.bug, outcome) {
            (Some(Bug::TellOther), Outcome::Accepted(_)) => Outcome::Refused(Reason::lossy("it does not verify")),
            (Some(Bug::TellMore), Outcome::Accepted(steps)) => {
                Outcome::Accepted(Within::new(steps.get() + 1).unwrap_or(steps))
            }
            (_, outcome) => outcome,
        };
        let verdict = crowdfold_wire::Verdict { upload: UploadId(proof.0), outcome };
        // It is refused where the proof was offered on another connection; then it is told with the next offer.
        _ = link.session.send(env.millis(), verdict);
    }
}

/// What a prover is told of a verdict.
pub(super) fn outcome(verdict: Verdict, range: Range) -> Outcome {
    let credited = |steps| Within::new(steps);
    match verdict {
        Verdict::Counted => credited(range.steps()).map_or(Outcome::NotNeeded, Outcome::Accepted),
        Verdict::Compensated { steps } => credited(steps).map_or(Outcome::NotNeeded, Outcome::Duplicate),
        Verdict::Spare { .. } => Outcome::Spare,
        Verdict::Superseded => Outcome::Superseded,
        Verdict::Late => Outcome::NotNeeded,
        Verdict::Refused => Outcome::Refused(Reason::lossy("the proof does not verify")),
    }
}
