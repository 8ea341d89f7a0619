//! Verifying range proofs, one or many (`docs/spec/folding.md`, section 12).

use crate::curve::{CommitmentKey, CycleCurve, Fq, Fr, G1Affine, GkAffine};
use crate::error::Error;
use crate::instance::{RelaxedInstance, fold_state};
use crate::params::Parameters;
use crate::proof::RangeProof;
use crate::r1cs::{RelaxedWitness, Shape};
use crate::step::StepFunction;
use crate::transcript::FoldChallenge;
use ff::{Field, PrimeField};
use group::Group;
use rand_core::{CryptoRng, RngCore};
use rayon::prelude::*;

/// That `commitment` opens to `vector` with `blind`.
struct Opening<'a, C: CycleCurve> {
    vector: &'a [C::ScalarExt],
    blind: C::ScalarExt,
    commitment: C,
}

/// What is left of a proof when all but its commitments has been checked.
struct Openings<'a> {
    main: Vec<Opening<'a, G1Affine>>,
    cf: Vec<Opening<'a, GkAffine>>,
}

fn openings_of<'a, C: CycleCurve>(
    witness: &'a RelaxedWitness<C::ScalarExt>,
    comm_w: C,
    comm_e: C,
) -> [Opening<'a, C>; 2] {
    [
        Opening { vector: &witness.w, blind: witness.blind_w, commitment: comm_w },
        Opening { vector: &witness.e, blind: witness.blind_e, commitment: comm_e },
    ]
}

/// Checks form, hash and rows of one proof.
fn check<'a, F: StepFunction>(params: &Parameters<F>, proof: &'a RangeProof) -> Result<Openings<'a>, Error> {
    proof.check_form(params)?;
    let prover = params.prover();

    // The public value of the last instance is recomputed from the claim, so a false claim changes r and the fold.
    let fresh = proof.fresh();
    let r = FoldChallenge::from_hash(&fold_state(&fresh, &proof.t));
    let fold = |running: &RelaxedInstance| running.fold(&fresh, &running.fold_claims(&fresh, &proof.t, &r), &r);
    let (s, m) = match &proof.merge {
        None => (fold(&proof.running), None),
        Some(part) => (proof.running, Some((fold(&part.running), &part.witness))),
    };

    let rows = |shape: &Shape<Fr>, instance: &RelaxedInstance, witness: &RelaxedWitness<Fr>| {
        shape.first_unsatisfied(&witness.w, &witness.e, instance.u, &[instance.x]).is_none()
    };
    if !rows(&prover.step_shape, &s, &proof.witness) {
        return Err(Error::Invalid("the step accumulator is not satisfied"));
    }
    let mut main: Vec<_> = openings_of(&proof.witness, s.comm_w, s.comm_e).into();
    if let Some((m, witness)) = &m {
        if !rows(&params.merge_shape, m, witness) {
            return Err(Error::Invalid("the merge accumulator is not satisfied"));
        }
        main.extend(openings_of(witness, m.comm_w, m.comm_e));
    }
    let (cf, witness) = (&proof.cf, &proof.cf_witness);
    let unsatisfied = prover.cf.shape.first_unsatisfied(&witness.w, &witness.e, cf.u_scalar(), &cf.x_scalars());
    if unsatisfied.is_some() {
        return Err(Error::Invalid("the CycleFold accumulator is not satisfied"));
    }
    let cf: Vec<Opening<'_, GkAffine>> = openings_of::<GkAffine>(witness, cf.comm_w, cf.comm_e).into();
    Ok(Openings { main, cf })
}

