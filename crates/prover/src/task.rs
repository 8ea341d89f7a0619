//! Tasks that a prover holds.

use crate::engine::Size;
use crate::limits::{
    BUFFERED_MS, DEADLINE_MARGIN_MS, DEADLINE_SHARE, MERGE_PART_BYTES, MIN_BUFFERED_BYTES, PROGRESS_INTERVAL_MS,
    STARVED_MS,
};
use crate::status::ProofInfo;
use crowdfold_wire::limits::{INITIAL_CREDIT_BYTES, MAX_CREDIT_BYTES, MAX_INPUT_BYTES};
use crowdfold_wire::{Blob, Bytes, InputList, Inputs, Merge, Millis, ReleaseReason, Segment, TaskId, UploadId};
use std::collections::VecDeque;

/// The moment to be done by, for a task that came at `now`.
fn finish_by(now: Millis, hard_ms: u32) -> Millis {
    let hard_ms = u64::from(hard_ms);
    now.after(hard_ms - DEADLINE_MARGIN_MS.min(hard_ms / DEADLINE_SHARE))
}

/// A segment and the inputs that have come for it.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) segment: Segment,
    /// When to finish, a margin before the hard deadline.
    pub(crate) finish_by: Millis,
    inputs: VecDeque<Bytes<MAX_INPUT_BYTES>>,
    /// Inputs that have come, and what they cost.
    received: u64,
    received_cost: u64,
    /// What those cost that were folded.
    folded_cost: u64,
    pub(crate) folded: u64,
    granted: u64,
    /// Since when there is nothing to fold although there are steps left.
    hungry_since: Option<Millis>,
    reported: u64,
    next_report: Millis,
}

impl Task {
    pub(crate) fn new(now: Millis, segment: Segment) -> Self {
        Self {
            finish_by: finish_by(now, segment.hard_ms),
            segment,
            inputs: VecDeque::new(),
            received: 0,
            received_cost: 0,
            folded_cost: 0,
            folded: 0,
            granted: INITIAL_CREDIT_BYTES,
            hungry_since: Some(now),
            reported: 0,
            next_report: now.after(PROGRESS_INTERVAL_MS),
        }
    }

    pub(crate) fn id(&self) -> TaskId {
        self.segment.task
    }

    pub(crate) fn steps(&self) -> u64 {
        self.segment.steps.get()
    }

    pub(crate) fn receive(&mut self, message: Inputs) {
        self.received += message.inputs.len() as u64;
        self.received_cost += message.inputs.cost();
        self.inputs.extend(message.inputs.iter().cloned());
        self.hungry_since = None;
    }

    pub(crate) fn next_input(&self) -> Option<&[u8]> {
        self.inputs.front().map(|input| &**input)
    }

    /// The next input was folded.
    pub(crate) fn consume(&mut self, now: Millis) {
        if let Some(input) = self.inputs.pop_front() {
            self.folded += 1;
            self.folded_cost += InputList::cost_of(&input);
        }
        if self.inputs.is_empty() && self.folded < self.steps() {
            self.hungry_since = Some(now);
        }
    }

    /// The moment at which it has had no inputs for too long.
    pub(crate) fn starves_at(&self) -> Option<Millis> {
        self.hungry_since.map(|since| since.after(STARVED_MS))
    }

    /// The credit to give now, if it is worth a message: what was folded, and a few seconds more.
    pub(crate) fn credit_due(&self, rows_per_second: u64, size: &Size) -> Option<u64> {
        let mean = self.received_cost / self.received.max(1);
        let steps = rows_per_second.saturating_mul(BUFFERED_MS) / 1000 / size.rows.max(1);
        let target = steps.saturating_mul(mean).clamp(MIN_BUFFERED_BYTES, MAX_CREDIT_BYTES);
        let due = self.folded_cost + target;
        let is_worth = due >= self.granted.saturating_add(target / 4) && self.received < self.steps();
        is_worth.then_some(due)
    }

    pub(crate) fn grant(&mut self, credit: u64) {
        self.granted = credit;
    }

    /// The steps to report now.
    pub(crate) fn report_due(&mut self, now: Millis) -> Option<u64> {
        if now < self.next_report || self.reported == self.folded {
            return None;
        }
        (self.next_report, self.reported) = (now.after(PROGRESS_INTERVAL_MS), self.folded);
        Some(self.folded)
    }
}

