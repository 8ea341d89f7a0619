//! Membership in the prime-order subgroup by one exponentiation in the field, an eighth of the price of multiplying by
//! `l`.
//!
//! The group of points is cyclic of order `8 l`, so the subgroup of order `l` is `8 E`. Let `T` have order 8. The
//! reduced Tate pairing `P -> f(P)^((r-1)/8)`, where `f` has the divisor `8 (T) - 8 (O)` and leading coefficient one at
//! `O`, is a homomorphism of points whose kernel is `8 E`, because it is not degenerate on `E / 8 E` times the points
//! of order 8, all of which are rational, and 8 divides `r - 1` (Frey, Rück, 1994; for membership tests: Koshelev,
//! "Subgroup membership testing on elliptic curves via the Tate pairing", 2022).
//!
//! On the Montgomery form `v^2 = u^3 + 168698 u^2 + u` with `u = (1+y)/(1-y)`, `v = u/x`, Miller's algorithm gives `f =
//! L^4 K^2 / ((u-1)^4 u)`: `L = v - LAMBDA u - MU` is the tangent at `T`, `K = v - NU u` the one at `2 T = (1, NU)`,
//! and `4 T = (0, 0)`. Eighth powers don't matter, so the sign of an exponent of four doesn't either, and denominators
//! become numerators. After a second change of sign, of all exponents, `x` and `y` go in:
//!
//! `1 / f ~ (1 - y^2) ((1+y) x (1 - NU x))^6 (y N)^4` with `N = (1+y) (1 - LAMBDA x) - MU x (1-y)`,
//!
//! up to the factor `2^4`, an eighth power as 2 is a square. This vanishes at points of order 1, 2, 4 or 8 only.

use crowdfold_fold::Fr;
use ff::Field;

use super::point::Point;

/// The slope of the tangent at `T`.
const LAMBDA: Fr = Fr::from_raw([0x0ff667dde8931849, 0x76002bdbfb8eafb0, 0xb417a645993fcf50, 0x250f73abc3011f88]);
/// Where that tangent meets `u = 0`.
const MU: Fr = Fr::from_raw([0x88077e47e608aeae, 0x91607d5c3541ff43, 0xeb47c52c143126aa, 0x2bc605ef04297cd1]);
/// The second coordinate of `2 T` in Montgomery form, a square root of 168700.
const NU: Fr = Fr::from_raw([0xefc605021164390b, 0x49072758c2a2322e, 0xd1411ffb5591babf, 0x0ff3234afb38a3f8]);
/// `(r - 1) / 8`.
const EXPONENT: [u64; 4] = [0x287c3eb27e000000, 0xa5067d090f372e12, 0x370a08b6d0302b0b, 0x060c89ce5c263405];

/// Whether a point of the curve lies in the subgroup of prime order.
pub(super) fn contains(point: &Point) -> bool {
    let Point { x, y } = *point;
    let (plus, minus) = (Fr::ONE + y, Fr::ONE - y);
    let k = plus * x * (Fr::ONE - NU * x);
    let n = plus * (Fr::ONE - LAMBDA * x) - MU * x * minus;
    let value = plus * minus * (k.square() * k * (y * n).square()).square();
    *point == Point::IDENTITY || value.pow_vartime(EXPONENT) == Fr::ONE
}
