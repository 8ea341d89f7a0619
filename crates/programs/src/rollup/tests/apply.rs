//! The native step: accepts what batches make, and refuses each part of it that is changed.

use super::super::apply::step;
use super::super::rules::Refusal;
use super::super::testing::{account, assert_strict, domain, index, rng, rollup, secret, signed, transfer, withdrawal};
use super::super::{
    Access, Account, Deposit, INPUT_BYTES, Outcome, Request, Rollup, SLOTS, State, StepInput, Transaction, build,
    empty_node,
};
use crate::program::Program;
use crowdfold_fold::{Error, Fr, StepFunction};
use ff::Field;

/// A state in an open batch, and the input of the last step: a transfer, a deposit that creates an account, the seal.
/// Account 1 has paid 9 for a withdrawal already, and 5 for a transfer.
fn fixture() -> (State, StepInput) {
    let (tree, start) = rollup(4);
    let requests = [
        Request::Signed(signed(withdrawal(1, 0, 9, 100))),
        Request::Signed(signed(transfer(1, 2, 1, 5, 200))),
        Request::Deposit(Deposit { key: secret(2).public(), amount: 40 }),
        Request::Signed(signed(transfer(2, 3, 0, 3, 300))),
        Request::Deposit(Deposit { key: secret(77).public(), amount: 50 }),
    ];
    let Outcome { batch, refused, .. } = build(&tree, start, &requests, &mut rng()).expect("a batch");
    assert_eq!(refused, []);
    let mut steps = batch.into_steps(&mut rng()).expect("it is allowed").map(|input| input.expect("it is allowed"));
    let state = step(&start, &steps.next().expect("two steps")).expect("it is accepted");
    let input = steps.next().expect("two steps");
    assert!(steps.next().is_none());
    (state, input)
}

/// What happens if state and input are changed.
fn changed(change: impl FnOnce(&mut State, &mut StepInput)) -> Result<State, Refusal> {
    let (mut state, mut input) = fixture();
    change(&mut state, &mut input);
    step(&state, &input)
}

#[test]
fn the_fixture_is_accepted() {
    let (state, input) = fixture();
    let end = step(&state, &input).expect("it is accepted");
    assert!(end.is_between_batches());
    assert_eq!((end.count, end.domain, end.operator), (Fr::from(5), domain(), Fr::ZERO));
    assert_eq!(input.slots[2].transaction, Transaction::Seal { operator: index(0), fees: 17 });
    let elements = Rollup.apply(&state.to_elements(), &input).expect("it is accepted");
    assert_eq!(elements, end.to_elements());
}

#[test]
fn states_of_another_arity_are_refused() {
    let (state, input) = fixture();
    let error = Rollup.apply(&state.to_elements()[1..], &input).expect_err("ten elements");
    assert!(matches!(error, Error::Length { expected: 11, found: 10, .. }), "{error}");
}

#[test]
fn refusals_are_said_in_words() {
    let (state, mut input) = fixture();
    input.point = Fr::ZERO;
    let error = Rollup.apply(&state.to_elements(), &input).expect_err("no point");
    assert_eq!(error.to_string(), "the step function failed: the point at which data is evaluated is 0");
}

#[test]
fn the_point_is_not_zero_and_stays() {
    assert_eq!(changed(|_, input| input.point = Fr::ZERO), Err(Refusal::PointZero));
    assert_eq!(changed(|_, input| input.point += Fr::ONE), Err(Refusal::PointChanged));
    assert_eq!(changed(|state, _| state.point += Fr::ONE), Err(Refusal::PointChanged));
    // Where no batch is open, any point but 0 begins one.
    let begun = changed(|state, input| {
        (state.point, state.evaluation) = (Fr::ZERO, Fr::ZERO);
        input.point = Fr::from(3);
    });
    assert!(begun.is_ok());
}

#[test]
fn the_roots_children_belong_to_the_root() {
    for i in 0..8 {
        assert_eq!(changed(|_, input| input.top[i] += Fr::ONE), Err(Refusal::WrongTop));
    }
    assert_eq!(changed(|state, _| state.root += Fr::ONE), Err(Refusal::WrongTop));
}

#[test]
fn accounts_and_paths_belong_to_the_root() {
    let changes: [fn(&mut Access); 4] = [
        |access| access.siblings[0][0] += Fr::ONE,
        |access| access.siblings[6][6] += Fr::ONE,
        |access| {
            let account = access.account.unwrap_or(account(1, 0));
            access.account = Some(Account { balance: account.balance + 1, ..account });
        },
        |access| {
            let account = access.account.unwrap_or(account(1, 0));
            access.account = Some(Account { nonce: account.nonce + 1, ..account });
        },
    ];
    for slot in 0..SLOTS {
        for change in changes {
            let transaction = fixture().1.slots[slot].transaction;
            let found = changed(|_, input| change(&mut input.slots[slot].debit));
            assert_eq!(found, Err(Refusal::WrongPath { index: transaction.from() }));
            let found = changed(|_, input| change(&mut input.slots[slot].credit));
            assert_eq!(found, Err(Refusal::WrongPath { index: transaction.to() }));
        }
    }
}

#[test]
fn signatures_are_there_where_they_are_used() {
    let other = *signed(transfer(2, 3, 0, 3, 301)).signature();
    let bad = Err(Refusal::BadSignature { index: index(2) });
    assert_eq!(changed(|_, input| input.slots[0].signature = Some(other)), bad);
    assert_eq!(changed(|state, _| state.domain += Fr::ONE), bad);
    assert_eq!(changed(|_, input| input.slots[0].signature = None), Err(Refusal::MissingSignature));
    assert_eq!(changed(|_, input| input.slots[1].signature = Some(other)), Err(Refusal::UnusedSignature));
    assert_eq!(changed(|_, input| input.slots[2].signature = Some(other)), Err(Refusal::UnusedSignature));
}

