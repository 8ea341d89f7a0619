//! The coordinator's end.

use super::channel::{Channel, check_timing};
use super::tasks::{From as Sender, Tasks};
use super::transfers::Transfers;
use super::{Ended, Event, SendError, common};
use crate::goodbye::{GoodbyeCode, Violation, ensure};
use crate::hello::check_hello;
use crate::limits::SMALL_BULK_BYTES;
use crate::message::{Challenge, FromCoordinator, FromProver, Goodbye, Merge, Pong};
use crate::names::{Millis, TaskId, UploadId};
use crate::upload::UploadReceiver;
use std::ops::Range;

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// The challenge is on its way.
    Challenged,
    /// `Hello` was right; the caller decides.
    Greeted,
    /// Welcome.
    Open,
}

/// The coordinator's end of a connection.
#[derive(Debug)]
pub struct CoordinatorSession {
    channel: Channel,
    tasks: Tasks,
    transfers: Transfers,
    stage: Stage,
    challenge: Challenge,
    origins: Vec<String>,
}

common!(CoordinatorSession, FromCoordinator);

impl CoordinatorSession {
    /// A new connection, with the challenge as its first frame. `origins` are those by which provers may dial.
    pub fn new(now: Millis, challenge: Challenge, origins: Vec<String>) -> Self {
        let mut session = Self {
            channel: Channel::new(now),
            tasks: Tasks::default(),
            transfers: Transfers::new(now),
            stage: Stage::Challenged,
            challenge: challenge.clone(),
            origins,
        };
        session.push(now, challenge.into()).expect("an empty queue takes a challenge");
        session
    }

    /// A frame has come. `Hello` is returned when its version, origin and signature are right: answer with `Welcome` or
    /// `Goodbye`.
    ///
    /// # Errors
    /// [`Ended`] when the peer said goodbye, or broke a rule, or if the connection had ended before.
    pub fn receive(&mut self, now: Millis, frame: &[u8]) -> Result<Option<Event<FromProver>>, Ended> {
        self.channel.check_open()?;
        let taken = self.take(now, frame).map_err(|violation| self.break_off(now, &violation))?;
        // A goodbye ends the session while it is taken.
        self.channel.check_open()?;
        Ok(taken)
    }

    fn take(&mut self, now: Millis, frame: &[u8]) -> Result<Option<Event<FromProver>>, Violation> {
        self.channel.hear(now, frame)?;
        if self.stage == Stage::Challenged {
            check_hello(frame, &self.challenge)?;
        }
        let message =
            FromProver::decode(frame).map_err(|error| Violation::new(GoodbyeCode::BadMessage, error.to_string()))?;
        let is_bulk = matches!(&message, FromProver::Chunk(chunk) if chunk.bytes.len() >= SMALL_BULK_BYTES);
        if !is_bulk {
            self.channel.charge(now)?;
        }
        let in_order = match &message {
            FromProver::Goodbye(_) => true,
            FromProver::Hello(_) => self.stage == Stage::Challenged,
            _ => self.stage == Stage::Open,
        };
        ensure(in_order, GoodbyeCode::OutOfOrder, || "Hello comes once and first, the rest after Welcome")?;
        let us = match &message {
            FromProver::Hello(hello) => {
                hello.verify(&self.challenge, &self.origins).map_err(|error| error.violation())?;
                self.stage = Stage::Greeted;
                true
            }
            FromProver::Goodbye(goodbye) => {
                self.channel.hear_goodbye(goodbye.clone());
                false
            }
            FromProver::Ready(ready) => {
                self.tasks.set_most(ready);
                true
            }
            FromProver::Credit(credit) => self.tasks.credit(credit, Sender::Peer)?,
            FromProver::Progress(progress) => self.tasks.progress(progress, Sender::Peer)?,
            FromProver::Release(release) => {
                let ended = self.tasks.release(release, Sender::Peer)?;
                ended.iter().flatten().for_each(|blob| _ = self.transfers.end_outgoing(*blob));
                ended.is_some()
            }
            FromProver::Offer(offer) => {
                self.tasks.check_offer(offer)?;
                self.transfers.check_incoming(&[offer.upload])?;
                self.transfers.add_incoming(offer.upload, offer.bytes.get());
                self.tasks.offered(offer).iter().for_each(|blob| _ = self.transfers.end_outgoing(*blob));
                true
            }
            FromProver::Want(want) => self.transfers.want(want)?,
            FromProver::Chunk(_) => {
                let FromProver::Chunk(chunk) = message else { return Ok(None) };
                return Ok(self.transfers.chunk(now, &chunk)?.map(|state| Event::Chunk(chunk, state)));
            }
            FromProver::Stored(stored) => {
                let safe = self.transfers.stored(stored)?;
                if safe == Some(true) {
                    self.transfers.end_outgoing(stored.upload);
                }
                safe.is_some()
            }
            FromProver::Ping(ping) => {
                self.channel.push(now, FromCoordinator::from(Pong { number: ping.number }).encode())?;
                false
            }
            FromProver::Pong(pong) => {
                self.channel.pong(pong)?;
                false
            }
        };
        Ok(us.then_some(Event::Message(message)))
    }

