//! Connections that come and go, storage, and the end.

use crate::model::{Model, PROOF_BYTES};
use crate::world::{STEP_MS, World, config};
use crowdfold_prover::limits::{MAX_BACKOFF_MS, MIN_BACKOFF_MS};
use crowdfold_prover::{Activity, Effect, Link, ProofInfo, RestoreError};
use crowdfold_wire::{Goodbye, GoodbyeCode, Millis, TaskId, Text};

#[test]
fn a_break_at_any_frame_loses_nothing_that_was_folded() {
    const STEPS: u64 = 180;
    let frames = {
        let mut world = World::connected();
        world.assign(1, 0, STEPS);
        world.work_until_idle();
        assert_eq!(world.coordinator.offers.len(), 2, "a check-in and the whole");
        world.frames
    };
    assert!(frames > 10);
    let mut partial = 0;
    for breaks_at in 0..frames {
        let mut world = World::new();
        world.breaks_at = Some(breaks_at);
        world.exchange();
        while world.coordinator.ready.is_none() {
            world.turn();
        }
        world.assign(1, 0, STEPS);
        world.turns(400);
        let folded = world.prover.status().totals.folded_steps;
        let covered = world.coordinator.covered();
        assert_eq!(covered.len() as u64, folded, "a break at frame {breaks_at}");
        assert_eq!(covered, (0..folded).collect());
        assert!(world.storage.is_empty() && world.prover.status().held_proofs == 0);
        partial += u64::from((1..STEPS).contains(&folded));
    }
    // Some breaks come amid the segment, and what was folded until then counts.
    assert!(partial > 0);
}

#[test]
fn what_is_stored_is_not_sent_again() {
    let mut world = World::with(config(), Model { proof_bytes: Some(3 << 20), ..Model::new() });
    world.exchange();
    world.assign(1, 0, 5);
    world.turns(5);
    // The last step is folded; the proof's twelve chunks are on their way when the connection breaks.
    world.breaks_at = Some(world.frames + 12);
    world.turns(100);
    assert_eq!(world.coordinator.covered().len(), 5);
    assert!((12..=14).contains(&world.coordinator.chunks), "{}", world.coordinator.chunks);
}

#[test]
fn proofs_wait_for_the_coordinator_within_bounds() {
    let mut config = config();
    config.held_bytes = 2 * PROOF_BYTES as u64;
    let mut world = World::with(config, Model::new());
    world.coordinator.judges = false;
    world.exchange();
    for task in 1..=2 {
        world.assign(task, 1000 * task, 50);
    }
    world.turns(150);
    let status = world.prover.status();
    assert_eq!((status.activity, status.held_proofs), (Activity::Full, 2));
    assert_eq!(world.coordinator.ready.as_ref().map(|ready| ready.tasks.get()), Some(0));
    // They are offered on the next connection, and when they are judged folding goes on.
    world.coordinator.offers.clear();
    world.disconnect();
    world.coordinator.judges = true;
    world.turns(50);
    assert_eq!(world.coordinator.offers.len(), 2);
    assert_eq!(world.prover.status().held_proofs, 0);
    assert_eq!(world.coordinator.ready.as_ref().map(|ready| ready.tasks.get()), Some(2));
}

#[test]
fn a_long_absence_finishes_what_was_folded() {
    let mut world = World::connected();
    world.assign(1, 0, 1000);
    world.turns(10);
    world.reachable = false;
    world.disconnect();
    world.turns(300);
    let status = world.prover.status();
    assert_eq!((status.activity, status.held_proofs), (Activity::Idle, 1));
    assert_eq!(world.storage.len(), 1);
    world.reachable = true;
    world.turns(1000);
    assert_eq!(world.coordinator.covered(), (0..status.totals.folded_steps).collect());
    assert!(status.totals.folded_steps > 100);
}

