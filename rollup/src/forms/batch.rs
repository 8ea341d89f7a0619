//! Batches as files: the program's job, and the same as JSON.

use super::marks::{BatchForm, Version1};
use super::scalars::{AddressText, Amount, Element, Fee, KeyText, SignatureText};
use super::transactions::index;
use super::{check_limit, decode_all, from_json};
use crate::Error;
use crowdfold_fold::Fr;
use crowdfold_programs::rollup::{
    Account, Batch, Deposit, Entry, Index, MAX_TRANSACTIONS, SignedTransaction, Transaction,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What the binary form begins with.
const MAGIC: &[u8] = b"rollup/1";
/// Bytes of a node, and of a flag with an account, in the binary form.
const NODE_BYTES: usize = 32;
const KIND_DEPOSIT: u8 = 2;

/// Whether a file is meant to be a batch in binary form.
pub fn is_binary(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// A batch as JSON: the fields of the binary form, in its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchFile {
    form: BatchForm,
    version: Version1,
    start: Start,
    transactions: Vec<EntryForm>,
    accounts: Vec<LeafForm>,
    nodes: Vec<Element>,
}

/// The state before the batch, without the elements that are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    root: Element,
    deposits: Element,
    withdrawals: Element,
    sealed: Element,
    count: Element,
    domain: Element,
    operator: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum EntryForm {
    Transfer { from: u32, to: u32, nonce: u32, amount: Amount, fee: Fee, signature: SignatureText },
    Withdrawal { from: u32, address: AddressText, nonce: u32, amount: Amount, fee: Fee, signature: SignatureText },
    Deposit { to: u32, key: KeyText, amount: Amount },
}

/// A leaf of the tree; `None` for an empty one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LeafForm {
    index: u32,
    account: Option<AccountForm>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountForm {
    key: KeyText,
    balance: Amount,
    nonce: u32,
}

impl BatchFile {
    /// The form of a batch.
    pub fn new(batch: &Batch) -> Self {
        let state = batch.start();
        let element = |element: Fr| Element(element);
        let leaf = |(index, account): (&Index, &Option<Account>)| LeafForm {
            index: index.get(),
            account: account.map(|Account { key, balance, nonce }| AccountForm {
                key: key.into(),
                balance: Amount(balance),
                nonce,
            }),
        };
        Self {
            form: BatchForm,
            version: Version1,
            start: Start {
                root: element(state.root),
                deposits: element(state.deposits),
                withdrawals: element(state.withdrawals),
                sealed: element(state.sealed),
                count: element(state.count),
                domain: element(state.domain),
                operator: state.operator_index().map_or(0, Index::get),
            },
            transactions: batch.entries().par_iter().map(EntryForm::of).collect(),
            accounts: batch.tree().accounts().par_iter().map(leaf).collect(),
            nodes: nodes(batch).into_iter().map(Element).collect(),
        }
    }

    /// Reads the JSON form.
    ///
    /// # Errors
    /// [`Error::Json`], [`Error::Limit`].
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        let file: Self = from_json("a batch", json, (BatchForm, Version1))?;
        check_limit("transactions of a batch", MAX_TRANSACTIONS, file.transactions.len())?;
        Ok(file)
    }

    /// The batch. As with [`Batch::from_bytes`], the tree is checked against the root, and whether the transactions are
    /// allowed is not looked at.
    ///
    /// # Errors
    /// [`Error::At`] for a value of the wrong form, [`Error::BatchAccounts`], [`Error::Batch`].
    pub fn decode(&self) -> Result<Batch, Error> {
        let operator = index(self.start.operator)?;
        let entries = decode_all("transaction", &self.transactions, EntryForm::decode)?;
        self.check_accounts(operator, &entries)?;

        let Start { root, deposits, withdrawals, sealed, count, domain, .. } = self.start;
        let mut bytes = MAGIC.to_vec();
        for element in [root.0, deposits.0, withdrawals.0, sealed.0, count.0, domain.0, operator.element()] {
            bytes.extend(element.to_bytes());
        }
        bytes.extend((entries.len() as u32).to_le_bytes());
        for entry in &entries {
            match entry {
                Entry::Deposit { to, deposit } => {
                    bytes.push(KIND_DEPOSIT);
                    bytes.extend(to.get().to_le_bytes());
                    bytes.extend(deposit.to_bytes());
                }
                Entry::Signed(signed) => bytes.extend(signed.to_bytes()),
            }
        }
        for account in decode_all("account", &self.accounts, LeafForm::decode)? {
            bytes.push(account.is_some().into());
            if let Some(account) = account {
                bytes.extend(account.key.x().to_bytes());
                bytes.extend(account.key.y().to_bytes());
                bytes.extend(account.balance.to_le_bytes());
                bytes.extend(account.nonce.to_le_bytes());
            }
        }
        self.nodes.iter().for_each(|node| bytes.extend(node.0.to_bytes()));
        Batch::from_bytes(&bytes).map_err(Error::Batch)
    }

    /// Refuses other accounts than those that the transactions need: the binary form has no indices, so they would be
    /// taken for others.
    fn check_accounts(&self, operator: Index, entries: &[Entry]) -> Result<(), Error> {
        let named =
            entries.iter().map(Entry::transaction).flat_map(|transaction| [transaction.from(), transaction.to()]);
        let needed: BTreeSet<u32> = named.chain([operator, Index::default()]).map(Index::get).collect();
        let found = self.accounts.iter().map(|leaf| leaf.index);
        if found.clone().eq(needed.iter().copied()) {
            return Ok(());
        }
        Err(Error::BatchAccounts { expected: listed(needed.into_iter()), found: listed(found) })
    }
}

