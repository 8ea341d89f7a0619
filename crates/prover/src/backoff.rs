//! Waits between attempts to connect.

use crate::limits::{MAX_BACKOFF_MS, MIN_BACKOFF_MS};

/// Waits that double from one failure to the next, up to a limit, half of each random: provers that lost their
/// coordinator at the same moment don't all come back at the same moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Milliseconds to wait after one more failure; `random` is any number.
    pub(crate) fn next(&mut self, random: u64) -> u64 {
        let whole = MIN_BACKOFF_MS.saturating_mul(1 << self.failures.min(32)).min(MAX_BACKOFF_MS);
        self.failures = self.failures.saturating_add(1);
        whole / 2 + random % (whole - whole / 2 + 1)
    }

    /// The next wait is the first again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The next wait is the longest.
    pub(crate) fn raise(&mut self) {
        self.failures = u32::BITS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shortest and the longest next wait.
    fn bounds(backoff: &mut Backoff) -> (u64, u64) {
        let whole = backoff.clone().next(0) * 2;
        let bounds = (backoff.clone().next(0), backoff.next(whole - whole / 2));
        assert!(bounds.0 < bounds.1);
        bounds
    }

    #[test]
    fn waits_grow_up_to_the_limit() {
        let mut backoff = Backoff::default();
        let waits: Vec<(u64, u64)> = (0..100).map(|_| bounds(&mut backoff)).collect();
        assert_eq!(waits[0], (MIN_BACKOFF_MS / 2, MIN_BACKOFF_MS));
        assert_eq!(waits[1], (MIN_BACKOFF_MS, 2 * MIN_BACKOFF_MS));
        assert!(waits.is_sorted());
        assert_eq!(waits[99], (MAX_BACKOFF_MS / 2, MAX_BACKOFF_MS));
    }

    #[test]
    fn waits_start_over() {
        let mut backoff = Backoff::default();
        backoff.raise();
        assert_eq!(bounds(&mut backoff).1, MAX_BACKOFF_MS);
        backoff.reset();
        assert_eq!(bounds(&mut backoff).1, MIN_BACKOFF_MS);
    }
}
