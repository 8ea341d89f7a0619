//! What a transaction does to accounts (`docs/spec/rollup.md`, section 4), and why it is refused.
//!
//! The executor, the native step and the planner of batches all call these functions, so none can follow other rules.

use super::account::{Account, Index};
use super::transaction::Transaction;
use crate::eddsa::{PublicKey, Signature, verify};
use crowdfold_fold::{Error, Fr};

/// Why a transaction, or the step that it is in, is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No account has that index.
    #[error("there is no account {index}")]
    UnknownAccount {
        /// The index.
        index: Index,
    },
    /// A nonce that is not the account's.
    #[error("the next nonce of account {index} is {expected}, the transaction has {found}")]
    WrongNonce {
        /// Who signed.
        index: Index,
        /// The account's nonce.
        expected: u32,
        /// The transaction's.
        found: u32,
    },
    /// The account has made all transactions it can.
    #[error("account {index} has made all 2^32 - 1 transactions an account can make")]
    NonceExhausted {
        /// Who signed.
        index: Index,
    },
    /// The balance does not cover amount and fee.
    #[error("account {index} holds {balance}, the transaction takes {needed}")]
    InsufficientBalance {
        /// Who pays.
        index: Index,
        /// What it holds.
        balance: u128,
        /// Amount and fee; 2^128 - 1 for all sums beyond.
        needed: u128,
    },
    /// The credit would take a balance to 2^128 or more.
    #[error("account {index} holds {balance} and can't take {amount} more")]
    BalanceOverflow {
        /// Who is paid.
        index: Index,
        /// What it holds.
        balance: u128,
        /// What it would get.
        amount: u128,
    },
    /// A signature that is not valid under the account's key.
    #[error("the signature is not one of account {index} for this transaction, chain and contract")]
    BadSignature {
        /// Who should have signed.
        index: Index,
    },
    /// A transfer or withdrawal without a signature, in a step's input.
    #[error("a transfer or withdrawal takes a signature")]
    MissingSignature,
    /// A signature where none is used, in a step's input.
    #[error("only transfers and withdrawals take a signature")]
    UnusedSignature,
    /// The account has another key than the deposit, or than the signature was checked with.
    #[error("account {index} has another key")]
    KeyMismatch {
        /// The account.
        index: Index,
    },
    /// The account can't be created, because none is free.
    #[error("the tree is full: all indices up to 2^24 - 1 are taken")]
    TreeFull,
    /// The batch has as many transactions as a batch can have.
    #[error("a batch has at most {limit} transactions")]
    BatchFull {
        /// The limit.
        limit: usize,
    },
    /// A seal that credits something else than the fees of the batch.
    #[error("the fees of the batch are {expected:?}, the seal says {found}")]
    FeesMismatch {
        /// What was collected.
        expected: Fr,
        /// What the seal says.
        found: u128,
    },
    /// A seal that credits another account than the operator's.
    #[error("the operator's account is {expected:?}, the seal says {found}")]
    OperatorMismatch {
        /// The operator's index in the state.
        expected: Fr,
        /// The index in the seal.
        found: Index,
    },
    /// A seal before the last slot of its step.
    #[error("a seal is in slot {slot}, it can only be in the last slot of a step")]
    MisplacedSeal {
        /// Its slot, from 0.
        slot: usize,
    },
    /// A step whose point is 0.
    #[error("the point at which data is evaluated is 0")]
    PointZero,
    /// A step with another point than its batch.
    #[error("the point at which data is evaluated changes within a batch")]
    PointChanged,
    /// Children of the root that don't hash to it.
    #[error("the root's children don't belong to the state's root")]
    WrongTop,
    /// An account with a path that does not lead to the root.
    #[error("account {index} or its path does not belong to the state's root")]
    WrongPath {
        /// The account.
        index: Index,
    },
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Step(refusal.to_string())
    }
}

/// The account at [`Transaction::from`] after the debit: unchanged where nothing is debited. The signature is not
/// looked at.
pub(super) fn debit(transaction: &Transaction, account: Option<Account>) -> Result<Option<Account>, Refusal> {
    if !transaction.is_signed() {
        return Ok(account);
    }
    let index = transaction.from();
    let Account { key, balance, nonce } = account.ok_or(Refusal::UnknownAccount { index })?;
    if nonce != transaction.nonce() {
        return Err(Refusal::WrongNonce { index, expected: nonce, found: transaction.nonce() });
    }
    let next = nonce.checked_add(1).ok_or(Refusal::NonceExhausted { index })?;
    let needed = transaction.amount().checked_add(u128::from(transaction.fee()));
    let left = needed.and_then(|needed| balance.checked_sub(needed));
    let insufficient = Refusal::InsufficientBalance { index, balance, needed: needed.unwrap_or(u128::MAX) };
    Ok(Some(Account { key, balance: left.ok_or(insufficient)?, nonce: next }))
}

/// The account at [`Transaction::to`] after the credit: unchanged where nothing is credited.
pub(super) fn credit(transaction: &Transaction, account: Option<Account>) -> Result<Option<Account>, Refusal> {
    let index = transaction.to();
    let account = match transaction {
        Transaction::Nothing | Transaction::Withdrawal { .. } => return Ok(account),
        Transaction::Deposit { key, .. } => {
            let account = account.unwrap_or(Account { key: *key, balance: 0, nonce: 0 });
            if account.key == *key { account } else { return Err(Refusal::KeyMismatch { index }) }
        }
        Transaction::Transfer { .. } | Transaction::Seal { .. } => account.ok_or(Refusal::UnknownAccount { index })?,
    };
    let amount = transaction.amount();
    let overflow = Refusal::BalanceOverflow { index, balance: account.balance, amount };
    let balance = account.balance.checked_add(amount).ok_or(overflow)?;
    Ok(Some(Account { balance, ..account }))
}

/// Whether the signature is there exactly if the transaction takes one, and valid under the key.
pub(super) fn check_signature(
    transaction: &Transaction,
    domain: Fr,
    key: Option<&PublicKey>,
    signature: Option<&Signature>,
) -> Result<(), Refusal> {
    let index = transaction.from();
    match (transaction.is_signed(), signature) {
        (false, None) => Ok(()),
        (false, Some(_)) => Err(Refusal::UnusedSignature),
        (true, None) => Err(Refusal::MissingSignature),
        (true, Some(signature)) => {
            let key = key.ok_or(Refusal::UnknownAccount { index })?;
            let is_valid = verify(key, transaction.message(domain), signature);
            if is_valid { Ok(()) } else { Err(Refusal::BadSignature { index }) }
        }
    }
}
