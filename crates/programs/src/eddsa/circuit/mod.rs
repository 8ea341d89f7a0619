//! Verification of a signature as R1CS (`docs/spec/eddsa.md`, whose sections the code cites).
//!
//! Points are in the Montgomery form `v^2 = u^3 + 168698 u^2 + u` of Baby Jubjub, with `u = (1 + y) / (1 - y)` and
//! `v = u / x`: incomplete additions cost three rows there. One ladder computes `S B8 - 8 h A`, with a digit of S, plus or minus
//! one, and a digit of h, zero or one, in each iteration.

#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use crowdfold_fold::Fr;
use crowdfold_fold::gadgets::bits::{bits_below, hash_bits};
use crowdfold_fold::gadgets::num::{Lc, Num, enforce, enforce_equal, enforce_nonzero};
use crowdfold_fold::poseidon;
use ff::{BatchInvert, Field};
use nova_snark::frontend::{ConstraintSystem, SynthesisError};

use super::extended::{Extended, Niels, batch_to_affine};
use super::point::Point;
use super::scalar::Scalar;
use super::signature::Signature;

/// The coefficient of `u^2`.
const MONTGOMERY_A: Fr = Fr::from_raw([168_698, 0, 0, 0]);
/// Iterations of the ladder: bits of h.
const ITERATIONS: usize = 254;

/// A signature as a dishonest prover could give it.
#[derive(Clone, Debug)]
pub struct SignatureWitness {
    /// Coordinates of R8, which need not be a point.
    pub r8: Point,
    /// Bits of S, which need not be bits.
    pub s: [Fr; Scalar::BITS],
}

impl From<&Signature> for SignatureWitness {
    fn from(signature: &Signature) -> Self {
        let words = signature.s.words();
        Self { r8: signature.r8, s: std::array::from_fn(|i| Fr::from(words[i / 64] >> (i % 64) & 1)) }
    }
}

/// Enforces that the signature of `message` under the key with the coordinates `key` verifies.
///
/// Satisfiable for exactly the signatures that [`super::verify`] accepts, but for a share below 2^-120 of them (section
/// 4).
///
/// # Errors
/// Those of the constraint system. A false signature leaves rows unsatisfied.
pub fn verify<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    key: &[Num<Fr>; 2],
    message: &Lc<Fr>,
    witness: &SignatureWitness,
) -> Result<(), SynthesisError> {
    let constants = Constants::get();
    let r8 = [Num::alloc(cs, witness.r8.x)?, Num::alloc(cs, witness.r8.y)?];
    let challenge = {
        let cs = &mut cs.namespace(|| "challenge");
        let hash =
            poseidon::circuit::hash(cs, &[r8[0].into(), r8[1].into(), key[0].into(), key[1].into(), message.clone()])?;
        hash_bits(cs, &hash)?
    };
    let s = bits_below(&mut cs.namespace(|| "S below the order"), &witness.s, &constants.order_less_one)?;

    let a = Montgomery::from_edwards(&mut cs.namespace(|| "key on curve"), key)?;
    let r8 = Montgomery::from_edwards(&mut cs.namespace(|| "R8 on curve"), &r8)?;
    let a8 = {
        let cs = &mut cs.namespace(|| "cofactor");
        let a2 = a.double(cs)?;
        let a4 = a2.double(cs)?;
        a4.double(cs)?
    };
    let product = ladder(cs, &a8.negate(), &s, &challenge)?;

    let cs = &mut cs.namespace(|| "equation");
    let expected = r8.add(cs, &constants.excess.into())?;
    enforce_equal(cs, &product.u, &expected.u);
    enforce_equal(cs, &product.v, &expected.v);
    Ok(())
}

/// Multiples of B8 that the circuit has built in.
struct Constants {
    /// The subgroup's order less one, in words, least significant first.
    order_less_one: [u64; 4],
    /// B8 / 2.
    half: Point,
    /// `(2^254 + 1) B8 / 2`: what the ladder computes beyond `S B8 - 8 h A`.
    excess: Point,
}

