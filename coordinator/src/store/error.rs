//! What can go wrong with storage.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// An operation on storage failed. Unless it says otherwise nothing of it was done, and the process can go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Only in tests: see [`Faults`](super::Faults).
    #[error("a crash was simulated")]
    Crashed,
    /// A disk or a quota is full. What is there stays readable; the same call can succeed once there is room.
    #[error("no room for {what}: free some disk space or raise the limit, then try again")]
    Full {
        /// What was to be written.
        what: String,
    },
    /// Something stored is damaged.
    #[error("{blob} is damaged: {why}")]
    Corrupt {
        /// Which blob or table.
        blob: String,
        /// What is wrong with it.
        why: String,
    },
    /// A blob is not there.
    #[error("{blob} is missing")]
    Missing {
        /// Its name.
        blob: String,
    },
    /// A record contradicts what is stored, so nothing of its group was written.
    #[error("record {record} contradicts what is stored: {why}")]
    Rejected {
        /// Its place in the group, from 0.
        record: usize,
        /// What it contradicts.
        why: String,
    },
    /// What is to be added contradicts what is stored.
    #[error("this contradicts what is stored: {why}")]
    Conflict {
        /// What it contradicts.
        why: String,
    },
    /// A client used an idempotency key for two different requests.
    #[error("the idempotency key {key:?} was used for another request before: use a new one for a new job")]
    KeyReused {
        /// The key.
        key: String,
    },
    /// A chunk does not continue what is stored.
    #[error("{stored} bytes of the upload are stored, got some from {found} on")]
    Offset {
        /// Bytes that are stored.
        stored: u64,
        /// Where the chunk begins.
        found: u64,
    },
    /// More than a limit of [`limits`](super::limits) allows.
    #[error("{what}: at most {limit} allowed, got {found}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// What came.
        found: u64,
    },
    /// The bytes of an upload don't have its SHA-256: forget them and ask for them again.
    #[error("the uploaded bytes are not those of proof {proof}")]
    WrongHash {
        /// The proof that they were to be.
        proof: String,
    },
    /// Another process uses the data folder.
    #[error("{} is in use by another process: stop it, or choose another data folder", folder.display())]
    Locked {
        /// The folder.
        folder: PathBuf,
    },
    /// A newer version of this software wrote the data.
    #[error("the database has version {found}, this software knows versions up to {known}: use a newer one")]
    Newer {
        /// Its version.
        found: i64,
        /// The newest version known.
        known: i64,
    },
    /// A backup or its restoration goes to an empty folder only.
    #[error("{} is not empty: choose a new folder", folder.display())]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
    },
    /// The database failed.
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
    /// The database could not be brought to this version.
    #[error("the database can't be brought to this version")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The object store failed.
    #[error("the store of blobs failed at {blob}")]
    Objects {
        /// The blob.
        blob: String,
        /// Why.
        source: object_store::Error,
    },
    /// The file system failed.
    #[error("{} can't be read or written", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The runtime is being shut down.
    #[error("the process is stopping")]
    Stopping,
}

/// Whether the disk, a quota or a limit on the size of files is what stood in the way.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

impl StoreError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        if is_full(&source) {
            return Self::Full { what: path.display().to_string() };
        }
        Self::Io { path: path.into(), source }
    }

    pub(crate) fn objects(blob: impl ToString, source: object_store::Error) -> Self {
        let blob = blob.to_string();
        if let object_store::Error::NotFound { .. } = source {
            return Self::Missing { blob };
        }
        let mut cause = source.source();
        while let Some(error) = cause {
            if error.downcast_ref().is_some_and(is_full) {
                return Self::Full { what: blob };
            }
            cause = error.source();
        }
        Self::Objects { blob, source }
    }

    pub(crate) fn corrupt(blob: impl ToString, why: impl ToString) -> Self {
        Self::Corrupt { blob: blob.to_string(), why: why.to_string() }
    }

    pub(crate) fn conflict(why: impl ToString) -> Self {
        Self::Conflict { why: why.to_string() }
    }

    /// The same about a record of a group.
    pub(crate) fn of_record(self, record: usize) -> Self {
        match self {
            Self::Conflict { why } => Self::Rejected { record, why },
            other => other,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code()?.parse::<i32>().ok());
        // SQLite's result codes, the extended ones reduced to their lowest byte.
        match (code.map(|code| code & 0xff), &error) {
            (Some(13), _) => Self::Full { what: "the database".into() },
            (Some(11 | 26), sqlx::Error::Database(cause)) => Self::corrupt("the database", cause.message()),
            (Some(19), sqlx::Error::Database(cause)) => Self::conflict(cause.message()),
            _ => Self::Database(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::StoreError;
    use std::io;

    #[test]
    fn a_full_disk_is_seen_through_the_object_store() {
        let source = |kind| object_store::Error::Generic { store: "test", source: Box::new(io::Error::from(kind)) };
        let error = StoreError::objects("blob", source(io::ErrorKind::StorageFull));
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
        let error = StoreError::objects("blob", source(io::ErrorKind::PermissionDenied));
        assert!(matches!(error, StoreError::Objects { .. }), "{error}");
    }
}
