//! Merge tasks.

use crate::model::{LOADED, Model, PROGRAM, claim};
use crate::world::{JOB, World, config};
use crowdfold_prover::limits::MAX_RESTARTS;
use crowdfold_prover::{Effect, Purpose, Worked};
use crowdfold_wire::{
    Blob, Bytes, Chunk, Merge, ReleaseReason, TaskId, Text, UploadBytes, UploadId, UploadOffset, Within,
};

fn proof(start: u64, end: u64, steps: u64) -> Vec<u8> {
    let mut bytes = [start, end, steps].map(u64::to_le_bytes).concat();
    bytes.resize(1_500_000, 1);
    bytes
}

fn blob(bytes: &[u8]) -> Blob {
    Blob { upload: UploadId::of(bytes), bytes: UploadBytes::new(bytes.len() as u64).expect("within") }
}

fn merger() -> World {
    let mut config = config();
    config.ready.merges = Within::new(1).expect("one");
    let mut world = World::with(config, Model { merging: true, ..Model::new() });
    world.exchange();
    world
}

fn hand_out(world: &mut World, left: &[u8], right: &[u8]) {
    announce(world, 1, left, right);
    give(world, &[left, right], usize::MAX);
}

fn announce(world: &mut World, task: u64, left: &[u8], right: &[u8]) {
    let merge = Merge {
        task: TaskId(task),
        job: JOB,
        program: Text::new(PROGRAM).expect("short"),
        parameters: LOADED,
        left: blob(left),
        right: Some(blob(right)),
        soft_ms: 0,
        hard_ms: 1_000_000,
    };
    world.coordinator.send(world.now, merge);
    world.exchange();
}

/// Sends at most so many chunks of what the prover wants; how many there were.
fn give(world: &mut World, proofs: &[&[u8]], most: usize) -> usize {
    for sent in 0..most {
        let next = world.coordinator.session.as_ref().and_then(|session| session.next_chunk());
        let Some((upload, range)) = next else { return sent };
        let proof = proofs.iter().find(|proof| UploadId::of(proof) == upload).expect("it was announced");
        let bytes = &proof[range.start as usize..range.end as usize];
        chunk(world, upload, range.start, bytes);
    }
    most
}

fn chunk(world: &mut World, upload: UploadId, offset: u64, bytes: &[u8]) {
    let offset = UploadOffset::new(offset).expect("within");
    let bytes = Bytes::new(bytes).expect("a chunk");
    world.coordinator.send(world.now, Chunk { upload, offset, bytes });
    world.exchange();
}

#[test]
fn two_proofs_are_merged_and_delivered() {
    let mut world = merger();
    hand_out(&mut world, &proof(1, 5, 10), &proof(5, 9, 7));
    world.work_until_idle();
    let upload = *world.coordinator.verdicts.keys().next().expect("a verdict");
    assert_eq!(claim(&world.coordinator.stored[&upload]), Some((1, 9, 17)));
    assert_eq!(world.coordinator.offers[&upload].steps.get(), 17);
    assert!(world.coordinator.released.is_empty() && world.storage.is_empty());
}

#[test]
fn proofs_that_do_not_fit_are_handed_back() {
    let mut world = merger();
    hand_out(&mut world, &proof(1, 5, 10), &proof(6, 9, 7));
    world.work_until_idle();
    assert!(matches!(&world.coordinator.released[..], [release] if matches!(release.reason, ReleaseReason::Failed(_))));
}

#[test]
fn a_merge_goes_on_beside_a_segment() {
    let mut world = merger();
    hand_out(&mut world, &proof(1, 5, 10), &proof(5, 9, 7));
    world.assign(2, 0, 20);
    world.work_until_idle();
    assert_eq!(world.coordinator.verdicts.len(), 2);
}

#[test]
fn a_merge_beyond_the_memory_is_handed_back() {
    let mut config = config();
    config.ready.merges = Within::new(1).expect("one");
    config.held_bytes = 5_000_000;
    let mut world = World::with(config, Model { merging: true, ..Model::new() });
    world.exchange();
    hand_out(&mut world, &proof(1, 5, 10), &proof(5, 9, 7));
    assert!(matches!(&world.coordinator.released[..], [release] if release.reason == ReleaseReason::OutOfMemory));
}

