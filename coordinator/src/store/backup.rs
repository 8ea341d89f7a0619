//! Backups: a data folder without partial uploads, which provers send again.

use std::fs;
use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

use super::check::referred;
use super::storage::{blobs, database, make_folder, sync_folder};
use super::{Blobs, Faults, Result, Storage, StoreError};

/// The sequencer's accounts, in data folders and backups.
pub const ACCOUNTS: &str = "accounts";
/// What says that a backup is whole; it is written last.
const WHOLE: &str = "backup";

impl Storage {
    /// Copies all that is stored, as it is at one moment, to an empty or new folder, while the coordinator runs. Says
    /// how many bytes of blobs were copied.
    ///
    /// # Errors
    /// [`StoreError::NotEmpty`]; [`StoreError::Corrupt`] or [`StoreError::Missing`] if a blob is not what it should be;
    /// whatever files can fail with. What was copied then is no backup, and is not taken for one.
    pub async fn backup(&self, to: &Path) -> Result<u64> {
        self.backup_with(to, async { Ok(()) }).await
    }

    /// The same with something before it, once the folder is there: what has to be of an earlier moment than the rest.
    ///
    /// # Errors
    /// Those, and what the first part fails with.
    pub async fn backup_with<E: From<StoreError>>(
        &self,
        to: &Path,
        first: impl Future<Output = Result<(), E>>,
    ) -> Result<u64, E> {
        make_empty(to)?;
        // What the copy of the database refers to has to stay until it is copied too.
        let _staying = self.removal.lock().await;
        first.await?;
        self.faults.point()?;
        self.store.copy_to(&database(to)).await?;
        self.faults.point()?;
        let bytes = copy_blobs(&self.blobs, to, &self.faults).await?;
        let to = to.to_owned();
        tokio::task::spawn_blocking(move || finish(&to)).await.map_err(|_| StoreError::Stopping)??;
        Ok(bytes)
    }

    /// Makes a data folder of a backup, in an empty or new folder.
    ///
    /// # Errors
    /// [`StoreError::NotEmpty`]; [`StoreError::Corrupt`] if the backup is not whole or damaged; whatever files can fail
    /// with. What was copied then can be removed.
    pub async fn restore(from: &Path, to: &Path) -> Result<u64> {
        if !from.join(WHOLE).exists() {
            return Err(StoreError::corrupt(from.display(), "it is not a backup, or was not finished"));
        }
        make_empty(to)?;
        let source = Blobs::in_folder(&blobs(from), Faults::none())?;
        // The sequencer's accounts are there if it had some.
        let files = [(database(from), database(to)), (from.join(ACCOUNTS), to.join(ACCOUNTS))];
        tokio::task::spawn_blocking(move || {
            for (old, new) in files.iter().filter(|(old, _)| !old.ends_with(ACCOUNTS) || old.exists()) {
                fs::copy(old, new).map_err(|e| StoreError::io(new, e))?;
                fs::File::open(new).and_then(|file| file.sync_all()).map_err(|e| StoreError::io(new, e))?;
            }
            Ok::<_, StoreError>(())
        })
        .await
        .map_err(|_| StoreError::Stopping)??;
        let bytes = copy_blobs(&source, to, &Faults::none()).await?;
        sync_folder(to)?;
        Ok(bytes)
    }
}

/// Copies what the database in a folder refers to, and looks whether it is what it should be.
async fn copy_blobs(from: &Blobs, to: &Path, faults: &Faults) -> Result<u64> {
    let folder = blobs(to);
    make_folder(&folder)?;
    let target = Blobs::in_folder(&folder, faults.clone())?;
    let options = SqliteConnectOptions::new().filename(database(to)).read_only(true).immutable(true);
    let db: SqlitePool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
    let all = referred(&db).await;
    db.close().await;
    let mut sum = 0;
    for (name, bytes, hash) in all? {
        if from.copy_to(name, &target).await? != (bytes, hash) {
            return Err(StoreError::corrupt(name, "it has a wrong length or SHA-256"));
        }
        sum += bytes;
    }
    Ok(sum)
}

fn make_empty(folder: &Path) -> Result<()> {
    make_folder(folder)?;
    match fs::read_dir(folder).map_err(|e| StoreError::io(folder, e))?.next() {
        None => Ok(()),
        Some(_) => Err(StoreError::NotEmpty { folder: folder.into() }),
    }
}

fn finish(folder: &Path) -> Result<()> {
    let path = database(folder);
    fs::File::open(&path).and_then(|file| file.sync_all()).map_err(|e| StoreError::io(&path, e))?;
    let path = folder.join(WHOLE);
    fs::write(&path, "whole\n").map_err(|e| StoreError::io(&path, e))?;
    fs::File::open(&path).and_then(|file| file.sync_all()).map_err(|e| StoreError::io(&path, e))?;
    sync_folder(folder)
}
