//! Parallel Nova with CycleFold on BN254/Grumpkin.

pub mod curve;
pub mod poseidon;
pub mod srs;
