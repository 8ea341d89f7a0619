//! The CycleFold circuit CF over Fq: `P3 = P1 + r P2` on BN254 G1 (`docs/spec/folding.md`, section 4).

use crate::curve::{ENDOMORPHISM, Fq, G1, G1Affine, effective_challenge};
use crate::gadgets::ladder::ladder_trace;
use crate::gadgets::num::{Lc, Num, enforce, enforce_nonzero};
use ff::{Field, PrimeField};
use group::Curve;
use nova_snark::frontend::{ConstraintSystem, SynthesisError};

/// Public inputs of CF: x and y of P1, P2 and P3, then the challenge's bits as one number.
pub const CF_IO: usize = 7;

/// What one CF instance claims: `p3 = p1 + r p2`, with r from [`effective_challenge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CfClaim {
    /// The point added to.
    pub p1: G1Affine,
    /// The point multiplied.
    pub p2: G1Affine,
    /// The result.
    pub p3: G1Affine,
    /// Bits of the challenge r.
    pub r: u128,
}

impl CfClaim {
    /// The true claim about `p1 + r p2`.
    pub fn compute(p1: G1Affine, p2: G1Affine, r: u128) -> Self {
        let p3 = (G1::from(p1) + p2 * effective_challenge(r)).to_affine();
        Self { p1, p2, p3, r }
    }

    /// The public inputs.
    pub fn io(&self) -> [Fq; CF_IO] {
        [self.p1.x, self.p1.y, self.p2.x, self.p2.y, self.p3.x, self.p3.y, Fq::from_u128(self.r)]
    }
}

/// Enforces `y^2 = x^3 + 3` (three rows).
fn on_curve<CS: ConstraintSystem<Fq>>(cs: &mut CS, x: &Num<Fq>, y: &Num<Fq>) -> Result<(), SynthesisError> {
    let (x, y) = (Lc::from(x), Lc::from(y));
    let xx = Num::product(cs, &x, &x)?;
    let yy = Num::product(cs, &y, &y)?;
    enforce(cs, &xx.into(), &x, &Lc::from(yy).plus_lc(-Fq::from(3), &Lc::one()));
    Ok(())
}

