//! Each rule of section 3 of docs/spec/network.md, and what must not happen.

use crowdfold_sched::{
    BadEvent, Bytes, CancelReason, ClientId, Config, Effect, Event, JobEnd, JobId, JobSpec, Millis, ProverId,
    ProverSpec, Release, Speed, Standing, Verdict,
};

use crate::world::{World, proof, range, segments, spec, verdicts};

fn cancelled(effects: &[Effect]) -> Vec<(u64, CancelReason)> {
    let cancel = |effect: &Effect| match *effect {
        Effect::Cancel { prover: Some(prover), reason, .. } => Some((prover.0, reason)),
        _ => None,
    };
    effects.iter().filter_map(cancel).collect()
}

#[test]
fn length_follows_speed_and_shrinks_at_the_tail() {
    let mut world = World::new();
    world.job(1, spec(1000));
    assert_eq!(world.worker_of(1, 1000).range, range(0, 10));
    assert_eq!(world.worker_of(2, 4000).range, range(10, 50));
    let mut world = World::new();
    world.job(1, spec(24));
    let lengths: Vec<u64> = (1..=5).map(|prover| world.worker(prover).range.steps()).collect();
    assert_eq!(
        lengths,
        [10, 3, 4, 4, 3],
        "half of the share of what is left, at the end so much that all end together"
    );
}

#[test]
fn nobody_gets_longer_segments_than_it_takes() {
    let spec_of =
        |most_steps| ProverSpec { speed: Speed(4000), memory: Bytes(1000), merges: false, most_steps, strikes: 0 };
    let mut world = World::new();
    world.job(1, spec(1000));
    let mut from = 0;
    for (prover, most, expected) in [(1, 7, 7), (2, u64::MAX, 40), (3, 2, 2)] {
        world.step(Event::ProverJoined { prover: ProverId(prover), spec: spec_of(most) });
        let got: Vec<_> = segments(&world.ready(prover, 1)).iter().map(|segment| segment.range).collect();
        assert_eq!(got, [range(from, from + expected)], "prover {prover}");
        from += expected;
    }
    // Below the least length there is nothing for it, and a rest that is short is not added to what it gets.
    world.step(Event::ProverJoined { prover: ProverId(4), spec: spec_of(1) });
    assert!(segments(&world.ready(4, 1)).is_empty());
    let mut world = World::new();
    world.job(1, spec(8));
    world.step(Event::ProverJoined { prover: ProverId(1), spec: spec_of(7) });
    assert!(segments(&world.ready(1, 1))[0].range.steps() <= 7);
    // Nor does it get a duplicate of what is longer.
    let mut world = World::new();
    world.job(1, spec(2));
    assert_eq!(world.worker_of(1, 1000).range, range(0, 2));
    world.step(Event::ProverJoined { prover: ProverId(2), spec: spec_of(1) });
    assert!(segments(&world.ready(2, 1)).is_empty());
    world.step(Event::ProverJoined { prover: ProverId(3), spec: spec_of(2) });
    assert_eq!(segments(&world.ready(3, 1)).iter().map(|copy| copy.range).collect::<Vec<_>>(), [range(0, 2)]);
}

#[test]
fn all_who_work_on_a_job_end_together() {
    // Of two provers the second is four times as fast; both hand in and ask again when they are done.
    let mut world = World::with(Config { target_ms: 120_000, min_steps: 1, ..Config::default() });
    let speeds = [1_000, 4_000];
    for (prover, speed) in (0..).zip(speeds) {
        world.join(prover, speed, 1_000, false);
    }
    world.job(1, spec(1_000));
    let mut held = [None; 2];
    let mut handed_out = 0;
    let mut ends = [0, 0];
    for (prover, held) in (0..).zip(&mut held) {
        *held = segments(&world.ready(prover, 1)).first().copied();
    }
    while let Some((prover, segment)) = (0..2)
        .filter_map(|i| Some((i, held[i]?)))
        .min_by_key(|&(i, segment)| ends[i] + segment.range.steps() * 1_000_000 / speeds[i])
    {
        handed_out += 1;
        world.now = ends[prover] + segment.range.steps() * 1_000_000 / speeds[prover];
        ends[prover] = world.now;
        world.hand_in(segment, segment.range);
        held[prover] = segments(&world.ready(segment.prover, 1)).first().copied();
    }
    assert!(ends[0].abs_diff(ends[1]) <= 2_000, "{ends:?}");
    assert!(ends[0].max(ends[1]) <= 202_000, "1,000 steps at 5 a second: {ends:?}");
    assert!(handed_out <= 12, "{handed_out} segments");
}

