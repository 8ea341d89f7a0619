//! `./just bench web`: the prover of tabs and edge functions. Steps of the rollup against nova-snark's in the same page of
//! Chromium; the package that users get, dialling a real coordinator: how soon it folds, and what is lost when a page is
//! closed or paused; and its memory in workerd.

// Measuring needs a clock, and the result goes to standard output.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use crowdfold_bench::browser::{Browser, Race, Work};
use crowdfold_bench::payments;
use crowdfold_bench::report::{self, Measure};
use crowdfold_bench::sample::median;
use crowdfold_bench_wasm::{NovaParameters, PEER};
use crowdfold_fold::{Parameters, Srs};
use crowdfold_programs::rollup::Rollup;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use serde::Deserialize;
use serde_json::json;

/// Powers of tau: enough for M.
const POWERS: usize = 1 << 16;
/// Steps before the first that counts: the first two are of another kind, and by then the optimised code is there.
const WARM_UP: usize = 3;
/// Steps that count, of each.
const STEPS: usize = 9;
/// Steps of the job that volunteers work on: more than they fold here.
const JOB: usize = 1_000;
/// Pages loaded for the first step, with nothing cached and with all.
const PAGES: usize = 3;

#[derive(Parser)]
#[command(about = "Measures the prover of tabs and edge functions and writes target/bench/web.json")]
struct Cli {
    /// Measure only a part, and write no file.
    #[arg(long)]
    only: Option<Part>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Steps against the peer's.
    Steps,
    /// The package for users, in Chromium and workerd.
    Package,
}

/// What `benches/browser/volunteers.mjs` prints.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    /// Seconds from starting the prover to the end of its first step, for each page.
    cold: Vec<f64>,
    warm: Vec<f64>,
    /// Steps folded and steps credited, of a page that was closed and of one that was paused.
    closed: Lost,
    paused: Lost,
    /// Bytes of WASM memory in workerd.
    edge_bytes: f64,
    /// Steps that it folded there.
    edge_steps: f64,
}

/// What became of the steps of a page.
#[derive(Deserialize)]
struct Lost {
    folded: f64,
    credited: f64,
}

/// What `benches/browser/web.mjs` prints.
#[derive(Deserialize)]
struct Races {
    race1: Race,
    race2: Race,
}

fn steps(browser: &Browser) -> anyhow::Result<Vec<Measure>> {
    eprintln!("making parameters, ours and the peer's");
    let params = Parameters::generate(Rollup, &Srs::insecure_development(POWERS))?;
    let nova = NovaParameters::generate(Rollup)?;
    let (state, batch) = payments::batch(WARM_UP + STEPS, 1)?;
    let inputs = batch.into_steps(&mut ChaCha20Rng::seed_from_u64(2))?.collect::<Result<Vec<_>, _>>()?;
    let work = Work::new("step", &Rollup, &state.to_elements(), &inputs);
    browser.put_work(&work, &params.prover().to_bytes())?;
    browser.put("nova.params", &nova.to_bytes()?)?;
    let races: Races = browser.drive(&json!({ "step": work.plan(), "warmUp": WARM_UP }))?;
    browser.check("race1.proof", &params, inputs.len())?;
    browser.check("race2.proof", &params, inputs.len())?;
    let step = |id, threads, race: Race| {
        let what = format!("step of {}, Chromium, {threads} thread(s)", payments::ROLLUP);
        Measure::new(id, what, median(race.ours), "s").against(PEER, median(race.peer), 1.05)
    };
    Ok(vec![step("rollup_step_wasm_1", 1, races.race1), step("rollup_step_wasm_2", 2, races.race2)])
}

fn package(browser: &Browser) -> anyhow::Result<Vec<Measure>> {
    let (_, batch) = payments::batch(JOB, 3)?;
    browser.put("job.bytes", &batch.to_bytes())?;
    let found: Package = browser.drive(&json!({ "program": payments::ROLLUP, "pages": PAGES }))?;
    let first = "start to first step finished, rollup, local coordinator, Chromium, 2 threads";
    let lost = |id, what, lost: &Lost| {
        let what = format!("steps lost of {} when a page is {what}, default checkpoints", lost.folded);
        Measure::new(id, what, lost.folded - lost.credited, "steps")
    };
    Ok(vec![
        Measure::new(
            "edge_peak_mb",
            format!("peak WASM memory of a rollup segment of {} steps in workerd", found.edge_steps),
            found.edge_bytes / 1e6,
            "MB",
        )
        .at_most(112.0),
        Measure::new("first_step_cold_s", format!("{first}, nothing cached"), median(found.cold), "s").at_most(10.0),
        Measure::new("first_step_warm_s", format!("{first}, all cached"), median(found.warm), "s").at_most(4.0),
        lost("steps_lost_on_close", "closed", &found.closed),
        lost("steps_lost_on_pause", "paused", &found.paused).at_most(0.0),
    ])
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let root = report::root()?;
    let wants = |part| cli.only.is_none_or(|only| only == part);
    let mut measures = Vec::new();
    if wants(Part::Steps) {
        let packages = ["--config", "benches/wasm-pack.toml", "--variant=single", "--variant=threads"];
        measures.extend(steps(&Browser::prepare(root, "web", &packages)?)?);
    }
    if wants(Part::Package) {
        measures.extend(package(&Browser::prepare(root, "volunteers", &["--in-tests"])?)?);
    }
    report::tell("web", &measures, cli.only.is_some())
}

fn main() -> ExitCode {
    report::exit("web", run(&Cli::parse()))
}
