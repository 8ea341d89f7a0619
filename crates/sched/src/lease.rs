//! Leases and where they are kept.

use crate::ids::{JobId, Millis, ProverId, Range, TaskId};
use crate::limits;

/// How far a lease has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its steps are left to it, or it is a duplicate that may still win.
    Active,
    /// Its soft deadline passed or its prover left: its steps may be handed out again.
    Overdue,
    /// It ended through no fault of its prover's; proofs for it are compensated until it is forgotten.
    Ended,
}

/// A segment that was handed to a prover.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) prover: ProverId,
    pub(crate) job: JobId,
    /// The steps that were handed out.
    pub(crate) whole: Range,
    /// What of them is not handed in; empty for none.
    pub(crate) lo: u64,
    pub(crate) hi: u64,
    /// Up to here they are folded.
    pub(crate) folded: u64,
    /// Since when all of it is.
    pub(crate) full: Option<Millis>,
    pub(crate) phase: Phase,
    /// Layer of its claim.
    pub(crate) layer: usize,
    pub(crate) expected: Millis,
    pub(crate) soft: Millis,
    pub(crate) hard: Millis,
    /// When its timer rings: never later than the next deadline.
    pub(crate) timer: Millis,
    /// The number of its last proof: until that has its verdict, a longer one of the same chain takes its place.
    pub(crate) check_in: Option<u64>,
    /// What it adds to its job's speed.
    pub(crate) speed: u64,
    /// Key among the leases that can be duplicated.
    pub(crate) by_end: Option<Millis>,
    /// The lease that this one duplicates.
    pub(crate) copy_of: Option<TaskId>,
    /// Whether there is a duplicate of it.
    pub(crate) copied: bool,
    /// Parts that were handed in: in order, disjoint, not adjacent.
    parts: Vec<Range>,
}

impl Lease {
    pub(crate) fn new(prover: ProverId, job: JobId, whole: Range, layer: usize) -> Self {
        Self {
            prover,
            job,
            whole,
            lo: whole.lo,
            hi: whole.hi,
            folded: whole.lo,
            full: None,
            phase: Phase::Active,
            layer,
            expected: Millis(0),
            soft: Millis(0),
            hard: Millis(0),
            timer: Millis(0),
            check_in: None,
            speed: 0,
            by_end: None,
            copy_of: None,
            copied: false,
            parts: Vec::new(),
        }
    }

    /// What is not handed in.
    pub(crate) fn left(&self) -> Option<Range> {
        Range::of(self.lo, self.hi)
    }

    /// Steps that are folded and not handed in.
    pub(crate) fn invested(&self) -> u64 {
        self.folded.saturating_sub(self.lo)
    }

    /// Steps of `part` that were not handed in before; none if it does not lie in the lease, or if its parts lie in too
    /// many pieces.
    pub(crate) fn owed(&self, part: Range) -> u64 {
        let joins = self.parts.iter().any(|other| other.hi >= part.lo && part.hi >= other.lo);
        if !self.whole.contains(part) || !joins && self.parts.len() >= limits::PARTS_PER_LEASE {
            return 0;
        }
        let before = self.parts.iter().filter_map(|other| other.intersection(part));
        part.steps() - before.map(Range::steps).sum::<u64>()
    }

    /// Whether all steps of `part` were handed in before.
    pub(crate) fn has(&self, part: Range) -> bool {
        self.parts.iter().any(|other| other.contains(part))
    }

    /// Notes that a part was handed in; returns [`Self::owed`] of before.
    pub(crate) fn hand_in(&mut self, part: Range) -> u64 {
        let owed = self.owed(part);
        if owed > 0 {
            let mut whole = part;
            self.parts.retain(|other| {
                let joins = other.hi >= whole.lo && whole.hi >= other.lo;
                if joins {
                    whole = Range { lo: whole.lo.min(other.lo), hi: whole.hi.max(other.hi) };
                }
                !joins
            });
            let at = self.parts.partition_point(|other| other.lo < whole.lo);
            self.parts.insert(at, whole);
        }
        owed
    }
}

/// Leases by task. Tasks are made of an epoch, a serial number and a slot, so that a slot's former tenants are not
/// taken for the present one.
#[derive(Debug)]
pub(crate) struct Leases {
    slots: Vec<(TaskId, Option<Lease>)>,
    free: Vec<u32>,
    epoch: u16,
    serial: u64,
}

