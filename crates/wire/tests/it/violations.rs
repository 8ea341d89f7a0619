//! Every rule that a peer can break, with its own code.

use crate::common::{Pair, T0, code};
use crate::samples::{challenge, chunk, hello, inputs, merge, offer, segment, stored, welcome};
use crowdfold_wire::GoodbyeCode as Code;
use crowdfold_wire::limits::{
    INITIAL_CREDIT_BYTES, MAX_CREDIT_BYTES, MAX_FRAME_BYTES, MAX_RESTARTS, MAX_UPLOADS, MESSAGE_BURST,
    UPLOAD_WINDOW_BYTES,
};
use crowdfold_wire::{
    Cancel, CancelReason, Chunk, Credit, FromCoordinator, FromProver, Inputs, Outcome, Ping, Pong, Progress, Release,
    ReleaseReason, TaskId, UploadId, UploadReceiver, Verdict, Want, Within,
};

const PROOF: &[u8] = b"a range proof";

/// An open connection with segment 1 (four steps, one input sent) and merge 2 under way.
fn busy() -> Pair {
    let mut pair = Pair::open(2);
    pair.coordinator.send(T0, segment(1, 4)).expect("there is room");
    let inputs = Inputs { task: TaskId(1), index: Within::new(0).expect("0"), inputs: inputs(&[b"input"]) };
    pair.coordinator.send(T0, inputs).expect("within the credit");
    pair.coordinator.send(T0, merge(2, b"left", None)).expect("there is room");
    pair.carry_to_prover();
    pair
}

/// An open connection with an upload of which two chunks may come.
fn uploading() -> (Pair, UploadId, Vec<u8>) {
    let mut pair = busy();
    let proof = vec![3; 2 << 20];
    pair.prover.send(T0, offer(1, 1000, 1, &proof)).expect("the first step");
    pair.carry_to_coordinator();
    let upload = UploadId::of(&proof);
    pair.coordinator.want(T0, UploadReceiver::new(upload, proof.len() as u64)).expect("it was offered");
    pair.carry_to_prover();
    (pair, upload, proof)
}

#[test]
fn frames() {
    for (frame, expected) in [
        (vec![9; MAX_FRAME_BYTES + 1], Code::FrameTooLarge),
        (vec![], Code::BadMessage),
        (vec![200], Code::BadMessage),
        (vec![11, 1], Code::BadMessage),
    ] {
        assert_eq!(code(busy().coordinator.receive(T0, &frame)), expected);
        assert_eq!(code(busy().prover.receive(T0, &frame)), expected);
    }
}

#[test]
fn order() {
    assert_eq!(busy().forged_by_prover(hello()), Code::OutOfOrder);
    assert_eq!(busy().forged_by_coordinator(challenge()), Code::OutOfOrder);
    assert_eq!(busy().forged_by_coordinator(welcome()), Code::OutOfOrder);
    assert_eq!(Pair::greeted().forged_by_prover(hello()), Code::OutOfOrder);
    assert_eq!(Pair::greeted().forged_by_prover(Ping { number: 1 }), Code::OutOfOrder);
    assert_eq!(Pair::greeted().forged_by_coordinator(segment(1, 1)), Code::OutOfOrder);
}

#[test]
fn pongs() {
    assert_eq!(busy().forged_by_prover(Pong { number: 1 }), Code::UnexpectedPong);
    assert_eq!(busy().forged_by_coordinator(Pong { number: 0 }), Code::UnexpectedPong);
}

#[test]
fn floods() {
    let mut pair = busy();
    let progress = FromProver::from(Progress { task: TaskId(1), steps: Within::new(1).expect("one") }).encode();
    let came = (0..).take_while(|_| pair.coordinator.receive(T0, &progress).is_ok()).count() as u64;
    // Hello and Ready came before.
    assert_eq!(came, MESSAGE_BURST - 2);
    assert_eq!(pair.coordinator.ended().map(|ended| ended.goodbye.code), Some(Code::TooManyMessages));
}

