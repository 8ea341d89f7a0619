//! The circuit against the native step, and every rule against a witness that breaks just it.
//!
//! A forged step is honest but for the last slot, whose witness is made up. All that follows from it, hashes, paths and
//! sums, the circuit computes, so that only the rule's own rows can notice: a test names them all.

use crowdfold_fold::recorder::{Recorder, record};
use crowdfold_fold::{Fr, poseidon};
use ff::{Field, PrimeField};
use nova_snark::frontend::{Index as VariableIndex, Variable};

use super::super::account::{Account, Index, TREE_ARITY};
use super::super::apply;
use super::super::input::{Access, SLOTS, Slot, StepInput};
use super::super::state::{ARITY, State};
use super::super::testing::{account, domain, index, rng, secret};
use super::super::transaction::Transaction;
use super::super::tree::{Accounts, MemoryAccounts, Overlay};
use super::witness::{SlotWitness, StepWitness, index_bits};
use super::*;
use crate::eddsa::circuit::SignatureWitness;
use crate::eddsa::{PublicKey, SecretKey};
use crowdfold_fold::Address;

/// Accounts under different children of the root, so that a change of one is on no sibling's path of another.
const OPERATOR: u32 = 0;
const ALICE: u32 = 0o10000007;
const BOB: u32 = 0o23456701;
const NOBODY: u32 = 0o77777777;
const RICH: u32 = 0o31111111;
const TIRED: u32 = 0o40000000;
const POINT: u64 = 77;

/// Changes what a dishonest prover would.
type Lie = fn(&mut SlotWitness);

fn tree() -> MemoryAccounts {
    let tired = Account { nonce: u32::MAX, ..account(5, 1000) };
    MemoryAccounts::new([
        (index(OPERATOR), account(1, 10)),
        (index(ALICE), account(2, 1000)),
        (index(BOB), account(3, 50)),
        (index(RICH), account(4, u128::MAX - 5)),
        (index(TIRED), tired),
    ])
}

/// A state with an open batch, with no element like another.
fn open_state(tree: &MemoryAccounts) -> State {
    let Ok(root) = tree.root();
    let mut state = State::genesis(root, domain(), index(OPERATOR));
    (state.deposits, state.withdrawals, state.sealed) = (Fr::from(101), Fr::from(102), Fr::from(103));
    (state.count, state.fees, state.data) = (Fr::from(104), Fr::from(105), Fr::from(106));
    (state.point, state.evaluation) = (Fr::from(POINT), Fr::from(107));
    state
}

fn access(tree: &MemoryAccounts, index: Index) -> Access {
    let Ok(access) = tree.access(index);
    access
}

fn slot(tree: &MemoryAccounts, transaction: Transaction, key: Option<&SecretKey>) -> Slot {
    Slot {
        transaction,
        signature: key.map(|key| key.sign(transaction.message(domain()))),
        debit: access(tree, transaction.from()),
        credit: access(tree, transaction.to()),
    }
}

/// Two slots of nothing, then this one.
fn input(tree: &MemoryAccounts, last: Slot) -> StepInput {
    let nothing = slot(tree, Transaction::Nothing, None);
    let Ok(top) = tree.top();
    StepInput { point: Fr::from(POINT), top, slots: [nothing.clone(), nothing, last] }
}

fn run(state: &State, witness: &StepWitness) -> (Recorder<Fr>, [Num<Fr>; ARITY]) {
    record(|cs| {
        let elements = state.to_elements();
        let state: Vec<Num<Fr>> = elements.iter().map(|e| Num::alloc(cs, *e)).collect::<Result<_, _>>()?;
        step(cs, state.as_slice().try_into().expect("as many as elements"), witness)
    })
}

/// What the circuit says of a forged last slot: the names of all rows that notice.
fn forge(transaction: Transaction, key: Option<&SecretKey>, lie: impl FnOnce(&mut SlotWitness)) -> Vec<String> {
    let tree = tree();
    let mut witness = StepWitness::from(&input(&tree, slot(&tree, transaction, key)));
    lie(&mut witness.slots[SLOTS - 1]);
    let (cs, _) = run(&open_state(&tree), &witness);
    cs.unsatisfied_names().into_iter().map(|name| name.strip_prefix("slot 2/").unwrap_or(name).to_owned()).collect()
}

