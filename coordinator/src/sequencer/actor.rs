//! The one task that decides about transactions and batches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crowdfold_programs::Program as _;
use crowdfold_programs::rollup::{Deposit, Rollup, State};
use crowdfold_sched::Millis;
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use super::engine::{Decision, Engine, Offered, Prepared};
use super::{Answer, Command, Reply, SealedNow, SequencerError, Shared, Unanswered, View, words};
use crate::chance;
use crate::store::{
    At, BlobName, DepositConflict, Dropped, Intake, NewBatch, NewSequence, Place, Result as StoreResult, Storage,
    limits,
};

/// Transactions that are verified and written together. A group ends with the request that reaches it.
const GROUP: usize = 4_096;
/// Time between two looks at ages.
const TICK: Duration = Duration::from_millis(250);
/// Time between two looks for receipts that are old.
const FORGET_EVERY_MS: u64 = 60_000;
/// Time until it is tried again what failed.
const RETRY: Duration = Duration::from_secs(5);

/// The open sequence.
#[derive(Clone, Copy, Debug)]
struct Open {
    number: u64,
    opened: At,
    batches: u64,
}

#[derive(Debug)]
pub(super) struct Actor {
    shared: Arc<Shared>,
    inbox: mpsc::Receiver<Command>,
    view: watch::Sender<Arc<View>>,
    decided: BTreeMap<&'static str, u64>,
    work: Work,
}

/// What is lost with a failure, and restored from what is stored.
#[derive(Debug)]
struct Work {
    /// `None` only while a thread has it.
    engine: Option<Box<Engine>>,
    /// Deposits that wait.
    deposits: u64,
    /// The deposit that can't be executed, which is said once.
    stuck: Option<u64>,
    /// Since when something could go into a batch.
    since: Option<At>,
    open: Option<Open>,
    /// The last sequence.
    sequence: u64,
    /// When receipts were last looked through.
    forgot: At,
}

