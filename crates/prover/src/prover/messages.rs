//! What the coordinator says.

use super::Prover;
use crate::engine::Engine;
use crate::held::Kept;
use crate::limits::MAX_RESTARTS;
use crate::status::Effect;
use crate::task::{MergeTask, Task};
use crowdfold_wire::{
    Cancel, Chunk, ChunkState, Event, FromCoordinator, Inputs, Merge, Millis, Outcome, Reason, Release, ReleaseReason,
    Segment, StepCount, Stored, TaskId, UploadId, UploadOffset, UploadReceiver, Verdict,
};

impl<E: Engine> Prover<E> {
    pub(super) fn event(&mut self, now: Millis, event: Event<FromCoordinator>) {
        match event {
            Event::Chunk(chunk, state) => self.chunk(now, chunk, state),
            Event::Message(FromCoordinator::Challenge(challenge)) => {
                let hello = self.config.hello(self.speed.rows_per_second(), self.engine.loaded());
                self.send(now, hello.sign(&challenge, &self.key));
            }
            Event::Message(FromCoordinator::Welcome(welcome)) => self.welcome(now, &welcome),
            Event::Message(FromCoordinator::Segment(segment)) => self.segment(now, segment),
            Event::Message(FromCoordinator::Inputs(inputs)) => self.inputs(inputs),
            Event::Message(FromCoordinator::Cancel(cancel)) => self.cancel(&cancel),
            Event::Message(FromCoordinator::Merge(merge)) => self.merge_task(now, merge),
            Event::Message(FromCoordinator::Verdict(verdict)) => self.verdict(verdict),
            // The session goes by `Want` and `Stored` when it says which bytes come next; the rest is its own.
            Event::Message(
                FromCoordinator::Want(_)
                | FromCoordinator::Stored(_)
                | FromCoordinator::Goodbye(_)
                | FromCoordinator::Chunk(_)
                | FromCoordinator::Ping(_)
                | FromCoordinator::Pong(_),
            ) => {}
        }
    }

    /// Hands a task back of which so many steps are in proofs.
    pub(super) fn release(&mut self, now: Millis, task: TaskId, kept: u64, reason: ReleaseReason) {
        if let Ok(kept) = StepCount::new(kept) {
            self.send(now, Release { task, kept, reason });
        }
    }

    /// Why no task is taken now, or none of this program.
    fn refusal(&self, program: &str) -> Option<ReleaseReason> {
        if self.stopping {
            Some(ReleaseReason::Closing)
        } else if self.paused {
            Some(ReleaseReason::Paused)
        } else if !self.engine.knows(program) {
            Some(ReleaseReason::Unable(Reason::lossy(&format!("this prover does not have the program `{program}`"))))
        } else {
            None
        }
    }

    fn segment(&mut self, now: Millis, segment: Segment) {
        match self.refusal(&segment.program) {
            Some(reason) => self.release(now, segment.task, 0, reason),
            None => _ = self.waiting.insert(segment.task, Task::new(now, segment)),
        }
    }

    fn inputs(&mut self, inputs: Inputs) {
        let folding = self.folding.as_mut().filter(|folding| folding.is(inputs.task)).map(|folding| &mut folding.task);
        if let Some(task) = folding.or_else(|| self.waiting.get_mut(&inputs.task)) {
            task.receive(inputs);
        }
    }

    /// Drops a task and what is not finished of it. Proofs that it gave are offered: their verdict ends them.
    fn cancel(&mut self, cancel: &Cancel) {
        self.folding.take_if(|folding| folding.is(cancel.task));
        self.waiting.remove(&cancel.task);
        self.merges.remove(&cancel.task);
    }

    fn merge_task(&mut self, now: Millis, merge: Merge) {
        let task = MergeTask::new(now, merge);
        let merge = &task.merge;
        let refusal = self.refusal(&merge.program);
        let refusal = refusal.or_else(|| (!self.has_room(task.bytes())).then_some(ReleaseReason::OutOfMemory));
        if let Some(reason) = refusal {
            return self.release(now, merge.task, 0, reason);
        }
        let wanted: Vec<_> = task.inputs.iter().map(|input| (input.blob.upload, input.blob.bytes.get())).collect();
        self.merges.insert(merge.task, task);
        wanted.into_iter().for_each(|(upload, bytes)| self.want(now, upload, bytes));
    }

    /// Asks for a merge input from its start.
    fn want(&mut self, now: Millis, upload: UploadId, bytes: u64) {
        let Some(session) = &mut self.session else { return };
        if let Err(crowdfold_wire::SendError::Ended(ended)) = session.want(now, UploadReceiver::new(upload, bytes)) {
            self.session_ended(now, ended);
        }
    }

    fn chunk(&mut self, now: Millis, chunk: Chunk, state: ChunkState) {
        let found = self.merges.values_mut().find_map(|task| Some((task.merge.task, task.input(chunk.upload)?)));
        let Some((task, input)) = found else { return };
        if state == ChunkState::Corrupt {
            input.bytes = Vec::new();
            input.restarts += 1;
            if input.restarts > MAX_RESTARTS {
                let text = Reason::lossy("a proof to merge came damaged again and again");
                return self.drop_task(now, task, ReleaseReason::Failed(text));
            }
            let bytes = input.blob.bytes.get();
            return self.want(now, chunk.upload, bytes);
        }
        input.bytes.extend_from_slice(&chunk.bytes);
        input.is_complete = state == ChunkState::Complete;
        if let Ok(bytes) = UploadOffset::new(input.bytes.len() as u64) {
            self.send(now, Stored { upload: chunk.upload, bytes });
        }
    }

    fn verdict(&mut self, verdict: Verdict) {
        match self.held.remove(verdict.upload) {
            Some(kept) => self.forget(&kept, verdict.outcome),
            // A check-in that has been forgotten for a longer proof. If it counts after all, that is to be seen.
            None if verdict.outcome != Outcome::Superseded => self.totals.add(&verdict.outcome),
            None => {}
        }
    }

    /// Something has become of a proof that was held.
    pub(super) fn forget(&mut self, kept: &Kept, outcome: Outcome) {
        self.totals.add(&outcome);
        self.effects.push_back(Effect::Forget { upload: kept.upload, info: kept.info, outcome });
    }

    /// Hands a task back of which nothing more will come.
    pub(super) fn drop_task(&mut self, now: Millis, task: TaskId, reason: ReleaseReason) {
        if let Some(folding) = self.folding.as_mut().filter(|folding| folding.is(task)) {
            folding.end(reason);
            return self.end_if_empty(now);
        }
        if self.waiting.remove(&task).is_some() | self.merges.remove(&task).is_some() {
            self.release(now, task, 0, reason);
        }
    }

    /// Hands everything back.
    pub(super) fn hand_back(&mut self, now: Millis, reason: &ReleaseReason) {
        let tasks: Vec<TaskId> = self.waiting.keys().chain(self.merges.keys()).copied().collect();
        tasks.into_iter().for_each(|task| self.drop_task(now, task, reason.clone()));
        if let Some(folding) = &mut self.folding {
            folding.end(reason.clone());
        }
        self.end_if_empty(now);
    }
}
