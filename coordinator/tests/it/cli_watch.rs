//! Commands against a coordinator that is played: how it answers is chosen by the test.

use crate::cli_world::{Ended, PATIENCE, Running, command, coordinator};
use crate::store_world::Folder;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// What the played coordinator has been asked, and what its job is.
#[derive(Clone)]
struct Play {
    job: watch::Receiver<Value>,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Play {
    fn note(&self, what: Value) {
        self.asked.lock().expect("nothing breaks").push(what);
    }

    fn app(self) -> Router {
        let show = async |State(play): State<Self>| Json(play.job.borrow().clone());
        let clients = async |State(play): State<Self>, headers: HeaderMap, Json(order): Json<Value>| {
            play.note(json!([headers["authorization"].to_str().expect("text"), order]));
            (StatusCode::CREATED, Json(json!({ "client": 4, "token": "ab".repeat(32) })))
        };
        let list = async || {
            let client = json!({ "client": 4, "name": "carol", "role": "client", "weight": 1, "revoked_ms": null });
            Json(json!({ "clients": [client] }))
        };
        let revoke = async |State(play): State<Self>, Path(client): Path<u64>| {
            play.note(json!(client));
            if client == 4 { Ok(Json(json!({ "client": 4 }))) } else { Err(StatusCode::NOT_FOUND) }
        };
        let backup = async |State(play): State<Self>, Json(order): Json<Value>| {
            play.note(order);
            Json(json!({ "folder": "/backups/daily", "bytes": 77 }))
        };
        let submit = async |State(play): State<Self>, RawQuery(query): RawQuery, headers: HeaderMap, body: String| {
            let header = |name: &str| headers[name].to_str().expect("text").to_owned();
            play.note(json!([query, header("content-type"), header("idempotency-key"), body]));
            (StatusCode::CREATED, Json(json!({ "job": 5, "steps": 9 })))
        };
        let jobs = async |State(play): State<Self>, RawQuery(query): RawQuery| {
            play.note(json!(query));
            Json(json!({ "jobs": [job(2, "open")], "before": 5 }))
        };
        let busy = async || {
            let said = json!({ "error": "too_many", "message": "slower" });
            (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "7")], Json(said))
        };
        Router::new()
            .route("/v1/jobs", post(submit).get(jobs))
            .route("/v1/jobs/{job}", get(show))
            .route("/v1/events", get(async |State(play): State<Self>| events(play.job)))
            .route("/v1/clients", post(clients).get(list))
            .route("/v1/clients/{client}", delete(revoke))
            .route("/v1/admin/backup", post(backup))
            .route("/healthz", get(busy))
            .with_state(self)
    }
}

/// A stream with an event for each change of the job.
fn events(job: watch::Receiver<Value>) -> Response {
    let stream = futures_util::stream::unfold((job, true), async |(mut job, is_first)| {
        if !is_first {
            job.changed().await.ok()?;
        }
        let kind = if is_first { "snapshot" } else { "range_verified" };
        let event = format!("event: {kind}\nid: 1\ndata: {}\n\n", *job.borrow_and_update());
        Some((Ok::<_, std::io::Error>(event), (job, false)))
    });
    ([("content-type", "text/event-stream")], Body::from_stream(stream)).into_response()
}

/// A coordinator that is played until it is dropped.
struct Stage {
    runtime: Option<Runtime>,
    address: SocketAddr,
    play: Play,
}

impl Stage {
    fn new(address: SocketAddr, job: watch::Receiver<Value>) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let play = Play { job, asked: Arc::default() };
        let listener = runtime.block_on(TcpListener::bind(address)).expect("an address");
        let address = listener.local_addr().expect("an address");
        let app = play.clone().app();
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { runtime: Some(runtime), address, play }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn asked(&self) -> Vec<Value> {
        self.play.asked.lock().expect("nothing breaks").clone()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Connections end with it, as with a process.
        self.runtime.take().expect("it runs").shutdown_timeout(PATIENCE);
    }
}

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn job(covered: u64, state: &str) -> Value {
    json!({ "job": 5, "state": state, "covered": covered, "steps": 9, "ranges": 1, "reason": "so it is" })
}

/// That a line says how the job is.
fn is_about(line: &str, job: &Value) {
    let line: Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(line["event"], "job");
    for (key, value) in job.as_object().expect("an object") {
        assert_eq!(line[key], *value, "{key}");
    }
}

/// Starts to watch the job, and waits until it has said how it is.
fn watch_job(url: &str) -> Running {
    let mut watching = Running::spawn(command(&["job", "watch", "5", "--url", url]));
    expect(&mut watching, &job(0, "open"));
    watching
}

