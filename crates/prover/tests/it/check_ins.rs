//! Check-ins: proofs of what a chain has so far, while it goes on.

use crate::model::{BAD, Model, PROOF_BYTES};
use crate::world::{CHECKPOINT_MS, Job1, STEP_MS, World, config};
use crowdfold_prover::{Effect, Failure, Worked};
use crowdfold_wire::limits::MAX_UPLOADS;
use crowdfold_wire::{Offer, Outcome, ReleaseReason, TaskId, UploadId};
use std::collections::BTreeSet;

/// Turns between two check-ins. Making one takes a turn in which no step is folded.
const INTERVAL: u64 = CHECKPOINT_MS as u64 / STEP_MS;

/// Bytes that a line carries in a turn that takes two and a half intervals for a proof.
const SLOW: i64 = PROOF_BYTES as i64 / (INTERVAL as i64 * 5 / 2);

fn job(steps: u64) -> Job1 {
    Job1 { first: 0, steps, start: 3, inputs: vec![vec![1]; steps as usize], given: steps as usize }
}

/// The proofs offered, shortest first.
fn offers(world: &World) -> Vec<Offer> {
    let mut offers: Vec<Offer> = world.coordinator.offers.values().cloned().collect();
    offers.sort_by_key(|offer| offer.steps);
    offers
}

fn steps(world: &World) -> Vec<u64> {
    offers(world).iter().map(|offer| offer.steps.get()).collect()
}

fn forgotten(world: &World) -> Vec<(UploadId, Outcome)> {
    let forgotten = world.effects.iter().filter_map(|effect| match effect {
        Effect::Forget { upload, outcome, .. } => Some((*upload, outcome.clone())),
        _ => None,
    });
    forgotten.collect()
}

/// Turns until so many proofs were offered.
fn until_offered(world: &mut World, offers: usize) {
    for _ in 0..100 * INTERVAL {
        if world.coordinator.offers.len() == offers {
            return;
        }
        world.turn();
    }
    panic!("{} proofs were offered", world.coordinator.offers.len());
}

#[test]
fn check_ins_supersede_one_another() {
    let mut world = World::connected();
    world.assign(1, 7, 3 * INTERVAL + 70);
    while world.turn() != Worked::Idle {
        assert!(world.prover.status().held_proofs <= 1 && world.storage.len() <= 1);
    }
    let offers = offers(&world);
    assert!(offers.iter().all(|offer| offer.first.get() == 7 && offer.task == TaskId(1)));
    assert_eq!(steps(&world), [INTERVAL, 2 * INTERVAL - 1, 3 * INTERVAL - 2, 3 * INTERVAL + 70]);
    let expected: Vec<_> = offers[..3].iter().map(|offer| (offer.upload, Outcome::Superseded)).collect();
    assert_eq!(forgotten(&world)[..3], expected);
    assert!(expected.iter().all(|(upload, outcome)| world.coordinator.verdicts[upload] == *outcome));
    assert_eq!(world.coordinator.covered(), (7..3 * INTERVAL + 77).collect());
    let totals = world.prover.status().totals;
    assert_eq!((totals.superseded, totals.accepted, totals.not_needed), (3, 1, 0));
    assert_eq!((totals.credited_steps, totals.folded_steps), (3 * INTERVAL + 70, 3 * INTERVAL + 70));
    assert!(world.coordinator.released.is_empty() && world.storage.is_empty());
}

#[test]
fn a_check_in_that_the_end_makes_useless_is_not_made() {
    for (rest, made) in [(INTERVAL / 2, 0), (INTERVAL / 2 + 1, 1)] {
        let mut world = World::connected();
        world.assign(1, 0, INTERVAL + rest);
        world.work_until_idle();
        assert_eq!(world.prover.engine_mut().snapshots, made);
        assert_eq!(world.coordinator.covered().len() as u64, INTERVAL + rest);
    }
}

