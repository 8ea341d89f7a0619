//! Every limit of the protocol, in one place. Both ends hold themselves to them and close the connection of a peer that
//! does not; what happens beyond each is said beside it, with the code of the `Goodbye` that the peer gets.

use crowdfold_fold::limits::{COUNT_BITS, MAX_ARITY, MAX_CONSTRAINTS, MAX_LEAVES};

/// The protocol version that this crate speaks. A peer of another one gets
/// [`UnknownVersion`](crate::GoodbyeCode::UnknownVersion).
pub const VERSION: u16 = 1;
/// The WebSocket subprotocol. A server refuses the handshake of a client that does not offer it.
pub const SUBPROTOCOL: &str = "crowdfold.1";

/// Bytes of a frame. A longer one is not decoded: [`FrameTooLarge`](crate::GoodbyeCode::FrameTooLarge). WebSocket
/// libraries should be given the same number, so that they buffer no more.
pub const MAX_FRAME_BYTES: usize = 264 << 10;

/// Bytes of the name and version of a prover's software. A longer text does not decode.
pub const MAX_SOFTWARE_BYTES: usize = 64;
/// Bytes of an origin: scheme, host of at most 253 bytes, port. A longer text does not decode.
pub const MAX_ORIGIN_BYTES: usize = 272;
/// Bytes of a program's name. A longer text does not decode.
pub const MAX_PROGRAM_BYTES: usize = 256;
/// Bytes of a reason in words. A longer text does not decode; [`Text::lossy`](crate::Text::lossy) shortens ours.
pub const MAX_REASON_BYTES: usize = 512;
/// Parameter digests in a `Hello`. A longer list does not decode; a prover that has more names those used last.
pub const MAX_CACHED_PARAMETERS: usize = 64;
/// Threads that a prover may declare. More does not decode.
pub const MAX_THREADS: u16 = 4096;

/// Bytes of a state: [`MAX_ARITY`] elements of 32. A longer one does not decode.
pub const MAX_STATE_BYTES: usize = 32 * MAX_ARITY;
/// Steps of a range: a larger number does not decode.
pub const MAX_RANGE_STEPS: u64 = (1 << COUNT_BITS) - 1;

/// Bytes of one step's encoded input. A longer one does not decode; a program with longer ones can't be served.
pub const MAX_INPUT_BYTES: usize = 128 << 10;
/// Bytes that each input counts beyond its own, in frames and against credit: those of its length. Without it empty
/// inputs would be free.
pub const INPUT_OVERHEAD_BYTES: usize = 4;
/// Inputs in one frame. A longer list does not decode.
pub const MAX_INPUTS_PER_FRAME: usize = 8192;
/// Bytes of all inputs in one frame with their overhead. More do not decode.
pub const MAX_INPUTS_BYTES: usize = 256 << 10;
/// Credit that every segment starts with, so that inputs follow it at once. At least one input of any program.
pub const INITIAL_CREDIT_BYTES: u64 = 256 << 10;
/// Credit beyond what was sent. More is [`BadCredit`](crate::GoodbyeCode::BadCredit); inputs beyond the credit are
/// [`BeyondCredit`](crate::GoodbyeCode::BeyondCredit). Times [`MAX_TASKS`] it bounds a prover's memory for inputs.
pub const MAX_CREDIT_BYTES: u64 = 4 << 20;

/// Tasks that a prover holds at once. A larger number in `Ready` does not decode; a task beyond what `Ready` said is
/// [`TooManyTasks`](crate::GoodbyeCode::TooManyTasks).
pub const MAX_TASKS: u8 = 16;

/// Bytes of a `Chunk`. A longer one does not decode.
pub const MAX_CHUNK_BYTES: usize = 256 << 10;
/// Bytes of a range proof: both vectors of a step circuit of [`MAX_CONSTRAINTS`] rows, with 64 MiB for the merge
/// circuit's part and the tree of [`MAX_LEAVES`] receipts. A larger number does not decode. Coordinators refuse what is
/// too large for its program, with a `Verdict`.
pub const MAX_UPLOAD_BYTES: u64 = 64 * MAX_CONSTRAINTS as u64 + (64 << 20);
/// Bytes of an upload that may be under way or unacknowledged. More are
/// [`BeyondWindow`](crate::GoodbyeCode::BeyondWindow).
pub const UPLOAD_WINDOW_BYTES: u64 = 1 << 20;
/// Uploads without a verdict on one connection, and merge inputs that have not all come. More are
/// [`TooManyUploads`](crate::GoodbyeCode::TooManyUploads).
pub const MAX_UPLOADS: usize = 2 * MAX_TASKS as usize;
/// Times that an upload is asked for from its start again on one connection, because what was stored is damaged. More
/// are [`BadOffset`](crate::GoodbyeCode::BadOffset).
pub const MAX_RESTARTS: u8 = 2;
/// Ended transfers that an end remembers to know what was under way when they ended from what never was. About an older
/// one a message is [`UnknownUpload`](crate::GoodbyeCode::UnknownUpload); an end can have no more in flight than may be
/// open.
pub const REMEMBERED_UPLOADS: usize = 2 * MAX_UPLOADS;

