//! A prover whose every value is in reach.

use super::model;
use super::{PARAMS, rng};
use crate::binding::{BindingTree, Context, Job};
use crate::circuit::merge::{ChildWitness, MergeWitness, nil_state};
use crate::circuit::step::StepWitness;
use crate::curve::{Fq, Fr, G1Affine};
use crate::instance::{CfAccumulator, CfHint, FreshInstance, RelaxedInstance, fold_state, point_elements};
use crate::params::{base_witness, nil_child};
use crate::proof::{MergePart, RangeProof};
use crate::r1cs::{FreshWitness, RelaxedWitness, Shape};
use crate::transcript::{FoldChallenge, Tag, hash, rho_from_hash};
use ff::Field;
use rand_chacha::ChaCha20Rng;

/// An accumulator of S or M with its witness.
#[derive(Clone)]
pub(super) struct Accumulator {
    pub(super) instance: RelaxedInstance,
    pub(super) witness: RelaxedWitness<Fr>,
}

impl Accumulator {
    pub(super) fn default_for(shape: &Shape<Fr>) -> Self {
        let instance = RelaxedInstance::default_for(&PARAMS.prover().key.h);
        Self { instance, witness: RelaxedWitness::default_for(shape) }
    }

    /// A satisfied and well-committed pair of the attacker's choice for any `u` and `x`.
    pub(super) fn made_up(shape: &Shape<Fr>, u: Fr, x: Fr) -> Self {
        let mut w = vec![Fr::ZERO; shape.num_vars];
        w[..8].fill(Fr::from(5));
        let e = model::residual(shape, &w, u, &[x]);
        let witness = RelaxedWitness { w, e, blind_w: Fr::from(3), blind_e: Fr::from(4) };
        let key = &PARAMS.prover().key;
        let instance = RelaxedInstance {
            comm_w: key.commit(&witness.w, &witness.blind_w),
            comm_e: key.commit(&witness.e, &witness.blind_e),
            u,
            x,
        };
        Self { instance, witness }
    }

    /// Folds a fresh instance in, each operation proved in `cf`. With `forge`, claims that the result is a pair of the
    /// attacker's choice, which `x` and `u` leave open.
    fn fold(
        &mut self,
        shape: &Shape<Fr>,
        (fresh, witness): (&FreshInstance, &FreshWitness<Fr>),
        cf: &mut CfAccumulator,
        forge: bool,
        rng: &mut ChaCha20Rng,
    ) -> (G1Affine, [CfHint; 2], Fr) {
        let prover = PARAMS.prover();
        let (u, x) = (self.instance.u, [self.instance.x]);
        let t = self.witness.cross_term(shape, &prover.key, (u, &x), (witness, &[fresh.x]), rng);
        let mut state = fold_state(fresh, &t.commitment);
        let r = FoldChallenge::from_hash(&state);
        let mut claims = self.instance.fold_claims(fresh, &t.commitment, &r);
        let honest = self.instance.fold(fresh, &claims, &r);
        if forge {
            *self = Self::made_up(shape, honest.u, honest.x);
            claims[0].p3 = self.instance.comm_w;
            claims[1].p3 = self.instance.comm_e;
        } else {
            self.witness.fold(witness, &t, r.effective);
            self.instance = honest;
        }
        let ops = claims.map(|claim| cf.fold(&prover.cf, &mut state, &claim, rng).expect("CF"));
        (t.commitment, ops, state)
    }
}

/// A range before its last fresh instance is folded in, with all it claims.
#[derive(Clone)]
pub(super) struct Open {
    pub(super) pp: Fr,
    pub(super) job: Job,
    pub(super) tree: BindingTree,
    pub(super) start: Fr,
    pub(super) end: Fr,
    pub(super) s: Accumulator,
    pub(super) m: Accumulator,
    pub(super) cf: CfAccumulator,
    pub(super) fresh_w: G1Affine,
    pub(super) fresh: FreshWitness<Fr>,
    /// The public value that the circuit computed.
    pub(super) x: Fr,
    pub(super) rng: ChaCha20Rng,
}

