//! The tool's commands, one after the other, as an operator and users have them.

use crate::common::{Folder, ROLLUP};
use crowdfold_rollup::forms::GenesisFile;
use serde_json::{Value, json};

fn parse(text: &str) -> Value {
    serde_json::from_str(text).expect("it prints JSON")
}

/// What `key: value` is printed.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let value = |line: &'a str| line.trim_start().strip_prefix(name)?.strip_prefix(": ");
    text.lines().find_map(value).unwrap_or_else(|| panic!("no {name} in {text}"))
}

/// A store of Alice, Bob and the operator with 1000 each.
fn payments(test: &str) -> Folder {
    let folder = Folder::new(test);
    let mut accounts = Vec::new();
    for name in ["alice", "bob", "operator"] {
        let printed = folder.run(&["key", "new", "--out", name]);
        assert_eq!(folder.run(&["key", "show", name]), printed);
        accounts.push(json!({ "key": field(&printed, "public key"), "balance": "1000" }));
    }
    let genesis = json!({ "form": "crowdfold-genesis", "version": 1, "accounts": accounts });
    folder.write("genesis.json", genesis.to_string());
    let genesis = ["genesis", "--accounts", "genesis.json", "--operator", "2", "--out", "store"];
    folder.run(&[&genesis[..], &ROLLUP].concat());
    folder
}

fn account(folder: &Folder, at: &str) -> (String, u64) {
    let shown = parse(&folder.run(&["account", "store", at]));
    (shown["balance"].as_str().expect("a text").into(), shown["nonce"].as_u64().expect("a number"))
}

#[test]
fn keys_payments_and_a_batch() {
    let folder = payments("payments");
    let transfer =
        ["tx", "transfer", "--key", "alice", "--store", "store", "--to", "1", "--amount", "300", "--fee", "7"];
    folder.run(&[&transfer[..], &["--out", "transfer.json"]].concat());
    let address = "0x00000000000000000000000000000000000000aa";
    let withdraw =
        ["tx", "withdraw", "--key", "bob", "--from", "1", "--nonce", "0", "--address", address, "--amount", "1250"];
    folder.run(&[&withdraw[..], &ROLLUP, &["--fee", "1", "--out", "withdrawal.json"]].concat());
    let carol = folder.run(&["key", "new", "--out", "carol"]);
    let carol = field(&carol, "public key");
    folder.run(&["tx", "deposit", "--to-key", carol, "--amount", "55", "--out", "deposit.json"]);
    for file in ["transfer.json", "withdrawal.json", "deposit.json"] {
        assert_eq!(field(&folder.run(&["tx", "verify", file]), "valid"), "1");
    }
    let shown = parse(&folder.run(&["tx", "show", "transfer.json"]));
    assert_eq!(shown[0]["transaction"]["amount"], "300");
    assert_eq!(shown[0]["words"][1], format!("0x{:064x}", 300));

    let build =
        ["batch", "build", "--store", "store", "--transactions", "transfer.json", "deposit.json", "withdrawal.json"];
    let dry = folder.run(&[&build[..], &["--out", "dry"]].concat());
    assert_eq!(parse(&folder.run(&["state", "store"]))["batch"], 0, "nothing was committed");
    let built = folder.run(&[&build[..], &["--out", "job", "--commit"]].concat());
    assert_eq!(folder.read("dry"), folder.read("job"));
    assert_eq!((field(&dry, "transactions"), field(&dry, "steps"), field(&dry, "data bytes")), ("3", "2", "576"));
    assert_eq!(field(&built, "refused transactions"), "0");

    let checked = folder.run(&["batch", "check", "job"]);
    for name in ["root", "deposits", "withdrawals", "sealed", "count"] {
        assert_eq!(field(&checked, name), field(&built, name));
    }
    let state = parse(&folder.run(&["state", "store"]));
    assert_eq!((&state["batch"], &state["accounts"]), (&json!(1), &json!(4)));
    assert_eq!(state["state"]["root"], field(&built, "root"));
    assert_eq!(account(&folder, "0"), ("693".into(), 1));
    assert_eq!(account(&folder, "1"), ("49".into(), 1));
    assert_eq!(account(&folder, "2"), ("1008".into(), 0));
    assert_eq!(account(&folder, carol), ("55".into(), 0));
    assert!(folder.run(&["check", "store"]).ends_with("all is well\n"));

    let shown = parse(&folder.run(&["batch", "show", "job"]));
    assert_eq!((&shown["transfers"], &shown["fees"]), (&json!(1), &json!("8")));
    folder.run(&["batch", "convert", "job", "--out", "job.json"]);
    folder.run(&["batch", "convert", "job.json", "--out", "job.again"]);
    assert_eq!(folder.read("job"), folder.read("job.again"));
    folder.run(&["batch", "check", "job.json"]);
}

