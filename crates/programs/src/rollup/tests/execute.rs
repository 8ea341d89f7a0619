//! Every rule, natively.

use super::super::rules::Refusal;
use super::super::signatures::Verified;
use super::super::testing::{account, domain, index, rng, rollup, secret, signed, transfer, withdrawal};
use super::super::{
    Account, Accounts, Deposit, Executor, Index, MemoryAccounts, Receipt, SignedTransaction, Transaction,
};
use crate::eddsa::{Point, PublicKey};
use crowdfold_fold::Fr;
use ff::Field;

const LAST: u32 = (1 << 24) - 1;

/// The account's balance and nonce.
fn holds<A: Accounts>(executor: &Executor<A>, number: u32) -> (u128, u32) {
    let account = executor.accounts().account(index(number)).expect("the view does not fail").expect("there is one");
    (account.balance, account.nonce)
}

fn verified(transaction: Transaction) -> Verified {
    let key = secret(transaction.from().get() as u8).public();
    Verified::new(signed(transaction), key, domain()).expect("it was just signed")
}

fn run(executor: &mut Executor<&MemoryAccounts>, transaction: Transaction) -> Result<Receipt, Refusal> {
    let Ok(done) = executor.execute(&verified(transaction));
    done
}

/// Checks that a transaction is refused, and that nothing changes.
fn refuses(tree: &MemoryAccounts, transaction: Transaction, refusal: Refusal) {
    let mut executor = Executor::new(tree);
    assert_eq!(run(&mut executor, transaction), Err(refusal.clone()), "{refusal}");
    let Ok(changes) = executor.clone().into_accounts().into_changes();
    assert_eq!((changes, executor.fees(), executor.count()), (super::super::Changes::default(), 0, 0), "{refusal}");
}

fn tree_of(accounts: &[(u32, Account)]) -> MemoryAccounts {
    MemoryAccounts::new(accounts.iter().map(|(at, account)| (index(*at), *account)))
}

#[test]
fn a_transfer_moves_its_amount_and_pays_its_fee() {
    let (tree, _) = rollup(3);
    let mut executor = Executor::new(&tree);
    let receipt = run(&mut executor, transfer(1, 2, 0, 10, 90)).expect("it is allowed");
    assert_eq!((holds(&executor, 1), holds(&executor, 2)), ((900, 1), (1090, 0)));
    assert_eq!((executor.fees(), executor.count()), (10, 1));
    assert_eq!(receipt.debited.map(|account| account.balance), Some(900));
    assert_eq!(receipt.credited.map(|account| account.balance), Some(1090));
    assert!(!receipt.created);
}

#[test]
fn a_transfer_to_oneself_costs_the_fee() {
    let (tree, _) = rollup(3);
    let mut executor = Executor::new(&tree);
    run(&mut executor, transfer(1, 1, 0, 10, 990)).expect("it is allowed");
    assert_eq!(holds(&executor, 1), (990, 1));
    refuses(
        &tree,
        transfer(1, 1, 0, 10, 991),
        Refusal::InsufficientBalance { index: index(1), balance: 1000, needed: 1001 },
    );
}

#[test]
fn a_withdrawal_leaves_the_rollup() {
    let (tree, _) = rollup(3);
    let mut executor = Executor::new(&tree);
    let receipt = run(&mut executor, withdrawal(1, 0, 10, 90)).expect("it is allowed");
    assert_eq!((holds(&executor, 1), holds(&executor, 0), executor.fees()), ((900, 1), (1000, 0), 10));
    assert_eq!(receipt.credited, None);
}

#[test]
fn deposits_find_their_account_or_create_one() {
    let (tree, _) = rollup(3);
    let mut executor = Executor::new(&tree);
    let mut deposit = |number: u8, amount| {
        let Ok(done) = executor.deposit(&Deposit { key: secret(number).public(), amount });
        let receipt = done.expect("it is allowed");
        (receipt.transaction.to().get(), receipt.created, receipt.credited.map(|account| account.balance))
    };
    assert_eq!(deposit(2, 5), (2, false, Some(1005)));
    assert_eq!(deposit(9, 7), (3, true, Some(7)));
    assert_eq!(deposit(9, 8), (3, false, Some(15)));
    assert_eq!(deposit(8, 0), (4, true, Some(0)));
    // Who was created can spend at once, and nobody lost anything.
    assert_eq!((executor.fees(), executor.count()), (0, 4));
    let spend = SignedTransaction::sign(transfer(3, 0, 0, 1, 14), domain(), &secret(9)).expect("a transfer");
    let spend = Verified::new(spend, secret(9).public(), domain()).expect("it was just signed");
    let Ok(done) = executor.execute(&spend);
    assert_eq!(done.map(|receipt| receipt.debited.map(|account| account.balance)), Ok(Some(0)));
}

