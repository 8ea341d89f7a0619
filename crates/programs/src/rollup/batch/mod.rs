//! Batches: transactions in order with the part of the tree that they need, all that a job is (`docs/spec/rollup.md`,
//! section 9).

mod builder;
mod steps;
#[cfg(test)]
mod tests;

pub use builder::{BatchBuilder, BuildError, Outcome, build};
pub use steps::{BatchRefusal, Steps};

use super::account::Index;
use super::codec::{ELEMENT_BYTES, NO_SIGNATURE, Reader, SIGNATURE_BYTES, decode_all};
use super::data::BatchData;
use super::input::SLOTS;
use super::state::State;
use super::transaction::{Deposit, SignedTransaction, Transaction, kind};
use super::tree::PartialTree;
use crate::eddsa::Signature;
use crowdfold_fold::{Error, Fr};
use ff::Field;
use rayon::prelude::*;
use std::collections::BTreeSet;

/// The most transactions of a batch, besides padding and the seal.
pub const MAX_TRANSACTIONS: usize = 1 << 16;

/// What every job begins with.
const MAGIC: [u8; 8] = *b"rollup/1";
/// Elements of a state between batches that need not be 0.
const STATE_ELEMENTS: usize = 7;
/// The largest encoding of an entry: kind and transaction, or kind, index and deposit.
const MAX_ENTRY_BYTES: usize = SignedTransaction::MAX_BYTES;
/// The largest job in bytes: two accounts for each transaction, and the operator's and index 0, all as far apart as
/// possible.
pub const MAX_JOB_BYTES: usize = MAGIC.len()
    + STATE_ELEMENTS * ELEMENT_BYTES
    + 4
    + MAX_TRANSACTIONS * MAX_ENTRY_BYTES
    + PartialTree::max_bytes(2 * MAX_TRANSACTIONS + 2);

/// A transaction of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// By the chain.
    Deposit {
        /// The account that it goes to, chosen by the operator.
        to: Index,
        /// Key and amount.
        deposit: Deposit,
    },
    /// By the owner of an account.
    Signed(SignedTransaction),
}

impl Entry {
    /// What is done.
    pub fn transaction(&self) -> Transaction {
        match self {
            Self::Deposit { to, deposit: Deposit { key, amount } } => {
                Transaction::Deposit { to: *to, key: *key, amount: *amount }
            }
            Self::Signed(signed) => *signed.transaction(),
        }
    }

    /// The signature of a transfer or withdrawal.
    pub fn signature(&self) -> Option<Signature> {
        match self {
            Self::Deposit { .. } => None,
            Self::Signed(signed) => Some(*signed.signature()),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Deposit { to, deposit } => {
                out.push(kind::DEPOSIT);
                out.extend(to.get().to_le_bytes());
                out.extend(deposit.to_bytes());
            }
            Self::Signed(signed) => out.extend(signed.to_bytes()),
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<RawEntry, Error> {
        let unknown =
            Error::Decode { what: "kind", at: reader.at(), reason: "a batch has transactions of kinds 1, 2 and 3" };
        match reader.u8("kind")? {
            kind::DEPOSIT => {
                let to = reader.index("who is paid")?;
                let deposit = Deposit { key: reader.key("key")?, amount: reader.u128("amount")? };
                Ok(RawEntry::Deposit { to, deposit })
            }
            kind => {
                let transaction = Transaction::read_signed(kind, reader)?.ok_or(unknown)?;
                Ok(RawEntry::Signed { transaction, at: reader.at(), signature: reader.array("signature")? })
            }
        }
    }
}

/// An entry whose signature is not decoded yet: that takes a square root, which is for many threads.
enum RawEntry {
    Deposit { to: Index, deposit: Deposit },
    Signed { transaction: Transaction, at: usize, signature: [u8; SIGNATURE_BYTES] },
}

impl RawEntry {
    fn decode(&self) -> Result<Entry, Error> {
        match self {
            Self::Deposit { to, deposit } => Ok(Entry::Deposit { to: *to, deposit: *deposit }),
            Self::Signed { transaction, at, signature } => Signature::from_bytes(signature)
                .and_then(|signature| SignedTransaction::new(*transaction, signature))
                .map(Entry::Signed)
                .ok_or(Error::Decode { what: "signature", at: *at, reason: NO_SIGNATURE }),
        }
    }
}

/// Transactions in order, the state before them, and the part of the tree that they need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    start: State,
    operator: Index,
    entries: Vec<Entry>,
    tree: PartialTree,
}

impl Batch {
    /// The state before its first step.
    pub fn start(&self) -> &State {
        &self.start
    }

