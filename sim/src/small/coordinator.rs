//! A model of the coordinator: sessions, the scheduler, a disk and a few cores, glued as the real one will be.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crowdfold_fold::Address;
use crowdfold_sched::{
    Bytes, Config, Event, JobId, ProofId, ProverId, ProverSpec, Range, Release, Scheduler, Speed, Standing, StepIndex,
    TaskId, Verdict,
};
use crowdfold_wire::{
    Challenge, Chunk, CoordinatorSession, Event as Heard, FromProver, Goodbye, GoodbyeCode, Hello, InputList, Inputs,
    Millis, Offer, Reason, ReleaseReason, SendError, SessionId, Welcome, Within,
};

use super::check::{Checker, Rules};
use super::disk::{Crash, Disk, Judged, Record};
use super::log::{Log, log};
use super::plan::Order;
use super::plant::{self, Bug};
use crate::random::Random;

/// By which provers dial.
pub(crate) const ORIGIN: &str = "https://sim.example";

/// What the coordinator is given with each call.
pub(crate) struct Env<'a> {
    pub(crate) now: u64,
    pub(crate) disk: &'a mut Disk,
    pub(crate) log: &'a mut Log,
    pub(crate) check: &'a mut Checker,
    pub(crate) random: &'a mut Random,
    pub(crate) orders: &'a [Order],
    /// A duty that it neglects.
    pub(crate) bug: Option<Bug>,
    /// Jobs that their client hears are accepted.
    pub(crate) accepted: Vec<JobId>,
    /// What its cores began: after how many milliseconds they are done, and its name.
    pub(crate) later: Vec<(u64, u64)>,
}

impl<'a> Env<'a> {
    pub(super) fn order(&self, job: JobId) -> Option<&'a Order> {
        self.orders.iter().find(|order| order.id == job)
    }

    pub(super) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    pub(super) fn millis(&self) -> Millis {
        Millis(self.now)
    }
}

/// What was handed out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Segment(Range),
    Merge(Range, Range),
}

/// A task under its name on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handed {
    pub(super) task: TaskId,
    pub(super) prover: ProverId,
    pub(super) job: JobId,
    pub(super) kind: Kind,
}

/// A connection.
pub(super) struct Link {
    pub(super) session: CoordinatorSession,
    pub(super) prover: Option<ProverId>,
    ready: (u64, u64),
    /// What the scheduler was told, less what it has handed out since.
    pub(super) told: (u16, u16),
}

/// An uploaded proof without a verdict.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub(super) prover: ProverId,
    pub(super) job: JobId,
    pub(super) range: Range,
    /// Who has to be bound into it.
    pub(super) payout: Address,
    /// The result of a merge.
    pub(super) merge: Option<(TaskId, Range, Range)>,
}

/// What a core does.
#[derive(Clone, Debug)]
pub(super) enum Work {
    Verify(Vec<(ProofId, bool)>),
    Merge(TaskId, JobId, Range, Range),
}

/// One run of the coordinator, from its start to its crash.
pub(crate) struct Coordinator {
    pub(super) scheduler: Scheduler,
    pub(super) links: BTreeMap<u64, Link>,
    pub(super) by_prover: BTreeMap<ProverId, u64>,
    pub(super) payouts: BTreeMap<ProverId, Address>,
    pub(super) handed: BTreeMap<u64, Handed>,
    pub(super) wire_of: BTreeMap<TaskId, u64>,
    pub(super) next_wire: u64,
    /// Offers of this run that had no verdict yet.
    pub(super) offers: BTreeMap<(ProverId, ProofId), Offer>,
    pub(super) pending: BTreeMap<ProofId, Pending>,
    pub(super) to_verify: VecDeque<ProofId>,
    pub(super) to_merge: VecDeque<Work>,
    pub(super) running: BTreeMap<u64, Work>,
    pub(super) works: u64,
    pub(super) cores: usize,
    pub(super) inbox: VecDeque<Event>,
    pub(super) grace_ms: u64,
    checkpoint_ms: u32,
    /// What a planted bug has not written yet.
    pub(super) late: Vec<Record>,
}

