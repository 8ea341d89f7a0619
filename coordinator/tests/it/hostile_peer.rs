//! A prover for tests that keeps to the protocol as far as a test wants it to, and folds for real.

// What a server does is waited for, with an end.
#![allow(clippy::disallowed_methods)]

use crate::http::{ONE, PATIENCE, World, catalog};
use crowdfold_coordinator::catalog::Entry;
use crowdfold_coordinator::server::Server;
use crowdfold_fold::{Address, Context, Fr, Job, RangeProof, Segment as Chain, StepFunction as _, verify};
use crowdfold_programs::Program as _;
use crowdfold_wire::limits::{SUBPROTOCOL, VERSION};
use crowdfold_wire::{
    Bytes, Capabilities, Challenge, Chunk, FromCoordinator, FromProver, Goodbye, GoodbyeCode, Hello, HostKind, List,
    Offer, Outcome, Ping, Pong, PublicKey, Ready, Segment, SigningKey, TaskId, Text, UploadId, Within,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sha2::{Digest as _, Sha256};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::http::HeaderValue;
use tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tungstenite::{Error, Message, WebSocket};

/// Seconds that a segment should take, as a coordinator has it by default.
const TARGET_S: u64 = 120;

/// The program of these tests, with what it takes to fold and merge it.
pub(crate) fn entry() -> &'static Arc<Entry> {
    static ENTRY: OnceLock<Arc<Entry>> = OnceLock::new();
    ENTRY.get_or_init(|| Arc::clone(catalog().named(crate::http::PROGRAM).expect("it is there")))
}

pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub(crate) fn key(number: u64) -> SigningKey {
    SigningKey::from_bytes(&Sha256::digest(format!("prover {number}")).into())
}

pub(crate) fn payout(number: u64) -> Address {
    let mut address = [0xaa; 20];
    address[..8].copy_from_slice(&number.to_le_bytes());
    Address(address)
}

/// What a segment's proof is made of.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) segment: Segment,
    pub(crate) start: Vec<Fr>,
    pub(crate) inputs: Vec<Fr>,
}

impl Work {
    pub(crate) fn first(&self) -> u64 {
        self.segment.first.get()
    }

    pub(crate) fn steps(&self) -> u64 {
        self.segment.steps.get()
    }

    /// A proof of all its steps that pays the prover of that number.
    pub(crate) fn fold(&self, number: u64) -> Vec<u8> {
        fold(self.segment.job, payout(number), self.start.clone(), &self.inputs).to_bytes()
    }
}

pub(crate) fn fold(job: Job, prover: Address, start: Vec<Fr>, inputs: &[Fr]) -> RangeProof {
    let mut rng = rng(5);
    let prover_parameters = entry().parameters.prover();
    let mut chain = Chain::new(prover_parameters, Context { job, prover }, start).expect("a state");
    for input in inputs {
        // Its codec takes inputs of any program.
        let input = prover_parameters.step().decode_input(&element(input)).expect("an input");
        chain.push(&input, &mut rng).expect("it is allowed");
    }
    chain.finish(&mut rng).expect("it has steps")
}

/// As an input or a state is encoded.
fn element(value: &Fr) -> Vec<u8> {
    entry().parameters.prover().step().encode_state(&[*value])
}

/// A connection.
pub(crate) struct Peer {
    socket: WebSocket<TcpStream>,
    pub(crate) number: u64,
    pub(crate) challenge: Challenge,
    address: SocketAddr,
}

impl Peer {
    /// Connects and reads the challenge.
    pub(crate) fn dial(world: &World, number: u64) -> Self {
        let address = world.address;
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time");
        let mut request = format!("ws://{address}/v1/prove").into_client_request().expect("an address");
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        let (socket, _) = tungstenite::client(request, stream).expect("it speaks the protocol");
        let challenge = Challenge::new([0; 32]);
        let mut peer = Self { socket, number, challenge, address };
        let FromCoordinator::Challenge(challenge) = peer.message() else { panic!("the challenge comes first") };
        peer.challenge = challenge;
        peer
    }

