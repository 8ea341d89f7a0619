//! The sequencer of the rollup program: signed transactions come in, batches go out as jobs, and the proofs of several
//! batches become one.
//!
//! An actor owns the mempool and the accounts. It takes what waits as a group, verifies it, writes it down in one
//! transaction of the database, and only then answers; so one write serves many, and nobody is told what a crash could
//! undo. Beside it one loop hands batches over as jobs, and one merges proofs; each works from what is stored, so a
//! restart goes on where the last run stopped (`docs/guide/sequencer.md` has the order of writes).

mod accounts;
mod actor;
mod backup;
mod engine;
mod hand_over;
pub mod mempool;
mod merge;
mod refused;
mod settings;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use crowdfold_fold::{Address, Fr, Job};
use crowdfold_programs::rollup::{Deposit, State};
use crowdfold_rollup::store::Snapshot;
use crowdfold_sched::{ClientId, JobId};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use crate::chance::{self, NoRandomness};
use crate::hub::Clock;
use crate::store::{
    Client, DepositConflict, IdempotencyKey, NewClient, Role, SequencerCounts, Storage, Store as _, StoreError,
    TokenHash, TransactionReceipt, limits,
};

pub use accounts::{AccountAnswer, AccountName};
pub use backup::{accounts_of, backup_accounts};
pub use engine::Offered;
pub use merge::{Folding, Merge, ReadProof, ToMerge};
pub use refused::Refused;
pub use settings::{BadSetting, MAX_PENDING, MAX_REQUEST_TRANSACTIONS, MAX_SEQUENCE_BATCHES, Settings};

/// Requests that wait for the actor. At it further ones are told to come later.
const INBOX: usize = 256;
/// Transactions of requests that wait, so that their memory is bounded. At it further ones are told to come later.
const QUEUED: usize = 4 * MAX_REQUEST_TRANSACTIONS;
/// The name of the client that the jobs of batches are of.
pub const CLIENT: &str = "sequencer";

/// A batch that is to become a job.
#[derive(Clone, Debug)]
pub struct BatchJob {
    /// Its number: the lower, the sooner it is to be proved.
    pub number: u64,
    /// The name on the chain, which it shares with the other batches of its sequence.
    pub name: Job,
    /// The program.
    pub program: String,
    /// So that it becomes one job however often it is handed over.
    pub key: IdempotencyKey,
    /// The job.
    pub bytes: Bytes,
}

/// Who takes batches as jobs.
#[async_trait]
pub trait JobSink: Send + Sync + std::fmt::Debug {
    /// Makes a job of a batch, or finds the one that its key made before. When this returns the job is durable.
    ///
    /// # Errors
    /// Whatever it can fail with: the batch is handed over again.
    async fn accept(&self, batch: BatchJob) -> Result<JobId, Box<dyn std::error::Error + Send + Sync>>;
}

/// What a sequencer is given.
#[derive(Clone, Debug)]
pub struct Options {
    /// What an operator chooses.
    pub settings: Settings,
    /// The store of accounts.
    pub accounts: PathBuf,
    /// Chain and contract of the rollup.
    pub settlement: (u64, Address),
    /// Where everything else is.
    pub storage: Arc<Storage>,
    /// The time.
    pub clock: Clock,
    /// Who takes batches as jobs.
    pub jobs: Arc<dyn JobSink>,
    /// Who merges proofs.
    pub merge: Arc<dyn Merge>,
}

/// Why the sequencer does not run, or a part of it failed.
#[derive(Debug, thiserror::Error)]
pub enum SequencerError {
    /// A setting can't be.
    #[error(transparent)]
    Setting(#[from] BadSetting),
    /// The database or a blob.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The accounts.
    #[error(transparent)]
    Accounts(#[from] crowdfold_rollup::Error),
    /// The accounts are another rollup's.
    #[error(
        "the accounts belong to another chain or contract than the coordinator's: make them with its --chain-id and \
         --contract, or change the coordinator's"
    )]
    Domain,
    /// The accounts have batches that the database does not have.
    #[error(
        "the accounts have {accounts} batches, the database knows {database}: they are not of the same moment, so \
         restore both from one backup"
    )]
    Ahead {
        /// Batches of the accounts.
        accounts: u64,
        /// The last batch of the database.
        database: u64,
    },
    /// A batch does not lead to what was recorded of it.
    #[error("batch {batch} leads elsewhere than was recorded: restore the accounts and the database from one backup")]
    Diverged {
        /// Its number.
        batch: u64,
    },
    /// A batch can't be made.
    #[error("a batch can't be made: {0}")]
    Build(String),
    /// The proofs of a sequence can't be merged.
    #[error("the proofs of sequence {sequence} can't be merged: {why}")]
    Merge {
        /// Its number.
        sequence: u64,
        /// Why.
        why: String,
    },
    /// A batch is not taken as a job.
    #[error("batch {batch} is not taken as a job: {why}")]
    HandOver {
        /// Its number.
        batch: u64,
        /// Why.
        why: String,
    },
    /// A part of it panicked, as it may over a damaged file.
    #[error("a part of the sequencer failed: {0}")]
    Panicked(String),
    /// The system has no randomness.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// Only in tests.
    #[error("a crash was simulated")]
    Crashed,
}

