//! What a program is beyond its step function: names, codecs, limits, and the way from a job to its steps.

use std::fmt::{self, Debug};

use crowdfold_fold::{Error, Fr, StepFunction};
use ff::PrimeField;

/// Bytes of an encoded state element.
pub const ELEMENT_BYTES: usize = 32;

/// A step function that can be named, handed jobs and shown to people.
///
/// The same code runs natively and in WASM: a program does no I/O, reads no clock and draws no randomness. Whatever it
/// is given from outside (names, jobs, inputs, states) may be hostile, so nothing it decodes may make it panic, and
/// nothing may make it allocate beyond its limits.
///
/// `docs/guide/programs.md` is a guide to writing one, with MinRoot in `examples/minroot` as its example.
pub trait Program: StepFunction<Input: Debug + 'static> + Debug + 'static {
    /// The families of programs that this type covers: one, except for what [`crate::registry!`] makes.
    fn families() -> Vec<Family>;

    /// What names look like, for messages: the form of each family.
    fn forms() -> String {
        Self::families().iter().map(|family| family.form).collect::<Vec<_>>().join(", or ")
    }

    /// The program of that [`StepFunction::name`]; `None` for any other text. A name is `family/version`, and
    /// `family/version/parameters` for families that have some. Each program has just one spelling, so that its name can be
    /// compared: no signs, no leading zeros, no spaces.
    fn from_name(name: &str) -> Option<Self>;

    /// What a step does, in one plain sentence for people.
    fn summary(&self) -> String;

    /// The state in words: one field for each thing that a person would want to know.
    ///
    /// # Errors
    /// [`Error::Length`] for a state of another arity, [`Error::Step`] for one that the program can't be in.
    fn describe(&self, state: &[Fr]) -> Result<Vec<StateField>, Error>;

    /// The largest job in bytes.
    fn max_job_bytes(&self) -> usize;

    /// Splits a job into its first state and the inputs of its steps.
    ///
    /// It refuses at once whatever can be seen without executing steps; the rest may appear among the inputs.
    ///
    /// # Errors
    /// [`PlanError::TooLarge`] beyond [`Program::max_job_bytes`], before anything else is looked at (see
    /// [`Program::check_job_size`]); [`PlanError::Decode`] for bytes that are not the encoding of a job.
    fn plan(&self, job: &[u8]) -> Result<Plan<Self::Input>, PlanError>;

    /// What a step costs.
    fn cost(&self) -> Cost;

    /// Refuses a job beyond [`Program::max_job_bytes`].
    ///
    /// # Errors
    /// [`PlanError::TooLarge`].
    fn check_job_size(&self, job: &[u8]) -> Result<(), PlanError> {
        let (limit, found) = (self.max_job_bytes(), job.len());
        if found > limit { Err(PlanError::TooLarge { limit, found }) } else { Ok(()) }
    }

    /// Refuses a state of another arity.
    ///
    /// # Errors
    /// [`Error::Length`].
    fn check_arity(&self, state: &[Fr]) -> Result<(), Error> {
        let (expected, found) = (self.arity(), state.len());
        if expected != found { Err(Error::Length { what: "state", expected, found }) } else { Ok(()) }
    }

    /// Bytes of an encoded state.
    fn state_bytes(&self) -> usize {
        self.arity() * ELEMENT_BYTES
    }

    /// The canonical encoding of a state: its elements in order, [`ELEMENT_BYTES`] each, little-endian.
    fn encode_state(&self, state: &[Fr]) -> Vec<u8> {
        state.iter().flat_map(|element| <[u8; ELEMENT_BYTES]>::from(element.to_repr())).collect()
    }

    /// Reads what [`Program::encode_state`] wrote, and nothing else.
    ///
    /// # Errors
    /// [`Error::Length`] for any other number of elements than the program has, [`Error::Decode`] for one that is not
    /// below its modulus.
    fn decode_state(&self, bytes: &[u8]) -> Result<Vec<Fr>, Error> {
        let (expected, found) = (self.state_bytes(), bytes.len());
        if expected != found {
            return Err(Error::Length { what: "bytes of the state", expected, found });
        }
        decode_elements("state", bytes)
    }
}

/// Elements of Fr from their encodings, one after the other; `bytes` are a whole number of them. `what` goes into
/// errors.
///
/// # Errors
/// [`Error::Length`] when they are not, [`Error::Decode`] for a number that is not below its modulus.
pub fn decode_elements(what: &'static str, bytes: &[u8]) -> Result<Vec<Fr>, Error> {
    let (elements, rest) = bytes.as_chunks::<ELEMENT_BYTES>();
    if !rest.is_empty() {
        return Err(Error::Length { what, expected: bytes.len().next_multiple_of(ELEMENT_BYTES), found: bytes.len() });
    }
    let decode = |(i, element): (usize, &[u8; ELEMENT_BYTES])| {
        let reason = "a number is not below its modulus";
        Option::from(Fr::from_repr((*element).into())).ok_or(Error::Decode { what, at: i * ELEMENT_BYTES, reason })
    };
    elements.iter().enumerate().map(decode).collect()
}

