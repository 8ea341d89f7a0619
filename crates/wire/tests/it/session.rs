//! What sessions let through, and what the clock does.

use crate::common::{Pair, T0, code};
use crate::samples::{chunk, goodbye, inputs, merge, offer, segment, stored, text};
use crowdfold_wire::limits::{
    IDLE_LIMIT_MS, INITIAL_CREDIT_BYTES, MAX_QUEUE_AGE_MS, MAX_UPLOADS, PING_INTERVAL_MS, STALL_LIMIT_MS,
};
use crowdfold_wire::{
    Cancel, CancelReason, ChunkState, Credit, Event, FromCoordinator, FromProver, Goodbye, GoodbyeCode, Inputs, Millis,
    Outcome, Ping, Pong, Progress, Release, ReleaseReason, SendError, TaskId, UploadId, UploadReceiver, Verdict,
    Within,
};

const PROOF: &[u8] = b"a range proof";

fn messages<M>(events: Vec<Event<M>>) -> Vec<M> {
    let message = |event| if let Event::Message(message) = event { Some(message) } else { None };
    events.into_iter().filter_map(message).collect()
}

fn input_frame(index: u64, bytes: &[&[u8]]) -> Inputs {
    Inputs { task: TaskId(1), index: Within::new(index).expect("a few"), inputs: inputs(bytes) }
}

#[test]
fn a_segment_goes_its_way() {
    let mut pair = Pair::open(1);
    pair.coordinator.send(T0, segment(1, 2)).expect("there is room");
    assert_eq!(pair.coordinator.credit_left(TaskId(1)), Some((INITIAL_CREDIT_BYTES, 0)));
    pair.coordinator.send(T0, input_frame(0, &[b"first"])).expect("it starts with credit");
    assert_eq!(pair.coordinator.credit_left(TaskId(1)), Some((INITIAL_CREDIT_BYTES - 9, 1)));
    assert_eq!(pair.carry_to_prover().len(), 2);
    pair.prover.send(T0, Credit { task: TaskId(1), bytes: INITIAL_CREDIT_BYTES + 9 }).expect("more than before");
    pair.prover.send(T0, Progress { task: TaskId(1), steps: Within::new(1).expect("one") }).expect("it has one");
    assert_eq!(pair.carry_to_coordinator().len(), 2);
    assert_eq!(pair.coordinator.credit_left(TaskId(1)), Some((INITIAL_CREDIT_BYTES, 1)));
    pair.coordinator.send(T0, input_frame(1, &[b"second"])).expect("within the credit");
    pair.carry_to_prover();

    pair.prover.send(T0, offer(1, 1000, 2, PROOF)).expect("both steps");
    assert_eq!((pair.prover.open_tasks().count(), pair.prover.next_chunk()), (0, None));
    assert_eq!(messages(pair.carry_to_coordinator()), [offer(1, 1000, 2, PROOF).into()]);
    assert_eq!(pair.coordinator.open_tasks().count(), 0);

    let upload = UploadId::of(PROOF);
    let receiver = UploadReceiver::new(upload, PROOF.len() as u64);
    pair.coordinator.want(T0, receiver).expect("it was offered");
    pair.carry_to_prover();
    assert_eq!(pair.prover.next_chunk(), Some((upload, 0..PROOF.len() as u64)));
    pair.prover.send(T0, chunk(upload, 0, PROOF)).expect("within the window");
    assert_eq!(pair.carry_to_coordinator(), [Event::Chunk(chunk(upload, 0, PROOF), ChunkState::Complete)]);
    pair.coordinator.send(T0, stored(upload, PROOF.len() as u64)).expect("it came");
    let outcome = Outcome::Accepted(Within::new(2).expect("two"));
    pair.coordinator.send(T0, Verdict { upload, outcome }).expect("it is open");
    assert_eq!(pair.carry_to_prover().len(), 2);
}

