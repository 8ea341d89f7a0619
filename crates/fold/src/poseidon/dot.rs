//! Inner products, reduced once.

use ff::Field;

use crate::curve::Fr;

/// The inner product.
pub(super) fn dot(a: &[Fr], b: &[Fr]) -> Fr {
    dot_plus(a, b, &Fr::ZERO)
}

/// The inner product of at most [`MAX_TERMS`] terms, plus `addend`.
///
/// Products of the Montgomery forms are added up as integers and reduced once: about half the work of reducing each.
/// The addend goes to the upper half, so that reduction, which divides by 2^256, leaves it as it is.
#[inline]
pub(super) fn dot_plus(a: &[Fr], b: &[Fr], addend: &Fr) -> Fr {
    let terms = a.len().min(b.len());
    assert!(terms <= MAX_TERMS, "sums of more products may overflow");
    let mut sum = [0; 2 * LIMBS];
    sum[LIMBS..].copy_from_slice(&addend.0);
    for (a, b) in a.iter().zip(b) {
        add_product(&mut sum, &a.0, &b.0);
    }
    reduce(sum, terms)
}

/// 64-bit digits of an element.
const LIMBS: usize = 4;
/// The modulus r, least significant digit first.
const MODULUS: [u64; LIMBS] = [0x43e1f593f0000001, 0x2833e84879b97091, 0xb85045b68181585d, 0x30644e72e131a029];
/// `-1/r` modulo 2^64.
const MODULUS_INVERSE: u64 = 0xc2e1f593efffffff;
/// Terms of an inner product. r is below 0.19 * 2^256: so many products and the addend, and what reduction adds, stay
/// below 2^512.
const MAX_TERMS: usize = 17;
/// Terms up to which a reduced sum, below `(2 + 0.19 terms) r`, is below 4 r.
const FEW_TERMS: usize = 10;

/// `sum += a * b`, as integers.
#[inline(always)]
fn add_product(sum: &mut [u64; 2 * LIMBS], a: &[u64; LIMBS], b: &[u64; LIMBS]) {
    let mut above = false;
    for i in 0..LIMBS {
        let mut carry = 0;
        for j in 0..LIMBS {
            (sum[i + j], carry) = a[i].carrying_mul_add(b[j], sum[i + j], carry);
        }
        (sum[i + LIMBS], above) = sum[i + LIMBS].carrying_add(carry, above);
    }
}

/// `sum / 2^256` modulo r (Montgomery reduction) of a sum of so many products.
#[inline(always)]
fn reduce(mut sum: [u64; 2 * LIMBS], terms: usize) -> Fr {
    let mut above = false;
    for i in 0..LIMBS {
        let factor = sum[i].wrapping_mul(MODULUS_INVERSE);
        let mut carry = 0;
        for j in 0..LIMBS {
            (sum[i + j], carry) = factor.carrying_mul_add(MODULUS[j], sum[i + j], carry);
        }
        (sum[i + LIMBS], above) = sum[i + LIMBS].carrying_add(carry, above);
    }
    let [_, _, _, _, x0, x1, x2, x3] = sum;
    let mut x = [x0, x1, x2, x3];
    if terms > FEW_TERMS {
        x = less(x, &const { shifted(2) });
    }
    halo2curves::bn256::Fr(less(less(x, &const { shifted(1) }), &MODULUS))
}

/// `2^bits * r`, below 2^256.
const fn shifted(bits: u32) -> [u64; LIMBS] {
    let [x0, x1, x2, x3] = MODULUS;
    let carry = u64::BITS - bits;
    [x0 << bits, x1 << bits | x0 >> carry, x2 << bits | x1 >> carry, x3 << bits | x2 >> carry]
}

/// `x - y`, or `x` where that is negative.
#[inline(always)]
fn less(x: [u64; LIMBS], y: &[u64; LIMBS]) -> [u64; LIMBS] {
    let mut difference = x;
    let mut borrow = false;
    for (digit, y) in difference.iter_mut().zip(y) {
        (*digit, borrow) = digit.borrowing_sub(*y, borrow);
    }
    if borrow { x } else { difference }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest sums, where the most multiples of the modulus are taken away and the least space is left.
    #[test]
    fn inner_products_of_any_length_are_exact() {
        let one = from_montgomery_form(1);
        let elements = [Fr::ZERO, Fr::ONE, -Fr::ONE, one, -one];
        for first in elements {
            for second in elements {
                for terms in 0..=MAX_TERMS {
                    let expected = first * second * Fr::from(terms as u64) + second;
                    assert_eq!(dot_plus(&vec![first; terms], &vec![second; terms], &second), expected, "{terms} terms");
                }
            }
        }
    }

    /// The element whose digits in memory are those of `digit`; minus it has the largest digits for 1.
    fn from_montgomery_form(digit: u64) -> Fr {
        halo2curves::bn256::Fr([digit, 0, 0, 0])
    }

    #[test]
    fn digits_of_the_modulus() {
        let modulus = Fr::from_raw(MODULUS);
        assert_eq!(modulus, Fr::ZERO);
        assert_eq!(Fr::from_raw([MODULUS[0] - 1, MODULUS[1], MODULUS[2], MODULUS[3]]), -Fr::ONE);
        assert_eq!(MODULUS[0].wrapping_mul(MODULUS_INVERSE), u64::MAX);
    }
}
