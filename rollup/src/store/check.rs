//! Reading and hashing all of a store.

use super::tables::{
    ACCOUNTS, Group, Head, KEYS, NODES, empty_group, key_bytes, node_key, node_of_key, read_account, read_group,
};
use super::{Snapshot, Store, builder, open_database};
use crate::Error;
use crowdfold_fold::{Fr, poseidon};
use crowdfold_programs::rollup::{Account, Index, TREE_ARITY, TREE_DEPTH};
use rayon::prelude::*;
use redb::{ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata};
use std::path::Path;

/// Rows that are hashed together.
const CHUNK: usize = 1 << 16;

/// What a check found to be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// What is true now.
    pub head: Head,
    /// Nodes that were hashed.
    pub nodes: u64,
    /// The sum of all balances.
    pub supply: u128,
}

/// Checks everything: the checksums of the file's pages, that each account is the leaf of its index, each node the hash
/// of its children up to the root of the state, and that each key leads to the lowest index that has it.
///
/// # Errors
/// Those of [`Store::open`]; [`Error::Corrupt`] for the first thing that is wrong.
pub fn check(path: &Path) -> Result<Checked, Error> {
    let mut thorough = builder();
    thorough.set_check_integrity_on_open(true);
    let store = Store { database: open_database(path, thorough)? };
    let transaction = store.database.begin_read()?;
    let head = super::snapshot::read_head(&transaction, path)?;
    Snapshot::of(&transaction, None)?;
    let (leaves, supply) = check_accounts(&transaction)?;
    let nodes = check_nodes(&transaction, leaves, head.state.root)?;
    Ok(Checked { head, nodes, supply })
}

/// Nodes of one level in ascending order of their positions.
type Level = Vec<(u32, Fr)>;

/// The leaves of all accounts, and the sum of their balances.
fn check_accounts(transaction: &ReadTransaction) -> Result<(Level, u128), Error> {
    let table = transaction.open_table(ACCOUNTS)?;
    let keys = transaction.open_table(KEYS)?;
    let (mut leaves, mut supply, mut distinct) = (Level::new(), 0u128, 0);
    let mut rows = table.iter()?;
    loop {
        let mut accounts: Vec<(u32, Account)> = Vec::new();
        for row in rows.by_ref().take(CHUNK) {
            let (index, account) = row?;
            let (index, account) = (index.value(), read_account(account.value()));
            let account = account.filter(|_| Index::new(index).is_some());
            accounts.push((index, account.ok_or_else(|| Error::corrupt(format!("the row of account {index}")))?));
        }
        if accounts.is_empty() {
            break;
        }
        for (index, account) in &accounts {
            let wrong = || Error::corrupt(format!("the key of account {index} leads elsewhere"));
            let key = key_bytes(&account.key);
            let first = keys.get(&key)?.ok_or_else(wrong)?.value();
            let other = if first < *index { table.get(first)?.and_then(|row| read_account(row.value())) } else { None };
            if first != *index && other.is_none_or(|other| other.key != account.key) {
                return Err(wrong());
            }
            distinct += u64::from(first == *index);
            let sum = supply.checked_add(account.balance);
            supply = sum.ok_or_else(|| Error::corrupt("all balances together are not below 2^128"))?;
        }
        leaves.par_extend(accounts.par_iter().map(|(index, account)| (*index, account.leaf())));
    }
    let rows = keys.len()?;
    if rows != distinct {
        return Err(Error::corrupt(format!("{rows} keys instead of {distinct}")));
    }
    Ok((leaves, supply))
}

/// Checks all nodes above the leaves, and returns how many there are.
fn check_nodes(transaction: &ReadTransaction, leaves: Level, root: Fr) -> Result<u64, Error> {
    let table = transaction.open_table(NODES)?;
    let (mut below, mut count) = (leaves, 0);
    for level in 1..=TREE_DEPTH {
        let mut children = below.into_iter().peekable();
        let mut nodes = Level::new();
        let mut rows = table.range(node_key(level, 0)..node_key(level + 1, 0))?;
        loop {
            let mut groups: Vec<(u32, Group)> = Vec::new();
            for row in rows.by_ref().take(CHUNK) {
                let (key, group) = row?;
                let (_, position) = node_of_key(key.value());
                let wrong = || Error::corrupt(format!("the children of node {position} of level {level}"));
                let group = read_group(group.value()).ok_or_else(wrong)?;
                let first = TREE_ARITY as u32 * position;
                let mut expected = empty_group(level);
                while let Some((at, node)) = children.next_if(|(at, _)| (first..first + 8).contains(at)) {
                    expected[(at - first) as usize] = node;
                }
                if group != expected {
                    return Err(wrong());
                }
                groups.push((position, group));
            }
            if groups.is_empty() {
                break;
            }
            nodes.par_extend(groups.par_iter().map(|(position, group)| (*position, poseidon::hash(group))));
        }
        if let Some((at, _)) = children.next() {
            return Err(Error::corrupt(format!("the node above node {at} of level {} is missing", level - 1)));
        }
        count += nodes.len() as u64;
        below = nodes;
    }
    if table.len()? != count {
        return Err(Error::corrupt("there are nodes beyond the root"));
    }
    match below[..] {
        [(0, node)] if node == root => Ok(count),
        _ => Err(Error::corrupt("the root of the state is not that of the tree")),
    }
}