/// What the native step says of the same transaction.
fn native(transaction: Transaction, key: Option<&SecretKey>) -> Result<State, String> {
    let tree = tree();
    let last = slot(&tree, transaction, key);
    apply::step(&open_state(&tree), &input(&tree, last)).map_err(|refusal| refusal.to_string())
}

fn transfer(from: u32, to: u32, nonce: u32, fee: u64, amount: u128) -> Transaction {
    Transaction::Transfer { from: index(from), to: index(to), nonce, fee, amount }
}

fn honest_transfer() -> Transaction {
    transfer(ALICE, BOB, 0, 3, 40)
}

fn withdrawal() -> Transaction {
    Transaction::Withdrawal { from: index(ALICE), nonce: 0, fee: 3, amount: 40, address: Address([9; 20]) }
}

fn deposit(to: u32, key: u8) -> Transaction {
    Transaction::Deposit { to: index(to), key: secret(key).public(), amount: 40 }
}

fn seal() -> Transaction {
    Transaction::Seal { operator: index(OPERATOR), fees: 105 }
}

fn number(value: u128) -> Fr {
    Fr::from_u128(value)
}

/// Signs the words that the witness has, whatever they are.
fn sign_words(witness: &SlotWitness, key: &SecretKey) -> SignatureWitness {
    let bits = |bits: &[Fr]| bits.iter().rev().fold(Fr::ZERO, |sum, bit| sum.double() + bit);
    let [t, d, w, s] = witness.kinds;
    let kind = t + d.double() + w * Fr::from(3) + s * Fr::from(4);
    let first = kind
        + bits(&witness.from) * number(1 << 3)
        + bits(&witness.to) * number(1 << 27)
        + witness.nonce * number(1 << 51)
        + witness.fee * number(1 << 83);
    let message = poseidon::hash(&[domain(), first, witness.amount, witness.address]);
    SignatureWitness::from(&key.sign(message))
}

#[test]
fn every_kind_is_accepted_and_computes_the_native_state() {
    let tree = tree();
    let alice = secret(2);
    let kinds = [
        (Transaction::Nothing, None),
        (honest_transfer(), Some(&alice)),
        (transfer(ALICE, BOB, 0, 0, 0), Some(&alice)),
        (transfer(ALICE, OPERATOR, 0, 960, 40), Some(&alice)),
        (withdrawal(), Some(&alice)),
        (deposit(BOB, 3), None),
        (deposit(NOBODY, 9), None),
        (seal(), None),
    ];
    let fresh = State { data: Fr::ZERO, point: Fr::ZERO, evaluation: Fr::ZERO, ..open_state(&tree) };
    for (transaction, key) in kinds {
        for state in [open_state(&tree), fresh] {
            let input = input(&tree, slot(&tree, transaction, key));
            let (cs, next) = run(&state, &StepWitness::from(&input));
            assert_eq!(cs.unsatisfied_names(), Vec::<&str>::new(), "{transaction:?}");
            let expected = apply::step(&state, &input).expect("it is allowed");
            assert_eq!(next.map(|num| num.value), expected.to_elements(), "{transaction:?}");
        }
    }
}

#[test]
fn sizes_are_pinned() {
    let tree = tree();
    let input = input(&tree, slot(&tree, honest_transfer(), Some(&secret(2))));
    let (cs, _) = run(&open_state(&tree), &StepWitness::from(&input));
    let parts =
        ["slot 1/signature", "slot 1/debit/path", "slot 1/credit/path", "slot 1/debit", "slot 1/credit", "slot 1"];
    let rows = cs.rows_under(&parts);
    assert_eq!(rows[..6], [3238, 5468, 5468, 756, 722, 853]);
    assert_eq!(cs.num_rows(), 51_039);
}

#[test]
fn no_variable_is_left_open() {
    let tree = tree();
    let input = input(&tree, slot(&tree, honest_transfer(), Some(&secret(2))));
    let (cs, _) = run(&open_state(&tree), &StepWitness::from(&input));
    // The operator, which only a seal looks at and which is passed on; and the point that is offered while a batch is
    // open.
    assert_eq!(cs.free_variables(), [6, ARITY]);
}

