//! The demonstration: a native prover and one in Chromium fold a batch of payments together.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use crowdfold_fold::{Address, Parameters, RangeProof};
use crowdfold_programs::{Builtin, Program};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::chain::{self, Range};
use crate::fixture::Context;
use crate::jobs;
use crate::parameters::{self, INSECURE_WARNING};

/// What to demonstrate.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Program to prove.
    #[arg(long, default_value = "rollup/1")]
    program: String,
    /// Segments to cut the job into.
    #[arg(long, default_value_t = 6)]
    segments: usize,
    /// Steps in each.
    #[arg(long, default_value_t = 2)]
    steps: usize,
    /// Threads of the prover in Chromium.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// The provers, in the order of their addresses.
const PROVERS: [(&str, Address); 2] = [("native", Address([1; 20])), ("Chromium", Address([2; 20]))];

/// A proved segment as it came in.
struct Upload {
    prover: usize,
    range: usize,
    proving: Duration,
    bytes: Vec<u8>,
}

/// What the page says of itself when it has loaded the parameters.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Loaded {
    threads: usize,
    constraints: usize,
    insecure: bool,
}

/// One line of the table of provers.
#[derive(Default)]
struct Total {
    segments: usize,
    steps: usize,
    proving: Duration,
    bytes: usize,
    verifying: Duration,
}

/// Proves, verifies, merges and verifies again, and says so.
///
/// # Errors
/// If anything fails, or a prover had nothing to do.
pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    ensure!(options.segments >= 2 && options.steps >= 1, "two provers need at least two segments of at least one step");
    println!("{INSECURE_WARNING}\n");
    let started = Instant::now();
    let (parameters, file) = parameters::of_program(root, &options.program)?;
    let program = parameters.prover().step();
    let steps = options.segments * options.steps;
    let (job, about) = jobs::of_steps(program, steps)?;
    let ranges = chain::execute(program, &job, options.segments, options.steps)?;
    println!(
        "Program {}: {} {} rows a step.",
        options.program,
        program.summary(),
        parameters.prover().step_size().constraints
    );
    println!("{about}: {steps} steps, executed natively, cut into {} segments.", options.segments);

    let mut browser = Browser::start(root)?;
    let loading = Instant::now();
    let served = file.strip_prefix(root.join("target"))?.to_str().context("a digest is ASCII")?;
    let loaded: Loaded = browser.call(
        "load",
        json!({
            "variant": "threads",
            "threads": options.threads,
            "program": options.program,
            "digest": parameters.prover().digest().to_string(),
            "parameters": served,
        }),
    )?;
    ensure!(loaded.insecure, "the page took insecure parameters for secure ones");
    ensure!(loaded.constraints == parameters.prover().step_size().constraints, "the page has another circuit");
    println!(
        "Chromium is up after {:.1} s: {} threads in a worker, parameters checked against their digest.\n",
        loading.elapsed().as_secs_f64(),
        loaded.threads
    );

    let uploads = prove(&parameters, &ranges, &mut browser)?;
    let memory: u64 = browser.call("memory", Value::Null)?;
    drop(browser);

    let (proofs, totals) = verify(&parameters, &ranges, &uploads)?;
    println!("Every upload says what was asked for, and verifies.\n");
    let merging = Instant::now();
    let mut merges = 0;
    let mut since = Instant::now();
    let proof = chain::aggregate(&parameters, proofs, &mut parameters::rng()?, |proof| {
        merges += 1;
        println!("  merge {merges}: {:>2} steps  {:.2} s", proof.count(), since.elapsed().as_secs_f64());
        since = Instant::now();
    })?;
    let merging = merging.elapsed();
    check_root(&proof, &ranges, &totals)?;

    println!(
        "\n{:<10} {:>8} {:>6} {:>9} {:>13} {:>9}",
        "prover", "segments", "steps", "s / step", "upload bytes", "verify s"
    );
    for ((name, _), total) in PROVERS.iter().zip(&totals) {
        println!(
            "{name:<10} {:>8} {:>6} {:>9.2} {:>13} {:>9.2}",
            total.segments,
            total.steps,
            total.proving.as_secs_f64() / total.steps as f64,
            total.bytes,
            total.verifying.as_secs_f64()
        );
    }
    println!(
        "\nThe root proof of all {} steps verifies: {} bytes, {merges} merges; batch check, merges and last check took {:.2} s.",
        proof.count(),
        proof.to_bytes().len(),
        merging.as_secs_f64()
    );
    println!("\nThe state it leads to:");
    for field in program.describe(proof.end())? {
        println!("  {:<12} {}", field.name, field.value);
    }
    println!(
        "\nMemory of the prover in Chromium: {:.1} MB. All in all {:.1} s.",
        memory as f64 / 1e6,
        started.elapsed().as_secs_f64()
    );
    println!("\n{INSECURE_WARNING}");
    Ok(())
}

