//! A prover, a scripted coordinator and the network between them, all on one fake clock.

use crate::model::{LOADED, Model, PROGRAM, claim};
use crowdfold_fold::{Address, Job};
use crowdfold_prover::{Config, Effect, ProofInfo, Prover, Worked};
use crowdfold_wire::{
    Bytes, Challenge, ChunkState, CoordinatorSession, Event, FromCoordinator, FromProver, Goodbye, GoodbyeCode,
    HostKind, InputList, Inputs, Millis, Offer, Outcome, Ready, Release, Segment, SendError, SessionId, SigningKey,
    Stored, TaskId, Text, UploadId, UploadOffset, UploadReceiver, Verdict, Welcome, Within,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::{BTreeMap, BTreeSet};

pub const ORIGIN: &str = "https://prove.example";
pub const CHECKPOINT_MS: u32 = 10_000;
pub const STEP_MS: u64 = 100;

pub const JOB: Job = Job { chain_id: 1, contract: Address([2; 20]), job_id: [3; 32] };

pub fn config() -> Config {
    Config::new(
        Text::new("test/1").expect("short"),
        Text::new(ORIGIN).expect("short"),
        Address([4; 20]),
        HostKind::Server,
        1 << 30,
        Within::new(1).expect("one"),
    )
}

/// A segment as the coordinator knows it.
#[derive(Clone, Debug)]
pub struct Job1 {
    pub first: u64,
    pub steps: u64,
    pub start: u64,
    pub inputs: Vec<Vec<u8>>,
    /// Inputs that are handed out; the rest is kept back.
    pub given: usize,
}

/// What the coordinator remembers beyond connections, and one connection's end.
pub struct Coordinator {
    pub session: Option<CoordinatorSession>,
    pub tasks: BTreeMap<TaskId, Job1>,
    pub open: BTreeMap<TaskId, usize>,
    pub stored: BTreeMap<UploadId, Vec<u8>>,
    /// Check-ins that came in full and wait for a longer one, or for the end of their task.
    pub parked: BTreeSet<UploadId>,
    pub offers: BTreeMap<UploadId, Offer>,
    pub verdicts: BTreeMap<UploadId, Outcome>,
    pub released: Vec<Release>,
    pub progress: Vec<u64>,
    pub chunks: u64,
    pub ready: Option<Ready>,
    pub goodbye: Option<Goodbye>,
    /// Whether verdicts are given, as soon as all bytes have come and the proof is no check-in of an open task.
    pub judges: bool,
    pub refuses: bool,
    pub sends_inputs: bool,
}

impl Coordinator {
    /// Steps of the job that accepted proofs cover, each checked against the inputs.
    pub fn covered(&self) -> BTreeSet<u64> {
        let accepted = self.verdicts.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Accepted(_)));
        accepted
            .flat_map(|(upload, _)| {
                let offer = &self.offers[upload];
                offer.first.get()..offer.first.get() + offer.steps.get()
            })
            .collect()
    }

    fn take(&mut self, now: Millis, frame: &[u8]) {
        let Some(session) = &mut self.session else { return };
        let event = session.receive(now, frame);
        match event {
            Err(ended) => {
                assert!(ended.by_peer, "the prover broke a rule: {ended}");
                self.goodbye = Some(ended.goodbye);
            }
            Ok(None) => {}
            Ok(Some(Event::Chunk(chunk, state))) => {
                self.chunks += 1;
                let bytes = self.stored.entry(chunk.upload).or_default();
                assert_eq!(chunk.offset.get(), bytes.len() as u64);
                bytes.extend_from_slice(&chunk.bytes);
                let bytes = UploadOffset::new(bytes.len() as u64).expect("within");
                session.send(now, Stored { upload: chunk.upload, bytes }).expect("stored");
                assert_ne!(state, ChunkState::Corrupt);
                if state == ChunkState::Complete && self.judges {
                    self.received(now, chunk.upload);
                }
            }
            Ok(Some(Event::Message(message))) => self.message(now, message),
        }
    }

    fn message(&mut self, now: Millis, message: FromProver) {
        let session = self.session.as_mut().expect("a message came by it");
        match message {
            FromProver::Hello(_) => {
                let welcome = Welcome {
                    session: SessionId(1),
                    ping_interval_ms: 15_000,
                    idle_limit_ms: 45_000,
                    checkpoint_interval_ms: CHECKPOINT_MS,
                };
                session.send(now, welcome).expect("welcome");
            }
            FromProver::Ready(ready) => self.ready = Some(ready),
            FromProver::Progress(progress) => self.progress.push(progress.steps.get()),
            FromProver::Release(release) => {
                self.open.remove(&release.task);
                let kept = self.tasks.get(&release.task).map_or(0, |job| job.first) + release.kept.get();
                // If more is kept, a longer proof is to come.
                for upload in self.parked_of(release.task) {
                    let offer = &self.offers[&upload];
                    if offer.first.get() + offer.steps.get() == kept {
                        self.judge(now, upload);
                    }
                }
                self.released.push(release);
            }
            FromProver::Offer(offer) => {
                let upload = offer.upload;
                let bytes = offer.bytes.get();
                self.offers.insert(upload, offer);
                if let Some(outcome) = self.verdicts.get(&upload) {
                    session.send(now, Verdict { upload, outcome: outcome.clone() }).expect("a verdict");
                    return;
                }
                let mut receiver = UploadReceiver::new(upload, bytes);
                receiver.resume(self.stored.get(&upload).map_or(&[][..], |bytes| bytes));
                let is_complete = receiver.state() == ChunkState::Complete;
                session.want(now, receiver).expect("wanted");
                if is_complete && self.judges {
                    self.received(now, upload);
                }
            }
            _ => {}
        }
    }

    fn parked_of(&self, task: TaskId) -> Vec<UploadId> {
        self.parked.iter().filter(|upload| self.offers[*upload].task == task).copied().collect()
    }

    /// A proof is there in full: it takes the place of shorter ones of its chain, and waits itself if it is a check-in.
    fn received(&mut self, now: Millis, upload: UploadId) {
        let offer = self.offers[&upload].clone();
        for shorter in self.parked_of(offer.task) {
            if shorter != upload && self.offers[&shorter].first == offer.first {
                assert!(self.offers[&shorter].steps < offer.steps, "check-ins grow");
                self.say(now, shorter, Outcome::Superseded);
            }
        }
        let is_open = self.session.as_ref().is_some_and(|session| session.open_tasks().any(|task| task == offer.task));
        if is_open {
            self.parked.insert(upload);
        } else {
            self.judge(now, upload);
        }
    }

    /// The task has ended without a longer proof.
    pub fn judge_parked(&mut self, now: Millis) {
        std::mem::take(&mut self.parked).into_iter().for_each(|upload| self.judge(now, upload));
    }

    /// Gives a verdict.
    pub fn say(&mut self, now: Millis, upload: UploadId, outcome: Outcome) {
        self.parked.remove(&upload);
        self.verdicts.insert(upload, outcome.clone());
        let sent = self.session.as_mut().map_or(Ok(()), |session| session.send(now, Verdict { upload, outcome }));
        // What was not offered on this connection needs none.
        let is_unknown =
            matches!(&sent, Err(SendError::Refused(violation)) if violation.code == GoodbyeCode::UnknownUpload);
        assert!(sent.is_ok() || is_unknown, "{sent:?}");
    }

    /// Checks a proof and says so.
    pub fn judge(&mut self, now: Millis, upload: UploadId) {
        let offer = &self.offers[&upload];
        let (start, end, steps) = claim(&self.stored[&upload]).expect("a proof");
        if let Some(job) = self.tasks.get(&offer.task) {
            let at = |step: u64| {
                let before = &job.inputs[..(step - job.first) as usize];
                before.iter().fold(job.start, |sum, input| sum.wrapping_add(crate::model::number(input)))
            };
            let first = offer.first.get();
            assert_eq!((start, end, steps), (at(first), at(first + steps), offer.steps.get()));
        }
        let outcome = if self.refuses {
            Outcome::Refused(Text::lossy("bad"))
        } else {
            Outcome::Accepted(Within::new(steps).expect("steps"))
        };
        self.say(now, upload, outcome);
    }

    /// Sends inputs within the credit.
    fn feed(&mut self, now: Millis) {
        let Some(session) = &mut self.session else { return };
        if !self.sends_inputs || session.ended().is_some() {
            return;
        }
        for (task, sent) in &mut self.open {
            let job = &self.tasks[task];
            while let Some((credit, index)) = session.credit_left(*task) {
                assert_eq!(index, *sent as u64);
                let mut left = job.inputs[*sent..job.given.max(*sent)].iter().map(|input| &input[..]).peekable();
                let Some(inputs) = InputList::fill(&mut left, credit).expect("short inputs") else { break };
                let count = inputs.len();
                let index = Within::new(*sent as u64).expect("within");
                session.send(now, Inputs { task: *task, index, inputs }).expect("inputs");
                *sent += count;
            }
        }
    }

    pub fn send(&mut self, now: Millis, message: impl Into<FromCoordinator>) {
        self.session.as_mut().expect("connected").send(now, message).expect("allowed");
    }
}

