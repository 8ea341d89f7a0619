//! Retention, the removal of what nothing refers to, backups.

use crate::store_world::{
    Folder, MUCH_LATER, NOW, World, add_job, judged, proof_bytes, proof_id, range, run, upload, upload_key, uploaded,
    write_job,
};
use crowdfold_coordinator::store::{
    BlobName, Blobs, Collected, Fault, Faults, Kept, Record, Retention, Storage, Store, StoreError,
};
use crowdfold_sched::{JobEnd, JobId, Millis, ProofId, Verdict};
use std::fs;

/// Everything that nothing refers to, however new it is; jobs stay.
const ORPHANS: Retention = Retention { job_ms: u64::MAX, root_ms: None, orphan_ms: 0, upload_ms: u64::MAX };

#[test]
fn what_a_crash_left_half_written_is_removed() {
    let folder = Folder::new("staged");
    run(async {
        let world = World::new(&folder).await;
        let proof = world.prove(range(0, 2), 1, Verdict::Counted).await.expect("it is free");
        world.storage.close().await;
        let staged = folder.path(&format!("data/blobs/{}#3", BlobName::Proof(proof)));
        fs::write(&staged, "half").expect("it can be written");
        let storage = folder.open().await;
        assert!(!staged.exists() && has(&storage, proof).await);
    });
}

async fn there(blobs: &Blobs, name: BlobName) -> bool {
    blobs.size(name).await.expect("readable").is_some()
}

async fn has(storage: &Storage, proof: ProofId) -> bool {
    there(&storage.blobs, BlobName::Proof(proof)).await
}

/// Finishes the job of a world.
async fn finish(world: &World) -> ProofId {
    let (all, job) = (range(0, 8), world.job);
    let root = world.storage.blobs.put_proof(proof_bytes(99).into()).await.expect("it can be written");
    let end = Record::Ended { job, end: JobEnd::Done, reason: String::new(), at: NOW };
    let records = [Record::Merged { job, range: all, proof: root }, end];
    world.storage.store.commit(&records).await.expect("the cover is whole");
    root.proof()
}

#[test]
fn only_what_nothing_refers_to_is_removed() {
    let folder = Folder::new("orphans");
    run(async {
        let world = World::new(&folder).await;
        let storage = &world.storage;
        let one = world.prove(range(0, 2), 1, Verdict::Counted).await.expect("it is free");
        let two = world.prove(range(2, 4), 2, Verdict::Counted).await.expect("it is free");
        let spare = world.prove(range(3, 6), 3, Verdict::Spare { owed: 1 }).await.expect("that is possible");
        let late = world.prove(range(0, 1), 4, Verdict::Late).await.expect("that is possible");
        let refused = world.prove(range(6, 7), 8, Verdict::Refused).await.expect("that is possible");
        let parked = upload(storage, &world.prover, 5).await.expect("it can be written");
        world.commit(uploaded(parked, &world.prover, world.job, range(6, 8))).await.expect("it is new");
        let merged = storage.blobs.put_proof(proof_bytes(6).into()).await.expect("it can be written");
        world
            .commit(Record::Merged { job: world.job, range: range(0, 4), proof: merged })
            .await
            .expect("they make it up");
        let lost = storage.blobs.put_proof(proof_bytes(7).into()).await.expect("it can be written").proof();
        write_job(storage, JobId(40), 3).await.expect("it can be written");
        // Neither what is new, nor what has no name of ours.
        let strange = folder.path("data/blobs/README");
        fs::write(&strange, "mine").expect("it can be written");
        let none = Collected { strange: 1, ..Collected::default() };
        let grace = Retention { orphan_ms: 3_600_000, ..ORPHANS };
        let now = std::time::UNIX_EPOCH.elapsed().expect("it is later than 1970").as_millis();
        let now = Millis(u64::try_from(now).expect("it is not that late"));
        assert_eq!(storage.collect(now, &grace).await.expect("it can be written"), none);

        let done = storage.collect(MUCH_LATER, &ORPHANS).await.expect("it can be written");
        assert_eq!((done.blobs, done.jobs, done.uploads, done.strange), (5 + 3, 0, 0, 1));
        assert!(done.bytes > 5 * 400 && strange.exists());
        for gone in [one, two, late, refused, lost] {
            assert!(!has(storage, gone).await);
        }
        for kept in [spare, parked.proof(), merged.proof()] {
            assert!(has(storage, kept).await);
        }
        assert!(!there(&storage.blobs, BlobName::Index(JobId(40))).await);
        assert!(there(&storage.blobs, BlobName::Index(world.job)).await);
        assert_eq!(storage.check().await.expect("readable").faults, []);
        assert_eq!(storage.collect(MUCH_LATER, &ORPHANS).await.expect("it can be written"), none);
    });
}