#[test]
fn the_next_segment_comes_when_the_one_at_hand_is_nearly_done() {
    let mut world = World::with(Config { target_ms: 60_000, ..Config::default() });
    world.job(1, spec(1_000));
    world.join(1, 1_000, 1_000, false);
    let first = segments(&world.ready(1, 2));
    assert_eq!(first.len(), 1, "60 seconds are more than what it needs to begin with the next one");
    world.now = 29_000;
    assert!(segments(&world.progress(first[0], 29)).is_empty(), "31 seconds are");
    world.now = 30_000;
    let next = segments(&world.progress(first[0], 30));
    assert_eq!(next.len(), 1);
    assert_eq!(next[0].range.start(), first[0].range.end());
    world.now = 31_000;
    assert!(segments(&world.progress(first[0], 31)).is_empty(), "it has as many as it asked for");
}

#[test]
fn who_comes_back_without_its_segment_gets_another_at_once() {
    let mut world = World::with(Config { target_ms: 600_000, ..Config::default() });
    world.job(1, spec(10_000));
    let first = world.worker(1);
    assert_eq!(first.range.steps(), 600);
    world.now = 5_000;
    world.leave(1);
    world.join(1, 1_000, 1_000, false);
    assert_eq!(segments(&world.ready(1, 1)).len(), 1);
    // One that is too late with its segment is not taken to be busy with it either.
    let mut world = World::with(Config { target_ms: 600_000, ..Config::default() });
    world.job(1, spec(10_000));
    let first = world.worker(1);
    assert!(segments(&world.ready(1, 1)).is_empty(), "it has enough");
    world.now = first.soft + 1;
    assert_eq!(segments(&world.step(Event::Tick)).len(), 1);
}

#[test]
fn a_segment_ends_before_its_jobs_deadline() {
    let mut world = World::new();
    world.job(1, JobSpec { deadline: Millis(5_000), ..spec(1000) });
    assert_eq!(world.worker(1).range, range(0, 5));
    world.join(2, 300, 1000, false);
    assert!(segments(&world.ready(2, 1)).is_empty(), "2 steps would take it longer than the job has");
}

#[test]
fn memory_must_fit() {
    let mut world = World::new();
    world.job(1, JobSpec { memory: Bytes(2000), ..spec(100) });
    world.join(1, 1000, 1999, false);
    assert!(segments(&world.ready(1, 1)).is_empty());
    world.join(2, 1000, 2000, false);
    assert_eq!(segments(&world.ready(2, 1)).len(), 1);
    assert_eq!(segments(&world.job(2, spec(100)))[0].prover, 1, "who waits is found by a job that fits");
}

#[test]
fn the_lowest_height_goes_first_from_its_first_gap() {
    let mut world = World::new();
    world.job(1, JobSpec { height: 2, ..spec(20) });
    world.job(2, JobSpec { height: 1, ..spec(20) });
    let (first, second) = (world.worker(1), world.worker(2));
    assert_eq!((first.job, second.job), (2, 2));
    world.leave(1);
    assert_eq!(world.worker(3).range.start(), first.range.start());
}

#[test]
fn clients_share_by_weight() {
    let mut world = World::new();
    world.job(1, spec(100_000));
    world.job(2, JobSpec { client: ClientId(2), weight: 3, ..spec(100_000) });
    let jobs: Vec<u64> = (0..40).map(|prover| world.worker(prover).job).collect();
    assert_eq!(jobs.iter().filter(|&&job| job == 2).count(), 30);
}

#[test]
fn the_soft_deadline_moves_with_progress_up_to_the_hard_one() {
    let mut world = World::new();
    world.job(1, spec(10_000));
    let slow = world.worker(1);
    assert_eq!((slow.soft, slow.hard), (20_000, 40_000));
    world.now = 19_000;
    world.progress(slow, 1);
    world.at(21_000);
    assert_eq!(world.worker(2).range, range(10, 20), "the first ten are still waited for");
    world.at(39_999);
    assert_eq!(cancelled(&world.at(40_000)), [(1, CancelReason::Deadline)]);
    assert_eq!(world.worker(3).range.start().0, 0);
    assert_ne!(segments(&world.ready(1, 1))[0].range.start().0, 0, "it failed on the first ones");
}

