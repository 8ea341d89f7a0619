//! Both ends of a connection as state machines without I/O: frames and the time go in, messages and frames come out.
//!
//! A session lets through what the order, the credit, the windows and the limits allow. What a peer does beyond them
//! ends the connection, each with its own [`GoodbyeCode`](crate::GoodbyeCode); what the caller wants to send beyond
//! them is refused, with the code that the peer would answer.
//!
//! How to drive one: hand every frame that comes to `receive` and act on what it returns; call `tick` at `wake_at` at
//! the latest, after the frames that have come; take frames with `next_frame` as the transport has room; when `ended`
//! says so, send what `next_frame` still has, then close the transport.

mod channel;
mod coordinator;
mod prover;
mod tasks;
mod transfers;

pub use coordinator::CoordinatorSession;
pub use prover::ProverSession;

use crate::goodbye::Violation;
use crate::message::{Chunk, Goodbye};
use crate::upload::ChunkState;

/// What came, if it is for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<M> {
    /// A message that the rules allow. Never a `Chunk`, `Ping`, `Pong` or `Goodbye`.
    Message(M),
    /// A part of an upload: store it, then acknowledge it with `Stored`.
    Chunk(Chunk, ChunkState),
}

/// The end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection was ended by {}: {:?}, {}", if *.by_peer { "the peer" } else { "this end" }, .goodbye.code, .goodbye.text)]
pub struct Ended {
    /// Whether the other end said goodbye.
    pub by_peer: bool,
    /// What was said.
    pub goodbye: Goodbye,
}

/// Why a message was not sent. The session is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// There is no connection any more.
    #[error(transparent)]
    Ended(#[from] Ended),
    /// Too much waits for the transport: try again when frames were taken. Only for `Inputs` and `Chunk`.
    #[error("{queued_bytes} bytes wait for the transport")]
    Wait {
        /// Bytes that wait.
        queued_bytes: usize,
    },
    /// The rules don't allow it.
    #[error("the rules of the protocol don't allow this message: {0}")]
    Refused(#[from] Violation),
}

/// What both sessions offer in the same way.
macro_rules! common {
    ($session:ident, $out:ident) => {
        impl $session {
            /// The next frame for the transport.
            pub fn next_frame(&mut self) -> Option<Vec<u8>> {
                self.channel.next_frame()
            }

            /// Bytes that wait for the transport.
            pub fn queued_bytes(&self) -> usize {
                self.channel.queued_bytes()
            }

            /// How the connection ended, if it has.
            pub fn ended(&self) -> Option<&Ended> {
                self.channel.ended()
            }

            /// Looks at the clock: sends a ping, or ends the connection when a limit is passed.
            ///
            /// # Errors
            /// [`Ended`], also if it had ended before.
            pub fn tick(&mut self, now: Millis) -> Result<(), Ended> {
                self.channel.check_open()?;
                let ping = self.channel.tick(now);
                let outcome = ping.and_then(|ping| {
                    self.transfers.tick(now)?;
                    ping.map_or(Ok(()), |ping| self.channel.push(now, $out::from(ping).encode()))
                });
                outcome.map_err(|violation| self.break_off(now, &violation))
            }

            /// The latest moment for the next [`Self::tick`].
            pub fn wake_at(&self) -> Millis {
                let channel = self.channel.wake_at();
                self.transfers.wake_at().map_or(channel, |transfers| transfers.min(channel))
            }

            /// The upload to go on with and the bytes to send of it in the next `Chunk`, if the windows and the queue
            /// to the transport have room. What was announced first goes first.
            pub fn next_chunk(&self) -> Option<(UploadId, Range<u64>)> {
                self.channel.check_bulk().ok()?;
                self.transfers.next_chunk()
            }

            /// Asks for something that the peer has announced and that is not under way, from where the receiver is. A
            /// receiver that has resumed all bytes, and found damage, is refused: a new one starts over.
            ///
            /// # Errors
            /// [`SendError`].
            pub fn want(&mut self, now: Millis, receiver: UploadReceiver) -> Result<(), SendError> {
                self.channel.check_open()?;
                self.check_stage()?;
                self.transfers.check_want(&receiver)?;
                self.push(now, receiver.want().into())?;
                self.transfers.add_receiver(now, receiver);
                Ok(())
            }

            /// Says goodbye after what waits. Does nothing if the connection has ended.
            pub fn goodbye(&mut self, now: Millis, goodbye: Goodbye) -> Ended {
                self.channel.say_goodbye(now, goodbye, |goodbye| $out::from(goodbye).encode())
            }

            /// Tasks that are open.
            pub fn open_tasks(&self) -> impl Iterator<Item = TaskId> + '_ {
                self.tasks.open()
            }

            fn break_off(&mut self, now: Millis, violation: &Violation) -> Ended {
                self.channel.break_off(now, violation, |goodbye| $out::from(goodbye).encode())
            }

            /// Queues a message; a queue that is full ends the connection.
            fn push(&mut self, now: Millis, message: $out) -> Result<(), Ended> {
                let pushed = self.channel.push(now, message.encode());
                pushed.map_err(|violation| self.break_off(now, &violation))
            }
        }
    };
}
use common;
