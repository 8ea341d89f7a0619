//! `./just bench sequencer`: signed transactions a second that the sequencer verifies, writes to the disk and answers,
//! and how long a batch takes to seal.

// Measuring needs a clock, and the result goes to standard output.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, anyhow, ensure};
use async_trait::async_trait;
use axum::body::Body;
use axum::http::Request;
use crowdfold_bench::report::{self, Measure};
use crowdfold_bench::sample::median;
use crowdfold_coordinator::http::rollup::routes;
use crowdfold_coordinator::hub::Clock;
use crowdfold_coordinator::sequencer::{
    Answer, BatchJob, JobSink, Merge, Offered, Options, ReadProof, Sequencer, Settings, ToMerge,
};
use crowdfold_coordinator::store::{self, Storage};
use crowdfold_fold::{Address, Fr};
use crowdfold_programs::rollup::workload::secret_key;
use crowdfold_programs::rollup::{Account, Index, SignedTransaction, State, Transaction};
use crowdfold_rollup::forms::TransactionForm;
use crowdfold_rollup::store::Genesis;
use crowdfold_sched::JobId;
use rayon::prelude::*;
use tower::ServiceExt as _;

/// Accounts that send, one after the other.
const ACCOUNTS: u32 = 20_000;
/// Transactions of a request.
const REQUEST: usize = 256;
/// Requests under way at once.
const CLIENTS: usize = 8;
/// Transactions of each way in.
const TRANSACTIONS: u32 = 20_000;
/// Transactions of a batch.
const BATCH: usize = 3_000;
/// Batches that are sealed.
const BATCHES: usize = 9;

const CHAIN: u64 = 31_337;
const CONTRACT: Address = Address([1; 20]);

/// Takes no batch: that is not measured here.
#[derive(Debug)]
struct Nobody;

#[async_trait]
impl JobSink for Nobody {
    async fn accept(&self, _: BatchJob) -> Result<JobId, Box<dyn std::error::Error + Send + Sync>> {
        std::future::pending().await
    }
}

impl Merge for Nobody {
    fn merge(&self, _: &ToMerge, _: &ReadProof<'_>) -> Result<axum::body::Bytes, String> {
        Err("nothing is merged".into())
    }
}

fn domain() -> Fr {
    State::domain(CHAIN, CONTRACT)
}

/// Transfers of all accounts in turn, from a position on.
fn transfers(first: u32, count: u32) -> Vec<Offered> {
    let index = |number: u32| Index::new(number % ACCOUNTS).unwrap_or_default();
    let sign = |number: u32| {
        let (from, to, nonce) = (index(number), index(number * 7 + 1), number / ACCOUNTS);
        let transfer = Transaction::Transfer { from, to, nonce, fee: 1 + u64::from(number % 97), amount: 5 };
        SignedTransaction::sign(transfer, domain(), &secret_key([3; 32], from.get()))
    };
    (first..first + count).into_par_iter().filter_map(sign).map(|signed| Offered::new(signed, domain())).collect()
}

fn options(folder: &Path, storage: Arc<Storage>) -> Options {
    // Nothing is sealed before that is measured.
    let settings = Settings {
        batch_transactions: 1 << 16,
        batch_age_s: 1 << 30,
        pending: 1 << 20,
        request_transactions: REQUEST,
        ..Settings::default()
    };
    Options {
        settings,
        accounts: folder.join("accounts"),
        settlement: (CHAIN, CONTRACT),
        storage,
        clock: Clock::new(),
        jobs: Arc::new(Nobody),
        merge: Arc::new(Nobody),
    }
}

/// Seconds until all requests are answered, so many at once.
async fn send<B: Send + 'static, F, R>(requests: Vec<B>, answer: F) -> anyhow::Result<f64>
where
    F: Fn(B) -> R + Clone + Send + 'static,
    R: Future<Output = anyhow::Result<()>> + Send,
{
    let waiting = Arc::new(std::sync::Mutex::new(requests));
    let began = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (waiting, answer) = (Arc::clone(&waiting), answer.clone());
            tokio::spawn(async move {
                loop {
                    let next = waiting.lock().map_err(|_| anyhow!("a client failed"))?.pop();
                    let Some(next) = next else { return Ok::<_, anyhow::Error>(()) };
                    answer(next).await?;
                }
            })
        })
        .collect();
    for client in clients {
        client.await??;
    }
    Ok(began.elapsed().as_secs_f64())
}

/// Seconds that the process's threads have run so far: busy neighbours change the time that is measured, and not these.
fn cpu() -> anyhow::Result<f64> {
    /// Of a second, as Linux shows them to programs.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").context("the time that was used is only known on Linux")?;
    // User and system time, counted from behind the program's name.
    let fields = stat.rsplit_once(')').context("no name")?.1.split_whitespace();
    let ticks = fields.skip(11).take(2).map(str::parse::<f64>).collect::<Result<Vec<_>, _>>()?;
    Ok(ticks.iter().sum::<f64>() / TICKS)
}

