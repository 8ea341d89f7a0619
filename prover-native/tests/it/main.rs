//! Real processes of the prover against a real coordinator: a socket, a database, a disk and proofs.

// A test waits for processes, which takes time.
#![allow(clippy::disallowed_methods)]

mod whole;

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crowdfold_coordinator::catalog::{Catalog, Entry};
use crowdfold_coordinator::hub::Clock;
use crowdfold_coordinator::server::Server;
use crowdfold_coordinator::settings::{ProofSettings, Readers, SchedulerSettings, ServerSettings, Settings};
use crowdfold_coordinator::store::{NewClient, Role, Store as _, TokenHash};
use crowdfold_fold::{Address, Fr, Parameters, RangeProof, Srs, verify};
use crowdfold_programs::{Builtin, Program as _, Squarings};
use crowdfold_sched::JobId;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::runtime::Runtime;

const PROGRAM: &str = "squarings/1/1";
const TOKEN: [u8; 32] = [7; 32];
/// A job takes some seconds here; far more only where something is stuck.
const PATIENCE: Duration = Duration::from_secs(240);

/// A folder that is removed when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("crowdfold-{}-{name}", std::process::id()));
        _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder for the test");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

fn catalog() -> Catalog {
    let program = Builtin::from_name(PROGRAM).expect("a program");
    let parameters = Parameters::generate(program, &Srs::insecure_development(1 << 16)).expect("parameters");
    let mut catalog = Catalog::default();
    catalog.add(Entry::new(parameters));
    catalog
}

/// A coordinator in this process, with a client whose token is [`TOKEN`].
struct World {
    runtime: Runtime,
    catalog: Catalog,
    folder: Folder,
    server: Option<Server>,
    address: SocketAddr,
    settings: Settings,
}

