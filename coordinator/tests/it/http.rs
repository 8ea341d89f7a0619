//! The interface over HTTP, with a real listener: who may what, what is refused, and that all of it is counted.

// What a server does is waited for, with an end.
#![allow(clippy::disallowed_methods)]

use crate::store_world::Folder;
use crowdfold_coordinator::catalog::{Catalog, Entry};
use crowdfold_coordinator::server::Server;
use crowdfold_coordinator::settings::{RequestSettings, ServerSettings, Settings};
use crowdfold_coordinator::store::{NewClient, Role, Store as _, TokenHash};
use crowdfold_fold::{Fr, Parameters, Srs};
use crowdfold_programs::{Builtin, Program as _, Squarings};
use crowdfold_sched::Millis;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::Duration;
use tokio::runtime::Runtime;

pub(crate) const PROGRAM: &str = "squarings/1/1";
/// What should happen at once may take this long on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn catalog() -> Catalog {
    static PARAMETERS: OnceLock<Vec<u8>> = OnceLock::new();
    let program = || Builtin::from_name(PROGRAM).expect("a program");
    let bytes = PARAMETERS.get_or_init(|| {
        let srs = Srs::insecure_development(1 << 16);
        Parameters::generate(program(), &srs).expect("parameters").to_bytes()
    });
    let mut catalog = Catalog::default();
    catalog.add(Entry::new(Parameters::from_bytes(program(), bytes).expect("what was written")));
    catalog
}

/// What a coordinator in a folder runs with.
pub(crate) fn settings(folder: &Folder, requests: RequestSettings) -> Settings {
    Settings {
        server: ServerSettings {
            data: folder.path("data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            ..ServerSettings::default()
        },
        requests,
        ..Settings::default()
    }
}

/// A coordinator with three tokens: of two clients and an administrator.
pub(crate) struct World {
    pub(crate) runtime: Runtime,
    pub(crate) server: Option<Server>,
    pub(crate) address: SocketAddr,
    pub(crate) folder: Folder,
    pub(crate) settings: Settings,
}

pub(crate) const ONE: [u8; 32] = [1; 32];
const OTHER: [u8; 32] = [2; 32];
const ADMIN: [u8; 32] = [3; 32];

pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.body)))
    }

    /// The code of an error, which comes with words.
    pub(crate) fn error(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        let body = self.json();
        assert!(!body["message"].as_str().expect("a message").is_empty());
        body["error"].as_str().expect("a code").to_owned()
    }
}

