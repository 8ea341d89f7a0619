//! Making stores.

use super::tables::{
    ACCOUNTS, Group, Head, KEY_BYTES, KEYS, MAGIC, META, NODES, VERSION, account_bytes, empty_group, group_bytes,
    key_bytes, node_key,
};
use super::{Store, builder};
use crate::Error;
use crowdfold_fold::{Fr, poseidon};
use crowdfold_programs::rollup::{Account, Index, State, TREE_ARITY, TREE_DEPTH, empty_node};
use rayon::prelude::*;
use redb::{Database, WriteTransaction};
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;

/// Rows of a transaction: enough to write few pages twice, few enough to stay in memory.
pub(super) const BULK_ROWS: usize = 1 << 18;

/// The accounts that a rollup starts with, at the indices 0, 1, 2 and so on, with each node of their tree.
#[derive(Clone, Debug)]
pub struct Genesis {
    accounts: Vec<Account>,
    state: State,
    /// The children of all nodes with accounts below them, from level 1 upwards.
    levels: Vec<Vec<Group>>,
    /// The keys in ascending order, with their indices.
    keys: Vec<([u8; KEY_BYTES], u32)>,
}

impl Genesis {
    /// Checks the accounts and hashes each node once, on the threads of rayon's current pool.
    ///
    /// # Errors
    /// [`Error::TooManyAccounts`], [`Error::NoOperator`], [`Error::DuplicateKey`], [`Error::SupplyTooLarge`].
    pub fn new(accounts: Vec<Account>, domain: Fr, operator: Index) -> Result<Self, Error> {
        let (found, limit) = (accounts.len(), 1 << Index::BITS);
        if found > limit {
            return Err(Error::TooManyAccounts { limit, found });
        }
        if operator.get() as usize >= found {
            return Err(Error::NoOperator { operator, accounts: found });
        }
        let supply = accounts.iter().try_fold(0u128, |sum, account| sum.checked_add(account.balance));
        supply.ok_or(Error::SupplyTooLarge)?;

        let mut keys: Vec<_> =
            accounts.par_iter().map(|account| key_bytes(&account.key)).zip(0..found as u32).collect();
        keys.par_sort_unstable();
        if let Some([(_, first), (_, second)]) = keys.array_windows().find(|[(a, _), (b, _)]| a == b) {
            return Err(Error::DuplicateKey { first: *first, second: *second });
        }

        let mut nodes: Vec<Fr> = accounts.par_iter().map(Account::leaf).collect();
        let mut levels = Vec::with_capacity(TREE_DEPTH);
        for level in 1..=TREE_DEPTH {
            let groups: Vec<Group> = nodes.par_chunks(TREE_ARITY).map(|children| group(level, children)).collect();
            nodes = groups.par_iter().map(|group| poseidon::hash(group)).collect();
            levels.push(groups);
        }
        let root = nodes.first().copied().unwrap_or_else(|| empty_node(TREE_DEPTH));
        Ok(Self { accounts, state: State::genesis(root, domain, operator), levels, keys })
    }

    /// The first state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Makes a store of it at `path`, where there is nothing yet. What was written is deleted again on failure.
    ///
    /// # Errors
    /// [`Error::Exists`], or what the file system says.
    pub fn create(&self, path: &Path) -> Result<Store, Error> {
        make(path, || self.write(path))
    }

    fn write(&self, path: &Path) -> Result<Store, Error> {
        let database = builder().create(path)?;
        put_meta(&database, &[("magic", &MAGIC), ("version", &VERSION.to_le_bytes())])?;
        bulk(&database, &self.accounts, |transaction, first, accounts| {
            let mut table = transaction.open_table(ACCOUNTS)?;
            for (index, account) in (first..).zip(accounts) {
                table.insert(index, &account_bytes(account))?;
            }
            Ok(())
        })?;
        for (level, groups) in (1..).zip(&self.levels) {
            bulk(&database, groups, |transaction, first, groups| {
                let mut table = transaction.open_table(NODES)?;
                for (position, group) in (first..).zip(groups) {
                    table.insert(node_key(level, position), &group_bytes(group))?;
                }
                Ok(())
            })?;
        }
        bulk(&database, &self.keys, |transaction, _, keys| {
            let mut table = transaction.open_table(KEYS)?;
            for (key, index) in keys {
                table.insert(key, *index)?;
            }
            Ok(())
        })?;
        // Only with a head is it a store.
        let head = Head { state: self.state, accounts: self.accounts.len() as u32, batch: 0 };
        put_meta(&database, &[("head", &head.to_bytes())])?;
        Ok(Store { database })
    }
}

/// Writes to a new file, which is deleted again on failure.
pub(super) fn make<T>(path: &Path, write: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    OpenOptions::new().write(true).create_new(true).open(path).map_err(|source| match source.kind() {
        ErrorKind::AlreadyExists => Error::Exists { path: path.into() },
        _ => Error::Io { path: path.into(), source },
    })?;
    write().inspect_err(|_| {
        // The failure that led here is the one to report.
        let _ = fs::remove_file(path);
    })
}

fn group(level: usize, children: &[Fr]) -> Group {
    let mut group = empty_group(level);
    group[..children.len()].copy_from_slice(children);
    group
}

pub(super) fn put_meta(database: &Database, rows: &[(&str, &[u8])]) -> Result<(), Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    {
        let mut meta = transaction.open_table(META)?;
        for (key, value) in rows {
            meta.insert(*key, *value)?;
        }
    }
    Ok(transaction.commit()?)
}

/// Hands items to `write`, with the position of the first, one transaction after the other.
fn bulk<T>(
    database: &Database,
    items: &[T],
    write: impl Fn(&WriteTransaction, u32, &[T]) -> Result<(), Error>,
) -> Result<(), Error> {
    for (first, items) in (0..).step_by(BULK_ROWS).zip(items.chunks(BULK_ROWS)) {
        let transaction = database.begin_write()?;
        write(&transaction, first, items)?;
        transaction.commit()?;
    }
    Ok(())
}
