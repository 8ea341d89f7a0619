//! Committing batches.

use super::Store;
use super::tables::{
    ACCOUNTS, GROUP_BYTES, Group, Head, KEYS, META, NODES, account_bytes, empty_group, group_bytes, key_bytes,
    node_key, read_group,
};
use crate::Error;
use crate::forms::hexadecimal;
use crowdfold_programs::rollup::{Account, Index, Nodes, Outcome, TREE_ARITY, TREE_DEPTH};
use redb::{ReadableTable, Table, WriteTransaction};
use std::collections::BTreeMap;

impl Store {
    /// Takes over what a batch changed, in one transaction that is on disk when this returns. The batch has to follow
    /// the store's state.
    ///
    /// # Errors
    /// [`Error::Stale`] for a batch that follows another state, [`Error::ChangesMismatch`], or what the key-value store
    /// says; nothing has changed then.
    pub fn commit(&self, outcome: &Outcome) -> Result<Head, Error> {
        let mut transaction = self.database.begin_write()?;
        // After a crash, the next one to open the store need not read all of it.
        transaction.set_quick_repair(true);
        let head = write(&transaction, outcome)?;
        transaction.commit()?;
        Ok(head)
    }
}

fn write(transaction: &WriteTransaction, outcome: &Outcome) -> Result<Head, Error> {
    let mut meta = transaction.open_table(META)?;
    let head = Head::from_bytes(meta.get("head")?.ok_or_else(|| Error::corrupt("there is no head"))?.value())?;
    let (start, end, changes) = (outcome.batch.start(), outcome.end, &outcome.changes);
    if *start != head.state {
        let (expected, found) = (hexadecimal(&head.state.root), hexadecimal(&start.root));
        return Err(Error::Stale { expected, found, batches: head.batch });
    }
    let root = changes.nodes.get(TREE_DEPTH, 0).unwrap_or(start.root);
    if root != end.root {
        return Err(Error::ChangesMismatch { expected: hexadecimal(&end.root), found: hexadecimal(&root) });
    }
    let created = put_accounts(transaction, &changes.accounts)?;
    put_nodes(transaction, &changes.nodes)?;
    let head = Head { state: end, accounts: head.accounts + created, batch: head.batch + 1 };
    meta.insert("head", &head.to_bytes()[..])?;
    Ok(head)
}

/// Writes accounts and the keys of new ones; returns how many are new.
fn put_accounts(transaction: &WriteTransaction, changed: &BTreeMap<Index, Account>) -> Result<u32, Error> {
    let mut accounts = transaction.open_table(ACCOUNTS)?;
    let mut keys = transaction.open_table(KEYS)?;
    let mut created = 0;
    for (index, account) in changed {
        if accounts.insert(index.get(), &account_bytes(account))?.is_some() {
            continue;
        }
        created += 1;
        let key = key_bytes(&account.key);
        let known = keys.get(&key)?.map(|row| row.value());
        if known.is_none_or(|known| index.get() < known) {
            keys.insert(&key, index.get())?;
        }
    }
    Ok(created)
}

/// Writes nodes into the rows of their parents.
fn put_nodes(transaction: &WriteTransaction, changed: &Nodes) -> Result<(), Error> {
    let mut nodes = transaction.open_table(NODES)?;
    let arity = TREE_ARITY as u32;
    let mut open: Option<(u32, Group)> = None;
    for (level, position, node) in changed.iter().filter(|(level, _, _)| *level < TREE_DEPTH) {
        let key = node_key(level + 1, position / arity);
        let mut group = match open.take() {
            Some((known, group)) if known == key => group,
            finished => {
                put_group(&mut nodes, finished)?;
                let row = nodes.get(key)?;
                let unreadable = || Error::corrupt(format!("the children of a node of level {}", level + 1));
                row.map_or_else(|| Ok(empty_group(level + 1)), |row| read_group(row.value()).ok_or_else(unreadable))?
            }
        };
        group[(position % arity) as usize] = node;
        open = Some((key, group));
    }
    put_group(&mut nodes, open)
}

fn put_group(nodes: &mut Table<'_, u32, &'static [u8; GROUP_BYTES]>, group: Option<(u32, Group)>) -> Result<(), Error> {
    if let Some((key, group)) = group {
        nodes.insert(key, &group_bytes(&group))?;
    }
    Ok(())
}
