//! Leases begin, move their deadlines and end.

use super::{Scheduler, Timer};
use crate::effect::{BadEvent, CancelReason, Effect};
use crate::event::Release;
use crate::ids::{JobId, ProverId, Range, TaskId};
use crate::job::Holder;
use crate::lease::{Lease, Phase};
use crate::limits;
use crate::prover::duration;

impl Scheduler {
    /// Hands steps to a prover. Its claim goes to `layer`, where they must be free.
    pub(super) fn assign(&mut self, to: ProverId, id: JobId, range: Range, layer: usize) -> Option<TaskId> {
        let (Some(prover), Some(job)) = (self.provers.get_mut(&to), self.jobs.get_mut(&id)) else { return None };
        if prover.leases.is_empty() {
            prover.begin(self.now);
        }
        let took = prover.duration(range.steps(), job.spec.rows);
        prover.busy_until = prover.busy_until.max(self.now).after(took);
        prover.step_ms = prover.duration(1, job.spec.rows);
        let wait = prover.busy_until.since(self.now);
        let mut lease = Lease::new(to, id, range, layer);
        lease.expected = prover.busy_until;
        // The proof has to get here too, and the shortest segments are shorter than what a line may hiccup.
        let (soft, hard) = limits::LEAST_DEADLINES_MS;
        let (soft, hard) = (wait.saturating_mul(2).max(soft), wait.saturating_mul(4).max(hard));
        let delivery = prover.delivery_ms();
        lease.hard = self.now.after(hard.saturating_add(2 * delivery).min(limits::LEASE_MS));
        lease.soft = self.now.after(soft.saturating_add(delivery)).min(lease.hard);
        lease.timer = lease.soft;
        // A prover works on one lease at a time, so with several it counts for less in each.
        lease.speed = prover.speed / u64::try_from(prover.leases.len() + 1).unwrap_or(u64::MAX);
        lease.by_end = (layer == 0).then_some(lease.expected);
        let (soft, hard, expected, speed) = (lease.soft, lease.hard, lease.expected, lease.speed);
        let task = self.leases.insert(lease)?;
        prover.leases.push(task);
        prover.want = prover.want.saturating_sub(1);
        job.speed = job.speed.saturating_add(speed);
        job.claim(layer, range, Holder::Lease(task));
        if layer == 0 {
            job.by_end.insert((expected, task));
        }
        self.timers.insert((soft, Timer::Lease(task)));
        self.out.push(Effect::Assign { task, prover: to, job: id, range, soft, hard });
        Some(task)
    }

    /// The lease, if it is this prover's and did not end.
    fn live(&self, prover: ProverId, task: TaskId) -> Result<&Lease, BadEvent> {
        let lease = self.leases.get(task).filter(|lease| lease.prover == prover && lease.phase != Phase::Ended);
        lease.ok_or(BadEvent::UnknownTask(task))
    }

    pub(super) fn progress(&mut self, from: ProverId, task: TaskId, steps: u64) -> Result<(), BadEvent> {
        let lease = self.live(from, task)?;
        let folded = lease.whole.lo.saturating_add(steps);
        if folded > lease.whole.hi || folded < lease.folded {
            return Err(BadEvent::BadProgress(task));
        }
        let (id, now) = (lease.job, self.now);
        self.folded(task, folded);
        let (Some(job), Some(lease)) = (self.jobs.get_mut(&id), self.leases.get_mut(task)) else { return Ok(()) };
        let Some(prover) = self.provers.get(&from) else { return Ok(()) };
        let rest = duration(prover.speed, lease.whole.hi - folded, job.spec.rows);
        lease.soft = lease.soft.max(now.after(rest.saturating_mul(2))).min(lease.hard);
        let expected = now.after(rest);
        // The index follows only when it is off by much: on most progress nothing changes.
        if expected.since(lease.expected).max(lease.expected.since(expected)) > self.config.target_ms / 4 {
            lease.expected = expected;
            if let Some(end) = &mut lease.by_end {
                job.by_end.remove(&(*end, task));
                job.by_end.insert((expected, task));
                *end = expected;
            }
        }
        match lease.phase {
            Phase::Overdue => self.reclaim(task),
            _ if lease.layer > 0 => self.overtake(task),
            _ => {}
        }
        self.refresh(id);
        self.reckon(from);
        Ok(())
    }

