//! What runs a prover: its clock, its storage and its speed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crowdfold_fold::Address;
use crowdfold_prover::{Config, Effect, ProofInfo, Prover, Worked};
use crowdfold_wire::{
    FromCoordinator, HostKind, Millis, Outcome, ParametersId, Ready, SigningKey, Text, UploadId, Within,
};

use super::coordinator::ORIGIN;
use super::plan::Member;
use crate::model::ModelEngine;
use crate::random::Random;

/// Milliseconds to finish a proof, and to merge two.
const FINISH_MS: u64 = 60;
const MERGE_MS: u64 = 900;

/// What the world has to do for a prover.
pub(crate) enum Wish {
    Dial,
    Close,
    Parameters(ParametersId, crowdfold_prover::Purpose),
    Made(UploadId, ProofInfo, Arc<Vec<u8>>),
    Told(UploadId, Outcome, u64),
}

/// A prover and its machine.
pub(crate) struct Host {
    pub(crate) member: Member,
    pub(crate) name: u64,
    key: SigningKey,
    pub(crate) prover: Option<Prover<ModelEngine>>,
    pub(crate) conn: Option<u64>,
    /// Goes up whenever a dialled connection is not wanted any more.
    pub(crate) dials: u64,
    stored: BTreeMap<UploadId, (ProofInfo, Arc<Vec<u8>>)>,
    pub(crate) random: Random,
    /// It is folding until then.
    pub(crate) busy_until: u64,
    pub(crate) frozen_until: u64,
    pub(crate) cut_until: u64,
    /// When it is woken next.
    pub(crate) wake: Option<u64>,
    pub(crate) folded: u64,
    /// Proofs that a new page had from an earlier one.
    pub(crate) returned: u64,
}

impl Host {
    pub(crate) fn new(member: Member, seed: u64, number: u64) -> Self {
        let mut random = Random::new(seed, 100 + number);
        let own = random.next();
        let (number, secret_part) =
            member.twin_of.map_or((number, own), |twin| (twin, Random::new(seed, 100 + twin).next()));
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&secret_part.to_le_bytes());
        secret[8] = u8::try_from(number).unwrap_or(0);
        let key = SigningKey::from_bytes(&secret);
        let name = u64::from_le_bytes(key.verifying_key().to_bytes()[..8].try_into().unwrap_or_default());
        Self {
            member,
            name,
            key,
            prover: None,
            conn: None,
            dials: 0,
            stored: BTreeMap::new(),
            random,
            busy_until: 0,
            frozen_until: 0,
            cut_until: 0,
            wake: None,
            folded: 0,
            returned: 0,
        }
    }

    /// The time by its own clock.
    pub(crate) fn clock(&self, now: u64) -> Millis {
        let (start, drift) = self.member.clock;
        let off = i128::from(now) * i128::from(drift) / 1_000_000;
        Millis(start + u64::try_from(i128::from(now) + off).unwrap_or(0))
    }

    /// The world's time at a moment of its clock, not before the next millisecond.
    fn world_time(&self, at: Millis, now: u64) -> u64 {
        let (start, drift) = self.member.clock;
        let own = i128::from(at.0.saturating_sub(start));
        let world = own * 1_000_000 / (1_000_000 + i128::from(drift));
        u64::try_from(world).unwrap_or(u64::MAX).max(now) + 1
    }

    /// Its page is opened.
    pub(crate) fn open(&mut self, now: u64) {
        let member = &self.member;
        let text = Text::new("crowdfold-sim").unwrap_or_default();
        let (Ok(threads), Ok(tasks), Ok(merges)) =
            (Within::new(1), Within::new(member.tasks), Within::new(member.merges))
        else {
            return;
        };
        let origin = Text::new(ORIGIN).unwrap_or_default();
        let config = Config {
            rows_per_second: member.says,
            ready: Ready { tasks, merges },
            held_bytes: member.held_bytes,
            ..Config::new(text, origin, payout(self.name), HostKind::Tab, member.memory, threads)
        };
        let mut prover = Prover::new(self.clock(now), config, member.engine.clone(), self.key.clone());
        for (info, bytes) in self.stored.values() {
            // A proof for which there is no room stays stored, for another time.
            let restored = prover.proof_restored(self.clock(now), *info, bytes.to_vec());
            self.returned += u64::from(restored.is_ok());
        }
        self.prover = Some(prover);
        self.busy_until = now;
    }

    /// Its page is closed.
    pub(crate) fn close(&mut self) {
        self.folded += self.prover.as_ref().map_or(0, |prover| prover.status().totals.folded_steps);
        (self.prover, self.conn) = (None, None);
        self.dials += 1;
        if !self.member.stores {
            self.stored.clear();
        }
    }

    /// Does what the prover asks for and can be done here; the rest is for the world.
    pub(crate) fn wishes(&mut self) -> Vec<Wish> {
        let mut wishes = Vec::new();
        while let Some(effect) = self.prover.as_mut().and_then(Prover::next_effect) {
            match effect {
                Effect::Connect => wishes.push(Wish::Dial),
                Effect::Disconnect => wishes.push(Wish::Close),
                Effect::NeedParameters { parameters, purpose, .. } => {
                    wishes.push(Wish::Parameters(parameters, purpose))
                }
                Effect::Keep { upload, info, bytes } => {
                    wishes.push(Wish::Made(upload, info, bytes.clone()));
                    self.stored.insert(upload, (info, bytes));
                }
                Effect::Forget { upload, info, outcome } => {
                    self.stored.remove(&upload);
                    wishes.push(Wish::Told(upload, outcome, info.steps));
                }
                Effect::Changed => {}
            }
        }
        wishes
    }

    /// Folds what it can at this moment; when to look again.
    pub(crate) fn work(&mut self, now: u64) -> Option<u64> {
        let clock = self.clock(now);
        if now < self.busy_until {
            return Some(self.busy_until);
        }
        let prover = self.prover.as_mut()?;
        let took = match prover.work(clock, self.random.rng()) {
            Worked::Step => self.member.step_ms,
            Worked::Finished => FINISH_MS,
            Worked::Merged => MERGE_MS,
            Worked::Idle => return prover.wake_at().map(|at| self.world_time(at, now)),
        };
        self.busy_until = now + took;
        Some(self.busy_until)
    }
}

/// Who is paid for a prover's work.
pub(crate) fn payout(name: u64) -> Address {
    let mut address = [0; 20];
    address[..8].copy_from_slice(&name.to_le_bytes());
    Address(address)
}

/// A frame from the coordinator, for the checkers.
pub(crate) fn read(frame: &[u8]) -> Option<FromCoordinator> {
    FromCoordinator::decode(frame).ok()
}