impl World {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, RequestSettings { per_second: 0, ..RequestSettings::default() })
    }

    fn with(name: &str, requests: RequestSettings) -> Self {
        Self::start(Folder::new(&format!("http-{name}")), |folder| settings(folder, requests))
    }

    /// With these settings of a folder.
    pub(crate) fn start(folder: Folder, settings: impl FnOnce(&Folder) -> Settings) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let settings = settings(&folder);
        let server = runtime.block_on(Server::start(settings.clone(), catalog())).expect("it starts");
        let clients = [("one", ONE, Role::Client), ("other", OTHER, Role::Client), ("admin", ADMIN, Role::Admin)];
        for (name, token, role) in clients {
            let token = TokenHash(Sha256::digest(token).into());
            let client = NewClient { name: name.into(), role, token, weight: 1, created: Millis(1) };
            runtime.block_on(server.storage.store.add_client(&client)).expect("a client");
        }
        Self { runtime, address: server.address, server: Some(server), folder, settings }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time");
        stream
    }

    /// Sends bytes and reads until the connection is closed.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Reply {
        let mut stream = self.connect();
        // It may be closed before all of it is sent.
        _ = stream.write_all(bytes);
        let mut reply = Vec::new();
        _ = stream.read_to_end(&mut reply);
        let end = reply.windows(4).position(|four| four == b"\r\n\r\n").map_or(reply.len(), |at| at + 4);
        let head = String::from_utf8_lossy(&reply[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let body = if head.to_lowercase().contains("transfer-encoding: chunked") {
            unchunked(&reply[end..])
        } else {
            reply[end..].to_vec()
        };
        Reply { status, head, body }
    }

    pub(crate) fn request(&self, method: &str, path: &str, token: Option<[u8; 32]>, kind: &str, body: &[u8]) -> Reply {
        let token = token.map(|token| format!("authorization: Bearer {}\r\n", hex::encode(token))).unwrap_or_default();
        let kind = if kind.is_empty() { String::new() } else { format!("content-type: {kind}\r\n") };
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{token}{kind}content-length: {length}\r\n\r\n"
        );
        self.raw(&[head.as_bytes(), body].concat())
    }

    pub(crate) fn get(&self, path: &str, token: Option<[u8; 32]>) -> Reply {
        self.request("GET", path, token, "", b"")
    }

    pub(crate) fn submit(&self, token: [u8; 32], steps: u64) -> u64 {
        let inputs: Vec<Fr> = (1..=steps).map(Fr::from).collect();
        let job = Squarings::job(Fr::from(3), &inputs);
        let reply = self.request("POST", &format!("/v1/jobs?program={PROGRAM}"), Some(token), "", &job);
        assert_eq!(reply.status, 201, "{}", String::from_utf8_lossy(&reply.body));
        assert_eq!(reply.json()["steps"], steps);
        reply.json()["job"].as_u64().expect("a number")
    }

    /// The value of a metric, 0 if it is not there.
    pub(crate) fn metric(&self, line: &str) -> u64 {
        let text = String::from_utf8(self.get("/metrics", None).body).expect("text");
        let found = text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok());
        found.unwrap_or(0)
    }

    pub(crate) fn refused(&self, kind: &str) -> u64 {
        self.metric(&format!("crowdfold_refused_total{{kind=\"{kind}\"}}"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.kill());
        }
    }
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") {
        let length = usize::from_str_radix(&String::from_utf8_lossy(&bytes[..end]), 16).expect("a length");
        all.extend_from_slice(&bytes[end + 2..end + 2 + length]);
        bytes = &bytes[end + 4 + length..];
    }
    all
}

#[test]
fn a_token_says_who_may_what() {
    let world = World::new("tokens");
    let job = world.submit(ONE, 3);
    let path = format!("/v1/jobs/{job}");
    assert_eq!(world.get(&path, Some(ONE)).json()["state"], "open");
    assert_eq!(world.get(&path, Some(ADMIN)).json()["job"], job);
    // Whether there is such a job is not told to others.
    assert_eq!(world.get(&path, Some(OTHER)).error(404), "not_found");
    assert_eq!(world.get("/v1/jobs/999", Some(OTHER)).error(404), "not_found");
    assert_eq!(world.request("DELETE", &path, Some(OTHER), "", b"").error(404), "not_found");
    let before = world.refused("Token");
    assert_eq!(world.get(&path, None).error(401), "unauthorized");
    assert_eq!(world.get(&path, Some([9; 32])).error(401), "unauthorized");
    assert_eq!(world.get("/v1/jobs?all=true", Some(ONE)).error(403), "forbidden");
    assert_eq!(world.get("/v1/clients", Some(ONE)).error(403), "forbidden");
    assert_eq!(world.get("/v1/clients", None).error(401), "unauthorized");
    assert_eq!(world.refused("Token"), before + 5);
    for wrong in ["Bearer x", "Basic abc", "Bearer", ""] {
        let text = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: {wrong}\r\n\r\n");
        assert_eq!(world.raw(text.as_bytes()).error(401), "unauthorized", "{wrong}");
    }
    // Where none is needed, a wrong one is still not taken for none.
    assert_eq!(world.get(&format!("{path}/proof"), Some([9; 32])).error(401), "unauthorized");
    assert_eq!(world.get(&format!("{path}/proof"), None).error(401), "unauthorized");
    assert_eq!(world.get(&format!("{path}/proof"), Some(OTHER)).error(404), "not_found");
}

