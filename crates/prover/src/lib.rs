//! What a prover does with its tasks, the same in every host: a tab, an edge function, a server, the simulator
//! (`docs/spec/network.md`, section 2).
//!
//! [`Prover`] is a state machine over a connection ([`crowdfold_wire::ProverSession`]) and an [`Engine`] that folds:
//! [`FoldEngine`] for real. Time, random numbers, transport and storage are the host's; it has no threads.
//!
//! How to drive one: after every call, do what [`Prover::next_effect`] says until there is nothing more, and send what
//! [`Prover::next_frame`] gives as the transport has room. Call [`Prover::work`] again and again, looking after the
//! transport in between, until it is [`Worked::Idle`]; then wait for a frame, or for [`Prover::wake_at`] and call
//! [`Prover::tick`].

mod backoff;
mod config;
mod engine;
mod fold_engine;
mod held;
pub mod limits;
mod linger;
mod prover;
mod speed;
mod status;
mod task;

pub use config::Config;
pub use engine::{Engine, Failure, Merging, Opening, Proof, Purpose, Size};
pub use fold_engine::{FoldEngine, FoldSegment};
pub use prover::{Prover, RestoreError};
pub use status::{Activity, Effect, Link, ProofInfo, Status, Totals, Worked};