#[test]
fn a_slow_line_gets_fewer_check_ins_and_each_arrives() {
    let mut made = Vec::new();
    for line in [None, Some(SLOW)] {
        let mut world = World::connected();
        world.line = line;
        world.assign(1, 0, 12 * INTERVAL);
        let mut last = 0;
        while world.prover.status().totals.folded_steps < 12 * INTERVAL {
            world.turn();
            let offers = offers(&world);
            if offers.len() > last {
                // What was begun before has come.
                let stored = |offer: &Offer| world.coordinator.stored.get(&offer.upload).map(Vec::len);
                assert!(offers[..last].iter().all(|offer| stored(offer) == Some(PROOF_BYTES)));
                last = offers.len();
            }
        }
        made.push(world.prover.engine_mut().snapshots);
        world.line = None;
        world.work_until_idle();
        assert_eq!(world.coordinator.covered(), (0..12 * INTERVAL).collect());
    }
    // Pauses for uploads lengthen it by a tenth.
    assert!((10..=12).contains(&made[0]) && (2..=6).contains(&made[1]), "{made:?}");
}

#[test]
fn steps_pause_for_an_upload_that_is_under_way_and_only_then() {
    for (line, pauses) in [(None, false), (Some(SLOW), true)] {
        let mut world = World::connected();
        world.line = line;
        world.assign(1, 0, 2 * INTERVAL);
        until_offered(&mut world, 1);
        let worked: Vec<_> = (0..4).map(|_| world.turn()).collect();
        let expected =
            if pauses { [Worked::Idle, Worked::Step, Worked::Idle, Worked::Step] } else { [Worked::Step; 4] };
        let folds = |worked: &[Worked]| worked.iter().filter(|worked| **worked == Worked::Step).count();
        assert_eq!(folds(&worked), folds(&expected), "{worked:?}");
    }
}

#[test]
fn a_prover_that_vanishes_loses_an_interval_and_what_was_under_way() {
    // Turns for which a proof is under way.
    for (line, under_way) in [(None, 0), (Some(SLOW), INTERVAL * 5 / 2)] {
        for vanishes_after in [50, INTERVAL + 3, 2 * INTERVAL + 70, 5 * INTERVAL + 1, 9 * INTERVAL] {
            let mut world = World::connected();
            world.line = line;
            world.assign(1, 0, 20 * INTERVAL);
            world.turns(vanishes_after);
            let folded = world.prover.status().totals.folded_steps;
            world.coordinator.session = None;
            world.coordinator.judge_parked(world.now);
            let covered = world.coordinator.covered().len() as u64;
            // The next check-in is begun when the last has arrived, or after an interval.
            let most = INTERVAL.max(under_way) + under_way;
            assert!(folded - covered <= most, "{covered} of {folded} steps were delivered");
            assert_eq!(world.coordinator.covered(), (0..covered).collect());
            assert!(vanishes_after < 2 * INTERVAL + under_way || covered > 0);
        }
    }
}

#[test]
fn without_room_there_is_no_check_in_and_the_segment_completes() {
    for (proofs, made) in [(1, 0), (2, 4)] {
        let mut config = config();
        config.held_bytes = proofs * PROOF_BYTES as u64;
        let mut world = World::with(config, Model::new());
        world.exchange();
        world.assign(1, 0, 5 * INTERVAL);
        world.work_until_idle();
        // The next check-in takes the place of the last.
        assert_eq!(world.prover.engine_mut().snapshots, made);
        assert_eq!(world.coordinator.covered(), (0..5 * INTERVAL).collect());
        assert!(world.coordinator.released.is_empty());
    }
}

