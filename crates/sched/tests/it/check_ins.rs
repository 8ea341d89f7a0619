//! Check-ins: proofs of a chain that goes on.

use crowdfold_sched::{CancelReason, Effect, Event, JobEnd, JobId, ProverId, Release, Verdict};

use crate::world::{World, proof, range, segments, spec, to_verify, verdicts};

fn world() -> World {
    let mut world = World::new();
    world.job(1, spec(10_000));
    world
}

#[test]
fn only_the_longest_is_verified() {
    let mut world = world();
    let segment = world.worker(1);
    assert_eq!(world.receive(segment, range(0, 3)).1, [], "nothing is done about the first");
    let stats = world.scheduler.stats();
    assert_eq!((stats.parked, stats.unverified), (1, 0));
    let (_, effects) = world.receive(segment, range(0, 6));
    assert_eq!(verdicts(&effects), [(1, range(0, 3), Verdict::Superseded)]);
    assert_eq!(to_verify(&effects), []);
    let effects = world.hand_in(segment, segment.range);
    let verdicts = verdicts(&effects);
    assert_eq!(verdicts, [(1, range(0, 6), Verdict::Superseded), (1, range(0, 10), Verdict::Counted)]);
    assert_eq!(world.scheduler.stats().parked, 0);
}

#[test]
fn the_steps_of_a_check_in_are_nobody_elses() {
    let mut world = world();
    let segment = world.worker(1);
    world.receive(segment, range(0, 6));
    assert_eq!(world.worker(2).range, range(10, 20));
    world.leave(1);
    assert_eq!(world.worker(3).range.start().0, 6, "only what comes after it is free");
}

#[test]
fn who_left_may_bring_a_longer_one() {
    let mut world = world();
    let segment = world.worker(1);
    let (first, _) = world.receive(segment, range(0, 4));
    world.leave(1);
    world.at(39_999);
    assert_eq!(world.scheduler.stats().parked, 1);
    world.join(1, 1000, 1000, false);
    let effects = world.hand_in(segment, range(0, 7));
    assert_eq!(verdicts(&effects)[..2], [(1, range(0, 4), Verdict::Superseded), (1, range(0, 7), Verdict::Counted)]);
    assert_eq!(world.worker(2).range.start().0, 7);
    assert_eq!(verdicts(&world.verify(first)), [], "the first has its verdict");
}

#[test]
fn who_left_and_does_not_come_back_has_what_it_checked_in() {
    let mut world = world();
    let segment = world.worker(1);
    world.receive(segment, range(0, 4));
    world.leave(1);
    // Its hard deadline comes first here: after four times 10 seconds.
    let effects = world.at(40_000);
    let effects = world.verify_all(effects);
    assert_eq!(verdicts(&effects), [(1, range(0, 4), Verdict::Counted)]);
}

#[test]
fn somebody_else_finished_what_the_longer_one_has() {
    let mut world = world();
    let segment = world.worker(1);
    let (first, _) = world.receive(segment, range(0, 4));
    world.leave(1);
    let other = world.worker(2);
    assert_eq!(other.range.start().0, 4);
    let (theirs, _) = world.receive(other, other.range);
    let effects = world.verify(theirs);
    assert_eq!((verdicts(&effects), to_verify(&effects)), (vec![(2, other.range, Verdict::Counted)], vec![first]));
    // The longer one can't count, so it does not take the place of the first. What is more in it is paid for.
    world.join(1, 1000, 1000, false);
    let effects = world.hand_in(segment, range(0, 7));
    assert_eq!(verdicts(&effects), [(1, range(0, 7), Verdict::Compensated { steps: 3 })]);
    assert_eq!(verdicts(&world.verify(first)), [(1, range(0, 4), Verdict::Counted)]);
}

#[test]
fn a_slow_one_is_cut_where_it_checked_in() {
    let mut world = world();
    let segment = world.worker(1);
    world.progress(segment, 1);
    world.at(20_000);
    assert_eq!(world.worker(2).range, range(0, 10), "it is overdue");
    let (_, effects) = world.receive(segment, range(0, 4));
    assert!(effects.contains(&Effect::Cancel {
        task: segment.task,
        prover: Some(ProverId(1)),
        reason: CancelReason::Deadline
    }));
    assert_eq!(to_verify(&effects).len(), 1, "nobody waits for a longer one: {effects:?}");
    // The other has folded nothing yet.
    assert_eq!(verdicts(&world.verify_all(effects)), [(1, range(0, 4), Verdict::Counted)]);
}

