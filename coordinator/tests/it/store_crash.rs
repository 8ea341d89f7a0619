//! A crash at every point at which one leaves something else behind.

use crate::store_world::{
    Folder, MUCH_LATER, NOW, add_client, add_job, add_prover, idempotency, input, judged, key, proof_bytes, proof_id,
    range, run, state, token, upload_key, uploaded,
};
use bytes::Bytes;
use crowdfold_coordinator::store::{
    Faults, Kept, Prover, Record, Result, Retention, Storage, Store, StoreError, UploadKey,
};
use crowdfold_sched::{ClientId, JobEnd, JobId, ProofId, Range, Verdict};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// What was returned `Ok`, so that it must be there after the crash.
#[derive(Debug, Default)]
struct Told {
    epochs: Vec<u16>,
    client: Option<ClientId>,
    provers: Vec<Prover>,
    jobs: Vec<(JobId, u8)>,
    /// Acknowledged bytes.
    chunks: Vec<(UploadKey, u64)>,
    uploaded: Vec<ProofId>,
    verdicts: Vec<(ProofId, Verdict)>,
    covered: Vec<(JobId, Range)>,
    ended: Vec<(JobId, JobEnd)>,
}

const STEPS: u64 = 6;

impl Told {
    async fn upload(
        &mut self,
        storage: &Storage,
        prover: &Prover,
        job: JobId,
        range: Range,
        seed: u8,
    ) -> Result<ProofId> {
        let upload = upload_key(prover, seed);
        for (at, chunk) in proof_bytes(seed).chunks(250).enumerate() {
            let stored = storage.spool.append(upload, at as u64 * 250, Bytes::copy_from_slice(chunk)).await?;
            self.chunks.push((upload, stored));
        }
        let proof = storage.spool.finish(upload, &storage.blobs).await?;
        storage.store.commit(&[uploaded(proof, prover, job, range)]).await?;
        self.uploaded.push(proof.proof());
        storage.spool.forget(upload).await?;
        Ok(proof.proof())
    }

    async fn judge(&mut self, storage: &Storage, of: &[(ProofId, &Prover, JobId, Range, Verdict)]) -> Result<()> {
        let records: Vec<_> =
            of.iter().map(|(proof, by, job, range, as_)| judged(*proof, by, *job, *range, *as_)).collect();
        storage.store.commit(&records).await?;
        for (proof, _, job, range, verdict) in of {
            self.verdicts.push((*proof, *verdict));
            if *verdict == Verdict::Counted {
                self.covered.push((*job, *range));
            }
        }
        Ok(())
    }

    async fn merge(&mut self, storage: &Storage, job: JobId, range: Range, seed: u8) -> Result<()> {
        let proof = storage.blobs.put_proof(proof_bytes(seed).into()).await?;
        storage.store.commit(&[Record::Merged { job, range, proof }]).await?;
        self.covered.push((job, range));
        Ok(())
    }