/// A chain being folded, from the task's first step on.
#[derive(Debug)]
pub(crate) struct Chain<S> {
    pub(crate) segment: S,
    /// When it was opened, or its last check-in made or tried.
    pub(crate) since: Millis,
    /// The last check-in. Those before it are gone: the next one waits until the coordinator has the last.
    pub(crate) check_in: Option<UploadId>,
}

/// The task that is being folded.
#[derive(Debug)]
pub(crate) struct Folding<S> {
    pub(crate) task: Task,
    pub(crate) size: Size,
    pub(crate) chain: Option<Chain<S>>,
    /// Steps from the task's first that are in proofs.
    pub(crate) kept: u64,
    /// Since when the connection that it came by is gone.
    pub(crate) adrift: Option<Millis>,
    /// Why the rest is handed back, once it is decided.
    pub(crate) ending: Option<ReleaseReason>,
    pub(crate) retries: u8,
}

impl<S> Folding<S> {
    pub(crate) fn new(task: Task, size: Size) -> Self {
        Self { task, size, chain: None, kept: 0, adrift: None, ending: None, retries: 0 }
    }

    /// Whether this is the task of that name on the present connection.
    pub(crate) fn is(&self, task: TaskId) -> bool {
        self.adrift.is_none() && self.task.id() == task
    }

    /// Decides to end it. The first reason stays.
    pub(crate) fn end(&mut self, reason: ReleaseReason) {
        self.ending.get_or_insert(reason);
    }

    /// Whether steps were folded that no proof covers.
    pub(crate) fn has_unproved(&self) -> bool {
        self.task.folded > self.kept
    }

    /// Whether it is time for the last proof of the chain.
    pub(crate) fn must_finish(&self) -> bool {
        let is_over = self.ending.is_some() || self.task.folded == self.task.steps();
        self.chain.is_some() && is_over && self.has_unproved()
    }

    /// Whether a check-in now would be worth its making: if the rest takes less than half an interval, the last proof
    /// comes soon anyway.
    pub(crate) fn is_worth_check_in(&self, rows_per_second: u64, checkpoint_ms: u64) -> bool {
        let rows = (self.task.steps() - self.task.folded).saturating_mul(self.size.rows);
        let is_long = rows.saturating_mul(1000) > rows_per_second.saturating_mul(checkpoint_ms / 2);
        self.ending.is_none() && self.adrift.is_none() && self.has_unproved() && is_long
    }

    /// What a proof of all steps folded is of.
    pub(crate) fn proof_info(&self) -> ProofInfo {
        ProofInfo { task: self.task.id(), first: self.task.segment.first.get(), steps: self.task.folded }
    }
}

/// A proof that a merge takes.
#[derive(Debug)]
pub(crate) struct MergeInput {
    pub(crate) blob: Blob,
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_complete: bool,
    pub(crate) restarts: u8,
}

/// A merge.
#[derive(Debug)]
pub(crate) struct MergeTask {
    pub(crate) merge: Merge,
    /// Left, right.
    pub(crate) inputs: Vec<MergeInput>,
    pub(crate) finish_by: Millis,
    pub(crate) retries: u8,
}

impl MergeTask {
    pub(crate) fn new(now: Millis, merge: Merge) -> Self {
        let blobs = std::iter::once(&merge.left).chain(&merge.right).cloned();
        let input = |blob| MergeInput { blob, bytes: Vec::new(), is_complete: false, restarts: 0 };
        let inputs = blobs.map(input).collect();
        Self { finish_by: finish_by(now, merge.hard_ms), merge, inputs, retries: 0 }
    }

    /// Bytes that it takes at most: its inputs and what it makes.
    pub(crate) fn bytes(&self) -> u64 {
        let sizes = self.inputs.iter().map(|input| input.blob.bytes.get());
        sizes.clone().sum::<u64>() + sizes.max().unwrap_or(0) + MERGE_PART_BYTES
    }

    pub(crate) fn input(&mut self, upload: UploadId) -> Option<&mut MergeInput> {
        self.inputs.iter_mut().find(|input| input.blob.upload == upload && !input.is_complete)
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.inputs.iter().all(|input| input.is_complete)
    }
}
