//! Our prover of segments.

use crowdfold_fold::{Address, Context, Error, Fr, Job, ProverParameters, RangeProof, Segment, StepFunction};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// A segment being proved.
pub struct Ours<'p, F: StepFunction> {
    segment: Segment<'p, F>,
    rng: ChaCha20Rng,
}

impl<'p, F: StepFunction> Ours<'p, F> {
    /// A segment that starts at `start`; `seed` decides the blinds.
    ///
    /// # Errors
    /// Those of [`Segment::new`].
    pub fn new(params: &'p ProverParameters<F>, start: Vec<Fr>, seed: u64) -> Result<Self, Error> {
        let job = Job { chain_id: 1, contract: Address([1; 20]), job_id: [2; 32] };
        let segment = Segment::new(params, Context { job, prover: Address([3; 20]) }, start)?;
        Ok(Self { segment, rng: ChaCha20Rng::seed_from_u64(seed) })
    }

    /// Proves one more step.
    ///
    /// # Errors
    /// Those of [`Segment::push`].
    pub fn step(&mut self, input: &F::Input) -> Result<(), Error> {
        self.segment.push(input, &mut self.rng)
    }

    /// The state after the steps so far.
    pub fn state(&self) -> &[Fr] {
        self.segment.state()
    }

    /// The proof of all steps.
    ///
    /// # Errors
    /// Those of [`Segment::finish`].
    pub fn finish(mut self) -> Result<RangeProof, Error> {
        self.segment.finish(&mut self.rng)
    }
}
