//! Uploads over connections that break anywhere.

use crate::common::{Pair, T0};
use crate::samples::{chunk, offer, stored};
use crowdfold_wire::limits::{MAX_CHUNK_BYTES, UPLOAD_WINDOW_BYTES};
use crowdfold_wire::{
    ChunkState, Event, FromCoordinator, FromProver, GoodbyeCode, Millis, Outcome, SendError, UploadId, UploadReceiver,
    Verdict,
};
use proptest::prelude::*;

/// What the transport does with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Carried,
    Lost,
    Twice,
    /// The connection breaks before it.
    Cut,
}

fn arb_fate() -> impl Strategy<Value = Fate> {
    prop_oneof![12 => Just(Fate::Carried), 1 => Just(Fate::Lost), 1 => Just(Fate::Twice), 1 => Just(Fate::Cut)]
}

/// A proof whose bytes all differ from their neighbours, so that a wrong offset shows.
fn proof(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i % 251) as u8 ^ (i / 251) as u8).collect()
}

/// The coordinator's storage.
#[derive(Default)]
struct Storage {
    bytes: Vec<u8>,
    verdict: bool,
    /// Bytes that came and were stored, with those that came again.
    taken: usize,
}

impl Storage {
    /// Stores and answers what came.
    fn handle(&mut self, pair: &mut Pair, event: Event<FromProver>, now: Millis) {
        match event {
            Event::Message(FromProver::Offer(offer)) => {
                let mut receiver = UploadReceiver::new(offer.upload, offer.bytes.get());
                receiver.resume(&self.bytes);
                if receiver.state() == ChunkState::Complete {
                    self.end(pair, offer.upload, now);
                } else {
                    pair.coordinator.want(now, receiver).expect("it was offered");
                }
            }
            Event::Chunk(chunk, state) => {
                assert_eq!(chunk.offset.get(), self.bytes.len() as u64);
                self.bytes.extend_from_slice(&chunk.bytes);
                self.taken += chunk.bytes.len();
                let bytes = self.bytes.len() as u64;
                pair.coordinator.send(now, stored(chunk.upload, bytes)).expect("it came");
                match state {
                    ChunkState::More => {}
                    ChunkState::Complete => self.end(pair, chunk.upload, now),
                    ChunkState::Corrupt => panic!("the transport does not change bytes"),
                }
            }
            Event::Message(other) => panic!("unexpected {other:?}"),
        }
    }

    fn end(&mut self, pair: &mut Pair, upload: UploadId, now: Millis) {
        self.verdict = true;
        pair.coordinator.send(now, Verdict { upload, outcome: Outcome::Spare }).expect("it is open");
    }
}

/// Sends what the windows allow.
fn pump(pair: &mut Pair, proof: &[u8], now: Millis) {
    while let Some((upload, range)) = pair.prover.next_chunk() {
        let bytes = &proof[range.start as usize..range.end as usize];
        pair.prover.send(now, chunk(upload, range.start, bytes)).expect("within the window");
    }
}

/// One connection until the verdict, or until it breaks. True with the verdict.
fn connection(storage: &mut Storage, proof: &[u8], fates: &mut impl Iterator<Item = Fate>) -> bool {
    let mut pair = Pair::open(1);
    pair.prover.send(T0, offer(0, 0, 1, proof)).expect("of an earlier connection");
    loop {
        let mut moved = false;
        pump(&mut pair, proof, T0);
        if let Some(frame) = pair.prover.next_frame() {
            moved = true;
            let times = match fates.next().unwrap_or(Fate::Carried) {
                Fate::Carried => 1,
                Fate::Lost => 0,
                Fate::Twice => 2,
                Fate::Cut => return false,
            };
            for _ in 0..times {
                match pair.coordinator.receive(T0, &frame) {
                    Ok(Some(event)) => storage.handle(&mut pair, event, T0),
                    Ok(None) => {}
                    Err(_) => return false,
                }
            }
        }
        if let Some(frame) = pair.coordinator.next_frame() {
            moved = true;
            let times = match fates.next().unwrap_or(Fate::Carried) {
                Fate::Carried => 1,
                Fate::Lost => 0,
                Fate::Twice => 2,
                Fate::Cut => return false,
            };
            for _ in 0..times {
                match pair.prover.receive(T0, &frame) {
                    Ok(Some(Event::Message(FromCoordinator::Verdict(_)))) => return true,
                    Ok(_) => {}
                    Err(_) => return false,
                }
            }
        }
        if !moved {
            // A frame was lost and both wait: the idle limit will end it.
            return false;
        }
    }
}

