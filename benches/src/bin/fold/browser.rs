//! Times and memory in Chromium. `benches/browser/fold.mjs` drives it; proofs made there are verified here.

use std::path::Path;

use crowdfold_bench::browser::{Browser, Race, Work};
use crowdfold_bench::report::Measure;
use crowdfold_bench::sample::median;
use crowdfold_bench_wasm::PEER;
use crowdfold_fold::Fr;
use serde::Deserialize;
use serde_json::json;

use crate::setup::{PER_STEP, START, Setup};

/// Steps before the first that counts: the first two are of another kind, and by then the optimised code is there.
const WARM_UP: usize = 4;
/// Steps that count, of each.
const STEPS: usize = 11;
/// Pages loaded for the first step.
const PAGES: usize = 5;
/// Steps until memory is read.
const PEAK_STEPS: usize = 5;

/// What the driver prints.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Results {
    race1: Race,
    race2: Race,
    peak_bytes: f64,
    first_step: Vec<f64>,
    first_step_single: Vec<f64>,
}

/// Finds Chromium and builds the WASM packages.
///
/// # Errors
/// If either fails.
pub(crate) fn prepare(root: &Path) -> anyhow::Result<Browser> {
    Browser::prepare(root, "fold", &["--config", "benches/wasm-pack.toml"])
}

/// All measures in Chromium.
pub(crate) fn measure(browser: &Browser, setup: &Setup) -> anyhow::Result<Vec<Measure>> {
    let (step, large) = (setup.step.prover(), setup.large.prover());
    let inputs: Vec<_> = (0..WARM_UP + STEPS).map(|i| Fr::from(i as u64)).collect();
    let (step_work, large_work) = (
        Work::new("step", step.step(), &[Fr::from(START)], &inputs),
        Work::new("large", large.step(), &[Fr::from(START)], &inputs),
    );
    browser.put_work(&step_work, &step.to_bytes())?;
    browser.put_work(&large_work, &large.to_bytes())?;
    browser.put("nova.params", &setup.nova.to_bytes()?)?;
    let results: Results = browser.drive(&json!({
        "step": step_work.plan(),
        "large": large_work.plan(),
        "warmUp": WARM_UP,
        "pages": PAGES,
        "peakSteps": PEAK_STEPS,
    }))?;
    browser.check("race1.proof", &setup.step, WARM_UP + STEPS)?;
    browser.check("race2.proof", &setup.step, WARM_UP + STEPS)?;
    browser.check("peak.proof", &setup.large, PEAK_STEPS)?;
    Ok(measures(results))
}

fn measures(results: Results) -> Vec<Measure> {
    let step = |id, threads, race: Race| {
        let what = format!("step of {PER_STEP} squarings, Chromium, {threads} thread(s)");
        Measure::new(id, what, median(race.ours), "s").against(PEER, median(race.peer), 1.05)
    };
    let first = "page load to first step, S = 2^16, Chromium";
    vec![
        step("step_wasm_1", 1, results.race1),
        step("step_wasm_2", 2, results.race2),
        Measure::new(
            "wasm_peak_mb",
            "WASM memory of a prover, S = 2^16, Chromium, 1 thread",
            results.peak_bytes / 1e6,
            "MB",
        )
        .at_most(110.0),
        Measure::new("first_step_s", format!("{first}, 2 threads"), median(results.first_step), "s").at_most(4.0),
        Measure::new("first_step_1_s", format!("{first}, 1 thread"), median(results.first_step_single), "s"),
    ]
}
