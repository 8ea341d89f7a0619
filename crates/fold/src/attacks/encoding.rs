//! Bytes: every field flipped, every point replaced, every length changed.

use super::*;
use crate::curve::{Fq, G1};
use crate::verify::verify_batch;
use num_bigint::BigUint;
use std::ops::Range;

/// What stands in a place of the encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Raw,
    /// Scalars of Fr or Fq, 32 bytes each.
    Scalars,
    G1,
    Gk,
}

/// A place of the encoding.
type Place = (&'static str, Kind, Range<usize>);

/// All places of a proof's encoding in order, written down apart from the encoder.
fn layout(proof: &RangeProof) -> Vec<Place> {
    let (step, merge, cf) = (&PARAMS.prover().step_shape, &PARAMS.merge_shape, &PARAMS.prover().cf.shape);
    let mut fields = Vec::new();
    let mut at = 0;
    let mut field = |what, kind, bytes: usize| {
        fields.push((what, kind, at..at + bytes));
        at += bytes;
    };
    field("mark", Kind::Raw, 8);
    field("kind", Kind::Raw, 1);
    field("parameters", Kind::Scalars, 32);
    field("chain id", Kind::Raw, 8);
    field("contract", Kind::Raw, 20);
    field("job id", Kind::Raw, 32);
    if proof.is_merged() {
        field("node", Kind::Raw, 1);
    }
    for _ in proof.receipts() {
        field("leaf", Kind::Raw, 1);
        field("prover", Kind::Raw, 20);
        field("count", Kind::Raw, 8);
    }
    field("start", Kind::Scalars, 32);
    field("end", Kind::Scalars, 32);
    field("last W", Kind::G1, 64);
    field("last T", Kind::G1, 64);
    let mut relaxed = |names: [&'static str; 8], shape: &crate::r1cs::Shape<Fr>| {
        field(names[0], Kind::G1, 64);
        field(names[1], Kind::G1, 64);
        field(names[2], Kind::Scalars, 32);
        field(names[3], Kind::Scalars, 32);
        field(names[4], Kind::Scalars, 32 * shape.num_vars);
        field(names[5], Kind::Scalars, 32 * shape.num_cons);
        field(names[6], Kind::Scalars, 32);
        field(names[7], Kind::Scalars, 32);
    };
    relaxed(["S.W", "S.E", "S.u", "S.x", "S.w", "S.e", "S.r_W", "S.r_E"], step);
    if proof.is_merged() {
        relaxed(["M.W", "M.E", "M.u", "M.x", "M.w", "M.e", "M.r_W", "M.r_E"], merge);
    }
    field("CF.W", Kind::Gk, 64);
    field("CF.E", Kind::Gk, 64);
    for _ in 0..3 {
        field("CF.u", Kind::Scalars, 32);
    }
    for _ in 0..21 {
        field("CF.x", Kind::Scalars, 32);
    }
    field("CF.w", Kind::Scalars, 32 * cf.num_vars);
    field("CF.e", Kind::Scalars, 32 * cf.num_cons);
    field("CF.r_W", Kind::Scalars, 32);
    field("CF.r_E", Kind::Scalars, 32);
    assert_eq!(at, proof.to_bytes().len());
    fields
}

fn decode(bytes: &[u8]) -> Result<RangeProof, Error> {
    RangeProof::from_bytes(&PARAMS, bytes)
}

/// Decodes what still decodes and verifies all of it at once: none may be true.
fn assert_all_refused(variants: Vec<(String, Vec<u8>)>) {
    let (names, proofs): (Vec<_>, Vec<_>) =
        variants.into_iter().filter_map(|(name, bytes)| Some((name, decode(&bytes).ok()?))).unzip();
    let bad = match verify_batch(&PARAMS, &proofs, &mut rng(1)) {
        Ok(()) => Vec::new(),
        Err(Error::InvalidBatch(bad)) => bad,
        Err(error) => panic!("{error}"),
    };
    let good: Vec<_> = (0..proofs.len()).filter(|i| !bad.contains(i)).map(|i| &names[i]).collect();
    assert!(good.is_empty(), "accepted: {good:?}");
}

#[test]
fn every_flipped_field_is_refused() {
    for proof in [&SEGMENTS[0], &MERGES[0]] {
        let honest = proof.to_bytes();
        assert_eq!(&decode(&honest).expect("decodes"), proof);
        let mut variants = Vec::new();
        for (what, _, range) in layout(proof) {
            // The first and the last byte of short fields; of vectors, the ends and the middle.
            let mut places = vec![range.start, range.end - 1];
            if range.len() > 64 {
                places.extend([range.start + range.len() / 64 * 32, range.end - 32]);
            }
            places.dedup();
            for at in places {
                let mut bytes = honest.clone();
                bytes[at] ^= 1;
                variants.push((format!("{what} at {at}"), bytes));
            }
        }
        // In slices, so that a few decoded proofs are held at a time.
        while !variants.is_empty() {
            let rest = variants.split_off(variants.len().min(12));
            assert_all_refused(std::mem::replace(&mut variants, rest));
        }
    }
}

fn coordinates(x: &[u8], y: &[u8]) -> Vec<u8> {
    [x, y].concat()
}

fn repr<F: PrimeField>(x: F) -> Vec<u8> {
    x.to_repr().as_ref().to_vec()
}

/// The bytes of `x + modulus`, when they fit.
fn unreduced<F: PrimeField>(bytes: &[u8]) -> Vec<u8> {
    let modulus = BigUint::from_bytes_le((-F::ONE).to_repr().as_ref()) + 1u8;
    let mut sum = (BigUint::from_bytes_le(bytes) + modulus).to_bytes_le();
    assert!(sum.len() <= 32, "a field of 254 bits leaves room");
    sum.resize(32, 0);
    sum
}

#[test]
fn points_must_be_canonical_finite_and_on_their_curve() {
    for proof in [&SEGMENTS[0], &MERGES[0]] {
        let honest = proof.to_bytes();
        let mut variants = Vec::new();
        for (what, kind, range) in layout(proof) {
            if !matches!(kind, Kind::G1 | Kind::Gk) {
                continue;
            }
            let point = &honest[range.clone()];
            let (x, y) = point.split_at(32);
            let other_curve = match kind {
                Kind::G1 => {
                    let p = stray_gk(1);
                    coordinates(&repr(p.x), &repr(p.y))
                }
                _ => {
                    let p = stray_point(1);
                    coordinates(&repr(p.x), &repr(p.y))
                }
            };
            let (long_x, long_y) = match kind {
                Kind::G1 => (unreduced::<Fq>(x), unreduced::<Fq>(y)),
                _ => (unreduced::<Fr>(x), unreduced::<Fr>(y)),
            };
            let mut next_y = y.to_vec();
            next_y[0] ^= 2;
            for (name, bytes) in [
                ("the identity as zeros", vec![0; 64]),
                ("the identity as (0, 1)", coordinates(&[0; 32], &repr(Fr::ONE))),
                ("another y", coordinates(x, &next_y)),
                ("x and y swapped", coordinates(y, x)),
                ("x beside zero", coordinates(x, &[0; 32])),
                ("a point of the other curve", other_curve),
                ("x plus the modulus", coordinates(&long_x, y)),
                ("y plus the modulus", coordinates(x, &long_y)),
                ("all ones", vec![0xff; 64]),
            ] {
                let mut changed = honest.clone();
                changed[range.clone()].copy_from_slice(&bytes);
                let error = decode(&changed);
                assert!(matches!(error, Err(Error::Decode { .. })), "{what}: {name}");
            }
            // Points that are points, but not this one.
            let (negated, stray) = match kind {
                Kind::G1 => {
                    let y: Fq = Option::from(Fq::from_repr(y.try_into().map(|b: [u8; 32]| b.into()).expect("32")))
                        .expect("canonical");
                    let stray = (G1::generator() * Fr::from(77)).to_affine();
                    (coordinates(x, &repr(-y)), coordinates(&repr(stray.x), &repr(stray.y)))
                }
                _ => {
                    let y: Fr = Option::from(Fr::from_repr(y.try_into().map(|b: [u8; 32]| b.into()).expect("32")))
                        .expect("canonical");
                    let stray = stray_gk(77);
                    (coordinates(x, &repr(-y)), coordinates(&repr(stray.x), &repr(stray.y)))
                }
            };
            for (name, bytes) in [("negated", negated), ("another", stray)] {
                let mut changed = honest.clone();
                changed[range.clone()].copy_from_slice(&bytes);
                assert!(decode(&changed).is_ok());
                variants.push((format!("{what} {name}"), changed));
            }
        }
        assert_all_refused(variants);
    }
}

#[test]
fn scalars_must_be_canonical() {
    for proof in [&SEGMENTS[0], &MERGES[0]] {
        let honest = proof.to_bytes();
        for (what, kind, range) in layout(proof) {
            if kind != Kind::Scalars {
                continue;
            }
            let is_fq = matches!(what, "CF.w" | "CF.e" | "CF.r_W" | "CF.r_E");
            for at in [range.start, range.end - 32] {
                let scalar = &honest[at..at + 32];
                let long = if is_fq { unreduced::<Fq>(scalar) } else { unreduced::<Fr>(scalar) };
                for bytes in [long, vec![0xff; 32]] {
                    let mut changed = honest.clone();
                    changed[at..at + 32].copy_from_slice(&bytes);
                    assert!(decode(&changed).is_err(), "{what}");
                }
            }
        }
    }
}

#[test]
fn every_vector_has_its_length() {
    for proof in [&SEGMENTS[0], &MERGES[0]] {
        let honest = proof.to_bytes();
        for (what, kind, range) in layout(proof) {
            // A field cut short or doubled moves all that follows.
            let unit = if kind == Kind::Scalars { 32 } else { range.len() };
            let cut = [&honest[..range.start], &honest[range.start + unit..]].concat();
            assert!(decode(&cut).is_err(), "{what} cut");
            let grown = [&honest[..range.start + unit], &honest[range.start..]].concat();
            assert!(decode(&grown).is_err(), "{what} grown");
            assert!(decode(&honest[..range.start]).is_err(), "{what} missing");
        }
        assert!(decode(&honest[..honest.len() - 1]).is_err());
        assert!(decode(&[&honest[..], &[0]].concat()).is_err());
        assert!(decode(&[]).is_err());
    }
    // Built in memory, too long and too short.
    type Change = fn(&mut RangeProof, bool);
    fn change<T: Clone>(v: &mut Vec<T>, longer: bool) {
        if longer { v.push(v[0].clone()) } else { drop(v.pop()) }
    }
    let changes: [Change; 8] = [
        |p, longer| change(&mut p.start, longer),
        |p, longer| change(&mut p.end, longer),
        |p, longer| change(&mut p.witness.w, longer),
        |p, longer| change(&mut p.witness.e, longer),
        |p, longer| change(&mut p.cf_witness.w, longer),
        |p, longer| change(&mut p.cf_witness.e, longer),
        |p, longer| change(&mut p.merge.as_mut().expect("a merge").witness.w, longer),
        |p, longer| change(&mut p.merge.as_mut().expect("a merge").witness.e, longer),
    ];
    for (i, change) in changes.iter().enumerate() {
        for longer in [false, true] {
            let mut proof = MERGES[0].clone();
            change(&mut proof, longer);
            let refused = |result| matches!(result, Err(Error::Length { .. }));
            assert!(refused(verify(&PARAMS, &proof, &mut rng(0))), "{i}");
            assert!(refused(crate::merge(&PARAMS, &proof, None, &mut rng(0)).map(drop)), "{i}");
            assert!(refused(crate::merge(&PARAMS, &MERGES[0], Some(&proof), &mut rng(0)).map(drop)), "{i}");
        }
    }
}

#[test]
fn kinds_and_trees_in_bytes_must_agree() {
    let (segment, merged) = (SEGMENTS[0].to_bytes(), MERGES[0].to_bytes());
    for kind in [1, 2, 0xff] {
        let mut bytes = segment.clone();
        bytes[8] = kind;
        assert!(decode(&bytes).is_err());
    }
    let mut bytes = merged.clone();
    bytes[8] = 0;
    assert!(decode(&bytes).is_err());
    let node = layout(&MERGES[0]).into_iter().find(|field| field.0 == "node").expect("a node").2.start;
    for children in [0, 1, 3, 0xff] {
        let mut bytes = merged.clone();
        bytes[node] = children;
        assert!(decode(&bytes).is_err());
    }
    // A leaf of no steps.
    let count = layout(&SEGMENTS[0]).into_iter().find(|field| field.0 == "count").expect("a count").2;
    let mut bytes = segment;
    bytes[count].fill(0);
    assert!(matches!(decode(&bytes), Err(Error::Limit { .. })));
}
