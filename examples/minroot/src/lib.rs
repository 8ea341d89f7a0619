//! MinRoot as a Crowdfold program: a third party's crate, written against the public API alone.
//!
//! MinRoot is a delay function: computing it takes many fifth roots one after the other, checking each takes three
//! multiplications. Definition: Khovratovich, Maller, Tiwari, "MinRoot: Candidate Sequential Function for Ethereum
//! VDF",
//! 2022. Proving it by folding: Kothapalli, Setty, Tzialla, "Nova", CRYPTO 2022, section on verifiable delay functions.
//!
//! `docs/guide/programs.md` explains this file piece by piece.

use crowdfold_fold::gadgets::num::{Lc, Num, enforce, enforce_equal};
use crowdfold_fold::{Error, Fr, StepFunction};
use crowdfold_programs::{Cost, ELEMENT_BYTES, Family, Plan, PlanError, Program, StateField, decode_elements, to_u64};
use ff::{Field, PrimeField};
use nova_snark::frontend::num::AllocatedNum;
use nova_snark::frontend::{ConstraintSystem, SynthesisError};

/// The guide, so that its code is compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/programs.md")]
pub struct Guide;

/// What the name starts with; the number is the version of circuit and codecs.
const NAME: &str = "minroot/1/";
/// 1/5 modulo r - 1, least significant word first: 5 is coprime to r - 1, so every element has just one fifth root, and
/// this power is it.
const FIFTH_ROOT: [u64; 4] =
    [0xcfe7_f7a9_8ccc_cccd, 0x535c_b9d3_9494_5a0d, 0x9373_6af8_679a_ad17, 0x26b6_a528_b427_b354];

/// The state is (x, y, i); an iteration takes it to ((x + y)^(1/5), x + i, i + 1), and a step is K of them.
///
/// The input of a step is its K roots, so that provers need not compute them again. They are not free: the state before
/// a step has just one sequence of roots, so a proof says that the last state *is* that many iterations after the
/// first.
///
/// A job is the first state (96 bytes) and the number of iterations (8 bytes, little-endian), a multiple of K.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinRoot {
    per_step: usize,
}

impl MinRoot {
    /// The most iterations in a step.
    pub const MAX_PER_STEP: usize = 1 << 16;
    /// The most iterations in a job, and before it.
    pub const MAX_ITERATIONS: u64 = 1 << 40;

    /// The program with `per_step` iterations in each step, K above.
    ///
    /// # Panics
    /// If that is none or more than [`MinRoot::MAX_PER_STEP`].
    pub fn new(per_step: usize) -> Self {
        assert!((1..=Self::MAX_PER_STEP).contains(&per_step), "from 1 to {} iterations a step", Self::MAX_PER_STEP);
        Self { per_step }
    }

    /// Iterations in each step.
    pub fn per_step(&self) -> usize {
        self.per_step
    }

    /// The job of so many iterations from (x, y) on.
    pub fn job(&self, x: Fr, y: Fr, iterations: u64) -> Vec<u8> {
        [self.encode_state(&[x, y, Fr::ZERO]), iterations.to_le_bytes().to_vec()].concat()
    }

    /// The state as an array.
    fn parts(&self, state: &[Fr]) -> Result<[Fr; 3], Error> {
        self.check_arity(state)?;
        Ok([state[0], state[1], state[2]])
    }

    /// The roots of one step, and the state after it: the slow direction.
    fn evaluate(&self, state: &mut [Fr; 3]) -> Vec<Fr> {
        let iterate = |_| {
            let root = (state[0] + state[1]).pow_vartime(FIFTH_ROOT);
            *state = next(*state, root);
            root
        };
        (0..self.per_step).map(iterate).collect()
    }
}

/// The state after an iteration with that root.
fn next([x, _, i]: [Fr; 3], root: Fr) -> [Fr; 3] {
    [root, x + i, i + Fr::ONE]
}

/// Allocates a variable that is equal to `lc` (one row).
fn equal_to<CS: ConstraintSystem<Fr>>(cs: &mut CS, lc: &Lc<Fr>) -> Result<Num<Fr>, SynthesisError> {
    let num = Num::alloc(cs, lc.value)?;
    enforce_equal(cs, lc, &num.into());
    Ok(num)
}

impl StepFunction for MinRoot {
    type Input = Vec<Fr>;

    fn name(&self) -> String {
        format!("{NAME}{}", self.per_step)
    }

    fn arity(&self) -> usize {
        3
    }

    fn apply(&self, state: &[Fr], roots: &Vec<Fr>) -> Result<Vec<Fr>, Error> {
        let mut state = self.parts(state)?;
        if roots.len() != self.per_step {
            return Err(Error::Length { what: "roots of a step", expected: self.per_step, found: roots.len() });
        }
        for (k, root) in roots.iter().enumerate() {
            if root.square().square() * root != state[0] + state[1] {
                return Err(Error::Step(format!("root {k} of the step is not the fifth root of x + y")));
            }
            state = next(state, *root);
        }
        Ok(state.to_vec())
    }

