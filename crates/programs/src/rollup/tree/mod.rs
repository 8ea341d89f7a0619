//! The tree of accounts: arity 8, depth 8 (`docs/spec/rollup.md`, section 1).
//!
//! Level 0 are the leaves, level [`TREE_DEPTH`] is the root. A node is named by its level and its position among the
//! nodes of that level; the children of node p are the nodes 8 p to 8 p + 7 below it.

mod memory;
mod nodes;
mod overlay;
mod partial;

pub use memory::MemoryAccounts;
pub use nodes::Nodes;
pub use overlay::{Changes, Overlay};
pub use partial::{NotInPart, PartialTree};

use super::account::{Account, Index, TREE_ARITY, TREE_DEPTH};
use super::input::Access;
use crate::eddsa::PublicKey;
use crowdfold_fold::{Fr, poseidon};
use ff::Field;
use std::error::Error;
use std::sync::LazyLock;

/// A view of accounts and the nodes above them.
pub trait Accounts {
    /// What can go wrong with a read.
    type Error: Error + Send + Sync + 'static;

    /// The account, if there is one.
    ///
    /// # Errors
    /// Those of the store.
    fn account(&self, index: Index) -> Result<Option<Account>, Self::Error>;

    /// A node; [`empty_node`] where there are no accounts below it.
    ///
    /// # Errors
    /// Those of the store.
    fn node(&self, level: usize, position: u32) -> Result<Fr, Self::Error>;

    /// The root.
    ///
    /// # Errors
    /// Those of the store.
    fn root(&self) -> Result<Fr, Self::Error> {
        self.node(TREE_DEPTH, 0)
    }

    /// The children of the root.
    ///
    /// # Errors
    /// Those of the store.
    fn top(&self) -> Result<[Fr; TREE_ARITY], Self::Error> {
        children(TREE_DEPTH, 0, |level, position| self.node(level, position))
    }

    /// An account with its path, for a step's input.
    ///
    /// # Errors
    /// Those of the store.
    fn access(&self, index: Index) -> Result<Access, Self::Error> {
        let mut siblings = [[Fr::ZERO; TREE_ARITY - 1]; TREE_DEPTH - 1];
        for (level, siblings) in siblings.iter_mut().enumerate() {
            let own = index.get() >> (3 * level);
            let first = own & !7;
            for (sibling, position) in siblings.iter_mut().zip((first..first + 8).filter(|position| *position != own)) {
                *sibling = self.node(level, position)?;
            }
        }
        Ok(Access { account: self.account(index)?, siblings })
    }
}

/// A view of all accounts, which also knows who owns which.
pub trait Directory: Accounts {
    /// The lowest index whose account has that key.
    ///
    /// # Errors
    /// Those of the store.
    fn find(&self, key: &PublicKey) -> Result<Option<Index>, Self::Error>;

    /// The index that the next new account gets, one beyond the highest; `None` if the tree is full.
    ///
    /// # Errors
    /// Those of the store.
    fn next_index(&self) -> Result<Option<Index>, Self::Error>;
}

impl<A: Accounts + ?Sized> Accounts for &A {
    type Error = A::Error;

    fn account(&self, index: Index) -> Result<Option<Account>, A::Error> {
        (**self).account(index)
    }

    fn node(&self, level: usize, position: u32) -> Result<Fr, A::Error> {
        (**self).node(level, position)
    }
}

impl<A: Directory + ?Sized> Directory for &A {
    fn find(&self, key: &PublicKey) -> Result<Option<Index>, A::Error> {
        (**self).find(key)
    }

    fn next_index(&self) -> Result<Option<Index>, A::Error> {
        (**self).next_index()
    }
}

/// The root of a subtree of that many levels without accounts.
///
/// # Panics
/// Above [`TREE_DEPTH`].
pub fn empty_node(level: usize) -> Fr {
    static NODES: LazyLock<[Fr; TREE_DEPTH + 1]> = LazyLock::new(|| {
        let mut nodes = [Fr::ZERO; TREE_DEPTH + 1];
        for level in 0..TREE_DEPTH {
            nodes[level + 1] = poseidon::hash(&[nodes[level]; TREE_ARITY]);
        }
        nodes
    });
    NODES[level]
}

/// Nodes of a level.
pub(super) fn width(level: usize) -> u32 {
    1 << (3 * (TREE_DEPTH - level))
}

/// The children of a node.
fn children<E>(level: usize, position: u32, node: impl Fn(usize, u32) -> Result<Fr, E>) -> Result<[Fr; TREE_ARITY], E> {
    let mut children = [Fr::ZERO; TREE_ARITY];
    for (child, position) in children.iter_mut().zip(TREE_ARITY as u32 * position..) {
        *child = node(level - 1, position)?;
    }
    Ok(children)
}

#[cfg(test)]
mod tests;
