//! The open tasks of a connection. Both ends keep the same table by the same rules, so what one may send the other may
//! receive; messages that were under way when a task ended are ignored.

use crate::goodbye::{GoodbyeCode, Violation, ensure};
use crate::limits::{INITIAL_CREDIT_BYTES, MAX_CREDIT_BYTES};
use crate::message::{Credit, Inputs, Merge, Offer, Progress, Ready, Release, Segment};
use crate::names::{TaskId, UploadId};
use std::collections::BTreeMap;

/// How far a segment is: inputs sent (or received), and credit.
#[derive(Debug)]
struct Flow {
    first: u64,
    steps: u64,
    inputs: u64,
    cost: u64,
    credit: u64,
    folded: u64,
}

#[derive(Debug)]
enum Task {
    Segment(Flow),
    Merge(Vec<UploadId>),
}

/// Who sent the message that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// This end is about to send it, so it has to be right.
    Us,
    /// It came from the other end, which could not know yet what has ended here.
    Peer,
}

#[derive(Debug, Default)]
pub(super) struct Tasks {
    open: BTreeMap<TaskId, Task>,
    highest: Option<TaskId>,
    most: u64,
    most_merges: u64,
}

impl Tasks {
    /// What the prover wants from now on, at the coordinator's end.
    pub(super) fn set_most(&mut self, ready: &Ready) {
        (self.most, self.most_merges) = (ready.tasks.get(), ready.merges.get());
    }

    /// The same at the prover's end: tasks that are under way may still be as many as it ever wanted.
    pub(super) fn raise_most(&mut self, ready: &Ready) {
        (self.most, self.most_merges) = (self.most.max(ready.tasks.get()), self.most_merges.max(ready.merges.get()));
    }

    pub(super) fn open(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.open.keys().copied()
    }

    fn find(&mut self, task: TaskId, from: From) -> Result<Option<&mut Task>, Violation> {
        let known = self.open.contains_key(&task) || from == From::Peer && self.highest >= Some(task);
        ensure(known, GoodbyeCode::UnknownTask, || format!("task {} is not open on this connection", task.0))?;
        Ok(self.open.get_mut(&task))
    }

    fn segment(&mut self, task: TaskId, from: From) -> Result<Option<&mut Flow>, Violation> {
        match self.find(task, from)? {
            None => Ok(None),
            Some(Task::Segment(flow)) => Ok(Some(flow)),
            Some(Task::Merge(_)) => {
                Err(Violation::new(GoodbyeCode::UnknownTask, format!("task {} is a merge, expected a segment", task.0)))
            }
        }
    }

    fn check_new(&self, task: TaskId) -> Result<(), Violation> {
        ensure(Some(task) > self.highest, GoodbyeCode::DuplicateTask, || {
            format!("task {} does not come after those before it", task.0)
        })?;
        ensure((self.open.len() as u64) < self.most, GoodbyeCode::TooManyTasks, || {
            format!("{} tasks are open, the prover wants {}", self.open.len(), self.most)
        })
    }

    pub(super) fn add_segment(&mut self, segment: &Segment) -> Result<(), Violation> {
        self.check_new(segment.task)?;
        self.highest = Some(segment.task);
        let (first, steps) = (segment.first.get(), segment.steps.get());
        let flow = Flow { first, steps, inputs: 0, cost: 0, credit: INITIAL_CREDIT_BYTES, folded: 0 };
        self.open.insert(segment.task, Task::Segment(flow));
        Ok(())
    }

    /// Before [`Tasks::add_merge`], so that other checks can come between.
    pub(super) fn check_merge(&self, merge: &Merge) -> Result<(), Violation> {
        self.check_new(merge.task)?;
        let merges = self.open.values().filter(|task| matches!(task, Task::Merge(_))).count() as u64;
        ensure(merges < self.most_merges, GoodbyeCode::TooManyTasks, || {
            format!("{merges} merges are open, the prover wants {}", self.most_merges)
        })
    }

    pub(super) fn add_merge(&mut self, merge: &Merge) {
        self.highest = Some(merge.task);
        let blobs = std::iter::once(&merge.left).chain(&merge.right).map(|blob| blob.upload).collect();
        self.open.insert(merge.task, Task::Merge(blobs));
    }

