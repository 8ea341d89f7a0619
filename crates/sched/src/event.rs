//! What the scheduler is told.

use crate::ids::{Bytes, ClientId, JobId, Millis, ProofId, ProverId, Range, Speed, TaskId};

/// What a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobSpec {
    /// Who ordered it. A client's jobs are one sequence: the lowest height goes first, then the oldest job.
    pub client: ClientId,
    /// Share of the provers' work that the client gets relative to others.
    pub weight: u32,
    /// Factor on the weight that its bounty buys, in thousandths: 1000 for the going rate.
    pub bounty: u32,
    /// Number of steps.
    pub steps: u64,
    /// Rows of the step circuit, in which work is measured.
    pub rows: u64,
    /// After this the job is worth nothing.
    pub deadline: Millis,
    /// What a prover needs for it, and for its merges.
    pub memory: Bytes,
    /// Place in the client's sequence, for example a block's number.
    pub height: u64,
}

/// What a prover says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProverSpec {
    /// Measured by itself; replaced by what is seen of its progress.
    pub speed: Speed,
    /// What it can use.
    pub memory: Bytes,
    /// Whether it takes merges.
    pub merges: bool,
    /// A segment for it has no more steps. With fewer than `Config::min_steps` it gets only what is left between others.
    pub most_steps: u64,
    /// Its bad proofs that are not forgotten, as earlier runs counted them: the next suspension is as long as they say.
    /// Where this run has counted more, that stands.
    pub strikes: u32,
}

/// Why a prover hands a segment back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Its owner paused it.
    Paused,
    /// It is closing.
    Closing,
    /// The segment does not fit its memory.
    OutOfMemory,
    /// It failed.
    Failed,
    /// Its hard deadline is near.
    Deadline,
}

/// What became of a proof before a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is in the cover and counted, or made by merging such.
    Cover,
    /// It was accepted as a spare.
    Spare {
        /// What [`Verdict::Spare`](crate::Verdict::Spare) said.
        owed: u64,
    },
    /// It had its verdict and is not needed.
    Settled,
}

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client ordered a job, or one that a crash interrupted is there again.
    JobAdded {
        /// Its name.
        job: JobId,
        /// What it is.
        spec: JobSpec,
    },
    /// A proof that was verified before a crash. Comes after its job and before any prover.
    RangeRestored {
        /// Its job.
        job: JobId,
        /// The steps it proves.
        range: Range,
        /// Its hash.
        proof: ProofId,
        /// Who made it.
        prover: ProverId,
        /// What became of it.
        standing: Standing,
    },
    /// The client does not want the job any more.
    JobCancelled {
        /// Its name.
        job: JobId,
    },
    /// A prover connected.
    ProverJoined {
        /// Its name.
        prover: ProverId,
        /// What it says of itself.
        spec: ProverSpec,
    },
    /// A prover's connection ended.
    ProverLeft {
        /// Its name.
        prover: ProverId,
    },
    /// A prover would take so many tasks at once, beyond those that it has. Replaces what it said before.
    Ready {
        /// Which prover.
        prover: ProverId,
        /// So many segments.
        segments: u16,
        /// So many merges.
        merges: u16,
    },
    /// A prover folded.
    Progress {
        /// Which prover.
        prover: ProverId,
        /// The segment.
        task: TaskId,
        /// Steps of the segment, as it was handed out, that are folded in all.
        steps: u64,
    },
    /// A prover hands back what it has not folded of a segment.
    Released {
        /// Which prover.
        prover: ProverId,
        /// The segment.
        task: TaskId,
        /// Why.
        why: Release,
    },
    /// A proof was uploaded.
    ProofReceived {
        /// Its hash.
        proof: ProofId,
        /// Who is bound into it.
        prover: ProverId,
        /// Its job.
        job: JobId,
        /// The steps it claims to prove.
        range: Range,
        /// The segment it was made for; `None` where the prover doesn't know any more.
        task: Option<TaskId>,
    },
    /// A proof is valid.
    Verified {
        /// Its hash.
        proof: ProofId,
    },
    /// A proof is not valid.
    Refused {
        /// Its hash.
        proof: ProofId,
    },
    /// A proof that waits can't be verified: its bytes were lost. It is as if it had never come.
    Withdrawn {
        /// Its hash.
        proof: ProofId,
    },
    /// A merge was made and its proof is valid.
    MergeDone {
        /// The merge.
        task: TaskId,
    },
    /// A merge failed.
    MergeFailed {
        /// The merge.
        task: TaskId,
        /// The prover that it was handed to; `None` if it was tried natively.
        prover: Option<ProverId>,
        /// Whether a proof came that is not valid.
        bad_proof: bool,
    },
    /// Time passed. Comes at least every second.
    Tick,
}
