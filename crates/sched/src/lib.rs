//! Who folds which steps: the scheduler as a pure state machine.
//!
//! [`Scheduler::step`] takes what happened ([`Event`]) and says what to do ([`Effect`]). It has no clock, no sockets
//! and no randomness, knows numbers and not proofs, and the same events give the same effects. `docs/spec/network.md`,
//! section 3, has its rules; [`limits`] has every limit.
//!
//! Steps are accounted for in [layers](Scheduler::audit): the cover, the claims of those who are waited for, and the
//! gaps partition each job; duplicates and overdue leases are further claims above. No event looks at all provers, jobs
//! or leases.

mod config;
mod effect;
mod event;
mod fair;
mod ids;
mod job;
mod lease;
pub mod limits;
mod prover;
mod scheduler;

pub use config::Config;
pub use effect::{BadEvent, CancelReason, Effect, JobEnd, Verdict};
pub use event::{Event, JobSpec, ProverSpec, Release, Standing};
pub use ids::{Bytes, ClientId, JobId, Millis, ProofId, ProverId, Range, Speed, StepIndex, TaskId};
pub use scheduler::{Scheduler, Stats};
