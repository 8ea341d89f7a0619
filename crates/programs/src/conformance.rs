//! Checks that a program keeps the promises of its traits, for its tests.
//!
//! What can't be checked from outside is whether the circuit says what it should: that a false witness leaves a row
//! unsatisfied is for the program's own tests (see `docs/guide/programs.md`).

use crowdfold_fold::gadgets::num::Num;
use crowdfold_fold::limits::MAX_ARITY;
use crowdfold_fold::recorder::record;
use crowdfold_fold::{CircuitSize, Fr, StepFunction};
use nova_snark::frontend::shape_cs::ShapeCS;
use nova_snark::frontend::{ConstraintSystem, LinearCombination, SynthesisError};
use nova_snark::provider::Bn256EngineKZG;

use crate::program::{Family, PlanError, Program, Step};

/// Plans the job, runs its first `steps` steps, natively and as a circuit, and checks what every program promises: its
/// name leads back to it, its codecs are canonical and within their limits, its circuit computes the native state with
/// rows that don't depend on values, it describes every state, and its cost is what its circuit has.
///
/// # Panics
/// If a promise is broken; the message says which.
pub fn check<P: Program>(program: &P, job: &[u8], steps: usize) {
    check_name(program);
    check_limits(program, job);
    let size = CircuitSize::of_function(program).expect("the circuit has a shape");
    assert_eq!(program.cost().constraints, size.constraints, "cost says another number of rows than the circuit has");
    let rows = rows(program, &vec![Fr::from(0); program.arity()], &program.shape_input());

    let plan = program.plan(job).expect("the job is one of the program's");
    assert!(plan.steps > 0, "a plan has no steps");
    let mut before = plan.start.clone();
    check_state(program, &before);
    for step in plan.execute(program).take(steps) {
        let Step { input, state } = step.expect("the program accepts the steps of the job");
        check_input(program, &input);
        check_state(program, &state);
        check_circuit(program, &before, &input, &state, size);
        assert!(self::rows(program, &before, &input) == rows, "the rows of the circuit depend on values");
        program.apply(&[], &input).expect_err("a state without elements is refused");
        before = state;
    }
}