fn expect(watching: &mut Running, job: &Value) {
    is_about(&watching.line(), job);
}

#[test]
fn a_job_is_followed_by_its_events_and_through_a_restart() {
    let (change, changes) = watch::channel(job(0, "open"));
    let stage = Stage::new(anywhere(), changes.clone());
    let mut watching = watch_job(&stage.url());
    for covered in [3, 4] {
        change.send_replace(job(covered, "open"));
        expect(&mut watching, &job(covered, "open"));
    }
    let address = stage.address;
    drop(stage);
    let line = watching.line();
    assert!(line.contains("\"away\"") && line.contains("can't be reached"), "{line}");
    change.send_replace(job(7, "open"));
    let stage = Stage::new(address, changes);
    let mut line = watching.line();
    while line.contains("\"away\"") {
        line = watching.line();
    }
    is_about(&line, &job(7, "open"));
    change.send_replace(job(9, "done"));
    expect(&mut watching, &job(9, "done"));
    assert_eq!(watching.end(), (0, String::new()));
    drop(stage);
}

#[test]
fn the_end_of_a_job_is_told_by_the_exit_code() {
    for (state, code) in [("failed", 7), ("expired", 8), ("cancelled", 9)] {
        let (change, changes) = watch::channel(job(0, "open"));
        let stage = Stage::new(anywhere(), changes);
        let mut watching = watch_job(&stage.url());
        change.send_replace(job(2, state));
        expect(&mut watching, &job(2, state));
        assert_eq!(watching.end().0, code);
        coordinator(&["job", "watch", "5", "--url", &stage.url()]).fails(code, &[state, "so it is"]);
    }
}

#[test]
fn an_administrator_manages_a_coordinator_that_runs() {
    let folder = Folder::new("cli-admin");
    let (_change, changes) = watch::channel(job(0, "open"));
    let stage = Stage::new(anywhere(), changes);
    let (url, token) = (stage.url(), folder.text("token"));
    fs::write(&token, "cd".repeat(32)).expect("a file");
    let at = |arguments: &[&str]| {
        let mut asked = command(arguments);
        asked.args(["--url", &url, "--token-file", &token]);
        Ended::of(asked)
    };
    assert_eq!(at(&["client", "add", "carol", "--weight", "2"]).done().trim(), "ab".repeat(32));
    let order = json!({ "name": "carol", "role": "client", "weight": 2 });
    assert_eq!(stage.asked(), [json!([format!("Bearer {}", "cd".repeat(32)), order])]);
    assert!(at(&["client", "list"]).done().contains("carol"));
    at(&["client", "revoke", "4"]).done();
    at(&["client", "revoke", "5"]).fails(3, &["404"]);
    assert!(at(&["backup", "--name", "daily"]).done().contains("/backups/daily: 77 bytes"));
    assert_eq!(stage.asked().last(), Some(&json!({ "name": "daily" })));
    at(&["health"]).fails(5, &["slower; try again in 7 s"]);
}

#[test]
fn everything_that_is_said_of_a_job_arrives() {
    let folder = Folder::new("cli-orders");
    let (_change, changes) = watch::channel(job(0, "open"));
    let stage = Stage::new(anywhere(), changes);
    let (file, url) = (folder.text("job.json"), stage.url());
    fs::write(&file, "{}").expect("a file");
    let submit = |more: &[&str]| {
        let mut submit = command(&["job", "submit", &file, "--program", "rollup/1", "--url", &url]);
        submit.args(more);
        assert_eq!(Ended::of(submit).done(), "5\n");
    };
    submit(&["--idempotency-key", "k", "--deadline", "60", "--bounty", "7", "--height", "3"]);
    let query = "program=rollup%2F1&deadline_s=60&bounty=7&height=3";
    assert_eq!(stage.asked(), [json!([query, "application/json", "k", "{}"])]);
    submit(&["--form", "binary"]);
    let asked = stage.asked();
    assert_eq!(asked[1][1], "application/octet-stream");
    assert_eq!(asked[1][2].as_str().map(str::len), Some(32), "a key is made where none is given");

    let list = ["--state", "open", "--program", "rollup/1", "--before", "9", "--limit", "1", "--all"];
    let mut listing = command(&["job", "list", "--url", &url]);
    listing.args(list);
    let listed = Ended::of(listing);
    assert!(listed.err.contains("--before 5"), "{listed:?}");
    assert!(listed.done().contains("2/9 steps"));
    let query = "state=open&program=rollup%2F1&before=9&limit=1&all=true";
    assert_eq!(stage.asked().last(), Some(&json!(query)));
}
