//! The merge circuit M: takes two adjacent ranges and merges all their accumulators (`docs/spec/folding.md`, section
//! 9).

use super::instance::{Blinding, CfVar, RelaxedVar};
use super::step::public_inputs;
use crate::curve::{Fr, G1Affine, GkAffine};
use crate::gadgets::bits::{boolean, enforce_equal_when, range};
use crate::gadgets::foreign::ForeignPoint;
use crate::gadgets::grumpkin::{GkPoint, Rho};
use crate::gadgets::num::{Lc, Num, enforce_equal};
use crate::instance::{CfHint, CfInstance, RelaxedInstance};
use crate::limits::{COUNT_BITS, DEPTH_BITS, MAX_DEPTH, SEGMENT_COUNT_BITS};
use crate::transcript::{FoldChallengeVar, Tag, hash, hash_circuit, hash_circuit_with};
use ff::{Field, PrimeField};
use nova_snark::frontend::{ConstraintSystem, SynthesisError};

/// One child of a merge, with what finishes it.
#[derive(Clone, Debug)]
pub struct ChildWitness {
    /// Whether the child is a merge (and not a segment).
    pub is_merge: bool,
    /// The context of a segment, the binding root of a merge.
    pub binding: Fr,
    /// Merges on the longest path below; zero for a segment.
    pub depth: u64,
    /// Steps.
    pub count: u64,
    /// Hash of the first state.
    pub hz_start: Fr,
    /// Hash of the last state.
    pub hz_end: Fr,
    /// The accumulator of S.
    pub running_s: RelaxedInstance,
    /// The accumulator of M.
    pub running_m: RelaxedInstance,
    /// The accumulator of CF.
    pub cf: CfInstance,
    /// Commitment of the last fresh instance, of the child's kind.
    pub fresh_w: G1Affine,
    /// Commitment to the cross-term that folds it in.
    pub t: G1Affine,
    /// The two group operations of that fold.
    pub ops: [CfHint; 2],
}

/// All that M takes as witness.
#[derive(Clone, Debug)]
pub struct MergeWitness {
    /// Digest of the parameters, the same for both children.
    pub pp: Fr,
    /// The left child.
    pub left: ChildWitness,
    /// The right child; any valid points where it is absent.
    pub right: ChildWitness,
    /// Whether the right child is absent.
    pub right_is_nil: bool,
    /// Depth of the result: at least one more than that of each child.
    pub depth: u64,
    /// Cross-term commitment of the S accumulators.
    pub t_s: G1Affine,
    /// Cross-term commitment of the M accumulators.
    pub t_m: G1Affine,
    /// Cross-term commitment of the CF accumulators.
    pub t_cf: GkAffine,
    /// The group operations that merge the S accumulators.
    pub ops_s: [CfHint; 3],
    /// The group operations that merge the M accumulators.
    pub ops_m: [CfHint; 3],
}

/// The binding of an absent child.
pub const NIL_BINDING: Fr = Fr::ZERO;

/// The transcript state of an absent child.
pub fn nil_state() -> Fr {
    hash(Tag::Nil, &[])
}

/// `b = H(leaf, context, count, 0)`: who folded how many steps.
pub fn binding_leaf(context: Fr, count: u64) -> Fr {
    hash(Tag::Leaf, &[context, Fr::from(count), Fr::ZERO])
}

/// `b = H(node, b_left, b_right, n_left + 2^48 n_right)`.
pub fn binding_node(left: (Fr, u64), right: (Fr, u64)) -> Fr {
    let counts = u128::from(left.1) | u128::from(right.1) << COUNT_BITS;
    hash(Tag::Node, &[left.0, right.0, Fr::from_u128(counts)])
}

/// A child after its last fresh instance has been folded in.
struct Finished {
    binding: Num<Fr>,
    depth: Num<Fr>,
    count: Num<Fr>,
    hz_start: Num<Fr>,
    hz_end: Num<Fr>,
    running_s: RelaxedVar,
    running_m: RelaxedVar,
    cf: CfVar,
    state: Num<Fr>,
}

