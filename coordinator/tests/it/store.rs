//! What each record does and when it is refused, and what can be asked.

use crate::store_world::{
    COST, Folder, NOW, World, add_client, add_job, add_prover, idempotency, input, job_of, judged, key, payout,
    proof_bytes, prove, range, run, state, token, upload, uploaded, write_job,
};
use crowdfold_coordinator::store::{
    Accepted, Client, IdempotencyKey, JobFilter, JobWriter, Kept, NewClient, Options, Progress, Record, Role, Seen,
    Store, StoreError,
};
use crowdfold_sched::{ClientId, JobEnd, JobId, Millis, ProofId, ProverId, TaskId, Verdict};

async fn merge(world: &World, lo: u64, hi: u64, seed: u8) -> Record {
    let proof = world.storage.blobs.put_proof(proof_bytes(seed).into()).await.expect("it can be written");
    Record::Merged { job: world.job, range: range(lo, hi), proof }
}

fn end(job: JobId, end: JobEnd) -> Record {
    Record::Ended { job, end, reason: "because".into(), at: NOW }
}

#[test]
fn each_start_has_an_epoch_of_its_own() {
    let folder = Folder::new("epoch");
    let epochs: Vec<u16> = (0..3)
        .map(|_| {
            run(async {
                let storage = folder.open().await;
                let epoch = storage.store.epoch();
                storage.close().await;
                epoch
            })
        })
        .collect();
    assert_eq!(epochs, [1, 2, 3]);
}

#[test]
fn job_numbers_are_given_out_once() {
    let folder = Folder::new("numbers");
    let mut before = JobId(0);
    for _ in 0..2 {
        run(async {
            let storage = folder.open().await;
            for _ in 0..70 {
                let number = storage.store.job_number().await.expect("there are more");
                assert!(number > before, "{number} comes after {before}");
                before = number;
            }
            storage.close().await;
        });
    }
}

#[test]
fn a_folder_is_one_process_s() {
    let folder = Folder::new("locked");
    run(async {
        let storage = folder.open().await;
        let error = folder.open_with(Options::default()).await.expect_err("it is open");
        assert!(matches!(error, StoreError::Locked { .. }), "{error}");
        storage.close().await;
        folder.open().await.close().await;
    });
}

#[test]
fn a_newer_database_is_refused() {
    let folder = Folder::new("newer");
    run(async {
        folder.open().await.close().await;
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path("data/database"));
        let db = sqlx::SqlitePool::connect_with(options).await.expect("it is a database");
        let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                   VALUES (99, 'of the future', 1, x'00', 0)";
        sqlx::query(sql).execute(&db).await.expect("it can be changed");
        db.close().await;
        let error = folder.open_with(Options::default()).await.expect_err("it is newer");
        assert!(matches!(error, StoreError::Newer { found: 99, known: 3 }), "{error}");
        assert!(error.to_string().contains("use a newer one"), "{error}");
    });
}

#[test]
fn a_job_is_what_was_ordered() {
    let folder = Folder::new("job");
    run(async {
        let World { storage, client, job, .. } = World::new(&folder).await;
        let found = storage.store.job(job).await.expect("readable").expect("it is there");
        let wanted = job_of(found.data.clone(), client, 1);
        assert_eq!((found.spec, found.name, found.cost), (wanted.spec, wanted.name, COST));
        assert_eq!((&found.program, found.parameters), (&wanted.program, wanted.parameters));
        assert_eq!((&found.start, &found.end, found.submitted), (&wanted.start, &wanted.end, NOW));
        assert_eq!((found.id(), &found.ended, found.kept), (job, &None, Kept::All));

        let inputs = found.data.inputs(&storage.blobs, 2..8, u64::MAX).await.expect("readable");
        assert!(inputs.len() == 6 && inputs.iter().zip(2..).all(|(found, step)| found[..] == input(step)));
        // Inputs of 2, 3 and 4 bytes, of which the first two fit; one comes however small the limit is.
        assert_eq!(found.data.inputs(&storage.blobs, 2..8, 8).await.expect("readable").len(), 2);
        assert_eq!(found.data.inputs(&storage.blobs, 2..8, 0).await.expect("readable").len(), 1);
        for step in [0, 3, 8] {
            assert_eq!(found.data.state(&storage.blobs, step).await.expect("readable")[..], state(step));
        }
        assert!(matches!(found.data.state(&storage.blobs, 9).await, Err(StoreError::Conflict { .. })));
        assert!(matches!(found.data.inputs(&storage.blobs, 5..9, 9).await, Err(StoreError::Conflict { .. })));
    });
}