#[test]
fn a_silent_lease_is_handed_out_again_and_reclaimed_by_progress() {
    let mut world = World::new();
    world.job(1, spec(10_000));
    let slow = world.worker(1);
    world.at(20_000);
    world.progress(slow, 5);
    assert_eq!(world.worker(2).range, range(10, 20), "it went on before anybody else had its steps");
    let mut world = World::new();
    world.job(1, spec(10_000));
    let slow = world.worker(1);
    world.at(20_000);
    let other = world.worker(2);
    assert_eq!(other.range, range(0, 10));
    // Late, but first: it counts, and the other is compensated for what it did.
    let effects = world.hand_in(slow, slow.range);
    assert_eq!(verdicts(&effects), [(1, slow.range, Verdict::Counted)]);
    assert_eq!(cancelled(&effects), [(2, CancelReason::Covered)]);
    assert_eq!(verdicts(&world.hand_in(other, range(0, 4))), [(2, range(0, 4), Verdict::Compensated { steps: 4 })]);
    assert_eq!(verdicts(&world.hand_in(other, range(0, 3))), [(2, range(0, 3), Verdict::Late)], "only once");
    let longer = world.hand_in(other, range(0, 6));
    assert_eq!(verdicts(&longer), [(2, range(0, 6), Verdict::Compensated { steps: 2 })], "the rest of a longer one");
}

#[test]
fn after_the_hard_deadline_nothing_is_compensated() {
    let mut world = World::new();
    world.job(1, spec(10_000));
    let slow = world.worker(1);
    world.at(20_000);
    let other = world.worker(2);
    world.at(40_000);
    world.hand_in(other, other.range);
    assert_eq!(verdicts(&world.hand_in(slow, slow.range)), [(1, slow.range, Verdict::Late)]);
}

#[test]
fn a_released_prefix_is_awaited_and_the_rest_handed_out() {
    let mut world = World::new();
    world.job(1, spec(10_000));
    let segment = world.worker(1);
    world.progress(segment, 4);
    world.step(Event::Released { prover: ProverId(1), task: segment.task, why: Release::Closing });
    world.leave(1);
    assert_eq!(world.worker(2).range.start().0, 0, "who left is not awaited");
    let mut world = World::new();
    world.job(1, spec(10_000));
    let segment = world.worker(1);
    world.progress(segment, 4);
    world.step(Event::Released { prover: ProverId(1), task: segment.task, why: Release::Paused });
    assert_eq!(world.worker(2).range.start().0, 4);
    assert_eq!(verdicts(&world.hand_in(segment, range(0, 4))), [(1, range(0, 4), Verdict::Counted)]);
}

#[test]
fn a_failed_task_goes_to_another() {
    let mut world = World::new();
    world.job(1, spec(10_000));
    let segment = world.worker(1);
    world.step(Event::Released { prover: ProverId(1), task: segment.task, why: Release::Failed });
    assert_eq!(segments(&world.ready(1, 1))[0].range.start().0, 10);
    assert_eq!(world.worker(2).range.start().0, 0);
}

#[test]
fn who_fails_again_and_again_rests() {
    let mut world = World::new();
    world.job(1, spec(10_000));
    let mut rested = Vec::new();
    let mut segment = world.worker(1);
    for _ in 0..5 {
        world.step(Event::Released { prover: ProverId(1), task: segment.task, why: Release::Failed });
        let from = world.now;
        let mut effects = world.ready(1, 1);
        while segments(&effects).is_empty() {
            effects = world.at(world.now + 500);
        }
        rested.push(world.now - from);
        segment = segments(&effects)[0];
    }
    assert_eq!(rested, [0, 1_000, 3_000, 7_000, 15_000]);
    world.hand_in(segment, segment.range);
    segment = segments(&world.ready(1, 1))[0];
    world.step(Event::Released { prover: ProverId(1), task: segment.task, why: Release::Failed });
    assert_eq!(segments(&world.ready(1, 1)).len(), 1, "a proof that is accepted makes it a first time again");
}

