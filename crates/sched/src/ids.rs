//! Names and numbers that cross the scheduler's boundary.

use std::fmt;

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    )+};
}

names! {
    /// A job. Never used for two jobs.
    JobId,
    /// Who ordered jobs.
    ClientId,
    /// A prover's key, numbered by the coordinator. It outlives connections.
    ProverId,
    /// A segment or a merge that was handed out. The scheduler makes these; see
    /// [`Config::epoch`](crate::Config::epoch).
    TaskId,
    /// Index of a step of a job.
    StepIndex,
    /// A moment: milliseconds since any fixed one.
    Millis,
    /// How fast a prover folds: rows a second.
    Speed,
    /// Bytes of memory.
    Bytes,
}

impl Millis {
    /// So many milliseconds later.
    #[must_use]
    pub fn after(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to here, 0 if it is not earlier.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// SHA-256 of a proof's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProofId(pub [u8; 32]);

impl fmt::Debug for ProofId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Steps `[start, end)` of a job, at least one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    pub(crate) lo: u64,
    pub(crate) hi: u64,
}

impl Range {
    /// Steps `[start, end)`; `None` if there are none.
    pub fn new(start: StepIndex, end: StepIndex) -> Option<Self> {
        Self::of(start.0, end.0)
    }

    pub(crate) fn of(lo: u64, hi: u64) -> Option<Self> {
        (lo < hi).then_some(Self { lo, hi })
    }

    /// The first step.
    pub fn start(self) -> StepIndex {
        StepIndex(self.lo)
    }

    /// The first step after it.
    pub fn end(self) -> StepIndex {
        StepIndex(self.hi)
    }

    /// How many steps: at least 1.
    pub fn steps(self) -> u64 {
        self.hi - self.lo
    }

    /// Whether a step is in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.lo < other.hi && other.lo < self.hi
    }

    /// Whether all steps of `other` are in it.
    pub fn contains(self, other: Self) -> bool {
        self.lo <= other.lo && other.hi <= self.hi
    }

    pub(crate) fn intersection(self, other: Self) -> Option<Self> {
        Self::of(self.lo.max(other.lo), self.hi.min(other.hi))
    }

    /// What is left of it without `other`: before and after.
    pub(crate) fn without(self, other: Self) -> [Option<Self>; 2] {
        [Self::of(self.lo, self.hi.min(other.lo)), Self::of(self.lo.max(other.hi), self.hi)]
    }
}

impl fmt::Debug for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.lo, self.hi)
    }
}

#[cfg(test)]
mod tests {
    use super::{Millis, Range, StepIndex};

    #[test]
    fn a_range_has_steps() {
        assert_eq!(Range::new(StepIndex(3), StepIndex(3)), None);
        assert_eq!(Range::new(StepIndex(4), StepIndex(3)), None);
        assert_eq!(Range::of(3, 5).map(Range::steps), Some(2));
    }

    #[test]
    fn a_range_without_another() {
        let range = |lo, hi| Range { lo, hi };
        assert_eq!(range(2, 8).without(range(4, 5)), [Some(range(2, 4)), Some(range(5, 8))]);
        assert_eq!(range(2, 8).without(range(0, 9)), [None, None]);
        assert_eq!(range(2, 8).without(range(0, 4)), [None, Some(range(4, 8))]);
        assert_eq!(range(2, 8).without(range(4, 9)), [Some(range(2, 4)), None]);
        assert!(!range(2, 8).overlaps(range(8, 9)) && range(2, 8).overlaps(range(7, 9)));
    }

    #[test]
    fn moments_saturate() {
        assert_eq!(Millis(3).since(Millis(5)), 0);
        assert_eq!(Millis(u64::MAX).after(1), Millis(u64::MAX));
    }
}
