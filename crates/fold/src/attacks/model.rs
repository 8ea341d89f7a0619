//! What the circuits S and M compute from any witness, natively.

use super::PARAMS;
use crate::circuit::cyclefold::CfClaim;
use crate::circuit::merge::{ChildWitness, MergeWitness, NIL_BINDING, binding_leaf, binding_node, nil_state};
use crate::circuit::step::{StepOutput, StepWitness};
use crate::circuit::{merge, step as step_circuit};
use crate::curve::{Fq, Fr, G1Affine, GkAffine, to_limbs};
use crate::instance::{CfHint, CfInstance, FreshInstance, RelaxedInstance, fold_state, point_elements};
use crate::proof::{merge_hash, step_hash};
use crate::r1cs::Shape;
use crate::transcript::{FoldChallenge, Tag, cyclefold_state, hash, rho_from_hash};
use ff::{Field, PrimeField};
use group::Curve;
use nova_snark::frontend::ConstraintSystem;
use nova_snark::frontend::util_cs::witness_cs::WitnessCS;

/// `A z o B z - u C z`: the error vector that satisfies the rows.
pub(super) fn residual<F: PrimeField>(shape: &Shape<F>, w: &[F], u: F, x: &[F]) -> Vec<F> {
    let z: Vec<F> = w.iter().chain([&u]).chain(x).copied().collect();
    let product = |matrix: &crate::r1cs::SparseMatrix<F>| -> Vec<F> {
        let mut start = 0;
        let row = |end: &u32| {
            let entries = &matrix.entries[start..*end as usize];
            start = *end as usize;
            entries
                .iter()
                .fold(F::ZERO, |sum, (column, c)| sum + matrix.coefficients[*c as usize] * z[*column as usize])
        };
        matrix.row_ends.iter().map(row).collect()
    };
    let [a, b, c] = &shape.matrices;
    product(a).iter().zip(product(b)).zip(product(c)).map(|((a, b), c)| *a * b - u * c).collect()
}

/// Rows that a fresh assignment does not satisfy.
fn failing(shape: &Shape<Fr>, w: &[Fr], x: Fr) -> Vec<usize> {
    let rows = residual(shape, w, Fr::ONE, &[x]);
    (0..rows.len()).filter(|i| rows[*i] != Fr::ZERO).collect()
}

/// S synthesised: its output, variables and failing rows.
pub(super) fn synthesize_step(witness: &StepWitness, input: Fr) -> (StepOutput, Vec<Fr>, Vec<usize>) {
    let prover = PARAMS.prover();
    let mut cs = WitnessCS::<Fr>::new();
    let out = step_circuit::synthesize(&mut cs, &prover.blinding(), &prover.step, &input, witness).expect("S");
    let w = cs.aux_slice().to_vec();
    let failing = failing(&prover.step_shape, &w, out.hash);
    (out, w, failing)
}

/// M synthesised: its public value, variables and failing rows.
pub(super) fn synthesize_merge(witness: &MergeWitness) -> (Fr, Vec<Fr>, Vec<usize>) {
    let mut cs = WitnessCS::<Fr>::new();
    let x = merge::synthesize(&mut cs, &PARAMS.prover().blinding(), witness).expect("M");
    let w = cs.aux_slice().to_vec();
    let failing = failing(&PARAMS.merge_shape, &w, x);
    (x, w, failing)
}

/// Folds `(w, e)` and some public inputs into a CycleFold instance.
fn add_cf(cf: &mut CfInstance, w: GkAffine, e: GkAffine, rho: u128) {
    cf.comm_w = (w * Fq::from_u128(rho) + cf.comm_w).to_affine();
    cf.comm_e = (e * Fq::from_u128(rho) + cf.comm_e).to_affine();
}

