//! What is known of each prover.

use std::collections::VecDeque;

use crate::event::ProverSpec;
use crate::ids::{JobId, Millis, Range, Speed, TaskId};
use crate::limits;

/// Samples of speed over less than this are joined with the next.
const SAMPLE_MS: u64 = 1_000;
/// With fewer samples a prover is new: its speed is mostly what it said, which may be far off.
const SAMPLES: u8 = 4;

/// A prover.
#[derive(Debug)]
pub(crate) struct Prover {
    pub(crate) connected: bool,
    pub(crate) memory: u64,
    pub(crate) merges: bool,
    /// Of a segment.
    pub(crate) most_steps: u64,
    /// Rows a second, from 1 to [`limits::SPEED`].
    pub(crate) speed: u64,
    /// Segments and merges that it would take now.
    pub(crate) want: u16,
    pub(crate) want_merges: u16,
    /// Leases that did not end.
    pub(crate) leases: Vec<TaskId>,
    /// Leases that ended and for which proofs are still compensated, oldest first.
    pub(crate) rights: VecDeque<TaskId>,
    pub(crate) merging: Vec<TaskId>,
    /// Its proofs that wait for verification.
    pub(crate) unverified: usize,
    /// What it failed on, and till when it does not get it.
    pub(crate) avoided: VecDeque<(JobId, Range, Millis)>,
    /// When it will have folded all it has.
    pub(crate) busy_until: Millis,
    /// Milliseconds of a step of what it got last.
    pub(crate) step_ms: u64,
    /// Since when its rows are counted for a sample of its speed, and how many there are.
    sample: (Millis, u64),
    /// How many samples there were, up to [`SAMPLES`].
    samples: u8,
    /// Milliseconds from a segment's last step to its proof's arrival: an average of which a quarter is new each time.
    delivery_ms: u64,
    /// Tasks that it failed on since a proof of its was accepted, and till when it gets none because of them.
    pub(crate) failures: u32,
    pub(crate) rests_until: Millis,
    /// Bad proofs that are not forgotten.
    pub(crate) strikes: u32,
    /// Accepted proofs since the last strike changed.
    pub(crate) accepted: u32,
    pub(crate) suspended_until: Millis,
    /// When it was last seen to offend, or to leave.
    pub(crate) offended: Millis,
    /// The key under which it waits for work, and its speed there.
    pub(crate) waiting: Option<(u64, u64)>,
    pub(crate) waiting_merge: Option<u64>,
    pub(crate) throttled: bool,
    /// The key under which it is among the absent.
    pub(crate) absent: Option<Millis>,
}

impl Prover {
    pub(crate) fn new(spec: ProverSpec, now: Millis) -> Self {
        Self {
            connected: true,
            memory: spec.memory.0,
            merges: spec.merges,
            most_steps: spec.most_steps,
            speed: believable(spec.speed),
            want: 0,
            want_merges: 0,
            leases: Vec::new(),
            rights: VecDeque::new(),
            merging: Vec::new(),
            unverified: 0,
            avoided: VecDeque::new(),
            busy_until: now,
            step_ms: 0,
            sample: (now, 0),
            samples: 0,
            delivery_ms: 0,
            failures: 0,
            rests_until: Millis(0),
            strikes: spec.strikes,
            accepted: 0,
            suspended_until: Millis(0),
            offended: if spec.strikes > 0 { now } else { Millis(0) },
            waiting: None,
            waiting_merge: None,
            throttled: false,
            absent: None,
        }
    }

    /// It connected again, perhaps with other settings. Its measured speed is known better than what it
    /// says, but a machine that slept is not slow for ever.
    pub(crate) fn rejoin(&mut self, spec: ProverSpec, now: Millis) {
        self.connected = true;
        self.memory = spec.memory.0;
        self.merges = spec.merges;
        self.most_steps = spec.most_steps;
        self.strikes = self.strikes.max(spec.strikes);
        let said = believable(spec.speed);
        self.speed = self.speed.clamp(said.div_ceil(4), said.saturating_mul(4));
        (self.want, self.want_merges) = (0, 0);
        self.sample = (now, 0);
    }

