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