    /// What it says of itself: that it folds so many steps in the time of a segment.
    pub(crate) fn unsigned(&self, steps: u64) -> Hello {
        Hello {
            version: VERSION,
            software: Text::new("a prover of the tests").expect("short"),
            origin: Text::new(format!("http://{}", self.address)).expect("short"),
            key: PublicKey([0; 32]),
            payout: payout(self.number),
            host: HostKind::Server,
            capabilities: Capabilities {
                memory_bytes: 4 << 30,
                threads: Within::new(1).expect("one"),
                rows_per_second: (entry().rows * steps).div_ceil(TARGET_S),
                merges: false,
            },
            cached: List::new(Vec::new()).expect("none"),
            signature: [0; 64],
        }
    }

    pub(crate) fn signed(&self, hello: Hello) -> Hello {
        hello.sign(&self.challenge, &key(self.number))
    }

    /// Connects and is let in.
    pub(crate) fn join(world: &World, number: u64, steps: u64) -> Self {
        Self::join_as(world, number, |peer| peer.unsigned(steps))
    }

    pub(crate) fn join_as(world: &World, number: u64, hello: impl FnOnce(&Self) -> Hello) -> Self {
        let mut peer = Self::dial(world, number);
        let hello = peer.signed(hello(&peer));
        peer.send(hello);
        let FromCoordinator::Welcome(_) = peer.message() else { panic!("it is not welcome") };
        peer
    }

    pub(crate) fn send(&mut self, message: impl Into<FromProver>) {
        self.raw(message.into().encode());
    }

    pub(crate) fn raw(&mut self, frame: Vec<u8>) {
        self.write(Message::Binary(frame.into()));
    }

    /// The other end may be gone: then what it said is still to be read.
    pub(crate) fn write(&mut self, message: Message) {
        _ = self.socket.send(message);
    }