    fn check_stage(&self) -> Result<(), Violation> {
        ensure(self.stage == Stage::Open, GoodbyeCode::OutOfOrder, || "the handshake comes first")
    }

    /// Credit that is left for a segment's inputs, and the index of the next one; `None` if it is not open.
    pub fn credit_left(&self, task: TaskId) -> Option<(u64, u64)> {
        self.tasks.credit_left(task)
    }

    /// Queues a message. `Want`, `Ping`, `Pong` and `Challenge` are the session's own; for `Want` there is
    /// [`Self::want`].
    ///
    /// # Errors
    /// [`SendError`].
    pub fn send(&mut self, now: Millis, message: impl Into<FromCoordinator>) -> Result<(), SendError> {
        let message = message.into();
        self.channel.check_open()?;
        if let FromCoordinator::Goodbye(goodbye) = message {
            self.goodbye(now, goodbye);
            return Ok(());
        }
        if matches!(message, FromCoordinator::Inputs(_) | FromCoordinator::Chunk(_)) {
            self.channel.check_bulk()?;
        }
        self.note(now, &message)?;
        Ok(self.push(now, message)?)
    }

    /// Checks a message and keeps account of it.
    fn note(&mut self, now: Millis, message: &FromCoordinator) -> Result<(), Violation> {
        if let FromCoordinator::Welcome(welcome) = message {
            ensure(self.stage == Stage::Greeted, GoodbyeCode::OutOfOrder, || "Welcome answers Hello, once")?;
            check_timing(welcome)?;
            self.channel.open(now, welcome);
            self.stage = Stage::Open;
            return Ok(());
        }
        self.check_stage()?;
        match message {
            FromCoordinator::Segment(segment) => self.tasks.add_segment(segment),
            FromCoordinator::Inputs(inputs) => self.tasks.inputs(inputs, Sender::Us).map(|_| ()),
            FromCoordinator::Cancel(cancel) => {
                let blobs = self.tasks.cancel(cancel.task, Sender::Us)?.unwrap_or_default();
                blobs.iter().for_each(|blob| _ = self.transfers.end_outgoing(*blob));
                Ok(())
            }
            FromCoordinator::Merge(merge) => self.note_merge(merge),
            FromCoordinator::Chunk(chunk) => self.transfers.send_chunk(chunk),
            FromCoordinator::Stored(stored) => self.transfers.send_stored(now, stored).map(|_| ()),
            FromCoordinator::Verdict(verdict) => {
                let known = self.transfers.end_incoming(verdict.upload);
                ensure(known, GoodbyeCode::UnknownUpload, || format!("upload {} is not open", verdict.upload))
            }
            FromCoordinator::Challenge(_)
            | FromCoordinator::Goodbye(_)
            | FromCoordinator::Welcome(_)
            | FromCoordinator::Want(_)
            | FromCoordinator::Ping(_)
            | FromCoordinator::Pong(_) => {
                Err(Violation::new(GoodbyeCode::OutOfOrder, "the session sends this message by itself"))
            }
        }
    }

    fn note_merge(&mut self, merge: &Merge) -> Result<(), Violation> {
        self.tasks.check_merge(merge)?;
        let blobs: Vec<_> = std::iter::once(&merge.left).chain(&merge.right).collect();
        let names: Vec<UploadId> = blobs.iter().map(|blob| blob.upload).collect();
        self.transfers.check_outgoing(&names)?;
        // What the prover said about the earlier transfer may be under way, and would be taken for this one.
        let recent = names.iter().find(|name| self.transfers.was_outgoing(**name));
        ensure(recent.is_none(), GoodbyeCode::DuplicateUpload, || "a proof goes to a prover once on a connection")?;
        blobs.iter().for_each(|blob| self.transfers.add_outgoing(blob.upload, blob.bytes.get()));
        self.tasks.add_merge(merge);
        Ok(())
    }
}
