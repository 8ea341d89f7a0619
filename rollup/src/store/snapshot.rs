//! A view of a store that stays as it is.

use super::tables::{
    ACCOUNT_BYTES, ACCOUNTS, GROUP_BYTES, Group, Head, KEY_BYTES, KEYS, MAGIC, META, NODES, VERSION, empty_group,
    key_bytes, node_key, read_account, read_group,
};
use crate::Error;
use crowdfold_fold::{Fr, poseidon};
use crowdfold_programs::eddsa::PublicKey;
use crowdfold_programs::rollup::{Account, Accounts, Directory, Index, TREE_ARITY, TREE_DEPTH};
use redb::{ReadOnlyDatabase, ReadOnlyTable, ReadTransaction, ReadableTableMetadata, TableError};
use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The accounts as they were at one time, whatever is committed later.
pub struct Snapshot {
    head: Head,
    pub(super) accounts: ReadOnlyTable<u32, &'static [u8; ACCOUNT_BYTES]>,
    pub(super) nodes: ReadOnlyTable<u32, &'static [u8; GROUP_BYTES]>,
    pub(super) keys: ReadOnlyTable<&'static [u8; KEY_BYTES], u32>,
    /// The children read last: whoever reads one mostly reads the others next.
    last: Mutex<Option<(u32, Group)>>,
    /// Kept open as long as the tables, if no store keeps it.
    _database: Option<ReadOnlyDatabase>,
}

impl Snapshot {
    pub(super) fn of(transaction: &ReadTransaction, database: Option<ReadOnlyDatabase>) -> Result<Self, Error> {
        let meta = transaction.open_table(META)?;
        let head = meta.get("head")?.ok_or_else(|| Error::corrupt("there is no head"))?;
        let snapshot = Self {
            head: Head::from_bytes(head.value())?,
            accounts: transaction.open_table(ACCOUNTS)?,
            nodes: transaction.open_table(NODES)?,
            keys: transaction.open_table(KEYS)?,
            last: Mutex::new(None),
            _database: database,
        };
        let rows = snapshot.accounts.len()?;
        if rows != u64::from(snapshot.head.accounts) {
            return Err(Error::corrupt(format!("{rows} accounts instead of {}", snapshot.head.accounts)));
        }
        Ok(snapshot)
    }

    /// State, number of accounts, number of batches.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The children of a node of level 1 or above.
    fn group(&self, level: usize, position: u32) -> Result<Group, Error> {
        let key = node_key(level, position);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, group)) = last.filter(|(known, _)| *known == key) {
            return Ok(group);
        }
        let group = match self.nodes.get(key)? {
            Some(row) => read_group(row.value())
                .ok_or_else(|| Error::corrupt(format!("the children of node {position} of level {level}")))?,
            None => empty_group(level),
        };
        *last = Some((key, group));
        Ok(group)
    }

    /// Whether the root's children hash to the root of the state.
    pub(super) fn check_root(&self) -> Result<(), Error> {
        if poseidon::hash(&self.group(TREE_DEPTH, 0)?) == self.head.state.root {
            Ok(())
        } else {
            Err(Error::corrupt("the root of the state is not that of the tree"))
        }
    }

    /// The nodes beside the path of an account at each level, from the leaves upwards, which are checked against the
    /// root.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if they don't lead there.
    pub fn path(&self, index: Index) -> Result<[[Fr; TREE_ARITY - 1]; TREE_DEPTH], Error> {
        let mut path = [[Fr::default(); TREE_ARITY - 1]; TREE_DEPTH];
        let mut node = self.account(index)?.map_or(Fr::default(), |account| account.leaf());
        let mut position = index.get();
        for (level, (siblings, digit)) in path.iter_mut().zip(index.digits()).enumerate() {
            position /= TREE_ARITY as u32;
            let group = self.group(level + 1, position)?;
            if group[digit] != node {
                return Err(Error::corrupt(format!("the path of account {index} breaks at level {level}")));
            }
            siblings[..digit].copy_from_slice(&group[..digit]);
            siblings[digit..].copy_from_slice(&group[digit + 1..]);
            node = poseidon::hash(&group);
        }
        if node == self.head.state.root { Ok(path) } else { Err(Error::corrupt("a path does not lead to the root")) }
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("head", &self.head).finish_non_exhaustive()
    }
}

impl Accounts for Snapshot {
    type Error = Error;

    fn account(&self, index: Index) -> Result<Option<Account>, Error> {
        let Some(row) = self.accounts.get(index.get())? else { return Ok(None) };
        read_account(row.value()).map(Some).ok_or_else(|| Error::corrupt(format!("the row of account {index}")))
    }

    fn node(&self, level: usize, position: u32) -> Result<Fr, Error> {
        if level >= TREE_DEPTH {
            return Ok(self.head.state.root);
        }
        let arity = TREE_ARITY as u32;
        Ok(self.group(level + 1, position / arity)?[(position % arity) as usize])
    }
}

impl Directory for Snapshot {
    fn find(&self, key: &PublicKey) -> Result<Option<Index>, Error> {
        let Some(row) = self.keys.get(&key_bytes(key))? else { return Ok(None) };
        let index = row.value();
        Index::new(index).map(Some).ok_or_else(|| Error::corrupt(format!("a key has the index {index}")))
    }

    fn next_index(&self) -> Result<Option<Index>, Error> {
        use redb::ReadableTable as _;
        Ok(self.accounts.last()?.map_or(Some(Index::default()), |(last, _)| Index::new(last.value().saturating_add(1))))
    }
}

/// Refuses a database that is no finished store of this version.
pub(super) fn read_head(transaction: &ReadTransaction, path: &Path) -> Result<Head, Error> {
    let foreign = || Error::Foreign { path: path.into() };
    let meta = transaction.open_table(META).map_err(|error| match error {
        TableError::Storage(error) => error.into(),
        _ => foreign(),
    })?;
    let magic = meta.get("magic")?.ok_or_else(foreign)?;
    if magic.value() != MAGIC {
        return Err(foreign());
    }
    let version = meta.get("version")?.ok_or_else(foreign)?;
    let found = u32::from_le_bytes(version.value().try_into().map_err(|_| foreign())?);
    if found != VERSION {
        return Err(Error::Version { path: path.into(), expected: VERSION, found });
    }
    let head = meta.get("head")?.ok_or_else(|| Error::Unfinished { path: path.into() })?;
    let head = Head::from_bytes(head.value())?;
    if !head.state.is_between_batches() {
        return Err(Error::corrupt("the state is within a batch"));
    }
    Ok(head)
}