    /// Bytes that are no WebSocket's.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        _ = std::io::Write::write_all(self.socket.get_mut(), bytes);
    }

    /// The next message; `None` if none comes within that time, or the connection is closed.
    pub(crate) fn next_within(&mut self, time: Duration) -> Option<FromCoordinator> {
        let until = Instant::now() + time;
        loop {
            let left = until.checked_duration_since(Instant::now())?.max(Duration::from_millis(1));
            self.socket.get_mut().set_read_timeout(Some(left)).expect("a time");
            match self.socket.read() {
                Ok(Message::Binary(frame)) => {
                    let message = FromCoordinator::decode(&frame).expect("coordinators keep the rules");
                    match message {
                        FromCoordinator::Ping(ping) => self.send(Pong { number: ping.number }),
                        message => return Some(message),
                    }
                }
                Ok(_) => {}
                Err(Error::Io(error)) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => {}
                Err(_) => return None,
            }
        }
    }

    pub(crate) fn message(&mut self) -> FromCoordinator {
        self.next_within(PATIENCE).expect("a message")
    }

    /// The first message that is wanted; others are passed over.
    pub(crate) fn until<T>(&mut self, mut wanted: impl FnMut(FromCoordinator) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(self.message()) {
                return found;
            }
        }
    }

    /// Why the connection ends. Nothing may come after it.
    pub(crate) fn goodbye(&mut self) -> Goodbye {
        let goodbye = self.until(|message| match message {
            FromCoordinator::Goodbye(goodbye) => Some(goodbye),
            _ => None,
        });
        assert_eq!(self.next_within(PATIENCE), None, "it is the last message");
        goodbye
    }

    /// It is told that the connection ends for this reason, in words.
    pub(crate) fn ends(&mut self, code: GoodbyeCode, words: &str) {
        let goodbye = self.goodbye();
        assert_eq!(goodbye.code, code, "{}", goodbye.text);
        assert!(goodbye.text.contains(words), "{} does not say `{words}`", &*goodbye.text);
    }

    /// The connection is as good as ever.
    pub(crate) fn is_alive(&mut self) {
        self.send(Ping { number: 77 });
        self.until(|message| (message == Pong { number: 77 }.into()).then_some(()));
    }

    pub(crate) fn ready(&mut self, tasks: u64, merges: u64) {
        self.send(Ready { tasks: Within::new(tasks).expect("few"), merges: Within::new(merges).expect("few") });
    }

    /// Asks for a segment, and waits for it and its inputs.
    pub(crate) fn work(&mut self) -> Work {
        self.ready(1, 0);
        let segment = self.until(|message| match message {
            FromCoordinator::Segment(segment) => Some(segment),
            _ => None,
        });
        // Only one: what comes later would be for another test.
        self.ready(0, 0);
        self.inputs(segment)
    }

    fn inputs(&mut self, segment: Segment) -> Work {
        let step = entry().parameters.prover().step();
        let start = step.decode_state(&segment.start).expect("a state");
        let mut inputs = Vec::new();
        while (inputs.len() as u64) < segment.steps.get() {
            let more = self.until(|message| match message {
                FromCoordinator::Inputs(more) if more.task == segment.task => Some(more),
                _ => None,
            });
            let decode = |bytes: &[u8]| step.decode_state(bytes).expect("inputs look like states")[0];
            inputs.extend(more.inputs.iter().map(|input| decode(input)));
        }
        Work { segment, start, inputs }
    }

    pub(crate) fn offer(&mut self, task: TaskId, first: u64, steps: u64, proof: &[u8]) -> UploadId {
        let upload = UploadId::of(proof);
        self.send(offer(upload, task, first, steps, proof.len() as u64));
        upload
    }

    pub(crate) fn chunk(&mut self, upload: UploadId, offset: u64, bytes: &[u8]) {
        let (offset, bytes) = (Within::new(offset).expect("small"), Bytes::new(bytes).expect("short"));
        self.send(Chunk { upload, offset, bytes });
    }

    /// Waits until the upload is asked for; from where on.
    pub(crate) fn wanted(&mut self, upload: UploadId) -> u64 {
        self.until(|message| match message {
            FromCoordinator::Want(want) if want.upload == upload => Some(want.offset.get()),
            FromCoordinator::Verdict(verdict) if verdict.upload == upload => panic!("{:?}", verdict.outcome),
            _ => None,
        })
    }

    pub(crate) fn verdict(&mut self, upload: UploadId) -> Outcome {
        self.until(|message| match message {
            FromCoordinator::Verdict(verdict) if verdict.upload == upload => Some(verdict.outcome),
            FromCoordinator::Goodbye(goodbye) => panic!("{goodbye:?}"),
            _ => None,
        })
    }

    /// Offers a proof and uploads what is wanted of it; its verdict.
    pub(crate) fn deliver(&mut self, task: TaskId, first: u64, steps: u64, proof: &[u8]) -> Outcome {
        let upload = self.offer(task, first, steps, proof);
        loop {
            match self.message() {
                FromCoordinator::Want(want) if want.upload == upload => {
                    let from = usize::try_from(want.offset.get()).expect("small");
                    let mut at = from;
                    for part in proof[from..].chunks(crowdfold_wire::limits::MAX_CHUNK_BYTES) {
                        self.chunk(upload, at as u64, part);
                        at += part.len();
                        let end = at as u64;
                        // One after the other keeps within every window.
                        let early = self.until(|message| match message {
                            FromCoordinator::Stored(stored) if stored.bytes.get() == end => Some(None),
                            FromCoordinator::Verdict(verdict) if verdict.upload == upload => {
                                Some(Some(verdict.outcome))
                            }
                            FromCoordinator::Goodbye(goodbye) => panic!("{goodbye:?}"),
                            _ => None,
                        });
                        if let Some(outcome) = early {
                            return outcome;
                        }
                    }
                }
                FromCoordinator::Verdict(verdict) if verdict.upload == upload => return verdict.outcome,
                FromCoordinator::Goodbye(goodbye) => panic!("{goodbye:?}"),
                _ => {}
            }
        }
    }

    /// Delivers a good proof of some work, which counts.
    pub(crate) fn proves(&mut self, work: &Work) -> Vec<u8> {
        let proof = work.fold(self.number);
        let outcome = self.deliver(work.segment.task, work.first(), work.steps(), &proof);
        assert_eq!(outcome, Outcome::Accepted(Within::new(work.steps()).expect("some")));
        proof
    }

    /// Proves what is left of a job, until it is done.
    pub(crate) fn finishes(&mut self, world: &World, job: u64) {
        let until = Instant::now() + PATIENCE;
        let path = format!("/v1/jobs/{job}");
        while world.get(&path, Some(ONE)).json()["state"] != "done" {
            assert!(Instant::now() < until, "{}", world.get(&path, Some(ONE)).json());
            self.ready(1, 0);
            match self.next_within(Duration::from_millis(100)) {
                Some(FromCoordinator::Segment(segment)) => {
                    self.ready(0, 0);
                    let work = self.inputs(segment);
                    self.proves(&work);
                }
                Some(FromCoordinator::Goodbye(goodbye)) => panic!("{goodbye:?}"),
                _ => {}
            }
        }
    }
}