#[test]
fn administrators_add_and_revoke_clients_while_it_runs() {
    let world = World::new("clients");
    let add = |body: Value| {
        world.request("POST", "/v1/clients", Some(ADMIN), "application/json", body.to_string().as_bytes())
    };
    let made = add(json!({ "name": "new", "role": "client", "weight": 3 }));
    assert_eq!(made.status, 201);
    let mut token = [0; 32];
    hex::decode_to_slice(made.json()["token"].as_str().expect("a token"), &mut token).expect("hexadecimal");
    let job = world.submit(token, 1);
    let client = made.json()["client"].as_u64().expect("a number");
    let listed = world.get("/v1/clients", Some(ADMIN)).json();
    let listed = listed["clients"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|found| found["client"] == client)
        .expect("it")
        .clone();
    assert_eq!((&listed["name"], &listed["weight"], &listed["role"]), (&json!("new"), &json!(3), &json!("client")));
    assert!(!listed.to_string().contains(&hex::encode(token)));

    assert_eq!(add(json!({ "name": "new", "role": "client" })).error(409), "conflict");
    for bad in [
        json!({ "name": "", "role": "client" }),
        json!({ "name": "x".repeat(257), "role": "client" }),
        json!({ "name": "x", "role": "king" }),
        json!({ "name": "x", "role": "client", "weight": 0 }),
        json!({ "name": "x", "role": "client", "more": 1 }),
    ] {
        assert_eq!(add(bad).error(400), "bad_request");
    }

    let revoke = |client: u64| world.request("DELETE", &format!("/v1/clients/{client}"), Some(ADMIN), "", b"");
    assert_eq!(revoke(client).status, 204);
    assert_eq!(world.get("/v1/jobs", Some(token)).error(401), "unauthorized");
    assert_eq!(world.get(&format!("/v1/jobs/{job}"), Some(ADMIN)).json()["state"], "open");
    assert_eq!(revoke(999).error(404), "not_found");
    assert_eq!(revoke(0).error(404), "not_found");
}

#[test]
fn jobs_are_ordered_listed_and_cancelled() {
    let world = World::new("jobs");
    let jobs: Vec<u64> = (1..=3).map(|steps| world.submit(ONE, steps)).collect();
    let other = world.submit(OTHER, 1);
    let list = |query: &str, token| {
        let page = world.get(&format!("/v1/jobs?{query}"), Some(token)).json();
        let jobs = page["jobs"].as_array().expect("a list").iter().map(|job| job["job"].as_u64().expect("a number"));
        (jobs.collect::<Vec<_>>(), page["before"].as_u64())
    };
    assert_eq!(list("", ONE).0, [jobs[2], jobs[1], jobs[0]]);
    assert_eq!(list("limit=2", ONE), (vec![jobs[2], jobs[1]], Some(jobs[1])));
    assert_eq!(list(&format!("limit=2&before={}", jobs[1]), ONE), (vec![jobs[0]], None));
    assert_eq!(list("all=true", ADMIN).0, [other, jobs[2], jobs[1], jobs[0]]);
    assert_eq!(list("", ADMIN).0, [] as [u64; 0]);

    let path = format!("/v1/jobs/{}", jobs[1]);
    assert_eq!(world.request("DELETE", &path, Some(ONE), "", b"").json()["state"], "cancelled");
    assert_eq!(world.request("DELETE", &path, Some(ONE), "", b"").error(409), "conflict");
    assert_eq!(world.get(&path, Some(ONE)).json()["reason"], "its client cancelled it");
    assert_eq!(list("state=cancelled", ONE).0, [jobs[1]]);
    assert_eq!(list("state=open", ONE).0, [jobs[2], jobs[0]]);
    assert_eq!(list(&format!("program={PROGRAM}"), ONE).0.len(), 3);
    assert_eq!(list("program=rollup/1", ONE).0.len(), 0);
    assert_eq!(world.get("/v1/jobs?state=lost", Some(ONE)).error(400), "bad_request");
    assert_eq!(world.get("/v1/jobs?stat=open", Some(ONE)).error(400), "bad_request");
    assert_eq!(world.get("/v1/jobs/x", Some(ONE)).error(400), "bad_request");
    assert_eq!(world.get(&format!("/v1/jobs/{}", u64::MAX), Some(ONE)).error(400), "bad_request");
    assert_eq!(world.get(&format!("/v1/jobs?before={}", 1_u64 << 63), Some(ONE)).error(400), "bad_request");

    let of = |key: &str, steps: u64| {
        let inputs: Vec<Fr> = (1..=steps).map(Fr::from).collect();
        let job = Squarings::job(Fr::from(5), &inputs);
        let head = format!(
            "POST /v1/jobs?program={PROGRAM} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nidempotency-key: {key}\r\n\
             authorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
            hex::encode(ONE),
            job.len()
        );
        world.raw(&[head.as_bytes(), &job].concat())
    };
    let first = of("k", 2);
    assert_eq!(first.status, 201);
    let again = of("k", 2);
    assert_eq!((again.status, &again.json()["job"]), (200, &first.json()["job"]));
    assert_eq!(of("k", 3).error(409), "conflict");
    assert_eq!(of(&"k".repeat(257), 3).error(400), "bad_request");
}