#[test]
fn refused_transactions_spoil_nothing() {
    let folder = payments("refused");
    let transfer = |nonce: &str, amount: &str, out: &str| {
        let sign =
            ["tx", "transfer", "--key", "alice", "--from", "0", "--to", "1", "--nonce", nonce, "--amount", amount];
        folder.run(&[&sign[..], &ROLLUP, &["--out", out]].concat());
    };
    transfer("0", "1", "good.json");
    transfer("0", "1", "again.json");
    transfer("1", "5000", "rich.json");
    let mut forged = parse(&String::from_utf8(folder.read("good.json")).expect("a text"));
    forged["transactions"][0]["amount"] = json!("2");
    folder.write("forged.json", forged.to_string());
    let errors = folder.fail(1, &["tx", "verify", "forged.json"]);
    assert!(errors.contains("1 of 1"), "{errors}");

    let build =
        ["batch", "build", "--store", "store", "--transactions", "forged.json", "good.json", "again.json", "rich.json"];
    let errors = folder.fail(1, &[&build[..], &["--out", "job", "--commit", "--strict"]].concat());
    assert!(errors.contains("3 transactions are refused"), "{errors}");
    assert!(!folder.path("job").exists());
    assert_eq!(parse(&folder.run(&["state", "store"]))["batch"], 0);

    let built = folder.run(&[&build[..], &["--out", "job", "--commit"]].concat());
    assert_eq!((field(&built, "transactions"), field(&built, "refused transactions")), ("1", "3"));
    for reason in [
        "refused: forged.json transaction 0: the signature is not one of account 0",
        "refused: again.json transaction 0: the next nonce of account 0 is 1, the transaction has 0",
        "refused: rich.json transaction 0: account 0 holds 999, the transaction takes 5000",
    ] {
        assert!(built.contains(reason), "{reason} in {built}");
    }
    assert!(folder.run(&["check", "store"]).ends_with("all is well\n"));
}

#[test]
fn a_seed_makes_the_same_of_everything() {
    let one = Folder::new("seed-one");
    let two = Folder::new("seed-two");
    for folder in [&one, &two] {
        folder.workload("9", "40", "120", &["--invalid", "0.1"]);
        let build = ["batch", "build", "--store", "store", "--transactions", "work/transactions.json", "--out", "job"];
        folder.run(&build);
        let json = [&build[..7], &["job.json", "--json"]].concat();
        folder.run(&json);
    }
    for name in ["work/genesis.json", "work/transactions.json", "job", "job.json"] {
        assert_eq!(one.read(name), two.read(name), "{name}");
    }
    // Generated accounts are those of the workload, and their keys can be derived.
    let genesis = ["genesis", "--generate", "40", "--seed", "9", "--operator", "0", "--out", "generated"];
    one.run(&[&genesis[..], &ROLLUP].concat());
    assert_eq!(parse(&one.run(&["state", "generated"])), parse(&one.run(&["state", "store"])));
    let derived = one.run(&["key", "derive", "--seed", "9", "--index", "7"]);
    let shown = parse(&one.run(&["account", "store", field(&derived, "public key")]));
    assert_eq!(shown["index"], 7);
    let accounts = GenesisFile::from_json(&one.read("work/genesis.json")).and_then(|file| file.decode());
    assert_eq!(accounts.expect("it was just made").len(), 40);
}

