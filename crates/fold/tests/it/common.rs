//! What the tests share.

use crowdfold_fold::{Address, Context, Fr, Job, Parameters, RangeProof, Segment, Srs};
use crowdfold_programs::Squarings;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::sync::LazyLock;

/// Squarings in a step of the test program: few, so that the scheme's own circuits dominate.
pub const PER_STEP: usize = 3;

/// Parameters of the test program, made once.
pub static PARAMS: LazyLock<Parameters<Squarings>> = LazyLock::new(|| {
    Parameters::generate(Squarings::new(PER_STEP), &Srs::insecure_development(1 << 16)).expect("parameters")
});

pub fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub fn job() -> Job {
    Job { chain_id: 31337, contract: Address([7; 20]), job_id: [9; 32] }
}

pub fn context(prover: u8) -> Context {
    Context { job: job(), prover: Address([prover; 20]) }
}

/// A segment of steps with inputs `first..first + count`, started at `start`.
pub fn segment(prover: u8, start: Fr, first: u64, count: u64, seed: u64) -> RangeProof {
    let mut rng = rng(seed);
    let mut segment = Segment::new(PARAMS.prover(), context(prover), vec![start]).expect("segment");
    for input in first..first + count {
        segment.push(&Fr::from(input), &mut rng).expect("push");
    }
    segment.finish(&mut rng).expect("finish")
}