    fn shape_input(&self) -> Vec<Fr> {
        vec![Fr::ZERO; self.per_step]
    }

    fn synthesize<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        state: &[AllocatedNum<Fr>],
        roots: &Vec<Fr>,
    ) -> Result<Vec<AllocatedNum<Fr>>, SynthesisError> {
        let ([x, y, i], true) = (state, roots.len() == self.per_step) else {
            return Err(SynthesisError::AssignmentMissing);
        };
        let mut x = Num::from_allocated(x);
        let [mut y, mut i] = [y, i].map(|num| Lc::from(Num::from_allocated(num)));
        for (k, root) in roots.iter().enumerate() {
            let cs = &mut cs.namespace(|| format!("iteration {k}"));
            let root = Num::alloc(cs, *root)?;
            let square = Lc::from(Num::product(cs, &root.into(), &root.into())?);
            let fourth = Lc::from(Num::product(cs, &square, &square)?);
            enforce(cs, &fourth, &root.into(), &y.plus(Fr::ONE, &x));
            // Sums need no rows: they are carried along as linear combinations.
            y = i.clone().plus(Fr::ONE, &x);
            i = i + &Lc::one();
            x = root;
        }
        // The next step takes variables, so each sum gets one, and a row that says what it is.
        let y = equal_to(&mut cs.namespace(|| "y"), &y)?;
        let i = equal_to(&mut cs.namespace(|| "i"), &i)?;
        Ok([x, y, i].map(Num::to_allocated).into())
    }

    fn max_input_bytes(&self) -> usize {
        self.per_step * ELEMENT_BYTES
    }

    fn encode_input(&self, roots: &Vec<Fr>) -> Vec<u8> {
        roots.iter().flat_map(|root| <[u8; ELEMENT_BYTES]>::from(root.to_repr())).collect()
    }

    fn decode_input(&self, bytes: &[u8]) -> Result<Vec<Fr>, Error> {
        // The length first: nothing is allocated for bytes that are too many.
        let (expected, found) = (self.max_input_bytes(), bytes.len());
        if expected != found {
            return Err(Error::Length { what: "bytes of the roots", expected, found });
        }
        decode_elements("root", bytes)
    }
}

impl Program for MinRoot {
    fn families() -> Vec<Family> {
        vec![Family {
            name: "minroot",
            version: 1,
            form: "minroot/1/K with K from 1 to 65536",
            summary: "Takes K fifth roots one after the other: a delay function.",
        }]
    }

    fn from_name(name: &str) -> Option<Self> {
        let per_step = name.strip_prefix(NAME)?.parse().ok().filter(|k| (1..=Self::MAX_PER_STEP).contains(k))?;
        // `parse` also takes a sign and leading zeros, which `name` never writes.
        Some(Self { per_step }).filter(|program| program.name() == name)
    }

    fn summary(&self) -> String {
        format!("Takes {} fifth roots one after the other: a delay function.", self.per_step)
    }

    fn describe(&self, state: &[Fr]) -> Result<Vec<StateField>, Error> {
        let [x, y, i] = self.parts(state)?;
        Ok(vec![
            StateField::number("x", "the last root", &x),
            StateField::number("y", "the root before it, with its number added", &y),
            StateField::number("i", "iterations done", &i),
        ])
    }

    fn max_job_bytes(&self) -> usize {
        self.state_bytes() + size_of::<u64>()
    }

    fn plan(&self, job: &[u8]) -> Result<Plan<Vec<Fr>>, PlanError> {
        self.check_job_size(job)?;
        let refuse = |at, reason| PlanError::Decode { at, reason };
        let wrong_length = || refuse(job.len(), "expected a state of 96 bytes and a number of iterations of 8");
        let (state, iterations) = job.split_last_chunk().ok_or_else(wrong_length)?;
        if state.len() != self.state_bytes() {
            return Err(wrong_length());
        }
        let start = self.decode_state(state)?;
        let mut state = self.parts(&start)?;
        if to_u64(&state[2]).is_none_or(|done| done > Self::MAX_ITERATIONS) {
            return Err(refuse(2 * ELEMENT_BYTES, "more than 2^40 iterations done before"));
        }
        let (iterations, per_step) = (u64::from_le_bytes(*iterations), self.per_step as u64);
        if !(1..=Self::MAX_ITERATIONS).contains(&iterations) || !iterations.is_multiple_of(per_step) {
            return Err(refuse(
                self.state_bytes(),
                "expected from 1 to 2^40 iterations, a multiple of those of a step",
            ));
        }
        let (steps, program) = (iterations / per_step, self.clone());
        // The roots are computed as they are asked for: that is the delay.
        let inputs = (0..steps).map(move |_| Ok(program.evaluate(&mut state)));
        Ok(Plan { start, steps, inputs: Box::new(inputs) })
    }

    fn cost(&self) -> Cost {
        Cost { constraints: 3 * self.per_step + 2, input_bytes: self.max_input_bytes() }
    }
}