#[test]
fn a_changed_output_is_noticed() {
    let tree = tree();
    let input = input(&tree, slot(&tree, honest_transfer(), Some(&secret(2))));
    let (mut cs, next) = run(&open_state(&tree), &StepWitness::from(&input));
    for (i, num) in next.iter().enumerate() {
        if let Variable(VariableIndex::Aux(j)) = num.var
            && j < ARITY
        {
            assert!(
                [5, 6].contains(&i) && i == j,
                "domain and operator are passed on as they are, and nothing else is"
            );
            continue;
        }
        cs.set(num.var, num.value + Fr::ONE);
        assert!(!cs.unsatisfied().is_empty(), "element {i}");
        cs.set(num.var, num.value);
    }
}

#[test]
fn a_signature_covers_every_field_and_the_rollup() {
    let alice = secret(2);
    let changes: [(&str, Lie); 5] = [
        ("fee", |w| w.fee += Fr::ONE),
        ("amount", |w| w.amount += Fr::ONE),
        ("address", |w| w.address += Fr::ONE),
        ("kind", |w| w.kinds = [Fr::ZERO, Fr::ZERO, Fr::ONE, Fr::ZERO]),
        ("key", |w| {
            let signature = secret(3).sign(honest_transfer().message(domain()));
            w.signature = Some(SignatureWitness::from(&signature));
        }),
    ];
    for (what, change) in changes {
        assert_eq!(forge(honest_transfer(), Some(&alice), change), ["signature/equation"], "{what}");
    }
    // To somebody else, with the path of that account.
    let elsewhere = |w: &mut SlotWitness| {
        let tree = tree();
        let other = SlotWitness::from(&slot(&tree, transfer(ALICE, OPERATOR, 0, 3, 40), None));
        (w.to, w.credit) = (other.to, other.credit);
    };
    assert_eq!(forge(honest_transfer(), Some(&alice), elsewhere), ["signature/equation"]);
    // In another rollup.
    let tree = tree();
    let witness = StepWitness::from(&input(&tree, slot(&tree, honest_transfer(), Some(&alice))));
    let state = State { domain: State::domain(1, Address([7; 20])), ..open_state(&tree) };
    let (cs, _) = run(&state, &witness);
    assert_eq!(cs.unsatisfied_names(), ["slot 2/signature/equation"]);
    // From somebody else's account: Bob's key signs, Alice pays.
    assert_eq!(forge(honest_transfer(), Some(&secret(3)), |_| ()), ["signature/equation"]);
    // No signature but that of the key that is no secret.
    assert_eq!(forge(honest_transfer(), None, |_| ()), ["signature/equation"]);
    assert!(native(honest_transfer(), Some(&secret(3))).is_err());
}

#[test]
fn a_nonce_is_the_next_one() {
    for nonce in [1, 7, u32::MAX] {
        let transaction = transfer(ALICE, BOB, nonce, 3, 40);
        assert_eq!(forge(transaction, Some(&secret(2)), |_| ()), ["debit/nonce"]);
        assert!(native(transaction, Some(&secret(2))).is_err());
    }
    // Where none is used there is none.
    assert_eq!(forge(deposit(BOB, 3), None, |w| w.nonce = Fr::ONE), ["debit/nonce"]);
}

#[test]
fn nonces_end() {
    let last = transfer(TIRED, BOB, u32::MAX, 3, 40);
    assert_eq!(forge(last, Some(&secret(5)), |_| ()), ["debit/nonce range"]);
    assert!(native(last, Some(&secret(5))).is_err());
}

#[test]
fn a_balance_covers_amount_and_fee() {
    for (fee, amount) in [(0, 1001), (1, 1000), (u64::MAX, 0), (0, u128::MAX)] {
        let transaction = transfer(ALICE, BOB, 0, fee, amount);
        let noticed = forge(transaction, Some(&secret(2)), |_| ());
        // 2^128 - 1 more is too much for Bob, too.
        let expected: &[&str] =
            if amount == u128::MAX { &["debit/balance", "credit/balance"] } else { &["debit/balance"] };
        assert_eq!(noticed, expected);
        assert!(native(transaction, Some(&secret(2))).is_err());
    }
    let transaction = transfer(ALICE, BOB, 0, 0, 1000);
    assert_eq!(forge(transaction, Some(&secret(2)), |_| ()), Vec::<String>::new());
}

