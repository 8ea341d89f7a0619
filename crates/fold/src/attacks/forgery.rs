//! The strongest forgery: a false claim about a group operation lets the attacker put any satisfied pair in the place
//! of an accumulator, and all rows of S and M hold. Only the CycleFold accumulator tells.

use super::forger::{Accumulator, Forge, MergePlan};
use super::*;
use crate::binding::BindingTree;
use crate::circuit::cyclefold::CfClaim;
use crate::instance::{CfAccumulator, fold_state};
use crate::transcript::FoldChallenge;

/// Steps that nobody did, to a state that nobody reached.
const CLAIMED: u64 = 1000;

fn far() -> Fr {
    Fr::from(424_242)
}

/// A chain in which an instance made up out of nothing has been folded "into" a made-up pair.
fn forged(inputs: &[u64]) -> Chain {
    let mut chain = chain(1, 0, inputs);
    chain.make_up(CLAIMED, far());
    let plan = chain.plan_with(true);
    assert_eq!(chain.step(plan, Fr::ZERO), NONE);
    chain
}

/// Gives the CycleFold accumulator the error vector that satisfies its rows after all.
fn launder_cf(proof: &mut RangeProof) {
    let (u, x) = (proof.cf.u_scalar(), proof.cf.x_scalars());
    proof.cf_witness.e = model::residual(&PARAMS.prover().cf.shape, &proof.cf_witness.w, u, &x);
}

/// The claim is published as the circuits computed it and only CycleFold refuses it.
fn assert_only_cyclefold_tells(open: &Open) {
    assert!(open.is_labelled_truly());
    let mut proof = open.publish();
    assert_eq!(verdict(&proof), CF_ROWS);
    launder_cf(&mut proof);
    assert_eq!(verdict(&proof), OPENING);
    // Without the accumulator that carries the false claim, the hash is another.
    let cf = CfAccumulator::default_for(&PARAMS.prover().cf);
    (proof.cf, proof.cf_witness) = (cf.instance, cf.witness);
    assert_eq!(verdict(&proof), if open.is_merge() { MERGE_ROWS } else { STEP_ROWS });
}

#[test]
fn at_the_first_fold() {
    let forged = forged(&[]);
    assert_eq!((forged.count, forged.state), (CLAIMED + 1, far()));
    assert_only_cyclefold_tells(&forged.open());
}

#[test]
fn after_honest_steps_and_before_them() {
    let mut forged = forged(&[1, 2]);
    assert_only_cyclefold_tells(&forged.open());
    forged.push(Fr::ONE);
    forged.push(Fr::ONE);
    assert_only_cyclefold_tells(&forged.open());
}

#[test]
fn before_a_merge() {
    let right = {
        let mut chain = Chain::new(context(2), far(), 5);
        chain.push(Fr::ONE);
        chain.open()
    };
    let merged = join(&forged(&[]).open(), Some(&right));
    assert_only_cyclefold_tells(&merged);
    let alone = join(&forged(&[1]).open(), None);
    assert_only_cyclefold_tells(&alone);
    // And on the right of an honest range.
    let mut chain = Chain::new(context(3), Fr::ZERO, 6);
    chain.push(Fr::ZERO);
    let right = forged(&[]).open();
    assert_only_cyclefold_tells(&join(&join(&chain.open(), None), Some(&right)));
}

#[test]
fn in_the_fold_of_a_childs_last_instance() {
    // A segment.
    let lie = |open: &Open| {
        let mut lying = open.clone();
        lying.end = far();
        lying
    };
    let segment = lie(&OPEN_SEGMENTS[0]);
    let depth = 1;
    let tree = BindingTree::join(segment.tree.clone(), None).expect("joins");
    for (forge, expected) in [(false, STEP_ROWS), (true, CF_ROWS)] {
        let plan = MergePlan::of(&segment.enter_with(segment.claim(), forge), None, depth);
        assert_eq!(plan.failing(), NONE);
        let open = plan.open(tree.clone(), [segment.start, far()]);
        assert!(open.is_labelled_truly());
        assert_eq!(verdict(&open.publish()), expected);
        if forge {
            assert_only_cyclefold_tells(&open);
        }
    }
    // A merge.
    let merged = lie(&OPEN_MERGES[0]);
    let tree = BindingTree::join(merged.tree.clone(), None).expect("joins");
    for (forge, expected) in [(false, MERGE_ROWS), (true, CF_ROWS)] {
        let plan = MergePlan::of(&merged.enter_with(merged.claim(), forge), None, 2);
        assert_eq!(plan.failing(), NONE);
        let open = plan.open(tree.clone(), [merged.start, far()]);
        assert!(open.is_labelled_truly());
        assert_eq!(verdict(&open.publish()), expected);
        if forge {
            assert_only_cyclefold_tells(&open);
        }
    }
}