#[test]
fn releasing_or_losing_a_task_verifies_what_was_checked_in() {
    for why in [Release::Failed, Release::OutOfMemory, Release::Deadline, Release::Paused, Release::Closing] {
        let mut world = world();
        let segment = world.worker(1);
        world.receive(segment, range(0, 4));
        let effects = world.step(Event::Released { prover: ProverId(1), task: segment.task, why });
        assert_eq!(verdicts(&world.verify_all(effects)), [(1, range(0, 4), Verdict::Counted)], "{why:?}");
    }
    let mut world = world();
    let segment = world.worker(1);
    world.receive(segment, range(0, 4));
    let effects = world.step(Event::JobCancelled { job: JobId(1) });
    let effects = world.verify_all(effects);
    assert_eq!(verdicts(&effects), [(1, range(0, 4), Verdict::Compensated { steps: 4 })]);
}

#[test]
fn a_released_prefix_takes_the_place_of_a_check_in() {
    let mut world = world();
    let segment = world.worker(1);
    world.receive(segment, range(0, 4));
    world.progress(segment, 7);
    let effects = world.step(Event::Released { prover: ProverId(1), task: segment.task, why: Release::Deadline });
    assert_eq!(to_verify(&effects), [], "the prefix is awaited");
    assert_eq!(world.worker(2).range.start().0, 7);
    let effects = world.hand_in(segment, range(0, 7));
    assert_eq!(verdicts(&effects)[1], (1, range(0, 7), Verdict::Counted));
    // It does not get the steps again that it had no time for.
    assert!(segments(&world.ready(1, 1)).iter().all(|segment| segment.range.start().0 >= 10));
}

#[test]
fn a_duplicate_is_of_what_is_not_checked_in() {
    let mut world = World::new();
    world.job(1, spec(3));
    let slow = world.worker_of(1, 400);
    world.receive(slow, range(0, 1));
    let fast = world.worker_of(2, 4000);
    assert_eq!(fast.range, range(1, 3));
    let effects = world.hand_in(fast, fast.range);
    assert_eq!(verdicts(&effects), [(2, range(1, 3), Verdict::Counted), (1, range(0, 1), Verdict::Counted)]);
    let merge = effects.iter().find_map(|effect| match *effect {
        Effect::MergeNatively { task, .. } => Some(task),
        _ => None,
    });
    let effects = world.step(Event::MergeDone { task: merge.unwrap() });
    assert_eq!(effects, [Effect::JobEnded { job: JobId(1), end: JobEnd::Done }]);
    // Its own proof of all was under way: it is paid for what was not paid before.
    assert_eq!(verdicts(&world.hand_in(slow, slow.range)), [(1, range(0, 3), Verdict::Compensated { steps: 2 })]);
}

#[test]
fn a_longer_one_overtakes_the_verification_of_a_shorter_one() {
    let mut world = world();
    let segment = world.worker(1);
    let (first, _) = world.receive(segment, range(0, 4));
    let effects = world.step(Event::JobCancelled { job: JobId(1) });
    assert_eq!(to_verify(&effects), [first]);
    let effects = world.hand_in(segment, segment.range);
    let paid = (1, range(0, 10), Verdict::Compensated { steps: 10 });
    assert_eq!(verdicts(&effects), [(1, range(0, 4), Verdict::Superseded), paid]);
    assert_eq!(verdicts(&world.verify(first)), [], "paid once");
}

#[test]
fn check_ins_are_not_verification_that_is_behind() {
    let mut world =
        World::with(crowdfold_sched::Config { unverified: 1, target_ms: 10_000, min_steps: 2, ..Default::default() });
    world.job(1, spec(10_000));
    for prover in 1..5 {
        let segment = world.worker(prover);
        world.receive(segment, range(segment.range.start().0, segment.range.start().0 + 3));
    }
    assert_eq!(segments(&world.ready(1, 1)).len(), 1);
}

#[test]
fn a_shorter_one_after_a_longer_one_is_not_paid_for() {
    let mut world = world();
    let segment = world.worker(1);
    let (longer, _) = world.receive(segment, range(0, 6));
    let (_, effects) = world.receive(segment, range(0, 4));
    assert_eq!(verdicts(&effects), [(1, range(0, 4), Verdict::Late)]);
    let effects = world.step(Event::Released { prover: ProverId(1), task: segment.task, why: Release::Paused });
    assert_eq!(to_verify(&effects), [longer]);
}

