//! A model of the coordinator: sessions, the scheduler, a disk and a few cores, glued as the real one will be.

use std::collections::{BTreeMap, VecDeque};

use crowdfold_fold::Address;
use crowdfold_sched::{Bytes, Config, Event, JobId, ProofId, ProverId, ProverSpec, Range, Release, Scheduler, Speed};
use crowdfold_sched::{Standing, StepIndex, TaskId, Verdict};
use crowdfold_wire::{
    Challenge, Chunk, ChunkState, CoordinatorSession, Event as Heard, FromProver, Goodbye, GoodbyeCode, Hello,
    InputList, Inputs, Millis, Offer, Outcome, Reason, ReleaseReason, SendError, SessionId, Stored, UploadId,
    UploadReceiver, Welcome, Within,
};

use super::check::Checker;
use super::disk::{Crash, Disk, Record};
use super::log::{Log, log};
use super::plan::{Order, chain_job};
use crate::model::Modelled;
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
    /// What its cores began: after how many milliseconds they are done, and its name.
    pub(crate) later: Vec<(u64, u64)>,
}

impl<'a> Env<'a> {
    pub(super) fn order(&self, job: JobId) -> Option<&'a Order> {
        self.orders.iter().find(|order| order.id == job)
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
    pub(super) entitled: bool,
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
    payouts: BTreeMap<ProverId, Address>,
    pub(super) handed: BTreeMap<u64, Handed>,
    pub(super) wire_of: BTreeMap<TaskId, u64>,
    pub(super) next_wire: u64,
    offers: BTreeMap<(ProverId, ProofId), Offer>,
    pub(super) pending: BTreeMap<ProofId, Pending>,
    pub(super) to_verify: VecDeque<ProofId>,
    pub(super) to_merge: VecDeque<Work>,
    pub(super) running: BTreeMap<u64, Work>,
    pub(super) works: u64,
    pub(super) cores: usize,
    pub(super) inbox: VecDeque<Event>,
    checkpoint_ms: u32,
}

fn id(upload: UploadId) -> ProofId {
    ProofId(upload.0)
}

impl Coordinator {
    /// Starts from what is on disk.
    pub(crate) fn start(env: &mut Env<'_>, config: &Config, cores: usize, checkpoint_ms: u32) -> Result<Self, Crash> {
        env.disk.write(Record::Epoch)?;
        let epoch = env.disk.epoch;
        let mut run = Self {
            scheduler: Scheduler::new(Config { epoch, ..config.clone() }),
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
            checkpoint_ms,
        };
        env.check.durable(env.disk);
        let jobs: Vec<_> = env.disk.jobs.iter().filter(|(_, end)| end.is_none()).map(|(job, _)| *job).collect();
        for job in jobs {
            let Some(spec) = env.order(job).map(|order| order.spec) else { continue };
            run.inbox.push_back(Event::JobAdded { job, spec });
            let cover = env.disk.cover.range((job, 0)..=(job, u64::MAX));
            let covering: Vec<ProofId> = cover.clone().map(|(_, (_, proof))| *proof).collect();
            for (_, &(range, proof)) in cover {
                let event = Event::RangeRestored { job, range, proof, prover: ProverId(0), standing: Standing::Cover };
                run.inbox.push_back(event);
            }
            for (&proof, judged) in env.disk.judged.iter().filter(|(_, judged)| judged.job == job) {
                let standing = match judged.verdict {
                    _ if covering.contains(&proof) => continue,
                    Verdict::Spare => Standing::Spare { entitled: judged.entitled },
                    _ => Standing::Settled,
                };
                let (range, prover) = (judged.range, judged.prover);
                let pending = Pending { prover, job, range, entitled: judged.entitled, merge: None };
                run.pending.insert(proof, pending);
                run.inbox.push_back(Event::RangeRestored { job, range, proof, prover, standing });
            }
        }
        run.settle(env)?;
        Ok(run)
    }

    /// A client's job; once this returns it was accepted.
    pub(crate) fn submit(&mut self, env: &mut Env<'_>, job: JobId) -> Result<(), Crash> {
        let Some(order) = env.order(job).filter(|_| !env.disk.jobs.contains_key(&job)) else { return Ok(()) };
        env.disk.write(Record::Job(job))?;
        self.inbox.push_back(Event::JobAdded { job, spec: order.spec });
        self.settle(env)
    }