/// One CycleFold operation with whatever hint: the claim is about the points the circuit holds.
pub(super) fn cf_operation(
    cf: &mut CfInstance,
    state: &mut Fr,
    (p1, p2): (G1Affine, G1Affine),
    r: &FoldChallenge,
    hint: &CfHint,
) {
    *state = cyclefold_state(*state, &point_elements(&hint.p3), [hint.w.x, hint.w.y], [hint.t.x, hint.t.y]);
    let rho = rho_from_hash(state);
    add_cf(cf, hint.w, hint.t, rho);
    cf.u[0] += Fr::from_u128(rho);
    let claim = CfClaim { p1, p2, p3: hint.p3, r: r.bits };
    for (limbs, value) in cf.x.iter_mut().zip(claim.io()) {
        for (limb, fresh) in limbs.iter_mut().zip(to_limbs(&value)) {
            *limb += Fr::from_u128(rho) * fresh;
        }
    }
}

/// The fold of a fresh instance and the state of the transcript after it.
pub(super) fn fold(
    running: &RelaxedInstance,
    fresh: &FreshInstance,
    t: &G1Affine,
    cf: &mut CfInstance,
    ops: &[CfHint; 2],
) -> (RelaxedInstance, Fr) {
    let mut state = fold_state(fresh, t);
    let r = FoldChallenge::from_hash(&state);
    cf_operation(cf, &mut state, (running.comm_w, fresh.comm_w), &r, &ops[0]);
    cf_operation(cf, &mut state, (running.comm_e, *t), &r, &ops[1]);
    let folded = RelaxedInstance {
        comm_w: ops[0].p3,
        comm_e: ops[1].p3,
        u: running.u + r.effective,
        x: running.x + r.effective * fresh.x,
    };
    (folded, state)
}

/// The accumulators that S publishes.
pub(super) fn step(witness: &StepWitness) -> (RelaxedInstance, CfInstance) {
    let blinding = PARAMS.prover().blinding();
    if witness.count == 0 {
        return (RelaxedInstance::default_for(&blinding.h), CfInstance::default_for(&blinding.h_cf));
    }
    let mut cf = witness.cf;
    let (folded, _) = fold(&witness.running, &witness.fresh, &witness.t, &mut cf, &witness.ops);
    (folded, cf)
}

/// The public value that S expects of the previous instance.
pub(super) fn expected_x(witness: &StepWitness) -> Fr {
    let hz = hash(Tag::State, &witness.z);
    let chain = [witness.pp, witness.context, Fr::from(witness.count), witness.hz_start, hz];
    step_hash(Tag::Step, &chain, &witness.running, &witness.cf)
}

/// The public value that M computes of a child.
pub(super) fn child_x(pp: Fr, child: &ChildWitness) -> Fr {
    let tag = if child.is_merge { Tag::MergeInner } else { Tag::Step };
    let chain = [pp, child.binding, Fr::from(child.count), child.hz_start, child.hz_end];
    let inner = step_hash(tag, &chain, &child.running_s, &child.cf);
    if child.is_merge { merge_hash(inner, child.depth, &child.cf, &child.running_m) } else { inner }
}

/// What M makes of a child, or of an absent one.
struct Finished {
    binding: Fr,
    count: u64,
    s: RelaxedInstance,
    m: RelaxedInstance,
    cf: CfInstance,
    state: Fr,
}

fn finish(pp: Fr, child: &ChildWitness, nil: bool) -> Finished {
    let blinding = PARAMS.prover().blinding();
    let default = RelaxedInstance::default_for(&blinding.h);
    if nil {
        let cf = CfInstance::default_for(&blinding.h_cf);
        return Finished { binding: NIL_BINDING, count: 0, s: default, m: default, cf, state: nil_state() };
    }
    let fresh = FreshInstance { comm_w: child.fresh_w, x: child_x(pp, child) };
    let mut cf = child.cf;
    let own = if child.is_merge { &child.running_m } else { &child.running_s };
    let (folded, state) = fold(own, &fresh, &child.t, &mut cf, &child.ops);
    let (s, m, binding) = if child.is_merge {
        (child.running_s, folded, child.binding)
    } else {
        (folded, default, binding_leaf(child.binding, child.count))
    };
    Finished { binding, count: child.count, s, m, cf, state }
}