    /// It begins to fold after having had nothing.
    pub(crate) fn begin(&mut self, now: Millis) {
        self.sample = (now, 0);
        self.busy_until = now;
    }

    /// It folded so many rows since it was last heard of. A quarter of the estimate is new with each sample, and a sample
    /// counts as at most twice and at least half of it. The first samples make up three quarters of it, and may be eight
    /// times or an eighth of it: what a prover says of itself before it has folded anything is a guess.
    pub(crate) fn folded(&mut self, rows: u64, now: Millis) {
        self.sample.1 = self.sample.1.saturating_add(rows);
        let elapsed = now.since(self.sample.0);
        if elapsed >= SAMPLE_MS {
            let seen = u128::from(self.sample.1) * 1000 / u128::from(elapsed);
            let (old, new, span) = if self.samples < SAMPLES { (1, 3, 8) } else { (3, 1, 2) };
            let seen = u64::try_from(seen).unwrap_or(u64::MAX).clamp(self.speed / span, self.speed * span);
            self.speed = believable(Speed((self.speed * old + seen * new).div_ceil(old + new)));
            self.samples = (self.samples + 1).min(SAMPLES);
            self.sample = (now, 0);
        }
    }

    /// The proof of a segment came so long after its last step.
    pub(crate) fn delivered(&mut self, took_ms: u64) {
        let took_ms = took_ms.min(limits::DELIVERY_MS);
        self.delivery_ms = if self.delivery_ms == 0 { took_ms } else { (self.delivery_ms * 3 + took_ms) / 4 };
    }

    /// What delivering a proof is expected to last; 0 if nothing is known.
    pub(crate) fn delivery_ms(&self) -> u64 {
        self.delivery_ms
    }

    /// Steps in the time that delivering a proof takes: with shorter segments its line would not keep up.
    pub(crate) fn steps_a_delivery(&self, most_ms: u64, rows: u64) -> u64 {
        self.steps_in(self.delivery_ms.min(most_ms), rows)
    }

    /// It was silent for too long.
    pub(crate) fn slowed(&mut self) {
        self.speed = believable(Speed(self.speed / 2));
    }

    /// Milliseconds for so many steps, at least 1.
    pub(crate) fn duration(&self, steps: u64, rows: u64) -> u64 {
        duration(self.speed, steps, rows)
    }

    /// Steps in so many milliseconds.
    pub(crate) fn steps_in(&self, ms: u64, rows: u64) -> u64 {
        let steps = u128::from(self.speed) * u128::from(ms) / (u128::from(rows) * 1000);
        u64::try_from(steps).unwrap_or(u64::MAX)
    }

    /// Whether what it has lasts for longer than it needs to begin with the next segment.
    pub(crate) fn has_enough(&self, now: Millis) -> bool {
        let lead = limits::LEAD_MS.max(self.step_ms.saturating_mul(2));
        !self.leases.is_empty() && self.busy_until.since(now) > lead
    }

    /// It failed on a task. Returns how long it rests: not for the first one, then twice as long each time.
    pub(crate) fn failed(&mut self, now: Millis) -> u64 {
        self.failures = self.failures.saturating_add(1);
        let rest = limits::REST_MS.0.saturating_mul(1 << (self.failures - 1).min(32)) - limits::REST_MS.0;
        let rest = rest.min(limits::REST_MS.1);
        self.rests_until = self.rests_until.max(now.after(rest));
        rest
    }

    /// It does not get these steps for a while.
    pub(crate) fn avoid(&mut self, job: JobId, range: Range, until: Millis) {
        if self.avoided.len() >= limits::AVOIDED_PER_PROVER {
            self.avoided.pop_front();
        }
        self.avoided.push_back((job, range, until));
    }

    /// The end of something that it avoids in `range`.
    pub(crate) fn avoids(&self, job: JobId, range: Range, now: Millis) -> Option<Range> {
        let hits =
            |&&(of, avoided, until): &&(JobId, Range, Millis)| of == job && until > now && avoided.overlaps(range);
        self.avoided.iter().filter(hits).map(|&(_, avoided, _)| avoided).min()
    }

