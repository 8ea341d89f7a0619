//! Lies told to the merge circuit.

use super::forger::{Child, MergePlan, join};
use super::*;
use crate::binding::BindingTree;
use crate::circuit::merge::{ChildWitness, MergeWitness};
use crate::instance::{CfHint, CfInstance, RelaxedInstance};
use crate::transcript::{Tag, hash};

fn tree_of(left: &Open, right: Option<&Open>) -> BindingTree {
    BindingTree::join(left.tree.clone(), right.map(|right| right.tree.clone())).expect("joins")
}

fn plan(left: &Child, right: &Child) -> MergePlan {
    MergePlan::of(left, Some(right), 3)
}

#[test]
fn ranges_that_do_not_meet_are_refused() {
    let [a, b, c, _] = &*OPEN_SEGMENTS;
    assert_eq!(plan(&a.enter(), &b.enter()).failing(), NONE);
    let gaps = [(a, c), (b, a), (a, a), (&OPEN_MERGES[1], &OPEN_MERGES[0]), (a, &OPEN_MERGES[0])];
    for (left, right) in gaps {
        let plan = plan(&left.enter(), &right.enter());
        assert_eq!(plan.failing().len(), 1);
        let native = crate::merge(&PARAMS, &left.publish(), Some(&right.publish()), &mut rng(0));
        assert!(matches!(native, Err(Error::NotAdjacent(_))));
        // Published regardless.
        let tree = tree_of(left, Some(right));
        let plan = MergePlan { witness: MergeWitness { depth: tree.depth(), ..plan.witness.clone() }, ..plan };
        let open = plan.open(tree, [left.start, right.end]);
        assert!(open.is_labelled_truly());
        assert_eq!(verdict(&open.publish()), MERGE_ROWS);
    }
    // Told that the right one starts where the left one ends, M is satisfied, and the right one's accumulator is not.
    let right = c.enter_lying(|claim| claim.hz_start = hash(Tag::State, &[a.end]));
    let plan = MergePlan::of(&a.enter(), Some(&right), 1);
    assert_eq!(plan.failing(), NONE);
    let open = plan.open(tree_of(a, Some(c)), [a.start, c.end]);
    assert!(open.is_labelled_truly());
    assert_eq!(verdict(&open.publish()), STEP_ROWS);
}

#[test]
fn a_cycle_may_be_merged_with_itself_and_counts_twice() {
    let cycle = chain(1, 5, &[0, 0, 0]).open();
    let twice = join(&cycle, Some(&cycle));
    assert_eq!(verdict(&twice.publish()), VALID);
    assert_eq!(twice.tree.count(), 6);
    let native = crate::merge(&PARAMS, &twice.publish(), Some(&twice.publish()), &mut rng(0)).expect("merges");
    assert_eq!(verdict(&native), VALID);
    assert_eq!((native.count(), native.start(), native.end()), (12, &[Fr::from(5)][..], &[Fr::from(5)][..]));
    // Its steps are counted, not invented: no other count verifies.
    let mut more = twice;
    more.tree = BindingTree::join(more.tree.clone(), None).expect("joins");
    assert_eq!(verdict(&more.publish()), MERGE_ROWS);
}

/// A lie about a child together with the label that it makes true.
type Lie = fn(&mut Open);

