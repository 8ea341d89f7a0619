//! Lies told to the step circuit.

use super::forger::StepPlan;
use super::*;
use crate::curve::G1Affine;
use crate::transcript::{Tag, hash};

/// Two steps done, a third one about to be proved.
fn ready() -> Chain {
    chain(1, 0, &[1, 2])
}

fn failing(plan: &StepPlan) -> Vec<usize> {
    model::synthesize_step(&plan.witness, Fr::ONE).2
}

/// The row that compares the previous instance's public value with its hash.
fn hash_row() -> usize {
    let mut plan = ready().plan();
    plan.witness.pp += Fr::ONE;
    let rows = failing(&plan);
    assert_eq!(rows.len(), 1);
    rows[0]
}

#[test]
fn an_instance_must_publish_exactly_what_the_next_step_starts_from() {
    let mut chain = ready();
    let honest = chain.plan();
    assert_eq!(failing(&honest), NONE);
    let row = hash_row();
    // The operations are about points that these lies leave as they are.
    let lies: [fn(&mut StepPlan); 7] = [
        |plan| plan.witness.pp += Fr::ONE,
        |plan| plan.witness.context += Fr::ONE,
        |plan| plan.witness.count += 1,
        |plan| plan.witness.count -= 1,
        |plan| plan.witness.hz_start += Fr::ONE,
        |plan| plan.witness.hz_start = hash(Tag::State, &plan.witness.z),
        |plan| plan.witness.z[0] += Fr::ONE,
    ];
    for (i, lie) in lies.iter().enumerate() {
        let mut plan = honest.clone();
        lie(&mut plan);
        assert_eq!(failing(&plan), [row], "{i}");
    }
    // Accumulators other than those hashed; the group operations are proved about the false ones.
    let lies: [fn(&mut Chain); 6] = [
        |chain| chain.s.instance.comm_w = stray_point(0),
        |chain| chain.s.instance.comm_e = stray_point(1),
        |chain| chain.s.instance.u += Fr::ONE,
        |chain| chain.s.instance.x += Fr::ONE,
        |chain| chain.fresh.as_mut().expect("a step").0.x += Fr::ONE,
        |chain| chain.s = forger::Accumulator::made_up(&PARAMS.prover().step_shape, Fr::from(3), Fr::from(4)),
    ];
    for (i, lie) in lies.iter().enumerate() {
        let mut chain = chain.clone();
        lie(&mut chain);
        assert_eq!(failing(&chain.plan()), [row], "{i}");
    }
}

#[test]
fn every_element_of_the_cyclefold_accumulator_is_hashed() {
    let (honest, row) = (ready().plan(), hash_row());
    let shift = |limb: &mut Fr| *limb += Fr::ONE;
    let mut plans = vec![honest.clone(); 4 + 1 + 21];
    plans[0].witness.cf.comm_w = stray_gk(0);
    plans[1].witness.cf.comm_e = stray_gk(1);
    plans[2].witness.cf.comm_w = -honest.witness.cf.comm_w;
    plans[3].witness.cf.comm_e = -honest.witness.cf.comm_e;
    shift(&mut plans[4].witness.cf.u[0]);
    for (i, plan) in plans[5..].iter_mut().enumerate() {
        shift(&mut plan.witness.cf.x[i / 3][i % 3]);
    }
    for (i, plan) in plans.iter().enumerate() {
        assert_eq!(failing(plan), [row], "{i}");
    }
    // The same scalars in other limbs are another instance.
    let mut plan = honest;
    let shift = Fr::from_u128(1 << 85);
    plan.witness.cf.x[2][0] += shift;
    plan.witness.cf.x[2][1] -= Fr::ONE;
    assert_eq!(failing(&plan), [row]);
}

#[test]
fn a_stale_or_foreign_cyclefold_accumulator_is_refused() {
    let row = hash_row();
    let stale = chain(1, 0, &[1, 2]).cf;
    let mut chain_of_four = chain(1, 0, &[1, 2]);
    for _ in 0..2 {
        chain_of_four.push(Fr::ONE);
    }
    assert_eq!(failing(&chain_of_four.plan()), NONE);
    let mut other = chain(2, 0, &[1, 2]);
    other.push(Fr::ONE);
    other.push(Fr::ONE);
    for cf in [stale, other.cf] {
        let mut chain = chain_of_four.clone();
        chain.cf = cf;
        assert_eq!(failing(&chain.plan()), [row]);
    }
}

#[test]
fn a_lie_hashed_anew_breaks_the_accumulator() {
    // The attacker gives the previous instance the public value that the lie needs: all rows of S hold, but the
    // instance's own rows do not.
    let lies: [fn(&mut Chain); 4] = [
        |chain| chain.state += Fr::ONE,
        |chain| chain.count = 1000,
        |chain| chain.start += Fr::ONE,
        |chain| chain.context.prover = Address([66; 20]),
    ];
    for (i, lie) in lies.iter().enumerate() {
        let mut chain = ready();
        lie(&mut chain);
        let x = {
            let mut plan = chain.plan();
            plan.witness.fresh.x = Fr::ZERO;
            model::expected_x(&plan.witness)
        };
        chain.fresh.as_mut().expect("a step").0.x = x;
        let plan = chain.plan();
        assert_eq!(chain.step(plan, Fr::ONE), NONE, "{i}");
        assert!(chain.open().is_labelled_truly());
        assert_eq!(verdict(&chain.open().publish()), STEP_ROWS, "{i}");
        // Honest steps don't heal it.
        chain.push(Fr::ONE);
        assert_eq!(verdict(&chain.open().publish()), STEP_ROWS, "{i}");
    }
}

