//! The loop that decides: the scheduler, what it is told, and what is done about what it says.
//!
//! Connections, the pool of cores and the interface for clients send [`Command`]s. The hub turns them into events of
//! the scheduler, writes down what follows from them in one transaction, and only then does it. So nobody is ever told
//! of what a crash could undo, and one write serves all that has come in the meantime. Segments alone are handed out
//! without waiting for the disk, as no crash has to remember them.

mod commands;
mod cover;
mod effects;
mod restore;
mod view;
mod waiting;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crowdfold_fold::Address;
use crowdfold_sched::{
    Config, Effect, Event, JobEnd, JobId, Millis, ProofId, ProverId, ProverSpec, Range, Release, Scheduler,
};
use crowdfold_sched::{StepIndex, TaskId, Verdict};
use crowdfold_wire::{Outcome, UploadId};
use tokio::sync::{mpsc, oneshot, watch};

use crate::bus::{Bus, News};
use crate::catalog::{Catalog, Entry};
use crate::metrics::{Metrics, observe};
use crate::pool::{Done, Pool};
use crate::store::{JobData, Record, Storage, Store as _, StoreError, StoredJob, StoredProof};

use cover::{Cover, Part};
use restore::Paused;
pub use view::{JobView, ProverView, View};
use waiting::FromBefore;

/// Commands that are worked through before what they mean is written down.
const BURST: usize = 256;
/// Commands that wait. At it connections wait too, and the kernel's buffers hold their provers back.
pub const INBOX: usize = 4_096;
/// Effects, records and answers that wait for the disk. At it no more commands are taken until it has come up.
const BACKLOG: usize = 16_384;
/// Time between two ticks of the scheduler.
const TICK: Duration = Duration::from_millis(250);
/// Milliseconds for which tasks of a job that ended are remembered: proofs for them may be under way.
const REMEMBER_MS: u64 = 600_000;
/// The longest wait before a write is tried again that found no room.
const RETRY: Duration = Duration::from_secs(5);

/// The name of a connection, given out once in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// What a connection has to do.
#[derive(Clone, Debug)]
pub enum ToLink {
    /// Hand out a segment.
    Segment {
        /// Its name on the wire.
        task: u64,
        /// Its job.
        job: Arc<LiveJob>,
        /// Its steps.
        range: Range,
        /// Its deadlines.
        soft: Millis,
        /// The second one.
        hard: Millis,
    },
    /// Hand out a merge.
    Merge {
        /// Its name on the wire.
        task: u64,
        /// Its job.
        job: Arc<LiveJob>,
        /// The parts and their bytes.
        parts: [(ProofId, u64); 2],
        /// After this it is done natively.
        deadline: Millis,
    },
    /// Take a task back.
    Cancel {
        /// Its name on the wire.
        task: u64,
        /// Why.
        reason: crowdfold_wire::CancelReason,
    },
    /// Say what became of a proof.
    Verdict {
        /// The proof.
        upload: UploadId,
        /// What became of it.
        outcome: Outcome,
    },
    /// End the connection.
    Goodbye {
        /// Why.
        code: crowdfold_wire::GoodbyeCode,
        /// In words.
        text: String,
    },
}

/// What becomes of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Its bytes are wanted, at most so many.
    Want {
        /// More than a proof of the job can have.
        most: u64,
        /// Whether its task tells its job; else the proof has to.
        is_known: bool,
    },
    /// All of it is there, and its verdict will come.
    Wait,
    /// This is its verdict.
    Verdict(Outcome),
}

/// An offer, as a connection passes it on.
#[derive(Clone, Copy, Debug)]
pub struct Offered {
    /// Its hash.
    pub proof: ProofId,
    /// The name of its task on the wire.
    pub task: u64,
    /// Its steps; of a merge only their number is right.
    pub range: Range,
    /// The job that an uploaded proof turned out to be of, where its task is of an earlier run and does not tell.
    pub job: Option<JobId>,
}

/// What the hub is told.
#[derive(Debug)]
pub enum Command {
    /// A prover was let in.
    Joined {
        /// Its connection.
        link: LinkId,
        /// Who it is.
        prover: ProverId,
        /// Who is paid.
        payout: Address,
        /// What it says of itself.
        spec: ProverSpec,
        /// To its connection.
        to: mpsc::Sender<ToLink>,
    },
    /// A connection ended.
    Left(LinkId),
    /// A prover would hold so many tasks, so many of them merges.
    Ready(LinkId, u16, u16),
    /// A prover folded so many steps of a task.
    Progress(LinkId, u64, u64),
    /// A prover hands a task back.
    Released(LinkId, u64, Release),
    /// A prover offers a proof.
    Offered(LinkId, Offered, oneshot::Sender<Answer>),
    /// All of a proof is there. Answered when that is on record, or the proof is not wanted.
    Uploaded(LinkId, Offered, StoredProof, oneshot::Sender<bool>),
    /// A client's job was accepted.
    Accepted(Box<StoredJob>),
    /// A client cancels a job. Answered when it is durable: whether there was such a job.
    Cancel(JobId, oneshot::Sender<bool>),
    /// Who is connected.
    Fleet(oneshot::Sender<Vec<ProverView>>),
}

