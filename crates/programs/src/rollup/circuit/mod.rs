//! The circuit of a step (`docs/spec/rollup.md`, section 6).

mod leaf;
mod path;
mod slot;
#[cfg(test)]
mod tests;
mod witness;

use crowdfold_fold::Fr;
use crowdfold_fold::gadgets::num::{Lc, Num, enforce, enforce_equal, enforce_nonzero, is_zero};
use crowdfold_fold::poseidon::circuit::{hash, hash_from_first_sboxes};
use ff::Field;
use nova_snark::frontend::num::AllocatedNum;
use nova_snark::frontend::{ConstraintSystem, SynthesisError};

use super::account::TREE_ARITY;
use super::input::{SLOTS, StepInput};
use super::state::ARITY;
use slot::Running;
use witness::StepWitness;

/// The step function's circuit.
///
/// # Errors
/// Those of the constraint system. An input that is not allowed leaves rows unsatisfied.
pub(crate) fn synthesize<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    state: &[AllocatedNum<Fr>],
    input: &StepInput,
) -> Result<Vec<AllocatedNum<Fr>>, SynthesisError> {
    let state: Vec<Num<Fr>> = state.iter().map(Num::from_allocated).collect();
    let state: &[Num<Fr>; ARITY] = state
        .as_slice()
        .try_into()
        .map_err(|_| SynthesisError::Unsatisfiable(format!("the state has {} elements, not {ARITY}", state.len())))?;
    let next = step(cs, state, &StepWitness::from(input))?;
    Ok(next.into_iter().map(Num::to_allocated).collect())
}

/// The step with any witness.
fn step<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    state: &[Num<Fr>; ARITY],
    witness: &StepWitness,
) -> Result<[Num<Fr>; ARITY], SynthesisError> {
    let [root, deposits, withdrawals, sealed, count, domain, operator, fees, data, point, evaluation] = *state;
    let (point, mut evaluation) = open(&mut cs.namespace(|| "open"), &point, &evaluation, witness.point)?;

    let top: Vec<Lc<Fr>> =
        witness.top.iter().map(|o| Ok(Num::alloc(cs, *o)?.into())).collect::<Result<_, SynthesisError>>()?;
    let top: [Lc<Fr>; TREE_ARITY] = top.try_into().expect("as many as in the witness");
    let opened = hash_from_first_sboxes(&mut cs.namespace(|| "root hash"), &top)?;
    enforce_equal(&mut cs.namespace(|| "root"), &opened.into(), &root.into());

    let mut running = Running {
        top,
        deposits,
        withdrawals,
        count: count.into(),
        fees: fees.into(),
        domain: domain.into(),
        operator: operator.into(),
    };
    let mut data_inputs = vec![Lc::from(data)];
    let mut seal = Lc::zero();
    for (i, slot) in witness.slots.iter().enumerate() {
        let cs = &mut cs.namespace(|| format!("slot {i}"));
        let (words, sealing) = running.execute(cs, slot, i + 1 == SLOTS)?;
        for word in &words {
            evaluation = horner(cs, &evaluation, &point, word)?;
        }
        data_inputs.extend(words);
        seal = sealing;
    }
    let root = hash_from_first_sboxes(&mut cs.namespace(|| "new root hash"), &running.top)?;
    let data = hash(&mut cs.namespace(|| "data hash"), &data_inputs)?;
    let link =
        hash(&mut cs.namespace(|| "sealed hash"), &[sealed.into(), data.into(), point.clone(), evaluation.clone()])?;

    let cs = &mut cs.namespace(|| "end");
    let sealed = Num::select(cs, &seal, &link.into(), &sealed.into())?;
    let open = Lc::one() - &seal;
    let count = allocate(cs, &running.count)?;
    let fees = Num::product(cs, &open, &running.fees)?;
    let data = Num::product(cs, &open, &data.into())?;
    let point = Num::product(cs, &open, &point)?;
    let evaluation = Num::product(cs, &open, &evaluation)?;
    let Running { deposits, withdrawals, .. } = running;
    Ok([root, deposits, withdrawals, sealed, count, domain, operator, fees, data, point, evaluation])
}

/// Point and first evaluation of the step: those of the state, or the offered point and one when a batch begins (four
/// rows).
fn open<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    point: &Num<Fr>,
    evaluation: &Num<Fr>,
    offered: Fr,
) -> Result<(Lc<Fr>, Lc<Fr>), SynthesisError> {
    let offered = Num::alloc(cs, offered)?;
    let begins = is_zero(cs, &point.into())?;
    let taken = Num::product(cs, &begins.into(), &offered.into())?;
    let point = Lc::from(point).plus(Fr::ONE, &taken);
    enforce_nonzero(cs, &point)?;
    Ok((point, Lc::from(evaluation).plus(Fr::ONE, &begins)))
}

/// `evaluation * point + word` (one row).
fn horner<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    evaluation: &Lc<Fr>,
    point: &Lc<Fr>,
    word: &Lc<Fr>,
) -> Result<Lc<Fr>, SynthesisError> {
    let next: Lc<Fr> = Num::alloc(cs, evaluation.value * point.value + word.value)?.into();
    enforce(&mut cs.namespace(|| "evaluation"), evaluation, point, &(next.clone() - word));
    Ok(next)
}

/// A variable for a combination (one row).
fn allocate<CS: ConstraintSystem<Fr>>(cs: &mut CS, lc: &Lc<Fr>) -> Result<Num<Fr>, SynthesisError> {
    let num = Num::alloc(cs, lc.value)?;
    enforce_equal(cs, &num.into(), lc);
    Ok(num)
}

/// Words as combinations.
type WordLcs = [Lc<Fr>; 3];
