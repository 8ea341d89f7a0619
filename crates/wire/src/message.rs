//! The messages (`docs/spec/network.md`, section 1).

use crate::bounded::{Bytes, InputList, List, Text, Within};
use crate::codec::{DecodeError, Reader, Wire, wire_enum, wire_struct};
use crate::goodbye::GoodbyeCode;
use crate::limits::{
    MAX_CACHED_PARAMETERS, MAX_CHUNK_BYTES, MAX_FRAME_BYTES, MAX_ORIGIN_BYTES, MAX_PROGRAM_BYTES, MAX_RANGE_STEPS,
    MAX_REASON_BYTES, MAX_SOFTWARE_BYTES, MAX_STATE_BYTES, MAX_TASKS, MAX_THREADS, MAX_UPLOAD_BYTES,
};
use crate::names::{ParametersId, PublicKey, SessionId, TaskId, UploadId};
use crowdfold_fold::limits::MAX_SEGMENT_STEPS;
use crowdfold_fold::{Address, Job};

/// A reason in words.
pub type Reason = Text<MAX_REASON_BYTES>;
/// Steps of a segment, at least one.
pub type SegmentSteps = Within<1, MAX_SEGMENT_STEPS>;
/// Steps of a range, at least one.
pub type RangeSteps = Within<1, MAX_RANGE_STEPS>;
/// Index of a step in its job.
pub type StepIndex = Within<0, MAX_RANGE_STEPS>;
/// Steps counted from a segment's first.
pub type StepCount = Within<0, MAX_SEGMENT_STEPS>;
/// Bytes of a range proof.
pub type UploadBytes = Within<1, MAX_UPLOAD_BYTES>;
/// A place in a range proof.
pub type UploadOffset = Within<0, MAX_UPLOAD_BYTES>;

wire_struct! {
    /// The first message of a connection. Its layout is that of every version of the protocol.
    pub struct Challenge {
        /// The lowest protocol version that the coordinator speaks.
        pub lowest: u16,
        /// The highest one.
        pub highest: u16,
        /// Never used before; the signature of `Hello` covers it.
        pub nonce: [u8; 32],
    }
}

wire_enum! {
    /// What a prover runs on.
    pub enum HostKind {
        /// A browser's tab.
        Tab = 1,
        /// An edge function.
        Edge = 2,
        /// A server.
        Server = 3,
    }
}

wire_struct! {
    /// What a prover says that it can do. The scheduler measures for itself.
    pub struct Capabilities {
        /// Memory that it may use.
        pub memory_bytes: u64,
        /// Threads that fold.
        pub threads: Within<1, { MAX_THREADS as u64 }>,
        /// Rows of a step circuit that it folds in a second, as it measured; 0 if it did not.
        pub rows_per_second: u64,
        /// Whether it takes merges.
        pub merges: bool,
    }
}

wire_struct! {
    /// Who the prover is. The version comes first in every version of the protocol.
    pub struct Hello {
        /// The protocol version that both will speak.
        pub version: u16,
        /// Name and version of the software.
        pub software: Text<MAX_SOFTWARE_BYTES>,
        /// The origin that was dialled, as `https://prove.example` or `http://localhost:8080`.
        pub origin: Text<MAX_ORIGIN_BYTES>,
        /// The prover's key.
        pub key: PublicKey,
        /// Who is paid.
        pub payout: Address,
        /// What it runs on.
        pub host: HostKind,
        /// What it can do.
        pub capabilities: Capabilities,
        /// Parameters that it has.
        pub cached: List<ParametersId, MAX_CACHED_PARAMETERS>,
        /// Ed25519, over what [`Hello::signed_bytes`] says.
        pub signature: [u8; 64],
    }
}