#[test]
fn idle_provers_duplicate_the_last_leases() {
    let mut world = World::new();
    world.job(1, spec(3));
    let slow = world.worker_of(1, 400);
    assert_eq!(slow.range, range(0, 3));
    let fast = world.worker_of(2, 4000);
    assert_eq!(fast.range, slow.range);
    world.join(3, 4000, 1000, false);
    assert!(segments(&world.ready(3, 1)).is_empty(), "one duplicate is enough");
    let effects = world.hand_in(fast, fast.range);
    assert!(effects.contains(&Effect::JobEnded { job: JobId(1), end: JobEnd::Done }));
    assert_eq!(cancelled(&effects), [(1, CancelReason::Covered)]);
    assert_eq!(verdicts(&world.hand_in(slow, range(0, 2))), [(1, range(0, 2), Verdict::Compensated { steps: 2 })]);
}

#[test]
fn a_duplicate_that_is_behind_does_not_cut_who_is_ahead() {
    let mut world = World::new();
    world.job(1, spec(3));
    let slow = world.worker_of(1, 400);
    let fast = world.worker_of(2, 4000);
    world.progress(slow, 2);
    assert_eq!(verdicts(&world.hand_in(fast, range(0, 1))), [], "its chain goes on");
    // What it had is judged when it begins another chain.
    let effects = world.hand_in(fast, range(1, 2));
    assert_eq!(verdicts(&effects), [(2, range(0, 1), Verdict::Spare { owed: 1 })]);
    // Now the duplicate has done more in all than the other: all its parts count.
    let effects = world.hand_in(fast, range(2, 3));
    let counted = [(0, 1), (1, 2), (2, 3)].map(|(lo, hi)| (2, range(lo, hi), Verdict::Counted));
    assert!(counted.iter().all(|counted| verdicts(&effects).contains(counted)), "{effects:?}");
}

#[test]
fn spares_are_tried_again_when_the_lease_ends() {
    let mut world = World::new();
    world.job(1, spec(3));
    let slow = world.worker_of(1, 400);
    let fast = world.worker_of(2, 4000);
    world.progress(slow, 2);
    world.hand_in(fast, range(0, 1));
    let effects = world.step(Event::Released { prover: ProverId(2), task: fast.task, why: Release::Failed });
    let effects = world.verify_all(effects);
    assert_eq!(verdicts(&effects), [(2, range(0, 1), Verdict::Spare { owed: 1 })]);
    let effects = world.leave(1);
    assert_eq!(verdicts(&effects), [(2, range(0, 1), Verdict::Counted)]);
}

#[test]
fn bad_proofs_suspend_for_growing_times() {
    let mut world = World::new();
    world.job(1, spec(100_000));
    let mut until = Vec::new();
    for _ in 0..3 {
        let segment = world.worker(1);
        let (proof, _) = world.receive(segment, segment.range);
        let effects = world.step(Event::Refused { proof });
        assert_eq!(verdicts(&effects)[0].2, Verdict::Refused);
        let end = world.scheduler.suspended_until(ProverId(1)).unwrap();
        assert!(segments(&world.ready(1, 1)).is_empty());
        until.push(end.0 - world.now);
        world.now = end.0;
    }
    assert_eq!(until, [60_000, 120_000, 240_000]);
}

#[test]
fn bad_proofs_of_earlier_runs_count() {
    let mut world = World::new();
    world.job(1, spec(100_000));
    let spec =
        |strikes| ProverSpec { speed: Speed(1000), memory: Bytes(1000), merges: false, most_steps: u64::MAX, strikes };
    let joined = |prover, strikes| Event::ProverJoined { prover: ProverId(prover), spec: spec(strikes) };
    // The second one says less than this run has counted, as one whose verdict was still being written down.
    for (prover, strikes, again, ms) in [(1, 3, 3, 480_000), (2, 2, 0, 240_000), (3, 0, 1, 120_000)] {
        world.step(joined(prover, strikes));
        world.leave(prover);
        world.step(joined(prover, again));
        let segment = segments(&world.ready(prover, 1))[0];
        let (proof, _) = world.receive(segment, segment.range);
        let effects = world.step(Event::Refused { proof });
        let until = Millis(world.now + ms);
        assert!(effects.contains(&Effect::Suspend { prover: ProverId(prover), until }), "{effects:?}");
    }
}

