//! Reduction of lazily accumulated limbs modulo q (`docs/spec/folding.md`, section 7).

use super::bits::range;
use super::foreign::ForeignNum;
use super::num::{Lc, Num, enforce};
use crate::curve::{Fq, Fr, LIMB_BITS, LIMBS, from_limbs, to_limbs};
use ff::{Field, PrimeField};
use nova_snark::frontend::{ConstraintSystem, SynthesisError};
use num_bigint::BigUint;
use std::sync::LazyLock;

/// Bits that a lazily accumulated limb never exceeds: at most 2^22 products of a challenge below 2^128 and a limb below
/// 2^85, plus one limb. Whoever accumulates keeps count (`docs/spec/folding.md`, section 7).
pub const LAZY_BITS: usize = 236;
/// Bits of the two limbs of the quotient by q.
const QUOTIENT_WIDTHS: [usize; 2] = [LIMB_BITS, 69];
/// Width of a shifted carry.
const CARRY_WIDTH: usize = 153;
/// Shifts that make the two carries non-negative.
const CARRY_SHIFTS: [u32; 2] = [87, 89];

/// q as an integer.
static MODULUS: LazyLock<BigUint> = LazyLock::new(|| integer(&-Fq::ONE) + 1u8);

fn integer<F: PrimeField>(x: &F) -> BigUint {
    BigUint::from_bytes_le(x.to_repr().as_ref())
}

fn to_fr(x: &BigUint) -> Fr {
    let digits = x.to_u64_digits();
    digits.iter().rev().fold(Fr::ZERO, |acc, digit| acc * Fr::from_u128(1 << 64) + Fr::from(*digit))
}

fn power_of_two(exponent: u32) -> Fr {
    Fr::from(2).pow_vartime([u64::from(exponent)])
}

/// Limbs of q as constants in Fr.
fn modulus_limbs() -> [Fr; LIMBS] {
    let minus_one = to_limbs(&-Fq::ONE);
    [minus_one[0] + Fr::ONE, minus_one[1], minus_one[2]]
}

/// The witness of one reduction.
struct Reduction {
    /// The reduced value.
    reduced: [Fr; LIMBS],
    /// Limbs of `(value - reduced) / q`.
    quotient: [Fr; 2],
}

impl Reduction {
    fn of(limbs: &[Fr; LIMBS]) -> Self {
        let value: BigUint = limbs.iter().enumerate().map(|(i, l)| integer(l) << (LIMB_BITS * i)).sum();
        let quotient = value / &*MODULUS;
        let mask = (BigUint::from(1u8) << LIMB_BITS) - 1u8;
        Self {
            reduced: to_limbs(&from_limbs(limbs)),
            quotient: [to_fr(&(&quotient & mask)), to_fr(&(quotient >> LIMB_BITS))],
        }
    }
}

/// Limbs of the widths of [`crate::curve::LIMB_WIDTHS`] that stand for the same element of Fq as `limbs`, each of which
/// is below `2^LAZY_BITS` (722 rows).
///
/// # Errors
/// Those of the constraint system. Limbs out of range give an unsatisfied row, not an error.
pub fn reduce<CS: ConstraintSystem<Fr>>(cs: &mut CS, limbs: &ForeignNum) -> Result<ForeignNum, SynthesisError> {
    reduce_with(cs, limbs, &Reduction::of(&limbs.0.map(|l| l.value)))
}

