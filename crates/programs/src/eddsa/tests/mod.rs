//! Tests of the whole module: group laws here, signatures that must not verify, and zk-kit's vectors.

mod negative;
mod vectors;

use std::ops::Range;

use crowdfold_fold::Fr;
use ff::Field;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

use super::extended::{Extended, Niels};
use super::msm::sum_of_multiples;
use super::{Point, PublicKey, Scalar, SecretKey, Signature, blake512, verify};

/// A point of order 8.
const TORSION: Point = Point {
    x: Fr::from_raw([0xd6a1e0e5854c60e3, 0xd006d8f522066be0, 0x8e9f746b5c616985, 0x26ca6a00b96d21a1]),
    y: Fr::from_raw([0xabfd1e81afd0d677, 0xb791c56d8234b5a0, 0x63c1127d4ba6942c, 0x0aabb7211172d314]),
};

/// `l`, which no scalar can be.
const ORDER: [u64; 4] = [0x677297dc392126f1, 0xab3eedb83920ee0a, 0x370a08b6d0302b0b, 0x060c89ce5c263405];

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// `0, TORSION, ..., 7 TORSION`.
fn torsion_points() -> [Point; 8] {
    std::array::from_fn(|i| TORSION.mul(&Scalar::from(i as u64)))
}

/// `l P`.
fn times_order(point: &Point) -> Point {
    Extended::from(point).times(&ORDER, Scalar::BITS).to_affine()
}

/// The sum by the affine law of EIP-2494.
fn sum_by_definition(p: &Point, q: &Point) -> Point {
    let (a, d) = (Fr::from(168_700), Fr::from(168_696));
    let t = d * p.x * q.x * p.y * q.y;
    Point {
        x: (p.x * q.y + p.y * q.x) * (Fr::ONE + t).invert().unwrap(),
        y: (p.y * q.y - a * p.x * q.x) * (Fr::ONE - t).invert().unwrap(),
    }
}

fn arb_scalar() -> impl Strategy<Value = Scalar> {
    any::<[u8; 32]>().prop_map(|bytes| Scalar::reduce(&bytes))
}

fn arb_element() -> impl Strategy<Value = Fr> {
    any::<u64>().prop_map(|seed| Fr::random(rng(seed)))
}

/// A point of the subgroup.
fn arb_member() -> impl Strategy<Value = Point> {
    arb_scalar().prop_map(|scalar| Point::BASE8.mul(&scalar))
}

/// Any point of the curve.
fn arb_point() -> impl Strategy<Value = Point> {
    (arb_member(), 0..8usize).prop_map(|(point, i)| point + torsion_points()[i])
}

fn arb_terms(count: Range<usize>) -> impl Strategy<Value = Vec<(Point, Scalar)>> {
    proptest::collection::vec((arb_point(), arb_scalar()), count)
}

proptest! {
    #[test]
    fn sums_are_those_of_the_affine_law(p in arb_point(), q in arb_point(), r in arb_point()) {
        prop_assert!((p + q).is_on_curve());
        prop_assert_eq!(p + q, sum_by_definition(&p, &q));
        prop_assert_eq!(p + p, sum_by_definition(&p, &p));
        prop_assert_eq!(p + q, q + p);
        prop_assert_eq!((p + q) + r, p + (q + r));
        prop_assert_eq!(p + -p, Point::IDENTITY);
        prop_assert_eq!(p + Point::IDENTITY, p);
        prop_assert_eq!(Extended::from(&p).minus_affine(&Niels::from(&q)).to_affine(), p + -q);
    }

    #[test]
    fn multiples_in_the_subgroup_are_linear(p in arb_member(), m in arb_scalar(), n in arb_scalar()) {
        prop_assert_eq!(p.mul(&m) + p.mul(&n), p.mul(&(m + n)));
        prop_assert_eq!(p.mul(&m).mul(&n), p.mul(&(m * n)));
    }

    #[test]
    fn the_table_agrees_with_multiplication(n in arb_scalar()) {
        let slow = Extended::from(&Point::BASE8).times(&n.words(), Scalar::BITS).to_affine();
        prop_assert_eq!(Point::BASE8.mul(&n), slow);
    }

    #[test]
    fn sums_of_multiples_agree_with_multiplication(
        // The larger number is on both sides of where the algorithm changes.
        terms in prop_oneof![9 => arb_terms(0..5), 1 => arb_terms(90..103)],
    ) {
        let points: Vec<Point> = terms.iter().map(|(point, _)| *point).collect();
        let values: Vec<[u64; 4]> = terms.iter().map(|(_, value)| value.words()).collect();
        let expected = terms.iter().fold(Point::IDENTITY, |sum, (point, value)| sum + point.mul(value));
        prop_assert_eq!(sum_of_multiples(&points, &values, Scalar::BITS).to_affine(), expected);
    }

    #[test]
    fn membership_is_that_of_multiples_of_the_order(p in arb_member()) {
        for (i, torsion) in torsion_points().iter().enumerate() {
            let point = p + *torsion;
            prop_assert_eq!(point.in_subgroup(), i == 0);
            prop_assert_eq!(times_order(&point) == Point::IDENTITY, i == 0);
        }
    }

    #[test]
    fn a_point_survives_its_bytes(p in arb_point()) {
        prop_assert_eq!(Point::unpack(&p.pack()), Some(p));
        prop_assert_eq!(Point::unpack(&(-p).pack()), Some(-p));
    }

    #[test]
    fn bytes_of_a_point_are_the_points_bytes(bytes in any::<[u8; 32]>()) {
        if let Some(point) = Point::unpack(&bytes) {
            prop_assert!(point.is_on_curve());
            prop_assert_eq!(point.pack(), bytes);
        }
    }

    #[test]
    fn a_signature_verifies_and_survives_its_bytes(secret in any::<[u8; 32]>(), message in arb_element()) {
        let key = SecretKey::from_bytes(secret);
        let signature = key.sign(message);
        prop_assert!(verify(&key.public(), message, &signature));
        prop_assert_eq!(Signature::from_bytes(&signature.to_bytes()), Some(signature));
        prop_assert_eq!(PublicKey::unpack(&key.public().pack()), Some(key.public()));
    }
}

