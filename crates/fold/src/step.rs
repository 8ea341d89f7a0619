//! What a program has to bring.

use crate::curve::Fr;
use crate::error::Error;
use nova_snark::frontend::num::AllocatedNum;
use nova_snark::frontend::{ConstraintSystem, SynthesisError};

/// A step function `F: (state, input) -> state` with its circuit.
///
/// A proof says that *there are* inputs that lead from the first state to the last in `count` steps: inputs are free
/// witnesses. A program whose users need them fixed hashes them into its state.
///
/// # Soundness
/// [`StepFunction::synthesize`] must constrain the state it returns: whatever its rows leave open, a prover chooses.
pub trait StepFunction: Clone + Send + Sync {
    /// Input of one step.
    type Input: Clone + Send + Sync;

    /// Names the step function among all others, with its version; part of the program's identity.
    fn name(&self) -> String;

    /// Elements of the state: from 1 to [`crate::limits::MAX_ARITY`].
    fn arity(&self) -> usize;

    /// The state after `input`, computed natively.
    ///
    /// # Errors
    /// [`Error::Step`] when there is none.
    fn apply(&self, state: &[Fr], input: &Self::Input) -> Result<Vec<Fr>, Error>;

    /// An input of the right form, which the circuit is made with. It need not be accepted by [`StepFunction::apply`].
    fn shape_input(&self) -> Self::Input;

    /// The circuit of one step: takes the variables of the state before and returns those of the state after.
    ///
    /// The number and order of rows and variables must not depend on any value.
    ///
    /// # Errors
    /// Those of the constraint system.
    fn synthesize<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        state: &[AllocatedNum<Fr>],
        input: &Self::Input,
    ) -> Result<Vec<AllocatedNum<Fr>>, SynthesisError>;

    /// The largest encoding of an input in bytes.
    fn max_input_bytes(&self) -> usize;

    /// The canonical encoding of an input.
    fn encode_input(&self, input: &Self::Input) -> Vec<u8>;

    /// Reads what [`StepFunction::encode_input`] wrote, and nothing else.
    ///
    /// # Errors
    /// [`Error::Decode`] for bytes that are not the encoding of an input.
    fn decode_input(&self, bytes: &[u8]) -> Result<Self::Input, Error>;
}
