//! Proving in Chromium with the packages for users. `benches/browser/programs.mjs` drives it; proofs made there are
//! verified here.

use std::path::Path;

use crowdfold_bench::browser::{Browser, Work};
use crowdfold_bench::report::Measure;
use crowdfold_bench::sample::median;
use crowdfold_programs::rollup::Rollup;
use serde::Deserialize;
use serde_json::json;

use crate::proving;
use crate::setup::Setup;

/// What the driver prints.
#[derive(Deserialize)]
struct Results {
    single: Proved,
    threads: Proved,
}

/// What proving took.
#[derive(Deserialize)]
struct Proved {
    /// Seconds of each step.
    times: Vec<f64>,
    /// Of WASM memory.
    bytes: f64,
}

/// Finds Chromium and builds the WASM packages.
///
/// # Errors
/// If either fails.
pub(crate) fn prepare(root: &Path) -> anyhow::Result<Browser> {
    Browser::prepare(root, "programs", &["--variant=single", "--variant=threads"])
}

/// All measures in Chromium.
pub(crate) fn measure(browser: &Browser, setup: &Setup) -> anyhow::Result<Vec<Measure>> {
    let prover = setup.params.prover();
    let work = Work::new("step", &Rollup, &setup.start, &setup.inputs);
    browser.put_work(&work, &prover.to_bytes())?;
    let hexadecimal = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    let (job, prover_address) = (&setup.context.job, &setup.context.prover);
    let results: Results = browser.drive(&json!({
        "step": work.plan(),
        "digest": prover.digest().to_string(),
        "context": {
            "chainId": job.chain_id,
            "contract": hexadecimal(&job.contract.0),
            "jobId": hexadecimal(&job.job_id),
            "prover": hexadecimal(&prover_address.0),
        },
    }))?;
    for name in ["single.proof", "threads.proof"] {
        proving::check(setup, &browser.check(name, &setup.params, setup.inputs.len())?)?;
    }
    let seconds = |id, threads, proved: &Proved| {
        let what = format!("proving a transaction, Chromium, {threads} thread(s)");
        Measure::new(id, what, median(setup.per_transaction(&proved.times)), "s")
    };
    Ok(vec![
        seconds("prove_s_per_tx_wasm_1", 1, &results.single),
        seconds("prove_s_per_tx_wasm_2", 2, &results.threads),
        Measure::new("wasm_mb", "WASM memory of a prover, Chromium, 1 thread", results.single.bytes / 1e6, "MB"),
    ])
}
