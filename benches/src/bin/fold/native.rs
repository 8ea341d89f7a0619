//! Sizes, and times on this machine's processor.

use anyhow::Context as _;
use crowdfold_bench::report::Measure;
use crowdfold_bench::sample::{interleave, on_threads, repeat};
use crowdfold_bench_wasm::{Nova, Ours, PEER};
use crowdfold_fold::{Fr, RangeProof, merge, verify, verify_batch};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::setup::{PER_STEP, START, Setup};

/// Steps before the first that counts: the first two are of another kind.
const WARM_UP: usize = 3;
/// Steps that count, of each.
const STEPS: usize = 15;
/// Merges and verifications that count.
const ROUNDS: usize = 9;
/// Steps of a range that is merged and verified.
const RANGE: usize = 3;
/// Proofs of a batch.
const BATCH: usize = 16;

/// All native measures.
pub(crate) fn measure(setup: &Setup) -> anyhow::Result<Vec<Measure>> {
    let mut measures = sizes(setup);
    for (id, threads) in [("step_native_1", 1), ("step_native_2", 2)] {
        eprintln!("native steps, {threads} thread(s)");
        let (ours, peer) = on_threads(threads, || steps(setup))?;
        let what = format!("step of {PER_STEP} squarings, native, {threads} thread(s)");
        measures.push(Measure::new(id, what, ours, "s").against(PEER, peer, 1.05));
    }
    eprintln!("merges and verification, 2 threads");
    measures.extend(on_threads(2, || ranges(setup))?);
    Ok(measures)
}

fn sizes(setup: &Setup) -> Vec<Measure> {
    let (merge, cf) = (setup.step.merge_size(), setup.step.prover().cyclefold_size());
    let rows = |id, what, value: usize, limit| Measure::new(id, what, value as f64, "rows").at_most(limit);
    vec![
        rows("s_overhead", "constraints of S with an empty F", setup.overhead, 19_500.0),
        rows("m_constraints", "constraints of M", merge.constraints, 95_000.0),
        Measure::new("m_nnz", "non-zero entries of M", merge.nnz as f64, "entries").at_most(f64::from(1 << 20)),
        rows("cf_constraints", "constraints of CF", cf.constraints, 470.0),
    ]
}

/// Seconds of a step of ours and of the peer.
fn steps(setup: &Setup) -> anyhow::Result<(f64, f64)> {
    let start = vec![Fr::from(START)];
    let mut ours = Ours::new(setup.step.prover(), start.clone(), 1)?;
    let mut nova = Nova::new(&setup.nova, start, &Fr::from(0))?;
    let mut inputs = [0, 0].map(|from: u64| (from..).map(Fr::from));
    let [our_inputs, peer_inputs] = &mut inputs;
    let our_step = || anyhow::Ok(ours.step(&our_inputs.next().context("an input")?)?);
    let peer_step = || anyhow::Ok(nova.step(&peer_inputs.next().context("an input")?)?);
    let times = interleave(WARM_UP, STEPS, our_step, peer_step)?;
    // A time counts only for a proof that holds.
    nova.verify()?;
    let state = ours.state().to_vec();
    let proof = ours.finish()?;
    verify(&setup.step, &proof, &mut ChaCha20Rng::seed_from_u64(2))?;
    anyhow::ensure!(proof.end() == state && proof.count() == (WARM_UP + STEPS) as u64);
    Ok(times)
}

/// Adjacent ranges.
fn chain(setup: &Setup, n: usize) -> anyhow::Result<Vec<RangeProof>> {
    let mut start = vec![Fr::from(START)];
    (0..n)
        .map(|i| {
            let mut ours = Ours::new(setup.step.prover(), start.clone(), i as u64)?;
            for step in 0..RANGE as u64 {
                ours.step(&Fr::from(step))?;
            }
            start = ours.state().to_vec();
            Ok(ours.finish()?)
        })
        .collect()
}

/// Merges, verification and size of ranges.
fn ranges(setup: &Setup) -> anyhow::Result<Vec<Measure>> {
    let (params, rng) = (&setup.step, &mut ChaCha20Rng::seed_from_u64(1));
    let proofs = chain(setup, 4)?;
    let left = merge(params, &proofs[0], Some(&proofs[1]), rng)?;
    let right = merge(params, &proofs[2], Some(&proofs[3]), rng)?;
    let whole = merge(params, &left, Some(&right), rng)?;
    let batch: Vec<_> = proofs.iter().cycle().take(BATCH).cloned().collect();

    let merge_s = repeat(ROUNDS, || merge(params, &proofs[0], Some(&proofs[1]), rng))?;
    let merge_m = repeat(ROUNDS, || merge(params, &left, Some(&right), rng))?;
    let verify_s = repeat(ROUNDS, || verify(params, &proofs[0], rng))?;
    let verify_m = repeat(ROUNDS, || verify(params, &whole, rng))?;
    let verify_16 = repeat(ROUNDS, || verify_batch(params, &batch, rng))? / BATCH as f64;
    let bytes = proofs[0].to_bytes().len() as f64 / params.prover().step_size().constraints as f64;
    Ok(vec![
        Measure::new("merge_2", "merge of two segments, 2 threads", merge_s, "s").at_most(0.45),
        Measure::new("merge_2_mm", "merge of two merged ranges, 2 threads", merge_m, "s"),
        Measure::new("verify_one", "verify a segment, 2 threads", verify_s, "s").at_most(0.2),
        Measure::new("verify_one_m", "verify a merged range, 2 threads", verify_m, "s"),
        Measure::new("verify_batch16", "verify a segment, each of 16 in a batch, 2 threads", verify_16, "s")
            .at_most(0.08),
        Measure::new("upload_bytes_per_constraint", "size of a segment's proof over rows of S", bytes, "B")
            .at_most(70.0),
    ])
}
