//! Modelled proofs: bytes that say what they prove, and a seal that only who folded every step can make.

use crowdfold_fold::{Address, Context, Job};
use crowdfold_prover::{Engine, Failure, Merging, Opening, Proof, Purpose, Size};
use crowdfold_sched::Range;
use crowdfold_wire::ParametersId;
use rand_core::CryptoRngCore;

/// The program of all simulated jobs.
pub(crate) const PROGRAM: &str = "model/1";
/// Its parameters.
pub(crate) const PARAMETERS: ParametersId = ParametersId([9; 32]);

const SEAL: u64 = 0x5ea1_5ea1_5ea1_5ea1;
/// Bytes of a proof before its parts: job, states, nonce, number of parts.
const HEAD: usize = 8 + 20 + 32 + 8 + 8 + 8 + 4;
const PART: usize = 20 + 8;

/// Mixes bytes into a number: the step function, and the seal.
pub(crate) fn mix(state: u64, bytes: &[u8]) -> u64 {
    let round = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let chunks = bytes.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    let hash = chunks.fold(round(state, bytes.len() as u64), round);
    (hash ^ (hash >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// What the coordinator knows of a job: its inputs and all its states.
#[derive(Clone, Debug)]
pub(crate) struct Truth {
    pub(crate) job: Job,
    pub(crate) inputs: Vec<Vec<u8>>,
    pub(crate) states: Vec<u64>,
}

impl Truth {
    pub(crate) fn new(job: Job, start: u64, inputs: Vec<Vec<u8>>) -> Self {
        let mut states = vec![start];
        for input in &inputs {
            states.push(mix(states[states.len() - 1], input));
        }
        Self { job, inputs, states }
    }

    /// The state before a step.
    pub(crate) fn state(&self, step: u64) -> Option<u64> {
        self.states.get(usize::try_from(step).ok()?).copied()
    }
}

/// A range proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Modelled {
    pub(crate) job: Job,
    pub(crate) start: u64,
    pub(crate) end: u64,
    nonce: u64,
    /// Who folded how many steps.
    pub(crate) parts: Vec<(Address, u64)>,
    pub(crate) sealed: bool,
}

fn seal(body: &[u8]) -> [u8; 8] {
    mix(SEAL, body).to_le_bytes()
}

impl Modelled {
    /// The bytes, with so many after the seal that they are `length` or more.
    pub(crate) fn encode(&self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length);
        bytes.extend(self.job.chain_id.to_le_bytes());
        bytes.extend(self.job.contract.0);
        bytes.extend(self.job.job_id);
        for number in [self.start, self.end, self.nonce] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(u32::try_from(self.parts.len()).unwrap_or(u32::MAX).to_le_bytes());
        for (prover, steps) in &self.parts {
            bytes.extend(prover.0);
            bytes.extend(steps.to_le_bytes());
        }
        let mut seal = seal(&bytes);
        seal[0] ^= u8::from(!self.sealed);
        bytes.extend(seal);
        let filling = self.nonce.to_le_bytes()[0];
        bytes.resize(bytes.len().max(length), filling);
        bytes
    }

    /// Reads what a prover sent; `None` for what is no proof at all.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let count = u32::from_le_bytes(bytes.get(HEAD - 4..HEAD)?.try_into().ok()?);
        let body = HEAD.checked_add(usize::try_from(count).ok()?.checked_mul(PART)?)?;
        let part =
            |part: &[u8]| Some((Address(part[..20].try_into().ok()?), u64::from_le_bytes(part[20..].try_into().ok()?)));
        let parts = bytes.get(HEAD..body)?.chunks_exact(PART).map(part).collect::<Option<Vec<_>>>()?;
        let job = Self::job_of(bytes)?;
        let sealed = bytes.get(body..body + 8)? == seal(&bytes[..body]);
        let filling = word(76)?.to_le_bytes()[0];
        let clean = bytes.get(body + 8..)?.iter().all(|byte| *byte == filling);
        (clean && !parts.is_empty()).then_some(Self {
            job,
            start: word(60)?,
            end: word(68)?,
            nonce: word(76)?,
            parts,
            sealed,
        })
    }

    /// The job that bytes claim to be of, as soon as enough of them are there.
    pub(crate) fn job_of(bytes: &[u8]) -> Option<Job> {
        Some(Job {
            chain_id: u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?),
            contract: Address(bytes.get(8..28)?.try_into().ok()?),
            job_id: bytes.get(28..60)?.try_into().ok()?,
        })
    }

    pub(crate) fn steps(&self) -> u64 {
        self.parts.iter().fold(0, |sum, (_, steps)| sum.saturating_add(*steps))
    }

    /// Whether it proves these steps of this job.
    pub(crate) fn proves(&self, truth: &Truth, range: Range) -> bool {
        self.sealed
            && self.job == truth.job
            && self.steps() == range.steps()
            && truth.state(range.start().0) == Some(self.start)
            && truth.state(range.end().0) == Some(self.end)
    }

    /// Joins two adjacent ones.
    pub(crate) fn merge(left: &Self, right: &Self) -> Option<Self> {
        let parts = left.parts.iter().chain(&right.parts).copied().collect();
        let fits = left.job == right.job && left.end == right.start;
        let (nonce, sealed) = (mix(left.nonce, &right.nonce.to_le_bytes()), left.sealed && right.sealed);
        fits.then_some(Self { job: left.job, start: left.start, end: right.end, nonce, parts, sealed })
    }
}

/// How a prover cheats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// It does not fold, and makes up the seal.
    Seal,
    /// It folds other inputs: a good proof of another last state.
    State,
    /// It hands in what somebody else folded: a good proof that is not its own.
    Prover,
}

