//! Attacks on the scheme: each builds what an attacker would, with everything but the lie consistent, and is refused by
//! the check it aims at.
//!
//! [`forger`] is a prover whose every value is in reach; [`model`] says natively what the circuits make of any witness,
//! so that the attacker's books follow the circuit wherever its rows let a lie pass.

mod claims;
mod encoding;
mod forger;
mod forgery;
mod kinds;
mod limbs;
mod limits;
mod merge;
mod model;
mod step;

use crate::binding::{Address, Context, Job};
use crate::curve::{Fr, G1Affine, GkAffine};
use crate::error::Error;
use crate::params::Parameters;
use crate::proof::RangeProof;
use crate::srs::Srs;
use crate::step::StepFunction;
use crate::verify::verify;
use ff::{Field, PrimeField};
use forger::{Chain, Open, join};
use group::Curve;
use nova_snark::frontend::num::AllocatedNum;
use nova_snark::frontend::{ConstraintSystem, SynthesisError};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::sync::LazyLock;

/// Verdicts of [`verify`].
const VALID: &str = "valid";
const STEP_ROWS: &str = "the step accumulator is not satisfied";
const MERGE_ROWS: &str = "the merge accumulator is not satisfied";
const CF_ROWS: &str = "the CycleFold accumulator is not satisfied";
const OPENING: &str = "a commitment does not open to its vector";
const FORM: &str = "form";

/// Adds its input to its state: every state can be reached, and an input of zero makes a cycle of length one.
#[derive(Clone, Debug)]
struct Adder;

impl StepFunction for Adder {
    type Input = Fr;

    fn name(&self) -> String {
        "adder/1".into()
    }

    fn arity(&self) -> usize {
        1
    }

    fn apply(&self, state: &[Fr], input: &Fr) -> Result<Vec<Fr>, Error> {
        Ok(vec![state[0] + input])
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
        let input = AllocatedNum::alloc(cs.namespace(|| "input"), || Ok(*input))?;
        Ok(vec![state[0].add(cs.namespace(|| "sum"), &input)?])
    }

    fn max_input_bytes(&self) -> usize {
        32
    }

    fn encode_input(&self, input: &Fr) -> Vec<u8> {
        input.to_repr().as_ref().to_vec()
    }

    fn decode_input(&self, bytes: &[u8]) -> Result<Fr, Error> {
        let at = Error::Decode { what: "input", at: 0, reason: "not a number" };
        let bytes: [u8; 32] =
            bytes.try_into().map_err(|_| Error::Length { what: "input", expected: 32, found: bytes.len() })?;
        Option::from(Fr::from_repr(bytes.into())).ok_or(at)
    }
}

static PARAMS: LazyLock<Parameters<Adder>> =
    LazyLock::new(|| Parameters::generate(Adder, &Srs::insecure_development(1 << 16)).expect("parameters"));

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn job() -> Job {
    Job { chain_id: 31337, contract: Address([7; 20]), job_id: [9; 32] }
}

fn context(prover: u8) -> Context {
    Context { job: job(), prover: Address([prover; 20]) }
}

/// An honest chain of `prover` from `start` over `inputs`.
fn chain(prover: u8, start: u64, inputs: &[u64]) -> Chain {
    let mut chain = Chain::new(context(prover), Fr::from(start), u64::from(prover) << 32 | start);
    inputs.iter().for_each(|input| chain.push(Fr::from(*input)));
    chain
}

/// Four adjacent segments of provers 1 to 4, from state 0 over 3, 7, 12 to 18, not yet finished.
static OPEN_SEGMENTS: LazyLock<[Open; 4]> = LazyLock::new(|| {
    [(1, 0, [1, 2]), (2, 3, [3, 1]), (3, 7, [4, 1]), (4, 12, [5, 1])]
        .map(|(prover, start, inputs)| chain(prover, start, &inputs).open())
});

/// Two adjacent merges of two of [`OPEN_SEGMENTS`] each.
static OPEN_MERGES: LazyLock<[Open; 2]> =
    LazyLock::new(|| [0, 2].map(|i| join(&OPEN_SEGMENTS[i], Some(&OPEN_SEGMENTS[i + 1]))));

static SEGMENTS: LazyLock<[RangeProof; 4]> = LazyLock::new(|| std::array::from_fn(|i| OPEN_SEGMENTS[i].publish()));
static MERGES: LazyLock<[RangeProof; 2]> = LazyLock::new(|| std::array::from_fn(|i| OPEN_MERGES[i].publish()));

/// No row fails.
const NONE: [usize; 0] = [];

/// What [`verify`] says.
fn verdict(proof: &RangeProof) -> &'static str {
    match verify(&PARAMS, proof, &mut rng(99)) {
        Ok(()) => VALID,
        Err(Error::Invalid(reason)) => reason,
        Err(_) => FORM,
    }
}

/// Some point of BN254 that has nothing to do with any proof.
fn stray_point(n: u64) -> G1Affine {
    (G1Affine::generator() * Fr::from(1_000_003 + n)).to_affine()
}

/// Some point of Grumpkin.
fn stray_gk(n: u64) -> GkAffine {
    (GkAffine::generator() * crate::curve::Fq::from(1_000_003 + n)).to_affine()
}

#[test]
fn the_honest_constructions_are_accepted() {
    for proof in SEGMENTS.iter().chain(&*MERGES) {
        assert_eq!(verdict(proof), VALID);
    }
    let whole = join(&OPEN_MERGES[0], Some(&OPEN_MERGES[1]));
    let mixed = join(&OPEN_SEGMENTS[0], Some(&join(&OPEN_SEGMENTS[1], None)));
    for open in [&whole, &mixed] {
        assert!(open.is_labelled_truly());
        assert_eq!(verdict(&open.publish()), VALID);
    }
    assert_eq!((whole.start, whole.end, whole.tree.count()), (Fr::ZERO, Fr::from(18), 8));
    let proof = crate::merge(&PARAMS, &MERGES[0], Some(&SEGMENTS[2]), &mut rng(1)).expect("merges");
    assert_eq!(verdict(&proof), VALID);
}
