//! The demonstration: signed payments go to the sequencer of a real coordinator; native provers, a tab of a real browser
//! and an edge function in a real runtime fold them; and the root proof is verified here.

mod api;
mod picture;
mod processes;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use crowdfold_fold::{Address, Fr, Parameters, RangeProof, verify};
use crowdfold_programs::rollup::workload::{Workload, WorkloadParams};
use crowdfold_programs::rollup::{Account, Index, Request, State};
use crowdfold_programs::{Builtin, Program as _};
use crowdfold_rollup::forms::{AccountProof, TransactionForm, TransactionsFile};
use crowdfold_rollup::store::Genesis;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use serde_json::Value;

use crate::parameters::{self, INSECURE_WARNING};
use api::{Api, Event};
use picture::Picture;
use processes::{Coordinator, Prover};

/// What to demonstrate.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Signed transactions to send.
    #[arg(long, default_value_t = 192, value_parser = clap::value_parser!(u64).range(1..=1024))]
    transactions: u64,
    /// Native provers, beside the tab and the edge function.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=64))]
    provers: u8,
    /// Threads of each native one.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

/// Accounts of genesis.
const ACCOUNTS: u32 = 1_000;
/// Who gets the fees.
const OPERATOR: u32 = 0;
/// The chain and contract that the proofs are for.
const SETTLEMENT: (u64, Address) = (31_337, Address([0xc0; 20]));
/// Far more than the proof takes.
const PATIENCE: Duration = Duration::from_secs(1_200);

/// Time between two looks at who is connected.
const LOOK: Duration = Duration::from_millis(50);
/// Time for a prover to start and to connect.
const JOINING: Duration = Duration::from_secs(120);
/// The hosts that a script drives: what they are called, the script, and where they are paid.
const HOSTS: [(&str, &str, Address); 2] =
    [("browser tab", "tab.mjs", Address([0xb0; 20])), ("edge function", "edge.mjs", Address([0xe0; 20]))];

/// When what began.
struct Moments {
    started: Instant,
    ready: Instant,
    receipts: Instant,
    job: Instant,
    folded: Instant,
    root: Instant,
}

/// Sends, proves, verifies, and says so.
///
/// # Errors
/// If anything fails, or a prover had nothing to do.
pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    println!("{INSECURE_WARNING}\n");
    let started = Instant::now();
    let folder = root.join("target/demo");
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("removing {}", folder.display()));
        }
        _ => std::fs::create_dir_all(folder.join("params"))?,
    }
    let (parameters, _) = parameters::of_program::<Builtin>(root, "rollup/1")?;
    std::fs::write(folder.join("params/rollup+1.params"), parameters.to_bytes())?;
    let domain = State::domain(SETTLEMENT.0, SETTLEMENT.1);
    let (genesis, transactions) = payments(options.transactions, domain)?;
    drop(Genesis::new(genesis, domain, index(OPERATOR)?)?.create(&folder.join("accounts"))?);
    let coordinator = Coordinator::start(&folder, options.transactions, SETTLEMENT)?;
    let api = Api::new(coordinator.url());
    println!("A coordinator listens on {}.", coordinator.url());
    let mut provers = Vec::new();
    for number in 1..=options.provers {
        let prover = Prover::native(&folder, &coordinator, number, Address([number; 20]), options.threads)?;
        join(&api, &folder, &mut provers, prover)?;
    }
    for (name, script, payout) in HOSTS {
        let prover = Prover::host(root, &folder, &coordinator, (name, script), payout)?;
        join(&api, &folder, &mut provers, prover)?;
    }
    let events = api.events()?;
    let ready = Instant::now();

    let file = TransactionsFile::new(Some(domain), transactions);
    let answer = api.post("/v1/rollup/transactions", &serde_json::to_vec(&file)?)?;
    let results = answer["results"].as_array().context("results")?;
    let pending = results.iter().filter(|result| result["status"] == "pending").count();
    ensure!(pending as u64 == options.transactions, "some transactions were refused: {answer}");
    let receipts = Instant::now();
    println!(
        "{pending} signed payments among {ACCOUNTS} accounts were verified and accepted in {:.2} s.\n",
        (receipts - ready).as_secs_f64()
    );

    let moments = Moments { started, ready, receipts, job: ready, folded: ready, root: ready };
    let (job, moments) = watch(&api, &events, &provers, moments)?;
    let batch = api.get("/v1/rollup/batches/1")?;
    let sequence = api.wait("/v1/rollup/sequences/1", |sequence| sequence["status"] == "proved", PATIENCE)?;
    let bytes = api.bytes("/v1/rollup/sequences/1/proof")?;
    let proof = check_root(&parameters, &bytes, &batch, &provers)?;
    println!(
        "\nThe root proof of job {job} verifies: {} steps, {} bytes, {} payments in batch {}.",
        proof.count(),
        bytes.len(),
        batch["transactions"],
        sequence["first_batch"]
    );
    println!("\nThe state it leads to:");
    for field in parameters.prover().step().describe(proof.end())? {
        println!("  {:<12} {}", field.name, field.value);
    }
    check_account(&api, &proof)?;
    report(&api, &coordinator, &provers, &proof, &moments)?;
    println!("\n{INSECURE_WARNING}");
    Ok(())
}

