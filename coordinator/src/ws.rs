//! A prover's connection: the protocol's session over a WebSocket, with the bytes of inputs, uploads and merges.
//!
//! One task for each. It talks to the hub about tasks and proofs, and moves bytes between the socket and the disk by
//! itself: each chunk is on disk before it is acknowledged.

mod register;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use crowdfold_fold::RangeProof;
use crowdfold_programs::Program as _;
use crowdfold_sched::{JobId, ProofId, ProverId, ProverSpec, Range, Release, Speed};
use crowdfold_wire::limits::{
    CHECKPOINT_INTERVAL_MS, IDLE_LIMIT_MS, INPUT_OVERHEAD_BYTES, MAX_FRAME_BYTES, MAX_INPUTS_BYTES, MAX_QUEUE_AGE_MS,
    MAX_RESTARTS, PING_INTERVAL_MS, SUBPROTOCOL,
};
use crowdfold_wire::{
    Blob, Bytes, Cancel, Challenge, Chunk, ChunkState, CoordinatorSession, Event, FromProver, Goodbye, GoodbyeCode,
    Hello, InputList, Inputs, Merge, Millis, Offer, Outcome, Reason, Release as Released, ReleaseReason, Segment,
    SendError, SessionId, Stored, TaskId, Text, UploadId, UploadReceiver, Verdict, Welcome, Within,
};
use tokio::sync::{Mutex, MutexGuard, mpsc, oneshot};
use tokio::time::{sleep, timeout};

use crate::catalog::{Catalog, Entry};
use crate::chance;
use crate::hub::{Answer, Clock, Command, LinkId, LiveJob, Offered, ToLink, range};
use crate::listen::Counted;
use crate::metrics::{Metrics, Refusal};
use crate::store::{Prover, Seen, Storage, Store as _, StoreError, StoredProof, UploadKey};

pub use register::Register;

/// Orders of the hub that wait. A connection that has more is too slow.
const ORDERS: usize = 256;
/// Bytes of inputs that are read at once.
const READ: u64 = MAX_INPUTS_BYTES as u64;
/// Bytes that are read from a socket at once. Each connection keeps as many, and most of them wait for a message of some
/// dozens; a chunk is read into a buffer of its own size, in parts of this.
const SOCKET_READ: usize = 4 << 10;
/// Rows a second that a prover is taken to fold before it has measured itself: a tab with a thread.
pub const FIRST_SPEED: u64 = 16_000;

/// Time between two tries to store something that found no room on the disk, and how many there are. The prover meanwhile
/// sends as much as its window and the kernel's buffers take. After the last one, and before either end takes the other
/// for dead, it is told to come again later: its proof is kept, here as far as it came.
const ROOM_WAIT: Duration = Duration::from_secs(5);
const ROOM_TRIES: u32 = 6;

/// What all connections share.
#[derive(Debug)]
pub struct Gateway {
    /// Jobs, provers, uploads.
    pub storage: Arc<Storage>,
    /// Numbers of provers.
    pub register: Register,
    /// The hub.
    pub hub: mpsc::Sender<Command>,
    /// Programs.
    pub catalog: Catalog,
    /// Origins by which provers may dial.
    pub origins: Vec<String>,
    /// The time.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Metrics,
    /// Connections so far.
    pub links: AtomicU64,
    /// Proofs that are being handed in.
    pub handing_in: HandingIn,
}

/// The same bytes may come over two connections at once. They are handed in one after the other, so that who comes
/// second finds them on record: a proof has one prover.
#[derive(Debug)]
pub struct HandingIn(Vec<Mutex<()>>);

impl Default for HandingIn {
    fn default() -> Self {
        Self((0..=u8::MAX).map(|_| Mutex::default()).collect())
    }
}

impl HandingIn {
    /// Waits until no proof is handed in that may be the same. Few others wait too.
    async fn turn(&self, proof: ProofId) -> MutexGuard<'_, ()> {
        self.0[usize::from(proof.0[0])].lock().await
    }
}

impl Gateway {
    /// A number for a connection.
    pub(crate) fn link(&self) -> LinkId {
        LinkId(self.links.fetch_add(1, Ordering::Relaxed))
    }

    /// Tells the hub.
    pub(crate) async fn tell(&self, command: Command) -> Result<(), Broken> {
        self.hub.send(command).await.map_err(|_| Broken::Stopping)
    }