/// Synthesises CF for `claim` (460 rows). A false claim is synthesised as given and leaves rows unsatisfied.
///
/// # Errors
/// Those of the constraint system.
pub fn synthesize<CS: ConstraintSystem<Fq>>(cs: &mut CS, claim: &CfClaim) -> Result<(), SynthesisError> {
    let io = claim.io().map(|value| Num::alloc_input(cs, value));
    let [x1, y1, x2, y2, x3, y3, r] = io;
    let (x1, y1, x2, y2, x3, y3, r) = (x1?, y1?, x2?, y2?, x3?, y3?, r?);
    on_curve(cs, &x1, &y1)?;
    on_curve(cs, &x2, &y2)?;

    // The multiples run from (1 + lambda) P2 = -phi^2(P2) = (zeta^2 x, -y) on.
    let zeta = ENDOMORPHISM.zeta;
    let start = G1Affine { x: zeta.square() * claim.p2.x, y: -claim.p2.y };
    let signed: Vec<_> = (0..64)
        .rev()
        .map(|i| {
            let y = if claim.r >> i & 1 == 1 { claim.p2.y } else { -claim.p2.y };
            let x = if claim.r >> (64 + i) & 1 == 1 { zeta * claim.p2.x } else { claim.p2.x };
            G1Affine { x, y }
        })
        .collect();
    let mut acc = (Lc::zero().plus(zeta.square(), &x2), Lc::zero().plus(-Fq::ONE, &y2));
    let mut sums = (Lc::zero(), Lc::zero());
    let (px, py) = (Lc::from(x2), Lc::from(y2));
    for (i, step) in ladder_trace(start, &signed).iter().enumerate() {
        let q = (Num::alloc(cs, step.q.x)?, Num::alloc(cs, step.q.y)?);
        let slope_add = Lc::from(Num::alloc(cs, step.slope_add)?);
        let x_sum = Num::alloc(cs, step.x_sum)?;
        let slope_double = Lc::from(Num::alloc(cs, step.slope_double)?);
        let next = (Lc::from(Num::alloc(cs, step.next.x)?), Lc::from(Num::alloc(cs, step.next.y)?));
        let (qx, qy) = (Lc::from(q.0), Lc::from(q.1));
        // q is one of +-P2, +-phi(P2).
        enforce(cs, &(qx.clone() - &px), &(qx.clone() - &px.clone().scale(zeta)), &Lc::zero());
        enforce(cs, &(qy.clone() - &py), &(qy.clone() + &py), &Lc::zero());
        // acc + q.
        enforce(cs, &slope_add, &(acc.0.clone() - &qx), &(acc.1.clone() - &qy));
        enforce(cs, &slope_add, &slope_add, &(acc.0.clone() + &qx).plus(Fq::ONE, &x_sum));
        // (acc + q) + acc, without the y of the sum.
        let dx = acc.0.clone().plus(-Fq::ONE, &x_sum);
        enforce(cs, &(slope_add + &slope_double), &dx, &acc.1.clone().scale(Fq::from(2)));
        enforce(cs, &slope_double, &slope_double, &(next.0.clone() + &acc.0).plus(Fq::ONE, &x_sum));
        enforce(cs, &slope_double, &(acc.0.clone() - &next.0), &(next.1.clone() + &acc.1));
        acc = next;
        let weight = Fq::from_u128(1 << (63 - i));
        sums = (sums.0.plus(weight, &q.0), sums.1.plus(weight, &q.1));
    }

    // r = r_y + 2^64 r_x, with the signs counted by sum 2^i y_i and the exponents by sum 2^i x_i.
    let r_y = Num::alloc(cs, Fq::from((claim.r & u128::from(u64::MAX)) as u64))?;
    let full = Fq::from(u64::MAX);
    let shift = Fq::from_u128(1 << 64).invert().expect("two is a unit of Fq");
    let signs = Lc::zero().plus(Fq::from(2), &r_y).plus_lc(-full, &Lc::one());
    enforce(cs, &py, &signs, &sums.1);
    let exponents = Lc::from(r).plus(-Fq::ONE, &r_y).scale(shift * (zeta - Fq::ONE)).plus_lc(full, &Lc::one());
    enforce(cs, &px, &exponents, &sums.0);

    // P3 = P1 + acc for different x.
    let dx = acc.0.clone().plus(-Fq::ONE, &x1);
    enforce_nonzero(cs, &dx)?;
    let dy = acc.1.clone().plus(-Fq::ONE, &y1);
    let slope = Lc::from(Num::alloc(cs, dy.value * dx.value.invert().unwrap_or(Fq::ZERO))?);
    enforce(cs, &slope, &dx, &dy);
    enforce(cs, &slope, &slope, &acc.0.plus(Fq::ONE, &x1).plus(Fq::ONE, &x3));
    enforce(cs, &slope, &Lc::from(x1).plus(-Fq::ONE, &x3), &Lc::from(y3).plus(Fq::ONE, &y1));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::{Fr, G1};
    use crate::gadgets::testing::{Recorder, element, integer, record, rng};
    use group::Group;
    use num_bigint::{BigInt, Sign};
    use rand_core::RngCore;
    use std::collections::BTreeSet;

    /// Witness variables: two for each curve check, seven for each of 64 turns, r_y, an inverse and the last slope.
    const VARIABLES: usize = 2 * 2 + 7 * 64 + 3;
    /// Row of the curve check of P1 and P2, of the two sums, and of the last addition.
    const ON_CURVE: [usize; 2] = [2, 5];
    const SIGNS: usize = 6 + 7 * 64;
    const EXPONENTS: usize = SIGNS + 1;
    const NONZERO: usize = SIGNS + 2;
    const R_Y: usize = 4 + 7 * 64;

    type Affine = (Fq, Fq);

    fn inverse(x: Fq) -> Fq {
        x.invert().expect("not zero")
    }

    /// The chord through two points, whatever curve `y^2 = x^3 + b` they lie on.
    fn chord(p: Affine, q: Affine) -> (Fq, Affine) {
        let slope = (q.1 - p.1) * inverse(q.0 - p.0);
        let x = slope.square() - p.0 - q.0;
        (slope, (x, slope * (p.0 - x) - p.1))
    }

    /// What a prover writes, from affine formulas alone. `p3` is where the last chord ends.
    fn written(p1: Affine, p2: Affine, r: u128) -> (Vec<Fq>, Affine) {
        let zeta = ENDOMORPHISM.zeta;
        let mut aux = Vec::new();
        for (x, y) in [p1, p2] {
            aux.extend([x.square(), y.square()]);
        }
        let mut acc = (zeta.square() * p2.0, -p2.1);
        for i in (0..64).rev() {
            let q =
                (if r >> (64 + i) & 1 == 1 { zeta * p2.0 } else { p2.0 }, if r >> i & 1 == 1 { p2.1 } else { -p2.1 });
            let (slope_add, sum) = chord(acc, q);
            let (slope_double, next) = chord(sum, acc);
            aux.extend([q.0, q.1, slope_add, sum.0, slope_double, next.0, next.1]);
            acc = next;
        }
        let (slope, p3) = chord(p1, acc);
        aux.extend([Fq::from(r as u64), inverse(acc.0 - p1.0), slope]);
        (aux, p3)
    }

    fn circuit(claim: &CfClaim) -> Recorder<Fq> {
        record(|cs| synthesize(cs, claim)).0
    }

    fn random_point(rng: &mut impl RngCore) -> G1Affine {
        G1::random(rng).to_affine()
    }

    fn random_claim(rng: &mut impl RngCore, r: u128) -> CfClaim {
        let [p1, p2] = [(); 2].map(|()| random_point(rng));
        CfClaim::compute(p1, p2, r)
    }

    fn challenges(rng: &mut impl RngCore) -> Vec<u128> {
        let alternating = 0x5555_5555_5555_5555_5555_5555_5555_5555;
        let low = u128::from(u64::MAX);
        let mut all = vec![0, u128::MAX, low, !low, alternating, !alternating, 1, 1 << 63, 1 << 64, 1 << 127];
        all.extend((0..4).map(|_| u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64())));
        all
    }

    /// Overwrites public inputs and witness.
    fn offer(cs: &mut Recorder<Fq>, p1: Affine, p2: Affine, r: Fq, aux: Vec<Fq>, p3: Affine) {
        cs.inputs[1..].copy_from_slice(&[p1.0, p1.1, p2.0, p2.1, p3.0, p3.1, r]);
        cs.aux = aux;
    }

    #[test]
    fn true_claims_are_satisfied() {
        let mut rng = rng(1);
        for r in challenges(&mut rng) {
            let claim = random_claim(&mut rng, r);
            let cs = circuit(&claim);
            assert!(cs.is_satisfied(), "r = {r:x}");
            assert_eq!((cs.num_rows(), cs.aux.len(), cs.inputs.len()), (460, VARIABLES, CF_IO + 1));
            // The group's own arithmetic with the scalar from its definition, and affine formulas.
            let lambda = ENDOMORPHISM.lambda;
            let mut scalar = Fr::from_u128(1 << 64) * (Fr::ONE + lambda);
            for i in 0..64 {
                let term = Fr::from(1 << i) * if r >> (64 + i) & 1 == 1 { lambda } else { Fr::ONE };
                scalar += if r >> i & 1 == 1 { term } else { -term };
            }
            assert_eq!(claim.p3, (G1::from(claim.p1) + claim.p2 * scalar).to_affine());
            let (aux, p3) = written((claim.p1.x, claim.p1.y), (claim.p2.x, claim.p2.y), r);
            assert_eq!((cs.aux, (claim.p3.x, claim.p3.y)), (aux, p3));
        }
    }

    #[test]
    fn the_claim_fixes_every_variable() {
        let mut rng = rng(2);
        for r in [0, u128::MAX, 1 << 100 | 77] {
            let cs = circuit(&random_claim(&mut rng, r));
            assert_eq!((cs.free_variables(), cs.freedom(&[])), (vec![], 0));
        }
    }

    /// Each row of the last addition alone refuses a P3 made to fit the others.
    #[test]
    fn every_row_of_the_last_addition_counts() {
        let mut rng = rng(10);
        let claim = random_claim(&mut rng, 1 << 70 | 3);
        let (x1, y1) = (claim.p1.x, claim.p1.y);
        let honest = circuit(&claim);
        let acc_x = honest.aux[R_Y - 2];
        let slope = honest.aux[R_Y + 2];
        let (other, x3) = (Fq::random(&mut rng), Fq::random(&mut rng));
        let x_of_other = other.square() - acc_x - x1;
        for (slope, x3, y3, row) in [
            (other, x_of_other, other * (x1 - x_of_other) - y1, NONZERO + 1),
            (slope, x3, slope * (x1 - x3) - y1, NONZERO + 2),
            (slope, claim.p3.x, -claim.p3.y, NONZERO + 3),
        ] {
            let mut cs = circuit(&claim);
            cs.aux[R_Y + 2] = slope;
            (cs.inputs[5], cs.inputs[6]) = (x3, y3);
            assert_eq!(cs.unsatisfied(), [row]);
        }
    }

    #[test]
    fn every_public_input_counts() {
        let mut rng = rng(3);
        let claim = random_claim(&mut rng, 12345);
        for i in 1..=CF_IO {
            for change in [Fq::ONE, -Fq::ONE, Fq::random(&mut rng)] {
                let mut cs = circuit(&claim);
                cs.inputs[i] += change;
                assert!(!cs.is_satisfied(), "input {i}");
            }
            let mut cs = circuit(&claim);
            cs.inputs[i] = -cs.inputs[i];
            assert!(!cs.is_satisfied(), "input {i} negated");
        }
    }

    #[test]
    fn a_wrong_result_is_refused() {
        let mut rng = rng(4);
        let claim = random_claim(&mut rng, 999);
        let wrongs =
            [random_point(&mut rng), -claim.p3, claim.p1, claim.p2, (-G1::from(claim.p3)).double().to_affine()];
        for p3 in wrongs {
            let cs = circuit(&CfClaim { p3, ..claim });
            assert!(cs.unsatisfied().iter().all(|row| *row > NONZERO) && !cs.is_satisfied());
        }
    }

    #[test]
    fn another_challenge_is_refused() {
        let mut rng = rng(5);
        for r in challenges(&mut rng) {
            let claim = random_claim(&mut rng, r);
            for i in [0, 1, 31, 62, 63, 64, 65, 100, 126, 127] {
                // As the witness of the other challenge, and as its number alone.
                let other = CfClaim { r: r ^ 1 << i, ..claim };
                assert!(!circuit(&other).is_satisfied());
                let mut cs = circuit(&claim);
                cs.inputs[CF_IO] = Fq::from_u128(other.r);
                assert_eq!(cs.unsatisfied(), [EXPONENTS]);
                // With the number's r_y too, the signs refuse, or the exponents where r_y is the same.
                cs.aux[R_Y] = Fq::from(other.r as u64);
                assert_eq!(cs.unsatisfied(), [if i < 64 { SIGNS } else { EXPONENTS }]);
            }
        }
    }

    /// The rows of the sums fix r_y and r_x one by one, so no other split and no number beyond 2^128 has a witness.
    #[test]
    fn another_split_of_the_challenge_is_refused() {
        let mut rng = rng(6);
        let two64 = Fq::from_u128(1 << 64);
        for r in challenges(&mut rng) {
            let claim = random_claim(&mut rng, r);
            for (r_y, r_x) in [(two64, -Fq::ONE), (-two64, Fq::ONE), (two64.double(), -Fq::from(2))] {
                let mut cs = circuit(&claim);
                cs.aux[R_Y] += r_y;
                assert_eq!(cs.inputs[CF_IO], Fq::from_u128(r) + r_y + two64 * r_x);
                assert_eq!(cs.unsatisfied(), [SIGNS, EXPONENTS]);
            }
            for outside in [Fq::from_u128(1 << 127).double(), -Fq::from_u128(1 << 127), two64.square() + two64] {
                let mut cs = circuit(&claim);
                cs.inputs[CF_IO] += outside;
                assert_eq!(cs.unsatisfied(), [EXPONENTS]);
                cs.aux[R_Y] += outside;
                assert_eq!(cs.unsatisfied(), [SIGNS]);
            }
        }
    }

    /// On another curve `y^2 = x^3 + b` every other row holds: only the curve check refuses.
    #[test]
    fn points_off_the_curve_are_refused() {
        let mut rng = rng(7);
        let on = |rng: &mut _| {
            let p = random_point(rng);
            (p.x, p.y)
        };
        let off = |rng: &mut _| (Fq::random(&mut *rng), Fq::random(&mut *rng));
        for r in [0, 1 << 90 | 5, u128::MAX] {
            let mut cs = circuit(&random_claim(&mut rng, r));
            for (p1, p2, rows) in [
                (on(&mut rng), on(&mut rng), vec![]),
                (off(&mut rng), on(&mut rng), vec![ON_CURVE[0]]),
                (on(&mut rng), off(&mut rng), vec![ON_CURVE[1]]),
                (off(&mut rng), off(&mut rng), ON_CURVE.to_vec()),
            ] {
                let (aux, p3) = written(p1, p2, r);
                offer(&mut cs, p1, p2, Fq::from_u128(r), aux, p3);
                assert_eq!(cs.unsatisfied(), rows);
            }
            // (0, 0) for P1 has no chord trouble either: it is the curve check that keeps the identity's coordinates
            // out.
            let (p1, p2) = ((Fq::ZERO, Fq::ZERO), on(&mut rng));
            let (aux, p3) = written(p1, p2, r);
            offer(&mut cs, p1, p2, Fq::from_u128(r), aux, p3);
            assert_eq!(cs.unsatisfied(), [ON_CURVE[0]]);
        }
    }

    /// P2 = (0, 0) makes both sums zero whatever r is, and every point of the loop (0, 0).
    #[test]
    fn the_identity_is_no_operand() {
        let mut rng = rng(8);
        let p1 = random_point(&mut rng);
        let mut cs = circuit(&random_claim(&mut rng, 0));
        let zero = (Fq::ZERO, Fq::ZERO);
        let mut aux = vec![Fq::ZERO; VARIABLES];
        (aux[0], aux[1]) = (p1.x.square(), p1.y.square());
        let (slope, p3) = chord((p1.x, p1.y), zero);
        (aux[R_Y + 1], aux[R_Y + 2]) = (inverse(-p1.x), slope);
        for r in [Fq::ZERO, Fq::from(77)] {
            offer(&mut cs, (p1.x, p1.y), zero, r, aux.clone(), p3);
            assert_eq!(cs.unsatisfied(), [ON_CURVE[1]]);
        }
    }

    /// With P1 = r P2 the last slope is free, and with it P3: only the row for the difference of x refuses.
    #[test]
    fn the_last_addition_refuses_equal_x() {
        let mut rng = rng(9);
        for r in challenges(&mut rng) {
            let p2 = random_point(&mut rng);
            let product = (p2 * effective_challenge(r)).to_affine();
            let honest = circuit(&CfClaim::compute(random_point(&mut rng), p2, r));
            let p1 = product;
            for slope in [Fq::ZERO, Fq::ONE, Fq::random(&mut rng)] {
                let x = slope.square() - p1.x.double();
                let p3 = (x, slope * (p1.x - x) - p1.y);
                for hint in [Fq::ZERO, Fq::ONE, Fq::random(&mut rng)] {
                    let mut cs = circuit(&random_claim(&mut rng, r));
                    let mut aux = honest.aux.clone();
                    (aux[0], aux[1]) = (p1.x.square(), p1.y.square());
                    (aux[R_Y + 1], aux[R_Y + 2]) = (hint, slope);
                    offer(&mut cs, (p1.x, p1.y), (p2.x, p2.y), Fq::from_u128(r), aux, p3);
                    assert_eq!(cs.unsatisfied(), [NONZERO]);
                }
            }
            // P1 = -r P2, whose sum is the identity: no slope at all.
            let cs = circuit(&CfClaim { p1: -product, p2, p3: p2, r });
            assert!(cs.unsatisfied().contains(&NONZERO));
        }
    }

    /// An exact shortest vector of the lattice `{(a, b): a + b lambda = 0 mod r}` (Gauss), and with it that the loop
    /// meets no exceptional case and no two challenges are the same scalar.
    #[test]
    fn no_small_multiple_vanishes() {
        let int = |x: &Fr| BigInt::from_biguint(Sign::Plus, integer(x));
        let modulus: BigInt = int(&-Fr::ONE) + 1;
        let dot = |u: &[BigInt; 2], v: &[BigInt; 2]| &u[0] * &v[0] + &u[1] * &v[1];
        let mut u = [modulus.clone(), BigInt::ZERO];
        let mut v = [-int(&ENDOMORPHISM.lambda), BigInt::from(1)];
        loop {
            if dot(&u, &u) > dot(&v, &v) {
                std::mem::swap(&mut u, &mut v);
            }
            let norm = dot(&u, &u);
            // The nearest integer to <u, v> / <u, u>: floor of it plus a half.
            let doubled: BigInt = dot(&u, &v) * 2 + &norm;
            let twice = &norm * 2;
            let mut m = &doubled / &twice;
            if &m * &twice > doubled {
                m -= 1;
            }
            if m == BigInt::ZERO {
                break;
            }
            v = [&v[0] - &m * &u[0], &v[1] - &m * &u[1]];
        }
        let determinant: BigInt = &u[0] * &v[1] - &u[1] * &v[0];
        assert_eq!(determinant.magnitude(), modulus.magnitude());
        assert_eq!(
            element::<Fr>(u[0].magnitude()).square(),
            (ENDOMORPHISM.lambda * element::<Fr>(u[1].magnitude())).square()
        );
        let norm = dot(&u, &u);
        assert!(norm > BigInt::from(1) << 252);

        // acc = a + b lambda starts at (1, 1) and doubles with one of +-1, +-lambda added: the extremes of each
        // coordinate.
        let mut extremes = [1i128, 1];
        for _ in 0..64 {
            // acc - q, acc + q, acc + q + acc and 2 acc + q are never (0, 0), as a >= 1 and b >= 1 and at most one of
            // them changes by one, and each is far shorter than the shortest vector.
            assert!(extremes[0] >= 1);
            let longest = BigInt::from(2 * extremes[1] + 1);
            assert!(&longest * &longest * 2 < norm);
            extremes = [2 * extremes[0] - 1, 2 * extremes[1] + 1];
        }
        assert!(extremes[1] < 1 << 66);
        // Two challenges differ by less than twice the extremes, so their scalars differ.
        let longest = BigInt::from(2 * extremes[1]);
        assert!(&longest * &longest * 2 < norm);
    }

    /// Different bits are different (a, b): no challenge has two encodings.
    #[test]
    fn scalars_of_short_challenges_are_distinct() {
        let scalars: BTreeSet<_> = (0..=255u128)
            .map(|bits| effective_challenge((bits & 15) | (bits >> 4) << 64))
            .map(|scalar| integer(&scalar))
            .collect();
        assert_eq!(scalars.len(), 256);
    }
}
