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

/// Limbs of the widths of [`crate::curve::LIMB_WIDTHS`] that stand for the same element of Fq as `limbs`, each of which is
/// below `2^LAZY_BITS` (722 rows).
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
