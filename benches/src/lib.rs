//! What the benchmarks share: interleaved measuring and the report.

// Measuring needs a clock, and the result goes to standard output.
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

pub mod report;
pub mod sample;
