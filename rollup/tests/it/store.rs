//! The store: what it keeps, and what it refuses.

use crate::common::{Folder, domain, index, rng, workload};
use crowdfold_fold::Fr;
use crowdfold_programs::rollup::{
    Accounts, Changes, Directory, MemoryAccounts, Outcome, Request, State, TREE_DEPTH, build,
};
use crowdfold_rollup::Error;
use crowdfold_rollup::forms::AccountProof;
use crowdfold_rollup::store::{Genesis, Snapshot, Store, check};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use std::fs;
use std::path::Path;

const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");

/// A store of so many accounts in the folder, and the next requests.
fn small(path: &Path, accounts: u32) -> (Store, MemoryAccounts, impl Iterator<Item = Request>) {
    let (workload, accounts) = workload(accounts);
    let memory = MemoryAccounts::in_order(accounts.clone()).expect("few accounts");
    let store = Genesis::new(accounts, domain(), index(3)).expect("they are fine").create(path).expect("it is new");
    (store, memory, workload.map(|item| item.request))
}

fn batch(store: &Store, requests: &[Request]) -> Outcome {
    let snapshot = store.snapshot().expect("it can be read");
    let state = snapshot.head().state;
    build(&snapshot, state, requests, &mut rng()).expect("it can be built")
}

/// Whether the store says what memory says, everywhere.
fn assert_same(snapshot: &Snapshot, memory: &MemoryAccounts) {
    assert_eq!(snapshot.head().accounts as usize, memory.len());
    let Ok(root) = memory.root();
    assert_eq!(snapshot.head().state.root, root);
    let Ok(next) = memory.next_index();
    assert_eq!(snapshot.next_index().expect("it can be read"), next);
    for (at, account) in memory.iter() {
        assert_eq!(snapshot.account(at).expect("it can be read"), Some(*account));
        let Ok(found) = memory.find(&account.key);
        assert_eq!(snapshot.find(&account.key).expect("it can be read"), found);
        let Ok(access) = memory.access(at);
        assert_eq!(snapshot.access(at).expect("it can be read"), access);
        snapshot.path(at).expect("it leads to the root");
    }
    for level in 0..=TREE_DEPTH {
        let last = (1 << (3 * (TREE_DEPTH - level))) - 1;
        let Ok(node) = memory.node(level, last);
        assert_eq!(snapshot.node(level, last).expect("it can be read"), node, "level {level}");
    }
    assert_eq!(snapshot.account(index(1 << 20)).expect("it can be read"), None);
}

#[test]
fn batches_make_of_it_what_they_make_of_memory() {
    let folder = Folder::new("equal");
    let path = folder.path("store");
    let (mut store, mut memory, mut requests) = small(&path, 70);
    assert_same(&store.snapshot().expect("it can be read"), &memory);
    for (number, size) in (1..).zip([1, 0, 7, 40, 100, 300]) {
        let requests: Vec<Request> = requests.by_ref().take(size).collect();
        let before = store.snapshot().expect("it can be read");
        let outcome = batch(&store, &requests);
        assert_same(&before, &memory);

        let in_memory = build(&memory, *outcome.batch.start(), &requests, &mut rng()).expect("it can be built");
        assert_eq!(in_memory.batch, outcome.batch);
        assert_eq!(in_memory.changes, outcome.changes);
        let head = store.commit(&outcome).expect("it follows");
        assert_eq!((head.batch, head.state), (number, outcome.end));

        // A view stays as it is, and what is committed is there after reopening.
        assert_same(&before, &memory);
        drop(before);
        memory.commit(outcome.changes);
        drop(store);
        store = Store::open(&path).expect("it was closed");
        assert_eq!(store.head().expect("it can be read"), head);
        assert_same(&store.snapshot().expect("it can be read"), &memory);
    }
    let head = store.head().expect("it can be read");
    drop(store);
    let checked = check(&path).expect("it is whole");
    assert_eq!(checked.head, head);
    let supply: u128 = memory.iter().map(|(_, account)| account.balance).sum();
    assert_eq!(checked.supply, supply);
}

