use crowdfold_fold::recorder::{Recorder, record};
use nova_snark::frontend::{Index, Variable};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use rand_core::RngCore;

use super::super::{PublicKey, SecretKey, verify as verify_native};
use super::*;

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn checked(key: &PublicKey, message: Fr, witness: &SignatureWitness) -> Recorder<Fr> {
    let (cs, ()) = record(|cs| {
        let key = [Num::alloc(cs, key.x())?, Num::alloc(cs, key.y())?];
        let message = Num::alloc(cs, message)?;
        verify(cs, &key, &message.into(), witness)
    });
    cs
}

fn points(n: usize, seed: u64) -> Vec<Point> {
    let mut rng = rng(seed);
    let mut random = || {
        let mut bytes = [0; 64];
        rng.fill_bytes(&mut bytes);
        Point::BASE8.mul(&Scalar::reduce_wide(&bytes))
    };
    (0..n).map(|_| random()).collect()
}

/// Allocates a point of the curve as the circuit has it.
fn alloc(cs: &mut Recorder<Fr>, point: &Point) -> Result<Montgomery, SynthesisError> {
    let [u, v] = montgomery(point);
    Ok(Montgomery { u: Num::alloc(cs, u)?.into(), v: Num::alloc(cs, v)?.into() })
}

fn value(point: &Montgomery) -> [Fr; 2] {
    [point.u.value, point.v.value]
}

/// The point of order two.
fn order_two() -> Point {
    Point { x: Fr::ZERO, y: -Fr::ONE }
}

#[test]
fn valid_signatures_are_accepted() {
    for (i, message) in [Fr::ZERO, Fr::ONE, -Fr::ONE, Fr::random(rng(1)), Fr::random(rng(2))].into_iter().enumerate() {
        let key = SecretKey::random(&mut rng(i as u64));
        let signature = key.sign(message);
        let cs = checked(&key.public(), message, &(&signature).into());
        assert_eq!(cs.unsatisfied_names(), Vec::<&str>::new());
        assert!(cs.is_satisfied() && cs.free_variables().is_empty());
        assert_eq!(cs.num_rows(), 3238);
    }
}

#[test]
fn nothing_but_the_signature_is_left_open() {
    let key = SecretKey::random(&mut rng(7));
    let cs = checked(&key.public(), Fr::from(5), &(&key.sign(Fr::from(5))).into());
    // Key, message and R8 are the first five variables; all others follow from them.
    let given: Vec<Variable> = (0..5).map(|i| Variable(Index::Aux(i))).collect();
    assert_eq!(cs.freedom(&given), 0);
}

#[test]
fn anything_changed_breaks_the_equation() {
    let key = SecretKey::random(&mut rng(3));
    let message = Fr::from(12);
    let signature = key.sign(message);
    let other = points(1, 9)[0];
    let one = Scalar::from(1u64);
    let changed = [
        (key.public(), message + Fr::ONE, signature),
        (SecretKey::random(&mut rng(4)).public(), message, signature),
        (PublicKey(-key.public().0), message, signature),
        (key.public(), message, Signature { s: signature.s + one, ..signature }),
        (key.public(), message, Signature { s: -signature.s, ..signature }),
        (key.public(), message, Signature { r8: other, ..signature }),
        (key.public(), message, Signature { r8: -signature.r8, ..signature }),
    ];
    for (key, message, signature) in changed {
        assert!(!verify_native(&key, message, &signature));
        let cs = checked(&key, message, &(&signature).into());
        assert_eq!(cs.unsatisfied_names(), ["equation"]);
    }
}

#[test]
fn a_second_form_of_s_is_refused() {
    let message = Fr::from(12);
    let order = -Scalar::from(1u64);
    // S + l has 251 bits for a third of all S.
    let (key, signature, sum) = (0..)
        .find_map(|i| {
            let key = SecretKey::random(&mut rng(i));
            let signature = key.sign(message);
            let (mut sum, mut carry) = ([0; 4], 1);
            for (k, word) in sum.iter_mut().enumerate() {
                let wide = u128::from(signature.s.words()[k]) + u128::from(order.words()[k]) + carry;
                (*word, carry) = (wide as u64, wide >> 64);
            }
            (sum[3] >> (Scalar::BITS - 192) == 0).then_some((key, signature, sum))
        })
        .expect("a third of them");
    let s = std::array::from_fn(|i| Fr::from(sum[i / 64] >> (i % 64) & 1));
    let cs = checked(&key.public(), message, &SignatureWitness { r8: signature.r8, s });
    assert_eq!(cs.unsatisfied_names(), ["S below the order"]);
}

