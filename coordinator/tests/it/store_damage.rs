//! Blobs that are damaged, disks that are full, uploads that go wrong.

use crate::store_world::{
    Folder, MUCH_LATER, NOW, World, add_client, proof_bytes, range, run, token, upload, upload_key,
};
use bytes::Bytes;
use crowdfold_coordinator::store::limits::SpoolLimits;
use crowdfold_coordinator::store::{
    BlobName, Fault, JobData, NewClient, Options, Role, Storage, Store, StoreError, UploadKey,
};
use crowdfold_sched::{ProofId, ProverId, Verdict};
use std::fs;
use std::path::PathBuf;

fn blob(folder: &Folder, name: BlobName) -> PathBuf {
    folder.path(&format!("data/blobs/{name}"))
}

fn flip(path: &PathBuf, at: usize) {
    let mut bytes = fs::read(path).expect("it is there");
    bytes[at] ^= 0x80;
    fs::write(path, bytes).expect("it can be written");
}

fn truncate(path: &PathBuf, bytes: u64) {
    let file = fs::File::options().write(true).open(path).expect("it is there");
    file.set_len(bytes).expect("it can be written");
}

async fn data(world: &World) -> JobData {
    world.storage.store.job(world.job).await.expect("readable").expect("it is there").data
}

async fn faults(storage: &Storage) -> Vec<Fault> {
    storage.check().await.expect("readable").faults
}

#[test]
fn a_damaged_proof_is_named() {
    let folder = Folder::new("damaged-proof");
    run(async {
        let world = World::new(&folder).await;
        let proof = world.prove(range(0, 3), 1, Verdict::Counted).await.expect("it is free");
        let (name, blobs) = (BlobName::Proof(proof), &world.storage.blobs);
        flip(&blob(&folder, name), 17);
        let error = blobs.proof(proof).await.expect_err("a bit is wrong");
        assert!(matches!(&error, StoreError::Corrupt { blob, .. } if *blob == name.to_string()), "{error}");
        assert_eq!(faults(&world.storage).await, [Fault::Damaged(name)]);
        fs::remove_file(blob(&folder, name)).expect("it is there");
        let error = blobs.proof(proof).await.expect_err("it is gone");
        assert!(matches!(&error, StoreError::Missing { blob } if *blob == name.to_string()), "{error}");
        assert_eq!(faults(&world.storage).await, [Fault::Missing(name)]);
    });
}

#[test]
fn damaged_inputs_and_states_are_named() {
    let folder = Folder::new("damaged-job");
    run(async {
        let world = World::new(&folder).await;
        let (data, blobs) = (data(&world).await, &world.storage.blobs);
        let [inputs, index, states] = [BlobName::Inputs, BlobName::Index, BlobName::States].map(|name| name(world.job));
        let names = |error: StoreError, name: BlobName| {
            assert!(matches!(&error, StoreError::Corrupt { blob, .. } if *blob == name.to_string()), "{error:?}");
        };
        truncate(&blob(&folder, states), 8 * 8 + 3);
        names(data.state(blobs, 8).await.expect_err("it is cut"), states);
        data.state(blobs, 7).await.expect("that is there still");
        truncate(&blob(&folder, states), 0);
        names(data.state(blobs, 0).await.expect_err("nothing is there"), states);

        truncate(&blob(&folder, inputs), 12);
        names(data.inputs(blobs, 5..8, 100).await.expect_err("it is cut"), inputs);
        assert_eq!(data.inputs(blobs, 0..5, 100).await.expect("these are there still").len(), 5);

        // An end that is before its beginning, and one far behind.
        for at in [8 * 2, 8 * 2 + 2, 8 * 2 + 7] {
            flip(&blob(&folder, index), at);
            names(data.inputs(blobs, 0..8, 100).await.expect_err("it goes back"), index);
            flip(&blob(&folder, index), at);
        }
        truncate(&blob(&folder, index), 8 * 8 + 7);
        names(data.inputs(blobs, 7..8, 100).await.expect_err("it is cut"), index);
        assert_eq!(faults(&world.storage).await, [inputs, index, states].map(Fault::Damaged));
    });
}

