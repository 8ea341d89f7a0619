//! Folding.

use super::Prover;
use crate::engine::{Engine, Failure, Merging, Opening, Proof};
use crate::limits::{ADRIFT_MS, MAX_RETRIES};
use crate::status::{Effect, ProofInfo, Worked};
use crate::task::{Chain, Folding, MergeTask};
use crowdfold_fold::Context;
use crowdfold_wire::limits::{MAX_RANGE_STEPS, MAX_UPLOAD_BYTES};
use crowdfold_wire::{Credit, Millis, Outcome, Progress, Reason, ReleaseReason, StepCount, TaskId, UploadId};
use rand_core::CryptoRngCore;
use std::sync::Arc;

fn failed(text: &str) -> ReleaseReason {
    ReleaseReason::Failed(Reason::lossy(text))
}

impl<E: Engine> Prover<E> {
    /// Folds one step, makes one proof or merges once, whatever is next. The end of a step is taken from the next
    /// call that has the time, so that the speed is measured right if some call follows at once.
    pub fn work(&mut self, now: Millis, rng: &mut dyn CryptoRngCore) -> Worked {
        self.speed.at(now);
        self.linger.at(now);
        self.review(now);
        let worked = self.work_once(now, rng);
        self.settle(now);
        worked
    }

    fn work_once(&mut self, now: Millis, rng: &mut dyn CryptoRngCore) -> Worked {
        if self.folding.as_ref().is_some_and(Folding::must_finish) {
            return self.finish(now, rng);
        }
        if self.check_in_at().is_some_and(|at| now >= at) {
            return self.check_in(now, rng);
        }
        // Merges are short, and others wait for them.
        let is_ready =
            |task: &MergeTask| task.is_ready() && self.engine.merges(&task.merge.program, &task.merge.parameters);
        if let Some(task) = self.merges.values().find(|task| is_ready(task)).map(|task| task.merge.task) {
            return self.merge(now, task, rng);
        }
        let is_uploading = self.is_uploading();
        if self.linger.lasts(now, is_uploading) {
            return Worked::Idle;
        }
        self.begin(now);
        self.step(now, rng)
    }

    /// Takes the first task that can be folded, and opens a chain if there is room for its proof.
    fn begin(&mut self, now: Millis) {
        if self.folding.is_none() {
            let next = self.waiting.values().find_map(|task| {
                let segment = &task.segment;
                let size = self.engine.size(&segment.program, &segment.parameters)?;
                task.next_input().map(|_| (segment.task, size))
            });
            let Some((id, size)) = next else { return };
            let Some(task) = self.waiting.remove(&id) else { return };
            self.folding = Some(Folding::new(task, size));
        }
        let Some(folding) = &self.folding else { return };
        let segment = &folding.task.segment;
        let is_loaded = self.engine.size(&segment.program, &segment.parameters).is_some();
        if folding.chain.is_some() || folding.task.next_input().is_none() || !is_loaded {
            return;
        }
        let is_too_large = folding.size.proof_bytes > self.config.held_bytes.min(MAX_UPLOAD_BYTES);
        let has_room = self.has_room(folding.size.proof_bytes);
        let Some(folding) = &mut self.folding else { return };
        if is_too_large {
            folding.end(ReleaseReason::OutOfMemory);
            return self.end_if_empty(now);
        }
        if !has_room {
            return;
        }
        let segment = &folding.task.segment;
        let opening = Opening {
            program: &segment.program,
            parameters: &segment.parameters,
            context: Context { job: segment.job, prover: self.config.payout },
            start: &segment.start,
        };
        match self.engine.open(&opening) {
            Ok(segment) => folding.chain = Some(Chain { segment, since: now, check_in: None }),
            Err(failure) => {
                folding.end(failed(&failure.to_string()));
                self.end_if_empty(now);
            }
        }
    }

    fn step(&mut self, now: Millis, rng: &mut dyn CryptoRngCore) -> Worked {
        let Some(Folding { task, size, chain, ending, retries, adrift, .. }) = &mut self.folding else {
            return Worked::Idle;
        };
        let (Some(open), Some(input)) = (chain.as_mut(), task.next_input()) else { return Worked::Idle };
        self.linger.step(now);
        match self.engine.push(&mut open.segment, input, rng) {
            Ok(_) => {
                *retries = 0;
                task.consume(now);
                self.totals.folded_steps += 1;
                self.speed.folded(now, size.rows);
                if adrift.is_none() {
                    self.report(now);
                }
                return Worked::Step;
            }
            Err(Failure::Retryable(_)) if *retries < MAX_RETRIES => {
                *retries += 1;
                return Worked::Step;
            }
            Err(Failure::Retryable(text) | Failure::Fatal(text)) => _ = ending.get_or_insert(failed(&text)),
            Err(Failure::BadProof(text)) => {
                *chain = None;
                ending.get_or_insert(failed(&text));
            }
        }
        self.end_if_empty(now);
        Worked::Step
    }

