//! A process that is killed while it commits.

use crate::store_world::{Folder, add_client, add_job, add_prover, judged, proof_id, range, run, uploaded};
use bytes::Bytes;
use crowdfold_coordinator::store::{Options, Storage, Store, UploadKey};
use crowdfold_sched::{JobId, Verdict};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Set in the process that is killed: its data folder.
const CHILD: &str = "CROWDFOLD_STORE_KILL";
const STEPS: u64 = 4_096;
/// The first number that is given out.
const JOB: JobId = JobId(1);

fn proof_of(step: u64) -> Bytes {
    step.to_le_bytes().repeat(100).into()
}

/// Proves one step after the other, and says so when it is committed.
async fn prove_for_ever(folder: &Path) {
    let storage = Storage::open(folder, Options::default()).await.expect("nobody else has it");
    let prover = add_prover(&storage, 1).await.expect("it can be written");
    let from = storage.store.progress(JOB).await.expect("readable").steps;
    for step in from..STEPS {
        let (steps, bytes) = (range(step, step + 1), proof_of(step));
        let key = UploadKey { prover: prover.id, proof: proof_id(&bytes) };
        if let Some(found) = storage.store.proof(key.proof).await.expect("readable") {
            assert_eq!(found.verdict, None, "it would be in the cover");
        } else {
            let stored = storage.spool.stored(key).unwrap_or(0);
            storage.spool.append(key, stored, bytes.slice(stored as usize..)).await.expect("it is the next");
            let proof = storage.spool.finish(key, &storage.blobs).await.expect("it is whole");
            storage.store.commit(&[uploaded(proof, &prover, JOB, steps)]).await.expect("it is new");
            storage.spool.forget(key).await.expect("it can be removed");
        }
        let record = judged(key.proof, &prover, JOB, steps, Verdict::Counted);
        storage.store.commit(&[record]).await.expect("it is free");
        let mut out = std::io::stdout().lock();
        writeln!(out, "committed {step}").and_then(|()| out.flush()).expect("somebody reads it");
    }
}

#[test]
fn whatever_was_said_to_be_committed_is() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return run(prove_for_ever(Path::new(&folder)));
    }
    let folder = Folder::new("kill");
    run(async {
        let storage = folder.open().await;
        let client = add_client(&storage, 1).await.expect("it is new");
        assert_eq!(add_job(&storage, client, 1, STEPS).await.expect("it is new"), JOB);
        storage.close().await;
    });
    let mut before = 0;
    for round in 1..8 {
        let own = std::env::current_exe().expect("it is running");
        let mut child = Command::new(own)
            .args(["--exact", "store_kill::whatever_was_said_to_be_committed_is", "--nocapture"])
            .env(CHILD, folder.path("data"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("this very test starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        // It goes on committing while this reads, and is killed wherever it is then.
        let said = |line: String| line.rsplit_once("committed ")?.1.parse::<u64>().ok();
        let committed = lines.map_while(Result::ok).filter_map(said).nth(round * 3).expect("it has more to do");
        child.kill().expect("it is still running");
        child.wait().expect("it was started");
        assert!(committed > before);

        run(async {
            let storage = folder.open().await;
            let steps = storage.store.progress(JOB).await.expect("readable").steps;
            assert!(steps > committed, "{steps} steps are there, {committed} is committed");
            let prover = add_prover(&storage, 1).await.expect("it can be written");
            assert_eq!(prover.credit, steps * crate::store_world::COST);
            for part in storage.store.cover(JOB).await.expect("readable") {
                let bytes = storage.blobs.proof(part.proof).await.expect("it is there");
                assert_eq!(bytes, proof_of(part.range.start().0));
            }
            assert_eq!(storage.check().await.expect("readable").faults, []);
            storage.close().await;
        });
        before = committed;
    }
}