wire_struct! {
    /// The prover is let in.
    pub struct Welcome {
        /// Names the connection, for logs on both ends.
        pub session: SessionId,
        /// Milliseconds between pings, for both ends.
        pub ping_interval_ms: u32,
        /// Milliseconds after which a silent peer is left, for both ends.
        pub idle_limit_ms: u32,
        /// Milliseconds of folding after which a prover offers a proof of what it has so far.
        pub checkpoint_interval_ms: u32,
    }
}

wire_struct! {
    /// The last message. Its layout is that of every version of the protocol.
    pub struct Goodbye {
        /// Why.
        pub code: GoodbyeCode,
        /// What to do.
        pub text: Reason,
    }
}

wire_struct! {
    /// What the prover would hold at once from now on. It takes the place of the last `Ready`; tasks under way go on.
    pub struct Ready {
        /// Tasks in all. With 0 it wants nothing new.
        pub tasks: Within<0, { MAX_TASKS as u64 }>,
        /// How many of them may be merges.
        pub merges: Within<0, { MAX_TASKS as u64 }>,
    }
    check |ready| if ready.merges <= ready.tasks { Ok(()) } else { Err("no more merges than tasks") }
}

wire_struct! {
    /// A segment to fold. Its inputs follow.
    pub struct Segment {
        /// The task.
        pub task: TaskId,
        /// The job, which the proof is bound to.
        pub job: Job,
        /// Name of the program.
        pub program: Text<MAX_PROGRAM_BYTES>,
        /// Parameters to fold with.
        pub parameters: ParametersId,
        /// The first step, counted from the job's.
        pub first: StepIndex,
        /// Number of steps.
        pub steps: SegmentSteps,
        /// The state before the first step, as the program encodes it.
        pub start: Bytes<MAX_STATE_BYTES>,
        /// Milliseconds from now after which others may get what is left.
        pub soft_ms: u32,
        /// Milliseconds from now after which nobody waits.
        pub hard_ms: u32,
    }
    check |segment| check_deadlines(segment.soft_ms, segment.hard_ms)
        .and_then(|()| check_range(segment.first.get(), segment.steps.get()))
}

fn check_deadlines(soft_ms: u32, hard_ms: u32) -> Result<(), &'static str> {
    if soft_ms <= hard_ms { Ok(()) } else { Err("a soft deadline that is not after the hard one") }
}

fn check_range(first: u64, steps: u64) -> Result<(), &'static str> {
    if first + steps <= MAX_RANGE_STEPS { Ok(()) } else { Err("a last step within the limit of a job") }
}

wire_struct! {
    /// Inputs of a segment's steps.
    pub struct Inputs {
        /// The segment.
        pub task: TaskId,
        /// Which input the first of these is, counted from the segment's first.
        pub index: StepCount,
        /// The inputs.
        pub inputs: InputList,
    }
}

wire_struct! {
    /// How much the coordinator may send of a segment's inputs.
    pub struct Credit {
        /// The segment.
        pub task: TaskId,
        /// Bytes in all from the segment's first input, each with its overhead.
        pub bytes: u64,
    }
}

wire_struct! {
    /// How far a segment is.
    pub struct Progress {
        /// The segment.
        pub task: TaskId,
        /// Steps folded in all.
        pub steps: StepCount,
    }
}

wire_enum! {
    /// Why a prover hands a task back.
    pub enum ReleaseReason {
        /// Its owner paused it.
        Paused = 1,
        /// It is about to close.
        Closing = 2,
        /// Memory did not suffice.
        OutOfMemory = 3,
        /// It does not have what the task needs: the program, or its parameters.
        Unable(Reason) = 4,
        /// Something failed.
        Failed(Reason) = 5,
        /// Inputs did not come.
        Starved = 6,
        /// The hard deadline is near.
        Deadline = 7,
    }
}

wire_struct! {
    /// Hands the rest of a task back.
    pub struct Release {
        /// The task.
        pub task: TaskId,
        /// Steps from the segment's first that were offered or will be; 0 for a merge. The rest is free at once.
        pub kept: StepCount,
        /// Why.
        pub reason: ReleaseReason,
    }
}

