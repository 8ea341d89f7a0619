//! Chromium as the benchmarks use it: packages built by xtask, and a script of `benches/browser/` that drives the
//! pages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use crowdfold_fold::{Fr, Parameters, RangeProof, StepFunction, verify};
use crowdfold_programs::Program;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Chromium, ready to be driven.
pub struct Browser {
    driver: PathBuf,
    folder: PathBuf,
}

/// Seconds of each step that counts, of ours and of a peer's.
#[derive(Debug, Deserialize)]
pub struct Race {
    /// Ours.
    pub ours: Vec<f64>,
    /// The peer's.
    pub peer: Vec<f64>,
}

/// A chain to prove: pages get its files as `NAME.params`, `NAME.state` and `NAME.inputs`.
pub struct Work {
    name: &'static str,
    program: String,
    start: Vec<u8>,
    inputs: Vec<Vec<u8>>,
}

impl Work {
    /// So many steps of a program, from a state on.
    pub fn new<P: Program>(name: &'static str, program: &P, start: &[Fr], inputs: &[P::Input]) -> Self {
        let inputs = inputs.iter().map(|input| program.encode_input(input)).collect();
        Self { name, program: program.name(), start: program.encode_state(start), inputs }
    }

    /// What the worker of the pages takes.
    pub fn plan(&self) -> Value {
        let lengths: Vec<_> = self.inputs.iter().map(Vec::len).collect();
        json!({ "name": self.name, "program": self.program, "lengths": lengths })
    }
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
        // It builds the coordinator, too, which some scripts start.
        let mut build = Command::new(root.join("scripts/xtask"));
        build.arg("wasm").args(packages);
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

    /// Writes the files of some work.
    ///
    /// # Errors
    /// If they can't be written.
    pub fn put_work(&self, work: &Work, params: &[u8]) -> anyhow::Result<()> {
        let name = work.name;
        self.put(&format!("{name}.params"), params)?;
        self.put(&format!("{name}.state"), &work.start)?;
        self.put(&format!("{name}.inputs"), &work.inputs.concat())
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
