//! Why a transaction is not accepted.

use crowdfold_programs::rollup::Index;

/// Why a transaction is not accepted. Each has a code that does not change, for programs, and a text for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// It can't be read.
    #[error("it is no transaction: {why}")]
    Malformed {
        /// What is wrong.
        why: String,
    },
    /// A deposit, which comes from the chain.
    #[error("deposits come from the chain: send it to the rollup's contract")]
    NotSigned,
    /// There is no such account to pay.
    #[error("there is no account {index}: an account begins with a deposit")]
    UnknownAccount {
        /// The index.
        index: Index,
    },
    /// There is no such account to be paid.
    #[error("there is no account {index} that could be paid: an account begins with a deposit that a batch has")]
    UnknownRecipient {
        /// The index.
        index: Index,
    },
    /// Its account's key did not sign it.
    #[error("the signature is not one of account {index} for this transaction, chain and contract")]
    BadSignature {
        /// Who should have signed.
        index: Index,
    },
    /// Its nonce is used up.
    #[error("nonce {found} is used up: the next one is {next}")]
    NonceUsed {
        /// The next one.
        next: u32,
        /// The transaction's.
        found: u32,
    },
    /// Its nonce is too far ahead.
    #[error("nonce {found} is too far ahead: {next} is missing, and up to {most} is taken")]
    NonceGap {
        /// The first one that is missing.
        next: u32,
        /// The highest that would be taken.
        most: u32,
        /// The transaction's.
        found: u32,
    },
    /// It pays too little.
    #[error("a fee of {found} is too low: the least is {least}")]
    FeeTooLow {
        /// The least fee.
        least: u64,
        /// The transaction's.
        found: u64,
    },
    /// It pays too little for taking the place of another.
    #[error("another transaction with this nonce waits: to take its place pay a fee of {least}, not {found}")]
    ReplacementFee {
        /// The least fee.
        least: u128,
        /// The transaction's.
        found: u64,
    },
    /// It waited, until one before it in the same request took its place.
    #[error("another transaction with this nonce, before it in the same request, took its place")]
    Replaced,
    /// What it takes is not there.
    #[error("it takes {needed}, and of the {balance} that the account holds {pending} are needed for others that wait")]
    Balance {
        /// What the account holds after the last batch.
        balance: u128,
        /// What its other pending transactions take.
        pending: u128,
        /// Amount and fee; 2^128 - 1 for all sums beyond.
        needed: u128,
    },
    /// Its account has too many pending.
    #[error("{limit} transactions of this account wait, which is the limit: wait for the next batch")]
    AccountFull {
        /// The limit.
        limit: usize,
    },
    /// Too many are pending.
    #[error("{limit} transactions wait, which is the limit: pay a higher fee, or try again later")]
    Full {
        /// The limit.
        limit: usize,
    },
}

impl Refused {
    /// A code that does not change.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed",
            Self::NotSigned => "not_signed",
            Self::UnknownAccount { .. } => "unknown_account",
            Self::UnknownRecipient { .. } => "unknown_recipient",
            Self::BadSignature { .. } => "bad_signature",
            Self::NonceUsed { .. } => "nonce_used",
            Self::NonceGap { .. } => "nonce_gap",
            Self::FeeTooLow { .. } => "fee_too_low",
            Self::ReplacementFee { .. } => "replacement_fee",
            Self::Replaced => "replaced",
            Self::Balance { .. } => "balance",
            Self::AccountFull { .. } => "account_full",
            Self::Full { .. } => "full",
        }
    }
}
