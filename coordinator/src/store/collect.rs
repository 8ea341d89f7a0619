//! Retention, and the removal of what nothing refers to.

use crowdfold_sched::Millis;

use super::limits::PAGE;
use super::{At, Kept, Result, Storage, Store};

/// How long things are kept, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Inputs, states and inner proofs of a job after its end, and the bytes of a batch after its sequence was merged.
    /// Longer than the scheduler's `grace_ms`, as proofs are compensated that long.
    pub job_ms: u64,
    /// Root proofs of jobs after their end; `None` for ever.
    pub root_ms: Option<u64>,
    /// Blobs that nothing refers to. Longer than any job or proof takes from its first byte to its row.
    pub orphan_ms: u64,
    /// Partial uploads that get no more bytes.
    pub upload_ms: u64,
}

impl Default for Retention {
    /// A week; for ever; an hour; three days.
    fn default() -> Self {
        let day = 24 * 3_600_000;
        Self { job_ms: 7 * day, root_ms: None, orphan_ms: 3_600_000, upload_ms: 3 * day }
    }
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Jobs of which blobs were given up.
    pub jobs: u64,
    /// Batches of which the job's bytes were given up.
    pub batches: u64,
    /// Blobs.
    pub blobs: u64,
    /// Bytes of these blobs.
    pub bytes: u64,
    /// Partial uploads.
    pub uploads: u64,
    /// Things among the blobs that no version of this software writes. They stay.
    pub strange: u64,
}

impl Storage {
    /// Gives up what retention says, and removes blobs that nothing refers to any more, or never did because a crash
    /// came between blob and row. Everything else may go on beside it; backups wait.
    ///
    /// # Errors
    /// What the database and files can fail with. What was removed until then is.
    pub async fn collect(&self, now: At, retention: &Retention) -> Result<Collected> {
        let _removing = self.removal.lock().await;
        let before = |ms: u64| Millis(now.0.saturating_sub(ms));
        let mut collected = Collected::default();
        for (kept, ms) in [(Kept::Root, Some(retention.job_ms)), (Kept::Nothing, retention.root_ms)] {
            let Some(ms) = ms else { continue };
            loop {
                let jobs = self.store.purge(kept, before(ms), PAGE).await?.len();
                collected.jobs += jobs as u64;
                if jobs < PAGE as usize {
                    break;
                }
            }
        }
        collected.batches = self.store.purge_batches(before(retention.job_ms)).await?;
        let old = before(retention.orphan_ms);
        let (names, strange) = self.blobs.older_than(old).await?;
        collected.strange = strange;
        for name in names {
            // Most are wanted: those are not asked about with the gate closed.
            if self.store.refers_to(name).await? {
                continue;
            }
            if let Some(bytes) = self.blobs.remove_older(name, old, self.store.refers_to(name)).await? {
                collected.blobs += 1;
                collected.bytes += bytes;
            }
        }
        collected.uploads = self.spool.forget_older(before(retention.upload_ms)).await?;
        Ok(collected)
    }
}
