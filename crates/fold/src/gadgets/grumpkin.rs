//! Grumpkin points inside circuits over Fr, their native field.

use super::ladder::ladder_trace;
use super::num::{Lc, Num, ONE, enforce, enforce_nonzero};
use crate::curve::{Fr, Gk, GkAffine};
use ff::{Field, PrimeField};
use group::Curve;
use nova_snark::frontend::{ConstraintSystem, SynthesisError};

/// Random bits of a challenge of the CycleFold side.
pub const RHO_BITS: usize = 126;

/// The challenge `2^126 + 1 + 2 b` for 126 bits `b`: odd and below 2^128 (`docs/spec/folding.md`, section 4).
pub fn rho_from_bits(b: u128) -> u128 {
    debug_assert!(b >> RHO_BITS == 0);
    (1 << RHO_BITS) + 1 + 2 * b
}

/// An affine point of Grumpkin, `y^2 = x^3 - 17`; never the identity.
#[derive(Clone, Copy, Debug)]
pub struct GkPoint {
    /// x coordinate.
    pub x: Num<Fr>,
    /// y coordinate.
    pub y: Num<Fr>,
}

impl GkPoint {
    /// Allocates a point that something else vouches for: a hash, or the rows that define it.
    ///
    /// # Errors
    /// Those of the constraint system.
    pub fn alloc_trusted<CS: ConstraintSystem<Fr>>(cs: &mut CS, p: &GkAffine) -> Result<Self, SynthesisError> {
        Ok(Self { x: Num::alloc(cs, p.x)?, y: Num::alloc(cs, p.y)? })
    }

    /// Allocates a point and checks that it lies on the curve (three rows).
    ///
    /// # Errors
    /// Those of the constraint system.
    pub fn alloc_checked<CS: ConstraintSystem<Fr>>(cs: &mut CS, p: &GkAffine) -> Result<Self, SynthesisError> {
        let point = Self::alloc_trusted(cs, p)?;
        let (x, y) = (Lc::from(point.x), Lc::from(point.y));
        let xx = Num::product(cs, &x, &x)?;
        let yy = Num::product(cs, &y, &y)?;
        enforce(cs, &xx.into(), &x, &Lc::from(yy).plus_lc(Fr::from(17), &Lc::one()));
        Ok(point)
    }

    /// The point with its values.
    fn value(&self) -> GkAffine {
        GkAffine { x: self.x.value, y: self.y.value }
    }

