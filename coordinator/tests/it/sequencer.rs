//! Transactions become batches, batches become jobs, and their proofs become one.

use crowdfold_coordinator::sequencer::{
    AccountName, Answer, MAX_REQUEST_TRANSACTIONS, Offered, SealedNow, SequencerError, Settings, Unanswered,
};
use crowdfold_coordinator::store::{BatchState, DepositConflict, Fault, Options, Place, Store as _};
use crowdfold_fold::{Address, Fr};
use crowdfold_programs::rollup::{Batch, BatchData, Deposit, SignedTransaction, Transaction};
use crowdfold_rollup::store::Store as Accounts;
use crowdfold_sched::{JobEnd, Millis};

use crate::sequencer_world::{
    BALANCE, OPERATOR, World, domain, genesis, index, offered, part, secret, settings, test, transfer,
};
use crate::store_world::{Folder, MUCH_LATER, NOW};

#[test]
fn what_is_accepted_is_executed_in_its_order() {
    let folder = Folder::new("seq-order");
    genesis(&folder, 5);
    test(async {
        let world = World::new(&folder, settings()).await;
        let all = [
            transfer(2, 3, 1, 9, 10),
            transfer(2, 3, 0, 5, 20),
            transfer(3, 2, 0, 7, 30),
            offered(Transaction::Withdrawal {
                from: index(4),
                nonce: 0,
                fee: 6,
                amount: 40,
                address: Address([1; 20]),
            }),
        ];
        world.accept(&all).await;
        assert_eq!(world.place(&all[0]).await, Place::Pending);
        let account =
            world.sequencer.account(AccountName::Index(index(2))).await.expect("readable").expect("it exists");
        assert_eq!((account.pending, account.next_nonce, account.available), (2, 2, BALANCE - 44));
        assert_eq!(world.seal().await, 1);

        // By fee, and nonce 1 after nonce 0.
        for (offered, wanted) in all.iter().zip([3, 2, 0, 1]) {
            let place = world.place(offered).await;
            assert!(matches!(place, Place::Included { batch: 1, position, sequence: 1, .. } if position == wanted));
        }
        assert_eq!(world.balance(2), BALANCE - 20 - 5 - 10 - 9 + 30);
        assert_eq!((world.balance(3), world.balance(OPERATOR)), (BALANCE + 30 - 37, BALANCE + 5 + 9 + 7 + 6));
        let batch = world.batch(1).await;
        assert_eq!((batch.transactions, batch.deposits, batch.steps), (4, 0, 2));
        let bytes = world.storage.blobs.size(batch.data_blob()).await.expect("readable");
        assert_eq!(bytes, Some(2 * 9 * 32));

        // The job is the batch, and becomes one once.
        let job = world.job(1).await;
        let stored = world.storage.store.job(job).await.expect("readable").expect("it is there");
        assert_eq!((stored.spec.steps, stored.spec.height, stored.end), (2, 1, batch.end));
        assert_eq!(stored.name.job_id, world.sequence(1).await.chain_job);
        assert!(matches!(world.place(&all[0]).await, Place::Included { job: Some(found), is_proved: false, .. }
            if found == job));
        world.prove(1).await;
        assert!(matches!(world.place(&all[0]).await, Place::Included { is_proved: true, .. }));
        assert_eq!(world.storage.check().await.expect("readable").faults, []);
        world.stop().await;
    });
}

