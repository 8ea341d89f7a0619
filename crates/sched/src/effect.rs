//! What the scheduler asks for.

use thiserror::Error;

use crate::ids::{JobId, Millis, ProofId, ProverId, Range, TaskId};

/// Why a task is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// Its job is done, cancelled, expired or failed.
    JobEnded,
    /// Others covered its steps.
    Covered,
    /// Its hard deadline passed.
    Deadline,
    /// Its prover was suspended.
    Suspended,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// Its cover is one range proof: the root proof.
    Done,
    /// The client cancelled it.
    Cancelled,
    /// Its deadline passed.
    Expired,
    /// A merge failed natively again and again.
    Failed,
}

/// What a proof is good for. Each proof gets one, and one that is a [`Verdict::Spare`] a second one later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// In the cover: its prover is credited with all its steps, on the chain too.
    Counted,
    /// Valid, and not needed now. Nobody is credited yet.
    Spare {
        /// Steps that its prover is compensated for if it is never needed. To be kept for
        /// [`Standing::Spare`](crate::Standing::Spare).
        owed: u64,
    },
    /// Valid, not needed, and no fault of its prover's: credited in the coordinator's ledger.
    Compensated {
        /// For so many steps, at least 1: those that its prover was not asked to prove in vain before.
        steps: u64,
    },
    /// A longer proof of the same prover that begins with the same step has taken its place, and is paid for in its
    /// stead. It may not have been verified.
    Superseded,
    /// Not needed, and its prover had no lease for these steps: no credit. It may not have been verified.
    Late,
    /// Not valid: no credit.
    Refused,
}

/// Why an event was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadEvent {
    /// There is no such job.
    #[error("job {0} is not known or has ended")]
    UnknownJob(JobId),
    /// The job was added before.
    #[error("job {0} was added before")]
    KnownJob(JobId),
    /// The job is not one that can be done.
    #[error("job {0} has no steps, rows or weight, or more than the limits allow")]
    BadJob(JobId),
    /// There is no such prover, or it is not connected.
    #[error("prover {0} is not connected")]
    UnknownProver(ProverId),
    /// The prover has no such task.
    #[error("task {0} is not known, has ended or is another prover's")]
    UnknownTask(TaskId),
    /// The proof was not handed in, or has its verdict.
    #[error("proof {0:?} does not wait for verification")]
    UnknownProof(ProofId),
    /// The proof was handed in before.
    #[error("proof {0:?} was handed in before")]
    KnownProof(ProofId),
    /// The range does not lie in the job, or is not free to be restored.
    #[error("steps {0:?} don't lie in the job or overlap its cover")]
    BadRange(Range),
    /// More progress than the task has steps, or less than before.
    #[error("task {0} can't have made this progress")]
    BadProgress(TaskId),
    /// A limit is reached.
    #[error("the limit on {0} is reached")]
    Full(&'static str),
}

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Hand a segment to a prover.
    Assign {
        /// The new task.
        task: TaskId,
        /// Who gets it.
        prover: ProverId,
        /// Its job.
        job: JobId,
        /// Its steps.
        range: Range,
        /// After this the rest may be handed out again. Moves with progress.
        soft: Millis,
        /// After this nobody waits.
        hard: Millis,
    },
    /// Hand a merge to a prover.
    AssignMerge {
        /// The new task.
        task: TaskId,
        /// Who gets it.
        prover: ProverId,
        /// Its job.
        job: JobId,
        /// The left range proof.
        left: Range,
        /// The right one, which begins where the left one ends.
        right: Range,
        /// After this it is done natively.
        deadline: Millis,
    },
    /// Merge two range proofs on the coordinator's cores.
    MergeNatively {
        /// The new task, or that of a merge which a prover did not finish.
        task: TaskId,
        /// Its job.
        job: JobId,
        /// The left range proof.
        left: Range,
        /// The right one, which begins where the left one ends.
        right: Range,
    },
    /// Stop a task.
    Cancel {
        /// Which.
        task: TaskId,
        /// Whose; `None` for a native merge.
        prover: Option<ProverId>,
        /// Why.
        reason: CancelReason,
    },
    /// Verify a proof, then say [`Event::Verified`](crate::Event::Verified) or
    /// [`Event::Refused`](crate::Event::Refused).
    Verify {
        /// Its hash.
        proof: ProofId,
        /// Its job.
        job: JobId,
        /// The steps it claims to prove.
        range: Range,
    },
    /// Say what a proof is good for and credit its prover accordingly.
    Verdict {
        /// Its hash.
        proof: ProofId,
        /// Who made it.
        prover: ProverId,
        /// Its job.
        job: JobId,
        /// The steps it proves.
        range: Range,
        /// What it is good for.
        verdict: Verdict,
    },
    /// A prover gets no work for a while.
    Suspend {
        /// Who.
        prover: ProverId,
        /// Till when.
        until: Millis,
    },
    /// One of a prover's bad proofs is forgotten, because it has delivered enough good ones since.
    Forgiven {
        /// Whose.
        prover: ProverId,
    },
    /// A job ended; all its tasks are cancelled.
    JobEnded {
        /// Which.
        job: JobId,
        /// How.
        end: JobEnd,
    },
    /// The event changed nothing.
    Ignored(BadEvent),
}