wire_enum! {
    /// Why a coordinator takes a task back.
    pub enum CancelReason {
        /// The job is done, cancelled or expired.
        JobEnded = 1,
        /// Others have covered it.
        Covered = 2,
        /// It took too long.
        Deadline = 3,
    }
}

wire_struct! {
    /// Takes a task back.
    pub struct Cancel {
        /// The task.
        pub task: TaskId,
        /// Why.
        pub reason: CancelReason,
    }
}

wire_struct! {
    /// A range proof that a merge takes. The prover asks for its bytes with `Want`.
    pub struct Blob {
        /// SHA-256 of its bytes.
        pub upload: UploadId,
        /// Number of bytes.
        pub bytes: UploadBytes,
    }
}

wire_struct! {
    /// Two adjacent range proofs to merge into one, or one to wrap.
    pub struct Merge {
        /// The task.
        pub task: TaskId,
        /// The job.
        pub job: Job,
        /// Name of the program.
        pub program: Text<MAX_PROGRAM_BYTES>,
        /// Parameters to merge with.
        pub parameters: ParametersId,
        /// The left range.
        pub left: Blob,
        /// The right one, if there is one.
        pub right: Option<Blob>,
        /// Milliseconds from now after which others may get it too.
        pub soft_ms: u32,
        /// Milliseconds from now after which nobody waits.
        pub hard_ms: u32,
    }
    check |merge| check_deadlines(merge.soft_ms, merge.hard_ms).and_then(|()| {
        let same = merge.right.as_ref().is_some_and(|right| right.upload == merge.left.upload);
        if same { Err("two proofs") } else { Ok(()) }
    })
}

wire_struct! {
    /// A finished range proof.
    pub struct Offer {
        /// SHA-256 of its bytes.
        pub upload: UploadId,
        /// The task that it came from, of this connection or an earlier one.
        pub task: TaskId,
        /// The first step that it covers, counted from the job's.
        pub first: StepIndex,
        /// Number of steps.
        pub steps: RangeSteps,
        /// Number of bytes.
        pub bytes: UploadBytes,
    }
    check |offer| check_range(offer.first.get(), offer.steps.get())
}

wire_struct! {
    /// Asks for the bytes of an upload from an offset on, as far as the window goes.
    pub struct Want {
        /// The upload, or the merge input.
        pub upload: UploadId,
        /// The first byte that is missing. 0 starts over.
        pub offset: UploadOffset,
    }
}

wire_struct! {
    /// A part of an upload.
    pub struct Chunk {
        /// The upload, or the merge input.
        pub upload: UploadId,
        /// Bytes before these.
        pub offset: UploadOffset,
        /// The bytes, at least one.
        pub bytes: Bytes<MAX_CHUNK_BYTES>,
    }
    check |chunk| if chunk.bytes.is_empty() { Err("at least one byte") } else { Ok(()) }
}

wire_struct! {
    /// Acknowledges bytes: they are safe and need not be sent again.
    pub struct Stored {
        /// The upload, or the merge input.
        pub upload: UploadId,
        /// Bytes from the start.
        pub bytes: UploadOffset,
    }
}

wire_enum! {
    /// What became of a range proof. It is final.
    pub enum Outcome {
        /// It counts: steps credited.
        Accepted(RangeSteps) = 1,
        /// It is valid and waits, since others work on some of its steps.
        Spare = 2,
        /// It is valid and does not count, which is not the prover's doing: steps compensated.
        Duplicate(RangeSteps) = 3,
        /// The job ended, or the prover came too late. It may be said before all bytes have come.
        NotNeeded = 4,
        /// It was not accepted.
        Refused(Reason) = 5,
        /// A longer proof of the same chain has taken its place. It may be said before all bytes have come.
        Superseded = 6,
    }
}

wire_struct! {
    /// The end of an upload: the prover may forget it.
    pub struct Verdict {
        /// The upload.
        pub upload: UploadId,
        /// What became of it.
        pub outcome: Outcome,
    }
}

