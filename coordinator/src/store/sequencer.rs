//! What is stored of the sequencer, as its users see it.

use crowdfold_sched::{JobId, ProofId};

use super::{At, BlobName};

/// What a transaction is called: the message that its owner signed, big-endian.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionHash(pub [u8; 32]);

impl std::fmt::Display for TransactionHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl std::fmt::Debug for TransactionHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TransactionHash({self})")
    }
}

/// Why a transaction was dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// A code that does not change.
    pub reason: String,
    /// More, in words.
    pub detail: Option<String>,
}

/// A transaction that was accepted.
#[derive(Clone, Debug)]
pub struct NewTransaction {
    /// Its place in the order in which they came.
    pub id: u64,
    /// Its name.
    pub hash: TransactionHash,
    /// Who signed it.
    pub account: u32,
    /// The nonce that it was signed for.
    pub nonce: u32,
    /// Amount and fee.
    pub cost: u128,
    /// Its encoding.
    pub bytes: Vec<u8>,
    /// When it came.
    pub received: At,
    /// Why it was dropped before it could be written.
    pub dropped: Option<Dropped>,
}

/// What a group of requests changes.
#[derive(Clone, Debug, Default)]
pub struct Intake {
    /// Accepted ones, in the order in which they came. One that was dropped before may come again.
    pub added: Vec<NewTransaction>,
    /// Ones that were pending, by their place in that order.
    pub dropped: Vec<(u64, Dropped)>,
}

impl Intake {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.dropped.is_empty()
    }
}

/// A transaction that waits for its batch.
#[derive(Clone, Debug)]
pub struct PendingTransaction {
    /// Its place in the order in which they came.
    pub id: u64,
    /// Its name.
    pub hash: TransactionHash,
    /// Its encoding.
    pub bytes: Vec<u8>,
    /// When it came.
    pub received: At,
}

/// Where a transaction is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// It waits for its batch.
    Pending,
    /// It is in a batch.
    Included {
        /// Which.
        batch: u64,
        /// Its place there, from 0.
        position: u64,
        /// The batch's sequence.
        sequence: u64,
        /// The batch's job, once it has one.
        job: Option<JobId>,
        /// Whether the batch is proved.
        is_proved: bool,
    },
    /// It was dropped.
    Dropped {
        /// When.
        at: At,
        /// Why.
        why: Dropped,
    },
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionReceipt {
    /// Its name.
    pub hash: TransactionHash,
    /// Who signed it.
    pub account: u32,
    /// The nonce that it was signed for.
    pub nonce: u32,
    /// When it came.
    pub received: At,
    /// Where it is.
    pub place: Place,
}

/// A deposit that waits for its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingDeposit {
    /// Its number in the contract's queue.
    pub number: u64,
    /// Its encoding.
    pub bytes: Vec<u8>,
    /// When it came.
    pub received: At,
}

/// A sequence that is to be opened with a batch.
#[derive(Clone, Copy, Debug)]
pub struct NewSequence {
    /// Its number.
    pub number: u64,
    /// The name on the chain of its batches' jobs.
    pub chain_job: [u8; 32],
}

/// A sealed batch, whose blobs are durable.
#[derive(Clone, Debug)]
pub struct NewBatch {
    /// Its number.
    pub number: u64,
    /// Its sequence.
    pub sequence: u64,
    /// The sequence, if it begins with this batch.
    pub opens: Option<NewSequence>,
    /// Whether the sequence ends with it.
    pub closes: bool,
    /// Numbers of its deposits, in order; they come first.
    pub deposits: Vec<u64>,
    /// Its transactions by the order in which they came, in the batch's order.
    pub transactions: Vec<u64>,
    /// Transactions that could not be executed.
    pub dropped: Vec<(u64, Dropped)>,
    /// Its steps.
    pub steps: u64,
    /// Encoded state after it.
    pub end: Vec<u8>,
    /// Bytes and SHA-256 of its job.
    pub job: (u64, [u8; 32]),
    /// Bytes and SHA-256 of its data for the chain.
    pub data: (u64, [u8; 32]),
    /// Now.
    pub at: At,
}

/// How far a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchState {
    /// It has no job yet.
    Sealed,
    /// Its job is being proved.
    Proving,
    /// Its job has a root proof.
    Proved,
    /// Its job ended without one, and it gets another.
    Failed,
}

/// A batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBatch {
    /// Its number.
    pub number: u64,
    /// Its sequence.
    pub sequence: u64,
    /// The name on the chain that it shares with the sequence's other batches.
    pub chain_job: [u8; 32],
    /// Transactions, deposits among them.
    pub transactions: u64,
    /// Deposits.
    pub deposits: u64,
    /// Its steps.
    pub steps: u64,
    /// Encoded state after it.
    pub end: Vec<u8>,
    /// Bytes of its job.
    pub job_bytes: u64,
    /// SHA-256 of its job.
    pub job_hash: [u8; 32],
    /// Bytes of its data for the chain.
    pub data_bytes: u64,
    /// SHA-256 of its data.
    pub data_hash: [u8; 32],
    /// When it was sealed.
    pub sealed: At,
    /// How often it was, or is to be, handed over.
    pub attempt: u64,
    /// Its job.
    pub job: Option<JobId>,
    /// How far it is.
    pub state: BatchState,
    /// The root proof of its job.
    pub root: Option<ProofId>,
    /// When its job ended.
    pub ended: Option<At>,
}

/// A sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSequence {
    /// Its number.
    pub number: u64,
    /// The name on the chain of its batches' jobs.
    pub chain_job: [u8; 32],
    /// Its first batch and its last one so far.
    pub batches: (u64, u64),
    /// How many of them are proved.
    pub proved: u64,
    /// When it was opened.
    pub opened: At,
    /// When it was closed: no batch comes after.
    pub closed: Option<At>,
    /// The proof of all its batches, its bytes, and since when it is there.
    pub root: Option<(ProofId, u64, At)>,
}

/// Numbers for `/metrics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SequencerCounts {
    /// Batches without a job, being proved, proved, and whose job ended without a proof.
    pub batches: [u64; 4],
    /// Sequences that are open, closed and to be merged, and merged.
    pub sequences: [u64; 3],
    /// Deposits that wait.
    pub deposits: u64,
}

impl StoredBatch {
    /// The blob of its job.
    pub fn job_blob(&self) -> BlobName {
        BlobName::BatchJob(self.number)
    }

    /// The blob of its data.
    pub fn data_blob(&self) -> BlobName {
        BlobName::BatchData(self.number)
    }
}