    /// Whether nothing needs it to be remembered.
    pub(crate) fn free_of_obligations(&self) -> bool {
        let Self { leases, rights, merging, unverified, .. } = self;
        !self.connected && leases.is_empty() && rights.is_empty() && merging.is_empty() && *unverified == 0
    }
}

/// Milliseconds for so many steps at a speed, at least 1.
pub(crate) fn duration(speed: u64, steps: u64, rows: u64) -> u64 {
    let ms = (u128::from(steps) * u128::from(rows) * 1000).div_ceil(u128::from(speed.max(1)));
    u64::try_from(ms).unwrap_or(u64::MAX).max(1)
}

fn believable(speed: Speed) -> u64 {
    speed.0.clamp(1, limits::SPEED)
}

#[cfg(test)]
mod tests {
    use super::Prover;
    use crate::event::ProverSpec;
    use crate::ids::{Bytes, JobId, Millis, Range, Speed};

    fn prover(speed: u64) -> Prover {
        Prover::new(
            ProverSpec { speed: Speed(speed), memory: Bytes(1), merges: false, most_steps: u64::MAX, strikes: 0 },
            Millis(0),
        )
    }

    #[test]
    fn speed_follows_progress() {
        let mut prover = prover(1000);
        for second in 1..=20 {
            prover.folded(1800, Millis(second * 1000));
        }
        assert!((1750..=1803).contains(&prover.speed), "{}", prover.speed);
        let before = prover.speed;
        prover.folded(1, Millis(20_100));
        assert_eq!(prover.speed, before, "too little time for a sample");
        prover.folded(u64::MAX, Millis(21_000));
        assert!(prover.speed <= before * 5 / 4 + 1, "one sample moves it by a quarter at most");
    }

    #[test]
    fn a_new_prover_is_soon_known() {
        for (said, real) in [(1_000, 6_000), (6_000, 1_000)] {
            let mut prover = prover(said);
            for second in 1..=u64::from(super::SAMPLES) {
                prover.folded(real, Millis(second * 1000));
            }
            assert!(prover.speed.abs_diff(real) * 3 < real, "{} of {real}", prover.speed);
        }
    }

    #[test]
    fn speed_stays_believable() {
        let mut slow = prover(0);
        assert_eq!(slow.speed, 1);
        slow.slowed();
        assert_eq!(slow.speed, 1);
        let mut fast = prover(u64::MAX);
        fast.folded(u64::MAX, Millis(1000));
        assert_eq!(fast.speed, crate::limits::SPEED);
        assert_eq!(fast.duration(0, 1), 1);
        assert_eq!(fast.steps_in(u64::MAX, 1), u64::MAX);
    }

    #[test]
    fn segments_last_as_long_as_their_proofs_are_under_way() {
        let mut prover = prover(1000);
        assert_eq!(prover.steps_a_delivery(u64::MAX, 100), 0, "nothing is known yet");
        prover.delivered(8_000);
        assert_eq!(prover.steps_a_delivery(u64::MAX, 100), 80);
        assert_eq!(prover.steps_a_delivery(5_000, 100), 50);
        prover.delivered(4_000);
        assert_eq!(prover.steps_a_delivery(u64::MAX, 100), 70);
    }

    #[test]
    fn what_it_failed_on_is_avoided_for_a_while() {
        let mut prover = prover(1);
        let range = |lo, hi| Range { lo, hi };
        prover.avoid(JobId(1), range(5, 9), Millis(10));
        assert_eq!(prover.avoids(JobId(1), range(0, 6), Millis(9)), Some(range(5, 9)));
        assert_eq!(prover.avoids(JobId(1), range(0, 6), Millis(10)), None);
        assert_eq!(prover.avoids(JobId(1), range(0, 5), Millis(9)), None);
        assert_eq!(prover.avoids(JobId(2), range(0, 6), Millis(9)), None);
        for i in 0..100 {
            prover.avoid(JobId(2), range(i, i + 1), Millis(99));
        }
        assert_eq!(prover.avoided.len(), crate::limits::AVOIDED_PER_PROVER);
    }
}
