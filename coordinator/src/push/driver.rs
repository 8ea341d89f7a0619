//! What stands in for a function in the hub.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{StatusCode, Uri};
use crowdfold_sched::{Bytes, Millis, ProofId, ProverId, ProverSpec, Range, Release, Speed};
use crowdfold_wire::limits::{MAX_PUSH_INPUTS_BYTES, MAX_URL_BYTES, PUSH_LIFETIME_S, PUSH_VERSION};
use crowdfold_wire::{BoundError, Outcome, PublicKey, PushInputs, PushTask, Text};
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::sleep;

use super::budget::Budget;
use super::key::PushKey;
use super::post::{Answer as Answered, PostError, Poster};
use super::settings::Function;
use crate::chance::{self, NoRandomness};
use crate::hub::{Answer, Clock, Command, LinkId, LiveJob, Offered, ToLink, range};
use crate::metrics::Pushed;
use crate::store::{Seen, Store as _, StoreError};
use crate::ws::{Broken, FIRST_SPEED, Gateway, Tries, strikes};

/// Orders of the hub that wait. A function has few tasks at once, and each is ended by one.
const ORDERS: usize = 256;
/// Milliseconds that a function rests after it failed once; twice as long each time in a row, up to the second.
const REST_MS: (u64, u64) = (1_000, 600_000);
/// Milliseconds that a function can ask to be left alone for.
const MAX_WAIT_MS: u64 = 3_600_000;

/// What all functions share.
#[derive(Debug)]
pub(super) struct Shared {
    gateway: Arc<Gateway>,
    key: PushKey,
    poster: Poster,
}

impl Shared {
    pub(super) fn new(gateway: Arc<Gateway>, key: PushKey) -> Self {
        Self { gateway, key, poster: Poster::new() }
    }
}