    /// A little of everything.
    async fn history(&mut self, folder: &Folder, faults: &Faults) -> Result<()> {
        let storage = &folder.open_with(Folder::faulty(faults)).await?;
        self.epochs.push(storage.store.epoch());
        let client = add_client(storage, 1).await?;
        self.client = Some(client);
        let job = add_job(storage, client, 1, STEPS).await?;
        self.jobs.push((job, 1));
        for seed in [1, 2] {
            self.provers.push(add_prover(storage, seed).await?);
        }
        let (one, two) = (self.provers[0].clone(), self.provers[1].clone());

        let a = self.upload(storage, &one, job, range(0, 2), 10).await?;
        let b = self.upload(storage, &two, job, range(2, 4), 11).await?;
        let c = self.upload(storage, &two, job, range(1, 3), 12).await?;
        let spare = Verdict::Spare { owed: 2 };
        self.judge(storage, &[(a, &one, job, range(0, 2), Verdict::Counted), (c, &two, job, range(1, 3), spare)])
            .await?;
        let paid = Verdict::Compensated { steps: 1 };
        self.judge(storage, &[(b, &two, job, range(2, 4), Verdict::Counted), (c, &two, job, range(1, 3), paid)])
            .await?;
        let d = self.upload(storage, &one, job, range(4, 6), 13).await?;
        self.merge(storage, job, range(0, 4), 20).await?;

        let other = add_job(storage, client, 2, STEPS).await?;
        self.jobs.push((other, 2));
        let e = self.upload(storage, &one, other, range(0, 3), 14).await?;
        storage.store.commit(&[Record::Suspended { prover: one.id, until: MUCH_LATER }]).await?;
        self.judge(storage, &[(e, &one, other, range(0, 3), Verdict::Refused)]).await?;
        let end = Record::Ended { job: other, end: JobEnd::Cancelled, reason: "by its client".into(), at: NOW };
        storage.store.commit(&[end]).await?;
        self.ended.push((other, JobEnd::Cancelled));
        storage.collect(MUCH_LATER, &Retention::default()).await?;

        self.judge(storage, &[(d, &one, job, range(4, 6), Verdict::Counted)]).await?;
        self.merge(storage, job, range(0, 6), 21).await?;
        let end = Record::Ended { job, end: JobEnd::Done, reason: String::new(), at: NOW };
        storage.store.commit(&[end]).await?;
        self.ended.push((job, JobEnd::Done));
        storage.collect(MUCH_LATER, &Retention::default()).await?;
        Ok(())
    }

    /// All of it is there, and nothing half-done is.
    async fn verify(&self, storage: &Storage) {
        let store = &storage.store;
        assert!(!self.epochs.contains(&store.epoch()), "an epoch is used again");
        if let Some(client) = self.client {
            assert_eq!(store.client(token(1)).await.expect("readable").map(|found| found.id), Some(client));
        }
        for prover in &self.provers {
            let found = store.prover(prover.key).await.expect("readable").expect("it is known");
            assert_eq!((found.id, found.payout), (prover.id, prover.payout));
        }
        for &(job, seed) in &self.jobs {
            let client = self.client.expect("it came before");
            assert_eq!(store.job_of_key(client, &idempotency(seed)).await.expect("readable"), Some(job));
            store.job(job).await.expect("readable").expect("the job is there");
        }
        for &(upload, bytes) in &self.chunks {
            let stored = storage.spool.stored(upload).is_some_and(|stored| stored >= bytes);
            let whole = store.proof(upload.proof).await.expect("readable").is_some();
            // A purged job's proofs are gone with it, and forgetting comes only after they were recorded.
            let recorded = self.uploaded.contains(&upload.proof);
            assert!(stored || whole || recorded, "{bytes} acknowledged bytes of {upload:?} are lost");
        }
        let purged =
            |job| async move { store.job(job).await.expect("readable").is_some_and(|job| job.kept < Kept::All) };
        let mut gone = BTreeSet::new();
        for &(job, _) in &self.jobs {
            if purged(job).await {
                gone.insert(job);
            }
        }
        for proof in &self.uploaded {
            let found = store.proof(*proof).await.expect("readable");
            assert!(found.is_some() || !gone.is_empty(), "{proof:?} is lost");
        }
        for (at, (proof, verdict)) in self.verdicts.iter().enumerate() {
            let last = self.verdicts[at + 1..].iter().all(|(later, _)| later != proof);
            if let Some(found) = store.proof(*proof).await.expect("readable").filter(|_| last) {
                // What was being written when the crash came may be there, but only a spare gets another verdict.
                let now = found.verdict;
                assert!(now == Some(*verdict) || matches!(verdict, Verdict::Spare { .. }), "{proof:?} is {now:?}");
            }
        }
        for &(job, range) in self.covered.iter().filter(|(job, _)| !gone.contains(job)) {
            let cover = store.cover(job).await.expect("readable");
            let part = cover.iter().find(|part| part.range.contains(range)).expect("it is covered still");
            storage.blobs.proof(part.proof).await.expect("its proof is there");
        }
        for &(job, end) in &self.ended {
            let found = store.job(job).await.expect("readable").and_then(|job| job.ended).expect("it has ended");
            assert_eq!(found.end, end);
        }
        self.verify_whole(storage).await;
    }