/// Programs that differ only in the parameters of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// The first part of its names.
    pub name: &'static str,
    /// The second part: raised whenever the circuit or a codec changes.
    pub version: u32,
    /// What its names look like, for people: as `squarings/1/N with N from 1 to 1048576`.
    pub form: &'static str,
    /// What its programs do, in one plain sentence for people.
    pub summary: &'static str,
}

/// One field of a described state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateField {
    /// A short name.
    pub name: String,
    /// What it means, in a few words.
    pub meaning: String,
    /// Its value, readably.
    pub value: String,
}

impl StateField {
    /// A field with a value in words.
    pub fn new(name: impl Into<String>, meaning: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), meaning: meaning.into(), value: value.into() }
    }

    /// A field with a number: in decimal below 2^64, else in hexadecimal, the most significant digit first.
    pub fn number(name: impl Into<String>, meaning: impl Into<String>, value: &Fr) -> Self {
        let value = match to_u64(value) {
            Some(small) => small.to_string(),
            None => {
                let repr: [u8; ELEMENT_BYTES] = value.to_repr().into();
                repr.iter().rev().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
            }
        };
        Self::new(name, meaning, value)
    }
}

/// The element as a number, if it is below 2^64.
pub fn to_u64(element: &Fr) -> Option<u64> {
    let repr: [u8; ELEMENT_BYTES] = element.to_repr().into();
    let (low, high) = repr.split_first_chunk::<8>()?;
    high.iter().all(|byte| *byte == 0).then(|| u64::from_le_bytes(*low))
}

/// What a step costs, for estimates of time and bandwidth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Rows of the program's own circuit, which [`crowdfold_fold::CircuitSize::of_function`] measures. The folding
    /// scheme adds about 12,000 to each step.
    pub constraints: usize,
    /// Bytes of a typical step input.
    pub input_bytes: usize,
}

/// Inputs of steps in order. It owns what it needs and can be sent to another thread.
pub type Inputs<I> = Box<dyn Iterator<Item = Result<I, PlanError>> + Send>;

/// A job, split.
pub struct Plan<I> {
    /// The state before the first step.
    pub start: Vec<Fr>,
    /// Number of steps: at least one.
    pub steps: u64,
    /// As many inputs, in order, made as they are asked for. After an error there are no more.
    pub inputs: Inputs<I>,
}

impl<I: Send + 'static> Plan<I> {
    /// The plan of a job whose inputs are all known.
    pub fn of_inputs(start: Vec<Fr>, inputs: Vec<I>) -> Self {
        Self { start, steps: inputs.len() as u64, inputs: Box::new(inputs.into_iter().map(Ok)) }
    }

    /// The same plan with inputs of another type.
    pub fn map<J>(self, f: impl Fn(I) -> J + Send + 'static) -> Plan<J> {
        let inputs = self.inputs.map(move |input| input.map(&f));
        Plan { start: self.start, steps: self.steps, inputs: Box::new(inputs) }
    }

    /// Executes the steps natively, one for each item that is taken.
    pub fn execute<P: Program<Input = I>>(self, program: &P) -> Execution<P> {
        Execution { program: program.clone(), state: self.start, inputs: self.inputs, done: 0, steps: self.steps }
    }
}

impl<I> Debug for Plan<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("start", &self.start).field("steps", &self.steps).finish_non_exhaustive()
    }
}

/// One executed step of a job.
#[derive(Clone, Debug)]
pub struct Step<I> {
    /// Its input.
    pub input: I,
    /// The state after it.
    pub state: Vec<Fr>,
}

/// A job being executed natively. It ends after the last step of the plan or the first error.
pub struct Execution<P: Program> {
    program: P,
    state: Vec<Fr>,
    inputs: Inputs<P::Input>,
    done: u64,
    steps: u64,
}

impl<P: Program> Execution<P> {
    /// The state after the steps taken so far.
    pub fn state(&self) -> &[Fr] {
        &self.state
    }

    fn step(&mut self) -> Result<Step<P::Input>, PlanError> {
        let input = self.inputs.next().ok_or(PlanError::Ended { expected: self.steps, found: self.done })??;
        let refused = |error: Error| PlanError::Refused { step: self.done, reason: error.to_string() };
        let state = self.program.apply(&self.state, &input).map_err(refused)?;
        self.state.clone_from(&state);
        Ok(Step { input, state })
    }
}

impl<P: Program> Iterator for Execution<P> {
    type Item = Result<Step<P::Input>, PlanError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done == self.steps {
            return None;
        }
        let step = self.step();
        // Nothing follows an error.
        self.done = if step.is_ok() { self.done + 1 } else { self.steps };
        Some(step)
    }
}

