//! What folds: behind a trait, so that a simulator runs the same prover with modelled proofs.

use crowdfold_fold::{Context, Job};
use crowdfold_wire::ParametersId;
use rand_core::CryptoRngCore;

/// A failure of an engine. The text is for people, and goes to the coordinator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The same call may succeed now; the segment is as it was.
    #[error("{0}")]
    Retryable(String),
    /// It fails every time. What the segment has is still good, and can be finished.
    #[error("{0}")]
    Fatal(String),
    /// What was folded is no proof of anything: it must not be offered.
    #[error("{0}")]
    BadProof(String),
}

/// What parameters are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Folding: those of a prover of segments.
    Fold,
    /// Merging: all of them, with the merge circuit.
    Merge,
}

/// A segment to open.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// Name of the program.
    pub program: &'a str,
    /// Parameters to fold with.
    pub parameters: &'a ParametersId,
    /// The job and who is paid, which the proof is bound to.
    pub context: Context,
    /// The state before the first step, as the program encodes it.
    pub start: &'a [u8],
}

/// Proofs to merge.
#[derive(Clone, Copy, Debug)]
pub struct Merging<'a> {
    /// Name of the program.
    pub program: &'a str,
    /// Parameters to merge with.
    pub parameters: &'a ParametersId,
    /// The job that they must be of.
    pub job: &'a Job,
    /// The left range proof.
    pub left: &'a [u8],
    /// The right one; without it the left one is wrapped.
    pub right: Option<&'a [u8]>,
}

/// A finished range proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Its encoding.
    pub bytes: Vec<u8>,
    /// Steps that it covers.
    pub steps: u64,
}

/// What a step and a proof cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Rows that are folded in a step.
    pub rows: u64,
    /// Bytes of a range proof of one segment, about.
    pub proof_bytes: u64,
}

/// What folds.
pub trait Engine {
    /// A chain of steps being folded.
    type Segment;

    /// Whether there is a program of that name.
    fn knows(&self, program: &str) -> bool;

    /// Parameters that are loaded, those used last first.
    fn loaded(&self) -> Vec<ParametersId>;

    /// What a step of the program costs; `None` if these parameters are not loaded for folding.
    fn size(&self, program: &str, parameters: &ParametersId) -> Option<Size>;

    /// Whether these parameters are loaded for merging.
    fn merges(&self, program: &str, parameters: &ParametersId) -> bool;

    /// Loads parameters and checks that they are those wanted.
    ///
    /// # Errors
    /// [`Failure`] with what was expected and what was found.
    fn load(&mut self, program: &str, parameters: &ParametersId, purpose: Purpose, bytes: &[u8])
    -> Result<(), Failure>;

    /// Opens a segment.
    ///
    /// # Errors
    /// [`Failure`], as for a state that is none.
    fn open(&mut self, opening: &Opening<'_>) -> Result<Self::Segment, Failure>;

    /// Folds one step and gives the state after it, as the program encodes it.
    ///
    /// # Errors
    /// [`Failure`], as for an input that is refused. Unless it is [`Failure::BadProof`], the segment is as it was.
    fn push(
        &mut self,
        segment: &mut Self::Segment,
        input: &[u8],
        rng: &mut dyn CryptoRngCore,
    ) -> Result<Vec<u8>, Failure>;

    /// The proof of all steps pushed so far, of which there is at least one. The segment is as it was, and can go on.
    ///
    /// # Errors
    /// [`Failure`]. Unless it is [`Failure::BadProof`], what the segment has is still good.
    fn snapshot(&mut self, segment: &Self::Segment, rng: &mut dyn CryptoRngCore) -> Result<Vec<u8>, Failure>;

    /// The proof of all steps pushed, of which there is at least one.
    ///
    /// # Errors
    /// [`Failure`]; the segment is lost.
    fn finish(&mut self, segment: Self::Segment, rng: &mut dyn CryptoRngCore) -> Result<Vec<u8>, Failure>;

    /// Merges two proofs, or wraps one. Only hosts that declare merges are asked.
    ///
    /// # Errors
    /// [`Failure`], as for proofs that don't fit together.
    fn merge(&mut self, merging: &Merging<'_>, rng: &mut dyn CryptoRngCore) -> Result<Proof, Failure> {
        let _ = (merging, rng);
        Err(Failure::Fatal("this prover does not merge".into()))
    }
}
