//! Signatures that must not verify, alone or in a batch, and encodings that must be refused.

use crowdfold_fold::Fr;
use ff::Field;

use super::{ORDER, TORSION, rng, signed, torsion_points, words_to_bytes};
use crate::eddsa::signature::{challenge, equation_holds};
use crate::eddsa::{Point, PublicKey, Scalar, SecretKey, Signature, verify, verify_batch};

/// Large enough for the combination to be tried, and halved.
const BATCH: usize = 21;

type Signed = (PublicKey, Fr, Signature);

/// A signature whose nonce and key have the given points added, made by somebody who knows both secrets.
fn twisted(seed: u64, nonce_twist: Point, key_twist: Point) -> Signed {
    let mut rng = rng(seed);
    let mut scalar = || {
        let mut bytes = [0; 32];
        rand_core::RngCore::fill_bytes(&mut rng, &mut bytes);
        Scalar::reduce(&bytes)
    };
    let (secret, nonce) = (scalar(), scalar());
    let message = Fr::from(seed);
    let key = PublicKey(Point::BASE8.mul(&secret) + key_twist);
    let r8 = Point::BASE8.mul(&nonce) + nonce_twist;
    let h = challenge(&r8, &key, message);
    (key, message, Signature { r8, s: nonce + Scalar::from(8u64) * h * secret })
}

/// Puts `bad` among good signatures and asserts that it alone is refused, in the batch and by itself.
fn assert_refused(bad: Signed) {
    assert!(!verify(&bad.0, bad.1, &bad.2));
    let mut batch = signed(BATCH, 1);
    batch[13] = bad;
    assert_eq!(verify_batch(&batch, &mut rng(2)), Err(vec![13]));
    assert_eq!(verify_batch(&[bad], &mut rng(2)), Err(vec![0]));
}

#[test]
fn good_batches_of_any_size_verify() {
    let batch = signed(70, 3);
    for size in [0, 1, 4, 5, 6, 33, 70] {
        assert_eq!(verify_batch(&batch[..size], &mut rng(4)), Ok(()));
    }
}

#[test]
fn all_bad_indices_are_named() {
    let good = signed(50, 5);
    for bad in [vec![0], vec![49], vec![24, 25], vec![0, 7, 8, 31, 49], (0..50).collect()] {
        let mut batch = good.clone();
        for &i in &bad {
            batch[i].1 += Fr::ONE;
        }
        assert_eq!(verify_batch(&batch, &mut rng(6)), Err(bad));
    }
}

#[test]
fn errors_do_not_cancel_each_other() {
    let mut batch = signed(BATCH, 7);
    let minus_one = Scalar::reduce(&words_to_bytes([ORDER[0] - 1, ORDER[1], ORDER[2], ORDER[3]]));
    batch[3].2.s = batch[3].2.s + Scalar::from(1u64);
    batch[4].2.s = batch[4].2.s + minus_one;
    assert_eq!(verify_batch(&batch, &mut rng(8)), Err(vec![3, 4]));
}

#[test]
fn another_message_is_refused() {
    let (key, message, signature) = signed(1, 9)[0];
    assert_refused((key, message + Fr::ONE, signature));
}

#[test]
fn another_s_is_refused() {
    let (key, message, mut signature) = signed(1, 10)[0];
    signature.s = signature.s + Scalar::from(1u64);
    assert_refused((key, message, signature));
}

#[test]
fn another_nonce_point_is_refused() {
    let (key, message, mut signature) = signed(1, 11)[0];
    signature.r8 = signature.r8 + Point::BASE8;
    assert_refused((key, message, signature));
    signature.r8 = -(signature.r8 + -Point::BASE8);
    assert_refused((key, message, signature));
}

#[test]
fn a_swapped_key_is_refused() {
    let two = signed(2, 12);
    assert_refused((two[1].0, two[0].1, two[0].2));
}

#[test]
fn points_off_the_curve_are_refused() {
    let (key, message, signature) = signed(1, 13)[0];
    let off = |point: Point| Point { x: point.x + Fr::ONE, y: point.y };
    assert!(!off(key.0).is_on_curve() && !off(key.0).in_subgroup());
    assert_refused((PublicKey(off(key.0)), message, signature));
    assert_refused((key, message, Signature { r8: off(signature.r8), ..signature }));
    // Zeros swallow every term of the formulas.
    let zero = Point { x: Fr::ZERO, y: Fr::ZERO };
    assert!(!zero.is_on_curve());
    assert_refused((PublicKey(zero), message, signature));
    assert_refused((key, message, Signature { r8: zero, ..signature }));
}

