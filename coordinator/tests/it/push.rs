//! Functions to which a coordinator posts tasks, over HTTP: good ones fold for real, and no bad one does harm.

// What a server does is waited for, with an end.
#![allow(clippy::disallowed_methods)]

use crate::cli_world::coordinator;
use crate::hostile_peer::{entry, fold, payout, rng};
use crate::http::{ONE, PATIENCE, World, settings};
use crate::store_world::Folder;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use crowdfold_coordinator::hub::Clock;
use crowdfold_coordinator::push::{self, Function, KEY_FILE, PushKey, STEPS_HEADER};
use crowdfold_coordinator::settings::{RequestSettings, Settings};
use crowdfold_fold::{Fr, RangeProof, verify};
use crowdfold_programs::Program as _;
use crowdfold_wire::limits::PUSH_LIFETIME_S;
use crowdfold_wire::{PublicKey, PushGate, PushTask};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// The function of this number is paid as the prover of this number would be.
const GOOD: u64 = 1;
const BAD: u64 = 2;

/// What a function does with a task that it may take.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// Folds it.
    Good,
    /// Folds so many of its steps.
    Part(usize),
    /// Folds it, and changes a byte of the proof.
    Forged,
    /// Folds it for somebody else.
    Stolen,
    /// Folds all but the last step, and says that it folded all.
    Short,
    /// Says that it folded more than it was asked for.
    Long,
    /// Says nothing of steps.
    Silent,
    /// Answers with a page.
    Page,
    /// Answers with bytes without end.
    Endless,
    /// Never answers.
    Stuck,
    /// Answers with a status, and where to go instead.
    Says(u16),
    /// Answers with the proof that it answered with before.
    Again,
}

/// What a function saw of its tasks.
#[derive(Debug, Default)]
struct Log {
    tasks: Vec<PushTask>,
    /// Why tasks were not taken.
    refused: Vec<String>,
    /// Requests that the coordinator gave up.
    dropped: u64,
    last: Option<(u64, Vec<u8>)>,
}

/// A function on this machine.
struct Running {
    settings: Function,
    log: Arc<Mutex<Log>>,
    // What serves it.
    _runtime: Runtime,
}

/// Counts a request that ends without an answer.
struct Dropped(Arc<Mutex<Log>>, bool);

impl Drop for Dropped {
    fn drop(&mut self) {
        if !self.1 {
            self.0.lock().expect("no test fails there").dropped += 1;
        }
    }
}

impl Running {
    /// Starts a function of that number which takes tasks of a coordinator. Redirections lead to `elsewhere`.
    fn start(number: u64, way: Way, coordinator: PublicKey, elsewhere: &str) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)));
        let listener = runtime.block_on(listener).expect("a port");
        let url = format!("http://{}/push", listener.local_addr().expect("an address"));
        let log = Arc::new(Mutex::new(Log::default()));
        let (seen, audience, elsewhere) = (Arc::clone(&log), url.clone(), elsewhere.to_owned());
        let answer = async move |body: Bytes| {
            let mut dropped = Dropped(Arc::clone(&seen), false);
            let keys = [coordinator];
            let now_s = Clock::new().now().0 / 1000;
            let gate = PushGate { keys: &keys, audience: &audience, payout: payout(number), now_s };
            let response = match PushTask::open(&body, &gate) {
                Ok(task) => {
                    seen.lock().expect("no test fails there").tasks.push(task.clone());
                    respond(way, task, &seen, &elsewhere).await
                }
                Err(error) => {
                    seen.lock().expect("no test fails there").refused.push(error.to_string());
                    StatusCode::UNAUTHORIZED.into_response()
                }
            };
            dropped.1 = true;
            response
        };
        let app = Router::new().route("/push", post(answer));
        runtime.spawn(async move { axum::serve(listener, app).await });
        let settings = Function {
            url,
            payout: payout(number),
            steps_per_task: 2,
            daily_steps: 1_000,
            memory_mib: 128,
            timeout_s: 30,
            at_once: 1,
        };
        Self { settings, log, _runtime: runtime }
    }

    fn tasks(&self) -> Vec<PushTask> {
        self.log.lock().expect("no test fails there").tasks.clone()
    }
}

fn elements(bytes: &[u8]) -> Vec<Fr> {
    entry().parameters.prover().step().decode_state(bytes).expect("inputs look like states")
}