#[test]
fn each_refusal_has_its_code() {
    let folder = Folder::new("seq-codes");
    genesis(&folder, 4);
    test(async {
        let limits = Settings { least_fee: 5, pending: 3, account_pending: 2, nonce_gap: 1, ..settings() };
        let world = World::new(&folder, limits).await;
        let good = transfer(2, 3, 0, 10, 1);
        world.accept(&[good]).await;
        // Somebody else's signature, and one over something else.
        let Transaction::Transfer { .. } = good.signed.transaction() else { panic!("it is a transfer") };
        let of = |transaction, key: u32, domain: Fr| {
            let signed = SignedTransaction::sign(transaction, domain, &secret(key)).expect("it is signed");
            Offered::new(signed, crate::sequencer_world::domain())
        };
        let next = Transaction::Transfer { from: index(2), to: index(3), nonce: 1, fee: 10, amount: 1 };
        world.refuse(of(next, 3, domain()), "bad_signature").await;
        world.refuse(of(next, 2, domain() + Fr::from(1)), "bad_signature").await;
        let other = *transfer(2, 3, 1, 11, 1).signed.signature();
        let moved = SignedTransaction::new(next, other).expect("it is signed");
        world.refuse(Offered::new(moved, domain()), "bad_signature").await;

        world.refuse(transfer(2, 3, 1, 4, 1), "fee_too_low").await;
        world.refuse(transfer(2, 3, 3, 9, 1), "nonce_gap").await;
        world.refuse(transfer(2, 3, 0, 10, 2), "replacement_fee").await;
        world.refuse(transfer(2, 3, 1, 9, BALANCE), "balance").await;
        world.refuse(transfer(2, 3, 1, 9, u128::MAX), "balance").await;
        world.refuse(transfer(9, 3, 0, 9, 1), "unknown_account").await;
        world.refuse(transfer(2, 9, 1, 9, 1), "unknown_recipient").await;
        world.accept(&[transfer(2, 3, 1, 10, 1)]).await;
        world.refuse(transfer(2, 3, 2, 10, 1), "account_full").await;
        world.accept(&[transfer(3, 2, 0, 10, 1)]).await;
        world.refuse(transfer(0, 2, 0, 10, 1), "full").await;

        // The same again is answered with what became of it, before and after its batch.
        let again = world.submit(&[good, good]).await;
        assert!(again.iter().all(|answer| matches!(answer, Answer::Known(receipt) if receipt.hash == good.hash)));
        world.seal().await;
        let [Answer::Known(receipt)] = &world.submit(&[good]).await[..] else { panic!("it is known") };
        assert!(matches!(receipt.place, Place::Included { batch: 1, .. }));
        world.refuse(transfer(2, 3, 0, 99, 7), "nonce_used").await;

        let numbers = world.sequencer.numbers().await.expect("readable");
        let counts = numbers.counts.batches;
        assert_eq!((numbers.pending, numbers.batch, counts[0] + counts[1], counts[2..] == [0, 0]), (0, 1, 1, true));
        let count = |code| numbers.decided.get(code).copied().unwrap_or(0);
        assert_eq!((count("accepted"), count("bad_signature"), count("duplicate"), count("full")), (3, 3, 3, 1));
        world.stop().await;
    });
}

#[test]
fn a_group_is_decided_in_its_order() {
    let folder = Folder::new("seq-group");
    genesis(&folder, 4);
    test(async {
        let world = World::new(&folder, Settings { nonce_gap: 0, account_pending: 100, ..settings() }).await;
        // Each follows the one before it; the replaced one is never pending on disk.
        let mut all: Vec<_> = (0..40).map(|nonce| transfer(2, 3, nonce, 5, 1)).collect();
        all.push(transfer(2, 3, 39, 10, 2));
        world.accept(&all).await;
        let Place::Dropped { why, .. } = world.place(&all[39]).await else { panic!("it was replaced") };
        assert_eq!(why.reason, "replaced");
        // It may come back, if it pays for it; its old name is free.
        world.refuse(all[39], "replacement_fee").await;
        world.seal().await;
        assert_eq!(world.batch(1).await.transactions, 40);
        assert!(matches!(world.place(&all[40]).await, Place::Included { position: 39, .. }));
        world.stop().await;
    });
}

#[test]
fn what_was_dropped_may_be_sent_again() {
    let folder = Folder::new("seq-again");
    genesis(&folder, 4);
    test(async {
        let world = World::new(&folder, Settings { pending: 1, ..settings() }).await;
        let low = transfer(2, 3, 0, 5, 1);
        world.accept(&[low]).await;
        world.accept(&[transfer(3, 2, 0, 6, 1)]).await;
        let Place::Dropped { why, .. } = world.place(&low).await else { panic!("it gave way") };
        assert_eq!(why.reason, "gave_way");
        world.seal().await;
        world.accept(&[low]).await;
        assert_eq!(world.place(&low).await, Place::Pending);
        world.seal().await;
        assert!(matches!(world.place(&low).await, Place::Included { batch: 2, .. }));
        world.stop().await;
    });
}

