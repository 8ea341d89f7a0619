//! Batch verification names exactly what single verification refuses.

use crate::common::{PARAMS, rng, segment};
use crowdfold_fold::{Error, Fr, RangeProof, merge, verify, verify_batch};
use rand_core::RngCore;

/// Ways to spoil a segment, by the place of a scalar or number in its encoding.
#[derive(Clone, Copy, Debug)]
enum Spoil {
    /// A false claim: the last state.
    Claim,
    /// Another prover.
    Prover,
    /// A variable: rows of S fail.
    Rows,
    /// A blind of S: only the opening on BN254 fails.
    Blind,
    /// A blind of CycleFold: only the opening on Grumpkin fails.
    CfBlind,
    /// A variable of CycleFold: its rows fail.
    CfRows,
}

const SPOILS: [Spoil; 6] = [Spoil::Claim, Spoil::Prover, Spoil::Rows, Spoil::Blind, Spoil::CfBlind, Spoil::CfRows];

fn spoiled(proof: &RangeProof, spoil: Spoil) -> RangeProof {
    let (step, cf) = (PARAMS.prover().step_size(), PARAMS.prover().cyclefold_size());
    let mut bytes = proof.to_bytes();
    let length = bytes.len();
    let step_vectors = 514;
    let at = match spoil {
        Spoil::Prover => 102,
        Spoil::Claim => 162,
        Spoil::Rows => step_vectors + 32 * 1000,
        Spoil::Blind => step_vectors + 32 * (step.variables + step.constraints),
        Spoil::CfBlind => length - 32,
        Spoil::CfRows => length - 64 - 32 * (cf.constraints + cf.variables),
    };
    bytes[at] ^= 1;
    RangeProof::from_bytes(&PARAMS, &bytes).expect("still a proof by its form")
}

#[test]
fn exactly_the_bad_ones_are_named() {
    let good: Vec<RangeProof> =
        (0..3u8).map(|i| segment(i, Fr::from(u64::from(i)), 0, 1 + u64::from(i), u64::from(i))).collect();
    for spoil in SPOILS {
        let proof = spoiled(&good[0], spoil);
        assert!(matches!(verify(&PARAMS, &proof, &mut rng(0)), Err(Error::Invalid(_))), "{spoil:?}");
    }
    let mut random = rng(5);
    let mut patterns = vec![vec![], vec![0], vec![6], vec![2, 3], vec![0, 6], (0..7).collect()];
    patterns.extend((0..4).map(|_| (0..7).filter(|_| random.next_u32().is_multiple_of(3)).collect::<Vec<usize>>()));
    for (n, bad) in patterns.iter().enumerate() {
        let batch: Vec<RangeProof> = (0..7)
            .map(|i| {
                let proof = &good[i % good.len()];
                if bad.contains(&i) { spoiled(proof, SPOILS[(i + n) % SPOILS.len()]) } else { proof.clone() }
            })
            .collect();
        match verify_batch(&PARAMS, &batch, &mut rng(n as u64)) {
            Ok(()) => assert!(bad.is_empty(), "{bad:?}"),
            Err(Error::InvalidBatch(named)) => assert_eq!(&named, bad),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_batch_of_one_is_a_verification_and_of_none_is_true() {
    verify_batch(&PARAMS, &[], &mut rng(0)).expect("nothing is wrong with nothing");
    let proof = segment(1, Fr::from(5), 0, 2, 1);
    verify_batch(&PARAMS, std::slice::from_ref(&proof), &mut rng(0)).expect("verifies");
    for spoil in SPOILS {
        let error = verify_batch(&PARAMS, &[spoiled(&proof, spoil)], &mut rng(0));
        assert!(matches!(error, Err(Error::InvalidBatch(bad)) if bad == [0]), "{spoil:?}");
    }
}

#[test]
fn a_merge_of_a_bad_range_is_bad() {
    let proof = segment(1, Fr::from(5), 0, 2, 1);
    let mut batch = vec![merge(&PARAMS, &proof, None, &mut rng(1)).expect("merges")];
    for spoil in SPOILS {
        // Merging checks no proof; it only moves what is wrong with it.
        let merged = merge(&PARAMS, &spoiled(&proof, spoil), None, &mut rng(2)).expect("merges");
        batch.push(merged);
    }
    match verify_batch(&PARAMS, &batch, &mut rng(3)) {
        Err(Error::InvalidBatch(bad)) => assert_eq!(bad, (1..batch.len()).collect::<Vec<_>>()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn errors_that_cancel_in_a_plain_sum_are_found() {
    // Two blinds off by one in opposite directions: a combination with equal coefficients would not see it.
    let proof = segment(1, Fr::from(5), 0, 1, 1);
    let honest = proof.to_bytes();
    let at = honest.len() - 32;
    let shifted = |by: i16| {
        let mut bytes = honest.clone();
        let byte = i16::from(bytes[at]) + by;
        bytes[at] = u8::try_from(byte).expect("no carry with this seed");
        RangeProof::from_bytes(&PARAMS, &bytes).expect("decodes")
    };
    let error = verify_batch(&PARAMS, &[shifted(1), shifted(-1)], &mut rng(0));
    assert!(matches!(error, Err(Error::InvalidBatch(bad)) if bad == [0, 1]));
}