impl SequencerError {
    /// An error in making a batch, with its causes.
    fn build(error: &dyn std::error::Error) -> Self {
        Self::Build(words(error))
    }

    /// Whether a crash was simulated: then nothing goes on.
    fn is_crash(&self) -> bool {
        matches!(self, Self::Crashed | Self::Store(StoreError::Crashed))
    }
}

/// An error with its causes.
fn words(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    std::iter::once(error.to_string()).chain(causes.map(ToString::to_string)).collect::<Vec<_>>().join(": ")
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Too many requests wait.
    #[error("too many requests wait: try again in a moment")]
    Busy,
    /// A part of the sequencer failed, and is being started again.
    #[error("the sequencer can't write or read now: try again later")]
    Failed,
    /// It stops.
    #[error("the sequencer is stopping")]
    Stopping,
}

/// What becomes of a transaction that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is accepted, and will not be lost.
    Accepted(TransactionReceipt),
    /// It was accepted before: this is what became of it.
    Known(TransactionReceipt),
    /// It is not accepted.
    Refused(Refused),
}

/// What sealing did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedNow {
    /// The batch, if something waited.
    pub batch: Option<u64>,
    /// The sequence, if one was closed.
    pub closed: Option<u64>,
}

/// The way of an answer.
type Reply<T> = oneshot::Sender<Result<T, Unanswered>>;

/// What the actor is asked.
#[derive(Debug)]
enum Command {
    /// With the room that it takes while it waits.
    Submit(Vec<Offered>, OwnedSemaphorePermit, Reply<Vec<Answer>>),
    Deposits(Vec<(u64, Deposit)>, Reply<Result<u64, DepositConflict>>),
    /// Seal what waits; and whether to close the sequence.
    Seal(bool, Reply<SealedNow>),
}

/// How things are, without asking the actor.
#[derive(Clone, Debug)]
pub struct View {
    /// The accounts after the last batch.
    pub snapshot: Arc<Snapshot>,
    /// Transactions that wait.
    pub pending: u64,
    /// Those of them that could be in a batch now.
    pub executable: u64,
    /// Accounts of which some wait.
    pub accounts: u64,
    /// When the one that waits longest came, in milliseconds since 1970.
    pub oldest: Option<u64>,
    /// Deposits that wait.
    pub deposits: u64,
    /// The deposit that can't be executed and holds up those behind it.
    pub stuck: Option<u64>,
    /// Decisions in this run by code; `accepted` and `duplicate` among them.
    pub decided: BTreeMap<&'static str, u64>,
    /// Whether requests are answered, or it is being started again.
    pub is_working: bool,
}

/// Numbers for `/metrics`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Transactions that wait.
    pub pending: u64,
    /// Those of them that could be in a batch now.
    pub executable: u64,
    /// Accounts of which some wait.
    pub accounts: u64,
    /// Milliseconds for which the oldest has waited.
    pub oldest_ms: u64,
    /// Decisions in this run by code; `accepted` and `duplicate` among them.
    pub decided: BTreeMap<&'static str, u64>,
    /// The last batch.
    pub batch: u64,
    /// Batches, sequences and deposits by how far they are.
    pub counts: SequencerCounts,
    /// Whether requests are answered.
    pub is_working: bool,
}

/// What the loops share.
#[derive(Debug)]
struct Shared {
    options: Options,
    /// There may be a batch to hand over.
    sealed: Notify,
    /// There may be a sequence to merge.
    proved: Notify,
}

/// The way to a sequencer that runs. Clones lead to the same.
#[derive(Clone, Debug)]
pub struct Sequencer {
    shared: Arc<Shared>,
    inbox: mpsc::Sender<Command>,
    room: Arc<Semaphore>,
    view: watch::Receiver<Arc<View>>,
    domain: Fr,
}

/// The sequencer's work, to be run beside whatever else the coordinator does.
#[derive(Debug)]
pub struct Service {
    actor: actor::Actor,
    shared: Arc<Shared>,
}