pub struct World {
    pub now: Millis,
    pub prover: Prover<Model>,
    pub coordinator: Coordinator,
    pub rng: ChaCha20Rng,
    /// What the host has stored.
    pub storage: BTreeMap<UploadId, (ProofInfo, Vec<u8>)>,
    pub effects: Vec<Effect>,
    /// Whether the host connects when it is asked to.
    pub reachable: bool,
    /// Frames carried, both ways.
    pub frames: u64,
    /// The connection breaks after so many frames, once.
    pub breaks_at: Option<u64>,
    /// Bytes that the prover's line carries in a turn, if it is a slow one.
    pub line: Option<i64>,
    /// Bytes that it carries before the next turn. A frame that is begun is carried whole, at the cost of later ones.
    line_left: i64,
    /// Milliseconds of the last turn.
    took: u64,
}

impl World {
    pub fn new() -> Self {
        Self::with(config(), Model::new())
    }

    pub fn with(config: Config, model: Model) -> Self {
        let now = Millis(1_000);
        let coordinator = Coordinator {
            session: None,
            tasks: BTreeMap::new(),
            open: BTreeMap::new(),
            stored: BTreeMap::new(),
            parked: BTreeSet::new(),
            offers: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            released: Vec::new(),
            progress: Vec::new(),
            chunks: 0,
            ready: None,
            goodbye: None,
            judges: true,
            refuses: false,
            sends_inputs: true,
        };
        Self {
            now,
            prover: Prover::new(now, config, model, SigningKey::from_bytes(&[5; 32])),
            coordinator,
            rng: ChaCha20Rng::seed_from_u64(1),
            storage: BTreeMap::new(),
            effects: Vec::new(),
            reachable: true,
            frames: 0,
            breaks_at: None,
            line: None,
            line_left: 0,
            took: STEP_MS,
        }
    }

