//! Segments: what becomes of them, however they end.

use crate::model::{BAD, FATAL, LOADED, Model, PROOF_BYTES};
use crate::world::{World, config, segment};
use crowdfold_prover::{Activity, Effect, Purpose, Worked};
use crowdfold_wire::{Cancel, CancelReason, Outcome, ParametersId, ReleaseReason, TaskId, Text};

fn released(world: &World) -> Vec<(u64, ReleaseReason)> {
    world.coordinator.released.iter().map(|release| (release.kept.get(), release.reason.clone())).collect()
}

#[test]
fn a_segment_is_folded_delivered_and_credited() {
    let mut world = World::connected();
    assert_eq!(world.coordinator.ready.as_ref().map(|ready| ready.tasks.get()), Some(2));
    world.assign(1, 50, 30);
    assert_eq!(world.turn(), Worked::Step);
    assert!(matches!(world.prover.status().activity, Activity::Folding { folded: 1, steps: 30, .. }));
    world.work_until_idle();
    assert_eq!(world.coordinator.covered(), (50..80).collect());
    assert!(world.storage.is_empty() && released(&world).is_empty());
    let status = world.prover.status();
    assert_eq!((status.totals.credited_steps, status.totals.accepted, status.held_proofs), (30, 1, 0));
    assert_eq!(status.activity, Activity::Idle);
    // 100 rows in each of the steps of 100 ms.
    assert_eq!(status.rows_per_second, 1000);
    assert!(world.coordinator.progress.is_sorted() && !world.coordinator.progress.is_empty());
}

#[test]
fn folding_starts_at_the_first_input() {
    let mut world = World::connected();
    world.coordinator.sends_inputs = false;
    world.assign(1, 0, 3);
    assert_eq!(world.turn(), Worked::Idle);
    world.coordinator.sends_inputs = true;
    world.coordinator.tasks.get_mut(&TaskId(1)).expect("assigned").given = 1;
    world.exchange();
    assert_eq!(world.turn(), Worked::Step);
    assert_eq!(world.turn(), Worked::Idle);
}

#[test]
fn several_tasks_are_folded_in_order() {
    let mut world = World::connected();
    world.assign(1, 0, 10);
    world.assign(2, 10, 10);
    assert_eq!(world.prover.status().waiting, 2);
    world.turns(11);
    assert_eq!(world.coordinator.covered(), (0..10).collect());
    world.assign(3, 20, 5);
    world.work_until_idle();
    assert_eq!(world.coordinator.covered(), (0..25).collect());
}

#[test]
fn a_pause_loses_nothing() {
    let mut world = World::connected();
    world.assign(1, 0, 100);
    world.assign(2, 100, 100);
    world.turns(40);
    world.prover.pause(world.now);
    world.work_until_idle();
    assert_eq!(world.coordinator.covered(), (0..40).collect());
    let mut expected = released(&world);
    expected.sort_by_key(|(kept, _)| *kept);
    assert_eq!(expected, [(0, ReleaseReason::Paused), (40, ReleaseReason::Paused)]);
    assert_eq!(world.coordinator.ready.as_ref().map(|ready| ready.tasks.get()), Some(0));
    assert_eq!(world.prover.status().activity, Activity::Paused);
    world.prover.resume(world.now);
    world.exchange();
    assert_eq!(world.coordinator.ready.as_ref().map(|ready| ready.tasks.get()), Some(2));
    world.assign(3, 40, 60);
    world.work_until_idle();
    assert_eq!(world.coordinator.covered(), (0..100).collect());
}

#[test]
fn the_hard_deadline_ends_a_segment_before_it_comes() {
    let mut world = World::connected();
    world.assign_within(1, 0, 1000, 6_000);
    let start = world.now;
    while world.coordinator.released.is_empty() {
        world.turn();
        assert!(world.now.since(start) < 6_000);
    }
    let covered = world.coordinator.covered().len() as u64;
    assert!(covered >= 40, "{covered}");
    assert_eq!(released(&world), [(covered, ReleaseReason::Deadline)]);
}

#[test]
fn a_segment_without_inputs_is_handed_back() {
    let mut world = World::connected();
    world.assign(1, 0, 100);
    world.turns(1);
    world.coordinator.sends_inputs = false;
    let mut job = world.coordinator.tasks[&TaskId(1)].clone();
    job.given = 20;
    world.assign_job(2, job, 10_000_000);
    world.coordinator.sends_inputs = true;
    world.turns(400);
    assert_eq!(world.coordinator.covered(), (0..100).collect());
    assert_eq!(released(&world), [(20, ReleaseReason::Starved)]);
    world.work_until_idle();
}

