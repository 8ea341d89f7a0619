//! Parameter files: what is refused, and that the digest is the same wherever they come from.

use crate::common::{PARAMS, context, rng};
use crowdfold_fold::{
    CircuitSize, Error, Fr, Parameters, ProgramId, ProverParameters, Segment, Srs, StepFunction, verify,
};
use crowdfold_fuzz_bodies::{ParameterLayout, Section};
use crowdfold_programs::{Builtin, BuiltinInput, Program, Squarings};
use nova_snark::frontend::num::AllocatedNum;
use nova_snark::frontend::{ConstraintSystem, SynthesisError};
use std::sync::LazyLock;

static FULL: LazyLock<Vec<u8>> = LazyLock::new(|| PARAMS.to_bytes());
static PROVER: LazyLock<Vec<u8>> = LazyLock::new(|| PARAMS.prover().to_bytes());

fn program() -> Squarings {
    PARAMS.prover().step().clone()
}

fn layout(bytes: &[u8]) -> ParameterLayout {
    ParameterLayout::of(bytes).expect("a parameter file")
}

fn full_error(bytes: &[u8]) -> Error {
    Parameters::from_bytes(program(), bytes).expect_err("it is refused")
}

fn prover_error(bytes: &[u8]) -> Error {
    ProverParameters::from_bytes(program(), bytes).expect_err("it is refused")
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes
}

/// Flips the lowest bit of the first, the middle and the last byte.
fn flips(bytes: &[u8], section: Section) -> impl Iterator<Item = Vec<u8>> {
    let range = layout(bytes).range(section);
    [range.start, range.start + range.len() / 2, range.end - 1].into_iter().map(|at| flipped(bytes, at))
}

#[test]
fn digests_agree_wherever_parameters_come_from() {
    let digest = PARAMS.prover().digest();
    let full = Parameters::from_bytes(program(), &FULL).expect("decodes");
    let prover = ProverParameters::from_bytes(program(), &PROVER).expect("decodes");
    for other in [full.prover(), &prover] {
        assert_eq!(other.digest(), digest);
        assert_eq!(other.program(), PARAMS.prover().program());
        assert_eq!(other.is_insecure(), PARAMS.prover().is_insecure());
        assert_eq!(other.step_size(), PARAMS.prover().step_size());
        assert_eq!(other.cyclefold_size(), PARAMS.prover().cyclefold_size());
        assert!(other.to_bytes() == *PROVER);
    }
    assert_eq!(full.merge_size(), PARAMS.merge_size());
    assert!(full.to_bytes() == *FULL);
    assert!(PROVER.len() < FULL.len() / 2);

    // A longer string starts with the shorter one.
    let again = Parameters::generate(program(), &Srs::insecure_development((1 << 16) + 1)).expect("parameters");
    assert_eq!(again.prover().digest(), digest);
}

#[test]
fn a_flipped_bit_in_any_section_is_refused() {
    for (section, _) in layout(&FULL).sections() {
        for bytes in flips(&FULL, *section) {
            check_reason(*section, &full_error(&bytes));
        }
    }
}

/// That the error is about the section.
fn check_reason(section: Section, error: &Error) {
    let what = match error {
        Error::ParameterFile(what) | Error::Decode { what, .. } | Error::Limit { what, .. } => *what,
        Error::Parameters { what, .. } => what,
        other => panic!("{section:?}: {other}"),
    };
    let word = match section {
        Section::Magic => "parameter file",
        // The first byte is the length of the name, the last one the arity.
        Section::Program => return,
        Section::Insecure => "insecure",
        Section::StepDigest => "step circuit",
        Section::MergeDigest => "merge circuit",
        Section::CfDigest => "CycleFold circuit",
        Section::CfKeyDigest => "CycleFold key",
        Section::BlindingDigest | Section::Blinding => "blinding base",
        // A number of digests that is wrong by one moves all that follows.
        Section::ChunkDigests if !what.contains("commitment key") => "blinding base",
        Section::ChunkDigests => "commitment key",
        Section::CfKey | Section::Key | Section::CfShape | Section::StepShape | Section::MergeShape => return,
    };
    assert!(what.contains(word), "{section:?}: {error}");
}

