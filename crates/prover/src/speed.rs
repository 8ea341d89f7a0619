//! How fast this prover folds.

use crate::limits::{SPEED_WEIGHT, SPEED_WINDOW_MS};
use crowdfold_wire::Millis;

/// An exponential average of rows a second, over the times that the host passes.
#[derive(Clone, Debug)]
pub(crate) struct Speed {
    rows_per_second: u64,
    /// A step whose end is not known yet: it ends when the host says the time next.
    since: Option<(Millis, u64)>,
    rows: u64,
    ms: u64,
}

impl Speed {
    /// A speed as it was measured before; 0 if it was not.
    pub(crate) fn new(rows_per_second: u64) -> Self {
        Self { rows_per_second, since: None, rows: 0, ms: 0 }
    }

    pub(crate) fn rows_per_second(&self) -> u64 {
        self.rows_per_second
    }

    /// A step of so many rows began at `now` and has just been folded.
    pub(crate) fn folded(&mut self, now: Millis, rows: u64) {
        self.since = Some((now, rows));
    }

    /// Any call of the host's: the first after a step tells when that ended.
    pub(crate) fn at(&mut self, now: Millis) {
        let Some((since, rows)) = self.since.take() else { return };
        self.rows = self.rows.saturating_add(rows);
        self.ms = self.ms.saturating_add(now.since(since));
        if self.ms < SPEED_WINDOW_MS {
            return;
        }
        let sample = self.rows.saturating_mul(1000) / self.ms;
        self.rows_per_second = match self.rows_per_second {
            0 => sample,
            old => old - old / SPEED_WEIGHT + sample / SPEED_WEIGHT,
        };
        (self.rows, self.ms) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_follows_the_steps() {
        let mut speed = Speed::new(0);
        let mut now = Millis(7);
        let mut fold = |speed: &mut Speed, ms| {
            speed.at(now);
            speed.folded(now, 1000);
            now = now.after(ms);
            speed.at(now);
            // Idle times don't count.
            now = now.after(100_000);
        };
        for _ in 0..5 {
            fold(&mut speed, 100);
        }
        assert_eq!(speed.rows_per_second(), 10_000);
        (0..5).for_each(|_| fold(&mut speed, 200));
        assert!((5_000..10_000).contains(&speed.rows_per_second()));
        (0..200).for_each(|_| fold(&mut speed, 200));
        assert!(speed.rows_per_second().abs_diff(5_000) < 10, "{}", speed.rows_per_second());
    }

    #[test]
    fn steps_shorter_than_the_clock_are_measured_together() {
        let mut speed = Speed::new(0);
        for i in 0..3000_u64 {
            speed.at(Millis(i / 3));
            speed.folded(Millis(i / 3), 10);
        }
        assert!(speed.rows_per_second().abs_diff(30_000) < 300, "{}", speed.rows_per_second());
    }
}
