//! Sizes of the circuit, and the time of proving on this machine's processor.

use anyhow::ensure;
use crowdfold_bench::report::Measure;
use crowdfold_bench::sample::{median, on_threads, timed};
use crowdfold_fold::{CircuitSize, RangeProof, Segment, verify};
use crowdfold_programs::rollup::{INPUT_BYTES, Rollup, SLOTS};

use crate::setup::{Setup, rng};

/// All measures.
pub(crate) fn measure(setup: &Setup) -> anyhow::Result<Vec<Measure>> {
    let mut measures = sizes(setup)?;
    // What others publish for a rollup of payments.
    let reference = "published elsewhere: 1.5 to 2.5 s on a home computer";
    for (id, threads) in [("prove_s_per_tx_native_1", 1), ("prove_s_per_tx_native_2", 2)] {
        eprintln!("native proving, {threads} thread(s)");
        let seconds = on_threads(threads, || prove(setup))?;
        let measure = |what| Measure::new(id, what, seconds, "s");
        measures.push(match threads {
            1 => measure(format!("proving a transaction, native, 1 thread ({reference})")).at_most(0.5),
            _ => measure(format!("proving a transaction, native, {threads} threads")),
        });
    }
    Ok(measures)
}

fn sizes(setup: &Setup) -> anyhow::Result<Vec<Measure>> {
    let function = CircuitSize::of_function(&Rollup)?;
    let step = setup.params.prover().step_size();
    let per_tx = (function.constraints as f64 / SLOTS as f64).ceil();
    Ok(vec![
        Measure::new("constraints_per_tx", "rows of F a transaction", per_tx, "rows").at_most(20_000.0),
        Measure::new("s_constraints", "rows of S", step.constraints as f64, "rows").at_most(f64::from(1 << 16)),
        Measure::new("s_nnz", "non-zero entries of S", step.nnz as f64, "entries"),
        Measure::new("input_bytes", "size of a step's input", INPUT_BYTES as f64, "B"),
    ])
}

/// Seconds of a transaction.
fn prove(setup: &Setup) -> anyhow::Result<f64> {
    let rng = &mut rng(4);
    let mut segment = Segment::new(setup.params.prover(), setup.context, setup.start.clone())?;
    let mut times = Vec::new();
    for input in &setup.inputs {
        let (pushed, seconds) = timed(|| segment.push(input, rng));
        pushed?;
        times.push(seconds);
    }
    // A time counts only for a proof that holds.
    let proof = segment.finish(rng)?;
    verify(&setup.params, &proof, rng)?;
    check(setup, &proof)?;
    Ok(median(setup.per_transaction(&times)))
}

/// Whether the proof is of the whole batch.
pub(crate) fn check(setup: &Setup, proof: &RangeProof) -> anyhow::Result<()> {
    ensure!(proof.start() == setup.start && proof.end() == setup.end, "the proof is of another batch");
    ensure!(proof.count() == setup.inputs.len() as u64, "the proof has {} steps", proof.count());
    Ok(())
}
