//! What can go wrong.

use crowdfold_programs::rollup::Index;
use std::io;
use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No store has that path.
    #[error("there is no store at {}: make one with `genesis`", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A new store where there is a file.
    #[error("{} exists already: a new store needs a new path", path.display())]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// A file that is something else than a store.
    #[error("{} is no store of accounts: it is another program's file, or one that was cut off or overwritten", path.display())]
    Foreign {
        /// Which file.
        path: PathBuf,
    },
    /// A store of another version of this crate.
    #[error("{} has version {found} of the store's format, this program reads version {expected}: use the program that made it", path.display())]
    Version {
        /// Which file.
        path: PathBuf,
        /// The version that this crate reads.
        expected: u32,
        /// The file's.
        found: u32,
    },
    /// A store whose accounts were never written to the end.
    #[error("{} was not finished when it was made: delete it and make it again with `genesis`", path.display())]
    Unfinished {
        /// Which file.
        path: PathBuf,
    },
    /// A store that another process, or this one, has open.
    #[error("{} is in use: one process can change a store at a time, and none while others read it", path.display())]
    InUse {
        /// Which file.
        path: PathBuf,
    },
    /// A store whose contents contradict each other.
    #[error("the store is corrupt ({what}): restore it from a copy, or make it again from genesis and batches")]
    Corrupt {
        /// What is wrong.
        what: String,
    },
    /// What the key-value store says.
    #[error("the store can't be read or written")]
    Database(#[source] Box<redb::Error>),
    /// What the file system says.
    #[error("{} can't be read or written", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A batch that does not follow the state of the store.
    #[error(
        "the batch starts at root {found}, the store is at root {expected} after {batches} batches: build it again on this store"
    )]
    Stale {
        /// Root of the store's state.
        expected: String,
        /// Root of the batch's first state.
        found: String,
        /// Batches of the store so far.
        batches: u64,
    },
    /// Changes that don't belong to the batch that they came with.
    #[error("the batch leaves root {expected}, its changes make root {found}")]
    ChangesMismatch {
        /// Root of the batch's end state.
        expected: String,
        /// Root that the changes make.
        found: String,
    },
    /// An account that a root does not have.
    #[error("account {index} does not belong to that root: it is of another state, or not true")]
    NotInTree {
        /// Its index.
        index: Index,
    },
    /// More accounts than indices.
    #[error("a rollup has at most {limit} accounts, got {found}")]
    TooManyAccounts {
        /// The limit.
        limit: usize,
        /// The number that came.
        found: usize,
    },
    /// An operator without an account.
    #[error("the operator's account is to be {operator}, but there are only {accounts} accounts, numbered from 0")]
    NoOperator {
        /// Its index.
        operator: Index,
        /// Number of accounts.
        accounts: usize,
    },
    /// Two accounts of one owner at genesis.
    #[error("accounts {first} and {second} have the same key: give each owner one account")]
    DuplicateKey {
        /// The lower index.
        first: u32,
        /// The higher index.
        second: u32,
    },
    /// Balances that don't fit into one account.
    #[error("all balances together have to stay below 2^128: so that no payment can fail because of its receiver")]
    SupplyTooLarge,
    /// A value that is not of its form.
    #[error("{what}: expected {expected}, got {found:?}")]
    Value {
        /// What was read.
        what: &'static str,
        /// What it looks like.
        expected: &'static str,
        /// What came, cut off.
        found: String,
    },
    /// JSON that is not of its form.
    #[error("this is no file of {what} (docs/guide/rollup.md)")]
    Json {
        /// What was expected.
        what: &'static str,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// A file or list beyond its limit.
    #[error("{what} are limited to {limit}, got {found}: split the file")]
    Limit {
        /// What was counted.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// The number found.
        found: u64,
    },
    /// One of many that is wrong.
    #[error("{what} {position}")]
    At {
        /// What it is one of.
        what: &'static str,
        /// Its position, from 0.
        position: usize,
        /// What is wrong.
        source: Box<Error>,
    },
    /// A file with signatures that says not what they are bound to.
    #[error("a file with transfers or withdrawals needs the field `domain`: what their signatures are bound to")]
    NoDomain,
    /// What the rollup program says of a batch.
    #[error("this is no batch")]
    Batch(#[source] crowdfold_fold::Error),
    /// A batch whose accounts are not those that its transactions name.
    #[error("the batch lists accounts {found}, its transactions need {expected}")]
    BatchAccounts {
        /// The indices needed, in words.
        expected: String,
        /// The indices listed, in words.
        found: String,
    },
}

impl Error {
    /// Contents that contradict each other.
    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }
}

/// Errors of the key-value store while it is open.
macro_rules! from_database {
    ($($error:ty),*) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Self {
                match redb::Error::from(error) {
                    redb::Error::Corrupted(what) => Self::Corrupt { what },
                    other => Self::Database(Box::new(other)),
                }
            }
        })*
    };
}

from_database!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::DatabaseError,
    redb::SetDurabilityError
);
