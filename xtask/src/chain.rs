//! A chain of steps cut into segments: what the fixture and the demo prove.

use anyhow::{Context as _, ensure};
use crowdfold_fold::{
    Address, Context, Fr, Job, Parameters, RangeProof, Segment, StepFunction, merge, verify, verify_batch,
};
use crowdfold_programs::Squarings;
use ff::PrimeField;
use rand_core::{CryptoRng, RngCore};

/// The job that everything here is bound to.
pub(crate) const JOB: Job = Job { chain_id: 31337, contract: Address([0xc0; 20]), job_id: [0x0b; 32] };

/// A run of steps for one prover.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    pub(crate) first: usize,
    pub(crate) start: Vec<Fr>,
    pub(crate) inputs: Vec<Fr>,
    pub(crate) end: Vec<Fr>,
}

/// Executes a chain of `segments * length` steps and cuts it.
///
/// # Errors
/// If the step function refuses an input.
pub(crate) fn execute(program: &Squarings, segments: usize, length: usize) -> anyhow::Result<Vec<Range>> {
    let mut state = vec![Fr::from(3)];
    (0..segments)
        .map(|segment| {
            let first = segment * length;
            let start = state.clone();
            let inputs: Vec<Fr> = (first..first + length).map(|step| Fr::from(step as u64 + 1)).collect();
            for input in &inputs {
                state = program.apply(&state, input)?;
            }
            Ok(Range { first, start, inputs, end: state.clone() })
        })
        .collect()
}

/// Proves a range here.
///
/// # Errors
/// Those of the folding scheme.
pub(crate) fn prove(
    parameters: &Parameters<Squarings>,
    prover: Address,
    range: &Range,
    rng: &mut (impl CryptoRng + RngCore),
) -> anyhow::Result<RangeProof> {
    let mut segment = Segment::new(parameters.prover(), Context { job: JOB, prover }, range.start.clone())?;
    for input in &range.inputs {
        segment.push(input, rng)?;
    }
    Ok(segment.finish(rng)?)
}

/// Reads an upload and checks that it says what `prover` was asked for and that it is valid.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(
    parameters: &Parameters<Squarings>,
    prover: Address,
    range: &Range,
    upload: &[u8],
    rng: &mut (impl CryptoRng + RngCore),
) -> anyhow::Result<RangeProof> {
    let proof = RangeProof::from_bytes(parameters, upload)?;
    ensure!(*proof.job() == JOB, "it belongs to another job");
    ensure!(!proof.is_merged() && proof.prover() == prover, "it names another prover");
    ensure!(proof.count() == range.inputs.len() as u64, "it has {} steps", proof.count());
    ensure!(proof.start() == range.start && proof.end() == range.end, "it leads between other states");
    verify(parameters, &proof, rng)?;
    Ok(proof)
}

/// Verifies adjacent proofs as a batch, merges them as a binary tree, and verifies the root. Calls `merged` with the
/// number of steps below each merge.
///
/// # Errors
/// If a proof is not valid, or not adjacent to the next.
pub(crate) fn aggregate(
    parameters: &Parameters<Squarings>,
    proofs: Vec<RangeProof>,
    rng: &mut (impl CryptoRng + RngCore),
    mut merged: impl FnMut(&RangeProof),
) -> anyhow::Result<RangeProof> {
    verify_batch(parameters, &proofs, rng)?;
    let mut level = proofs;
    while level.len() > 1 {
        let mut next = Vec::with_capacity(level.len().div_ceil(2));
        for pair in level.chunks(2) {
            next.push(match pair {
                [left, right] => {
                    let proof = merge(parameters, left, Some(right), rng)?;
                    merged(&proof);
                    proof
                }
                // The odd one goes up as it is.
                odd => odd[0].clone(),
            });
        }
        level = next;
    }
    let root = level.pop().context("there are no proofs")?;
    verify(parameters, &root, rng).context("the root")?;
    Ok(root)
}

/// The encoding of an element, in hexadecimal.
pub(crate) fn element_hex(element: &Fr) -> String {
    hex::encode(element.to_repr())
}

/// The encoding of a state, in hexadecimal.
pub(crate) fn state_hex(state: &[Fr]) -> String {
    state.iter().map(element_hex).collect()
}