#[test]
fn a_merge_goes_its_way() {
    let mut pair = Pair::open(1);
    let (left, right) = (b"left".as_slice(), b"right".as_slice());
    pair.coordinator.send(T0, merge(1, left, Some(right))).expect("there is room");
    assert_eq!(pair.carry_to_prover().len(), 1);
    for bytes in [left, right] {
        let (upload, n) = (UploadId::of(bytes), bytes.len() as u64);
        pair.prover.want(T0, UploadReceiver::new(upload, n)).expect("it was announced");
        pair.carry_to_coordinator();
        assert_eq!(pair.coordinator.next_chunk(), Some((upload, 0..n)));
        pair.coordinator.send(T0, chunk(upload, 0, bytes)).expect("within the window");
        assert_eq!(pair.carry_to_prover(), [Event::Chunk(chunk(upload, 0, bytes), ChunkState::Complete)]);
        pair.prover.send(T0, stored(upload, n)).expect("it came");
        assert_eq!(pair.carry_to_coordinator().len(), 1);
    }
    assert_eq!(pair.coordinator.next_chunk(), None);
    pair.prover.send(T0, offer(1, 0, 4, PROOF)).expect("the merged range");
    assert_eq!(pair.carry_to_coordinator().len(), 1);
    assert_eq!((pair.prover.open_tasks().count(), pair.coordinator.open_tasks().count()), (0, 0));
    // A proof goes once; what was said about the first transfer could be under way.
    let again = pair.coordinator.send(T0, merge(2, left, None));
    assert!(matches!(again, Err(SendError::Refused(violation)) if violation.code == GoodbyeCode::DuplicateUpload));
}

/// Proofs whose names come in descending order.
fn descending() -> Vec<Vec<u8>> {
    let mut proofs: Vec<Vec<u8>> = (0..4).map(|i| vec![i; 10]).collect();
    proofs.sort_by_key(|proof| std::cmp::Reverse(UploadId::of(proof).0));
    proofs
}

#[test]
fn uploads_go_in_the_order_of_their_offers() {
    let proofs = descending();
    let names: Vec<UploadId> = proofs.iter().map(|proof| UploadId::of(proof)).collect();
    let mut pair = Pair::open(1);
    for proof in &proofs {
        pair.prover.send(T0, offer(0, 0, 1, proof)).expect("of an earlier connection");
    }
    pair.carry_to_coordinator();
    // Those that are not wanted yet hold nobody up.
    for name in names.iter().rev() {
        pair.coordinator.want(T0, UploadReceiver::new(*name, 10)).expect("it was offered");
        pair.carry_to_prover();
        assert_eq!(pair.prover.next_chunk(), Some((*name, 0..10)));
    }
    pair.prover.send(T0, chunk(names[0], 0, &proofs[0])).expect("within the window");
    assert_eq!(pair.prover.next_chunk(), Some((names[1], 0..10)));
    // What has its verdict is out of the way, all sent or not.
    pair.carry_to_coordinator();
    for name in &names[..2] {
        pair.coordinator.send(T0, Verdict { upload: *name, outcome: Outcome::Superseded }).expect("it is open");
    }
    pair.carry_to_prover();
    assert_eq!(pair.prover.next_chunk(), Some((names[2], 0..10)));
}

#[test]
fn merge_inputs_go_in_the_order_of_their_announcement() {
    let proofs = descending();
    let mut pair = Pair::open(2);
    pair.coordinator.send(T0, merge(1, &proofs[0], Some(&proofs[1]))).expect("there is room");
    pair.coordinator.send(T0, merge(2, &proofs[2], Some(&proofs[3]))).expect("there is room");
    pair.carry_to_prover();
    for proof in proofs.iter().rev() {
        pair.prover.want(T0, UploadReceiver::new(UploadId::of(proof), 10)).expect("it was announced");
    }
    pair.carry_to_coordinator();
    for proof in &proofs {
        let name = UploadId::of(proof);
        assert_eq!(pair.coordinator.next_chunk(), Some((name, 0..10)));
        pair.coordinator.send(T0, chunk(name, 0, proof)).expect("within the window");
    }
}

#[test]
fn a_prover_knows_what_is_stored() {
    let upload = UploadId::of(PROOF);
    for resumed in [0, PROOF.len()] {
        let mut pair = Pair::open(1);
        assert!(!pair.prover.is_stored(upload) && pair.prover.offers_left() == MAX_UPLOADS);
        pair.prover.send(T0, offer(0, 0, 1, PROOF)).expect("of an earlier connection");
        assert!(!pair.prover.is_stored(upload) && pair.prover.offers_left() == MAX_UPLOADS - 1);
        pair.carry_to_coordinator();
        let mut receiver = UploadReceiver::new(upload, PROOF.len() as u64);
        receiver.resume(&PROOF[..resumed]);
        pair.coordinator.want(T0, receiver).expect("it was offered");
        pair.carry_to_prover();
        if resumed == 0 {
            pair.prover.send(T0, chunk(upload, 0, PROOF)).expect("within the window");
            pair.carry_to_coordinator();
            pair.coordinator.send(T0, stored(upload, 5)).expect("it came");
            pair.carry_to_prover();
            assert!(!pair.prover.is_stored(upload));
            pair.coordinator.send(T0, stored(upload, PROOF.len() as u64)).expect("it came");
            pair.carry_to_prover();
        }
        assert!(pair.prover.is_stored(upload) && pair.prover.next_chunk().is_none());
        pair.coordinator.send(T0, Verdict { upload, outcome: Outcome::Superseded }).expect("it is open");
        pair.carry_to_prover();
        assert!(!pair.prover.is_stored(upload) && pair.prover.offers_left() == MAX_UPLOADS);
    }
}

