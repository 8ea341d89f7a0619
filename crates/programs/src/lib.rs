//! The programs people prove: step functions with their circuits, one module each.
//!
//! A [`Program`] is a step function with a name, codecs, limits and a way from a job to its steps. [`Builtin`] is every
//! program that comes with Crowdfold; [`registry!`] makes other sets. To add one to [`Builtin`], write its module and a
//! line in
//! `registry.rs`; to have it elsewhere, write a crate like `examples/minroot` (`docs/guide/programs.md`).

pub mod conformance;
pub mod eddsa;
mod program;
mod registry;
pub mod rollup;
mod squarings;

pub use program::{
    Cost, ELEMENT_BYTES, Execution, Family, Inputs, Plan, PlanError, Program, StateField, Step, decode_elements, to_u64,
};
#[doc(hidden)]
pub use registry::reexport;
pub use registry::{Builtin, BuiltinInput};
pub use squarings::Squarings;
