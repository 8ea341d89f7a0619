//! Integration tests of the folding scheme.

mod chain;
mod common;