#[test]
fn tasks_of_coordinators() {
    assert_eq!(busy().forged_by_coordinator(segment(2, 1)), Code::DuplicateTask);
    assert_eq!(busy().forged_by_coordinator(segment(3, 1)), Code::TooManyTasks);
    assert_eq!(busy().forged_by_coordinator(merge(2, b"x", None)), Code::DuplicateTask);
    assert_eq!(busy().forged_by_coordinator(merge(3, b"x", None)), Code::TooManyTasks);
    let cancel = |task| Cancel { task: TaskId(task), reason: CancelReason::Covered };
    assert_eq!(busy().forged_by_coordinator(cancel(3)), Code::UnknownTask);
    let mut pair = Pair::open(3);
    pair.coordinator.send(T0, merge(1, b"x", None)).expect("there is room");
    pair.carry_to_prover();
    assert_eq!(pair.forged_by_coordinator(merge(2, b"y", Some(b"x"))), Code::DuplicateUpload);
}

#[test]
fn inputs_of_coordinators() {
    let frame = |task, index, bytes: &[&[u8]]| Inputs {
        task: TaskId(task),
        index: Within::new(index).expect("a few"),
        inputs: inputs(bytes),
    };
    assert_eq!(busy().forged_by_coordinator(frame(1, 0, &[b"again"])), Code::BadInputs);
    assert_eq!(busy().forged_by_coordinator(frame(1, 2, &[b"gap"])), Code::BadInputs);
    assert_eq!(busy().forged_by_coordinator(frame(1, 1, &[b"2", b"3", b"4", b"5"])), Code::BadInputs);
    assert_eq!(busy().forged_by_coordinator(frame(2, 0, &[b"of a merge"])), Code::UnknownTask);
    assert_eq!(busy().forged_by_coordinator(frame(3, 0, &[b"of none"])), Code::UnknownTask);
    let most = vec![0; 131_070];
    let mut pair = busy();
    assert!(pair.prover.receive(T0, &FromCoordinator::from(frame(1, 1, &[&most])).encode()).is_ok());
    assert_eq!(pair.forged_by_coordinator(frame(1, 2, &[&most])), Code::BeyondCredit);
}

#[test]
fn what_provers_say_of_tasks() {
    let credit = |task, bytes| Credit { task: TaskId(task), bytes };
    let progress = |task, steps| Progress { task: TaskId(task), steps: Within::new(steps).expect("a few") };
    let release = |task, kept| Release {
        task: TaskId(task),
        kept: Within::new(kept).expect("a few"),
        reason: ReleaseReason::Paused,
    };
    assert_eq!(busy().forged_by_prover(credit(1, INITIAL_CREDIT_BYTES)), Code::BadCredit);
    assert_eq!(busy().forged_by_prover(credit(1, MAX_CREDIT_BYTES + 9 + 1)), Code::BadCredit);
    assert_eq!(busy().forged_by_prover(credit(1, u64::MAX)), Code::BadCredit);
    assert_eq!(busy().forged_by_prover(credit(2, 1 << 20)), Code::UnknownTask);
    assert_eq!(busy().forged_by_prover(credit(3, 1 << 20)), Code::UnknownTask);
    assert_eq!(busy().forged_by_prover(progress(1, 2)), Code::BadProgress);
    assert_eq!(busy().forged_by_prover(progress(3, 0)), Code::UnknownTask);
    let mut pair = busy();
    assert!(pair.coordinator.receive(T0, &FromProver::from(progress(1, 1)).encode()).is_ok());
    assert_eq!(pair.forged_by_prover(progress(1, 0)), Code::BadProgress);
    assert_eq!(busy().forged_by_prover(release(1, 2)), Code::BadProgress);
    assert_eq!(busy().forged_by_prover(release(2, 1)), Code::BadProgress);
    assert_eq!(busy().forged_by_prover(release(3, 0)), Code::UnknownTask);
}

#[test]
fn offers() {
    assert_eq!(busy().forged_by_prover(offer(1, 1000, 2, PROOF)), Code::BadRange);
    assert_eq!(busy().forged_by_prover(offer(1, 999, 1, PROOF)), Code::BadRange);
    let (mut pair, _, proof) = uploading();
    assert_eq!(pair.forged_by_prover(offer(1, 1000, 1, &proof)), Code::DuplicateUpload);
    let mut pair = busy();
    for i in 0..MAX_UPLOADS {
        pair.prover.send(T0, offer(0, 0, 1, &i.to_le_bytes())).expect("within the limit");
    }
    assert!(pair.prover.send(T0, offer(0, 0, 1, PROOF)).is_err());
    pair.carry_to_coordinator();
    assert_eq!(pair.forged_by_prover(offer(0, 0, 1, PROOF)), Code::TooManyUploads);
}

