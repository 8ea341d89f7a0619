//! Every limit of this crate, in one place.

/// Bits of the number of steps in a segment: at most 2^20 - 1.
pub const SEGMENT_COUNT_BITS: usize = 20;
/// The largest number of steps in a segment.
pub const MAX_SEGMENT_STEPS: u64 = (1 << SEGMENT_COUNT_BITS) - 1;
/// Bits of the number of steps in any range.
pub const COUNT_BITS: usize = 48;
/// Merges on the longest path of a tree.
pub const MAX_DEPTH: u64 = 48;
/// Bits that hold a depth and differences of depths.
pub const DEPTH_BITS: usize = 6;
/// Elements of a state.
pub const MAX_ARITY: usize = 64;
/// Rows of a step circuit, and powers of tau that a parameter file may hold.
pub const MAX_CONSTRAINTS: usize = 1 << 24;
/// Non-zero entries of one matrix.
pub const MAX_NNZ: usize = 1 << 28;
/// Leaves of a binding tree that a range proof may carry.
pub const MAX_LEAVES: usize = 1 << 20;