/// Waits until a prover is connected, and notes its numbers.
fn join(api: &Api, folder: &Path, provers: &mut Vec<Prover>, mut prover: Prover) -> anyhow::Result<()> {
    let began = Instant::now();
    let known: BTreeSet<u64> = provers.iter().flat_map(|prover| &prover.numbers).copied().collect();
    while prover.numbers.is_empty() {
        prover.check(folder)?;
        ensure!(began.elapsed() < JOINING, "the {} does not connect", prover.name);
        sleep(LOOK);
        let listed = api.get("/v1/provers")?;
        let numbers = listed.as_array().context("a list of provers")?.iter().filter_map(|one| one["prover"].as_u64());
        prover.numbers = numbers.filter(|number| !known.contains(number)).collect();
    }
    println!("The {} is connected after {:.1} s.", prover.name, began.elapsed().as_secs_f64());
    provers.push(prover);
    Ok(())
}

fn index(number: u32) -> anyhow::Result<Index> {
    Index::new(number).context("an index is below 2^24")
}

/// Accounts, and signed payments between them.
fn payments(count: u64, domain: Fr) -> anyhow::Result<(Vec<Account>, Vec<TransactionForm>)> {
    let params = WorkloadParams {
        accounts: ACCOUNTS,
        transfers: 0.9,
        deposits: 0.0,
        withdrawals: 0.1,
        domain,
        ..WorkloadParams::default()
    };
    let mut workload = Workload::new(params, ChaCha20Rng::seed_from_u64(1));
    let genesis = workload.genesis();
    let mut forms = Vec::new();
    for item in workload.by_ref().take(usize::try_from(count)?) {
        let Request::Signed(signed) = item.request else { continue };
        let from = signed.transaction().from().get();
        let account = genesis.get(from as usize).context("payments are between accounts of genesis")?;
        forms.extend(TransactionForm::signed(&signed, account.key));
    }
    Ok((genesis, forms))
}

/// Shows what happens until the job is done; returns its number.
fn watch(
    api: &Api,
    events: &Receiver<Event>,
    provers: &[Prover],
    mut moments: Moments,
) -> anyhow::Result<(u64, Moments)> {
    let mut picture = Picture::default();
    let began = moments.receipts;
    loop {
        let left = PATIENCE.saturating_sub(began.elapsed());
        let Event { kind, data } = events.recv_timeout(left).context("nothing happens any more")?;
        let number = |key: &str| data[key].as_u64().unwrap_or_default();
        let range = || (number("first"), number("steps"));
        let who = || {
            let known = provers.iter().find(|prover| prover.numbers.contains(&number("prover")));
            known.map_or("another prover", |prover| &prover.name)
        };
        let what = match kind.as_str() {
            "job_accepted" => {
                moments.job = Instant::now();
                picture = Picture::new(number("steps"));
                format!("batch 1 is sealed, and is job {}", number("job"))
            }
            "segment_assigned" => {
                picture.assigned(range());
                format!("the {} gets {}", who(), steps(range()))
            }
            "range_verified" => {
                moments.folded = Instant::now();
                picture.verified(range());
                format!("the {} proved {}", who(), steps(range()))
            }
            "range_merged" => {
                picture.merged(range());
                format!("merged: {}", steps(range()))
            }
            "job_ended" => {
                moments.root = Instant::now();
                ensure!(data["state"] == "done", "the job ended: {data}");
                println!("{:>7.2} s  {picture}  done", began.elapsed().as_secs_f64());
                return Ok((number("job"), moments));
            }
            "proof_refused" => bail!("a proof was refused: {data}"),
            _ => continue,
        };
        println!("{:>7.2} s  {picture}  {what}", began.elapsed().as_secs_f64());
        // Nothing is taken for granted: a stopped coordinator ends the demonstration.
        if kind == "job_accepted" {
            api.get("/v1/status")?;
        }
    }
}

