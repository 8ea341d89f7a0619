//! Where the time of a native step goes: its pieces, run one by one on one thread.

use crowdfold_fold::circuit::cyclefold::{self, CF_IO, CfClaim};
use crowdfold_fold::circuit::instance::Blinding;
use crowdfold_fold::circuit::step::{self, StepWitness};
use crowdfold_fold::curve::{CommitmentKey, Fr, G1, G1Affine, Gk, GkAffine};
use crowdfold_fold::instance::{
    CfAccumulator, CfInstance, CfParameters, FreshInstance, RelaxedInstance, dummy_cf_hint,
};
use crowdfold_fold::r1cs::{FreshWitness, RelaxedWitness, Shape};
use crowdfold_fold::transcript::FoldChallenge;
use crowdfold_fold::{Context, ProverParameters, Segment, StepFunction};
use ff::Field;
use nova_snark::frontend::ConstraintSystem;
use nova_snark::frontend::shape_cs::ShapeCS;
use nova_snark::frontend::util_cs::witness_cs::WitnessCS;
use nova_snark::provider::traits::DlogGroup;
use nova_snark::provider::{Bn256EngineKZG, GrumpkinEngine};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::report::split;
use crate::sample::{median, on_threads, repeat, timed};

const ROUNDS: usize = 7;
/// Steps before the first that counts: the first two are of another kind.
const WARM_UP: usize = 3;

/// Prints the pieces of a native step: the median time of those that lead from `start` through `inputs`, taken apart by
/// repeating what the last of them does.
///
/// # Errors
/// If proving fails.
///
/// # Panics
/// If there are fewer than four inputs.
pub fn print<F: StepFunction>(
    params: &ProverParameters<F>,
    context: Context,
    start: &[Fr],
    inputs: &[F::Input],
) -> anyhow::Result<()> {
    on_threads(1, || pieces(params, context, start, inputs))
}

fn pieces<F: StepFunction>(
    params: &ProverParameters<F>,
    context: Context,
    start: &[Fr],
    inputs: &[F::Input],
) -> anyhow::Result<()> {
    let rng = &mut ChaCha20Rng::seed_from_u64(1);
    let program = params.step();
    let mut segment = Segment::new(params, context, start.to_vec())?;
    let mut times = Vec::new();
    let mut state = start.to_vec();
    for input in inputs {
        state = segment.state().to_vec();
        let (pushed, seconds) = timed(|| segment.push(input, rng));
        pushed?;
        times.push(seconds);
    }
    let whole = median(times.split_off(WARM_UP));
    let input = inputs.last().expect("there are inputs");
    let apply = repeat(ROUNDS, || program.apply(&state, input))?;

    // A step like a base step, but with a state that fills the vectors with numbers of full size.
    let cf = cyclefold();
    let blinding = Blinding { h: G1::from_label(b"profile", 1)[0], h_cf: cf.key.h };
    let witness = step_witness(&blinding, Fr::random(&mut *rng), state);
    let mut cs = ShapeCS::<Bn256EngineKZG>::new();
    step::synthesize(&mut cs, &blinding, program, input, &witness)?;
    let shape = Shape::from_rows(&cs.constraints, cs.num_aux(), cs.num_inputs() - 1);
    let key = CommitmentKey { bases: G1::from_label(b"profile", shape.num_cons.max(shape.num_vars)), h: blinding.h };

    let synthesize = || {
        let mut cs = WitnessCS::<Fr>::with_capacity(shape.num_vars, shape.num_io);
        step::synthesize(&mut cs, &blinding, program, input, &witness)?;
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
        ("native step function", apply),
    ];
    println!("a native step on one thread, S of {} rows and {} variables:", shape.num_cons, shape.num_vars);
    print!("{}", split(&parts.map(|(name, seconds)| (name, seconds * 1e3)), whole * 1e3, 2, "ms"));
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

/// A step from the state `z`, in which `number` stands for every hash.
fn step_witness(blinding: &Blinding, number: Fr, z: Vec<Fr>) -> StepWitness {
    let running = RelaxedInstance::default_for(&blinding.h);
    let t = G1Affine::generator();
    let fresh = FreshInstance { comm_w: t, x: Fr::ONE };
    let r = FoldChallenge::from_hash(&number);
    StepWitness {
        pp: number,
        context: number,
        count: 5,
        hz_start: number,
        z,
        running,
        cf: CfInstance::default_for(&blinding.h_cf),
        fresh,
        t,
        ops: running.fold_claims(&fresh, &t, &r).map(|claim| dummy_cf_hint(&claim)),
    }
}