#[test]
fn a_cancelled_task_is_dropped_at_once() {
    let mut world = World::connected();
    world.assign(1, 0, 100);
    world.assign(2, 100, 10);
    world.turns(20);
    let cancel = Cancel { task: TaskId(1), reason: CancelReason::Covered };
    world.coordinator.send(world.now, cancel);
    world.coordinator.open.remove(&TaskId(1));
    world.exchange();
    assert_eq!(world.prover.status().activity, Activity::Idle);
    world.work_until_idle();
    assert_eq!(world.coordinator.covered(), (100..110).collect());
}

#[test]
fn a_refused_input_costs_only_what_follows() {
    for (kind, kept) in [(FATAL, 30), (BAD, 0)] {
        let mut world = World::connected();
        world.assign(1, 0, 50);
        world.coordinator.open.clear();
        let mut job = world.coordinator.tasks[&TaskId(1)].clone();
        job.inputs[30] = vec![kind];
        world.assign_job(2, job, 10_000_000);
        let cancel = Cancel { task: TaskId(1), reason: CancelReason::JobEnded };
        world.coordinator.send(world.now, cancel);
        world.work_until_idle();
        assert_eq!(world.coordinator.covered(), (0..kept).collect());
        assert!(matches!(&released(&world)[..], [(found, ReleaseReason::Failed(_))] if *found == kept));
    }
}

#[test]
fn a_failure_that_passes_is_tried_again() {
    let mut world = World::with(config(), Model { hiccups: 2, ..Model::new() });
    world.exchange();
    world.assign(1, 0, 5);
    world.work_until_idle();
    assert_eq!(world.coordinator.covered(), (0..5).collect());
    world.prover.engine_mut().hiccups = 100;
    world.assign(2, 5, 5);
    world.work_until_idle();
    assert!(matches!(&released(&world)[..], [(0, ReleaseReason::Failed(_))]));
}

#[test]
fn parameters_are_asked_for_once_and_checked() {
    for works in [true, false] {
        let mut world = World::with(config(), Model::default());
        world.exchange();
        world.assign(1, 0, 5);
        world.assign(2, 5, 5);
        let needs = world.effects.iter().filter(|effect| matches!(effect, Effect::NeedParameters { .. })).count();
        assert_eq!((needs, world.turn()), (1, Worked::Idle));
        let bytes = if works { LOADED.0 } else { [9; 32] };
        world.prover.parameters(world.now, LOADED, Purpose::Fold, Ok(&bytes));
        world.work_until_idle();
        assert_eq!(world.coordinator.covered().len(), if works { 10 } else { 0 });
        let unable = released(&world).iter().filter(|(_, reason)| matches!(reason, ReleaseReason::Unable(_))).count();
        assert_eq!(unable, if works { 0 } else { 2 });
    }
}

#[test]
fn an_unknown_program_is_handed_back() {
    let mut world = World::connected();
    world.assign(1, 0, 5);
    let mut other = segment(2, &world.coordinator.tasks[&TaskId(1)], 1_000_000);
    other.program = Text::new("other/1").expect("short");
    other.parameters = ParametersId([8; 32]);
    world.coordinator.send(world.now, other);
    world.work_until_idle();
    assert!(matches!(&released(&world)[..], [(0, ReleaseReason::Unable(_))]));
}

#[test]
fn a_refused_proof_is_reported_and_not_offered_again() {
    let mut world = World::connected();
    world.coordinator.refuses = true;
    world.assign(1, 0, 5);
    world.work_until_idle();
    let refused = |effect: &&Effect| matches!(effect, Effect::Forget { outcome: Outcome::Refused(_), .. });
    assert_eq!(world.effects.iter().filter(refused).count(), 1);
    world.coordinator.offers.clear();
    world.disconnect();
    world.turns(30);
    assert!(world.coordinator.offers.is_empty() && world.coordinator.session.is_some());
}

#[test]
fn a_proof_beyond_the_memory_is_never_begun() {
    let mut config = config();
    config.held_bytes = PROOF_BYTES as u64 - 1;
    let mut world = World::with(config, Model::new());
    world.exchange();
    world.assign(1, 0, 5);
    world.work_until_idle();
    assert_eq!(released(&world), [(0, ReleaseReason::OutOfMemory)]);
}

#[test]
fn a_few_seconds_of_inputs_are_at_hand() {
    let mut world = World::connected();
    // 20 KB an input and ten steps a second: 200 KB a second.
    let inputs: Vec<Vec<u8>> = (0..200).map(|i| vec![i as u8; 20_000]).collect();
    let job = crate::world::Job1 { first: 0, steps: 200, start: 5, inputs, given: 200 };
    world.assign_job(1, job, 10_000_000);
    let mut most = 0;
    for _ in 0..150 {
        assert_ne!(world.turn(), Worked::Idle);
        let sent = world.coordinator.open.get(&TaskId(1)).copied().unwrap_or(200) as u64;
        most = most.max(sent - world.prover.status().totals.folded_steps);
    }
    assert!((20..=45).contains(&most), "{most} steps were buffered");
    world.work_until_idle();
    assert_eq!(world.coordinator.covered().len(), 200);
}