    /// Tells the coordinator how far the task is, and gives credit.
    fn report(&mut self, now: Millis) {
        let rows_per_second = self.speed.rows_per_second();
        let Some(folding) = &mut self.folding else { return };
        let (task, size) = (&mut folding.task, &folding.size);
        let id = task.id();
        let credit = task.credit_due(rows_per_second, size);
        credit.into_iter().for_each(|bytes| task.grant(bytes));
        let steps = task.report_due(now).and_then(|steps| StepCount::new(steps).ok());
        if let Some(bytes) = credit {
            self.send(now, Credit { task: id, bytes });
        }
        if let Some(steps) = steps {
            self.send(now, Progress { task: id, steps });
        }
    }

    /// Makes a proof of what the chain has so far. The chain goes on, and a longer proof of it takes this one's place.
    fn check_in(&mut self, now: Millis, rng: &mut dyn CryptoRngCore) -> Worked {
        let Some(folding) = &mut self.folding else { return Worked::Idle };
        let info = folding.proof_info();
        let Some(chain) = &mut folding.chain else { return Worked::Idle };
        chain.since = now;
        match self.engine.snapshot(&chain.segment, rng).and_then(check_bytes) {
            Ok(bytes) => {
                let upload = UploadId::of(&bytes);
                let last = chain.check_in.replace(upload);
                folding.kept = info.steps;
                self.keep(upload, info, bytes, last);
                self.offer(now);
            }
            Err(Failure::BadProof(text)) => {
                folding.chain = None;
                folding.end(failed(&text));
                self.end_if_empty(now);
            }
            // The chain is as good as before: it is tried again after another interval.
            Err(Failure::Retryable(_) | Failure::Fatal(_)) => {}
        }
        Worked::Finished
    }

    /// Makes the last proof of the chain.
    fn finish(&mut self, now: Millis, rng: &mut dyn CryptoRngCore) -> Worked {
        let Some(folding) = &mut self.folding else { return Worked::Idle };
        let Some(chain) = folding.chain.take() else { return Worked::Idle };
        let info = folding.proof_info();
        match self.engine.finish(chain.segment, rng).and_then(check_bytes) {
            Ok(bytes) => {
                folding.kept = info.steps;
                self.keep(UploadId::of(&bytes), info, bytes, chain.check_in);
            }
            Err(failure) => folding.end(failed(&failure.to_string())),
        }
        self.offer(now);
        let Some(Folding { task, kept, adrift: None, .. }) = &self.folding else {
            self.end_if_empty(now);
            return Worked::Finished;
        };
        let kept = *kept;
        if kept == task.steps() {
            self.folding = None;
            self.release_unless_ended(now, info.task, kept);
        }
        self.end_if_empty(now);
        Worked::Finished
    }

    /// The offer of a task's last proof ends it. Where it could not be made, the coordinator is told.
    fn release_unless_ended(&mut self, now: Millis, task: TaskId, kept: u64) {
        let is_open = self.session.as_ref().is_some_and(|session| session.open_tasks().any(|open| open == task));
        if is_open && self.is_open() {
            self.release(now, task, kept, failed("its last proof could not be offered"));
        }
    }

    /// Holds a finished proof, to be offered. `shorter` is a check-in of the same chain: if the coordinator has it in
    /// full, it needs no keeping any more. One that is under way may still arrive before this one does.
    fn keep(&mut self, upload: UploadId, info: ProofInfo, bytes: Vec<u8>, shorter: Option<UploadId>) {
        let bytes = Arc::new(bytes);
        if self.held.insert(upload, info, Arc::clone(&bytes)) {
            self.effects.push_back(Effect::Keep { upload, info, bytes });
        }
        let shorter = shorter.and_then(|upload| self.held.find(upload)).filter(|kept| self.is_stored(kept));
        if let Some(kept) = shorter.map(|kept| kept.upload).and_then(|upload| self.held.remove(upload)) {
            self.forget(&kept, Outcome::Superseded);
        }
    }