#[test]
fn good_proofs_are_forgiving_and_absence_is_not() {
    let mut world = World::with(Config { forgiven_by: 2, target_ms: 10_000, min_steps: 2, ..Config::default() });
    world.job(1, spec(100_000));
    let refuse = |world: &mut World| {
        let segment = world.worker(1);
        let (proof, _) = world.receive(segment, segment.range);
        world.step(Event::Refused { proof });
        world.leave(1);
        world.join(1, 1000, 1000, false);
        let end = world.scheduler.suspended_until(ProverId(1)).map_or(0, |end| end.0);
        let length = end - world.now;
        world.now = end;
        length
    };
    assert_eq!(refuse(&mut world), 60_000);
    assert_eq!(refuse(&mut world), 120_000);
    let mut forgiven = 0;
    for _ in 0..4 {
        let segment = world.worker(1);
        let effects = world.hand_in(segment, segment.range);
        forgiven += effects.iter().filter(|effect| **effect == Effect::Forgiven { prover: ProverId(1) }).count();
    }
    assert_eq!(forgiven, 2);
    assert_eq!(refuse(&mut world), 60_000);
}

#[test]
fn with_verification_behind_only_the_verified_get_work() {
    let mut world = World::with(Config { unverified: 1, target_ms: 10_000, min_steps: 2, ..Config::default() });
    world.job(1, spec(10_000));
    let workers = [1, 2].map(|prover| world.worker(prover));
    let proofs = workers.map(|segment| world.receive(segment, segment.range).0);
    assert!(segments(&world.ready(1, 1)).is_empty());
    assert_eq!(segments(&world.ready(3, 1)).len() + segments(&world.join(3, 1000, 1000, false)).len(), 0);
    assert_eq!(segments(&world.ready(3, 1)).len(), 1, "it has nothing there");
    assert_eq!(segments(&world.verify(proofs[1]))[0].prover, 1, "verification has come up");
}

#[test]
fn merges_go_to_provers_and_fall_back() {
    let mut world = World::new();
    world.job(1, spec(20));
    world.join(9, 1000, 1000, true);
    world.step(Event::Ready { prover: ProverId(9), segments: 0, merges: 1 });
    let (a, b) = (world.worker(1), world.worker(2));
    world.hand_in(a, a.range);
    let effects = world.hand_in(b, b.range);
    let merge = effects.iter().find_map(|effect| match *effect {
        Effect::AssignMerge { task, prover: ProverId(9), .. } => Some(task),
        _ => None,
    });
    let task = merge.unwrap();
    let effects = world.leave(9);
    let (job, left, right) = (JobId(1), a.range, b.range);
    assert!(effects.contains(&Effect::MergeNatively { task, job, left, right }), "{effects:?}");
    for _ in 0..2 {
        let effects = world.step(Event::MergeFailed { task, prover: None, bad_proof: false });
        assert_eq!(effects, [Effect::MergeNatively { task, job, left, right }]);
    }
    let effects = world.step(Event::MergeFailed { task, prover: None, bad_proof: false });
    assert_eq!(effects.last(), Some(&Effect::JobEnded { job, end: JobEnd::Failed }));
}

#[test]
fn a_late_merger_loses_its_merge_to_the_coordinator() {
    let mut world = World::new();
    world.job(1, spec(20));
    world.join(9, 1000, 1000, true);
    world.step(Event::Ready { prover: ProverId(9), segments: 0, merges: 1 });
    for prover in [1, 2] {
        let segment = world.worker(prover);
        world.hand_in(segment, segment.range);
    }
    let effects = world.at(30_000);
    assert_eq!(cancelled(&effects), [(9, CancelReason::Deadline)]);
    assert!(matches!(effects[1], Effect::MergeNatively { .. }), "{effects:?}");
}

#[test]
fn jobs_that_end_stop_at_once() {
    let mut world = World::new();
    world.job(1, JobSpec { deadline: Millis(50_000), ..spec(10_000) });
    world.job(2, spec(10_000));
    let first = world.worker(1);
    assert_eq!(first.job, 1);
    let effects = world.step(Event::JobCancelled { job: JobId(1) });
    assert_eq!(cancelled(&effects), [(1, CancelReason::JobEnded)]);
    assert_eq!(world.step(Event::JobCancelled { job: JobId(1) }), [Effect::Ignored(BadEvent::UnknownJob(JobId(1)))]);
    assert_eq!(verdicts(&world.hand_in(first, range(0, 5))), [(1, range(0, 5), Verdict::Compensated { steps: 5 })]);
    world.job(3, JobSpec { deadline: Millis(50_000), ..spec(10_000) });
    let effects = world.at(50_000);
    assert_eq!(effects, [Effect::JobEnded { job: JobId(3), end: JobEnd::Expired }]);
}

