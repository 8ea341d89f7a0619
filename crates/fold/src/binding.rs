//! Who proves what for whom, and the tree of who folded how many steps (`docs/spec/folding.md`, section 10).

use crate::circuit::merge::{NIL_BINDING, binding_leaf, binding_node};
use crate::curve::Fr;
use crate::error::Error;
use crate::limits::{COUNT_BITS, MAX_DEPTH};
use crate::transcript::{Tag, hash};
use ff::PrimeField;
use std::fmt;

/// An account address on the settlement chain, to which a prover is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub [u8; 20]);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The job that a range belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Job {
    /// Chain that settles it (EIP-155).
    pub chain_id: u64,
    /// Contract that settles it.
    pub contract: Address,
    /// The contract's name for it.
    pub job_id: [u8; 32],
}

/// What every step of a segment is bound to: the job and the prover. A proof can't be moved to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Context {
    /// The job.
    pub job: Job,
    /// Who proves, and is paid.
    pub prover: Address,
}

/// Bytes as a big-endian number; at most 31 of them.
fn big_endian(bytes: &[u8]) -> Fr {
    bytes.iter().fold(Fr::from(0), |acc, byte| acc * Fr::from(256) + Fr::from(u64::from(*byte)))
}

impl Context {
    /// `H(context, chain id, contract, upper half of the job id, lower half, prover)`, numbers big-endian.
    pub fn hash(&self) -> Fr {
        let Job { chain_id, contract, job_id } = &self.job;
        hash(
            Tag::Context,
            &[
                Fr::from(*chain_id),
                big_endian(&contract.0),
                big_endian(&job_id[..16]),
                big_endian(&job_id[16..]),
                big_endian(&self.prover.0),
            ],
        )
    }
}

/// One prover's share of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Who folded.
    pub prover: Address,
    /// Steps of the range before this share.
    pub first: u64,
    /// Steps folded.
    pub count: u64,
}

/// The Merkle tree of who folded how many steps; it has the shape of the merges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindingTree {
    /// A segment.
    Leaf {
        /// Who folded it.
        prover: Address,
        /// Steps folded.
        count: u64,
    },
    /// A merge; the right child may be absent.
    Node {
        /// The earlier range.
        left: Box<BindingTree>,
        /// The later range.
        right: Option<Box<BindingTree>>,
    },
}

impl BindingTree {
    /// Joins two trees.
    ///
    /// # Errors
    /// [`Error::Limit`] when the result is deeper than [`MAX_DEPTH`] or counts more than 2^48 - 1 steps.
    pub fn join(left: Self, right: Option<Self>) -> Result<Self, Error> {
        let node = Self::Node { left: Box::new(left), right: right.map(Box::new) };
        if node.depth() > MAX_DEPTH {
            return Err(Error::Limit { what: "depth of a merge tree", limit: MAX_DEPTH, found: node.depth() });
        }
        let (limit, found) = ((1 << COUNT_BITS) - 1, node.count());
        if found > limit {
            return Err(Error::Limit { what: "number of steps", limit, found });
        }
        Ok(node)
    }

    /// Merges on the longest path.
    pub fn depth(&self) -> u64 {
        match self {
            Self::Leaf { .. } => 0,
            Self::Node { left, right } => 1 + left.depth().max(right.as_ref().map_or(0, |tree| tree.depth())),
        }
    }

    /// Steps in all; saturating, since a tree from outside is counted before it is checked.
    pub fn count(&self) -> u64 {
        match self {
            Self::Leaf { count, .. } => *count,
            Self::Node { left, right } => left.count().saturating_add(right.as_ref().map_or(0, |tree| tree.count())),
        }
    }

    /// The binding root for `job`, as a final proof publishes it.
    pub fn root(&self, job: &Job) -> Fr {
        match self {
            Self::Leaf { prover, count } => binding_leaf(Context { job: *job, prover: *prover }.hash(), *count),
            Self::Node { left, right } => {
                let right = right.as_ref().map_or((NIL_BINDING, 0), |tree| (tree.root(job), tree.count()));
                binding_node((left.root(job), left.count()), right)
            }
        }
    }

    /// The shares in order.
    pub fn receipts(&self) -> Vec<Receipt> {
        let mut receipts = Vec::new();
        self.collect_receipts(0, &mut receipts);
        receipts
    }

    fn collect_receipts(&self, first: u64, receipts: &mut Vec<Receipt>) {
        match self {
            Self::Leaf { prover, count } => receipts.push(Receipt { prover: *prover, first, count: *count }),
            Self::Node { left, right } => {
                left.collect_receipts(first, receipts);
                if let Some(right) = right {
                    right.collect_receipts(first.saturating_add(left.count()), receipts);
                }
            }
        }
    }

    /// The first leaf.
    pub(crate) fn first_prover(&self) -> Address {
        match self {
            Self::Leaf { prover, .. } => *prover,
            Self::Node { left, .. } => left.first_prover(),
        }
    }
}

/// 20 bytes fit an element of Fr.
const _: () = assert!(Fr::CAPACITY >= 8 * 20);
