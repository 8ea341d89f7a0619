//! A chain of squarings: the smallest program whose size can be chosen freely, for demonstrations and measurements.

use crowdfold_fold::{Error, Fr, StepFunction};
use ff::{Field, PrimeField};
use nova_snark::frontend::num::AllocatedNum;
use nova_snark::frontend::{ConstraintSystem, SynthesisError};

/// One state element x; a step with input a takes it to `(x + a)^(2^n)`.
///
/// The circuit has n rows. The inputs are not bound by the state: the proof says that some inputs lead from the first
/// state to the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Squarings {
    per_step: usize,
}

impl Squarings {
    /// The program with `per_step` squarings in each step, at least one.
    ///
    /// # Panics
    /// If `per_step` is zero.
    pub fn new(per_step: usize) -> Self {
        assert!(per_step > 0, "a step takes at least one squaring");
        Self { per_step }
    }

    /// Squarings in each step.
    pub fn per_step(&self) -> usize {
        self.per_step
    }
}

impl StepFunction for Squarings {
    type Input = Fr;

    fn name(&self) -> String {
        format!("squarings/1/{}", self.per_step)
    }

    fn arity(&self) -> usize {
        1
    }

    fn apply(&self, state: &[Fr], input: &Fr) -> Result<Vec<Fr>, Error> {
        let [x] = state else {
            return Err(Error::Length { what: "state", expected: 1, found: state.len() });
        };
        Ok(vec![(0..self.per_step).fold(*x + input, |x, _| x.square())])
    }

    fn shape_input(&self) -> Fr {
        Fr::ZERO
    }

    fn synthesize<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        state: &[AllocatedNum<Fr>],
        input: &Fr,
    ) -> Result<Vec<AllocatedNum<Fr>>, SynthesisError> {
        let x = &state[0];
        let input = AllocatedNum::alloc(cs.namespace(|| "input"), || Ok(*input))?;
        let sum = x.get_value().zip(input.get_value()).map(|(x, a)| x + a);
        let mut last = AllocatedNum::alloc(cs.namespace(|| "first square"), || {
            sum.map(|sum| sum.square()).ok_or(SynthesisError::AssignmentMissing)
        })?;
        cs.enforce(
            || "first square",
            |lc| lc + x.get_variable() + input.get_variable(),
            |lc| lc + x.get_variable() + input.get_variable(),
            |lc| lc + last.get_variable(),
        );
        for _ in 1..self.per_step {
            last = last.square(cs.namespace(|| "square"))?;
        }
        Ok(vec![last])
    }

    fn max_input_bytes(&self) -> usize {
        32
    }

    fn encode_input(&self, input: &Fr) -> Vec<u8> {
        input.to_repr().as_ref().to_vec()
    }

    fn decode_input(&self, bytes: &[u8]) -> Result<Fr, Error> {
        let array: [u8; 32] =
            bytes.try_into().map_err(|_| Error::Length { what: "input", expected: 32, found: bytes.len() })?;
        Option::from(Fr::from_repr(array.into())).ok_or(Error::Decode {
            what: "input",
            at: 0,
            reason: "a number is not below its modulus",
        })
    }
}