/// Lets both provers take segments until none is left.
fn prove(parameters: &Parameters<Builtin>, ranges: &[Range], browser: &mut Browser) -> anyhow::Result<Vec<Upload>> {
    let queue = Mutex::new((0..ranges.len()).collect::<VecDeque<_>>());
    // Each begins with one of its own, so that a fast one doesn't leave the other without.
    let take = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let first = [take(), take()];
    let work = |prover: usize,
                fold: &mut dyn FnMut(&Range) -> anyhow::Result<Vec<u8>>|
     -> anyhow::Result<Vec<Upload>> {
        let name = PROVERS[prover].0;
        let mut uploads = Vec::new();
        let mut next = first[prover];
        while let Some(range) = next {
            let begun = Instant::now();
            let bytes = fold(&ranges[range]).with_context(|| format!("the {name} prover"))?;
            let proving = begun.elapsed();
            let steps = ranges[range].inputs.len();
            let from = ranges[range].first;
            println!("  {name:<8} folded steps {from:>2} to {:>2}  {:.2} s", from + steps - 1, proving.as_secs_f64());
            uploads.push(Upload { prover, range, proving, bytes });
            next = take();
        }
        Ok(uploads)
    };
    thread::scope(|scope| {
        let native = scope.spawn(|| {
            let mut rng = parameters::rng()?;
            work(0, &mut |range| Ok(chain::prove(parameters, PROVERS[0].1, range, &mut rng)?.to_bytes()))
        });
        let mut uploads = work(1, &mut |range| prove_in(browser, parameters.prover().step(), range))?;
        uploads.extend(native.join().map_err(|_| anyhow!("the native prover panicked"))??);
        uploads.sort_by_key(|upload| upload.range);
        Ok(uploads)
    })
}

/// Streams a range to the page, and takes its proof.
fn prove_in(browser: &mut Browser, program: &Builtin, range: &Range) -> anyhow::Result<Vec<u8>> {
    let context = Context::of(PROVERS[1].1);
    let () =
        browser.call("segment", json!({ "context": context, "start": chain::state_hex(program, &range.start) }))?;
    for input in &range.inputs {
        let _: Value = browser.call("push", json!({ "input": chain::input_hex(program, input) }))?;
    }
    let proof: String = browser.call("finish", Value::Null)?;
    Ok(hex::decode(proof)?)
}

/// Verifies each upload by itself.
fn verify(
    parameters: &Parameters<Builtin>,
    ranges: &[Range],
    uploads: &[Upload],
) -> anyhow::Result<(Vec<RangeProof>, [Total; 2])> {
    let mut rng = parameters::rng()?;
    let mut totals = <[Total; 2]>::default();
    let mut proofs = Vec::new();
    ensure!(uploads.iter().map(|upload| upload.range).eq(0..ranges.len()), "a segment is missing");
    for upload in uploads {
        let (name, prover) = PROVERS[upload.prover];
        let range = &ranges[upload.range];
        let begun = Instant::now();
        let proof = chain::check(parameters, prover, range, &upload.bytes, &mut rng)
            .with_context(|| format!("segment {} of the {name} prover", upload.range))?;
        let total = &mut totals[upload.prover];
        total.verifying += begun.elapsed();
        total.segments += 1;
        total.steps += range.inputs.len();
        total.proving += upload.proving;
        total.bytes += upload.bytes.len();
        proofs.push(proof);
    }
    ensure!(totals.iter().all(|total| total.segments > 0), "a prover had nothing to do");
    Ok((proofs, totals))
}

/// That the root says what the job is, and who folded how much.
fn check_root(root: &RangeProof, ranges: &[Range], totals: &[Total; 2]) -> anyhow::Result<()> {
    let (first, last) = (&ranges[0], &ranges[ranges.len() - 1]);
    ensure!(*root.job() == chain::JOB, "the root belongs to another job");
    ensure!(root.start() == first.start && root.end() == last.end, "the root leads between other states");
    for ((name, address), total) in PROVERS.iter().zip(totals) {
        let credited: u64 = root.receipts().iter().filter(|r| r.prover == *address).map(|r| r.count).sum();
        ensure!(credited == total.steps as u64, "the root credits {credited} steps to the {name} prover");
    }
    Ok(())
}