#[test]
fn what_is_not_committed_never_was() {
    let folder = Folder::new("dropped");
    let path = folder.path("store");
    let (store, memory, requests) = small(&path, 20);
    let head = store.head().expect("it can be read");
    let requests: Vec<Request> = requests.take(50).collect();
    let outcome = batch(&store, &requests);
    drop(outcome);
    drop(store);
    let snapshot = Snapshot::open(&path).expect("it was closed");
    assert_eq!(*snapshot.head(), head);
    assert_same(&snapshot, &memory);
}

#[test]
fn a_batch_of_another_state_is_refused_and_changes_nothing() {
    let folder = Folder::new("stale");
    let path = folder.path("store");
    let (store, mut memory, requests) = small(&path, 20);
    let requests: Vec<Request> = requests.take(20).collect();
    let outcome = batch(&store, &requests);
    store.commit(&outcome).expect("it follows");
    assert!(matches!(store.commit(&outcome), Err(Error::Stale { batches: 1, .. })));

    let next = batch(&store, &requests[..0]);
    let lying = Outcome { changes: Changes::default(), end: State { root: domain(), ..next.end }, ..next };
    assert!(matches!(store.commit(&lying), Err(Error::ChangesMismatch { .. })));
    memory.commit(outcome.changes);
    assert_same(&store.snapshot().expect("it can be read"), &memory);
    assert_eq!(store.head().expect("it can be read").batch, 1);
}

#[test]
fn one_at_a_time_has_it() {
    let folder = Folder::new("locked");
    let path = folder.path("store");
    let (store, ..) = small(&path, 5);
    assert!(matches!(Store::open(&path), Err(Error::InUse { .. })));
    assert!(matches!(Snapshot::open(&path), Err(Error::InUse { .. })));
    drop(store);
    let (one, two) = (Snapshot::open(&path), Snapshot::open(&path));
    assert!(one.is_ok() && two.is_ok(), "many can read");
    assert!(matches!(Store::open(&path), Err(Error::InUse { .. })));
}

#[test]
fn files_that_are_no_store_are_refused() {
    let folder = Folder::new("foreign");
    let open = |path: &Path| Store::open(path).expect_err("it is no store");
    let path = folder.path("store");
    assert!(matches!(open(&path), Error::Missing { .. }));
    for text in ["", "red", "a text that is longer than a mark", "redb but then nothing that belongs there"] {
        fs::write(&path, text).expect("the folder can be written");
        assert!(matches!(open(&path), Error::Foreign { .. } | Error::Corrupt { .. } | Error::Database(_)), "{text:?}");
    }
    fs::remove_file(&path).expect("it was just written");
    drop(Database::create(&path).expect("the folder can be written"));
    assert!(matches!(open(&path), Error::Foreign { .. }));
    let (_, accounts) = workload(5);
    let genesis = Genesis::new(accounts, domain(), index(0)).expect("they are fine");
    assert!(matches!(genesis.create(&path), Err(Error::Exists { .. })));
}

/// Changes a store behind its back.
fn tamper(path: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let database = Database::open(path).expect("it is a database");
    let transaction = database.begin_write().expect("it can be written");
    change(&transaction);
    transaction.commit().expect("it can be written");
}

fn set_meta(path: &Path, key: &str, value: &[u8]) {
    tamper(path, |transaction| {
        let mut meta = transaction.open_table(META).expect("it is there");
        meta.insert(key, value).expect("it can be written");
    });
}