/// Names the case of a table that is tried, for whom the test fails.
#[allow(clippy::print_stderr)]
pub(crate) fn trying(what: &str) {
    eprintln!("{what}");
}

pub(crate) fn offer(upload: UploadId, task: TaskId, first: u64, steps: u64, bytes: u64) -> Offer {
    let (first, steps) = (Within::new(first).expect("small"), Within::new(steps).expect("some"));
    Offer { upload, task, first, steps, bytes: Within::new(bytes).expect("small") }
}

impl World {
    /// Goes on as after a crash.
    pub(crate) fn restart(&mut self) {
        let server = self.server.take().expect("it runs");
        self.runtime.block_on(server.kill());
        let server = Server::start(self.settings.clone(), catalog());
        let server = self.runtime.block_on(server).expect("it starts again");
        self.address = server.address;
        self.server = Some(server);
    }

    /// So many more of this kind are refused by what is done, and not one more.
    pub(crate) fn counts<T>(&self, kind: &str, more: u64, done: impl FnOnce() -> T) -> T {
        let before = self.refused(kind);
        let out = done();
        let until = Instant::now() + PATIENCE;
        while self.refused(kind) < before + more && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(self.refused(kind), before + more, "{kind}");
        out
    }

    pub(crate) fn credit(&self, number: u64) -> u64 {
        let key = hex::encode(key(number).verifying_key().to_bytes());
        let reply = self.get(&format!("/v1/provers/{key}"), None);
        if reply.status == 404 { 0 } else { reply.json()["credit"].as_u64().expect("a number") }
    }

    /// The job's root proof verifies, leads to the job's end, and pays nobody but these provers for its steps.
    pub(crate) fn is_proved(&self, job: u64, by: &[u64]) {
        let shown = self.get(&format!("/v1/jobs/{job}"), Some(ONE)).json();
        assert_eq!(shown["state"], "done");
        let root = self.get(&format!("/v1/jobs/{job}/proof"), Some(ONE)).body;
        let parameters = &entry().parameters;
        let proof = RangeProof::from_bytes(parameters, &root).expect("a proof");
        verify(parameters, &proof, &mut rng(1)).expect("it verifies");
        let step = parameters.prover().step();
        assert_eq!(shown["start"], hex::encode(step.encode_state(proof.start())));
        assert_eq!(shown["end"], hex::encode(step.encode_state(proof.end())));
        assert_eq!(shown["steps"], proof.count());
        for receipt in proof.receipts() {
            assert!(by.iter().any(|&number| payout(number) == receipt.prover), "{:?}", receipt.prover);
        }
        let credited: u64 = by.iter().map(|&number| self.credit(number)).sum();
        assert_eq!(credited, proof.count() * entry().rows);
    }
}