    async fn verify_whole(&self, storage: &Storage) {
        let checked = storage.check().await.expect("readable");
        assert_eq!(checked.faults, []);
        // Whether told or not, each is there as a whole or not at all.
        let mut credited = BTreeSet::new();
        for seed in [1, 2] {
            if let Some(prover) = storage.store.prover(key(seed)).await.expect("readable") {
                let ledger = storage.store.ledger(prover.id, None, 100).await.expect("readable");
                credited.extend(ledger.iter().map(|credit| credit.proof));
            }
        }
        for seed in [1, 2] {
            let Some(client) = self.client else { continue };
            let Some(id) = storage.store.job_of_key(client, &idempotency(seed)).await.expect("readable") else {
                continue;
            };
            let job = storage.store.job(id).await.expect("readable").expect("its key is there");
            if let Some(root) = job.ended.as_ref().and_then(|ended| ended.root) {
                storage.blobs.proof(root).await.expect("the root proof is there");
            }
            if job.kept == Kept::All {
                let inputs = job.data.inputs(&storage.blobs, 0..STEPS, 1 << 20).await.expect("they are there");
                assert!(inputs.iter().zip(0..).all(|(found, step)| found[..] == input(step)));
                assert_eq!(job.data.state(&storage.blobs, STEPS).await.expect("it is there")[..], state(STEPS));
            }
            // Groups of records are there as a whole, too.
            let verdict = |seed| async move {
                storage
                    .store
                    .proof(proof_id(&proof_bytes(seed)))
                    .await
                    .expect("readable")
                    .and_then(|proof| proof.verdict)
            };
            let (a, b, c) = (verdict(10).await, verdict(11).await, verdict(12).await);
            assert_eq!(a.is_some(), c.is_some());
            assert_eq!(b.is_some(), matches!(c, Some(Verdict::Compensated { .. })));
            let cover = storage.store.cover(id).await.expect("readable");
            for proof in storage.store.proofs(id, None, 100).await.expect("readable") {
                let counts = proof.verdict == Some(Verdict::Counted);
                let paid = counts || matches!(proof.verdict, Some(Verdict::Compensated { .. }));
                assert_eq!(credited.contains(&proof.proof), paid, "{proof:?}");
                assert!(!counts || cover.iter().any(|part| part.range.contains(proof.range)), "{proof:?}");
                if matches!(proof.verdict, None | Some(Verdict::Spare { .. })) {
                    storage.blobs.proof(proof.proof).await.expect("it may be needed");
                }
            }
        }
    }
}

/// Runs the history with a crash; says whether there was one, and how many points there are.
fn crash(n: u64) -> (bool, u64) {
    let folder = Folder::new(&format!("crash-{n}"));
    let faults = Faults::crash_at(n);
    let mut told = Told::default();
    let crashed = match run(told.history(&folder, &faults)) {
        Ok(()) => false,
        Err(StoreError::Crashed) => true,
        Err(error) => panic!("crash at {n}: {error:?}"),
    };
    run(async {
        let storage = folder.open().await;
        told.verify(&storage).await;
        // What the crash left is removed, and nothing else is.
        let retention = Retention { job_ms: u64::MAX, root_ms: None, orphan_ms: 0, upload_ms: u64::MAX };
        storage.collect(MUCH_LATER, &retention).await.expect("it can be written");
        told.verify(&storage).await;
        let again = storage.collect(MUCH_LATER, &retention).await.expect("it can be written");
        assert_eq!((again.blobs, again.strange), (0, 0));
        storage.close().await;
    });
    (crashed, faults.passed())
}

#[test]
fn whatever_was_told_is_there_after_a_crash_anywhere() {
    let (crashed, points) = crash(u64::MAX);
    assert!(!crashed && points > 100, "{points} points");
    // Most of the time goes to waiting for the disk, so several run at once.
    let next = AtomicU64::new(1);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n > points {
                        break;
                    }
                    assert!(crash(n).0, "the history has {points} points, but not the {n}th");
                }
            });
        }
    });
}