#[test]
fn no_balance_overflows() {
    for (amount, fits) in [(5, true), (6, false), (1000, false)] {
        let transaction = transfer(ALICE, RICH, 0, 0, amount);
        let expected: &[&str] = if fits { &[] } else { &["credit/balance"] };
        assert_eq!(forge(transaction, Some(&secret(2)), |_| ()), expected);
        assert_eq!(native(transaction, Some(&secret(2))).is_ok(), fits);
    }
    let deposit = Transaction::Deposit { to: index(RICH), key: secret(4).public(), amount: 6 };
    assert_eq!(forge(deposit, None, |_| ()), ["credit/balance"]);
    assert!(native(deposit, None).is_err());
}

#[test]
fn amounts_and_fees_have_their_ranges() {
    let alice = secret(2);
    // Minus one: Alice would gain what Bob loses.
    let negative = |w: &mut SlotWitness| {
        w.amount = -Fr::ONE;
        w.signature = Some(sign_words(w, &secret(2)));
    };
    assert_eq!(forge(honest_transfer(), Some(&alice), negative), ["amount range"]);
    let negative_fee = |w: &mut SlotWitness| {
        w.fee = -Fr::from(10);
        w.signature = Some(sign_words(w, &secret(2)));
    };
    assert_eq!(forge(honest_transfer(), Some(&alice), negative_fee), ["fee range"]);
    // A fee of 2^64 that the amount makes up for.
    let large_fee = |w: &mut SlotWitness| {
        w.fee = number(1 << 64);
        w.amount = Fr::from(40) - number(1 << 64);
        w.signature = Some(sign_words(w, &secret(2)));
    };
    assert_eq!(forge(honest_transfer(), Some(&alice), large_fee), ["fee range", "amount range", "credit/balance"]);
    // A deposit of so much that it wraps.
    assert_eq!(forge(deposit(BOB, 3), None, |w| w.amount = -Fr::from(20)), ["amount range"]);
}

#[test]
fn nobody_pays_from_an_account_that_does_not_exist() {
    let thief = secret(9);
    let transaction = transfer(NOBODY, BOB, 0, 3, 40);
    let rich = |w: &mut SlotWitness| {
        let key = secret(9).public();
        (w.debit.key, w.debit.balance) = ([key.x(), key.y()], Fr::from(1000));
    };
    assert_eq!(forge(transaction, Some(&thief), rich), ["debit/exists"]);
    // To say that it exists leads to another root.
    let exists = |w: &mut SlotWitness| {
        rich(w);
        w.debit.empty = Fr::ZERO;
    };
    assert_eq!(forge(transaction, Some(&thief), exists), ["debit/path/top/old"]);
    assert!(native(transaction, Some(&thief)).is_err());
}

#[test]
fn nobody_is_paid_who_does_not_exist() {
    let transaction = transfer(ALICE, NOBODY, 0, 3, 40);
    assert_eq!(forge(transaction, Some(&secret(2)), |_| ()), ["credit/exists"]);
    assert_eq!(forge(transaction, Some(&secret(2)), |w| w.credit.empty = Fr::ZERO), ["credit/path/top/old"]);
    assert!(native(transaction, Some(&secret(2))).is_err());
    let operator = Transaction::Seal { operator: index(NOBODY), fees: 105 };
    assert_eq!(forge(operator, None, |_| ()), ["credit/exists", "seal to operator"]);
}

#[test]
fn a_new_account_begins_with_nothing() {
    assert_eq!(forge(deposit(NOBODY, 9), None, |w| w.credit.balance = Fr::ONE), ["credit/created without balance"]);
    assert_eq!(forge(deposit(NOBODY, 9), None, |w| w.credit.nonce = Fr::ONE), ["credit/created without nonce"]);
}

