//! What is known of each step of a job: covered, held by somebody, or open.
//!
//! The cover, the bottom layer of claims and the gaps partition the job's steps. Claims in the layers above are of
//! further copies: duplicates, and leases that nobody waits for any more.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::event::JobSpec;
use crate::ids::{Millis, ProofId, ProverId, Range, TaskId};
use crate::limits;

/// Number of layers of claims.
pub(crate) const LAYERS: usize = limits::COPIES;

/// Who holds a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A lease that did not end.
    Lease(TaskId),
    /// A proof that waits for verification, by its number.
    Proof(u64),
}

/// Steps from the key of the map to here, held by somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) end: u64,
    pub(crate) holder: Holder,
}

/// A range proof in the cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) end: u64,
    /// The merge it is in.
    pub(crate) merge: Option<TaskId>,
}

/// A verified range that is not in the cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spare {
    pub(crate) range: Range,
    pub(crate) proof: ProofId,
    pub(crate) prover: ProverId,
    /// Steps that its prover is compensated for if others cover them.
    pub(crate) owed: u64,
}

/// What has to be known of a job a while longer than the job itself.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// All proofs that were handed in.
    pub(crate) proofs: HashSet<ProofId>,
    /// Steps that a prover was paid for, from the one in the key to here: disjoint and not adjacent for each prover.
    paid: BTreeMap<(ProverId, u64), u64>,
}

impl History {
    /// Notes that a prover is paid for these steps; returns how many it was not paid for before.
    pub(crate) fn pay(&mut self, prover: ProverId, range: Range) -> u64 {
        let (mut whole, mut new) = (range, range.steps());
        while let Some((&(_, lo), &hi)) = self.paid.range((prover, 0)..=(prover, whole.hi)).next_back()
            && hi >= whole.lo
        {
            self.paid.remove(&(prover, lo));
            let paid = Range { lo, hi };
            new -= paid.intersection(range).map_or(0, Range::steps);
            whole = Range { lo: whole.lo.min(lo), hi: whole.hi.max(hi) };
        }
        self.paid.insert((prover, whole.lo), whole.hi);
        new
    }
}

/// A job.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) spec: JobSpec,
    /// Order of arrival.
    pub(crate) age: u64,
    /// Need of memory that it is queued under, at least that of the specification.
    pub(crate) need: u64,
    pub(crate) cover: BTreeMap<u64, Node>,
    /// Steps in the cover.
    pub(crate) covered: u64,
    pub(crate) gaps: BTreeMap<u64, u64>,
    /// Steps in gaps.
    pub(crate) open: u64,
    pub(crate) layers: [BTreeMap<u64, Claim>; LAYERS],
    /// Leases of the bottom layer without a duplicate, by the moment they are expected to end at.
    pub(crate) by_end: BTreeSet<(Millis, TaskId)>,
    pub(crate) spares: BTreeMap<(u64, ProofId), Spare>,
    pub(crate) history: History,
    /// Speeds of the leases that work on it.
    pub(crate) speed: u64,
    /// Whether it is in the fair queue.
    pub(crate) queued: bool,
    /// The key under which it is among those with nothing left to hand out.
    pub(crate) tail: Option<Millis>,
}

/// Entries of a map of disjoint ranges that overlap `range`, in order.
fn overlapping<V: Copy>(
    map: &BTreeMap<u64, V>,
    range: Range,
    end: impl Fn(&V) -> u64,
) -> impl Iterator<Item = (Range, V)> {
    let before = map.range(..range.lo).next_back().filter(|(_, value)| end(value) > range.lo);
    before
        .into_iter()
        .chain(map.range(range.lo..range.hi))
        .map(move |(&lo, value)| (Range { lo, hi: end(value) }, *value))
}

impl Job {
    pub(crate) fn new(spec: JobSpec, age: u64, need: u64) -> Self {
        Self {
            spec,
            age,
            need,
            cover: BTreeMap::new(),
            covered: 0,
            gaps: BTreeMap::from([(0, spec.steps)]),
            open: spec.steps,
            layers: std::array::from_fn(|_| BTreeMap::new()),
            by_end: BTreeSet::new(),
            spares: BTreeMap::new(),
            history: History::default(),
            speed: 0,
            queued: false,
            tail: None,
        }
    }

    /// Whether one range proof covers it all.
    pub(crate) fn done(&self) -> bool {
        self.cover.get(&0).is_some_and(|node| node.end == self.spec.steps && node.merge.is_none())
    }

    pub(crate) fn cover_overlaps(&self, range: Range) -> bool {
        overlapping(&self.cover, range, |node| node.end).next().is_some()
    }

    /// The first gap that has steps from `from` on, without what is before them.
    pub(crate) fn gap_from(&self, from: u64) -> Option<Range> {
        let inside = self.gaps.range(..=from).next_back().and_then(|(_, &end)| Range::of(from, end));
        inside.or_else(|| self.gaps.range(from..).next().map(|(&lo, &hi)| Range { lo, hi }))
    }

