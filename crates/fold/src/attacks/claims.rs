//! False claims about an honest range: states, count, parameters, job and provers.

use super::forger::{Open, join};
use super::*;
use crate::binding::BindingTree;
use crate::instance::fold_state;
use crate::r1cs::RelaxedWitness;
use crate::transcript::FoldChallenge;

/// A lie about what a range claims.
type Lie = (&'static str, fn(&mut Open));

fn leaf(tree: &mut BindingTree, path: usize) -> (&mut Address, &mut u64) {
    match tree {
        BindingTree::Leaf { prover, count } => (prover, count),
        BindingTree::Node { left, right } => match (path, right) {
            (1, Some(right)) => leaf(right, 0),
            _ => leaf(left, 0),
        },
    }
}

/// Lies that both kinds of range can tell.
const LIES: [Lie; 9] = [
    ("start", |open| open.start += Fr::ONE),
    ("end", |open| open.end += Fr::ONE),
    ("start and end", |open| std::mem::swap(&mut open.start, &mut open.end)),
    ("one step more", |open| *leaf(&mut open.tree, 0).1 += 1),
    ("one step less", |open| *leaf(&mut open.tree, 0).1 -= 1),
    ("prover", |open| leaf(&mut open.tree, 0).0.0[19] ^= 1),
    ("chain", |open| open.job.chain_id += 1),
    ("contract", |open| open.job.contract.0[0] ^= 1),
    ("job", |open| open.job.job_id[31] ^= 1),
];

/// Gives the proof's own accumulator the error vector that satisfies its rows after all.
fn launder(proof: &mut RangeProof) {
    let fresh = proof.fresh();
    let r = FoldChallenge::from_hash(&fold_state(&fresh, &proof.t));
    let (shape, running, witness) = match &mut proof.merge {
        Some(part) => (&PARAMS.merge_shape, part.running, &mut part.witness),
        None => (&PARAMS.prover().step_shape, proof.running, &mut proof.witness),
    };
    let folded = running.fold(&fresh, &running.fold_claims(&fresh, &proof.t, &r), &r);
    witness.e = model::residual(shape, &witness.w, folded.u, &[folded.x]);
}

/// Refused as a label on the finished proof, with the last fold done again for the lie, and with the error vector that
/// the lie would need.
fn assert_refused(what: &str, honest: &Open, lie: fn(&mut Open), rows: &str) {
    let (mut lying, proof) = (honest.clone(), honest.publish());
    lie(&mut lying);
    assert!(!lying.is_labelled_truly(), "{what}");
    let relabelled = RangeProof {
        job: lying.job,
        tree: lying.tree.clone(),
        start: vec![lying.start],
        end: vec![lying.end],
        ..proof
    };
    let mut folded_again = lying.publish();
    for proof in [&relabelled, &folded_again] {
        assert_eq!(verdict(proof), rows, "{what}");
    }
    launder(&mut folded_again);
    assert_eq!(verdict(&folded_again), OPENING, "{what}");
}

#[test]
fn a_segment_with_a_false_claim_is_refused() {
    for (what, lie) in LIES {
        assert_refused(what, &OPEN_SEGMENTS[1], lie, STEP_ROWS);
    }
}

#[test]
fn a_merge_with_a_false_claim_is_refused() {
    let lies: [Lie; 8] = [
        ("second prover", |open| leaf(&mut open.tree, 1).0.0[0] ^= 1),
        ("swapped provers", |open| {
            let second = *leaf(&mut open.tree, 1).0;
            let first = std::mem::replace(leaf(&mut open.tree, 0).0, second);
            *leaf(&mut open.tree, 1).0 = first;
        }),
        ("all by one prover", |open| *leaf(&mut open.tree, 1).0 = Address([1; 20])),
        ("a step moved from one prover to the other", |open| {
            *leaf(&mut open.tree, 0).1 += 1;
            *leaf(&mut open.tree, 1).1 -= 1;
        }),
        ("children swapped", |open| {
            let BindingTree::Node { left, right: Some(right) } = &mut open.tree else { unreachable!() };
            std::mem::swap(left, right);
        }),
        ("one leaf for both", |open| {
            let both = BindingTree::Leaf { prover: Address([1; 20]), count: open.tree.count() };
            open.tree = BindingTree::Node { left: Box::new(both), right: None };
        }),
        ("one level more", |open| {
            open.tree = BindingTree::Node { left: Box::new(open.tree.clone()), right: None };
        }),
        ("a leaf lifted to a node", |open| {
            let BindingTree::Node { left, .. } = &mut open.tree else { unreachable!() };
            **left = BindingTree::Node { left: left.clone(), right: None };
        }),
    ];
    for (what, lie) in LIES.into_iter().chain(lies) {
        assert_refused(what, &OPEN_MERGES[0], lie, MERGE_ROWS);
    }
}

#[test]
fn the_shape_of_the_tree_is_bound() {
    let [a, b, c, _] = &*OPEN_SEGMENTS;
    let left_first = join(&join(a, Some(b)), Some(c));
    assert_refused(
        "the other association",
        &left_first,
        |open| {
            let leaves: [_; 3] = std::array::from_fn(|i| OPEN_SEGMENTS[i].tree.clone());
            let [a, b, c] = leaves;
            open.tree = BindingTree::join(a, Some(BindingTree::join(b, Some(c)).expect("joins"))).expect("joins");
        },
        MERGE_ROWS,
    );
}

#[test]
fn other_parameters_are_refused_by_name_and_by_hash() {
    let mut other = Chain::new(context(1), Fr::ZERO, 1);
    other.pp += Fr::ONE;
    other.push(Fr::ONE);
    other.push(Fr::ONE);
    assert_eq!(verdict(&other.open().publish()), FORM);
    assert!(matches!(verify(&PARAMS, &other.open().publish(), &mut rng(0)), Err(Error::Parameters { .. })));

    // The whole chain is consistent under other parameters; only its label says ours.
    let mut relabelled = other.open();
    relabelled.pp = PARAMS.prover().digest().element();
    assert_eq!(verdict(&relabelled.publish()), STEP_ROWS);
    let mut honest = other.open();
    assert!(honest.is_labelled_truly());
    // A merge under our parameters takes it as if it were ours; its rows hold, its accumulator does not.
    honest.pp = relabelled.pp;
    let merged = join(&honest, None);
    assert!(merged.is_labelled_truly());
    assert_eq!(verdict(&merged.publish()), STEP_ROWS);
}

#[test]
fn a_range_of_one_job_is_not_one_of_another() {
    let elsewhere =
        [Job { chain_id: 1, ..job() }, Job { contract: Address([8; 20]), ..job() }, Job { job_id: [8; 32], ..job() }];
    for job in elsewhere {
        let mut chain = Chain::new(Context { job, prover: Address([1; 20]) }, Fr::ZERO, 2);
        chain.push(Fr::from(3));
        let foreign = chain.open();
        assert_eq!(verdict(&foreign.publish()), VALID);
        let honest = &OPEN_SEGMENTS[1];
        let error = crate::merge(&PARAMS, &foreign.publish(), Some(&honest.publish()), &mut rng(3));
        assert!(matches!(error, Err(Error::NotAdjacent(_))));
        // The circuit knows contexts only by hash: the merge is proved, and no job makes its label true.
        let mut merged = join(&foreign, Some(honest));
        for label in [job, super::job()] {
            merged.job = label;
            assert!(!merged.is_labelled_truly());
            assert_eq!(verdict(&merged.publish()), MERGE_ROWS);
        }
    }
}

#[test]
fn tampered_vectors_and_instances_are_refused() {
    type Tamper = fn(&mut RangeProof);
    let common: [(Tamper, &str); 12] = [
        (|p| p.witness.w[100] += Fr::ONE, STEP_ROWS),
        (|p| *p.witness.w.last_mut().expect("rows") += Fr::ONE, STEP_ROWS),
        (|p| p.witness.e[0] += Fr::ONE, STEP_ROWS),
        (|p| *p.witness.e.last_mut().expect("rows") += Fr::ONE, STEP_ROWS),
        (|p| p.witness.blind_w += Fr::ONE, OPENING),
        (|p| p.witness.blind_e += Fr::ONE, OPENING),
        (|p| p.cf_witness.w[0] += crate::curve::Fq::ONE, CF_ROWS),
        (|p| p.cf_witness.e[7] += crate::curve::Fq::ONE, CF_ROWS),
        (|p| p.cf_witness.blind_w += crate::curve::Fq::ONE, OPENING),
        (|p| p.cf_witness.blind_e += crate::curve::Fq::ONE, OPENING),
        (
            |p| {
                p.cf_witness.w[0] += crate::curve::Fq::ONE;
                let (u, x) = (p.cf.u_scalar(), p.cf.x_scalars());
                p.cf_witness.e = model::residual(&PARAMS.prover().cf.shape, &p.cf_witness.w, u, &x);
            },
            OPENING,
        ),
        (|p| p.cf_witness = RelaxedWitness::default_for(&PARAMS.prover().cf.shape), CF_ROWS),
    ];
    let merged: [(Tamper, &str); 5] = [
        (|p| p.merge.as_mut().expect("a merge").witness.w[5] += Fr::ONE, MERGE_ROWS),
        (|p| p.merge.as_mut().expect("a merge").witness.e[5] += Fr::ONE, MERGE_ROWS),
        (|p| p.merge.as_mut().expect("a merge").witness.blind_w += Fr::ONE, OPENING),
        (|p| p.merge.as_mut().expect("a merge").witness.blind_e += Fr::ONE, OPENING),
        (
            |p| {
                p.merge.as_mut().expect("a merge").witness.w[5] += Fr::ONE;
                launder(p);
            },
            OPENING,
        ),
    ];
    for (i, (tamper, expected)) in common.iter().enumerate() {
        for honest in [&SEGMENTS[0], &MERGES[0]] {
            let mut proof = honest.clone();
            tamper(&mut proof);
            assert_eq!(verdict(&proof), *expected, "{i}");
        }
    }
    for (i, (tamper, expected)) in merged.iter().enumerate() {
        let mut proof = MERGES[0].clone();
        tamper(&mut proof);
        assert_eq!(verdict(&proof), *expected, "{i}");
    }
    // W of a segment with the error vector it needs.
    let mut proof = SEGMENTS[0].clone();
    proof.witness.w[100] += Fr::ONE;
    launder(&mut proof);
    assert_eq!(verdict(&proof), OPENING);
}

#[test]
fn parts_of_another_range_do_not_fit() {
    // Each part is valid where it comes from.
    let other = chain(1, 0, &[2, 1]).open().publish();
    assert_eq!(verdict(&other), VALID);
    let own = &SEGMENTS[0];
    assert_eq!((own.start(), own.end(), own.count()), (other.start(), other.end(), other.count()));
    let mut swaps = [(); 4].map(|()| own.clone());
    (swaps[0].cf, swaps[0].cf_witness) = (other.cf, other.cf_witness.clone());
    (swaps[1].running, swaps[1].witness) = (other.running, other.witness.clone());
    swaps[2].fresh_w = other.fresh_w;
    swaps[3].t = other.t;
    for (i, proof) in swaps.iter().enumerate() {
        // Another range's accumulators change the hash; another commitment changes the challenge.
        assert_ne!(verdict(proof), VALID, "{i}");
    }
    let mut merged = MERGES[0].clone();
    (merged.running, merged.witness) = (MERGES[1].running, MERGES[1].witness.clone());
    assert_eq!(verdict(&merged), MERGE_ROWS);
    let mut merged = MERGES[0].clone();
    (merged.cf, merged.cf_witness) = (MERGES[1].cf, MERGES[1].cf_witness.clone());
    assert_eq!(verdict(&merged), MERGE_ROWS);
    let mut merged = MERGES[0].clone();
    merged.merge.clone_from(&MERGES[1].merge);
    assert_eq!(verdict(&merged), MERGE_ROWS);
}
