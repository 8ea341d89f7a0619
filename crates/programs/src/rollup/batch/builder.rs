//! Making batches.

use super::super::data::BatchData;
use super::super::execute::{Executed, Executor, Receipt};
use super::super::rules::Refusal;
use super::super::signatures::Verified;
use super::super::state::State;
use super::super::transaction::{Deposit, Request, SignedTransaction};
use super::super::tree::{Accounts, Changes, Directory, Overlay, PartialTree};
use super::{Batch, Entry, MAX_TRANSACTIONS, end_state, touched};
use crate::eddsa::PublicKey;
use rand_core::{CryptoRng, RngCore};

/// What a batch does.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The batch, whose encoding is a job.
    pub batch: Batch,
    /// The state after it.
    pub end: State,
    /// Of its transactions, in order.
    pub receipts: Vec<Receipt>,
    /// Positions of requests that were refused, and why.
    pub refused: Vec<(usize, Refusal)>,
    /// Its data, for the chain.
    pub data: BatchData,
    /// What it changes in the tree.
    pub changes: Changes,
}

/// Why no batch can be made; `E` is the error of the view.
#[derive(Debug, thiserror::Error)]
pub enum BuildError<E> {
    /// The view of the accounts failed.
    #[error("the accounts can't be read")]
    View(#[source] E),
    /// The state is within a batch.
    #[error("a batch is open: it has to be sealed before another begins")]
    Open,
    /// The view is not of the tree that the state has.
    #[error("the accounts have another root than the state")]
    WrongRoot,
    /// The state names an operator beyond all indices.
    #[error("the state's operator is no index")]
    Operator,
    /// The fees can't be credited to the operator.
    #[error("the batch can't be sealed")]
    Seal(#[source] Refusal),
}

/// A batch in the making: transactions are executed as they come, over a view that stays as it is.
///
/// The sum of all balances has to stay below 2^128, as the contract sees to for deposits. If it does not, the seal may
/// be unable to credit the fees, and the batch is lost.
#[derive(Clone, Debug)]
pub struct BatchBuilder<A> {
    executor: Executor<A>,
    start: State,
    operator: super::Index,
    entries: Vec<Entry>,
    receipts: Vec<Receipt>,
}

impl<A: Directory> BatchBuilder<A> {
    /// An empty batch.
    ///
    /// # Errors
    /// Any [`BuildError`] but that of the seal.
    pub fn new(view: A, start: State) -> Result<Self, BuildError<A::Error>> {
        if !start.is_between_batches() {
            return Err(BuildError::Open);
        }
        if view.root().map_err(BuildError::View)? != start.root {
            return Err(BuildError::WrongRoot);
        }
        let operator = start.operator_index().ok_or(BuildError::Operator)?;
        Ok(Self { executor: Executor::new(view), start, operator, entries: Vec::new(), receipts: Vec::new() })
    }

    /// Transactions so far.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no transactions yet.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The accounts as they are now.
    pub fn accounts(&self) -> &Overlay<A> {
        self.executor.accounts()
    }

    /// Executes a deposit.
    ///
    /// # Errors
    /// Those of the view.
    pub fn deposit(&mut self, deposit: &Deposit) -> Executed<Receipt, A::Error> {
        if let Err(full) = self.check_limit() {
            return Ok(Err(full));
        }
        let receipt = self.executor.deposit(deposit)?;
        Ok(receipt
            .map(|receipt| self.push(Entry::Deposit { to: receipt.transaction.to(), deposit: *deposit }, receipt)))
    }

    /// Executes a transfer or withdrawal.
    ///
    /// # Errors
    /// Those of the view.
    pub fn execute(&mut self, verified: &Verified) -> Executed<Receipt, A::Error> {
        if let Err(full) = self.check_limit() {
            return Ok(Err(full));
        }
        let receipt = self.executor.execute(verified)?;
        Ok(receipt.map(|receipt| self.push(Entry::Signed(*verified.signed()), receipt)))
    }

    fn check_limit(&self) -> Result<(), Refusal> {
        let limit = MAX_TRANSACTIONS;
        if self.entries.len() < limit { Ok(()) } else { Err(Refusal::BatchFull { limit }) }
    }

    pub(super) fn push(&mut self, entry: Entry, receipt: Receipt) -> Receipt {
        self.entries.push(entry);
        self.receipts.push(receipt);
        receipt
    }

    /// Seals the batch, and hashes the tree once.
    ///
    /// # Errors
    /// [`BuildError::Seal`] if there is no operator, or its balance would overflow; [`BuildError::View`].
    pub fn finish(mut self) -> Result<Outcome, BuildError<A::Error>> {
        let seal = self.executor.seal(self.operator).map_err(BuildError::View)?.map_err(BuildError::Seal)?;
        let mut accounts = self.executor.into_accounts();
        accounts.rehash().map_err(BuildError::View)?;
        let root = accounts.root().map_err(BuildError::View)?;
        let indices = touched(self.operator, &self.entries);
        let tree = PartialTree::of(accounts.base(), &indices).map_err(BuildError::View)?;

        let batch = Batch { start: self.start, operator: self.operator, entries: self.entries, tree };
        let slots = batch.slots(seal.transaction.amount());
        let data = BatchData::of_slots(slots.iter().map(|(transaction, _)| transaction.words()));
        let end = end_state(&self.start, root, &slots, &data);
        let changes = accounts.into_changes().map_err(BuildError::View)?;
        Ok(Outcome { batch, end, receipts: self.receipts, refused: Vec::new(), data, changes })
    }
}

/// Makes a batch of what can be executed in that order, and says what was refused: also all requests beyond
/// [`MAX_TRANSACTIONS`] executed ones. Signatures are checked at once for accounts that exist already, with weights
/// from `rng` (see [`Verified::many`]), and one by one for those that the batch creates.
///
/// # Errors
/// Any [`BuildError`].
pub fn build<A: Directory>(
    view: A,
    start: State,
    requests: &[Request],
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<Outcome, BuildError<A::Error>> {
    let domain = start.domain;
    let mut candidates: Vec<(SignedTransaction, PublicKey)> = Vec::new();
    // Where the check of a request's signature is found.
    let mut checks = vec![None; requests.len()];
    for (request, check) in requests.iter().zip(&mut checks) {
        if let Request::Signed(signed) = request
            && let Some(account) = view.account(signed.transaction().from()).map_err(BuildError::View)?
        {
            *check = Some(candidates.len());
            candidates.push((*signed, account.key));
        }
    }
    let checked = Verified::many(&candidates, domain, rng);

    let mut builder = BatchBuilder::new(view, start)?;
    let mut refused = Vec::new();
    for (position, (request, check)) in requests.iter().zip(checks).enumerate() {
        let done = match (request, check) {
            (Request::Deposit(deposit), _) => builder.deposit(deposit).map_err(BuildError::View)?,
            (Request::Signed(signed), check) => {
                let verified = match check {
                    Some(at) => checked[at].clone(),
                    None => builder.verify(signed).map_err(BuildError::View)?,
                };
                match verified {
                    Ok(verified) => builder.execute(&verified).map_err(BuildError::View)?,
                    Err(refusal) => Err(refusal),
                }
            }
        };
        if let Err(refusal) = done {
            refused.push((position, refusal));
        }
    }
    Ok(Outcome { refused, ..builder.finish()? })
}

impl<A: Directory> BatchBuilder<A> {
    /// Checks the signature of a transaction under the key that its account has now.
    ///
    /// # Errors
    /// Those of the view.
    pub fn verify(&self, signed: &SignedTransaction) -> Executed<Verified, A::Error> {
        let index = signed.transaction().from();
        let account = self.accounts().account(index)?;
        let known = account.ok_or(Refusal::UnknownAccount { index });
        Ok(known.and_then(|account| Verified::new(*signed, account.key, self.start.domain)))
    }
}
