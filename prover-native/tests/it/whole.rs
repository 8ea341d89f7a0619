//! The whole system in processes of its own, which are killed at random moments.

// What repeats a failure is printed.
#![allow(clippy::print_stdout)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crowdfold_coordinator::catalog::file_name;
use crowdfold_coordinator::store::{self, Proof, Storage, Store as _};
use crowdfold_fold::{Address, Fr, Parameters, RangeProof, Srs, StepFunction as _, verify};
use crowdfold_programs::rollup::workload::{Workload, WorkloadParams};
use crowdfold_programs::rollup::{Index, Request, State};
use crowdfold_programs::{Builtin, Program as _, Squarings};
use crowdfold_rollup::forms::{TransactionForm, TransactionsFile};
use crowdfold_rollup::store::Genesis;
use crowdfold_sched::{JobId, Range, StepIndex, Verdict};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use serde_json::Value;

use crate::{Folder, PATIENCE};

/// Provers.
const PROVERS: usize = 4;

/// The binary of that name beside those of this package.
fn binary(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_prover-native")).with_file_name(name);
    assert!(path.exists(), "there is no {}: build it with `cargo build --workspace --bins`", path.display());
    path
}

/// A process, which does not outlive the test.
struct Process(Child);

impl Process {
    /// As `kill -9`.
    fn kill(&mut self) {
        self.0.kill().expect("a process");
        self.0.wait().expect("an end");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// A coordinator and its provers.
struct System {
    folder: Folder,
    parameters: Parameters<Builtin>,
    coordinator: Option<Process>,
    provers: Vec<Process>,
    address: SocketAddr,
    token: String,
    rng: ChaCha20Rng,
    /// Numbers of the runs of the coordinator, and the ranges that were verified before each.
    runs: Vec<Vec<Range>>,
}

/// A seed for the moments: that of `CROWDFOLD_SEED`, or a new one, which is printed.
fn seed() -> u64 {
    let given = std::env::var("CROWDFOLD_SEED").ok().and_then(|seed| seed.parse().ok());
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let seed = given.unwrap_or_else(|| u64::from(now().subsec_nanos()));
    println!("CROWDFOLD_SEED={seed} repeats the choices");
    seed
}

impl System {
    /// Starts all processes. Segments should take their provers so many seconds; `more` is added to the settings.
    fn new(name: &str, program: &str, target_s: u64, more: &str) -> Self {
        let folder = Folder::new(name);
        let program = Builtin::from_name(program).expect("a program");
        let parameters = Parameters::generate(program, &Srs::insecure_development(1 << 16)).expect("parameters");
        let params = folder.0.join("params");
        std::fs::create_dir_all(&params).expect("a folder");
        let file = params.join(file_name(&parameters.prover().step().name()));
        std::fs::write(file, parameters.to_bytes()).expect("a file");
        let settings = format!(
            "{more}\n[server]\ndata = {:?}\nparams = {params:?}\n[scheduler]\ntarget_s = {target_s}\nmin_steps = 4\n\
             [requests]\nper_second = 0\n",
            folder.0.join("coordinator"),
        );
        std::fs::write(folder.0.join("settings.toml"), settings).expect("a file");
        let added = Command::new(binary("coordinator"))
            .args(["client", "add", "test", "--admin", "--data"])
            .arg(folder.0.join("coordinator"))
            .output()
            .expect("a process");
        assert!(added.status.success(), "{added:?}");
        let token = String::from_utf8(added.stdout).expect("text").trim().to_owned();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let rng = ChaCha20Rng::seed_from_u64(seed());
        let (provers, runs) = (Vec::new(), Vec::new());
        let mut system = Self { folder, parameters, coordinator: None, provers, address, token, rng, runs };
        system.start();
        for prover in 0..PROVERS {
            let process = system.prover(prover);
            system.provers.push(process);
        }
        system
    }

    /// Starts the coordinator, on the port that it had before.
    fn start(&mut self) {
        let mut process = Command::new(binary("coordinator"))
            .args(["serve", "--listen", &self.address.to_string(), "--config"])
            .arg(self.folder.0.join("settings.toml"))
            .stdout(Stdio::piped())
            .stderr(Stdio::from(self.log("coordinator.log")))
            .spawn()
            .expect("a process");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut line).expect("text");
        let address = line.trim().strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        self.address = address.unwrap_or_else(|| panic!("it does not start: {}", self.logged("coordinator.log")));
        self.coordinator = Some(Process(process));
    }

    fn log(&self, name: &str) -> std::fs::File {
        std::fs::File::options().create(true).append(true).open(self.folder.0.join(name)).expect("a file")
    }

    fn logged(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.0.join(name)).unwrap_or_default()
    }

    fn prover(&self, number: usize) -> Process {
        let process = Command::new(env!("CARGO_BIN_EXE_prover-native"))
            .args(["--url", &format!("ws://{}", self.address), "--threads", "1", "--json"])
            .args(["--payout", &format!("0x{}", hex::encode([number as u8 + 1; 20]))])
            .arg("--data")
            .arg(self.folder.0.join(format!("prover-{number}")))
            .stdout(Stdio::from(self.log(&format!("prover-{number}.log"))))
            .spawn();
        Process(process.expect("a process"))
    }