#[test]
fn digits_of_s_that_are_no_bits_are_refused() {
    let key = SecretKey::random(&mut rng(5));
    let signature = key.sign(Fr::ONE);
    for i in [0, 1, 100, 127, 128, 129, 200, 249, 250] {
        let mut witness = SignatureWitness::from(&signature);
        witness.s[i] = Fr::from(2);
        let cs = checked(&key.public(), Fr::ONE, &witness);
        assert!(cs.unsatisfied_names().contains(&"S below the order"), "{i}");
    }
}

#[test]
fn points_off_the_curve_are_refused() {
    let key = SecretKey::random(&mut rng(6));
    let signature = key.sign(Fr::ONE);
    let off = |point: Point| Point { x: point.x + Fr::ONE, y: point.y };
    let cs = checked(&PublicKey(off(key.public().0)), Fr::ONE, &(&signature).into());
    assert!(cs.unsatisfied_names().contains(&"key on curve"));
    let cs = checked(&key.public(), Fr::ONE, &(&Signature { r8: off(signature.r8), ..signature }).into());
    assert!(cs.unsatisfied_names().contains(&"R8 on curve"));
}

#[test]
fn keys_of_small_order_are_refused() {
    // A point of order eight, whose multiples are all others of small order.
    let eighth = (0u64..)
        .find_map(|i| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&i.to_le_bytes());
            let point = Point::unpack(&bytes)?;
            // l = 1 modulo 8 times something odd: l P has small order.
            let torsion = point.mul(&-Scalar::from(1u64)) + point;
            (torsion + torsion + torsion + torsion != Point::IDENTITY).then_some(torsion)
        })
        .expect("half of all points");
    let mut torsion = Point::IDENTITY;
    for _ in 0..8 {
        // R8 = S B8 satisfies the equation for every message.
        let s = Scalar::from(77u64);
        let signature = Signature { r8: Point::BASE8.mul(&s), s };
        let key = PublicKey(torsion);
        assert!(!verify_native(&key, Fr::ONE, &signature));
        let cs = checked(&key, Fr::ONE, &(&signature).into());
        let names = cs.unsatisfied_names();
        assert!(names.contains(&"cofactor") || names.contains(&"key on curve"), "{names:?}");
        torsion = torsion + eighth;
    }
    assert_eq!(torsion, Point::IDENTITY);
}

#[test]
fn conversion_accepts_just_the_curve() {
    let convert = |point: Point| {
        let (cs, out) = record(|cs| {
            let coordinates = [Num::alloc(cs, point.x)?, Num::alloc(cs, point.y)?];
            Montgomery::from_edwards(cs, &coordinates)
        });
        assert_eq!(cs.num_rows(), 5);
        (cs, value(&out))
    };
    for point in points(4, 1) {
        let (cs, out) = convert(point);
        assert!(cs.is_satisfied() && cs.free_variables().is_empty());
        assert_eq!(out, montgomery(&point));
        let off = Point { x: point.x, y: point.y + Fr::ONE };
        assert!(!convert(off).0.is_satisfied());
        assert!(!convert(Point { x: point.y, y: point.x }).0.is_satisfied());
    }
    assert!(!convert(Point::IDENTITY).0.is_satisfied());
    assert!(!convert(Point { x: Fr::ONE, y: Fr::ONE }).0.is_satisfied());
    // u = v = 0 is a solution for any x; the order of this point is two wherever it goes on from here.
    assert!(convert(order_two()).0.is_satisfied());
    assert!(convert(Point { x: Fr::ONE, y: -Fr::ONE }).0.is_satisfied());
}

#[test]
fn the_order_of_two_cannot_be_doubled() {
    let (cs, _) = record(|cs| alloc(cs, &order_two())?.double(cs));
    assert!(!cs.is_satisfied());
    let mut cs = cs;
    for slope in [Fr::ONE, -Fr::ONE, Fr::from(5)] {
        let slope_at = 3;
        cs.aux[slope_at] = slope;
        assert!(!cs.is_satisfied());
    }
}

