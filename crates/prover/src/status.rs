//! What a host is told, and what it has to do.

use crate::engine::Purpose;
use crowdfold_fold::Job;
use crowdfold_wire::{Goodbye, Millis, Outcome, ParametersId, SessionId, TaskId, UploadId};
use std::sync::Arc;

/// What a finished proof is of. A host that stores proofs stores this with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProofInfo {
    /// The task that it came from.
    pub task: TaskId,
    /// The first step that it covers, counted from the job's; 0 for a merge, whose task says where it belongs.
    pub first: u64,
    /// Number of steps.
    pub steps: u64,
}

/// Something for the host to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Dial the coordinator; answer with `connected` or `disconnected`.
    Connect,
    /// Send what `next_frame` still has, close the connection, then call `disconnected`.
    Disconnect,
    /// Get these parameters, from the host's cache or the network; answer with `parameters`.
    NeedParameters {
        /// Their digest.
        parameters: ParametersId,
        /// The program that they are of.
        program: String,
        /// What they are for: the files differ.
        purpose: Purpose,
    },
    /// Store a finished proof, if this host can, so that it outlives a restart.
    Keep {
        /// The proof's name.
        upload: UploadId,
        /// What it is of.
        info: ProofInfo,
        /// Its bytes.
        bytes: Arc<Vec<u8>>,
    },
    /// Its verdict has come, or the coordinator has all of it and a longer proof of its chain has taken its place:
    /// forget it. Tell who looks on, above all of [`Outcome::Refused`].
    Forget {
        /// The proof's name.
        upload: UploadId,
        /// What it is of.
        info: ProofInfo,
        /// What became of it.
        outcome: Outcome,
    },
    /// [`Status`] is another one.
    Changed,
}

/// The connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// There is none; the next attempt is at this moment.
    Waiting(Millis),
    /// The host is dialling.
    Dialling,
    /// The handshake is under way.
    Greeting,
    /// The coordinator has let us in.
    Open(SessionId),
    /// It is about to be closed.
    Ending,
    /// The coordinator said why it does not want this prover: connecting again can't help until a person has done what
    /// it says. `resume` tries again.
    Refused(Goodbye),
    /// The prover was stopped and has nothing more to deliver.
    Off,
}

/// What the prover works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Nothing: there is no task, or not all that it takes.
    Idle,
    /// It folds a segment.
    Folding {
        /// The task.
        task: TaskId,
        /// The job.
        job: Job,
        /// Name of the program.
        program: String,
        /// Steps of the segment.
        steps: u64,
        /// Steps folded.
        folded: u64,
    },
    /// It gets or merges proofs.
    Merging {
        /// The task.
        task: TaskId,
        /// The job.
        job: Job,
    },
    /// Too many finished proofs wait for their verdict: it folds when some have been delivered.
    Full,
    /// Its owner paused it.
    Paused,
    /// Its owner stopped it; it finishes and delivers what it has.
    Stopping,
}

/// What became of the work of this run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Steps folded.
    pub folded_steps: u64,
    /// Steps credited or compensated.
    pub credited_steps: u64,
    /// Proofs that count.
    pub accepted: u64,
    /// Valid ones that wait for others to end.
    pub spare: u64,
    /// Valid ones that do not count, and are paid for all the same.
    pub duplicate: u64,
    /// Those that came too late.
    pub not_needed: u64,
    /// Refused ones.
    pub refused: u64,
    /// Check-ins whose steps a longer proof of the same chain covers: nothing of them is lost.
    pub superseded: u64,
}

impl Totals {
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        let (count, steps) = match outcome {
            Outcome::Accepted(steps) => (&mut self.accepted, steps.get()),
            Outcome::Spare => (&mut self.spare, 0),
            Outcome::Duplicate(steps) => (&mut self.duplicate, steps.get()),
            Outcome::NotNeeded => (&mut self.not_needed, 0),
            Outcome::Refused(_) => (&mut self.refused, 0),
            Outcome::Superseded => (&mut self.superseded, 0),
        };
        *count += 1;
        self.credited_steps = self.credited_steps.saturating_add(steps);
    }
}

/// What a page would show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The connection.
    pub link: Link,
    /// What it works on.
    pub activity: Activity,
    /// Tasks that wait their turn.
    pub waiting: usize,
    /// Rows folded in a second, as measured; 0 before.
    pub rows_per_second: u64,
    /// Finished proofs without a verdict.
    pub held_proofs: usize,
    /// Their bytes.
    pub held_bytes: u64,
    /// What became of the work.
    pub totals: Totals,
}

/// What a call of `work` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worked {
    /// Nothing: wait for frames, or for the moment of `wake_at`.
    Idle,
    /// It folded a step, or tried to.
    Step,
    /// It made a proof, a check-in or the last of a segment, or tried to.
    Finished,
    /// It merged proofs.
    Merged,
}
