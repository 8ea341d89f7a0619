//! A job cut into segments: what the fixture and the demo prove.

use anyhow::{Context as _, ensure};
use crowdfold_fold::{
    Address, Context, Fr, Job, Parameters, RangeProof, Segment, StepFunction, merge, verify, verify_batch,
};
use crowdfold_programs::{Builtin, BuiltinInput, Program, Step};
use rand_core::{CryptoRng, RngCore};

/// The job that everything here is bound to.
pub(crate) const JOB: Job = Job { chain_id: 31337, contract: Address([0xc0; 20]), job_id: [0x0b; 32] };

/// A run of steps for one prover.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    pub(crate) start: Vec<Fr>,
    pub(crate) inputs: Vec<BuiltinInput>,
    pub(crate) end: Vec<Fr>,
}

/// Plans a job of `segments * length` steps, executes it and cuts it.
///
/// # Errors
/// If the program refuses the job, or it has another number of steps.
pub(crate) fn execute(program: &Builtin, job: &[u8], segments: usize, length: usize) -> anyhow::Result<Vec<Range>> {
    let plan = program.plan(job)?;
    ensure!(plan.steps == (segments * length) as u64, "the job has {} steps", plan.steps);
    let mut start = plan.start.clone();
    let steps: Vec<Step<BuiltinInput>> = plan.execute(program).collect::<Result<_, _>>()?;
    let cut = |steps: &[Step<BuiltinInput>]| {
        let end = steps.last().map_or_else(|| start.clone(), |step| step.state.clone());
        let inputs = steps.iter().map(|step| step.input.clone()).collect();
        Range { start: std::mem::replace(&mut start, end.clone()), inputs, end }
    };
    Ok(steps.chunks(length).map(cut).collect())
}

/// Proves a range here.
///
/// # Errors
/// Those of the folding scheme.
pub(crate) fn prove(
    parameters: &Parameters<Builtin>,
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
    parameters: &Parameters<Builtin>,
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
    parameters: &Parameters<Builtin>,
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

/// The encoding of an input, in hexadecimal.
pub(crate) fn input_hex(program: &Builtin, input: &BuiltinInput) -> String {
    hex::encode(program.encode_input(input))
}

/// The encoding of a state, in hexadecimal.
pub(crate) fn state_hex(program: &Builtin, state: &[Fr]) -> String {
    hex::encode(program.encode_state(state))
}
