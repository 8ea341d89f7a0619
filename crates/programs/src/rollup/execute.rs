//! Native execution: transactions change accounts, and nothing is hashed.

use super::account::{Account, Index};
use super::rules::{Refusal, credit, debit};
use super::signatures::Verified;
use super::transaction::{Deposit, Transaction};
use super::tree::{Accounts, Directory, Overlay};
use crate::eddsa::PublicKey;

/// What an executed transaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The transaction; a deposit has its index now.
    pub transaction: Transaction,
    /// The account that was debited, after the debit.
    pub debited: Option<Account>,
    /// The account that was credited, after the credit.
    pub credited: Option<Account>,
    /// Whether the credit created its account.
    pub created: bool,
}

/// Executes transactions over a view of accounts.
///
/// A transaction that is refused leaves everything as it was, and those after it are executed as if it had not been
/// there. Methods return the view's errors in the outer and refusals in the inner result.
#[derive(Clone, Debug)]
pub struct Executor<A> {
    accounts: Overlay<A>,
    fees: u128,
    count: u64,
}

/// The outer error is the view's, the inner one the transaction's.
pub type Executed<T, E> = Result<Result<T, Refusal>, E>;

impl<A: Accounts> Executor<A> {
    /// Over `view`, with a new batch.
    pub fn new(view: A) -> Self {
        Self { accounts: Overlay::new(view), fees: 0, count: 0 }
    }

    /// The accounts as they are now.
    pub fn accounts(&self) -> &Overlay<A> {
        &self.accounts
    }

    /// The accounts as they are now, for good.
    pub fn into_accounts(self) -> Overlay<A> {
        self.accounts
    }

    /// Fees since the last seal.
    pub fn fees(&self) -> u128 {
        self.fees
    }

    /// Transfers, deposits and withdrawals executed so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Executes a transfer or withdrawal.
    ///
    /// # Errors
    /// Those of the view.
    pub fn execute(&mut self, verified: &Verified) -> Executed<Receipt, A::Error> {
        self.run(verified.signed().transaction(), Some(verified.key()))
    }

    /// Executes a deposit into the account at `to`, which has its key or does not exist.
    ///
    /// # Errors
    /// Those of the view.
    pub fn deposit_at(&mut self, to: Index, deposit: &Deposit) -> Executed<Receipt, A::Error> {
        let Deposit { key, amount } = *deposit;
        self.run(&Transaction::Deposit { to, key, amount }, None)
    }

    /// Credits all fees to the operator.
    ///
    /// # Errors
    /// Those of the view.
    pub fn seal(&mut self, operator: Index) -> Executed<Receipt, A::Error> {
        let sealed = self.run(&Transaction::Seal { operator, fees: self.fees }, None)?;
        if sealed.is_ok() {
            self.fees = 0;
        }
        Ok(sealed)
    }

    /// Executes any transaction, whoever signed it, if `key` is none or that of the account that is debited.
    pub(super) fn run(&mut self, transaction: &Transaction, key: Option<&PublicKey>) -> Executed<Receipt, A::Error> {
        let (from, to) = (transaction.from(), transaction.to());
        let payer = if transaction.is_signed() { self.accounts.account(from)? } else { None };
        if let (Some(account), Some(key)) = (&payer, key)
            && account.key != *key
        {
            return Ok(Err(Refusal::KeyMismatch { index: from }));
        }
        let debited = match debit(transaction, payer) {
            Ok(account) => account,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let is_credit = !matches!(transaction, Transaction::Nothing | Transaction::Withdrawal { .. });
        // The credit of a transfer to oneself sees what the debit left.
        let receiver = match (is_credit, debited) {
            (false, _) => None,
            (true, Some(account)) if from == to => Some(account),
            (true, _) => self.accounts.account(to)?,
        };
        let credited = match credit(transaction, receiver) {
            Ok(account) => account,
            Err(refusal) => return Ok(Err(refusal)),
        };

        let created = credited.is_some() && receiver.is_none();
        if let Some(account) = debited {
            self.accounts.update(from, account);
        }
        match credited {
            Some(account) if created => self.accounts.create(to, account),
            Some(account) => self.accounts.update(to, account),
            None => {}
        }
        self.fees += u128::from(transaction.fee());
        self.count += u64::from(transaction.is_counted());
        Ok(Ok(Receipt { transaction: *transaction, debited, credited, created }))
    }
}

impl<A: Directory> Executor<A> {
    /// Executes a deposit into the account of its key, or the next free one.
    ///
    /// # Errors
    /// Those of the view.
    pub fn deposit(&mut self, deposit: &Deposit) -> Executed<Receipt, A::Error> {
        let known = self.accounts.find(&deposit.key)?;
        let Some(to) = known.map_or_else(|| self.accounts.next_index(), |index| Ok(Some(index)))? else {
            return Ok(Err(Refusal::TreeFull));
        };
        self.deposit_at(to, deposit)
    }
}