impl Open {
    pub(super) fn is_merge(&self) -> bool {
        matches!(self.tree, BindingTree::Node { .. })
    }

    /// Whether the claim has the public value that the circuit computed: whoever refuses it has found something else.
    pub(super) fn is_labelled_truly(&self) -> bool {
        self.publish().fresh().x == self.x
    }

    /// Whether the accumulators, without the last instance, are satisfied and open their commitments.
    pub(super) fn accumulators_hold(&self) -> bool {
        let prover = PARAMS.prover();
        let main = |shape: &Shape<Fr>, Accumulator { instance, witness }: &Accumulator| {
            shape.first_unsatisfied(&witness.w, &witness.e, instance.u, &[instance.x]).is_none()
                && prover.key.commit(&witness.w, &witness.blind_w) == instance.comm_w
                && prover.key.commit(&witness.e, &witness.blind_e) == instance.comm_e
        };
        let CfAccumulator { instance, witness } = &self.cf;
        let (u, x, key) = (instance.u_scalar(), instance.x_scalars(), &prover.cf.key);
        prover.cf.shape.first_unsatisfied(&witness.w, &witness.e, u, &x).is_none()
            && key.commit(&witness.w, &witness.blind_w) == instance.comm_w
            && key.commit(&witness.e, &witness.blind_e) == instance.comm_e
            && main(&prover.step_shape, &self.s)
            && main(&PARAMS.merge_shape, &self.m)
    }

    /// The proof of what is claimed; the public value, challenge and fold follow the claim.
    pub(super) fn publish(&self) -> RangeProof {
        let (mut this, prover) = (self.clone(), PARAMS.prover());
        let mut proof = RangeProof {
            parameters: this.pp,
            job: this.job,
            tree: this.tree,
            start: vec![this.start],
            end: vec![this.end],
            running: this.s.instance,
            witness: this.s.witness.clone(),
            merge: None,
            cf: this.cf.instance,
            cf_witness: this.cf.witness.clone(),
            fresh_w: this.fresh_w,
            t: this.fresh_w,
        };
        if self.is_merge() {
            proof.merge = Some(MergePart { running: this.m.instance, witness: this.m.witness.clone() });
        }
        let fresh = proof.fresh();
        let (own, shape) = match self.is_merge() {
            true => (&mut this.m, &PARAMS.merge_shape),
            false => (&mut this.s, &prover.step_shape),
        };
        let (t, _, _) = own.fold(shape, (&fresh, &this.fresh), &mut this.cf, false, &mut this.rng);
        proof.t = t;
        match &mut proof.merge {
            Some(part) => part.witness = this.m.witness,
            None => proof.witness = this.s.witness,
        }
        proof
    }

    /// What M is told about this range when it is told the truth; points and operations are still to be filled in.
    pub(super) fn claim(&self) -> ChildWitness {
        let is_merge = self.is_merge();
        let binding = match &self.tree {
            BindingTree::Leaf { prover, .. } => Context { job: self.job, prover: *prover }.hash(),
            tree => tree.root(&self.job),
        };
        ChildWitness {
            is_merge,
            binding,
            depth: self.tree.depth(),
            count: self.tree.count(),
            hz_start: hash(Tag::State, &[self.start]),
            hz_end: hash(Tag::State, &[self.end]),
            running_s: self.s.instance,
            running_m: self.m.instance,
            cf: self.cf.instance,
            fresh_w: self.fresh_w,
            ..nil_child(&PARAMS.prover().blinding())
        }
    }

    /// A child of M that claims `claim`, folded as the claim wants it.
    pub(super) fn enter_with(&self, claim: ChildWitness, forge: bool) -> Child {
        let Self { mut s, mut m, mut cf, fresh, mut rng, .. } = self.clone();
        let mut witness = claim;
        s.instance = witness.running_s;
        cf.instance = witness.cf;
        let instance = FreshInstance { comm_w: witness.fresh_w, x: model::child_x(self.pp, &witness) };
        let (own, shape) = if witness.is_merge {
            m.instance = witness.running_m;
            (&mut m, &PARAMS.merge_shape)
        } else {
            m = Accumulator::default_for(&PARAMS.merge_shape);
            (&mut s, &PARAMS.prover().step_shape)
        };
        let mut fresh = fresh;
        fresh.w.resize(shape.num_vars, Fr::ZERO);
        let (t, ops, state) = own.fold(shape, (&instance, &fresh), &mut cf, forge, &mut rng);
        (witness.t, witness.ops) = (t, ops);
        Child { witness, s, m, cf, state, rng }
    }

