//! What the scheduler asks for: first what must be durable, then the rest.

use std::sync::Arc;

use crowdfold_sched::{CancelReason, Effect, JobEnd, JobId, Millis, ProverId, Range, TaskId, Verdict};
use crowdfold_wire::UploadId;

use super::{Handed, Hub, Kind, Part, ToLink, outcome};
use crate::bus::News;
use crate::metrics::{Judged, Refusal};
use crate::pool::MergeWork;
use crate::store::Record;

/// Why a job ended, in words.
fn reason(end: JobEnd) -> &'static str {
    match end {
        JobEnd::Done => "all its steps are proved",
        JobEnd::Cancelled => "its client cancelled it",
        JobEnd::Expired => "its deadline passed",
        JobEnd::Failed => "a merge failed natively again and again",
    }
}

impl Hub {
    /// Turns the effects from `from` on into records.
    pub(super) fn write_down(&mut self, from: usize, at: Millis) {
        for place in from..self.effects.len() {
            match self.effects[place] {
                // A late proof may never have been uploaded: nothing is known of it, and nothing is to be.
                Effect::Verdict { proof, prover, job, range, verdict } if self.pending.contains_key(&proof) => {
                    let reason = self.reasons.get(&proof).cloned();
                    self.records.push(Record::Judged { proof, prover, job, range, verdict, reason, at });
                }
                Effect::JobEnded { job, end } => {
                    self.end_of(job, end, at);
                }
                Effect::Suspend { prover, until } => self.records.push(Record::Suspended { prover, until }),
                Effect::Forgiven { prover } => self.records.push(Record::Forgiven { prover }),
                _ => {}
            }
        }
    }

    /// The record of a job's end.
    pub(super) fn end_of(&mut self, job: JobId, end: JobEnd, at: Millis) {
        self.ending.insert(job);
        self.records.push(Record::Ended { job, end, reason: reason(end).into(), at });
    }

