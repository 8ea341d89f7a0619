//! Chromium as the benchmarks use it: packages built by xtask, and a script of `benches/browser/` that drives the
//! pages.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use crowdfold_fold::{Parameters, RangeProof, StepFunction, verify};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Chromium, ready to be driven.
pub struct Browser {
    driver: PathBuf,
    folder: PathBuf,
}

impl Browser {
    /// Finds Chromium and builds WASM packages: `name` is the script in `benches/browser/` and the folder of its data,
    /// `packages` are the arguments of `xtask wasm`.
    ///
    /// # Errors
    /// If either fails.
    pub fn prepare(root: &Path, name: &str, packages: &[&str]) -> anyhow::Result<Self> {
        let driver = root.join("benches/browser").join(name).with_extension("mjs");
        succeed(Command::new("node").arg(&driver).arg("--check"), "the browser is not ready")?;
        eprintln!("building WASM packages");
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.current_dir(root).args(["run", "--quiet", "-p", "xtask", "--", "wasm"]).args(packages);
        succeed(&mut build, "the WASM packages could not be built")?;
        let folder = root.join("target/bench").join(name);
        fs::create_dir_all(&folder)?;
        Ok(Self { driver, folder })
    }

    /// Writes a file that pages can fetch.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn put(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))
    }

    /// Runs the script with a plan, and returns what it prints.
    ///
    /// # Errors
    /// If it fails, or prints something else.
    pub fn drive<T: DeserializeOwned>(&self, plan: &Value) -> anyhow::Result<T> {
        let mut driver = Command::new("node");
        driver.arg(&self.driver).arg(plan.to_string()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let output = driver.output().context("running node")?;
        ensure!(output.status.success(), "the browser failed: see above");
        serde_json::from_slice(&output.stdout).context("reading what the browser measured")
    }

    /// Verifies the proof of so many steps that the script kept: a time counts only for a proof that holds.
    ///
    /// # Errors
    /// If it does not hold.
    pub fn check<F: StepFunction>(
        &self,
        name: &str,
        params: &Parameters<F>,
        steps: usize,
    ) -> anyhow::Result<RangeProof> {
        let proof = RangeProof::from_bytes(params, &fs::read(self.folder.join(name))?)?;
        verify(params, &proof, &mut ChaCha20Rng::seed_from_u64(3)).with_context(|| format!("verifying {name}"))?;
        ensure!(proof.count() == steps as u64, "{name} proves {} steps instead of {steps}", proof.count());
        Ok(proof)
    }
}

fn succeed(command: &mut Command, problem: &'static str) -> anyhow::Result<()> {
    // Standard output is for the table.
    let status = command.stdout(std::io::stderr()).status().with_context(|| format!("running {command:?}"))?;
    if status.success() { Ok(()) } else { bail!("{problem}: see above") }
}