#[test]
fn superseded_while_it_is_under_way_it_is_sent_no_further() {
    let mut world = World::with(config(), Model { proof_bytes: Some(4 << 20), ..Model::new() });
    world.exchange();
    world.line = Some(20_000);
    world.assign(1, 0, 6 * INTERVAL);
    until_offered(&mut world, 1);
    world.turns(60);
    let upload = offers(&world)[0].upload;
    let sent = world.coordinator.stored[&upload].len();
    assert!(sent > 0 && sent < 4 << 20);
    world.coordinator.say(world.now, upload, Outcome::Superseded);
    world.exchange();
    assert_eq!(forgotten(&world), [(upload, Outcome::Superseded)]);
    assert!(world.storage.is_empty() && world.prover.status().totals.superseded == 1);
    // However much the line carries now, no part of it is left to send.
    let frames = world.frames;
    world.line = None;
    world.exchange();
    assert_eq!(world.frames, frames);
    // It had its verdict, so the chain may check in again.
    world.work_until_idle();
    assert_eq!(world.coordinator.covered(), (0..6 * INTERVAL).collect());
    assert!(world.prover.engine_mut().snapshots > 1);
}

#[test]
fn a_chain_that_spoils_keeps_its_check_in() {
    let mut world = World::connected();
    let mut job = job(5 * INTERVAL);
    job.inputs[INTERVAL as usize + 30] = vec![BAD];
    world.assign_job(1, job, 10_000_000);
    world.work_until_idle();
    assert_eq!(world.prover.status().totals.folded_steps, INTERVAL + 30);
    let released = &world.coordinator.released;
    assert!(matches!(&released[..], [only] if only.kept.get() == INTERVAL));
    assert!(matches!(released[0].reason, ReleaseReason::Failed(_)));
    assert_eq!(world.coordinator.covered(), (0..INTERVAL).collect());
    assert!(world.storage.is_empty());
}

#[test]
fn a_failing_check_in_is_no_failure_of_the_segment() {
    let text = || "no memory".to_owned();
    let mut world = World::connected();
    world.prover.engine_mut().failing_snapshots = vec![Failure::Fatal(text()), Failure::Retryable(text())];
    world.assign(1, 0, 5 * INTERVAL);
    world.work_until_idle();
    assert_eq!(world.prover.engine_mut().snapshots, 4);
    // The first two failed, each at its time.
    assert_eq!(steps(&world), [3 * INTERVAL - 2, 4 * INTERVAL - 3, 5 * INTERVAL]);
    assert_eq!(world.coordinator.covered(), (0..5 * INTERVAL).collect());
    assert!(world.coordinator.released.is_empty());

    let mut world = World::connected();
    world.assign(1, 0, 5 * INTERVAL);
    until_offered(&mut world, 1);
    world.prover.engine_mut().failing_snapshots = vec![Failure::BadProof(text())];
    world.work_until_idle();
    assert_eq!(world.coordinator.covered(), (0..INTERVAL).collect());
    let released = &world.coordinator.released;
    assert!(matches!(&released[..], [only] if only.kept.get() == INTERVAL));
    assert!(matches!(released[0].reason, ReleaseReason::Failed(_)));
}

#[test]
fn a_check_in_that_covers_all_is_the_last_proof() {
    let mut world = World::connected();
    world.assign(1, 0, 5 * INTERVAL);
    until_offered(&mut world, 1);
    world.prover.pause(world.now);
    world.work_until_idle();
    assert_eq!(steps(&world), [INTERVAL]);
    let released = &world.coordinator.released;
    assert!(matches!(&released[..], [only] if only.kept.get() == INTERVAL && only.reason == ReleaseReason::Paused));
    assert_eq!(world.coordinator.covered(), (0..INTERVAL).collect());
}