/// A proof of the first steps of a task.
fn prove(task: &PushTask, steps: usize, number: u64) -> Vec<u8> {
    let inputs: Vec<Fr> = task.inputs[..steps].iter().map(|input| elements(input)[0]).collect();
    fold(task.job, payout(number), elements(&task.start), &inputs).to_bytes()
}

async fn respond(way: Way, task: PushTask, log: &Mutex<Log>, elsewhere: &str) -> Response {
    let all = task.inputs.len();
    let number = if way == Way::Stolen { 77 } else { (GOOD..=BAD).find(|&n| payout(n) == task.payout).expect("ours") };
    let folded = match way {
        Way::Part(steps) => all.min(steps),
        Way::Short => all - 1,
        _ => all,
    };
    let octets = [("content-type", "application/octet-stream")];
    match way {
        Way::Silent => return (octets, "proof").into_response(),
        Way::Page => return (StatusCode::OK, "<html>").into_response(),
        Way::Endless => {
            let parts = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[7; 65_536])));
            return (octets, [(STEPS_HEADER, all.to_string())], Body::from_stream(parts)).into_response();
        }
        Way::Stuck => std::future::pending().await,
        Way::Says(status) => {
            let status = StatusCode::from_u16(status).expect("a status");
            let body = "{\"error\": \"x\", \"message\": \"not today\"}";
            return (status, [("location", elsewhere)], body).into_response();
        }
        _ => {}
    }
    let proof = tokio::task::spawn_blocking(move || prove(&task, folded, number)).await.expect("it folds");
    let (mut said, mut proof) = (folded as u64, proof);
    match way {
        Way::Forged => {
            let middle = proof.len() / 2;
            proof[middle] ^= 1;
        }
        Way::Short | Way::Long => said = all as u64 + u64::from(way == Way::Long),
        Way::Again => {
            let mut log = log.lock().expect("no test fails there");
            (said, proof) = log.last.get_or_insert((said, proof)).clone();
        }
        _ => {}
    }
    (octets, [(STEPS_HEADER, said.to_string())], proof).into_response()
}

/// A folder of a coordinator to be, and the key that its functions are set up with.
fn coordinator_to_be(name: &str) -> (Folder, PushKey) {
    let folder = Folder::new(&format!("push-{name}"));
    let key = PushKey::open(&folder.path("data")).expect("a key");
    (folder, key)
}

fn start(folder: Folder, functions: Vec<Function>) -> World {
    World::start(folder, |folder| Settings {
        push: push::Settings { functions },
        ..settings(folder, RequestSettings { per_second: 0, ..RequestSettings::default() })
    })
}

/// Waits until something holds.
#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl World {
    fn pushed(&self, outcome: &str) -> u64 {
        self.metric(&format!("crowdfold_pushes_total{{outcome=\"{outcome}\"}}"))
    }

    #[track_caller]
    fn ends(&self, job: u64) {
        until("the job ends", || self.get(&format!("/v1/jobs/{job}"), Some(ONE)).json()["state"] == "done");
    }

    /// The job's root proof verifies and pays these for all of its steps; so many each.
    #[track_caller]
    fn pays(&self, job: u64) -> [u64; 2] {
        let root = self.get(&format!("/v1/jobs/{job}/proof"), Some(ONE)).body;
        let proof = RangeProof::from_bytes(&entry().parameters, &root).expect("a proof");
        verify(&entry().parameters, &proof, &mut rng(1)).expect("it verifies");
        let steps = |number| {
            let receipts = proof.receipts();
            receipts.iter().filter(|it| it.prover == payout(number)).map(|it| it.count).sum::<u64>()
        };
        let paid = [steps(GOOD), steps(BAD)];
        assert_eq!(paid.iter().sum::<u64>(), proof.count());
        paid
    }

    fn credit_of(&self, key: PublicKey) -> u64 {
        self.get(&format!("/v1/provers/{key}"), None).json()["credit"].as_u64().unwrap_or(0)
    }
}