impl Work {
    /// Runs something on a thread that may block. If that panics, as the accounts' store may over a damaged file, the
    /// engine is gone.
    async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Engine) -> T + Send + 'static,
    ) -> Result<T, SequencerError> {
        let gone = || SequencerError::Panicked("it failed before".into());
        let mut engine = self.engine.take().ok_or_else(gone)?;
        let run = move || {
            let result = work(&mut engine);
            (engine, result)
        };
        let done = tokio::task::spawn_blocking(run).await;
        let (engine, result) = done.map_err(|error| SequencerError::Panicked(error.to_string()))?;
        self.engine = Some(engine);
        Ok(result)
    }

    fn engine(&self) -> Result<&Engine, SequencerError> {
        self.engine.as_deref().ok_or_else(|| SequencerError::Panicked("it failed before".into()))
    }

    /// Goes on from what is stored.
    async fn restore(shared: &Shared) -> Result<Self, SequencerError> {
        let (options, store) = (&shared.options, &shared.options.storage.store);
        let (path, limits) = (options.accounts.clone(), options.settings.limits());
        let (next, faults) = (store.next_transaction().await?, options.storage.faults.clone());
        let opened = tokio::task::spawn_blocking(move || Engine::open(&path, limits, next, faults)).await;
        let engine = opened.map_err(|error| SequencerError::Panicked(error.to_string()))??;
        let (chain_id, contract) = options.settlement;
        if engine.head().state.domain != State::domain(chain_id, contract) {
            return Err(SequencerError::Domain);
        }
        let now = options.clock.now();
        let mut work = Self {
            engine: Some(Box::new(engine)),
            deposits: 0,
            stuck: None,
            since: None,
            open: None,
            sequence: 0,
            forgot: now,
        };
        work.catch_up(&options.storage).await?;
        work.restore_pending(&options.storage, now).await?;
        if let Some(last) = store.sequences(None, 1).await?.first() {
            let (first, newest) = last.batches;
            let batches = newest + 1 - first;
            work.sequence = last.number;
            work.open = last.closed.is_none().then_some(Open { number: last.number, opened: last.opened, batches });
        }
        work.deposits = store.sequencer_counts().await?.deposits;
        let oldest = work.engine()?.oldest().filter(|_| work.executable() > 0).map(Millis);
        work.since = oldest.or((work.deposits > 0).then_some(now));
        Ok(work)
    }

    /// Brings the accounts to the last batch whose row is durable.
    async fn catch_up(&mut self, storage: &Storage) -> Result<(), SequencerError> {
        let Some(last) = storage.store.batches(None, 1).await?.pop() else { return Ok(()) };
        loop {
            let head = self.engine()?.head().batch;
            if head > last.number {
                return Err(SequencerError::Ahead { accounts: head, database: last.number });
            }
            if head == last.number {
                break;
            }
            let Some(batch) = storage.store.batch(head + 1).await? else {
                return Err(SequencerError::Diverged { batch: head + 1 });
            };
            tracing::info!(batch = batch.number, "a batch is committed that a crash had interrupted");
            let job = storage.blobs.whole(batch.job_blob(), batch.job_bytes, batch.job_hash).await?;
            let mut rng = chance::generator()?;
            self.with(move |engine| engine.catch_up(&job, &mut rng)).await??;
        }
        let end = Rollup.encode_state(&self.engine()?.head().state.to_elements());
        if end == last.end { Ok(()) } else { Err(SequencerError::Diverged { batch: last.number }) }
    }

    async fn restore_pending(&mut self, storage: &Storage, now: At) -> Result<(), SequencerError> {
        let mut after = None;
        loop {
            let rows = storage.store.pending_transactions(after, limits::PAGE).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(last.id);
            let mut rng = chance::generator()?;
            let dropped = self.with(move |engine| engine.restore(&rows, &mut rng)).await??;
            drop_all(storage, dropped, now).await?;
        }
    }

    /// What could be in a batch now.
    fn executable(&self) -> u64 {
        let transactions = self.engine.as_ref().map_or(0, |engine| engine.executable() as u64);
        // Those behind one that can't be executed can't either.
        transactions + if self.stuck.is_some() { 0 } else { self.deposits }
    }

    fn mark(&mut self, now: At) {
        self.since = if self.executable() > 0 { self.since.or(Some(now)) } else { None };
    }
}

async fn drop_all(storage: &Storage, dropped: Vec<(u64, Dropped)>, at: At) -> StoreResult<()> {
    if dropped.is_empty() {
        return Ok(());
    }
    storage.store.take_in(&Intake { added: Vec::new(), dropped }, at).await
}

impl Actor {
    pub(super) async fn start(
        shared: Arc<Shared>,
        inbox: mpsc::Receiver<Command>,
    ) -> Result<(Self, watch::Receiver<Arc<View>>), SequencerError> {
        let work = Work::restore(&shared).await?;
        let view = View {
            snapshot: work.engine()?.snapshot(),
            pending: 0,
            executable: 0,
            accounts: 0,
            oldest: None,
            deposits: 0,
            stuck: None,
            decided: BTreeMap::new(),
            is_working: true,
        };
        let (view, seen) = watch::channel(Arc::new(view));
        let actor = Self { shared, inbox, view, decided: BTreeMap::new(), work };
        actor.show();
        Ok((actor, seen))
    }

    pub(super) async fn run(mut self) -> Result<(), SequencerError> {
        loop {
            let Err(error) = self.serve().await else { return Ok(()) };
            if error.is_crash() {
                return Err(error);
            }
            tracing::error!(error = words(&error), "the sequencer failed and is started again");
            self.view.send_modify(|view| Arc::make_mut(view).is_working = false);
            // The accounts have one owner at a time.
            self.work.engine = None;
            loop {
                if !self.decline().await {
                    return Ok(());
                }
                match Work::restore(&self.shared).await {
                    Ok(work) => break self.work = work,
                    Err(error) if error.is_crash() => return Err(error),
                    Err(error) => tracing::error!(error = words(&error), "the sequencer can't be started again"),
                }
            }
        }
    }