/// Another transfer in the first slot, with a signature of account 2.
fn with_transfer(to: u32, nonce: u32, fee: u64, amount: u128) -> Result<State, Refusal> {
    changed(|_, input| {
        let other = signed(transfer(2, to, nonce, fee, amount));
        input.slots[0].transaction = *other.transaction();
        input.slots[0].signature = Some(*other.signature());
    })
}

#[test]
fn the_rules_of_transactions_hold_in_a_step() {
    let index = index(2);
    assert_eq!(with_transfer(3, 1, 3, 300), Err(Refusal::WrongNonce { index, expected: 0, found: 1 }));
    let lacks = Refusal::InsufficientBalance { index, balance: 1240, needed: 1241 };
    assert_eq!(with_transfer(3, 0, 3, 1238), Err(lacks));
}

#[test]
fn a_deposit_has_the_key_of_its_account() {
    let (tree, start) = rollup(4);
    let deposit = Deposit { key: secret(2).public(), amount: 40 };
    let outcome = build(&tree, start, &[Request::Deposit(deposit)], &mut rng()).expect("a batch");
    let mut steps = outcome.batch.into_steps(&mut rng()).expect("it is allowed");
    let mut input = steps.next().expect("a step").expect("it is allowed");
    step(&start, &input).expect("it is accepted");
    input.slots[0].transaction = Transaction::Deposit { to: index(2), key: secret(3).public(), amount: 40 };
    assert_eq!(step(&start, &input), Err(Refusal::KeyMismatch { index: index(2) }));
}

#[test]
fn accounts_that_do_not_exist_neither_pay_nor_are_paid() {
    let state = State::genesis(empty_node(8), domain(), index(0));
    let refused = |slot: usize, transaction: Transaction| {
        let mut input = StepInput::empty();
        input.slots[slot].signature = transaction.is_signed().then(|| *signed(transaction).signature());
        input.slots[slot].transaction = transaction;
        assert_eq!(step(&state, &input), Err(Refusal::UnknownAccount { index: index(0) }));
    };
    refused(0, transfer(0, 0, 0, 0, 0));
    refused(1, withdrawal(0, 0, 0, 0));
    refused(2, Transaction::Seal { operator: index(0), fees: 0 });
}

#[test]
fn seals_are_last_and_credit_the_operator_with_all_fees() {
    let seal = |operator: u32, fees| Transaction::Seal { operator: index(operator), fees };
    for slot in 0..2 {
        let found = changed(|_, input| {
            input.slots[slot].transaction = seal(0, 0);
            input.slots[slot].signature = None;
        });
        assert_eq!(found, Err(Refusal::MisplacedSeal { slot }));
    }
    for fees in [0, 16, 18, u128::MAX] {
        let found = changed(|_, input| input.slots[2].transaction = seal(0, fees));
        assert_eq!(found, Err(Refusal::FeesMismatch { expected: Fr::from(17), found: fees }));
    }
    let found = changed(|state, _| state.operator = Fr::ONE);
    assert_eq!(found, Err(Refusal::OperatorMismatch { expected: Fr::ONE, found: index(0) }));
    let found = changed(|state, _| state.fees += Fr::ONE);
    assert_eq!(found, Err(Refusal::FeesMismatch { expected: Fr::from(18), found: 17 }));
}

#[test]
fn without_a_seal_the_batch_stays_open() {
    let state = changed(|_, input| {
        input.slots[2].transaction = Transaction::Nothing;
        input.slots[2].credit = input.slots[2].debit.clone();
    })
    .expect("it is accepted");
    let (before, input) = fixture();
    assert_eq!((state.fees, state.point, state.sealed), (Fr::from(17), input.point, before.sealed));
    assert_ne!(state.data, before.data);
}

#[test]
fn inputs_round_trip_strictly() {
    let (_, input) = fixture();
    for input in [input, StepInput::empty()] {
        let bytes = input.to_bytes();
        assert_eq!(bytes.len(), INPUT_BYTES);
        assert_eq!(StepInput::from_bytes(&bytes).expect("it was just encoded"), input);
        assert_strict(&bytes, StepInput::from_bytes, StepInput::to_bytes);
    }
}

#[test]
fn unused_fields_of_inputs_are_zero() {
    let bytes = StepInput::empty().to_bytes();
    let slot = 9 * 32;
    // Every byte of the transaction, the absent signature and the absent account of padding, but for the kind.
    for at in (1..121).chain(121..186).chain(187..271) {
        let mut other = bytes.clone();
        other[slot + at] = 1;
        let error = StepInput::from_bytes(&other).expect_err("something that is not used");
        assert!(matches!(error, Error::Decode { .. }), "byte {at}: {error}");
    }
    let mut other = bytes;
    other[slot] = 5;
    let error = StepInput::from_bytes(&other).expect_err("an unknown kind");
    assert!(matches!(error, Error::Decode { what: "kind", at, .. } if at == slot), "{error}");
}

#[test]
fn the_shape_input_is_accepted_over_the_tree_of_nothing() {
    let state = State::genesis(empty_node(8), domain(), index(0));
    let next = Rollup.apply(&state.to_elements(), &Rollup.shape_input()).expect("it is accepted");
    let next = State::try_from(&next[..]).expect("eleven elements");
    assert_eq!((next.root, next.count, next.point), (state.root, Fr::ZERO, Fr::ONE));
    assert!(Rollup.describe(&next.to_elements()).is_ok());
}