/// An engine that makes modelled proofs.
#[derive(Clone, Debug)]
pub(crate) struct ModelEngine {
    pub(crate) rows: u64,
    pub(crate) proof_bytes: u64,
    /// Lies of this kind, and in a thousand proofs how many.
    pub(crate) lie: Option<(Lie, u32)>,
    /// In a thousand steps so many fail at first.
    pub(crate) flaky: u32,
    pub(crate) loaded: bool,
}

/// A chain of steps.
#[derive(Debug)]
pub(crate) struct ModelSegment {
    context: Context,
    start: u64,
    state: u64,
    steps: u64,
}

fn happens(rng: &mut dyn CryptoRngCore, times: u32) -> bool {
    times > 0 && rng.next_u32() % 1000 < times
}

impl Engine for ModelEngine {
    type Segment = ModelSegment;

    fn knows(&self, program: &str) -> bool {
        program == PROGRAM
    }

    fn loaded(&self) -> Vec<ParametersId> {
        if self.loaded { vec![PARAMETERS] } else { Vec::new() }
    }

    fn size(&self, _: &str, parameters: &ParametersId) -> Option<Size> {
        let size = Size { rows: self.rows, proof_bytes: self.proof_bytes };
        (self.loaded && *parameters == PARAMETERS).then_some(size)
    }

    fn merges(&self, _: &str, parameters: &ParametersId) -> bool {
        self.loaded && *parameters == PARAMETERS
    }

    fn load(&mut self, _: &str, parameters: &ParametersId, _: Purpose, _: &[u8]) -> Result<(), Failure> {
        self.loaded = *parameters == PARAMETERS;
        if self.loaded { Ok(()) } else { Err(Failure::Fatal("other parameters".into())) }
    }

    fn open(&mut self, opening: &Opening<'_>) -> Result<ModelSegment, Failure> {
        let start = opening.start.try_into().map_err(|_| Failure::Fatal("a state has 8 bytes".into()))?;
        let start = u64::from_le_bytes(start);
        Ok(ModelSegment { context: opening.context, start, state: start, steps: 0 })
    }

    fn push(
        &mut self,
        segment: &mut ModelSegment,
        input: &[u8],
        rng: &mut dyn CryptoRngCore,
    ) -> Result<Vec<u8>, Failure> {
        if happens(rng, self.flaky) {
            let text = "memory ran out for a moment".to_owned();
            return Err(if happens(rng, 100) { Failure::BadProof(text) } else { Failure::Retryable(text) });
        }
        segment.state = mix(segment.state, input);
        segment.steps += 1;
        Ok(segment.state.to_le_bytes().to_vec())
    }

    fn snapshot(&mut self, segment: &ModelSegment, rng: &mut dyn CryptoRngCore) -> Result<Vec<u8>, Failure> {
        let ModelSegment { context, start, state, steps } = *segment;
        let parts = vec![(context.prover, steps)];
        let mut proof = Modelled { job: context.job, start, end: state, nonce: rng.next_u64(), parts, sealed: true };
        match self.lie {
            Some((lie, times)) if happens(rng, times) => match lie {
                Lie::Seal => proof.sealed = false,
                Lie::State => proof.end = state ^ 1,
                Lie::Prover => proof.parts[0].0 = Address([0xee; 20]),
            },
            _ => {}
        }
        Ok(proof.encode(usize::try_from(self.proof_bytes).unwrap_or(0)))
    }

    fn finish(&mut self, segment: ModelSegment, rng: &mut dyn CryptoRngCore) -> Result<Vec<u8>, Failure> {
        self.snapshot(&segment, rng)
    }

    fn merge(&mut self, merging: &Merging<'_>, rng: &mut dyn CryptoRngCore) -> Result<Proof, Failure> {
        let bad = || Failure::Fatal("what came is no proof".into());
        let left = Modelled::decode(merging.left).ok_or_else(bad)?;
        let right = Modelled::decode(merging.right.ok_or_else(bad)?).ok_or_else(bad)?;
        let mut proof = Modelled::merge(&left, &right).ok_or_else(|| Failure::Fatal("they are not adjacent".into()))?;
        proof.nonce = rng.next_u64();
        if self.lie.is_some_and(|(_, times)| happens(rng, times)) {
            proof.sealed = false;
        }
        Ok(Proof { steps: proof.steps(), bytes: proof.encode(merging.left.len()) })
    }
}

#[cfg(test)]
mod tests {
    use super::{Modelled, Truth};
    use crowdfold_fold::{Address, Job};
    use crowdfold_sched::{Range, StepIndex};

    #[test]
    fn a_proof_proves_its_steps_and_nothing_else() {
        let job = Job { chain_id: 1, contract: Address([2; 20]), job_id: [3; 32] };
        let truth = Truth::new(job, 5, vec![vec![1], vec![2], vec![3]]);
        let range = |lo, hi| Range::new(StepIndex(lo), StepIndex(hi)).expect("steps");
        let proof = |lo: usize, hi: usize| Modelled {
            job,
            start: truth.states[lo],
            end: truth.states[hi],
            nonce: 7,
            parts: vec![(Address([4; 20]), (hi - lo) as u64)],
            sealed: true,
        };
        let whole = Modelled::merge(&proof(0, 1), &proof(1, 3)).expect("adjacent");
        assert!(whole.proves(&truth, range(0, 3)) && !whole.proves(&truth, range(0, 2)));
        assert_eq!(Modelled::merge(&proof(0, 1), &proof(2, 3)), None);
        let bytes = whole.encode(500);
        assert_eq!(Modelled::decode(&bytes), Some(whole));
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            let read = Modelled::decode(&bad);
            assert!(read.is_none_or(|read| !read.proves(&truth, range(0, 3))), "byte {at}");
        }
    }
}
