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

/// What the name starts with; the number is the version of the circuit.
const NAME: &str = "squarings/1/";

impl Squarings {
    /// The most squarings in a step that [`Squarings::from_name`] accepts.
    pub const MAX_PER_STEP: usize = 1 << 20;

    /// The program with `per_step` squarings in each step, at least one.
    ///
    /// # Panics
    /// If `per_step` is zero.
    pub fn new(per_step: usize) -> Self {
        assert!(per_step > 0, "a step takes at least one squaring");
        Self { per_step }
    }

    /// The program with this [`StepFunction::name`], as in `squarings/1/10000`; `None` for any other name, and for more
    /// than [`Squarings::MAX_PER_STEP`] squarings in a step.
    pub fn from_name(name: &str) -> Option<Self> {
        let per_step = name.strip_prefix(NAME)?.parse().ok()?;
        let program = Self { per_step };
        // Only the spelling that `name` gives: no sign, no leading zeros.
        ((1..=Self::MAX_PER_STEP).contains(&per_step) && program.name() == name).then_some(program)
    }

    /// Squarings in each step.
    pub fn per_step(&self) -> usize {
        self.per_step
    }
}

impl StepFunction for Squarings {
    type Input = Fr;

    fn name(&self) -> String {
        format!("{NAME}{}", self.per_step)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_its_program() {
        for per_step in [1, 10_000, Squarings::MAX_PER_STEP] {
            let program = Squarings::new(per_step);
            assert_eq!(Squarings::from_name(&program.name()), Some(program));
        }
    }

    #[test]
    fn other_names_are_refused() {
        for name in [
            "",
            "squarings",
            "squarings/1/",
            "squarings/1/0",
            "squarings/1/01",
            "squarings/1/+1",
            "squarings/1/-1",
            "squarings/1/1 ",
            "squarings/2/1",
            "squarings/1/1048577",
            "squarings/1/99999999999999999999999",
        ] {
            assert_eq!(Squarings::from_name(name), None, "{name}");
        }
    }
}
