//! The fields and curves of the BN254/Grumpkin cycle, and how one field's numbers are written in the other.
//!
//! Fq is written in Fr as three limbs of [`LIMB_BITS`] bits, least significant first (`docs/spec/folding.md`, section
//! 3).

use ff::{Field, PrimeField};
use group::Curve;
use halo2curves::CurveAffine;
use nova_snark::provider::traits::DlogGroupExt;
use std::sync::LazyLock;

/// BN254 scalar field: the field of the step and merge circuits, and the base field of Grumpkin.
pub type Fr = halo2curves::bn256::Fr;
/// BN254 base field: the field of the CycleFold circuit, and the scalar field of Grumpkin.
pub type Fq = halo2curves::bn256::Fq;
/// Affine point of BN254 G1.
pub type G1Affine = halo2curves::bn256::G1Affine;
/// Projective point of BN254 G1.
pub type G1 = halo2curves::bn256::G1;
/// Affine point of BN254 G2.
pub type G2Affine = halo2curves::bn256::G2Affine;
/// Affine point of Grumpkin.
pub type GkAffine = halo2curves::grumpkin::G1Affine;
/// Projective point of Grumpkin.
pub type Gk = halo2curves::grumpkin::G1;

/// Bits of a limb of an Fq element written in Fr.
pub const LIMB_BITS: usize = 85;
/// Limbs of an Fq element written in Fr.
pub const LIMBS: usize = 3;
/// Widths that the limbs of a fresh coordinate are range-checked to; together 254 bits.
pub const LIMB_WIDTHS: [usize; LIMBS] = [LIMB_BITS, LIMB_BITS, 84];

/// An affine curve of the cycle whose group has nova-snark's multi-scalar multiplication.
pub trait CycleCurve: CurveAffine<ScalarExt: PrimeField, Base: PrimeField> {
    /// The sum of `scalars[i] * bases[i]`; the slices have equal lengths.
    fn msm(scalars: &[Self::ScalarExt], bases: &[Self]) -> Self::CurveExt;
}

impl CycleCurve for G1Affine {
    fn msm(scalars: &[Fr], bases: &[Self]) -> G1 {
        G1::vartime_multiscalar_mul(scalars, bases)
    }
}

impl CycleCurve for GkAffine {
    fn msm(scalars: &[Fq], bases: &[Self]) -> Gk {
        Gk::vartime_multiscalar_mul(scalars, bases)
    }
}

/// Eigenvalue and coefficient of the endomorphism `phi(x, y) = (zeta x, y) = lambda (x, y)` on BN254 G1.
#[derive(Clone, Copy, Debug)]
pub struct Endomorphism {
    /// A primitive cube root of unity in Fq.
    pub zeta: Fq,
    /// The primitive cube root of unity in Fr that belongs to `zeta`.
    pub lambda: Fr,
}

/// The endomorphism used everywhere. The pair is matched by evaluating it on the generator.
pub static ENDOMORPHISM: LazyLock<Endomorphism> = LazyLock::new(|| {
    let lambda = Fr::MULTIPLICATIVE_GENERATOR.pow_vartime(third_of_order::<Fr>());
    let generator = G1Affine::generator();
    let image = (generator * lambda).to_affine();
    assert_eq!(image.y, generator.y, "a cube root of unity in Fr acts on G1 as an endomorphism");
    let zeta = image.x * Option::<Fq>::from(generator.x.invert()).expect("the generator's x is not zero");
    Endomorphism { zeta, lambda }
});

/// `(p - 1) / 3` as little-endian words.
fn third_of_order<F: PrimeField>() -> [u64; 4] {
    let mut words = words(&-F::ONE);
    let mut remainder = 0u128;
    for word in words.iter_mut().rev() {
        let value = (remainder << 64) | u128::from(*word);
        *word = (value / 3) as u64;
        remainder = value % 3;
    }
    words
}

/// A 32-byte field element as little-endian words.
pub(crate) fn words<F: PrimeField>(x: &F) -> [u64; 4] {
    let repr = x.to_repr();
    let bytes = repr.as_ref();
    std::array::from_fn(|i| u64::from_le_bytes(std::array::from_fn(|j| bytes[8 * i + j])))
}

/// A field element as two little-endian halves of 128 bits.
pub(crate) fn halves<F: PrimeField>(x: &F) -> [u128; 2] {
    let w = words(x);
    [u128::from(w[0]) | u128::from(w[1]) << 64, u128::from(w[2]) | u128::from(w[3]) << 64]
}

/// The canonical limbs of `x`: `x = l0 + 2^85 l1 + 2^170 l2` with the widths of [`LIMB_WIDTHS`].
pub fn to_limbs(x: &Fq) -> [Fr; LIMBS] {
    const MASK: u128 = (1 << LIMB_BITS) - 1;
    let [low, high] = halves(x);
    [low & MASK, (low >> LIMB_BITS | high << (128 - LIMB_BITS)) & MASK, high >> (2 * LIMB_BITS - 128)]
        .map(Fr::from_u128)
}

