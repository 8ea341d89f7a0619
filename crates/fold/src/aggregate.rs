//! Merging adjacent ranges.

use crate::binding::BindingTree;
use crate::circuit::merge::{self, ChildWitness, MergeWitness, nil_state};
use crate::curve::{CommitmentKey, Fr, G1Affine};
use crate::error::Error;
use crate::instance::{CfAccumulator, CfHint, FreshInstance, RelaxedInstance, fold_state, point_elements};
use crate::params::{Parameters, ProverParameters, nil_child};
use crate::proof::{MergePart, RangeProof};
use crate::r1cs::{CrossTerm, FreshWitness, RelaxedWitness, Shape};
use crate::step::StepFunction;
use crate::transcript::{FoldChallenge, Tag, hash, rho_from_hash};
use nova_snark::frontend::ConstraintSystem;
use nova_snark::frontend::util_cs::witness_cs::WitnessCS;
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, RngCore, SeedableRng};

/// An accumulator of S or M with its witness.
struct Accumulator {
    instance: RelaxedInstance,
    witness: RelaxedWitness<Fr>,
}

impl Accumulator {
    /// The default accumulator, for blinding base `h`.
    fn default_for(shape: &Shape<Fr>, h: &G1Affine) -> Self {
        Self { instance: RelaxedInstance::default_for(h), witness: RelaxedWitness::default_for(shape) }
    }