    /// When a prover will have folded what it has, from how far it is. If that is soon, it gets more. Nobody counts on what
    /// is overdue: it may have come back without it.
    fn reckon(&mut self, id: ProverId) {
        let Some(prover) = self.provers.get(&id) else { return };
        let rows = |&task: &TaskId| {
            let lease = self.leases.get(task).filter(|lease| lease.phase == Phase::Active)?;
            let steps = lease.hi.saturating_sub(lease.folded.max(lease.lo));
            Some(steps.saturating_mul(self.jobs.get(&lease.job)?.spec.rows))
        };
        let rows = prover.leases.iter().filter_map(rows).fold(0_u64, u64::saturating_add);
        let until = if rows == 0 { self.now } else { self.now.after(prover.duration(rows, 1)) };
        let Some(prover) = self.provers.get_mut(&id) else { return };
        prover.busy_until = until;
        if prover.want > 0 && prover.waiting.is_none() && !prover.has_enough(self.now) {
            self.freed.insert(id);
        }
    }

    /// Notes how far a lease is folded, which says how fast its prover is.
    pub(super) fn folded(&mut self, task: TaskId, folded: u64) {
        let Some(lease) = self.leases.get_mut(task) else { return };
        let steps = folded.saturating_sub(lease.folded);
        lease.folded = lease.folded.max(folded);
        if lease.folded >= lease.whole.hi {
            lease.full.get_or_insert(self.now);
        }
        if let (Some(job), Some(prover)) = (self.jobs.get(&lease.job), self.provers.get_mut(&lease.prover)) {
            prover.folded(steps.saturating_mul(job.spec.rows), self.now);
        }
    }

    /// An overdue lease goes on: it gets its steps back if nobody has them.
    fn reclaim(&mut self, task: TaskId) {
        let Some(lease) = self.leases.get_mut(task) else { return };
        let Some(job) = self.jobs.get_mut(&lease.job) else { return };
        let Some(left) = lease.left().filter(|&left| job.is_gap(left) && lease.soft > self.now) else { return };
        job.unclaim(left.lo, Holder::Lease(task));
        job.close_gaps(left);
        job.claim(0, left, Holder::Lease(task));
        (lease.layer, lease.phase) = (0, Phase::Active);
        if !lease.copied {
            lease.by_end = Some(lease.expected);
            job.by_end.insert((lease.expected, task));
        }
        self.timers.remove(&(lease.timer, Timer::Lease(task)));
        lease.timer = lease.soft;
        self.timers.insert((lease.timer, Timer::Lease(task)));
    }

    /// A duplicate that has got further than what it duplicates takes its place, so that the one nearer to its end is
    /// not cut.
    fn overtake(&mut self, task: TaskId) {
        let Some(lease) = self.leases.get(task) else { return };
        let (Some(left), layer, id) = (lease.left(), lease.layer, lease.job) else { return };
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some((claimed, Holder::Lease(other))) = job.claims(0, left).next() else { return };
        let ahead = self.leases.get(other).is_some_and(|other| other.invested() < lease.invested());
        if claimed != left || !ahead {
            return;
        }
        job.unclaim(left.lo, Holder::Lease(task));
        job.unclaim(left.lo, Holder::Lease(other));
        job.claim(0, left, Holder::Lease(task));
        job.claim(layer, left, Holder::Lease(other));
        for (task, layer) in [(task, 0), (other, layer)] {
            if let Some(lease) = self.leases.get_mut(task) {
                lease.layer = layer;
                if let Some(end) = lease.by_end.take() {
                    job.by_end.remove(&(end, task));
                }
            }
        }
    }