wire_struct! {
    /// Asks for a `Pong`.
    pub struct Ping {
        /// Any number.
        pub number: u64,
    }
}

wire_struct! {
    /// The answer to a `Ping`.
    pub struct Pong {
        /// Its number.
        pub number: u64,
    }
}

wire_enum! {
    /// What a prover sends.
    pub enum FromProver {
        /// Who it is.
        Hello(Hello) = 1,
        /// The end.
        Goodbye(Goodbye) = 2,
        /// What it would hold.
        Ready(Ready) = 3,
        /// More inputs are welcome.
        Credit(Credit) = 4,
        /// How far it is.
        Progress(Progress) = 5,
        /// Hands a task back.
        Release(Release) = 6,
        /// Has a proof.
        Offer(Offer) = 7,
        /// Asks for a merge input.
        Want(Want) = 8,
        /// A part of a proof.
        Chunk(Chunk) = 9,
        /// Acknowledges a merge input.
        Stored(Stored) = 10,
        /// Is the coordinator there?
        Ping(Ping) = 11,
        /// The prover is there.
        Pong(Pong) = 12,
    }
}

wire_enum! {
    /// What a coordinator sends.
    pub enum FromCoordinator {
        /// The first message.
        Challenge(Challenge) = 65,
        /// The end.
        Goodbye(Goodbye) = 66,
        /// The prover is let in.
        Welcome(Welcome) = 67,
        /// A segment to fold.
        Segment(Segment) = 68,
        /// Inputs of a segment.
        Inputs(Inputs) = 69,
        /// Takes a task back.
        Cancel(Cancel) = 70,
        /// Proofs to merge.
        Merge(Merge) = 71,
        /// Asks for a proof.
        Want(Want) = 72,
        /// A part of a merge input.
        Chunk(Chunk) = 73,
        /// Acknowledges a part of a proof.
        Stored(Stored) = 74,
        /// What became of a proof.
        Verdict(Verdict) = 75,
        /// Is the prover there?
        Ping(Ping) = 76,
        /// The coordinator is there.
        Pong(Pong) = 77,
    }
}

/// Kind bytes of what has to be understood before the version is known.
pub(crate) mod kind {
    pub(crate) const HELLO: u8 = 1;
    pub(crate) const CHALLENGE: u8 = 65;
}

macro_rules! codec {
    ($message:ident) => {
        impl $message {
            /// The one encoding of the message, a frame.
            pub fn encode(&self) -> Vec<u8> {
                let mut out = Vec::new();
                self.write(&mut out);
                out
            }

            /// Reads what [`Self::encode`] wrote, and nothing else. Nothing is allocated beyond a small multiple of the
            /// frame.
            ///
            /// # Errors
            /// [`DecodeError`] with the field, its offset and what was expected.
            pub fn decode(frame: &[u8]) -> Result<Self, DecodeError> {
                let mut reader = Reader::new(frame);
                reader.what = "bytes of the frame";
                reader.check(0, frame.len() as u64, 1, MAX_FRAME_BYTES as u64)?;
                reader.what = "kind of the message";
                let message = Self::read(&mut reader)?;
                reader.finish()?;
                Ok(message)
            }
        }
    };
}
codec!(FromProver);
codec!(FromCoordinator);

macro_rules! wrap {
    ($($message:ident: $($case:ident),+;)+) => {
        $($(
            impl From<$case> for $message {
                fn from(message: $case) -> Self {
                    Self::$case(message)
                }
            }
        )+)+
    };
}
wrap! {
    FromProver: Hello, Goodbye, Ready, Credit, Progress, Release, Offer, Want, Chunk, Stored, Ping, Pong;
    FromCoordinator: Challenge, Goodbye, Welcome, Segment, Inputs, Cancel, Merge, Want, Chunk, Stored, Verdict, Ping, Pong;
}