#[test]
fn chunks() {
    assert_eq!(busy().forged_by_prover(chunk(UploadId([1; 32]), 0, b"x")), Code::UnknownUpload);
    let mut pair = busy();
    pair.prover.send(T0, offer(1, 1000, 1, PROOF)).expect("the first step");
    pair.carry_to_coordinator();
    assert_eq!(pair.forged_by_prover(chunk(UploadId::of(PROOF), 0, b"x")), Code::BeyondWindow, "not wanted yet");

    let (mut pair, upload, _) = uploading();
    assert_eq!(pair.forged_by_prover(chunk(upload, 1, b"x")), Code::BadOffset, "a gap");
    let (mut pair, upload, proof) = uploading();
    let part = |at: usize| chunk(upload, at as u64, &proof[at..at + (256 << 10)]);
    for at in (0..UPLOAD_WINDOW_BYTES as usize).step_by(256 << 10) {
        assert!(pair.coordinator.receive(T0, &FromProver::from(part(at)).encode()).is_ok());
    }
    assert_eq!(pair.forged_by_prover(part(1 << 20)), Code::BeyondWindow);
    let (mut pair, upload, proof) = uploading();
    let first = chunk(upload, 0, &proof[..10]);
    assert!(pair.coordinator.receive(T0, &FromProver::from(first.clone()).encode()).is_ok());
    assert_eq!(pair.forged_by_prover(first), Code::BadOffset, "again");

    let mut pair = busy();
    pair.prover.want(T0, UploadReceiver::new(UploadId::of(b"left"), 4)).expect("it was announced");
    let long: Chunk = chunk(UploadId::of(b"left"), 0, b"left and more");
    assert_eq!(pair.forged_by_coordinator(long), Code::BadOffset, "beyond the end");
}

#[test]
fn wants_and_acknowledgements() {
    let want = |upload, offset| Want { upload, offset: Within::new(offset).expect("a few") };
    assert_eq!(busy().forged_by_coordinator(want(UploadId([1; 32]), 0)), Code::UnknownUpload);
    assert_eq!(busy().forged_by_prover(want(UploadId::of(b"left"), 5)), Code::BadOffset);
    let (mut pair, upload, proof) = uploading();
    pair.prover.send(T0, chunk(upload, 0, &proof[..10])).expect("within the window");
    assert_eq!(pair.forged_by_coordinator(want(upload, 10)), Code::BadOffset, "only starting over is allowed");
    let (mut pair, upload, _) = uploading();
    for _ in 0..MAX_RESTARTS {
        assert!(pair.prover.receive(T0, &FromCoordinator::from(want(upload, 0)).encode()).is_ok());
    }
    assert_eq!(pair.forged_by_coordinator(want(upload, 0)), Code::BadOffset);
    let mut pair = busy();
    pair.prover.send(T0, offer(1, 1000, 1, PROOF)).expect("the first step");
    let all = want(UploadId::of(PROOF), PROOF.len() as u64);
    assert!(pair.prover.receive(T0, &FromCoordinator::from(all).encode()).is_ok());
    assert_eq!(pair.forged_by_coordinator(want(UploadId::of(PROOF), 0)), Code::BadOffset, "all bytes are safe");

    assert_eq!(busy().forged_by_coordinator(stored(UploadId([1; 32]), 1)), Code::UnknownUpload);
    let (mut pair, upload, proof) = uploading();
    pair.prover.send(T0, chunk(upload, 0, &proof[..10])).expect("within the window");
    assert!(pair.prover.receive(T0, &FromCoordinator::from(stored(upload, 5)).encode()).is_ok());
    assert_eq!(pair.forged_by_coordinator(stored(upload, 5)), Code::BadAcknowledgement, "not more");
    let (mut pair, upload, _) = uploading();
    assert_eq!(pair.forged_by_coordinator(stored(upload, 1)), Code::BadAcknowledgement, "not sent");
    assert_eq!(busy().forged_by_prover(stored(UploadId::of(b"left"), 1)), Code::BadAcknowledgement, "not sent");
}

#[test]
fn verdicts() {
    let verdict = |upload| Verdict { upload, outcome: Outcome::Spare };
    assert_eq!(busy().forged_by_coordinator(verdict(UploadId([1; 32]))), Code::UnknownUpload);
    let (mut pair, upload, _) = uploading();
    assert!(pair.prover.receive(T0, &FromCoordinator::from(verdict(upload)).encode()).is_ok());
    assert_eq!(pair.forged_by_coordinator(verdict(upload)), Code::UnknownUpload, "it is final");
}