    /// Whether all of `range` is in one gap.
    pub(crate) fn is_gap(&self, range: Range) -> bool {
        self.gaps.range(..=range.lo).next_back().is_some_and(|(_, &end)| end >= range.hi)
    }

    /// Makes `range` a gap; it must not overlap another.
    pub(crate) fn open_gap(&mut self, range: Range) {
        self.open += range.steps();
        let (mut lo, mut hi) = (range.lo, range.hi);
        if let Some((&before, _)) = self.gaps.range(..lo).next_back().filter(|&(_, &end)| end == lo) {
            self.gaps.remove(&before);
            lo = before;
        }
        if let Some(end) = self.gaps.remove(&hi) {
            hi = end;
        }
        self.gaps.insert(lo, hi);
    }

    /// Takes what of `range` is in gaps out of them.
    pub(crate) fn close_gaps(&mut self, range: Range) {
        let gaps: Vec<_> = overlapping(&self.gaps, range, |&end| end).collect();
        for (gap, _) in gaps {
            self.gaps.remove(&gap.lo);
            self.open -= gap.steps();
            for part in gap.without(range).into_iter().flatten() {
                self.gaps.insert(part.lo, part.hi);
                self.open += part.steps();
            }
        }
    }

    pub(crate) fn claims(&self, layer: usize, range: Range) -> impl Iterator<Item = (Range, Holder)> {
        overlapping(&self.layers[layer], range, |claim| claim.end).map(|(range, claim)| (range, claim.holder))
    }

    /// Adds a claim, whose steps must be free in this layer.
    pub(crate) fn claim(&mut self, layer: usize, range: Range, holder: Holder) {
        let old = self.layers[layer].insert(range.lo, Claim { end: range.hi, holder });
        debug_assert!(old.is_none(), "two claims of one step in one layer");
    }

    /// Adds a claim, or makes the holder's claim that ends where it begins longer; then it has no start of its own.
    pub(crate) fn claim_on(&mut self, layer: usize, range: Range, holder: Holder) -> Option<u64> {
        let before = self.layers[layer].range_mut(..range.lo).next_back().map(|(_, claim)| claim);
        if let Some(claim) = before.filter(|claim| claim.end == range.lo && claim.holder == holder) {
            claim.end = range.hi;
            return None;
        }
        self.claim(layer, range, holder);
        Some(range.lo)
    }

    /// Adds a claim to the first layer above the bottom that is free there.
    pub(crate) fn claim_above(&mut self, range: Range, holder: Holder) -> Option<usize> {
        let layer = (1..LAYERS).find(|&layer| self.claims(layer, range).next().is_none())?;
        self.claim(layer, range, holder);
        Some(layer)
    }

    /// Removes the claim that starts at `start`, whatever layer it came to.
    pub(crate) fn unclaim(&mut self, start: u64, holder: Holder) -> Option<(usize, Range)> {
        self.layers.iter_mut().enumerate().find_map(|(layer, claims)| {
            let claim = *claims.get(&start).filter(|claim| claim.holder == holder)?;
            claims.remove(&start);
            Some((layer, Range { lo: start, hi: claim.end }))
        })
    }

    /// Where a segment that starts at `gap.lo` should end at the latest: where another claim or spare begins, because a
    /// proof that begins inside a later segment would cut it.
    pub(crate) fn boundary(&self, gap: Range) -> u64 {
        let next =
            |claims: &BTreeMap<u64, Claim>| claims.range(gap.lo + 1..gap.hi.max(gap.lo + 1)).next().map(|(&lo, _)| lo);
        let claims = self.layers[1..].iter().filter_map(next);
        let spares = self.spares.values().map(|spare| spare.range.lo).filter(|&lo| gap.lo < lo);
        claims.chain(spares).chain([gap.hi]).min().unwrap_or(gap.hi).min(gap.hi)
    }

    /// `range` with the spares that continue it without a gap on either side, the longest first.
    pub(crate) fn chain(&self, range: Range) -> Vec<Spare> {
        let mut chain: Vec<Spare> = Vec::new();
        let mut whole = range;
        loop {
            let fits = |spare: &&Spare| spare.range.hi == whole.lo || spare.range.lo == whole.hi;
            let free = |spare: &&Spare| !self.cover_overlaps(spare.range);
            let longest = |spare: &&Spare| (spare.range.steps(), spare.proof);
            let Some(spare) = self.spares.values().filter(fits).filter(free).max_by_key(longest) else { break };
            whole = Range { lo: whole.lo.min(spare.range.lo), hi: whole.hi.max(spare.range.hi) };
            chain.push(*spare);
        }
        chain
    }

