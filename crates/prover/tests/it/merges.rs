//! Merge tasks.

use crate::model::{LOADED, Model, PROGRAM, claim};
use crate::world::{JOB, World, config};
use crowdfold_prover::{Effect, Purpose};
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
    let merge = Merge {
        task: TaskId(1),
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
    while let Some((upload, range)) = world.coordinator.session.as_ref().and_then(|session| session.next_chunk()) {
        let bytes = if upload == UploadId::of(left) { left } else { right };
        let offset = UploadOffset::new(range.start).expect("within");
        let bytes = Bytes::new(&bytes[range.start as usize..range.end as usize]).expect("a chunk");
        world.coordinator.send(world.now, Chunk { upload, offset, bytes });
        world.exchange();
    }
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
