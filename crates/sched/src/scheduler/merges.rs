//! Adjacent ranges of the cover merge, on provers that are able or natively.

use super::{Scheduler, Timer};
use crate::effect::{BadEvent, CancelReason, Effect, JobEnd};
use crate::ids::{JobId, Millis, ProverId, Range, TaskId};
use crate::job::Node;
use crate::limits;

/// Who does a merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nobody yet; its place in the queue.
    Queue(u64),
    /// The coordinator.
    Native,
    /// A prover, till when.
    Prover(ProverId, Millis),
}

/// A merge of two neighbours in the cover.
#[derive(Debug)]
pub(super) struct Merge {
    job: JobId,
    left: Range,
    right: Range,
    place: Place,
    /// Times that it failed natively.
    failed: u32,
}

impl Scheduler {
    /// Merges the range proof at `start` with a neighbour, if there is one that is free.
    pub(super) fn merge_at(&mut self, id: JobId, start: u64) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some((left, right)) = job.mergeable(start) else { return };
        let task = self.leases.merge();
        for lo in [left.lo, right.lo] {
            if let Some(node) = job.cover.get_mut(&lo) {
                node.merge = Some(task);
            }
        }
        let memory = job.spec.memory.0;
        let place = Place::Queue(self.merge_count);
        self.merge_queue.insert((self.merge_count, task));
        self.merge_count += 1;
        self.merges.insert(task, Merge { job: id, left, right, place, failed: 0 });
        match self.waiting_merge.range((memory, ProverId(0))..).next().copied() {
            Some((_, prover)) => self.assign_merge(prover, task),
            None => self.merge_natively(),
        }
    }

    fn assign_merge(&mut self, to: ProverId, task: TaskId) {
        let Some(merge) = self.merges.get_mut(&task) else { return };
        let Some(prover) = self.provers.get_mut(&to) else { return };
        if let Place::Queue(at) = merge.place {
            self.merge_queue.remove(&(at, task));
        }
        let deadline = self.now.after(self.config.merge_ms);
        merge.place = Place::Prover(to, deadline);
        prover.merging.push(task);
        prover.want_merges = prover.want_merges.saturating_sub(1);
        self.timers.insert((deadline, Timer::Merge(task)));
        let Merge { job, left, right, .. } = *merge;
        self.out.push(Effect::AssignMerge { task, prover: to, job, left, right, deadline });
        self.update_waiting(to);
    }

    /// Starts merges natively while there are both merges and cores.
    fn merge_natively(&mut self) {
        while self.native < self.config.native_merges.max(1)
            && let Some((_, task)) = self.merge_queue.pop_first()
        {
            self.start_natively(task);
        }
    }

    fn start_natively(&mut self, task: TaskId) {
        let Some(merge) = self.merges.get_mut(&task) else { return };
        merge.place = Place::Native;
        self.native += 1;
        let Merge { job, left, right, .. } = *merge;
        self.out.push(Effect::MergeNatively { task, job, left, right });
    }

    /// A prover would take merges: those that wait for a core.
    pub(super) fn offer_merges(&mut self, id: ProverId) {
        loop {
            let Some(prover) = self.provers.get(&id).filter(|prover| prover.waiting_merge.is_some()) else { return };
            let fits = |task: &TaskId| {
                let job = self.merges.get(task).and_then(|merge| self.jobs.get(&merge.job));
                job.is_some_and(|job| job.spec.memory.0 <= prover.memory)
            };
            let mut queue = self.merge_queue.iter().take(limits::LOOKS).map(|&(_, task)| task);
            let Some(task) = queue.find(fits) else { return };
            self.assign_merge(id, task);
        }
    }

    /// The prover of a merge is not counted on any more. It keeps its name: whoever finishes it first has done it.
    pub(super) fn merge_lost(&mut self, task: TaskId) {
        self.leave_place(task);
        self.start_natively(task);
    }

    fn leave_place(&mut self, task: TaskId) {
        match self.merges.get(&task).map(|merge| merge.place) {
            Some(Place::Queue(at)) => {
                self.merge_queue.remove(&(at, task));
            }
            Some(Place::Native) => self.native = self.native.saturating_sub(1),
            Some(Place::Prover(id, deadline)) => {
                self.timers.remove(&(deadline, Timer::Merge(task)));
                if let Some(prover) = self.provers.get_mut(&id) {
                    prover.merging.retain(|&other| other != task);
                }
                self.update_waiting(id);
                self.may_forget(id);
            }
            None => {}
        }
    }

    /// Whom to tell when a merge is cancelled: nobody while it waits.
    fn tell_cancelled(&mut self, task: TaskId, reason: CancelReason) {
        match self.merges.get(&task).map(|merge| merge.place) {
            Some(Place::Native) => self.out.push(Effect::Cancel { task, prover: None, reason }),
            Some(Place::Prover(id, _)) => self.out.push(Effect::Cancel { task, prover: Some(id), reason }),
            Some(Place::Queue(_)) | None => {}
        }
    }

    pub(super) fn merge_timer(&mut self, task: TaskId) {
        self.tell_cancelled(task, CancelReason::Deadline);
        self.merge_lost(task);
    }

    /// Stops a merge whose job ends.
    pub(super) fn drop_merge(&mut self, task: TaskId) {
        self.tell_cancelled(task, CancelReason::JobEnded);
        self.leave_place(task);
        self.merges.remove(&task);
        self.merge_natively();
    }

    pub(super) fn merge_done(&mut self, task: TaskId) -> Result<(), BadEvent> {
        if !self.merges.contains_key(&task) {
            return Err(BadEvent::UnknownTask(task));
        }
        self.leave_place(task);
        if let Some(Merge { job: id, left, right, .. }) = self.merges.remove(&task)
            && let Some(job) = self.jobs.get_mut(&id)
        {
            job.cover.remove(&right.lo);
            job.cover.insert(left.lo, Node { end: right.hi, merge: None });
            if job.done() {
                self.end_job(id, JobEnd::Done);
            } else {
                self.merge_at(id, left.lo);
            }
        }
        self.merge_natively();
        Ok(())
    }

    pub(super) fn merge_failed(&mut self, task: TaskId, by: Option<ProverId>, bad_proof: bool) -> Result<(), BadEvent> {
        let merge = self.merges.get_mut(&task).ok_or(BadEvent::UnknownTask(task))?;
        match (merge.place, by) {
            (Place::Native, None) => {
                merge.failed += 1;
                let (id, failed) = (merge.job, merge.failed);
                if failed >= limits::NATIVE_TRIES {
                    self.end_job(id, JobEnd::Failed);
                } else {
                    self.merge_lost(task);
                }
            }
            (Place::Prover(at, _), Some(from)) if at == from => {
                self.merge_lost(task);
                if bad_proof {
                    self.suspend(from);
                }
            }
            // Of somebody who was not waited for any more.
            (_, Some(from)) if bad_proof => self.suspend(from),
            _ => return Err(BadEvent::UnknownTask(task)),
        }
        Ok(())
    }
}