#[test]
fn marks_are_looked_at() {
    let folder = Folder::new("marks");
    let path = folder.path("store");
    drop(small(&path, 10));
    let head = {
        let database = Database::open(&path).expect("it is a database");
        let transaction = database.begin_read().expect("it can be read");
        let meta = transaction.open_table(META).expect("it is there");
        meta.get("head").expect("it can be read").expect("it is there").value().to_vec()
    };
    set_meta(&path, "version", &2u32.to_le_bytes());
    let error = Store::open(&path).expect_err("a newer version");
    assert!(matches!(error, Error::Version { expected: 1, found: 2, .. }), "{error}");
    set_meta(&path, "version", &1u32.to_le_bytes());

    // Another root, another number of accounts, an open batch, a number beyond the modulus, and too few bytes.
    for (at, value) in [(0, head[0] ^ 1), (352, head[352] ^ 1), (7 * 32, 1), (31, 0xff), (head.len(), 0)] {
        let mut changed = head.clone();
        match changed.get_mut(at) {
            Some(byte) => *byte = value,
            None => changed.truncate(at - 1),
        }
        set_meta(&path, "head", &changed);
        let error = Store::open(&path).expect_err("another head");
        assert!(matches!(error, Error::Corrupt { .. }), "{at}: {error}");
    }
    set_meta(&path, "head", &head);
    drop(Store::open(&path).expect("all is as it was"));

    tamper(&path, |transaction| {
        transaction.open_table(META).expect("it is there").remove("head").expect("it can be written");
    });
    assert!(matches!(Store::open(&path), Err(Error::Unfinished { .. })));
    set_meta(&path, "magic", b"something else..");
    assert!(matches!(Store::open(&path), Err(Error::Foreign { .. })));
}

#[test]
fn a_check_finds_each_changed_row() {
    const ACCOUNTS: TableDefinition<'static, u32, &[u8; 84]> = TableDefinition::new("accounts");
    const NODES: TableDefinition<'static, u32, &[u8; 256]> = TableDefinition::new("nodes");
    const KEYS: TableDefinition<'static, &[u8; 64], u32> = TableDefinition::new("keys");
    let folder = Folder::new("rows");
    let path = folder.path("store");
    let changed = |change: &dyn Fn(&redb::WriteTransaction)| {
        let _ = fs::remove_file(&path);
        drop(small(&path, 70));
        check(&path).expect("nothing is changed yet");
        tamper(&path, change);
        let error = check(&path).expect_err("it is changed");
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    };
    changed(&|transaction| {
        let mut table = transaction.open_table(ACCOUNTS).expect("it is there");
        let mut row = *table.get(5).expect("it can be read").expect("it is there").value();
        row[64] ^= 1;
        table.insert(5, &row).expect("it can be written");
    });
    for (level, position) in [(1, 8), (2, 1), (8, 0)] {
        changed(&|transaction| {
            let mut table = transaction.open_table(NODES).expect("it is there");
            let key = level << 24 | position;
            let mut row = *table.get(key).expect("it can be read").expect("it is there").value();
            row[7 * 32] ^= 1;
            table.insert(key, &row).expect("it can be written");
        });
    }
    changed(&|transaction| {
        let mut table = transaction.open_table(NODES).expect("it is there");
        table.remove(1 << 24 | 8).expect("it can be written");
    });
    changed(&|transaction| {
        let mut table = transaction.open_table(NODES).expect("it is there");
        table.insert(9 << 24, &[0; 256]).expect("it can be written");
    });
    changed(&|transaction| {
        let mut table = transaction.open_table(KEYS).expect("it is there");
        table.insert(&[0; 64], 4).expect("it can be written");
    });
    changed(&|transaction| {
        let mut table = transaction.open_table(KEYS).expect("it is there");
        let (key, at) = {
            let (key, at) = table.first().expect("it can be read").expect("it is there");
            (*key.value(), at.value())
        };
        table.insert(&key, (at + 1) % 70).expect("it can be written");
    });
}

#[test]
fn a_check_finds_changed_bytes() {
    let folder = Folder::new("bytes");
    let path = folder.path("store");
    drop(small(&path, 200));
    let whole = fs::read(&path).expect("it was written");
    let mut found = 0;
    // What lies on pages in use is under a checksum; the rest matters to nobody.
    for at in (4096..whole.len()).step_by(1021) {
        let mut changed = whole.clone();
        changed[at] ^= 0x55;
        fs::write(&path, &changed).expect("the folder can be written");
        match check(&path) {
            Ok(checked) => assert_eq!(checked.head.accounts, 200),
            Err(_) => found += 1,
        }
    }
    assert!(found > 20, "{found}");
    fs::write(&path, &whole[..whole.len() / 2]).expect("the folder can be written");
    assert!(check(&path).is_err() && Store::open(&path).is_err(), "cut in half");
}