    /// Adds a range to the cover; it must not overlap another.
    pub(crate) fn cover(&mut self, range: Range) {
        self.covered += range.steps();
        self.cover.insert(range.lo, Node { end: range.hi, merge: None });
    }

    /// A neighbour in the cover to merge the node at `start` with, the shorter one if there are two: left, right.
    pub(crate) fn mergeable(&self, start: u64) -> Option<(Range, Range)> {
        let node = self.cover.get(&start).filter(|node| node.merge.is_none())?;
        let own = Range { lo: start, hi: node.end };
        let free = |&(range, node): &(Range, Node)| node.merge.is_none() && !own.overlaps(range);
        let range = |(&lo, node): (&u64, &Node)| (Range { lo, hi: node.end }, *node);
        let left = self.cover.range(..start).next_back().map(range).filter(|(left, _)| left.hi == own.lo).filter(free);
        let right = self.cover.get_key_value(&node.end).map(range).filter(free);
        match (left, right) {
            (Some((left, _)), Some((right, _))) if right.steps() < left.steps() => Some((own, right)),
            (Some((left, _)), _) => Some((left, own)),
            (None, Some((right, _))) => Some((own, right)),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{History, Holder, Job};
    use crate::event::JobSpec;
    use crate::ids::{Bytes, ClientId, Millis, ProverId, Range, TaskId};

    fn job() -> Job {
        let (client, deadline) = (ClientId(0), Millis(1));
        let spec =
            JobSpec { client, weight: 1, bounty: 1000, steps: 100, rows: 1, deadline, memory: Bytes(1), height: 0 };
        Job::new(spec, 0, 1)
    }

    fn range(lo: u64, hi: u64) -> Range {
        Range { lo, hi }
    }

    #[test]
    fn gaps_open_close_and_join() {
        let mut job = job();
        job.close_gaps(range(10, 20));
        job.close_gaps(range(30, 100));
        assert_eq!(job.gaps, [(0, 10), (20, 30)].into());
        assert_eq!(job.gap_from(5), Some(range(5, 10)));
        assert_eq!(job.gap_from(10), Some(range(20, 30)));
        assert_eq!(job.gap_from(30), None);
        assert!(job.is_gap(range(2, 10)) && !job.is_gap(range(2, 11)));
        job.open_gap(range(10, 20));
        assert_eq!((job.gaps.clone(), job.open), ([(0, 30)].into(), 30));
        job.close_gaps(range(0, 100));
        assert_eq!((job.gaps.len(), job.open), (0, 0));
    }

    #[test]
    fn a_step_is_paid_for_once() {
        let mut history = History::default();
        let (one, other) = (ProverId(1), ProverId(2));
        assert_eq!(history.pay(one, range(10, 20)), 10);
        assert_eq!(history.pay(other, range(15, 25)), 10);
        assert_eq!(history.pay(one, range(15, 25)), 5);
        assert_eq!(history.pay(one, range(0, 5)), 5);
        assert_eq!(history.pay(one, range(5, 10)), 5);
        assert_eq!(history.pay(one, range(0, 25)), 0);
        assert_eq!(history.pay(one, range(40, 50)), 10);
        assert_eq!(history.pay(one, range(0, 60)), 25);
        assert_eq!(history.paid, [((one, 0), 60), ((other, 15), 25)].into());
    }

    #[test]
    fn layers_are_limited() {
        let mut job = job();
        let holder = |i| Holder::Lease(TaskId(i));
        assert_eq!(job.claim_above(range(0, 10), holder(1)), Some(1));
        assert_eq!(job.claim_above(range(5, 10), holder(2)), Some(2));
        assert_eq!(job.claim_above(range(10, 20), holder(3)), Some(1));
        assert_eq!(job.claim_above(range(9, 11), holder(4)), Some(3));
        assert_eq!(job.claim_above(range(9, 10), holder(5)), None);
        assert_eq!(job.boundary(range(0, 100)), 5);
        assert_eq!(job.unclaim(5, holder(2)), Some((2, range(5, 10))));
        assert_eq!(job.unclaim(5, holder(2)), None);
        assert_eq!(job.boundary(range(0, 100)), 9);
        assert_eq!(job.boundary(range(10, 100)), 100);
    }

    #[test]
    fn the_shorter_neighbour_merges_first() {
        let mut job = job();
        for part in [range(0, 10), range(10, 20), range(20, 25), range(30, 40)] {
            job.cover(part);
        }
        assert_eq!(job.mergeable(10), Some((range(10, 20), range(20, 25))));
        assert_eq!(job.mergeable(0), Some((range(0, 10), range(10, 20))));
        assert_eq!(job.mergeable(30), None);
        job.cover.get_mut(&20).unwrap().merge = Some(TaskId(1));
        assert_eq!(job.mergeable(10), Some((range(0, 10), range(10, 20))));
        assert_eq!(job.mergeable(20), None);
    }
}