#[test]
fn batches_are_sealed_by_size_and_by_age() {
    let folder = Folder::new("seq-due");
    genesis(&folder, 4);
    test(async {
        let by_size = Settings { batch_transactions: 3, sequence_batches: 2, ..settings() };
        let world = World::new(&folder, by_size).await;
        // One with a gap waits, and does not count.
        world.accept(&[transfer(3, 2, 5, 5, 1)]).await;
        let all: Vec<_> = (0..8).map(|nonce| transfer(2, 3, nonce, 5, 1)).collect();
        world.accept(&all).await;
        world.until("two batches are full", async |world| world.sequencer.view().snapshot.head().batch == 2).await;
        assert_eq!((world.batch(1).await.transactions, world.batch(2).await.transactions), (3, 3));
        assert_eq!(world.sequencer.view().pending, 3);
        assert!(world.sequence(1).await.closed.is_some(), "it has two batches");
        world.stop().await;

        let by_age = Settings { batch_age_s: 0, sequence_age_s: 0, ..settings() };
        let world = World::new(&folder, by_age).await;
        world.until("the rest is old", async |world| world.sequencer.view().snapshot.head().batch == 3).await;
        world.until("the sequence is old", async |world| world.sequence(2).await.closed.is_some()).await;
        assert_eq!(world.batch(3).await.transactions, 2);
        assert_eq!(world.sequencer.view().pending, 1, "the one with a gap");
        world.stop().await;
    });
}

#[test]
fn what_waits_too_long_is_dropped_and_receipts_are_forgotten() {
    let folder = Folder::new("seq-expiry");
    genesis(&folder, 4);
    test(async {
        let world = World::new(&folder, Settings { pending_s: 1, receipts_s: 0, ..settings() }).await;
        let old = transfer(2, 3, 0, 5, 1);
        world.accept(&[old]).await;
        world.until("it expires", async |world| world.sequencer.view().pending == 0).await;
        let Place::Dropped { why, .. } = world.place(&old).await else { panic!("it expired") };
        assert_eq!(why.reason, "expired");
        let kept = transfer(2, 3, 0, 6, 1);
        world.accept(&[kept]).await;
        world.seal().await;
        let store = &world.storage.store;
        assert_eq!(store.forget_transactions(MUCH_LATER, 10).await.expect("it can be written"), 1);
        assert_eq!(store.transaction(old.hash).await.expect("readable"), None);
        // That of a batch is kept until its sequence is proved, and then some time.
        world.prove(1).await;
        assert_eq!(store.forget_transactions(MUCH_LATER, 10).await.expect("it can be written"), 0);
        world.sequencer.seal(true).await.expect("it answers");
        world.until("it is merged", async |world| world.sequence(1).await.root.is_some()).await;
        assert_eq!(store.forget_transactions(MUCH_LATER, 10).await.expect("it can be written"), 1);
        assert_eq!(store.transaction(kept.hash).await.expect("readable"), None);
        world.stop().await;
    });
}