impl Sequencer {
    /// Goes on from what is stored: finishes batches that were begun, takes back what waited.
    ///
    /// # Errors
    /// [`SequencerError`]: what an operator has to see to.
    pub async fn start(options: Options) -> Result<(Self, Service), SequencerError> {
        options.settings.check()?;
        let (chain_id, contract) = options.settlement;
        let domain = State::domain(chain_id, contract);
        let shared = Arc::new(Shared { options, sealed: Notify::new(), proved: Notify::new() });
        let (inbox, commands) = mpsc::channel(INBOX);
        let (actor, view) = actor::Actor::start(Arc::clone(&shared), commands).await?;
        let room = Arc::new(Semaphore::new(QUEUED));
        Ok((Self { shared: Arc::clone(&shared), inbox, room, view, domain }, Service { actor, shared }))
    }

    /// What signatures are bound to.
    pub fn domain(&self) -> Fr {
        self.domain
    }

    /// What the operator chose.
    pub fn settings(&self) -> &Settings {
        &self.shared.options.settings
    }

    /// Where batches, sequences and receipts are read.
    pub fn storage(&self) -> &Arc<Storage> {
        &self.shared.options.storage
    }

    /// Chain and contract.
    pub fn settlement(&self) -> (u64, Address) {
        self.shared.options.settlement
    }

    /// How things are.
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.borrow())
    }

    /// Offers transactions, in order. When this returns, what is accepted is durable.
    ///
    /// # Errors
    /// [`Unanswered`]: any of them may or may not be accepted then, and can be sent again.
    pub async fn submit(&self, transactions: Vec<Offered>) -> Result<Vec<Answer>, Unanswered> {
        let count = u32::try_from(transactions.len()).map_err(|_| Unanswered::Busy)?;
        let room = Arc::clone(&self.room).try_acquire_many_owned(count).map_err(|_| Unanswered::Busy)?;
        self.ask(|answer| Command::Submit(transactions, room, answer)).await
    }

    /// Adds deposits by their numbers, all or none, and says how many are new.
    ///
    /// # Errors
    /// [`Unanswered`]; in the inner result a number that does not follow, or is another deposit's.
    pub async fn add_deposits(
        &self,
        deposits: Vec<(u64, Deposit)>,
    ) -> Result<Result<u64, DepositConflict>, Unanswered> {
        self.ask(|answer| Command::Deposits(deposits, answer)).await
    }

    /// Seals what waits into a batch now, and closes the sequence if that is wanted.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn seal(&self, close: bool) -> Result<SealedNow, Unanswered> {
        self.ask(|answer| Command::Seal(close, answer)).await
    }

    /// A job ended: there may be a sequence to merge. Without this it takes a moment longer.
    pub fn job_ended(&self) {
        self.shared.proved.notify_one();
    }

    /// Numbers for `/metrics`.
    ///
    /// # Errors
    /// What reading the database fails with.
    pub async fn numbers(&self) -> Result<Numbers, StoreError> {
        let counts = self.storage().store.sequencer_counts().await?;
        let (view, now) = (self.view(), self.shared.options.clock.now().0);
        Ok(Numbers {
            pending: view.pending,
            executable: view.executable,
            accounts: view.accounts,
            oldest_ms: view.oldest.map_or(0, |oldest| now.saturating_sub(oldest)),
            decided: view.decided.clone(),
            batch: view.snapshot.head().batch,
            counts,
            is_working: view.is_working,
        })
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Unanswered> {
        let (answer, answered) = oneshot::channel();
        self.inbox.try_send(command(answer)).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => Unanswered::Busy,
            mpsc::error::TrySendError::Closed(_) => Unanswered::Stopping,
        })?;
        // The actor drops what it was working on only when it fails.
        answered.await.map_err(|_| Unanswered::Failed)?
    }
}

impl Service {
    /// Runs until no [`Sequencer`] is left. Whatever fails is tried again.
    ///
    /// # Errors
    /// Only where a crash is simulated.
    pub async fn run(self) -> Result<(), SequencerError> {
        let Self { actor, shared } = self;
        tokio::select! {
            ended = actor.run() => ended,
            ended = hand_over::run(&shared) => ended,
            ended = merge::run(&shared) => ended,
        }
    }
}

/// The client that the jobs of batches are of, which is made at its first use. Nobody has its token.
///
/// # Errors
/// What the database fails with.
pub async fn client(storage: &Storage, clock: &Clock) -> Result<Client, SequencerError> {
    let (mut after, store): (Option<ClientId>, _) = (None, &storage.store);
    loop {
        let page = store.clients(after, limits::PAGE).await?;
        if let Some(found) = page.iter().find(|client| client.name == CLIENT) {
            return Ok(found.clone());
        }
        let Some(last) = page.last() else { break };
        after = Some(last.id);
    }
    // The hash of nothing that anybody could know.
    let token = TokenHash(chance::bytes()?);
    let (name, role, created) = (CLIENT.to_owned(), Role::Client, clock.now());
    let id = store.add_client(&NewClient { name: name.clone(), role, token, weight: 1, created }).await?;
    Ok(Client { id, name, role, weight: 1, created, revoked: None })
}