    /// `if bit { yes } else { no }` (two rows).
    ///
    /// # Errors
    /// Those of the constraint system.
    pub fn select<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        bit: &Lc<Fr>,
        yes: &GkAffine,
        no: &Self,
    ) -> Result<Self, SynthesisError> {
        Ok(Self {
            x: Num::select(cs, bit, &Lc::constant(yes.x), &no.x.into())?,
            y: Num::select(cs, bit, &Lc::constant(yes.y), &no.y.into())?,
        })
    }

    /// `self + other` for points with different x, which a row enforces (four rows).
    ///
    /// # Errors
    /// Those of the constraint system.
    pub fn add<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS, other: &Self) -> Result<Self, SynthesisError> {
        let sum = (Gk::from(self.value()) + other.value()).to_affine();
        self.add_with(cs, other, &sum)
    }

    /// [`GkPoint::add`] with the sum given, so that a test can offer another.
    fn add_with<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        other: &Self,
        sum: &GkAffine,
    ) -> Result<Self, SynthesisError> {
        let dx = Lc::from(other.x).plus(-Fr::ONE, &self.x);
        let dy = Lc::from(other.y).plus(-Fr::ONE, &self.y);
        enforce_nonzero(cs, &dx)?;
        let slope = Num::alloc(cs, dy.value * dx.value.invert().unwrap_or(Fr::ZERO))?;
        let sum = Self::alloc_trusted(cs, sum)?;
        enforce(cs, &slope.into(), &dx, &dy);
        enforce(cs, &slope.into(), &slope.into(), &Lc::from(sum.x).plus(Fr::ONE, &self.x).plus(Fr::ONE, &other.x));
        enforce(cs, &slope.into(), &Lc::from(self.x).plus(-Fr::ONE, &sum.x), &Lc::from(sum.y).plus(Fr::ONE, &self.y));
        Ok(sum)
    }

    /// `2 self` (four rows).
    fn double<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS) -> Result<Self, SynthesisError> {
        let (x, y) = (Lc::from(self.x), Lc::from(self.y));
        let xx = Num::product(cs, &x, &x)?;
        let twice = (Gk::from(self.value()) + self.value()).to_affine();
        let slope = Num::alloc(cs, xx.value * Fr::from(3) * self.y.value.double().invert().unwrap_or(Fr::ZERO))?;
        let out = Self::alloc_trusted(cs, &twice)?;
        enforce(cs, &slope.into(), &y.clone().scale(Fr::from(2)), &Lc::zero().plus(Fr::from(3), &xx));
        enforce(cs, &slope.into(), &slope.into(), &Lc::from(out.x).plus(Fr::from(2), &self.x));
        enforce(cs, &slope.into(), &x.plus(-Fr::ONE, &out.x), &y.plus(Fr::ONE, &out.y));
        Ok(out)
    }

    /// `rho self` for `rho = 2^126 + 1 + 2 b` with the bits of b least significant first (760 rows).
    ///
    /// Starts at 2P and runs `acc = (acc + s_i P) + acc`, whose multiples stay in `[2, 2^128)`: with a point on the curve
    /// no exceptional case of the affine formulas occurs (`docs/spec/folding.md`, section 6).
    ///
    /// # Errors
    /// Those of the constraint system.
    pub fn ladder<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS, bits: &[Num<Fr>]) -> Result<Self, SynthesisError> {
        assert_eq!(bits.len(), RHO_BITS);
        let (plus, minus) = (self.value(), -self.value());
        let signed: Vec<_> = bits.iter().rev().map(|bit| if bit.value == Fr::ONE { plus } else { minus }).collect();
        let mut acc = self.double(cs)?;
        let trace = ladder_trace(acc.value(), &signed);
        for (bit, step) in bits.iter().rev().zip(&trace) {
            let y_q = Num::alloc(cs, step.q.y)?;
            let slope_add = Num::alloc(cs, step.slope_add)?;
            let x_sum = Num::alloc(cs, step.x_sum)?;
            let slope_double = Num::alloc(cs, step.slope_double)?;
            let next = Self::alloc_trusted(cs, &step.next)?;
            let (x, y) = (self.x.var, self.y.var);
            let two = Fr::from(2);
            cs.enforce(|| "", |lc| lc + (two, bit.var) - ONE, |lc| lc + y, |lc| lc + y_q.var);
            cs.enforce(|| "", |lc| lc + slope_add.var, |lc| lc + acc.x.var - x, |lc| lc + acc.y.var - y_q.var);
            cs.enforce(|| "", |lc| lc + slope_add.var, |lc| lc + slope_add.var, |lc| lc + x_sum.var + acc.x.var + x);
            cs.enforce(
                || "",
                |lc| lc + slope_add.var + slope_double.var,
                |lc| lc + acc.x.var - x_sum.var,
                |lc| lc + (two, acc.y.var),
            );
            cs.enforce(
                || "",
                |lc| lc + slope_double.var,
                |lc| lc + slope_double.var,
                |lc| lc + next.x.var + x_sum.var + acc.x.var,
            );
            cs.enforce(
                || "",
                |lc| lc + slope_double.var,
                |lc| lc + acc.x.var - next.x.var,
                |lc| lc + next.y.var + acc.y.var,
            );
            acc = next;
        }
        Ok(acc)
    }
}

/// A challenge of the CycleFold side: its bits and its value.
#[derive(Clone, Debug)]
pub struct Rho {
    /// Bits of b, least significant first.
    pub bits: Vec<Num<Fr>>,
    /// `2^126 + 1 + 2 b`.
    pub value: Num<Fr>,
}

impl Rho {
    /// Takes the low bits of a hash output (307 rows).
    ///
    /// # Errors
    /// Those of the constraint system.
    pub fn from_hash<CS: ConstraintSystem<Fr>>(cs: &mut CS, hash: &Num<Fr>) -> Result<Self, SynthesisError> {
        let mut bits = super::bits::hash_bits(cs, hash)?;
        bits.truncate(RHO_BITS);
        let b = bits.iter().rev().fold(0u128, |acc, bit| 2 * acc + u128::from(bit.value == Fr::ONE));
        let value = Num::alloc(cs, Fr::from_u128(rho_from_bits(b)))?;
        cs.enforce(
            || "",
            |lc| {
                let mut weight = Fr::from(2);
                bits.iter().fold(lc + (Fr::from_u128((1 << RHO_BITS) + 1), ONE), |lc, bit| {
                    let lc = lc + (weight, bit.var);
                    weight = weight.double();
                    lc
                })
            },
            |lc| lc + ONE,
            |lc| lc + value.var,
        );
        Ok(Self { bits, value })
    }
}
