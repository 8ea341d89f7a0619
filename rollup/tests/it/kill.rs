//! A process that is killed while it commits.

use crate::common::Folder;
use crowdfold_rollup::store::{Store, check};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

#[test]
fn whatever_was_said_to_be_committed_is() {
    let folder = Folder::new("kill");
    // Deposits are valid in any order, so what is left over can be tried again.
    folder.workload("3", "50", "400", &["--shares", "0,1,0"]);
    let mut before = 0;
    for round in 1..8u64 {
        let out = format!("batch-{round}");
        let build = ["batch", "build", "--store", "store", "--transactions", "work/transactions.json", "--commit"];
        let mut command = folder.command(&[&build[..], &["--size", "2", "--out", &out]].concat());
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the tool starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        // It goes on committing while this reads, and is killed wherever it is then.
        let said = |line: String| line.strip_prefix("batch: ")?.strip_suffix(", committed")?.parse::<u64>().ok();
        let committed = lines.map_while(Result::ok).filter_map(said).nth(round as usize).expect("it has more to do");
        child.kill().expect("it is still running, or just done");
        child.wait().expect("it was started");
        assert!(committed > before);

        let store = Store::open(&folder.path("store")).expect("it is whole, and free again");
        let head = store.head().expect("it can be read");
        drop(store);
        assert!(head.batch >= committed, "{} batches are there, {committed} were committed", head.batch);
        assert_eq!(check(&folder.path("store")).expect("it is whole").head, head);
        // Of each committed batch there is the job.
        let last = format!("{out}.{}", head.batch);
        folder.run(&["batch", "check", &last]);
        before = head.batch;
    }
}
