//! A fleet of model provers, honest, slow, silent and lying: every job gets done, and no client waits for ever.

use std::collections::{BTreeMap, VecDeque};

use crowdfold_sched::{Bytes, ClientId, Effect, Event, JobEnd, JobId, JobSpec, ProofId, ProverId, TaskId, Verdict};
use proptest::prelude::*;

use crate::world::{Segment, World, proof, segments, spec};

/// How a prover behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Honest,
    /// Takes segments and is never heard of again, but asks for more.
    Silent,
    /// Hands in bad proofs.
    Lying,
    /// Leaves in the midst of segments and comes back.
    Fickle,
}

fn arb_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Honest), Just(Kind::Silent), Just(Kind::Lying), Just(Kind::Fickle)]
}

struct Fleet {
    world: World,
    kinds: Vec<Kind>,
    held: BTreeMap<u64, VecDeque<(Segment, u64)>>,
    bad: Vec<ProofId>,
    inbox: VecDeque<Effect>,
    ended: BTreeMap<JobId, JobEnd>,
    counted: u64,
    proofs: u64,
}

impl Fleet {
    fn take(&mut self, effects: Vec<Effect>) {
        for segment in segments(&effects) {
            self.held.entry(segment.prover).or_default().push_back((segment, self.world.now));
        }
        for effect in effects {
            match effect {
                Effect::Cancel { task, prover: Some(prover), .. } => self.drop_task(prover, task),
                Effect::JobEnded { job, end } => {
                    self.ended.insert(job, end);
                }
                Effect::Verdict { range, verdict: Verdict::Counted, .. } => self.counted += range.steps(),
                Effect::MergeNatively { .. } | Effect::Verify { .. } => self.inbox.push_back(effect),
                _ => {}
            }
        }
    }

    fn drop_task(&mut self, prover: ProverId, task: TaskId) {
        if let Some(held) = self.held.get_mut(&prover.0) {
            held.retain(|(segment, _)| segment.task != task);
        }
    }

    fn step(&mut self, event: Event) {
        let effects = self.world.step(event);
        self.take(effects);
        while let Some(effect) = self.inbox.pop_front() {
            let event = match effect {
                Effect::MergeNatively { task, .. } => Event::MergeDone { task },
                Effect::Verify { proof, .. } if self.bad.contains(&proof) => Event::Refused { proof },
                Effect::Verify { proof, .. } => Event::Verified { proof },
                _ => continue,
            };
            let effects = self.world.step(event);
            self.take(effects);
        }
    }

    /// A second passes for a prover, which folds a step in it.
    fn second(&mut self, id: u64) {
        let kind = self.kinds[usize::try_from(id).unwrap()];
        let prover = ProverId(id);
        let held = self.held.entry(id).or_default();
        let Some(&(segment, since)) = held.front() else {
            self.step(Event::Ready { prover, segments: 1, merges: 0 });
            return;
        };
        let steps = ((self.world.now - since) / 1000).min(segment.range.steps());
        match kind {
            Kind::Silent => self.step(Event::Ready { prover, segments: 1, merges: 0 }),
            Kind::Fickle if steps == 3 => {
                held.clear();
                self.step(Event::ProverLeft { prover });
                let effects = self.world.join(id, 1000, 1000, false);
                self.take(effects);
            }
            _ if steps == segment.range.steps() => {
                held.pop_front();
                self.proofs += 1;
                let proof = proof(self.proofs);
                if kind == Kind::Lying {
                    self.bad.push(proof);
                }
                let (job, range, task) = (JobId(segment.job), segment.range, Some(segment.task));
                self.step(Event::ProofReceived { proof, prover, job, range, task });
            }
            _ => self.step(Event::Progress { prover, task: segment.task, steps }),
        }
    }
}

/// Runs until all jobs ended; returns the seconds it took, with the order in which they ended.
fn run(kinds: &[Kind], jobs: &[(u64, u32)], limit: u64) -> (u64, BTreeMap<JobId, JobEnd>) {
    let mut fleet = Fleet {
        world: World::new(),
        kinds: kinds.to_vec(),
        held: BTreeMap::new(),
        bad: Vec::new(),
        inbox: VecDeque::new(),
        ended: BTreeMap::new(),
        counted: 0,
        proofs: 0,
    };
    for id in 0..u64::try_from(kinds.len()).unwrap() {
        fleet.world.join(id, 1000, 1000, false);
    }
    let mut all = 0;
    for (number, &(steps, weight)) in (1..).zip(jobs) {
        all += steps;
        let spec = JobSpec { client: ClientId(number), weight, memory: Bytes(1), ..spec(steps) };
        fleet.step(Event::JobAdded { job: JobId(number), spec });
    }
    for second in 1..=limit {
        fleet.world.now = second * 1000;
        fleet.step(Event::Tick);
        for id in 0..u64::try_from(kinds.len()).unwrap() {
            fleet.second(id);
        }
        if fleet.ended.len() == jobs.len() {
            assert_eq!(fleet.counted, all, "each step counts once");
            return (second, fleet.ended);
        }
    }
    panic!("after {limit} s only {:?} ended: {:?}", fleet.ended, fleet.world.scheduler.stats());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the others do, one honest prover gets every job done, in a time that the work and the number of the
    /// others bound.
    #[test]
    fn nobody_starves(others in prop::collection::vec(arb_kind(), 0..6), jobs in prop::collection::vec((1..60_u64, 1..5_u32), 1..4)) {
        let kinds: Vec<Kind> = others.iter().copied().chain([Kind::Honest]).collect();
        let work: u64 = jobs.iter().map(|(steps, _)| steps).sum();
        let (_, ended) = run(&kinds, &jobs, 200 + work * 10 + 200 * u64::try_from(others.len()).unwrap());
        prop_assert!(ended.values().all(|&end| end == JobEnd::Done));
    }
}

#[test]
fn honest_provers_waste_nothing() {
    let (seconds, _) = run(&[Kind::Honest; 8], &[(400, 1)], 1000);
    assert!(seconds <= 75, "400 steps on 8 provers are 50 s of work, it took {seconds} s");
}
