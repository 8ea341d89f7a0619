//! The double-and-add trace that the CycleFold circuit and the Grumpkin ladder share.

use ff::{BatchInvert, Field};
use group::Curve;
use halo2curves::CurveAffine;

/// One iteration `next = (acc + q) + acc` in affine coordinates.
#[derive(Clone, Copy, Debug)]
pub struct LadderStep<C: CurveAffine> {
    /// The point added.
    pub q: C,
    /// Slope of the line through `acc` and `q`.
    pub slope_add: C::Base,
    /// x of `acc + q`.
    pub x_sum: C::Base,
    /// Slope of the line through `acc + q` and `acc`.
    pub slope_double: C::Base,
    /// The new accumulator.
    pub next: C,
}

/// Runs `acc = (acc + q) + acc` over `qs`, starting at `start`, with two batched inversions in all.
///
/// Where an exceptional case occurs (only with inputs that the circuits refuse) the values are those of a zero inverse,
/// which satisfy no row.
pub fn ladder_trace<C: CurveAffine>(start: C, qs: &[C]) -> Vec<LadderStep<C>> {
    let mut projective = Vec::with_capacity(2 * qs.len());
    let mut acc: C::CurveExt = start.into();
    for q in qs {
        let sum = acc + *q;
        acc += sum;
        projective.push(sum);
        projective.push(acc);
    }
    let mut affine = vec![C::identity(); projective.len()];
    C::CurveExt::batch_normalize(&projective, &mut affine);

    let coordinates = |p: &C| {
        let c: Option<halo2curves::Coordinates<C>> = p.coordinates().into();
        c.map_or((C::Base::ZERO, C::Base::ZERO), |c| (*c.x(), *c.y()))
    };
    let mut inverses = Vec::with_capacity(projective.len());
    let mut before = coordinates(&start);
    for (pair, q) in affine.chunks_exact(2).zip(qs) {
        let (x_sum, _) = coordinates(&pair[0]);
        inverses.push(before.0 - coordinates(q).0);
        inverses.push(before.0 - x_sum);
        before = coordinates(&pair[1]);
    }
    inverses.iter_mut().batch_invert();

    let mut before = coordinates(&start);
    affine
        .chunks_exact(2)
        .zip(qs)
        .zip(inverses.chunks_exact(2))
        .map(|((pair, q), inverse)| {
            let slope_add = (before.1 - coordinates(q).1) * inverse[0];
            let slope_double = before.1.double() * inverse[1] - slope_add;
            let step = LadderStep { q: *q, slope_add, x_sum: coordinates(&pair[0]).0, slope_double, next: pair[1] };
            before = coordinates(&pair[1]);
            step
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::{CycleCurve, G1Affine, GkAffine};
    use crate::gadgets::testing::rng;
    use group::{Group, prime::PrimeCurveAffine};

    fn xy<C: CycleCurve>(p: C) -> (C::Base, C::Base) {
        let c = Option::<halo2curves::Coordinates<C>>::from(p.coordinates()).expect("not the identity");
        (*c.x(), *c.y())
    }

    fn equals_affine_arithmetic<C: CycleCurve>() {
        let mut rng = rng(1);
        let random = |rng: &mut _| C::CurveExt::random(rng).to_affine();
        for n in [0, 1, 2, 64, 126] {
            let start: C = random(&mut rng);
            let qs: Vec<C> = (0..n).map(|_| random(&mut rng)).collect();
            let trace = ladder_trace(start, &qs);
            assert_eq!(trace.len(), n);
            let mut acc = start;
            for (step, q) in trace.iter().zip(&qs) {
                let sum = (acc.to_curve() + *q).to_affine();
                let [(ax, ay), (sx, sy), (qx, qy)] = [acc, sum, *q].map(xy);
                assert_eq!(step.q, *q);
                assert_eq!(step.x_sum, sx);
                assert_eq!(step.slope_add * (ax - qx), ay - qy);
                assert_eq!(step.slope_double * (ax - sx), ay - sy);
                acc = (acc.to_curve() + *q + acc).to_affine();
                assert_eq!(step.next, acc);
            }
        }
    }

    #[test]
    fn trace_equals_affine_arithmetic() {
        equals_affine_arithmetic::<G1Affine>();
        equals_affine_arithmetic::<GkAffine>();
    }

    /// acc = q, acc = -q and q = -2 acc: no panic, and the values satisfy no line through different points.
    #[test]
    fn exceptional_cases_do_not_panic() {
        let p = (GkAffine::generator().to_curve()).double().to_affine();
        let minus_twice = (-p.to_curve().double()).to_affine();
        for q in [p, -p, minus_twice] {
            assert_eq!(ladder_trace(p, &[q, p]).len(), 2);
        }
    }
}
