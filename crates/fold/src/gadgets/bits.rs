//! Ranges, and the bits of a hash output.

use super::num::{Lc, Num, ONE, enforce};
use crate::curve::{Fr, words};
use ff::{Field, PrimeField};
use nova_snark::frontend::{ConstraintSystem, LinearCombination, SynthesisError};

/// Bits of a hash output: those of r.
pub const HASH_BITS: usize = Fr::NUM_BITS as usize;

/// First bit that takes part in comparisons with a modulus (`docs/spec/folding.md`, section 5).
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
/// bits with those of r: strictly below, so an output whose upper bits equal those of r (probability below 2^-125) has
/// no witness at all, and its prover draws another blind.
///
/// # Errors
/// Those of the constraint system.
pub fn hash_bits<CS: ConstraintSystem<Fr>>(cs: &mut CS, hash: &Num<Fr>) -> Result<Vec<Num<Fr>>, SynthesisError> {
    let value = words(&hash.value);
    hash_bits_with(cs, hash, &std::array::from_fn(|i| Fr::from(value[i / 64] >> (i % 64) & 1)))
}

/// [`hash_bits`] with the bits given, so that a test can offer others, and such as are none.
fn hash_bits_with<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    hash: &Num<Fr>,
    values: &[Fr; HASH_BITS],
) -> Result<Vec<Num<Fr>>, SynthesisError> {
    let bits = bits_below(cs, values, &words(&-Fr::ONE))?;
    cs.enforce(|| "", |_| weighted(&bits), |lc| lc + ONE, |lc| lc + hash.var);
    Ok(bits)
}