#[test]
fn stored_proofs_are_delivered_after_a_restart() {
    let mut world = World::connected();
    world.coordinator.judges = false;
    world.assign(1, 0, 100);
    world.assign(2, 100, 50);
    world.turns(200);
    assert_eq!(world.storage.len(), 2);
    // The page is closed without warning, and opened again.
    let (storage, tasks) = (std::mem::take(&mut world.storage), world.coordinator.tasks.clone());
    let mut world = World::new();
    world.coordinator.tasks = tasks;
    for (info, bytes) in storage.values() {
        world.prover.proof_restored(world.now, *info, bytes.clone()).expect("there is room");
    }
    world.storage = storage;
    world.exchange();
    assert_eq!(world.coordinator.covered(), (0..150).collect());
    assert!(world.storage.is_empty());
}

#[test]
fn stored_proofs_are_checked() {
    let mut world = World::new();
    let mut restore = |first, steps, bytes| {
        world.prover.proof_restored(Millis(1), ProofInfo { task: TaskId(1), first, steps }, bytes)
    };
    assert_eq!(restore(0, 1, vec![]), Err(RestoreError::Damaged));
    assert_eq!(restore(0, 0, vec![1]), Err(RestoreError::Damaged));
    assert_eq!(restore(u64::MAX, 1, vec![1]), Err(RestoreError::Damaged));
    let restored = (0..100).map(|i| restore(0, 1, vec![i])).collect::<Vec<_>>();
    assert!(restored.contains(&Ok(())) && restored.last() == Some(&Err(RestoreError::Full)));
}

#[test]
fn waits_grow_and_are_capped() {
    let mut world = World::new();
    world.reachable = false;
    let mut waits = Vec::new();
    for _ in 0..12 {
        world.exchange();
        let Link::Waiting(until) = world.prover.status().link else { panic!("it waits") };
        waits.push(until.since(world.now));
        world.now = until;
        world.prover.tick(world.now);
    }
    assert!(waits.is_sorted(), "{waits:?}");
    assert_eq!((waits[0], waits[11]), (MIN_BACKOFF_MS / 2, MAX_BACKOFF_MS / 2));
    // A connection that lasts resets them.
    world.reachable = true;
    world.turns(2 * MAX_BACKOFF_MS / STEP_MS);
    world.disconnect();
    assert_eq!(world.prover.status().link, Link::Waiting(world.now.after(MIN_BACKOFF_MS / 2)));
}

#[test]
fn a_wait_can_be_cut_short() {
    let mut world = World::new();
    world.reachable = false;
    world.exchange();
    assert!(matches!(world.prover.status().link, Link::Waiting(_)));
    world.reachable = true;
    world.exchange();
    assert!(matches!(world.prover.status().link, Link::Waiting(_)));
    world.prover.dial_now(world.now);
    world.exchange();
    assert!(matches!(world.prover.status().link, Link::Open(_)));
    // Nobody dials twice.
    world.prover.dial_now(world.now);
    assert!(matches!(world.prover.status().link, Link::Open(_)));
}

#[test]
fn a_goodbye_says_whether_to_come_back() {
    for (code, comes_back) in
        [(GoodbyeCode::Closing, true), (GoodbyeCode::Suspended, true), (GoodbyeCode::Replaced, false)]
    {
        let mut world = World::connected();
        world.coordinator.send(world.now, Goodbye { code, text: Text::lossy("go") });
        world.exchange();
        assert_eq!(matches!(world.prover.status().link, Link::Waiting(_)), comes_back);
        assert_eq!(matches!(world.prover.status().link, Link::Refused(_)), !comes_back);
        world.prover.resume(world.now);
        world.turns(MAX_BACKOFF_MS / STEP_MS);
        assert!(matches!(world.prover.status().link, Link::Open(_)));
    }
}

#[test]
fn a_stop_delivers_and_says_goodbye() {
    let mut world = World::connected();
    world.assign(1, 0, 100);
    world.turns(20);
    world.prover.stop(world.now);
    world.turns(10);
    assert_eq!(world.coordinator.covered(), (0..20).collect());
    assert_eq!(world.coordinator.goodbye.as_ref().map(|goodbye| goodbye.code), Some(GoodbyeCode::Closing));
    assert_eq!(world.prover.status().link, Link::Off);
    world.turns(MAX_BACKOFF_MS / STEP_MS);
    assert_eq!(world.effects.iter().filter(|effect| **effect == Effect::Connect).count(), 1);
}