#[test]
fn deposits_come_in_their_order_and_once() {
    let folder = Folder::new("seq-deposits");
    genesis(&folder, 3);
    test(async {
        let world = World::new(&folder, Settings { first_deposit: 4, ..settings() }).await;
        let deposit = |number: u32, amount| Deposit { key: secret(number).public(), amount };
        let add = async |deposits: &[(u64, Deposit)]| {
            world.sequencer.add_deposits(deposits.to_vec()).await.expect("it answers")
        };
        let (first, second, third) = ((4, deposit(50, 7)), (5, deposit(0, 8)), (6, deposit(50, 9)));
        assert_eq!(add(&[second]).await, Err(DepositConflict::Gap { next: 4 }));
        assert_eq!(add(&[first, third]).await, Err(DepositConflict::Gap { next: 5 }));
        assert_eq!(add(&[first, second]).await, Ok(2));
        assert_eq!(add(&[first, second, third]).await, Ok(1));
        assert_eq!(add(&[third]).await, Ok(0));
        assert_eq!(add(&[(5, deposit(0, 9))]).await, Err(DepositConflict::Differs { number: 5 }));
        world.accept(&[transfer(0, 2, 0, 9, 1)]).await;
        world.refuse(transfer(0, 3, 1, 9, 1), "unknown_recipient").await;
        world.seal().await;
        let batch = world.batch(1).await;
        assert_eq!((batch.transactions, batch.deposits), (4, 3));
        // They come first, and the first new key has the next index.
        assert_eq!((world.balance(3), world.balance(0)), (16, BALANCE + 8 - 10));
        let view = world.sequencer.view();
        let linked = [first, second, third].iter().fold(Fr::from(0), |link, (_, deposit)| deposit.link(link));
        assert_eq!(view.snapshot.head().state.deposits, linked);
        world.accept(&[transfer(0, 3, 1, 9, 1)]).await;
        // A new account may pay.
        let spend = Transaction::Transfer { from: index(3), to: index(0), nonce: 0, fee: 1, amount: 15 };
        let signed = SignedTransaction::sign(spend, domain(), &secret(50)).expect("it is signed");
        world.accept(&[Offered::new(signed, domain())]).await;
        drop(view);
        world.stop().await;
    });
}

#[test]
fn a_batch_can_be_checked_by_anybody() {
    let folder = Folder::new("seq-data");
    genesis(&folder, 4);
    test(async {
        let world = World::new(&folder, settings()).await;
        let start = world.sequencer.view().snapshot.head().state;
        world.accept(&[transfer(2, 3, 0, 5, 1), transfer(3, 2, 0, 6, 2)]).await;
        world.seal().await;
        let batch = world.batch(1).await;
        let end = world.sequencer.view().snapshot.head().state;
        let path = |name: &dyn std::fmt::Display| folder.path(&format!("data/blobs/{name}"));
        let data = std::fs::read(path(&batch.data_blob())).expect("it is there");
        let data = BatchData::from_bytes(&data).expect("it is data");
        assert!(data.check(data.hash(), start.sealed, end.sealed), "as the contract does");
        let job = Batch::from_bytes(&std::fs::read(path(&batch.job_blob())).expect("it is there")).expect("a batch");
        assert_eq!((job.start(), job.entries().len()), (&start, 2));

        // A damaged one is seen, and not handed out.
        std::fs::write(path(&batch.data_blob()), "damaged").expect("it can be written");
        let faults = world.storage.check().await.expect("readable").faults;
        assert_eq!(faults, [Fault::Damaged(batch.data_blob())]);
        world.stop().await;
    });
}

#[test]
fn an_account_is_shown_with_its_path() {
    let folder = Folder::new("seq-account");
    genesis(&folder, 20);
    test(async {
        let world = World::new(&folder, settings()).await;
        world.accept(&[transfer(2, 3, 0, 5, 1)]).await;
        world.seal().await;
        let root = world.sequencer.view().snapshot.head().state.root;
        let ask = async |name| world.sequencer.account(name).await.expect("readable");
        let by_index = ask(AccountName::Index(index(2))).await.expect("it exists");
        let key = crowdfold_rollup::forms::KeyText::from(secret(2).public());
        assert_eq!(ask(AccountName::Key(key)).await, Some(by_index.clone()));
        assert_eq!(ask(AccountName::Index(index(20))).await, None);
        assert_eq!(ask(AccountName::Key(secret(77).public().into())).await, None);
        assert_eq!(by_index.batch, 1);

        // As a client reads it.
        let text = serde_json::to_string(&by_index.proof).expect("it can be written");
        let read: crowdfold_rollup::forms::AccountProof = serde_json::from_str(&text).expect("it can be read");
        let account = read.verify(root).expect("it leads to the root");
        assert_eq!((account.balance, account.nonce, account.key), (BALANCE - 6, 1, secret(2).public()));
        assert!(read.verify(root + Fr::from(1)).is_err());
        world.stop().await;
    });
}