impl World {
    fn new(name: &str) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let folder = Folder::new(name);
        let settings = Settings {
            server: ServerSettings { data: folder.0.join("coordinator"), ..ServerSettings::default() },
            scheduler: SchedulerSettings { target_s: 1, min_steps: 5, native_merges: 2 },
            ..Settings::default()
        };
        let mut world = Self { runtime, catalog: catalog(), folder, server: None, address, settings };
        world.start();
        let storage = &world.server.as_ref().expect("it runs").storage;
        let token = TokenHash(Sha256::digest(TOKEN).into());
        let client =
            NewClient { name: "test".into(), role: Role::Client, token, weight: 1, created: Clock::new().now() };
        world.runtime.block_on(storage.store.add_client(&client)).expect("a client");
        world
    }

    /// Starts it on the port that it had before, if it ran.
    fn start(&mut self) {
        let server_settings = ServerSettings { listen: self.address, ..self.settings.server.clone() };
        let settings = Settings { server: server_settings, ..self.settings.clone() };
        let started = Instant::now();
        let server = loop {
            match self.runtime.block_on(Server::start(settings.clone(), self.catalog.clone())) {
                Ok(server) => break server,
                // Connections of the killed one hold its folder and its port for a moment.
                Err(error) => assert!(started.elapsed() < PATIENCE, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        self.address = server.address;
        self.server = Some(server);
    }

    fn kill(&mut self) {
        let server = self.server.take().expect("it runs");
        self.runtime.block_on(server.kill());
    }

    fn request(&self, method: &str, path: &str, body: Option<&[u8]>) -> (u16, Vec<u8>) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let url = format!("http://{}{path}", self.address);
        let token = format!("Bearer {}", hex::encode(TOKEN));
        let answer = match (method, body) {
            ("POST", Some(body)) => agent.post(&url).header("authorization", &token).send(body),
            ("DELETE", _) => agent.delete(&url).header("authorization", &token).call(),
            _ => agent.get(&url).header("authorization", &token).call(),
        };
        let mut answer = answer.expect("an answer");
        let mut bytes = Vec::new();
        answer.body_mut().as_reader().read_to_end(&mut bytes).expect("a body");
        (answer.status().as_u16(), bytes)
    }

    fn submit(&self, steps: u64) -> u64 {
        let inputs: Vec<Fr> = (1..=steps).map(Fr::from).collect();
        let job = Squarings::job(Fr::from(3), &inputs);
        let (status, body) = self.request("POST", &format!("/v1/jobs?program={PROGRAM}"), Some(&job));
        assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
        let answer: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(answer["steps"], steps);
        answer["job"].as_u64().expect("a number")
    }

    fn job(&self, job: u64) -> Value {
        let (status, body) = self.request("GET", &format!("/v1/jobs/{job}"), None);
        assert_eq!(status, 200);
        serde_json::from_slice(&body).expect("JSON")
    }

    fn wait(&self, job: u64, what: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let found = self.job(job);
            if what(&found) {
                return found;
            }
            assert!(started.elapsed() < PATIENCE, "{found}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn prover(&self, name: &str) -> Prover {
        let data = self.folder.0.join(name);
        Prover(
            Command::new(env!("CARGO_BIN_EXE_prover-native"))
                .args(["--url", &format!("ws://{}", self.address), "--threads", "1", "--json"])
                .args(["--payout", &format!("0x{}", hex::encode([name.as_bytes()[0]; 20]))])
                .args(["--data".as_ref(), data.as_os_str()])
                .stdout(Stdio::piped())
                .spawn()
                .expect("a prover"),
        )
    }

    /// Fetches and verifies the root proof; returns the steps of each address in it.
    fn verify_root(&self, job: u64, steps: u64) -> Vec<(Address, u64)> {
        let (status, bytes) = self.request("GET", &format!("/v1/jobs/{job}/proof"), None);
        assert_eq!(status, 200);
        let entry = self.catalog.named(PROGRAM).expect("it is there");
        let proof = RangeProof::from_bytes(&entry.parameters, &bytes).expect("a proof");
        verify(&entry.parameters, &proof, &mut ChaCha20Rng::from_seed([1; 32])).expect("a valid proof");
        let program = entry.parameters.prover().step();
        let found = self.job(job);
        assert_eq!(hex::encode(program.encode_state(proof.start())), found["start"].as_str().expect("text"));
        assert_eq!(hex::encode(program.encode_state(proof.end())), found["end"].as_str().expect("text"));
        assert_eq!(hex::encode(proof.job().job_id), found["job_id"].as_str().expect("text"));
        assert_eq!(proof.count(), steps);
        proof.receipts().iter().map(|receipt| (receipt.prover, receipt.count)).collect()
    }

    /// Steps in the ledger for the job.
    fn credited(&self, job: u64) -> u64 {
        let store = &self.server.as_ref().expect("it runs").storage.store;
        self.runtime.block_on(async {
            let mut sum = 0;
            for prover in store.leaderboard(None, 100).await.expect("provers") {
                let credits = store.ledger(prover.id, None, 1_000).await.expect("a ledger");
                sum += credits.iter().filter(|credit| credit.job == JobId(job)).map(|credit| credit.steps).sum::<u64>();
            }
            sum
        })
    }
}

/// A process, which does not outlive the test.
struct Prover(Child);

impl Prover {
    /// Asks it to stop, and returns what it printed.
    fn stop(mut self) -> Vec<Value> {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
        let mut text = String::new();
        self.0.stdout.take().expect("a pipe").read_to_string(&mut text).expect("text");
        assert!(self.0.wait().expect("an end").success(), "{text}");
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// As `kill -9`.
    fn kill(mut self) {
        self.0.kill().expect("a process");
        self.0.wait().expect("an end");
    }
}

impl Drop for Prover {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn proofs_left(folder: &Path) -> usize {
    std::fs::read_dir(folder.join("proofs")).map_or(0, |entries| entries.count())
}

#[test]
fn two_processes_prove_a_job() {
    let world = World::new("two");
    let job = world.submit(40);
    let provers = ["a", "b"].map(|name| world.prover(name));
    let done = world.wait(job, |job| job["state"] == "done");
    assert_eq!(done["covered"], 40);
    let receipts = world.verify_root(job, 40);
    assert_eq!(receipts.iter().map(|(_, steps)| steps).sum::<u64>(), 40);
    let mut credited = 0;
    for prover in provers {
        let lines = prover.stop();
        let last = lines.last().expect("lines");
        assert_eq!((&last["event"], &last["held_proofs"]), (&Value::from("finished"), &Value::from(0)));
        credited += last["credited_steps"].as_u64().expect("a number");
    }
    assert_eq!(credited, world.credited(job), "provers know what they were credited");
    assert!(credited >= 40, "each step was credited");
    for name in ["a", "b"] {
        assert_eq!(proofs_left(&world.folder.0.join(name)), 0, "what has its verdict is not kept");
    }
}

#[test]
fn proofs_and_credit_are_shown_to_whoever_may_see_them() {
    let mut world = World::new("shown");
    let job = world.submit(20);
    let prover = world.prover("a");
    world.wait(job, |job| job["state"] == "done");
    let anonymous = |method: &str, path: &str, body: &[u8]| {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let url = format!("http://{}{path}", world.address);
        let mut answer = match method {
            "POST" => agent.post(&url).send(body),
            _ => agent.get(&url).call(),
        }
        .expect("an answer");
        let mut bytes = Vec::new();
        answer.body_mut().as_reader().read_to_end(&mut bytes).expect("a body");
        (answer.status().as_u16(), bytes)
    };
    let json = |(status, body): (u16, Vec<u8>)| {
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        serde_json::from_slice::<Value>(&body).expect("JSON")
    };
    let proof = world.request("GET", &format!("/v1/jobs/{job}/proof"), None).1;
    let path = format!("/v1/jobs/{job}/proof");
    assert_eq!(anonymous("GET", &path, b"").0, 401);

    let valid = json(anonymous("POST", "/v1/verify", &proof));
    assert_eq!(valid["valid"], true);
    let valid = &valid["statement"];
    assert_eq!((&valid["count"], &valid["insecure"]), (&20.into(), &true.into()));
    assert_eq!(valid["start"], world.job(job)["start"]);
    assert_eq!(valid["job_id"], world.job(job)["job_id"]);
    let receipts = valid["receipts"].as_array().expect("a list").iter().map(|receipt| receipt["steps"].as_u64());
    assert_eq!(receipts.sum::<Option<u64>>(), Some(20));
    let mut forged = proof.clone();
    let middle = forged.len() / 2;
    forged[middle] ^= 1;
    assert_eq!(json(anonymous("POST", "/v1/verify", &forged))["valid"], false);
    assert_eq!(json(anonymous("POST", "/v1/verify", &proof[1..]))["valid"], false);

    let leader = json(anonymous("GET", "/v1/leaderboard", b""))["leaders"][0].clone();
    let rows = json(anonymous("GET", "/v1/programs", b""))[0]["rows"].as_u64().expect("a number");
    assert!(leader["credit"].as_u64().expect("a number") >= 20 * rows);
    let key = leader["key"].as_str().expect("text");
    assert_eq!(json(anonymous("GET", &format!("/v1/provers/{key}"), b""))["credit"], leader["credit"]);
    let credits = json(anonymous("GET", &format!("/v1/provers/{key}/credits"), b""));
    let sum =
        |credits: &Value| credits.as_array().expect("a list").iter().map(|c| c["credit"].as_u64()).sum::<Option<u64>>();
    assert_eq!(sum(&credits["credits"]), leader["credit"].as_u64());
    let by_address = json(anonymous("GET", "/v1/leaderboard?by=address", b""))["leaders"][0].clone();
    assert_eq!((&by_address["credit"], &by_address["payout"]), (&leader["credit"], &leader["payout"]));
    let connected = json(anonymous("GET", "/v1/provers", b""));
    assert_eq!(connected[0]["prover"], leader["prover"]);
    prover.stop();

    // Others may fetch it once the operator says so, and some time has passed.
    world.kill();
    world.settings.proofs = ProofSettings { readers: Readers::Public, after_s: 0 };
    world.start();
    let answer = ureq::get(format!("http://{}{path}", world.address)).call().expect("it is public");
    assert_eq!(answer.into_body().read_to_vec().expect("a body"), proof);
    world.kill();
    world.settings.proofs = ProofSettings { readers: Readers::Public, after_s: 3_600 };
    world.start();
    assert!(matches!(ureq::get(format!("http://{}{path}", world.address)).call(), Err(ureq::Error::StatusCode(401))));
}

#[test]
fn kills_lose_nothing_that_was_verified() {
    let mut world = World::new("kills");
    let job = world.submit(80);
    let covered = |job: &Value| job["covered"].as_u64().unwrap_or(0);
    let first = world.prover("a");
    world.wait(job, |job| covered(job) >= 10);
    first.kill();
    let second = world.prover("b");
    let before = covered(&world.wait(job, |job| covered(job) >= 30));
    world.kill();
    world.start();
    let after = covered(&world.wait(job, |job| covered(job) > 0));
    assert!(after >= before, "{before} steps were verified, {after} are there after the crash");
    let third = world.prover("a");
    world.wait(job, |job| job["state"] == "done");
    world.verify_root(job, 80);
    // Proofs of the same steps by both may both be paid for; what counts is in the root, once.
    assert!(world.credited(job) >= 80);
    second.stop();
    third.stop();
}

#[test]
fn a_job_is_proved_to_its_end_with_parameters_that_were_replaced() {
    let mut world = World::new("draining");
    let job = world.submit(20);
    world.kill();
    let current = std::mem::take(&mut world.catalog);
    // Its parameters are not there at all: it waits, and nothing is lost.
    world.start();
    assert_eq!((&world.job(job)["state"], &world.job(job)["paused"]), (&"open".into(), &true.into()));
    world.kill();
    let bytes = current.named(PROGRAM).expect("it is there").merge_file.clone();
    let program = Builtin::from_name(PROGRAM).expect("a program");
    let entry = Entry::new(Parameters::from_bytes(program, &bytes).expect("what was written"));
    world.catalog.add(Entry { is_draining: true, ..entry });
    world.start();
    let form = Squarings::job(Fr::from(3), &[Fr::from(1)]);
    assert_eq!(world.request("POST", &format!("/v1/jobs?program={PROGRAM}"), Some(&form)).0, 400);
    let prover = world.prover("a");
    world.wait(job, |job| job["state"] == "done");
    prover.stop();
    world.catalog = current;
    world.verify_root(job, 20);
}

#[test]
fn requests_that_can_not_be_granted_say_why() {
    let world = World::new("requests");
    let text = |(status, body): (u16, Vec<u8>)| (status, String::from_utf8_lossy(&body).into_owned());
    let (status, said) = text(world.request("POST", "/v1/jobs?program=nothing/1", Some(b"x")));
    assert!(status == 400 && said.contains(PROGRAM), "{said}");
    let (status, said) = text(world.request("POST", &format!("/v1/jobs?program={PROGRAM}"), Some(&[0xff; 64])));
    assert!(status == 400 && said.contains("bad_request"), "{status} {said}");
    assert_eq!(world.request("GET", "/v1/jobs/77", None).0, 404);
    assert_eq!(world.request("GET", "/v1/parameters/77/fold", None).0, 404);
    let job = world.submit(5);
    assert_eq!(world.request("GET", &format!("/v1/jobs/{job}/proof"), None).0, 404, "there is none yet");
    assert_eq!(world.request("DELETE", &format!("/v1/jobs/{job}"), None).0, 200);
    assert_eq!(world.request("DELETE", &format!("/v1/jobs/{job}"), None).0, 409);
    assert_eq!(world.job(job)["state"], "cancelled");
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let url = format!("http://{}/v1/jobs", world.address);
    for token in [None, Some("Bearer 00"), Some("Basic 00")] {
        let request = agent.get(&url);
        let request = if let Some(token) = token { request.header("authorization", token) } else { request };
        assert_eq!(request.call().expect("an answer").status().as_u16(), 401);
    }
}
