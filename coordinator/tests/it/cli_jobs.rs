//! Jobs by the command line, at a real coordinator.

use crate::cli_world::{Ended, PROGRAM, Running, add_client, command, coordinator, job, shared};
use crate::store_world::{Folder, NOW, add_prover, judged, range, run, uploaded};
use bytes::Bytes;
use crowdfold_coordinator::store::{Record, Storage, Store as _, UploadKey};
use crowdfold_sched::{JobEnd, JobId, ProofId, Verdict};
use crowdfold_wire::UploadId;
use std::fs;
use std::path::PathBuf;

const STEPS: u64 = 4;

/// A client of a coordinator.
struct Client {
    folder: Folder,
    token: String,
    serving: Option<Running>,
}

impl Client {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let token = add_client(&folder, "alice");
        fs::write(folder.path("job"), job(STEPS)).expect("a file");
        let mut client = Self { folder, token, serving: None };
        client.start();
        client
    }

    fn start(&mut self) {
        self.serving = Some(Running::serve(&self.folder));
    }

    fn stop(&mut self) {
        self.serving.take().expect("it runs").stop();
    }

    fn url(&self) -> &str {
        &self.serving.as_ref().expect("it runs").url
    }

    fn job(&self, arguments: &[&str]) -> Ended {
        let mut job = command(&["job"]);
        job.args(arguments).args(["--url", self.url(), "--token-file", &self.token]);
        Ended::of(job)
    }

    fn submit(&self, more: &[&str]) -> Ended {
        let file = self.folder.text("job");
        let mut arguments = vec!["submit", file.as_str(), "--program", PROGRAM];
        arguments.extend(more);
        self.job(&arguments)
    }

    /// Has the job done by a proof in a file, as provers would.
    fn deliver(&mut self, job: u64, proof: &str) {
        self.stop();
        let bytes = fs::read(proof).expect("a proof");
        run(async {
            let storage = Storage::open(&self.folder.path("data"), Default::default()).await.expect("it is free");
            let prover = add_prover(&storage, 1).await.expect("it can be written");
            let (job, id) = (JobId(job), ProofId(UploadId::of(&bytes).0));
            let key = UploadKey { prover: prover.id, proof: id };
            for (at, chunk) in bytes.chunks(1 << 18).enumerate() {
                let offset = (at << 18) as u64;
                storage.spool.append(key, offset, Bytes::copy_from_slice(chunk)).await.expect("it can be written");
            }
            let stored = storage.spool.finish(key, &storage.blobs).await.expect("all is there");
            let all = range(0, STEPS);
            let records = [
                uploaded(stored, &prover, job, all),
                judged(id, &prover, job, all, Verdict::Counted),
                Record::Ended { job, end: JobEnd::Done, reason: String::new(), at: NOW },
            ];
            storage.store.commit(&records).await.expect("they fit");
            storage.close().await;
        });
        self.start();
    }
}

#[test]
fn a_job_is_handed_in_followed_and_cancelled() {
    let client = Client::new("cli-jobs");
    let number = client.submit(&["--idempotency-key", "a"]).done();
    let number = number.trim();
    assert_eq!(
        client.submit(&["--idempotency-key", "a"]).done().trim(),
        number,
        "the same request makes no second job"
    );
    fs::write(client.folder.path("job"), job(STEPS + 1)).expect("a file");
    client.submit(&["--idempotency-key", "a"]).fails(6, &["idempotency key"]);
    let second = client.submit(&["--json", "--bounty", "2000", "--height", "3"]).json();
    assert_eq!(second["steps"], STEPS + 1);

    let shown = client.job(&["show", number, "--json"]).json();
    assert_eq!((&shown["state"], &shown["steps"]), (&"open".into(), &STEPS.into()));
    assert!(client.job(&["show", number]).done().contains("state: open"));
    let list = client.job(&["list", "--json"]).json();
    assert_eq!(list["jobs"].as_array().map(Vec::len), Some(2));
    assert!(client.job(&["list"]).done().contains(&format!("0/{STEPS} steps  {PROGRAM}")));

    client.job(&["proof", number, "--out", &client.folder.text("a.proof")]).fails(3, &["proof"]);
    assert!(!client.folder.path("a.proof").exists());
    assert!(client.job(&["cancel", number]).done().contains("cancelled"));
    client.job(&["cancel", number]).fails(6, &[]);
    client.job(&["watch", number]).fails(9, &["is cancelled"]);
    client.job(&["show", "77"]).fails(3, &["job"]);
    client.job(&["watch", "77"]).fails(3, &["job"]);
}

