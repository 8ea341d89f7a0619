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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gadgets::testing::integer;
    use crate::limits::MAX_SEGMENT_STEPS;
    use crate::poseidon;
    use std::collections::BTreeSet;

    fn job() -> Job {
        Job { chain_id: 31337, contract: Address([7; 20]), job_id: std::array::from_fn(|i| i as u8 + 100) }
    }

    fn distinct(hashes: impl Iterator<Item = Fr>) -> usize {
        hashes.map(|hash| integer(&hash)).collect::<BTreeSet<_>>().len()
    }

    fn leaf(prover: u8, count: u64) -> BindingTree {
        BindingTree::Leaf { prover: Address([prover; 20]), count }
    }

    fn join(left: BindingTree, right: BindingTree) -> BindingTree {
        BindingTree::join(left, Some(right)).expect("joins")
    }

    fn alone(left: BindingTree) -> BindingTree {
        BindingTree::join(left, None).expect("joins")
    }

    /// ((1: 10, 2: 20), ((3: 30, 4: 40), nil)).
    fn tree() -> BindingTree {
        join(join(leaf(1, 10), leaf(2, 20)), alone(join(leaf(3, 30), leaf(4, 40))))
    }

    #[test]
    fn an_address_is_written_in_hexadecimal() {
        let mut bytes = [0; 20];
        (bytes[0], bytes[19]) = (0x0a, 0xff);
        assert_eq!(Address(bytes).to_string(), "0x0a000000000000000000000000000000000000ff");
    }

    /// Each hash as a contract has to compute it: circomlib's Poseidon of a tag and the inputs.
    #[test]
    fn hashes_are_small_poseidons_of_tagged_inputs() {
        let tag = |tag: u128, inputs: u128| Fr::from_u128(0x63_7277_6466_6c64 << 64 | tag << 32 | inputs);
        let number = |bytes: &[u8]| Fr::from_str_vartime(&num_bigint::BigUint::from_bytes_be(bytes).to_string());
        let Job { chain_id, contract, job_id } = job();
        let prover = Address(std::array::from_fn(|i| 200 + i as u8));
        let context = Context { job: job(), prover }.hash();
        let parts =
            [&contract.0[..], &job_id[..16], &job_id[16..], &prover.0].map(|bytes| number(bytes).expect("a number"));
        let [contract, upper, lower, prover_number] = parts;
        assert_eq!(context, poseidon::hash(&[tag(2, 5), Fr::from(chain_id), contract, upper, lower, prover_number]));
        let one = BindingTree::Leaf { prover, count: 9 };
        let b_one = poseidon::hash(&[tag(10, 3), context, Fr::from(9), Fr::from(0)]);
        assert_eq!(one.root(&job()), b_one);
        let b_two = leaf(3, 5).root(&job());
        let counts = Fr::from(9) + Fr::from(5) * Fr::from(1 << 48);
        assert_eq!(join(one.clone(), leaf(3, 5)).root(&job()), poseidon::hash(&[tag(11, 3), b_one, b_two, counts]));
        let nil = poseidon::hash(&[tag(11, 3), b_one, Fr::from(0), Fr::from(9)]);
        assert_eq!(alone(one).root(&job()), nil);
    }

    #[test]
    fn a_context_binds_every_byte() {
        let context = Context { job: job(), prover: Address([5; 20]) };
        let mut others = vec![context];
        others.push(Context { job: Job { chain_id: 1, ..job() }, ..context });
        for i in 0..32 {
            let mut other = context;
            other.job.job_id[i] ^= 1;
            others.push(other);
        }
        for i in 0..20 {
            let mut other = context;
            other.job.contract.0[i] ^= 1;
            others.push(other);
            let mut other = context;
            other.prover.0[i] ^= 1;
            others.push(other);
        }
        assert_eq!(others.len(), 1 + 1 + 32 + 40);
        assert_eq!(distinct(others.iter().map(Context::hash)), others.len());
    }

    #[test]
    fn receipts_are_in_order_and_adjacent() {
        let receipts = tree().receipts();
        let found: Vec<_> = receipts.iter().map(|r| (r.prover.0[0], r.first, r.count)).collect();
        assert_eq!(found, [(1, 0, 10), (2, 10, 20), (3, 30, 30), (4, 60, 40)]);
        assert_eq!((tree().count(), tree().depth(), tree().first_prover()), (100, 3, Address([1; 20])));
        assert_eq!(leaf(6, 2).receipts(), [Receipt { prover: Address([6; 20]), first: 0, count: 2 }]);
        assert_eq!((leaf(6, 2).depth(), alone(leaf(6, 2)).depth(), alone(leaf(6, 2)).count()), (0, 1, 2));
    }

    #[test]
    fn the_root_binds_provers_counts_order_and_shape() {
        let [a, b, c] = [leaf(1, 10), leaf(2, 20), leaf(3, 30)];
        let same_steps = leaf(2, 10);
        let trees = [
            a.clone(),
            leaf(4, 10),
            leaf(1, 11),
            join(a.clone(), b.clone()),
            join(b.clone(), a.clone()),
            join(leaf(4, 10), b.clone()),
            join(a.clone(), leaf(4, 20)),
            join(leaf(1, 11), b.clone()),
            join(a.clone(), leaf(2, 21)),
            // As many steps in all, shared otherwise.
            join(leaf(1, 11), leaf(2, 19)),
            join(leaf(1, 20), leaf(2, 10)),
            join(a.clone(), same_steps.clone()),
            join(same_steps, a.clone()),
            alone(a.clone()),
            alone(alone(a.clone())),
            alone(join(a.clone(), b.clone())),
            join(alone(a.clone()), b.clone()),
            join(a.clone(), alone(b.clone())),
            join(join(a.clone(), b.clone()), c.clone()),
            join(a.clone(), join(b.clone(), c.clone())),
            join(a.clone(), a),
            tree(),
            join(b, c),
        ];
        let jobs = [job(), Job { chain_id: 1, ..job() }];
        let roots = jobs.iter().flat_map(|job| trees.iter().map(|tree| tree.root(job)));
        assert_eq!(distinct(roots), 2 * trees.len());
    }

    /// The same three numbers under both tags: a node can't be offered as a leaf, nor the reverse.
    #[test]
    fn leaves_and_nodes_are_told_apart() {
        let (context, count) = (Fr::from(77), 5u64);
        // A node whose inputs are just those of the leaf: b_left = context, b_right = count, counts = 0.
        assert_ne!(binding_leaf(context, count), binding_node((context, 0), (Fr::from(count), 0)));
        let inputs = [context, Fr::from(count), Fr::from(0)];
        let tagged = [Tag::Leaf, Tag::Node].map(|tag| [&[tag.element(3)][..], &inputs].concat());
        assert_eq!(binding_leaf(context, count), poseidon::hash(&tagged[0]));
        assert_eq!(binding_node((context, 0), (Fr::from(count), 0)), poseidon::hash(&tagged[1]));
        assert_ne!(Tag::Leaf.element(3), Tag::Node.element(3));
    }

    /// Counts below 2^48 keep their places in the packed number.
    #[test]
    fn packed_counts_do_not_mix() {
        let max = (1 << COUNT_BITS) - 1;
        let b = Fr::from(3);
        let roots = [(max, 0), (0, max), (0, 1), (1, 0), (max, max), (max - 1, 1)];
        assert_eq!(distinct(roots.iter().map(|(l, r)| binding_node((b, *l), (b, *r)))), roots.len());
    }

    fn chain(depth: u64, count: u64) -> BindingTree {
        (0..depth).fold(leaf(1, count), |tree, _| alone(tree))
    }

    #[test]
    fn depth_is_limited() {
        let deepest = chain(MAX_DEPTH, 1);
        assert_eq!(deepest.depth(), 48);
        let too_deep = [
            BindingTree::join(deepest.clone(), None),
            BindingTree::join(deepest.clone(), Some(leaf(2, 1))),
            BindingTree::join(leaf(2, 1), Some(deepest)),
        ];
        for result in too_deep {
            assert!(matches!(result, Err(Error::Limit { limit: 48, found: 49, .. })));
        }
        assert_eq!(join(chain(47, 1), leaf(2, 1)).depth(), 48);
    }

    #[test]
    fn counts_are_limited() {
        let max = (1 << COUNT_BITS) - 1;
        assert_eq!(join(leaf(1, max - 1), leaf(2, 1)).count(), max);
        assert_eq!(alone(leaf(1, max)).count(), max);
        for (left, right, found) in [
            (max, 1, max + 1),
            (1, max, max + 1),
            (max, max, 2 * max),
            (u64::MAX, u64::MAX, u64::MAX),
            (u64::MAX, 1, u64::MAX),
        ] {
            let result = BindingTree::join(leaf(1, left), Some(leaf(2, right)));
            assert!(matches!(result, Err(Error::Limit { limit, found: f, .. }) if limit == max && f == found));
        }
        assert!(BindingTree::join(leaf(1, max + 1), None).is_err());
        // The largest balanced tree of full segments is within both limits only up to 28 levels.
        assert!(MAX_SEGMENT_STEPS << 28 <= max);
    }
}
