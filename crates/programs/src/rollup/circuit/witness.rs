//! What the circuit takes as witness: an honest input's, or whatever a dishonest prover makes up.

use crowdfold_fold::{Fr, poseidon};
use ff::{Field, PrimeField};

use super::super::account::{Index, TREE_ARITY, TREE_DEPTH};
use super::super::input::{Access, SLOTS, Slot, StepInput};
use super::super::transaction::Transaction;
use crate::eddsa::circuit::SignatureWitness;

/// The witness of a step.
#[derive(Clone, Debug)]
pub(super) struct StepWitness {
    /// Taken when a batch begins.
    pub(super) point: Fr,
    /// Outputs of the first S-boxes of the root's children.
    pub(super) top: [Fr; TREE_ARITY],
    /// Of the slots in order.
    pub(super) slots: [SlotWitness; SLOTS],
}

/// The witness of a slot.
#[derive(Clone, Debug)]
pub(super) struct SlotWitness {
    /// One for the kind it is: transfer, deposit, withdrawal, seal.
    pub(super) kinds: [Fr; 4],
    /// Bits of the index that is debited, least significant first.
    pub(super) from: [Fr; Index::BITS],
    /// Bits of the index that is credited.
    pub(super) to: [Fr; Index::BITS],
    /// Of the transaction.
    pub(super) nonce: Fr,
    /// What the operator gets.
    pub(super) fee: Fr,
    /// What is transferred.
    pub(super) amount: Fr,
    /// Where a withdrawal goes.
    pub(super) address: Fr,
    /// `None` for that of the key that is no secret.
    pub(super) signature: Option<SignatureWitness>,
    /// The account at `from`.
    pub(super) debit: AccessWitness,
    /// The account at `to`, after the debit.
    pub(super) credit: AccessWitness,
}

/// The witness of an account.
#[derive(Clone, Debug)]
pub(super) struct AccessWitness {
    /// One where there is no account.
    pub(super) empty: Fr,
    /// Coordinates of the public key. Where there is no account, that of the one that will be.
    pub(super) key: [Fr; 2],
    /// Before the transaction.
    pub(super) balance: Fr,
    /// Before the transaction.
    pub(super) nonce: Fr,
    /// Outputs of the first S-boxes of the other children at each level below the root's children, from the leaf
    /// upwards, in order of position. What is at the position itself the circuit computes.
    pub(super) siblings: [[Fr; TREE_ARITY - 1]; TREE_DEPTH - 1],
}

/// Bits of an index as field elements.
pub(super) fn index_bits(index: Index) -> [Fr; Index::BITS] {
    std::array::from_fn(|i| Fr::from(u64::from(index.get() >> i & 1)))
}

impl From<&StepInput> for StepWitness {
    fn from(input: &StepInput) -> Self {
        Self {
            point: input.point,
            top: std::array::from_fn(|i| poseidon::first_sbox(TREE_ARITY, i, input.top[i])),
            slots: std::array::from_fn(|i| (&input.slots[i]).into()),
        }
    }
}

impl From<&Slot> for SlotWitness {
    fn from(slot: &Slot) -> Self {
        let transaction = &slot.transaction;
        let (from, to) = (transaction.from(), transaction.to());
        let mut kinds = [Fr::ZERO; 4];
        if let Some(kind) = usize::from(transaction.kind()).checked_sub(1) {
            kinds[kind] = Fr::ONE;
        }
        let mut credit = AccessWitness::new(&slot.credit, to);
        if let (Transaction::Deposit { key, .. }, None) = (transaction, &slot.credit.account) {
            credit.key = [key.x(), key.y()];
        }
        Self {
            kinds,
            from: index_bits(from),
            to: index_bits(to),
            nonce: Fr::from(u64::from(transaction.nonce())),
            fee: Fr::from(transaction.fee()),
            amount: Fr::from_u128(transaction.amount()),
            address: transaction.words()[2],
            signature: slot.signature.as_ref().map(SignatureWitness::from),
            debit: AccessWitness::new(&slot.debit, from),
            credit,
        }
    }
}

impl AccessWitness {
    fn new(access: &Access, index: Index) -> Self {
        let digits = index.digits();
        let siblings = std::array::from_fn(|level| {
            std::array::from_fn(|i| {
                let position = i + usize::from(i >= digits[level]);
                poseidon::first_sbox(TREE_ARITY, position, access.siblings[level][i])
            })
        });
        let (empty, key, balance, nonce) = match &access.account {
            Some(account) => (
                Fr::ZERO,
                [account.key.x(), account.key.y()],
                Fr::from_u128(account.balance),
                Fr::from(u64::from(account.nonce)),
            ),
            None => (Fr::ONE, [Fr::ZERO; 2], Fr::ZERO, Fr::ZERO),
        };
        Self { empty, key, balance, nonce, siblings }
    }
}