/// Whether all openings hold, by one random combination of 128-bit coefficients: a false one passes with probability
/// at most 2^-128.
fn open_all<C: CycleCurve>(
    key: &CommitmentKey<C>,
    openings: &[&Opening<'_, C>],
    rng: &mut (impl CryptoRng + RngCore),
) -> bool {
    let gammas: Vec<C::ScalarExt> = openings
        .iter()
        .map(|_| C::ScalarExt::from_u128(u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64())))
        .collect();
    let longest = openings.iter().map(|opening| opening.vector.len()).max().unwrap_or(0);
    let mut sum = vec![C::ScalarExt::ZERO; longest];
    for (opening, gamma) in openings.iter().zip(&gammas) {
        sum.par_iter_mut().zip(opening.vector).with_min_len(2048).for_each(|(sum, value)| *sum += *gamma * value);
    }
    let blind: C::ScalarExt = openings.iter().zip(&gammas).map(|(opening, gamma)| opening.blind * gamma).sum();
    let expected: C::CurveExt = openings
        .iter()
        .zip(&gammas)
        .fold(C::CurveExt::identity(), |acc, (opening, gamma)| acc + opening.commitment * *gamma);
    C::CurveExt::from(key.commit(&sum, &blind)) == expected
}

fn open_proofs<F: StepFunction>(
    params: &Parameters<F>,
    proofs: &[&Openings<'_>],
    rng: &mut (impl CryptoRng + RngCore),
) -> bool {
    let prover = params.prover();
    let main: Vec<_> = proofs.iter().flat_map(|proof| &proof.main).collect();
    let cf: Vec<_> = proofs.iter().flat_map(|proof| &proof.cf).collect();
    open_all::<G1Affine>(&prover.key, &main, rng) && open_all::<GkAffine>(&prover.cf.key, &cf, rng)
}

/// Verifies one range proof. The `rng` must be unpredictable to whoever made it.
///
/// What a valid proof says is what its accessors return; whether that is what was asked for, the caller compares.
///
/// # Errors
/// [`Error::Invalid`] for a false proof; [`Error::Parameters`], [`Error::Length`] or [`Error::Limit`] for one of
/// another form.
pub fn verify<F: StepFunction>(
    params: &Parameters<F>,
    proof: &RangeProof,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<(), Error> {
    let openings = check(params, proof)?;
    if open_proofs(params, &[&openings], rng) {
        Ok(())
    } else {
        Err(Error::Invalid("a commitment does not open to its vector"))
    }
}

/// Verifies many range proofs with one multi-scalar multiplication on each curve, and finds the bad ones by bisection.
///
/// # Errors
/// [`Error::InvalidBatch`] with the positions of all proofs that [`verify`] refuses, in rising order.
pub fn verify_batch<F: StepFunction>(
    params: &Parameters<F>,
    proofs: &[RangeProof],
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<(), Error> {
    let checked: Vec<_> = proofs.par_iter().map(|proof| check(params, proof)).collect();
    let mut bad: Vec<usize> = (0..proofs.len()).filter(|i| checked[*i].is_err()).collect();
    let good: Vec<(usize, &Openings<'_>)> =
        checked.iter().enumerate().filter_map(|(i, openings)| Some((i, openings.as_ref().ok()?))).collect();
    bisect(params, &good, rng, &mut bad);
    bad.sort_unstable();
    if bad.is_empty() { Ok(()) } else { Err(Error::InvalidBatch(bad)) }
}

fn bisect<F: StepFunction>(
    params: &Parameters<F>,
    proofs: &[(usize, &Openings<'_>)],
    rng: &mut (impl CryptoRng + RngCore),
    bad: &mut Vec<usize>,
) {
    let all: Vec<_> = proofs.iter().map(|(_, openings)| *openings).collect();
    if all.is_empty() || open_proofs(params, &all, rng) {
        return;
    }
    if let [(i, _)] = proofs {
        bad.push(*i);
        return;
    }
    let (left, right) = proofs.split_at(proofs.len() / 2);
    bisect(params, left, rng, bad);
    bisect(params, right, rng, bad);
}

/// Both fields are large enough for 128-bit coefficients.
const _: () = assert!(Fr::CAPACITY > 128 && Fq::CAPACITY > 128);