fn check_name<P: Program>(program: &P) {
    let name = program.name();
    let again = P::from_name(&name).expect("a program's name leads to it");
    assert_eq!(again.name(), name, "a name leads to another program");
    for other in [String::new(), format!("{name} "), format!(" {name}"), format!("{name}/"), name.to_uppercase()] {
        assert!(P::from_name(&other).is_none(), "`{other}` is another spelling of {name}");
    }
    let is_of = |family: &Family| {
        let prefix = format!("{}/{}", family.name, family.version);
        name.strip_prefix(&prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    assert!(P::families().iter().any(is_of), "{name} is of none of the families");
    assert!(!program.summary().is_empty(), "there is no summary");
}

fn check_limits<P: Program>(program: &P, job: &[u8]) {
    assert!((1..=MAX_ARITY).contains(&program.arity()), "the arity is beyond its limits");
    assert!(job.len() <= program.max_job_bytes(), "the job is larger than the program says it takes");
    let found = program.max_job_bytes() + 1;
    let error = program.plan(&vec![0; found]).expect_err("a job that is too large is refused");
    assert!(
        matches!(error, PlanError::TooLarge { .. }),
        "a job that is too large is refused for another reason: {error}"
    );
    let bytes = program.max_input_bytes() + 1;
    program.decode_input(&vec![0; bytes]).expect_err("an input that is too large is refused");
    assert!(program.cost().input_bytes <= program.max_input_bytes(), "a typical input is larger than the largest");
}

fn check_state<P: Program>(program: &P, state: &[Fr]) {
    let bytes = program.encode_state(state);
    assert_eq!(bytes.len(), program.state_bytes(), "the state has another arity");
    assert_eq!(program.decode_state(&bytes).expect("an encoded state decodes"), state, "the state changes on the way");
    let fields = program.describe(state).expect("a state can be described");
    assert!(!fields.is_empty(), "nothing is said of the state");
    program.describe(&[state, &state[..1]].concat()).expect_err("a state of another arity is not described");
}

fn check_input<P: Program>(program: &P, input: &P::Input) {
    let bytes = program.encode_input(input);
    assert!(bytes.len() <= program.max_input_bytes(), "an input is encoded in {} bytes", bytes.len());
    let again = program.decode_input(&bytes).expect("an encoded input decodes");
    assert!(program.encode_input(&again) == bytes, "an input changes on the way");
    // Bytes with something missing, added or changed may be an input too, but then theirs is no second encoding.
    let cut = &bytes[..bytes.len().saturating_sub(1)];
    let changed = (0..bytes.len()).map(|i| (0..bytes.len()).map(|j| bytes[j] ^ u8::from(i == j)).collect());
    for other in [cut.to_vec(), [&bytes[..], &[0]].concat()].into_iter().chain(changed.take(64)) {
        if let Ok(input) = program.decode_input(&other) {
            assert!(program.encode_input(&input) == other, "an input has two encodings");
        }
    }
}

fn check_circuit<P: Program>(program: &P, before: &[Fr], input: &P::Input, after: &[Fr], size: CircuitSize) {
    let (cs, state) = record(|cs| synthesize(program, cs, before, input));
    assert_eq!(cs.unsatisfied_names(), [""; 0], "rows of the circuit are not satisfied");
    assert_eq!(state, after, "the circuit computes another state than `apply`");
    let found = (cs.num_rows(), cs.aux.len() - before.len());
    assert_eq!(found, (size.constraints, size.variables), "the size of the circuit depends on values");
}

/// Synthesises the circuit with new variables for the state, and returns the values of the next one.
fn synthesize<F: StepFunction, CS: ConstraintSystem<Fr>>(
    program: &F,
    cs: &mut CS,
    state: &[Fr],
    input: &F::Input,
) -> Result<Vec<Fr>, SynthesisError> {
    let state = state.iter().map(|value| Ok(Num::alloc(cs, *value)?.to_allocated()));
    let state = state.collect::<Result<Vec<_>, SynthesisError>>()?;
    Ok(program.synthesize(cs, &state, input)?.iter().map(|num| Num::from_allocated(num).value).collect())
}

/// A row: A, B and C.
type Row = (LinearCombination<Fr>, LinearCombination<Fr>, LinearCombination<Fr>);

/// The rows of the circuit.
fn rows<F: StepFunction>(program: &F, state: &[Fr], input: &F::Input) -> Vec<Row> {
    let mut cs = ShapeCS::<Bn256EngineKZG>::new();
    synthesize(program, &mut cs, state, input).expect("synthesis does not fail");
    cs.constraints
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{Cost, Plan, StateField};
    use crowdfold_fold::Error;
    use ff::Field;
    use nova_snark::frontend::num::AllocatedNum;

    /// What is wrong with a program.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Flaw {
        Nothing,
        Cost,
        InputCodec,
        InputLimit,
        JobLimit,
        NativeState,
        Rows,
    }

    /// Adds a byte to its state, in two rows.
    #[derive(Clone, Debug)]
    struct Flawed(Flaw);

    impl StepFunction for Flawed {
        type Input = u8;

        fn name(&self) -> String {
            "flawed/1".into()
        }

        fn arity(&self) -> usize {
            1
        }

        fn apply(&self, state: &[Fr], input: &u8) -> Result<Vec<Fr>, Error> {
            self.check_arity(state)?;
            let more = u64::from(self.0 == Flaw::NativeState);
            Ok(vec![state[0] + Fr::from(u64::from(*input) + more)])
        }

        fn shape_input(&self) -> u8 {
            0
        }

        fn synthesize<CS: ConstraintSystem<Fr>>(
            &self,
            cs: &mut CS,
            state: &[AllocatedNum<Fr>],
            input: &u8,
        ) -> Result<Vec<AllocatedNum<Fr>>, SynthesisError> {
            let input_var = AllocatedNum::alloc(cs.namespace(|| "input"), || Ok(Fr::from(u64::from(*input))))?;
            let sum = state[0].add(cs.namespace(|| "sum"), &input_var)?;
            let factor = if self.0 == Flaw::Rows { Fr::from(u64::from(*input)) } else { Fr::ONE };
            cs.enforce(|| "nothing", |lc| lc, |lc| lc + (factor, sum.get_variable()), |lc| lc);
            Ok(vec![sum])
        }

        fn max_input_bytes(&self) -> usize {
            1
        }

        fn encode_input(&self, input: &u8) -> Vec<u8> {
            vec![*input]
        }

        fn decode_input(&self, bytes: &[u8]) -> Result<u8, Error> {
            match bytes {
                [first, ..] if self.0 == Flaw::InputLimit => Ok(*first),
                [byte] if self.0 == Flaw::InputCodec => Ok(byte & 0x7f),
                [byte] => Ok(*byte),
                _ => Err(Error::Length { what: "input", expected: 1, found: bytes.len() }),
            }
        }
    }

    impl Program for Flawed {
        fn families() -> Vec<Family> {
            vec![Family { name: "flawed", version: 1, form: "flawed/1", summary: "Adds a byte." }]
        }

        fn from_name(name: &str) -> Option<Self> {
            (name == "flawed/1").then_some(Self(Flaw::Nothing))
        }

        fn summary(&self) -> String {
            "Adds a byte.".into()
        }

        fn describe(&self, state: &[Fr]) -> Result<Vec<StateField>, Error> {
            self.check_arity(state)?;
            Ok(vec![StateField::number("sum", "of all bytes", &state[0])])
        }

        fn max_job_bytes(&self) -> usize {
            8
        }

        fn plan(&self, job: &[u8]) -> Result<Plan<u8>, PlanError> {
            if self.0 != Flaw::JobLimit {
                self.check_job_size(job)?;
            }
            Ok(Plan::of_inputs(vec![Fr::ZERO], job.to_vec()))
        }

        fn cost(&self) -> Cost {
            Cost { constraints: 2 + usize::from(self.0 == Flaw::Cost), input_bytes: 1 }
        }
    }

    #[test]
    fn each_broken_promise_is_noticed() {
        check(&Flawed(Flaw::Nothing), &[1, 200], 2);
        for (flaw, expected) in [
            (Flaw::Cost, "another number of rows"),
            (Flaw::InputCodec, "an input changes on the way"),
            (Flaw::InputLimit, "an input that is too large is refused"),
            (Flaw::JobLimit, "a job that is too large is refused"),
            (Flaw::NativeState, "another state than `apply`"),
            (Flaw::Rows, "the rows of the circuit depend on values"),
        ] {
            let panic = std::panic::catch_unwind(|| check(&Flawed(flaw), &[1, 200], 2)).expect_err("a flaw");
            let message = panic.downcast_ref::<String>().cloned();
            let message = message.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            let message = message.expect("a panic has a message");
            assert!(message.contains(expected), "{flaw:?}: {message}");
        }
    }
}
