//! The accounts and the mempool: what is decided without waiting for anything but the accounts' file. The actor runs
//! it on threads that may block.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crowdfold_fold::Fr;
use crowdfold_programs::rollup::{
    Account, Accounts as _, Batch, BatchBuilder, Deposit, Entry, Index, Outcome, Refusal, Request, SignedTransaction,
    Transaction, Verified, build,
};
use crowdfold_rollup::store::{Head, Snapshot, Store};
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;

use super::mempool::{Limits, Loss, Lost, Mempool, Offer, Sealed, Waiting};
use super::{Refused, SequencerError};
use crate::store::{
    At, Dropped, Faults, Intake, NewTransaction, PendingTransaction, TransactionHash, TransactionReceipt,
    WaitingDeposit,
};

/// Transactions that a thread decodes in one go.
const CHUNK: usize = 16;

/// A transaction as it was sent, with its name.
#[derive(Clone, Copy, Debug)]
pub struct Offered {
    /// What was sent.
    pub signed: SignedTransaction,
    /// Its name.
    pub hash: TransactionHash,
}

impl Offered {
    /// Names a transaction of the rollup of `domain`.
    pub fn new(signed: SignedTransaction, domain: Fr) -> Self {
        let mut hash = signed.transaction().message(domain).to_bytes();
        hash.reverse();
        Self { signed, hash: TransactionHash(hash) }
    }
}

/// What the mempool holds of a transaction.
#[derive(Clone, Debug)]
struct Item {
    verified: Verified,
    hash: TransactionHash,
}

/// What is decided about a transaction.
#[derive(Clone, Debug)]
pub(super) enum Decision {
    /// It waits now.
    Accepted(TransactionReceipt),
    /// It waited before.
    Known(TransactionReceipt),
    /// It is not accepted.
    Refused(Refused),
}

/// How far a transaction is before signatures are checked.
enum Step {
    Refused(Refused),
    /// It waits already.
    Known(Sealed),
    /// Its signature is checked with the others.
    Checked(Sealed),
}

/// What is decided about a group, and what that changes.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) decisions: Vec<Decision>,
    pub(super) intake: Intake,
}

/// A batch before anything of it is durable.
#[derive(Debug)]
pub(super) struct Prepared {
    /// `None` if nothing can be executed.
    pub(super) outcome: Option<Outcome>,
    /// Numbers of its deposits.
    pub(super) deposits: Vec<u64>,
    /// Its transactions by the order in which they came.
    pub(super) transactions: Vec<u64>,
    /// Those that could not be executed.
    pub(super) dropped: Vec<(u64, Dropped)>,
    /// A deposit that can't be executed holds up those behind it.
    pub(super) stuck: Option<(u64, Refusal)>,
    /// Account and nonce of what leaves the mempool.
    gone: Vec<(u32, u32, TransactionHash)>,
    /// The job, and the data for the chain.
    pub(super) job: Vec<u8>,
    pub(super) data: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Engine {
    store: Store,
    snapshot: Arc<Snapshot>,
    pool: Mempool<Item>,
    hashes: BTreeMap<TransactionHash, (u32, u32)>,
    faults: Faults,
}

fn sealed(account: &Account) -> Sealed {
    Sealed { nonce: account.nonce, balance: account.balance }
}

fn cost(transaction: &Transaction) -> u128 {
    transaction.amount().saturating_add(transaction.fee().into())
}

fn refusal(refusal: &Refusal) -> Dropped {
    Dropped { reason: "refused".into(), detail: Some(refusal.to_string()) }
}

fn loss(loss: Loss) -> Dropped {
    Dropped { reason: loss.code().into(), detail: None }
}

fn receipt(waiting: &Waiting<Item>) -> TransactionReceipt {
    TransactionReceipt {
        hash: waiting.item.hash,
        account: waiting.account,
        nonce: waiting.nonce,
        received: crowdfold_sched::Millis(waiting.received),
        place: crate::store::Place::Pending,
    }
}

impl Engine {
    pub(super) fn open(path: &Path, limits: Limits, next: u64, faults: Faults) -> Result<Self, SequencerError> {
        let store = Store::open(path)?;
        let snapshot = Arc::new(store.snapshot()?);
        Ok(Self { store, snapshot, pool: Mempool::new(limits, next), hashes: BTreeMap::new(), faults })
    }

    pub(super) fn head(&self) -> &Head {
        self.snapshot.head()
    }

    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    pub(super) fn pending(&self) -> usize {
        self.pool.len()
    }

    pub(super) fn executable(&self) -> usize {
        self.pool.executable()
    }

    pub(super) fn accounts(&self) -> usize {
        self.pool.accounts()
    }

    pub(super) fn oldest(&self) -> Option<u64> {
        self.pool.oldest()
    }

