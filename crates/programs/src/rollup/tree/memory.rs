//! All accounts in memory.

use super::super::account::{Account, Index};
use super::super::codec::key_bytes;
use super::nodes::Nodes;
use super::overlay::Changes;
use super::{Accounts, Directory, empty_node};
use crate::eddsa::PublicKey;
use crowdfold_fold::Fr;
use std::collections::BTreeMap;
use std::convert::Infallible;

/// All accounts and nodes: about 400 bytes an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryAccounts {
    accounts: BTreeMap<Index, Account>,
    nodes: Nodes,
    keys: BTreeMap<[u8; 64], Index>,
}

impl MemoryAccounts {
    /// The tree of these accounts; of two at the same index, the later. Each node is hashed once, on the threads of
    /// rayon's current pool.
    pub fn new(accounts: impl IntoIterator<Item = (Index, Account)>) -> Self {
        let accounts: BTreeMap<Index, Account> = accounts.into_iter().collect();
        let mut tree = Self::default();
        tree.put(accounts.clone());
        let all: Vec<(Index, Option<Account>)> = accounts.into_iter().map(|(index, a)| (index, Some(a))).collect();
        if !all.is_empty() {
            let Ok(()) = tree.nodes.put_accounts::<Infallible>(&all, |level, _| Ok(empty_node(level)));
        }
        tree
    }

    /// The tree of accounts at the indices 0, 1, 2 and so on; `None` if there are more than indices.
    pub fn in_order(accounts: impl IntoIterator<Item = Account>) -> Option<Self> {
        let place = |(i, account): (usize, Account)| Some((Index::new(u32::try_from(i).ok()?)?, account));
        accounts.into_iter().enumerate().map(place).collect::<Option<Vec<_>>>().map(Self::new)
    }

    /// Number of accounts.
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Whether there is no account.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// The accounts in ascending order of their indices.
    pub fn iter(&self) -> impl Iterator<Item = (Index, &Account)> {
        self.accounts.iter().map(|(index, account)| (*index, account))
    }

    /// Takes over what an [`super::Overlay`] of this tree changed.
    pub fn commit(&mut self, changes: Changes) {
        let Changes { accounts, nodes } = changes;
        self.put(accounts);
        self.nodes.extend(nodes);
    }

    /// Accounts without their nodes.
    fn put(&mut self, accounts: BTreeMap<Index, Account>) {
        for (index, account) in accounts {
            let lowest = self.keys.entry(key_bytes(&account.key)).or_insert(index);
            *lowest = index.min(*lowest);
            self.accounts.insert(index, account);
        }
    }
}

impl Accounts for MemoryAccounts {
    type Error = Infallible;

    fn account(&self, index: Index) -> Result<Option<Account>, Infallible> {
        Ok(self.accounts.get(&index).copied())
    }

    fn node(&self, level: usize, position: u32) -> Result<Fr, Infallible> {
        Ok(self.nodes.get(level, position).unwrap_or_else(|| empty_node(level)))
    }
}

impl Directory for MemoryAccounts {
    fn find(&self, key: &PublicKey) -> Result<Option<Index>, Infallible> {
        Ok(self.keys.get(&key_bytes(key)).copied())
    }

    fn next_index(&self) -> Result<Option<Index>, Infallible> {
        Ok(self.accounts.last_key_value().map_or(Some(Index::default()), |(last, _)| Index::new(last.get() + 1)))
    }
}
