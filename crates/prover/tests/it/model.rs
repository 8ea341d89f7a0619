//! An engine that folds numbers: the state is a sum, inputs are its terms, and a proof lists what it claims.

use crowdfold_prover::{Engine, Failure, Merging, Opening, Proof, Purpose, Size};
use crowdfold_wire::ParametersId;
use rand_core::CryptoRngCore;

/// The program that the model has.
pub const PROGRAM: &str = "sum/1";
/// Rows of its steps.
pub const ROWS: u64 = 100;
/// Bytes of its proofs.
pub const PROOF_BYTES: usize = 300_000;
/// Parameters that it has from the start.
pub const LOADED: ParametersId = ParametersId([1; 32]);

/// An input that fails: the first byte says how.
pub const FATAL: u8 = 0xfe;
/// An input that spoils the chain.
pub const BAD: u8 = 0xfd;

#[derive(Debug, Default)]
pub struct Model {
    pub loaded: Vec<ParametersId>,
    pub merging: bool,
    /// Failures that pass, before the next step or merge.
    pub hiccups: u32,
    /// Bytes of proofs, if not the usual.
    pub proof_bytes: Option<usize>,
    /// Failures of the next snapshots, the last one first.
    pub failing_snapshots: Vec<Failure>,
    /// Snapshots that were asked for.
    pub snapshots: u32,
}

#[derive(Debug)]
pub struct Sum {
    start: u64,
    state: u64,
    steps: u64,
}

pub fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number.wrapping_mul(257).wrapping_add(u64::from(*byte)))
}

/// What a proof claims: start, end, steps.
pub fn claim(proof: &[u8]) -> Option<(u64, u64, u64)> {
    let field = |i: usize| Some(u64::from_le_bytes(proof.get(8 * i..8 * i + 8)?.try_into().ok()?));
    Some((field(0)?, field(1)?, field(2)?))
}

fn proof(start: u64, end: u64, steps: u64, length: usize) -> Vec<u8> {
    let mut bytes = [start, end, steps].map(u64::to_le_bytes).concat();
    bytes.resize(length.max(24), 7);
    bytes
}

impl Model {
    pub fn new() -> Self {
        Self { loaded: vec![LOADED], ..Self::default() }
    }

    fn length(&self) -> usize {
        self.proof_bytes.unwrap_or(PROOF_BYTES)
    }
}

impl Engine for Model {
    type Segment = Sum;

    fn knows(&self, program: &str) -> bool {
        program == PROGRAM
    }

    fn loaded(&self) -> Vec<ParametersId> {
        self.loaded.clone()
    }

    fn size(&self, _: &str, parameters: &ParametersId) -> Option<Size> {
        let size = Size { rows: ROWS, proof_bytes: self.length() as u64 };
        self.loaded.contains(parameters).then_some(size)
    }

    fn merges(&self, _: &str, parameters: &ParametersId) -> bool {
        self.merging && self.loaded.contains(parameters)
    }

    fn load(&mut self, _: &str, parameters: &ParametersId, purpose: Purpose, bytes: &[u8]) -> Result<(), Failure> {
        if bytes != parameters.0 {
            return Err(Failure::Fatal("other parameters".into()));
        }
        self.merging |= purpose == Purpose::Merge;
        self.loaded.push(*parameters);
        self.loaded.truncate(8);
        Ok(())
    }

    fn open(&mut self, opening: &Opening<'_>) -> Result<Sum, Failure> {
        let start = opening.start.try_into().map_err(|_| Failure::Fatal("a state has 8 bytes".into()))?;
        let start = u64::from_le_bytes(start);
        Ok(Sum { start, state: start, steps: 0 })
    }

    fn push(&mut self, segment: &mut Sum, input: &[u8], _: &mut dyn CryptoRngCore) -> Result<Vec<u8>, Failure> {
        if self.hiccups > 0 {
            self.hiccups -= 1;
            return Err(Failure::Retryable("a hiccup".into()));
        }
        match input.first() {
            Some(&FATAL) => return Err(Failure::Fatal("refused input".into())),
            Some(&BAD) => return Err(Failure::BadProof("broken chain".into())),
            _ => {}
        }
        segment.state = segment.state.wrapping_add(number(input));
        segment.steps += 1;
        Ok(segment.state.to_le_bytes().to_vec())
    }

    fn snapshot(&mut self, segment: &Sum, _: &mut dyn CryptoRngCore) -> Result<Vec<u8>, Failure> {
        self.snapshots += 1;
        match self.failing_snapshots.pop() {
            Some(failure) => Err(failure),
            None => Ok(proof(segment.start, segment.state, segment.steps, self.length())),
        }
    }

    fn finish(&mut self, segment: Sum, _: &mut dyn CryptoRngCore) -> Result<Vec<u8>, Failure> {
        Ok(proof(segment.start, segment.state, segment.steps, self.length()))
    }

    fn merge(&mut self, merging: &Merging<'_>, _: &mut dyn CryptoRngCore) -> Result<Proof, Failure> {
        if self.hiccups > 0 {
            self.hiccups -= 1;
            return Err(Failure::Retryable("a hiccup".into()));
        }
        let read = |bytes| claim(bytes).ok_or_else(|| Failure::Fatal("no proof".into()));
        let (start, mut end, mut steps) = read(merging.left)?;
        if let Some(right) = merging.right {
            let (middle, last, more) = read(right)?;
            if middle != end {
                return Err(Failure::Fatal("not adjacent".into()));
            }
            (end, steps) = (last, steps.saturating_add(more));
        }
        Ok(Proof { bytes: proof(start, end, steps, self.length() + 1), steps })
    }
}