#[test]
fn a_false_claim_about_a_child_breaks_its_accumulator() {
    let lies: [Lie; 7] = [
        |open| open.start += Fr::ONE,
        |open| match &mut open.tree {
            BindingTree::Leaf { count, .. } => *count += 1,
            BindingTree::Node { left, .. } => **left = BindingTree::Leaf { prover: Address([1; 20]), count: 7 },
        },
        |open| match &mut open.tree {
            BindingTree::Leaf { prover, .. } => *prover = Address([66; 20]),
            BindingTree::Node { right, .. } => {
                *right = Some(Box::new(BindingTree::Leaf { prover: Address([66; 20]), count: 2 }));
            }
        },
        |open| open.s.instance.u += Fr::ONE,
        |open| open.s.instance.x += Fr::ONE,
        |open| open.cf.instance.x[3][1] += Fr::ONE,
        |open| open.cf.instance.comm_e = stray_gk(1),
    ];
    for (i, lie) in lies.iter().enumerate() {
        for (honest, rows) in [(&OPEN_SEGMENTS[0], STEP_ROWS), (&OPEN_MERGES[0], MERGE_ROWS)] {
            let mut child = honest.clone();
            lie(&mut child);
            let open = join(&child, None);
            assert!(open.is_labelled_truly());
            let verdict = verdict(&open.publish());
            // A false accumulator of S beside a merge is found in S's rows before M's.
            let first = if honest.is_merge() && (3..5).contains(&i) { STEP_ROWS } else { rows };
            assert_eq!(verdict, first, "{i}");
        }
    }
    for lie in [|m: &mut RelaxedInstance| m.u += Fr::ONE, |m: &mut RelaxedInstance| m.comm_e = stray_point(1)] {
        let mut child = OPEN_MERGES[0].clone();
        lie(&mut child.m.instance);
        assert_eq!(verdict(&join(&child, None).publish()), MERGE_ROWS);
    }
}

#[test]
fn one_digest_of_parameters_for_both_children_and_the_result() {
    let [left, right, ..] = &*OPEN_SEGMENTS;
    let mut plan = plan(&left.enter(), &right.enter());
    plan.witness.pp += Fr::ONE;
    let mut open = plan.open(tree_of(left, Some(right)), [left.start, right.end]);
    assert_eq!(verdict(&open.publish()), FORM);
    open.pp = PARAMS.prover().digest().element();
    assert_ne!(verdict(&open.publish()), VALID);
}

#[test]
fn an_absent_child_leaves_no_trace() {
    let left = &OPEN_SEGMENTS[0];
    let honest = MergePlan::of(&left.enter(), None, 1);
    assert_eq!(honest.failing(), NONE);
    let x = model::synthesize_merge(&honest.witness).0;
    let data: [fn(&mut ChildWitness); 13] = [
        |child| child.binding = Fr::from(4),
        |child| child.count = 5,
        |child| child.hz_start = Fr::from(6),
        |child| child.hz_end = Fr::from(7),
        |child| child.cf = SEGMENTS[1].cf,
        |child| child.running_m = MERGES[1].merge.as_ref().expect("a merge").running,
        |child| child.running_s = SEGMENTS[1].running,
        |child| child.running_s.u = Fr::from(8),
        |child| child.fresh_w = stray_point(3),
        |child| child.t = stray_point(4),
        |child| child.ops = OPEN_SEGMENTS[1].enter().witness.ops,
        |child| (child.is_merge, child.depth) = (true, 0),
        |child| *child = OPEN_SEGMENTS[1].enter().witness,
    ];
    for (i, lie) in data.iter().enumerate() {
        let mut witness = honest.witness.clone();
        lie(&mut witness.right);
        let (other, _, failing) = model::synthesize_merge(&witness);
        assert_eq!((other, failing.len()), (x, 0), "{i}");
    }
    // A whole merge, deep and with limbs of u, called absent: only the count and depth of the left child remain.
    let mut witness = honest.witness;
    let present = OPEN_MERGES[1].enter().witness;
    assert!(present.depth == 1 && present.cf.u[1] != Fr::ZERO);
    witness.right = present;
    let (other, _, failing) = model::synthesize_merge(&witness);
    assert_eq!((other, failing.len()), (x, 0));
    // And a present child called absent after the fact does not merge its accumulators away: its hints are about it.
    let [left, right, ..] = &*OPEN_SEGMENTS;
    let mut plan = plan(&left.enter(), &right.enter());
    plan.witness.right_is_nil = true;
    plan.witness.depth = 1;
    let open = plan.open(tree_of(left, None), [left.start, left.end]);
    assert!(open.is_labelled_truly());
    assert_ne!(verdict(&open.publish()), VALID);
}

