//! The connection: dialling, the handshake's outcome, and frames.

use super::Prover;
use crate::config::nothing;
use crate::engine::Engine;
use crate::limits::STEADY_MS;
use crate::status::{Effect, Link};
use crowdfold_wire::{
    Bytes, Chunk, Ended, FromProver, Goodbye, GoodbyeCode, Millis, Offer, ProverSession, Ready, Reason, SendError,
    UploadOffset, Within,
};

impl<E: Engine> Prover<E> {
    /// The host has dialled, and there is a connection.
    pub fn connected(&mut self, now: Millis) {
        self.speed.at(now);
        self.leave(now);
        self.session = Some(ProverSession::new(now));
        self.link = Link::Greeting;
        self.settle(now);
    }

    /// The connection is gone, or dialling failed. `random` is any number: part of the wait until the next attempt.
    pub fn disconnected(&mut self, now: Millis, random: u64) {
        self.speed.at(now);
        let is_steady = self.opened.is_some_and(|opened| now.since(opened) >= STEADY_MS);
        self.leave(now);
        if is_steady {
            self.backoff.reset();
        }
        self.session = None;
        self.link = match self.ended.take() {
            Some(ended) if is_final(&ended) => Link::Refused(ended.goodbye),
            ended => {
                if ended.is_some_and(|ended| !is_passing(&ended)) {
                    self.backoff.raise();
                }
                Link::Waiting(now.after(self.backoff.next(random)))
            }
        };
        self.settle(now);
    }

    /// A frame has come.
    pub fn frame(&mut self, now: Millis, frame: &[u8]) {
        self.speed.at(now);
        self.linger.at(now);
        self.linger.heard(now);
        let received = match &mut self.session {
            Some(session) if self.ended.is_none() => session.receive(now, frame),
            _ => return,
        };
        match received {
            Ok(Some(event)) => self.event(now, event),
            Ok(None) => {}
            Err(ended) => self.session_ended(now, ended),
        }
        self.settle(now);
    }

    /// The next frame for the transport. Short messages come before parts of proofs, which are only made as the
    /// transport takes them.
    pub fn next_frame(&mut self, now: Millis) -> Option<Vec<u8>> {
        self.speed.at(now);
        let session = self.session.as_mut()?;
        if session.queued_bytes() == 0
            && self.ended.is_none()
            && let Some((upload, range)) = session.next_chunk()
            && let Ok(offset) = UploadOffset::new(range.start)
            && let Some(Ok(bytes)) = self.held.part(upload, range).map(Bytes::new)
        {
            self.send(now, Chunk { upload, offset, bytes });
        }
        self.session.as_mut()?.next_frame()
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.link, Link::Open(_))
    }

    /// Sends a message, if there is somebody to send it to. False if it was not sent.
    pub(super) fn send(&mut self, now: Millis, message: impl Into<FromProver>) -> bool {
        let Some(session) = self.session.as_mut().filter(|_| self.ended.is_none()) else { return false };
        match session.send(now, message) {
            Ok(()) => true,
            Err(SendError::Ended(ended)) => {
                self.session_ended(now, ended);
                false
            }
            // What the rules don't allow here, as an offer for a task whose name the coordinator has used again.
            Err(SendError::Wait { .. } | SendError::Refused(_)) => false,
        }
    }

    /// The session is over; the transport still has to be closed.
    pub(super) fn session_ended(&mut self, now: Millis, ended: Ended) {
        if self.ended.is_some() {
            return;
        }
        self.ended = Some(ended);
        self.link = Link::Ending;
        self.set_adrift(now);
        self.effects.push_back(Effect::Disconnect);
    }

    /// Forgets the connection's own.
    fn leave(&mut self, now: Millis) {
        self.link = Link::Ending;
        self.set_adrift(now);
        let session = self.session.as_ref();
        self.held.withdraw(|upload| session.is_some_and(|session| session.is_stored(upload)));
        (self.opened, self.ready) = (None, None);
    }

    /// The coordinator has let us in.
    pub(super) fn welcome(&mut self, now: Millis, welcome: &crowdfold_wire::Welcome) {
        self.checkpoint_ms = u64::from(welcome.checkpoint_interval_ms);
        self.link = Link::Open(welcome.session);
        self.opened = Some(now);
        self.review(now);
    }

    /// Offers what is not offered yet. Before `Ready`, so that nobody hands out what is done.
    pub(super) fn offer(&mut self, now: Millis) {
        let Some(session) = self.session.as_ref().filter(|_| self.is_open()) else { return };
        // Check-ins that were forgotten before their verdict are still open there.
        for (upload, info, bytes) in self.held.take_unoffered(session.offers_left()) {
            let (first, steps, bytes) = (Within::new(info.first), Within::new(info.steps), Within::new(bytes));
            if let (Ok(first), Ok(steps), Ok(bytes)) = (first, steps, bytes) {
                self.send(now, Offer { upload, task: info.task, first, steps, bytes });
            }
        }
    }

    /// Says what it would hold, when that has changed.
    pub(super) fn announce(&mut self, now: Millis) {
        if !self.is_open() {
            return;
        }
        // What came by an earlier connection is finished first, so that its offer comes before new tasks.
        let is_adrift = self.folding.as_ref().is_some_and(|folding| folding.adrift.is_some());
        let is_closed = self.paused || self.stopping || is_adrift || self.is_full();
        let ready = if is_closed { Ready { tasks: nothing(), merges: nothing() } } else { self.config.ready.clone() };
        if self.ready.as_ref() != Some(&ready) {
            self.send(now, ready.clone());
            self.ready = Some(ready);
        }
    }

    /// Says goodbye when it was stopped and everything is delivered.
    pub(super) fn close_if_done(&mut self, now: Millis) {
        if !self.stopping || self.folding.is_some() || self.held.len() > 0 {
            return;
        }
        match (&self.link, &mut self.session) {
            (Link::Greeting | Link::Open(_), Some(session)) => {
                let text = Reason::lossy("the prover was stopped");
                let ended = session.goodbye(now, Goodbye { code: GoodbyeCode::Closing, text });
                self.session_ended(now, ended);
            }
            (Link::Waiting(_), _) => self.link = Link::Off,
            _ => {}
        }
    }

    pub(super) fn dial_if_due(&mut self, now: Millis) {
        if matches!(self.link, Link::Waiting(until) if until <= now) {
            self.link = Link::Dialling;
            self.effects.push_back(Effect::Connect);
        }
    }
}

/// Whether connecting again can't help before a person has done something.
fn is_final(ended: &Ended) -> bool {
    let code = ended.goodbye.code;
    code == GoodbyeCode::UnknownVersion || ended.by_peer && !code.may_reconnect()
}

/// Whether it was the network, or an orderly end.
fn is_passing(ended: &Ended) -> bool {
    let code = ended.goodbye.code;
    code.may_reconnect() && !matches!(code, GoodbyeCode::Suspended | GoodbyeCode::Full)
}