    pub(super) fn enter(&self) -> Child {
        self.enter_with(self.claim(), false)
    }

    /// Enters with one lie.
    pub(super) fn enter_lying(&self, lie: impl FnOnce(&mut ChildWitness)) -> Child {
        let mut claim = self.claim();
        lie(&mut claim);
        self.enter_with(claim, false)
    }
}

/// A child of M.
#[derive(Clone)]
pub(super) struct Child {
    pub(super) witness: ChildWitness,
    pub(super) s: Accumulator,
    pub(super) m: Accumulator,
    pub(super) cf: CfAccumulator,
    pub(super) state: Fr,
    pub(super) rng: ChaCha20Rng,
}

impl Child {
    /// An absent child, of which M takes the defaults.
    pub(super) fn nil() -> Self {
        let prover = PARAMS.prover();
        Self {
            witness: nil_child(&prover.blinding()),
            s: Accumulator::default_for(&prover.step_shape),
            m: Accumulator::default_for(&PARAMS.merge_shape),
            cf: CfAccumulator::default_for(&prover.cf),
            state: nil_state(),
            rng: rng(0),
        }
    }
}

/// The fold of one pair of accumulators; with `forge`, into a pair of the attacker's choice.
#[allow(clippy::too_many_arguments)]
fn merge_pair(
    left: &Accumulator,
    right: &Accumulator,
    t: &crate::r1cs::CrossTerm<G1Affine>,
    shape: &Shape<Fr>,
    r: &FoldChallenge,
    cf: &mut CfAccumulator,
    state: &mut Fr,
    forge: bool,
    rng: &mut ChaCha20Rng,
) -> (RelaxedWitness<Fr>, [CfHint; 3]) {
    let mut claims = left.instance.merge_claims(&right.instance, &t.commitment, r);
    let honest = left.instance.merge(&right.instance, &claims, r);
    let mut witness = left.witness.clone();
    if forge {
        let made_up = Accumulator::made_up(shape, honest.u, honest.x);
        claims[0].p3 = made_up.instance.comm_w;
        claims[2].p3 = made_up.instance.comm_e;
        witness = made_up.witness;
    } else {
        witness.fold_relaxed(&right.witness, t, r.effective);
    }
    let ops = claims.map(|claim| cf.fold(&PARAMS.prover().cf, state, &claim, rng).expect("CF"));
    (witness, ops)
}

/// Which accumulators a merge replaces by made-up ones.
#[derive(Clone, Copy, Default)]
pub(super) struct Forge {
    pub(super) s: bool,
    pub(super) m: bool,
}

/// A merge about to be proved: what M is told, and the vectors behind it.
#[derive(Clone)]
pub(super) struct MergePlan {
    pub(super) witness: MergeWitness,
    pub(super) s: RelaxedWitness<Fr>,
    pub(super) m: RelaxedWitness<Fr>,
    pub(super) cf: RelaxedWitness<Fq>,
    pub(super) rng: ChaCha20Rng,
}

impl MergePlan {
    pub(super) fn of(left: &Child, right: Option<&Child>, depth: u64) -> Self {
        Self::forged(left, right, depth, Forge::default())
    }

