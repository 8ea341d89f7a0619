//! The accounts of a rollup on disk, in one file.
//!
//! A [`Store`] is open for changes, by one process at a time; a [`Snapshot`] is a view that stays as it is, and what
//! batches are built over. A batch is committed whole and durably, or not at all, whenever the process or the machine
//! stops.
//!
//! Opening reads a few pages, however many accounts there are, and checks the mark, the version and the root. [`check`]
//! reads and hashes everything.

mod check;
mod commit;
mod copy;
mod genesis;
mod snapshot;
mod tables;

pub use check::{Checked, check};
pub use genesis::Genesis;
pub use snapshot::Snapshot;
pub use tables::Head;

use crate::Error;
use redb::{Builder, Database, DatabaseError, ReadableDatabase};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Bytes of pages that are kept in memory.
const CACHE_BYTES: usize = 256 << 20;
/// What a file of the key-value store begins with.
const DATABASE_MAGIC: [u8; 4] = *b"redb";

/// The accounts, open for changes.
#[derive(Debug)]
pub struct Store {
    database: Database,
}

impl Store {
    /// Opens the store at `path`.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Foreign`], [`Error::Version`], [`Error::Unfinished`], [`Error::InUse`],
    /// [`Error::Corrupt`], or what the file system says.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let store = Self { database: open_database(path, builder())? };
        snapshot::read_head(&store.database.begin_read()?, path)?;
        store.snapshot()?.check_root()?;
        Ok(store)
    }

    /// The accounts as they are now.
    ///
    /// # Errors
    /// Those of the key-value store.
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        Snapshot::of(&self.database.begin_read()?, None)
    }

    /// What is true now.
    ///
    /// # Errors
    /// Those of the key-value store.
    pub fn head(&self) -> Result<Head, Error> {
        Ok(*self.snapshot()?.head())
    }
}

impl Snapshot {
    /// Opens the store at `path` for reading only. While a snapshot of this kind is open, no process can open the store
    /// for changes.
    ///
    /// # Errors
    /// Those of [`Store::open`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        check_mark(path)?;
        let database = match builder().open_read_only(path) {
            // The last writer was stopped: opening for changes goes back to its last commit.
            Err(DatabaseError::RepairAborted) => {
                drop(open_database(path, builder())?);
                builder().open_read_only(path)
            }
            other => other,
        };
        let database = database.map_err(|error| opening(path, error))?;
        let transaction = database.begin_read()?;
        snapshot::read_head(&transaction, path)?;
        let snapshot = Self::of(&transaction, Some(database))?;
        snapshot.check_root()?;
        Ok(snapshot)
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn open_database(path: &Path, builder: Builder) -> Result<Database, Error> {
    check_mark(path)?;
    builder.open(path).map_err(|error| opening(path, error))
}

/// Refuses files that are none of the key-value store's before it tries to read them.
fn check_mark(path: &Path) -> Result<(), Error> {
    let mut mark = [0; DATABASE_MAGIC.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut mark));
    match read {
        Ok(()) if mark == DATABASE_MAGIC => Ok(()),
        Ok(()) => Err(Error::Foreign { path: path.into() }),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::Missing { path: path.into() }),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(Error::Foreign { path: path.into() }),
        Err(source) => Err(Error::Io { path: path.into(), source }),
    }
}

fn opening(path: &Path, error: DatabaseError) -> Error {
    let path: PathBuf = path.into();
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => Error::InUse { path },
        DatabaseError::Storage(redb::StorageError::Io(source)) if source.kind() == ErrorKind::InvalidData => {
            Error::Corrupt { what: source.to_string() }
        }
        DatabaseError::Storage(redb::StorageError::Io(source)) => Error::Io { path, source },
        other => other.into(),
    }
}