    pub fn connected() -> Self {
        let mut world = Self::new();
        world.exchange();
        world
    }

    pub fn disconnect(&mut self) {
        self.coordinator.session = None;
        self.coordinator.open.clear();
        self.coordinator.ready = None;
        self.prover.disconnected(self.now, 0);
    }

    fn carry(&mut self) -> bool {
        if self.breaks_at == Some(self.frames) {
            self.breaks_at = None;
            self.disconnect();
            return true;
        }
        let is_free = self.line.is_none() || self.line_left > 0;
        if let Some(frame) = is_free.then(|| self.prover.next_frame(self.now)).flatten() {
            self.frames += 1;
            self.line_left -= frame.len() as i64;
            self.coordinator.take(self.now, &frame);
            return true;
        }
        let frame = self.coordinator.session.as_mut().and_then(CoordinatorSession::next_frame);
        let Some(frame) = frame else { return false };
        self.frames += 1;
        self.prover.frame(self.now, &frame);
        true
    }

    /// Carries frames and does what the host has to do until nothing moves.
    pub fn exchange(&mut self) {
        loop {
            self.coordinator.feed(self.now);
            let mut moved = self.carry();
            while let Some(effect) = self.prover.next_effect() {
                moved = true;
                self.effects.push(effect.clone());
                match effect {
                    Effect::Connect if self.reachable => {
                        let challenge = Challenge::new([6; 32]);
                        let origins = vec![ORIGIN.to_owned()];
                        self.coordinator.session = Some(CoordinatorSession::new(self.now, challenge, origins));
                        self.prover.connected(self.now);
                    }
                    Effect::Connect => self.prover.disconnected(self.now, 0),
                    Effect::Disconnect => {
                        while let Some(frame) = self.prover.next_frame(self.now) {
                            self.coordinator.take(self.now, &frame);
                        }
                        self.disconnect();
                    }
                    Effect::Keep { upload, info, bytes } => {
                        self.storage.insert(upload, (info, bytes.to_vec()));
                    }
                    Effect::Forget { upload, .. } => _ = self.storage.remove(&upload),
                    Effect::NeedParameters { .. } | Effect::Changed => {}
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// One round of a host's loop: at most one step of work.
    pub fn turn(&mut self) -> Worked {
        let bytes = self.line.unwrap_or(0);
        // What it takes in a step's time.
        self.line_left = bytes.min(self.line_left + (bytes * self.took as i64).div_euclid(STEP_MS as i64));
        self.exchange();
        let worked = self.prover.work(self.now, &mut self.rng);
        let wake = self.prover.wake_at().filter(|_| worked == Worked::Idle);
        self.took = wake.map_or(STEP_MS, |at| at.since(self.now).clamp(1, STEP_MS));
        self.now = self.now.after(self.took);
        self.prover.tick(self.now);
        if let Some(session) = &mut self.coordinator.session {
            _ = session.tick(self.now);
        }
        self.exchange();
        worked
    }

    pub fn turns(&mut self, turns: u64) {
        for _ in 0..turns {
            self.turn();
        }
    }

    pub fn work_until_idle(&mut self) {
        while self.turn() != Worked::Idle {}
    }

    /// Hands out a segment of so many steps.
    pub fn assign(&mut self, task: u64, first: u64, steps: u64) {
        self.assign_within(task, first, steps, 10_000_000);
    }

    pub fn assign_within(&mut self, task: u64, first: u64, steps: u64, hard_ms: u32) {
        let inputs = (0..steps).map(|i| vec![(first + i) as u8 % 100, 1, task as u8]).collect();
        let job = Job1 { first, steps, start: 1000 * task, inputs, given: steps as usize };
        self.assign_job(task, job, hard_ms);
    }

    pub fn assign_job(&mut self, task: u64, job: Job1, hard_ms: u32) {
        let segment = segment(task, &job, hard_ms);
        self.coordinator.send(self.now, segment);
        self.coordinator.tasks.insert(TaskId(task), job);
        self.coordinator.open.insert(TaskId(task), 0);
        self.exchange();
    }
}

pub fn segment(task: u64, job: &Job1, hard_ms: u32) -> Segment {
    Segment {
        task: TaskId(task),
        job: JOB,
        program: Text::new(PROGRAM).expect("short"),
        parameters: LOADED,
        first: Within::new(job.first).expect("within"),
        steps: Within::new(job.steps).expect("within"),
        start: Bytes::new(job.start.to_le_bytes()).expect("short"),
        soft_ms: 0,
        hard_ms,
    }
}
