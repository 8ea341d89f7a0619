//! Proofs of an earlier run that had no verdict when it ended.
//!
//! Most are check-ins, and their provers come back with longer proofs of the same chains: verifying all at once would
//! keep the cores busy for long, and what is counted too early makes the longer proof worthless. So each waits until its
//! prover has offered all that it has, which it has when it asks for work, or for [`WAIT_MS`]. The scheduler knows them
//! all the while, so nobody gets their steps.

use std::collections::BTreeMap;

use crowdfold_sched::{Event, Millis, ProofId, ProverId, Range};

use super::{Hub, Pending};

/// Milliseconds from the start of a run. Provers are back by then, and who is not has handed in what it had: they fold on
/// for `ADRIFT_MS` at most.
const WAIT_MS: u64 = 30_000;
/// Proofs that are verified with each tick after that: about what a few cores can do.
const A_TICK: usize = 8;

/// A proof that waits.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    proof: ProofId,
    range: Range,
    /// Whether its prover has offered a longer one of the same chain.
    has_longer: bool,
}

/// Those that wait, by their provers.
#[derive(Debug, Default)]
pub(super) struct FromBefore {
    by_prover: BTreeMap<ProverId, Vec<Waiting>>,
    until: Millis,
}

impl FromBefore {
    /// Nothing yet, in a run that starts now.
    pub(super) fn new(now: Millis) -> Self {
        Self { by_prover: BTreeMap::new(), until: Millis(now.0.saturating_add(WAIT_MS)) }
    }

    pub(super) fn add(&mut self, prover: ProverId, proof: ProofId, range: Range) {
        self.by_prover.entry(prover).or_default().push(Waiting { proof, range, has_longer: false });
    }

    /// Whether a proof waits.
    pub(super) fn holds(&self, prover: ProverId, proof: ProofId) -> bool {
        self.by_prover.get(&prover).is_some_and(|waiting| waiting.iter().any(|waiting| waiting.proof == proof))
    }

    /// A prover offers a proof of a task that this run does not know. Its job is not known either, so one that begins
    /// with the same step and is longer is taken for one of the same chain: at worst a proof waits in vain.
    pub(super) fn offered(&mut self, prover: ProverId, range: Range) {
        for waiting in self.by_prover.get_mut(&prover).into_iter().flatten() {
            let same = waiting.range.start() == range.start() && waiting.range.end() < range.end();
            waiting.has_longer |= same;
        }
    }

    /// A prover asks for work, so it has offered all that it has: those of which nothing longer comes.
    fn asked(&mut self, prover: ProverId) -> Vec<ProofId> {
        let Some(waiting) = self.by_prover.remove(&prover) else { return Vec::new() };
        let (wait, go) = waiting.into_iter().partition::<Vec<_>, _>(|waiting| waiting.has_longer);
        if !wait.is_empty() {
            self.by_prover.insert(prover, wait);
        }
        go.into_iter().map(|waiting| waiting.proof).collect()
    }

    /// Some of those that have waited for long enough.
    fn due(&mut self, now: Millis) -> Vec<ProofId> {
        let mut due = Vec::new();
        while now >= self.until
            && due.len() < A_TICK
            && let Some(mut first) = self.by_prover.first_entry()
        {
            due.extend(first.get_mut().pop().map(|waiting| waiting.proof));
            if first.get().is_empty() {
                first.remove();
            }
        }
        due
    }
}

impl Hub {
    /// What waits for a prover that asks for work waits no longer.
    pub(super) fn prover_asked(&mut self, prover: ProverId) {
        let go = self.from_before.asked(prover);
        go.into_iter().for_each(|proof| self.go_on_with(proof));
    }

    /// What has waited for long enough waits no longer.
    pub(super) fn wait_no_longer(&mut self) {
        let due = self.from_before.due(self.clock.now());
        due.into_iter().for_each(|proof| self.go_on_with(proof));
    }

    fn go_on_with(&mut self, proof: ProofId) {
        let Some(&Pending { prover, payout, job, range, .. }) = self.pending.get(&proof) else { return };
        if self.scheduler.wants(prover, job, range, None) {
            match self.claim(proof, job, range, Some(payout)) {
                Some(claim) => self.pool.verify(claim),
                None => self.withdraw(proof),
            }
        } else {
            // Others cover its steps by now. Told of it anew, the scheduler decides without having it verified.
            self.events.push_back(Event::Withdrawn { proof });
            self.events.push_back(Event::ProofReceived { proof, prover, job, range, task: None });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{A_TICK, FromBefore, WAIT_MS};
    use crate::hub::range;
    use crowdfold_sched::{Millis, ProofId, ProverId, Range};

    const ONE: ProverId = ProverId(1);
    const TWO: ProverId = ProverId(2);

    fn proof(number: u8) -> ProofId {
        ProofId([number; 32])
    }

    fn steps(first: u64, steps: u64) -> Range {
        range(first, steps).expect("a range")
    }

    #[test]
    fn a_proof_waits_until_its_prover_asks_for_work() {
        let mut before = FromBefore::new(Millis(0));
        before.add(ONE, proof(1), steps(0, 4));
        before.add(TWO, proof(2), steps(8, 4));
        assert!(before.holds(ONE, proof(1)) && !before.holds(TWO, proof(1)));
        before.offered(ONE, steps(0, 4));
        before.offered(TWO, steps(0, 6));
        assert_eq!(before.asked(ONE), [proof(1)], "it has offered nothing longer");
        assert_eq!(before.asked(ONE), []);
        assert!(!before.holds(ONE, proof(1)) && before.holds(TWO, proof(2)), "another prover's go on waiting");
    }

    #[test]
    fn a_proof_waits_for_a_longer_one() {
        let mut before = FromBefore::new(Millis(0));
        before.add(ONE, proof(1), steps(0, 4));
        before.add(ONE, proof(2), steps(4, 4));
        before.offered(ONE, steps(0, 6));
        assert_eq!(before.asked(ONE), [proof(2)]);
        assert!(before.holds(ONE, proof(1)));
        assert_eq!(before.due(Millis(WAIT_MS - 1)), []);
        assert_eq!(before.due(Millis(WAIT_MS)), [proof(1)], "but not for ever");
        assert_eq!(before.due(Millis(WAIT_MS)), []);
    }

    #[test]
    fn those_of_who_did_not_come_back_go_on_a_few_at_once() {
        let mut before = FromBefore::new(Millis(0));
        for number in 0..20 {
            before.add(ProverId(u64::from(number) / 3), proof(number), steps(u64::from(number), 1));
        }
        let counts: Vec<usize> = (0..4).map(|_| before.due(Millis(WAIT_MS)).len()).collect();
        assert_eq!(counts, [A_TICK, A_TICK, 20 - 2 * A_TICK, 0]);
    }
}
