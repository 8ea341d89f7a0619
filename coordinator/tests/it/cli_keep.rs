//! Backups, their restoration and the check of what is stored, by the command line.

use crate::cli_world::{PROGRAM, Running, add_client, coordinator, job, shared};
use crate::store_world::Folder;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

fn jobs(url: &str, token: &str) -> Value {
    coordinator(&["job", "list", "--json", "--url", url, "--token-file", token]).json()
}

/// Some file below a folder.
fn some_file(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a name").path());
    let mut entries: Vec<_> = entries.collect();
    entries.sort();
    match entries.iter().find(|path| path.is_file()) {
        Some(file) => file.clone(),
        None => some_file(entries.iter().find(|path| path.is_dir()).expect("something")),
    }
}

#[test]
fn what_a_backup_is_restored_to_serves_the_same_jobs() {
    let folder = Folder::new("cli-backup");
    let token = add_client(&folder, "alice");
    let (data, copy, new) = (folder.text("data"), folder.text("copy"), folder.text("new"));
    let file = folder.text("job");
    fs::write(&file, job(3)).expect("a file");
    let serving = Running::serve(&folder);
    for _ in 0..2 {
        let url = &serving.url;
        coordinator(&["job", "submit", &file, "--program", PROGRAM, "--url", url, "--token-file", &token]).done();
    }
    let before = jobs(&serving.url, &token);
    coordinator(&["backup", "--to", &copy, "--data", &data]).fails(6, &["in use"]);
    coordinator(&["check", "--data", &data]).fails(6, &["in use"]);
    serving.stop();

    let made = coordinator(&["--json", "backup", "--to", &copy, "--data", &data]).json();
    assert!(made["folder"] == copy.as_str() && made["bytes"].as_u64() > Some(0), "{made}");
    coordinator(&["backup", "--to", &copy, "--data", &data]).fails(6, &["is not empty"]);
    coordinator(&["backup", "--to", &new, "--data", &folder.text("none")]).fails(3, &["no data of a coordinator"]);
    coordinator(&["restore", "--from", &folder.text("none"), "--data", &new]).fails(3, &["no folder"]);
    coordinator(&["restore", "--from", &data, "--data", &new]).fails(10, &["not a backup"]);
    coordinator(&["restore", "--from", &copy, "--data", &data]).fails(6, &["is not empty"]);
    coordinator(&["restore", "--from", &copy, "--data", &new]).done();
    let checked = coordinator(&["--json", "check", "--data", &new]).json();
    assert!(checked["blobs"].as_u64() > Some(0) && checked["faults"] == Value::Array(Vec::new()), "{checked}");

    let arguments = ["serve", "--data", &new, "--params", &shared("params"), "--listen", "127.0.0.1:0"];
    let serving = Running::start(&arguments);
    assert_eq!(jobs(&serving.url, &token), before);
    serving.stop();

    let damaged = some_file(&folder.path("new").join("blobs"));
    let mut bytes = fs::read(&damaged).expect("a blob");
    bytes[0] ^= 1;
    fs::write(&damaged, bytes).expect("a blob");
    let checked = coordinator(&["check", "--data", &new]);
    assert!(checked.out.contains("wrong length or SHA-256"), "{checked:?}");
    checked.fails(10, &["not as they should be"]);
    coordinator(&["check", "--data", &folder.text("none")]).fails(3, &["no data of a coordinator"]);
    assert!(!folder.path("none").exists());
}