#[test]
fn proofs_of_a_sequence_become_one() {
    let folder = Folder::new("seq-merge");
    genesis(&folder, 4);
    test(async {
        let world = World::new(&folder, Settings { sequence_batches: 3, ..settings() }).await;
        for nonce in 0..4 {
            world.accept(&[transfer(2, 3, nonce, 5, 1)]).await;
            let sealed = world.sequencer.seal(false).await.expect("it answers");
            let closed = (nonce == 2).then_some(1);
            assert_eq!(sealed, SealedNow { batch: Some(u64::from(nonce) + 1), closed });
        }
        let names = [world.sequence(1).await.chain_job, world.sequence(2).await.chain_job];
        assert_ne!(names[0], names[1]);
        // Open jobs of a name are told apart by their states.
        let stored = async |batch| {
            let job = world.job(batch).await;
            world.storage.store.job(job).await.expect("readable").expect("it is there")
        };
        let all = [stored(1).await, stored(2).await, stored(3).await];
        let open = world.storage.store.open_jobs_named(&all[0].name).await.expect("readable");
        assert_eq!(open.iter().map(|job| job.id()).collect::<Vec<_>>(), all.each_ref().map(|job| job.id()));
        assert!(all[0].end == all[1].start && all[1].end == all[2].start && all[0].start != all[1].start);
        assert_eq!(world.storage.store.open_jobs_named(&stored(4).await.name).await.expect("readable").len(), 1);

        let mut parts = Vec::new();
        for batch in [2, 1, 4, 3] {
            assert_eq!(world.sequence(1).await.root, None);
            world.prove(batch).await;
        }
        for batch in 1..4 {
            parts.push(part(world.job(batch).await));
            assert_eq!(world.batch(batch).await.chain_job, names[0]);
        }
        world.until("it is merged", async |world| world.sequence(1).await.root.is_some()).await;
        let (root, bytes, _) = world.sequence(1).await.root.expect("it is there");
        let proof = world.storage.blobs.proof(root).await.expect("it is there");
        assert_eq!((&proof[..], proof.len() as u64), (&parts.concat()[..], bytes));
        let counts = world.sequencer.numbers().await.expect("readable").counts;
        assert_eq!((counts.batches, counts.sequences, counts.deposits), ([0, 0, 4, 0], [1, 0, 1], 0));
        // The second one has a proof as soon as it is closed: that of its batch.
        assert_eq!(world.sequencer.seal(true).await, Ok(SealedNow { batch: None, closed: Some(2) }));
        world.until("it is merged", async |world| world.sequence(2).await.root.is_some()).await;
        assert_eq!(world.sequence(2).await.root.map(|root| root.0), world.batch(4).await.root);
        assert_eq!(world.storage.check().await.expect("readable").faults, []);
        world.stop().await;
    });
}

#[test]
fn proofs_stay_until_they_are_merged() {
    let folder = Folder::new("seq-keep");
    genesis(&folder, 4);
    test(async {
        let world = World::new(&folder, settings()).await;
        for nonce in 0..2 {
            world.accept(&[transfer(2, 3, nonce, 5, 1)]).await;
            world.seal().await;
        }
        world.prove(1).await;
        let all =
            crowdfold_coordinator::store::Retention { job_ms: 0, root_ms: Some(0), orphan_ms: 0, upload_ms: u64::MAX };
        let storage = &world.storage;
        let collect = async || storage.collect(MUCH_LATER, &all).await.expect("it can be written");
        collect().await;
        let first = world.batch(1).await;
        let root = first.root.expect("it is proved");
        storage.blobs.proof(root).await.expect("it is needed");
        assert!(storage.blobs.size(first.job_blob()).await.expect("readable").is_some());
        world.job(2).await;
        world.prove(2).await;
        world.sequencer.seal(true).await.expect("it answers");
        world.until("it is merged", async |world| world.sequence(1).await.root.is_some()).await;
        assert_eq!(collect().await.batches, 2);
        storage.blobs.proof(root).await.expect_err("nobody needs it any more");
        assert_eq!(storage.blobs.size(first.job_blob()).await.expect("readable"), None);
        assert!(storage.blobs.size(first.data_blob()).await.expect("readable").is_some());
        let merged = world.sequence(1).await.root.expect("it is there").0;
        storage.blobs.proof(merged).await.expect("it stays");
        assert_eq!(storage.check().await.expect("readable").faults, []);
        world.stop().await;
    });
}