#[test]
fn a_deposit_goes_to_its_key() {
    // Onto an account with another key: that account would have to have this key.
    let stolen = |w: &mut SlotWitness| {
        let key = secret(9).public();
        w.credit.key = [key.x(), key.y()];
    };
    assert_eq!(forge(deposit(BOB, 3), None, stolen), ["credit/path/top/old"]);
    // Or there would have to be none.
    let overwritten = |w: &mut SlotWitness| {
        stolen(w);
        (w.credit.empty, w.credit.balance) = (Fr::ONE, Fr::ZERO);
    };
    assert_eq!(forge(deposit(BOB, 3), None, overwritten), ["credit/path/top/old"]);
    assert!(native(deposit(BOB, 9), None).is_err());
}

#[test]
fn accounts_are_what_the_tree_says() {
    let lies: [(&str, Lie); 7] = [
        ("debit", |w| w.debit.balance += Fr::ONE),
        ("debit", |w| w.debit.siblings[3][2] += Fr::ONE),
        ("debit", |w| w.debit.siblings[6][6] += Fr::ONE),
        ("credit", |w| w.credit.balance += Fr::ONE),
        ("credit", |w| w.credit.nonce += Fr::ONE),
        ("credit", |w| w.credit.key[0] += Fr::ONE),
        ("credit", |w| w.credit.siblings[0][0] += Fr::ONE),
    ];
    for (side, lie) in lies {
        assert_eq!(forge(honest_transfer(), Some(&secret(2)), lie), [format!("{side}/path/top/old")]);
    }
    // The account of another index.
    let tree = tree();
    let lie = |w: &mut SlotWitness| w.debit = SlotWitness::from(&slot(&tree, transfer(RICH, BOB, 0, 0, 0), None)).debit;
    let noticed = forge(honest_transfer(), Some(&secret(4)), lie);
    assert!(noticed.iter().any(|name| name.starts_with("debit/path")), "{noticed:?}");
}

#[test]
fn a_child_is_taken_from_its_place() {
    // The right node, but not where the index says: only the choice by position notices.
    let (a, b) = (index(0o10000007), index(0o10000006));
    let moved = |w: &mut SlotWitness| {
        w.from = index_bits(b);
        w.signature = Some(sign_words(w, &secret(2)));
    };
    let noticed = forge(transfer(a.get(), BOB, 0, 3, 40), Some(&secret(2)), moved);
    assert!(noticed.iter().all(|name| name.starts_with("debit/path/")), "{noticed:?}");
    assert!(!noticed.is_empty());
}

#[test]
fn a_transfer_to_oneself_sees_the_debit() {
    let tree = tree();
    let alice = secret(2);
    let transaction = transfer(ALICE, ALICE, 0, 3, 40);
    let mut honest = slot(&tree, transaction, Some(&alice));
    let mut overlay = Overlay::new(tree.clone());
    let paid = Account { balance: 1000 - 43, nonce: 1, ..account(2, 0) };
    overlay.update(index(ALICE), paid);
    let Ok(()) = overlay.rehash();
    let Ok(after) = overlay.access(index(ALICE));
    honest.credit = after;

    let good = input(&tree, honest);
    let (cs, next) = run(&open_state(&tree), &StepWitness::from(&good));
    assert_eq!(cs.unsatisfied_names(), Vec::<&str>::new());
    let expected = apply::step(&open_state(&tree), &good).expect("it is allowed");
    assert_eq!(next.map(|num| num.value), expected.to_elements());
    overlay.update(index(ALICE), Account { balance: 1000 - 3, ..paid });
    let Ok(()) = overlay.rehash();
    let Ok(root) = overlay.root();
    assert_eq!(expected.root, root);

    // The balance from before the debit would create money.
    assert_eq!(forge(transaction, Some(&alice), |_| ()), ["credit/path/top/old"]);
    let stale = input(&tree, slot(&tree, transaction, Some(&alice)));
    assert!(apply::step(&open_state(&tree), &stale).is_err());
}

