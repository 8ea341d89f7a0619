//! The prover with a model engine, and the coordinator's end of the real protocol at the other end of every connection.

mod check_ins;
mod connection;
mod fold;
mod hostile;
mod merges;
mod model;
mod segments;
mod world;