fn upload(proof: &[u8], fates: Vec<Fate>) -> Storage {
    let mut storage = Storage::default();
    let mut fates = fates.into_iter();
    for _ in 0..200 {
        if connection(&mut storage, proof, &mut fates) {
            break;
        }
    }
    assert!(storage.verdict && storage.bytes == proof, "{} of {} bytes", storage.bytes.len(), proof.len());
    storage
}

#[test]
fn an_upload_resumes_wherever_it_broke() {
    let proof = proof(3 * MAX_CHUNK_BYTES + 77);
    for cut in 0..20 {
        let mut fates = vec![Fate::Carried; cut];
        fates.push(Fate::Cut);
        let storage = upload(&proof, fates);
        assert_eq!(storage.taken, proof.len(), "what is stored is never sent again");
    }
}

#[test]
fn an_upload_resumes_at_every_offset() {
    let proof = proof(300);
    for offset in 0..=proof.len() {
        let mut storage = Storage { bytes: proof[..offset].to_vec(), ..Storage::default() };
        assert!(connection(&mut storage, &proof, &mut std::iter::empty()));
        assert_eq!((storage.bytes.len(), storage.taken), (proof.len(), proof.len() - offset));
    }
}

#[test]
fn damaged_storage_starts_over() {
    let proof = proof(300);
    let mut pair = Pair::open(1);
    pair.prover.send(T0, offer(0, 0, 1, &proof)).expect("of an earlier connection");
    pair.carry_to_coordinator();
    let upload = UploadId::of(&proof);
    let mut receiver = UploadReceiver::new(upload, 300);
    receiver.resume(&[0; 100]);
    pair.coordinator.want(T0, receiver).expect("it was offered");
    pair.carry_to_prover();
    pump(&mut pair, &proof, T0);
    assert_eq!(pair.carry_to_coordinator(), [Event::Chunk(chunk(upload, 100, &proof[100..]), ChunkState::Corrupt)]);
    let refused =
        |outcome| matches!(outcome, Err(SendError::Refused(violation)) if violation.code == GoodbyeCode::BadOffset);
    // Neither way can it be said that the damaged bytes are safe.
    assert!(pair.coordinator.send(T0, stored(upload, 300)).is_err());
    let mut receiver = UploadReceiver::new(upload, 300);
    receiver.resume(&[0; 300]);
    assert!(refused(pair.coordinator.want(T0, receiver)));
    pair.coordinator.want(T0, UploadReceiver::new(upload, 300)).expect("once more");
    pair.carry_to_prover();
    pump(&mut pair, &proof, T0);
    assert_eq!(pair.carry_to_coordinator(), [Event::Chunk(chunk(upload, 0, &proof), ChunkState::Complete)]);
}

#[test]
fn the_window_bounds_what_is_under_way() {
    let proof = proof(4 << 20);
    let mut pair = Pair::open(1);
    pair.prover.send(T0, offer(0, 0, 1, &proof)).expect("of an earlier connection");
    pair.carry_to_coordinator();
    let upload = UploadId::of(&proof);
    pair.coordinator.want(T0, UploadReceiver::new(upload, proof.len() as u64)).expect("it was offered");
    pair.carry_to_prover();
    let send = |pair: &mut Pair| {
        let mut sent = 0;
        while let Some((_, range)) = pair.prover.next_chunk() {
            let bytes = &proof[range.start as usize..range.end as usize];
            pair.prover.send(T0, chunk(upload, range.start, bytes)).expect("within the window");
            sent += range.end - range.start;
            pair.carry_to_coordinator();
        }
        sent
    };
    assert_eq!(send(&mut pair), UPLOAD_WINDOW_BYTES);
    pair.coordinator.send(T0, stored(upload, 10)).expect("it came");
    pair.carry_to_prover();
    assert_eq!(send(&mut pair), 0, "no tiny chunks");
    pair.coordinator.send(T0, stored(upload, UPLOAD_WINDOW_BYTES)).expect("it came");
    pair.carry_to_prover();
    assert_eq!(send(&mut pair), UPLOAD_WINDOW_BYTES);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Frames are lost, doubled and cut off: each time the connection breaks, the next one goes on.
    #[test]
    fn uploads_survive_any_transport(
        bytes in 1usize..5 * MAX_CHUNK_BYTES,
        fates in prop::collection::vec(arb_fate(), 0..60),
    ) {
        let proof = proof(bytes);
        let storage = upload(&proof, fates);
        prop_assert_eq!(storage.taken, bytes, "what is stored is never sent again");
    }
}