#[test]
fn a_job_that_ended_without_a_proof_is_followed_by_another() {
    let folder = Folder::new("seq-retry");
    genesis(&folder, 4);
    test(async {
        let world = World::new(&folder, settings()).await;
        world.accept(&[transfer(2, 3, 0, 5, 1)]).await;
        world.seal().await;
        let first = world.job(1).await;
        let end = crowdfold_coordinator::store::Record::Ended {
            job: first,
            end: JobEnd::Failed,
            reason: "three times".into(),
            at: NOW,
        };
        world.storage.store.commit(&[end]).await.expect("it is open");
        assert_eq!(world.batch(1).await.state, BatchState::Failed);
        let counts = world.sequencer.numbers().await.expect("readable").counts;
        assert_eq!((counts.batches, counts.sequences), ([0, 0, 0, 1], [1, 0, 0]));
        world.stop().await;
        // The next look comes at the start.
        let world = World::new(&folder, settings()).await;
        world.until("it has another", async |world| world.batch(1).await.job.is_some_and(|job| job != first)).await;
        let batch = world.batch(1).await;
        assert_eq!((batch.attempt, batch.state), (2, BatchState::Proving));
        world.stop().await;
    });
}

#[test]
fn a_restart_goes_on() {
    let folder = Folder::new("seq-restart");
    genesis(&folder, 4);
    test(async {
        let world = World::new(&folder, settings()).await;
        let (sealed, low, high) = (transfer(2, 3, 0, 5, 1), transfer(2, 3, 1, 5, 1), transfer(3, 2, 0, 6, 2));
        world.accept(&[sealed]).await;
        world.seal().await;
        world.accept(&[low, high]).await;
        world.stop().await;
        let world = World::new(&folder, settings()).await;
        let view = world.sequencer.view();
        assert_eq!((view.pending, view.accounts, view.executable), (2, 2, 2));
        drop(view);
        world.refuse(transfer(3, 2, 0, 6, 3), "replacement_fee").await;
        assert!(matches!(&world.submit(&[low]).await[..], [Answer::Known(_)]));
        assert_eq!(world.seal().await, 2);
        assert!(matches!(world.place(&high).await, Place::Included { batch: 2, position: 0, sequence: 1, .. }));
        world.stop().await;
    });
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let folder = Folder::new("seq-misfit");
    let accounts = genesis(&folder, 4);
    test(async {
        let start = async |settings| match World::with(&folder, settings, Default::default()).await {
            Ok(_) => panic!("it must not start"),
            Err(error) => error,
        };
        assert!(matches!(start(Settings { pending: 0, ..settings() }).await, SequencerError::Setting(_)));
        let world = World::new(&folder, settings()).await;
        world.accept(&[transfer(2, 3, 0, 5, 1)]).await;
        world.seal().await;
        world.stop().await;
        // Accounts of before the batch are brought forward, and others are not taken for them.
        std::fs::remove_file(&accounts).expect("it is there");
        genesis(&folder, 4);
        let world = World::new(&folder, settings()).await;
        assert_eq!(world.sequencer.view().snapshot.head().batch, 1);
        assert_eq!(world.balance(3), BALANCE + 1);
        world.stop().await;
        std::fs::remove_file(&accounts).expect("it is there");
        genesis(&folder, 5);
        let error = start(settings()).await;
        assert!(matches!(error, SequencerError::Diverged { batch: 1 } | SequencerError::Build(_)), "{error}");
        // An accounts' file without anything, and one that is none.
        std::fs::write(&accounts, "redbxxxx").expect("it can be written");
        assert!(matches!(start(settings()).await, SequencerError::Accounts(_) | SequencerError::Panicked(_)));
        std::fs::remove_file(&accounts).expect("it is there");
        assert!(matches!(start(settings()).await, SequencerError::Accounts(crowdfold_rollup::Error::Missing { .. })));
    });
}