impl Coordinator {
    /// Starts from what is on disk.
    pub(crate) fn start(env: &mut Env<'_>, config: &Config, cores: usize, checkpoint_ms: u32) -> Result<Self, Crash> {
        env.disk.write(Record::Epoch)?;
        let epoch = env.disk.epoch;
        let mut run = Self {
            scheduler: Scheduler::new(plant::config(env.bug, Config { epoch, ..config.clone() })),
            links: BTreeMap::new(),
            by_prover: BTreeMap::new(),
            payouts: BTreeMap::new(),
            handed: BTreeMap::new(),
            wire_of: BTreeMap::new(),
            next_wire: u64::from(epoch) << 40,
            offers: BTreeMap::new(),
            pending: BTreeMap::new(),
            to_verify: VecDeque::new(),
            to_merge: VecDeque::new(),
            running: BTreeMap::new(),
            works: 0,
            cores,
            inbox: VecDeque::new(),
            grace_ms: config.grace_ms,
            checkpoint_ms,
            late: Vec::new(),
        };
        env.check.durable(env.disk);
        env.check.rules = Rules::new(config.clone());
        let jobs: Vec<_> = env.disk.jobs.iter().filter(|(_, end)| end.is_none()).map(|(job, _)| *job).collect();
        jobs.into_iter().for_each(|job| run.restore(env, job));
        if !env.has(Bug::DropCheckIn) {
            run.restore_uploads(env)?;
        }
        run.settle(env)?;
        run.pay_spares(env)?;
        env.check.resumed(env.disk, |proof| run.pending.contains_key(&proof) || env.disk.judged.contains_key(&proof));
        Ok(run)
    }

    /// Tells the scheduler of a job that goes on, and of its proofs that had their verdict.
    fn restore(&mut self, env: &Env<'_>, job: JobId) {
        let Some(spec) = env.order(job).map(|order| order.spec) else { return };
        self.inbox.push_back(Event::JobAdded { job, spec });
        let cover = env.disk.cover.range((job, 0)..=(job, u64::MAX));
        let covering: Vec<ProofId> = cover.clone().map(|(_, (_, proof))| *proof).collect();
        for (_, &(range, proof)) in cover {
            let event = Event::RangeRestored { job, range, proof, prover: ProverId(0), standing: Standing::Cover };
            self.inbox.push_back(event);
        }
        for (&proof, judged) in env.disk.judged.iter().filter(|(_, judged)| judged.job == job) {
            let standing = match judged.verdict {
                _ if covering.contains(&proof) || env.has(Bug::JudgeAgain) => continue,
                Verdict::Spare { owed } => Standing::Spare { owed },
                _ => Standing::Settled,
            };
            let (range, prover) = (judged.range, judged.prover);
            self.inbox.push_back(Event::RangeRestored { job, range, proof, prover, standing });
        }
    }

    /// Decides about spares of jobs that are over: a crash between the write of a job's end and that of what it owes
    /// leaves them. (A store that writes both at once has none.)
    fn pay_spares(&mut self, env: &mut Env<'_>) -> Result<(), Crash> {
        let owed = |(&proof, judged): (&ProofId, &Judged)| match judged.verdict {
            Verdict::Spare { owed } if owed > 0 && !env.disk.is_live(judged.job) => Some((proof, *judged, owed)),
            _ => None,
        };
        for (proof, Judged { prover, job, range, .. }, steps) in
            env.disk.judged.iter().filter_map(owed).collect::<Vec<_>>()
        {
            let verdict = Verdict::Compensated { steps };
            env.disk.write(Record::Judged { proof, prover, job, range, verdict })?;
        }
        Ok(())
    }

    /// A client's job, perhaps not for the first time: it may not have heard the answer.
    pub(crate) fn submit(&mut self, env: &mut Env<'_>, job: JobId) -> Result<(), Crash> {
        let Some(order) = env.order(job) else { return Ok(()) };
        if env.disk.jobs.contains_key(&job) && !env.has(Bug::AddAgain) {
            env.check.resubmitted += 1;
            env.accepted.push(job);
            return Ok(());
        }
        if env.has(Bug::AcceptEarly) {
            self.late.push(Record::Job(job));
        } else {
            env.disk.write(Record::Job(job))?;
        }
        env.accepted.push(job);
        self.inbox.push_back(Event::JobAdded { job, spec: order.spec });
        self.settle(env)
    }