    pub(crate) fn cancel(&mut self, env: &mut Env<'_>, job: JobId) -> Result<(), Crash> {
        self.inbox.push_back(Event::JobCancelled { job });
        self.settle(env)
    }

    /// Time passes.
    pub(crate) fn tick(&mut self, env: &mut Env<'_>) -> Result<(), Crash> {
        let now = env.millis();
        for link in self.links.values_mut() {
            // An end shows in `ended` too.
            _ = link.session.tick(now);
        }
        self.inbox.push_back(Event::Tick);
        self.settle(env)
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
                };
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
        let spec = ProverSpec { speed, memory: Bytes(said.memory_bytes), merges: said.merges };
        self.inbox.push_back(Event::ProverJoined { prover, spec });
    }

    fn offer(&mut self, env: &mut Env<'_>, conn: u64, offer: &Offer) -> Result<(), Crash> {
        let Some(prover) = self.links.get(&conn).and_then(|link| link.prover) else { return Ok(()) };
        let proof = id(offer.upload);
        if let Some(judged) = env.disk.judged.get(&proof).copied() {
            self.tell(env, prover, proof, outcome(judged.verdict, judged.range));
            return Ok(());
        }
        self.offers.insert((prover, proof), offer.clone());
        if self.pending.contains_key(&proof) {
            return Ok(());
        }
        let mut receiver = UploadReceiver::new(offer.upload, offer.bytes.get());
        if let Some(stored) = env.disk.uploads.get(&(prover, proof)) {
            receiver.resume(stored);
        }
        match receiver.state() {
            ChunkState::Complete => return self.complete(env, prover, proof),
            ChunkState::Corrupt => {
                env.disk.write(Record::Damaged(prover, proof))?;
                receiver = UploadReceiver::new(offer.upload, offer.bytes.get());
            }
            ChunkState::More => {}
        }
        self.want(env, conn, receiver);
        Ok(())
    }

    fn want(&mut self, env: &mut Env<'_>, conn: u64, receiver: UploadReceiver) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let wanted = link.session.want(env.millis(), receiver);
        env.check.ensure(!matches!(wanted, Err(SendError::Refused(_))), || format!("a want is refused: {wanted:?}"));
    }

    fn chunk(&mut self, env: &mut Env<'_>, conn: u64, chunk: Chunk, state: ChunkState) -> Result<(), Crash> {
        let Some(prover) = self.links.get(&conn).and_then(|link| link.prover) else { return Ok(()) };
        let (proof, at) = (id(chunk.upload), usize::try_from(chunk.offset.get()).unwrap_or(usize::MAX));
        let end = chunk.offset.get() + chunk.bytes.len() as u64;
        log!(env.log, "{conn} > chunk {proof:?} to {end}");
        if state == ChunkState::Corrupt {
            env.disk.write(Record::Damaged(prover, proof))?;
            if let Some(offer) = self.offers.get(&(prover, proof)) {
                let receiver = UploadReceiver::new(offer.upload, offer.bytes.get());
                self.want(env, conn, receiver);
            }
            return Ok(());
        }
        env.disk.write(Record::Upload(prover, proof, at, chunk.bytes.into_vec()))?;
        if let (Some(link), Ok(bytes)) = (self.links.get_mut(&conn), Within::new(end)) {
            let sent = link.session.send(env.millis(), Stored { upload: chunk.upload, bytes });
            env.check.ensure(!matches!(sent, Err(SendError::Refused(_))), || format!("Stored is refused: {sent:?}"));
        }
        if state == ChunkState::Complete { self.complete(env, prover, proof) } else { Ok(()) }
    }

    /// All bytes of a proof are there and are the right ones.
    fn complete(&mut self, env: &mut Env<'_>, prover: ProverId, proof: ProofId) -> Result<(), Crash> {
        let Some(offer) = self.offers.get(&(prover, proof)) else { return Ok(()) };
        let wire = offer.task.0;
        let read = env.disk.uploads.get(&(prover, proof)).and_then(|bytes| Modelled::decode(bytes));
        let known =
            read.and_then(|read| Some((env.orders.iter().find(|order| chain_job(order.id) == read.job)?, read)));
        let Some((order, read)) = known else {
            env.disk.write(Record::Damaged(prover, proof))?;
            self.tell(env, prover, proof, Outcome::Refused(Reason::lossy("not a proof of a known job")));
            return Ok(());
        };
        let handed = self.handed.get(&wire).filter(|handed| handed.prover == prover && handed.job == order.id).copied();
        if let Some(Handed { kind: Kind::Merge(left, right), task, job, .. }) = handed {
            let Some(range) = Range::new(left.start(), right.end()) else { return Ok(()) };
            let merge = Some((task, left, right));
            self.pending.insert(proof, Pending { prover, job, range, entitled: false, merge });
            self.to_verify.push_back(proof);
            return Ok(());
        }
        let first = offer.first.get();
        let range = Range::new(StepIndex(first), StepIndex(first + offer.steps.get()));
        let range = range.filter(|range| range.end().0 <= order.spec.steps && read.parts.len() == 1);
        let Some(range) = range else {
            env.disk.write(Record::Damaged(prover, proof))?;
            self.tell(env, prover, proof, Outcome::NotNeeded);
            return Ok(());
        };
        let task = handed.map(|handed| handed.task);
        if handed.is_some_and(|handed| matches!(handed.kind, Kind::Segment(whole) if range.steps() < whole.steps())) {
            env.check.prefixes += 1;
        }
        let job = order.id;
        self.pending.insert(proof, Pending { prover, job, range, entitled: task.is_some(), merge: None });
        env.check.seen.insert(proof, (prover, range));
        self.inbox.push_back(Event::ProofReceived { proof, prover, job, range, task });
        Ok(())
    }

    /// Whether a proof holds, as the verifier would say.
    pub(super) fn verifies(&self, env: &Env<'_>, proof: ProofId) -> bool {
        let Some(pending) = self.pending.get(&proof) else { return false };
        let Some(order) = env.order(pending.job) else { return false };
        let bytes = env.disk.uploads.get(&(pending.prover, proof));
        let Some(read) = bytes.and_then(|bytes| Modelled::decode(bytes)) else { return false };
        let own = self.payouts.get(&pending.prover);
        read.proves(&order.truth, pending.range)
            && (pending.merge.is_some() || read.parts.iter().all(|(prover, _)| Some(prover) == own))
    }

    /// Tells a prover what became of a proof, if it is there and waits for that.
    pub(super) fn tell(&mut self, env: &mut Env<'_>, prover: ProverId, proof: ProofId, outcome: Outcome) {
        let link = self.by_prover.get(&prover).and_then(|conn| self.links.get_mut(conn));
        log!(env.log, "{prover} < {proof:?}: {outcome:?}");
        let Some(link) = link else { return };
        let verdict = crowdfold_wire::Verdict { upload: UploadId(proof.0), outcome };
        // It is refused where the proof was offered on another connection; then it is told with the next offer.
        _ = link.session.send(env.millis(), verdict);
    }

    /// Sends inputs as far as credit goes, and parts of merge inputs as far as windows go.
    pub(super) fn send_bulk(&mut self, env: &mut Env<'_>) {
        let now = env.millis();
        for link in self.links.values_mut() {
            let tasks: Vec<_> = link.session.open_tasks().collect();
            for task in tasks {
                let Some(Handed { kind: Kind::Segment(range), job, .. }) = self.handed.get(&task.0) else { continue };
                let Some(order) = env.order(*job) else { continue };
                while let Some((credit, next)) = link.session.credit_left(task).filter(|(_, at)| *at < range.steps()) {
                    let (from, to) = (range.start().0 + next, range.end().0);
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
    pub(super) fn report_ready(&mut self) {
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
            let free = |most: u64, open: u64| u16::try_from(most.saturating_sub(open)).unwrap_or(0);
            let told = (free(most.saturating_sub(most_merges), segments), free(most_merges, merges));
            if told != link.told {
                link.told = told;
                // Before anything else, so that nothing is handed out on what was said before.
                self.inbox.push_front(Event::Ready { prover, segments: told.0, merges: told.1 });
            }
        }
    }
}

/// What a prover is told of a verdict.
pub(super) fn outcome(verdict: Verdict, range: Range) -> Outcome {
    let steps = || Within::new(range.steps());
    match verdict {
        Verdict::Counted => steps().map_or(Outcome::NotNeeded, Outcome::Accepted),
        Verdict::Compensated => steps().map_or(Outcome::NotNeeded, Outcome::Duplicate),
        Verdict::Spare => Outcome::Spare,
        Verdict::Late => Outcome::NotNeeded,
        Verdict::Refused => Outcome::Refused(Reason::lossy("the proof does not verify")),
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
}