#[test]
fn a_repeated_request_is_the_same_job() {
    let folder = Folder::new("key");
    run(async {
        let World { storage, client, job, .. } = World::new(&folder).await;
        let number = storage.store.job_number().await.expect("there are more");
        assert!(number > job);
        let data = write_job(&storage, number, 8).await.expect("it can be written");
        let again = job_of(data.clone(), client, 1);
        assert_eq!(storage.store.add_job(&again).await.expect("it is the same"), Accepted::Before(job));
        assert!(storage.store.job(number).await.expect("readable").is_none());

        let other = IdempotencyKey { body: [7; 32], ..idempotency(1) };
        let error = storage.store.job_of_key(client, &other).await.expect_err("the body is another");
        assert!(matches!(error, StoreError::KeyReused { .. }), "{error}");
        let mut changed = again.clone();
        changed.key = Some(other);
        let error = storage.store.add_job(&changed).await.expect_err("the body is another");
        assert!(matches!(error, StoreError::KeyReused { .. }), "{error}");
        // Without the key it is a second job, of the same name on the chain.
        changed.key = None;
        let error = storage.store.add_job(&changed).await.expect_err("the name is taken");
        assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
        changed.name.job_id = [3; 32];
        changed.spec.client = ClientId(99);
        let error = storage.store.add_job(&changed).await.expect_err("there is no such client");
        assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
        // Keys are each client's own.
        let other = add_client(&storage, 2).await.expect("it is new");
        changed.spec.client = other;
        changed.key = Some(idempotency(1));
        assert_eq!(storage.store.add_job(&changed).await.expect("it is new"), Accepted::New(number));
        assert_eq!(storage.store.job_of_key(other, &idempotency(1)).await.expect("readable"), Some(number));

        changed.data = data;
        changed.spec.steps = 7;
        let error = storage.store.add_job(&changed).await.expect_err("it has inputs for 8 steps");
        assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
        changed.spec.steps = 8;
        changed.cost = u64::MAX / 2;
        let error = storage.store.add_job(&changed).await.expect_err("its credit could overflow");
        assert!(matches!(error, StoreError::Limit { .. }), "{error}");
    });
}

#[test]
fn a_job_s_data_is_bounded() {
    let folder = Folder::new("bounded");
    run(async {
        let storage = folder.open().await;
        let begin = |start: Vec<u8>| {
            let blobs = storage.blobs.clone();
            async move { JobWriter::begin(&blobs, JobId(1), &start).await }
        };
        assert!(matches!(begin(vec![]).await, Err(StoreError::Conflict { .. })));
        assert!(matches!(begin(vec![0; 1 << 20]).await, Err(StoreError::Limit { .. })));
        let mut writer = begin(state(0)).await.expect("it is a state");
        let long = vec![0; (128 << 10) + 1];
        assert!(matches!(writer.push(&long, &state(1)).await, Err(StoreError::Limit { .. })));
        assert!(matches!(writer.push(&[], &[0; 7]).await, Err(StoreError::Conflict { .. })));
        assert!(matches!(writer.finish().await, Err(StoreError::Conflict { .. })), "it has no steps");
    });
}