async fn measure(folder: &Path) -> anyhow::Result<Vec<Measure>> {
    let key = |number| Account { key: secret_key([3; 32], number).public(), balance: 1 << 80, nonce: 0 };
    let accounts: Vec<Account> = (0..ACCOUNTS).into_par_iter().map(key).collect();
    drop(Genesis::new(accounts, domain(), Index::default())?.create(&folder.join("accounts"))?);
    let storage = Arc::new(Storage::open(&folder.join("data"), store::Options::default()).await?);
    let (sequencer, service) = Sequencer::start(options(folder, storage)).await?;
    let service = tokio::spawn(service.run());

    // Each way in has one transaction of each account.
    let all = transfers(0, 3 * TRANSACTIONS);
    let (direct, rest) = all.split_at(TRANSACTIONS as usize);
    let (binary, json) = rest.split_at(TRANSACTIONS as usize);
    let chunks = |all: &[Offered]| all.chunks(REQUEST).rev().map(<[Offered]>::to_vec).collect::<Vec<_>>();
    let (to, before) = (sequencer.clone(), cpu()?);
    let direct_s = send(chunks(direct), move |request| {
        let to = to.clone();
        async move {
            let answers = to.submit(request).await?;
            ensure!(answers.iter().all(|answer| matches!(answer, Answer::Accepted(_))), "{answers:?}");
            Ok(())
        }
    })
    .await?;
    let used = (cpu()? - before) / f64::from(TRANSACTIONS);
    let bodies = |all: &[Offered], form: fn(&[Offered]) -> Vec<u8>| -> Vec<Vec<u8>> {
        chunks(all).iter().map(|chunk| form(chunk)).collect()
    };
    let binary = bodies(binary, |all| all.iter().flat_map(|offered| offered.signed.to_bytes()).collect());
    let json = bodies(json, |all| {
        let forms = all.iter().map(|offered| TransactionForm::signed(&offered.signed, secret_key([3; 32], 0).public()));
        serde_json::to_vec(&forms.collect::<Vec<_>>()).unwrap_or_default()
    });
    let mut seconds = Vec::new();
    for (kind, bodies) in [("application/octet-stream", binary), ("application/json", json)] {
        let app: axum::Router = routes().with_state(sequencer.clone()).into();
        let sent = send(bodies, move |body| {
            let app = app.clone();
            async move {
                let request = Request::post("/v1/rollup/transactions").header("content-type", kind);
                let answer = app.oneshot(request.body(Body::from(body))?).await?;
                ensure!(answer.status().is_success(), "{}", answer.status());
                Ok(())
            }
        });
        seconds.push(sent.await?);
    }
    let pending = sequencer.view().pending;
    ensure!(pending == u64::from(3 * TRANSACTIONS), "{pending} are pending: some were refused");

    let rate = |seconds: f64| f64::from(TRANSACTIONS) / seconds;
    let mut measures = vec![
        Measure::new("sequencer_accepted_s", "accepted: verified, on disk, answered", rate(direct_s), "tx/s"),
        Measure::new("sequencer_cpu_us", "of all cores for one of these", used * 1e6, "us"),
        Measure::new("sequencer_binary_s", "the same through the router, encoded", rate(seconds[0]), "tx/s"),
        Measure::new("sequencer_json_s", "the same through the router, as JSON", rate(seconds[1]), "tx/s"),
    ];
    service.abort();
    drop(sequencer);
    // That it was aborted is what was wanted.
    _ = service.await;
    let (restart, seal) = seal(folder).await?;
    measures.push(Measure::new("sequencer_restart_s", "a start with 60,000 pending", restart, "s"));
    measures.push(Measure::new(
        "sequencer_seal_ms",
        format!("a batch of {BATCH}, sealed and durable"),
        seal * 1e3,
        "ms",
    ));
    Ok(measures)
}

/// Seconds of a start, and the median of those of a batch.
async fn seal(folder: &Path) -> anyhow::Result<(f64, f64)> {
    let storage = Arc::new(Storage::open(&folder.join("data"), store::Options::default()).await?);
    let mut options = options(folder, storage);
    options.settings.batch_transactions = BATCH;
    let began = Instant::now();
    let (sequencer, service) = Sequencer::start(options).await?;
    let restart = began.elapsed().as_secs_f64();
    let before = Instant::now();
    let service = tokio::spawn(service.run());
    let mut sealed = sequencer.view().snapshot.head().batch;
    let (mut times, mut last) = (Vec::new(), before);
    // There is so much that one batch follows the other.
    while times.len() < BATCHES {
        let batch = sequencer.view().snapshot.head().batch;
        if batch > sealed {
            times.push(last.elapsed().as_secs_f64() / f64::from(u32::try_from(batch - sealed)?));
            (sealed, last) = (batch, Instant::now());
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    service.abort();
    drop(sequencer);
    // That it was aborted is what was wanted.
    _ = service.await;
    Ok((restart, median(times)))
}

fn run() -> anyhow::Result<()> {
    let root = report::root()?;
    let folder: PathBuf = root.join("target/bench/sequencer");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measures = runtime.block_on(measure(&folder))?;
    std::fs::remove_dir_all(&folder)?;
    report::tell("sequencer", &measures, false)
}

fn main() -> ExitCode {
    report::exit("sequencer", run())
}
