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
