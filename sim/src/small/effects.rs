//! What the model coordinator does about the scheduler's effects: first what must be durable, then the rest.

use crowdfold_sched::{CancelReason, Effect, Event, JobId, ProofId, ProverId, Range, TaskId, Verdict};
use crowdfold_wire::{
    Blob, Cancel, Goodbye, GoodbyeCode, Merge, Outcome, Reason, Segment, SendError, Text, UploadId, Within,
};

use super::coordinator::{Coordinator, Env, Handed, Kind, Pending, Work};
use super::disk::{Crash, Record};
use super::log::log;
use super::plan::chain_job;
use super::plant::{self, Bug};
use super::uploads::outcome;
use crate::model::{Modelled, PARAMETERS, PROGRAM};

/// Milliseconds of a core for verifying: of one proof alone, and of each in a batch.
const VERIFY_MS: u64 = 80;
const VERIFY_EACH_MS: u64 = 7;
/// Proofs of a batch.
const BATCH: usize = 16;
/// Milliseconds of a core for merging two segments, and two merged ranges.
const MERGE_SEGMENTS_MS: u64 = 440;
const MERGE_RANGES_MS: u64 = 840;

impl Coordinator {
    /// Works through events and effects until there is nothing left to do at this moment.
    pub(super) fn settle(&mut self, env: &mut Env<'_>) -> Result<(), Crash> {
        loop {
            self.report_ready(env.bug);
            let Some(event) = self.inbox.pop_front() else { break };
            let effects = self.scheduler.step(crowdfold_sched::Millis(env.now), plant::hears(env.bug, event));
            let effects = plant::says(env.bug, effects, |effect| match effect {
                Effect::Assign { job, .. } => env.order(*job).map(|order| order.spec.steps),
                _ => None,
            });
            if event != Event::Tick || !effects.is_empty() {
                log!(env.log, "{event:?} -> {effects:?}");
            }
            env.check.after_step(env.now, &self.scheduler, event, &effects, (env.disk, env.orders));
            for effect in &effects {
                self.write_down(env, effect)?;
            }
            for effect in effects {
                self.act(env, effect);
                if let Effect::JobEnded { job, .. } = effect {
                    self.drop_unwanted(env, job)?;
                }
            }
        }
        for job in self.open_jobs() {
            let is_over = matches!(env.disk.jobs.get(&job), Some(Some(_)));
            env.check.ensure(!is_over, || format!("job {job} is over, and a task of it is open"));
        }
        self.send_bulk(env);
        self.employ(env);
        Ok(())
    }

    fn write_down(&mut self, env: &mut Env<'_>, effect: &Effect) -> Result<(), Crash> {
        match *effect {
            Effect::Verdict { proof, prover, job, range, verdict } => {
                let is_other = env.has(Bug::CreditOther) && verdict == Verdict::Counted;
                let prover = if is_other { ProverId(!prover.0) } else { prover };
                let record = Record::Judged { proof, prover, job, range, verdict };
                if env.has(Bug::TellEarly) && matches!(verdict, Verdict::Compensated { .. }) {
                    self.late.push(record);
                    return Ok(());
                }
                self.catch_up(env)?;
                let second = env.disk.judged.contains_key(&proof) && verdict != Verdict::Counted;
                if env.has(Bug::LoseSpare) && second {
                    return Ok(());
                }
                env.disk.write(record)?;
                env.check.judged(env.disk, proof, prover, range, verdict);
                Ok(())
            }
            Effect::JobEnded { job, end } => {
                let order = env.order(job);
                if let Some(order) = order {
                    env.check.ended(env.disk, order, end, env.now);
                }
                self.catch_up(env)?;
                env.disk.write(Record::Ended(job, end))
            }
            _ => Ok(()),
        }
    }

    fn act(&mut self, env: &mut Env<'_>, effect: Effect) {
        match effect {
            Effect::Assign { task, prover, job, range, soft, hard } => {
                let wire = self.name(Handed { task, prover, job, kind: Kind::Segment(range) });
                self.assign(env, wire, prover, job, range, soft.0, hard.0);
            }
            Effect::AssignMerge { task, prover, job, left, right, deadline } => {
                let wire = self.name(Handed { task, prover, job, kind: Kind::Merge(left, right) });
                if !self.assign_merge(env, wire, prover, job, left, right, deadline.0) {
                    self.inbox.push_back(Event::MergeFailed { task, prover: Some(prover), bad_proof: false });
                }
            }
            Effect::MergeNatively { task, .. } if env.has(Bug::ForgetMerge) && self.wire_of.contains_key(&task) => {}
            Effect::MergeNatively { task, job, left, right } => {
                self.to_merge.push_back(Work::Merge(task, job, left, right));
            }
            Effect::Cancel { task, prover: Some(prover), reason } => self.cancel_task(env, task, prover, reason),
            Effect::Cancel { task, prover: None, .. } => {
                self.to_merge.retain(|work| !matches!(work, Work::Merge(other, ..) if *other == task));
            }
            Effect::Verify { proof, .. } => self.to_verify.push_back(proof),
            Effect::Verdict { proof, prover, range, verdict, .. } => {
                self.pending.remove(&proof);
                self.tell(env, prover, proof, outcome(verdict, range));
            }
            Effect::Suspend { prover, .. } => {
                if let Some(link) = self.by_prover.get(&prover).and_then(|conn| self.links.get_mut(conn)) {
                    let text = Reason::lossy("bad proofs; connect again later");
                    let code = if env.has(Bug::BanForEver) { GoodbyeCode::Replaced } else { GoodbyeCode::Suspended };
                    link.session.goodbye(env.millis(), Goodbye { code, text });
                }
            }
            Effect::JobEnded { .. } | Effect::Forgiven { .. } | Effect::Ignored(_) => {}
        }
    }