/// A prover may get its own proof back to merge it, even before its verdict.
#[test]
fn one_proof_goes_both_ways() {
    let mut pair = Pair::open(1);
    pair.prover.send(T0, offer(0, 0, 1, PROOF)).expect("of an earlier connection");
    pair.carry_to_coordinator();
    pair.coordinator.send(T0, merge(1, PROOF, None)).expect("the other way");
    pair.carry_to_prover();
    let receiver = UploadReceiver::new(UploadId::of(PROOF), PROOF.len() as u64);
    pair.coordinator.want(T0, receiver.clone()).expect("it was offered");
    pair.prover.want(T0, receiver).expect("it was announced");
    pair.carry_to_prover();
    pair.carry_to_coordinator();
    assert!(pair.prover.next_chunk().is_some() && pair.coordinator.next_chunk().is_some());
}

/// Whatever was under way when a task or an upload ended is nobody's fault.
#[test]
fn what_crosses_an_end_is_ignored() {
    let mut pair = Pair::open(2);
    pair.coordinator.send(T0, segment(1, 2)).expect("there is room");
    pair.coordinator.send(T0, merge(2, b"left", None)).expect("there is room");
    pair.coordinator.send(T0, input_frame(0, &[b"a"])).expect("within the credit");
    pair.carry_to_prover();
    let left = UploadId::of(b"left");
    pair.prover.want(T0, UploadReceiver::new(left, 4)).expect("it was announced");
    pair.prover.send(T0, offer(0, 0, 1, PROOF)).expect("of an earlier connection");
    pair.carry_to_coordinator();
    let upload = UploadId::of(PROOF);
    pair.coordinator.want(T0, UploadReceiver::new(upload, PROOF.len() as u64)).expect("it was offered");
    pair.carry_to_prover();

    // Each end ends something while the other goes on.
    pair.coordinator.send(T0, input_frame(1, &[b"b"])).expect("within the credit");
    pair.coordinator.send(T0, chunk(left, 0, b"left")).expect("within the window");
    pair.coordinator.send(T0, Verdict { upload, outcome: Outcome::NotNeeded }).expect("it is open");
    let release = |task, kept| Release {
        task: TaskId(task),
        kept: Within::new(kept).expect("a few"),
        reason: ReleaseReason::Failed(text("oops")),
    };
    pair.prover.send(T0, release(1, 1)).expect("it is open");
    pair.prover.send(T0, release(2, 0)).expect("it is open");
    pair.prover.send(T0, chunk(upload, 0, PROOF)).expect("within the window");
    assert_eq!(messages(pair.carry_to_coordinator()), [release(1, 1).into(), release(2, 0).into()]);
    assert_eq!(messages(pair.carry_to_prover()), [Verdict { upload, outcome: Outcome::NotNeeded }.into()]);

    pair.coordinator.send(T0, segment(3, 2)).expect("both ended");
    pair.coordinator.send(T0, merge(4, b"another", None)).expect("both ended");
    pair.carry_to_prover();
    let another = UploadId::of(b"another");
    pair.prover.send(T0, Progress { task: TaskId(3), steps: Within::new(0).expect("none") }).expect("it is open");
    pair.prover.send(T0, Credit { task: TaskId(3), bytes: 1 << 20 }).expect("it is open");
    pair.prover.want(T0, UploadReceiver::new(another, 7)).expect("it was announced");
    for task in [3, 4] {
        let reason = CancelReason::JobEnded;
        pair.coordinator.send(T0, Cancel { task: TaskId(task), reason }).expect("it is open");
    }
    assert_eq!(pair.carry_to_coordinator(), []);
    assert_eq!(pair.carry_to_prover().len(), 2);
}