#[test]
fn accounts_ahead_of_the_database_are_refused() {
    let (folder, other) = (Folder::new("seq-ahead"), Folder::new("seq-ahead-other"));
    let accounts = genesis(&folder, 4);
    test(async {
        let world = World::new(&folder, settings()).await;
        world.accept(&[transfer(2, 3, 0, 5, 1)]).await;
        world.seal().await;
        world.stop().await;
        std::fs::copy(&accounts, other.path("kept")).expect("it can be copied");
        std::fs::rename(folder.path("data"), other.path("old")).expect("it can be moved");
        // A database that knows no batch begins where the accounts are.
        let world = World::new(&folder, settings()).await;
        world.accept(&[transfer(2, 3, 1, 5, 1)]).await;
        assert_eq!(world.seal().await, 2);
        world.accept(&[transfer(2, 3, 2, 5, 1)]).await;
        assert_eq!(world.seal().await, 3);
        world.stop().await;
        // One that knows fewer does not.
        std::fs::rename(folder.path("data"), other.path("new")).expect("it can be moved");
        std::fs::rename(other.path("old"), folder.path("data")).expect("it can be moved");
        let error = World::with(&folder, settings(), Default::default()).await.err().expect("they don't fit");
        assert!(matches!(error, SequencerError::Ahead { accounts: 3, database: 1 }), "{error}");
    });
}

#[test]
fn a_backup_is_taken_while_it_runs() {
    let (folder, restored) = (Folder::new("seq-backup"), Folder::new("seq-restored"));
    genesis(&folder, 4);
    test(async {
        let world = World::new(&folder, settings()).await;
        world.accept(&[transfer(2, 3, 0, 5, 1)]).await;
        world.seal().await;
        world.job(1).await;
        let waits = transfer(2, 3, 2, 5, 1);
        world.accept(&[transfer(2, 3, 1, 5, 1), waits]).await;
        let copy = folder.path("copy");
        // A batch is sealed while the backup is under way; it is in it or not.
        let (bytes, _) = futures_util::future::join(world.sequencer.backup(&copy), world.seal()).await;
        bytes.expect("it can be written");
        let Err(SequencerError::Store(_)) = world.sequencer.backup(&copy).await else { panic!("one is there") };
        world.stop().await;

        let data = restored.path("data");
        crowdfold_coordinator::store::Storage::restore(&copy, &data).await.expect("it is whole");
        std::fs::rename(data.join("accounts"), restored.path("accounts")).expect("it is there");
        let world = World::new(&restored, settings()).await;
        let view = world.sequencer.view();
        assert!(view.snapshot.head().batch == 2 || view.pending == 2);
        drop(view);
        assert_eq!(world.storage.check().await.expect("readable").faults, []);
        _ = world.sequencer.seal(false).await.expect("it answers");
        assert!(matches!(world.place(&waits).await, Place::Included { batch: 2, .. }));
        assert_eq!(world.balance(3), BALANCE + 3);
        world.stop().await;
        let store = Accounts::open(&restored.path("accounts")).expect("nobody has it");
        assert_eq!(store.head().expect("readable").batch, 2);
        drop(store);
        crowdfold_rollup::store::check(&restored.path("accounts")).expect("each node is right");
    });
}