    fn request(&self, method: &str, path: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let url = format!("http://{}{path}", self.address);
        let token = format!("Bearer {}", self.token);
        let answer = match method {
            "POST" => agent.post(&url).header("authorization", &token).send(body),
            _ => agent.get(&url).header("authorization", &token).call(),
        };
        let mut answer = answer.ok()?;
        let mut bytes = Vec::new();
        answer.body_mut().as_reader().read_to_end(&mut bytes).ok()?;
        Some((answer.status().as_u16(), bytes))
    }

    fn json(&self, path: &str) -> Value {
        let (status, body) = self.request("GET", path, b"").expect("an answer");
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).expect("JSON")
    }

    fn covered(&self, job: u64) -> u64 {
        self.json(&format!("/v1/jobs/{job}"))["covered"].as_u64().expect("a number")
    }

    /// Ranges of a job that are verified.
    fn ranges(&self, job: u64) -> Vec<Range> {
        let number = |value: &Value| value.as_u64().expect("a number");
        let range = |found: &Value| {
            let first = number(&found["first"]);
            Range::new(StepIndex(first), StepIndex(first + number(&found["steps"]))).expect("a range")
        };
        let ranges = self.json(&format!("/v1/jobs/{job}/ranges"));
        ranges.as_array().expect("a list").iter().map(range).collect()
    }

    fn random_ms(&mut self, most: u64) -> Duration {
        Duration::from_millis(self.rng.next_u64() % most)
    }

    /// Kills one of the provers and then the coordinator, each at some moment, and starts both again.
    fn round(&mut self, job: u64, outage: Duration) {
        let wait = self.random_ms(1_500);
        std::thread::sleep(wait);
        let unlucky = (self.rng.next_u64() % PROVERS as u64) as usize;
        self.provers[unlucky].kill();
        let wait = self.random_ms(1_000);
        std::thread::sleep(wait);
        let before = self.ranges(job);
        self.coordinator.as_mut().expect("it runs").kill();
        std::thread::sleep(outage);
        self.start();
        let after = self.ranges(job);
        for range in &before {
            assert!(after.iter().any(|found| found.contains(*range)), "{range:?} was verified and is lost");
        }
        self.runs.push(before);
        self.provers[unlucky] = self.prover(unlucky);
    }

    /// Waits for the end of a job.
    fn finish(&self, job: u64, patience: Duration) -> Value {
        let began = Instant::now();
        loop {
            let found = self.json(&format!("/v1/jobs/{job}"));
            if found["state"] != "open" {
                return found;
            }
            assert!(began.elapsed() < patience, "{found}\n{}", self.logged("coordinator.log"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// That the root proof is what was ordered, and that no step was proved again once it was verified.
    fn check(mut self, job: u64, steps: u64) {
        let found = self.json(&format!("/v1/jobs/{job}"));
        let (status, bytes) = self.request("GET", &format!("/v1/jobs/{job}/proof"), b"").expect("an answer");
        assert_eq!(status, 200);
        let root = RangeProof::from_bytes(&self.parameters, &bytes).expect("a proof");
        verify(&self.parameters, &root, &mut self.rng).expect("a valid proof");
        let program = self.parameters.prover().step();
        assert_eq!(hex::encode(program.encode_state(root.start())), found["start"].as_str().expect("text"));
        assert_eq!(hex::encode(program.encode_state(root.end())), found["end"].as_str().expect("text"));
        assert_eq!(root.count(), steps);
        assert_eq!(root.receipts().iter().map(|receipt| receipt.count).sum::<u64>(), steps);

        self.provers.clear();
        self.coordinator = None;
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let proofs = runtime.block_on(async {
            let storage = Storage::open(&self.folder.0.join("coordinator"), store::Options::default()).await;
            let storage = storage.expect("it is whole");
            let proofs = storage.store.proofs(JobId(job), None, store::limits::PAGE).await.expect("readable");
            storage.close().await;
            proofs
        });
        let mut counted: Vec<&Proof> = proofs.iter().filter(|proof| proof.verdict == Some(Verdict::Counted)).collect();
        counted.sort_by_key(|proof| proof.range.start());
        let mut end = 0;
        for proof in counted {
            assert_eq!(proof.range.start().0, end, "each step counts once");
            end = proof.range.end().0;
        }
        assert_eq!(end, steps);
        let first = proofs.iter().filter_map(|proof| proof.task).map(|task| task.epoch()).min().expect("a run");
        for proof in &proofs {
            let Some(task) = proof.task else { continue };
            // What was handed out in a run is nothing that was verified before.
            for (number, verified) in self.runs.iter().enumerate() {
                let is_later = usize::from(task.epoch() - first) > number;
                let is_again = verified.iter().any(|range| range.overlaps(proof.range));
                assert!(!(is_later && is_again), "{:?} was handed out again after it was verified", proof.range);
            }
        }
    }
}

#[test]
fn kills_of_all_kinds_neither_lose_nor_repeat_what_was_verified() {
    let mut system = System::new("whole", "squarings/1/1", 1, "");
    let inputs: Vec<Fr> = (1..=256).map(Fr::from).collect();
    let (status, body) = system
        .request("POST", "/v1/jobs?program=squarings/1/1", &Squarings::job(Fr::from(3), &inputs))
        .expect("an answer");
    assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
    let job = serde_json::from_slice::<Value>(&body).expect("JSON")["job"].as_u64().expect("a number");
    for _ in 0..2 {
        let began = Instant::now();
        let before = system.covered(job);
        while system.covered(job) <= before {
            assert!(began.elapsed() < PATIENCE, "{}", system.logged("coordinator.log"));
            std::thread::sleep(Duration::from_millis(20));
        }
        let outage = system.random_ms(500);
        system.round(job, outage);
    }
    assert_eq!(system.finish(job, PATIENCE)["state"], "done");
    system.check(job, 256);
}

/// Sends signed payments to the sequencer, which makes one batch of them; returns its job.
fn send_payments(system: &System, count: usize) -> u64 {
    let mut workload = payments();
    let genesis = workload.genesis();
    let mut forms = Vec::new();
    for item in workload.by_ref().take(count) {
        let Request::Signed(signed) = item.request else { panic!("only signed ones were asked for") };
        let key = genesis[signed.transaction().from().get() as usize].key;
        forms.push(TransactionForm::signed(&signed, key).expect("it can be written"));
    }
    let file = serde_json::to_vec(&TransactionsFile::new(Some(State::domain(CHAIN, CONTRACT)), forms)).expect("JSON");
    let (status, body) = system.request("POST", "/v1/rollup/transactions", &file).expect("an answer");
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    let results: Value = serde_json::from_slice(&body).expect("JSON");
    for result in results["results"].as_array().expect("a list") {
        assert_eq!(result["status"], "pending", "{result}");
    }
    let began = Instant::now();
    loop {
        let found = system.request("GET", "/v1/rollup/batches/1", b"").expect("an answer");
        if let (200, body) = found
            && let Some(job) = serde_json::from_slice::<Value>(&body).expect("JSON")["job"].as_u64()
        {
            return job;
        }
        assert!(began.elapsed() < PATIENCE, "no batch: {}", system.logged("coordinator.log"));
        std::thread::sleep(Duration::from_millis(50));
    }
}

const CHAIN: u64 = 31_337;
const CONTRACT: Address = Address([0xc0; 20]);

fn payments() -> Workload<ChaCha20Rng> {
    let domain = State::domain(CHAIN, CONTRACT);
    let (transfers, deposits, withdrawals) = (0.9, 0.0, 0.1);
    let params = WorkloadParams { transfers, deposits, withdrawals, domain, ..WorkloadParams::default() };
    Workload::new(params, ChaCha20Rng::seed_from_u64(7))
}

#[test]
#[ignore = "it takes a quarter of an hour: ./just soak"]
fn soak_a_batch_of_payments_through_ten_kills_and_an_outage() {
    let accounts = Folder::new("whole-accounts");
    let path = accounts.0.join("accounts");
    let domain = State::domain(CHAIN, CONTRACT);
    let operator = Index::new(0).expect("an index");
    drop(Genesis::new(payments().genesis(), domain, operator).expect("fine").create(&path).expect("a new file"));
    let settings = format!(
        "[chain]\nid = {CHAIN}\ncontract = \"{CONTRACT}\"\n[sequencer]\nenabled = true\naccounts = {path:?}\n\
         least_fee = 0\nbatch_transactions = 256\nsequence_batches = 1"
    );
    let mut system = System::new("whole-soak", "rollup/1", 4, &settings);
    let job = send_payments(&system, 256);
    let steps = system.json("/v1/rollup/batches/1")["steps"].as_u64().expect("a number");
    for round in 0..10 {
        // Five minutes in which provers dial, wait, and keep what they have.
        let outage = if round == 5 { Duration::from_secs(300) } else { system.random_ms(2_000) };
        system.round(job, outage);
    }
    let patience = Duration::from_secs(1_800);
    assert_eq!(system.finish(job, patience)["state"], "done");
    let began = Instant::now();
    while system.json("/v1/rollup/sequences/1")["status"] != "proved" {
        assert!(began.elapsed() < patience, "{}", system.logged("coordinator.log"));
        std::thread::sleep(Duration::from_millis(100));
    }
    let (status, bytes) = system.request("GET", "/v1/rollup/sequences/1/proof", b"").expect("an answer");
    assert_eq!(status, 200);
    let root = RangeProof::from_bytes(&system.parameters, &bytes).expect("a proof");
    verify(&system.parameters, &root, &mut system.rng).expect("a valid proof");
    system.check(job, steps);
}
