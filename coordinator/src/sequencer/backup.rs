//! Backups of the accounts beside everything else.
//!
//! The accounts are copied first. So they may be some batches behind the rest, whose bytes are in the backup: the next
//! start commits them again, as it does after a crash.

use std::path::{Path, PathBuf};

use crowdfold_rollup::store::Snapshot;

use super::{Sequencer, SequencerError};
use crate::store::ACCOUNTS;

/// Where the accounts are in a backup.
pub fn accounts_of(backup: &Path) -> PathBuf {
    backup.join(ACCOUNTS)
}

/// Copies the accounts at `from`, which no sequencer has open, into a folder where there are none.
///
/// # Errors
/// [`SequencerError`]: whatever reading and writing them can fail with.
pub async fn backup_accounts(from: &Path, folder: &Path) -> Result<(), SequencerError> {
    let (from, to) = (from.to_owned(), accounts_of(folder));
    let copied = tokio::task::spawn_blocking(move || Snapshot::open(&from)?.copy_to(&to)).await;
    Ok(copied.map_err(|error| SequencerError::Panicked(error.to_string()))??)
}

impl Sequencer {
    /// Copies all that is stored to an empty or new folder, accounts included, while everything goes on.
    ///
    /// # Errors
    /// As [`Storage::backup`], and whatever copying the accounts can fail with.
    pub async fn backup(&self, to: &Path) -> Result<u64, SequencerError> {
        let snapshot = self.view().snapshot.clone();
        let accounts = accounts_of(to);
        let copy = async {
            let copied = tokio::task::spawn_blocking(move || snapshot.copy_to(&accounts)).await;
            Ok(copied.map_err(|error| SequencerError::Panicked(error.to_string()))??)
        };
        self.storage().backup_with(to, copy).await
    }
}