    pub(crate) fn cancel(&mut self, env: &mut Env<'_>, job: JobId) -> Result<(), Crash> {
        let other = env.orders.iter().find(|order| env.disk.is_live(order.id) && order.cancelled_at.is_none());
        let job = other.filter(|_| env.has(Bug::CancelOther)).map_or(job, |other| other.id);
        self.inbox.push_back(Event::JobCancelled { job });
        self.settle(env)
    }

    /// Time passes.
    pub(crate) fn tick(&mut self, env: &mut Env<'_>) -> Result<(), Crash> {
        let now = env.millis();
        if (env.now / 1_000).is_multiple_of(10) {
            self.catch_up(env)?;
        }
        for link in self.links.values_mut() {
            // An end shows in `ended` too.
            _ = link.session.tick(now);
        }
        self.inbox.push_back(Event::Tick);
        self.settle(env)
    }

    /// Writes what a planted bug has put off.
    pub(super) fn catch_up(&mut self, env: &mut Env<'_>) -> Result<(), Crash> {
        std::mem::take(&mut self.late).into_iter().try_for_each(|record| env.disk.write(record))
    }

    pub(crate) fn accept(&mut self, env: &mut Env<'_>, conn: u64) {
        let mut nonce = [0; 32];
        nonce[..8].copy_from_slice(&env.random.next().to_le_bytes());
        let session = CoordinatorSession::new(env.millis(), Challenge::new(nonce), vec![ORIGIN.into()]);
        self.links.insert(conn, Link { session, prover: None, ready: (0, 0), told: (0, 0) });
    }

    /// The transport is gone, or is closed after a goodbye.
    pub(crate) fn lost(&mut self, env: &mut Env<'_>, conn: u64) -> Result<(), Crash> {
        if let Some(prover) = self.links.remove(&conn).and_then(|link| link.prover)
            && self.by_prover.get(&prover) == Some(&conn)
        {
            self.by_prover.remove(&prover);
            self.inbox.push_back(Event::ProverLeft { prover });
        }
        self.settle(env)
    }

    /// The next frame to a prover, and whether the connection is to be closed when there is none.
    pub(crate) fn next_frame(&mut self, conn: u64) -> (Option<Vec<u8>>, bool) {
        let Some(link) = self.links.get_mut(&conn) else { return (None, true) };
        (link.session.next_frame(), link.session.ended().is_some())
    }

