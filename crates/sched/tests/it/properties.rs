//! Random events keep the invariants, and the same events give the same effects.

use std::collections::{BTreeMap, BTreeSet};

use crowdfold_sched::{
    BadEvent, Bytes, ClientId, Config, Effect, Event, JobEnd, JobId, JobSpec, Millis, ProofId, ProverId, ProverSpec,
    Range, Release, Scheduler, Speed, TaskId, Verdict,
};
use proptest::prelude::*;

use crate::world::{proof, range, spec};

/// An event in which everything that must exist is chosen among what does.
#[derive(Clone, Copy, Debug)]
struct Choice {
    kind: u8,
    a: u16,
    b: u16,
    wait: u16,
}

fn arb_choice() -> impl Strategy<Value = Choice> {
    (0..32_u8, any::<u16>(), any::<u16>(), 0..3_000_u16).prop_map(|(kind, a, b, wait)| Choice { kind, a, b, wait })
}

/// What an outsider knows: enough to choose events and to check effects.
#[derive(Default)]
struct Model {
    now: u64,
    jobs: BTreeMap<JobId, u64>,
    tasks: BTreeMap<TaskId, (ProverId, JobId, Range)>,
    seen: Vec<(TaskId, ProverId, JobId, Range)>,
    merges: BTreeMap<TaskId, Option<ProverId>>,
    unverified: Vec<ProofId>,
    credited: BTreeSet<ProofId>,
    /// Steps that a prover was paid for.
    paid: BTreeMap<(ProverId, JobId), BTreeSet<u64>>,
    final_verdicts: BTreeSet<ProofId>,
    counted: BTreeMap<JobId, Vec<Range>>,
    proofs: u64,
    next_job: u64,
}

fn pick<T: Copy>(items: &[T], at: u16) -> Option<T> {
    items.get(usize::from(at) % items.len().max(1)).copied()
}

impl Model {
    fn event(&mut self, Choice { kind, a, b, wait }: Choice) -> Event {
        self.now += u64::from(wait) * if kind == 31 { 20 } else { 1 };
        let prover = ProverId(u64::from(b % 6));
        let tasks: Vec<_> =
            self.tasks.iter().map(|(&task, &(prover, job, range))| (task, prover, job, range)).collect();
        match kind {
            0 | 1 => {
                self.next_job += 1;
                let deadline = Millis(self.now + 1_000 + u64::from(b) * 20);
                let client = ClientId(u64::from(a % 3));
                let (steps, memory) = (1 + u64::from(a) % 120, Bytes(500 * u64::from(b % 4)));
                let spec = JobSpec { client, deadline, memory, weight: 1 + u32::from(a % 5), ..spec(steps) };
                Event::JobAdded { job: JobId(self.next_job), spec }
            }
            2 => Event::JobCancelled { job: JobId(u64::from(a) % (self.next_job + 2)) },
            3 | 4 => {
                let (speed, memory) = (Speed(u64::from(a) % 5_000), Bytes(u64::from(a % 2_000)));
                let most_steps = if b % 4 == 0 { u64::from(b % 64) } else { u64::MAX };
                Event::ProverJoined {
                    prover,
                    spec: ProverSpec { speed, memory, merges: a % 2 == 0, most_steps, strikes: 0 },
                }
            }
            5 => Event::ProverLeft { prover },
            6..=11 => Event::Ready { prover, segments: a % 4, merges: a % 3 },
            12..=14 => match pick(&tasks, a) {
                Some((task, prover, _, range)) => {
                    Event::Progress { prover, task, steps: u64::from(b) % (range.steps() + 2) }
                }
                None => Event::Tick,
            },
            15 => match pick(&tasks, a) {
                Some((task, prover, ..)) => {
                    let why =
                        [Release::Paused, Release::Closing, Release::OutOfMemory, Release::Failed, Release::Deadline];
                    Event::Released { prover, task, why: why[usize::from(b % 5)] }
                }
                None => Event::Tick,
            },
            16..=22 => {
                let known = if kind < 21 { pick(&tasks, a) } else { pick(&self.seen, a) };
                let Some((task, prover, job, whole)) = known else { return Event::Tick };
                let (lo, hi) = (whole.start().0, whole.end().0);
                let parts = match b % 4 {
                    0 => whole,
                    1 => range(lo, lo + 1 + u64::from(b) % whole.steps()),
                    2 => range(hi - 1 - u64::from(b) % whole.steps(), hi),
                    _ => range(lo, hi + u64::from(b % 3)),
                };
                self.proofs += u64::from(b % 9 != 0);
                Event::ProofReceived {
                    proof: proof(self.proofs << 32 | job.0),
                    prover,
                    job,
                    range: parts,
                    task: Some(task).filter(|_| a % 5 != 0),
                }
            }
            23..=26 => match pick(&self.unverified, a) {
                Some(proof) if b % 12 == 0 => Event::Refused { proof },
                Some(proof) if b % 12 == 1 => Event::Withdrawn { proof },
                Some(proof) => Event::Verified { proof },
                None => Event::Verified { proof: proof(u64::from(a)) },
            },
            27..=29 => {
                let merges: Vec<_> = self.merges.iter().map(|(&task, &prover)| (task, prover)).collect();
                match pick(&merges, a) {
                    Some((task, prover)) if b % 6 == 0 => Event::MergeFailed { task, prover, bad_proof: b % 4 == 0 },
                    Some((task, _)) => Event::MergeDone { task },
                    None => Event::Tick,
                }
            }
            _ => Event::Tick,
        }
    }

