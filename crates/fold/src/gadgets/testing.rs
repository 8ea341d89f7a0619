//! Random sources and integers for tests.

pub(crate) use crate::recorder::{Recorder, record};
use ff::PrimeField;
use num_bigint::BigUint;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// The integer of a field element.
pub(crate) fn integer<F: PrimeField>(x: &F) -> BigUint {
    BigUint::from_bytes_le(x.to_repr().as_ref())
}

/// The field element of an integer of any size.
pub(crate) fn element<F: PrimeField>(x: &BigUint) -> F {
    x.to_bytes_be().iter().fold(F::ZERO, |acc, byte| acc * F::from(256) + F::from(u64::from(*byte)))
}

/// `2^exponent`.
pub(crate) fn power(exponent: usize) -> BigUint {
    BigUint::from(1u8) << exponent
}
