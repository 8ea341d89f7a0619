//! A step, natively: what the circuit enforces, in the same order (`docs/spec/rollup.md`, sections 2 to 5).

use super::account::{Account, Index, TREE_ARITY, TREE_DEPTH};
use super::input::{Access, SLOTS, Slot, StepInput};
use super::rules::{Refusal, check_signature, credit, debit};
use super::state::State;
use super::transaction::Transaction;
use crowdfold_fold::{Error, Fr, poseidon};
use ff::{Field, PrimeField};

/// The state after the step.
///
/// # Errors
/// [`Error::Length`] for a state of another arity, [`Error::Step`] with a [`Refusal`] in words.
pub(super) fn apply(state: &[Fr], input: &StepInput) -> Result<Vec<Fr>, Error> {
    let state = State::try_from(state)?;
    Ok(step(&state, input)?.to_elements().to_vec())
}

/// The state after the step, or why there is none.
pub(super) fn step(state: &State, input: &StepInput) -> Result<State, Refusal> {
    let mut next = *state;
    if input.point == Fr::ZERO {
        return Err(Refusal::PointZero);
    }
    if state.point == Fr::ZERO {
        (next.point, next.evaluation) = (input.point, state.evaluation + Fr::ONE);
    } else if state.point != input.point {
        return Err(Refusal::PointChanged);
    }
    if poseidon::hash(&input.top) != state.root {
        return Err(Refusal::WrongTop);
    }

    let mut top = input.top;
    let mut link = vec![state.data];
    for (number, slot) in input.slots.iter().enumerate() {
        if matches!(slot.transaction, Transaction::Seal { .. }) && number + 1 < SLOTS {
            return Err(Refusal::MisplacedSeal { slot: number });
        }
        execute(&mut next, &mut top, slot)?;
        for word in slot.transaction.words() {
            next.evaluation = next.evaluation * next.point + word;
            link.push(word);
        }
    }
    next.root = poseidon::hash(&top);
    next.data = poseidon::hash(&link);
    if matches!(input.slots[SLOTS - 1].transaction, Transaction::Seal { .. }) {
        next.seal();
    }
    Ok(next)
}

impl State {
    /// Links the open batch to the sealed ones and closes it.
    pub(super) fn seal(&mut self) {
        self.sealed = poseidon::hash(&[self.sealed, self.data, self.point, self.evaluation]);
        (self.data, self.point, self.evaluation, self.fees) = (Fr::ZERO, Fr::ZERO, Fr::ZERO, Fr::ZERO);
    }
}

fn execute(state: &mut State, top: &mut [Fr; TREE_ARITY], slot: &Slot) -> Result<(), Refusal> {
    let Slot { transaction, signature, debit: payer, credit: receiver } = slot;
    check_access(top, payer, transaction.from())?;
    let key = payer.account.as_ref().map(|account| &account.key);
    check_signature(transaction, state.domain, key, signature.as_ref())?;
    put(top, payer, transaction.from(), debit(transaction, payer.account)?);

    check_access(top, receiver, transaction.to())?;
    if let Transaction::Seal { operator, fees } = *transaction {
        if operator.element() != state.operator {
            return Err(Refusal::OperatorMismatch { expected: state.operator, found: operator });
        }
        if Fr::from_u128(fees) != state.fees {
            return Err(Refusal::FeesMismatch { expected: state.fees, found: fees });
        }
    }
    put(top, receiver, transaction.to(), credit(transaction, receiver.account)?);

    state.deposits = transaction.link_deposit(state.deposits);
    state.withdrawals = transaction.link_withdrawal(state.withdrawals);
    state.fees += Fr::from(transaction.fee());
    state.count += Fr::from(u64::from(transaction.is_counted()));
    Ok(())
}

/// Refuses an account that is not in the tree.
fn check_access(top: &[Fr; TREE_ARITY], access: &Access, index: Index) -> Result<(), Refusal> {
    let leaf = access.account.map_or(Fr::ZERO, |account| account.leaf());
    if access.root_child(index, leaf) == top[root_digit(index)] { Ok(()) } else { Err(Refusal::WrongPath { index }) }
}

/// Replaces the account that an access was checked for.
fn put(top: &mut [Fr; TREE_ARITY], access: &Access, index: Index, account: Option<Account>) {
    if account != access.account {
        let leaf = account.map_or(Fr::ZERO, |account| account.leaf());
        top[root_digit(index)] = access.root_child(index, leaf);
    }
}

/// Position among the root's children.
fn root_digit(index: Index) -> usize {
    index.digits()[TREE_DEPTH - 1]
}
