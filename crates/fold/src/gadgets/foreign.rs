//! BN254 points inside circuits over Fr: coordinates in Fq as limbs, never computed with, only carried to CycleFold.

use super::bits::range;
use super::num::{Lc, Num};
use crate::curve::{Fq, Fr, G1Affine, LIMB_WIDTHS, LIMBS, to_limbs};
use nova_snark::frontend::{ConstraintSystem, SynthesisError};

/// An Fq element as limbs, least significant first: `l0 + 2^85 l1 + 2^170 l2 mod q`.
#[derive(Clone, Copy, Debug)]
pub struct ForeignNum(pub [Num<Fr>; LIMBS]);

impl ForeignNum {
    /// Allocates given limbs without any check.
    ///
    /// # Errors
    /// Those of the constraint system.
    pub fn alloc_trusted<CS: ConstraintSystem<Fr>>(cs: &mut CS, limbs: &[Fr; LIMBS]) -> Result<Self, SynthesisError> {
        let [l0, l1, l2] = limbs;
        Ok(Self([Num::alloc(cs, *l0)?, Num::alloc(cs, *l1)?, Num::alloc(cs, *l2)?]))
    }

    /// Range-checks the limbs to [`LIMB_WIDTHS`] (257 rows), so that the value is below 2^254.
    ///
    /// # Errors
    /// Those of the constraint system.
    pub fn check<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS) -> Result<(), SynthesisError> {
        self.0.iter().zip(LIMB_WIDTHS).try_for_each(|(limb, width)| range(cs, &limb.into(), width))
    }

    /// `if bit { yes } else { no }`, limb by limb (three rows).
    ///
    /// # Errors
    /// Those of the constraint system.
    pub fn select<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        bit: &Lc<Fr>,
        yes: &[Lc<Fr>; LIMBS],
        no: &Self,
    ) -> Result<Self, SynthesisError> {
        Ok(Self([
            Num::select(cs, bit, &yes[0], &no.0[0].into())?,
            Num::select(cs, bit, &yes[1], &no.0[1].into())?,
            Num::select(cs, bit, &yes[2], &no.0[2].into())?,
        ]))
    }

    /// The limbs as combinations.
    pub fn lcs(&self) -> [Lc<Fr>; LIMBS] {
        self.0.map(Lc::from)
    }
}

/// Constant limbs of an Fq element.
pub fn constant_limbs(x: &Fq) -> [Lc<Fr>; LIMBS] {
    to_limbs(x).map(Lc::constant)
}

/// An affine point of BN254 G1 as limbs; never the identity. That it lies on the curve is checked by CycleFold.
#[derive(Clone, Copy, Debug)]
pub struct ForeignPoint {
    /// x coordinate.
    pub x: ForeignNum,
    /// y coordinate.
    pub y: ForeignNum,
}

impl ForeignPoint {
    /// Allocates a point that a hash vouches for.
    ///
    /// # Errors
    /// Those of the constraint system.
    pub fn alloc_trusted<CS: ConstraintSystem<Fr>>(cs: &mut CS, p: &G1Affine) -> Result<Self, SynthesisError> {
        Ok(Self {
            x: ForeignNum::alloc_trusted(cs, &to_limbs(&p.x))?,
            y: ForeignNum::alloc_trusted(cs, &to_limbs(&p.y))?,
        })
    }

    /// Allocates a new point and range-checks its limbs (514 rows).
    ///
    /// # Errors
    /// Those of the constraint system.
    pub fn alloc_checked<CS: ConstraintSystem<Fr>>(cs: &mut CS, p: &G1Affine) -> Result<Self, SynthesisError> {
        let point = Self::alloc_trusted(cs, p)?;
        point.x.check(cs)?;
        point.y.check(cs)?;
        Ok(point)
    }

    /// `if bit { yes } else { no }` (six rows).
    ///
    /// # Errors
    /// Those of the constraint system.
    pub fn select<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        bit: &Lc<Fr>,
        yes: &[Lc<Fr>; 2 * LIMBS],
        no: &Self,
    ) -> Result<Self, SynthesisError> {
        let half = |i: usize| std::array::from_fn(|j| yes[LIMBS * i + j].clone());
        Ok(Self { x: ForeignNum::select(cs, bit, &half(0), &no.x)?, y: ForeignNum::select(cs, bit, &half(1), &no.y)? })
    }

    /// The six limbs, x first.
    pub fn lcs(&self) -> [Lc<Fr>; 2 * LIMBS] {
        let [a, b, c] = self.x.lcs();
        let [d, e, f] = self.y.lcs();
        [a, b, c, d, e, f]
    }
}

/// Constant limbs of a point.
pub fn constant_point(p: &G1Affine) -> [Lc<Fr>; 2 * LIMBS] {
    let [a, b, c] = constant_limbs(&p.x);
    let [d, e, f] = constant_limbs(&p.y);
    [a, b, c, d, e, f]
}