    fn name(&mut self, handed: Handed) -> u64 {
        self.next_wire += 1;
        self.handed.insert(self.next_wire, handed);
        self.wire_of.insert(handed.task, self.next_wire);
        self.next_wire
    }

    #[allow(clippy::too_many_arguments)]
    fn assign(
        &mut self,
        env: &mut Env<'_>,
        wire: u64,
        prover: ProverId,
        job: JobId,
        range: Range,
        soft: u64,
        hard: u64,
    ) {
        let link = self.by_prover.get(&prover).and_then(|conn| self.links.get_mut(conn));
        let there = link.as_ref().is_some_and(|link| link.session.ended().is_none());
        let Some((link, order)) = link.zip(env.order(job)).filter(|_| there) else { return };
        link.told.0 = link.told.0.saturating_sub(1);
        let state = order.truth.state(range.start().0 + u64::from(env.has(Bug::SendOtherState)));
        let ms = |at: u64| u32::try_from(at.saturating_sub(env.now)).unwrap_or(u32::MAX);
        let more = u64::from(env.has(Bug::SendOtherSegment));
        let parts = (Within::new(range.start().0), Within::new(range.steps() + more), Text::new(PROGRAM));
        let (Some(state), (Ok(first), Ok(steps), Ok(program))) = (state, parts) else { return };
        let segment = Segment {
            task: crowdfold_wire::TaskId(wire),
            job: chain_job(job),
            program,
            parameters: PARAMETERS,
            first,
            steps,
            start: crowdfold_wire::Bytes::new(state.to_le_bytes()).unwrap_or_default(),
            soft_ms: ms(soft),
            hard_ms: ms(hard),
        };
        let sent = link.session.send(env.millis(), segment);
        env.check.ensure(!matches!(sent, Err(SendError::Refused(_))), || format!("a segment is refused: {sent:?}"));
    }

    #[allow(clippy::too_many_arguments)]
    fn assign_merge(
        &mut self,
        env: &mut Env<'_>,
        wire: u64,
        prover: ProverId,
        job: JobId,
        left: Range,
        right: Range,
        deadline: u64,
    ) -> bool {
        let blob = |range| {
            let (proof, bytes) = env.disk.proof_of(job, range)?;
            Some(Blob { upload: UploadId(proof.0), bytes: Within::new(bytes.len() as u64).ok()? })
        };
        let (Some(left), Some(mut right), Ok(program)) = (blob(left), blob(right), Text::new(PROGRAM)) else {
            return false;
        };
        let others = env.disk.blobs.iter().filter(|(proof, _)| ![left.upload.0, right.upload.0].contains(&proof.0));
        if let Some((proof, bytes)) = others.take(usize::from(env.has(Bug::SendOtherMerge))).next() {
            let Ok(bytes) = Within::new(bytes.len() as u64) else { return false };
            right = Blob { upload: UploadId(proof.0), bytes };
        }
        let Some(link) = self.by_prover.get(&prover).and_then(|conn| self.links.get_mut(conn)) else { return false };
        link.told.1 = link.told.1.saturating_sub(1);
        let ms = u32::try_from(deadline.saturating_sub(env.now)).unwrap_or(u32::MAX);
        let merge = Merge {
            task: crowdfold_wire::TaskId(wire),
            job: chain_job(job),
            program,
            parameters: PARAMETERS,
            left,
            right: Some(right),
            soft_ms: ms,
            hard_ms: ms,
        };
        // A proof goes to a prover once on a connection, so this can be refused.
        link.session.send(env.millis(), merge).is_ok()
    }

    fn cancel_task(&mut self, env: &mut Env<'_>, task: TaskId, prover: ProverId, reason: CancelReason) {
        let reason = match reason {
            CancelReason::JobEnded => crowdfold_wire::CancelReason::JobEnded,
            CancelReason::Covered => crowdfold_wire::CancelReason::Covered,
            CancelReason::Deadline | CancelReason::Suspended => crowdfold_wire::CancelReason::Deadline,
        };
        let link = self.by_prover.get(&prover).and_then(|conn| self.links.get_mut(conn));
        let Some((link, &wire)) = link.zip(self.wire_of.get(&task)) else { return };
        let wire = crowdfold_wire::TaskId(wire);
        if link.session.open_tasks().any(|open| open == wire) {
            _ = link.session.send(env.millis(), Cancel { task: wire, reason });
        }
    }

