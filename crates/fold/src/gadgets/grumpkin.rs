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
    /// Starts at 2P and runs `acc = (acc + s_i P) + acc`, whose multiples stay in `[2, 2^128)`: with a point on the
    /// curve no exceptional case of the affine formulas occurs (`docs/spec/folding.md`, section 6).
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
    /// Takes the low bits of a hash output (305 rows).
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::Fq;
    use crate::gadgets::testing::{Recorder, element, integer, power, record, rng};
    use crate::transcript::rho_from_hash;
    use group::Group;
    use num_bigint::BigUint;
    use rand_core::RngCore;

    fn random_point(rng: &mut impl RngCore) -> GkAffine {
        Gk::random(rng).to_affine()
    }

    /// The largest b, and patterns that no random one has.
    fn edge_bits() -> Vec<u128> {
        let all = (1u128 << RHO_BITS) - 1;
        let alternating = 0x5555_5555_5555_5555_5555_5555_5555_5555u128 & all;
        vec![0, 1, all, all - 1, alternating, all ^ alternating, 1 << (RHO_BITS - 1), u128::from(u64::MAX)]
    }

    fn alloc_bits(cs: &mut Recorder<Fr>, b: u128) -> Vec<Num<Fr>> {
        (0..RHO_BITS).map(|i| Num::alloc(cs, Fr::from((b >> i & 1) as u64)).expect("allocates")).collect()
    }

    #[test]
    fn rho_has_its_range() {
        for b in edge_bits() {
            let rho = rho_from_bits(b);
            assert!(rho & 1 == 1 && rho > 1 << 126);
            assert_eq!(BigUint::from(rho), power(126) + 1u8 + BigUint::from(b) * 2u8);
        }
        // Below 2^128, as the bound of lazily accumulated limbs counts on.
        assert_eq!(rho_from_bits((1 << RHO_BITS) - 1), (1 << 126) + (1 << 127) - 1);
    }

    #[test]
    fn rho_comes_from_the_low_bits_of_a_hash() {
        let mut rng = rng(1);
        for _ in 0..5 {
            let hash = Fr::random(&mut rng);
            let (mut cs, rho) = record(|cs| {
                let hash = Num::alloc(cs, hash)?;
                Rho::from_hash(cs, &hash)
            });
            assert!(cs.is_satisfied() && cs.free_variables().is_empty());
            assert_eq!(cs.num_rows(), 305);
            let b = integer(&hash) % power(RHO_BITS);
            assert_eq!(rho.value.value, element(&(power(126) + 1u8 + &b * 2u8)));
            assert_eq!(rho.value.value, Fr::from_u128(rho_from_hash(&hash)));
            assert_eq!(rho.bits.len(), RHO_BITS);
            for (i, bit) in rho.bits.iter().enumerate() {
                assert_eq!(bit.value, Fr::from(u64::from(b.bit(i as u64))));
            }
            cs.set(rho.value.var, rho.value.value + Fr::from(2));
            assert_eq!(cs.unsatisfied(), [304]);
        }
    }

    #[test]
    fn ladder_multiplies_by_rho() {
        let mut rng = rng(2);
        let random: Vec<u128> = (0..4)
            .map(|_| (u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64())) >> (128 - RHO_BITS))
            .collect();
        for b in edge_bits().into_iter().chain(random) {
            let p = random_point(&mut rng);
            let (cs, product) = record(|cs| {
                let point = GkPoint::alloc_trusted(cs, &p)?;
                let bits = alloc_bits(cs, b);
                point.ladder(cs, &bits)
            });
            assert!(cs.is_satisfied(), "b = {b:x}");
            assert_eq!(cs.num_rows(), 760);
            assert_eq!(product.value(), (p * Fq::from_u128(rho_from_bits(b))).to_affine());
        }
    }

    #[test]
    fn the_points_and_bits_of_a_ladder_and_an_addition_fix_the_rest() {
        let mut rng = rng(3);
        for b in [0, (1 << RHO_BITS) - 1, rng.next_u64().into()] {
            let (cs, fixed) = record(|cs| {
                let point = GkPoint::alloc_checked(cs, &random_point(&mut rng))?;
                let other = GkPoint::alloc_checked(cs, &random_point(&mut rng))?;
                let bits = alloc_bits(cs, b);
                point.ladder(cs, &bits)?.add(cs, &other)?;
                let mut fixed = vec![point.x.var, point.y.var, other.x.var, other.y.var];
                fixed.extend(bits.iter().map(|bit| bit.var));
                Ok(fixed)
            });
            assert!(cs.is_satisfied());
            assert_eq!(cs.free_variables(), Vec::<usize>::new());
            assert_eq!(cs.freedom(&fixed), 0);
            // y of the first point is fixed by x but for its sign; x of each is free, and bits are not checked here.
            assert_eq!(cs.freedom(&fixed[4..]), 2);
        }
    }

    #[test]
    #[should_panic(expected = "left: 125")]
    fn ladder_refuses_another_number_of_bits() {
        record(|cs| {
            let point = GkPoint::alloc_trusted(cs, &GkAffine::generator())?;
            let bits = alloc_bits(cs, 0);
            point.ladder(cs, &bits[1..])
        });
    }

    #[test]
    fn add_is_the_group_law() {
        let mut rng = rng(4);
        for _ in 0..10 {
            let [p, q] = [(); 2].map(|()| random_point(&mut rng));
            let (cs, sum) = record(|cs| {
                let [p, q] = [p, q].map(|p| GkPoint::alloc_trusted(cs, &p));
                p?.add(cs, &q?)
            });
            assert!(cs.is_satisfied() && cs.num_rows() == 4);
            assert_eq!(sum.value(), (Gk::from(p) + q).to_affine());
        }
    }

    /// With equal x the slope of P + P would be free, and with it the sum: only the row for dx refuses.
    #[test]
    fn add_refuses_equal_x() {
        let mut rng = rng(5);
        let p = random_point(&mut rng);
        for slope in [Fr::ZERO, Fr::ONE, Fr::random(&mut rng)] {
            let x = slope.square() - p.x.double();
            let sum = GkAffine { x, y: slope * (p.x - x) - p.y };
            let (mut cs, _) = record(|cs| {
                let [a, b] = [p, p].map(|p| GkPoint::alloc_trusted(cs, &p));
                a?.add_with(cs, &b?, &sum)
            });
            // x, y, x, y, inverse, slope.
            cs.aux[5] = slope;
            assert_eq!(cs.unsatisfied(), [0]);
            for inverse in [Fr::ONE, -Fr::ONE, Fr::random(&mut rng)] {
                cs.aux[4] = inverse;
                assert_eq!(cs.unsatisfied(), [0]);
            }
        }
        let (cs, _) = record(|cs| {
            let [a, b] = [p, -p].map(|p| GkPoint::alloc_trusted(cs, &p));
            a?.add_with(cs, &b?, &GkAffine { x: Fr::ZERO, y: Fr::ZERO })
        });
        assert!(cs.unsatisfied().starts_with(&[0, 1]));
    }

    #[test]
    fn add_refuses_another_sum() {
        let mut rng = rng(6);
        let [p, q, other] = [(); 3].map(|()| random_point(&mut rng));
        let sum = (Gk::from(p) + q).to_affine();
        for wrong in [other, -sum, (Gk::from(p) - q).to_affine(), GkAffine { x: sum.x, y: other.y }] {
            let (cs, _) = record(|cs| {
                let [p, q] = [p, q].map(|p| GkPoint::alloc_trusted(cs, &p));
                p?.add_with(cs, &q?, &wrong)
            });
            assert!(!cs.is_satisfied());
        }
    }

    #[test]
    fn alloc_checked_refuses_what_is_not_on_the_curve() {
        let mut rng = rng(7);
        let checked = |p: &GkAffine| {
            let (cs, _) = record(|cs| GkPoint::alloc_checked(cs, p));
            assert_eq!(cs.num_rows(), 3);
            cs
        };
        let p = random_point(&mut rng);
        let cs = checked(&p);
        assert!(cs.is_satisfied() && cs.free_variables().is_empty());
        let (x, y) = (p.x, p.y);
        for (x, y) in [(x, y + Fr::ONE), (x + Fr::ONE, y), (y, x), (Fr::ZERO, Fr::ZERO), (x, Fr::ZERO), (Fr::ZERO, y)] {
            assert_eq!(checked(&GkAffine { x, y }).unsatisfied(), [2]);
        }
        // On y^2 = x^3 + 3, the other curve's equation.
        let (x, y) = (Fr::ONE, Fr::from(2));
        assert_eq!(checked(&GkAffine { x, y }).unsatisfied(), [2]);
    }

    #[test]
    fn double_is_the_group_law() {
        let p = random_point(&mut rng(8));
        let (cs, (point, twice)) = record(|cs| {
            let point = GkPoint::alloc_trusted(cs, &p)?;
            Ok((point, point.double(cs)?))
        });
        assert!(cs.is_satisfied() && cs.num_rows() == 4);
        assert_eq!(cs.freedom(&[point.x.var, point.y.var]), 0);
        assert_eq!(twice.value(), Gk::from(p).double().to_affine());
    }

    #[test]
    fn select_takes_both_coordinates() {
        let mut rng = rng(9);
        let [p, q] = [(); 2].map(|()| random_point(&mut rng));
        for (bit, chosen) in [(Fr::ONE, q), (Fr::ZERO, p)] {
            let (cs, out) = record(|cs| {
                let p = GkPoint::alloc_checked(cs, &p)?;
                GkPoint::select(cs, &Lc::constant(bit), &q, &p)
            });
            assert!(cs.is_satisfied() && cs.free_variables().is_empty());
            assert_eq!(out.value(), chosen);
        }
    }
}
