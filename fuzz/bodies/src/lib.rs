//! What each fuzz target does with one input: decodes it and checks what must hold of whatever decodes.
//!
//! No function returns anything: a broken promise is a panic. `fuzz/fuzz_targets` hands libFuzzer's inputs to them, and
//! this crate's test replays `fuzz/corpus-regressions/`.

mod fixture;
mod layout;
mod mutation;
mod rollup;
mod wire;

use crowdfold_fold::srs::MIN_POINTS;
use crowdfold_fold::{Parameters, ProverParameters, RangeProof, Srs, StepFunction, verify};
use crowdfold_programs::Squarings;
use fixture::FIXTURE;
use mutation::build;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sha2::{Digest, Sha256};

pub use fixture::{program, small_parameters};
pub use layout::{ParameterLayout, Section};
pub use mutation::{Edit, modified, with_hole};
pub use rollup::{batch, program_name, step_input, transaction};
pub use wire::{from_coordinator, from_prover, push_task, session};

/// A target's name and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 13] = [
    ("range_proof", range_proof),
    ("parameters", parameters),
    ("prover_parameters", prover_parameters),
    ("ptau", ptau),
    ("input", input),
    ("step_input", step_input),
    ("batch", batch),
    ("transaction", transaction),
    ("program_name", program_name),
    ("from_prover", from_prover),
    ("from_coordinator", from_coordinator),
    ("push_task", push_task),
    ("session", session),
];

/// One in so many forged range proofs is also verified, which takes much longer than decoding.
const VERIFY_ONE_IN: u8 = 128;

/// Whether an input is one of those, one in so many, that more is done with.
fn sampled(data: &[u8], one_in: u8) -> bool {
    Sha256::digest(data)[0] % one_in == 0
}

/// `RangeProof::from_bytes`: what decodes encodes to the same bytes, and a changed proof does not verify.
///
/// The input is raw bytes or edits of a segment's or a merge's proof (see [`modified`] and [`with_hole`]).
///
/// # Panics
/// When one of that does not hold.
pub fn range_proof(data: &[u8]) {
    let fixture = &*FIXTURE;
    let bytes = build(data, &fixture.proofs);
    let Ok(proof) = RangeProof::from_bytes(&fixture.parameters, &bytes) else { return };
    assert!(proof.to_bytes() == bytes, "a range proof has two encodings");
    let original = fixture.proofs.iter().any(|template| template.bytes == bytes);
    if !original && sampled(data, VERIFY_ONE_IN) {
        let outcome = verify(&fixture.parameters, &proof, &mut ChaCha20Rng::seed_from_u64(0));
        assert!(outcome.is_err(), "a changed range proof verifies");
    }
}

/// `Parameters::from_bytes`: what decodes encodes to the same bytes.
///
/// The input is raw bytes, edits of a file of real size, or edits of a small one with small circuits. Digests of the
/// small one are put right after the edits, so that what the digests protect is reached too.
///
/// # Panics
/// When it does not hold.
pub fn parameters(data: &[u8]) {
    let bytes = small_or_real(data, true);
    let Ok(params) = Parameters::from_bytes(program(), &bytes) else { return };
    assert!(params.to_bytes() == bytes, "parameters have two encodings");
}

/// `ProverParameters::from_bytes`: what decodes encodes to something that decodes to the same digest and encodes to the
/// same bytes, and is not longer. (A file may hold more of the commitment key than its step circuit needs.)
///
/// Inputs are as for [`parameters`].
///
/// # Panics
/// When it does not hold.
pub fn prover_parameters(data: &[u8]) {
    let bytes = small_or_real(data, false);
    let Ok(params) = ProverParameters::from_bytes(program(), &bytes) else { return };
    let encoded = params.to_bytes();
    assert!(encoded.len() <= bytes.len(), "parameters grow when they are written again");
    let again = ProverParameters::from_bytes(program(), &encoded).expect("what is written can be read");
    assert_eq!(again.digest(), params.digest());
    assert!(again.to_bytes() == encoded, "parameters have two encodings");
}

/// First byte of an input for which a file is raw bytes.
const RAW: u8 = 0;
/// First byte of an input for which a file is of real size: rarely, because that takes a hundred times as long.
const REAL: u8 = 255;

fn small_or_real(data: &[u8], with_merge: bool) -> Vec<u8> {
    match data.split_first() {
        None => Vec::new(),
        Some((&RAW, rest)) => rest.to_vec(),
        Some((&REAL, rest)) if with_merge => build(rest, &FIXTURE.full),
        Some((&REAL, rest)) => build(rest, &FIXTURE.prover),
        Some((_, edits)) => {
            let mut bytes = modified(small_parameters(with_merge), edits);
            if let Some(layout) = ParameterLayout::of(&bytes) {
                layout.seal(&mut bytes);
            }
            bytes
        }
    }
}

/// `Srs::read_ptau`: what is accepted has the length asked for, and can be written and read again.
///
/// The input is the number of powers (one byte, of which 4 bits count) and the file.
///
/// # Panics
/// When it does not hold.
pub fn ptau(data: &[u8]) {
    let Some((n, file)) = data.split_first() else { return };
    let n = usize::from(n & 15);
    let rng = || ChaCha20Rng::seed_from_u64(n as u64);
    let Ok(srs) = Srs::read_ptau(file, n, None, &mut rng()) else { return };
    assert!(n >= MIN_POINTS && srs.len() == n);
    assert_eq!(srs.is_insecure(), srs.g1()[..2] == Srs::insecure_development(2).g1()[..2]);
    let mut written = Vec::new();
    srs.write_ptau(&mut written).expect("a vector takes every byte");
    let again = Srs::read_ptau(&written[..], n, None, &mut rng()).expect("what is written can be read");
    assert!(again.g1() == srs.g1() && again.tau_g2() == srs.tau_g2());
}

/// `Squarings::decode_input`: what decodes encodes to the same bytes and is no longer than announced.
///
/// # Panics
/// When it does not hold.
pub fn input(data: &[u8]) {
    let step: Squarings = program();
    let Ok(input) = step.decode_input(data) else { return };
    assert_eq!(step.encode_input(&input), data, "an input has two encodings");
    assert!(data.len() <= step.max_input_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crowdfold_programs::rollup::{Batch, StepInput};
    use rollup::ROLLUP;

    /// Otherwise edits of them would only ever reach the first check.
    #[test]
    fn every_template_decodes() {
        for template in &FIXTURE.proofs {
            let proof = RangeProof::from_bytes(&FIXTURE.parameters, &template.bytes).expect("decodes");
            verify(&FIXTURE.parameters, &proof, &mut ChaCha20Rng::seed_from_u64(0)).expect("verifies");
        }
        for template in &FIXTURE.full {
            Parameters::from_bytes(program(), &template.bytes).expect("decodes");
        }
        for template in &FIXTURE.prover {
            ProverParameters::from_bytes(program(), &template.bytes).expect("decodes");
        }
        for template in &ROLLUP.batches {
            Batch::from_bytes(&template.bytes).expect("decodes");
        }
        for template in &ROLLUP.inputs {
            StepInput::from_bytes(&template.bytes).expect("decodes");
        }
    }

    #[test]
    fn a_hole_filled_with_what_was_there_changes_nothing() {
        let templates = [&FIXTURE.proofs, &FIXTURE.full, &FIXTURE.prover, &ROLLUP.batches, &ROLLUP.inputs];
        for template in templates.into_iter().flatten() {
            let filling = &template.bytes[template.hole.clone()];
            assert!(with_hole(&template.bytes, template.hole.clone(), filling) == template.bytes);
        }
    }
}
