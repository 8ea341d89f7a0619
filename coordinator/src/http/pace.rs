//! How fast steps are proved: for the time that is left, and for quotes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crowdfold_sched::Millis;

use crate::bus::{Bus, Heard, News};
use crate::hub::Clock;

/// What is looked at, in milliseconds: ten minutes, a few segments of each prover.
const WINDOW_MS: u64 = 600_000;
/// The least time that a pace is taken over. What came together at the start would make it too fast.
const LEAST_MS: u64 = 5_000;
/// Verified ranges that are remembered. At it, the oldest are forgotten: the window is shorter then.
const RANGES: usize = 65_536;

/// A range that was verified.
#[derive(Clone, Copy, Debug)]
struct Range {
    at: Millis,
    job: u64,
    steps: u64,
    rows: u64,
}

#[derive(Debug, Default)]
struct State {
    ranges: VecDeque<Range>,
    /// When the first range of each job of the window was handed out.
    began: BTreeMap<u64, Millis>,
}

impl State {
    fn push(&mut self, range: Range) {
        if self.ranges.len() == RANGES {
            self.ranges.pop_front();
        }
        self.ranges.push_back(range);
    }

    /// Steps and rows of some ranges of the window, and the milliseconds that they took.
    fn sum(&mut self, now: Millis, job: Option<u64>) -> (u64, u64, u64) {
        let from = now.0.saturating_sub(WINDOW_MS);
        while self.ranges.front().is_some_and(|range| range.at.0 < from) {
            self.ranges.pop_front();
        }
        let mut sum = (0, 0);
        for range in self.ranges.iter().filter(|range| job.is_none_or(|job| range.job == job)) {
            sum = (sum.0 + range.steps, sum.1 + range.rows);
        }
        let began = match job {
            Some(job) => self.began.get(&job).copied(),
            None => self.began.values().min().copied(),
        };
        let since = began.map_or(now.0, |began| began.0.max(from));
        (sum.0, sum.1, now.0.saturating_sub(since).max(LEAST_MS))
    }
}

/// The pace of the last ten minutes. Clones look at the same.
#[derive(Clone, Debug)]
pub struct Pace {
    state: Arc<Mutex<State>>,
    clock: Clock,
}

impl Pace {
    /// Listens to the bus from now on, in a task that ends with it.
    pub fn start(bus: &dyn Bus, clock: Clock) -> Self {
        let pace = Self { state: Arc::default(), clock };
        let (mut listener, this) = (bus.listen(None), pace.clone());
        tokio::spawn(async move {
            while let Some(heard) = listener.next().await {
                // What was missed makes it seem slower for a while.
                if let Heard::News(numbered) = heard {
                    this.hear(&numbered.news);
                }
            }
        });
        pace
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, news: &News) {
        let at = self.clock.now();
        match *news {
            News::SegmentAssigned { job, .. } => {
                self.state().began.entry(job).or_insert(at);
            }
            News::RangeVerified { job, steps, credit, .. } => {
                self.state().push(Range { at, job, steps, rows: credit });
            }
            News::JobEnded { job, .. } => {
                self.state().began.remove(&job);
            }
            _ => {}
        }
    }

    /// Milliseconds until so many steps of a job are proved, if it goes on as it did; `None` if none was.
    pub fn left_ms(&self, job: u64, steps: u64) -> Option<u64> {
        let (done, _, took) = self.state().sum(self.clock.now(), Some(job));
        (done > 0).then(|| u64::try_from(u128::from(steps) * u128::from(took) / u128::from(done)).unwrap_or(u64::MAX))
    }

    /// Rows a second of all provers together.
    pub fn rows_per_second(&self) -> u64 {
        let (_, rows, took) = self.state().sum(self.clock.now(), None);
        u64::try_from(u128::from(rows) * 1_000 / u128::from(took)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_takes_as_long_as_it_took() {
        let mut state = State::default();
        state.began.insert(1, Millis(1_000_000));
        for at in 1..=10 {
            state.push(Range { at: Millis(1_000_000 + at * 10_000), job: 1, steps: 5, rows: 50 });
        }
        assert_eq!(state.sum(Millis(1_100_000), Some(1)), (50, 500, 100_000));
        assert_eq!(state.sum(Millis(1_100_000), Some(2)).0, 0);
        assert_eq!(state.sum(Millis(1_100_000), None), (50, 500, 100_000));
        // Of a long job only the window counts.
        assert_eq!(state.sum(Millis(1_655_000), Some(1)), (25, 250, WINDOW_MS));
    }

    #[test]
    fn what_comes_at_once_does_not_make_it_endlessly_fast() {
        let mut state = State::default();
        state.push(Range { at: Millis(5), job: 1, steps: 5, rows: 50 });
        assert_eq!(state.sum(Millis(5), Some(1)), (5, 50, LEAST_MS));
    }
}