#[test]
fn genesis_is_checked() {
    let (_, accounts) = workload(5);
    let make = |accounts: Vec<_>, operator| Genesis::new(accounts, domain(), index(operator)).map(drop);
    assert!(matches!(make(accounts.clone(), 5), Err(Error::NoOperator { accounts: 5, .. })));
    assert!(matches!(make(Vec::new(), 0), Err(Error::NoOperator { accounts: 0, .. })));
    let twice = [&accounts[..], &accounts[1..2]].concat();
    assert!(matches!(make(twice, 0), Err(Error::DuplicateKey { first: 1, second: 5 })));
    let mut rich = accounts;
    rich[0].balance = u128::MAX - (1 << 80);
    assert!(matches!(make(rich, 0), Err(Error::SupplyTooLarge)));
}

#[test]
fn a_copy_is_the_store_as_it_was() {
    let folder = Folder::new("copy");
    let from = folder.path("store");
    let (store, mut memory, mut requests) = small(&from, 70);
    let first = batch(&store, &requests.by_ref().take(40).collect::<Vec<_>>());
    store.commit(&first).expect("it follows");
    memory.commit(first.changes);
    let snapshot = store.snapshot().expect("it can be read");
    // What is committed meanwhile is not in it.
    let second = batch(&store, &requests.take(40).collect::<Vec<_>>());
    store.commit(&second).expect("it follows");
    let path = folder.path("copy");
    snapshot.copy_to(&path).expect("there is nothing yet");
    assert!(matches!(snapshot.copy_to(&path), Err(Error::Exists { .. })));
    assert_eq!(check(&path).expect("each node is right").head, *snapshot.head());
    let copy = Store::open(&path).expect("nobody has it");
    assert_same(&copy.snapshot().expect("it can be read"), &memory);
    // It goes on like the other.
    copy.commit(&second).expect("it follows");
    assert_eq!(copy.head().expect("it can be read"), store.head().expect("it can be read"));
}

#[test]
fn an_account_is_proved_to_whoever_has_the_root() {
    let folder = Folder::new("proof");
    let path = folder.path("store");
    let (store, _, _) = small(&path, 70);
    let snapshot = store.snapshot().expect("it can be read");
    let root = snapshot.head().state.root;
    assert_eq!(AccountProof::of(&snapshot, index(70)).expect("it can be read"), None);
    let proof = AccountProof::of(&snapshot, index(69)).expect("it can be read").expect("it is there");
    let text = serde_json::to_string(&proof).expect("it can be written");
    assert_eq!(serde_json::from_str::<AccountProof>(&text).expect("it was just written"), proof);
    let account = snapshot.account(index(69)).expect("it can be read");
    assert_eq!(proof.verify(root).ok(), account);

    let other = AccountProof::of(&snapshot, index(68)).expect("it can be read").expect("it is there");
    let changes: [fn(&mut AccountProof, &AccountProof); 10] = [
        |proof, _| proof.index = 68,
        |proof, _| proof.index = 1 << 24,
        |proof, other| proof.key = other.key,
        |proof, _| proof.balance.0 += 1,
        |proof, _| proof.nonce += 1,
        |proof, _| proof.leaf.0 += Fr::from(1),
        |proof, _| proof.root.0 += Fr::from(1),
        |proof, _| proof.path[7].siblings[6].0 += Fr::from(1),
        |proof, _| proof.path[0].position ^= 1,
        |proof, _| _ = proof.path.pop(),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut wrong = proof.clone();
        change(&mut wrong, &other);
        assert!(wrong.verify(root).is_err(), "change {number}");
    }
    // One of another state is not one of this, however it calls its root.
    let mut later = proof.clone();
    later.root.0 += Fr::from(1);
    for proof in [&proof, &later] {
        assert!(matches!(proof.verify(root + Fr::from(1)), Err(Error::NotInTree { .. })));
    }
}
