//! Provers get work: which job, which steps, how many.

use super::Scheduler;
use crate::ids::{JobId, ProverId, Range};
use crate::job::Job;
use crate::limits;
use crate::prover::Prover;

impl Scheduler {
    /// Gives a prover as many segments as it asks for, or a duplicate if there are none. Returns whether it got
    /// anything.
    pub(super) fn pull(&mut self, id: ProverId) -> bool {
        let mut got = false;
        self.update_waiting(id);
        while self.provers.get(&id).is_some_and(|prover| prover.waiting.is_some()) {
            // Of duplicates one at a time: they are a guess.
            let found = self.assign_segment(id) || (!got && self.assign_duplicate(id));
            if !found {
                break;
            }
            got = true;
            self.update_waiting(id);
        }
        got
    }

    fn assign_segment(&mut self, id: ProverId) -> bool {
        let Some(memory) = self.provers.get(&id).map(|prover| prover.memory) else { return false };
        if self.leases.is_full() {
            return false;
        }
        let Some(first) = self.fair.first(memory) else { return false };
        let found = match self.segment(id, first) {
            Some(range) => Some((first, range)),
            None => {
                let others = self.fair.list(memory, limits::LOOKS, limits::LOOKS / 2);
                others.into_iter().find_map(|job| Some((job, self.segment(id, job)?)))
            }
        };
        let Some((job_id, range)) = found else { return false };
        let Some(job) = self.jobs.get_mut(&job_id) else { return false };
        job.close_gaps(range);
        let spec = job.spec;
        self.assign(id, job_id, range, 0);
        self.fair.charge(spec.client, range.steps().saturating_mul(spec.rows), spec.weight, spec.bounty);
        self.refresh(job_id);
        true
    }

    /// What of a job a prover should get: from the first gap on, without what it failed on.
    fn segment(&self, id: ProverId, job_id: JobId) -> Option<Range> {
        let (prover, job) = (self.provers.get(&id)?, self.jobs.get(&job_id)?);
        let most = self.longest(prover, job_id)?;
        let mut from = 0;
        // Each turn but the last goes past something that the prover avoids.
        for _ in 0..=limits::AVOIDED_PER_PROVER {
            let gap = job.gap_from(from)?;
            let end = job.boundary(gap);
            let piece = Range::of(gap.lo, end)?;
            let piece = match prover.avoids(job_id, piece, self.now) {
                Some(avoided) if avoided.lo <= piece.lo => {
                    from = avoided.hi;
                    continue;
                }
                Some(avoided) => Range::of(piece.lo, avoided.lo)?,
                None => piece,
            };
            let steps = most.min(piece.steps());
            // No crumbs, unless the deadline leaves no time for them.
            let rest = piece.steps() - steps;
            let steps = if rest < self.config.min_steps {
                self.fits(prover, job_id, piece.steps()).unwrap_or(steps)
            } else {
                steps
            };
            if steps < self.config.min_steps.min(piece.steps()) {
                return None;
            }
            self.fits(prover, job_id, steps)?;
            return Range::of(piece.lo, piece.lo + steps);
        }
        None
    }

    /// `steps`, if the prover takes as many, and can fold them before the job's deadline and within the longest lease.
    fn fits(&self, prover: &Prover, id: JobId, steps: u64) -> Option<u64> {
        let job = self.jobs.get(&id)?;
        let took = prover.duration(steps, job.spec.rows);
        let wait = prover.busy_until.since(self.now).saturating_add(took);
        // Who takes too long for the least number of steps would keep them from others for ever longer.
        let patient = took <= self.config.target_ms.saturating_mul(limits::PATIENCE);
        let longest = job.spec.deadline.since(self.now).min(limits::LEASE_MS / 4);
        let most = limits::SEGMENT_STEPS.min(prover.most_steps);
        (patient && wait <= longest && steps <= most).then_some(steps)
    }

    /// How many steps a prover should get of a job at most; `None` if it can't do even the least number in time.
    fn longest(&self, prover: &Prover, id: JobId) -> Option<u64> {
        let job = self.jobs.get(&id)?;
        let least = self.config.min_steps.clamp(1, limits::SEGMENT_STEPS);
        // The line has to keep up with the proofs.
        let line = prover.steps_a_delivery(self.config.target_ms.saturating_mul(limits::PATIENCE / 2), job.spec.rows);
        let target = prover.steps_in(self.config.target_ms, job.spec.rows).max(line);
        let target = target.clamp(least, limits::SEGMENT_STEPS);
        // Who asks is among those who wait. Half of its share of what is left, so that shares shrink and all end
        // together; not below an eighth of the target, because each segment costs a verification and a merge.
        let speeds = u128::from(job.speed) + u128::from(self.waiting_speed.max(prover.speed));
        let share = u128::from(job.open) * u128::from(prover.speed) / (2 * speeds);
        let share = u64::try_from(share).unwrap_or(u64::MAX);
        let floor = (target / 8).max(line).max(least);
        // Halves end where they get too short; what is left then is cut so that all who work on it end at once, into
        // pieces of which none is so long that a wrong guess at a speed costs much.
        let share = if share < floor { self.even_share(prover, job).unwrap_or(0).min(2 * floor) } else { share };
        let share = if job.open.saturating_sub(share) < floor / 4 { job.open } else { share.max(floor) };
        let left = job.spec.deadline.since(prover.busy_until.max(self.now)).min(limits::LEASE_MS / 4);
        let in_time = prover.steps_in(left, job.spec.rows);
        // Gaps can be shorter than the least number, so what is too long is found out by the one who knows the gap.
        Some(target.min(share).min(in_time.max(1)).min(prover.most_steps))
    }

