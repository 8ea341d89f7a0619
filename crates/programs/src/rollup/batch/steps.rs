//! From a batch to the inputs of its steps.

use super::super::account::{Account, Index};
use super::super::data::BatchData;
use super::super::execute::Executor;
use super::super::input::{Access, SLOTS, Slot, StepInput};
use super::super::rules::{Refusal, credit, debit};
use super::super::signatures::invalid;
use super::super::transaction::Transaction;
use super::super::tree::{Accounts, NotInPart, Overlay, PartialTree};
use super::Batch;
use crate::eddsa::Signature;
use crowdfold_fold::Fr;
use rand_core::{CryptoRng, RngCore};

/// Why a batch has no steps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchRefusal {
    /// One of its transactions is not allowed; the number of transactions stands for the seal.
    #[error("transaction {position} of the batch is refused: {refusal}")]
    Transaction {
        /// Its position in the batch.
        position: usize,
        /// Why.
        refusal: Refusal,
    },
    /// The batch names an account that its part of the tree lacks, which decoding makes impossible.
    #[error(transparent)]
    Tree(#[from] NotInPart),
}

impl Batch {
    /// Executes the batch without hashing the tree, checks all signatures with weights from `rng` (see
    /// [`crate::eddsa::verify_batch`]), and with the fees and the point found this way starts to make the inputs of its
    /// steps.
    ///
    /// # Errors
    /// [`BatchRefusal`] for the first transaction that is not allowed.
    pub fn into_steps(self, rng: &mut (impl CryptoRng + RngCore)) -> Result<Steps, BatchRefusal> {
        let fees = self.check(rng)?;
        let slots = self.slots(fees);
        let data = BatchData::of_slots(slots.iter().map(|(transaction, _)| transaction.words()));
        let point = data.point(data.hash());
        Ok(Steps { tree: Overlay::new(self.tree), slots: slots.into_iter(), done: 0, point })
    }

    /// The fees of the batch, if all of it is allowed.
    fn check(&self, rng: &mut (impl CryptoRng + RngCore)) -> Result<u128, BatchRefusal> {
        let mut executor = Executor::new(&self.tree);
        let (mut triples, mut positions) = (Vec::new(), Vec::new());
        for (position, entry) in self.entries.iter().enumerate() {
            let transaction = entry.transaction();
            let refused = |refusal| BatchRefusal::Transaction { position, refusal };
            let receipt = executor.run(&transaction, None)?.map_err(refused)?;
            if let (Some(account), Some(signature)) = (receipt.debited, entry.signature()) {
                triples.push((account.key, transaction.message(self.start.domain), signature));
                positions.push(position);
            }
        }
        if let Some(first) = invalid(&triples, rng).first() {
            let position = positions[*first];
            let refusal = Refusal::BadSignature { index: self.entries[position].transaction().from() };
            return Err(BatchRefusal::Transaction { position, refusal });
        }
        let fees = executor.fees();
        let refused = |refusal| BatchRefusal::Transaction { position: self.entries.len(), refusal };
        executor.seal(self.operator)?.map_err(refused)?;
        Ok(fees)
    }
}

/// The inputs of a batch's steps, made as they are asked for: the tree is hashed after each change, because paths are
/// of the time at which they are used.
#[derive(Clone, Debug)]
pub struct Steps {
    tree: Overlay<PartialTree>,
    slots: std::vec::IntoIter<(Transaction, Option<Signature>)>,
    /// Slots made so far.
    done: usize,
    point: Fr,
}

impl Steps {
    /// The point at which the batch's data is evaluated.
    pub fn point(&self) -> Fr {
        self.point
    }

    fn slot(&mut self, transaction: Transaction, signature: Option<Signature>) -> Result<Slot, BatchRefusal> {
        let debit = self.change(transaction.from(), |account| debit(&transaction, account))?;
        let credit = self.change(transaction.to(), |account| credit(&transaction, account))?;
        self.done += 1;
        Ok(Slot { transaction, signature, debit, credit })
    }

    /// Changes an account, and returns it with its path as they were before.
    fn change(
        &mut self,
        index: Index,
        rule: impl FnOnce(Option<Account>) -> Result<Option<Account>, Refusal>,
    ) -> Result<Access, BatchRefusal> {
        let access = self.tree.access(index)?;
        let position = self.done;
        let after = rule(access.account).map_err(|refusal| BatchRefusal::Transaction { position, refusal })?;
        if let Some(account) = after.filter(|after| access.account != Some(*after)) {
            self.tree.update(index, account);
            self.tree.rehash()?;
        }
        Ok(access)
    }

    fn step(&mut self, slots: [(Transaction, Option<Signature>); SLOTS]) -> Result<StepInput, BatchRefusal> {
        let top = self.tree.top()?;
        let [a, b, c] = slots;
        let slots = [self.slot(a.0, a.1)?, self.slot(b.0, b.1)?, self.slot(c.0, c.1)?];
        Ok(StepInput { point: self.point, top, slots })
    }
}

impl Iterator for Steps {
    type Item = Result<StepInput, BatchRefusal>;

    fn next(&mut self) -> Option<Self::Item> {
        let slots = [self.slots.next()?, self.slots.next()?, self.slots.next()?];
        let step = self.step(slots);
        if step.is_err() {
            self.slots = Vec::new().into_iter();
        }
        Some(step)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let steps = self.slots.len() / SLOTS;
        (steps, Some(steps))
    }
}

impl ExactSizeIterator for Steps {}