#[test]
fn a_seal_credits_all_fees_once() {
    let (tree, _) = rollup(3);
    let mut executor = Executor::new(&tree);
    run(&mut executor, transfer(1, 2, 0, 10, 90)).expect("it is allowed");
    run(&mut executor, withdrawal(2, 0, 7, 90)).expect("it is allowed");
    let Ok(sealed) = executor.seal(index(0));
    assert_eq!(sealed.map(|receipt| receipt.transaction), Ok(Transaction::Seal { operator: index(0), fees: 17 }));
    assert_eq!((holds(&executor, 0), executor.fees(), executor.count()), ((1017, 0), 0, 2));
    let Ok(sealed) = executor.seal(index(4));
    assert_eq!(sealed, Err(Refusal::UnknownAccount { index: index(4) }));
}

#[test]
fn unknown_accounts_neither_pay_nor_are_paid() {
    let (tree, _) = rollup(3);
    for transaction in [transfer(3, 0, 0, 0, 0), withdrawal(3, 0, 0, 0), transfer(0, 3, 0, 0, 0)] {
        refuses(&tree, transaction, Refusal::UnknownAccount { index: index(3) });
    }
}

#[test]
fn nonces_count() {
    let (tree, _) = rollup(3);
    refuses(&tree, transfer(1, 2, 1, 0, 0), Refusal::WrongNonce { index: index(1), expected: 0, found: 1 });
    let mut executor = Executor::new(&tree);
    run(&mut executor, transfer(1, 2, 0, 0, 0)).expect("it is allowed");
    let replayed = run(&mut executor, transfer(1, 2, 0, 0, 0));
    assert_eq!(replayed, Err(Refusal::WrongNonce { index: index(1), expected: 1, found: 0 }));
    run(&mut executor, transfer(1, 2, 1, 0, 0)).expect("a refused transaction spoils nothing");
}

#[test]
fn nonces_end() {
    let with_nonce = |nonce| tree_of(&[(1, Account { nonce, ..account(1, 1000) })]);
    let tree = with_nonce(u32::MAX - 1);
    let mut executor = Executor::new(&tree);
    run(&mut executor, transfer(1, 1, u32::MAX - 1, 0, 0)).expect("the last one is allowed");
    assert_eq!(holds(&executor, 1), (1000, u32::MAX));
    refuses(&with_nonce(u32::MAX), transfer(1, 1, u32::MAX, 0, 0), Refusal::NonceExhausted { index: index(1) });
}

#[test]
fn balances_cover_amount_and_fee() {
    let (tree, _) = rollup(3);
    let mut executor = Executor::new(&tree);
    run(&mut executor, transfer(1, 2, 0, 1, 999)).expect("all of it");
    let lacks = |needed| Refusal::InsufficientBalance { index: index(1), balance: 1000, needed };
    refuses(&tree, transfer(1, 2, 0, 1, 1000), lacks(1001));
    refuses(&tree, withdrawal(1, 0, 1001, 0), lacks(1001));
    // The sum is beyond 2^128, and must not wrap around to something small.
    refuses(&tree, transfer(1, 2, 0, 5, u128::MAX - 2), lacks(u128::MAX));
    let rich = tree_of(&[(1, account(1, u128::MAX))]);
    let lacks = Refusal::InsufficientBalance { index: index(1), balance: u128::MAX, needed: u128::MAX };
    refuses(&rich, transfer(1, 1, 0, 1, u128::MAX), lacks);
}

#[test]
fn balances_stay_below_two_to_the_128() {
    let tree = tree_of(&[(0, account(0, u128::MAX)), (1, account(1, 10))]);
    let overflow = |amount| Refusal::BalanceOverflow { index: index(0), balance: u128::MAX, amount };
    refuses(&tree, transfer(1, 0, 0, 0, 1), overflow(1));
    let mut executor = Executor::new(&tree);
    let Ok(done) = executor.deposit(&Deposit { key: secret(0).public(), amount: 1 });
    assert_eq!(done, Err(overflow(1)));
    run(&mut executor, transfer(1, 0, 0, 3, 0)).expect("it is allowed");
    let Ok(sealed) = executor.seal(index(0));
    assert_eq!((sealed, executor.fees()), (Err(overflow(3)), 3));
}

#[test]
fn a_full_tree_takes_no_new_keys() {
    let tree = tree_of(&[(LAST, account(1, 10))]);
    let mut executor = Executor::new(&tree);
    let Ok(done) = executor.deposit(&Deposit { key: secret(2).public(), amount: 1 });
    assert_eq!(done, Err(Refusal::TreeFull));
    let Ok(done) = executor.deposit(&Deposit { key: secret(1).public(), amount: 1 });
    assert!(done.is_ok());
}

