//! The step circuit S: runs the program's step and folds the previous fresh instance (`docs/spec/folding.md`, section
//! 8).

use super::instance::{Blinding, CfVar, RelaxedVar};
use crate::curve::{Fr, G1Affine};
use crate::gadgets::bits::enforce_equal_when;
use crate::gadgets::foreign::ForeignPoint;
use crate::gadgets::num::{Lc, Num, enforce_equal, is_zero};
use crate::instance::{CfHint, CfInstance, FreshInstance, RelaxedInstance};
use crate::step::StepFunction;
use crate::transcript::{Tag, hash_circuit};
use ff::Field;
use nova_snark::frontend::num::AllocatedNum;
use nova_snark::frontend::{ConstraintSystem, SynthesisError};

/// All that S takes as witness.
#[derive(Clone, Debug)]
pub struct StepWitness {
    /// Digest of the parameters.
    pub pp: Fr,
    /// Hash of the context.
    pub context: Fr,
    /// Steps done before this one.
    pub count: u64,
    /// Hash of the first state.
    pub hz_start: Fr,
    /// The state before this step.
    pub z: Vec<Fr>,
    /// The accumulator of S.
    pub running: RelaxedInstance,
    /// The accumulator of CF.
    pub cf: CfInstance,
    /// The previous step's instance.
    pub fresh: FreshInstance,
    /// Commitment to the cross-term of `running` and `fresh`.
    pub t: G1Affine,
    /// The two group operations of the fold.
    pub ops: [CfHint; 2],
}

/// What S computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepOutput {
    /// The public value.
    pub hash: Fr,
    /// The state after the step.
    pub z: Vec<Fr>,
}

/// Inputs of the hash that S publishes, after the tag.
pub fn public_inputs(
    [pp, binding, count, hz_start, hz_end]: [Lc<Fr>; 5],
    running: &RelaxedVar,
    cf: &CfVar,
) -> Vec<Lc<Fr>> {
    let mut inputs = vec![pp, binding, count, hz_start, hz_end];
    inputs.extend(running.lcs());
    inputs.extend(cf.lcs());
    inputs
}

/// Synthesises S.
///
/// # Errors
/// Those of the step function's circuit and of the constraint system. A false witness is synthesised as given and
/// leaves rows unsatisfied.
pub fn synthesize<F: StepFunction, CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    blinding: &Blinding,
    step: &F,
    input: &F::Input,
    witness: &StepWitness,
) -> Result<StepOutput, SynthesisError> {
    let pp = Num::alloc(cs, witness.pp)?;
    let context = Num::alloc(cs, witness.context)?;
    let count = Num::alloc(cs, Fr::from(witness.count))?;
    let hz_start = Num::alloc(cs, witness.hz_start)?;
    let z = witness.z.iter().map(|v| Num::alloc(cs, *v)).collect::<Result<Vec<_>, _>>()?;
    let running = RelaxedVar::alloc(cs, &witness.running)?;
    let mut cf = CfVar::alloc(cs, &witness.cf)?;
    let fresh_w = ForeignPoint::alloc_checked(cs, &witness.fresh.comm_w)?;
    let fresh_x = Num::alloc(cs, witness.fresh.x)?;
    let t = ForeignPoint::alloc_checked(cs, &witness.t)?;

    // The previous instance publishes just this state and these accumulators; at the start there is none.
    let is_base = is_zero(cs, &count.into())?;
    let not_base = Lc::one().plus(-Fr::ONE, &is_base);
    let hz = hash_circuit(cs, Tag::State, &z.iter().map(Lc::from).collect::<Vec<_>>())?;
    let chain = |count: Lc<Fr>, hz: Num<Fr>| [pp.into(), context.into(), count, hz_start.into(), hz.into()];
    let expected = hash_circuit(cs, Tag::Step, &public_inputs(chain(count.into(), hz), &running, &cf))?;
    enforce_equal_when(cs, &not_base, &fresh_x.into(), &expected.into());
    enforce_equal_when(cs, &is_base.into(), &hz.into(), &hz_start.into());

    let (folded, _) = running.fold(cs, (&fresh_w, &fresh_x), &t, &mut cf, &witness.ops)?;
    let folded = folded.default_when(cs, &is_base.into(), &blinding.h)?;
    let cf = cf.default_when(cs, &is_base.into(), &blinding.h_cf)?;

    let before: Vec<AllocatedNum<Fr>> = z.iter().map(|num| num.to_allocated()).collect();
    let after: Vec<Num<Fr>> = step.synthesize(cs, &before, input)?.iter().map(Num::from_allocated).collect();
    if after.len() != z.len() {
        return Err(SynthesisError::Unsatisfiable(format!(
            "the step function returned {} state elements, its arity is {}",
            after.len(),
            z.len()
        )));
    }
    let hz_end = hash_circuit(cs, Tag::State, &after.iter().map(Lc::from).collect::<Vec<_>>())?;
    let next = Lc::one().plus(Fr::ONE, &count);
    let hash = hash_circuit(cs, Tag::Step, &public_inputs(chain(next, hz_end), &folded, &cf))?;
    let public = Num::alloc_input(cs, hash.value)?;
    enforce_equal(cs, &hash.into(), &public.into());
    Ok(StepOutput { hash: hash.value, z: after.iter().map(|num| num.value).collect() })
}