    pub(crate) fn connections(&self) -> Vec<u64> {
        self.links.keys().copied().collect()
    }

    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.scheduler.next_deadline().map(|at| at.0)
    }

    pub(crate) fn frame(&mut self, env: &mut Env<'_>, conn: u64, frame: &[u8]) -> Result<(), Crash> {
        let now = env.millis();
        let Some(link) = self.links.get_mut(&conn) else { return Ok(()) };
        if link.session.ended().is_some() {
            return Ok(());
        }
        match link.session.receive(now, frame) {
            Ok(Some(Heard::Chunk(chunk, state))) => self.chunk(env, conn, chunk, state)?,
            Ok(Some(Heard::Message(message))) => self.message(env, conn, message)?,
            Ok(None) => {}
            Err(ended) => {
                let by_rules = ended.goodbye.code < GoodbyeCode::BadMessage || ended.by_peer;
                env.check.ensure(by_rules, || format!("connection {conn}: a prover broke the rules: {ended}"));
                log!(env.log, "{conn}: {ended}");
            }
        }
        self.settle(env)
    }

    fn message(&mut self, env: &mut Env<'_>, conn: u64, message: FromProver) -> Result<(), Crash> {
        log!(env.log, "{conn} > {message:?}");
        let prover = self.links.get(&conn).and_then(|link| link.prover);
        match message {
            FromProver::Hello(hello) => self.hello(env, conn, &hello),
            FromProver::Ready(ready) => {
                if let Some(link) = self.links.get_mut(&conn) {
                    link.ready = (ready.tasks.get(), ready.merges.get());
                    link.told = (u16::MAX, u16::MAX);
                }
            }
            FromProver::Progress(progress) => {
                if let Some((handed, prover)) = self.handed.get(&progress.task.0).zip(prover) {
                    self.inbox.push_back(Event::Progress { prover, task: handed.task, steps: progress.steps.get() });
                }
            }
            FromProver::Release(release) => {
                let Some((&handed, prover)) = self.handed.get(&release.task.0).zip(prover) else { return Ok(()) };
                let task = handed.task;
                if let Kind::Merge(..) = handed.kind {
                    self.inbox.push_back(Event::MergeFailed { task, prover: Some(prover), bad_proof: false });
                    return Ok(());
                }
                let why = match release.reason {
                    ReleaseReason::Paused | ReleaseReason::Starved => Release::Paused,
                    ReleaseReason::Closing => Release::Closing,
                    ReleaseReason::OutOfMemory => Release::OutOfMemory,
                    ReleaseReason::Unable(_) | ReleaseReason::Failed(_) => Release::Failed,
                    ReleaseReason::Deadline => Release::Deadline,
                };
                if let (Kind::Segment(whole), Release::Failed | Release::OutOfMemory) = (handed.kind, why) {
                    let from = StepIndex(whole.start().0 + release.kept.get());
                    if let Some(rest) = Range::new(from, whole.end()) {
                        env.check.rules.failed(env.now, prover, handed.job, rest);
                    }
                }
                self.inbox.push_back(Event::Released { prover, task, why });
            }
            FromProver::Offer(offer) => self.offer(env, conn, &offer)?,
            // Credit, and what is wanted of merge inputs, is the session's business: `settle` sends what it allows.
            _ => {}
        }
        Ok(())
    }

    fn hello(&mut self, env: &mut Env<'_>, conn: u64, hello: &Hello) {
        let prover = ProverId(u64::from_le_bytes(hello.key.0[..8].try_into().unwrap_or_default()));
        let now = env.millis();
        if let Some(old) = self.by_prover.insert(prover, conn)
            && let Some(link) = self.links.get_mut(&old)
        {
            link.prover = None;
            let text = Reason::lossy("another connection of the same key");
            link.session.goodbye(now, Goodbye { code: GoodbyeCode::Replaced, text });
            self.inbox.push_back(Event::ProverLeft { prover });
        }
        self.payouts.insert(prover, hello.payout);
        let Some(link) = self.links.get_mut(&conn) else { return };
        link.prover = Some(prover);
        let welcome = Welcome {
            session: SessionId(conn),
            ping_interval_ms: 5_000,
            idle_limit_ms: 15_000,
            checkpoint_interval_ms: self.checkpoint_ms,
        };
        let sent = link.session.send(now, welcome);
        env.check.ensure(sent.is_ok(), || format!("a welcome is refused: {sent:?}"));
        let said = &hello.capabilities;
        let speed = Speed(if said.rows_per_second == 0 { 10_000 } else { said.rows_per_second });
        let spec = ProverSpec {
            speed,
            memory: Bytes(said.memory_bytes),
            merges: said.merges,
            most_steps: u64::MAX,
            strikes: 0,
        };
        self.inbox.push_back(Event::ProverJoined { prover, spec });
    }

    /// Sends inputs as far as credit goes, and parts of merge inputs as far as windows go.
    pub(super) fn send_bulk(&mut self, env: &mut Env<'_>) {
        let now = env.millis();
        for link in self.links.values_mut() {
            let tasks: Vec<_> = link.session.open_tasks().collect();
            for task in tasks {
                let Some(Handed { kind: Kind::Segment(range), job, .. }) = self.handed.get(&task.0) else { continue };
                let Some(order) = env.order(*job) else { continue };
                let more = u64::from(env.has(Bug::SendMore));
                while let Some((credit, next)) =
                    link.session.credit_left(task).filter(|(_, at)| *at < range.steps() + more)
                {
                    let late = u64::from(env.has(Bug::SendOtherInputs));
                    let (from, to) = (range.start().0 + next + late, range.end().0 + late + more);
                    let rest = usize::try_from(from).ok().zip(usize::try_from(to).ok());
                    let Some(rest) = rest.and_then(|(from, to)| order.truth.inputs.get(from..to)) else { break };
                    let list = InputList::fill(&mut rest.iter().map(|input| &input[..]).peekable(), credit);
                    let (Ok(Some(inputs)), Ok(index)) = (list, Within::new(next)) else { break };
                    let sent = link.session.send(now, Inputs { task, index, inputs });
                    let refused = matches!(sent, Err(SendError::Refused(_)));
                    env.check.ensure(!refused, || format!("inputs are refused: {sent:?}"));
                    if sent.is_err() {
                        break;
                    }
                }
            }
            while let Some((upload, part)) = link.session.next_chunk() {
                let blob = env.disk.blobs.get(&ProofId(upload.0));
                let part = usize::try_from(part.start).ok().zip(usize::try_from(part.end).ok());
                let bytes = blob.zip(part).and_then(|(blob, (from, to))| blob.get(from..to));
                let (Some(bytes), Some((from, _))) = (bytes, part) else { break };
                let (Ok(offset), Ok(bytes)) = (Within::new(from as u64), crowdfold_wire::Bytes::new(bytes)) else {
                    break;
                };
                if link.session.send(now, Chunk { upload, offset, bytes }).is_err() {
                    break;
                }
            }
        }
    }

    /// Tells the scheduler who would take how much more.
    pub(super) fn report_ready(&mut self, bug: Option<Bug>) {
        let is_busy = !self.inbox.is_empty();
        for link in self.links.values_mut() {
            let (Some(prover), None) = (link.prover, link.session.ended()) else { continue };
            let tasks = link.session.open_tasks().filter_map(|task| self.handed.get(&task.0));
            let (mut segments, mut merges) = (0, 0);
            for handed in tasks {
                match handed.kind {
                    Kind::Segment(_) => segments += 1,
                    Kind::Merge(..) => merges += 1,
                }
            }
            let (most, most_merges) = link.ready;
            let more = u64::from(bug == Some(Bug::ServeTooMany) && most > 0);
            let free = |most: u64, open: u64| u16::try_from((most + more).saturating_sub(open)).unwrap_or(0);
            let told = (free(most.saturating_sub(most_merges), segments), free(most_merges, merges));
            // More room is told of after what made it: else a prover gets again what it has just released.
            let told = if is_busy { (told.0.min(link.told.0), told.1.min(link.told.1)) } else { told };
            if told != link.told {
                link.told = told;
                // Before anything else, so that nothing is handed out on what was said before.
                self.inbox.push_front(Event::Ready { prover, segments: told.0, merges: told.1 });
            }
        }
    }
}

