//! Ranges, and the bits of a hash output.

use super::num::{Lc, Num, ONE, enforce};
use crate::curve::{Fr, words};
use ff::{Field, PrimeField};
use nova_snark::frontend::{ConstraintSystem, LinearCombination, SynthesisError};

/// Bits of a hash output: those of r.
pub const HASH_BITS: usize = Fr::NUM_BITS as usize;

/// First bit of a hash output that takes part in the comparison with r (`docs/spec/folding.md`, section 5).
const COMPARED_FROM: usize = 128;

/// Allocates a boolean (one row).
///
/// # Errors
/// Those of the constraint system.
pub fn boolean<F: PrimeField, CS: ConstraintSystem<F>>(cs: &mut CS, bit: bool) -> Result<Num<F>, SynthesisError> {
    let bit = Num::alloc(cs, F::from(u64::from(bit)))?;
    cs.enforce(|| "", |lc| lc + bit.var, |lc| lc + ONE - bit.var, |lc| lc);
    Ok(bit)
}

/// `sum 2^i bits_i`.
fn weighted<F: PrimeField>(bits: &[Num<F>]) -> LinearCombination<F> {
    let mut weight = F::ONE;
    bits.iter().fold(LinearCombination::zero(), |lc, bit| {
        let lc = lc + (weight, bit.var);
        weight = weight.double();
        lc
    })
}

/// Enforces `0 <= x < 2^width` (`width + 1` rows) for `width` below the bits of the field.
///
/// # Errors
/// Those of the constraint system. A value out of range gives an unsatisfied row, not an error.
pub fn range<F: PrimeField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    x: &Lc<F>,
    width: usize,
) -> Result<(), SynthesisError> {
    assert!(width < F::CAPACITY as usize + 1, "{width} bits do not fit the field");
    let value = words(&x.value);
    let bits = (0..width).map(|i| boolean(cs, value[i / 64] >> (i % 64) & 1 == 1)).collect::<Result<Vec<_>, _>>()?;
    cs.enforce(|| "", |_| weighted(&bits), |lc| lc + ONE, |_| x.lc());
    Ok(())
}

/// The canonical bits of a hash output, least significant first.
///
/// `hash = sum 2^i b_i` leaves a second solution `hash + r` for small outputs. It is excluded by comparing the upper 126
/// bits with those of r: strictly below, so an output whose upper bits equal those of r (probability below 2^-125) has no
/// witness at all, and its prover draws another blind.
///
/// # Errors
/// Those of the constraint system.
pub fn hash_bits<CS: ConstraintSystem<Fr>>(cs: &mut CS, hash: &Num<Fr>) -> Result<Vec<Num<Fr>>, SynthesisError> {
    let value = words(&hash.value);
    hash_bits_with(cs, hash, &std::array::from_fn(|i| value[i / 64] >> (i % 64) & 1 == 1))
}

/// [`hash_bits`] with the bits given, so that a test can offer others.
fn hash_bits_with<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    hash: &Num<Fr>,
    values: &[bool; HASH_BITS],
) -> Result<Vec<Num<Fr>>, SynthesisError> {
    let bits = values.iter().map(|b| Num::alloc(cs, Fr::from(u64::from(*b)))).collect::<Result<Vec<_>, _>>()?;
    for bit in &bits[..COMPARED_FROM] {
        cs.enforce(|| "", |lc| lc + bit.var, |lc| lc + ONE - bit.var, |lc| lc);
    }

    // The largest allowed value of the upper bits: those of r, less one.
    let modulus = words(&-Fr::ONE);
    let bound = (u128::from(modulus[3]) << 64 | u128::from(modulus[2])) - 1;
    // One while all bits so far equal those of the bound; None stands for the constant one at the start.
    let mut equal: Option<Num<Fr>> = None;
    for (i, bit) in bits.iter().enumerate().skip(COMPARED_FROM).rev() {
        if bound >> (i - COMPARED_FROM) & 1 == 1 {
            cs.enforce(|| "", |lc| lc + bit.var, |lc| lc + ONE - bit.var, |lc| lc);
            equal = Some(match equal {
                None => *bit,
                Some(e) => Num::product(cs, &e.into(), &bit.into())?,
            });
        } else {
            // Boolean, and zero while `equal`: b (1 - b - equal) = 0.
            let equal = equal.map_or_else(|| Lc::constant(Fr::ONE), Lc::from);
            cs.enforce(|| "", |lc| lc + bit.var, |lc| lc + ONE - bit.var - &equal.lc(), |lc| lc);
        }
    }
    cs.enforce(|| "", |_| weighted(&bits), |lc| lc + ONE, |lc| lc + hash.var);
    Ok(bits)
}

/// Allocates `sum 2^i bits_i` (one row).
///
/// # Errors
/// Those of the constraint system.
pub fn recompose<F: PrimeField, CS: ConstraintSystem<F>>(
    cs: &mut CS,
    bits: &[Num<F>],
) -> Result<Num<F>, SynthesisError> {
    let value = bits.iter().rev().fold(F::ZERO, |acc, bit| acc.double() + bit.value);
    let out = Num::alloc(cs, value)?;
    cs.enforce(|| "", |_| weighted(bits), |lc| lc + ONE, |lc| lc + out.var);
    Ok(out)
}

/// Enforces `a = b` where `when` is one (one row).
pub fn enforce_equal_when<F: PrimeField, CS: ConstraintSystem<F>>(cs: &mut CS, when: &Lc<F>, a: &Lc<F>, b: &Lc<F>) {
    enforce(cs, when, &(a.clone() - b), &Lc::zero());
}