#[test]
fn the_group_has_the_order_and_the_generator_of_eip_2494() {
    assert!(Point::BASE8.is_on_curve() && Point::BASE8.in_subgroup());
    assert_eq!(times_order(&Point::BASE8), Point::IDENTITY);
    assert_eq!(TORSION.mul_by_cofactor(), Point::IDENTITY);
    assert_eq!(torsion_points()[4], Point { x: Fr::ZERO, y: -Fr::ONE });
    assert!(Point::IDENTITY.in_subgroup());
    for torsion in &torsion_points()[1..] {
        assert!(torsion.is_on_curve() && !torsion.in_subgroup());
    }
}

#[test]
fn edges_of_scalars_multiply_correctly() {
    let minus_one = Scalar::reduce(&words_to_bytes([ORDER[0] - 1, ORDER[1], ORDER[2], ORDER[3]]));
    assert_eq!(Point::BASE8.mul(&minus_one), -Point::BASE8);
    assert_eq!(Point::BASE8.mul(&Scalar::from(0u64)), Point::IDENTITY);
    for value in [1u64, 15, 16, 17, 31, 32, 127, 128, 129, 255, 256, u64::MAX] {
        let point = Point::BASE8 + TORSION;
        let by_doubling = (0..64).rev().fold(Point::IDENTITY, |sum, bit| {
            let sum = sum + sum;
            if value >> bit & 1 == 1 { sum + point } else { sum }
        });
        assert_eq!(point.mul(&Scalar::from(value)), by_doubling);
        let base = Extended::from(&Point::BASE8).times(&[value, 0, 0, 0], 64).to_affine();
        assert_eq!(Point::BASE8.mul(&Scalar::from(value)), base);
    }
}

#[test]
fn scalars_are_reduced_modulo_the_order() {
    let order = words_to_bytes(ORDER);
    assert_eq!(Scalar::from_bytes(&order), None);
    assert_eq!(Scalar::from_bytes(&[0xff; 32]), None);
    assert_eq!(Scalar::reduce(&order), Scalar::from(0u64));
    let mut wide = [0; 64];
    wide[32..].copy_from_slice(&order);
    wide[0] = 5;
    assert_eq!(Scalar::reduce_wide(&wide), Scalar::from(5u64));
    // r = 8 l - 48 ..., so the largest element is reduced.
    let largest = Scalar::reduce_fr(&-Fr::ONE);
    assert_eq!(Point::BASE8.mul(&largest), {
        let words = bytes_to_words(&(-Fr::ONE).to_bytes());
        Extended::from(&Point::BASE8).times(&words, 254).to_affine()
    });
    let value = Scalar::reduce(&[7; 32]);
    assert_eq!(Scalar::from_bytes(&value.to_bytes()), Some(value));
    assert_eq!(words_to_bytes(value.words()), value.to_bytes());
}

#[test]
fn the_hash_is_blake_512() {
    // From the proposal, section 2.2's test vector of one block.
    let expected = "97961587f6d970faba6d2478045de6d1fabd09b61ae50932054d52bc29d31be4\
                    ff9102b9f69e2bbdb83be13d4b9c06091e5fa0b48bd081b634058be0ec49beb3";
    assert_eq!(hex::encode(blake512::hash(&[0])), expected);
}

#[test]
#[should_panic(expected = "at most 111 bytes")]
fn the_hash_refuses_a_second_block() {
    blake512::hash(&[0; 112]);
}

#[test]
fn secrets_are_not_printed() {
    let secret = [0xabu8; 32];
    let printed = format!("{:?}", SecretKey::from_bytes(secret));
    assert!(!printed.contains("171") && !printed.contains("abab"), "{printed}");
    assert_eq!(SecretKey::from_bytes(secret).to_bytes(), secret);
}

fn words_to_bytes(words: [u64; 4]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (chunk, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *chunk = word.to_le_bytes();
    }
    bytes
}

fn bytes_to_words(bytes: &[u8; 32]) -> [u64; 4] {
    let words = bytes.as_chunks::<8>().0;
    std::array::from_fn(|i| u64::from_le_bytes(words[i]))
}

/// Signatures of random messages by as many keys.
fn signed(count: usize, seed: u64) -> Vec<(PublicKey, Fr, Signature)> {
    let mut rng = rng(seed);
    let mut one = || {
        let key = SecretKey::random(&mut rng);
        let message = Fr::from(rng.next_u64());
        (key.public(), message, key.sign(message))
    };
    (0..count).map(|_| one()).collect()
}
