//! Payments between accounts, with deposits from and withdrawals to a chain (`docs/spec/rollup.md`, whose sections the
//! code cites).
//!
//! An operator keeps the accounts ([`MemoryAccounts`], or any other [`Directory`]), executes what it is asked to with a
//! [`BatchBuilder`], and has the [`Batch`] proved: its bytes are a job, and [`Rollup`] makes the steps of it.

mod account;
mod apply;
mod batch;
mod circuit;
mod codec;
mod data;
mod execute;
mod input;
mod rules;
mod signatures;
mod state;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod transaction;
mod tree;
pub mod workload;

pub use account::{Account, Index, TREE_ARITY, TREE_DEPTH};
pub use batch::{
    Batch, BatchBuilder, BatchRefusal, BuildError, Entry, MAX_JOB_BYTES, MAX_TRANSACTIONS, Outcome, Steps, build,
};
pub use data::{BatchData, point};
pub use execute::{Executed, Executor, Receipt};
pub use input::{Access, INPUT_BYTES, SLOTS, Slot, StepInput};
pub use rules::Refusal;
pub use signatures::Verified;
pub use state::{ARITY, State};
pub use transaction::{Deposit, Request, SignedTransaction, Transaction, Words};
pub use tree::{Accounts, Changes, Directory, MemoryAccounts, Nodes, NotInPart, Overlay, PartialTree, empty_node};

use crate::program::{Cost, Family, Plan, PlanError, Program, StateField};
use crowdfold_fold::{Error, Fr, StepFunction};
use nova_snark::frontend::num::AllocatedNum;
use nova_snark::frontend::{ConstraintSystem, SynthesisError};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sha3::{Digest, Keccak256};

/// The rollup program. A job is the encoding of a [`Batch`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rollup;

/// Its name; the number is the version of the circuit.
const NAME: &str = "rollup/1";

/// Rows of a step.
const CONSTRAINTS: usize = 51_039;
/// What a step does.
const SUMMARY: &str = "Executes up to three payments between accounts, or to and from a chain.";

impl StepFunction for Rollup {
    type Input = StepInput;

    fn name(&self) -> String {
        NAME.into()
    }

    fn arity(&self) -> usize {
        ARITY
    }

    fn apply(&self, state: &[Fr], input: &StepInput) -> Result<Vec<Fr>, Error> {
        apply::apply(state, input)
    }

    fn shape_input(&self) -> StepInput {
        StepInput::empty()
    }

    fn synthesize<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        state: &[AllocatedNum<Fr>],
        input: &StepInput,
    ) -> Result<Vec<AllocatedNum<Fr>>, SynthesisError> {
        circuit::synthesize(cs, state, input)
    }

    fn max_input_bytes(&self) -> usize {
        INPUT_BYTES
    }

    fn encode_input(&self, input: &StepInput) -> Vec<u8> {
        input.to_bytes()
    }

    fn decode_input(&self, bytes: &[u8]) -> Result<StepInput, Error> {
        StepInput::from_bytes(bytes)
    }
}

impl Program for Rollup {
    fn families() -> Vec<Family> {
        vec![Family { name: "rollup", version: 1, form: NAME, summary: SUMMARY }]
    }

    fn from_name(name: &str) -> Option<Self> {
        (name == NAME).then_some(Self)
    }

    fn summary(&self) -> String {
        SUMMARY.into()
    }

    fn describe(&self, state: &[Fr]) -> Result<Vec<StateField>, Error> {
        State::try_from(state).map(|state| state.describe())
    }

    fn max_job_bytes(&self) -> usize {
        MAX_JOB_BYTES
    }

    fn plan(&self, job: &[u8]) -> Result<Plan<StepInput>, PlanError> {
        self.check_job_size(job)?;
        let batch = Batch::from_bytes(job).map_err(|error| match error {
            Error::Decode { at, reason, .. } => PlanError::Decode { at, reason },
            other => PlanError::Program(other),
        })?;
        let start = batch.start().to_elements().to_vec();
        let steps = batch.num_steps() as u64;
        // Whoever made the signatures fixed them before these weights, which follow from all of them.
        let mut rng = ChaCha20Rng::from_seed(Keccak256::digest(job).into());
        let inputs = batch.into_steps(&mut rng).map_err(refused)?;
        Ok(Plan { start, steps, inputs: Box::new(inputs.map(|input| input.map_err(refused))) })
    }

    fn cost(&self) -> Cost {
        Cost { constraints: CONSTRAINTS, input_bytes: INPUT_BYTES }
    }
}

fn refused(refusal: BatchRefusal) -> PlanError {
    let position = match refusal {
        BatchRefusal::Transaction { position, .. } => position,
        BatchRefusal::Tree(_) => 0,
    };
    PlanError::Refused { step: (position / SLOTS) as u64, reason: refusal.to_string() }
}
