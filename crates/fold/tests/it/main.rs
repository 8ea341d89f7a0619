//! Integration tests of the folding scheme.

mod batch;
mod chain;
mod common;
mod golden;
mod params;
mod random;
mod segment;
