//! Looking into stores.

use super::{index, state_json, write_json};
use anyhow::Context as _;
use crowdfold_programs::rollup::{Directory as _, Index};
use crowdfold_rollup::forms::{AccountProof, KeyText, hexadecimal};
use crowdfold_rollup::store::{self, Snapshot};
use serde_json::json;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Account {
    /// The store.
    store: PathBuf,
    /// Index or public key of the account.
    #[arg(value_name = "INDEX|KEY")]
    account: String,
}

#[derive(clap::Args)]
pub(crate) struct State {
    /// The store.
    store: PathBuf,
}

#[derive(clap::Args)]
pub(crate) struct Check {
    /// The store.
    store: PathBuf,
}

/// Shows an account.
pub(crate) fn account(options: &Account) -> anyhow::Result<()> {
    let snapshot = Snapshot::open(&options.store)?;
    let at = find(&snapshot, &options.account)?;
    let shown = AccountProof::of(&snapshot, at)?.with_context(|| {
        let accounts = snapshot.head().accounts;
        format!("there is no account {at}: the store has {accounts}, numbered from 0")
    })?;
    write_json(None, &shown)
}

/// An account by index or key.
fn find(snapshot: &Snapshot, text: &str) -> anyhow::Result<Index> {
    // No index has as many digits as a key.
    if text.len() < 16 {
        let expected =
            || format!("expected an index below 2^24 or a public key of 64 hexadecimal digits, got {text:?}");
        return index(text.parse().with_context(expected)?);
    }
    let key = text.parse::<KeyText>()?.decode()?;
    snapshot.find(&key)?.with_context(|| format!("no account has the key {text}"))
}

/// Shows the state.
pub(crate) fn state(options: &State) -> anyhow::Result<()> {
    let snapshot = Snapshot::open(&options.store)?;
    let head = snapshot.head();
    let shown = json!({ "batch": head.batch, "accounts": head.accounts, "state": state_json(&head.state) });
    write_json(None, &shown)
}

/// Checks everything.
pub(crate) fn check(options: &Check) -> anyhow::Result<()> {
    let checked = store::check(&options.store)?;
    println!("accounts: {}", checked.head.accounts);
    println!("batches: {}", checked.head.batch);
    println!("nodes above leaves: {}", checked.nodes);
    println!("sum of balances: {}", checked.supply);
    println!("root: {}", hexadecimal(&checked.head.state.root));
    println!("all is well");
    Ok(())
}