    /// Answers for a while that nothing can be done. Returns whether anybody can still ask.
    async fn decline(&mut self) -> bool {
        let until = Instant::now() + RETRY;
        while let Ok(command) = timeout_at(until, self.inbox.recv()).await {
            // Who asked may be gone.
            match command {
                None => return false,
                Some(Command::Submit(_, _, answer)) => _ = answer.send(Err(Unanswered::Failed)),
                Some(Command::Deposits(_, answer)) => _ = answer.send(Err(Unanswered::Failed)),
                Some(Command::Seal(_, answer)) => _ = answer.send(Err(Unanswered::Failed)),
            }
        }
        true
    }

    /// Works until nobody can ask any more.
    async fn serve(&mut self) -> Result<(), SequencerError> {
        self.show();
        self.shared.sealed.notify_one();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut is_due = false;
        loop {
            // While one batch after the other is due, requests are answered in between.
            tokio::select! {
                command = self.inbox.recv() => match command {
                    None => return Ok(()),
                    Some(command) => self.group(command).await?,
                },
                _ = ticks.tick() => self.tick().await?,
                () = std::future::ready(()), if is_due => {}
            }
            is_due = self.seal_what_is_due().await?;
            self.show();
        }
    }

    fn now(&self) -> At {
        self.shared.options.clock.now()
    }

    /// Works through a command, together with what waits behind it.
    async fn group(&mut self, first: Command) -> Result<(), SequencerError> {
        let (mut offered, mut asked) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(command) = next.take() {
            match command {
                Command::Submit(transactions, room, answer) => {
                    drop(room);
                    asked.push((transactions.len(), answer));
                    offered.extend(transactions);
                    if offered.len() < GROUP {
                        next = self.inbox.try_recv().ok();
                    }
                }
                Command::Deposits(deposits, answer) => {
                    self.submit(std::mem::take(&mut offered), std::mem::take(&mut asked)).await?;
                    self.deposits(deposits, answer).await?;
                }
                Command::Seal(close, answer) => {
                    self.submit(std::mem::take(&mut offered), std::mem::take(&mut asked)).await?;
                    let sealed = self.seal_now(close).await?;
                    // Who asked may be gone.
                    _ = answer.send(Ok(sealed));
                }
            }
        }
        self.submit(offered, asked).await
    }

    async fn submit(
        &mut self,
        offered: Vec<Offered>,
        asked: Vec<(usize, Reply<Vec<Answer>>)>,
    ) -> Result<(), SequencerError> {
        if asked.is_empty() {
            return Ok(());
        }
        let (now, mut rng) = (self.now(), chance::generator()?);
        let hashes: Vec<_> = offered.iter().map(|offered| offered.hash).collect();
        let admitted = self.work.with(move |engine| engine.admit(&offered, now, &mut rng)).await??;
        let store = &self.shared.options.storage.store;
        if !admitted.intake.is_empty() {
            store.take_in(&admitted.intake, now).await?;
        }
        let mut answers = Vec::with_capacity(hashes.len());
        for (hash, decision) in hashes.into_iter().zip(admitted.decisions) {
            answers.push(match decision {
                Decision::Accepted(receipt) => Answer::Accepted(receipt),
                Decision::Known(receipt) => Answer::Known(receipt),
                // It may be this very transaction that used the nonce.
                Decision::Refused(refused @ super::Refused::NonceUsed { .. }) => match store.transaction(hash).await? {
                    Some(receipt) if matches!(receipt.place, Place::Included { .. }) => Answer::Known(receipt),
                    _ => Answer::Refused(refused),
                },
                Decision::Refused(refused) => Answer::Refused(refused),
            });
        }
        for answer in &answers {
            let code = match answer {
                Answer::Accepted(_) => "accepted",
                Answer::Known(_) => "duplicate",
                Answer::Refused(refused) => refused.code(),
            };
            *self.decided.entry(code).or_default() += 1;
        }
        self.work.mark(now);
        let mut answers = answers.into_iter();
        for (count, answer) in asked {
            // Who asked may be gone.
            _ = answer.send(Ok(answers.by_ref().take(count).collect()));
        }
        Ok(())
    }

