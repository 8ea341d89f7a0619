//! Kinds confused: a segment given as a merge, a merge as a segment, and what only one of them has.

use super::forger::MergePlan;
use super::*;
use crate::binding::{Address, BindingTree};
use crate::circuit::merge::{ChildWitness, binding_leaf};
use crate::proof::{merge_hash, step_hash};
use crate::transcript::Tag;

#[test]
fn a_segment_given_as_a_merge_is_refused() {
    // Told as a merge, the segment's binding is kept as it is: the attacker puts the leaf there, so that the label
    // fits.
    let segment = &OPEN_SEGMENTS[0];
    let tree = BindingTree::join(segment.tree.clone(), None).expect("joins");
    let claim = || {
        let claim = segment.claim();
        ChildWitness { is_merge: true, binding: binding_leaf(claim.binding, claim.count), ..claim }
    };
    for (forge, expected) in [(false, MERGE_ROWS), (true, CF_ROWS)] {
        let plan = MergePlan::of(&segment.enter_with(claim(), forge), None, 1);
        assert_eq!(plan.failing(), NONE);
        let open = plan.open(tree.clone(), [segment.start, segment.end]);
        assert!(open.is_labelled_truly());
        assert_eq!(verdict(&open.publish()), expected);
    }
}

#[test]
fn a_merge_given_as_a_segment_is_refused() {
    // Told as a segment, its accumulator of M is dropped and its steps become the attacker's: `binding` is the context
    // of a leaf that claims all of them.
    let merged = &OPEN_MERGES[0];
    let thief = context(66);
    let count = merged.tree.count();
    let stolen = BindingTree::Leaf { prover: thief.prover, count };
    let tree = BindingTree::join(stolen, None).expect("joins");
    let claim = || {
        let mut claim = merged.claim();
        (claim.is_merge, claim.binding, claim.depth) = (false, thief.hash(), 0);
        claim.cf.u[1..].fill(Fr::ZERO);
        claim
    };
    for (forge, expected) in [(false, STEP_ROWS), (true, CF_ROWS)] {
        let plan = MergePlan::of(&merged.enter_with(claim(), forge), None, 1);
        assert_eq!(plan.failing(), NONE);
        let open = plan.open(tree.clone(), [merged.start, merged.end]);
        assert!(open.is_labelled_truly());
        assert_eq!(verdict(&open.publish()), expected);
    }
    // With the depth and the limbs that it has, M's rows refuse it.
    assert_ne!(merged.cf.instance.u[1], Fr::ZERO);
    for (keep_depth, keep_limbs, rows) in [(true, false, 1), (false, true, 1), (true, true, 2)] {
        let child = merged.enter_lying(|honest| {
            let depth = honest.depth;
            let u = honest.cf.u;
            *honest = claim();
            if keep_depth {
                honest.depth = depth;
            }
            if keep_limbs {
                honest.cf.u = [u[0], u[1], Fr::ZERO];
            }
        });
        assert_eq!(MergePlan::of(&child, None, 2).failing().len(), rows);
    }
}

#[test]
fn a_finished_range_of_the_wrong_kind_has_no_form() {
    let mut segment = SEGMENTS[0].clone();
    segment.merge.clone_from(&MERGES[0].merge);
    assert!(segment.check_form(&PARAMS).is_err());
    let mut merged = MERGES[0].clone();
    merged.merge = None;
    assert!(merged.check_form(&PARAMS).is_err());
    // Each with the other's tree has a form and no truth.
    let count = MERGES[0].count();
    segment.tree = MERGES[0].tree.clone();
    assert_eq!(verdict(&segment), STEP_ROWS);
    merged.tree = BindingTree::Leaf { prover: Address([1; 20]), count };
    merged.cf.u[1..].fill(Fr::ZERO);
    assert_eq!(verdict(&merged), STEP_ROWS);
}

#[test]
fn hashes_of_both_kinds_differ_in_their_tags_alone() {
    let proof = &SEGMENTS[0];
    let chain = [Fr::ONE; 5];
    let [step, inner] = [Tag::Step, Tag::MergeInner].map(|tag| step_hash(tag, &chain, &proof.running, &proof.cf));
    assert_ne!(step, inner);
    assert_ne!(inner, merge_hash(inner, 0, &proof.cf, &proof.running));
}

#[test]
fn what_only_a_merge_has_is_fixed_in_a_segment() {
    let [left, right, ..] = &*OPEN_SEGMENTS;
    // Depth 2 leaves room for a false depth of 1 below.
    let plan = |l: &forger::Child, r: &forger::Child| MergePlan::of(l, Some(r), 2);
    let honest = plan(&left.enter(), &right.enter());
    assert_eq!(honest.failing(), NONE);
    let lies: [fn(&mut ChildWitness); 3] =
        [|claim| claim.depth = 1, |claim| claim.cf.u[1] = Fr::ONE, |claim| claim.cf.u[2] = Fr::ONE];
    for (i, lie) in lies.into_iter().enumerate() {
        assert_eq!(plan(&left.enter_lying(lie), &right.enter()).failing().len(), 1, "left, {i}");
        assert_eq!(plan(&left.enter(), &right.enter_lying(lie)).failing().len(), 1, "right, {i}");
    }
    // An accumulator of M beside a segment is replaced by the default, whatever it is.
    let x = model::synthesize_merge(&honest.witness).0;
    for made_up in [
        forger::Accumulator::made_up(&PARAMS.merge_shape, Fr::from(2), Fr::from(3)).instance,
        OPEN_MERGES[0].m.instance,
    ] {
        for side in 0..2 {
            let mut witness = honest.witness.clone();
            [&mut witness.left, &mut witness.right][side].running_m = made_up;
            let (other, _, failing) = model::synthesize_merge(&witness);
            assert_eq!((other, failing.len()), (x, 0));
        }
    }
}