fn steps((first, steps): (u64, u64)) -> String {
    match steps {
        1 => format!("step {first}"),
        _ => format!("steps {first} to {}", first + steps - 1),
    }
}

/// That the root proof verifies, and says what was ordered and who folded it.
fn check_root(
    parameters: &Parameters<Builtin>,
    bytes: &[u8],
    batch: &Value,
    provers: &[Prover],
) -> anyhow::Result<RangeProof> {
    let proof = RangeProof::from_bytes(parameters, bytes)?;
    verify(parameters, &proof, &mut parameters::rng()?)?;
    let end = hex::encode(parameters.prover().step().encode_state(proof.end()));
    ensure!(batch["end"] == end.as_str(), "the root leads to another state than the batch");
    ensure!(batch["steps"] == proof.count(), "the root has another number of steps than the batch");
    ensure!((proof.job().chain_id, proof.job().contract) == SETTLEMENT, "the root is for another chain or contract");
    let all: u64 = provers.iter().map(|prover| folded(&proof, prover)).sum();
    ensure!(all == proof.count(), "{all} of {} steps are credited to the provers", proof.count());
    Ok(proof)
}

/// Steps that a proof says somebody folded.
fn folded(proof: &RangeProof, prover: &Prover) -> u64 {
    proof.receipts().iter().filter(|receipt| receipt.prover == prover.payout).map(|receipt| receipt.count).sum()
}

/// That anybody can check what the coordinator says of an account.
fn check_account(api: &Api, proof: &RangeProof) -> anyhow::Result<()> {
    let answer = api.get(&format!("/v1/rollup/accounts/{OPERATOR}"))?;
    let account: AccountProof = serde_json::from_value(answer["account"].clone())?;
    let root = proof.end().first().context("a state has a root")?;
    let found = account.verify(*root)?;
    println!("\nThe operator's account holds {}: its Merkle path leads to the root of that state.", found.balance);
    Ok(())
}

/// Who did what, and where the time went.
fn report(
    api: &Api,
    coordinator: &Coordinator,
    provers: &[Prover],
    proof: &RangeProof,
    moments: &Moments,
) -> anyhow::Result<()> {
    println!("\n{:<18} {:>6} {:>7} {:>12}", "", "steps", "share", "CPU seconds");
    let seconds = |found: Option<f64>| found.map_or("-".to_owned(), |seconds| format!("{seconds:.2}"));
    for prover in provers {
        let count = folded(proof, prover);
        let share = format!("{:.0} %", 100.0 * count as f64 / proof.count() as f64);
        println!("{:<18} {count:>6} {share:>7} {:>12}", prover.name, seconds(prover.cpu_seconds()));
    }
    println!("{:<18} {:>6} {:>7} {:>12}", "coordinator", "", "", seconds(coordinator.cpu_seconds()));
    let metrics = api.text("/metrics")?;
    let sum = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("crowdfold_{name}_seconds_sum ")));
        line.and_then(|value| value.trim().parse::<f64>().ok()).unwrap_or_default()
    };
    let parts = [
        ("parameters, accounts, starting the processes", moments.started, moments.ready),
        ("checking signatures, nonces, balances; receipts", moments.ready, moments.receipts),
        ("waiting for the seal, executing, handing over", moments.receipts, moments.job),
        ("folding, until the last proof was verified", moments.job, moments.folded),
        ("last merges, until the root was there", moments.folded, moments.root),
    ];
    println!("\n{:<50} {:>8}", "where the time went", "seconds");
    for (what, from, to) in parts {
        println!("{what:<50} {:>8.2}", to.saturating_duration_since(from).as_secs_f64());
    }
    println!("{:<50} {:>8.2}", "  of it the coordinator verified proofs for", sum("verify"));
    println!("{:<50} {:>8.2}", "  and merged for, on all its threads", sum("merge"));
    println!("{:<50} {:>8.2}", "all in all", moments.started.elapsed().as_secs_f64());
    match provers.iter().find(|prover| folded(proof, prover) == 0) {
        Some(idle) => bail!("the {} handed in nothing in time: is the machine busy with something else?", idle.name),
        None => Ok(()),
    }
}
