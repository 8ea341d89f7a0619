//! Provers come, ask for work and go.

use super::Scheduler;
use crate::effect::{BadEvent, CancelReason, Effect};
use crate::event::ProverSpec;
use crate::ids::{Millis, ProverId, Speed, TaskId};
use crate::lease::Phase;
use crate::limits;
use crate::prover::Prover;

impl Scheduler {
    pub(super) fn prover_joined(&mut self, id: ProverId, spec: ProverSpec) -> Result<(), BadEvent> {
        let now = self.now;
        if let Some(prover) = self.provers.get_mut(&id) {
            // Keyed by the old settings.
            prover.connected = false;
            self.update_waiting(id);
            if let Some(prover) = self.provers.get_mut(&id) {
                prover.rejoin(spec, now);
                if let Some(since) = prover.absent.take() {
                    self.absent.remove(&(since, id));
                }
                if now.since(prover.offended) > limits::OFFENCE_MS {
                    prover.strikes = 0;
                }
                if prover.suspended_until > now {
                    let until = prover.suspended_until;
                    self.out.push(Effect::Suspend { prover: id, until });
                }
            }
            return Ok(());
        }
        if self.provers.len() >= limits::PROVERS {
            let (_, oldest) = self.absent.pop_first().ok_or(BadEvent::Full("provers"))?;
            self.provers.remove(&oldest);
        }
        self.provers.insert(id, Prover::new(spec, now));
        Ok(())
    }

    pub(super) fn prover_left(&mut self, id: ProverId) -> Result<(), BadEvent> {
        let now = self.now;
        let prover = self.connected(id)?;
        prover.connected = false;
        prover.busy_until = now;
        let (leases, merging) = (prover.leases.clone(), prover.merging.clone());
        self.update_waiting(id);
        // It may come back with what it has, so its leases go on till their hard deadlines.
        for task in leases {
            if self.leases.get(task).is_some_and(|lease| lease.phase == Phase::Active) {
                self.overdue(task);
            }
        }
        for task in merging {
            self.merge_lost(task);
        }
        self.may_forget(id);
        Ok(())
    }

    fn connected(&mut self, id: ProverId) -> Result<&mut Prover, BadEvent> {
        let prover = self.provers.get_mut(&id).filter(|prover| prover.connected);
        prover.ok_or(BadEvent::UnknownProver(id))
    }

    pub(super) fn ready(&mut self, id: ProverId, segments: u16, merges: u16) -> Result<(), BadEvent> {
        let prover = self.connected(id)?;
        prover.want = segments;
        prover.want_merges = if prover.merges { merges } else { 0 };
        self.make_room(id, usize::from(segments));
        self.pull(id);
        self.offer_merges(id);
        Ok(())
    }

    /// A prover that asks for more than it may hold gives up what is overdue, the oldest first: it came back without
    /// it.
    fn make_room(&mut self, id: ProverId, segments: usize) {
        while let Some(prover) = self.provers.get(&id)
            && prover.leases.len() + segments.min(limits::LEASES_PER_PROVER) > limits::LEASES_PER_PROVER
        {
            let overdue = |task: &&TaskId| self.leases.get(**task).is_some_and(|lease| lease.phase == Phase::Overdue);
            let Some(&task) = prover.leases.iter().find(overdue) else { return };
            self.cancel(task, CancelReason::Deadline);
        }
    }

    /// Forgets an absent prover that nothing needs; one with bad proofs stays among the absent.
    pub(super) fn may_forget(&mut self, id: ProverId) {
        let now = self.now;
        let Some(prover) = self.provers.get_mut(&id).filter(|prover| prover.free_of_obligations()) else { return };
        if prover.strikes == 0 && prover.suspended_until <= now {
            if let Some(since) = prover.absent {
                self.absent.remove(&(since, id));
            }
            self.provers.remove(&id);
        } else if prover.absent.is_none() {
            prover.absent = Some(now);
            self.absent.insert((now, id));
        }
        self.forget_old_offences();
    }

    fn forget_old_offences(&mut self) {
        while let Some(&(since, id)) = self.absent.first()
            && self.now.since(since) > limits::OFFENCE_MS
        {
            self.absent.remove(&(since, id));
            self.provers.remove(&id);
        }
    }

    /// A proof of its was accepted: bad ones are forgotten slowly.
    pub(super) fn accepted_from(&mut self, id: ProverId) {
        let enough = self.config.forgiven_by.max(1);
        let Some(prover) = self.provers.get_mut(&id) else { return };
        prover.failures = 0;
        if prover.strikes == 0 {
            return;
        }
        prover.accepted += 1;
        if prover.accepted >= enough {
            prover.accepted = 0;
            prover.strikes -= 1;
            self.out.push(Effect::Forgiven { prover: id });
        }
    }

    /// A proof of this prover was verified: it may get work again, and others if verification has come up.
    pub(super) fn verification_went_on(&mut self, id: ProverId) {
        if self.provers.get(&id).is_some_and(|prover| prover.throttled && prover.unverified == 0) {
            self.pull(id);
        }
        for _ in 0..limits::LOOKS {
            if self.unverified() > self.config.unverified {
                break;
            }
            let Some(id) = self.throttled.pop_first() else { break };
            if let Some(prover) = self.provers.get_mut(&id) {
                prover.throttled = false;
            }
            self.pull(id);
        }
        self.may_forget(id);
    }

    pub(super) fn suspension_over(&mut self, id: ProverId) {
        self.pull(id);
        self.offer_merges(id);
        self.may_forget(id);
    }

    /// Brings the indices of provers that wait up to date.
    pub(super) fn update_waiting(&mut self, id: ProverId) {
        let now = self.now;
        let behind = self.unverified() > self.config.unverified;
        let Some(prover) = self.provers.get_mut(&id) else { return };
        let able = prover.connected && prover.suspended_until.max(prover.rests_until) <= now;
        let room = prover.leases.len() < limits::LEASES_PER_PROVER && !prover.has_enough(now);
        let asks = able && prover.want > 0 && room;
        let throttled = asks && behind && prover.unverified > 0;
        if throttled != prover.throttled {
            prover.throttled = throttled;
            if throttled {
                self.throttled.insert(id);
            } else {
                self.throttled.remove(&id);
            }
        }
        let waits = (asks && !throttled).then_some((prover.memory, prover.speed));
        if waits != prover.waiting {
            if let Some((memory, speed)) = prover.waiting {
                self.waiting.remove(&(memory, id));
                self.waiting_speed = self.waiting_speed.saturating_sub(speed);
            }
            if let Some((memory, speed)) = waits {
                self.waiting.insert((memory, id));
                self.waiting_speed = self.waiting_speed.saturating_add(speed);
            }
            prover.waiting = waits;
        }
        let merges = able && prover.want_merges > 0 && prover.merging.len() < limits::MERGES_PER_PROVER;
        let merges = merges.then_some(prover.memory);
        if merges != prover.waiting_merge {
            if let Some(memory) = prover.waiting_merge {
                self.waiting_merge.remove(&(memory, id));
            }
            if let Some(memory) = merges {
                self.waiting_merge.insert((memory, id));
            }
            prover.waiting_merge = merges;
        }
    }

    /// What a prover is taken to fold, in rows a second, if it is known.
    pub fn speed(&self, prover: ProverId) -> Option<Speed> {
        self.provers.get(&prover).map(|prover| Speed(prover.speed))
    }

    /// Whether a prover is known to be suspended, and till when.
    pub fn suspended_until(&self, prover: ProverId) -> Option<Millis> {
        self.provers.get(&prover).map(|prover| prover.suspended_until).filter(|&until| until > self.now)
    }
}
