//! Simulated crashes, for tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::StoreError;

#[derive(Debug)]
struct Count {
    passed: AtomicU64,
    crash_at: u64,
}

/// Where a process is to crash, counted in the points at which a crash leaves something else behind: before and after
/// each write, and within it where it isn't atomic. From that point on nothing is written any more, and every call
/// fails with [`StoreError::Crashed`].
///
/// [`Faults::none`] is what everything but tests passes in; it costs a comparison.
#[derive(Clone, Debug, Default)]
pub struct Faults(Option<Arc<Count>>);

impl Faults {
    /// No crashes.
    pub fn none() -> Self {
        Self::default()
    }

    /// A crash at the `n`-th point, from 1 on; with `u64::MAX` none, but the points are counted.
    pub fn crash_at(n: u64) -> Self {
        Self(Some(Arc::new(Count { passed: AtomicU64::new(0), crash_at: n })))
    }

    /// How many points were passed.
    pub fn passed(&self) -> u64 {
        self.0.as_ref().map_or(0, |count| count.passed.load(Ordering::SeqCst))
    }

    /// Whether the crash is here, or was.
    pub(crate) fn point(&self) -> Result<(), StoreError> {
        match &self.0 {
            None => Ok(()),
            Some(count) if count.passed.fetch_add(1, Ordering::SeqCst) + 1 < count.crash_at => Ok(()),
            Some(_) => Err(StoreError::Crashed),
        }
    }
}