#[test]
fn own_mistakes_are_refused_and_change_nothing() {
    let mut pair = Pair::open(1);
    pair.coordinator.send(T0, segment(1, 2)).expect("there is room");
    let refused = |outcome: Result<(), SendError>| match outcome {
        Err(SendError::Refused(violation)) => violation.code,
        other => panic!("expected a refusal, got {other:?}"),
    };
    let coordinator = &mut pair.coordinator;
    assert_eq!(refused(coordinator.send(T0, segment(1, 2))), GoodbyeCode::DuplicateTask);
    assert_eq!(refused(coordinator.send(T0, segment(2, 2))), GoodbyeCode::TooManyTasks);
    assert_eq!(refused(coordinator.send(T0, input_frame(1, &[b"b"]))), GoodbyeCode::BadInputs);
    assert_eq!(refused(coordinator.send(T0, stored(UploadId([1; 32]), 1))), GoodbyeCode::UnknownUpload);
    assert_eq!(refused(coordinator.send(T0, Ping { number: 1 })), GoodbyeCode::OutOfOrder);
    assert_eq!(refused(coordinator.want(T0, UploadReceiver::new(UploadId([1; 32]), 1))), GoodbyeCode::UnknownUpload);
    let long = vec![1; 60_000];
    let frame = inputs(&[&long, &long, &long, &long]);
    let first = Inputs { inputs: frame, ..input_frame(0, &[b"a"]) };
    let mut wide = Pair::open(1);
    wide.coordinator.send(T0, segment(1, 9)).expect("there is room");
    wide.coordinator.send(T0, first.clone()).expect("within the initial credit");
    let second = Inputs { index: Within::new(4).expect("4"), ..first };
    assert_eq!(refused(wide.coordinator.send(T0, second)), GoodbyeCode::BeyondCredit);
    assert!(pair.coordinator.ended().is_none() && wide.coordinator.ended().is_none());
    pair.coordinator.send(T0, input_frame(0, &[b"a"])).expect("as if nothing had been");
    assert_eq!(pair.carry_to_prover().len(), 2);
    assert_eq!(refused(Pair::greeted().prover.send(T0, Ping { number: 1 })), GoodbyeCode::OutOfOrder);
}

#[test]
fn pings_are_sent_and_answered() {
    let mut pair = Pair::open(1);
    let ping = T0.after(u64::from(PING_INTERVAL_MS));
    assert_eq!((pair.prover.wake_at(), pair.coordinator.wake_at()), (ping, ping));
    pair.prover.tick(Millis(ping.0 - 1)).expect("in time");
    assert_eq!(pair.prover.next_frame(), None);
    pair.prover.tick(ping).expect("in time");
    let frame = pair.prover.next_frame().expect("a ping");
    assert_eq!(FromProver::decode(&frame), Ok(Ping { number: 1 }.into()));
    assert_eq!(pair.coordinator.receive(ping, &frame), Ok(None));
    let frame = pair.coordinator.next_frame().expect("a pong");
    assert_eq!(FromCoordinator::decode(&frame), Ok(Pong { number: 1 }.into()));
    assert_eq!(pair.prover.receive(ping, &frame), Ok(None));
    assert_eq!(pair.prover.wake_at(), ping.after(u64::from(PING_INTERVAL_MS)));
}

#[test]
fn silence_ends_a_connection() {
    let mut pair = Pair::open(1);
    let limit = T0.after(u64::from(IDLE_LIMIT_MS));
    pair.coordinator.tick(limit).expect("in time");
    pair.coordinator.next_frame().expect("a ping");
    assert_eq!(code(pair.coordinator.tick(limit.after(1))), GoodbyeCode::Idle);
    assert_eq!(code(pair.prover.tick(limit.after(1))), GoodbyeCode::Idle);
}

#[test]
fn a_ping_is_answered_in_time_whatever_else_comes() {
    let mut pair = Pair::open(1);
    let mut now = T0.after(u64::from(PING_INTERVAL_MS));
    pair.coordinator.tick(now).expect("in time");
    pair.coordinator.next_frame().expect("a ping");
    for _ in 0..3 {
        now = now.after(u64::from(IDLE_LIMIT_MS) / 2);
        pair.coordinator.receive(now, &FromProver::from(Ping { number: 1 }).encode()).expect("no rule is broken");
        pair.coordinator.next_frame().expect("a pong");
        pair.coordinator.tick(now).expect("in time");
    }
    now = now.after(u64::from(IDLE_LIMIT_MS) / 2);
    pair.coordinator.tick(now).expect("twice the idle limit");
    assert_eq!(code(pair.coordinator.tick(now.after(1))), GoodbyeCode::NoPong);
}

