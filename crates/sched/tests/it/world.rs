//! A scheduler with a clock and short words for events.

use crowdfold_sched::{
    Bytes, ClientId, Config, Effect, Event, JobId, JobSpec, Millis, ProofId, ProverId, ProverSpec, Range, Scheduler,
    Speed, StepIndex, TaskId, Verdict,
};

/// A scheduler whose state is audited after every event.
pub(crate) struct World {
    pub(crate) scheduler: Scheduler,
    pub(crate) now: u64,
    proofs: u64,
}

/// A segment as it was handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) task: TaskId,
    pub(crate) prover: u64,
    pub(crate) job: u64,
    pub(crate) range: Range,
    pub(crate) soft: u64,
    pub(crate) hard: u64,
}

pub(crate) fn range(lo: u64, hi: u64) -> Range {
    Range::new(StepIndex(lo), StepIndex(hi)).expect("steps")
}

pub(crate) fn spec(steps: u64) -> JobSpec {
    JobSpec {
        client: ClientId(1),
        weight: 1,
        bounty: 1000,
        steps,
        rows: 1000,
        deadline: Millis(100_000_000),
        memory: Bytes(1000),
        height: 0,
    }
}

/// The proof of this number.
pub(crate) fn proof(number: u64) -> ProofId {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    ProofId(bytes)
}

pub(crate) fn segments(effects: &[Effect]) -> Vec<Segment> {
    let segment = |effect: &Effect| match *effect {
        Effect::Assign { task, prover, job, range, soft, hard } => {
            Some(Segment { task, prover: prover.0, job: job.0, range, soft: soft.0, hard: hard.0 })
        }
        _ => None,
    };
    effects.iter().filter_map(segment).collect()
}

pub(crate) fn verdicts(effects: &[Effect]) -> Vec<(u64, Range, Verdict)> {
    let verdict = |effect: &Effect| match *effect {
        Effect::Verdict { prover, range, verdict, .. } => Some((prover.0, range, verdict)),
        _ => None,
    };
    effects.iter().filter_map(verdict).collect()
}

pub(crate) fn to_verify(effects: &[Effect]) -> Vec<ProofId> {
    let proof = |effect: &Effect| match *effect {
        Effect::Verify { proof, .. } => Some(proof),
        _ => None,
    };
    effects.iter().filter_map(proof).collect()
}

impl World {
    /// With segments of 10 steps for provers of speed 1000, and native merges that nobody reports.
    pub(crate) fn new() -> Self {
        Self::with(Config { target_ms: 10_000, min_steps: 2, ..Config::default() })
    }

    pub(crate) fn with(config: Config) -> Self {
        Self { scheduler: Scheduler::new(config), now: 0, proofs: 0 }
    }

    pub(crate) fn step(&mut self, event: Event) -> Vec<Effect> {
        let effects = self.scheduler.step(Millis(self.now), event);
        if let Err(what) = self.scheduler.audit() {
            panic!("after {event:?}: {what}");
        }
        effects
    }

    pub(crate) fn at(&mut self, now: u64) -> Vec<Effect> {
        self.now = now;
        self.step(Event::Tick)
    }

    pub(crate) fn job(&mut self, job: u64, spec: JobSpec) -> Vec<Effect> {
        self.step(Event::JobAdded { job: JobId(job), spec })
    }

    pub(crate) fn join(&mut self, prover: u64, speed: u64, memory: u64, merges: bool) -> Vec<Effect> {
        let spec = ProverSpec { speed: Speed(speed), memory: Bytes(memory), merges, most_steps: u64::MAX, strikes: 0 };
        self.step(Event::ProverJoined { prover: ProverId(prover), spec })
    }

    pub(crate) fn ready(&mut self, prover: u64, segments: u16) -> Vec<Effect> {
        self.step(Event::Ready { prover: ProverId(prover), segments, merges: 0 })
    }

    /// A prover of speed 1000 joins and gets a segment.
    pub(crate) fn worker(&mut self, prover: u64) -> Segment {
        self.worker_of(prover, 1000)
    }

    pub(crate) fn worker_of(&mut self, prover: u64, speed: u64) -> Segment {
        self.join(prover, speed, 1000, false);
        let effects = self.ready(prover, 1);
        *segments(&effects).first().unwrap_or_else(|| panic!("no segment for {prover}: {effects:?}"))
    }

    pub(crate) fn progress(&mut self, segment: Segment, steps: u64) -> Vec<Effect> {
        self.step(Event::Progress { prover: ProverId(segment.prover), task: segment.task, steps })
    }

    pub(crate) fn leave(&mut self, prover: u64) -> Vec<Effect> {
        self.step(Event::ProverLeft { prover: ProverId(prover) })
    }

    /// Hands in a part of a segment; returns the proof.
    pub(crate) fn receive(&mut self, segment: Segment, range: Range) -> (ProofId, Vec<Effect>) {
        self.proofs += 1;
        let (proof, prover, task) = (proof(self.proofs), ProverId(segment.prover), Some(segment.task));
        let effects = self.step(Event::ProofReceived { proof, prover, job: JobId(segment.job), range, task });
        (proof, effects)
    }

    pub(crate) fn verify(&mut self, proof: ProofId) -> Vec<Effect> {
        self.step(Event::Verified { proof })
    }

    /// Hands in a part of a segment; what is to be verified is valid.
    pub(crate) fn hand_in(&mut self, segment: Segment, range: Range) -> Vec<Effect> {
        let (_, effects) = self.receive(segment, range);
        self.verify_all(effects)
    }

    /// Verifies what the effects ask for; returns them with what came of it.
    pub(crate) fn verify_all(&mut self, mut effects: Vec<Effect>) -> Vec<Effect> {
        let mut done = 0;
        while let Some(&proof) = to_verify(&effects).get(done) {
            effects.extend(self.verify(proof));
            done += 1;
        }
        effects
    }
}