#[test]
fn a_crash_is_survived_by_replaying_facts() {
    let mut world = World::new();
    world.job(1, spec(30));
    let restored = |lo, hi, number, standing| {
        let (job, prover) = (JobId(1), ProverId(7));
        Event::RangeRestored { job, range: range(lo, hi), proof: proof(number), prover, standing }
    };
    assert_eq!(world.step(restored(0, 10, 101, Standing::Cover)), []);
    let overlap = Effect::Ignored(BadEvent::BadRange(range(9, 11)));
    assert_eq!(world.step(restored(9, 11, 102, Standing::Cover)), [overlap]);
    world.step(restored(9, 10, 103, Standing::Settled));
    let again = Effect::Ignored(BadEvent::KnownProof(proof(103)));
    assert_eq!(world.step(restored(9, 10, 103, Standing::Settled)), [again]);
    let effects = world.step(restored(10, 20, 104, Standing::Spare { owed: 10 }));
    assert_eq!(verdicts(&effects), [(7, range(10, 20), Verdict::Counted)]);
    assert!(matches!(effects[1], Effect::MergeNatively { .. }));
    // A prover that folded through the crash hands in without a task that is known.
    let (prover, job) = (ProverId(7), JobId(1));
    let event = Event::ProofReceived { proof: proof(105), prover, job, range: range(20, 30), task: None };
    world.step(event);
    assert_eq!(verdicts(&world.verify(proof(105))), [(7, range(20, 30), Verdict::Counted)]);
}

#[test]
fn a_job_that_expired_in_an_outage_pays_its_spares() {
    let mut world = World::new();
    world.now = 50_000;
    let expired = world.job(1, JobSpec { deadline: Millis(40_000), ..spec(30) });
    assert_eq!(expired, [Effect::JobEnded { job: JobId(1), end: JobEnd::Expired }]);
    let restored = |number, standing| {
        let (job, prover) = (JobId(1), ProverId(7));
        Event::RangeRestored { job, range: range(0, 10), proof: proof(number), prover, standing }
    };
    let effects = world.step(restored(1, Standing::Spare { owed: 6 }));
    assert_eq!(verdicts(&effects), [(7, range(0, 10), Verdict::Compensated { steps: 6 })]);
    let effects = world.step(restored(2, Standing::Spare { owed: 0 }));
    assert_eq!(verdicts(&effects), [(7, range(0, 10), Verdict::Late)]);
    let unknown = [Effect::Ignored(BadEvent::UnknownJob(JobId(1)))];
    assert_eq!(world.step(restored(3, Standing::Cover)), unknown);
}

#[test]
fn impossible_events_are_told() {
    let mut world = World::new();
    world.job(1, spec(100));
    let segment = world.worker(1);
    let task = segment.task;
    assert_eq!(world.progress(segment, 11), [Effect::Ignored(BadEvent::BadProgress(task))]);
    world.progress(segment, 5);
    assert_eq!(world.progress(segment, 4), [Effect::Ignored(BadEvent::BadProgress(task))]);
    let (proof, _) = world.receive(segment, range(0, 5));
    let again = Event::ProofReceived { proof, prover: ProverId(1), job: JobId(1), range: range(0, 5), task: None };
    assert_eq!(world.step(again), [Effect::Ignored(BadEvent::KnownProof(proof))]);
    let beyond = world.receive(segment, range(90, 101)).1;
    assert_eq!(beyond, [Effect::Ignored(BadEvent::BadRange(range(90, 101)))]);
    for bad in [JobSpec { steps: 0, ..spec(1) }, JobSpec { rows: 0, ..spec(1) }, JobSpec { weight: 0, ..spec(1) }] {
        assert_eq!(world.job(2, bad), [Effect::Ignored(BadEvent::BadJob(JobId(2)))]);
    }
    assert_eq!(world.job(1, spec(5)), [Effect::Ignored(BadEvent::KnownJob(JobId(1)))]);
    world.now = 5_000;
    world.step(Event::Tick);
    world.now = 4_000;
    world.step(Event::Tick);
    assert_eq!(world.scheduler.stats().time_reversals, 1);
}