#[test]
fn a_seal_credits_all_fees_to_the_operator() {
    for fees in [0, 104, 106, u128::MAX - 1000] {
        let transaction = Transaction::Seal { operator: index(OPERATOR), fees };
        assert_eq!(forge(transaction, None, |_| ()), ["seal of all fees"]);
        assert!(native(transaction, None).is_err());
    }
    let transaction = Transaction::Seal { operator: index(ALICE), fees: 105 };
    assert_eq!(forge(transaction, None, |_| ()), ["seal to operator"]);
    assert!(native(transaction, None).is_err());
}

#[test]
fn a_slot_is_of_one_kind() {
    let [one, zero] = [Fr::ONE, Fr::ZERO];
    // A deposit that is a withdrawal, too; a seal that is a deposit.
    for kinds in [[zero, one, one, zero], [zero, one, zero, one]] {
        let noticed = forge(deposit(BOB, 3), None, |w| w.kinds = kinds);
        assert!(noticed.contains(&"kind/one".to_owned()), "{noticed:?}");
    }
    // Minus a transfer: takes from Bob, gives to Alice.
    let negative = |w: &mut SlotWitness| w.kinds = [-one, zero, zero, zero];
    let noticed = forge(honest_transfer(), None, negative);
    assert!(noticed.contains(&"kind".to_owned()), "{noticed:?}");
}

#[test]
fn flags_and_index_bits_are_bits() {
    let half = Fr::from(2).invert().expect("a unit");
    let noticed = forge(honest_transfer(), Some(&secret(2)), |w| w.credit.empty = half);
    assert!(noticed.contains(&"credit/empty".to_owned()));
    let noticed = forge(honest_transfer(), Some(&secret(2)), |w| w.debit.empty = half);
    assert!(noticed.contains(&"debit/empty".to_owned()));
    // Two times 2^0 in place of 2^1: another position with the same index.
    for change in [|w: &mut SlotWitness| w.from[0] = Fr::from(2), |w: &mut SlotWitness| w.to[23] = Fr::from(2)] {
        let noticed = forge(honest_transfer(), Some(&secret(2)), change);
        assert!(noticed.contains(&"index".to_owned()), "{noticed:?}");
    }
}

#[test]
fn the_tree_is_that_of_the_state() {
    let tree = tree();
    let witness = StepWitness::from(&input(&tree, slot(&tree, honest_transfer(), Some(&secret(2)))));
    let state = State { root: Fr::from(5), ..open_state(&tree) };
    let (cs, _) = run(&state, &witness);
    assert_eq!(cs.unsatisfied_names(), ["root"]);
}

#[test]
fn data_is_evaluated_at_one_point() {
    let tree = tree();
    let input = input(&tree, slot(&tree, honest_transfer(), Some(&secret(2))));
    // While a batch is open the offered point is not taken.
    let mut witness = StepWitness::from(&input);
    let (_, honest) = run(&open_state(&tree), &witness);
    witness.point = Fr::from(5);
    let (cs, next) = run(&open_state(&tree), &witness);
    assert!(cs.is_satisfied());
    assert_eq!(next.map(|num| num.value), honest.map(|num| num.value));
    // When one begins it must not be zero.
    let fresh = State { data: Fr::ZERO, point: Fr::ZERO, evaluation: Fr::ZERO, ..open_state(&tree) };
    witness.point = Fr::ZERO;
    let (cs, _) = run(&fresh, &witness);
    assert_eq!(cs.unsatisfied_names(), ["open"]);
    // And a batch begins exactly where there is none: the flag can't be chosen.
    let (mut cs, _) = run(&open_state(&tree), &witness);
    let begins = cs.aux[ARITY + 1];
    assert_eq!(begins, Fr::ZERO);
    for hint in [Fr::ZERO, Fr::ONE, Fr::from(POINT).invert().expect("a unit")] {
        (cs.aux[ARITY + 1], cs.aux[ARITY + 2]) = (Fr::ONE, hint);
        assert!(cs.unsatisfied_names().contains(&"open"));
    }
}