/// The element of Fq that three limbs of any size below r stand for: `l0 + 2^85 l1 + 2^170 l2 mod q`.
pub fn from_limbs(limbs: &[Fr; LIMBS]) -> Fq {
    let [l0, l1, l2] = limbs.map(|l| fr_to_fq(&l));
    let shift = Fq::from_u128(1 << LIMB_BITS);
    l0 + shift * (l1 + shift * l2)
}

/// The integer of an Fr element as an element of Fq; injective because r < q.
pub fn fr_to_fq(x: &Fr) -> Fq {
    Option::from(Fq::from_repr(x.to_repr().as_ref().try_into().map(|b: [u8; 32]| b.into()).expect("32 bytes")))
        .expect("r < q")
}

/// The group element that a fold challenge of the BN254 side multiplies with:
/// `2^64 (1 + lambda) + sum 2^i s_i lambda^(e_i)`, where bit i of `bits` gives the sign `s_i` (1 is plus) and bit 64 + i
/// the exponent `e_i`, for i below 64 (`docs/spec/folding.md`, section 4).
pub fn effective_challenge(bits: u128) -> Fr {
    let lambda = ENDOMORPHISM.lambda;
    let mut acc = [1u128, 1u128].map(|x| x as i128);
    for i in (0..64).rev() {
        let sign = if bits >> i & 1 == 1 { 1 } else { -1 };
        let exponent = (bits >> (64 + i) & 1) as usize;
        acc = acc.map(|x| 2 * x);
        acc[exponent] += sign;
    }
    let [a, b] = acc.map(|x| Fr::from_u128(x.unsigned_abs()));
    a + lambda * b
}

/// Commitment key of one curve: `commit(v; b) = sum v_i bases_i + b h`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitmentKey<C> {
    /// One base for each position of a committed vector.
    pub bases: Vec<C>,
    /// The blinding base.
    pub h: C,
}

impl<C: CycleCurve> CommitmentKey<C> {
    /// Commits to `v` with blind `blind`.
    ///
    /// # Panics
    /// If `v` is longer than the key. Lengths are checked where vectors enter.
    pub fn commit(&self, v: &[C::ScalarExt], blind: &C::ScalarExt) -> C {
        assert!(v.len() <= self.bases.len(), "vector of {} for a key of {}", v.len(), self.bases.len());
        let sum = if v.iter().all(|x| bool::from(x.is_zero())) {
            self.h * *blind
        } else {
            C::msm(v, &self.bases[..v.len()]) + self.h * *blind
        };
        sum.to_affine()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ff::Field;
    use num_bigint::BigUint;
    use rand_chacha::ChaCha20Rng;
    use rand_core::{RngCore, SeedableRng};

    fn big<F: PrimeField>(x: &F) -> BigUint {
        BigUint::from_bytes_le(x.to_repr().as_ref())
    }

    #[test]
    fn limbs_round_trip_and_have_their_widths() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let edges = [Fq::ZERO, Fq::ONE, -Fq::ONE, Fq::from_u128(u128::MAX)];
        for x in edges.into_iter().chain((0..100).map(|_| Fq::random(&mut rng))) {
            let limbs = to_limbs(&x);
            assert_eq!(from_limbs(&limbs), x);
            let sum: BigUint = limbs.iter().enumerate().map(|(i, l)| big(l) << (LIMB_BITS * i)).sum();
            assert_eq!(sum, big(&x));
            for (limb, width) in limbs.iter().zip(LIMB_WIDTHS) {
                assert!(big(limb).bits() <= width as u64);
            }
        }
    }

    #[test]
    fn from_limbs_reduces_unreduced_limbs() {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        for _ in 0..100 {
            let limbs: [Fr; 3] = std::array::from_fn(|_| Fr::random(&mut rng));
            let sum: BigUint = limbs.iter().enumerate().map(|(i, l)| big(l) << (LIMB_BITS * i)).sum();
            let modulus = big(&-Fq::ONE) + 1u8;
            assert_eq!(big(&from_limbs(&limbs)), sum % modulus);
        }
    }

    #[test]
    fn the_endomorphism_pair_is_matched() {
        let Endomorphism { zeta, lambda } = *ENDOMORPHISM;
        assert_eq!(lambda.square() + lambda + Fr::ONE, Fr::ZERO);
        assert_eq!(zeta.square() + zeta + Fq::ONE, Fq::ZERO);
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let p = (G1Affine::generator() * Fr::random(&mut rng)).to_affine();
        let image = (p * lambda).to_affine();
        assert_eq!((image.x, image.y), (zeta * p.x, p.y));
    }

    #[test]
    fn effective_challenge_follows_its_formula() {
        let lambda = ENDOMORPHISM.lambda;
        let mut rng = ChaCha20Rng::seed_from_u64(4);
        for _ in 0..50 {
            let bits = u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64());
            let mut expected = Fr::from_u128(1 << 64) * (Fr::ONE + lambda);
            for i in 0..64 {
                let mut term = Fr::from_u128(1 << i);
                if bits >> (64 + i) & 1 == 1 {
                    term *= lambda;
                }
                expected += if bits >> i & 1 == 1 { term } else { -term };
            }
            assert_eq!(effective_challenge(bits), expected);
        }
    }
}
