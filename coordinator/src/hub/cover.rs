//! The cover of a job, as the hub keeps it.

use std::collections::BTreeMap;

use crowdfold_sched::{ProofId, Range};

/// A proof of a cover.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) range: Range,
    pub(super) proof: ProofId,
    pub(super) bytes: u64,
}

/// Disjoint ranges, by their first step.
#[derive(Debug, Default)]
pub(super) struct Cover {
    parts: BTreeMap<u64, Part>,
    steps: u64,
}

impl Cover {
    /// Adds a part, in place of those that lie in it.
    pub(super) fn insert(&mut self, part: Part) {
        let (first, end) = (part.range.start().0, part.range.end().0);
        let within: Vec<u64> = self.parts.range(first..end).map(|(first, _)| *first).collect();
        let replaced = within.iter().filter_map(|first| self.parts.remove(first)).map(|part| part.range.steps());
        self.steps = self.steps.saturating_sub(replaced.sum()) + part.range.steps();
        self.parts.insert(first, part);
    }

    /// The part of exactly these steps.
    pub(super) fn part(&self, range: Range) -> Option<&Part> {
        self.parts.get(&range.start().0).filter(|part| part.range == range)
    }

    pub(super) fn proofs(&self) -> impl Iterator<Item = ProofId> + '_ {
        self.parts.values().map(|part| part.proof)
    }

    /// Steps in it.
    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    /// Ranges in it.
    pub(super) fn ranges(&self) -> u64 {
        self.parts.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::{Cover, Part};
    use crate::hub::range;
    use crowdfold_sched::ProofId;

    #[test]
    fn a_merge_takes_the_place_of_its_parts() {
        let mut cover = Cover::default();
        let part = |first, steps, proof| Part {
            range: range(first, steps).expect("a range"),
            proof: ProofId([proof; 32]),
            bytes: 1,
        };
        for (first, steps, proof) in [(0, 4, 1), (4, 2, 2), (8, 1, 3)] {
            cover.insert(part(first, steps, proof));
        }
        assert_eq!((cover.steps(), cover.ranges()), (7, 3));
        cover.insert(part(0, 6, 4));
        assert_eq!((cover.steps(), cover.ranges()), (7, 2));
        assert!(cover.part(part(0, 4, 1).range).is_none(), "a part of it is gone");
        assert_eq!(cover.part(part(0, 6, 4).range).map(|part| part.proof), Some(ProofId([4; 32])));
        assert_eq!(cover.proofs().collect::<Vec<_>>(), [ProofId([4; 32]), ProofId([3; 32])]);
    }
}