/// A job that is being proved.
#[derive(Debug)]
pub struct LiveJob {
    /// As it was accepted.
    pub stored: StoredJob,
    /// Its inputs and states.
    pub data: Arc<JobData>,
    /// Its program.
    pub entry: Arc<Entry>,
}

impl LiveJob {
    fn new(stored: StoredJob, entry: Arc<Entry>) -> Arc<Self> {
        Arc::new(Self { data: Arc::new(stored.data.clone()), stored, entry })
    }
}

/// What was handed out.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Segment(Range),
    Merge(Range, Range),
}

#[derive(Clone, Copy, Debug)]
struct Handed {
    task: TaskId,
    prover: ProverId,
    job: JobId,
    kind: Kind,
}

#[derive(Debug)]
struct Link {
    prover: ProverId,
    payout: Address,
    to: mpsc::Sender<ToLink>,
    /// What it said, and what the scheduler was told less what it handed out since.
    ready: (u16, u16),
    told: (u16, u16),
    /// Open tasks by kind.
    holds: (BTreeSet<u64>, BTreeSet<u64>),
}

/// A proof without a verdict.
#[derive(Clone, Copy, Debug)]
struct Pending {
    prover: ProverId,
    payout: Address,
    job: JobId,
    range: Range,
    bytes: u64,
}

/// A merge that a prover made, while it is verified.
#[derive(Clone, Copy, Debug)]
struct Merging {
    stored: StoredProof,
    prover: ProverId,
    task: TaskId,
    job: JobId,
    range: Range,
}

/// What was decided, and waits until it is durable.
#[derive(Debug, Default)]
struct Decided {
    effects: Vec<Effect>,
    answers: Vec<(oneshot::Sender<bool>, bool)>,
    news: Vec<News>,
}

/// What is being written, and what then can be done.
struct Writing {
    decided: Decided,
    written: Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>,
}

/// The hub's failure: what is on disk is whole, and another run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The database can't be written or contradicts what is to be written.
    #[error("the store fails: {0}")]
    Store(#[from] StoreError),
    /// Threads can't be started.
    #[error("threads for verification can't be started: allow this process more of them ({0})")]
    Cores(#[from] rayon::ThreadPoolBuildError),
}

/// What the hub works with.
#[derive(Clone, Debug)]
pub struct Around {
    /// Where things are written down.
    pub storage: Arc<Storage>,
    /// Programs.
    pub catalog: Catalog,
    /// The time.
    pub clock: Clock,
    /// For whoever listens.
    pub bus: Arc<dyn Bus>,
    /// For whoever measures.
    pub metrics: Metrics,
}

/// The loop's state.
pub struct Hub {
    storage: Arc<Storage>,
    catalog: Catalog,
    pool: Pool,
    scheduler: Scheduler,
    clock: Clock,
    jobs: HashMap<JobId, Arc<LiveJob>>,
    paused: BTreeMap<JobId, Paused>,
    links: BTreeMap<LinkId, Link>,
    /// Connections of which the scheduler may have to be told something.
    unsettled: BTreeSet<LinkId>,
    by_prover: HashMap<ProverId, LinkId>,
    handed: HashMap<u64, Handed>,
    wire_of: HashMap<TaskId, u64>,
    /// Tasks of jobs that ended, and till when they are remembered.
    old: VecDeque<(Millis, JobId)>,
    next_wire: u64,
    pending: HashMap<ProofId, Pending>,
    merging: HashMap<ProofId, Merging>,
    /// Merges that provers have, and those that the pool has with what comes of them.
    merges: HashSet<TaskId>,
    natively: HashMap<TaskId, (JobId, Range)>,
    /// Jobs that ended a short while ago: proofs for them may still be owed for.
    ended: HashMap<JobId, Arc<LiveJob>>,
    covers: HashMap<JobId, Cover>,
    /// Jobs that are to be shown anew.
    changed: BTreeSet<JobId>,
    from_before: FromBefore,
    reasons: HashMap<ProofId, String>,
    events: VecDeque<Event>,
    records: Vec<Record>,
    effects: Vec<Effect>,
    answers: Vec<(oneshot::Sender<bool>, bool)>,
    /// To be told of when it is durable.
    news: Vec<News>,
    bus: Arc<dyn Bus>,
    metrics: Metrics,
    writing: Option<Writing>,
    /// Jobs whose end is being written.
    ending: BTreeSet<JobId>,
    view: watch::Sender<Arc<View>>,
}

/// Milliseconds since 1970 that never go backwards in a run, whatever the system's clock does.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
    at: u64,
}

