//! Proofs that several hosts make together: a folder that says who proves what, filled by provers here and by those
//! that run as WASM, and checked here.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use crowdfold_fold::{Address, merge, verify};
use serde::{Deserialize, Serialize};

use crate::{chain, jobs, parameters};

/// What to prove.
#[derive(clap::Args)]
pub(crate) struct Make {
    /// Program to prove.
    #[arg(long)]
    program: String,
    /// Steps in each segment.
    #[arg(long, default_value_t = 3)]
    steps: usize,
    /// Names of the segments in order. Those that start with `native` are proved here, the others are left to others.
    #[arg(long, value_delimiter = ',', required = true)]
    segments: Vec<String>,
    /// Folder to fill. The whole job lies in `job.bin`, as a coordinator takes it.
    #[arg(long)]
    out: PathBuf,
}

/// Which folder to check.
#[derive(clap::Args)]
pub(crate) struct Check {
    /// A folder that `prove-fixture` made, with `NAME.range` for every segment.
    folder: PathBuf,
}

/// `fixture.json`. Bytes are hexadecimal.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Fixture {
    program: String,
    /// Digest of the parameters, the prover's part of which lies in `prover.params`.
    digest: String,
    steps: usize,
    segments: Vec<Segment>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Segment {
    /// Its proof lies in the file `NAME.range`.
    name: String,
    context: Context,
    start: String,
    inputs: Vec<String>,
    end: String,
}

/// The context as `prover-wasm` takes it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Context {
    chain_id: u64,
    contract: String,
    job_id: String,
    prover: String,
}

impl Context {
    /// That of a prover which takes part in the job.
    pub(crate) fn of(prover: Address) -> Self {
        Self {
            chain_id: chain::JOB.chain_id,
            contract: chain::JOB.contract.to_string(),
            job_id: hex::encode(chain::JOB.job_id),
            prover: prover.to_string(),
        }
    }
}

/// The address of the prover of segment `index`.
fn address(index: usize) -> Address {
    Address([index as u8 + 1; 20])
}

fn proof_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.range"))
}

/// Fills a folder anew.
///
/// # Errors
/// If the folder can't be written or there is no such program.
pub(crate) fn make(root: &Path, options: &Make) -> anyhow::Result<()> {
    let out = &options.out;
    if out.exists() {
        fs::remove_dir_all(out).with_context(|| format!("clearing {}", out.display()))?;
    }
    fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
    let (parameters, file) = parameters::of_program(root, &options.program)?;
    fs::copy(file, out.join("prover.params"))?;

    let mut rng = parameters::rng()?;
    let program = parameters.prover().step();
    let (job, _) = jobs::of_steps(program, options.segments.len() * options.steps)?;
    fs::write(out.join("job.bin"), &job)?;
    let ranges = chain::execute(program, &job, options.segments.len(), options.steps)?;
    let mut segments = Vec::new();
    for (index, (name, range)) in options.segments.iter().zip(&ranges).enumerate() {
        if name.starts_with("native") {
            let proof = chain::prove(&parameters, address(index), range, &mut rng)?;
            fs::write(proof_path(out, name), proof.to_bytes())?;
        }
        segments.push(Segment {
            name: name.clone(),
            context: Context::of(address(index)),
            start: chain::state_hex(program, &range.start),
            inputs: range.inputs.iter().map(|input| chain::input_hex(program, input)).collect(),
            end: chain::state_hex(program, &range.end),
        });
    }
    let digest = parameters.prover().digest().to_string();
    let fixture = Fixture { program: options.program.clone(), digest, steps: options.steps, segments };
    fs::write(out.join("fixture.json"), serde_json::to_string_pretty(&fixture)? + "\n")?;
    Ok(())
}

/// Verifies every proof of a folder, merges them all to a root, and verifies that.
///
/// # Errors
/// What is missing or not valid.
pub(crate) fn check(root: &Path, options: &Check) -> anyhow::Result<()> {
    let folder = &options.folder;
    let text = fs::read_to_string(folder.join("fixture.json"))
        .with_context(|| format!("reading fixture.json of {}", folder.display()))?;
    let fixture: Fixture = serde_json::from_str(&text)?;
    let (parameters, _) = parameters::of_program(root, &fixture.program)?;
    ensure!(parameters.prover().digest().to_string() == fixture.digest, "the circuits have changed since it was made");

    let mut rng = parameters::rng()?;
    let (job, _) = jobs::of_steps(parameters.prover().step(), fixture.segments.len() * fixture.steps)?;
    let ranges = chain::execute(parameters.prover().step(), &job, fixture.segments.len(), fixture.steps)?;
    let mut proofs = Vec::new();
    for (index, (segment, range)) in fixture.segments.iter().zip(&ranges).enumerate() {
        let upload = fs::read(proof_path(folder, &segment.name))
            .with_context(|| format!("reading the proof of `{}`", segment.name))?;
        let proof = chain::check(&parameters, address(index), range, &upload, &mut rng)
            .with_context(|| format!("the proof of `{}`", segment.name))?;
        // A merge of a single range must take a proof from any host, too.
        let single = merge(&parameters, &proof, None, &mut rng)?;
        verify(&parameters, &single, &mut rng).with_context(|| format!("the merge of `{}` alone", segment.name))?;
        println!("{:<20} {:>9} bytes  valid", segment.name, upload.len());
        proofs.push(proof);
    }

    let root = chain::aggregate(&parameters, proofs, &mut rng, |_| ())?;
    let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else {
        anyhow::bail!("there are no segments");
    };
    ensure!(root.start() == first.start && root.end() == last.end, "the root leads between other states");
    let provers: Vec<_> = root.receipts().iter().map(|receipt| (receipt.prover, receipt.count)).collect();
    let expected: Vec<_> = (0..ranges.len()).map(|index| (address(index), fixture.steps as u64)).collect();
    ensure!(provers == expected, "the root has other receipts");
    println!("root of {} steps: valid", root.count());
    Ok(())
}