#[test]
fn jobs_come_as_json_too_and_are_quoted() {
    let world = World::new("forms");
    let post = |path: &str, body: &str| {
        world.request("POST", path, Some(ONE), "application/json; charset=utf-8", body.as_bytes())
    };
    let form = r#"{"start": "0x3", "inputs": ["0x1", "0x2"]}"#;
    let made = post(&format!("/v1/jobs?program={PROGRAM}"), form);
    assert_eq!((made.status, &made.json()["steps"]), (201, &json!(2)));
    // (3 + 1)^2 = 16, (16 + 2)^2 = 324
    let end = world.get(&format!("/v1/jobs/{}", made.json()["job"]), Some(ONE)).json()["end"].clone();
    assert_eq!(end.as_str().expect("text")[..4], *"4401");
    let before = world.refused("Request");
    assert_eq!(post(&format!("/v1/jobs?program={PROGRAM}"), "{").error(400), "bad_request");
    assert_eq!(post("/v1/jobs?program=squarings/1/9", form).error(400), "bad_request");
    assert_eq!(post("/v1/jobs", form).error(400), "bad_request");
    assert_eq!(post(&format!("/v1/jobs?program={PROGRAM}&deadline=1"), form).error(400), "bad_request");
    assert_eq!(world.refused("Request"), before + 4);

    let quote = post(&format!("/v1/quotes?program={PROGRAM}"), form).json();
    let rows = quote["rows"].as_u64().expect("a number");
    assert_eq!((&quote["steps"], &quote["credit"]), (&json!(2), &json!(2 * rows)));
    assert_eq!(quote["price"], (2 * rows * 1_000).div_ceil(1_000_000).to_string());
    assert_eq!(quote["seconds"], Value::Null, "nothing was folded yet");
    let many = post(&format!("/v1/quotes?program={PROGRAM}&steps=1000000"), "").json();
    assert_eq!(many["credit"], 1_000_000 * rows);
    assert_eq!(post(&format!("/v1/quotes?program={PROGRAM}"), "{").error(400), "bad_request");
}