    /// The committed cross-term of two accumulators.
    fn cross_term(
        &self,
        other: &Self,
        shape: &Shape<Fr>,
        key: &CommitmentKey<G1Affine>,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> CrossTerm<G1Affine> {
        self.witness.cross_term_relaxed(
            shape,
            key,
            (self.instance.u, &[self.instance.x]),
            &other.witness,
            (other.instance.u, &[other.instance.x]),
            rng,
        )
    }
}

/// Two random sources for two threads, seeded from one, so that a run stays reproducible.
fn split(rng: &mut (impl CryptoRng + RngCore)) -> [ChaCha20Rng; 2] {
    std::array::from_fn(|_| {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        ChaCha20Rng::from_seed(seed)
    })
}

/// A child whose last fresh instance has been folded in.
struct Finished {
    witness: ChildWitness,
    s: Accumulator,
    m: Accumulator,
    cf: CfAccumulator,
    state: Fr,
}

/// Folds the last fresh instance of a child in.
fn finish<F: StepFunction>(
    params: &Parameters<F>,
    proof: &RangeProof,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<Finished, Error> {
    let prover = params.prover();
    let mut s = Accumulator { instance: proof.running, witness: proof.witness.clone() };
    let mut m = match &proof.merge {
        Some(part) => Accumulator { instance: part.running, witness: part.witness.clone() },
        None => Accumulator::default_for(&params.merge_shape, &prover.key.h),
    };
    let mut cf = CfAccumulator { instance: proof.cf, witness: proof.cf_witness.clone() };
    let fresh = proof.fresh();
    let mut state = fold_state(&fresh, &proof.t);
    let r = FoldChallenge::from_hash(&state);
    let running_m = m.instance;
    let own = if proof.is_merged() { &mut m.instance } else { &mut s.instance };
    let claims = own.fold_claims(&fresh, &proof.t, &r);
    *own = own.fold(&fresh, &claims, &r);
    let ops = [cf.fold(&prover.cf, &mut state, &claims[0], rng)?, cf.fold(&prover.cf, &mut state, &claims[1], rng)?];
    let witness = ChildWitness {
        is_merge: proof.is_merged(),
        binding: proof.binding(),
        depth: proof.tree.depth(),
        count: proof.count(),
        hz_start: hash(Tag::State, &proof.start),
        hz_end: hash(Tag::State, &proof.end),
        running_s: proof.running,
        running_m,
        cf: proof.cf,
        fresh_w: proof.fresh_w,
        t: proof.t,
        ops,
    };
    Ok(Finished { witness, s, m, cf, state })
}

/// The group operations that merge one pair of accumulators.
fn merge_accumulators<F: StepFunction>(
    params: &ProverParameters<F>,
    (left, right): (&Accumulator, &Accumulator),
    (t, r): (&G1Affine, &FoldChallenge),
    (cf, state): (&mut CfAccumulator, &mut Fr),
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<(RelaxedInstance, [CfHint; 3]), Error> {
    let claims = left.instance.merge_claims(&right.instance, t, r);
    let mut fold = |i: usize| cf.fold(&params.cf, state, &claims[i], rng);
    let hints = [fold(0)?, fold(1)?, fold(2)?];
    Ok((left.instance.merge(&right.instance, &claims, r), hints))
}

/// Checks that two ranges fit together.
fn check_adjacent(left: &RangeProof, right: &RangeProof) -> Result<(), Error> {
    if left.job != right.job {
        return Err(Error::NotAdjacent("they belong to different jobs"));
    }
    if left.end != right.start {
        return Err(Error::NotAdjacent("the left one does not end where the right one starts"));
    }
    Ok(())
}

/// Merges two adjacent ranges, or makes a merge of a single one.
///
/// The children are not verified: a merge of a false range gives a range that does not verify. Verify what comes from
/// outside before merging it.
///
/// # Errors
/// [`Error::NotAdjacent`], [`Error::Limit`] for a tree too deep, and errors of form as in [`crate::verify()`].
pub fn merge<F: StepFunction>(
    params: &Parameters<F>,
    left: &RangeProof,
    right: Option<&RangeProof>,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<RangeProof, Error> {
    let prover = params.prover();
    left.check_form(params)?;
    if let Some(right) = right {
        right.check_form(params)?;
        check_adjacent(left, right)?;
    }
    let tree = BindingTree::join(left.tree.clone(), right.map(|right| right.tree.clone()))?;
    let end = right.map_or(&left.end, |right| &right.end).clone();

    let [mut left_rng, mut right_rng] = split(rng);
    let (l, r_child) = rayon::join(
        || finish(params, left, &mut left_rng),
        || match right {
            Some(right) => finish(params, right, &mut right_rng),
            None => Ok(Finished {
                witness: nil_child(&prover.blinding()),
                s: Accumulator::default_for(&prover.step_shape, &prover.key.h),
                m: Accumulator::default_for(&params.merge_shape, &prover.key.h),
                cf: CfAccumulator::default_for(&prover.cf),
                state: nil_state(),
            }),
        },
    );
    let (l, r_child) = (l?, r_child?);

    let [mut s_rng, mut m_rng] = split(rng);
    let (t_s, t_m) = rayon::join(
        || l.s.cross_term(&r_child.s, &prover.step_shape, &prover.key, &mut s_rng),
        || l.m.cross_term(&r_child.m, &params.merge_shape, &prover.key, &mut m_rng),
    );
    let mut inputs = vec![l.state, r_child.state];
    inputs.extend(point_elements(&t_s.commitment));
    inputs.extend(point_elements(&t_m.commitment));
    let state = hash(Tag::MergeFold, &inputs);
    let r = FoldChallenge::from_hash(&state);

    let t_cf = l.cf.cross_term(&prover.cf, &r_child.cf, rng);
    let mut state = hash(Tag::MergeCycleFold, &[state, t_cf.commitment.x, t_cf.commitment.y]);
    let mut cf = l.cf;
    cf.merge(&r_child.cf, &t_cf, rho_from_hash(&state));
    let (running_s, ops_s) =
        merge_accumulators(prover, (&l.s, &r_child.s), (&t_s.commitment, &r), (&mut cf, &mut state), rng)?;
    let (running_m, ops_m) =
        merge_accumulators(prover, (&l.m, &r_child.m), (&t_m.commitment, &r), (&mut cf, &mut state), rng)?;
    let mut witness_s = l.s.witness;
    witness_s.fold_relaxed(&r_child.s.witness, &t_s, r.effective);
    let mut witness_m = l.m.witness;
    witness_m.fold_relaxed(&r_child.m.witness, &t_m, r.effective);

    let witness = MergeWitness {
        pp: prover.digest().element(),
        left: l.witness,
        right: r_child.witness,
        right_is_nil: right.is_none(),
        depth: tree.depth(),
        t_s: t_s.commitment,
        t_m: t_m.commitment,
        t_cf: t_cf.commitment,
        ops_s,
        ops_m,
    };
    let (fresh, fresh_witness) = synthesize(params, &witness, rng)?;
    let t = witness_m.cross_term(
        &params.merge_shape,
        &prover.key,
        (running_m.u, &[running_m.x]),
        (&fresh_witness, &[fresh.x]),
        rng,
    );
    let r = FoldChallenge::from_hash(&fold_state(&fresh, &t.commitment));
    witness_m.fold(&fresh_witness, &t, r.effective);
    let proof = RangeProof {
        parameters: left.parameters,
        job: left.job,
        tree,
        start: left.start.clone(),
        end,
        running: running_s,
        witness: witness_s,
        merge: Some(MergePart { running: running_m, witness: witness_m }),
        cf: cf.instance,
        cf_witness: cf.witness,
        fresh_w: fresh.comm_w,
        t: t.commitment,
    };
    debug_assert_eq!(proof.fresh(), fresh);
    Ok(proof)
}

/// The instance of M for `witness`.
fn synthesize<F: StepFunction>(
    params: &Parameters<F>,
    witness: &MergeWitness,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<(FreshInstance, FreshWitness<Fr>), Error> {
    let (prover, shape) = (params.prover(), &params.merge_shape);
    let mut cs = WitnessCS::<Fr>::with_capacity(shape.num_vars, shape.num_io);
    let x = merge::synthesize(&mut cs, &prover.blinding(), witness)?;
    let w = cs.aux_slice().to_vec();
    let fresh = FreshWitness::new(w, rng);
    let comm_w = prover.key.commit(&fresh.w, &fresh.blind_w);
    Ok((FreshInstance { comm_w, x }, fresh))
}
