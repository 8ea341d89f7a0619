//! An account with its path, as whoever keeps the accounts shows it to whoever has the root.

use super::scalars::{Amount, Element, KeyText};
use super::transactions::index;
use crate::Error;
use crate::store::Snapshot;
use crowdfold_fold::{Fr, poseidon};
use crowdfold_programs::rollup::{Account, Accounts as _, Index, TREE_ARITY, TREE_DEPTH};
use serde::{Deserialize, Serialize};

/// An account, and that it is in the tree of a root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountProof {
    /// Its index.
    pub index: u32,
    /// Whose signatures spend from it.
    pub key: KeyText,
    /// What it holds.
    pub balance: Amount,
    /// Transactions signed so far.
    pub nonce: u32,
    /// Its leaf.
    pub leaf: Element,
    /// The levels from the leaf upwards.
    pub path: Vec<PathLevel>,
    /// The root.
    pub root: Element,
}

/// A level of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathLevel {
    /// The place of the node on the path among the children of its parent.
    pub position: usize,
    /// The other children, in order.
    pub siblings: [Element; TREE_ARITY - 1],
}

impl AccountProof {
    /// The account at an index, if there is one, with its checked path.
    ///
    /// # Errors
    /// Those of the store.
    pub fn of(snapshot: &Snapshot, at: Index) -> Result<Option<Self>, Error> {
        let Some(account) = snapshot.account(at)? else { return Ok(None) };
        let level = |(siblings, position): (&[Fr; TREE_ARITY - 1], usize)| PathLevel {
            position,
            siblings: siblings.map(Element),
        };
        let path = snapshot.path(at)?;
        Ok(Some(Self {
            index: at.get(),
            key: account.key.into(),
            balance: Amount(account.balance),
            nonce: account.nonce,
            leaf: Element(account.leaf()),
            path: path.iter().zip(at.digits()).map(level).collect(),
            root: Element(snapshot.head().state.root),
        }))
    }

    /// The account, if the path leads from it to `root`, which comes from somebody who is trusted: a proof, or the
    /// chain. Nothing else is trusted, not even what this says of its own root.
    ///
    /// # Errors
    /// [`Error::Value`] for a key that is none; [`Error::Limit`] for an index beyond the tree; [`Error::NotInTree`].
    pub fn verify(&self, root: Fr) -> Result<Account, Error> {
        let at = index(self.index)?;
        let account = Account { key: self.key.decode()?, balance: self.balance.0, nonce: self.nonce };
        let wrong = || Error::NotInTree { index: at };
        if self.path.len() != TREE_DEPTH || self.leaf.0 != account.leaf() || self.root.0 != root {
            return Err(wrong());
        }
        let mut node = account.leaf();
        for (level, digit) in self.path.iter().zip(at.digits()) {
            if level.position != digit {
                return Err(wrong());
            }
            let siblings = level.siblings.map(|sibling| sibling.0);
            let mut children = [node; TREE_ARITY];
            children[..digit].copy_from_slice(&siblings[..digit]);
            children[digit + 1..].copy_from_slice(&siblings[digit..]);
            node = poseidon::hash(&children);
        }
        if node == root { Ok(account) } else { Err(wrong()) }
    }
}