#[test]
fn a_verdict_credits_and_covers() {
    let folder = Folder::new("verdict");
    run(async {
        let world = World::new(&folder).await;
        let store = &world.storage.store;
        let counted = world.prove(range(0, 3), 1, Verdict::Counted).await.expect("it is free");
        let spare = Verdict::Spare { owed: 1 };
        let second = world.prove(range(2, 5), 2, spare).await.expect("it overlaps, but does not count");
        assert_eq!(store.progress(world.job).await.expect("readable"), Progress { steps: 3, ranges: 1 });
        let paid = Verdict::Compensated { steps: 1 };
        world.commit(judged(second, &world.prover, world.job, range(2, 5), paid)).await.expect("spares are decided");
        for (seed, verdict) in [(3, Verdict::Superseded), (4, Verdict::Late), (5, Verdict::Refused)] {
            let proof = world.prove(range(5, 6), seed, verdict).await.expect("that is possible");
            let found = store.proof(proof).await.expect("readable").expect("it is there");
            assert_eq!(found.verdict, Some(verdict));
            assert_eq!(found.reason.is_some(), verdict == Verdict::Refused);
            assert_eq!(found.task, Some(TaskId(u64::MAX - 5)));
        }
        let ledger = store.ledger(world.prover.id, None, 9).await.expect("readable");
        let credits: Vec<_> = ledger.iter().map(|entry| (entry.proof, entry.steps, entry.credit)).collect();
        assert_eq!(credits, [(counted, 3, 3 * COST), (second, 1, COST)]);
        let rest = store.ledger(world.prover.id, Some(ledger[0].entry), 9).await.expect("readable");
        assert_eq!(rest, ledger[1..]);
        let prover = store.prover(key(1)).await.expect("readable").expect("it is known");
        assert_eq!(prover.credit, 4 * COST);
        assert_eq!(store.payouts(None, 9).await.expect("readable"), [(payout(1), 4 * COST)]);
        let counts = store.counts().await.expect("readable");
        assert_eq!((counts.jobs, counts.proofs), ([1, 0, 0, 0, 0], [0, 1, 0, 1, 1, 1, 1]));
        assert_eq!((counts.provers, counts.ranges, counts.credits), (1, 1, 2));
    });
}

#[test]
fn a_verdict_that_contradicts_is_refused() {
    let folder = Folder::new("contradiction");
    run(async {
        let world = World::new(&folder).await;
        let (prover, job) = (&world.prover, world.job);
        let first = world.prove(range(0, 3), 1, Verdict::Counted).await.expect("it is free");
        for verdict in [Verdict::Counted, Verdict::Late, Verdict::Compensated { steps: 1 }] {
            world.rejects(judged(first, prover, job, range(0, 3), verdict), "waits for no verdict").await;
        }
        let spare = world.prove(range(2, 5), 2, Verdict::Spare { owed: 2 }).await.expect("that is possible");
        let as_ = |verdict| judged(spare, prover, job, range(2, 5), verdict);
        world.rejects(as_(Verdict::Refused), "waits for no verdict").await;
        world.rejects(as_(Verdict::Spare { owed: 1 }), "waits for no verdict").await;
        world.rejects(as_(Verdict::Counted), "overlap").await;
        world.rejects(as_(Verdict::Compensated { steps: 4 }), "not worth 4").await;
        // Each part of what it is about.
        let late = Verdict::Late;
        let other = add_prover(&world.storage, 2).await.expect("it can be written");
        world.rejects(judged(spare, &other, job, range(2, 5), late), "waits for no verdict").await;
        world.rejects(judged(spare, prover, JobId(77), range(2, 5), late), "waits for no verdict").await;
        world.rejects(judged(spare, prover, job, range(2, 4), late), "waits for no verdict").await;
        world.rejects(judged(ProofId([1; 32]), prover, job, range(2, 5), late), "waits for no verdict").await;
        assert_eq!(world.storage.store.ledger(prover.id, None, 9).await.expect("readable").len(), 1);

        // All of a group or nothing: the first of these is good.
        let group = [as_(late), judged(first, prover, job, range(0, 3), late)];
        let error = world.storage.store.commit(&group).await.expect_err("the second is not");
        assert!(matches!(error, StoreError::Rejected { record: 1, .. }), "{error}");
        let found = world.storage.store.proof(spare).await.expect("readable").expect("it is there");
        assert_eq!(found.verdict, Some(Verdict::Spare { owed: 2 }));
    });
}