#[test]
fn a_changed_database_is_found_out() {
    let folder = Folder::new("changed");
    run(async {
        let world = World::new(&folder).await;
        world.prove(range(0, 3), 1, Verdict::Counted).await.expect("it is free");
        let options =
            sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path("data/database")).foreign_keys(false);
        let db = sqlx::SqlitePool::connect_with(options).await.expect("it is a database");
        let change = |sql: &'static str| sqlx::query(sql).execute(&db);
        assert_eq!(faults(&world.storage).await, []);
        change("UPDATE cover SET hi = 9").await.expect("it can be changed");
        assert_eq!(faults(&world.storage).await, [Fault::Cover(world.job)]);
        change("UPDATE cover SET hi = 3").await.expect("it can be changed");
        change("UPDATE provers SET credit = credit + 1").await.expect("it can be changed");
        let ledger = |found: &[Fault]| matches!(found, [Fault::Ledger(_)]);
        assert!(ledger(&faults(&world.storage).await));
        change("UPDATE provers SET credit = credit - 1").await.expect("it can be changed");
        change("DELETE FROM payouts").await.expect("it can be changed");
        assert!(ledger(&faults(&world.storage).await));
        change("INSERT INTO payouts SELECT payout, credit FROM ledger").await.expect("it can be changed");
        change("UPDATE proofs SET prover = 77").await.expect("it can be changed");
        assert!(matches!(faults(&world.storage).await[..], [Fault::Database(_)]));
        change("UPDATE proofs SET prover = 1").await.expect("it can be changed");
        assert_eq!(faults(&world.storage).await, []);
        db.close().await;
    });
}

#[test]
fn an_upload_goes_on_where_it_was() {
    let folder = Folder::new("resumed");
    let bytes = proof_bytes(1);
    let upload = UploadKey { prover: ProverId(1), proof: ProofId(crowdfold_wire::UploadId::of(&bytes).0) };
    let chunk = |from: usize, to: usize| Bytes::copy_from_slice(&bytes[from..to]);
    run(async {
        let storage = folder.open().await;
        assert_eq!(storage.spool.stored(upload), None);
        assert_eq!(storage.spool.append(upload, 0, chunk(0, 150)).await.expect("it is the first"), 150);
        for (offset, part) in [(0, chunk(0, 150)), (149, chunk(149, 200)), (151, chunk(151, 200))] {
            let error = storage.spool.append(upload, offset, part).await.expect_err("it is not the next");
            assert!(matches!(error, StoreError::Offset { stored: 150, .. }), "{error}");
        }
        let long = storage.spool.append(upload, 150, vec![0; (256 << 10) + 1].into()).await.expect_err("it is long");
        assert!(matches!(long, StoreError::Limit { .. }), "{long}");
        let error = storage.spool.finish(upload, &storage.blobs).await.expect_err("it is not all");
        assert!(matches!(error, StoreError::WrongHash { .. }), "{error}");
        assert_eq!(storage.blobs.size(BlobName::Proof(upload.proof)).await.expect("readable"), None);
    });
    // A file that nobody wrote here is left alone.
    fs::write(folder.path("data/spool/notes.txt"), "mine").expect("it can be written");
    run(async {
        let storage = folder.open().await;
        assert_eq!((storage.spool.stored(upload), storage.spool.usage()), (Some(150), (1, 150)));
        storage.spool.append(upload, 150, chunk(150, 400)).await.expect("it is the next");
        let (send, receive) = std::sync::mpsc::channel();
        let each = move |part: &[u8]| send.send(part.to_vec()).expect("it is received");
        storage.spool.read(upload, each).await.expect("readable");
        assert_eq!(receive.iter().collect::<Vec<_>>().concat(), bytes);
        let proof = storage.spool.finish(upload, &storage.blobs).await.expect("it is all");
        assert_eq!((proof.proof(), proof.bytes()), (upload.proof, 400));
        assert_eq!(storage.spool.stored(upload), Some(400), "until it is forgotten");
        storage.spool.forget(upload).await.expect("it can be removed");
        storage.spool.forget(upload).await.expect("that is no error");
        assert_eq!((storage.spool.stored(upload), storage.spool.usage()), (None, (0, 0)));
        assert_eq!(storage.blobs.proof(upload.proof).await.expect("it is there")[..], bytes);
        // What is old is forgotten, what is not stays.
        storage.spool.append(upload, 0, chunk(0, 9)).await.expect("it begins again");
        assert_eq!(storage.spool.forget_older(NOW).await.expect("readable"), 0);
        assert_eq!(storage.spool.forget_older(MUCH_LATER).await.expect("readable"), 1);
    });
}

