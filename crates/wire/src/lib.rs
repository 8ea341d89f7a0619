//! Messages between the coordinator and its provers, protocol `crowdfold.1` (`docs/spec/network.md`, section 1).
//!
//! [`FromProver`] and [`FromCoordinator`] are the messages with their canonical codec, [`limits`] every limit,
//! [`ProverSession`] and [`CoordinatorSession`] the rules of a connection, [`PushTask`] a task that needs none. Pure: time, nonces and keys are arguments,
//! and the transport is whatever carries frames. The same code runs in pages, in servers and in the simulator.
//!
//! ```
//! use crowdfold_wire::{FromProver, Ready, Within};
//!
//! let ready = FromProver::from(Ready { tasks: Within::new(2)?, merges: Within::new(0)? });
//! assert_eq!(FromProver::decode(&ready.encode()), Ok(ready));
//! # Ok::<(), crowdfold_wire::BoundError>(())
//! ```

mod bounded;
mod codec;
mod goodbye;
mod hello;
pub mod limits;
mod message;
mod names;
mod push;
mod session;
mod upload;

pub use bounded::{BoundError, Bytes, InputList, InputsWithin, List, Text, Within};
pub use codec::DecodeError;
pub use ed25519_dalek::SigningKey;
pub use goodbye::{GoodbyeCode, Violation};
pub use hello::HelloError;
pub use message::{
    Blob, Cancel, CancelReason, Capabilities, Challenge, Chunk, Credit, FromCoordinator, FromProver, Goodbye, Hello,
    HostKind, Inputs, Merge, Offer, Outcome, Ping, Pong, Progress, RangeSteps, Ready, Reason, Release, ReleaseReason,
    Segment, SegmentSteps, StepCount, StepIndex, Stored, UploadBytes, UploadOffset, Verdict, Want, Welcome,
};
pub use names::{Millis, ParametersId, PublicKey, SessionId, TaskId, UploadId};
pub use push::{PushError, PushGate, PushInputs, PushTask};
pub use session::{CoordinatorSession, Ended, Event, ProverSession, SendError};
pub use upload::{ChunkState, UploadReceiver, UploadSender};
