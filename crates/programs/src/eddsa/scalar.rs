//! Integers modulo the order of Baby Jubjub's prime-order subgroup.

use std::ops::{Add, Mul, Neg};

use crowdfold_fold::Fr;
use ff::{Field, PrimeField};

/// Montgomery arithmetic modulo the subgroup's order.
#[derive(PrimeField)]
#[PrimeFieldModulus = "2736030358979909402780800718157159386076813972158567259200215660948447373041"]
#[PrimeFieldGenerator = "31"]
#[PrimeFieldReprEndianness = "little"]
struct Residue([u64; 4]);

/// An integer below the order `l` of the prime-order subgroup; sums and products are taken modulo `l`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scalar(Residue);

impl Scalar {
    /// Bits of `l`.
    pub const BITS: usize = Residue::NUM_BITS as usize;

    /// The number in 32 bytes, little-endian; none if it is not below `l`.
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        Option::from(Residue::from_repr(ResidueRepr(*bytes))).map(Self)
    }

    /// The number as 32 bytes, little-endian.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_repr().0
    }

    /// The number as four words, least significant first.
    pub fn words(&self) -> [u64; 4] {
        let bytes = self.to_bytes();
        std::array::from_fn(|i| u64::from_le_bytes(bytes[8 * i..8 * i + 8].try_into().expect("eight bytes were taken")))
    }

    /// The remainder modulo `l` of a number in 32 bytes, little-endian.
    pub fn reduce(bytes: &[u8; 32]) -> Self {
        Self::reduce_le(bytes)
    }

    /// The remainder modulo `l` of a number in 64 bytes, little-endian.
    pub fn reduce_wide(bytes: &[u8; 64]) -> Self {
        Self::reduce_le(bytes)
    }

    /// The remainder modulo `l` of a field element, taken as an integer below `r`.
    pub fn reduce_fr(value: &Fr) -> Self {
        Self::reduce_le(&value.to_bytes())
    }

    fn reduce_le(bytes: &[u8]) -> Self {
        let (halves, []) = bytes.as_chunks::<16>() else { unreachable!("callers pass a multiple of 16 bytes") };
        let radix = Residue::from_u128(1 << 64).square();
        let digits = halves.iter().rev().map(|half| Residue::from_u128(u128::from_le_bytes(*half)));
        Self(digits.fold(Residue::ZERO, |value, digit| value * radix + digit))
    }
}

impl From<u64> for Scalar {
    fn from(value: u64) -> Self {
        Self(Residue::from(value))
    }
}

impl From<u128> for Scalar {
    fn from(value: u128) -> Self {
        Self(Residue::from_u128(value))
    }
}

impl Add for Scalar {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Mul for Scalar {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        Self(self.0 * other.0)
    }
}

impl Neg for Scalar {
    type Output = Self;

    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl std::iter::Sum for Scalar {
    fn sum<I: Iterator<Item = Self>>(terms: I) -> Self {
        terms.fold(Self::from(0u64), Add::add)
    }
}