#[test]
fn who_can_not_be_answered_is_told_so() {
    let folder = Folder::new("seq-full");
    genesis(&folder, 4);
    test(async {
        let world = World::new(&folder, settings()).await;
        // Nothing is worked through while this does not wait.
        let mut waiting: Vec<_> =
            (0..600).map(|nonce| Box::pin(world.sequencer.submit(vec![transfer(2, 3, nonce % 8, 5, 1)]))).collect();
        let mut busy = 0;
        for answer in &mut waiting {
            if let std::task::Poll::Ready(answer) = futures_util::poll!(answer) {
                assert_eq!(answer, Err(Unanswered::Busy));
                busy += 1;
            }
        }
        assert_eq!(busy, 600 - 256);
        drop(waiting);
        // Nor does a request find room that is larger than all that may wait.
        let huge = vec![transfer(2, 3, 0, 5, 1); 4 * MAX_REQUEST_TRANSACTIONS + 1];
        assert_eq!(world.sequencer.submit(huge).await, Err(Unanswered::Busy));
        world.stop().await;
    });
}

#[test]
fn times_of_receipts_are_those_of_the_clock() {
    let folder = Folder::new("seq-times");
    genesis(&folder, 4);
    test(async {
        let world = World::new(&folder, settings()).await;
        let one = transfer(2, 3, 0, 5, 1);
        world.accept(&[one]).await;
        let receipt = world.receipt(&one).await;
        assert!(receipt.received > Millis(1 << 40), "after 2004");
        assert_eq!((receipt.account, receipt.nonce), (2, 0));
        world.stop().await;
    });
}

#[test]
fn a_failure_is_said_and_got_over() {
    let folder = Folder::new("seq-failure");
    genesis(&folder, 6);
    test(async {
        let small = Options { database_pages: Some(300), ..Options::default() };
        let many = Settings { batch_transactions: 60_000, account_pending: 100_000, nonce_gap: 0, ..settings() };
        let world = World::opened(&folder, many.clone(), small).await.expect("it starts");
        let mut accepted = Vec::new();
        let failed = loop {
            let first = u32::try_from(accepted.len()).expect("few");
            let all: Vec<_> = (first..first + 200).map(|nonce| transfer(2, 3, nonce, 5, 1)).collect();
            match world.sequencer.submit(all.clone()).await {
                Ok(answers) => {
                    assert!(answers.iter().all(|answer| matches!(answer, Answer::Accepted(_))));
                    accepted.extend(all);
                }
                Err(error) => break error,
            }
        };
        assert_eq!((failed, accepted.is_empty()), (Unanswered::Failed, false));
        // It starts again by itself, with what was accepted and nothing else.
        world.until("it fails", async |world| !world.sequencer.view().is_working).await;
        let again = world.sequencer.submit(vec![transfer(4, 3, 0, 5, 1)]).await;
        assert_eq!(again, Err(Unanswered::Failed));
        world.until("it works again", async |world| world.sequencer.view().is_working).await;
        assert_eq!(world.sequencer.view().pending, accepted.len() as u64);
        let account = world.sequencer.account(AccountName::Index(index(2))).await.expect("readable").expect("there");
        assert_eq!(account.pending, accepted.len() as u64);
        world.stop().await;
        // With room it goes on.
        let world = World::new(&folder, many).await;
        assert_eq!(world.sequencer.view().pending, accepted.len() as u64);
        world.accept(&[transfer(4, 3, 0, 5, 1)]).await;
        world.stop().await;
    });
}

#[test]
fn a_deposit_that_can_not_be_executed_holds_up_only_deposits() {
    let folder = Folder::new("seq-stuck");
    genesis(&folder, 4);
    test(async {
        let world = World::new(&folder, settings()).await;
        let deposit = |amount| Deposit { key: secret(2).public(), amount };
        let all = vec![(0, deposit(5)), (1, deposit(u128::MAX)), (2, deposit(6))];
        assert_eq!(world.sequencer.add_deposits(all).await, Ok(Ok(3)));
        world.accept(&[transfer(2, 3, 0, 5, 1)]).await;
        world.seal().await;
        let view = world.sequencer.view();
        assert_eq!((world.batch(1).await.deposits, view.stuck, view.executable), (1, Some(1), 0));
        drop(view);
        world.accept(&[transfer(2, 3, 1, 5, 1)]).await;
        assert_eq!(world.seal().await, 2);
        assert_eq!(world.batch(2).await.transactions, 1);
        world.stop().await;
    });
}