#[test]
fn a_function_folds_a_job() {
    let (folder, key) = coordinator_to_be("good");
    let function = Running::start(GOOD, Way::Good, key.public(), "");
    let world = start(folder, vec![Function { steps_per_task: 3, at_once: 2, ..function.settings.clone() }]);
    let job = world.submit(ONE, 10);
    world.ends(job);
    assert_eq!(world.pays(job), [10, 0]);
    assert_eq!(world.credit_of(key.of_function(&function.settings.url)), 10 * entry().rows);
    let tasks = function.tasks();
    assert!(tasks.iter().all(|task| task.inputs.len() <= 3 && task.expires_s - task.issued_s == PUSH_LIFETIME_S));
    let nonces: BTreeSet<[u8; 32]> = tasks.iter().map(|task| task.nonce).collect();
    assert_eq!(nonces.len(), tasks.len(), "no nonce twice");
    assert_eq!(world.pushed("whole"), tasks.len() as u64);
    assert!(function.log.lock().expect("no test fails there").refused.is_empty());
    assert_eq!(world.get("/v1/provers", None).json().as_array().map(Vec::len), Some(1));
}

#[test]
fn a_part_counts_and_the_rest_is_handed_out_again() {
    let (folder, key) = coordinator_to_be("part");
    let function = Running::start(GOOD, Way::Part(2), key.public(), "");
    let world = start(folder, vec![Function { steps_per_task: 5, ..function.settings.clone() }]);
    let job = world.submit(ONE, 7);
    world.ends(job);
    assert_eq!(world.pays(job), [7, 0]);
    assert!(world.pushed("part") >= 2, "{}", world.pushed("part"));
    assert_eq!(world.refused("Proof"), 0);
}

/// A good function ends the job beside a bad one, which gets nothing for what it does.
#[track_caller]
fn beside(way: Way, outcome: &str, expected: impl FnOnce(&World, &Running, PublicKey)) {
    let (folder, key) = coordinator_to_be(&format!("beside-{outcome}-{way:?}").replace(['(', ')'], "-"));
    let good = Running::start(GOOD, Way::Good, key.public(), "");
    let bad = Running::start(BAD, way, key.public(), &good.settings.url);
    let slow = Function { timeout_s: 2, ..bad.settings.clone() };
    let world = start(folder, vec![slow]);
    let job = world.submit(ONE, 6);
    until("the bad function is tried", || world.pushed(outcome) > 0);
    // What it does to a redirection is not its own doing: nothing came there.
    assert!(good.tasks().is_empty());
    let bad_key = key.of_function(&bad.settings.url);
    expected(&world, &bad, bad_key);
    let mut world = world;
    world.settings.push.functions.push(good.settings.clone());
    world.restart();
    world.ends(job);
    assert_eq!(world.pays(job)[0] + world.credit_of(bad_key) / entry().rows, 6);
    assert_eq!(world.get("/healthz", None).status, 200);
}

#[test]
fn bad_proofs_are_strikes() {
    for way in [Way::Forged, Way::Stolen, Way::Short] {
        beside(way, "whole", |world, bad, key| {
            until("its proof is refused", || world.refused("Proof") > 0);
            until("it is a strike", || {
                let shown = world.get(&format!("/v1/provers/{key}"), None).json();
                shown["suspended_until_ms"].is_u64()
            });
            assert_eq!(world.credit_of(key), 0);
            // It is left alone for a minute: so long nothing comes.
            let tasks = bad.tasks().len();
            std::thread::sleep(Duration::from_secs(3));
            assert_eq!(bad.tasks().len(), tasks);
        });
    }
}

#[test]
fn answers_that_are_no_proofs_are_no_strikes() {
    for way in [Way::Long, Way::Silent, Way::Page, Way::Endless, Way::Says(500)] {
        beside(way, "failed", |world, bad, key| {
            assert_eq!((world.refused("Proof"), world.credit_of(key)), (0, 0));
            until("it is tried again after a rest", || bad.tasks().len() > 1);
        });
    }
}

#[test]
fn a_proof_counts_once() {
    beside(Way::Again, "failed", |world, bad, key| {
        until("its first proof counts", || world.credit_of(key) == 2 * entry().rows);
        assert!(bad.tasks().len() >= 2);
        assert_eq!(world.pushed("whole"), 1);
    });
}

#[test]
fn who_is_too_slow_is_left() {
    beside(Way::Stuck, "late", |_, bad, _| {
        until("its connection is closed", || bad.log.lock().expect("no test fails there").dropped > 0);
    });
}

#[test]
fn refusals_rest_a_function_and_redirects_are_not_followed() {
    for (status, outcome) in [(401, "refused"), (409, "refused"), (422, "refused"), (307, "refused"), (308, "refused")]
    {
        beside(Way::Says(status), outcome, |world, bad, _| {
            until("it is tried again after a rest", || bad.tasks().len() > 1);
            assert_eq!(world.refused("Proof"), 0);
        });
    }
    for status in [429, 503] {
        beside(Way::Says(status), "busy", |_, _, _| {});
    }
}

