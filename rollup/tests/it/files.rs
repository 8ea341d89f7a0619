//! The forms of files: pinned, and refused when they are another.

use crate::common::{Folder, domain, rng, workload};
use crowdfold_programs::eddsa::{Point, PublicKey};
use crowdfold_programs::rollup::Accounts as _;
use crowdfold_programs::rollup::{Account, Deposit, MemoryAccounts, Outcome, Request, State, build};
use crowdfold_rollup::Error;
use crowdfold_rollup::forms::{BatchFile, GenesisFile, TransactionForm, TransactionsFile};
use serde::Serialize;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// A key that can sign nothing.
fn dead_key() -> PublicKey {
    PublicKey(Point { x: domain(), y: domain() })
}

/// Accounts, transactions of all kinds over them, and the batch of those.
fn samples() -> (Vec<Account>, TransactionsFile, Outcome) {
    let (workload, accounts) = workload(6);
    let requests: Vec<Request> = workload.map(|item| item.request).take(12).collect();
    let dead = Deposit { key: dead_key(), amount: 9 };
    let requests = [requests, vec![Request::Deposit(dead)]].concat();
    let memory = MemoryAccounts::in_order(accounts.clone()).expect("few accounts");
    let Ok(root) = memory.root();
    let start = State::genesis(root, domain(), crate::common::index(1));
    let outcome = build(&memory, start, &requests, &mut rng()).expect("it can be built");
    let form = |request: &Request| match request {
        Request::Deposit(deposit) => TransactionForm::deposit(deposit),
        Request::Signed(signed) => {
            let from = signed.transaction().from().get() as usize;
            let key = accounts.get(from).map_or_else(dead_key, |account| account.key);
            TransactionForm::signed(signed, key).expect("it is signed")
        }
    };
    let file = TransactionsFile::new(Some(domain()), requests.iter().map(form).collect());
    (accounts, file, outcome)
}

/// The files by name.
fn files() -> [(&'static str, Vec<u8>); 4] {
    let (accounts, transactions, outcome) = samples();
    [
        ("genesis.json", text(&GenesisFile::new(&accounts))),
        ("transactions.json", text(&transactions)),
        ("batch.json", text(&BatchFile::new(&outcome.batch))),
        ("batch.hex", format!("{}\n", hex::encode(outcome.batch.to_bytes())).into_bytes()),
    ]
}

/// JSON as the tool writes it.
fn text(value: &impl Serialize) -> Vec<u8> {
    let text = serde_json::to_vec_pretty(value).expect("it can be written");
    [&text[..], b"\n"].concat()
}

#[test]
fn golden_forms_are_as_before() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let refresh = std::env::var_os("CROWDFOLD_GOLDEN").is_some_and(|value| value == "refresh");
    for (name, made) in files() {
        let path = folder.join(name);
        if refresh {
            fs::write(&path, &made).expect("the repository can be written");
        }
        let golden = fs::read(&path).expect("it is in the repository");
        assert!(golden == made, "{name} is written otherwise: raise its version, then `./just golden`");
    }
}

#[test]
fn all_forms_come_back() {
    let (accounts, transactions, outcome) = samples();
    let [genesis, file, batch, _] = files().map(|(_, contents)| contents);
    let read = GenesisFile::from_json(&genesis).and_then(|file| file.decode()).expect("it was just written");
    assert_eq!(read, accounts);
    let read = TransactionsFile::from_json(&file).expect("it was just written");
    assert_eq!(read, transactions);
    assert_eq!(read.decode().expect("they are fine").len(), 13);
    let read = BatchFile::from_json(&batch).and_then(|file| file.decode()).expect("it was just written");
    assert!(read == outcome.batch && read.to_bytes() == outcome.batch.to_bytes());
}

/// Whether each change of the file is refused.
fn assert_refused(json: &[u8], changes: &[&dyn Fn(&mut Value)], read: impl Fn(&[u8]) -> Result<(), Error>) {
    let whole: Value = serde_json::from_slice(json).expect("it is JSON");
    read(json).expect("it is unchanged");
    for (number, change) in changes.iter().enumerate() {
        let mut changed = whole.clone();
        change(&mut changed);
        assert_ne!(changed, whole, "change {number} is none");
        let text = changed.to_string();
        assert!(read(text.as_bytes()).is_err(), "change {number} is accepted: {}", &text[..text.len().min(300)]);
    }
    assert!(read(&json[..json.len() / 2]).is_err() && read(b"").is_err() && read(b"[]").is_err());
}