    /// Follows the effects and checks what an outsider can check.
    fn follow(&mut self, event: Event, effects: &[Effect]) {
        match event {
            Event::Verified { proof } | Event::Refused { proof } | Event::Withdrawn { proof } => {
                self.unverified.retain(|&other| other != proof);
            }
            Event::JobAdded { job, spec } if !matches!(effects, [.., Effect::Ignored(_)]) => {
                self.jobs.insert(job, spec.steps);
            }
            Event::MergeDone { task } => {
                self.merges.remove(&task);
            }
            _ => {}
        }
        for effect in effects {
            match *effect {
                Effect::Assign { task, prover, job, range, soft, hard } => {
                    assert!(range.end().0 <= self.jobs[&job] && soft <= hard);
                    assert!(self.tasks.insert(task, (prover, job, range)).is_none());
                    self.seen.push((task, prover, job, range));
                }
                Effect::Cancel { task, .. } => {
                    self.tasks.remove(&task);
                    self.merges.remove(&task);
                }
                Effect::AssignMerge { task, prover, left, right, .. } => {
                    assert_eq!(left.end(), right.start());
                    self.merges.insert(task, Some(prover));
                }
                Effect::MergeNatively { task, left, right, .. } => {
                    assert_eq!(left.end(), right.start());
                    self.merges.insert(task, None);
                }
                Effect::Verify { proof, .. } => self.unverified.push(proof),
                Effect::Verdict { proof, prover, job, range, verdict } => {
                    if !matches!(verdict, Verdict::Spare { .. } | Verdict::Late) {
                        assert!(self.final_verdicts.insert(proof), "two verdicts on {proof:?}");
                    }
                    if matches!(verdict, Verdict::Counted | Verdict::Compensated { .. }) {
                        assert!(self.credited.insert(proof), "{proof:?} is credited twice");
                    }
                    if matches!(verdict, Verdict::Counted | Verdict::Compensated { .. }) {
                        let paid = self.paid.entry((prover, job)).or_default();
                        let before = paid.len();
                        paid.extend(range.start().0..range.end().0);
                        if let Verdict::Compensated { steps } = verdict {
                            let new = (paid.len() - before) as u64;
                            assert!((1..=new).contains(&steps), "{steps} steps are paid for, {new} were not before");
                        }
                    }
                    if verdict == Verdict::Counted {
                        let counted = self.counted.entry(job).or_default();
                        assert!(!counted.iter().any(|other| other.overlaps(range)), "{range:?} is counted twice");
                        counted.push(range);
                    }
                }
                Effect::JobEnded { job, end } => {
                    let steps = self.jobs.remove(&job).unwrap_or_default();
                    let counted = self.counted.remove(&job).unwrap_or_default();
                    if end == JobEnd::Done {
                        assert_eq!(counted.iter().map(|range| range.steps()).sum::<u64>(), steps);
                    }
                }
                Effect::Suspend { .. } | Effect::Forgiven { .. } | Effect::Ignored(_) => {}
            }
        }
    }
}