    /// Takes back what waited before this run, and returns what can't wait any more.
    pub(super) fn restore(
        &mut self,
        rows: &[PendingTransaction],
        rng: &mut ChaCha20Rng,
    ) -> Result<Vec<(u64, Dropped)>, SequencerError> {
        let signed: Vec<_> =
            rows.par_iter().with_min_len(CHUNK).map(|row| SignedTransaction::from_bytes(&row.bytes)).collect();
        let (mut candidates, mut places, mut dropped) = (Vec::new(), Vec::new(), Vec::new());
        for (row, signed) in rows.iter().zip(signed) {
            let known = match signed {
                Ok(signed) => self.snapshot.account(signed.transaction().from())?.map(|account| (signed, account)),
                Err(_) => None,
            };
            match known {
                Some((signed, account)) => {
                    candidates.push((signed, account.key));
                    places.push((row, sealed(&account)));
                }
                None => {
                    let why = Dropped { reason: "refused".into(), detail: Some("its row is damaged".into()) };
                    dropped.push((row.id, why));
                }
            }
        }
        let domain = self.head().state.domain;
        for ((row, sealed), checked) in places.into_iter().zip(Verified::many(&candidates, domain, rng)) {
            match checked {
                Ok(verified) => {
                    let transaction = verified.signed().transaction();
                    let (account, nonce, fee) = (transaction.from().get(), transaction.nonce(), transaction.fee());
                    let (cost, received) = (cost(transaction), row.received.0);
                    let item = Item { verified, hash: row.hash };
                    self.pool.restore(Waiting { id: row.id, account, nonce, fee, cost, received, item }, sealed);
                    self.hashes.insert(row.hash, (account, nonce));
                }
                Err(why) => dropped.push((row.id, refusal(&why))),
            }
        }
        Ok(dropped)
    }

    /// Verifies and checks a group, in order. Signatures are checked together, of what is not refused without that.
    pub(super) fn admit(
        &mut self,
        group: &[Offered],
        now: At,
        rng: &mut ChaCha20Rng,
    ) -> Result<Admitted, SequencerError> {
        let mut known = BTreeMap::new();
        let mut look = |index: Index| -> Result<Option<Account>, SequencerError> {
            if let Some(account) = known.get(&index) {
                return Ok(*account);
            }
            let account = self.snapshot.account(index)?;
            known.insert(index, account);
            Ok(account)
        };
        let (mut candidates, mut steps) = (Vec::new(), Vec::with_capacity(group.len()));
        for offered in group {
            let transaction = offered.signed.transaction();
            let (from, to) = (transaction.from(), transaction.to());
            let is_transfer = matches!(transaction, Transaction::Transfer { .. });
            steps.push(match look(from)? {
                None => Step::Refused(Refused::UnknownAccount { index: from }),
                Some(_) if is_transfer && look(to)?.is_none() => Step::Refused(Refused::UnknownRecipient { index: to }),
                Some(account) if transaction.nonce() < account.nonce => {
                    Step::Refused(Refused::NonceUsed { next: account.nonce, found: transaction.nonce() })
                }
                Some(account) if self.hashes.contains_key(&offered.hash) => Step::Known(sealed(&account)),
                Some(account) => {
                    candidates.push((offered.signed, account.key));
                    Step::Checked(sealed(&account))
                }
            });
        }
        let mut checked = Verified::many(&candidates, self.head().state.domain, rng).into_iter();

        let mut intake = Intake::default();
        let mut decisions = Vec::with_capacity(group.len());
        for (offered, step) in group.iter().zip(steps) {
            let bad = Refused::BadSignature { index: offered.signed.transaction().from() };
            let (verified, account) = match step {
                Step::Refused(refused) => {
                    decisions.push(Decision::Refused(refused));
                    continue;
                }
                Step::Known(account) => (None, account),
                Step::Checked(account) => (checked.next(), account),
            };
            decisions.push(match (self.waiting(offered.hash), verified) {
                (Some(waiting), _) => Decision::Known(receipt(waiting)),
                (None, Some(Ok(verified))) => self.insert(offered, verified, account, now, &mut intake),
                (None, Some(Err(_))) => Decision::Refused(bad),
                // It waited until one before it in this group took its place.
                (None, None) => Decision::Refused(Refused::Replaced),
            });
        }
        Ok(Admitted { decisions, intake })
    }

    fn waiting(&self, hash: TransactionHash) -> Option<&Waiting<Item>> {
        let (account, nonce) = self.hashes.get(&hash)?;
        self.pool.get(*account, *nonce)
    }

    fn insert(
        &mut self,
        offered: &Offered,
        verified: Verified,
        account: Sealed,
        now: At,
        intake: &mut Intake,
    ) -> Decision {
        let transaction = offered.signed.transaction();
        let (from, nonce, fee) = (transaction.from().get(), transaction.nonce(), transaction.fee());
        let item = Item { verified, hash: offered.hash };
        let offer = Offer { account: from, nonce, fee, cost: cost(transaction), received: now.0, item };
        let (id, gone) = match self.pool.insert(offer, account) {
            Ok(inserted) => inserted,
            Err(refused) => return Decision::Refused(refused),
        };
        if let Some((gone, why)) = gone {
            self.hashes.remove(&gone.item.hash);
            match intake.added.binary_search_by_key(&gone.id, |row| row.id) {
                // It came with the same group.
                Ok(place) => intake.added[place].dropped = Some(loss(why)),
                Err(_) => intake.dropped.push((gone.id, loss(why))),
            }
        }
        self.hashes.insert(offered.hash, (from, nonce));
        intake.added.push(NewTransaction {
            id,
            hash: offered.hash,
            account: from,
            nonce,
            cost: cost(transaction),
            bytes: offered.signed.to_bytes(),
            received: now,
            dropped: None,
        });
        let place = crate::store::Place::Pending;
        Decision::Accepted(TransactionReceipt { hash: offered.hash, account: from, nonce, received: now, place })
    }