    pub(super) fn released(&mut self, from: ProverId, task: TaskId, why: Release) -> Result<(), BadEvent> {
        let lease = self.live(from, task)?;
        let (id, lo, folded, layer) = (lease.job, lease.lo, lease.folded, lease.layer);
        let Some(left) = lease.left() else { return Ok(()) };
        let failed = matches!(why, Release::OutOfMemory | Release::Failed);
        if failed || folded <= lo {
            if failed || why == Release::Deadline {
                self.avoid(from, id, left);
            }
            if failed {
                self.rest(from);
            }
            self.end_lease(task, !failed);
            return Ok(());
        }
        // The prefix that it has is on its way.
        let Some(rest) = Range::of(folded, left.hi) else { return Ok(()) };
        if why == Release::Deadline {
            self.avoid(from, id, rest);
        }
        let now = self.now;
        if let (Some(job), Some(lease)) = (self.jobs.get_mut(&id), self.leases.get_mut(task)) {
            job.unclaim(left.lo, Holder::Lease(task));
            job.claim(layer, Range { lo, hi: folded }, Holder::Lease(task));
            lease.hi = folded;
            self.timers.remove(&(lease.timer, Timer::Lease(task)));
            lease.soft = now.after(self.config.upload_ms).min(lease.hard);
            lease.timer = lease.soft;
            self.timers.insert((lease.timer, Timer::Lease(task)));
        }
        if layer == 0 {
            self.vacate(id, rest);
        }
        self.reckon(from);
        Ok(())
    }

    /// A prover failed: one that goes on like that must not take up each task in turn.
    fn rest(&mut self, id: ProverId) {
        let now = self.now;
        let Some(prover) = self.provers.get_mut(&id) else { return };
        if prover.failed(now) > 0 {
            let until = prover.rests_until;
            self.timers.insert((until, Timer::Prover(id)));
            self.update_waiting(id);
        }
    }

    pub(super) fn lease_timer(&mut self, task: TaskId) {
        let is_parked = self.is_parked(task);
        let Some(lease) = self.leases.get_mut(task) else { return };
        let (from, id, left) = (lease.prover, lease.job, lease.left());
        let next = match lease.phase {
            Phase::Ended => {
                self.forget_right(task);
                return;
            }
            Phase::Active if lease.soft > self.now => lease.soft,
            Phase::Overdue if is_parked && lease.hard > self.now => {
                // The longer proof did not come, and what was checked in waits for it.
                self.cancel(task, CancelReason::Deadline);
                return;
            }
            _ if lease.hard > self.now => {
                lease.timer = lease.hard;
                self.timers.insert((lease.timer, Timer::Lease(task)));
                if lease.phase == Phase::Active {
                    if let Some(prover) = self.provers.get_mut(&from) {
                        prover.slowed();
                    }
                    self.overdue(task);
                    self.reckon(from);
                }
                return;
            }
            _ => {
                self.out.push(Effect::Cancel { task, prover: Some(from), reason: CancelReason::Deadline });
                if let Some(left) = left {
                    self.avoid(from, id, left);
                }
                self.end_lease(task, false);
                return;
            }
        };
        lease.timer = next;
        self.timers.insert((next, Timer::Lease(task)));
    }

    /// Nobody counts on a lease any more: its steps may be handed out again.
    pub(super) fn overdue(&mut self, task: TaskId) {
        let is_parked = self.is_parked(task);
        let Some(lease) = self.leases.get_mut(task) else { return };
        lease.phase = Phase::Overdue;
        if is_parked {
            self.timers.remove(&(lease.timer, Timer::Lease(task)));
            lease.timer = self.now.after(self.config.upload_ms).min(lease.hard);
            self.timers.insert((lease.timer, Timer::Lease(task)));
        }
        let (id, layer) = (lease.job, lease.layer);
        if layer > 0 {
            if let Some(original) = lease.copy_of.take() {
                self.duplicate_ended(original);
                self.refresh(id);
            }
            return;
        }
        let (Some(job), Some(left)) = (self.jobs.get_mut(&id), lease.left()) else { return };
        job.unclaim(left.lo, Holder::Lease(task));
        if let Some(end) = lease.by_end.take() {
            job.by_end.remove(&(end, task));
        }
        match job.claim_above(left, Holder::Lease(task)) {
            Some(layer) => {
                lease.layer = layer;
                self.vacate(id, left);
            }
            None => {
                self.vacate(id, left);
                self.cancel(task, CancelReason::Covered);
            }
        }
    }

