//! Known nodes of a tree, and the hashing of those above changed ones.

use super::super::account::{Account, Index, TREE_ARITY, TREE_DEPTH};
use super::children;
use crowdfold_fold::{Fr, poseidon};
use ff::Field;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Some nodes of a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nodes {
    levels: [BTreeMap<u32, Fr>; TREE_DEPTH + 1],
}

/// From so many hashes on, threads are worth their waking up.
const MIN_PARALLEL: usize = 32;

/// `hash` of each item, in their order; on many threads if there are many.
fn hash_all<T: Sync>(items: &[T], hash: impl Fn(&T) -> Fr + Send + Sync) -> Vec<Fr> {
    if items.len() < MIN_PARALLEL {
        items.iter().map(hash).collect()
    } else {
        items.par_iter().with_min_len(MIN_PARALLEL / 2).map(hash).collect()
    }
}

impl Nodes {
    /// The node, if it is known.
    pub fn get(&self, level: usize, position: u32) -> Option<Fr> {
        self.levels.get(level)?.get(&position).copied()
    }

    /// Makes a node known.
    ///
    /// # Panics
    /// Above [`TREE_DEPTH`].
    pub fn set(&mut self, level: usize, position: u32, node: Fr) {
        self.levels[level].insert(position, node);
    }

    /// The known nodes in ascending order of level and position.
    pub fn iter(&self) -> impl Iterator<Item = (usize, u32, Fr)> {
        self.levels
            .iter()
            .enumerate()
            .flat_map(|(level, nodes)| nodes.iter().map(move |(at, node)| (level, *at, *node)))
    }

    /// Takes over the nodes of others.
    pub fn extend(&mut self, others: Self) {
        for (level, others) in self.levels.iter_mut().zip(others.levels) {
            level.extend(others);
        }
    }

    /// Sets the leaves of accounts and all nodes above them, each hashed once, level by level. Nodes that are not known
    /// are read from `base`.
    pub(super) fn put_accounts<E>(
        &mut self,
        accounts: &[(Index, Option<Account>)],
        base: impl Fn(usize, u32) -> Result<Fr, E>,
    ) -> Result<(), E> {
        let leaves = hash_all(accounts, |(_, account)| account.map_or(Fr::ZERO, |account| account.leaf()));
        let mut positions: Vec<u32> = accounts.iter().map(|(index, _)| index.get()).collect();
        self.levels[0].extend(positions.iter().copied().zip(leaves));
        for level in 1..=TREE_DEPTH {
            positions.iter_mut().for_each(|position| *position /= TREE_ARITY as u32);
            positions.dedup();
            let read = |level, position| self.get(level, position).map_or_else(|| base(level, position), Ok);
            let inputs = positions.iter().map(|at| children(level, *at, read)).collect::<Result<Vec<_>, E>>()?;
            let hashes = hash_all(&inputs, |children| poseidon::hash(children));
            self.levels[level].extend(positions.iter().copied().zip(hashes));
        }
        Ok(())
    }
}