#[test]
fn merging_asks_for_its_own_parameters() {
    let mut world = merger();
    world.prover.engine_mut().merging = false;
    hand_out(&mut world, &proof(1, 5, 10), &proof(5, 9, 7));
    let asked = |effect: &Effect| matches!(effect, Effect::NeedParameters { purpose: Purpose::Merge, .. });
    assert!(world.effects.iter().any(asked));
    world.prover.parameters(world.now, LOADED, Purpose::Merge, Ok(&LOADED.0));
    world.work_until_idle();
    assert_eq!(world.coordinator.verdicts.len(), 1);
}

#[test]
fn damaged_inputs_are_asked_for_again() {
    for damaged in [1, MAX_RESTARTS, MAX_RESTARTS + 1] {
        let (left, right) = (proof(1, 5, 10), proof(5, 9, 7));
        let mut world = merger();
        announce(&mut world, 1, &left, &right);
        for _ in 0..damaged {
            // The left one goes first, and is only known to be damaged when all of it has come.
            while let Some((upload, range)) = next_of(&world, &left) {
                let mut bytes = left[range.start as usize..range.end as usize].to_vec();
                bytes[0] ^= u8::from(range.start == 0);
                chunk(&mut world, upload, range.start, &bytes);
                if range.end == left.len() as u64 {
                    break;
                }
            }
        }
        let is_given_up = damaged > MAX_RESTARTS;
        assert_eq!(world.coordinator.released.len(), usize::from(is_given_up));
        give(&mut world, &[&left, &right], usize::MAX);
        world.work_until_idle();
        assert_eq!(world.coordinator.verdicts.len(), usize::from(!is_given_up));
        let is_failure = |reason: &ReleaseReason| matches!(reason, ReleaseReason::Failed(_));
        assert!(world.coordinator.released.iter().all(|release| is_failure(&release.reason)));
        assert_eq!(world.prover.status().waiting, 0);
    }
}

/// The next bytes of a proof, if it is what goes next.
fn next_of(world: &World, proof: &[u8]) -> Option<(UploadId, std::ops::Range<u64>)> {
    let next = world.coordinator.session.as_ref().and_then(|session| session.next_chunk());
    next.filter(|(upload, _)| *upload == UploadId::of(proof))
}

#[test]
fn a_break_ends_a_merge_and_another_connection_gets_it_anew() {
    let (left, right) = (proof(1, 5, 10), proof(5, 9, 7));
    let all = {
        let mut world = merger();
        announce(&mut world, 1, &left, &right);
        give(&mut world, &[&left, &right], usize::MAX)
    };
    assert!(all > 4);
    // Before, amid and after its inputs, and when it was tried once.
    for (given, tries) in [(0, 0), (2, 0), (all - 1, 0), (all, 0), (all, 1)] {
        let mut world = merger();
        world.prover.engine_mut().hiccups = 1;
        announce(&mut world, 1, &left, &right);
        assert_eq!(give(&mut world, &[&left, &right], given), given);
        for _ in 0..tries {
            assert_eq!(world.prover.work(world.now, &mut world.rng), Worked::Merged);
        }
        assert_eq!(world.prover.status().waiting, 1);
        world.disconnect();
        assert_eq!(world.prover.status().waiting, 0);
        assert_eq!(world.prover.work(world.now, &mut world.rng), Worked::Idle);
        world.turns(50);
        assert!(world.coordinator.offers.is_empty() && world.coordinator.released.is_empty());
        announce(&mut world, 2, &left, &right);
        assert_eq!(give(&mut world, &[&left, &right], usize::MAX), all, "nothing of the first time is left");
        world.work_until_idle();
        assert!(world.coordinator.offers.values().all(|offer| offer.task == TaskId(2)));
        assert_eq!(world.coordinator.verdicts.len(), 1);
    }
}

#[test]
fn a_merged_proof_outlives_a_break() {
    let mut world = merger();
    hand_out(&mut world, &proof(1, 5, 10), &proof(5, 9, 7));
    world.line = Some(1_000);
    assert_eq!(world.turn(), Worked::Merged);
    assert!(world.coordinator.verdicts.is_empty() && world.storage.len() == 1);
    world.disconnect();
    world.line = None;
    world.turns(50);
    assert_eq!(world.coordinator.verdicts.len(), 1);
    assert!(world.storage.is_empty());
}