    /// Gives free cores something to do: verifying first, because credit and merges wait for it.
    fn employ(&mut self, env: &mut Env<'_>) {
        while self.running.len() < self.cores {
            let work = if self.to_verify.is_empty() {
                let Some(work) = self.to_merge.pop_front() else { return };
                work
            } else {
                let batch: Vec<_> = self.to_verify.drain(..self.to_verify.len().min(BATCH)).collect();
                Work::Verify(batch.into_iter().map(|proof| (proof, self.verifies(env, proof))).collect())
            };
            let ms = match &work {
                Work::Verify(batch) => verify_ms(batch),
                Work::Merge(_, _, left, right) if left.steps() + right.steps() > 64 => MERGE_RANGES_MS,
                Work::Merge(..) => MERGE_SEGMENTS_MS,
            };
            let ms = if env.has(Bug::Undetermined) { ms + plant::undetermined() } else { ms };
            self.works += 1;
            self.running.insert(self.works, work);
            env.later.push((ms, self.works));
        }
    }

    /// A core is done.
    pub(crate) fn worked(&mut self, env: &mut Env<'_>, work: u64) -> Result<(), Crash> {
        match self.running.remove(&work) {
            None => {}
            Some(Work::Verify(batch)) => {
                for (proof, valid) in batch {
                    self.verified(env, proof, valid)?;
                    self.settle(env)?;
                }
            }
            Some(Work::Merge(task, job, left, right)) => {
                let read = |range| {
                    env.disk.proof_of(job, range).and_then(|(_, bytes)| Some((bytes.len(), Modelled::decode(bytes)?)))
                };
                let merged = read(left).zip(read(right)).and_then(|((length, left), (_, right))| {
                    let mut merged = Modelled::merge(&left, &right)?;
                    if env.has(Bug::SwapReceipts) {
                        merged.parts.rotate_left(left.parts.len());
                    }
                    Some(merged.encode(length))
                });
                if env.has(Bug::FailMerges) {
                    self.inbox.push_back(Event::MergeFailed { task, prover: None, bad_proof: false });
                } else if let Some(bytes) = merged.filter(|_| env.disk.is_live(job)) {
                    self.merged(env, task, job, left, right, bytes)?;
                }
            }
        }
        self.settle(env)
    }

    fn merged(
        &mut self,
        env: &mut Env<'_>,
        task: TaskId,
        job: JobId,
        left: Range,
        right: Range,
        bytes: Vec<u8>,
    ) -> Result<(), Crash> {
        let Some(range) = Range::new(left.start(), right.end()) else { return Ok(()) };
        let proof = ProofId(UploadId::of(&bytes).0);
        env.disk.write(Record::Merged { job, range, proof, bytes })?;
        self.inbox.push_back(Event::MergeDone { task });
        Ok(())
    }

    fn verified(&mut self, env: &mut Env<'_>, proof: ProofId, valid: bool) -> Result<(), Crash> {
        let Some(Pending { prover, job, range, merge, .. }) = self.pending.get(&proof).copied() else { return Ok(()) };
        let Some((task, left, right)) = merge else {
            if env.has(Bug::KeepPending) && !env.disk.is_live(job) {
                self.tell(env, prover, proof, Outcome::NotNeeded);
                return Ok(());
            }
            self.inbox.push_back(if valid { Event::Verified { proof } } else { Event::Refused { proof } });
            return Ok(());
        };
        self.pending.remove(&proof);
        let bytes = env.disk.uploads.get(&(prover, proof)).cloned();
        env.disk.write(Record::Damaged(prover, proof))?;
        let there = env.disk.proof_of(job, left).is_some() && env.disk.proof_of(job, right).is_some();
        let told = match bytes.filter(|_| valid) {
            None => {
                self.inbox.push_back(Event::MergeFailed { task, prover: Some(prover), bad_proof: true });
                Outcome::Refused(Reason::lossy("the merge does not verify"))
            }
            Some(bytes) if there && env.disk.is_live(job) => {
                self.merged(env, task, job, left, right, bytes)?;
                Within::new(range.steps()).map_or(Outcome::NotNeeded, Outcome::Accepted)
            }
            Some(_) => Outcome::NotNeeded,
        };
        self.tell(env, prover, proof, told);
        Ok(())
    }
}

/// What a batch costs: all at once, and halves of it again where one of them is bad.
fn verify_ms(batch: &[(ProofId, bool)]) -> u64 {
    let own = VERIFY_MS + VERIFY_EACH_MS * (batch.len() as u64 - 1);
    if batch.len() < 2 || batch.iter().all(|(_, valid)| *valid) {
        return own;
    }
    let (left, right) = batch.split_at(batch.len() / 2);
    own + verify_ms(left) + verify_ms(right)
}