#[test]
fn who_is_not_there_does_no_harm() {
    let (folder, key) = coordinator_to_be("gone");
    let good = Running::start(GOOD, Way::Good, key.public(), "");
    let gone = Function { url: "http://127.0.0.1:9/".into(), payout: payout(BAD), ..good.settings.clone() };
    let world = start(folder, vec![gone, good.settings.clone()]);
    let job = world.submit(ONE, 8);
    world.ends(job);
    assert_eq!(world.pays(job), [8, 0]);
    assert!(world.pushed("failed") > 0);
}

#[test]
fn a_function_set_up_otherwise_gets_nothing_done() {
    let (folder, key) = coordinator_to_be("otherwise");
    let stranger = Running::start(GOOD, Way::Good, PublicKey([3; 32]), "");
    let paid_otherwise = Running::start(GOOD, Way::Good, key.public(), "");
    let set = Function { payout: payout(BAD), ..paid_otherwise.settings.clone() };
    let elsewhere = Running::start(GOOD, Way::Good, key.public(), "");
    let url = elsewhere.settings.url.replace("127.0.0.1", "localhost");
    let moved = Function { url, ..elsewhere.settings.clone() };
    let world = start(folder, vec![stranger.settings.clone(), set, moved]);
    world.submit(ONE, 30);
    for (function, why) in [(&stranger, "coordinator push key"), (&paid_otherwise, "pays"), (&elsewhere, "is for")] {
        until("it is tried", || !function.log.lock().expect("no test fails there").refused.is_empty());
        let log = function.log.lock().expect("no test fails there");
        assert!(log.tasks.is_empty() && log.refused[0].contains(why), "{log:?}");
    }
    assert!(world.pushed("refused") > 0);
}

#[test]
fn a_days_budget_is_kept_over_restarts() {
    let (folder, key) = coordinator_to_be("budget");
    let function = Running::start(GOOD, Way::Good, key.public(), "");
    let limited = Function { steps_per_task: 4, daily_steps: 11, ..function.settings.clone() };
    let mut world = start(folder, vec![limited]);
    let job = world.submit(ONE, 40);
    let steps = |function: &Running| function.tasks().iter().map(|task| task.inputs.len()).sum::<usize>();
    until("two tasks are proved", || world.credit_of(key.of_function(&function.settings.url)) == 8 * entry().rows);
    world.restart();
    until("it is back", || world.get("/v1/provers", None).json().as_array().map(Vec::len) == Some(1));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(steps(&function), 8, "a third task does not fit into 11 steps");
    world.settings.push.functions[0].daily_steps = 12;
    world.restart();
    until("a third one fits into 12", || steps(&function) == 12);
    until("it is proved", || world.credit_of(key.of_function(&function.settings.url)) == 12 * entry().rows);
    let shown = world.get(&format!("/v1/jobs/{job}"), Some(ONE)).json();
    assert_eq!(shown["state"], "open");
}

#[test]
fn a_task_of_a_cancelled_job_is_given_up() {
    let (folder, key) = coordinator_to_be("cancelled");
    let function = Running::start(GOOD, Way::Stuck, key.public(), "");
    let world = start(folder, vec![function.settings.clone()]);
    let job = world.submit(ONE, 4);
    until("it has the task", || function.tasks().len() == 1);
    assert_eq!(world.request("DELETE", &format!("/v1/jobs/{job}"), Some(ONE), "", b"").status, 200);
    until("its connection is closed", || function.log.lock().expect("no test fails there").dropped == 1);
    until("it is counted", || world.pushed("cancelled") == 1);
}

#[test]
fn the_key_is_printed_and_stays() {
    let folder = Folder::new("push-cli");
    let data = folder.text("data");
    let key = coordinator(&["push", "key", "--data", &data]).done();
    assert_eq!(coordinator(&["push", "key", "--data", &data]).done(), key);
    let shown = coordinator(&["push", "key", "--json", "--data", &data]).json();
    assert_eq!(shown["key"], key.trim());
    assert_eq!(PushKey::open(&folder.path("data")).expect("it is there").public().to_string(), key.trim());
    std::fs::write(folder.path("data").join(KEY_FILE), "nonsense").expect("ours");
    coordinator(&["push", "key", "--data", &data]).fails(1, &["push.key", "64 hexadecimal digits"]);
}
