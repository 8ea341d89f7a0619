//! What was refused, and why: the one place where it can be counted.

use crowdfold_wire::GoodbyeCode;

/// Something that a prover wanted and did not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// Its connection: a rule was broken, it is suspended, or there is no room.
    Connection(GoodbyeCode),
    /// Its connection: it did not read what was sent.
    Slow,
    /// An upload: no proof of its program has so many bytes.
    Oversized,
    /// An upload: its job ended, or its steps are proved.
    NotNeeded,
    /// Credit: it came too late.
    Late,
    /// A proof: it is not valid.
    Proof,
    /// A merge: its proof is not valid.
    Merge,
}

/// Takes note of a refusal.
pub fn refused(refusal: Refusal) {
    tracing::debug!(?refusal, "refused");
}