/// The accumulators that M publishes, and the hash of everything.
pub(super) struct Merged {
    pub(super) s: RelaxedInstance,
    pub(super) m: RelaxedInstance,
    pub(super) cf: CfInstance,
    pub(super) x: Fr,
}

/// The public value and accumulators of M.
pub(super) fn merge(witness: &MergeWitness) -> Merged {
    let left = finish(witness.pp, &witness.left, false);
    let right = finish(witness.pp, &witness.right, witness.right_is_nil);
    let hz_end = if witness.right_is_nil { witness.left.hz_end } else { witness.right.hz_end };

    let mut inputs = vec![left.state, right.state];
    inputs.extend(point_elements(&witness.t_s));
    inputs.extend(point_elements(&witness.t_m));
    let state = hash(Tag::MergeFold, &inputs);
    let r = FoldChallenge::from_hash(&state);
    let mut state = hash(Tag::MergeCycleFold, &[state, witness.t_cf.x, witness.t_cf.y]);
    let rho = rho_from_hash(&state);

    let mut cf = left.cf;
    let error = (right.cf.comm_e * Fq::from_u128(rho) + witness.t_cf).to_affine();
    add_cf(&mut cf, right.cf.comm_w, error, rho);
    let theirs = [right.cf.u_scalar()].into_iter().chain(right.cf.x_scalars());
    for (mine, theirs) in std::iter::once(&mut cf.u).chain(&mut cf.x).zip(theirs) {
        for (limb, fresh) in mine.iter_mut().zip(to_limbs(&theirs)) {
            *limb += Fr::from_u128(rho) * fresh;
        }
    }
    let mut pair = |l: &RelaxedInstance, r_: &RelaxedInstance, t: G1Affine, ops: &[CfHint; 3]| {
        cf_operation(&mut cf, &mut state, (l.comm_w, r_.comm_w), &r, &ops[0]);
        cf_operation(&mut cf, &mut state, (t, r_.comm_e), &r, &ops[1]);
        cf_operation(&mut cf, &mut state, (l.comm_e, ops[1].p3), &r, &ops[2]);
        let (u, x) = (l.u + r.effective * r_.u, l.x + r.effective * r_.x);
        RelaxedInstance { comm_w: ops[0].p3, comm_e: ops[2].p3, u, x }
    };
    let s = pair(&left.s, &right.s, witness.t_s, &witness.ops_s);
    let m = pair(&left.m, &right.m, witness.t_m, &witness.ops_m);

    let binding = binding_node((left.binding, left.count), (right.binding, right.count));
    let count = Fr::from(left.count) + Fr::from(right.count);
    let chain = [witness.pp, binding, count, witness.left.hz_start, hz_end];
    let inner = step_hash(Tag::MergeInner, &chain, &s, &cf);
    Merged { s, m, cf, x: merge_hash(inner, witness.depth, &cf, &m) }
}

/// The public value of S.
pub(super) fn step_x(witness: &StepWitness, after: &[Fr], running: &RelaxedInstance, cf: &CfInstance) -> Fr {
    let count = Fr::from(witness.count) + Fr::ONE;
    let chain = [witness.pp, witness.context, count, witness.hz_start, hash(Tag::State, after)];
    step_hash(Tag::Step, &chain, running, cf)
}

/// The hash of a step's claim, for whoever makes an instance up.
pub(super) fn claim_x(
    [pp, binding]: [Fr; 2],
    count: u64,
    [start, end]: [Fr; 2],
    running: &RelaxedInstance,
    cf: &CfInstance,
) -> Fr {
    let [hz_start, hz_end] = [start, end].map(|z| hash(Tag::State, &[z]));
    step_hash(Tag::Step, &[pp, binding, Fr::from(count), hz_start, hz_end], running, cf)
}