#[test]
fn other_forms_of_genesis_are_refused() {
    let [(_, genesis), ..] = files();
    let changes: &[&dyn Fn(&mut Value)] = &[
        &|file| file["form"] = json!("crowdfold-transactions"),
        &|file| file["version"] = json!(2),
        &|file| file["more"] = json!(1),
        &|file| file["accounts"][0]["nonce"] = json!(1),
        &|file| file["accounts"][0]["balance"] = json!(5),
        &|file| file["accounts"][0]["balance"] = json!("-5"),
        &|file| file["accounts"][0]["balance"] = json!("05"),
        &|file| file["accounts"][0]["balance"] = json!("340282366920938463463374607431768211456"),
        &|file| file["accounts"][0]["key"] = json!("00"),
        &|file| file["accounts"][0]["key"] = json!("f".repeat(64)),
        &|file| file["accounts"][0]["key"] = json!("f".repeat(128)),
        &|file| drop(file["accounts"][0].as_object_mut().and_then(|account| account.remove("key"))),
    ];
    assert_refused(&genesis, changes, |json| GenesisFile::from_json(json)?.decode().map(drop));
}

#[test]
fn other_forms_of_transactions_are_refused() {
    let [_, (_, file), ..] = files();
    let whole: Value = serde_json::from_slice(&file).expect("it is JSON");
    let of = |kind: &str| {
        let list = whole["transactions"].as_array().expect("a list");
        list.iter().position(|transaction| transaction["kind"] == kind).expect("there is one of each kind")
    };
    let (transfer, withdrawal, deposit) = (of("transfer"), of("withdrawal"), of("deposit"));
    let changes: &[&dyn Fn(&mut Value)] = &[
        &|file| file["version"] = json!(0),
        &|file| drop(file.as_object_mut().and_then(|file| file.remove("domain"))),
        &|file| file["domain"] = json!("0x"),
        &|file| file["domain"] = json!(format!("0x{}", "f".repeat(64))),
        &|file| file["transactions"][transfer]["kind"] = json!("seal"),
        &|file| file["transactions"][transfer]["from"] = json!(1 << 24),
        &|file| file["transactions"][transfer]["to"] = json!("1"),
        &|file| file["transactions"][transfer]["nonce"] = json!(1u64 << 32),
        &|file| file["transactions"][transfer]["fee"] = json!("18446744073709551616"),
        &|file| file["transactions"][transfer]["address"] = json!("0x00000000000000000000000000000000000000aa"),
        &|file| file["transactions"][transfer]["signature"] = json!("f".repeat(128)),
        &|file| file["transactions"][transfer]["signer"] = json!("0".repeat(64)),
        &|file| file["transactions"][withdrawal]["address"] = json!("0xaa"),
        &|file| file["transactions"][withdrawal]["to"] = json!(1),
        &|file| file["transactions"][deposit]["to"] = json!(1),
        &|file| file["transactions"][deposit]["amount"] = json!("1e3"),
    ];
    assert_refused(&file, changes, |json| TransactionsFile::from_json(json)?.decode().map(drop));
}

#[test]
fn other_forms_of_batches_are_refused() {
    let [_, _, (_, batch), _] = files();
    let changes: &[&dyn Fn(&mut Value)] = &[
        &|file| file["version"] = json!("1"),
        &|file| file["start"]["fees"] = json!("0x0"),
        &|file| file["start"]["root"] = json!("0x1"),
        &|file| file["start"]["operator"] = json!(1 << 24),
        &|file| file["transactions"][0]["signer"] = json!("0".repeat(64)),
        &|file| file["accounts"][0]["index"] = json!(1),
        &|file| file["accounts"][0]["account"] = json!(null),
        &|file| file["accounts"][0]["account"]["nonce"] = json!(77),
        &|file| drop(file["accounts"].as_array_mut().and_then(Vec::pop)),
        &|file| drop(file["nodes"].as_array_mut().and_then(Vec::pop)),
        &|file| file["nodes"][0] = json!("0x1"),
    ];
    assert_refused(&batch, changes, |json| BatchFile::from_json(json)?.decode().map(drop));
}

#[test]
fn an_error_names_the_transaction() {
    let folder = Folder::new("position");
    let [_, (_, file), ..] = files();
    let mut file: Value = serde_json::from_slice(&file).expect("it is JSON");
    let list = file["transactions"].as_array().expect("a list");
    let last = list.iter().rposition(|transaction| transaction["kind"] == "transfer").expect("there is one");
    file["transactions"][last]["to"] = json!(1 << 24);
    folder.write("file.json", file.to_string());
    let errors = folder.fail(1, &["tx", "verify", "file.json"]);
    assert!(errors.contains(&format!("transaction {last}: indices of accounts are limited to 16777215")), "{errors}");
}