    /// Plans a merge in the order of [`crate::merge()`].
    pub(super) fn forged(left: &Child, right: Option<&Child>, depth: u64, forge: Forge) -> Self {
        let (prover, right_is_nil) = (PARAMS.prover(), right.is_none());
        let (mut rng, right) = (left.rng.clone(), right.cloned().unwrap_or_else(Child::nil));
        let mut cross = |shape: &Shape<Fr>, l: &Accumulator, r: &Accumulator| {
            l.witness.cross_term_relaxed(
                shape,
                &prover.key,
                (l.instance.u, &[l.instance.x]),
                &r.witness,
                (r.instance.u, &[r.instance.x]),
                &mut rng,
            )
        };
        let t_s = cross(&prover.step_shape, &left.s, &right.s);
        let t_m = cross(&PARAMS.merge_shape, &left.m, &right.m);
        let mut inputs = vec![left.state, right.state];
        inputs.extend(point_elements(&t_s.commitment));
        inputs.extend(point_elements(&t_m.commitment));
        let state = hash(Tag::MergeFold, &inputs);
        let r = FoldChallenge::from_hash(&state);
        let t_cf = left.cf.cross_term(&prover.cf, &right.cf, &mut rng);
        let mut state = hash(Tag::MergeCycleFold, &[state, t_cf.commitment.x, t_cf.commitment.y]);
        let mut cf = left.cf.clone();
        cf.merge(&right.cf, &t_cf, rho_from_hash(&state));
        let (s, ops_s) =
            merge_pair(&left.s, &right.s, &t_s, &prover.step_shape, &r, &mut cf, &mut state, forge.s, &mut rng);
        let (m, ops_m) =
            merge_pair(&left.m, &right.m, &t_m, &PARAMS.merge_shape, &r, &mut cf, &mut state, forge.m, &mut rng);
        let witness = MergeWitness {
            pp: prover.digest().element(),
            left: left.witness.clone(),
            right: right.witness,
            right_is_nil,
            depth,
            t_s: t_s.commitment,
            t_m: t_m.commitment,
            t_cf: t_cf.commitment,
            ops_s,
            ops_m,
        };
        Self { witness, s, m, cf: cf.witness, rng }
    }

    /// Rows of M that the witness leaves unsatisfied.
    pub(super) fn failing(&self) -> Vec<usize> {
        model::synthesize_merge(&self.witness).2
    }

    /// The range that claims `tree` from `start` to `end`, whatever rows fail.
    pub(super) fn open(self, tree: BindingTree, [start, end]: [Fr; 2]) -> Open {
        let (x, w, _) = model::synthesize_merge(&self.witness);
        let made = model::merge(&self.witness);
        assert_eq!(made.x, x, "the model follows the circuit");
        let fresh = FreshWitness { w, blind_w: Fr::from(77) };
        Open {
            pp: self.witness.pp,
            job: super::job(),
            tree,
            start,
            end,
            s: Accumulator { instance: made.s, witness: self.s },
            m: Accumulator { instance: made.m, witness: self.m },
            cf: CfAccumulator { instance: made.cf, witness: self.cf },
            fresh_w: PARAMS.prover().key.commit(&fresh.w, &fresh.blind_w),
            fresh,
            x: made.x,
            rng: self.rng,
        }
    }
}

/// The merge of two ranges as [`crate::merge()`] makes it, left open.
pub(super) fn join(left: &Open, right: Option<&Open>) -> Open {
    let tree = BindingTree::join(left.tree.clone(), right.map(|right| right.tree.clone())).expect("joins");
    let plan = MergePlan::of(&left.enter(), right.map(Open::enter).as_ref(), tree.depth());
    assert_eq!(plan.failing(), [0usize; 0]);
    plan.open(tree, [left.start, right.unwrap_or(left).end])
}

/// A step about to be proved: what S is told, and the vectors behind it.
#[derive(Clone)]
pub(super) struct StepPlan {
    pub(super) witness: StepWitness,
    pub(super) s: RelaxedWitness<Fr>,
    pub(super) cf: RelaxedWitness<Fq>,
}

/// A segment being proved, as [`crate::Segment`] does it.
#[derive(Clone)]
pub(super) struct Chain {
    pub(super) pp: Fr,
    pub(super) context: Context,
    pub(super) start: Fr,
    pub(super) state: Fr,
    pub(super) count: u64,
    pub(super) s: Accumulator,
    pub(super) cf: CfAccumulator,
    pub(super) fresh: Option<(FreshInstance, FreshWitness<Fr>)>,
    pub(super) rng: ChaCha20Rng,
}