    /// Steps of what is left of a job that a prover should get so that it ends when all others do that work on the job or
    /// wait for work, if they share it in the same way. `None` if they are too many to look at each.
    fn even_share(&self, prover: &Prover, job: &Job) -> Option<u64> {
        if job.by_end.len() > limits::LOOKS {
            return None;
        }
        let mut others: Vec<_> =
            job.by_end.iter().filter_map(|&(_, task)| Some(self.leases.get(task)?.prover)).collect();
        others.sort_unstable();
        others.dedup();
        let others = others.into_iter().filter_map(|id| self.provers.get(&id));
        let others = others.filter(|other| !std::ptr::eq(*other, prover));
        let mut free: Vec<_> = others.map(|other| (other.busy_until.since(self.now), other.speed)).collect();
        let mine = prover.waiting.map_or(0, |(_, speed)| speed);
        free.push((0, self.waiting_speed.saturating_sub(mine)));
        free.push((prover.busy_until.since(self.now), prover.speed));
        free.sort_unstable();
        // The moment at which the work is done if each begins when it is free: the first ones alone until the next one
        // is. In milliseconds, and rows times 1,000.
        let (mut rows, mut speed) = (u128::from(job.open) * u128::from(job.spec.rows) * 1_000, 0);
        let mut end = 0;
        for (at, theirs) in free {
            let until = u128::from(at - end) * speed;
            if rows <= until {
                break;
            }
            rows -= until;
            (end, speed) = (at, speed + u128::from(theirs));
        }
        let end = end.saturating_add(u64::try_from(rows.div_ceil(speed.max(1))).unwrap_or(u64::MAX));
        Some(prover.steps_in(end.saturating_sub(prover.busy_until.since(self.now)), job.spec.rows))
    }

    /// A copy of the lease that is expected to end last, if this prover would end it much earlier.
    fn assign_duplicate(&mut self, id: ProverId) -> bool {
        let Some(prover) = self.provers.get(&id) else { return false };
        let mut found = None;
        for &(_, job_id) in self.tails.iter().rev().take(limits::LOOKS) {
            let Some(job) = self.jobs.get(&job_id).filter(|job| job.spec.memory.0 <= prover.memory) else { continue };
            let Some(&(expected, task)) = job.by_end.last() else { continue };
            let Some(lease) = self.leases.get(task).filter(|lease| lease.prover != id) else { continue };
            let Some(left) = lease.left() else { continue };
            let mine = prover.busy_until.max(self.now).after(prover.duration(left.steps(), job.spec.rows));
            let sooner = mine.since(self.now).saturating_mul(4) <= expected.since(self.now).saturating_mul(3);
            let avoided = prover.avoids(job_id, left, self.now).is_some();
            if sooner && !avoided && self.fits(prover, job_id, left.steps()).is_some() {
                found = Some((job_id, task, left, expected));
                break;
            }
        }
        let Some((job_id, task, left, expected)) = found else { return false };
        let Some(job) = self.jobs.get_mut(&job_id) else { return false };
        let Some(layer) = (1..crate::job::LAYERS).find(|&layer| job.claims(layer, left).next().is_none()) else {
            return false;
        };
        job.by_end.remove(&(expected, task));
        if let Some(lease) = self.leases.get_mut(task) {
            lease.copied = true;
            lease.by_end = None;
        }
        if let Some(copy) = self.assign(id, job_id, left, layer)
            && let Some(lease) = self.leases.get_mut(copy)
        {
            lease.copy_of = Some(task);
        }
        self.refresh(job_id);
        true
    }

    /// Finds work for provers that have less than enough.
    pub(super) fn serve_freed(&mut self) {
        for _ in 0..limits::MATCHES_PER_STEP {
            let Some(id) = self.freed.pop_first() else { return };
            self.pull(id);
        }
    }

    /// Finds work for provers that wait when a job has something to hand out again.
    pub(super) fn wake(&mut self) {
        let mut matches = limits::MATCHES_PER_STEP;
        while let Some(&id) = self.fresh.first() {
            let mut next = self.jobs.get(&id).map(|job| (job.spec.memory.0, ProverId(0)));
            let mut misses = 0;
            while let Some(from) = next
                && misses < limits::LOOKS
                && self.jobs.get(&id).is_some_and(|job| job.queued)
            {
                if matches == 0 {
                    return;
                }
                let Some(&(memory, prover)) = self.waiting.range(from..).next() else { break };
                if self.pull(prover) {
                    matches -= 1;
                } else {
                    misses += 1;
                }
                next = prover.0.checked_add(1).map(|after| (memory, ProverId(after)));
            }
            self.fresh.remove(&id);
        }
    }

    /// Looks for work for some of the provers that wait, in turn: what could not be matched before may be by now.
    pub(super) fn sweep(&mut self) {
        if self.fair.is_empty() && self.tails.is_empty() {
            return;
        }
        for _ in 0..limits::MATCHES_PER_STEP.min(self.waiting.len()) {
            let after = self.waiting.range((std::ops::Bound::Excluded(self.cursor), std::ops::Bound::Unbounded)).next();
            let Some(&next) = after.or_else(|| self.waiting.first()) else { return };
            self.cursor = next;
            self.pull(next.1);
        }
    }
}