#[test]
fn a_peer_that_does_not_read_is_left() {
    let mut pair = Pair::open(1);
    pair.prover.send(T0, offer(0, 0, 1, PROOF)).expect("of an earlier connection");
    pair.coordinator
        .receive(T0.after(MAX_QUEUE_AGE_MS - 20_000), &pair.prover.next_frame().expect("the offer"))
        .expect("ok");
    pair.coordinator.send(T0, segment(1, 2)).expect("there is room");
    assert!(pair.coordinator.tick(T0.after(MAX_QUEUE_AGE_MS)).is_ok());
    assert_eq!(code(pair.coordinator.tick(T0.after(MAX_QUEUE_AGE_MS + 1))), GoodbyeCode::SlowPeer);

    // Pongs pile up when the peer only writes; its messages are limited, and the queue is too.
    let mut pair = Pair::open(1);
    let ended = (0..1 << 16).find_map(|i| {
        let ping = FromProver::from(Ping { number: i }).encode();
        pair.coordinator.receive(T0.after(i * 10), &ping).err()
    });
    assert_eq!(ended.expect("it ends").goodbye.code, GoodbyeCode::SlowPeer);
}

#[test]
fn bulk_waits_for_the_transport() {
    let mut pair = Pair::open(1);
    pair.coordinator.send(T0, segment(1, 1000)).expect("there is room");
    pair.carry_to_prover();
    pair.prover.send(T0, Credit { task: TaskId(1), bytes: 4 << 20 }).expect("the most");
    pair.carry_to_coordinator();
    let long = vec![1; 100_000];
    let waits = (0..).find_map(|i| match pair.coordinator.send(T0, input_frame(i, &[&long])) {
        Ok(()) => None,
        Err(SendError::Wait { queued_bytes }) => Some((i, queued_bytes)),
        Err(other) => panic!("{other}"),
    });
    let (next, queued_bytes) = waits.expect("the queue is bounded");
    assert!(((1 << 20)..(1 << 20) + 110_000).contains(&queued_bytes));
    assert_eq!(queued_bytes, pair.coordinator.queued_bytes());
    pair.carry_to_prover();
    pair.coordinator.send(T0, input_frame(next, &[&long])).expect("the transport took frames");
}

#[test]
fn an_upload_that_stands_still_ends_the_connection() {
    let mut pair = Pair::open(1);
    pair.prover.send(T0, offer(0, 0, 1, PROOF)).expect("of an earlier connection");
    pair.carry_to_coordinator();
    pair.coordinator.want(T0, UploadReceiver::new(UploadId::of(PROOF), PROOF.len() as u64)).expect("it was offered");
    pair.carry_to_prover();
    let pongs = |pair: &mut Pair, now: Millis| {
        pair.coordinator.tick(now)?;
        while let Some(frame) = pair.coordinator.next_frame() {
            pair.prover.receive(now, &frame)?;
        }
        while let Some(frame) = pair.prover.next_frame() {
            pair.coordinator.receive(now, &frame)?;
        }
        Ok(())
    };
    for ms in (0..=STALL_LIMIT_MS).step_by(10_000) {
        pongs(&mut pair, T0.after(ms)).expect("it lives");
    }
    assert_eq!(code(pongs(&mut pair, T0.after(STALL_LIMIT_MS + 1))), GoodbyeCode::Stalled);
}

#[test]
fn goodbyes_come_last_and_end_both() {
    let mut pair = Pair::open(1);
    pair.coordinator.send(T0, segment(1, 2)).expect("there is room");
    pair.coordinator.send(T0, goodbye()).expect("any time");
    assert!(matches!(pair.coordinator.send(T0, segment(2, 2)), Err(SendError::Ended(_))));
    let frame = pair.coordinator.next_frame().expect("the segment first");
    pair.prover.receive(T0, &frame).expect("a segment");
    let frame = pair.coordinator.next_frame().expect("then the goodbye");
    let ended = pair.prover.receive(T0, &frame).expect_err("it ends");
    assert!(ended.by_peer && ended.goodbye == goodbye() && ended.goodbye.code.may_reconnect());
    assert_eq!((pair.coordinator.next_frame(), pair.prover.next_frame()), (None, None));
    assert_eq!(pair.prover.receive(T0, &frame), Err(ended.clone()));
    assert_eq!(pair.prover.tick(T0), Err(ended));
    let late = Goodbye { code: GoodbyeCode::Full, ..goodbye() };
    assert_eq!(pair.coordinator.goodbye(T0, late).goodbye, goodbye(), "the first one counts");
}
