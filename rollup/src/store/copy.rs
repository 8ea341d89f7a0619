//! Copying a store while it is open.

use super::genesis::{BULK_ROWS, make, put_meta};
use super::tables::{ACCOUNTS, KEYS, MAGIC, NODES, VERSION};
use super::{Snapshot, builder};
use crate::Error;
use redb::{Database, Key, ReadOnlyTable, ReadableTable, TableDefinition, Value};
use std::path::Path;

impl Snapshot {
    /// Makes a store at `path`, where there is nothing yet, of the accounts as they are here; changes of the store that
    /// this is of may go on meanwhile. All of it is on disk when this returns. What was written is deleted again on
    /// failure, and what a crash leaves is refused as unfinished.
    ///
    /// # Errors
    /// [`Error::Exists`], or what the key-value store and the file system say.
    pub fn copy_to(&self, path: &Path) -> Result<(), Error> {
        make(path, || {
            let database = builder().create(path)?;
            put_meta(&database, &[("magic", &MAGIC), ("version", &VERSION.to_le_bytes())])?;
            copy(&self.accounts, ACCOUNTS, &database)?;
            copy(&self.nodes, NODES, &database)?;
            copy(&self.keys, KEYS, &database)?;
            // Only with a head is it a store.
            put_meta(&database, &[("head", &self.head().to_bytes())])
        })
    }
}

/// Copies a table, some rows in each transaction.
fn copy<K: Key + 'static, V: Value + 'static>(
    from: &ReadOnlyTable<K, V>,
    definition: TableDefinition<'static, K, V>,
    to: &Database,
) -> Result<(), Error> {
    let mut rows = from.iter()?.peekable();
    // A table without rows is one all the same.
    loop {
        let transaction = to.begin_write()?;
        {
            let mut table = transaction.open_table(definition)?;
            for row in rows.by_ref().take(BULK_ROWS) {
                let (key, value) = row?;
                table.insert(key.value(), value.value())?;
            }
        }
        transaction.commit()?;
        if rows.peek().is_none() {
            return Ok(());
        }
    }
}