impl Constants {
    fn get() -> &'static Self {
        static CONSTANTS: OnceLock<Constants> = OnceLock::new();
        CONSTANTS.get_or_init(|| {
            let minus_one = -Scalar::from(1u64);
            // (l + 1) / 2 = (l - 1) / 2 + 1
            let words = minus_one.words();
            let mut half = [0; 32];
            for i in 0..4 {
                let above = words.get(i + 1).map_or(0, |word| word << 63);
                half[8 * i..8 * i + 8].copy_from_slice(&(words[i] >> 1 | above).to_le_bytes());
            }
            let half = Scalar::reduce(&half) + Scalar::from(1u64);
            let power = (0..ITERATIONS).fold(Scalar::from(1u64), |power, _| power + power);
            Self {
                order_less_one: words,
                half: Point::BASE8.mul(&half),
                excess: Point::BASE8.mul(&((power + Scalar::from(1u64)) * half)),
            }
        })
    }
}

/// A point in Montgomery form, as combinations of variables; never the identity.
#[derive(Clone, Debug)]
struct Montgomery {
    u: Lc<Fr>,
    v: Lc<Fr>,
}

impl From<Point> for Montgomery {
    /// A constant other than the identity and the point of order two.
    fn from(point: Point) -> Self {
        let [u, v] = montgomery(&point);
        Self { u: Lc::constant(u), v: Lc::constant(v) }
    }
}

/// `u` and `v` of a point; zeros in place of what is not defined.
fn montgomery(point: &Point) -> [Fr; 2] {
    let invert = |x: Fr| x.invert().unwrap_or(Fr::ZERO);
    let u = (Fr::ONE + point.y) * invert(Fr::ONE - point.y);
    [u, u * invert(point.x)]
}

impl Montgomery {
    /// The point of which `[x, y]` are the coordinates on the Edwards curve (five rows).
    ///
    /// Refuses all that is not on that curve, the identity, and the point of order two; but for `y = -1`, `u = v = 0`
    /// any x passes (section 3).
    fn from_edwards<CS: ConstraintSystem<Fr>>(cs: &mut CS, [x, y]: &[Num<Fr>; 2]) -> Result<Self, SynthesisError> {
        let [u, v] = montgomery(&Point { x: x.value, y: y.value });
        let (u, v): (Lc<Fr>, Lc<Fr>) = (Num::alloc(cs, u)?.into(), Num::alloc(cs, v)?.into());
        let (one_less_y, one_more_y) = (Lc::one().plus(-Fr::ONE, y), Lc::one().plus(Fr::ONE, y));
        enforce(cs, &u, &one_less_y, &one_more_y);
        enforce(cs, &v, &x.into(), &u);
        let u2 = Num::product(cs, &u, &u)?;
        let v2 = Num::product(cs, &v, &v)?;
        let factor = Lc::one().plus_lc(MONTGOMERY_A, &u).plus(Fr::ONE, &u2);
        enforce(cs, &factor, &u, &v2.into());
        Ok(Self { u, v })
    }

    fn negate(&self) -> Self {
        Self { u: self.u.clone(), v: self.v.clone().scale(-Fr::ONE) }
    }