    /// Its transactions.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The part of the tree that they need.
    pub fn tree(&self) -> &PartialTree {
        &self.tree
    }

    /// Number of steps: as many as hold its transactions and the seal.
    pub fn num_steps(&self) -> usize {
        self.entries.len() / SLOTS + 1
    }

    /// The canonical encoding: a job of the program (`docs/spec/rollup.md`, section 9).
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(self.start.to_elements()[..STATE_ELEMENTS].iter().flat_map(Fr::to_bytes));
        out.extend((self.entries.len() as u32).to_le_bytes());
        self.entries.iter().for_each(|entry| entry.write(&mut out));
        out.extend(self.tree.to_bytes());
        out
    }

    /// Reads what [`Self::to_bytes`] wrote, and nothing else. The part of the tree is checked against the state's root;
    /// whether the transactions are allowed is not looked at.
    ///
    /// # Errors
    /// [`Error::Decode`] for any other bytes, [`Error::Limit`] for too many of them or too many transactions.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_JOB_BYTES {
            let (limit, found) = (MAX_JOB_BYTES as u64, bytes.len() as u64);
            return Err(Error::Limit { what: "bytes of a job", limit, found });
        }
        decode_all(bytes, Self::read)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.value("job", "it does not start with the mark of its kind and version", |magic| {
            (magic == MAGIC).then_some(())
        })?;
        let mut elements = [Fr::ZERO; super::state::ARITY];
        let mut at = reader.at();
        for element in &mut elements[..STATE_ELEMENTS] {
            at = reader.at();
            *element = reader.element("state")?;
        }
        let start = State::from(elements);
        let reason = "the operator's index is not below 2^24";
        let operator = start.operator_index().ok_or(Error::Decode { what: "operator", at, reason })?;

        let (found, limit) = (reader.u32("number of transactions")?, MAX_TRANSACTIONS);
        if found as usize > limit {
            return Err(Error::Limit { what: "transactions of a batch", limit: limit as u64, found: found.into() });
        }
        let raw = (0..found).map(|_| Entry::read(reader)).collect::<Result<Vec<_>, Error>>()?;
        let entries: Vec<Entry> =
            raw.par_iter().with_min_len(64).map(RawEntry::decode).collect::<Result<_, Error>>()?;
        let tree = PartialTree::read(reader, &touched(operator, &entries), start.root)?;
        Ok(Self { start, operator, entries, tree })
    }

    /// Slots in order: the transactions, padding, and the seal in the last slot of the last step.
    fn slots(&self, fees: u128) -> Vec<(Transaction, Option<Signature>)> {
        let seal = Transaction::Seal { operator: self.operator, fees };
        slots(self.entries.iter().map(|entry| (entry.transaction(), entry.signature())), seal)
    }
}

/// The accounts that a batch reads: those that it names, the operator's, and index 0, which sides that are not used
/// read.
fn touched(operator: Index, entries: &[Entry]) -> BTreeSet<Index> {
    let named = entries.iter().map(Entry::transaction).flat_map(|transaction| [transaction.from(), transaction.to()]);
    named.chain([operator, Index::default()]).collect()
}

/// The transactions, padding to the last slot of a step, and the seal there.
fn slots(
    entries: impl ExactSizeIterator<Item = (Transaction, Option<Signature>)>,
    seal: Transaction,
) -> Vec<(Transaction, Option<Signature>)> {
    let padding = SLOTS - 1 - entries.len() % SLOTS;
    entries.chain(vec![(Transaction::Nothing, None); padding].into_iter().chain([(seal, None)])).collect()
}

/// The state after a batch of `data` that leaves the tree with that root.
fn end_state(start: &State, root: Fr, slots: &[(Transaction, Option<Signature>)], data: &BatchData) -> State {
    let mut end = State { root, ..*start };
    for (transaction, _) in slots {
        end.deposits = transaction.link_deposit(end.deposits);
        end.withdrawals = transaction.link_withdrawal(end.withdrawals);
        end.count += Fr::from(u64::from(transaction.is_counted()));
    }
    end.data = data.hash();
    end.point = data.point(end.data);
    end.evaluation = data.evaluate(end.point);
    end.seal();
    end
}