    /// Hands in a proof of which all bytes are stored, and waits until it is on record. False if it is another prover's.
    pub(crate) async fn hand_in(
        &self,
        link: LinkId,
        prover: ProverId,
        offered: Offered,
        stored: StoredProof,
    ) -> Result<bool, Broken> {
        let _turn = self.handing_in.turn(offered.proof).await;
        if self.storage.store.proof(offered.proof).await?.is_some_and(|known| known.prover != prover) {
            return Ok(false);
        }
        let (written, answered) = oneshot::channel();
        self.tell(Command::Uploaded(link, offered, stored, written)).await?;
        answered.await.map_err(|_| Broken::Stopping)?;
        Ok(true)
    }
}

/// Bad proofs of a prover that joins which the scheduler is to know of.
pub(crate) fn strikes(prover: &Prover, now: crowdfold_sched::Millis) -> u32 {
    let is_recent = now.since(prover.suspended_until) <= crowdfold_sched::limits::OFFENCE_MS;
    if is_recent { prover.strikes } else { 0 }
}

/// Why a connection ends that is not the protocol's business.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("the socket: {0}")]
    Socket(#[from] axum::Error),
    #[error("frames were not taken for {MAX_QUEUE_AGE_MS} ms")]
    Slow,
    #[error("the store: {0}")]
    Store(#[from] StoreError),
    #[error("the prover can't be written down")]
    Unregistered,
    #[error("the coordinator is stopping")]
    Stopping,
    #[error("it was closed")]
    Closed,
}

/// What a prover is told for whose proofs there is no room.
const NO_ROOM: &str = "there is no room for proofs now: keep yours, and connect again later";

/// A client that does not offer the protocol.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("provers speak the WebSocket subprotocol `{SUBPROTOCOL}`: update the software, or reload the page")]
pub struct Unspoken;

/// How often something was tried that found no room, and how long to wait for it.
#[derive(Debug)]
pub(crate) struct Tries {
    count: u32,
    wait: Duration,
}

impl Tries {
    pub(crate) fn new() -> Self {
        Self { count: 0, wait: ROOM_WAIT }
    }

    /// Waits before the next try if there was no room. False if there is none for too long.
    ///
    /// # Errors
    /// Any other error.
    pub(crate) async fn again(&mut self, error: StoreError) -> Result<bool, StoreError> {
        let StoreError::Full { what } = error else { return Err(error) };
        self.count += 1;
        if self.count >= ROOM_TRIES {
            return Ok(false);
        }
        tracing::warn!(what, "an upload waits for room on the disk");
        sleep(self.wait).await;
        Ok(true)
    }
}

/// A segment whose inputs are being sent.
struct Open {
    job: Arc<LiveJob>,
    range: Range,
}

struct Connection {
    gateway: Arc<Gateway>,
    session: CoordinatorSession,
    link: LinkId,
    prover: Option<ProverId>,
    /// The hub's way to this connection, until the hub has it: once it drops it, the connection ends.
    orders: Option<mpsc::Sender<ToLink>>,
    segments: BTreeMap<u64, Open>,
    /// Uploads of this connection, and whether their tasks are known.
    offers: HashMap<UploadId, (Offer, bool)>,
    /// How often the bytes of those were not what their hashes say.
    damaged: HashMap<UploadId, u8>,
}

/// Answers a prover that asks for a connection, and serves it until it ends. It is counted as long.
///
/// # Errors
/// [`Unspoken`] if it does not offer the protocol.
pub fn accept(
    upgrade: WebSocketUpgrade,
    gateway: Arc<Gateway>,
    counted: Option<Arc<Counted>>,
) -> Result<Response, Unspoken> {
    let upgrade = upgrade.protocols([SUBPROTOCOL]);
    if upgrade.selected_protocol().is_none() {
        return Err(Unspoken);
    }
    let response = upgrade
        .max_message_size(MAX_FRAME_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .read_buffer_size(SOCKET_READ)
        // Frames go out one by one, as they are taken from the session.
        .write_buffer_size(0)
        .max_write_buffer_size(2 * MAX_FRAME_BYTES)
        .on_upgrade(async move |socket| {
            serve(socket, gateway).await;
            drop(counted);
        });
    Ok(response)
}

/// What a frame is that the WebSocket itself does not let through, and why; `None` if the connection is gone.
fn no_frame(error: axum::Error) -> Result<(GoodbyeCode, String), axum::Error> {
    use tungstenite::Error;
    use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;

    let error = error.into_inner();
    match error.downcast_ref() {
        Some(Error::Capacity(_)) => {
            Ok((GoodbyeCode::FrameTooLarge, format!("a frame has at most {MAX_FRAME_BYTES} bytes: {error}")))
        }
        Some(Error::Protocol(ResetWithoutClosingHandshake)) => Err(axum::Error::new(error)),
        Some(Error::Protocol(_) | Error::Utf8(_)) => Ok((GoodbyeCode::BadMessage, error.to_string())),
        _ => Err(axum::Error::new(error)),
    }
}

/// Serves a connection until it ends.
async fn serve(socket: WebSocket, gateway: Arc<Gateway>) {
    let link = gateway.link();
    let nonce = match chance::bytes() {
        Ok(nonce) => nonce,
        Err(error) => {
            tracing::error!(%error, "a connection can't be challenged");
            return;
        }
    };
    let (to, orders) = mpsc::channel(ORDERS);
    let now = Millis(gateway.clock.now().0);
    let session = CoordinatorSession::new(now, Challenge::new(nonce), gateway.origins.clone());
    let (hub, metrics) = (gateway.hub.clone(), gateway.metrics.clone());
    let (segments, offers, damaged) = (BTreeMap::new(), HashMap::new(), HashMap::new());
    let mut connection =
        Connection { gateway, session, link, prover: None, orders: Some(to), segments, offers, damaged };
    let outcome = connection.run(socket, orders).await;
    // Whether or not it could be told.
    let refused = connection.session.ended().filter(|ended| !ended.by_peer);
    if let Some(refusal) = refused.and_then(|ended| Refusal::of(ended.goodbye.code)) {
        metrics.refuse(refusal);
    }
    match outcome {
        Ok(()) => {}
        // Its prover comes again, and perhaps fails again: somebody has to look at the disk.
        Err(Broken::Store(error)) => tracing::error!(link = link.0, %error, "a connection ended"),
        Err(broken) => {
            if let Broken::Slow = broken {
                metrics.refuse(Refusal::Slow);
            }
            tracing::debug!(link = link.0, %broken, "a connection ended");
        }
    }
    // If the hub is gone, so is what it knew.
    _ = hub.send(Command::Left(link)).await;
}

impl Connection {
    fn now(&self) -> Millis {
        Millis(self.gateway.clock.now().0)
    }

    async fn run(&mut self, mut socket: WebSocket, mut orders: mpsc::Receiver<ToLink>) -> Result<(), Broken> {
        loop {
            self.pump().await?;
            while let Some(frame) = self.session.next_frame() {
                let sent = socket.send(Message::Binary(frame.into()));
                timeout(Duration::from_millis(MAX_QUEUE_AGE_MS), sent).await.map_err(|_| Broken::Slow)??;
                self.pump().await?;
            }
            if let Some(ended) = self.session.ended() {
                tracing::debug!(link = self.link.0, %ended, "a session ended");
                // It has been told why, if it listens.
                _ = timeout(Duration::from_secs(1), socket.send(Message::Close(None))).await;
                return Ok(());
            }
            let wait = Duration::from_millis(self.session.wake_at().since(self.now()));
            tokio::select! {
                message = socket.recv() => match message {
                    Some(Ok(Message::Binary(frame))) => self.frame(&frame).await?,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Text(_))) => self.end(GoodbyeCode::BadMessage, "frames are binary"),
                    Some(Ok(Message::Close(_))) | None => return Err(Broken::Closed),
                    Some(Err(error)) => {
                        let (code, text) = no_frame(error)?;
                        self.end(code, &text);
                    }
                },
                order = orders.recv() => match order {
                    Some(order) => self.order(order).await?,
                    None => return Err(Broken::Stopping),
                },
                () = sleep(wait) => {
                    // An end shows in `ended` too.
                    _ = self.session.tick(self.now());
                }
            }
        }
    }

    fn end(&mut self, code: GoodbyeCode, text: &str) {
        let now = self.now();
        self.session.goodbye(now, Goodbye { code, text: Reason::lossy(text) });
    }

    async fn tell(&self, command: Command) -> Result<(), Broken> {
        self.gateway.tell(command).await
    }

    async fn frame(&mut self, frame: &[u8]) -> Result<(), Broken> {
        let now = self.now();
        match self.session.receive(now, frame) {
            Ok(Some(Event::Chunk(chunk, state))) => self.chunk(chunk, state).await,
            Ok(Some(Event::Message(message))) => self.message(message).await,
            // An end shows in `ended` too.
            Ok(None) | Err(_) => Ok(()),
        }
    }

    async fn message(&mut self, message: FromProver) -> Result<(), Broken> {
        let link = self.link;
        match message {
            FromProver::Hello(hello) => self.hello(&hello).await,
            FromProver::Ready(ready) => {
                let number = |of: u64| u16::try_from(of).unwrap_or(u16::MAX);
                self.tell(Command::Ready(link, number(ready.tasks.get()), number(ready.merges.get()))).await
            }
            FromProver::Progress(progress) => {
                self.tell(Command::Progress(link, progress.task.0, progress.steps.get())).await
            }
            FromProver::Release(Released { task, reason, .. }) => {
                self.segments.remove(&task.0);
                let why = match reason {
                    ReleaseReason::Paused | ReleaseReason::Starved => Release::Paused,
                    ReleaseReason::Closing => Release::Closing,
                    ReleaseReason::OutOfMemory => Release::OutOfMemory,
                    ReleaseReason::Deadline => Release::Deadline,
                    ReleaseReason::Unable(why) | ReleaseReason::Failed(why) => {
                        tracing::info!(link = link.0, task = task.0, %why, "a prover failed");
                        Release::Failed
                    }
                };
                self.tell(Command::Released(link, task.0, why)).await
            }
            FromProver::Offer(offer) => self.offer(offer).await,
            // Credit, and what is wanted of merge inputs, is the session's business: `pump` sends what it allows.
            _ => Ok(()),
        }
    }

    async fn hello(&mut self, hello: &Hello) -> Result<(), Broken> {
        let (key, payout, at) = (hello.key, hello.payout, self.gateway.clock.now());
        let prover = self.gateway.register.prover(Seen { key, payout, at }).await.ok_or(Broken::Unregistered)?;
        if prover.suspended_until > at {
            let ms = prover.suspended_until.0 - at.0;
            self.end(GoodbyeCode::Suspended, &format!("bad proofs: connect again in {} s", ms / 1000 + 1));
            return Ok(());
        }
        let welcome = Welcome {
            session: SessionId(self.link.0),
            ping_interval_ms: PING_INTERVAL_MS,
            idle_limit_ms: IDLE_LIMIT_MS,
            checkpoint_interval_ms: CHECKPOINT_INTERVAL_MS,
        };
        let now = self.now();
        if self.session.send(now, welcome).is_err() {
            return Ok(());
        }
        let Some(to) = self.orders.take() else { return Ok(()) };
        self.prover = Some(prover.id);
        let said = &hello.capabilities;
        let speed = Speed(if said.rows_per_second == 0 { FIRST_SPEED } else { said.rows_per_second });
        let memory = crowdfold_sched::Bytes(said.memory_bytes);
        let strikes = strikes(&prover, at);
        let spec = ProverSpec { speed, memory, merges: said.merges, most_steps: u64::MAX, strikes };
        let link = self.link;
        self.tell(Command::Joined { link, prover: prover.id, payout, spec, to }).await
    }

    fn verdict(&mut self, upload: UploadId, outcome: Outcome) {
        let now = self.now();
        let is_open = self.offers.contains_key(&upload);
        // What counts for good ends the upload; a spare gets another verdict later.
        if is_open && !matches!(outcome, Outcome::Spare) {
            self.offers.remove(&upload);
            self.damaged.remove(&upload);
        }
        if is_open {
            // An end shows in `ended` too.
            _ = self.session.send(now, Verdict { upload, outcome });
        }
    }

    async fn offer(&mut self, offer: Offer) -> Result<(), Broken> {
        let (upload, proof) = (offer.upload, ProofId(offer.upload.0));
        let Some(prover) = self.prover else { return Ok(()) };
        let Some(range) = range(offer.first.get(), offer.steps.get()) else { return Ok(()) };
        self.offers.insert(upload, (offer.clone(), true));
        let known = self.gateway.storage.store.proof(proof).await?;
        if known.as_ref().is_some_and(|known| known.prover != prover) {
            self.of_another(upload);
            return Ok(());
        }
        if let Some(known) = known
            && let Some(verdict) =
                known.verdict.filter(|verdict| !matches!(verdict, crowdfold_sched::Verdict::Spare { .. }))
        {
            self.verdict(upload, crate::hub::outcome(verdict, known.range, known.reason.as_deref()));
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        let offered = Offered { proof, task: offer.task.0, range, job: None };
        self.tell(Command::Offered(self.link, offered, answer)).await?;
        match answered.await.map_err(|_| Broken::Stopping)? {
            Answer::Verdict(outcome) => self.verdict(upload, outcome),
            Answer::Wait => {}
            Answer::Want { most, .. } if offer.bytes.get() > most => {
                self.gateway.metrics.refuse(Refusal::Oversized);
                let why =
                    format!("a proof of this program has at most {most} bytes, {} were offered", offer.bytes.get());
                self.verdict(upload, Outcome::Refused(Reason::lossy(&why)));
            }
            Answer::Want { is_known, .. } => {
                self.offers.insert(upload, (offer.clone(), is_known));
                self.want(UploadKey { prover, proof }, &offer).await?;
            }
        }
        Ok(())
    }

    /// A proof is the work of one prover, who is bound into it.
    fn of_another(&mut self, upload: UploadId) {
        self.gateway.metrics.refuse(Refusal::Proof);
        self.verdict(upload, Outcome::Refused(Reason::lossy("another prover has handed in this proof")));
    }

    /// Asks for what is missing of an upload.
    async fn want(&mut self, key: UploadKey, offer: &Offer) -> Result<(), Broken> {
        let mut receiver = UploadReceiver::new(offer.upload, offer.bytes.get());
        let spool = self.gateway.storage.spool.clone();
        if spool.stored(key).is_some() {
            let filled = Arc::new(std::sync::Mutex::new(receiver));
            let into = Arc::clone(&filled);
            let resume = move |bytes: &[u8]| {
                into.lock().unwrap_or_else(std::sync::PoisonError::into_inner).resume(bytes);
            };
            spool.read(key, resume).await?;
            receiver = match Arc::try_unwrap(filled) {
                Ok(receiver) => receiver.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner),
                Err(_) => return Err(Broken::Closed),
            };
        }
        match receiver.state() {
            ChunkState::Complete => return self.complete(key, offer).await,
            ChunkState::Corrupt => {
                spool.forget(key).await?;
                receiver = UploadReceiver::new(offer.upload, offer.bytes.get());
            }
            ChunkState::More => {}
        }
        let now = self.now();
        match self.session.want(now, receiver) {
            Ok(()) | Err(SendError::Ended(_)) => Ok(()),
            Err(refused) => {
                tracing::warn!(link = self.link.0, %refused, "an upload can't be asked for");
                Ok(())
            }
        }
    }

    async fn chunk(&mut self, chunk: Chunk, state: ChunkState) -> Result<(), Broken> {
        let (Some(prover), Some((offer, _))) = (self.prover, self.offers.get(&chunk.upload).cloned()) else {
            return Ok(());
        };
        let key = UploadKey { prover, proof: ProofId(chunk.upload.0) };
        if state == ChunkState::Corrupt {
            self.gateway.metrics.refuse(Refusal::Upload);
            self.gateway.storage.spool.forget(key).await?;
            let times = self.damaged.entry(chunk.upload).or_default();
            *times += 1;
            if *times > MAX_RESTARTS {
                let why = "the bytes are not those of the hash that was offered";
                self.verdict(chunk.upload, Outcome::Refused(Reason::lossy(why)));
                return Ok(());
            }
            return self.want(key, &offer).await;
        }
        let bytes = bytes::Bytes::from(chunk.bytes.into_vec());
        let (spool, offset) = (&self.gateway.storage.spool, chunk.offset.get());
        let mut tries = Tries::new();
        let end = loop {
            match spool.append(key, offset, bytes.clone()).await {
                Ok(end) => break end,
                Err(error) => {
                    if !tries.again(error).await? {
                        self.end(GoodbyeCode::Full, NO_ROOM);
                        return Ok(());
                    }
                }
            }
        };
        if state == ChunkState::Complete {
            // Its prover may forget it once it hears that all of it is safe, so it has to be on record before.
            self.complete(key, &offer).await?;
        }
        if let Ok(bytes) = Within::new(end) {
            let now = self.now();
            // An end shows in `ended` too.
            _ = self.session.send(now, Stored { upload: chunk.upload, bytes });
        }
        Ok(())
    }

    /// All of an upload is there.
    async fn complete(&mut self, key: UploadKey, offer: &Offer) -> Result<(), Broken> {
        let storage = &self.gateway.storage;
        let mut tries = Tries::new();
        let stored = loop {
            match storage.spool.finish(key, &storage.blobs).await {
                Ok(stored) => break stored,
                Err(error) => {
                    if !tries.again(error).await? {
                        self.end(GoodbyeCode::Full, NO_ROOM);
                        return Ok(());
                    }
                }
            }
        };
        let Some(range) = range(offer.first.get(), offer.steps.get()) else { return Ok(()) };
        let is_known = self.offers.get(&offer.upload).is_none_or(|(_, is_known)| *is_known);
        let job = if is_known { None } else { self.job_of(key.proof, range).await? };
        let offered = Offered { proof: key.proof, task: offer.task.0, range, job };
        if !self.gateway.hand_in(self.link, key.prover, offered, stored).await? {
            self.of_another(offer.upload);
        }
        // Once it is on record the partial upload has no use.
        Ok(self.gateway.storage.spool.forget(key).await?)
    }

    /// The open job that a proof names and whose state it starts from: batches of a sequence share a name. Nothing else
    /// in it is looked at, and it may be of any program.
    async fn job_of(&self, proof: ProofId, range: Range) -> Result<Option<JobId>, Broken> {
        let storage = &self.gateway.storage;
        let bytes = storage.blobs.proof(proof).await?;
        let catalog = self.gateway.catalog.clone();
        let read = move || {
            let read = |entry: &Arc<Entry>| {
                let proof = RangeProof::from_bytes(&entry.parameters, &bytes).ok()?;
                Some((*proof.job(), entry.parameters.prover().step().encode_state(proof.start())))
            };
            catalog.entries().find_map(read)
        };
        // If nothing can be made of it, nobody needs it.
        let Some((name, start)) = tokio::task::spawn_blocking(read).await.unwrap_or_default() else { return Ok(None) };
        for job in storage.store.open_jobs_named(&name).await? {
            let is_within = range.end().0 <= job.data.steps();
            if is_within && job.data.state(&storage.blobs, range.start().0).await? == start {
                return Ok(Some(job.id()));
            }
        }
        Ok(None)
    }

    async fn order(&mut self, order: ToLink) -> Result<(), Broken> {
        match order {
            ToLink::Segment { task, job, range, soft, hard } => self.segment(task, job, range, soft.0, hard.0).await?,
            ToLink::Merge { task, job, parts, deadline } => self.merge(task, &job, parts, deadline.0).await?,
            ToLink::Cancel { task, reason } => {
                self.segments.remove(&task);
                let (now, task) = (self.now(), TaskId(task));
                if self.session.open_tasks().any(|open| open == task) {
                    // An end shows in `ended` too.
                    _ = self.session.send(now, Cancel { task, reason });
                }
            }
            ToLink::Verdict { upload, outcome } => self.verdict(upload, outcome),
            ToLink::Goodbye { code, text } => self.end(code, &text),
        }
        Ok(())
    }

    async fn segment(
        &mut self,
        task: u64,
        job: Arc<LiveJob>,
        range: Range,
        soft: u64,
        hard: u64,
    ) -> Result<(), Broken> {
        let state = job.data.state(&self.gateway.storage.blobs, range.start().0).await?;
        let now = self.now();
        let ms = |at: u64| u32::try_from(at.saturating_sub(now.0)).unwrap_or(u32::MAX);
        let parts = (
            Within::new(range.start().0),
            Within::new(range.steps()),
            Text::new(job.stored.program.clone()),
            Bytes::new(state.to_vec()),
        );
        let (Ok(first), Ok(steps), Ok(program), Ok(start)) = parts else {
            tracing::error!(job = %job.stored.id(), "a job can't be handed out");
            return self.tell(Command::Released(self.link, task, Release::Failed)).await;
        };
        let (name, parameters) = (job.stored.name, job.stored.parameters);
        let (soft_ms, hard_ms) = (ms(soft), ms(hard));
        let segment =
            Segment { task: TaskId(task), job: name, program, parameters, first, steps, start, soft_ms, hard_ms };
        match self.session.send(now, segment) {
            Ok(()) => _ = self.segments.insert(task, Open { job, range }),
            Err(SendError::Ended(_)) => {}
            Err(refused) => {
                tracing::warn!(link = self.link.0, %refused, "a segment can't be handed out");
                self.tell(Command::Released(self.link, task, Release::Paused)).await?;
            }
        }
        Ok(())
    }

    async fn merge(&mut self, task: u64, job: &LiveJob, parts: [(ProofId, u64); 2], until: u64) -> Result<(), Broken> {
        let blob =
            |(proof, bytes): (ProofId, u64)| Some(Blob { upload: UploadId(proof.0), bytes: Within::new(bytes).ok()? });
        let now = self.now();
        let ms = u32::try_from(until.saturating_sub(now.0)).unwrap_or(u32::MAX);
        let sent = match (blob(parts[0]), blob(parts[1]), Text::new(job.stored.program.clone())) {
            (Some(left), Some(right), Ok(program)) => {
                let (job, parameters) = (job.stored.name, job.stored.parameters);
                let (task, right) = (TaskId(task), Some(right));
                let merge = Merge { task, job, program, parameters, left, right, soft_ms: ms, hard_ms: ms };
                self.session.send(now, merge).is_ok()
            }
            _ => false,
        };
        // A proof goes to a prover once on a connection, so this can be refused.
        if sent { Ok(()) } else { self.tell(Command::Released(self.link, task, Release::Failed)).await }
    }

    /// Queues as much of inputs and merge inputs as credit, windows and the queue allow.
    async fn pump(&mut self) -> Result<(), Broken> {
        let blobs = &self.gateway.storage.blobs;
        let now = self.now();
        let mut over = Vec::new();
        for (&name, open) in &self.segments {
            let task = TaskId(name);
            loop {
                let Some((credit, next)) = self.session.credit_left(task) else {
                    over.push(name);
                    break;
                };
                let (from, to) = (open.range.start().0 + next, open.range.end().0);
                if from >= to {
                    over.push(name);
                    break;
                }
                if credit <= INPUT_OVERHEAD_BYTES as u64 || self.session.queued_bytes() > 0 {
                    break;
                }
                let inputs = open.job.data.inputs(blobs, from..to, credit.min(READ)).await?;
                let list = InputList::fill(&mut inputs.iter().map(|input| &input[..]).peekable(), credit);
                let (Ok(Some(inputs)), Ok(index)) = (list, Within::new(next)) else { break };
                if self.session.send(now, Inputs { task, index, inputs }).is_err() {
                    break;
                }
            }
        }
        over.into_iter().for_each(|task| _ = self.segments.remove(&task));
        while self.session.queued_bytes() == 0
            && let Some((upload, part)) = self.session.next_chunk()
        {
            let bytes = blobs.proof_part(ProofId(upload.0), part.clone()).await?;
            let (Ok(offset), Ok(bytes)) = (Within::new(part.start), Bytes::new(bytes.to_vec())) else { break };
            if self.session.send(now, Chunk { upload, offset, bytes }).is_err() {
                break;
            }
        }
        Ok(())
    }
}

const _: () = assert!(ROOM_TRIES as u64 * ROOM_WAIT.as_secs() * 1000 < IDLE_LIMIT_MS as u64);

#[cfg(test)]
mod tests {
    use super::{ROOM_TRIES, Tries};
    use crate::store::StoreError;
    use std::time::Duration;

    fn full() -> StoreError {
        StoreError::Full { what: "the disk".into() }
    }

    #[tokio::test]
    async fn what_finds_no_room_is_tried_again_and_not_for_ever() {
        let mut tries = Tries { count: 0, wait: Duration::from_millis(1) };
        for _ in 1..ROOM_TRIES {
            assert!(tries.again(full()).await.expect("there may be room soon"));
        }
        assert!(!tries.again(full()).await.expect("this is no error"));
        let other = Tries::new().again(StoreError::Stopping).await;
        assert!(matches!(other, Err(StoreError::Stopping)), "{other:?}");
    }
}