/// The first few of a list.
fn listed(mut numbers: impl ExactSizeIterator<Item = u32>) -> String {
    const SHOWN: usize = 16;
    let first: Vec<String> = numbers.by_ref().take(SHOWN).map(|number| number.to_string()).collect();
    let more = if numbers.len() == 0 { String::new() } else { format!(" and {} more", numbers.len()) };
    format!("{}{more}", first.join(", "))
}

/// The nodes beside the paths, in the order of the binary form.
fn nodes(batch: &Batch) -> Vec<Fr> {
    let bytes = batch.tree().to_bytes();
    let accounts = batch.tree().accounts().values();
    let leaves: usize = accounts.map(|account| 1 + if account.is_some() { 2 * NODE_BYTES + 16 + 4 } else { 0 }).sum();
    let (nodes, _) = bytes[leaves..].as_chunks::<NODE_BYTES>();
    nodes.iter().filter_map(|node| Option::from(Fr::from_bytes(node))).collect()
}

impl EntryForm {
    fn of(entry: &Entry) -> Self {
        let signature = || SignatureText(entry.signature().map_or([0; 64], |signature| signature.to_bytes()));
        match entry.transaction() {
            Transaction::Withdrawal { from, nonce, fee, amount, address } => Self::Withdrawal {
                from: from.get(),
                address: AddressText(address),
                nonce,
                amount: Amount(amount),
                fee: Fee(fee),
                signature: signature(),
            },
            Transaction::Deposit { to, key, amount } => {
                Self::Deposit { to: to.get(), key: key.into(), amount: Amount(amount) }
            }
            // The other kinds are no entries of batches.
            other => Self::Transfer {
                from: other.from().get(),
                to: other.to().get(),
                nonce: other.nonce(),
                amount: Amount(other.amount()),
                fee: Fee(other.fee()),
                signature: signature(),
            },
        }
    }

    fn decode(&self) -> Result<Entry, Error> {
        let (transaction, signature) = match *self {
            Self::Transfer { from, to, nonce, amount, fee, signature } => {
                let (from, to) = (index(from)?, index(to)?);
                (Transaction::Transfer { from, to, nonce, fee: fee.0, amount: amount.0 }, signature)
            }
            Self::Withdrawal { from, address, nonce, amount, fee, signature } => {
                let (from, address) = (index(from)?, address.0);
                (Transaction::Withdrawal { from, nonce, fee: fee.0, amount: amount.0, address }, signature)
            }
            Self::Deposit { to, key, amount } => {
                let deposit = Deposit { key: key.decode()?, amount: amount.0 };
                return Ok(Entry::Deposit { to: index(to)?, deposit });
            }
        };
        SignedTransaction::new(transaction, signature.decode()?).map(Entry::Signed).ok_or(Error::NoDomain)
    }
}

impl LeafForm {
    fn decode(&self) -> Result<Option<Account>, Error> {
        let decode = |account: AccountForm| {
            Ok(Account { key: account.key.decode()?, balance: account.balance.0, nonce: account.nonce })
        };
        self.account.map(decode).transpose()
    }
}
