//! The whole system on a fake clock: the real scheduler, protocol and prover code with modelled proofs.
//!
//! [`small`] runs a few dozen provers exactly, with a seeded network, crashes of the coordinator at its writes and lying,
//! slow and vanishing provers, and checks the invariants of `ARCHITECTURE.md` after every event. A failure is a seed.
//! [`fleet`] runs up to 100,000 provers that come and go, with costs instead of frames, and says how well they are used.

pub mod fleet;
mod model;
mod random;
pub mod small;