#[test]
fn keys_have_to_match() {
    let (tree, _) = rollup(3);
    let mut executor = Executor::new(&tree);
    let Ok(done) = executor.deposit_at(index(1), &Deposit { key: secret(2).public(), amount: 1 });
    assert_eq!(done, Err(Refusal::KeyMismatch { index: index(1) }));
    // A signature that is valid, but under another key than the account's.
    let foreign = SignedTransaction::sign(transfer(1, 2, 0, 0, 1), domain(), &secret(2)).expect("a transfer");
    let foreign = Verified::new(foreign, secret(2).public(), domain()).expect("it was just signed");
    let Ok(done) = executor.execute(&foreign);
    assert_eq!(done, Err(Refusal::KeyMismatch { index: index(1) }));
    assert_eq!((holds(&executor, 1), executor.count()), ((1000, 0), 0));
}

#[test]
fn signatures_cover_every_field_and_the_domain() {
    let key = secret(1).public();
    let bad = Err(Refusal::BadSignature { index: index(1) });
    let original = signed(transfer(1, 2, 3, 4, 5));
    assert!(Verified::new(original, key, domain()).is_ok());
    assert_eq!(Verified::new(original, key, domain() + Fr::ONE).map(drop), bad);
    assert_eq!(Verified::new(original, secret(2).public(), domain()).map(drop), bad);
    for other in [
        transfer(1, 3, 3, 4, 5),
        transfer(1, 2, 4, 4, 5),
        transfer(1, 2, 3, 5, 5),
        transfer(1, 2, 3, 4, 6),
        withdrawal(1, 3, 4, 5),
    ] {
        let moved = SignedTransaction::new(other, *original.signature()).expect("it takes a signature");
        assert_eq!(Verified::new(moved, key, domain()).map(drop), bad);
    }
    let Transaction::Withdrawal { from, nonce, fee, amount, .. } = withdrawal(1, 0, 0, 1) else { unreachable!() };
    let address = crowdfold_fold::Address([1; 20]);
    let elsewhere = Transaction::Withdrawal { from, nonce, fee, amount, address };
    let moved = SignedTransaction::new(elsewhere, *signed(withdrawal(1, 0, 0, 1)).signature()).expect("a withdrawal");
    assert_eq!(Verified::new(moved, key, domain()).map(drop), bad);
}

#[test]
fn keys_that_are_no_points_receive_and_never_spend() {
    let one = Fr::ONE;
    let small_order = PublicKey(Point::IDENTITY);
    let off_curve = PublicKey(Point { x: one, y: one });
    let (tree, _) = rollup(1);
    let mut executor = Executor::new(&tree);
    for (number, key) in [(1, small_order), (2, off_curve)] {
        let Ok(done) = executor.deposit(&Deposit { key, amount: 10 });
        assert_eq!(done.map(|receipt| receipt.transaction.to()), Ok(index(number)));
        // Under the identity, R8 = S B8 would be a signature of everything.
        let forged = crate::eddsa::Signature { r8: Point::IDENTITY, s: crate::eddsa::Scalar::from(0u64) };
        let forged = SignedTransaction::new(transfer(number, 0, 0, 0, 1), forged).expect("a transfer");
        let refusal = Refusal::BadSignature { index: index(number) };
        assert_eq!(Verified::new(forged, key, domain()), Err(refusal.clone()));
        assert_eq!(Verified::many(&[(forged, key)], domain(), &mut rng()), [Err(refusal)]);
    }
}

#[test]
fn many_signatures_are_checked_with_blame() {
    let bad = [3usize, 511, 512, 700];
    let candidates: Vec<_> = (0..701u32)
        .map(|nonce| {
            let signed = signed(transfer(1, 2, nonce, 0, 1));
            let other = SignedTransaction::new(transfer(1, 2, nonce, 1, 1), *signed.signature()).expect("a transfer");
            (if bad.contains(&(nonce as usize)) { other } else { signed }, secret(1).public())
        })
        .collect();
    let verified = Verified::many(&candidates, domain(), &mut rng());
    for (i, (verified, (signed, _))) in verified.iter().zip(&candidates).enumerate() {
        match verified {
            Ok(verified) => assert!(!bad.contains(&i) && verified.signed() == signed),
            Err(refusal) => assert!(bad.contains(&i) && *refusal == Refusal::BadSignature { index: index(1) }),
        }
    }
    assert!(Verified::many(&[], domain(), &mut rng()).is_empty());
    assert_eq!(Index::default(), index(0));
}
