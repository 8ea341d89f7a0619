//! Transactions as a file: what users sign and chains ask for.

use super::marks::{TransactionsForm, Version1};
use super::scalars::{AddressText, Amount, Element, Fee, KeyText, SignatureText};
use super::{check_limit, decode_all, from_json};
use crate::Error;
use crowdfold_fold::Fr;
use crowdfold_programs::eddsa::PublicKey;
use crowdfold_programs::rollup::{Deposit, Index, Request, SignedTransaction, Transaction};
use serde::{Deserialize, Serialize};

/// The most transactions of a file.
pub const MAX_FILE_TRANSACTIONS: usize = 1 << 20;

/// Transactions in the order in which they are to be executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransactionsFile {
    form: TransactionsForm,
    version: Version1,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    domain: Option<Element>,
    transactions: Vec<TransactionForm>,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum TransactionForm {
    /// From an account to another.
    Transfer {
        /// Who pays.
        from: u32,
        /// Who is paid.
        to: u32,
        /// The nonce of `from`.
        nonce: u32,
        /// What `to` gets.
        amount: Amount,
        /// What the operator gets.
        fee: Fee,
        /// Who signed. It has to be the key of `from`, which this saves looking up.
        signer: KeyText,
        /// Over all that is above but the signer.
        signature: SignatureText,
    },
    /// From an account to the chain.
    Withdrawal {
        /// Who pays.
        from: u32,
        /// Where it arrives.
        address: AddressText,
        /// The nonce of `from`.
        nonce: u32,
        /// What arrives.
        amount: Amount,
        /// What the operator gets.
        fee: Fee,
        /// Who signed.
        signer: KeyText,
        /// Over all that is above but the signer.
        signature: SignatureText,
    },
    /// From the chain to an account.
    Deposit {
        /// Whose account gets it.
        key: KeyText,
        /// How much.
        amount: Amount,
    },
}

/// What is asked for, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What an operator is asked to execute.
    pub request: Request,
    /// Who is said to have signed it, or whose account a deposit is for.
    pub key: PublicKey,
}

impl TransactionsFile {
    /// The file of transactions whose signatures are bound to `domain`.
    pub fn new(domain: Option<Fr>, transactions: Vec<TransactionForm>) -> Self {
        Self { form: TransactionsForm, version: Version1, domain: domain.map(Element), transactions }
    }

    /// Reads the JSON form.
    ///
    /// # Errors
    /// [`Error::Json`], [`Error::Limit`], [`Error::NoDomain`].
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        let file: Self = from_json("transactions", json, (TransactionsForm, Version1))?;
        check_limit("transactions of a file", MAX_FILE_TRANSACTIONS, file.transactions.len())?;
        let is_signed = |form: &TransactionForm| !matches!(form, TransactionForm::Deposit { .. });
        if file.domain.is_none() && file.transactions.iter().any(is_signed) {
            return Err(Error::NoDomain);
        }
        Ok(file)
    }

    /// What its signatures are bound to, if it has any.
    pub fn domain(&self) -> Option<Fr> {
        self.domain.map(|domain| domain.0)
    }

    /// The transactions as they are written.
    pub fn transactions(&self) -> &[TransactionForm] {
        &self.transactions
    }

    /// The transactions. Whether signatures are valid is not looked at.
    ///
    /// # Errors
    /// [`Error::At`] for the first that has a value of the wrong form.
    pub fn decode(&self) -> Result<Vec<Asked>, Error> {
        decode_all("transaction", &self.transactions, TransactionForm::decode)
    }
}

impl TransactionForm {
    /// The form of a transaction that `signer` has signed; `None` for one that is never signed.
    pub fn signed(signed: &SignedTransaction, signer: PublicKey) -> Option<Self> {
        let (signer, signature) = (signer.into(), SignatureText(signed.signature().to_bytes()));
        match *signed.transaction() {
            Transaction::Transfer { from, to, nonce, fee, amount } => Some(Self::Transfer {
                from: from.get(),
                to: to.get(),
                nonce,
                amount: Amount(amount),
                fee: Fee(fee),
                signer,
                signature,
            }),
            Transaction::Withdrawal { from, nonce, fee, amount, address } => Some(Self::Withdrawal {
                from: from.get(),
                address: AddressText(address),
                nonce,
                amount: Amount(amount),
                fee: Fee(fee),
                signer,
                signature,
            }),
            Transaction::Nothing | Transaction::Deposit { .. } | Transaction::Seal { .. } => None,
        }
    }

    /// The form of a deposit.
    pub fn deposit(deposit: &Deposit) -> Self {
        Self::Deposit { key: deposit.key.into(), amount: Amount(deposit.amount) }
    }

    /// What it asks for, and by whom.
    ///
    /// # Errors
    /// [`Error::Value`], [`Error::Limit`] for an index beyond the tree.
    pub fn decode(&self) -> Result<Asked, Error> {
        let (Self::Transfer { signer: key, .. } | Self::Withdrawal { signer: key, .. } | Self::Deposit { key, .. }) =
            self;
        Ok(Asked { request: self.decode_request()?, key: key.decode()? })
    }

    /// What it asks for. Who is said to have signed it is not looked at, which saves a square root where the account's
    /// key is known.
    ///
    /// # Errors
    /// [`Error::Value`], [`Error::Limit`] for an index beyond the tree.
    pub fn decode_request(&self) -> Result<Request, Error> {
        let (transaction, signature) = match *self {
            Self::Transfer { from, to, nonce, amount, fee, signature, .. } => {
                let (from, to) = (index(from)?, index(to)?);
                (Transaction::Transfer { from, to, nonce, fee: fee.0, amount: amount.0 }, signature)
            }
            Self::Withdrawal { from, address, nonce, amount, fee, signature, .. } => {
                let (from, address) = (index(from)?, address.0);
                (Transaction::Withdrawal { from, nonce, fee: fee.0, amount: amount.0, address }, signature)
            }
            Self::Deposit { key, amount } => {
                return Ok(Request::Deposit(Deposit { key: key.decode()?, amount: amount.0 }));
            }
        };
        SignedTransaction::new(transaction, signature.decode()?).map(Request::Signed).ok_or(Error::NoDomain)
    }
}

/// An index below 2^24.
pub(super) fn index(number: u32) -> Result<Index, Error> {
    let limit = (1 << Index::BITS) - 1;
    Index::new(number).ok_or(Error::Limit { what: "indices of accounts", limit, found: number.into() })
}