    /// `2 self` (four rows). Refuses the point of order two, whose double is the identity.
    fn double<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS) -> Result<Self, SynthesisError> {
        let Self { u, v } = self;
        let u2 = Num::product(cs, u, u)?;
        let numerator = Lc::one().plus_lc(MONTGOMERY_A.double(), u).plus(Fr::from(3), &u2);
        let denominator = v.clone().scale(Fr::from(2));
        let slope = numerator.value * denominator.value.invert().unwrap_or(Fr::ZERO);
        let slope: Lc<Fr> = Num::alloc(cs, slope)?.into();
        enforce(cs, &slope, &denominator, &numerator);
        let next_u = Num::alloc(cs, slope.value.square() - MONTGOMERY_A - u.value.double())?;
        let next_v = Num::alloc(cs, slope.value * (u.value - next_u.value) - v.value)?;
        enforce(cs, &slope, &slope, &Lc::constant(MONTGOMERY_A).plus(Fr::ONE, &next_u).plus_lc(Fr::from(2), u));
        enforce(cs, &slope, &u.clone().plus(-Fr::ONE, &next_u), &Lc::from(next_v).plus_lc(Fr::ONE, v));
        Ok(Self { u: next_u.into(), v: next_v.into() })
    }

    /// `self + other` for points with different u, which a row enforces (four rows).
    fn add<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS, other: &Self) -> Result<Self, SynthesisError> {
        enforce_nonzero(cs, &(other.u.clone() - &self.u))?;
        self.add_distinct(cs, other)
    }

    /// `self + other` for points whose u are known to differ (three rows).
    fn add_distinct<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS, other: &Self) -> Result<Self, SynthesisError> {
        let (du, dv) = (other.u.clone() - &self.u, other.v.clone() - &self.v);
        let slope: Lc<Fr> = Num::alloc(cs, dv.value * du.value.invert().unwrap_or(Fr::ZERO))?.into();
        let u = Num::alloc(cs, slope.value.square() - MONTGOMERY_A - self.u.value - other.u.value)?;
        let v = Num::alloc(cs, slope.value * (self.u.value - u.value) - self.v.value)?;
        enforce(cs, &slope, &du, &dv);
        let sum_of_u = Lc::constant(MONTGOMERY_A).plus(Fr::ONE, &u) + &self.u + &other.u;
        enforce(cs, &slope, &slope, &sum_of_u);
        enforce(cs, &slope, &self.u.clone().plus(-Fr::ONE, &u), &Lc::from(v).plus_lc(Fr::ONE, &self.v));
        Ok(Self { u: u.into(), v: v.into() })
    }
}

/// `(2^254 + 1) B8 / 2 + S B8 + h P` (2,287 rows).
///
/// Starts at B8 and runs `acc = (acc + Q) + acc` with `Q = +-B8/2 + h_i P`, the sign by the bit of S. No exceptional
/// case occurs unless the prover knows the discrete logarithm of P (section 2).
fn ladder<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    p: &Montgomery,
    s: &[Num<Fr>],
    h: &[Num<Fr>],
) -> Result<Montgomery, SynthesisError> {
    let constants = Constants::get();
    let half = Montgomery::from(constants.half);
    let (plus, minus) = {
        let cs = &mut cs.namespace(|| "table");
        enforce_nonzero(cs, &(half.u.clone() - &p.u))?;
        (p.add_distinct(cs, &half)?, p.add_distinct(cs, &half.negate())?)
    };

    let cs = &mut cs.namespace(|| "ladder");
    let trace = trace(constants, &edwards(p), s, h);
    let mut acc = Montgomery::from(Point::BASE8);
    for (i, step) in (0..ITERATIONS).rev().zip(trace) {
        let bit: Lc<Fr> = h[i].into();
        let (chosen, opposite) = match s.get(i) {
            Some(sign) => (
                Montgomery {
                    u: Num::select(cs, &sign.into(), &plus.u, &minus.u)?.into(),
                    v: Num::select(cs, &sign.into(), &plus.v, &minus.v)?.into(),
                },
                Lc::zero().plus(half.v.value.double(), sign) - &half.v,
            ),
            None => (minus.clone(), half.negate().v),
        };
        let q = Montgomery {
            u: Num::select(cs, &bit, &chosen.u, &half.u)?.into(),
            v: Num::select(cs, &bit, &chosen.v, &opposite)?.into(),
        };
        acc = double_and_add(cs, &acc, &q, &step)?;
    }
    Ok(acc)
}

/// `(acc + q) + acc` with the witness `step` (five rows).
fn double_and_add<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    acc: &Montgomery,
    q: &Montgomery,
    step: &LadderStep,
) -> Result<Montgomery, SynthesisError> {
    let slope_add: Lc<Fr> = Num::alloc(cs, step.slope_add)?.into();
    let u_sum: Lc<Fr> = Num::alloc(cs, step.u_sum)?.into();
    let slope_double: Lc<Fr> = Num::alloc(cs, step.slope_double)?.into();
    let [u, v]: [Lc<Fr>; 2] = [Num::alloc(cs, step.next[0])?.into(), Num::alloc(cs, step.next[1])?.into()];
    let a = Lc::constant(MONTGOMERY_A);
    enforce(cs, &slope_add, &(acc.u.clone() - &q.u), &(acc.v.clone() - &q.v));
    enforce(cs, &slope_add, &slope_add, &(a.clone() + &u_sum + &acc.u + &q.u));
    enforce(cs, &(slope_add.clone() + &slope_double), &(acc.u.clone() - &u_sum), &acc.v.clone().scale(Fr::from(2)));
    enforce(cs, &slope_double, &slope_double, &(a + &u + &u_sum + &acc.u));
    enforce(cs, &slope_double, &(acc.u.clone() - &u), &(v.clone() + &acc.v));
    Ok(Montgomery { u, v })
}

