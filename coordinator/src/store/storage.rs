//! A data folder: `database` with its log, `blobs/`, `spool/`, and `lock`.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use tokio::sync::Mutex;

use super::limits::SpoolLimits;
use super::{Blobs, Faults, Result, Spool, SqliteStore, StoreError};

/// What an operator, or a test, chooses.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Limits of partial uploads.
    pub spool: SpoolLimits,
    /// Pages of 4 KiB that the database may have: beyond, writes fail with [`StoreError::Full`]. `None` for as many as
    /// the disk holds.
    pub database_pages: Option<u32>,
    /// Simulated crashes.
    pub faults: Faults,
}

/// All that is stored, in one folder that this process has to itself.
#[derive(Debug)]
pub struct Storage {
    /// Jobs, provers, verdicts, credit.
    pub store: SqliteStore,
    /// Inputs, states, proofs.
    pub blobs: Blobs,
    /// Partial uploads.
    pub spool: Spool,
    /// Held by what removes blobs, and by a backup, so that what is to be copied stays.
    pub(super) removal: Mutex<()>,
    pub(crate) faults: Faults,
    /// The lock ends with it, also when the process is killed.
    _lock: File,
}

pub(super) fn database(folder: &Path) -> PathBuf {
    folder.join("database")
}

pub(super) fn blobs(folder: &Path) -> PathBuf {
    folder.join("blobs")
}

/// Makes names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| StoreError::io(folder, e))
}

pub(super) fn make_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|e| StoreError::io(folder, e))?;
    folder.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync_folder)
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|e| StoreError::io(&path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { folder: folder.into() }),
        Err(TryLockError::Error(error)) => Err(StoreError::io(&path, error)),
    }
}

impl Storage {
    /// Opens a data folder, or makes an empty one, and counts a start.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another process has it, [`StoreError::Newer`] if a newer version wrote it, and
    /// whatever files and the database can fail with.
    pub async fn open(folder: &Path, options: Options) -> Result<Self> {
        make_folder(folder)?;
        let lock = lock(folder)?;
        let (blob_folder, spool_folder) = (blobs(folder), folder.join("spool"));
        make_folder(&blob_folder)?;
        make_folder(&spool_folder)?;
        let faults = options.faults;
        let store = SqliteStore::open(&database(folder), options.database_pages, faults.clone()).await?;
        sync_folder(folder)?;
        Ok(Self {
            store,
            blobs: Blobs::in_folder(&blob_folder, faults.clone())?,
            spool: Spool::open(&spool_folder, options.spool, faults.clone())?,
            removal: Mutex::new(()),
            faults,
            _lock: lock,
        })
    }

    /// Closes the database, so that its log is merged into it, and frees the folder. What is dropped instead is as
    /// durable, but others may find the folder locked for a moment.
    pub async fn close(self) {
        self.store.close().await;
    }
}
