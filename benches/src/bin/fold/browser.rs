//! Times and memory in Chromium. `benches/browser/fold.mjs` drives it; proofs made there are verified here.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use crowdfold_bench::report::Measure;
use crowdfold_bench::sample::median;
use crowdfold_fold::{Parameters, RangeProof, verify};
use crowdfold_programs::Squarings;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde::Deserialize;
use serde_json::json;

use crate::setup::{PEER, PER_STEP, Setup};

const DRIVER: &str = "benches/browser/fold.mjs";
/// Steps before the first that counts: the first two are of another kind, and by then the optimised code is there.
const WARM_UP: usize = 4;
/// Steps that count, of each.
const STEPS: usize = 11;
/// Pages loaded for the first step.
const PAGES: usize = 5;
/// Steps until memory is read.
const PEAK_STEPS: usize = 5;

/// Chromium, ready to be driven.
pub(crate) struct Browser {
    root: PathBuf,
    folder: PathBuf,
}

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

/// Seconds of each step that counts.
#[derive(Deserialize)]
struct Race {
    ours: Vec<f64>,
    peer: Vec<f64>,
}

impl Browser {
    /// Finds Chromium and builds the WASM packages.
    ///
    /// # Errors
    /// If either fails.
    pub(crate) fn prepare(root: &Path) -> anyhow::Result<Self> {
        succeed(Command::new("node").arg(root.join(DRIVER)).arg("--check"), "the browser is not ready")?;
        eprintln!("building WASM packages");
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let build = ["run", "--quiet", "-p", "xtask", "--", "wasm", "--config", "benches/wasm-pack.toml"];
        succeed(Command::new(cargo).current_dir(root).args(build), "the WASM packages could not be built")?;
        Ok(Self { root: root.to_owned(), folder: root.join("target/bench/fold") })
    }

    /// All measures in Chromium.
    pub(crate) fn measure(&self, setup: &Setup) -> anyhow::Result<Vec<Measure>> {
        fs::create_dir_all(&self.folder)?;
        fs::write(self.folder.join("step.params"), setup.step.prover().to_bytes())?;
        fs::write(self.folder.join("nova.params"), setup.nova.to_bytes()?)?;
        fs::write(self.folder.join("large.params"), setup.large.prover().to_bytes())?;
        let plan = json!({
            "perStep": PER_STEP,
            "largePerStep": setup.large.prover().step().per_step(),
            "warmUp": WARM_UP,
            "steps": STEPS,
            "pages": PAGES,
            "peakSteps": PEAK_STEPS,
        });
        let mut driver = Command::new("node");
        driver.arg(self.root.join(DRIVER)).arg(plan.to_string()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let output = driver.output().context("running node")?;
        ensure!(output.status.success(), "the browser failed: see above");
        let results: Results = serde_json::from_slice(&output.stdout).context("reading what the browser measured")?;

        let raced = (WARM_UP + STEPS) as u64;
        self.check("race1.proof", &setup.step, raced)?;
        self.check("race2.proof", &setup.step, raced)?;
        self.check("peak.proof", &setup.large, PEAK_STEPS as u64)?;
        Ok(measures(results))
    }

    /// Verifies a proof that was made in the browser: a time counts only for a proof that holds.
    fn check(&self, name: &str, params: &Parameters<Squarings>, steps: u64) -> anyhow::Result<()> {
        let proof = RangeProof::from_bytes(params, &fs::read(self.folder.join(name))?)?;
        verify(params, &proof, &mut ChaCha20Rng::seed_from_u64(3)).with_context(|| format!("verifying {name}"))?;
        ensure!(proof.count() == steps, "{name} proves {} steps instead of {steps}", proof.count());
        Ok(())
    }
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

fn succeed(command: &mut Command, problem: &'static str) -> anyhow::Result<()> {
    // Standard output is for the table.
    let status = command.stdout(std::io::stderr()).status().with_context(|| format!("running {command:?}"))?;
    if status.success() { Ok(()) } else { bail!("{problem}: see above") }
}