impl ChildWitness {
    /// Opens the child's public value, checks its limits and folds its last instance in.
    fn finish<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        blinding: &Blinding,
        pp: &Num<Fr>,
    ) -> Result<Finished, SynthesisError> {
        let is_merge = boolean(cs, self.is_merge)?;
        let is_step = Lc::one().plus(-Fr::ONE, &is_merge);
        let binding = Num::alloc(cs, self.binding)?;
        let depth = Num::alloc(cs, Fr::from(self.depth))?;
        let count = Num::alloc(cs, Fr::from(self.count))?;
        let hz_start = Num::alloc(cs, self.hz_start)?;
        let hz_end = Num::alloc(cs, self.hz_end)?;
        let running_s = RelaxedVar::alloc(cs, &self.running_s)?;
        let running_m = RelaxedVar::alloc(cs, &self.running_m)?;
        let mut cf = CfVar::alloc(cs, &self.cf)?;
        let fresh_w = ForeignPoint::alloc_checked(cs, &self.fresh_w)?;
        let t = ForeignPoint::alloc_checked(cs, &self.t)?;

        let chain = [pp, &binding, &count, &hz_start, &hz_end].map(Lc::from);
        let inputs = public_inputs(chain, &running_s, &cf);
        let [step_tag, merge_tag] = [Tag::Step, Tag::MergeInner].map(|tag| tag.element(inputs.len()));
        let tag = Lc::constant(step_tag).plus(merge_tag - step_tag, &is_merge);
        let inner = hash_circuit_with(cs, tag, &inputs)?;
        let outer = merge_hash_circuit(cs, &inner, &depth, &cf, &running_m)?;
        let x = Num::select(cs, &is_merge.into(), &outer.into(), &inner.into())?;

        // A step's public value does not bind what only a merge has: those are their defaults.
        let running_m = running_m.default_when(cs, &is_step, &blinding.h)?;
        for only_merge in [depth, cf.u.0[1], cf.u.0[2]] {
            enforce_equal_when(cs, &is_step, &only_merge.into(), &Lc::zero());
        }
        let segment_count = Num::product(cs, &is_step, &count.into())?;
        range(cs, &segment_count.into(), SEGMENT_COUNT_BITS)?;

        let own = RelaxedVar::select(cs, &is_merge.into(), &running_m, &running_s)?;
        let (folded, state) = own.fold(cs, (&fresh_w, &x), &t, &mut cf, &self.ops)?;
        let leaf = hash_circuit(cs, Tag::Leaf, &[binding.into(), count.into(), Lc::zero()])?;
        Ok(Finished {
            binding: Num::select(cs, &is_merge.into(), &binding.into(), &leaf.into())?,
            depth,
            count,
            hz_start,
            hz_end,
            running_s: RelaxedVar::select(cs, &is_merge.into(), &running_s, &folded)?,
            running_m: RelaxedVar::select(cs, &is_merge.into(), &folded, &running_m)?,
            cf,
            state,
        })
    }
}

impl Finished {
    /// Replaces all of an absent child by the defaults; its states become `hz`.
    fn nil_when<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        nil: &Lc<Fr>,
        blinding: &Blinding,
        hz: &Num<Fr>,
    ) -> Result<Self, SynthesisError> {
        let zero = Lc::zero();
        let mut pick = |yes: &Lc<Fr>, no: &Num<Fr>| Num::select(cs, nil, yes, &no.into());
        let binding = pick(&Lc::constant(NIL_BINDING), &self.binding)?;
        let depth = pick(&zero, &self.depth)?;
        let count = pick(&zero, &self.count)?;
        let hz_start = pick(&hz.into(), &self.hz_start)?;
        let hz_end = pick(&hz.into(), &self.hz_end)?;
        let state = pick(&Lc::constant(nil_state()), &self.state)?;
        Ok(Self {
            binding,
            depth,
            count,
            hz_start,
            hz_end,
            state,
            running_s: self.running_s.default_when(cs, nil, &blinding.h)?,
            running_m: self.running_m.default_when(cs, nil, &blinding.h)?,
            cf: self.cf.default_when(cs, nil, &blinding.h_cf)?,
        })
    }
}