    pub(super) fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Assign { task, prover, job, range, soft, hard } => {
                let wire = self.name(Handed { task, prover, job, kind: Kind::Segment(range) });
                let Some(job) = self.jobs.get(&job).map(Arc::clone) else { return };
                let (first, steps) = (range.start().0, range.steps());
                self.bus.publish(News::SegmentAssigned { job: job.stored.id().0, first, steps, prover: prover.0 });
                if let Some(link) = self.link_of(prover) {
                    link.holds.0.insert(wire);
                    link.told.0 = link.told.0.saturating_sub(1);
                }
                self.tell_prover(prover, ToLink::Segment { task: wire, job, range, soft, hard });
            }
            Effect::AssignMerge { task, prover, job, left, right, deadline } => {
                self.assign_merge(task, prover, job, left, right, deadline);
            }
            Effect::MergeNatively { task, job, left, right } => self.merge_natively(task, job, left, right),
            Effect::Cancel { task, prover: Some(prover), reason } => {
                self.merges.remove(&task);
                let Some(&wire) = self.wire_of.get(&task) else { return };
                self.drop_hold(prover, wire);
                let reason = match reason {
                    CancelReason::JobEnded => crowdfold_wire::CancelReason::JobEnded,
                    CancelReason::Covered => crowdfold_wire::CancelReason::Covered,
                    CancelReason::Deadline | CancelReason::Suspended => crowdfold_wire::CancelReason::Deadline,
                };
                self.tell_prover(prover, ToLink::Cancel { task: wire, reason });
            }
            Effect::Cancel { task, prover: None, .. } => _ = self.natively.remove(&task),
            Effect::Verify { proof, job, range } => {
                let pending = self.pending.get(&proof);
                if pending.is_some_and(|pending| self.from_before.holds(pending.prover, proof)) {
                    return;
                }
                let payout = pending.map(|pending| pending.payout);
                match self.claim(proof, job, range, payout) {
                    Some(claim) => self.pool.verify(claim),
                    // Its job ended so long ago that nothing of it is at hand.
                    None => self.withdraw(proof),
                }
            }
            Effect::Verdict { proof, prover, job, range, verdict } => {
                let reason = self.reasons.remove(&proof);
                let bytes = self.pending.get(&proof).map_or(0, |pending| pending.bytes);
                if verdict == Verdict::Counted {
                    let part = Part { range, proof, bytes };
                    self.covers.entry(job).or_default().insert(part);
                    self.changed.insert(job);
                }
                if !matches!(verdict, Verdict::Spare { .. }) {
                    self.pending.remove(&proof);
                }
                self.tell_news(prover, job, range, verdict, reason.as_deref());
                let outcome = outcome(verdict, range, reason.as_deref());
                self.tell_prover(prover, ToLink::Verdict { upload: UploadId(proof.0), outcome });
            }
            Effect::Suspend { prover, .. } => {
                let text = "bad proofs; connect again later".to_owned();
                self.tell_prover(prover, ToLink::Goodbye { code: crowdfold_wire::GoodbyeCode::Suspended, text });
            }
            Effect::JobEnded { job, end } => {
                tracing::info!(%job, ?end, "a job ended");
                self.bus.publish(News::JobEnded { job: job.0, state: crate::hub::state(Some(end)).into() });
                self.covers.remove(&job);
                self.changed.insert(job);
                self.ending.remove(&job);
                self.paused.remove(&job);
                if let Some(live) = self.jobs.remove(&job) {
                    self.ended.insert(job, live);
                }
                self.remember(job);
            }
            Effect::Forgiven { .. } => {}
            Effect::Ignored(bad) => tracing::debug!(%bad, "an event was ignored"),
        }
    }

    /// Counts a verdict, and tells of it.
    fn tell_news(&self, prover: ProverId, job: JobId, range: Range, verdict: Verdict, reason: Option<&str>) {
        let (first, steps) = (range.start().0, range.steps());
        let name = match verdict {
            Verdict::Counted => {
                let live = self.jobs.get(&job).or_else(|| self.ended.get(&job));
                let credit = live.map_or(0, |live| steps.saturating_mul(live.stored.cost));
                self.metrics.steps_verified.inc_by(steps);
                self.bus.publish(News::RangeVerified { job: job.0, first, steps, prover: prover.0, credit });
                "counted"
            }
            Verdict::Compensated { .. } => "compensated",
            Verdict::Spare { .. } => "spare",
            Verdict::Superseded => "superseded",
            Verdict::Late => {
                self.metrics.refuse(Refusal::Late);
                "late"
            }
            Verdict::Refused => {
                let reason = reason.unwrap_or_default().to_owned();
                self.metrics.refuse(Refusal::Proof);
                self.bus.publish(News::ProofRefused { job: job.0, prover: prover.0, reason });
                "refused"
            }
        };
        self.metrics.proofs.get_or_create(&Judged { verdict: name }).inc();
    }

    fn name(&mut self, handed: Handed) -> u64 {
        self.next_wire += 1;
        self.handed.insert(self.next_wire, handed);
        self.wire_of.insert(handed.task, self.next_wire);
        self.next_wire
    }

    fn assign_merge(
        &mut self,
        task: TaskId,
        prover: ProverId,
        job: JobId,
        left: Range,
        right: Range,
        deadline: Millis,
    ) {
        let wire = self.name(Handed { task, prover, job, kind: Kind::Merge(left, right) });
        let parts = self.part(job, left).zip(self.part(job, right));
        let Some((live, (left, right))) = self.jobs.get(&job).map(Arc::clone).zip(parts) else { return };
        self.merges.insert(task);
        if let Some(link) = self.link_of(prover) {
            link.holds.1.insert(wire);
            link.told.1 = link.told.1.saturating_sub(1);
        }
        self.tell_prover(prover, ToLink::Merge { task: wire, job: live, parts: [left, right], deadline });
    }

    fn merge_natively(&mut self, task: TaskId, job: JobId, left: Range, right: Range) {
        let (Some((left_proof, _)), Some((right_proof, _))) = (self.part(job, left), self.part(job, right)) else {
            return;
        };
        let Some(whole) = Range::new(left.start(), right.end()) else { return };
        let Some(entry) = self.jobs.get(&job).map(|live| Arc::clone(&live.entry)) else { return };
        self.natively.insert(task, (job, whole));
        self.pool.merge(MergeWork { task, entry, left: left_proof, right: right_proof });
    }
}
