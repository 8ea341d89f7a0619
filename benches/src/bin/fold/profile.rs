//! Where the time of a native step goes: its pieces, run one by one on one thread.

use crowdfold_bench::sample::repeat;
use crowdfold_bench_wasm::Ours;
use crowdfold_fold::Fr;
use crowdfold_fold::circuit::cyclefold::{self, CF_IO, CfClaim};
use crowdfold_fold::circuit::instance::Blinding;
use crowdfold_fold::circuit::step::{self, StepWitness};
use crowdfold_fold::curve::{CommitmentKey, G1, G1Affine, Gk, GkAffine};
use crowdfold_fold::instance::{
    CfAccumulator, CfInstance, CfParameters, FreshInstance, RelaxedInstance, dummy_cf_hint,
};
use crowdfold_fold::r1cs::{FreshWitness, RelaxedWitness, Shape};
use crowdfold_fold::transcript::FoldChallenge;
use crowdfold_programs::Squarings;
use ff::Field;
use nova_snark::frontend::ConstraintSystem;
use nova_snark::frontend::shape_cs::ShapeCS;
use nova_snark::frontend::util_cs::witness_cs::WitnessCS;
use nova_snark::provider::traits::DlogGroup;
use nova_snark::provider::{Bn256EngineKZG, GrumpkinEngine};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use rayon::ThreadPoolBuilder;

use crate::setup::{PER_STEP, Setup};

const ROUNDS: usize = 7;

/// Prints the pieces of a step of [`PER_STEP`] squarings.
pub(crate) fn print(setup: &Setup) -> anyhow::Result<()> {
    ThreadPoolBuilder::new().num_threads(1).build()?.install(|| pieces(setup))
}

fn pieces(setup: &Setup) -> anyhow::Result<()> {
    let rng = &mut ChaCha20Rng::seed_from_u64(1);
    let mut ours = Ours::new(setup.step.prover(), Fr::from(3), 1)?;
    for _ in 0..3 {
        ours.step()?;
    }
    let whole = repeat(ROUNDS, || ours.step())?;

    // A step like a base step, but with a state that fills the vectors with numbers of full size.
    let cf = cyclefold();
    let blinding = Blinding { h: G1::from_label(b"profile", 1)[0], h_cf: cf.key.h };
    let program = Squarings::new(PER_STEP);
    let witness = step_witness(&blinding, Fr::random(&mut *rng));
    let mut cs = ShapeCS::<Bn256EngineKZG>::new();
    step::synthesize(&mut cs, &blinding, &program, &Fr::ONE, &witness)?;
    let shape = Shape::from_rows(&cs.constraints, cs.num_aux(), cs.num_inputs() - 1);
    let key = CommitmentKey { bases: G1::from_label(b"profile", shape.num_cons.max(shape.num_vars)), h: blinding.h };

    let synthesize = || {
        let mut cs = WitnessCS::<Fr>::with_capacity(shape.num_vars, shape.num_io);
        step::synthesize(&mut cs, &blinding, &program, &Fr::ONE, &witness)?;
        anyhow::Ok(cs.aux_slice().to_vec())
    };
    let synthesis = repeat(ROUNDS, synthesize)?;
    let fresh = FreshWitness::new(synthesize()?, rng);
    let commit_w = repeat(ROUNDS, || anyhow::Ok(key.commit(&fresh.w, &fresh.blind_w)))?;

    let mut running = RelaxedWitness::default_for(&shape);
    for vector in [&mut running.w, &mut running.e] {
        vector.iter_mut().for_each(|x| *x = Fr::random(&mut *rng));
    }
    let x = [Fr::random(&mut *rng)];
    let cross =
        || running.cross_term(&shape, &key, (Fr::from(2), &x), (&fresh, &x), &mut ChaCha20Rng::seed_from_u64(2));
    let cross_and_commit = repeat(ROUNDS, || anyhow::Ok(cross()))?;
    let t = cross();
    let commit_t = repeat(ROUNDS, || anyhow::Ok(key.commit(&t.t, &t.blind)))?;
    let fold = {
        let mut folded = running.clone();
        repeat(ROUNDS, || {
            folded.fold(&fresh, &t, x[0]);
            anyhow::Ok(())
        })?
    };
    let cyclefold = {
        let mut accumulator = CfAccumulator::default_for(&cf);
        let claim = CfClaim::compute(t.commitment, blinding.h, u128::MAX / 3);
        let mut state = Fr::ONE;
        repeat(ROUNDS, || {
            accumulator.fold(&cf, &mut state, &claim, rng)?;
            accumulator.fold(&cf, &mut state, &claim, rng)
        })?
    };

    let parts = [
        ("commitment to T", commit_t),
        ("commitment to W", commit_w),
        ("synthesis of S", synthesis),
        ("rows of T", cross_and_commit - commit_t),
        ("two CycleFold folds", cyclefold),
        ("fold of W and E", fold),
    ];
    let rest = whole - parts.iter().map(|(_, seconds)| seconds).sum::<f64>();
    println!("a native step on one thread, S of {} rows and {} variables:", shape.num_cons, shape.num_vars);
    for (name, seconds) in parts.into_iter().chain([("everything else", rest), ("the whole step", whole)]) {
        println!("  {name:<20} {:>8.2} ms  {:>5.1} %", seconds * 1e3, seconds / whole * 100.0);
    }
    Ok(())
}

/// CF with a key of its own.
fn cyclefold() -> CfParameters {
    let mut cs = ShapeCS::<GrumpkinEngine>::new();
    let g = G1Affine::generator();
    cyclefold::synthesize(&mut cs, &CfClaim::compute(g, -g, 0)).expect("no closure of CF fails");
    let shape = Shape::from_rows(&cs.constraints, cs.num_aux(), CF_IO);
    let mut bases: Vec<GkAffine> = Gk::from_label(b"profile", shape.num_cons.max(shape.num_vars) + 1);
    let h = bases.pop().expect("one more than needed");
    CfParameters { shape, key: CommitmentKey { bases, h } }
}

fn step_witness(blinding: &Blinding, z: Fr) -> StepWitness {
    let running = RelaxedInstance::default_for(&blinding.h);
    let t = G1Affine::generator();
    let fresh = FreshInstance { comm_w: t, x: Fr::ONE };
    let r = FoldChallenge::from_hash(&z);
    StepWitness {
        pp: z,
        context: z,
        count: 5,
        hz_start: z,
        z: vec![z],
        running,
        cf: CfInstance::default_for(&blinding.h_cf),
        fresh,
        t,
        ops: running.fold_claims(&fresh, &t, &r).map(|claim| dummy_cf_hint(&claim)),
    }
}