fn config() -> Config {
    Config {
        target_ms: 10_000,
        min_steps: 2,
        unverified: 3,
        native_merges: 2,
        forgiven_by: 2,
        epoch: 9,
        ..Config::default()
    }
}

fn run(choices: &[Choice]) -> (Vec<Event>, Vec<Vec<Effect>>, Scheduler) {
    let (mut scheduler, mut model) = (Scheduler::new(config()), Model::default());
    let (mut events, mut all) = (Vec::new(), Vec::new());
    for &choice in choices {
        let event = model.event(choice);
        let effects = scheduler.step(Millis(model.now), event);
        if let Err(what) = scheduler.audit() {
            panic!("{what}, after {event:?} gave {effects:?}");
        }
        model.follow(event, &effects);
        events.push(event);
        all.push(effects);
    }
    // Everything that is left ends, and nothing may stay behind.
    let jobs: Vec<_> = model.jobs.keys().copied().collect();
    for job in jobs {
        let effects = scheduler.step(Millis(model.now), Event::JobCancelled { job });
        model.follow(Event::Tick, &effects);
    }
    for proof in model.unverified.clone() {
        let effects = scheduler.step(Millis(model.now), Event::Verified { proof });
        model.follow(Event::Verified { proof }, &effects);
    }
    for prover in 0..6 {
        scheduler.step(Millis(model.now), Event::ProverLeft { prover: ProverId(prover) });
    }
    for _ in 0..4 {
        model.now += 40 * 24 * 3_600_000;
        scheduler.step(Millis(model.now), Event::ProverJoined { prover: ProverId(99), spec: PASSER_BY });
        scheduler.step(Millis(model.now), Event::ProverLeft { prover: ProverId(99) });
    }
    (events, all, scheduler)
}

const PASSER_BY: ProverSpec =
    ProverSpec { speed: Speed(1), memory: Bytes(1), merges: false, most_steps: u64::MAX, strikes: 0 };

proptest! {
    #[test]
    fn invariants_hold(choices in prop::collection::vec(arb_choice(), 1..300)) {
        let (_, effects, scheduler) = run(&choices);
        let stats = scheduler.stats();
        prop_assert_eq!((stats.jobs, stats.leases, stats.merges, stats.unverified, stats.timers), (0, 0, 0, 0, 0));
        prop_assert_eq!((stats.provers, stats.waiting), (0, 0));
        let ignored = effects.iter().flatten().filter(|effect| matches!(effect, Effect::Ignored(_))).count();
        prop_assert!(stats.ignored >= u64::try_from(ignored).unwrap());
    }

    #[test]
    fn the_same_events_give_the_same_effects(choices in prop::collection::vec(arb_choice(), 1..200)) {
        let (events, effects, _) = run(&choices);
        let (again, same, _) = run(&choices);
        prop_assert_eq!(events, again);
        prop_assert_eq!(effects, same);
    }

    /// Events about things that never were are told as such and change nothing.
    #[test]
    fn nonsense_is_ignored(number in 1_u64.., kind in 0..9) {
        let (prover, job, task) = (ProverId(number), JobId(number), TaskId(number));
        let (event, bad) = match kind {
            0 => (Event::JobCancelled { job }, BadEvent::UnknownJob(job)),
            1 => (Event::ProverLeft { prover }, BadEvent::UnknownProver(prover)),
            2 => (Event::Ready { prover, segments: 1, merges: 1 }, BadEvent::UnknownProver(prover)),
            3 => (Event::Progress { prover, task, steps: 1 }, BadEvent::UnknownTask(task)),
            4 => (Event::Released { prover, task, why: Release::Paused }, BadEvent::UnknownTask(task)),
            5 => (Event::Verified { proof: proof(number) }, BadEvent::UnknownProof(proof(number))),
            6 => (Event::Refused { proof: proof(number) }, BadEvent::UnknownProof(proof(number))),
            7 => (Event::MergeDone { task }, BadEvent::UnknownTask(task)),
            _ => (Event::MergeFailed { task, prover: None, bad_proof: true }, BadEvent::UnknownTask(task)),
        };
        let mut scheduler = Scheduler::new(config());
        prop_assert_eq!(scheduler.step(Millis(number), event), [Effect::Ignored(bad)]);
        let stats = scheduler.stats();
        prop_assert_eq!((stats.ignored, stats.jobs, stats.provers, stats.leases), (1, 0, 0, 0));
    }
}
