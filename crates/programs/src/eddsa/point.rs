//! Affine points of Baby Jubjub and their 32 bytes.

use std::ops::{Add, Neg};

use crowdfold_fold::Fr;
use ff::Field;

use super::extended::{Extended, Niels};
use super::scalar::Scalar;
use super::subgroup;

/// The coefficient `a` of the curve.
const A: Fr = Fr::from_raw([168_700, 0, 0, 0]);
/// The coefficient `d` of the curve.
const D: Fr = Fr::from_raw([168_696, 0, 0, 0]);

/// A pair of coordinates, meant to satisfy `a x^2 + y^2 = 1 + d x^2 y^2` with `a = 168700`, `d = 168696`.
///
/// As `a` is a square and `d` is none, the addition law has no exceptions, and the group is cyclic of order `8 l`
/// (EIP-2494). Sums and multiples of points that are not on the curve mean nothing; they don't panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The coordinate whose negation negates the point.
    pub x: Fr,
    /// The other coordinate.
    pub y: Fr,
}

impl Point {
    /// The neutral element.
    pub const IDENTITY: Self = Self { x: Fr::ZERO, y: Fr::ONE };

    /// The generator of the subgroup of prime order `l` that EIP-2494 names.
    pub const BASE8: Self = Self {
        x: Fr::from_raw([0x2893f3f6bb957051, 0x2ab8d8010534e0b6, 0x4eacb2e09d6277c1, 0x0bb77a6ad63e739b]),
        y: Fr::from_raw([0x4b3c257a872d7d8b, 0xfce0051fb9e13377, 0x25572e1cd16bf9ed, 0x25797203f7a0b249]),
    };

    /// Whether the coordinates satisfy the curve's equation.
    pub fn is_on_curve(&self) -> bool {
        let (x2, y2) = (self.x.square(), self.y.square());
        A * x2 + y2 == Fr::ONE + D * x2 * y2
    }

    /// Whether this is a point of the subgroup of prime order.
    pub fn in_subgroup(&self) -> bool {
        self.is_on_curve() && subgroup::contains(self)
    }

    /// The point `scalar` times, where the scalar counts as an integer below `l`: outside the subgroup this is not a
    /// homomorphism of integers modulo `l`.
    pub fn mul(&self, scalar: &Scalar) -> Self {
        let product = if *self == Self::BASE8 {
            Extended::base8_times(scalar)
        } else {
            Extended::from(self).times(&scalar.words(), Scalar::BITS)
        };
        product.to_affine()
    }

    /// Eight times the point: the identity exactly if the point has small order.
    pub fn mul_by_cofactor(&self) -> Self {
        Extended::from(self).times8().to_affine()
    }

    /// The 32 bytes of zk-kit's `packPoint`, little-endian: `y`, and in the top bit whether `x > (r - 1) / 2`.
    pub fn pack(&self) -> [u8; 32] {
        let mut bytes = self.y.to_bytes();
        if is_negative(&self.x) {
            bytes[31] |= 0x80;
        }
        bytes
    }

    /// The point that [`Self::pack`] writes as these bytes; none if there is no such point. Unlike zk-kit's
    /// `unpackPoint` this refuses a second encoding of a point: the number `r` for `y = 0`, and the top bit where `x =
    /// 0`.
    pub fn unpack(bytes: &[u8; 32]) -> Option<Self> {
        let negative = bytes[31] & 0x80 != 0;
        let mut bytes = *bytes;
        bytes[31] &= 0x7f;
        let y: Fr = Option::from(Fr::from_bytes(&bytes))?;
        let y2 = y.square();
        // The divisor is never zero, as a / d is no square.
        let inverse: Fr = Option::from((A - D * y2).invert())?;
        let root: Fr = Option::from(((Fr::ONE - y2) * inverse).sqrt())?;
        let x = if is_negative(&root) == negative { root } else { -root };
        (is_negative(&x) == negative).then_some(Self { x, y })
    }
}

/// Whether an element is above `(r - 1) / 2`.
fn is_negative(x: &Fr) -> bool {
    x.lexicographically_largest().into()
}

impl Add for Point {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Extended::from(&self).plus_affine(&Niels::from(&other)).to_affine()
    }
}

impl Neg for Point {
    type Output = Self;

    fn neg(self) -> Self {
        Self { x: -self.x, y: self.y }
    }
}
