//! What a step takes as input.

use super::account::{Account, Index, TREE_ARITY, TREE_DEPTH};
use super::codec::{
    ACCOUNT_BYTES, ELEMENT_BYTES, KEY_BYTES, Reader, SIGNATURE_BYTES, decode_all, key_bytes, write_account,
};
use super::transaction::{Transaction, kind};
use super::tree::empty_node;
use crate::eddsa::Signature;
use crowdfold_fold::{Error, Fr};
use ff::Field;

/// Transaction slots of a step.
pub const SLOTS: usize = 3;

/// An account with its path, at the time it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// `None` for an empty leaf.
    pub account: Option<Account>,
    /// The other children at each level below the root's children, from the leaf upwards, in order of position.
    pub siblings: [[Fr; TREE_ARITY - 1]; TREE_DEPTH - 1],
}

/// A transaction with what it needs from the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// What is done.
    pub transaction: Transaction,
    /// Of a transfer or withdrawal.
    pub signature: Option<Signature>,
    /// The account at `from` (index 0 where the transaction has none), before the transaction.
    pub debit: Access,
    /// The account at `to` (index 0 where the transaction has none), after the debit.
    pub credit: Access,
}

/// The input of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepInput {
    /// The point at which the batch's data is evaluated; the same in all its steps.
    pub point: Fr,
    /// The root's children before the step.
    pub top: [Fr; TREE_ARITY],
    /// The transactions in order.
    pub slots: [Slot; SLOTS],
}

/// Kind, `from`, `to`, nonce, fee, amount, address and key.
const TRANSACTION_BYTES: usize = 1 + 4 + 4 + 4 + 8 + 16 + 20 + KEY_BYTES;
const ACCESS_BYTES: usize = 1 + ACCOUNT_BYTES + (TREE_DEPTH - 1) * (TREE_ARITY - 1) * ELEMENT_BYTES;
const SLOT_BYTES: usize = TRANSACTION_BYTES + 1 + SIGNATURE_BYTES + 2 * ACCESS_BYTES;
/// Bytes of an encoded input, all of which have this length.
pub const INPUT_BYTES: usize = (1 + TREE_ARITY) * ELEMENT_BYTES + SLOTS * SLOT_BYTES;

impl Access {
    /// Index 0 of the tree of nothing.
    fn empty() -> Self {
        Self { account: None, siblings: std::array::from_fn(|level| [empty_node(level); TREE_ARITY - 1]) }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.account.is_some().into());
        match &self.account {
            Some(account) => write_account(out, account),
            None => out.extend([0; ACCOUNT_BYTES]),
        }
        out.extend(self.siblings.iter().flatten().flat_map(Fr::to_bytes));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let account = if reader.flag("account flag")? {
            Some(reader.account("account")?)
        } else {
            reader.zeros::<ACCOUNT_BYTES>("account")?;
            None
        };
        let mut siblings = [[Fr::ZERO; TREE_ARITY - 1]; TREE_DEPTH - 1];
        for sibling in siblings.iter_mut().flatten() {
            *sibling = reader.element("sibling")?;
        }
        Ok(Self { account, siblings })
    }
}

/// All fields that any kind has; zeros where this one has none.
fn transaction_bytes(transaction: &Transaction) -> Vec<u8> {
    let mut out = Vec::with_capacity(TRANSACTION_BYTES);
    out.push(transaction.kind());
    out.extend(transaction.from().get().to_le_bytes());
    out.extend(transaction.to().get().to_le_bytes());
    out.extend(transaction.nonce().to_le_bytes());
    out.extend(transaction.fee().to_le_bytes());
    out.extend(transaction.amount().to_le_bytes());
    out.extend(transaction.address().0);
    match transaction {
        Transaction::Deposit { key, .. } => out.extend(key_bytes(key)),
        _ => out.extend([0; KEY_BYTES]),
    }
    out
}