#[test]
fn a_transaction_counts_once() {
    // Proved, then offered again to the state after it.
    let tree = tree();
    let alice = secret(2);
    let first = input(&tree, slot(&tree, honest_transfer(), Some(&alice)));
    let (_, next) = run(&open_state(&tree), &StepWitness::from(&first));
    let mut after = tree;
    let mut overlay = Overlay::new(after.clone());
    overlay.update(index(ALICE), Account { balance: 957, nonce: 1, ..account(2, 0) });
    overlay.update(index(BOB), account(3, 90));
    let Ok(changes) = overlay.into_changes();
    after.commit(changes);
    let state = State::from(next.map(|num| num.value));
    let Ok(root) = after.root();
    assert_eq!(state.root, root);

    let again = input(&after, slot(&after, honest_transfer(), Some(&alice)));
    let (cs, _) = run(&state, &StepWitness::from(&again));
    assert_eq!(cs.unsatisfied_names(), ["slot 2/debit/nonce"]);
    // In a later batch the same holds.
    let sealed = State { data: Fr::ZERO, point: Fr::ZERO, evaluation: Fr::ZERO, fees: Fr::ZERO, ..state };
    let (cs, _) = run(&sealed, &StepWitness::from(&again));
    assert_eq!(cs.unsatisfied_names(), ["slot 2/debit/nonce"]);
    assert!(apply::step(&sealed, &again).is_err());
}

/// Whatever is changed in an input, the circuit and the native step agree.
#[test]
fn circuit_and_native_step_agree() {
    use rand_core::RngCore;
    let tree = tree();
    let alice = secret(2);
    let state = open_state(&tree);
    let mut rng = rng();
    let kinds =
        [(honest_transfer(), Some(&alice)), (withdrawal(), Some(&alice)), (deposit(NOBODY, 9), None), (seal(), None)];
    for round in 0..40 {
        let (transaction, key) = kinds[round % kinds.len()];
        let mut input = input(&tree, slot(&tree, transaction, key));
        let number = rng.next_u32() as usize;
        let last = &mut input.slots[SLOTS - 1];
        match rng.next_u32() % 8 {
            0 => last.signature = last.signature.map(|s| crate::eddsa::Signature { r8: -s.r8, ..s }),
            1 => last.debit.siblings[number % 7][number / 7 % 7] += Fr::ONE,
            2 => last.credit.siblings[number % 7][number / 7 % 7] += Fr::ONE,
            3 => input.top[number % TREE_ARITY] += Fr::ONE,
            4 => last.credit.account = last.credit.account.map(|a| Account { balance: a.balance ^ 1, ..a }),
            5 => last.debit.account = last.debit.account.map(|a| Account { nonce: a.nonce ^ 1, ..a }),
            6 => {
                let key = PublicKey(-secret(3).public().0);
                last.credit.account = last.credit.account.map(|a| Account { key, ..a });
            }
            _ => (),
        }
        let (cs, next) = run(&state, &StepWitness::from(&input));
        match apply::step(&state, &input) {
            Ok(expected) => {
                assert_eq!(cs.unsatisfied_names(), Vec::<&str>::new(), "round {round}");
                assert_eq!(next.map(|num| num.value), expected.to_elements());
            }
            Err(refusal) => assert!(!cs.unsatisfied().is_empty(), "round {round}: {refusal}"),
        }
    }
}

/// Rows of replacing an account in a tree of 2^24 leaves whose nodes have `2^bits` children, with the savings of
/// section 6 but that of the shared top. Hashes are measured; choosing the place is counted.
fn rows_of_update(bits: usize) -> usize {
    let arity = 1 << bits;
    let (cs, _) = record(|cs| {
        let outputs: Vec<Lc<Fr>> =
            (0..arity).map(|_| Ok(Num::alloc(cs, Fr::ONE)?.into())).collect::<Result<_, SynthesisError>>()?;
        hash_from_first_sboxes(cs, &outputs)
    });
    let constant = [0, 1, 2, 4][bits - 1];
    (2 * cs.num_rows() + 2 * 3 + constant + 2 * (arity - 1)) * (Index::BITS / bits)
}

#[test]
fn eight_children_make_the_cheapest_tree() {
    assert_eq!([1, 2, 3, 4].map(rows_of_update), [11_424, 6_996, 6_224, 6_972]);
    // The circuit's own path: seven levels as counted, and the top without hashes.
    assert_eq!(rows_of_update(3) / 8 * 7 + 6 + 2 + 2 * 7, 5468);
}