#[test]
fn a_job_that_expires_ends_waiting_with_8() {
    let client = Client::new("cli-expires");
    let ended = client.submit(&["--deadline", "1", "--watch"]);
    let lines: Vec<_> = ended.out.lines().map(str::to_owned).collect();
    ended.fails(8, &["is expired"]);
    let last: serde_json::Value = serde_json::from_str(lines.last().expect("lines")).expect("JSON");
    assert_eq!((&last["event"], &last["state"]), (&"job".into(), &"expired".into()));
    let out = client.folder.text("a.proof");
    client.submit(&["--deadline", "1", "--proof", &out]).fails(8, &["is expired"]);
    assert!(!client.folder.path("a.proof").exists());
}

#[test]
fn a_proof_is_fetched_verified_and_written_in_whole() {
    let mut client = Client::new("cli-proof");
    let number = client.submit(&[]).done();
    let number = number.trim().to_owned();
    let shown = client.job(&["show", &number, "--json"]).json();
    let text = |key: &str| shown[key].as_str().expect("text").to_owned();
    let made = client.folder.text("made");
    let prove = |out: &str, job_id: &str| {
        let (file, params) = (client.folder.text("job"), shared("params"));
        let mut prove = command(&["prove", "--program", PROGRAM, "--job", &file, "--params", &params, "--out", out]);
        prove.args(["--contract", &text("contract"), "--job-id", job_id]);
        Ended::of(prove).done();
    };
    prove(&made, &text("job_id"));
    client.deliver(number.parse().expect("a number"), &made);

    let (out, params) = (client.folder.text("a.proof"), shared("params"));
    assert!(client.job(&["watch", &number]).done().contains("\"done\""));
    client.job(&["proof", &number, "--out", &out, "--params", &params]).done();
    assert_eq!(fs::read(&out).expect("a file"), fs::read(&made).expect("a file"));
    client.job(&["proof", &number, "--out", &out]).fails(6, &["--force"]);
    assert_eq!(client.job(&["proof", &number, "--out", &out, "--force", "--json"]).json()["file"], out.as_str());

    // A coordinator that has a proof of something else for it.
    let second = client.submit(&[]).done();
    let (second, other) = (second.trim().to_owned(), client.folder.text("other"));
    let (file, params) = (client.folder.text("job"), shared("params"));
    coordinator(&["prove", "--program", PROGRAM, "--job", &file, "--params", &params, "--out", &other]).done();
    client.deliver(second.parse().expect("a number"), &other);
    let out = client.folder.text("b.proof");
    client.job(&["proof", &second, "--out", &out, "--params", &params]).fails(10, &["job_id"]);
    assert!(!PathBuf::from(&out).exists());
    client.job(&["proof", &second, "--out", &out]).done();
}

#[test]
fn requests_that_are_refused_say_why() {
    let mut client = Client::new("cli-refused");
    let url = client.url().to_owned();
    coordinator(&["job", "list", "--url", &url]).fails(4, &["token"]);
    let mut by_environment = command(&["job", "list", "--url", &url, "--json"]);
    by_environment.env("COORDINATOR_TOKEN", fs::read_to_string(&client.token).expect("a token"));
    Ended::of(by_environment).done();
    let other = client.folder.text("other.token");
    fs::write(&other, "00".repeat(32)).expect("a file");
    coordinator(&["job", "list", "--url", &url, "--token-file", &other]).fails(4, &["token"]);
    fs::write(&other, "abc").expect("a file");
    coordinator(&["job", "list", "--url", &url, "--token-file", &other]).fails(2, &["64 hexadecimal digits"]);
    coordinator(&["job", "list", "--url", &url, "--token-file", &client.folder.text("none")]).fails(3, &["none"]);

    let file = client.folder.text("job");
    client.job(&["submit", &file, "--program", "nothing/1"]).fails(1, &["there is no program `nothing/1`"]);
    client.job(&["submit", &client.folder.text("none"), "--program", PROGRAM]).fails(3, &["none"]);
    fs::write(&file, [0xff; 64]).expect("a file");
    client.submit(&[]).fails(1, &["cannot decode job at byte 0"]);
    client.submit(&["--proof", &other]).fails(6, &["other.token"]);
    client.stop();
    let token = client.token.clone();
    coordinator(&["job", "submit", &file, "--program", PROGRAM, "--url", &url, "--token-file", &token])
        .fails(5, &["repeat it with --idempotency-key", "can't be reached"]);
}
