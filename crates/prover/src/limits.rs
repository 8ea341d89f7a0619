//! Every limit of a prover, in one place. What the protocol itself limits is in [`crowdfold_wire::limits`].

use crowdfold_wire::limits::{INITIAL_CREDIT_BYTES, MAX_CREDIT_BYTES, MAX_INPUT_BYTES, MAX_UPLOADS};

/// Milliseconds of folding that the inputs at hand should last for.
pub const BUFFERED_MS: u64 = 4_000;
/// Bytes of inputs that are asked for whatever the speed: what every segment starts with. Twice the longest input, so
/// that there is always credit for one or reason for more.
pub const MIN_BUFFERED_BYTES: u64 = INITIAL_CREDIT_BYTES;
/// Milliseconds of folding between two measurements of the speed: shorter ones would measure the clock.
pub const SPEED_WINDOW_MS: u64 = 500;
/// A measurement counts one part in so many.
pub const SPEED_WEIGHT: u64 = 4;
/// Milliseconds between two `Progress` of a task.
pub const PROGRESS_INTERVAL_MS: u64 = 2_000;

/// Milliseconds without an input that could be folded, after which a segment is handed back.
pub const STARVED_MS: u64 = 10_000;
/// Milliseconds before the hard deadline at which a segment is finished, so that its proof arrives in time.
pub const DEADLINE_MARGIN_MS: u64 = 10_000;
/// That margin is at most one part in so many of the time there was.
pub const DEADLINE_SHARE: u64 = 4;
/// Milliseconds without the coordinator after which what was folded is finished. Inputs that came before are folded
/// until then.
pub const ADRIFT_MS: u64 = 15_000;
/// Times that a step or a merge is tried again when its failure is one that passes.
pub const MAX_RETRIES: u8 = 2;
/// Times that a damaged merge input is asked for again.
pub const MAX_RESTARTS: u8 = crowdfold_wire::limits::MAX_RESTARTS;

/// After a step a prover with an upload under way waits for one part in so many of the step's time, so that the upload gets on.
pub const LINGER_SHARE: u64 = 10;
/// That wait in milliseconds, at least and at most.
pub const LINGER_MS: (u64, u64) = (20, 1_000);
/// Milliseconds without a frame after which that wait is over: the line is slow, and waiting does not speed it up.
pub const LINGER_GAP_MS: u64 = 100;

/// Finished proofs without a verdict: as many as can be offered on one connection. Beyond them no segment or merge is
/// begun.
pub const MAX_HELD_PROOFS: usize = MAX_UPLOADS;
/// Bytes of finished proofs without a verdict, of the one being folded and of merges, unless the host says otherwise.
pub const HELD_BYTES: u64 = 512 << 20;
/// Bytes that merging adds to the larger of two proofs: the merge circuit's part.
pub const MERGE_PART_BYTES: u64 = 16 << 20;
/// Parameters that [`FoldEngine`](crate::FoldEngine) has loaded at once, for folding and for merging each. Those used
/// longest ago go first.
pub const LOADED_PARAMETERS: usize = 4;

/// The first wait before connecting again, in milliseconds.
pub const MIN_BACKOFF_MS: u64 = 1_000;
/// The longest one. Half of every wait is random.
pub const MAX_BACKOFF_MS: u64 = 60_000;
/// Milliseconds that a connection has to last for waits to start over at the first.
pub const STEADY_MS: u64 = 30_000;

const _: () = {
    assert!(MIN_BUFFERED_BYTES <= MAX_CREDIT_BYTES);
    // Without inputs at hand, credit is left for any input, or more is given (see `Task::credit_due`).
    assert!(MIN_BUFFERED_BYTES - MIN_BUFFERED_BYTES / 4 > MAX_INPUT_BYTES as u64 + 4);
};
