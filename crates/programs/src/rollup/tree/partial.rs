//! The part of a tree that some accounts need: they, and the nodes beside their paths.

use super::super::account::{Account, Index, TREE_ARITY, TREE_DEPTH};
use super::super::codec::{ACCOUNT_BYTES, ELEMENT_BYTES, Reader, write_account};
use super::nodes::Nodes;
use super::{Accounts, width};
use crowdfold_fold::{Error, Fr};
use std::collections::{BTreeMap, BTreeSet};

/// Some accounts of a tree (empty leaves among them) with all that is needed to hash up to the root, whatever becomes
/// of them: a Merkle proof for many leaves at once, in which no node is there twice and none that follows from others.
///
/// Its encoding is that of the accounts in ascending order of their indices (a flag, then 84 bytes if there is one) and
/// then of the nodes beside the paths, by level and position, 32 bytes each. The indices are not in it: whoever reads
/// it knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialTree {
    accounts: BTreeMap<Index, Option<Account>>,
    /// Those beside the paths and those on them.
    nodes: Nodes,
}

/// A read of something that a [`PartialTree`] does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node {position} of level {level} is not in this part of the tree")]
pub struct NotInPart {
    /// Its level.
    pub level: usize,
    /// Its position.
    pub position: u32,
}

impl PartialTree {
    /// The most bytes of an encoding for so many accounts.
    pub const fn max_bytes(accounts: usize) -> usize {
        let (mut nodes, mut level) = (0, 0);
        while level < TREE_DEPTH {
            let beside_paths = (TREE_ARITY - 1) * accounts;
            let all = 1 << (3 * (TREE_DEPTH - level));
            nodes += if beside_paths < all { beside_paths } else { all };
            level += 1;
        }
        accounts * (1 + ACCOUNT_BYTES) + nodes * ELEMENT_BYTES
    }

    /// The part of `view` for the accounts at `indices`. Nothing is hashed.
    ///
    /// # Errors
    /// Those of the view.
    pub fn of<A: Accounts>(view: &A, indices: &BTreeSet<Index>) -> Result<Self, A::Error> {
        let account = |index: &Index| Ok((*index, view.account(*index)?));
        let accounts = indices.iter().map(account).collect::<Result<_, A::Error>>()?;
        let mut nodes = Nodes::default();
        for (level, position, _) in needed(indices) {
            nodes.set(level, position, view.node(level, position)?);
        }
        nodes.set(TREE_DEPTH, 0, view.root()?);
        Ok(Self { accounts, nodes })
    }

    /// The accounts, in ascending order of their indices; `None` for an empty leaf.
    pub fn accounts(&self) -> &BTreeMap<Index, Option<Account>> {
        &self.accounts
    }

    /// The canonical encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        let indices: BTreeSet<Index> = self.accounts.keys().copied().collect();
        let mut out = Vec::new();
        for account in self.accounts.values() {
            out.push(account.is_some().into());
            account.iter().for_each(|account| write_account(&mut out, account));
        }
        for (level, position, _) in needed(&indices).filter(|(_, _, on_path)| !on_path) {
            out.extend(self.nodes.get(level, position).map_or([0; ELEMENT_BYTES], |node| node.to_bytes()));
        }
        out
    }

    /// Reads the part for the accounts at `indices` of the tree with that root, which is checked.
    pub(in super::super) fn read(reader: &mut Reader<'_>, indices: &BTreeSet<Index>, root: Fr) -> Result<Self, Error> {
        let at = reader.at();
        let mut accounts = Vec::new();
        for index in indices {
            let account = if reader.flag("account flag")? { Some(reader.account("account")?) } else { None };
            accounts.push((*index, account));
        }
        let mut nodes = Nodes::default();
        for (level, position, _) in needed(indices).filter(|(_, _, on_path)| !on_path) {
            nodes.set(level, position, reader.element("node")?);
        }
        let reason = "it does not hash to the root";
        let wrong = || Error::Decode { what: "part of the tree", at, reason };
        nodes.put_accounts(&accounts, |level, position| Err(NotInPart { level, position })).map_err(|_| wrong())?;
        if nodes.get(TREE_DEPTH, 0) != Some(root) {
            return Err(wrong());
        }
        Ok(Self { accounts: accounts.into_iter().collect(), nodes })
    }

    /// Reads what [`Self::to_bytes`] wrote for the accounts at `indices` of the tree with that root, and nothing else.
    ///
    /// # Errors
    /// [`Error::Decode`] for any other bytes.
    pub fn from_bytes(bytes: &[u8], indices: &BTreeSet<Index>, root: Fr) -> Result<Self, Error> {
        super::super::codec::decode_all(bytes, |reader| Self::read(reader, indices, root))
    }
}

/// The children of all nodes on the paths from `indices` to the root, in ascending order of level and position, and
/// whether they are on a path themselves.
fn needed(indices: &BTreeSet<Index>) -> impl Iterator<Item = (usize, u32, bool)> + use<> {
    let mut on_path: Vec<u32> = indices.iter().map(|index| index.get()).collect();
    (0..TREE_DEPTH).flat_map(move |level| {
        let mut parents = on_path.clone();
        parents.iter_mut().for_each(|position| *position /= TREE_ARITY as u32);
        parents.dedup();
        let paths = std::mem::replace(&mut on_path, parents.clone());
        let mut paths = paths.into_iter().peekable();
        let first = move |parent: u32| TREE_ARITY as u32 * parent..TREE_ARITY as u32 * (parent + 1);
        let children: Vec<_> =
            parents.into_iter().flat_map(first).map(|at| (level, at, paths.next_if_eq(&at).is_some())).collect();
        debug_assert!(children.last().is_none_or(|(level, at, _)| *at < width(*level)));
        children
    })
}

impl Accounts for PartialTree {
    type Error = NotInPart;

    fn account(&self, index: Index) -> Result<Option<Account>, NotInPart> {
        self.accounts.get(&index).copied().ok_or(NotInPart { level: 0, position: index.get() })
    }

    fn node(&self, level: usize, position: u32) -> Result<Fr, NotInPart> {
        self.nodes.get(level, position).ok_or(NotInPart { level, position })
    }
}