#[test]
fn an_upload_is_recorded_once_and_found_again() {
    let folder = Folder::new("uploaded");
    run(async {
        let world = World::new(&folder).await;
        let proof = upload(&world.storage, &world.prover, 1).await.expect("it can be written");
        let record = |job, lo, hi| uploaded(proof, &world.prover, job, range(lo, hi));
        world.rejects(record(JobId(77), 0, 3), "is not there").await;
        world.rejects(record(world.job, 6, 9), "has no steps").await;
        let mut stranger = world.prover.clone();
        stranger.id = ProverId(77);
        world.rejects(uploaded(proof, &stranger, world.job, range(0, 3)), "FOREIGN KEY").await;
        world.commit(record(world.job, 0, 3)).await.expect("it is new");
        world.rejects(record(world.job, 0, 3), "UNIQUE").await;

        let found = world.storage.store.proofs(world.job, None, 9).await.expect("readable");
        assert_eq!(found.len(), 1);
        let (found, bytes) = (&found[0], proof_bytes(1).len() as u64);
        assert_eq!((found.proof, found.bytes, found.verdict), (proof.proof(), bytes, None));
        assert_eq!((found.prover, found.payout, found.range), (world.prover.id, payout(1), range(0, 3)));
        assert_eq!(world.storage.store.proofs(world.job, Some(found.proof), 9).await.expect("readable"), []);

        world.commit(Record::Withdrawn { proof: proof.proof() }).await.expect("it has no verdict");
        world.rejects(Record::Withdrawn { proof: proof.proof() }, "has its verdict").await;
        world.commit(record(world.job, 0, 3)).await.expect("it may come again");
    });
}

#[test]
fn a_merge_takes_the_place_of_its_parts_exactly() {
    let folder = Folder::new("merge");
    run(async {
        let world = World::new(&folder).await;
        for (seed, lo, hi) in [(1, 0, 2), (2, 2, 4), (3, 5, 8)] {
            world.prove(range(lo, hi), seed, Verdict::Counted).await.expect("it is free");
        }
        // With a gap at the start, at the end, in the middle; parts of ranges; none at all.
        for (lo, hi) in [(4, 8), (2, 5), (0, 8), (1, 4), (0, 3), (4, 5)] {
            world.rejects(merge(&world, lo, hi, 9).await, "make up").await;
        }
        world.commit(merge(&world, 0, 4, 9).await).await.expect("two make it up");
        let cover = world.storage.store.cover(world.job).await.expect("readable");
        assert_eq!(cover.iter().map(|part| part.range).collect::<Vec<_>>(), [range(0, 4), range(5, 8)]);
        assert_eq!(cover.iter().map(|part| part.prover).collect::<Vec<_>>(), [None, Some(world.prover.id)]);
        assert_eq!(cover[0].bytes, proof_bytes(9).len() as u64);
        assert_eq!(world.storage.blobs.proof(cover[0].proof).await.expect("it is there")[..], proof_bytes(9));
        let progress = world.storage.store.progress(world.job).await.expect("readable");
        assert_eq!(progress, Progress { steps: 7, ranges: 2 });
    });
}

#[test]
fn a_job_ends_once_and_is_done_only_with_a_root() {
    let folder = Folder::new("end");
    run(async {
        let world = World::new(&folder).await;
        let job = world.job;
        world.rejects(end(JobId(77), JobEnd::Failed), "is not there").await;
        world.rejects(end(job, JobEnd::Done), "not covered by one proof").await;
        world.prove(range(0, 3), 1, Verdict::Counted).await.expect("it is free");
        world.prove(range(3, 8), 2, Verdict::Counted).await.expect("it is free");
        world.rejects(end(job, JobEnd::Done), "not covered by one proof").await;
        let merged = merge(&world, 0, 8, 3).await;
        world.storage.store.commit(&[merged, end(job, JobEnd::Done)]).await.expect("it has a root");
        world.rejects(end(job, JobEnd::Cancelled), "has ended").await;
        let ended = world.storage.store.job(job).await.expect("readable").and_then(|job| job.ended).expect("it has");
        assert_eq!((ended.end, ended.at, ended.reason.as_str()), (JobEnd::Done, NOW, "because"));
        let root = ended.root.expect("it is done");
        assert_eq!(world.storage.blobs.proof(root).await.expect("it is there")[..], proof_bytes(3));
        // What comes now may be compensated, but does not count.
        let late = upload(&world.storage, &world.prover, 4).await.expect("it can be written");
        world.commit(uploaded(late, &world.prover, job, range(0, 2))).await.expect("its prover may be owed for it");
        world.rejects(judged(late.proof(), &world.prover, job, range(0, 2), Verdict::Counted), "open job").await;
        let paid = Verdict::Compensated { steps: 2 };
        world.commit(judged(late.proof(), &world.prover, job, range(0, 2), paid)).await.expect("it is owed");

        let other = add_job(&world.storage, world.client, 2, 4).await.expect("it is new");
        world.commit(end(other, JobEnd::Expired)).await.expect("it is open");
        let late = upload(&world.storage, &world.prover, 5).await.expect("it can be written");
        world.commit(uploaded(late, &world.prover, other, range(0, 2))).await.expect("the job is known");
        world.rejects(judged(late.proof(), &world.prover, other, range(0, 2), Verdict::Counted), "open job").await;
    });
}