impl<P: Program> Debug for Execution<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Execution").field("done", &self.done).field("steps", &self.steps).finish_non_exhaustive()
    }
}

/// Why a job can't be split into steps, or a step of it not be executed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// More bytes than the program takes.
    #[error("the job has {found} bytes, the program takes at most {limit}: split it into several jobs")]
    TooLarge {
        /// The most bytes of a job.
        limit: usize,
        /// The bytes of this one.
        found: usize,
    },
    /// Bytes that are not the canonical encoding of a job.
    #[error("cannot decode the job at byte {at}: {reason}")]
    Decode {
        /// Offset in the job.
        at: usize,
        /// What is wrong there.
        reason: &'static str,
    },
    /// A step that the program refuses in the state it comes to.
    #[error("step {step} of the job is refused: {reason}")]
    Refused {
        /// Its number, from 0.
        step: u64,
        /// Why.
        reason: String,
    },
    /// A plan with fewer inputs than steps: the program's mistake, not the job's.
    #[error("the plan has inputs for {found} steps instead of {expected}")]
    Ended {
        /// Steps that were announced.
        expected: u64,
        /// Inputs that came.
        found: u64,
    },
    /// What the program's codecs say.
    #[error(transparent)]
    Program(#[from] Error),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Squarings;
    use ff::Field;

    /// A program with a state of one element; these tests don't look at what it computes.
    fn program() -> Squarings {
        Squarings::new(2)
    }

    #[test]
    fn states_round_trip() {
        for state in [Fr::ZERO, Fr::ONE, -Fr::ONE, Fr::from(7)] {
            let bytes = program().encode_state(&[state]);
            assert_eq!(bytes.len(), program().state_bytes());
            assert_eq!(program().decode_state(&bytes).expect("it was just encoded"), [state]);
        }
    }

    #[test]
    fn states_of_another_form_are_refused() {
        for length in [0, 31, 33, 64] {
            let error = program().decode_state(&vec![0; length]).expect_err("another length");
            assert!(matches!(error, Error::Length { expected: 32, found, .. } if found == length), "{error}");
        }
        // The modulus itself is the smallest number that is refused.
        let mut modulus = program().encode_state(&[-Fr::ONE]);
        modulus[0] += 1;
        for bytes in [modulus, vec![0xff; 32]] {
            let error = program().decode_state(&bytes).expect_err("not below the modulus");
            assert!(matches!(error, Error::Decode { what: "state", at: 0, .. }), "{error}");
        }
    }

    #[test]
    fn an_error_says_which_element_it_is_about() {
        let mut bytes = vec![0; 96];
        bytes[64..].fill(0xff);
        let error = decode_elements("state", &bytes).expect_err("the last element is too large");
        assert!(matches!(error, Error::Decode { at: 64, .. }), "{error}");
        let error = decode_elements("state", &bytes[..63]).expect_err("a part of an element");
        assert!(matches!(error, Error::Length { expected: 64, found: 63, .. }), "{error}");
    }

    #[test]
    fn numbers_are_shown_readably() {
        let shown = |value: Fr| StateField::number("x", "a number", &value).value;
        assert_eq!(shown(Fr::from(u64::MAX)), "18446744073709551615");
        assert_eq!(shown(Fr::from(u64::MAX) + Fr::ONE), format!("0x{}1{}", "0".repeat(47), "0".repeat(16)));
        assert_eq!(shown(-Fr::ONE), "0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000000");
    }

    #[test]
    fn a_plan_is_executed_to_its_end() {
        let inputs = vec![Fr::ONE, Fr::from(2)];
        let mut execution = Plan::of_inputs(vec![Fr::ONE], inputs).execute(&program());
        let states: Vec<Vec<Fr>> = execution.by_ref().map(|step| step.expect("accepted").state).collect();
        assert_eq!(states, [[Fr::from(16)], [Fr::from(18 * 18 * 18 * 18)]]);
        assert_eq!(execution.state(), states[1]);
        assert!(execution.next().is_none());
    }

    #[test]
    fn a_plan_that_does_not_keep_its_promise_is_an_error() {
        let mut plan = Plan::of_inputs(vec![Fr::ONE], vec![Fr::ONE]);
        plan.steps = 2;
        let mut execution = plan.execute(&program());
        execution.next().expect("a step").expect("accepted");
        let error = execution.next().expect("an error").expect_err("there is no input");
        assert!(matches!(error, PlanError::Ended { expected: 2, found: 1 }), "{error}");
        assert!(execution.next().is_none());
    }

    #[test]
    fn a_step_that_is_refused_ends_the_execution() {
        // A state of another arity is what squarings refuse.
        let mut execution = Plan::of_inputs(vec![Fr::ONE; 2], vec![Fr::ONE; 3]).execute(&program());
        let error = execution.next().expect("an error").expect_err("it is refused");
        assert!(matches!(error, PlanError::Refused { step: 0, .. }), "{error}");
        assert!(execution.next().is_none());
    }
}
