//! Changes over a view that stays as it is.

use super::super::account::{Account, Index};
use super::super::codec::key_bytes;
use super::nodes::Nodes;
use super::{Accounts, Directory};
use crate::eddsa::PublicKey;
use crowdfold_fold::Fr;
use std::collections::BTreeMap;

/// A view with changed accounts.
///
/// Accounts change at once, nodes with [`Overlay::rehash`]: after each account, for the paths of steps; or once after
/// many, which hashes every touched node once.
#[derive(Clone, Debug)]
pub struct Overlay<A> {
    base: A,
    accounts: BTreeMap<Index, Account>,
    keys: BTreeMap<[u8; 64], Index>,
    nodes: Nodes,
    /// Accounts that nodes don't know of yet, perhaps several times.
    stale: Vec<Index>,
}

/// What an [`Overlay`] changed: all that a store has to write, at once or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Changed and new accounts. None is ever removed.
    pub accounts: BTreeMap<Index, Account>,
    /// Changed nodes, leaves and root among them.
    pub nodes: Nodes,
}

impl<A: Accounts> Overlay<A> {
    /// The view without changes.
    pub fn new(base: A) -> Self {
        Self { base, accounts: BTreeMap::new(), keys: BTreeMap::new(), nodes: Nodes::default(), stale: Vec::new() }
    }

    /// The view below, which no change reaches.
    pub fn base(&self) -> &A {
        &self.base
    }

    /// Changes an account that exists, except for its key, which stays for ever.
    pub fn update(&mut self, index: Index, account: Account) {
        self.accounts.insert(index, account);
        self.stale.push(index);
    }

    /// Puts an account where there is none.
    pub fn create(&mut self, index: Index, account: Account) {
        let lowest = self.keys.entry(key_bytes(&account.key)).or_insert(index);
        *lowest = index.min(*lowest);
        self.update(index, account);
    }

    /// Brings the nodes above all changed accounts up to date, each hashed once.
    ///
    /// # Errors
    /// Those of the view below.
    pub fn rehash(&mut self) -> Result<(), A::Error> {
        if self.stale.is_empty() {
            return Ok(());
        }
        self.stale.sort_unstable();
        self.stale.dedup();
        let accounts: Vec<_> = self.stale.iter().map(|index| (*index, self.accounts.get(index).copied())).collect();
        let base = &self.base;
        self.nodes.put_accounts(&accounts, |level, position| base.node(level, position))?;
        self.stale.clear();
        Ok(())
    }

    /// All changes, with their nodes.
    ///
    /// # Errors
    /// Those of the view below.
    pub fn into_changes(mut self) -> Result<Changes, A::Error> {
        self.rehash()?;
        Ok(Changes { accounts: self.accounts, nodes: self.nodes })
    }
}

impl<A: Accounts> Accounts for Overlay<A> {
    type Error = A::Error;

    fn account(&self, index: Index) -> Result<Option<Account>, A::Error> {
        self.accounts.get(&index).map_or_else(|| self.base.account(index), |account| Ok(Some(*account)))
    }

    /// As of the last [`Overlay::rehash`].
    fn node(&self, level: usize, position: u32) -> Result<Fr, A::Error> {
        self.nodes.get(level, position).map_or_else(|| self.base.node(level, position), Ok)
    }
}

impl<A: Directory> Directory for Overlay<A> {
    fn find(&self, key: &PublicKey) -> Result<Option<Index>, A::Error> {
        let new = self.keys.get(&key_bytes(key)).copied();
        let old = self.base.find(key)?;
        Ok(new.into_iter().chain(old).min())
    }

    fn next_index(&self) -> Result<Option<Index>, A::Error> {
        let beyond = self.accounts.last_key_value().map_or(0, |(last, _)| last.get() + 1);
        Ok(self.base.next_index()?.and_then(|next| Index::new(next.get().max(beyond))))
    }
}