impl Chain {
    pub(super) fn new(context: Context, start: Fr, seed: u64) -> Self {
        let prover = PARAMS.prover();
        Self {
            pp: prover.digest().element(),
            context,
            start,
            state: start,
            count: 0,
            s: Accumulator::default_for(&prover.step_shape),
            cf: CfAccumulator::default_for(&prover.cf),
            fresh: None,
            rng: rng(seed),
        }
    }

    /// The next step, told the truth.
    pub(super) fn plan(&mut self) -> StepPlan {
        self.plan_with(false)
    }

    /// The next step. With `forge`, the fold of the last instance is claimed to give a pair of the attacker's choice.
    pub(super) fn plan_with(&mut self, forge: bool) -> StepPlan {
        let prover = PARAMS.prover();
        let context = self.context.hash();
        let Some((fresh, witness)) = &self.fresh else {
            let witness = base_witness(self.pp, context, &[self.start], &prover.blinding());
            return StepPlan { witness, s: self.s.witness.clone(), cf: self.cf.witness.clone() };
        };
        let (mut s, mut cf) = (self.s.clone(), self.cf.clone());
        let (t, ops, _) = s.fold(&prover.step_shape, (fresh, witness), &mut cf, forge, &mut self.rng);
        let witness = StepWitness {
            pp: self.pp,
            context,
            count: self.count,
            hz_start: hash(Tag::State, &[self.start]),
            z: vec![self.state],
            running: self.s.instance,
            cf: self.cf.instance,
            fresh: *fresh,
            t,
            ops,
        };
        StepPlan { witness, s: s.witness, cf: cf.witness }
    }

    /// Proves the step and goes on from what the circuit made of it. Returns the rows left unsatisfied.
    pub(super) fn step(&mut self, plan: StepPlan, input: Fr) -> Vec<usize> {
        let (out, w, failing) = model::synthesize_step(&plan.witness, input);
        let (running, cf) = model::step(&plan.witness);
        assert_eq!(model::step_x(&plan.witness, &out.z, &running, &cf), out.hash, "the model follows the circuit");
        let fresh = FreshWitness::new(w, &mut self.rng);
        let comm_w = PARAMS.prover().key.commit(&fresh.w, &fresh.blind_w);
        self.s = Accumulator { instance: running, witness: plan.s };
        self.cf = CfAccumulator { instance: cf, witness: plan.cf };
        self.fresh = Some((FreshInstance { comm_w, x: out.hash }, fresh));
        self.state = out.z[0];
        self.count = plan.witness.count + 1;
        failing
    }

    /// One honest step.
    pub(super) fn push(&mut self, input: Fr) {
        let plan = self.plan();
        assert_eq!(self.step(plan, input), [0usize; 0]);
    }

    /// Replaces the last instance by a made-up one that claims `count` steps to `state` and has nothing behind it.
    pub(super) fn make_up(&mut self, count: u64, state: Fr) {
        (self.count, self.state) = (count, state);
        let (accumulator, cf) = (&self.s.instance, &self.cf.instance);
        let x = model::claim_x([self.pp, self.context.hash()], count, [self.start, state], accumulator, cf);
        let mut w = vec![Fr::ZERO; PARAMS.prover().step_shape.num_vars];
        w[..4].fill(Fr::from(9));
        let fresh = FreshWitness { w, blind_w: Fr::from(8) };
        let comm_w = PARAMS.prover().key.commit(&fresh.w, &fresh.blind_w);
        self.fresh = Some((FreshInstance { comm_w, x }, fresh));
    }

    /// The range so far, its last instance not yet folded in.
    pub(super) fn open(&self) -> Open {
        let (instance, fresh) = self.fresh.clone().expect("a step");
        Open {
            pp: self.pp,
            job: self.context.job,
            tree: BindingTree::Leaf { prover: self.context.prover, count: self.count },
            start: self.start,
            end: self.state,
            s: self.s.clone(),
            m: Accumulator::default_for(&PARAMS.merge_shape),
            cf: self.cf.clone(),
            fresh_w: instance.comm_w,
            fresh,
            x: instance.x,
            rng: self.rng.clone(),
        }
    }
}