    /// Takes out what came before.
    pub(super) fn expire(&mut self, before: At) -> Vec<(u64, Dropped)> {
        let gone = self.pool.expire(before.0);
        self.forget(gone)
    }

    fn forget(&mut self, gone: Vec<Lost<Item>>) -> Vec<(u64, Dropped)> {
        let forget = |(gone, why): Lost<Item>| {
            self.hashes.remove(&gone.item.hash);
            (gone.id, loss(why))
        };
        gone.into_iter().map(forget).collect()
    }

    /// Executes deposits and then the best transactions, up to so many in all, and seals the batch. Nothing changes.
    pub(super) fn prepare(&self, deposits: &[WaitingDeposit], most: usize) -> Result<Prepared, SequencerError> {
        let failed = |error: &dyn std::fmt::Display| SequencerError::Build(error.to_string());
        let mut builder =
            BatchBuilder::new(&*self.snapshot, self.head().state).map_err(|error| SequencerError::build(&error))?;
        let (mut consumed, mut stuck) = (Vec::new(), None);
        for waiting in deposits.iter().take(most) {
            let deposit = Deposit::from_bytes(&waiting.bytes).map_err(|error| failed(&error))?;
            match builder.deposit(&deposit)? {
                Ok(_) => consumed.push(waiting.number),
                Err(refusal) => {
                    stuck = Some((waiting.number, refusal));
                    break;
                }
            }
        }
        let (mut transactions, mut dropped, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        let mut refused = BTreeSet::new();
        for waiting in self.pool.best(most - consumed.len()) {
            // What comes after a refused one waits for another of its nonce.
            if refused.contains(&waiting.account) {
                continue;
            }
            match builder.execute(&waiting.item.verified)? {
                Ok(_) => transactions.push(waiting.id),
                Err(why) => {
                    refused.insert(waiting.account);
                    dropped.push((waiting.id, refusal(&why)));
                }
            }
            gone.push((waiting.account, waiting.nonce, waiting.item.hash));
        }
        let mut prepared = Prepared {
            outcome: None,
            deposits: consumed,
            transactions,
            dropped,
            stuck,
            gone,
            job: Vec::new(),
            data: Vec::new(),
        };
        if !builder.is_empty() {
            let outcome = builder.finish().map_err(|error| SequencerError::build(&error))?;
            prepared.job = outcome.batch.to_bytes();
            prepared.data = outcome.data.to_bytes();
            prepared.outcome = Some(outcome);
        }
        Ok(prepared)
    }

    /// Commits a batch whose row is durable, and takes what was in it out of the mempool. Returns what is not covered
    /// any more.
    pub(super) fn commit(&mut self, prepared: &Prepared) -> Result<Vec<(u64, Dropped)>, SequencerError> {
        if let Some(outcome) = &prepared.outcome {
            self.write(outcome)?;
        }
        for (account, nonce, hash) in &prepared.gone {
            self.hashes.remove(hash);
            self.pool.refuse(*account, *nonce);
        }
        let mut lost = Vec::new();
        for (index, account) in prepared.outcome.iter().flat_map(|outcome| &outcome.changes.accounts) {
            let gone = self.pool.advance(index.get(), sealed(account));
            lost.extend(self.forget(gone));
        }
        Ok(lost)
    }

    fn write(&mut self, outcome: &Outcome) -> Result<(), SequencerError> {
        self.faults.point()?;
        self.store.commit(outcome)?;
        self.faults.point()?;
        self.snapshot = Arc::new(self.store.snapshot()?);
        Ok(())
    }

    /// Commits a batch whose row was durable when a crash came, from its bytes.
    pub(super) fn catch_up(&mut self, job: &[u8], rng: &mut ChaCha20Rng) -> Result<(), SequencerError> {
        let batch = Batch::from_bytes(job).map_err(|error| SequencerError::Build(error.to_string()))?;
        let request = |entry: &Entry| match entry {
            Entry::Deposit { deposit, .. } => Request::Deposit(*deposit),
            Entry::Signed(signed) => Request::Signed(*signed),
        };
        let requests: Vec<Request> = batch.entries().iter().map(request).collect();
        let outcome =
            build(&*self.snapshot, self.head().state, &requests, rng).map_err(|error| SequencerError::build(&error))?;
        if outcome.batch != batch {
            return Err(SequencerError::Diverged { batch: self.head().batch + 1 });
        }
        self.write(&outcome)
    }
}