#[test]
fn ended_jobs_are_given_up_but_for_root_and_ledger() {
    let folder = Folder::new("retention");
    run(async {
        let world = World::new(&folder).await;
        let storage = &world.storage;
        world.prove(range(0, 5), 1, Verdict::Counted).await.expect("it is free");
        let part = world.prove(range(5, 8), 2, Verdict::Counted).await.expect("it is free");
        let root = finish(&world).await;
        let open = add_job(storage, world.client, 2, 4).await.expect("it is new");
        let retention = Retention { job_ms: 1_000, ..ORPHANS };
        // Not yet: it ended at most so long ago.
        let early = storage.collect(Millis(NOW.0 + 1_000), &retention).await.expect("it can be written");
        assert_eq!(early.jobs, 0);
        let done = storage.collect(MUCH_LATER, &retention).await.expect("it can be written");
        assert_eq!((done.jobs, done.blobs), (1, 2 + 3));
        let job = storage.store.job(world.job).await.expect("readable").expect("its row stays");
        assert!(job.kept == Kept::Root && job.ended.is_some_and(|ended| ended.root == Some(root)));
        assert_eq!(storage.blobs.proof(root).await.expect("it stays")[..], proof_bytes(99));
        assert!(!has(storage, part).await);
        let error = job.data.state(&storage.blobs, 0).await.expect_err("it is gone");
        assert!(matches!(error, StoreError::Missing { .. }), "{error}");
        assert_eq!(storage.store.ledger(world.prover.id, None, 9).await.expect("readable").len(), 2);
        let kept = |job| async move { storage.store.job(job).await.expect("readable").expect("its row stays").kept };
        assert_eq!(kept(open).await, Kept::All);
        assert_eq!(storage.check().await.expect("readable").faults, []);
        // Roots go only where that is wanted.
        let all = Retention { root_ms: Some(2_000), ..retention };
        assert_eq!(storage.collect(Millis(NOW.0 + 2_000), &all).await.expect("it can be written").jobs, 0);
        assert_eq!(storage.collect(MUCH_LATER, &all).await.expect("it can be written").jobs, 1);
        assert!(!has(storage, root).await && kept(world.job).await == Kept::Nothing);
        assert_eq!(storage.check().await.expect("readable").faults, []);
        // A proof of it that comes now is not taken, and what was credited is not credited again.
        let late = upload(storage, &world.prover, 1).await.expect("it can be written");
        world.rejects(uploaded(late, &world.prover, world.job, range(0, 5)), "given up").await;
        world.commit(uploaded(late, &world.prover, open, range(0, 4))).await.expect("its row is gone");
        let again = judged(late.proof(), &world.prover, open, range(0, 4), Verdict::Counted);
        world.rejects(again, "ledger.proof").await;
    });
}

#[test]
fn uploads_beside_a_collection_are_safe() {
    let folder = Folder::new("beside");
    run(async {
        let world = World::new(&folder).await;
        let storage = &world.storage;
        // The worst case: each of these blobs is there already, old and orphaned, when it is uploaded again.
        for seed in 0..40 {
            storage.blobs.put_proof(proof_bytes(seed).into()).await.expect("it can be written");
            let path = folder.path(&format!("data/blobs/{}", BlobName::Proof(proof_id(&proof_bytes(seed)))));
            let file = fs::File::options().write(true).open(path).expect("it is there");
            file.set_modified(std::time::UNIX_EPOCH).expect("it can be changed");
        }
        let uploads = async {
            for seed in 0..40 {
                let proof = upload(storage, &world.prover, seed).await.expect("it can be written");
                tokio::task::yield_now().await;
                world.commit(uploaded(proof, &world.prover, world.job, range(0, 3))).await.expect("it is new");
                storage.spool.forget(upload_key(&world.prover, seed)).await.expect("it can be removed");
            }
        };
        let collections = async {
            let mut removed = 0;
            for _ in 0..20 {
                // Old is what was written before 1971.
                removed += storage.collect(Millis(1 << 34), &ORPHANS).await.expect("it can be written").blobs;
            }
            removed
        };
        let ((), removed) = futures_util::future::join(uploads, collections).await;
        assert!(removed > 0, "some orphans went before they were uploaded again");
        for seed in 0..40 {
            assert!(has(storage, proof_id(&proof_bytes(seed))).await, "proof {seed}");
        }
        assert_eq!(storage.check().await.expect("readable").faults, []);
    });
}

