//! What an operator can choose.

/// Choices of the operator. Lengths of time are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What a segment should take its prover.
    pub target_ms: u64,
    /// A segment has no fewer steps, except where fewer are left between others.
    pub min_steps: u64,
    /// For so long after a lease was cancelled a proof for it is still compensated.
    pub grace_ms: u64,
    /// For so long after it released a segment a prover's prefix is awaited.
    pub upload_ms: u64,
    /// For so long a prover does not get again what it failed on.
    pub avoid_ms: u64,
    /// A merge that was handed to a prover is done natively after so long.
    pub merge_ms: u64,
    /// Merges that are done natively at once; others wait for their turn or for a prover.
    pub native_merges: usize,
    /// With more proofs than this waiting for verification, only provers that have none there get work.
    pub unverified: usize,
    /// First suspension; doubles with each bad proof.
    pub suspension_ms: u64,
    /// So many accepted proofs make one bad proof forgotten.
    pub forgiven_by: u32,
    /// A number that no earlier run used: part of each [`TaskId`](crate::TaskId), so that a task of a run that crashed
    /// is never taken for one of this run. Runs that are 65,536 apart may share one.
    pub epoch: u16,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            target_ms: 60_000,
            min_steps: 4,
            grace_ms: 120_000,
            upload_ms: 60_000,
            avoid_ms: 600_000,
            merge_ms: 30_000,
            native_merges: 8,
            unverified: 4_096,
            suspension_ms: 60_000,
            forgiven_by: 64,
            epoch: 0,
        }
    }
}
