//! Parallel Nova with CycleFold on BN254/Grumpkin.

mod aggregate;
mod binding;
pub mod circuit;
mod codec;
pub mod curve;
mod error;
pub mod gadgets;
pub mod instance;
pub mod limits;
mod params;
pub mod poseidon;
mod proof;
pub mod r1cs;
mod segment;
pub mod srs;
mod step;
pub mod transcript;
mod verify;

pub use aggregate::merge;
pub use binding::{Address, BindingTree, Context, Job, Receipt};
pub use curve::Fr;
pub use error::Error;
pub use params::{CIRCUIT_VERSION, CircuitSize, ParameterDigest, Parameters, ProgramId, ProverParameters};
pub use proof::RangeProof;
pub use segment::Segment;
pub use srs::Srs;
pub use step::StepFunction;
pub use verify::{verify, verify_batch};
