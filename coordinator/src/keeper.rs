//! Housekeeping: what is not kept any more is removed, and what changes slowly is measured.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use crate::hub::{Clock, Command, View};
use crate::metrics::{Decision, Metrics, State, set};
use crate::sequencer::Sequencer;
use crate::settings::RetentionSettings;
use crate::store::{Storage, Store as _};

/// Time between two looks at what is cheap to see.
const LOOK: Duration = Duration::from_secs(5);
/// Looks between two counts of the database, which take time.
const COUNT_EVERY: u32 = 12;
/// A difference between the system's clock and ours that is worth a warning, in milliseconds.
const JUMP_MS: u64 = 10_000;
/// Free bytes below which it is warned.
const LOW_DISK_BYTES: u64 = 1 << 30;

/// Keeps house until it is aborted.
#[derive(Debug)]
pub struct Keeper {
    /// What is kept.
    pub storage: Arc<Storage>,
    /// Its folder.
    pub data: PathBuf,
    /// How long.
    pub settings: RetentionSettings,
    /// How things are.
    pub view: watch::Receiver<Arc<View>>,
    /// Whose inbox is looked at.
    pub hub: mpsc::Sender<Command>,
    /// The sequencer, where there is one.
    pub sequencer: Option<Sequencer>,
    /// Where it is put.
    pub metrics: Metrics,
    /// The time.
    pub clock: Clock,
}

impl Keeper {
    /// Keeps house.
    pub async fn run(self) {
        let mut looks = interval(LOOK);
        let mut collections = interval(Duration::from_secs(self.settings.every_minutes.saturating_mul(60)));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        collections.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut turn, mut offset) = (0_u32, self.offset());
        loop {
            tokio::select! {
                _ = looks.tick() => {
                    self.look();
                    if turn.is_multiple_of(COUNT_EVERY) {
                        self.count().await;
                    }
                    turn = turn.wrapping_add(1);
                    offset = self.check_clock(offset);
                }
                _ = collections.tick() => self.collect().await,
            }
        }
    }

    fn look(&self) {
        let view = self.view.borrow().clone();
        let open = view.jobs.values().map(|job| job.steps.saturating_sub(job.covered)).sum();
        set(&self.metrics.steps_open, open);
        set(&self.metrics.provers_connected, view.connected as u64);
        set(&self.metrics.leases, view.stats.leases as u64);
        set(&self.metrics.unverified, view.stats.unverified as u64);
        set(&self.metrics.hub_inbox, (self.hub.max_capacity() - self.hub.capacity()) as u64);
        if let Some(sequencer) = &self.sequencer {
            self.look_at_sequencer(sequencer);
        }
        match rustix::fs::statvfs(&self.data) {
            Ok(disk) => {
                let free = disk.f_bavail.saturating_mul(disk.f_frsize);
                if free < LOW_DISK_BYTES {
                    tracing::warn!(free, folder = %self.data.display(), "the disk is almost full");
                }
                set(&self.metrics.disk_free_bytes, free);
            }
            Err(error) => tracing::warn!(%error, "the disk can't be asked how full it is"),
        }
    }

    fn look_at_sequencer(&self, sequencer: &Sequencer) {
        let view = sequencer.view();
        let waited = view.oldest.map_or(0, |oldest| self.clock.now().0.saturating_sub(oldest));
        set(&self.metrics.pending, view.pending);
        set(&self.metrics.oldest_pending_seconds, waited / 1000);
        set(&self.metrics.head_batch, view.snapshot.head().batch);
        for (&decision, &count) in &view.decided {
            set(&self.metrics.decided.get_or_create(&Decision { decision }), count);
        }
    }

    async fn count(&self) {
        match self.storage.store.counts().await {
            Ok(counts) => {
                let states = ["open", "done", "cancelled", "expired", "failed"];
                for (state, count) in states.into_iter().zip(counts.jobs) {
                    set(&self.metrics.jobs.get_or_create(&State { state }), count);
                }
                set(&self.metrics.provers_known, counts.provers);
                set(&self.metrics.database_bytes, counts.database_bytes);
            }
            Err(error) => tracing::warn!(%error, "the database can't be counted"),
        }
    }

    async fn collect(&self) {
        match self.storage.collect(self.clock.now(), &self.settings.retention()).await {
            Ok(collected) => tracing::info!(?collected, "what is not kept any more was removed"),
            // The next one tries again.
            Err(error) => tracing::warn!(%error, "what is not kept any more can't be removed"),
        }
    }

    /// How far the system's clock is ahead of ours, which goes on steadily from where that was at the start.
    #[allow(clippy::disallowed_methods)]
    fn offset(&self) -> i128 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i128::try_from(since.as_millis()).unwrap_or(i128::MAX) - i128::from(self.clock.now().0)
    }

    /// Deadlines don't move when the system's clock jumps, but dates of what is stored are off until a restart.
    fn check_clock(&self, before: i128) -> i128 {
        let now = self.offset();
        if has_jumped(before, now) {
            tracing::warn!(jump_ms = %(now - before), "the system's clock jumped: deadlines stay, dates are off");
            self.metrics.clock_jumps.inc();
        }
        now
    }
}

/// Whether a clock that was so far ahead has jumped, one way or the other; slow corrections are no jumps.
fn has_jumped(before: i128, now: i128) -> bool {
    now.abs_diff(before) > u128::from(JUMP_MS)
}

#[cfg(test)]
mod tests {
    use super::{JUMP_MS, has_jumped};

    #[test]
    fn jumps_are_seen_both_ways_and_corrections_are_none() {
        let jump = i128::from(JUMP_MS);
        assert!(has_jumped(0, jump + 1) && has_jumped(0, -jump - 1) && has_jumped(3_600_000, 0));
        assert!(!has_jumped(0, jump) && !has_jumped(-500, 500));
    }
}