impl Coordinator {
    /// Whose segment a task of this run is.
    pub(crate) fn lease(&self, wire: u64) -> Option<(ProverId, JobId, Range)> {
        match self.handed.get(&wire)? {
            Handed { kind: Kind::Segment(range), prover, job, .. } => Some((*prover, *job, *range)),
            Handed { kind: Kind::Merge(..), .. } => None,
        }
    }

    /// Whose merge a task of this run is, and of which proofs.
    pub(crate) fn merge(&self, disk: &Disk, wire: u64) -> Option<(ProverId, JobId, [Option<ProofId>; 2])> {
        let Handed { kind: Kind::Merge(left, right), prover, job, .. } = self.handed.get(&wire)? else { return None };
        let proof = |range| disk.proof_of(*job, range).map(|(proof, _)| proof);
        Some((*prover, *job, [proof(*left), proof(*right)]))
    }

    /// Jobs that tasks of open connections are of.
    pub(super) fn open_jobs(&self) -> BTreeSet<JobId> {
        let links = self.links.values().filter(|link| link.session.ended().is_none());
        let tasks = links.flat_map(|link| link.session.open_tasks());
        tasks.filter_map(|task| self.handed.get(&task.0)).map(|handed| handed.job).collect()
    }

    /// What the scheduler has in its hands.
    pub(crate) fn stats(&self) -> crowdfold_sched::Stats {
        self.scheduler.stats()
    }
}
