//! What the benchmarks share: interleaved measuring, the browser, the pieces of a step, and the report.

// Measuring needs a clock, and the result goes to standard output.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr)]

pub mod browser;
pub mod payments;
pub mod profile;
pub mod report;
pub mod sample;