/// `H(merge, inner, depth, upper limbs of u, U_M)`.
fn merge_hash_circuit<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    inner: &Num<Fr>,
    depth: &Num<Fr>,
    cf: &CfVar,
    running_m: &RelaxedVar,
) -> Result<Num<Fr>, SynthesisError> {
    let mut inputs: Vec<Lc<Fr>> = [inner, depth, &cf.u.0[1], &cf.u.0[2]].map(Lc::from).to_vec();
    inputs.extend(running_m.lcs());
    hash_circuit(cs, Tag::Merge, &inputs)
}

/// Synthesises M and returns its public value.
///
/// # Errors
/// Those of the constraint system. A false witness is synthesised as given and leaves rows unsatisfied.
pub fn synthesize<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    blinding: &Blinding,
    witness: &MergeWitness,
) -> Result<Fr, SynthesisError> {
    let pp = Num::alloc(cs, witness.pp)?;
    let left = witness.left.finish(cs, blinding, &pp)?;
    let right = witness.right.finish(cs, blinding, &pp)?;
    let nil = boolean(cs, witness.right_is_nil)?;
    let right = right.nil_when(cs, &nil.into(), blinding, &left.hz_end)?;
    enforce_equal(cs, &left.hz_end.into(), &right.hz_start.into());

    // One challenge merges both pairs of accumulators; the next one those of CF, which then take the six operations.
    let t_s = ForeignPoint::alloc_checked(cs, &witness.t_s)?;
    let t_m = ForeignPoint::alloc_checked(cs, &witness.t_m)?;
    let t_cf = GkPoint::alloc_checked(cs, &witness.t_cf)?;
    let mut inputs: Vec<Lc<Fr>> = [left.state, right.state].map(Lc::from).to_vec();
    inputs.extend(t_s.lcs());
    inputs.extend(t_m.lcs());
    let state = hash_circuit(cs, Tag::MergeFold, &inputs)?;
    let r = FoldChallengeVar::from_hash(cs, &state)?;
    let mut state = hash_circuit(cs, Tag::MergeCycleFold, &[state, t_cf.x, t_cf.y].map(Lc::from))?;
    let rho = Rho::from_hash(cs, &state)?;
    let mut cf = left.cf;
    cf.merge(cs, &right.cf, &t_cf, &rho)?;
    let running_s = left.running_s.merge(cs, &right.running_s, (&t_s, &r), (&mut cf, &mut state), &witness.ops_s)?;
    let running_m = left.running_m.merge(cs, &right.running_m, (&t_m, &r), (&mut cf, &mut state), &witness.ops_m)?;

    let count = Num::alloc(cs, left.count.value + right.count.value)?;
    enforce_equal(cs, &Lc::from(left.count).plus(Fr::ONE, &right.count), &count.into());
    range(cs, &count.into(), COUNT_BITS)?;
    let depth = Num::alloc(cs, Fr::from(witness.depth))?;
    for child in [&left, &right] {
        let above = Lc::from(depth).plus(-Fr::ONE, &child.depth).plus_lc(-Fr::ONE, &Lc::one());
        range(cs, &above, DEPTH_BITS)?;
    }
    range(cs, &Lc::constant(Fr::from(MAX_DEPTH)).plus(-Fr::ONE, &depth), DEPTH_BITS)?;
    let counts = Lc::from(left.count).plus(Fr::from(1 << COUNT_BITS), &right.count);
    let binding = hash_circuit(cs, Tag::Node, &[left.binding.into(), right.binding.into(), counts])?;

    let chain = [pp, binding, count, left.hz_start, right.hz_end].map(Lc::from);
    let inner = hash_circuit(cs, Tag::MergeInner, &public_inputs(chain, &running_s, &cf))?;
    let outer = merge_hash_circuit(cs, &inner, &depth, &cf, &running_m)?;
    let public = Num::alloc_input(cs, outer.value)?;
    enforce_equal(cs, &outer.into(), &public.into());
    Ok(outer.value)
}
