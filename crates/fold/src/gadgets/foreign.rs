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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::{G1, LIMB_BITS, from_limbs};
    use crate::gadgets::num::ONE;
    use crate::gadgets::testing::{Recorder, element, power, record, rng};
    use ff::Field;
    use group::{Curve, Group};
    use num_bigint::BigUint;

    fn checked(limbs: &[Fr; LIMBS]) -> Recorder<Fr> {
        let (cs, ()) = record(|cs| ForeignNum::alloc_trusted(cs, limbs)?.check(cs));
        assert_eq!(cs.num_rows(), 257);
        cs
    }

    #[test]
    fn check_accepts_just_the_widths() {
        let mut rng = rng(1);
        for x in [Fq::ZERO, Fq::ONE, -Fq::ONE, Fq::random(&mut rng)] {
            let cs = checked(&to_limbs(&x));
            assert!(cs.is_satisfied() && cs.free_variables().is_empty());
        }
        for (i, width) in LIMB_WIDTHS.into_iter().enumerate() {
            for (value, fits) in
                [(power(width) - 1u8, true), (power(width), false), (power(width) + 1u8, false), (power(236), false)]
            {
                let mut limbs = [Fr::ZERO; LIMBS];
                limbs[i] = element(&value);
                assert_eq!(checked(&limbs).is_satisfied(), fits, "limb {i} of {value}");
            }
            for negative in [-Fr::ONE, -element::<Fr>(&power(85))] {
                let mut limbs = [Fr::ONE; LIMBS];
                limbs[i] = negative;
                assert!(!checked(&limbs).is_satisfied(), "limb {i}");
            }
        }
    }

    /// Limbs that carry into each other stand for the same number, so only the widths tell them apart.
    #[test]
    fn check_refuses_signed_limbs() {
        let mut rng = rng(2);
        let carry = element::<Fr>(&power(LIMB_BITS));
        let value = Fq::random(&mut rng);
        for (low, sign) in [(0, Fr::ONE), (0, -Fr::ONE), (1, Fr::ONE), (1, -Fr::ONE)] {
            let mut limbs = to_limbs(&value);
            limbs[low] += sign * carry;
            limbs[low + 1] -= sign;
            if sign == Fr::ONE {
                assert_eq!(from_limbs(&limbs), value);
            }
            assert!(!checked(&limbs).is_satisfied());
        }
    }

    /// Widths hold 254 bits, so x + q is accepted where it fits: the circuits never compare coordinates.
    #[test]
    fn check_accepts_a_number_above_the_modulus() {
        let q = crate::gadgets::testing::integer(&-Fq::ONE) + 1u8;
        let mask: BigUint = power(LIMB_BITS) - 1u8;
        let limbs: [Fr; LIMBS] = std::array::from_fn(|i| element(&(&q >> (LIMB_BITS * i) & &mask)));
        assert_eq!(from_limbs(&limbs), Fq::ZERO);
        assert!(checked(&limbs).is_satisfied());
    }

    #[test]
    fn points_are_checked_limb_by_limb_and_selected_as_a_whole() {
        let mut rng = rng(3);
        let [p, q] = [(); 2].map(|()| G1::random(&mut rng).to_affine());
        for (bit, chosen) in [(Fr::ONE, q), (Fr::ZERO, p)] {
            let (mut cs, (point, out)) = record(|cs| {
                let point = ForeignPoint::alloc_checked(cs, &p)?;
                assert_eq!(cs.num_rows(), 514);
                let out = ForeignPoint::select(cs, &Lc::constant(bit), &constant_point(&q), &point)?;
                assert_eq!(cs.num_rows(), 520);
                Ok((point, out))
            });
            assert!(cs.is_satisfied());
            let limbs = out.lcs().map(|lc| lc.value);
            assert_eq!((from_limbs(&[limbs[0], limbs[1], limbs[2]])), chosen.x);
            assert_eq!((from_limbs(&[limbs[3], limbs[4], limbs[5]])), chosen.y);
            assert!(cs.free_variables().is_empty());
            for num in point.x.0.into_iter().chain(point.y.0).chain(out.x.0).chain(out.y.0) {
                let value = cs.get(num.var);
                cs.set(num.var, value + Fr::ONE);
                assert!(!cs.is_satisfied());
                cs.set(num.var, value);
            }
            assert!(!point.lcs().iter().any(|lc| lc.terms[0].0 == ONE));
        }
    }
}