#[test]
fn jobs_are_listed_in_pages() {
    let folder = Folder::new("pages");
    run(async {
        let World { storage, client, job, .. } = World::new(&folder).await;
        let mut all = vec![job];
        for seed in 2..6 {
            all.push(add_job(&storage, client, seed, 2).await.expect("it is new"));
        }
        storage.store.commit(&[end(all[2], JobEnd::Failed)]).await.expect("it is open");
        let ids =
            |jobs: Vec<crowdfold_coordinator::store::StoredJob>| jobs.iter().map(|job| job.id()).collect::<Vec<_>>();
        assert_eq!(ids(storage.store.open_jobs(None, 2).await.expect("readable")), all[..2]);
        assert_eq!(ids(storage.store.open_jobs(Some(all[1]), 9).await.expect("readable")), all[3..]);
        let newest: Vec<_> = all.iter().rev().copied().collect();
        let of = |client, before| JobFilter { client: Some(client), before, ..JobFilter::default() };
        assert_eq!(ids(storage.store.jobs(&of(client, None), 3).await.expect("readable")), newest[..3]);
        assert_eq!(ids(storage.store.jobs(&of(client, Some(newest[2])), 9).await.expect("readable")), newest[3..]);
        let state = |state| JobFilter { state: Some(state), ..JobFilter::default() };
        assert_eq!(ids(storage.store.jobs(&state(Some(JobEnd::Failed)), 9).await.expect("readable")), [all[2]]);
        assert_eq!(ids(storage.store.jobs(&state(None), 9).await.expect("readable")).len(), all.len() - 1);
        assert!(ids(storage.store.jobs(&state(Some(JobEnd::Done)), 9).await.expect("readable")).is_empty());
        let program = |program: &str| JobFilter { program: Some(program.into()), ..JobFilter::default() };
        let of_program = storage.store.job(job).await.expect("readable").expect("it is there").program;
        assert_eq!(ids(storage.store.jobs(&program(&of_program), 9).await.expect("readable")), newest);
        assert!(ids(storage.store.jobs(&program("another"), 9).await.expect("readable")).is_empty());
        assert!(ids(storage.store.jobs(&of(ClientId(99), None), 9).await.expect("readable")).is_empty());
    });
}

