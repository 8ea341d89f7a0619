//! Replays inputs.

use crowdfold_fold::Srs;
use crowdfold_fuzz_bodies::{
    Edit, TARGETS, batch, input, parameters, program_name, prover_parameters, ptau, range_proof, step_input,
    transaction,
};
use std::path::{Path, PathBuf};

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus-regressions").join(target)
}

/// An input that starts with `selectors` and goes on with edits.
fn edits(selectors: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut input = selectors.to_vec();
    edits.iter().for_each(|edit| input.extend(edit.to_bytes()));
    input
}

#[test]
fn committed_inputs_break_nothing() {
    for (target, body) in TARGETS {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(folder(target))
            .unwrap_or_else(|error| panic!("{}: {error}", folder(target).display()))
            .map(|entry| entry.expect("a folder entry").path())
            .collect();
        paths.sort();
        assert!(!paths.is_empty(), "{target} has no inputs");
        for path in paths {
            let data = std::fs::read(&path).expect("a readable file");
            let outcome = std::panic::catch_unwind(|| body(&data));
            assert!(outcome.is_ok(), "{} breaks it, see above", path.display());
        }
    }
}

#[test]
fn every_target_has_a_fuzz_target() {
    let manifest = include_str!("../../../Cargo.toml");
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
    for (target, _) in TARGETS {
        assert!(manifest.contains(&format!("name = \"{target}\"")), "{target}");
    }
}

/// Selectors of a segment's and of a merge's proof.
const PROOFS: [u8; 2] = [1, 3];

#[test]
fn range_proofs_with_any_one_edit_break_nothing() {
    range_proof(&[]);
    for proof in PROOFS {
        range_proof(&[proof]);
        for place in [0, 1, 40, 300, 70_000] {
            for edit in [
                Edit::Byte { place, value: 0xff },
                Edit::HeadByte { place: 101 + place, value: 2 },
                Edit::HeadLength { place: 122, value: place },
                Edit::AddModulus { place, base_field: false },
                Edit::AddModulus { place, base_field: true },
                Edit::ZeroPoint { place },
                Edit::CopyElement { place, from: place + 1 },
                Edit::Truncate { place },
                Edit::Extend { place: place + 1, value: 0 },
            ] {
                range_proof(&edits(&[proof], &[edit]));
            }
        }
    }
}

/// A tree of one-child nodes, each a byte, is the deepest that bytes can buy.
#[test]
fn deep_binding_trees_break_nothing() {
    for depth in [0, 1, 47, 48, 49, 100_000] {
        let leaf = [&[0][..], &[1; 20], &4u64.to_le_bytes()].concat();
        for hole in [2, 4] {
            range_proof(&[&[hole][..], &vec![1; depth], &leaf].concat());
        }
    }
}

#[test]
fn parameters_with_any_one_edit_break_nothing() {
    // Small files with their digests put right, then one of real size.
    for selectors in [&[1][..], &[255, 1]] {
        parameters(selectors);
        prover_parameters(selectors);
    }
    for place in 0..40 {
        for edit in [
            Edit::Byte { place: 31 * place, value: 3 },
            Edit::HeadByte { place: 8 + place, value: 0 },
            Edit::HeadLength { place: 224 + place, value: 1 << 24 },
            Edit::AddModulus { place, base_field: place % 2 == 0 },
            Edit::Truncate { place: 37 * place },
            Edit::Extend { place: place + 1, value: 1 },
        ] {
            parameters(&edits(&[1], &[edit]));
            prover_parameters(&edits(&[1], &[edit]));
        }
    }
}

#[test]
fn powers_of_tau_with_a_changed_byte_break_nothing() {
    let mut file = vec![4];
    Srs::insecure_development(4).write_ptau(&mut file).expect("write");
    ptau(&file);
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1;
        ptau(&changed);
        ptau(&file[..at]);
    }
}

#[test]
fn inputs_of_any_length_break_nothing() {
    for n in 0..40 {
        input(&vec![0; n]);
        input(&vec![0xff; n]);
    }
}

#[test]
fn steps_and_batches_with_any_one_edit_break_nothing() {
    for target in [step_input, batch] {
        target(&[]);
        // Two templates, each unchanged, edited, and with an empty hole.
        for template in [1, 3] {
            target(&[template]);
            target(&[template + 1]);
            for place in 0..60 {
                for edit in [
                    Edit::Byte { place: 97 * place, value: 1 },
                    Edit::HeadByte { place: 8 * place, value: 0 },
                    Edit::HeadLength { place: 4 * place, value: 1 << 24 },
                    Edit::AddModulus { place, base_field: false },
                    Edit::CopyElement { place, from: place + 1 },
                    Edit::Truncate { place: 211 * place },
                    Edit::Extend { place: place + 1, value: 0 },
                ] {
                    target(&edits(&[template], &[edit]));
                }
            }
        }
    }
}

/// As many transactions as a batch may have, and one more: numbers that are announced and do not come.
#[test]
fn batches_that_announce_much_break_nothing() {
    for announced in [5, 1 << 16, (1 << 16) + 1, u32::MAX] {
        batch(&edits(&[1], &[Edit::HeadLength { place: 232, value: announced }]));
    }
}

#[test]
fn transactions_of_any_length_break_nothing() {
    for kind in 0..=4 {
        for n in 0..140 {
            for fill in [0, 1, 0xff] {
                let mut data = vec![fill; n];
                data.iter_mut().take(1).for_each(|first| *first = kind);
                transaction(&data);
            }
        }
    }
}

#[test]
fn names_of_no_program_break_nothing() {
    let long = format!("squarings/1/{}", "9".repeat(1000));
    for name in
        ["", "/", "rollup", "rollup/1", "rollup/1/", "rollup/01", "squarings/1/1048577", "squarings/1/-1", &long]
    {
        program_name(name.as_bytes());
    }
    program_name(&[0xff, 0xfe]);
}