/// Bits of a task that name its slot; merges have the highest slot, which no lease has.
const SLOT_BITS: u32 = 24;
const SERIAL_BITS: u32 = 24;
const MERGE_SLOT: u64 = (1 << SLOT_BITS) - 1;

impl TaskId {
    /// The [epoch](crate::Config::epoch) of the run that made it.
    pub fn epoch(self) -> u16 {
        // All bits that are left.
        (self.0 >> (SLOT_BITS + SERIAL_BITS)) as u16
    }
}

impl Leases {
    pub(crate) fn new(epoch: u16) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), epoch, serial: 0 }
    }

    fn task(&mut self, slot: u64) -> TaskId {
        let serial = self.serial & ((1 << SERIAL_BITS) - 1);
        self.serial += 1;
        TaskId(u64::from(self.epoch) << (SLOT_BITS + SERIAL_BITS) | serial << SLOT_BITS | slot)
    }

    /// The name of a new merge.
    pub(crate) fn merge(&mut self) -> TaskId {
        self.task(MERGE_SLOT)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() >= limits::LEASES
    }

    /// Keeps a lease; `None` at the limit.
    pub(crate) fn insert(&mut self, lease: Lease) -> Option<TaskId> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.is_full() => return None,
            None => {
                self.slots.push((TaskId(0), None));
                u32::try_from(self.slots.len() - 1).ok()?
            }
        };
        let task = self.task(u64::from(slot));
        *self.slots.get_mut(usize::try_from(slot).ok()?)? = (task, Some(lease));
        Some(task)
    }

    fn slot(task: TaskId) -> usize {
        usize::try_from(task.0 & MERGE_SLOT).unwrap_or(usize::MAX)
    }

    pub(crate) fn get(&self, task: TaskId) -> Option<&Lease> {
        self.slots.get(Self::slot(task)).filter(|slot| slot.0 == task)?.1.as_ref()
    }

    pub(crate) fn get_mut(&mut self, task: TaskId) -> Option<&mut Lease> {
        self.slots.get_mut(Self::slot(task)).filter(|slot| slot.0 == task)?.1.as_mut()
    }

    pub(crate) fn remove(&mut self, task: TaskId) -> Option<Lease> {
        let index = Self::slot(task);
        let lease = self.slots.get_mut(index).filter(|slot| slot.0 == task)?.1.take()?;
        self.free.push(u32::try_from(index).ok()?);
        Some(lease)
    }
}

#[cfg(test)]
mod tests {
    use super::{Lease, Leases};
    use crate::ids::{JobId, ProverId, Range};
    use crate::limits;

    fn lease() -> Lease {
        Lease::new(ProverId(1), JobId(1), Range { lo: 10, hi: 2000 }, 0)
    }

    #[test]
    fn former_tenants_are_not_known() {
        let mut leases = Leases::new(7);
        let first = leases.insert(lease()).unwrap();
        assert!(leases.remove(first).is_some() && leases.remove(first).is_none());
        let second = leases.insert(lease()).unwrap();
        assert_ne!(first, second);
        assert!(leases.get(first).is_none() && leases.get_mut(second).is_some());
        let merge = leases.merge();
        assert!(leases.get(merge).is_none());
        assert_eq!((leases.len(), first.0 >> 48), (1, 7));
    }

    #[test]
    fn parts_are_handed_in_once() {
        let mut lease = lease();
        let range = |lo, hi| Range { lo, hi };
        assert_eq!((lease.hand_in(range(9, 20)), lease.hand_in(range(10, 2001))), (0, 0));
        assert_eq!((lease.hand_in(range(10, 20)), lease.hand_in(range(20, 30))), (10, 10));
        assert_eq!((lease.hand_in(range(10, 20)), lease.hand_in(range(29, 31))), (0, 1));
        assert_eq!((lease.hand_in(range(40, 50)), lease.hand_in(range(20, 60))), (10, 19));
        assert_eq!(lease.parts, [range(10, 60)]);
        for part in 0..100 {
            lease.hand_in(range(100 + part * 2, 101 + part * 2));
        }
        assert_eq!(lease.parts.len(), limits::PARTS_PER_LEASE);
        assert_eq!(lease.owed(range(1000, 1001)), 0, "a further piece is not paid for");
        assert_eq!(lease.owed(range(101, 102)), 1, "but what joins two is");
    }
}