#[test]
fn provers_keep_their_number_and_are_ranked() {
    let folder = Folder::new("provers");
    run(async {
        let world = World::new(&folder).await;
        let store = &world.storage.store;
        let later = Millis(NOW.0 + 5);
        let seen = [key(2), key(1), key(2)].map(|key| Seen { key, payout: payout(7), at: later });
        let known = store.seen(&seen).await.expect("it can be written");
        assert_eq!((known[0].id, known[1].id), (known[2].id, world.prover.id));
        assert_eq!((known[1].first_seen, known[1].last_seen, known[1].payout), (NOW, later, payout(7)));
        assert_eq!(store.prover(key(9)).await.expect("readable"), None);

        world.commit(Record::Suspended { prover: known[0].id, until: later }).await.expect("it is known");
        world.commit(Record::Suspended { prover: known[0].id, until: Millis(9) }).await.expect("it is known");
        world.rejects(Record::Suspended { prover: ProverId(99), until: later }, "is not known").await;
        let two = store.prover(key(2)).await.expect("readable").expect("it is known");
        assert_eq!((two.strikes, two.suspended_until), (2, Millis(9)));
        // What is said again is not counted again, and what is forgotten is forgotten once.
        world.commit(Record::Suspended { prover: two.id, until: Millis(9) }).await.expect("it is known");
        let strikes = async || store.prover(key(2)).await.expect("readable").expect("it is known").strikes;
        assert_eq!(strikes().await, 2);
        for left in [1, 0, 0] {
            world.commit(Record::Forgiven { prover: two.id }).await.expect("it is known");
            assert_eq!(strikes().await, left);
        }
        world.rejects(Record::Forgiven { prover: ProverId(99) }, "is not known").await;
        let two = store.prover(key(2)).await.expect("readable").expect("it is known");

        let three = add_prover(&world.storage, 3).await.expect("it can be written");
        for (prover, seed, lo, hi) in [(&two, 1, 0, 1), (&three, 2, 1, 3), (&world.prover, 3, 3, 4)] {
            let counted = Verdict::Counted;
            prove(&world.storage, prover, world.job, range(lo, hi), seed, counted).await.expect("it is free");
        }
        let ranks = |provers: Vec<crowdfold_coordinator::store::Prover>| {
            provers.iter().map(|prover| (prover.credit, prover.id)).collect::<Vec<_>>()
        };
        // Equal ones in the order of their numbers, also across pages.
        let all = [(2 * COST, three.id), (COST, world.prover.id), (COST, two.id)];
        assert_eq!(ranks(store.leaderboard(None, 2).await.expect("readable")), all[..2]);
        assert_eq!(ranks(store.leaderboard(Some(all[1]), 9).await.expect("readable")), all[2..]);
        // The first prover made its proof for its address of then.
        let paid = [(payout(3), 2 * COST), (payout(1), COST), (payout(7), COST)];
        assert_eq!(store.payouts(None, 2).await.expect("readable"), paid[..2]);
        assert_eq!(store.payouts(Some((COST, payout(1))), 9).await.expect("readable"), paid[2..]);
        assert_eq!(world.storage.check().await.expect("readable").faults, []);
    });
}

#[test]
fn clients_are_found_by_their_token() {
    let folder = Folder::new("clients");
    run(async {
        let World { storage, client, .. } = World::new(&folder).await;
        let found = storage.store.client(token(1)).await.expect("readable").expect("it is there");
        assert_eq!((found.id, found.role, found.weight, found.revoked), (client, Role::Client, 3, None));
        assert_eq!(storage.store.client(token(2)).await.expect("readable"), None);
        let other = NewClient { name: "client 1".into(), role: Role::Admin, token: token(2), weight: 1, created: NOW };
        assert!(matches!(storage.store.add_client(&other).await, Err(StoreError::Conflict { .. })), "same name");
        let other = NewClient { name: "other".into(), token: token(1), ..other };
        assert!(matches!(storage.store.add_client(&other).await, Err(StoreError::Conflict { .. })), "same token");
        let other = NewClient { token: token(2), weight: 0, ..other };
        assert!(matches!(storage.store.add_client(&other).await, Err(StoreError::Conflict { .. })), "no weight");
        let other = NewClient { name: "x".repeat(257), weight: 1, ..other };
        assert!(matches!(storage.store.add_client(&other).await, Err(StoreError::Limit { .. })), "long name");
        storage.store.revoke_client(client, Millis(7)).await.expect("it is known");
        storage.store.revoke_client(client, Millis(8)).await.expect("it is known");
        let found = storage.store.client(token(1)).await.expect("readable").expect("it is there");
        assert_eq!(found.revoked, Some(Millis(7)));
        let names = |clients: Vec<Client>| clients.into_iter().map(|client| client.name).collect::<Vec<_>>();
        add_client(&storage, 5).await.expect("it is new");
        assert_eq!(names(storage.store.clients(None, 1).await.expect("readable")), ["client 1"]);
        assert_eq!(names(storage.store.clients(Some(client), 9).await.expect("readable")), ["client 5"]);
        assert!(matches!(storage.store.revoke_client(ClientId(9), NOW).await, Err(StoreError::Conflict { .. })));
    });
}

#[test]
fn a_group_is_bounded() {
    let folder = Folder::new("group");
    run(async {
        let world = World::new(&folder).await;
        world.storage.store.commit(&[]).await.expect("there is nothing to do");
        let record = Record::Withdrawn { proof: ProofId([0; 32]) };
        let error = world.storage.store.commit(&vec![record; 65_537]).await.expect_err("they are too many");
        assert!(matches!(error, StoreError::Limit { found: 65_537, .. }), "{error}");
    });
}