#[test]
fn double_and_add_are_the_group_law() {
    for pair in points(6, 2).chunks_exact(2) {
        let (cs, out) = record(|cs| alloc(cs, &pair[0])?.double(cs));
        assert_eq!((value(&out), cs.num_rows()), (montgomery(&(pair[0] + pair[0])), 4));
        assert!(cs.is_satisfied() && cs.free_variables().is_empty());

        let (mut cs, out) = record(|cs| {
            let (a, b) = (alloc(cs, &pair[0])?, alloc(cs, &pair[1])?);
            a.add(cs, &b)
        });
        assert_eq!((value(&out), cs.num_rows()), (montgomery(&(pair[0] + pair[1])), 4));
        assert!(cs.is_satisfied() && cs.free_variables().is_empty());
        for i in 4..cs.aux.len() {
            cs.aux[i] += Fr::ONE;
            assert!(!cs.is_satisfied());
            cs.aux[i] -= Fr::ONE;
        }
    }
}

#[test]
fn points_of_equal_u_are_not_added() {
    let point = points(1, 3)[0];
    for other in [point, -point] {
        let (mut cs, _) = record(|cs| {
            let (a, b) = (alloc(cs, &point)?, alloc(cs, &other)?);
            a.add(cs, &b)
        });
        assert!(!cs.is_satisfied());
        // Whatever the inverse is said to be.
        for inverse in [Fr::ONE, -Fr::ONE, Fr::from(7)] {
            cs.aux[4] = inverse;
            assert!(cs.unsatisfied().contains(&0));
        }
    }
}

#[test]
fn the_ladder_multiplies() {
    let bits =
        |value: &[u64; 4], n: usize| -> Vec<Fr> { (0..n).map(|i| Fr::from(value[i / 64] >> (i % 64) & 1)).collect() };
    let largest = [u64::MAX, u64::MAX, u64::MAX, u64::MAX >> 2];
    let scalars = [
        ([0; 4], [0; 4]),
        ((-Scalar::from(1u64)).words(), [1, 0, 0, 0]),
        ([1, 0, 0, 0], largest),
        (Scalar::reduce_fr(&points(1, 4)[0].x).words(), [5, 6, 7, 1 << 61]),
    ];
    for (point, (s, h)) in points(4, 5).into_iter().zip(scalars) {
        let (mut cs, out) = record(|cs| {
            let p = alloc(cs, &point)?;
            let alloc_bits = |cs: &mut Recorder<Fr>, bits: Vec<Fr>| {
                bits.into_iter().map(|bit| Num::alloc(cs, bit)).collect::<Result<Vec<_>, _>>()
            };
            let s = alloc_bits(cs, bits(&s, Scalar::BITS))?;
            let h = alloc_bits(cs, bits(&h, ITERATIONS))?;
            ladder(cs, &p, &s, &h)
        });
        let words = |value: &[u64; 4]| {
            let mut bytes = [0; 32];
            value.iter().enumerate().for_each(|(i, w)| bytes[8 * i..8 * i + 8].copy_from_slice(&w.to_le_bytes()));
            Scalar::reduce(&bytes)
        };
        let expected = Constants::get().excess + Point::BASE8.mul(&words(&s)) + point.mul(&words(&h));
        assert_eq!(value(&out), montgomery(&expected));
        assert!(cs.is_satisfied());
        let given = 2 + Scalar::BITS + ITERATIONS;
        assert_eq!(cs.num_rows(), 2287);
        for i in (given..cs.aux.len()).step_by(13) {
            cs.aux[i] += Fr::ONE;
            assert!(!cs.unsatisfied().is_empty(), "variable {i}");
            cs.aux[i] -= Fr::ONE;
        }
    }
}

#[test]
fn the_share_of_b8_avoids_the_exceptional_cases() {
    // Section 2: before iteration j the accumulator is m B8 / 2 plus some P, with m from 2^j + 1 to 3 2^j - 1 (and 2
    // for j = 0). Up to j = 248 that is below (l - 1) / 2, hence none of 1, -1, (l - 1) / 2 and (l + 1) / 2.
    let order_less_one = (-Scalar::from(1u64)).words();
    assert!(order_less_one[3] / 2 > 3 << (248 - 192));

    let constants = Constants::get();
    assert_eq!(constants.half + constants.half, Point::BASE8);
    let power = (0..ITERATIONS).fold(Scalar::from(1u64), |power, _| power + power);
    assert_eq!(constants.excess, constants.half.mul(&(power + Scalar::from(1u64))));
    assert_eq!(constants.order_less_one, order_less_one);
}