    async fn deposits(
        &mut self,
        deposits: Vec<(u64, Deposit)>,
        answer: Reply<Result<u64, DepositConflict>>,
    ) -> Result<(), SequencerError> {
        let now = self.now();
        let rows: Vec<_> = deposits.iter().map(|(number, deposit)| (*number, deposit.to_bytes().to_vec())).collect();
        let options = &self.shared.options;
        let added = options.storage.store.add_deposits(options.settings.first_deposit, &rows, now).await?;
        self.work.deposits += added.unwrap_or(0);
        self.work.mark(now);
        // Who asked may be gone.
        _ = answer.send(Ok(added));
        Ok(())
    }

    async fn tick(&mut self) -> Result<(), SequencerError> {
        let (now, shared) = (self.now(), Arc::clone(&self.shared));
        let (settings, storage) = (&shared.options.settings, &shared.options.storage);
        let before = |seconds: u64| Millis(now.0.saturating_sub(seconds.saturating_mul(1000)));
        let old = before(settings.pending_s);
        if self.work.engine()?.oldest().is_some_and(|oldest| oldest < old.0) {
            let expired = self.work.with(move |engine| engine.expire(old)).await?;
            drop_all(storage, expired, now).await?;
            self.work.mark(now);
        }
        if let Some(open) = self.work.open.filter(|open| open.opened <= before(settings.sequence_age_s)) {
            self.close(open.number).await?;
        }
        if now.0 >= self.work.forgot.0.saturating_add(FORGET_EVERY_MS) {
            let forgotten = storage.store.forget_transactions(before(settings.receipts_s), limits::PAGE).await?;
            // While there are some, the next tick goes on.
            if forgotten == 0 {
                self.work.forgot = now;
            }
        }
        Ok(())
    }

    async fn close(&mut self, number: u64) -> Result<(), SequencerError> {
        let now = self.now();
        self.shared.options.storage.store.close_sequence(number, now).await?;
        self.work.open = None;
        self.shared.proved.notify_one();
        Ok(())
    }

    async fn seal_now(&mut self, close: bool) -> Result<SealedNow, SequencerError> {
        let batch = self.seal().await?;
        let closed = match (self.work.open, batch) {
            (Some(open), _) if close => {
                self.close(open.number).await?;
                Some(open.number)
            }
            // A full one was closed with its batch.
            (None, Some(_)) => Some(self.work.sequence),
            _ => None,
        };
        Ok(SealedNow { batch, closed })
    }

    /// Seals a batch if one is due; says whether another may be.
    async fn seal_what_is_due(&mut self) -> Result<bool, SequencerError> {
        let settings = &self.shared.options.settings;
        let (most, age) = (settings.batch_transactions as u64, settings.batch_age_s.saturating_mul(1000));
        let is_old = self.work.since.is_some_and(|since| since.0.saturating_add(age) <= self.now().0);
        if !is_old && self.work.executable() < most {
            return Ok(false);
        }
        let is_sealed = self.seal().await?.is_some();
        if !is_sealed {
            // What could not be executed is gone, or stays where it is.
            self.work.since = Some(self.now()).filter(|_| self.work.executable() > 0);
        }
        Ok(is_sealed)
    }