#[test]
fn a_break_after_a_check_in_offers_what_is_still_of_use() {
    for arrived in [true, false] {
        let mut world = World::connected();
        world.line = (!arrived).then_some(SLOW);
        world.assign(1, 0, 5 * INTERVAL);
        until_offered(&mut world, 1);
        world.turns(10);
        let check_in = offers(&world)[0].upload;
        assert_eq!(world.coordinator.parked.contains(&check_in), arrived);
        world.coordinator.offers.retain(|upload, _| arrived && *upload == check_in);
        world.line = None;
        world.reachable = false;
        world.disconnect();
        // No check-in is made for nobody.
        world.turns(2 * INTERVAL);
        assert_eq!(world.prover.engine_mut().snapshots, 1);
        // One that had arrived is forgotten for the longer proof; one that had not may still be of use.
        assert_eq!(world.prover.status().held_proofs, if arrived { 1 } else { 2 });
        assert_eq!(forgotten(&world), if arrived { vec![(check_in, Outcome::Superseded)] } else { vec![] });
        world.reachable = true;
        world.turns(MAX_TURNS);
        let folded = world.prover.status().totals.folded_steps;
        assert!(folded > INTERVAL + 10);
        assert_eq!(world.coordinator.covered(), (0..folded).collect());
        assert_eq!(steps(&world), [INTERVAL, folded]);
        assert!(world.storage.is_empty() && world.prover.status().held_proofs == 0);
    }
}

/// Turns after which a prover has dialled again, however often it tried in vain.
const MAX_TURNS: u64 = 2 * crowdfold_prover::limits::MAX_BACKOFF_MS / STEP_MS;

#[test]
fn what_a_forgotten_check_in_is_paid_counts() {
    let mut world = World::connected();
    world.coordinator.judges = false;
    world.assign(1, 0, 2 * INTERVAL);
    world.work_until_idle();
    let offers = offers(&world);
    assert_eq!(forgotten(&world), [(offers[0].upload, Outcome::Superseded)]);
    // The longer one came too late.
    world.coordinator.say(world.now, offers[0].upload, Outcome::Accepted(offers[0].steps));
    world.coordinator.say(world.now, offers[1].upload, Outcome::NotNeeded);
    world.exchange();
    let totals = world.prover.status().totals;
    assert_eq!((totals.credited_steps, totals.accepted, totals.not_needed), (INTERVAL, 1, 1));
}

/// A coordinator that gives no verdicts on what is superseded.
#[test]
fn offers_wait_when_too_many_are_open() {
    let mut world = World::connected();
    world.coordinator.judges = false;
    world.assign(1, 0, (MAX_UPLOADS as u64 + 9) * INTERVAL);
    world.work_until_idle();
    let status = world.prover.status();
    assert_eq!((world.coordinator.offers.len(), status.held_proofs), (MAX_UPLOADS, 2));
    assert_eq!(world.prover.engine_mut().snapshots as usize, MAX_UPLOADS + 1);
    let early: BTreeSet<UploadId> = offers(&world)[..2].iter().map(|offer| offer.upload).collect();
    early.into_iter().for_each(|upload| world.coordinator.say(world.now, upload, Outcome::Superseded));
    world.exchange();
    assert_eq!(world.coordinator.offers.len(), MAX_UPLOADS + 2);
    assert_eq!(steps(&world).last(), Some(&((MAX_UPLOADS as u64 + 9) * INTERVAL)));
}

#[test]
fn a_chain_without_inputs_wakes_for_its_check_in() {
    for (proofs, checks_in) in [(2, true), (1, false)] {
        let mut config = config();
        config.held_bytes = proofs * PROOF_BYTES as u64;
        let mut world = World::with(config, Model::new());
        world.exchange();
        let job = Job1 { given: INTERVAL as usize - 20, ..job(5 * INTERVAL) };
        world.assign_job(1, job, 10_000_000);
        let opened = world.now;
        while world.turn() != Worked::Idle {}
        let due = opened.after(u64::from(CHECKPOINT_MS));
        assert_eq!(world.prover.wake_at() == Some(due), checks_in);
        while world.now < due {
            world.now = world.prover.wake_at().expect("there is something to wait for");
            world.prover.tick(world.now);
        }
        assert_eq!(world.prover.work(world.now, &mut world.rng) == Worked::Finished, checks_in);
        // Nothing that can't be done wakes it again and again.
        assert!(world.prover.wake_at() > Some(world.now));
    }
}