#[test]
fn keys_of_small_order_are_refused_although_the_equation_holds() {
    let nonce = Scalar::from(12_345u64);
    let signature = Signature { r8: Point::BASE8.mul(&nonce), s: nonce };
    for torsion in torsion_points() {
        let key = PublicKey(torsion);
        let message = Fr::from(1);
        assert!(equation_holds(&key, &challenge(&signature.r8, &key, message), &signature));
        assert!(!key.is_valid() && PublicKey::unpack(&key.pack()).is_none());
        assert_refused((key, message, signature));
    }
}

#[test]
fn a_nonce_point_outside_the_subgroup_is_refused_whatever_the_weights() {
    for (i, torsion) in torsion_points().into_iter().enumerate().skip(1) {
        let bad = twisted(100 + i as u64, torsion, Point::IDENTITY);
        // Multiplied by the cofactor the equation would hold.
        let h = challenge(&bad.2.r8, &bad.0, bad.1);
        let error = Point::BASE8.mul(&bad.2.s) + -(bad.2.r8 + bad.0.0.mul(&h).mul_by_cofactor());
        assert_eq!((error == Point::IDENTITY, error.mul_by_cofactor()), (false, Point::IDENTITY));
        assert_refused(bad);
        let mut batch = signed(BATCH, 14);
        batch[5] = bad;
        for seed in 0..8 {
            assert_eq!(verify_batch(&batch, &mut rng(seed)), Err(vec![5]));
        }
    }
}

#[test]
fn components_of_small_order_that_cancel_are_refused() {
    let mut batch = signed(BATCH, 15);
    batch[2] = twisted(16, TORSION, Point::IDENTITY);
    batch[9] = twisted(17, -TORSION, Point::IDENTITY);
    for seed in 0..8 {
        assert_eq!(verify_batch(&batch, &mut rng(seed)), Err(vec![2, 9]));
    }
}

#[test]
fn a_key_with_a_component_of_small_order_is_accepted_alone_and_in_a_batch() {
    let mut batch = signed(BATCH, 18);
    for (i, torsion) in torsion_points().into_iter().enumerate() {
        batch[2 * i] = twisted(200 + i as u64, Point::IDENTITY, torsion);
        let (key, message, signature) = batch[2 * i];
        assert!(verify(&key, message, &signature));
    }
    for seed in 0..8 {
        assert_eq!(verify_batch(&batch, &mut rng(seed)), Ok(()));
    }
}

#[test]
fn a_nonce_of_zero_is_accepted_alone_and_in_a_batch() {
    let secret = Scalar::from(456u64);
    let (key, message) = (PublicKey(Point::BASE8.mul(&secret)), Fr::from(7));
    let r8 = Point::IDENTITY;
    let s = Scalar::from(8u64) * challenge(&r8, &key, message) * secret;
    let mut batch = signed(BATCH, 19);
    batch[0] = (key, message, Signature { r8, s });
    assert!(verify(&key, message, &batch[0].2));
    assert_eq!(verify_batch(&batch, &mut rng(20)), Ok(()));
}

#[test]
fn second_encodings_of_points_are_refused() {
    // The order of the field, which would be another zero, and one more, another one.
    let order = {
        let mut bytes = (-Fr::ONE).to_bytes();
        bytes[0] += 1;
        bytes
    };
    assert_eq!(Point::unpack(&order), None);
    let mut order_plus_one = order;
    order_plus_one[0] += 1;
    assert_eq!(Point::unpack(&order_plus_one), None);
    // Minus zero.
    for point in [Point::IDENTITY, torsion_points()[4]] {
        let mut bytes = point.pack();
        assert_eq!(Point::unpack(&bytes), Some(point));
        bytes[31] |= 0x80;
        assert_eq!(Point::unpack(&bytes), None);
    }
    // No x belongs to this y.
    let without_x = (2..).map(Fr::from).find(|y| Point::unpack(&y.to_bytes()).is_none()).unwrap();
    assert!(without_x < Fr::from(10));
}

#[test]
fn encodings_of_signatures_with_an_s_that_is_not_reduced_are_refused() {
    let signature = SecretKey::from_bytes([1; 32]).sign(Fr::from(2));
    let mut bytes = signature.to_bytes();
    bytes[32..].copy_from_slice(&words_to_bytes(ORDER));
    assert_eq!(Signature::from_bytes(&bytes), None);
    let mut bytes = signature.to_bytes();
    bytes[63] |= 0x80;
    assert_eq!(Signature::from_bytes(&bytes), None);
    let mut bytes = signature.to_bytes();
    bytes[..32].copy_from_slice(&[0xff; 32]);
    assert_eq!(Signature::from_bytes(&bytes), None);
}