/// Why a function can't be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadFunction {
    #[error("its URL: {0}")]
    Url(#[from] axum::http::uri::InvalidUri),
    #[error("its URL: {0}")]
    Text(#[from] BoundError),
}

/// Why a task did not end with a proof.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Post(#[from] PostError),
    /// What it answered is no proof of the task, as far as that is seen without verifying it.
    #[error("{0}")]
    Answer(&'static str),
    /// The task could not be made.
    #[error("the task can't be made: {0}")]
    Bound(#[from] BoundError),
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// Something here.
    #[error(transparent)]
    Here(#[from] Broken),
    /// Something in this program.
    #[error("{0}")]
    Panic(#[from] JoinError),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Here(error.into())
    }
}

impl Failed {
    /// For counting.
    fn outcome(&self) -> &'static str {
        match self {
            Self::Post(PostError::Refused { .. }) => "refused",
            Self::Post(PostError::Busy { .. }) => "busy",
            Self::Post(PostError::Late(_)) => "late",
            _ => "failed",
        }
    }

    /// Whether the function can't have worked on the task.
    fn is_untouched(&self) -> bool {
        matches!(
            self,
            Self::Post(PostError::Refused { .. } | PostError::Busy { .. } | PostError::Unreachable(_))
                | Self::Bound(_)
                | Self::Randomness(_)
        )
    }

    /// What the scheduler hears. Steps on which the function fails it does not get again soon; others it may.
    fn release(&self) -> Release {
        match self {
            Self::Post(PostError::Refused { status, .. }) if *status == StatusCode::UNPROCESSABLE_ENTITY => {
                Release::Failed
            }
            Self::Post(PostError::Refused { .. } | PostError::Busy { .. } | PostError::Unreachable(_))
            | Self::Here(_)
            | Self::Randomness(_) => Release::Paused,
            Self::Post(PostError::Late(_) | PostError::Failed(_))
            | Self::Answer(_)
            | Self::Bound(_)
            | Self::Panic(_) => Release::Failed,
        }
    }

    /// Milliseconds for which the function is left alone after so many failures in a row.
    fn rest_ms(&self, failures: u32) -> u64 {
        let rest = REST_MS.0.saturating_mul(1 << failures.saturating_sub(1).min(32)).min(REST_MS.1);
        match self {
            Self::Post(PostError::Busy { wait: Some(wait), .. }) => {
                rest.max(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).min(MAX_WAIT_MS))
            }
            _ => rest,
        }
    }
}

/// How a task ended: steps that were folded, or why there are none.
type Ended = Result<u64, Failed>;

/// A task that was handed out and did not end.
#[derive(Debug)]
struct Open {
    handle: AbortHandle,
    /// When its steps were taken out of the budget.
    taken: Millis,
    steps: u64,
}

/// The function in the hub, until one of both ends that.
#[derive(Debug)]
struct Link {
    id: LinkId,
    prover: ProverId,
    orders: mpsc::Receiver<ToLink>,
    /// What the hub was told last.
    ready: u16,
    tasks: JoinSet<(u64, Ended)>,
    open: BTreeMap<u64, Open>,
}

/// A function, as its tasks need it.
#[derive(Debug)]
struct Target {
    function: Function,
    uri: Uri,
    audience: Text<MAX_URL_BYTES>,
}

/// One for each function.
#[derive(Debug)]
pub(super) struct Driver {
    shared: Arc<Shared>,
    target: Arc<Target>,
    /// The key under which it is a prover.
    key: PublicKey,
    /// Failures since the last proof.
    failures: u32,
    rests_until: Millis,
}

impl Driver {
    /// For a function, whose settings have been checked.
    pub(super) fn new(shared: Arc<Shared>, function: Function) -> Result<Self, BadFunction> {
        let (uri, audience) = (function.url.parse()?, Text::new(function.url.clone())?);
        let key = shared.key.of_function(&function.url);
        let target = Arc::new(Target { function, uri, audience });
        Ok(Self { shared, target, key, failures: 0, rests_until: Millis(0) })
    }

    fn now(&self) -> Millis {
        self.shared.gateway.clock.now()
    }

    /// Keeps the function in the hub for as long as there is one.
    pub(super) async fn run(mut self) {
        let url = self.target.function.url.clone();
        tracing::info!(url, key = %self.key, "tasks are posted to a function");
        loop {
            match self.serve().await {
                Err(Broken::Stopping) => return,
                Err(error) => {
                    self.failures = self.failures.saturating_add(1);
                    tracing::error!(url, %error, "a function can't be served");
                }
                Ok(()) => {}
            }
            sleep(Duration::from_millis(REST_MS.0)).await;
        }
    }

    /// Brings the function into the hub and posts what it gets there, until it is thrown out.
    async fn serve(&mut self) -> Result<(), Broken> {
        let gateway = Arc::clone(&self.shared.gateway);
        let function = &self.target.function;
        let (key, payout, at) = (self.key, function.payout, self.now());
        let prover = gateway.register.prover(Seen { key, payout, at }).await.ok_or(Broken::Unregistered)?;
        if prover.suspended_until > at {
            let wait_s = (prover.suspended_until.0 - at.0) / 1000 + 1;
            tracing::warn!(url = function.url, wait_s, "a function is suspended for bad proofs");
            sleep(Duration::from_secs(wait_s)).await;
            return Ok(());
        }
        let mut budget = Budget::open(&gateway.storage.store, key, function.daily_steps).await?;
        let spec = ProverSpec {
            speed: Speed(FIRST_SPEED),
            memory: Bytes(function.memory_mib.saturating_mul(1 << 20)),
            merges: false,
            most_steps: function.steps_per_task,
            strikes: strikes(&prover, at),
        };
        let (to, orders) = mpsc::channel(ORDERS);
        let (id, prover) = (gateway.link(), prover.id);
        gateway.tell(Command::Joined { link: id, prover, payout, spec, to }).await?;
        let mut link = Link { id, prover, orders, ready: 0, tasks: JoinSet::new(), open: BTreeMap::new() };
        let served = self.turn_by_turn(&mut link, &mut budget).await;
        // If the hub is gone, so is what it knew. Tasks under way end with the link.
        gateway.tell(Command::Left(id)).await?;
        served
    }

    async fn turn_by_turn(&mut self, link: &mut Link, budget: &mut Budget) -> Result<(), Broken> {
        loop {
            let wait = self.report_ready(link, budget).await?;
            tokio::select! {
                order = link.orders.recv() => match order {
                    Some(ToLink::Goodbye { text, .. }) => {
                        tracing::warn!(url = self.target.function.url, why = text, "a function is left alone");
                        return Ok(());
                    }
                    Some(order) => self.order(link, budget, order).await?,
                    None => return Ok(()),
                },
                Some(ended) = link.tasks.join_next_with_id() => {
                    let (task, ended) = match ended {
                        Ok((_, ended)) => ended,
                        Err(error) => match link.open.iter().find(|(_, open)| open.handle.id() == error.id()) {
                            Some((&task, _)) => (task, Err(error.into())),
                            // It was taken back.
                            None => continue,
                        },
                    };
                    self.ended(link, budget, task, ended).await?;
                }
                () = sleep(wait) => {}
            }
        }
    }

    /// Tells the hub how many tasks the function would hold, if that has changed; how long it stays so at most.
    async fn report_ready(&self, link: &mut Link, budget: &Budget) -> Result<Duration, Broken> {
        /// Nothing changes by itself.
        const LONG_MS: u64 = 3_600_000;

        let (function, now) = (&self.target.function, self.now());
        let tasks = budget.left(now) / function.steps_per_task + link.open.len() as u64;
        // After a failure one task is a try.
        let most = if self.failures > 0 { 1 } else { function.at_once };
        let (ready, wait_ms) = if now < self.rests_until {
            (0, self.rests_until.0 - now.0)
        } else {
            (most.min(u16::try_from(tasks).unwrap_or(u16::MAX)), budget.until_more(now))
        };
        if ready != link.ready {
            link.ready = ready;
            self.shared.gateway.tell(Command::Ready(link.id, ready, 0)).await?;
        }
        Ok(Duration::from_millis(wait_ms.clamp(1, LONG_MS)))
    }

    async fn order(&mut self, link: &mut Link, budget: &mut Budget, order: ToLink) -> Result<(), Broken> {
        match order {
            ToLink::Segment { task, job, range, .. } => self.begin(link, budget, task, job, range).await,
            ToLink::Cancel { task, .. } => {
                if let Some(open) = link.open.remove(&task) {
                    open.handle.abort();
                    self.count("cancelled");
                }
                Ok(())
            }
            ToLink::Verdict { outcome: Outcome::Refused(why), .. } => {
                tracing::warn!(url = self.target.function.url, %why, "the proof of a function is refused");
                Ok(())
            }
            // It asks for no merges.
            ToLink::Merge { task, .. } => {
                self.shared.gateway.tell(Command::Released(link.id, task, Release::Failed)).await
            }
            ToLink::Verdict { .. } | ToLink::Goodbye { .. } => Ok(()),
        }
    }

    async fn begin(
        &mut self,
        link: &mut Link,
        budget: &mut Budget,
        task: u64,
        job: Arc<LiveJob>,
        range: Range,
    ) -> Result<(), Broken> {
        let (gateway, taken, steps) = (&self.shared.gateway, self.now(), range.steps());
        match budget.take(&gateway.storage.store, taken, steps).await {
            Ok(true) => {}
            // It was handed out before the hub heard of the last change.
            Ok(false) => return gateway.tell(Command::Released(link.id, task, Release::Paused)).await,
            Err(error) => {
                gateway.tell(Command::Released(link.id, task, Release::Paused)).await?;
                self.fails(&error.into());
                return Ok(());
            }
        }
        let work = Work {
            shared: Arc::clone(&self.shared),
            target: Arc::clone(&self.target),
            link: link.id,
            prover: link.prover,
            task,
            job,
            range,
        };
        let handle = link.tasks.spawn(async move { (task, work.run().await) });
        link.open.insert(task, Open { handle, taken, steps });
        Ok(())
    }

    async fn ended(&mut self, link: &mut Link, budget: &mut Budget, task: u64, ended: Ended) -> Result<(), Broken> {
        let Some(Open { taken, steps, .. }) = link.open.remove(&task) else { return Ok(()) };
        let unused = match ended {
            Ok(folded) => {
                tracing::debug!(url = self.target.function.url, task, steps, folded, "a function has folded");
                self.count(if folded == steps { "whole" } else { "part" });
                self.failures = 0;
                steps.saturating_sub(folded)
            }
            Err(Failed::Here(Broken::Stopping)) => return Err(Broken::Stopping),
            Err(failed) => {
                self.count(failed.outcome());
                self.shared.gateway.tell(Command::Released(link.id, task, failed.release())).await?;
                self.fails(&failed);
                if failed.is_untouched() { steps } else { 0 }
            }
        };
        if let Err(error) = budget.give_back(&self.shared.gateway.storage.store, taken, unused).await {
            tracing::warn!(url = self.target.function.url, unused, %error, "steps stay taken out of a day's budget");
        }
        Ok(())
    }

    /// Lets the function rest.
    fn fails(&mut self, failed: &Failed) {
        self.failures = self.failures.saturating_add(1);
        let rest_ms = failed.rest_ms(self.failures);
        self.rests_until = self.rests_until.max(self.now().after(rest_ms));
        let (url, failures) = (&self.target.function.url, self.failures);
        tracing::warn!(url, failures, rest_ms, error = %failed, "a function did not fold");
    }

    fn count(&self, outcome: &'static str) {
        self.shared.gateway.metrics.pushes.get_or_create(&Pushed { outcome }).inc();
    }
}

/// A task, from the segment to the proof on record. Dropped, it ends where it is.
struct Work {
    shared: Arc<Shared>,
    target: Arc<Target>,
    link: LinkId,
    prover: ProverId,
    task: u64,
    job: Arc<LiveJob>,
    range: Range,
}

impl Work {
    async fn run(self) -> Ended {
        let gateway = &self.shared.gateway;
        let task = self.sealed().await?;
        let posted = task.inputs.len() as u64;
        let (most, time) = (self.job.entry.proof_bytes, Duration::from_secs(self.target.function.timeout_s));
        let answer = self.shared.poster.post(&self.target.uri, task.encode(), most, time).await?;
        if !(1..=posted).contains(&answer.steps) {
            return Err(Failed::Answer("its answer is not of 1 to as many steps as it was asked for"));
        }
        let steps = answer.steps;
        self.hand_in(answer).await?;
        if steps < self.range.steps() {
            gateway.tell(Command::Released(self.link, self.task, Release::Paused)).await?;
        }
        Ok(steps)
    }

    /// The task, of as many steps as fit.
    async fn sealed(&self) -> Result<PushTask, Failed> {
        let (blobs, Self { job, range, .. }) = (&self.shared.gateway.storage.blobs, self);
        let (first, end) = (range.start().0, range.end().0);
        let state = job.data.state(blobs, first).await?;
        let inputs = job.data.inputs(blobs, first..end, MAX_PUSH_INPUTS_BYTES as u64).await?;
        let inputs = PushInputs::fill(&mut inputs.iter().map(|input| &input[..]).peekable(), u64::MAX)?;
        // The function compares with its own clock, and this coordinator's stands still while the machine sleeps.
        let issued_s = Clock::new().now().0 / 1000;
        let task = PushTask {
            version: PUSH_VERSION,
            key: self.shared.key.public(),
            audience: self.target.audience.clone(),
            nonce: chance::bytes()?,
            issued_s,
            expires_s: issued_s + PUSH_LIFETIME_S,
            job: job.stored.name,
            program: Text::new(job.stored.program.clone())?,
            parameters: job.stored.parameters,
            payout: self.target.function.payout,
            start: crowdfold_wire::Bytes::new(state.to_vec())?,
            inputs: inputs.ok_or(Failed::Answer("the segment has no steps"))?,
            signature: [0; 64],
        };
        Ok(task.sign(self.shared.key.signing()))
    }

    /// Hands in a proof as if it had been uploaded.
    async fn hand_in(&self, answer: Answered) -> Result<(), Failed> {
        /// Another than it was asked for, or of another prover.
        const OLD: Failed = Failed::Answer("its answer is a proof that was handed in before");

        let gateway = &self.shared.gateway;
        let proof = ProofId(Sha256::digest(&answer.proof).into());
        if gateway.storage.store.proof(proof).await?.is_some() {
            return Err(OLD);
        }
        let Some(range) = range(self.range.start().0, answer.steps) else { return Err(OLD) };
        let offered = Offered { proof, task: self.task, range, job: None };
        let (said, heard) = oneshot::channel();
        gateway.tell(Command::Offered(self.link, offered, said)).await?;
        match heard.await.map_err(|_| Broken::Stopping)? {
            // Nobody needs it any more.
            Answer::Verdict(_) => return Ok(()),
            Answer::Wait => return Err(OLD),
            Answer::Want { .. } => {}
        }
        let mut tries = Tries::new();
        let stored = loop {
            match gateway.storage.blobs.put_proof(answer.proof.clone()).await {
                Ok(stored) => break stored,
                Err(error) => {
                    let what = error.to_string();
                    if !tries.again(error).await? {
                        return Err(StoreError::Full { what }.into());
                    }
                }
            }
        };
        if gateway.hand_in(self.link, self.prover, offered, stored).await? { Ok(()) } else { Err(OLD) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Failed, MAX_WAIT_MS, PostError, REST_MS};
    use axum::http::StatusCode;
    use crowdfold_wire::Reason;
    use std::time::Duration;

    fn busy(wait: Option<u64>) -> Failed {
        let (status, why) = (StatusCode::TOO_MANY_REQUESTS, Reason::lossy("later"));
        PostError::Busy { status, why, wait: wait.map(Duration::from_secs) }.into()
    }

    #[test]
    fn rests_get_longer_and_are_never_too_long() {
        let rests: Vec<u64> = (1..=12).map(|failures| busy(None).rest_ms(failures) / 1000).collect();
        assert_eq!(rests, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
        assert_eq!(busy(None).rest_ms(u32::MAX), REST_MS.1);
        assert_eq!((busy(Some(30)).rest_ms(1), busy(Some(30)).rest_ms(11)), (30_000, REST_MS.1));
        assert_eq!(busy(Some(u64::MAX)).rest_ms(1), MAX_WAIT_MS);
    }
}