#[test]
fn a_step_is_paid_for_once() {
    let mut world = world();
    let first = world.worker(1);
    world.leave(1);
    world.join(1, 1000, 1000, false);
    let effects = world.ready(1, 1);
    let again = segments(&effects)[0];
    assert_eq!(again.range, first.range, "it came back without what it had");
    assert_eq!(verdicts(&world.hand_in(again, again.range)), [(1, again.range, Verdict::Counted)]);
    // A proof of the same steps with other blinds is another proof, and was no work.
    assert_eq!(verdicts(&world.hand_in(first, first.range)), [(1, first.range, Verdict::Late)]);
}

#[test]
fn who_was_forgotten_in_a_crash_is_suspended_all_the_same() {
    let mut world = world();
    let (bad, prover) = (proof(77), ProverId(5));
    let event = Event::ProofReceived { proof: bad, prover, job: JobId(1), range: range(0, 4), task: None };
    assert_eq!(to_verify(&world.step(event)), [bad]);
    world.step(Event::Refused { proof: bad });
    assert_eq!(world.scheduler.suspended_until(prover).map(|until| until.0), Some(60_000));
    world.join(5, 1000, 1000, false);
    assert!(segments(&world.ready(5, 1)).is_empty());
    world.at(60_000);
    assert_eq!(segments(&world.ready(5, 1)).len(), 1);
}

#[test]
fn a_proof_whose_bytes_are_lost_never_came() {
    for parked in [true, false] {
        let mut world = world();
        let segment = world.worker(1);
        let upto = if parked { 4 } else { 10 };
        let (proof, _) = world.receive(segment, range(0, upto));
        assert_eq!(world.step(Event::Withdrawn { proof }), []);
        assert_eq!(world.step(Event::Withdrawn { proof }).len(), 1, "it is not known any more");
        let stats = world.scheduler.stats();
        assert_eq!((stats.parked, stats.unverified), (0, 0));
        assert!(world.scheduler.suspended_until(ProverId(1)).is_none());
        assert_eq!(world.worker(2).range.start().0, 0, "its steps are free");
        let again = Event::ProofReceived {
            proof,
            prover: ProverId(1),
            job: JobId(1),
            range: range(0, upto),
            task: Some(segment.task),
        };
        assert!(!world.step(again).iter().any(|effect| matches!(effect, Effect::Ignored(_))));
    }
}

#[test]
fn a_bad_check_in_suspends_when_it_is_looked_at() {
    let mut world = world();
    let segment = world.worker(1);
    let (bad, _) = world.receive(segment, range(0, 4));
    assert!(world.scheduler.suspended_until(ProverId(1)).is_none());
    assert_eq!(world.step(Event::Refused { proof: bad }).len(), 1, "nobody was asked yet");
    world.step(Event::Released { prover: ProverId(1), task: segment.task, why: Release::Paused });
    let effects = world.step(Event::Refused { proof: bad });
    assert_eq!(verdicts(&effects), [(1, range(0, 4), Verdict::Refused)]);
    assert!(world.scheduler.suspended_until(ProverId(1)).is_some());
    assert_eq!(world.worker(2).range, range(0, 10));
}

#[test]
fn what_nobody_wants_is_known_before_it_comes() {
    let mut world = world();
    let (segment, other) = (world.worker(1), world.worker(2));
    let wants =
        |world: &World, prover, lo, hi, task| world.scheduler.wants(ProverId(prover), JobId(1), range(lo, hi), task);
    assert!(wants(&world, 1, 0, 10, Some(segment.task)) && wants(&world, 9, 0, 10, None));
    assert!(!wants(&world, 1, 9_999, 10_001, None), "beyond the job");
    world.hand_in(segment, segment.range);
    assert!(!wants(&world, 1, 0, 10, Some(segment.task)), "it is known already");
    assert!(!wants(&world, 2, 0, 10, Some(other.task)), "covered by another");
    world.step(Event::JobCancelled { job: JobId(1) });
    assert!(wants(&world, 2, 10, 20, Some(other.task)), "it is owed for");
    assert!(!wants(&world, 1, 10, 20, Some(other.task)), "but not to another");
    assert!(!wants(&world, 1, 20, 30, None));
}