    fn merge(&mut self, now: Millis, id: TaskId, rng: &mut dyn CryptoRngCore) -> Worked {
        let Some(task) = self.merges.get_mut(&id) else { return Worked::Idle };
        let merge = &task.merge;
        let merging = Merging {
            program: &merge.program,
            parameters: &merge.parameters,
            job: &merge.job,
            left: task.inputs.first().map_or(&[], |input| &input.bytes),
            right: task.inputs.get(1).map(|input| &input.bytes[..]),
        };
        let merged = self.engine.merge(&merging, rng).and_then(check_proof);
        match merged {
            Ok(Proof { bytes, steps }) => {
                self.merges.remove(&id);
                self.keep(UploadId::of(&bytes), ProofInfo { task: id, first: 0, steps }, bytes, None);
                self.offer(now);
                self.release_unless_ended(now, id, 0);
            }
            Err(Failure::Retryable(_)) if task.retries < MAX_RETRIES => task.retries += 1,
            Err(failure) => self.drop_task(now, id, failed(&failure.to_string())),
        }
        Worked::Merged
    }

    /// Decides what has to end: deadlines, starvation, connections that don't come back.
    pub(super) fn review(&mut self, now: Millis) {
        let is_open = self.is_open();
        if let Some(folding) = &mut self.folding {
            if let Some(since) = folding.adrift {
                // The rest of an old connection's task is free already. What is folded counts as soon as it is offered.
                let is_out = folding.task.next_input().is_none();
                if is_open || is_out || now.since(since) >= ADRIFT_MS {
                    folding.end(ReleaseReason::Closing);
                }
            }
            if now >= folding.task.finish_by {
                folding.end(ReleaseReason::Deadline);
            }
            if folding.task.starves_at().is_some_and(|at| now >= at) {
                folding.end(ReleaseReason::Starved);
            }
        }
        self.end_if_empty(now);
        let waiting = self.waiting.values().map(|task| (task.id(), task.finish_by, task.starves_at()));
        let merges = self.merges.values().map(|task| (task.merge.task, task.finish_by, None));
        for (id, finish_by, starves_at) in waiting.chain(merges).collect::<Vec<_>>() {
            if now >= finish_by {
                self.drop_task(now, id, ReleaseReason::Deadline);
            } else if starves_at.is_some_and(|at| now >= at) {
                self.drop_task(now, id, ReleaseReason::Starved);
            }
        }
    }

    /// Ends the task that is to end if nothing of it is left to finish.
    pub(super) fn end_if_empty(&mut self, now: Millis) {
        let Some(folding) = &mut self.folding else { return };
        let is_proved = !folding.has_unproved();
        folding.chain.take_if(|_| is_proved && folding.ending.is_some());
        let is_done = folding.kept == folding.task.steps();
        if folding.chain.is_some() || folding.ending.is_none() && !is_done {
            return;
        }
        let Some(Folding { task, kept, ending, adrift, .. }) = self.folding.take() else { return };
        if adrift.is_none()
            && let Some(reason) = ending
        {
            self.release(now, task.id(), kept, reason);
        }
    }

    /// The connection is gone, and its tasks with it. What is being folded goes on for a while, see [`ADRIFT_MS`].
    pub(super) fn set_adrift(&mut self, now: Millis) {
        self.waiting.clear();
        self.merges.clear();
        if let Some(folding) = &mut self.folding {
            folding.adrift.get_or_insert(now);
        }
        self.review(now);
    }
}

fn check_bytes(bytes: Vec<u8>) -> Result<Vec<u8>, Failure> {
    if (1..=MAX_UPLOAD_BYTES).contains(&(bytes.len() as u64)) {
        Ok(bytes)
    } else {
        Err(Failure::Fatal(format!("a proof has 1 to {MAX_UPLOAD_BYTES} bytes, got {}", bytes.len())))
    }
}

fn check_proof(proof: Proof) -> Result<Proof, Failure> {
    if !(1..=MAX_RANGE_STEPS).contains(&proof.steps) {
        return Err(Failure::Fatal(format!("a merge covers 1 to {MAX_RANGE_STEPS} steps, got {}", proof.steps)));
    }
    check_bytes(proof.bytes).map(|bytes| Proof { bytes, ..proof })
}