/// Whatever is inside a section, its digest covers it: here places where nothing else can notice the change.
#[test]
fn digests_cover_what_decodes() {
    let layout = layout(&FULL);
    for (section, message) in [
        (Section::CfShape, "the CycleFold circuit does not have its digest"),
        (Section::StepShape, "the step circuit does not have its digest"),
        (Section::MergeShape, "the merge circuit does not have its digest"),
    ] {
        // The column of the last entry of C.
        let error = full_error(&flipped(&FULL, layout.range(section).end - 8));
        assert!(matches!(error, Error::ParameterFile(found) if found == message), "{error}");
    }
    for (section, message) in [
        (Section::CfKey, "the CycleFold key does not have its digest"),
        (Section::Key, "the commitment key does not have its digest"),
    ] {
        // Two bases exchanged, at the start and at the end.
        let range = layout.range(section);
        for first in [range.start + 8, range.end - 2 * 64] {
            let mut bytes = FULL.clone();
            let (left, right) = bytes[first..first + 2 * 64].split_at_mut(64);
            left.swap_with_slice(right);
            let error = full_error(&bytes);
            assert!(matches!(error, Error::ParameterFile(found) if found == message), "{error}");
        }
    }
    let blinding = layout.range(Section::Blinding);
    let mut bytes = FULL.clone();
    // Another point of the same curve.
    bytes.copy_within(layout.range(Section::Key).start + 8..layout.range(Section::Key).start + 72, blinding.start);
    let error = full_error(&bytes);
    assert!(matches!(error, Error::ParameterFile("the blinding bases do not have their digest")), "{error}");
}

#[test]
fn a_prover_s_file_is_checked_as_well() {
    let (digest, sections) = (PARAMS.prover().digest(), layout(&PROVER).sections().to_vec());
    assert!(sections.iter().all(|(section, _)| *section != Section::MergeShape));
    for (section, _) in sections {
        for bytes in flips(&PROVER, section) {
            match ProverParameters::from_bytes(program(), &bytes) {
                Err(error) => check_reason(section, &error),
                // What a prover lacks it can't check; the digest that it compares shows the difference.
                Ok(params) => {
                    let unchecked = [Section::MergeDigest, Section::ChunkDigests];
                    assert!(unchecked.contains(&section), "{section:?} is not checked");
                    assert_ne!(params.digest(), digest, "{section:?}");
                }
            }
        }
    }
}

#[test]
fn digests_of_chunks_that_a_prover_lacks_count() {
    let layout = layout(&PROVER);
    let chunks = layout.range(Section::ChunkDigests);
    let held = (layout.range(Section::Key).len() - 8) / (64 * 4096);
    let all = (chunks.len() - 8) / 32;
    assert!(0 < held && held < all, "{held} of {all} chunks");
    for chunk in 0..all {
        let result = ProverParameters::from_bytes(program(), &flipped(&PROVER, chunks.start + 8 + 32 * chunk));
        match result {
            Ok(params) if chunk >= held => assert_ne!(params.digest(), PARAMS.prover().digest()),
            Err(Error::ParameterFile("the commitment key does not have its digest")) if chunk < held => (),
            other => panic!("chunk {chunk}: {other:?}"),
        }
    }
}

#[test]
fn files_cut_short_or_continued_are_refused() {
    for (section, range) in layout(&FULL).sections() {
        let error = full_error(&FULL[..range.end - 1]);
        assert!(matches!(error, Error::Decode { .. }), "{section:?}: {error}");
        if *section != Section::MergeShape {
            let error = full_error(&FULL[..range.end]);
            match section {
                // All that a prover's file has.
                Section::StepShape => assert!(matches!(error, Error::ParameterFile(_)), "{error}"),
                _ => assert!(
                    matches!(error, Error::Decode { reason: "the input ends too early", .. }),
                    "{section:?}: {error}"
                ),
            }
        }
    }
    for section in [Section::Magic, Section::ChunkDigests, Section::Key, Section::StepShape] {
        let error = prover_error(&PROVER[..layout(&PROVER).range(section).end - 1]);
        assert!(matches!(error, Error::Decode { .. }), "{section:?}: {error}");
    }
    let continued = |bytes: &[u8]| [bytes, &[0]].concat();
    for error in [full_error(&continued(&FULL)), prover_error(&continued(&PROVER))] {
        assert!(matches!(error, Error::Decode { reason: "there are bytes after it", .. }), "{error}");
    }
    for error in [full_error(&[]), prover_error(&[])] {
        assert!(matches!(error, Error::Decode { at: 0, .. }), "{error}");
    }
}