/// [`reduce`] with the witness given, so that a test can offer another.
fn reduce_with<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    limbs: &ForeignNum,
    witness: &Reduction,
) -> Result<ForeignNum, SynthesisError> {
    let q = modulus_limbs();
    let y = ForeignNum::alloc_trusted(cs, &witness.reduced)?;
    y.check(cs)?;
    let k = [Num::alloc(cs, witness.quotient[0])?, Num::alloc(cs, witness.quotient[1])?];
    for (limb, width) in k.iter().zip(QUOTIENT_WIDTHS) {
        range(cs, &limb.into(), width)?;
    }

    // Limb by limb over the integers: l + carry in = y + (k q) + 2^85 carry out.
    let inverse = power_of_two(LIMB_BITS as u32).invert().expect("two is a unit of Fr");
    let minus = -Fr::ONE;
    let l = limbs.lcs();
    let carry0 = l[0].clone().plus(minus, &y.0[0]).plus(-q[0], &k[0]).scale(inverse);
    let carry1 = (l[1].clone() + &carry0).plus(minus, &y.0[1]).plus(-q[1], &k[0]).plus(-q[0], &k[1]).scale(inverse);
    for (carry, shift) in [&carry0, &carry1].into_iter().zip(CARRY_SHIFTS) {
        range(cs, &carry.clone().plus_lc(power_of_two(shift), &Lc::one()), CARRY_WIDTH)?;
    }
    let top = (l[2].clone() + &carry1)
        .plus(minus, &y.0[2])
        .plus(-q[2], &k[0])
        .plus(-q[1] - power_of_two(LIMB_BITS as u32) * q[2], &k[1]);
    enforce(cs, &top, &Lc::one(), &Lc::zero());
    Ok(y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::LIMB_WIDTHS;
    use crate::gadgets::grumpkin::{RHO_BITS, rho_from_bits};
    use crate::gadgets::testing::{Recorder, element, power, record, rng};
    use crate::limits::{MAX_DEPTH, MAX_SEGMENT_STEPS};
    use num_bigint::{BigInt, Sign};
    use rand_core::RngCore;

    type Integers = [BigUint; LIMBS];

    fn elements(limbs: &Integers) -> [Fr; LIMBS] {
        limbs.each_ref().map(element)
    }

    fn value(limbs: &[Fr; LIMBS]) -> BigUint {
        limbs.iter().enumerate().map(|(i, l)| integer(l) << (LIMB_BITS * i)).sum()
    }

    /// Limbs of the widths of a fresh coordinate; anything above goes to the top one.
    fn split(x: &BigUint) -> [Fr; LIMBS] {
        let mask = power(LIMB_BITS) - 1u8;
        [element(&(x & &mask)), element(&(x >> LIMB_BITS & &mask)), element(&(x >> (2 * LIMB_BITS)))]
    }

    fn split_quotient(k: &BigUint) -> [Fr; 2] {
        [element(&(k & (power(LIMB_BITS) - 1u8))), element(&(k >> LIMB_BITS))]
    }

    fn offered(limbs: &[Fr; LIMBS], witness: &Reduction) -> Recorder<Fr> {
        let (cs, _) = record(|cs| {
            let limbs = ForeignNum::alloc_trusted(cs, limbs)?;
            reduce_with(cs, &limbs, witness)
        });
        cs
    }

    fn random_limb(rng: &mut impl RngCore, bits: usize) -> BigUint {
        let mut bytes = vec![0; bits.div_ceil(8)];
        rng.fill_bytes(&mut bytes);
        BigUint::from_bytes_le(&bytes) >> (bytes.len() * 8 - bits)
    }

    fn samples() -> Vec<[Fr; LIMBS]> {
        let mut rng = rng(1);
        let max = power(LAZY_BITS) - 1u8;
        let zero = || BigUint::ZERO;
        let mut all: Vec<[Fr; LIMBS]> = [BigUint::ZERO, BigUint::from(1u8)]
            .into_iter()
            .chain([0u8, 1, 2, 3].iter().map(|d| &*MODULUS - *d))
            .chain([&*MODULUS * 2u8, &*MODULUS + 1u8, power(254) - 1u8])
            .map(|x| split(&x))
            .collect();
        all.extend(
            [
                [max.clone(), max.clone(), max.clone()],
                [max.clone(), zero(), zero()],
                [zero(), max.clone(), zero()],
                [zero(), zero(), max.clone()],
                [max.clone(), max.clone(), zero()],
                [zero(), max.clone(), max],
            ]
            .iter()
            .map(elements),
        );
        for bits in [84, 85, 128, 213, 235, LAZY_BITS] {
            all.extend((0..5).map(|_| elements(&std::array::from_fn(|_| random_limb(&mut rng, bits)))));
        }
        all
    }

    #[test]
    fn reduces_as_integers_do() {
        for limbs in samples() {
            let (cs, y) = record(|cs| {
                let limbs = ForeignNum::alloc_trusted(cs, &limbs)?;
                reduce(cs, &limbs)
            });
            assert!(cs.is_satisfied(), "{limbs:?}");
            assert_eq!(cs.num_rows(), 722);
            assert_eq!(value(&y.0.map(|l| l.value)), value(&limbs) % &*MODULUS);
            assert!(cs.free_variables().is_empty());
        }
    }

    /// The result is one of the numbers below 2^254 that stand for the element, not always the least: the same element
    /// reaches the next instance, only its limbs differ. Whatever is congruent and fits passes, and nothing else.
    #[test]
    fn any_congruent_number_of_the_widths_is_a_result() {
        let (mut two, mut one) = (0, 0);
        for limbs in samples() {
            let x = value(&limbs);
            let (least, quotient) = (&x % &*MODULUS, &x / &*MODULUS);
            for above in 0u8..3 {
                let y = &least + &*MODULUS * above;
                if quotient < BigUint::from(above) {
                    continue;
                }
                let witness = Reduction { reduced: split(&y), quotient: split_quotient(&(&quotient - above)) };
                let fits = y < power(LIMB_WIDTHS.iter().sum());
                assert_eq!(offered(&limbs, &witness).is_satisfied(), fits, "{least} + {above} q");
                assert_eq!(from_limbs(&witness.reduced), from_limbs(&limbs));
                assert!(above == 0 || !fits || above == 1);
                two += usize::from(fits && above == 1);
                one += usize::from(!fits && above == 1);
            }
            // One quotient more makes the result negative: no limbs of the widths hold it.
            let mut reduced = split(&least);
            for (limb, q) in reduced.iter_mut().zip(modulus_limbs()) {
                *limb -= q;
            }
            let witness = Reduction { reduced, quotient: split_quotient(&(&quotient + 1u8)) };
            assert!(!offered(&limbs, &witness).is_satisfied());
        }
        assert!(two > 0 && one > 0);
    }

    #[test]
    fn refuses_another_result_or_quotient() {
        for limbs in samples() {
            let honest = || Reduction::of(&limbs);
            assert!(offered(&limbs, &honest()).is_satisfied());
            for i in 0..LIMBS {
                for change in [Fr::ONE, -Fr::ONE, power_of_two(40)] {
                    let mut witness = honest();
                    witness.reduced[i] += change;
                    assert!(!offered(&limbs, &witness).is_satisfied());
                }
            }
            for i in 0..2 {
                for change in [Fr::ONE, -Fr::ONE, power_of_two(60)] {
                    let mut witness = honest();
                    witness.quotient[i] += change;
                    assert!(!offered(&limbs, &witness).is_satisfied());
                }
            }
        }
    }

    /// Limbs that carry into each other leave the sums right: only the widths refuse them.
    #[test]
    fn refuses_signed_limbs() {
        let carry = power_of_two(LIMB_BITS as u32);
        for limbs in samples() {
            for (low, sign) in [(0, Fr::ONE), (0, -Fr::ONE), (1, Fr::ONE), (1, -Fr::ONE)] {
                let mut witness = Reduction::of(&limbs);
                witness.reduced[low] += sign * carry;
                witness.reduced[low + 1] -= sign;
                let cs = offered(&limbs, &witness);
                assert!(cs.unsatisfied().iter().all(|row| *row < 257) && !cs.is_satisfied());
            }
            for sign in [Fr::ONE, -Fr::ONE] {
                let mut witness = Reduction::of(&limbs);
                witness.quotient[0] += sign * carry;
                witness.quotient[1] -= sign;
                let cs = offered(&limbs, &witness);
                assert!(cs.unsatisfied().iter().all(|row| (257..413).contains(row)) && !cs.is_satisfied());
            }
        }
    }

    /// The sum rows alone only say `l = y + k q` limb by limb modulo r. Carries that are no small integers would let
    /// any y pass.
    #[test]
    fn refuses_a_result_that_is_right_modulo_r_only() {
        let mut rng = rng(2);
        let q = modulus_limbs();
        let shift = power_of_two(LIMB_BITS as u32);
        for limbs in samples() {
            // Any lower limbs of y; the upper one from the last row, as a field element.
            let k = [Fr::from(rng.next_u64()), Fr::from(rng.next_u64())];
            let y = [element(&random_limb(&mut rng, 85)), element(&random_limb(&mut rng, 85))];
            let inverse = shift.invert().expect("a unit");
            let carry0 = (limbs[0] - y[0] - q[0] * k[0]) * inverse;
            let carry1 = (limbs[1] + carry0 - y[1] - q[1] * k[0] - q[0] * k[1]) * inverse;
            let top = limbs[2] + carry1 - q[2] * k[0] - (q[1] + shift * q[2]) * k[1];
            let cs = offered(&limbs, &Reduction { reduced: [y[0], y[1], top], quotient: k });
            let rows = cs.unsatisfied();
            // The carry of each limb is refused, and the last row is not what refuses.
            assert!(rows.contains(&(257 + 156 + 153)) && rows.contains(&(257 + 156 + 307)), "{rows:?}");
            assert!(!rows.contains(&721));
        }
    }

    /// A wrong value all of whose rows hold but the ranges of the carries: limbs made for carries at the ends of the
    /// range.
    #[test]
    fn carries_are_held_to_their_range() {
        let q = modulus_limbs();
        let shift = power_of_two(LIMB_BITS as u32);
        let witness =
            Reduction { reduced: [Fr::from(3), Fr::from(5), Fr::from(7)], quotient: [Fr::from(11), Fr::from(13)] };
        let (y, k) = (witness.reduced, witness.quotient);
        let with_carries = |c: [Fr; 2]| {
            [
                y[0] + q[0] * k[0] + shift * c[0],
                y[1] + q[1] * k[0] + q[0] * k[1] + shift * c[1] - c[0],
                y[2] + q[2] * k[0] + (q[1] + shift * q[2]) * k[1] - c[1],
            ]
        };
        let sum_rows = [257 + 156 + CARRY_WIDTH, 257 + 156 + 2 * CARRY_WIDTH + 1];
        for i in 0..2 {
            let low = -power_of_two(CARRY_SHIFTS[i]);
            let high = power_of_two(CARRY_WIDTH as u32) + low;
            for (carry, fits) in [(low, true), (high - Fr::ONE, true), (low - Fr::ONE, false), (high, false)] {
                let mut carries = [Fr::ZERO; 2];
                carries[i] = carry;
                let expected = if fits { vec![] } else { vec![sum_rows[i]] };
                assert_eq!(offered(&with_carries(carries), &witness).unsatisfied(), expected);
            }
        }
    }

    #[test]
    fn limbs_of_the_modulus_are_its_own() {
        assert_eq!(value(&modulus_limbs()), *MODULUS);
        assert_eq!(MODULUS.bits(), 254);
    }

    /// Every bound of this file from its parts.
    #[test]
    fn bounds_hold_in_the_worst_case() {
        let r = BigInt::from(integer(&-Fr::ONE) + 1u8);
        let int = |x: BigUint| BigInt::from_biguint(Sign::Plus, x);
        let max = |bits: usize| int(power(bits) - 1u8);
        let q: Vec<BigInt> = modulus_limbs().iter().map(|l| int(integer(l))).collect();

        // LAZY_BITS: the left spine of the deepest tree accumulates a whole segment, whose steps fold two instances
        // each, but the first none and the merge above the last; then each merge adds two to finish it, one reduced
        // limb of its right child and six operations. Every product is of a challenge and a limb of 85 bits.
        let products = 2 * MAX_SEGMENT_STEPS + (2 + 1 + 6) * MAX_DEPTH;
        assert!(products < 1 << 22);
        let rho = rho_from_bits((1 << RHO_BITS) - 1);
        let worst = BigUint::from(products) * rho * (power(LIMB_BITS) - 1u8);
        assert!(worst < power(LAZY_BITS));
        assert!(LIMB_WIDTHS.iter().all(|width| *width <= LIMB_BITS));

        // The quotient, and that the top limb of y suffices for all that is left.
        let lazy = max(LAZY_BITS);
        let largest: BigInt = (0..LIMBS).map(|i| &lazy << (LIMB_BITS * i)).sum();
        let k = &largest / int(MODULUS.clone());
        assert!(k.bits() <= QUOTIENT_WIDTHS.iter().sum::<usize>() as u64);
        assert!(int(MODULUS.clone()) <= max(LIMB_WIDTHS.iter().sum()));

        // Honest carries, from the least and the largest terms.
        let [k0, k1] = QUOTIENT_WIDTHS.map(max);
        let [y0, y1, y2] = LIMB_WIDTHS.map(max);
        let floor = |x: BigInt| x >> LIMB_BITS; // rounds down
        let carry0 = [floor(-&y0 - &q[0] * &k0), floor(lazy.clone())];
        let carry1 = [floor(&carry0[0] - &y1 - &q[1] * &k0 - &q[0] * &k1), floor(&lazy + &carry0[1])];
        let accepted = CARRY_SHIFTS.map(|shift| {
            let low = -(BigInt::from(1) << shift);
            [low.clone(), low + (BigInt::from(1) << CARRY_WIDTH) - 1]
        });
        for (carry, accepted) in [carry0, carry1].iter().zip(&accepted) {
            assert!(accepted[0] <= carry[0] && carry[1] <= accepted[1]);
        }

        // Any accepted witness: both sides of each row lie within less than r of each other, so that equality modulo r
        // is equality.
        let spread = |low: BigInt, high: BigInt| assert!(high - low < r);
        let rows = [
            (-&y0 - &q[0] * &k0, lazy.clone(), &accepted[0]),
            (&accepted[0][0] - &y1 - &q[1] * &k0 - &q[0] * &k1, &lazy + &accepted[0][1], &accepted[1]),
        ];
        for (low, high, carry) in rows {
            spread(low - (&carry[1] << LIMB_BITS), high - (&carry[0] << LIMB_BITS));
        }
        let top = &q[1] + (&q[2] << LIMB_BITS);
        spread(&accepted[1][0] - &y2 - &q[2] * &k0 - top * &k1, &lazy + &accepted[1][1]);
    }
}
