//! Parameter files: what is refused, and that the digest is the same wherever they come from.

use crate::common::PARAMS;
use crowdfold_fold::{Error, Parameters, ProverParameters, Srs};
use crowdfold_fuzz_bodies::{ParameterLayout, Section};
use crowdfold_programs::Squarings;
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