#[test]
fn a_child_of_no_steps_is_refused() {
    // There is no absent left child: one that claims no steps and defaults everywhere is folded like any other.
    let right = &OPEN_SEGMENTS[0];
    let mut empty = Chain::new(context(1), right.start, 3);
    empty.make_up(0, right.start);
    let empty = empty.open();
    for (forge, expected) in [(false, STEP_ROWS), (true, CF_ROWS)] {
        let plan = MergePlan::of(&empty.enter_with(empty.claim(), forge), Some(&right.enter()), 1);
        assert_eq!(plan.failing(), NONE);
        let open = plan.open(tree_of(&empty, Some(right)), [right.start, right.end]);
        assert!(open.is_labelled_truly());
        assert_eq!(verdict(&open.publish()), expected);
        assert!(RangeProof::from_bytes(&PARAMS, &open.publish().to_bytes()).is_err());
    }
}

#[test]
fn every_hint_of_a_merge_matters() {
    let (left, right) = (&OPEN_MERGES[0], &OPEN_SEGMENTS[2]);
    let tree = tree_of(left, Some(right));
    let honest = MergePlan::of(&left.enter(), Some(&right.enter()), tree.depth());
    assert_eq!(honest.failing(), NONE);
    let mut lies: Vec<(String, MergeWitness)> = Vec::new();
    let mut lie = |what: String, lie: &dyn Fn(&mut MergeWitness)| {
        let mut witness = honest.witness.clone();
        lie(&mut witness);
        lies.push((what, witness));
    };
    lie("t_s".into(), &|w| w.t_s = stray_point(0));
    lie("t_m".into(), &|w| w.t_m = stray_point(1));
    lie("t_cf".into(), &|w| w.t_cf = stray_gk(0));
    lie("t of the left child".into(), &|w| w.left.t = stray_point(2));
    lie("t of the right child".into(), &|w| w.right.t = stray_point(3));
    lie("last commitment of the left child".into(), &|w| w.left.fresh_w = stray_point(4));
    lie("last commitment of the right child".into(), &|w| w.right.fresh_w = stray_point(5));
    lie("both cross-terms swapped".into(), &|w| std::mem::swap(&mut w.t_s, &mut w.t_m));
    lie("operations swapped".into(), &|w| w.ops_s.swap(0, 2));
    lie("accumulators swapped".into(), &|w| std::mem::swap(&mut w.ops_s, &mut w.ops_m));
    type Tamper = fn(&mut CfHint);
    let tampers: [(&str, Tamper); 3] =
        [("p3", |op| op.p3 = stray_point(7)), ("w", |op| op.w = stray_gk(8)), ("t", |op| op.t = stray_gk(9))];
    fn operations(w: &mut MergeWitness) -> Vec<&mut CfHint> {
        let MergeWitness { left, right, ops_s, ops_m, .. } = w;
        left.ops.iter_mut().chain(&mut right.ops).chain(ops_s).chain(ops_m).collect()
    }
    for i in 0..10 {
        for (what, tamper) in tampers {
            lie(format!("{what} of operation {i}"), &|w| tamper(operations(w)[i]));
        }
    }
    for (what, witness) in lies {
        // Any points on the curves pass the rows; the accumulators that come out show the lie.
        let plan = MergePlan { witness, ..honest.clone() };
        let open = plan.open(tree.clone(), [left.start, right.end]);
        assert!(!open.accumulators_hold(), "{what}");
    }
    assert!(honest.clone().open(tree, [left.start, right.end]).accumulators_hold());

    // Off its curve, a Grumpkin point fails in rows.
    for i in 0..10 {
        let mut plan = honest.clone();
        operations(&mut plan.witness)[i].t.y += Fr::ONE;
        assert_ne!(plan.failing(), NONE);
    }
    let mut plan = honest;
    plan.witness.t_cf.y += Fr::ONE;
    assert_ne!(plan.failing(), NONE);
}

#[test]
fn the_cyclefold_accumulators_of_children_are_bound() {
    // Each child's from the other, and a default in its place.
    let [left, right, ..] = &*OPEN_SEGMENTS;
    let default = CfInstance::default_for(&PARAMS.prover().cf.key.h);
    for cf in [right.cf.instance, default] {
        let mut child = left.clone();
        child.cf.instance = cf;
        child.cf.witness = if cf == default {
            crate::r1cs::RelaxedWitness::default_for(&PARAMS.prover().cf.shape)
        } else {
            right.cf.witness.clone()
        };
        let open = join(&child, Some(right));
        assert!(open.is_labelled_truly());
        assert_eq!(verdict(&open.publish()), STEP_ROWS);
    }
}
