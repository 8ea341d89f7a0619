//! Honest chains: segments, merges in any order, batches.

use crate::common::{PARAMS, rng, segment};
use crowdfold_fold::{Fr, RangeProof, StepFunction, merge, verify, verify_batch};

fn states(count: u64) -> Vec<Fr> {
    let mut state = vec![Fr::from(5)];
    let mut all = vec![state[0]];
    for input in 0..count {
        state = PARAMS.prover().step().apply(&state, &Fr::from(input)).expect("apply");
        all.push(state[0]);
    }
    all
}

#[test]
fn segments_of_one_and_more_steps_verify() {
    for count in [1, 2, 3] {
        let proof = segment(1, Fr::from(5), 0, count, count);
        verify(&PARAMS, &proof, &mut rng(0)).expect("verifies");
        assert_eq!(proof.count(), count);
        assert_eq!(proof.end(), &[states(count)[count as usize]]);
        let bytes = proof.to_bytes();
        assert_eq!(RangeProof::from_bytes(&PARAMS, &bytes).expect("decodes"), proof);
    }
}

#[test]
fn every_kind_of_merge_verifies() {
    let z = states(8);
    let leaves: Vec<_> = (0..4).map(|i| segment(i as u8, z[2 * i], 2 * i as u64, 2, i as u64)).collect();
    let mut rng = rng(77);
    let join = |l: &RangeProof, r: Option<&RangeProof>, rng: &mut _| {
        let proof = merge(&PARAMS, l, r, rng).expect("merges");
        verify(&PARAMS, &proof, rng).expect("verifies");
        proof
    };
    let s_s = join(&leaves[0], Some(&leaves[1]), &mut rng);
    let other = join(&leaves[2], Some(&leaves[3]), &mut rng);
    let m_m = join(&s_s, Some(&other), &mut rng);
    let m_s = join(&s_s, Some(&leaves[2]), &mut rng);
    let s_m = join(&leaves[1], Some(&other), &mut rng);
    let single = join(&leaves[0], None, &mut rng);
    let single_merge = join(&m_s, None, &mut rng);
    let whole = join(&single, Some(&s_m), &mut rng);
    for proof in [&m_m, &whole] {
        assert_eq!((proof.start(), proof.end(), proof.count()), (&z[..1], &z[8..], 8));
    }
    assert_eq!(single_merge.count(), 6);
    let bytes = m_m.to_bytes();
    assert_eq!(RangeProof::from_bytes(&PARAMS, &bytes).expect("decodes"), m_m);
    let mut all = leaves;
    all.extend([s_s, other, m_m, m_s, s_m, single, single_merge, whole]);
    verify_batch(&PARAMS, &all, &mut rng).expect("verifies");
}
