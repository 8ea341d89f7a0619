//! What survives a crash: a database of jobs, provers, verdicts and credit ([`Store`]), blobs of inputs, states and
//! proofs ([`Blobs`]), and partial uploads ([`Spool`]). [`Storage`] is all three in one folder.
//!
//! Whatever a call returned `Ok` for is on disk. The order of writes does the rest: bytes are durable before a row
//! names them, and a row is gone before its bytes are. So a crash leaves blobs that nothing names, which
//! [`Storage::collect`] removes, and never a row without its blob. Types hold callers to it: a row is made from a
//! [`StoredProof`] or a [`JobData`], and only the writing of the blobs makes these.
//!
//! One process has a data folder. Within it any task may read; records are committed by one, the coordinator's loop,
//! many at once.

mod backup;
mod blobs;
mod check;
mod collect;
mod error;
mod faults;
mod job_data;
pub mod limits;
mod model;
mod sequencer;
mod spool;
mod sqlite;
mod storage;

use async_trait::async_trait;
use crowdfold_fold::Address;
use crowdfold_sched::{ClientId, JobId, ProofId, ProverId};
use crowdfold_wire::PublicKey;

pub use backup::ACCOUNTS;
pub use blobs::{BlobName, Blobs, StoredProof};
pub use check::{Checked, Fault};
pub use collect::{Collected, Retention};
pub use error::StoreError;
pub use faults::Faults;
pub use job_data::{JobData, JobWriter};
pub use model::{
    Accepted, At, Client, Counts, Covered, Credit, Ended, IdempotencyKey, JobFilter, Kept, NewClient, NewJob, Progress,
    Proof, Prover, Record, Role, Seen, Spent, StoredJob, TokenHash,
};
pub use sequencer::{
    BatchState, Dropped, Intake, NewBatch, NewSequence, NewTransaction, PendingTransaction, Place, SequencerCounts,
    StoredBatch, StoredSequence, TransactionHash, TransactionReceipt, WaitingDeposit,
};
pub use spool::{Spool, UploadKey};
pub use sqlite::{DepositConflict, SqliteStore};
pub use storage::{Options, Storage};

/// Shorthand of this module.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// The database. Lists come in pages of at most `limit` rows, and [`limits::PAGE`], that begin after the place given.
///
/// # Errors
/// Every call can fail with [`StoreError::Database`], [`StoreError::Full`], or [`StoreError::Corrupt`] where a row is
/// not what it should be.
#[async_trait]
pub trait Store: Send + Sync {
    /// A number that no other run of this coordinator had, until it wraps after 65,536.
    fn epoch(&self) -> u16;

    /// Writes records in order, all or none. When this returns they are durable. If the future is dropped before, they
    /// may or may not be.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] for a record that contradicts what is stored or comes before it.
    async fn commit(&self, records: &[Record]) -> Result<()>;

    /// A number for a job, given out once, even across crashes.
    async fn job_number(&self) -> Result<JobId>;

    /// Accepts a job.
    ///
    /// # Errors
    /// [`StoreError::KeyReused`]; [`StoreError::Conflict`] if its name on the chain is taken or its client is not
    /// known.
    async fn add_job(&self, job: &NewJob) -> Result<Accepted>;

    /// The job that this key made, so that a repeated request need not be executed.
    ///
    /// # Errors
    /// [`StoreError::KeyReused`] if it was for another request.
    async fn job_of_key(&self, client: ClientId, key: &IdempotencyKey) -> Result<Option<JobId>>;

    /// A job.
    async fn job(&self, job: JobId) -> Result<Option<StoredJob>>;

    /// Jobs that did not end, the oldest first.
    async fn open_jobs(&self, after: Option<JobId>, limit: u32) -> Result<Vec<StoredJob>>;

    /// Some jobs, the newest first.
    async fn jobs(&self, filter: &JobFilter, limit: u32) -> Result<Vec<StoredJob>>;

    /// How far a job is.
    async fn progress(&self, job: JobId) -> Result<Progress>;

    /// A job's cover, in the order of its steps.
    async fn cover(&self, job: JobId) -> Result<Vec<Covered>>;

    /// A job's proofs, decided or not, in the order of their hashes.
    async fn proofs(&self, job: JobId, after: Option<ProofId>, limit: u32) -> Result<Vec<Proof>>;

    /// An uploaded proof, unless its job was purged.
    async fn proof(&self, proof: ProofId) -> Result<Option<Proof>>;

    /// Numbers for provers that connected, in order. Those that are new get one.
    ///
    /// # Errors
    /// [`StoreError::Limit`] for more than [`limits::RECORDS`].
    async fn seen(&self, provers: &[Seen]) -> Result<Vec<Prover>>;

    /// A prover.
    async fn prover(&self, key: PublicKey) -> Result<Option<Prover>>;

    /// Provers by credit, the highest first, after a place: credit and number of the last one.
    async fn leaderboard(&self, after: Option<(u64, ProverId)>, limit: u32) -> Result<Vec<Prover>>;

    /// Addresses by credit, the highest first, after a place.
    async fn payouts(&self, after: Option<(u64, Address)>, limit: u32) -> Result<Vec<(Address, u64)>>;

    /// A prover's credits, the oldest first, after an entry.
    async fn ledger(&self, prover: ProverId, after: Option<u64>, limit: u32) -> Result<Vec<Credit>>;

    /// Adds a client.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if there is one of that name or token.
    async fn add_client(&self, client: &NewClient) -> Result<ClientId>;

    /// Voids a client's token, if it has not been before.
    async fn revoke_client(&self, client: ClientId, at: At) -> Result<()>;

    /// The client of a token, revoked or not.
    async fn client(&self, token: TokenHash) -> Result<Option<Client>>;

    /// Clients, revoked or not, the oldest first.
    async fn clients(&self, after: Option<ClientId>, limit: u32) -> Result<Vec<Client>>;

    /// Numbers for `/metrics`.
    async fn counts(&self) -> Result<Counts>;

    /// Whether something refers to a blob.
    async fn refers_to(&self, blob: BlobName) -> Result<bool>;

    /// Gives up the blobs of jobs that ended before, but for those `kept`, and says of which: at most `limit` jobs.
    async fn purge(&self, kept: Kept, ended_before: At, limit: u32) -> Result<Vec<JobId>>;
}