    /// Tells a prover to stop through no fault of its own. Its claim may be removed already.
    pub(super) fn cancel(&mut self, task: TaskId, reason: CancelReason) {
        if let Some(lease) = self.leases.get(task) {
            self.out.push(Effect::Cancel { task, prover: Some(lease.prover), reason });
            self.end_lease(task, true);
        }
    }

    /// Ends a lease. If its prover is `entitled`, proofs for it are compensated for a while. Where its claim is in the
    /// bottom layer, the steps go to whoever is next.
    pub(super) fn end_lease(&mut self, task: TaskId, entitled: bool) {
        if let Some(number) = self.leases.get(task).and_then(|lease| lease.check_in) {
            self.unpark(number);
        }
        let Some(lease) = self.leases.get_mut(task) else { return };
        let (id, from, left) = (lease.job, lease.prover, lease.left());
        let (copy_of, speed) = (lease.copy_of.take(), lease.speed);
        lease.phase = Phase::Ended;
        self.timers.remove(&(lease.timer, Timer::Lease(task)));
        if let Some(job) = self.jobs.get_mut(&id) {
            if let Some(end) = lease.by_end.take() {
                job.by_end.remove(&(end, task));
            }
            job.speed = job.speed.saturating_sub(speed);
        }
        if let Some(prover) = self.provers.get_mut(&from) {
            prover.leases.retain(|&other| other != task);
        }
        self.reckon(from);
        if entitled {
            self.remember_right(task);
        } else {
            self.leases.remove(task);
        }
        if let Some(original) = copy_of {
            self.duplicate_ended(original);
        }
        let vacant = left.and_then(|left| self.jobs.get_mut(&id)?.unclaim(left.lo, Holder::Lease(task)));
        if let Some((0, range)) = vacant {
            self.vacate(id, range);
        }
        self.refresh(id);
        self.may_forget(from);
    }

    /// A lease can be duplicated again.
    fn duplicate_ended(&mut self, task: TaskId) {
        let Some(lease) = self.leases.get_mut(task).filter(|lease| lease.phase != Phase::Ended) else { return };
        lease.copied = false;
        if lease.layer == 0
            && lease.by_end.is_none()
            && let Some(job) = self.jobs.get_mut(&lease.job)
        {
            lease.by_end = Some(lease.expected);
            job.by_end.insert((lease.expected, task));
        }
    }

    /// Keeps an ended lease for its prover's compensation.
    fn remember_right(&mut self, task: TaskId) {
        let (Some(lease), now) = (self.leases.get_mut(task), self.now) else { return };
        lease.timer = now.after(self.config.grace_ms);
        self.timers.insert((lease.timer, Timer::Lease(task)));
        let Some(prover) = self.provers.get_mut(&lease.prover) else { return };
        prover.rights.push_back(task);
        if prover.rights.len() > limits::RIGHTS_PER_PROVER
            && let Some(&oldest) = prover.rights.front()
        {
            self.forget_right(oldest);
        }
    }

    pub(super) fn forget_right(&mut self, task: TaskId) {
        let Some(lease) = self.leases.remove(task) else { return };
        self.timers.remove(&(lease.timer, Timer::Lease(task)));
        if let Some(prover) = self.provers.get_mut(&lease.prover) {
            prover.rights.retain(|&other| other != task);
        }
        self.may_forget(lease.prover);
    }

    fn avoid(&mut self, prover: ProverId, job: JobId, range: Range) {
        let until = self.now.after(self.config.avoid_ms);
        if let Some(prover) = self.provers.get_mut(&prover) {
            prover.avoid(job, range, until);
        }
    }
}