impl Clock {
    /// Set by the system's clock, once.
    #[allow(clippy::disallowed_methods)]
    pub fn new() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { began: Instant::now(), at: u64::try_from(since.as_millis()).unwrap_or(u64::MAX) }
    }

    /// Now.
    pub fn now(&self) -> Millis {
        Millis(self.at.saturating_add(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Hub {
    /// Goes on from what is stored.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn start(
        around: Around,
        config: Config,
        done: mpsc::UnboundedSender<Done>,
    ) -> Result<(Self, watch::Receiver<Arc<View>>), HubError> {
        let Around { storage, catalog, clock, bus, metrics } = around;
        let epoch = storage.store.epoch();
        let pool = Pool::start(storage.blobs.clone(), config.native_merges, metrics.clone(), done)?;
        let (view, seen) = watch::channel(Arc::default());
        let mut hub = Self {
            scheduler: Scheduler::new(Config { epoch, ..config }),
            next_wire: u64::from(epoch) << 40,
            storage,
            catalog,
            pool,
            clock,
            jobs: HashMap::new(),
            paused: BTreeMap::new(),
            links: BTreeMap::new(),
            unsettled: BTreeSet::new(),
            by_prover: HashMap::new(),
            handed: HashMap::new(),
            wire_of: HashMap::new(),
            old: VecDeque::new(),
            pending: HashMap::new(),
            merging: HashMap::new(),
            merges: HashSet::new(),
            natively: HashMap::new(),
            ended: HashMap::new(),
            covers: HashMap::new(),
            changed: BTreeSet::new(),
            from_before: FromBefore::new(clock.now()),
            reasons: HashMap::new(),
            events: VecDeque::new(),
            records: Vec::new(),
            effects: Vec::new(),
            answers: Vec::new(),
            news: Vec::new(),
            bus,
            metrics,
            writing: None,
            ending: BTreeSet::new(),
            view,
        };
        hub.restore().await?;
        hub.settle().await?;
        hub.show();
        Ok((hub, seen))
    }

    /// Runs until nobody can send commands any more.
    ///
    /// # Errors
    /// [`HubError`]: another run goes on from what is stored.
    pub async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Command>,
        mut done: mpsc::UnboundedReceiver<Done>,
    ) -> Result<(), HubError> {
        let mut commands = Vec::with_capacity(BURST);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                written = written(&mut self.writing) => self.written(written?),
                count = inbox.recv_many(&mut commands, BURST), if self.backlog() < BACKLOG => {
                    if count == 0 {
                        return Ok(());
                    }
                    for command in commands.drain(..) {
                        self.command(command);
                    }
                }
                Some(work) = done.recv() => {
                    self.done(work)?;
                    while let Ok(work) = done.try_recv() {
                        self.done(work)?;
                    }
                }
                _ = ticks.tick() => {
                    self.events.push_back(Event::Tick);
                    self.forget_old();
                    self.expire_paused();
                    self.wait_no_longer();
                    self.show();
                }
            }
            self.go_on();
        }
    }

    /// Works through all that there is, and waits until it is durable.
    async fn settle(&mut self) -> Result<(), HubError> {
        self.go_on();
        while self.writing.is_some() {
            let decided = written(&mut self.writing).await?;
            self.written(decided);
            self.go_on();
        }
        Ok(())
    }

    /// Works through events until there are none. What follows from them is done at once where nothing has to be durable
    /// before; else it is written down, or waits for what is being written.
    // It is measured how long it takes.
    #[allow(clippy::disallowed_methods)]
    fn go_on(&mut self) {
        let began = Instant::now();
        loop {
            let now = self.clock.now();
            self.report_ready();
            while let Some(event) = self.events.pop_front() {
                let from = self.effects.len();
                self.scheduler.step_into(now, event, &mut self.effects);
                self.write_down(from, now);
                self.hand_out(from);
                self.report_ready();
            }
            if self.writing.is_some() {
                return;
            }
            let decided = Decided {
                effects: std::mem::take(&mut self.effects),
                answers: std::mem::take(&mut self.answers),
                news: std::mem::take(&mut self.news),
            };
            if !self.records.is_empty() {
                let records = std::mem::take(&mut self.records);
                let written = Box::pin(write(Arc::clone(&self.storage), records, self.metrics.clone()));
                self.writing = Some(Writing { decided, written });
                return;
            }
            self.written(decided);
            if self.events.is_empty() {
                observe(&self.metrics.hub_loop_seconds, began.elapsed());
                return;
            }
        }
    }

    /// Hands out the segments among the effects from `from` on: leases are lost with a crash anyway, so a prover that asks
    /// for work does not wait for the disk.
    fn hand_out(&mut self, from: usize) {
        for effect in self.effects.split_off(from) {
            match effect {
                Effect::Assign { .. } => self.act(effect),
                _ => self.effects.push(effect),
            }
        }
    }

    fn backlog(&self) -> usize {
        self.effects.len() + self.records.len() + self.answers.len() + self.news.len()
    }

    /// Does what waited until it was durable.
    fn written(&mut self, decided: Decided) {
        for news in decided.news {
            self.bus.publish(news);
        }
        for (answer, yes) in decided.answers {
            // Who asked may be gone.
            _ = answer.send(yes);
        }
        for effect in decided.effects {
            self.act(effect);
        }
    }

    /// Tells the scheduler what provers would take, when that changes.
    fn report_ready(&mut self) {
        let is_busy = !self.events.is_empty();
        for id in std::mem::take(&mut self.unsettled) {
            let Some(link) = self.links.get_mut(&id) else { continue };
            let held = |tasks: &BTreeSet<u64>| u16::try_from(tasks.len()).unwrap_or(u16::MAX);
            let (segments, merges) = (held(&link.holds.0), held(&link.holds.1));
            let free = link.ready.0.saturating_sub(segments + merges);
            let free_merges = link.ready.1.saturating_sub(merges).min(free);
            let free = (free.saturating_sub(free_merges), free_merges);
            // More room is told of after what made it: else a prover gets again what it has just released.
            let wanted = if is_busy { (free.0.min(link.told.0), free.1.min(link.told.1)) } else { free };
            if wanted != free {
                self.unsettled.insert(id);
            }
            if link.told != wanted {
                link.told = wanted;
                let (segments, merges) = wanted;
                // Before anything else, so that nothing is handed out on what was said before.
                self.events.push_front(Event::Ready { prover: link.prover, segments, merges });
            }
        }
    }

    /// The proof of exactly these steps in a job's cover, and its bytes.
    fn part(&self, job: JobId, range: Range) -> Option<(ProofId, u64)> {
        let part = self.covers.get(&job)?.part(range)?;
        Some((part.proof, part.bytes))
    }

    /// A prover's connection, of which something is about to change that the scheduler is told of.
    fn link_of(&mut self, prover: ProverId) -> Option<&mut Link> {
        let link = *self.by_prover.get(&prover)?;
        self.unsettled.insert(link);
        self.links.get_mut(&link)
    }
}

