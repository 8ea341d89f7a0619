//! Frames of the protocol between provers and the coordinator.

use crowdfold_fold::Address;
use crowdfold_wire::limits::MAX_QUEUE_BYTES;
use crowdfold_wire::{
    Capabilities, Challenge, CoordinatorSession, Event, FromCoordinator, FromProver, Hello, HostKind, List, Millis,
    ProverSession, PublicKey, PushError, PushGate, PushTask, Ready, SessionId, SigningKey, Stored, Text,
    UploadReceiver, Welcome, Within,
};

/// `FromProver::decode`: what decodes encodes to the same bytes.
///
/// # Panics
/// When it does not hold.
pub fn from_prover(data: &[u8]) {
    let Ok(message) = FromProver::decode(data) else { return };
    assert_eq!(message.encode(), data, "a prover's message has two encodings");
}

/// `FromCoordinator::decode`: what decodes encodes to the same bytes.
///
/// # Panics
/// When it does not hold.
pub fn from_coordinator(data: &[u8]) {
    let Ok(message) = FromCoordinator::decode(data) else { return };
    assert_eq!(message.encode(), data, "a coordinator's message has two encodings");
}

/// `PushTask::decode`: what decodes encodes to the same bytes, and no function takes what was not signed.
///
/// # Panics
/// When one of that does not hold.
pub fn push_task(data: &[u8]) {
    let Ok(task) = PushTask::decode(data) else { return };
    assert_eq!(task.encode(), data, "a task has two encodings");
    // The key with which the committed tasks are signed.
    let keys = [PublicKey(SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes())];
    let gate = PushGate { keys: &keys, audience: &task.audience, payout: task.payout, now_s: task.issued_s };
    let mut stranger = task.clone();
    stranger.nonce[0] ^= 1;
    let stranger = stranger.verify(&gate).expect_err("nobody signed it");
    assert!(matches!(stranger, PushError::Stranger(_) | PushError::Signature(_)), "{stranger}");
}

/// Arbitrary frames to both ends of an open connection: nothing panics, the queues stay within their limits, and an end
/// that broke off lets nothing through any more.
///
/// The input is a sequence of frames: 1 byte that says who gets it (even: the coordinator) and how much time passes
/// before it (the rest, in seconds), 1 byte for its length, and the frame. A peer's announcements are answered as a
/// caller would.
///
/// # Panics
/// When one of that does not hold.
pub fn session(data: &[u8]) {
    let (mut coordinator, mut prover) = open();
    let (mut now, mut rest) = (START, data);
    while let [head, length, tail @ ..] = rest {
        let (frame, after) = tail.split_at(tail.len().min(usize::from(*length)));
        rest = after;
        now = now.after(u64::from(head / 2) * 1000);
        if head % 2 == 0 {
            to_coordinator(&mut coordinator, now, frame);
            assert!(coordinator.queued_bytes() <= MAX_QUEUE_BYTES + 1024, "the coordinator's queue grows");
        } else {
            to_prover(&mut prover, now, frame);
            assert!(prover.queued_bytes() <= MAX_QUEUE_BYTES + 1024, "the prover's queue grows");
        }
    }
    while let Some(frame) = coordinator.next_frame() {
        FromCoordinator::decode(&frame).expect("a session sends what decodes");
    }
    while let Some(frame) = prover.next_frame() {
        FromProver::decode(&frame).expect("a session sends what decodes");
    }
}

const START: Millis = Millis(1);

fn to_coordinator(session: &mut CoordinatorSession, now: Millis, frame: &[u8]) {
    let had_ended = session.ended().is_some();
    let received = session.receive(now, frame);
    assert!(!had_ended || received.is_err(), "an ended session lets messages through");
    match received {
        Ok(Some(Event::Message(FromProver::Offer(offer)))) => {
            let receiver = UploadReceiver::new(offer.upload, offer.bytes.get());
            session.want(now, receiver).expect("an offer can be wanted");
        }
        Ok(Some(Event::Chunk(chunk, _))) => {
            let bytes = Within::new(chunk.offset.get() + chunk.bytes.len() as u64).expect("within the upload");
            // Bytes that were not the right ones are not acknowledged: there is no receiver any more.
            let _ = session.send(now, Stored { upload: chunk.upload, bytes });
        }
        _ => {}
    }
    let _ = session.tick(now);
    assert_eq!(session.tick(now).is_err(), session.ended().is_some());
}

fn to_prover(session: &mut ProverSession, now: Millis, frame: &[u8]) {
    let had_ended = session.ended().is_some();
    let received = session.receive(now, frame);
    assert!(!had_ended || received.is_err(), "an ended session lets messages through");
    match received {
        Ok(Some(Event::Message(FromCoordinator::Merge(merge)))) => {
            for blob in std::iter::once(&merge.left).chain(&merge.right) {
                let receiver = UploadReceiver::new(blob.upload, blob.bytes.get());
                session.want(now, receiver).expect("a merge input can be wanted");
            }
        }
        Ok(Some(Event::Chunk(chunk, _))) => {
            let bytes = Within::new(chunk.offset.get() + chunk.bytes.len() as u64).expect("within the input");
            let _ = session.send(now, Stored { upload: chunk.upload, bytes });
        }
        _ => {}
    }
    let _ = session.tick(now);
    assert_eq!(session.tick(now).is_err(), session.ended().is_some());
}

/// Both ends after the handshake.
fn open() -> (CoordinatorSession, ProverSession) {
    let challenge = Challenge::new([1; 32]);
    let origin = "http://localhost:8080";
    let mut coordinator = CoordinatorSession::new(START, challenge.clone(), vec![origin.into()]);
    let mut prover = ProverSession::new(START);
    let few = |n| Within::new(n).expect("a few");
    let hello = Hello {
        version: 1,
        software: Text::lossy("fuzz"),
        origin: Text::lossy(origin),
        key: PublicKey([0; 32]),
        payout: Address([1; 20]),
        host: HostKind::Server,
        capabilities: Capabilities {
            memory_bytes: 1,
            threads: Within::new(1).expect("one"),
            rows_per_second: 1,
            merges: true,
        },
        cached: List::default(),
        signature: [0; 64],
    };
    let welcome = Welcome {
        session: SessionId(1),
        ping_interval_ms: 15_000,
        idle_limit_ms: 45_000,
        checkpoint_interval_ms: 60_000,
    };
    carry(&mut coordinator, &mut prover);
    prover.send(START, hello.sign(&challenge, &SigningKey::from_bytes(&[1; 32]))).expect("it is time for Hello");
    carry(&mut coordinator, &mut prover);
    coordinator.send(START, welcome).expect("it is time for Welcome");
    carry(&mut coordinator, &mut prover);
    prover.send(START, Ready { tasks: few(4), merges: few(2) }).expect("it is open");
    carry(&mut coordinator, &mut prover);
    (coordinator, prover)
}

fn carry(coordinator: &mut CoordinatorSession, prover: &mut ProverSession) {
    while let Some(frame) = coordinator.next_frame() {
        prover.receive(START, &frame).expect("our own coordinator keeps the rules");
    }
    while let Some(frame) = prover.next_frame() {
        coordinator.receive(START, &frame).expect("our own prover keeps the rules");
    }
}
