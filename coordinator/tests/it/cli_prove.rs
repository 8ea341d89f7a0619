//! A job proved and verified in processes of their own.

use crate::cli_world::{FILE, PROGRAM, Running, command, coordinator, job, shared};
use crate::store_world::Folder;
use serde_json::Value;
use std::fs;

const STEPS: u64 = 7;
const JOB_ID: &str = "0101010101010101010101010101010101010101010101010101010101010101";
const PAYOUT: &str = "0x00000000000000000000000000000000000000aa";

/// Proves a job into `a.proof` of the folder.
fn prove(folder: &Folder) -> Value {
    fs::write(folder.path("job"), job(STEPS)).expect("a file");
    let (file, params, out) = (folder.text("job"), shared("params"), folder.text("a.proof"));
    let mut prove =
        command(&["--json", "prove", "--program", PROGRAM, "--job", &file, "--params", &params, "--out", &out]);
    // Three segments: a merge, and one that is left over.
    prove.args(["--threads", "2", "--segment", "3", "--payout", PAYOUT, "--job-id", JOB_ID, "--chain-id", "5"]);
    crate::cli_world::Ended::of(prove).json()
}

fn verify(file: &str, more: &[&str]) -> crate::cli_world::Ended {
    let params = shared("params");
    let mut verify = command(&["--json", "verify", file, "--params", &params]);
    verify.args(more);
    crate::cli_world::Ended::of(verify)
}

#[test]
fn a_job_is_proved_and_verified_and_nothing_else_is_taken_for_its_proof() {
    let folder = Folder::new("cli-prove");
    let proved = prove(&folder);
    assert_eq!((&proved["steps"], &proved["segments"]), (&STEPS.into(), &3.into()));
    assert!(proved["times"]["folding_ms"].as_f64() > Some(0.0), "{proved}");

    let file = folder.text("a.proof");
    let verified = verify(&file, &[]);
    assert!(verified.err.contains("INSECURE"), "{verified:?}");
    let verified = verified.json();
    for key in ["program", "start", "end", "chain_id", "job_id", "insecure"] {
        assert_eq!(verified[key], proved[key], "{key}");
    }
    assert_eq!((&verified["job_id"], &verified["count"]), (&JOB_ID.into(), &STEPS.into()));
    let receipts = verified["receipts"].as_array().expect("a list");
    assert!(receipts.len() == 3 && receipts.iter().all(|receipt| receipt["prover"] == PAYOUT), "{receipts:?}");
    let text = coordinator(&["verify", &file, "--params", &shared("params")]).done();
    assert!(text.starts_with("valid\n") && text.contains(&format!("{PAYOUT}: {STEPS} steps")), "{text}");

    // What it is compared with.
    let (start, end) = (verified["start"].as_str().expect("text"), verified["end"].as_str().expect("text"));
    let all = ["--start", start, "--end", end, "--count", "7", "--job-id", JOB_ID, "--program", PROGRAM];
    verify(&file, &all).done();
    let other = "00".repeat(32);
    let params = shared("params");
    for (name, value) in [("--start", other.as_str()), ("--end", start), ("--count", "8"), ("--job-id", end)] {
        coordinator(&["verify", &file, "--params", &params, name, value]).fails(10, &["is valid, but", value]);
    }

    // Damage: somewhere within the vectors, in the claim, and at the end.
    let bytes = fs::read(&file).expect("a file");
    let bad = folder.text("bad.proof");
    let refused = |bytes: &[u8], code: i32, says: &str| {
        fs::write(&bad, bytes).expect("a file");
        coordinator(&["verify", &bad, "--params", &params]).fails(code, &[says]);
    };
    for at in [bytes.len() / 3, 50] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        refused(&changed, 10, "does not verify");
    }
    refused(&bytes[..bytes.len() - 1], 11, "it is no proof");
    refused(b"", 11, "it is no proof");
    let mut changed = bytes;
    changed[20] ^= 1;
    refused(&changed, 11, "which are not");
    coordinator(&["verify", &folder.text("none"), "--params", &params]).fails(3, &["none"]);
    coordinator(&["verify", &file, "--params", &folder.text("none")]).fails(3, &["none"]);
    coordinator(&["verify", &file, "--params", &params, "--program", "rollup/1"])
        .fails(11, &["no parameters of rollup/1"]);
    coordinator(&["verify", &file, "--params", &params, "--program", "x"]).fails(3, &["there is no program `x`"]);
    // Parameters that are damaged say nothing about a proof.
    let own = fs::read(shared(&format!("params/{FILE}"))).expect("a file");
    fs::create_dir(folder.path("params")).expect("a folder");
    fs::write(folder.path("params").join(FILE), &own[..own.len() - 1]).expect("a file");
    coordinator(&["verify", &file, "--params", &folder.text("params")]).fails(1, &[FILE, "can't be used"]);
    let error = coordinator(&["--json", "verify", &file, "--params", &params, "--count", "8"]);
    let told: Value = serde_json::from_str(error.err.trim()).expect("an object");
    assert_eq!((error.code, &told["error"]), (10, &"not_valid".into()));
}

#[test]
fn what_can_not_be_proved_is_told_before_anything_is_written() {
    let folder = Folder::new("cli-prove-bad");
    let (params, out) = (shared("params"), folder.text("a.proof"));
    fs::write(folder.path("job"), job(2)).expect("a file");
    fs::write(folder.path("bad"), [0xff; 64]).expect("a file");
    let prove = |program: &str, file: &str, params: &str| {
        let file = folder.text(file);
        coordinator(&["prove", "--program", program, "--job", &file, "--params", params, "--out", &out])
    };
    prove("nothing/1", "job", &params).fails(3, &["nothing/1"]);
    prove(PROGRAM, "none", &params).fails(3, &["none"]);
    prove(PROGRAM, "bad", &params).fails(1, &["cannot decode"]);
    prove(PROGRAM, "job", &folder.text("none")).fails(3, &["squarings+1+1.params"]);
    prove("squarings/1/2", "job", &params).fails(3, &["squarings+1+2.params"]);
    assert_eq!(coordinator(&["prove", "--program", PROGRAM, "--job-id", "00"]).code, 2);
    assert!(!folder.path("a.proof").exists());
    fs::write(folder.path("a.proof"), "mine").expect("a file");
    prove(PROGRAM, "job", &params).fails(6, &["a.proof", "--force"]);
    assert_eq!(fs::read(folder.path("a.proof")).expect("a file"), b"mine");
}

#[test]
fn a_signal_ends_proving_and_leaves_nothing() {
    let folder = Folder::new("cli-prove-signal");
    fs::write(folder.path("job"), job(100_000)).expect("a file");
    let (file, params, out) = (folder.text("job"), shared("params"), folder.text("a.proof"));
    for signal in ["-INT", "-TERM"] {
        let mut prove = command(&["prove", "--program", PROGRAM, "--job", &file, "--params", &params, "--out", &out]);
        prove.args(["--threads", "1"]).stderr(std::process::Stdio::piped());
        let mut proving = Running::spawn(prove);
        let mut told = std::io::BufReader::new(proving.logs());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut told, &mut line).expect("a line");
        assert!(line.contains("proving 100000 steps"), "{line}");
        proving.signal(signal);
        let (code, _) = proving.end();
        let told = std::io::read_to_string(told).expect("text");
        assert!(code == 130 && told.contains("coordinator: interrupted: nothing was written"), "{code} {told}");
        let names = fs::read_dir(folder.path("")).expect("a folder").map(|entry| entry.expect("a name").file_name());
        assert_eq!(names.collect::<Vec<_>>(), ["job"]);
    }
}
