//! The prover's end.

use super::channel::{Channel, check_timing};
use super::tasks::{From as Sender, Tasks};
use super::transfers::Transfers;
use super::{Ended, Event, SendError, common};
use crate::goodbye::{GoodbyeCode, Violation, ensure};
use crate::hello::check_challenge;
use crate::limits::SMALL_BULK_BYTES;
use crate::message::{FromCoordinator, FromProver, Goodbye, Merge, Pong};
use crate::names::{Millis, TaskId, UploadId};
use crate::upload::UploadReceiver;
use std::ops::Range;

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing has come.
    Dialled,
    /// The challenge has come; the caller answers it.
    Challenged,
    /// `Hello` is on its way.
    Greeted,
    /// Welcome.
    Open,
}

/// The prover's end of a connection.
#[derive(Debug)]
pub struct ProverSession {
    channel: Channel,
    tasks: Tasks,
    transfers: Transfers,
    stage: Stage,
}

common!(ProverSession, FromProver);

impl ProverSession {
    /// A connection that was just made.
    pub fn new(now: Millis) -> Self {
        Self {
            channel: Channel::new(now),
            tasks: Tasks::default(),
            transfers: Transfers::new(now),
            stage: Stage::Dialled,
        }
    }

    /// A frame has come. Answer `Challenge` with `Hello`. After `Welcome` announce what is to be done with `Ready`, and
    /// offer what is still without a verdict.
    ///
    /// # Errors
    /// [`Ended`] when the peer said goodbye, or broke a rule, or if the connection had ended before.
    pub fn receive(&mut self, now: Millis, frame: &[u8]) -> Result<Option<Event<FromCoordinator>>, Ended> {
        self.channel.check_open()?;
        let taken = self.take(now, frame).map_err(|violation| self.break_off(now, &violation))?;
        // A goodbye ends the session while it is taken.
        self.channel.check_open()?;
        Ok(taken)
    }

    fn take(&mut self, now: Millis, frame: &[u8]) -> Result<Option<Event<FromCoordinator>>, Violation> {
        self.channel.hear(now, frame)?;
        if self.stage == Stage::Dialled {
            check_challenge(frame)?;
        }
        let message = FromCoordinator::decode(frame)
            .map_err(|error| Violation::new(GoodbyeCode::BadMessage, error.to_string()))?;
        let is_bulk = match &message {
            FromCoordinator::Chunk(chunk) => chunk.bytes.len() >= SMALL_BULK_BYTES,
            FromCoordinator::Inputs(inputs) => inputs.inputs.cost() >= SMALL_BULK_BYTES as u64,
            _ => false,
        };
        if !is_bulk {
            self.channel.charge(now)?;
        }
        let in_order = match &message {
            FromCoordinator::Goodbye(_) => true,
            FromCoordinator::Challenge(_) => self.stage == Stage::Dialled,
            FromCoordinator::Welcome(_) => self.stage == Stage::Greeted,
            _ => self.stage == Stage::Open,
        };
        ensure(in_order, GoodbyeCode::OutOfOrder, || "Challenge and Welcome come once, the rest after them")?;
        let us = match &message {
            FromCoordinator::Challenge(_) => {
                self.stage = Stage::Challenged;
                true
            }
            FromCoordinator::Goodbye(goodbye) => {
                self.channel.hear_goodbye(goodbye.clone());
                false
            }
            FromCoordinator::Welcome(welcome) => {
                check_timing(welcome)?;
                self.channel.open(now, welcome);
                self.stage = Stage::Open;
                true
            }
            FromCoordinator::Segment(segment) => {
                self.tasks.add_segment(segment)?;
                true
            }
            FromCoordinator::Inputs(inputs) => self.tasks.inputs(inputs, Sender::Peer)?,
            FromCoordinator::Cancel(cancel) => {
                let ended = self.tasks.cancel(cancel.task, Sender::Peer)?;
                ended.iter().flatten().for_each(|blob| _ = self.transfers.end_incoming(*blob));
                ended.is_some()
            }
            FromCoordinator::Merge(merge) => {
                self.take_merge(merge)?;
                true
            }
            FromCoordinator::Want(want) => self.transfers.want(want)?,
            FromCoordinator::Chunk(_) => {
                let FromCoordinator::Chunk(chunk) = message else { return Ok(None) };
                return Ok(self.transfers.chunk(now, &chunk)?.map(|state| Event::Chunk(chunk, state)));
            }
            FromCoordinator::Stored(stored) => self.transfers.stored(stored)?.is_some(),
            FromCoordinator::Verdict(verdict) => {
                let known = self.transfers.end_outgoing(verdict.upload);
                ensure(known, GoodbyeCode::UnknownUpload, || format!("upload {} is not open", verdict.upload))?;
                true
            }
            FromCoordinator::Ping(ping) => {
                self.channel.push(now, FromProver::from(Pong { number: ping.number }).encode())?;
                false
            }
            FromCoordinator::Pong(pong) => {
                self.channel.pong(pong)?;
                false
            }
        };
        Ok(us.then_some(Event::Message(message)))
    }

