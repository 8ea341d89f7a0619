//! A chain of squarings: the smallest program whose size can be chosen freely, for demonstrations and measurements.

use crate::program::{Cost, ELEMENT_BYTES, Family, Plan, PlanError, Program, StateField, decode_elements};
use crowdfold_fold::{Error, Fr, StepFunction};
use ff::{Field, PrimeField};
use nova_snark::frontend::num::AllocatedNum;
use nova_snark::frontend::{ConstraintSystem, SynthesisError};

/// One state element x; a step with input a takes it to `(x + a)^(2^n)`.
///
/// The circuit has n rows. The inputs are not bound by the state: the proof says that some inputs lead from the first
/// state to the last.
///
/// A job is the first x and then the input of each step, from 1 to [`Squarings::MAX_STEPS`], 32 bytes each,
/// little-endian ([`Squarings::job`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Squarings {
    per_step: usize,
}

/// What the name starts with; the number is the version of the circuit.
const NAME: &str = "squarings/1/";

impl Squarings {
    /// The most squarings in a step that [`Program::from_name`] accepts.
    pub const MAX_PER_STEP: usize = 1 << 20;
    /// The most steps in a job.
    pub const MAX_STEPS: usize = 1 << 20;

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

    /// The job of the steps with `inputs` from `start`.
    pub fn job(start: Fr, inputs: &[Fr]) -> Vec<u8> {
        [&start].into_iter().chain(inputs).flat_map(|element| <[u8; ELEMENT_BYTES]>::from(element.to_repr())).collect()
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
        ELEMENT_BYTES
    }

    fn encode_input(&self, input: &Fr) -> Vec<u8> {
        input.to_repr().as_ref().to_vec()
    }

    fn decode_input(&self, bytes: &[u8]) -> Result<Fr, Error> {
        if bytes.len() != ELEMENT_BYTES {
            return Err(Error::Length { what: "input", expected: ELEMENT_BYTES, found: bytes.len() });
        }
        Ok(decode_elements("input", bytes)?[0])
    }
}

impl Program for Squarings {
    fn families() -> Vec<Family> {
        vec![Family {
            name: "squarings",
            version: 1,
            form: "squarings/1/N with N from 1 to 1048576",
            summary: "Adds its input to a number and squares it N times.",
        }]
    }

    fn from_name(name: &str) -> Option<Self> {
        let per_step = name.strip_prefix(NAME)?.parse().ok()?;
        let program = Self { per_step };
        // Only the spelling that `name` gives: no sign, no leading zeros.
        ((1..=Self::MAX_PER_STEP).contains(&per_step) && program.name() == name).then_some(program)
    }

    fn summary(&self) -> String {
        let times = if self.per_step == 1 { "once".to_owned() } else { format!("{} times", self.per_step) };
        format!("Adds its input to a number and squares it {times}.")
    }

    fn describe(&self, state: &[Fr]) -> Result<Vec<StateField>, Error> {
        self.check_arity(state)?;
        Ok(vec![StateField::number("x", "the number that is squared", &state[0])])
    }

    fn max_job_bytes(&self) -> usize {
        (1 + Self::MAX_STEPS) * ELEMENT_BYTES
    }

    fn plan(&self, job: &[u8]) -> Result<Plan<Fr>, PlanError> {
        self.check_job_size(job)?;
        if job.len() < 2 * ELEMENT_BYTES {
            let reason = "expected a first state and at least one input, 32 bytes each";
            return Err(PlanError::Decode { at: job.len(), reason });
        }
        let mut elements = decode_elements("job", job)?;
        let inputs = elements.split_off(1);
        Ok(Plan::of_inputs(elements, inputs))
    }

    fn cost(&self) -> Cost {
        Cost { constraints: self.per_step, input_bytes: ELEMENT_BYTES }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    #[test]
    fn it_keeps_the_promises_of_a_program() {
        let job = Squarings::job(Fr::from(3), &[Fr::from(1), -Fr::ONE, Fr::ZERO]);
        for per_step in [1, 2, 100] {
            conformance::check(&Squarings::new(per_step), &job, 3);
        }
    }

    #[test]
    fn jobs_are_split_as_they_were_made() {
        let (start, inputs) = (Fr::from(3), vec![Fr::from(1), -Fr::ONE]);
        let plan = Squarings::new(1).plan(&Squarings::job(start, &inputs)).expect("a job");
        assert_eq!((plan.start, plan.steps), (vec![start], 2));
        assert_eq!(plan.inputs.collect::<Result<Vec<_>, _>>().expect("all decoded"), inputs);
    }

    #[test]
    fn other_jobs_are_refused() {
        let plan = |job: &[u8]| Squarings::new(1).plan(job).map(drop);
        for length in [0, 31, 32, 63] {
            assert!(matches!(plan(&vec![0; length]), Err(PlanError::Decode { at, .. }) if at == length), "{length}");
        }
        assert!(matches!(plan(&[0; 65]), Err(PlanError::Program(Error::Length { expected: 96, found: 65, .. }))));
        let mut job = Squarings::job(Fr::ZERO, &[Fr::ZERO; 2]);
        job[64..].fill(0xff);
        assert!(matches!(plan(&job), Err(PlanError::Program(Error::Decode { at: 64, .. }))));
        let limit = Squarings::new(1).max_job_bytes();
        let error = plan(&vec![0; limit + ELEMENT_BYTES]).expect_err("it is too large");
        assert!(matches!(error, PlanError::TooLarge { limit: l, .. } if l == limit), "{error}");
    }

    #[test]
    fn the_form_of_its_names_says_their_limit() {
        let limit = format!("N from 1 to {}", Squarings::MAX_PER_STEP);
        assert!(Squarings::families()[0].form.ends_with(&limit), "{limit}");
    }

    #[test]
    fn inputs_of_another_form_are_refused() {
        let decode = |bytes: &[u8]| Squarings::new(1).decode_input(bytes);
        for length in [0, 31, 33, 64] {
            assert!(matches!(decode(&vec![0; length]), Err(Error::Length { .. })), "{length}");
        }
        assert!(matches!(decode(&[0xff; 32]), Err(Error::Decode { what: "input", at: 0, .. })));
    }

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