    /// Seals a batch of what waits, if something can be executed. The order of writes is what makes it survive crashes:
    /// blobs, row, accounts.
    async fn seal(&mut self) -> Result<Option<u64>, SequencerError> {
        let shared = Arc::clone(&self.shared);
        let (storage, settings) = (&shared.options.storage, &shared.options.settings);
        let most = settings.batch_transactions;
        let deposits = match self.work.stuck {
            None => storage.store.waiting_deposits(u32::try_from(most).unwrap_or(u32::MAX)).await?,
            Some(_) => Vec::new(),
        };
        let mut prepared = self.work.with(move |engine| engine.prepare(&deposits, most)).await??;
        if let Some((number, why)) = &prepared.stuck {
            tracing::error!(number, %why, "a deposit can't be executed and holds up those behind it");
            self.work.stuck = Some(*number);
        }
        let now = self.now();
        if prepared.outcome.is_none() {
            let dropped = std::mem::take(&mut prepared.dropped);
            drop_all(storage, dropped, now).await?;
            self.work.with(move |engine| engine.commit(&prepared)).await??;
            return Ok(None);
        }
        let number = self.work.engine()?.head().batch + 1;
        let (batch, steps) = self.write_blobs(storage, number, &mut prepared, now).await?;
        let consumed = prepared.deposits.len() as u64;
        storage.store.seal(&batch).await?;
        let lost = self.work.with(move |engine| engine.commit(&prepared)).await??;
        drop_all(storage, lost, now).await?;

        self.work.deposits = self.work.deposits.saturating_sub(consumed);
        self.work.since = Some(now).filter(|_| self.work.executable() > 0);
        if let Some(opens) = batch.opens {
            self.work.sequence = opens.number;
            self.work.open = Some(Open { number: opens.number, opened: now, batches: 0 });
        }
        if let Some(open) = &mut self.work.open {
            open.batches += 1;
        }
        if batch.closes {
            self.work.open = None;
        }
        let (transactions, sequence) = (batch.transactions.len(), batch.sequence);
        tracing::info!(batch = number, transactions, deposits = consumed, steps, sequence, "a batch is sealed");
        self.show();
        self.shared.sealed.notify_one();
        Ok(Some(number))
    }

    /// Writes the blobs of a batch, and makes its row.
    async fn write_blobs(
        &self,
        storage: &Storage,
        number: u64,
        prepared: &mut Prepared,
        at: At,
    ) -> Result<(NewBatch, u64), SequencerError> {
        let outcome = prepared.outcome.as_ref().ok_or_else(|| SequencerError::Build("it is empty".into()))?;
        let steps = outcome.batch.num_steps() as u64;
        let end = Rollup.encode_state(&outcome.end.to_elements());
        let (job, data) = (std::mem::take(&mut prepared.job), std::mem::take(&mut prepared.data));
        let named = |bytes: &[u8]| (bytes.len() as u64, <[u8; 32]>::from(Sha256::digest(bytes)));
        let (named_job, named_data) = (named(&job), named(&data));
        storage.blobs.put(BlobName::BatchJob(number), Bytes::from(job)).await?;
        storage.blobs.put(BlobName::BatchData(number), Bytes::from(data)).await?;
        let opens = match self.work.open {
            Some(_) => None,
            None => Some(NewSequence { number: self.work.sequence + 1, chain_job: chance::bytes()? }),
        };
        let before = self.work.open.map_or(0, |open| open.batches);
        let batch = NewBatch {
            number,
            sequence: opens.map_or(self.work.sequence, |opens| opens.number),
            opens,
            closes: before + 1 >= self.shared.options.settings.sequence_batches,
            deposits: prepared.deposits.clone(),
            transactions: prepared.transactions.clone(),
            dropped: std::mem::take(&mut prepared.dropped),
            steps,
            end,
            job: named_job,
            data: named_data,
            at,
        };
        Ok((batch, steps))
    }

    /// Shows how things are.
    fn show(&self) {
        let Some(engine) = &self.work.engine else { return };
        self.view.send_replace(Arc::new(View {
            snapshot: engine.snapshot(),
            pending: engine.pending() as u64,
            executable: self.work.executable(),
            accounts: engine.accounts() as u64,
            oldest: engine.oldest(),
            deposits: self.work.deposits,
            stuck: self.work.stuck,
            decided: self.decided.clone(),
            is_working: true,
        }));
    }
}
