//! Accounts and their place in the tree.

use crate::eddsa::PublicKey;
use crowdfold_fold::{Fr, poseidon};
use ff::PrimeField;
use std::fmt;

/// Children of a node.
pub const TREE_ARITY: usize = 8;
/// Levels of nodes above the leaves.
pub const TREE_DEPTH: usize = 8;

/// The number of an account: below 2^24.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Index(u32);

impl Index {
    /// Bits of an index.
    pub const BITS: usize = 24;

    /// `None` for 2^24 and more.
    pub fn new(index: u32) -> Option<Self> {
        (index >> Self::BITS == 0).then_some(Self(index))
    }

    /// As a number.
    pub fn get(self) -> u32 {
        self.0
    }

    /// As a field element.
    pub fn element(self) -> Fr {
        Fr::from(u64::from(self.0))
    }

    /// Position among the children of its node at each level, from that next to the leaf to that of the root.
    pub fn digits(self) -> [usize; TREE_DEPTH] {
        std::array::from_fn(|level| (self.0 >> (3 * level)) as usize % TREE_ARITY)
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An account that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Whose signatures spend from it.
    pub key: PublicKey,
    /// What it holds.
    pub balance: u128,
    /// Transactions signed so far.
    pub nonce: u32,
}

impl Account {
    /// Its leaf in the tree.
    pub fn leaf(&self) -> Fr {
        poseidon::hash(&[self.key.x(), self.key.y(), Fr::from_u128(self.balance), Fr::from(u64::from(self.nonce))])
    }
}