#[test]
fn a_prover_s_file_does_not_pass_for_all_parameters_nor_the_other_way_round() {
    let error = full_error(&PROVER);
    assert!(matches!(error, Error::ParameterFile("it is a prover's file, without the merge circuit")), "{error}");
    let error = prover_error(&FULL);
    assert!(matches!(error, Error::Decode { what: "the end", .. }), "{error}");
}

#[test]
fn parameters_of_another_program_are_refused() {
    let other = Squarings::new(program().per_step() + 1);
    let full = Parameters::from_bytes(other.clone(), &FULL).expect_err("it is refused");
    let prover = ProverParameters::from_bytes(other, &PROVER).expect_err("it is refused");
    for error in [full, prover] {
        match &error {
            Error::Parameters { what: "the file", expected, found } => {
                assert_eq!((&**expected, &**found), ("squarings/1/4", "squarings/1/3"));
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_program_is_named_and_measured_without_parameters() {
    assert_eq!(ProgramId::of(&program()).expect("it has a circuit"), PARAMS.prover().program());
    assert_eq!(CircuitSize::of_step(&program()).expect("it has a circuit"), PARAMS.prover().step_size());
    // Three rows, of 2 + 2 + 1, 3 and 3 entries, and the input beside the three squares.
    let own = CircuitSize { constraints: 3, variables: 4, nnz: 11 };
    assert_eq!(CircuitSize::of_function(&program()).expect("it has a circuit"), own);
}

/// A step function that nobody can use: its state has `arity` elements, and its circuit `public` public inputs.
#[derive(Clone)]
struct Unusable {
    arity: usize,
    public: usize,
}

impl StepFunction for Unusable {
    type Input = ();

    fn name(&self) -> String {
        "unusable/1".into()
    }

    fn arity(&self) -> usize {
        self.arity
    }

    fn apply(&self, state: &[Fr], (): &()) -> Result<Vec<Fr>, Error> {
        Ok(state.to_vec())
    }

    fn shape_input(&self) {}

    fn synthesize<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        state: &[AllocatedNum<Fr>],
        (): &(),
    ) -> Result<Vec<AllocatedNum<Fr>>, SynthesisError> {
        for i in 0..self.public {
            AllocatedNum::alloc_input(cs.namespace(|| format!("public input {i}")), || Ok(Fr::from(1)))?;
        }
        Ok(state.to_vec())
    }

    fn max_input_bytes(&self) -> usize {
        0
    }

    fn encode_input(&self, (): &()) -> Vec<u8> {
        Vec::new()
    }

    fn decode_input(&self, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }
}

#[test]
fn a_step_function_beyond_the_limits_is_neither_named_nor_measured() {
    for arity in [0, 65] {
        let program = Unusable { arity, public: 0 };
        for error in [
            ProgramId::of(&program).expect_err("it is refused"),
            CircuitSize::of_step(&program).expect_err("it is refused"),
            CircuitSize::of_function(&program).expect_err("it is refused"),
        ] {
            assert!(matches!(error, Error::Limit { what: "arity", found, .. } if found == arity as u64), "{error}");
        }
    }
    let program = Unusable { arity: 1, public: 1 };
    for error in [
        ProgramId::of(&program).expect_err("it is refused"),
        CircuitSize::of_step(&program).expect_err("it is refused"),
        CircuitSize::of_function(&program).expect_err("it is refused"),
    ] {
        assert!(matches!(&error, Error::Step(reason) if reason.contains("public inputs")), "{error}");
    }
    ProgramId::of(&Unusable { arity: 64, public: 0 }).expect("it is within the limits");
}

/// A program of a registry is the program itself: provers that know it by either type understand each other.
#[test]
fn parameters_of_a_program_are_those_of_its_registry() {
    let listed = Builtin::from_name("squarings/1/3").expect("it is built in");
    assert_eq!(ProgramId::of(&listed).expect("it has a circuit"), PARAMS.prover().program());
    let prover = ProverParameters::from_bytes(listed, &PROVER).expect("decodes");
    assert_eq!((prover.digest(), prover.program()), (PARAMS.prover().digest(), PARAMS.prover().program()));

    let mut rng = rng(1);
    let mut segment = Segment::new(&prover, context(1), vec![Fr::from(5)]).expect("a segment");
    for input in 0..2 {
        segment.push(&BuiltinInput::Squarings(Fr::from(input)), &mut rng).expect("accepted");
    }
    let proof = segment.finish(&mut rng).expect("two steps");
    verify(&PARAMS, &proof, &mut rng).expect("it verifies with the parameters of the program alone");
}
