//! Two sessions and what goes between them.

use crate::samples::{ORIGIN, challenge, key, unsigned_hello, welcome};
use crowdfold_wire::{
    CoordinatorSession, Ended, Event, FromCoordinator, FromProver, GoodbyeCode, Millis, ProverSession, Ready, Within,
};
use std::fmt::Debug;

/// The moment when connections are made.
pub(crate) const T0: Millis = Millis(1_000_000);

/// Why a session ended at its own will.
pub(crate) fn code<T: Debug>(outcome: Result<T, Ended>) -> GoodbyeCode {
    let ended = outcome.expect_err("the session ends");
    assert!(!ended.by_peer, "{ended}");
    ended.goodbye.code
}

/// Both ends of a connection.
pub(crate) struct Pair {
    pub(crate) prover: ProverSession,
    pub(crate) coordinator: CoordinatorSession,
}

impl Pair {
    /// After `Hello`.
    pub(crate) fn greeted() -> Self {
        let mut pair = Self {
            prover: ProverSession::new(T0),
            coordinator: CoordinatorSession::new(T0, challenge(), vec![ORIGIN.into()]),
        };
        let events = pair.carry_to_prover();
        assert_eq!(events, [Event::Message(challenge().into())]);
        let hello = unsigned_hello().sign(&challenge(), &key());
        pair.prover.send(T0, hello.clone()).expect("it is time for Hello");
        assert_eq!(pair.carry_to_coordinator(), [Event::Message(hello.into())]);
        pair
    }

    /// After `Welcome`, with a prover that takes `tasks`, merges too.
    pub(crate) fn open(tasks: u64) -> Self {
        let mut pair = Self::greeted();
        pair.coordinator.send(T0, welcome()).expect("it is time for Welcome");
        assert_eq!(pair.carry_to_prover(), [Event::Message(welcome().into())]);
        let tasks = Within::new(tasks).expect("at most 16");
        pair.prover.send(T0, Ready { tasks, merges: Within::new(tasks.get()).expect("as many") }).expect("it is open");
        assert_eq!(pair.carry_to_coordinator().len(), 1);
        pair
    }

    /// Carries all frames to the prover; what it makes of them.
    pub(crate) fn carry_to_prover(&mut self) -> Vec<Event<FromCoordinator>> {
        let mut events = Vec::new();
        while let Some(frame) = self.coordinator.next_frame() {
            events.extend(self.prover.receive(T0, &frame).expect("our own coordinator keeps the rules"));
        }
        events
    }

    /// Carries all frames to the coordinator; what it makes of them.
    pub(crate) fn carry_to_coordinator(&mut self) -> Vec<Event<FromProver>> {
        let mut events = Vec::new();
        while let Some(frame) = self.prover.next_frame() {
            events.extend(self.coordinator.receive(T0, &frame).expect("our own prover keeps the rules"));
        }
        events
    }

    /// A forged message arrives at the coordinator, which ends the connection.
    pub(crate) fn forged_by_prover(&mut self, message: impl Into<FromProver>) -> GoodbyeCode {
        code(self.coordinator.receive(T0, &message.into().encode()))
    }

    /// A forged message arrives at the prover, which ends the connection.
    pub(crate) fn forged_by_coordinator(&mut self, message: impl Into<FromCoordinator>) -> GoodbyeCode {
        code(self.prover.receive(T0, &message.into().encode()))
    }
}