/// Allocates the bits of a number below a modulus; `limit` is the modulus less one, in words, least significant first,
/// and has `values.len()` bits. The bits from 128 on are compared, strictly, so the last at most 2^128 numbers below the
/// modulus are excluded too. One row a bit, and one for each one among the upper bits of the limit but the first.
///
/// # Errors
/// Those of the constraint system.
///
/// # Panics
/// If the limit does not have as many bits as there are values, or there are not more than 128.
pub fn bits_below<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    values: &[Fr],
    limit: &[u64; 4],
) -> Result<Vec<Num<Fr>>, SynthesisError> {
    let upper = u128::from(limit[3]) << 64 | u128::from(limit[2]);
    assert_eq!(upper.ilog2() as usize + 1 + COMPARED_FROM, values.len(), "the limit has as many bits as the number");
    let bits = values.iter().map(|b| Num::alloc(cs, *b)).collect::<Result<Vec<_>, _>>()?;
    for bit in &bits[..COMPARED_FROM] {
        cs.enforce(|| "", |lc| lc + bit.var, |lc| lc + ONE - bit.var, |lc| lc);
    }

    // The largest allowed value of the upper bits: those of the limit, less one.
    let bound = upper - 1;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::Fq;
    use crate::gadgets::testing::{Recorder, element, integer, power, record, rng};
    use num_bigint::BigUint;

    fn ranged<F: PrimeField>(value: F, width: usize) -> Recorder<F> {
        let (cs, ()) = record(|cs| {
            let x = Num::alloc(cs, value)?;
            range(cs, &x.into(), width)
        });
        assert_eq!(cs.num_rows(), width + 1);
        cs
    }

    fn range_edges<F: PrimeField>() {
        for width in [0, 1, 2, 6, 20, 43, 48, 64, 69, 84, 85, 128, 153, 236, F::CAPACITY as usize] {
            let limit = power(width);
            for (value, fits) in [
                (BigUint::ZERO, true),
                (&limit - 1u8, true),
                (limit.clone(), false),
                (&limit + 1u8, false),
                (integer(&-F::ONE), false),
                (integer(&-F::ONE) - power(84), false),
            ] {
                let cs = ranged::<F>(element(&value), width);
                assert_eq!(cs.is_satisfied(), fits, "{value} in {width} bits");
            }
        }
    }

    #[test]
    fn range_accepts_just_its_width() {
        range_edges::<Fr>();
        range_edges::<Fq>();
    }

    #[test]
    #[should_panic(expected = "254 bits do not fit the field")]
    fn range_refuses_widths_that_wrap() {
        ranged(Fr::ZERO, Fr::NUM_BITS as usize);
    }

    /// Bits that are none could express any value; each row of a range refuses its own.
    #[test]
    fn range_bits_are_bits() {
        let width = 20;
        for i in 0..width {
            let mut cs = ranged(Fr::ZERO, width);
            cs.aux[1 + i] = Fr::from(2);
            cs.aux[0] = Fr::from(2 << i);
            assert_eq!(cs.unsatisfied(), [i]);
            // 2^width as a bit of its own weight's inverse.
            let mut cs = ranged(Fr::ZERO, width);
            cs.aux[0] = Fr::from(1 << width);
            cs.aux[1 + i] = Fr::from(1 << (width - i));
            assert_eq!(cs.unsatisfied(), [i]);
        }
        assert!(ranged(Fr::from(0xa_5a5a), width).free_variables().is_empty());
    }

    #[test]
    fn boolean_is_zero_or_one() {
        for (value, fits) in [(0, true), (1, true), (2, false)] {
            let (mut cs, bit) = record(|cs| boolean::<Fr, _>(cs, false));
            cs.set(bit.var, Fr::from(value));
            assert_eq!(cs.is_satisfied(), fits);
        }
        let (mut cs, bit) = record(|cs| boolean::<Fr, _>(cs, true));
        assert_eq!(bit.value, Fr::ONE);
        cs.set(bit.var, -Fr::ONE);
        assert!(!cs.is_satisfied());
    }

    fn bits_of(value: &BigUint) -> [Fr; HASH_BITS] {
        std::array::from_fn(|i| Fr::from(u64::from(value.bit(i as u64))))
    }

    fn offered(hash: Fr, bits: &[Fr; HASH_BITS]) -> Recorder<Fr> {
        let (cs, _) = record(|cs| {
            let hash = Num::alloc(cs, hash)?;
            hash_bits_with(cs, &hash, bits)
        });
        cs
    }

    fn modulus() -> BigUint {
        integer(&-Fr::ONE) + 1u8
    }

    /// The largest upper half that the comparison allows.
    fn bound() -> BigUint {
        (modulus() >> COMPARED_FROM) - 1u8
    }

    /// First row of bit i; those from bit 128 on come from the top.
    fn row_of(i: usize) -> usize {
        if i < COMPARED_FROM {
            return i;
        }
        let above = (i + 1..HASH_BITS).map(|j| {
            let one = bound().bit((j - COMPARED_FROM) as u64);
            1 + usize::from(one && j != HASH_BITS - 1)
        });
        COMPARED_FROM + above.sum::<usize>()
    }

    #[test]
    fn hash_bits_equal_native_ones() {
        let mut rng = rng(1);
        let top = element::<Fr>(&((bound() << COMPARED_FROM) + power(COMPARED_FROM) - 1u8));
        let edges = [Fr::ZERO, Fr::ONE, Fr::from_u128(u128::MAX), top];
        for value in edges.into_iter().chain((0..20).map(|_| Fr::random(&mut rng))) {
            let (cs, bits) = record(|cs| {
                let hash = Num::alloc(cs, value)?;
                hash_bits(cs, &hash)
            });
            assert!(cs.is_satisfied());
            assert_eq!(bits.len(), HASH_BITS);
            for (i, bit) in bits.iter().enumerate() {
                assert_eq!(bit.value, Fr::from(u64::from(integer(&value).bit(i as u64))));
                assert_eq!(cs.get(bit.var), bit.value);
            }
            assert_eq!(cs.num_rows(), 304);
            assert!(cs.free_variables().is_empty());
        }
    }

    #[test]
    fn a_second_decomposition_is_refused() {
        let room = power(HASH_BITS) - modulus();
        let mut rng = rng(2);
        let random: Vec<BigUint> = (0..20).map(|_| integer(&Fr::random(&mut rng)) % &room).collect();
        let edges = [BigUint::ZERO, BigUint::from(1u8), &room - 1u8, power(128)];
        for hash in edges.into_iter().chain(random) {
            let value = element(&hash);
            assert!(offered(value, &bits_of(&hash)).is_satisfied());
            let cs = offered(value, &bits_of(&(&hash + modulus())));
            assert!(!cs.is_satisfied(), "{hash} + r");
            // It is the comparison that refuses: the sum, in the last row, is right.
            assert!(!cs.unsatisfied().contains(&(cs.num_rows() - 1)));
        }
    }

    /// Outputs whose upper bits equal those of r have no witness: a documented gap of 2^-125.
    #[test]
    fn outputs_next_to_the_modulus_have_no_witness() {
        let upper = modulus() >> COMPARED_FROM << COMPARED_FROM;
        for value in [upper.clone(), &upper + 1u8, modulus() - 1u8] {
            assert!(!offered(element(&value), &bits_of(&value)).is_satisfied());
        }
        let below = upper - 1u8;
        assert!(offered(element(&below), &bits_of(&below)).is_satisfied());
    }

    #[test]
    fn each_position_of_the_comparison_counts() {
        for i in COMPARED_FROM..HASH_BITS {
            let at = i - COMPARED_FROM;
            let prefix = bound() >> (at + 1) << (at + 1);
            if bound().bit(at as u64) {
                // Below the bound from here on: all lower bits are free.
                let value = (prefix << COMPARED_FROM) + power(i) - 1u8;
                assert!(offered(element(&value), &bits_of(&value)).is_satisfied(), "bit {i}");
            } else {
                let value = (prefix << COMPARED_FROM) + power(i);
                let cs = offered(element(&value), &bits_of(&value));
                assert_eq!(cs.unsatisfied(), [row_of(i)], "bit {i}");
            }
        }
    }

    #[test]
    fn each_hash_bit_is_a_bit() {
        let sum = |bits: &[Fr; HASH_BITS]| bits.iter().rev().fold(Fr::ZERO, |acc, bit| acc.double() + bit);
        for i in 0..HASH_BITS {
            // After bits equal to those of the bound, and after zeros.
            let prefix = if i < COMPARED_FROM {
                BigUint::ZERO
            } else {
                let at = i - COMPARED_FROM + 1;
                bound() >> at << at << COMPARED_FROM
            };
            for above in [BigUint::ZERO, prefix] {
                for no_bit in [Fr::from(2), -Fr::ONE, Fr::from(2).invert().expect("a unit")] {
                    let mut bits = bits_of(&above);
                    bits[i] = no_bit;
                    let cs = offered(sum(&bits), &bits);
                    assert_eq!(cs.unsatisfied(), [row_of(i)], "bit {i}");
                }
            }
        }
    }

    #[test]
    fn a_flipped_hash_bit_is_refused() {
        let mut rng = rng(3);
        let hash = Fr::random(&mut rng);
        for i in 0..HASH_BITS {
            let mut value = integer(&hash);
            value.set_bit(i as u64, !value.bit(i as u64));
            let cs = offered(hash, &bits_of(&value));
            assert!(cs.unsatisfied().contains(&(cs.num_rows() - 1)), "bit {i}");
        }
    }

    #[test]
    fn recompose_is_the_sum() {
        let (mut cs, sum) = record(|cs| {
            let bits: Vec<_> =
                [true, false, true, true].map(|b| boolean::<Fr, _>(cs, b)).into_iter().collect::<Result<_, _>>()?;
            recompose(cs, &bits)
        });
        assert_eq!((sum.value, cs.num_rows()), (Fr::from(13), 5));
        assert!(cs.is_satisfied() && cs.free_variables().is_empty());
        cs.set(sum.var, Fr::from(12));
        assert_eq!(cs.unsatisfied(), [4]);
    }

    #[test]
    fn conditional_equality() {
        for (when, a, b, fits) in [(0, 1, 2, true), (1, 1, 2, false), (1, 2, 2, true), (0, 2, 2, true)] {
            let (cs, ()) = record(|cs| {
                let [when, a, b] = [when, a, b].map(|v| Num::alloc(cs, Fr::from(v)));
                enforce_equal_when(cs, &when?.into(), &a?.into(), &b?.into());
                Ok(())
            });
            assert_eq!((cs.is_satisfied(), cs.num_rows()), (fits, 1));
        }
    }
}