/// Milliseconds from the connection to `Welcome`. Then [`HandshakeTimeout`](crate::GoodbyeCode::HandshakeTimeout).
pub const HANDSHAKE_LIMIT_MS: u32 = 20_000;
/// The ping interval that a coordinator announces unless told otherwise.
pub const PING_INTERVAL_MS: u32 = 15_000;
/// The idle limit that a coordinator announces unless told otherwise. When nothing has come for so long, the connection
/// is closed: [`Idle`](crate::GoodbyeCode::Idle).
pub const IDLE_LIMIT_MS: u32 = 45_000;
/// The checkpoint interval that a coordinator announces unless told otherwise. In simulated fleets with a mean stay of
/// 10 minutes shorter ones save little, since most of what is lost is under way, and take more of each line.
pub const CHECKPOINT_INTERVAL_MS: u32 = 15_000;
/// The shortest ping interval and idle limit that a prover accepts: else [`BadTiming`](crate::GoodbyeCode::BadTiming).
pub const MIN_INTERVAL_MS: u32 = 1_000;
/// The longest interval of any kind that a prover accepts: else [`BadTiming`](crate::GoodbyeCode::BadTiming).
pub const MAX_INTERVAL_MS: u32 = 3_600_000;
/// An answer to a ping takes at most so many idle limits, because it may wait behind a window of chunks. Then
/// [`NoPong`](crate::GoodbyeCode::NoPong), whatever else the peer sends.
pub const PONG_IDLE_LIMITS: u64 = 2;
/// Milliseconds without a chunk from a peer that has open window for one. Then
/// [`Stalled`](crate::GoodbyeCode::Stalled).
pub const STALL_LIMIT_MS: u64 = 120_000;

/// Bytes of frames that wait for the transport, short messages included. A sender of `Inputs` and `Chunk` is told to
/// wait before [`BULK_QUEUE_BYTES`]; if short messages alone get this far, the peer does not read:
/// [`SlowPeer`](crate::GoodbyeCode::SlowPeer).
pub const MAX_QUEUE_BYTES: usize = 2 << 20;
/// Bytes of waiting frames beyond which `Inputs` and `Chunk` are not queued: the caller tries again when frames were
/// taken.
pub const BULK_QUEUE_BYTES: usize = 1 << 20;
/// Frames that wait for the transport; more are [`SlowPeer`](crate::GoodbyeCode::SlowPeer).
pub const MAX_QUEUE_FRAMES: usize = 4096;
/// Milliseconds that a frame waits for the transport. Then [`SlowPeer`](crate::GoodbyeCode::SlowPeer).
pub const MAX_QUEUE_AGE_MS: u64 = 60_000;

/// Messages other than `Inputs` and `Chunk` that a peer may send at once. More are
/// [`TooManyMessages`](crate::GoodbyeCode::TooManyMessages).
pub const MESSAGE_BURST: u64 = 4096;
/// Milliseconds after which a peer that has used its burst may send one more message.
pub const MESSAGE_INTERVAL_MS: u64 = 10;
/// A `Chunk` or `Inputs` of less than this many bytes counts as a message against [`MESSAGE_BURST`], so that tiny ones
/// do not cost more than they carry.
pub const SMALL_BULK_BYTES: usize = 4 << 10;

/// The version of posted tasks that this crate speaks. A function does not take those of another one:
/// [`PushError::Version`](crate::PushError::Version).
pub const PUSH_VERSION: u16 = 1;
/// Bytes of a function's URL. A longer text does not decode, and can't be set.
pub const MAX_URL_BYTES: usize = 1024;
/// Steps of a posted task. More do not decode; a coordinator can't be set to post more.
pub const MAX_PUSH_STEPS: usize = 8192;
/// Bytes of all inputs of a posted task with their overhead. More do not decode; a coordinator posts as many as fit.
pub const MAX_PUSH_INPUTS_BYTES: usize = 4 << 20;
/// Bytes of a posted task. A longer one is not decoded, and a function does not read it.
pub const MAX_PUSH_BYTES: usize = MAX_PUSH_INPUTS_BYTES + MAX_STATE_BYTES + (4 << 10);
/// Seconds after its issue in which a coordinator lets a function begin with a task.
pub const PUSH_LIFETIME_S: u64 = 120;
/// Seconds that a task may live, for which functions remember its nonce. One that would live longer is not taken:
/// [`PushError::Lifetime`](crate::PushError::Lifetime).
pub const MAX_PUSH_LIFETIME_S: u64 = 600;
/// Seconds by which a function's clock may be behind its coordinator's. A task from further ahead is not taken:
/// [`PushError::Early`](crate::PushError::Early).
pub const PUSH_SKEW_S: u64 = 60;

const _: () = {
    assert!(MAX_INPUT_BYTES + INPUT_OVERHEAD_BYTES <= MAX_PUSH_INPUTS_BYTES && PUSH_LIFETIME_S <= MAX_PUSH_LIFETIME_S);
    // What a posted task has beside its state and inputs: two texts, and less than half a KiB of fixed length.
    assert!(MAX_URL_BYTES + MAX_PROGRAM_BYTES + 512 <= 4 << 10);
    assert!(MAX_INPUT_BYTES + INPUT_OVERHEAD_BYTES <= MAX_INPUTS_BYTES);
    assert!((MAX_INPUT_BYTES + INPUT_OVERHEAD_BYTES) as u64 <= INITIAL_CREDIT_BYTES);
    assert!(INITIAL_CREDIT_BYTES <= MAX_CREDIT_BYTES);
    assert!(MAX_CHUNK_BYTES as u64 <= UPLOAD_WINDOW_BYTES);
    assert!(BULK_QUEUE_BYTES + MAX_FRAME_BYTES < MAX_QUEUE_BYTES);
    assert!(
        PING_INTERVAL_MS < IDLE_LIMIT_MS && MIN_INTERVAL_MS <= PING_INTERVAL_MS && IDLE_LIMIT_MS <= MAX_INTERVAL_MS
    );
    // A receipt in a range proof: its kind, an address and a number, and a joint above it.
    assert!(MAX_LEAVES * (1 + 20 + 8 + 1) < 48 << 20);
};