/// Makes records durable. A full disk is waited for: nothing is lost meanwhile, and nobody is told.
// It is measured how long it takes.
#[allow(clippy::disallowed_methods)]
async fn write(storage: Arc<Storage>, records: Vec<Record>, metrics: Metrics) -> Result<(), StoreError> {
    loop {
        let began = Instant::now();
        let written = storage.store.commit(&records).await;
        observe(&metrics.commit_seconds, began.elapsed());
        match written {
            Err(StoreError::Full { what }) => {
                metrics.store_full.inc();
                tracing::warn!(what, "what was decided waits for room on the disk");
                tokio::time::sleep(RETRY).await;
            }
            written => return written,
        }
    }
}

/// Waits until what is being written is durable; for ever if nothing is.
async fn written(writing: &mut Option<Writing>) -> Result<Decided, StoreError> {
    match writing {
        None => std::future::pending().await,
        Some(under_way) => {
            under_way.written.as_mut().await?;
            let decided = std::mem::take(&mut under_way.decided);
            *writing = None;
            Ok(decided)
        }
    }
}

/// What a prover hears of the scheduler's verdict.
pub fn outcome(verdict: Verdict, range: Range, reason: Option<&str>) -> Outcome {
    let credited = |steps: u64, of: fn(crowdfold_wire::RangeSteps) -> Outcome| {
        crowdfold_wire::Within::new(steps).map_or(Outcome::NotNeeded, of)
    };
    match verdict {
        Verdict::Counted => credited(range.steps(), Outcome::Accepted),
        Verdict::Compensated { steps } => credited(steps, Outcome::Duplicate),
        Verdict::Spare { .. } => Outcome::Spare,
        Verdict::Superseded => Outcome::Superseded,
        Verdict::Late => Outcome::NotNeeded,
        Verdict::Refused => {
            Outcome::Refused(crowdfold_wire::Reason::lossy(reason.unwrap_or("the proof does not verify")))
        }
    }
}

/// The name of a job's state.
pub fn state(end: Option<JobEnd>) -> &'static str {
    match end {
        None => "open",
        Some(JobEnd::Done) => "done",
        Some(JobEnd::Cancelled) => "cancelled",
        Some(JobEnd::Expired) => "expired",
        Some(JobEnd::Failed) => "failed",
    }
}

/// A range from numbers that may be anything.
pub fn range(first: u64, steps: u64) -> Option<Range> {
    Range::new(StepIndex(first), StepIndex(first.checked_add(steps)?))
}
