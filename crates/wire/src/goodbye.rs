//! Why a connection ends, and what its other end should do.

use crate::codec::wire_enum;
use crate::message::{Goodbye, Reason};
use std::fmt;

wire_enum! {
    /// Why a connection ends. From [`GoodbyeCode::HandshakeTimeout`] on, the peer broke a rule.
    #[derive(Copy, PartialOrd, Ord, Hash)]
    pub enum GoodbyeCode {
        /// The sender stops. Connect again later.
        Closing = 1,
        /// The sender speaks other versions of the protocol.
        UnknownVersion = 2,
        /// The signature of `Hello` is not that of its key over the challenge.
        BadSignature = 3,
        /// The prover dialled an origin that is not this coordinator's.
        WrongOrigin = 4,
        /// The prover sent bad proofs lately.
        Suspended = 5,
        /// The coordinator has all the connections that it takes.
        Full = 6,
        /// The same key has connected again.
        Replaced = 7,
        /// The handshake took too long.
        HandshakeTimeout = 16,
        /// Nothing came for too long.
        Idle = 17,
        /// A ping was not answered.
        NoPong = 18,
        /// What was sent was not read.
        SlowPeer = 19,
        /// An upload did not go on although it could.
        Stalled = 20,
        /// A frame is not the encoding of a message.
        BadMessage = 21,
        /// A frame is too long.
        FrameTooLarge = 22,
        /// A message is not allowed before or after the handshake, or a second time.
        OutOfOrder = 23,
        /// Too many messages.
        TooManyMessages = 24,
        /// A pong without its ping.
        UnexpectedPong = 25,
        /// An interval of `Welcome` is out of its limits.
        BadTiming = 26,
        /// A task that was never handed out on this connection, or is none for this message.
        UnknownTask = 32,
        /// A task whose number does not go up.
        DuplicateTask = 33,
        /// More tasks than the prover wanted.
        TooManyTasks = 34,
        /// Inputs that are not the next ones, or more than the segment has.
        BadInputs = 35,
        /// More inputs than there was credit for.
        BeyondCredit = 36,
        /// Credit that goes down or beyond its limit.
        BadCredit = 37,
        /// Steps folded that go down or beyond what was sent.
        BadProgress = 38,
        /// A range that is not what the task could give.
        BadRange = 39,
        /// An upload that was not offered on this connection.
        UnknownUpload = 48,
        /// An upload that is offered already.
        DuplicateUpload = 49,
        /// Too many uploads without a verdict.
        TooManyUploads = 50,
        /// A chunk that is not the next one, or an offset beyond the end or already stored.
        BadOffset = 51,
        /// A chunk beyond the window.
        BeyondWindow = 52,
        /// An acknowledgement of what was not sent, or one that does not go up.
        BadAcknowledgement = 53,
    }
}

impl GoodbyeCode {
    /// What the other end should do, for people.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Closing => "connect again in a while",
            Self::UnknownVersion => "update the software",
            Self::BadSignature => "sign the challenge of this connection with the key in Hello",
            Self::WrongOrigin => "dial the coordinator by one of its own names",
            Self::Suspended => "connect again when the suspension is over",
            Self::Full => "connect again in a while, or to another coordinator",
            Self::Replaced => "use one connection for each key",
            Self::HandshakeTimeout | Self::Idle | Self::NoPong | Self::SlowPeer | Self::Stalled => {
                "connect again when the network is better"
            }
            _ => "this is a defect of the peer's software: update it, or report it to who made it",
        }
    }

    /// Whether connecting again with the same software, key and address may help.
    pub fn may_reconnect(self) -> bool {
        matches!(
            self,
            Self::Closing
                | Self::Suspended
                | Self::Full
                | Self::HandshakeTimeout
                | Self::Idle
                | Self::NoPong
                | Self::SlowPeer
                | Self::Stalled
        )
    }
}

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code:?}: {text}")]
pub struct Violation {
    /// Which one.
    pub code: GoodbyeCode,
    /// What was expected and what came.
    pub text: String,
}

impl Violation {
    pub(crate) fn new(code: GoodbyeCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// The farewell to who broke it.
    pub fn goodbye(&self) -> Goodbye {
        Goodbye { code: self.code, text: Reason::lossy(&format!("{}; {}", self.text, self.code.advice())) }
    }
}

/// Shorthand for refusing something that breaks a rule.
pub(crate) fn ensure<D: fmt::Display>(
    holds: bool,
    code: GoodbyeCode,
    text: impl FnOnce() -> D,
) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation::new(code, text().to_string())) }
}