/// The witness of one iteration.
#[derive(Clone, Copy, Debug)]
struct LadderStep {
    /// Slope of the line through `acc` and `q`.
    slope_add: Fr,
    /// u of `acc + q`.
    u_sum: Fr,
    /// Slope of the line through `acc + q` and `acc`.
    slope_double: Fr,
    /// The new accumulator.
    next: [Fr; 2],
}

/// Back from Montgomery form; any point for what is none.
fn edwards(p: &Montgomery) -> Point {
    let invert = |x: Fr| x.invert().unwrap_or(Fr::ZERO);
    let (u, v) = (p.u.value, p.v.value);
    Point { x: u * invert(v), y: (u - Fr::ONE) * invert(u + Fr::ONE) }
}

/// Values of all iterations, with three batched inversions. Where an exceptional case occurs, or the points are none,
/// they satisfy no row.
fn trace(constants: &Constants, p: &Point, s: &[Num<Fr>], h: &[Num<Fr>]) -> Vec<LadderStep> {
    let half = Extended::from(&constants.half);
    let table = [half.plus_affine(&Niels::from(p)), Extended::from(&-constants.half).plus_affine(&Niels::from(p))];
    let [plus, minus]: [Point; 2] = std::array::from_fn(|i| table[i].to_affine());
    let mut points = Vec::with_capacity(2 * ITERATIONS);
    let mut qs = Vec::with_capacity(ITERATIONS);
    let mut acc = Extended::from(&Point::BASE8);
    for i in (0..ITERATIONS).rev() {
        let sign = s.get(i).is_some_and(|bit| bit.value == Fr::ONE);
        let q = match (sign, h[i].value == Fr::ONE) {
            (true, true) => plus,
            (true, false) => constants.half,
            (false, true) => minus,
            (false, false) => -constants.half,
        };
        let sum = acc.plus_affine(&Niels::from(&q));
        acc = sum.plus(&acc);
        points.extend([sum, acc]);
        qs.push(q);
    }
    let mut affine = batch_to_affine(&points);
    affine.extend(&qs);
    affine.push(Point::BASE8);
    let affine = batch_montgomery(&affine);
    let (points, rest) = affine.split_at(2 * ITERATIONS);
    let (qs, start) = rest.split_at(ITERATIONS);

    let before = start.iter().chain(points.iter().skip(1).step_by(2));
    let mut inverses: Vec<Fr> = before
        .clone()
        .zip(points.chunks_exact(2))
        .zip(qs)
        .flat_map(|((acc, pair), q)| [acc[0] - q[0], acc[0] - pair[0][0]])
        .collect();
    inverses.iter_mut().batch_invert();
    before
        .zip(points.chunks_exact(2))
        .zip(qs)
        .zip(inverses.chunks_exact(2))
        .map(|(((acc, pair), q), inverse)| {
            let slope_add = (acc[1] - q[1]) * inverse[0];
            let slope_double = acc[1].double() * inverse[1] - slope_add;
            LadderStep { slope_add, u_sum: pair[0][0], slope_double, next: pair[1] }
        })
        .collect()
}

/// [`montgomery`] of many points with one inversion.
fn batch_montgomery(points: &[Point]) -> Vec<[Fr; 2]> {
    let mut inverses: Vec<Fr> = points.iter().map(|point| (Fr::ONE - point.y) * point.x).collect();
    inverses.iter_mut().batch_invert();
    points
        .iter()
        .zip(inverses)
        .map(|(point, inverse)| {
            let numerator = (Fr::ONE + point.y) * inverse;
            [numerator * point.x, numerator]
        })
        .collect()
}