    /// Inputs must be the next ones and within the credit. False if the task has ended.
    pub(super) fn inputs(&mut self, message: &Inputs, from: From) -> Result<bool, Violation> {
        let Some(flow) = self.segment(message.task, from)? else { return Ok(false) };
        let (index, end) = (message.index.get(), message.index.get() + message.inputs.len() as u64);
        ensure(index == flow.inputs && end <= flow.steps, GoodbyeCode::BadInputs, || {
            format!("expected inputs from {} on of {}, got {index} to {end}", flow.inputs, flow.steps)
        })?;
        let cost = flow.cost + message.inputs.cost();
        ensure(cost <= flow.credit, GoodbyeCode::BeyondCredit, || {
            format!("inputs of {cost} bytes were sent on a credit of {}", flow.credit)
        })?;
        (flow.inputs, flow.cost) = (end, cost);
        Ok(true)
    }

    pub(super) fn credit(&mut self, message: &Credit, from: From) -> Result<bool, Violation> {
        let Some(flow) = self.segment(message.task, from)? else { return Ok(false) };
        let most = flow.cost + MAX_CREDIT_BYTES;
        ensure(flow.credit < message.bytes && message.bytes <= most, GoodbyeCode::BadCredit, || {
            format!("credit must rise above {} and is limited to {most}, got {}", flow.credit, message.bytes)
        })?;
        flow.credit = message.bytes;
        Ok(true)
    }

    /// Credit that is left and the index of the next input.
    pub(super) fn credit_left(&self, task: TaskId) -> Option<(u64, u64)> {
        match self.open.get(&task)? {
            Task::Segment(flow) => Some((flow.credit - flow.cost, flow.inputs)),
            Task::Merge(_) => None,
        }
    }

    pub(super) fn progress(&mut self, message: &Progress, from: From) -> Result<bool, Violation> {
        let Some(flow) = self.segment(message.task, from)? else { return Ok(false) };
        let found = message.steps.get();
        ensure((flow.folded..=flow.inputs).contains(&found), GoodbyeCode::BadProgress, || {
            format!("expected {} to {} steps folded, got {found}", flow.folded, flow.inputs)
        })?;
        flow.folded = found;
        Ok(true)
    }

    /// Ends the task; the merge inputs that end with it, or `None` if it had ended.
    pub(super) fn release(&mut self, message: &Release, from: From) -> Result<Option<Vec<UploadId>>, Violation> {
        let Some(task) = self.find(message.task, from)? else { return Ok(None) };
        let most = if let Task::Segment(flow) = task { flow.inputs } else { 0 };
        ensure(message.kept.get() <= most, GoodbyeCode::BadProgress, || {
            format!("at most {most} steps can be kept, got {}", message.kept.get())
        })?;
        Ok(self.end(message.task))
    }

    /// As [`Tasks::release`], by the coordinator.
    pub(super) fn cancel(&mut self, task: TaskId, from: From) -> Result<Option<Vec<UploadId>>, Violation> {
        self.find(task, from)?;
        Ok(self.end(task))
    }

    fn end(&mut self, task: TaskId) -> Option<Vec<UploadId>> {
        match self.open.remove(&task)? {
            Task::Segment(_) => Some(Vec::new()),
            Task::Merge(blobs) => Some(blobs),
        }
    }

    /// A proof may come from a task of any connection. One that is open can give only steps whose inputs were sent.
    pub(super) fn check_offer(&self, offer: &Offer) -> Result<(), Violation> {
        let Some(Task::Segment(flow)) = self.open.get(&offer.task) else { return Ok(()) };
        let (first, end) = (offer.first.get(), offer.first.get() + offer.steps.get());
        ensure(flow.first <= first && end <= flow.first + flow.inputs, GoodbyeCode::BadRange, || {
            format!("expected steps within {} to {}, got {first} to {end}", flow.first, flow.first + flow.inputs)
        })
    }

    /// Ends the task if the proof covers its last step; the merge inputs that end with it.
    pub(super) fn offered(&mut self, offer: &Offer) -> Vec<UploadId> {
        let is_last = match self.open.get(&offer.task) {
            Some(Task::Segment(flow)) => offer.first.get() + offer.steps.get() == flow.first + flow.steps,
            Some(Task::Merge(_)) => true,
            None => false,
        };
        if is_last { self.end(offer.task).unwrap_or_default() } else { Vec::new() }
    }
}