#[test]
fn what_is_too_large_too_slow_or_too_much_is_refused() {
    let limits = RequestSettings {
        per_second: 0,
        job_bytes: 1_000,
        head_s: 1,
        body_pause_s: 1,
        connections_per_address: 4,
        ..RequestSettings::default()
    };
    let world = World::with("limits", limits);
    let path = format!("/v1/jobs?program={PROGRAM}");
    let before = world.refused("Size");
    assert_eq!(world.request("POST", &path, Some(ONE), "", &[0; 1_001]).error(413), "too_large");
    let large = vec![b' '; 2 << 20];
    assert_eq!(world.request("POST", "/v1/clients", Some(ADMIN), "application/json", &large).error(413), "too_large");
    assert_eq!(world.refused("Size"), before + 2);
    // A head that does not end in time, and one that is too long.
    let before = world.refused("Slow");
    assert_eq!(world.raw(b"GET /healthz HTTP/1.1\r\nhost: x\r\n").status, 0);
    assert_eq!(world.refused("Slow"), before + 1);
    let long = format!("GET /healthz HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(100_000));
    assert_eq!(world.raw(long.as_bytes()).status, 431);
    // A body that does not come.
    let half = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {}\r\ncontent-length: 500\r\n\r\nabc",
        hex::encode(ONE)
    );
    assert_eq!(world.raw(half.as_bytes()).error(400), "bad_request");
    // No request at all.
    assert_eq!(world.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").status, 400);

    // More connections of an address than it may have.
    let before = world.refused("Connection");
    let mut held: Vec<TcpStream> = (0..3).map(|_| world.connect()).collect();
    // They count once they are taken, which the answer on the last place tells.
    assert_eq!(world.get("/healthz", None).status, 200);
    held.push(world.connect());
    let mut one_more = world.connect();
    let mut reply = Vec::new();
    _ = one_more.read_to_end(&mut reply);
    assert!(reply.is_empty());
    drop(held);
    let mut last = 0;
    for _ in 0..600 {
        last = world.refused("Connection");
        if last > before {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(last > before);
}

#[test]
fn an_address_that_asks_too_often_waits() {
    let world = World::with("rate", RequestSettings { per_second: 1, burst: 3, ..RequestSettings::default() });
    let replies: Vec<Reply> = (0..5).map(|_| world.get("/v1/status", None)).collect();
    assert_eq!(replies[0].status, 200);
    let refused = replies.iter().find(|reply| reply.status == 429).expect("one too many");
    assert_eq!(refused.error(429), "too_many");
    assert!(refused.head.to_lowercase().contains("retry-after: "));
    // Whoever watches over it is not kept away.
    assert!((0..20).all(|_| world.get("/healthz", None).status == 200));
    assert!(world.refused("Rate") > 0);
}

#[test]
fn it_says_how_it_is() {
    let world = World::new("health");
    assert_eq!(world.get("/healthz", None).body, b"ok\n");
    let mut status = 0;
    for _ in 0..600 {
        status = world.get("/readyz", None).status;
        if status == 200 {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(status, 200);
    world.submit(ONE, 7);
    let mut found = Value::Null;
    for _ in 0..600 {
        found = world.get("/v1/status", None).json();
        if found["jobs"][0]["steps"] == 7 {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!((&found["jobs"][0]["covered"], &found["provers"]), (&json!(0), &json!(0)));
    assert_eq!(world.metric("crowdfold_http_requests_total{route=\"/v1/jobs\",status=\"201\"}"), 1);
    assert_eq!(world.get("/v1/provers", None).json(), json!([]));
    assert_eq!(world.get("/v1/leaderboard", None).json()["leaders"], json!([]));
    assert_eq!(world.get("/v1/leaderboard?by=address", None).json()["leaders"], json!([]));
    assert_eq!(world.get("/v1/leaderboard?after=x", None).error(400), "bad_request");
    assert_eq!(world.get(&format!("/v1/provers/{}", hex::encode([7; 32])), None).error(404), "not_found");
    assert_eq!(world.get("/v1/provers/7", None).error(400), "bad_request");
    assert_eq!(world.get("/nowhere", None).error(404), "not_found");
    assert_eq!(world.request("PUT", "/v1/jobs", Some(ONE), "", b"").error(405), "method_not_allowed");
}

#[test]
fn what_is_no_proof_is_not_valid() {
    let world = World::new("verify");
    for bytes in [&b""[..], b"x", &[0; 5_000]] {
        let found = world.request("POST", "/v1/verify", None, "", bytes).json();
        assert_eq!(found["valid"], false);
        assert!(found["reason"].as_str().expect("a reason").contains("no proof"));
    }
}

#[test]
fn backups_are_made_while_it_runs() {
    let world = World::new("backup");
    let job = world.submit(ONE, 2);
    let backup = |name: &str, token| {
        let body = json!({ "name": name }).to_string();
        world.request("POST", "/v1/admin/backup", Some(token), "application/json", body.as_bytes())
    };
    let made = backup("first", ADMIN).json();
    let folder = std::path::PathBuf::from(made["folder"].as_str().expect("a folder"));
    assert!(folder.join("database").exists());
    assert_eq!(backup("first", ADMIN).error(409), "conflict");
    assert_eq!(backup("second", ONE).error(403), "forbidden");
    for bad in ["", "..", ".x", "a/b", "a\\b", "\u{e4}"] {
        assert_eq!(backup(bad, ADMIN).error(400), "bad_request");
    }
    let restored = folder.with_file_name("restored");
    world.runtime.block_on(async {
        use crowdfold_coordinator::store::{Options, Storage};
        Storage::restore(&folder, &restored).await.expect("it is whole");
        let storage = Storage::open(&restored, Options::default()).await.expect("it opens");
        assert!(storage.store.job(crowdfold_sched::JobId(job)).await.expect("readable").is_some());
        storage.close().await;
    });
}

/// Reads events until one is of that kind; returns its number and data.
fn event(lines: &mut impl Iterator<Item = std::io::Result<String>>, kind: &str) -> (Option<u64>, Value) {
    let (mut is_it, mut number, mut data) = (false, None, Value::Null);
    for line in lines {
        let line = line.expect("the stream goes on");
        if let Some(found) = line.strip_prefix("event: ") {
            is_it = found == kind;
        } else if let Some(found) = line.strip_prefix("id: ") {
            number = found.parse().ok();
        } else if let Some(found) = line.strip_prefix("data: ") {
            data = serde_json::from_str(found).expect("JSON");
        } else if line.is_empty() && is_it {
            return (number, data);
        }
    }
    panic!("the stream ended before {kind}");
}

fn events(world: &World, query: &str, after: Option<u64>) -> impl Iterator<Item = std::io::Result<String>> + use<> {
    let mut stream = world.connect();
    let after = after.map(|after| format!("last-event-id: {after}\r\n")).unwrap_or_default();
    write!(stream, "GET /v1/events{query} HTTP/1.1\r\nhost: x\r\n{after}\r\n").expect("it is taken");
    BufReader::new(stream).lines()
}

#[test]
fn events_tell_what_happens_and_nothing_is_missed() {
    let world = World::new("events");
    let mut lines = events(&world, "", None);
    assert_eq!(event(&mut lines, "snapshot").1["provers"], 0);
    let job = world.submit(ONE, 4);
    let (number, accepted) = event(&mut lines, "job_accepted");
    assert_eq!(
        (&accepted["job"], &accepted["steps"], &accepted["kind"]),
        (&json!(job), &json!(4), &json!("job_accepted"))
    );
    drop(lines);
    // What happens while nobody listens is told afterwards.
    let second = world.submit(ONE, 5);
    world.request("DELETE", &format!("/v1/jobs/{job}"), Some(ONE), "", b"");
    let mut lines = events(&world, "", number);
    assert_eq!(event(&mut lines, "job_accepted").1["job"], second);
    assert_eq!(event(&mut lines, "job_ended").1, json!({ "kind": "job_ended", "job": job, "state": "cancelled" }));
    // Only those of a job.
    let mut lines = events(&world, &format!("?job={second}"), number);
    assert_eq!(event(&mut lines, "job_accepted").1["job"], second);
    world.request("DELETE", &format!("/v1/jobs/{second}"), Some(ONE), "", b"");
    assert_eq!(event(&mut lines, "job_ended").1["job"], second);
    // One that comes back from nowhere learns how things are.
    let mut lines = events(&world, "", Some(12));
    event(&mut lines, "snapshot");
}

#[test]
fn the_description_has_every_route() {
    let world = World::new("openapi");
    let description = world.get("/openapi.json", None).json();
    let paths: Vec<&String> = description["paths"].as_object().expect("paths").keys().collect();
    for path in [
        "/v1/jobs",
        "/v1/jobs/{job}",
        "/v1/jobs/{job}/proof",
        "/v1/jobs/{job}/ranges",
        "/v1/quotes",
        "/v1/verify",
        "/v1/programs",
        "/v1/parameters/{digest}/{kind}",
        "/v1/provers",
        "/v1/provers/{key}",
        "/v1/provers/{key}/credits",
        "/v1/leaderboard",
        "/v1/events",
        "/v1/status",
        "/v1/clients",
        "/v1/clients/{client}",
        "/v1/admin/backup",
        "/healthz",
        "/readyz",
        "/metrics",
    ] {
        assert!(paths.iter().any(|found| *found == path), "{path}");
    }
    // Every schema that is referred to is there.
    let text = description.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().expect("a name");
        assert!(description["components"]["schemas"][name].is_object(), "{name}");
    }
    // What it answers to nonsense is described too.
    for (path, operations) in description["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let error = &operation["responses"]["default"]["content"]["application/json"]["schema"]["$ref"];
            assert_eq!(error, "#/components/schemas/ErrorBody", "{method} {path}");
        }
    }
    let page = world.get("/docs", None);
    assert!(page.head.to_lowercase().contains("content-security-policy: default-src 'none'"));
    for part in ["/docs/page.js", "/docs/page.css"] {
        assert!(String::from_utf8_lossy(&page.body).contains(part));
        assert_eq!(world.get(part, None).status, 200);
    }
}

#[test]
fn parameters_that_were_replaced_only_serve_what_began_with_them() {
    let folder = Folder::new("http-draining");
    let bytes = catalog().named(PROGRAM).expect("it is there").merge_file.clone();
    let load = || Catalog::load(&folder.path("")).expect("they can be loaded");
    std::fs::write(folder.path("squarings+1+1~before.params"), &bytes).expect("a file");
    let draining = load();
    assert!(draining.named(PROGRAM).is_none());
    let entry = draining.entries().next().expect("it is loaded").clone();
    assert!(entry.is_draining && draining.of(entry.id).is_some());
    // What is there for new jobs too is not draining, whichever is read first.
    std::fs::write(folder.path("squarings+1+1.params"), &bytes).expect("a file");
    let both = load();
    assert!(both.named(PROGRAM).is_some_and(|entry| !entry.is_draining));
    assert_eq!(both.entries().filter(|entry| entry.is_draining).count(), 0);
    std::fs::write(folder.path("unknown~x.params"), &bytes).expect("a file");
    assert!(Catalog::load(&folder.path("")).is_err());
}

#[test]
fn tokens_are_stored_as_hashes() {
    let world = World::new("hashed");
    world.submit(ONE, 1);
    let data = world.folder.path("data");
    let mut files: Vec<_> =
        std::fs::read_dir(&data).expect("a folder").map(|file| file.expect("a file").path()).collect();
    files.retain(|file| file.is_file());
    assert!(files.iter().any(|file| file.ends_with("database")));
    for file in files {
        let bytes = std::fs::read(&file).expect("readable");
        let has = |what: &[u8]| bytes.windows(what.len()).any(|found| found == what);
        assert!(!has(&ONE) && !has(hex::encode(ONE).as_bytes()), "{}", file.display());
    }
}