#[test]
fn long_files_become_several_batches() {
    let folder = Folder::new("several");
    folder.workload("4", "10", "25", &[]);
    let build = ["batch", "build", "--store", "store", "--transactions", "work/transactions.json", "--out", "job"];
    let built = folder.run(&[&build[..], &["--commit", "--size", "10"]].concat());
    assert_eq!(built.matches(", committed").count(), 3);
    for number in 1..=3 {
        folder.run(&["batch", "check", &format!("job.{number}")]);
    }
    assert_eq!(parse(&folder.run(&["state", "store"]))["state"]["count"], "25");
}

#[test]
fn mistakes_are_explained() {
    let folder = payments("mistakes");
    let transfer = ["tx", "transfer", "--key", "alice", "--to", "1", "--amount", "1"];
    folder.fail(2, &transfer);
    folder.fail(2, &["genesis", "--operator", "0", "--out", "x"]);
    folder.fail(2, &["batch", "build", "--store", "store", "--transactions", "a", "--out", "b", "--size", "3"]);
    folder.fail(2, &["nonsense"]);
    let explained = |arguments: &[&str], parts: &[&str]| {
        let errors = folder.fail(1, arguments);
        assert!(parts.iter().all(|part| errors.contains(part)), "{parts:?} in {errors}");
    };
    let sign = |more: &[&str], parts: &[&str]| explained(&[&transfer[..], more].concat(), parts);
    sign(&["--from", "0", "--nonce", "0"], &["--chain-id and --contract"]);
    sign(&["--store", "store", "--from", "1"], &["account 1 has the key"]);
    sign(&["--store", "store", "--domain", "0x1"], &["the store's domain is"]);
    sign(&["--store", "nowhere"], &["there is no store at nowhere"]);
    explained(&["account", "store", "3"], &["there is no account 3: the store has 3"]);
    explained(&["account", "store", "bob"], &["expected an index below 2^24 or a public key"]);
    explained(&["account", "store", &"0".repeat(64)], &["public key"]);
    explained(&["state", "genesis.json"], &["no store of accounts"]);
    explained(&["key", "new", "--out", "alice"], &["alice"]);
    explained(
        &[
            "genesis",
            "--accounts",
            "genesis.json",
            "--operator",
            "2",
            "--out",
            "store",
            ROLLUP[0],
            ROLLUP[1],
            ROLLUP[2],
            ROLLUP[3],
        ],
        &["exists already"],
    );

    folder.run(&[&transfer[..], &["--from", "0", "--nonce", "0", "--domain", "0x1", "--out", "other.json"]].concat());
    let build = ["batch", "build", "--store", "store", "--out", "job", "--transactions"];
    explained(&[&build[..], &["other.json"]].concat(), &["signed for another rollup"]);
    explained(&[&build[..], &["genesis.json"]].concat(), &["no file of transactions", "crowdfold-transactions"]);
}

#[cfg(unix)]
#[test]
fn secret_keys_are_for_their_owner() {
    use std::fs::{Permissions, metadata, set_permissions};
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("secret");
    folder.run(&["key", "new", "--out", "key"]);
    let path = folder.path("key");
    assert_eq!(metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
    set_permissions(&path, Permissions::from_mode(0o644)).expect("it is ours");
    let errors = folder.fail(1, &["key", "show", "key"]);
    assert!(errors.contains("chmod 600"), "{errors}");
    set_permissions(&path, Permissions::from_mode(0o600)).expect("it is ours");
    for text in ["", "00", &"g".repeat(64), &"0".repeat(66)] {
        folder.write("key", text);
        let errors = folder.fail(1, &["key", "show", "key"]);
        assert!(errors.contains("64 hexadecimal digits"), "{errors}");
        assert!(text.is_empty() || !errors.contains(text), "it repeats what may be a secret");
    }
}