#[test]
fn another_commitment_of_the_last_instance_breaks_the_opening() {
    let mut chain = ready();
    chain.fresh.as_mut().expect("a step").0.comm_w = stray_point(0);
    let plan = chain.plan();
    assert_eq!(chain.step(plan, Fr::ONE), NONE);
    assert_eq!(verdict(&chain.open().publish()), OPENING);
}

#[test]
fn a_step_that_claims_to_be_the_first_starts_at_the_first_state_with_nothing() {
    // Late in a chain, at another state: the row that compares both states.
    let mut plan = ready().plan();
    plan.witness.count = 0;
    let rows = failing(&plan);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0], hash_row() + 1);

    // In a cycle the states agree and the rows hold, but all that was accumulated is gone.
    let mut cycle = chain(1, 5, &[0, 0, 0]);
    let mut plan = cycle.plan();
    plan.witness.count = 0;
    // A bogus accumulator and a bogus instance are as good as none.
    plan.witness.running = forger::Accumulator::made_up(&PARAMS.prover().step_shape, Fr::ONE, Fr::ONE).instance;
    plan.witness.fresh.x += Fr::ONE;
    let (out, _, rows) = model::synthesize_step(&plan.witness, Fr::from(7));
    assert_eq!(rows, NONE);
    let mut fresh_start = Chain::new(context(1), Fr::from(5), 1);
    let first = fresh_start.plan();
    let (honest, _, rows) = model::synthesize_step(&first.witness, Fr::from(7));
    assert_eq!(rows, NONE);
    assert_eq!(out, honest);
}

#[test]
fn a_first_step_from_another_state_is_refused() {
    let mut chain = Chain::new(context(1), Fr::from(5), 1);
    let mut plan = chain.plan();
    assert_eq!(failing(&plan), NONE);
    plan.witness.hz_start = hash(Tag::State, &[Fr::from(6)]);
    assert_eq!(failing(&plan), [hash_row() + 1]);
}

#[test]
fn a_running_instance_without_its_hash_is_refused() {
    // A made-up satisfied accumulator, claimed to be the result of 1000 steps, with nothing that publishes it.
    let mut chain = ready();
    chain.s = forger::Accumulator::made_up(&PARAMS.prover().step_shape, Fr::from(3), Fr::from(4));
    chain.count = 1000;
    let plan = chain.plan();
    assert_eq!(failing(&plan), [hash_row()]);
    // Going on regardless: the failing row is folded in.
    chain.step(plan, Fr::ONE);
    assert!(chain.open().is_labelled_truly());
    assert_eq!(verdict(&chain.open().publish()), STEP_ROWS);
}

#[test]
fn every_hint_of_a_step_matters() {
    let lies: [fn(&mut StepPlan); 9] = [
        |plan| plan.witness.t = stray_point(0),
        |plan| plan.witness.ops[0].p3 = stray_point(1),
        |plan| plan.witness.ops[1].p3 = stray_point(2),
        |plan| plan.witness.ops[0].w = stray_gk(0),
        |plan| plan.witness.ops[1].w = stray_gk(1),
        |plan| plan.witness.ops[0].t = stray_gk(2),
        |plan| plan.witness.ops[1].t = stray_gk(3),
        |plan| plan.witness.ops.swap(0, 1),
        |plan| plan.witness.ops[0].p3 = -plan.witness.ops[0].p3,
    ];
    for (i, lie) in lies.iter().enumerate() {
        let mut chain = ready();
        let mut plan = chain.plan();
        lie(&mut plan);
        // Any points on the curves pass the rows; the accumulators show the lie.
        assert_eq!(chain.step(plan, Fr::ONE), NONE, "{i}");
        assert!(chain.open().is_labelled_truly());
        let verdict = verdict(&chain.open().publish());
        assert!([STEP_ROWS, CF_ROWS, OPENING].contains(&verdict), "{i}: {verdict}");
    }
}

#[test]
fn hints_off_their_curve_are_refused() {
    for op in 0..2 {
        let mut plans = [(); 2].map(|()| ready().plan());
        plans[0].witness.ops[op].w.y += Fr::ONE;
        plans[1].witness.ops[op].t.y += Fr::ONE;
        for plan in &plans {
            assert_ne!(failing(plan), NONE);
        }
    }
    // A BN254 point off its curve passes S and fails CF, whose rows hold P1 and P2 to the curve.
    let bend = |p: &mut G1Affine| p.y += crate::curve::Fq::ONE;
    let mut chain = ready();
    bend(&mut chain.fresh.as_mut().expect("a step").0.comm_w);
    let plan = chain.plan();
    assert_eq!(chain.step(plan, Fr::ONE), NONE);
    assert_eq!(verdict(&chain.open().publish()), CF_ROWS);
    for op in 0..2 {
        let mut chain = ready();
        let mut plan = chain.plan();
        bend(&mut plan.witness.ops[op].p3);
        assert_eq!(chain.step(plan, Fr::ONE), NONE);
        assert_ne!(verdict(&chain.open().publish()), VALID);
    }
}
