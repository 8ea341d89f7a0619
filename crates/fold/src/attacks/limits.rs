//! Counts and depths at their limits. A child's count is bound by its hash alone, so M is satisfied by any that passes
//! the ranges: exactly the rows of the range must fail.

use super::forger::{Child, MergePlan};
use super::*;
use crate::binding::BindingTree;
use crate::limits::{COUNT_BITS, MAX_DEPTH, MAX_SEGMENT_STEPS};

fn failing(left: &Child, right: Option<&Child>, depth: u64) -> usize {
    MergePlan::of(left, right, depth).failing().len()
}

fn counting(open: &Open, count: u64) -> Child {
    open.enter_lying(|claim| claim.count = count)
}

#[test]
fn counts_cannot_wrap() {
    // A cycle merged with itself again and again doubles its count; here it stands just below the limit.
    let [left, right] = &*OPEN_MERGES;
    let half = 1 << (COUNT_BITS - 1);
    for (l, r, rows) in [
        (half, half - 1, 0),
        (half, half, 1),
        ((1 << COUNT_BITS) - 1, 0, 0),
        ((1 << COUNT_BITS) - 1, 1, 1),
        (1 << COUNT_BITS, 1, 1),
        (u64::MAX, 1, 1),
        (u64::MAX, u64::MAX, 1),
    ] {
        assert_eq!(failing(&counting(left, l), Some(&counting(right, r)), 2), rows, "{l} + {r}");
    }
    assert_eq!(failing(&counting(left, 1 << COUNT_BITS), None, 2), 1);
}

#[test]
fn a_segment_counts_to_its_limit() {
    let [left, right, ..] = &*OPEN_SEGMENTS;
    for (count, rows) in [(MAX_SEGMENT_STEPS, 0), (MAX_SEGMENT_STEPS + 1, 1), (1 << 40, 1)] {
        assert_eq!(failing(&counting(left, count), None, 1), rows);
        assert_eq!(failing(&left.enter(), Some(&counting(right, count)), 1), rows);
    }
    // A merge may count more.
    assert_eq!(failing(&counting(&OPEN_MERGES[0], MAX_SEGMENT_STEPS + 1), None, 2), 0);
}

#[test]
fn a_merge_is_deeper_than_its_children_and_not_too_deep() {
    let [left, right] = &*OPEN_MERGES;
    let deep = |open: &Open, depth: u64| open.enter_lying(|claim| claim.depth = depth);
    for (l, r, depth, rows) in [
        (1, 1, 2, 0),
        (1, 1, 1, 2),
        (1, 1, 0, 2),
        (5, 1, 5, 1),
        (1, 5, 5, 1),
        (5, 1, 6, 0),
        (1, 1, MAX_DEPTH, 0),
        (MAX_DEPTH - 1, 1, MAX_DEPTH, 0),
        (1, 1, MAX_DEPTH + 1, 1),
        (MAX_DEPTH, 1, MAX_DEPTH + 1, 1),
        (MAX_DEPTH, 1, MAX_DEPTH, 1),
        (u64::MAX, 1, MAX_DEPTH, 1),
    ] {
        assert_eq!(failing(&deep(left, l), Some(&deep(right, r)), depth), rows, "{l}, {r} below {depth}");
    }
    assert_eq!(failing(&deep(left, 1), None, 1), 1);
    // An absent child has depth zero and counts too.
    assert_eq!(failing(&OPEN_SEGMENTS[0].enter(), None, 0), 2);
}

#[test]
fn the_native_side_has_the_same_limits() {
    let leaf = |count| BindingTree::Leaf { prover: Address([1; 20]), count };
    let mut proof = SEGMENTS[0].clone();
    for count in [0, MAX_SEGMENT_STEPS + 1] {
        proof.tree = leaf(count);
        assert_eq!(verdict(&proof), FORM);
        assert!(RangeProof::from_bytes(&PARAMS, &proof.to_bytes()).is_err());
    }
    let mut tree = leaf(1);
    for _ in 0..MAX_DEPTH {
        tree = BindingTree::join(tree, None).expect("below the limit");
    }
    let mut proof = MERGES[0].clone();
    proof.tree = tree.clone();
    assert_eq!(verdict(&proof), MERGE_ROWS);
    assert!(BindingTree::join(tree.clone(), None).is_err());
    proof.tree = BindingTree::Node { left: Box::new(tree), right: None };
    assert_eq!(verdict(&proof), FORM);
    assert!(RangeProof::from_bytes(&PARAMS, &proof.to_bytes()).is_err());
    // More steps than a count holds, shared out over leaves none of which breaks its own limit, would take 2^28 leaves.
    let half = leaf(1 << (COUNT_BITS - 1));
    assert!(BindingTree::join(half.clone(), Some(half)).is_err());
    assert!(crate::merge(&PARAMS, &proof, None, &mut rng(0)).is_err());
}