#[test]
fn in_the_merge_of_accumulators() {
    let mut left = OPEN_MERGES[0].clone();
    let right = &OPEN_SEGMENTS[2];
    // A false child folded honestly leaves a broken accumulator; replacing it in the merge hides it from the rows.
    left.start += Fr::ONE;
    let tree = BindingTree::join(left.tree.clone(), Some(right.tree.clone())).expect("joins");
    for (forge, expected) in
        [(Forge::default(), MERGE_ROWS), (Forge { s: false, m: true }, CF_ROWS), (Forge { s: true, m: true }, CF_ROWS)]
    {
        let plan = MergePlan::forged(&left.enter(), Some(&right.enter()), tree.depth(), forge);
        assert_eq!(plan.failing(), NONE);
        let open = plan.open(tree.clone(), [left.start, right.end]);
        assert!(open.is_labelled_truly());
        assert_eq!(verdict(&open.publish()), expected);
        if forge.m {
            assert_only_cyclefold_tells(&open);
        }
    }
}

#[test]
fn a_made_up_last_instance_is_refused_by_its_own_fold() {
    // The verifier computes the last fold itself: there is nothing to lie about.
    let mut chain = chain(1, 0, &[1]);
    chain.make_up(CLAIMED, far());
    assert!(chain.open().is_labelled_truly());
    let mut proof = chain.open().publish();
    assert_eq!(verdict(&proof), STEP_ROWS);
    let fresh = proof.fresh();
    let r = FoldChallenge::from_hash(&fold_state(&fresh, &proof.t));
    let folded = proof.running.fold(&fresh, &proof.running.fold_claims(&fresh, &proof.t, &r), &r);
    let shape = &PARAMS.prover().step_shape;
    proof.witness = Accumulator::made_up(shape, folded.u, folded.x).witness;
    assert_eq!(verdict(&proof), OPENING);
}

#[test]
fn a_cyclefold_instance_left_pending_is_refused() {
    // One made-up instance, folded with false claims about both operations; the attacker keeps some of their CycleFold
    // instances out of the accumulator, which is then satisfied.
    let mut chain = chain(1, 0, &[1, 2]);
    chain.make_up(CLAIMED, far());
    let before = chain.cf.clone();
    let plan = chain.plan_with(true);
    let witness = plan.witness.clone();
    assert_eq!(chain.step(plan, Fr::ZERO), NONE);

    // The second one pending, as true as the accumulator can be made: the first operation's claim is proved honestly.
    let mut state = fold_state(&witness.fresh, &witness.t);
    let r = FoldChallenge::from_hash(&state);
    let honest = CfClaim::compute(witness.running.comm_w, witness.fresh.comm_w, r.bits);
    let mut first_only = before.clone();
    first_only.fold(&PARAMS.prover().cf, &mut state, &honest, &mut rng(1)).expect("CF");

    for cf in [before, first_only] {
        let mut open = chain.open();
        open.cf = cf.clone();
        assert!(!open.is_labelled_truly());
        assert_eq!(verdict(&open.publish()), STEP_ROWS);
        // Nor can the chain go on from it, or a merge take it.
        let mut pending = chain.clone();
        pending.cf = cf;
        let failing = model::synthesize_step(&pending.plan().witness, Fr::ZERO).2;
        assert_eq!(failing.len(), 1);
        let merged = join(&open, None);
        assert_eq!(verdict(&merged.publish()), STEP_ROWS);
    }
}

#[test]
fn every_element_of_the_cyclefold_accumulator_is_in_the_public_value() {
    for (proof, limbs_of_u) in [(&SEGMENTS[0], 1), (&MERGES[0], 3)] {
        let honest = proof.fresh().x;
        let mut others = vec![proof.clone(); 4 + limbs_of_u + 21];
        others[0].cf.comm_w = stray_gk(0);
        others[1].cf.comm_e = stray_gk(1);
        others[2].cf.comm_w = -proof.cf.comm_w;
        others[3].cf.comm_e = -proof.cf.comm_e;
        (0..limbs_of_u).for_each(|i| others[4 + i].cf.u[i] += Fr::ONE);
        (0..21).for_each(|i| others[4 + limbs_of_u + i].cf.x[i / 3][i % 3] += Fr::ONE);
        for (i, other) in others.iter().enumerate() {
            assert_ne!(other.fresh().x, honest, "{i}");
        }
        // The same scalars in reduced limbs satisfy all rows of CF, and are refused by the hash.
        let mut reduced = proof.clone();
        reduced.cf.x = proof.cf.x_scalars().map(|x| crate::curve::to_limbs(&x));
        assert_ne!(reduced.cf, proof.cf);
        assert_eq!(reduced.cf.x_scalars(), proof.cf.x_scalars());
        assert_eq!(verdict(&reduced), if proof.is_merged() { MERGE_ROWS } else { STEP_ROWS });
    }
    for i in [1, 2] {
        let mut segment = SEGMENTS[0].clone();
        segment.cf.u[i] += Fr::ONE;
        assert!(segment.check_form(&PARAMS).is_err());
    }
}
