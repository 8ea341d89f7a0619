//! Every limit of the storage, and what happens at it. Beyond one a call fails with
//! [`StoreError::Limit`](super::StoreError::Limit) unless it says otherwise.

use crowdfold_wire::limits::{MAX_INPUT_BYTES, MAX_STATE_BYTES, MAX_UPLOAD_BYTES, MAX_UPLOADS};

/// Records of one group.
pub const RECORDS: usize = 65_536;
/// Rows of one page of a list. More are asked for with the last one's place; a greater number means this one.
pub const PAGE: u32 = 1_000;
/// Rows that one statement writes; more take several.
pub const ROWS: usize = 256;
/// Bytes of a client's name and of an idempotency key.
pub const NAME_BYTES: usize = 256;
/// Bytes of the reason of an end or a refusal. A longer one is cut.
pub const REASON_BYTES: usize = 1_024;
/// Bytes of a job's inputs.
pub const JOB_INPUT_BYTES: u64 = 16 << 30;
/// Bytes of one input, as on the wire.
pub const INPUT_BYTES: u64 = MAX_INPUT_BYTES as u64;
/// Bytes of one state, as on the wire.
pub const STATE_BYTES: u64 = MAX_STATE_BYTES as u64;
/// Inputs of one read. A longer range is cut.
pub const INPUTS_PER_READ: u64 = 8_192;
/// Bytes of a part of a blob that is written bit by bit: what an S3-compatible store wants at least, rounded up.
pub const PART_BYTES: usize = 8 << 20;
/// Parts of one blob under way at once: its memory is so many times [`PART_BYTES`], and one more.
pub const PARTS: usize = 2;
/// Bytes of a range proof, as on the wire.
pub const PROOF_BYTES: u64 = MAX_UPLOAD_BYTES;
/// Bytes of one chunk, as on the wire.
pub const CHUNK_BYTES: usize = crowdfold_wire::limits::MAX_CHUNK_BYTES;
/// Job numbers that are set aside with one write. Those that are left at a crash are never used.
pub const JOB_NUMBERS: u64 = 64;
/// Connections that read the database at once; further readers wait.
pub const READERS: u32 = 4;
/// Milliseconds that a statement waits for another process, such as a backup tool, that holds the database.
pub const BUSY_MS: u64 = 5_000;

/// What partial uploads may take. At each: [`StoreError::Full`](super::StoreError::Full).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolLimits {
    /// Uploads of one prover.
    pub uploads_per_prover: usize,
    /// Bytes of one prover's uploads.
    pub bytes_per_prover: u64,
    /// Uploads of all.
    pub uploads: usize,
    /// Bytes of all.
    pub bytes: u64,
}

impl Default for SpoolLimits {
    fn default() -> Self {
        Self {
            // What a connection may have open at once, and as much again from the one before.
            uploads_per_prover: 2 * MAX_UPLOADS,
            bytes_per_prover: 4 << 30,
            uploads: 65_536,
            bytes: 64 << 30,
        }
    }
}
