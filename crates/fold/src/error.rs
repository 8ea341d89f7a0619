//! What can go wrong.

use nova_snark::frontend::SynthesisError;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A vector or message has another length than its place wants.
    #[error("{what}: expected length {expected}, got {found}")]
    Length {
        /// What was measured.
        what: &'static str,
        /// The length wanted.
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// Bytes that are not the canonical encoding of anything.
    #[error("cannot decode {what} at byte {at}: {reason}")]
    Decode {
        /// What was being read.
        what: &'static str,
        /// Offset of the value in the input.
        at: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A count, depth or size beyond its limit.
    #[error("{what} is limited to {limit}, got {found}")]
    Limit {
        /// What was counted.
        what: &'static str,
        /// The largest allowed value.
        limit: u64,
        /// The value found.
        found: u64,
    },
    /// Parameters that do not belong together.
    #[error("the parameter file can't be used: {0}")]
    ParameterFile(&'static str),
    /// Made with other parameters.
    #[error("{what} belongs to parameters {found}, expected {expected}: use the parameters it was made with")]
    Parameters {
        /// What was offered.
        what: &'static str,
        /// Digest of the parameters at hand.
        expected: String,
        /// Digest found.
        found: String,
    },
    /// A merge of ranges that don't fit together.
    #[error("the ranges cannot be merged: {0}")]
    NotAdjacent(&'static str),
    /// A segment without steps.
    #[error("the segment has no steps: push at least one input before finishing it")]
    Empty,
    /// A proof whose claim is not true.
    #[error("the proof does not verify: {0}")]
    Invalid(&'static str),
    /// Some proofs of a batch do not verify.
    #[error("proofs {0:?} of the batch do not verify")]
    InvalidBatch(Vec<usize>),
    /// The structured reference string is too short.
    #[error("the reference string has {found} powers of tau, this program needs {needed}: use a larger file")]
    SrsTooShort {
        /// Powers needed.
        needed: usize,
        /// Powers at hand.
        found: usize,
    },
    /// The step function refused a state or an input.
    #[error("the step function failed: {0}")]
    Step(String),
    /// The constraint system failed.
    #[error("synthesis failed")]
    Synthesis(#[from] SynthesisError),
}