    fn take_merge(&mut self, merge: &Merge) -> Result<(), Violation> {
        self.tasks.check_merge(merge)?;
        let blobs: Vec<_> = std::iter::once(&merge.left).chain(&merge.right).collect();
        let names: Vec<UploadId> = blobs.iter().map(|blob| blob.upload).collect();
        self.transfers.check_incoming(&names)?;
        blobs.iter().for_each(|blob| self.transfers.add_incoming(blob.upload, blob.bytes.get()));
        self.tasks.add_merge(merge);
        Ok(())
    }

    /// Whether the coordinator has all bytes of an upload that was offered on this connection and has no verdict yet.
    /// It does not ask for any of them again, so they may be forgotten.
    pub fn is_stored(&self, upload: UploadId) -> bool {
        self.transfers.is_stored(upload)
    }

    /// How many more uploads can be offered before one of them has its verdict.
    pub fn offers_left(&self) -> usize {
        self.transfers.outgoing_left()
    }

    fn check_stage(&self) -> Result<(), Violation> {
        ensure(self.stage == Stage::Open, GoodbyeCode::OutOfOrder, || "the handshake comes first")
    }

    /// Queues a message. `Want`, `Ping` and `Pong` are the session's own; for `Want` there is [`Self::want`].
    ///
    /// # Errors
    /// [`SendError`].
    pub fn send(&mut self, now: Millis, message: impl Into<FromProver>) -> Result<(), SendError> {
        let message = message.into();
        self.channel.check_open()?;
        if let FromProver::Goodbye(goodbye) = message {
            self.goodbye(now, goodbye);
            return Ok(());
        }
        if matches!(message, FromProver::Chunk(_)) {
            self.channel.check_bulk()?;
        }
        self.note(now, &message)?;
        Ok(self.push(now, message)?)
    }

    /// Checks a message and keeps account of it.
    fn note(&mut self, now: Millis, message: &FromProver) -> Result<(), Violation> {
        if let FromProver::Hello(_) = message {
            ensure(self.stage == Stage::Challenged, GoodbyeCode::OutOfOrder, || "Hello answers Challenge, once")?;
            self.stage = Stage::Greeted;
            return Ok(());
        }
        self.check_stage()?;
        match message {
            FromProver::Ready(ready) => {
                self.tasks.raise_most(ready);
                Ok(())
            }
            FromProver::Credit(credit) => self.tasks.credit(credit, Sender::Us).map(|_| ()),
            FromProver::Progress(progress) => self.tasks.progress(progress, Sender::Us).map(|_| ()),
            FromProver::Release(release) => {
                let blobs = self.tasks.release(release, Sender::Us)?.unwrap_or_default();
                blobs.iter().for_each(|blob| _ = self.transfers.end_incoming(*blob));
                Ok(())
            }
            FromProver::Offer(offer) => {
                self.tasks.check_offer(offer)?;
                self.transfers.check_outgoing(&[offer.upload])?;
                self.transfers.add_outgoing(offer.upload, offer.bytes.get());
                self.tasks.offered(offer).iter().for_each(|blob| _ = self.transfers.end_incoming(*blob));
                Ok(())
            }
            FromProver::Chunk(chunk) => self.transfers.send_chunk(chunk),
            FromProver::Stored(stored) => {
                if self.transfers.send_stored(now, stored)? {
                    self.transfers.end_incoming(stored.upload);
                }
                Ok(())
            }
            FromProver::Hello(_)
            | FromProver::Goodbye(_)
            | FromProver::Want(_)
            | FromProver::Ping(_)
            | FromProver::Pong(_) => {
                Err(Violation::new(GoodbyeCode::OutOfOrder, "the session sends this message by itself"))
            }
        }
    }
}