#[test]
fn a_torn_tail_costs_that_upload_only() {
    let folder = Folder::new("torn");
    run(async {
        let world = World::new(&folder).await;
        let key = upload_key(&world.prover, 1);
        let bytes = Bytes::from(proof_bytes(1));
        world.storage.spool.append(key, 0, bytes.slice(..100)).await.expect("it is the first");
        world.storage.close().await;
        // As after a power failure: the file is longer, by bytes that are not those that came.
        let file = fs::read_dir(folder.path("data/spool")).expect("it is there").next().expect("it has a file");
        let path = file.expect("readable").path();
        let mut torn = fs::read(&path).expect("it is there");
        torn.extend([0; 60]);
        fs::write(&path, torn).expect("it can be written");

        let storage = folder.open().await;
        assert_eq!(storage.spool.stored(key), Some(160));
        storage.spool.append(key, 160, bytes.slice(160..)).await.expect("it is the next");
        let error = storage.spool.finish(key, &storage.blobs).await.expect_err("a part is wrong");
        assert!(matches!(error, StoreError::WrongHash { .. }), "{error}");
        storage.spool.forget(key).await.expect("it can be removed");
        // As after a write that failed: the file is there, and longer than what comes first.
        fs::write(&path, [1; 300]).expect("it can be written");
        storage.spool.append(key, 0, bytes.slice(..100)).await.expect("it is the first");
        storage.close().await;
        let storage = folder.open().await;
        assert_eq!(storage.spool.stored(key), Some(100));
        storage.spool.forget(key).await.expect("it can be removed");
        assert_eq!(upload(&storage, &world.prover, 1).await.expect("all is right now").proof(), key.proof);
    });
}

#[test]
fn a_full_spool_is_no_catastrophe() {
    let folder = Folder::new("full-spool");
    run(async {
        let spool = SpoolLimits { uploads_per_prover: 2, bytes_per_prover: 300, uploads: 3, bytes: 500 };
        let storage = folder.open_with(Options { spool, ..Options::default() }).await.expect("it can be opened");
        let key = |prover, proof| UploadKey { prover: ProverId(prover), proof: ProofId([proof; 32]) };
        let append = |key, offset, bytes: usize| storage.spool.append(key, offset, vec![7; bytes].into());
        let full = |result: Result<u64, StoreError>| {
            let error = result.expect_err("it is full");
            assert!(matches!(error, StoreError::Full { .. }), "{error}");
        };
        assert_eq!(append(key(1, 1), 0, 100).await.expect("there is room"), 100);
        assert_eq!(append(key(1, 2), 0, 100).await.expect("there is room"), 100);
        full(append(key(1, 3), 0, 1).await);
        full(append(key(1, 2), 100, 101).await);
        assert_eq!(append(key(1, 2), 100, 100).await.expect("there is room"), 200);
        full(append(key(2, 1), 0, 201).await);
        assert_eq!(append(key(2, 1), 0, 200).await.expect("there is room"), 200);
        full(append(key(3, 1), 0, 0).await);
        full(append(key(2, 1), 200, 1).await);
        storage.spool.forget(key(1, 2)).await.expect("it can be removed");
        assert_eq!(append(key(2, 1), 200, 1).await.expect("there is room again"), 201);
        assert_eq!(storage.spool.usage(), (2, 301));
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_no_catastrophe() {
    let folder = Folder::new("full-disk");
    run(async {
        let world = World::new(&folder).await;
        let key = upload_key(&world.prover, 1);
        // A device that has no room.
        let file = folder.path(&format!("data/spool/{}-{}", key.prover, hex::encode(key.proof.0)));
        std::os::unix::fs::symlink("/dev/full", &file).expect("it can be made");
        let error = upload(&world.storage, &world.prover, 1).await.expect_err("the disk is full");
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
        assert_eq!(world.storage.spool.stored(key), None);
        fs::remove_file(&file).expect("it is there");
        upload(&world.storage, &world.prover, 1).await.expect("there is room again");
    });
}

#[test]
fn a_full_database_can_be_read_and_loses_nothing() {
    let folder = Folder::new("full-database");
    run(async {
        World::new(&folder).await.storage.close().await;
        let options = Options { database_pages: Some(60), ..Options::default() };
        let storage = folder.open_with(options).await.expect("it can be opened");
        let mut added = 1;
        let error = loop {
            let client = NewClient {
                name: format!("{added} {}", "x".repeat(200)),
                role: Role::Client,
                token: token(added + 1),
                weight: 1,
                created: NOW,
            };
            match storage.store.add_client(&client).await {
                Ok(_) => added += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
        assert!(storage.store.client(token(added)).await.expect("readable").is_some());
        assert!(storage.store.client(token(added + 1)).await.expect("readable").is_none());
        assert_eq!(faults(&storage).await, []);
        storage.close().await;
        let storage = folder.open().await;
        add_client(&storage, 250).await.expect("there is room again");
    });
}