fn read_transaction(reader: &mut Reader<'_>) -> Result<Transaction, Error> {
    let at = reader.at();
    let bytes: [u8; TRANSACTION_BYTES] = reader.array("transaction")?;
    let within = |error| match error {
        Error::Decode { what, at: inner, reason } => Error::Decode { what, at: at + inner, reason },
        other => other,
    };
    let transaction = decode_all(&bytes, |reader| {
        let number = reader.u8("kind")?;
        let (from, to) = (reader.index("from")?, reader.index("to")?);
        let (nonce, fee, amount) = (reader.u32("nonce")?, reader.u64("fee")?, reader.u128("amount")?);
        let (address, key) = (reader.address("address")?, reader.key("key")?);
        Ok(match number {
            kind::NOTHING => Transaction::Nothing,
            kind::TRANSFER => Transaction::Transfer { from, to, nonce, fee, amount },
            kind::DEPOSIT => Transaction::Deposit { to, key, amount },
            kind::WITHDRAWAL => Transaction::Withdrawal { from, nonce, fee, amount, address },
            kind::SEAL => Transaction::Seal { operator: to, fees: amount },
            _ => return Err(Error::Decode { what: "kind", at: 0, reason: "there are kinds 0 to 4" }),
        })
    })
    .map_err(within)?;
    // The fields that its kind uses were just read; so what differs is one that it does not use.
    if transaction_bytes(&transaction) == bytes {
        Ok(transaction)
    } else {
        Err(Error::Decode { what: "transaction", at, reason: "a field that its kind does not use is not 0" })
    }
}

impl Slot {
    /// Padding, over the tree of nothing.
    fn empty() -> Self {
        Self { transaction: Transaction::Nothing, signature: None, debit: Access::empty(), credit: Access::empty() }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(transaction_bytes(&self.transaction));
        out.push(self.signature.is_some().into());
        out.extend(self.signature.map_or([0; SIGNATURE_BYTES], |signature| signature.to_bytes()));
        self.debit.write(out);
        self.credit.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let transaction = read_transaction(reader)?;
        let reason = "transfers and withdrawals have a signature, and nothing else has";
        let wrong = Error::Decode { what: "signature flag", at: reader.at(), reason };
        if reader.flag("signature flag")? != transaction.is_signed() {
            return Err(wrong);
        }
        let signature = if transaction.is_signed() {
            Some(reader.signature("signature")?)
        } else {
            reader.zeros::<SIGNATURE_BYTES>("signature")?;
            None
        };
        Ok(Self { transaction, signature, debit: Access::read(reader)?, credit: Access::read(reader)? })
    }
}

impl StepInput {
    /// A step of padding over the tree of nothing: an input to make the circuit with.
    pub fn empty() -> Self {
        let top = [empty_node(TREE_DEPTH - 1); TREE_ARITY];
        Self { point: Fr::ONE, top, slots: std::array::from_fn(|_| Slot::empty()) }
    }

    /// The canonical encoding, of [`INPUT_BYTES`]: all fields in order, elements and numbers little-endian, all fields
    /// that any kind of transaction has, zeros where something is absent.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(INPUT_BYTES);
        out.extend(self.point.to_bytes());
        out.extend(self.top.iter().flat_map(Fr::to_bytes));
        self.slots.iter().for_each(|slot| slot.write(&mut out));
        out
    }

    /// Reads what [`Self::to_bytes`] wrote, and nothing else.
    ///
    /// # Errors
    /// [`Error::Decode`] for any other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        decode_all(bytes, |reader| {
            let point = reader.element("point")?;
            let mut top = [Fr::ZERO; TREE_ARITY];
            for child in &mut top {
                *child = reader.element("child of the root")?;
            }
            Ok(Self { point, top, slots: [Slot::read(reader)?, Slot::read(reader)?, Slot::read(reader)?] })
        })
    }
}

impl Access {
    /// The node below the root that the account and its path lead to, with `leaf` in the account's place.
    pub(super) fn root_child(&self, index: Index, leaf: Fr) -> Fr {
        let node = |node, (siblings, digit): (&[Fr; TREE_ARITY - 1], usize)| {
            let mut children = [node; TREE_ARITY];
            children[..digit].copy_from_slice(&siblings[..digit]);
            children[digit + 1..].copy_from_slice(&siblings[digit..]);
            crowdfold_fold::poseidon::hash(&children)
        };
        self.siblings.iter().zip(index.digits()).fold(leaf, node)
    }
}