#[test]
fn a_backup_is_a_moment_of_a_running_coordinator() {
    let folder = Folder::new("backup");
    let copy = folder.path("copy");
    run(async {
        let world = World::new(&folder).await;
        let storage = &world.storage;
        let first = world.prove(range(0, 2), 1, Verdict::Counted).await.expect("it is free");
        let parked = upload(storage, &world.prover, 9).await.expect("it can be written");
        world.commit(uploaded(parked, &world.prover, world.job, range(6, 8))).await.expect("it is new");
        for (seed, at) in [(2, 2), (3, 3), (4, 4), (5, 5)] {
            world.prove(range(at, at + 1), seed, Verdict::Counted).await.expect("it is free");
        }
        // Nothing needs the parts any more, but for the backup.
        let writes = async {
            for (seed, end) in [(12, 3), (13, 4), (14, 5), (15, 6)] {
                let proof = storage.blobs.put_proof(proof_bytes(seed).into()).await.expect("it can be written");
                world
                    .commit(Record::Merged { job: world.job, range: range(0, end), proof })
                    .await
                    .expect("it is whole");
                storage.collect(MUCH_LATER, &ORPHANS).await.expect("it can be written");
            }
        };
        let ((), bytes) = futures_util::future::join(writes, storage.backup(&copy)).await;
        assert!(bytes.expect("it can be written") > 400);
        let error = storage.backup(&copy).await.expect_err("one is there");
        assert!(matches!(error, StoreError::NotEmpty { .. }), "{error}");

        let restored = folder.path("restored");
        Storage::restore(&copy, &restored).await.expect("it is whole");
        let error = Storage::restore(&copy, &restored).await.expect_err("something is there");
        assert!(matches!(error, StoreError::NotEmpty { .. }), "{error}");
        let other = Storage::open(&restored, Default::default()).await.expect("it is a data folder");
        let checked = other.check().await.expect("readable");
        assert_eq!(checked.faults, []);
        assert!(checked.blobs >= 5);
        assert_eq!(other.store.progress(world.job).await.expect("readable").steps, 6);
        for part in other.store.cover(world.job).await.expect("readable") {
            other.blobs.proof(part.proof).await.expect("it is there");
        }
        assert_eq!(other.blobs.proof(parked.proof()).await.expect("it is there")[..], proof_bytes(9));
        assert!(!has(storage, first).await, "it went after the backup");
        assert!(other.store.epoch() > storage.store.epoch(), "old tasks are not taken for new ones");
        assert_eq!(other.collect(MUCH_LATER, &ORPHANS).await.expect("it can be written").blobs, 0);
    });
}

#[test]
fn a_bad_backup_is_not_taken_for_a_good_one() {
    let folder = Folder::new("bad-backup");
    run(async {
        let world = World::new(&folder).await;
        let proof = world.prove(range(0, 2), 1, Verdict::Counted).await.expect("it is free");
        let name = BlobName::Proof(proof);
        let copy = folder.path("copy");
        world.storage.backup(&copy).await.expect("it can be written");
        let path = copy.join("blobs").join(name.to_string());
        let good = fs::read(&path).expect("it is there");
        fs::write(&path, "damaged").expect("it can be written");
        let error = Storage::restore(&copy, &folder.path("one")).await.expect_err("it is damaged");
        assert!(matches!(&error, StoreError::Corrupt { blob, .. } if *blob == name.to_string()), "{error}");
        fs::remove_file(&path).expect("it is there");
        let error = Storage::restore(&copy, &folder.path("two")).await.expect_err("it is not whole");
        assert!(matches!(error, StoreError::Missing { .. }), "{error}");
        fs::write(&path, good).expect("it can be written");
        fs::remove_file(copy.join("backup")).expect("it is there");
        let error = Storage::restore(&copy, &folder.path("three")).await.expect_err("it was not finished");
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");

        // A damaged blob is not backed up as if it were good.
        fs::write(folder.path("data/blobs").join(name.to_string()), "damaged").expect("it can be written");
        let error = world.storage.backup(&folder.path("four")).await.expect_err("it is damaged");
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
        assert_eq!(world.storage.check().await.expect("readable").faults, [Fault::Damaged(name)]);
        let error = Storage::restore(&folder.path("four"), &folder.path("five")).await.expect_err("it is not whole");
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    });
}

#[test]
fn a_backup_that_crashes_is_none() {
    let folder = Folder::new("crashed-backup");
    for n in 1.. {
        let (to, name) = (folder.path(&format!("to-{n}")), format!("backup-{n}"));
        let source = Folder::new(&name);
        let done = run(async {
            World::new(&source).await.storage.close().await;
            let probe = Faults::crash_at(u64::MAX);
            source.open_with(Folder::faulty(&probe)).await.expect("it can be opened").close().await;
            let faults = Faults::crash_at(probe.passed() + n);
            let storage = source.open_with(Folder::faulty(&faults)).await.expect("the crash comes later");
            match storage.backup(&to).await {
                Ok(_) => true,
                Err(StoreError::Crashed) => {
                    let error = Storage::restore(&to, &folder.path("restored")).await.expect_err("it is not whole");
                    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
                    false
                }
                Err(error) => panic!("{error:?}"),
            }
        });
        if done {
            assert!(n > 5, "there are more points than {n}");
            break;
        }
    }
}
