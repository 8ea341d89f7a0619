//! The built-in programs from outside: what is pinned, and jobs proved from end to end.

mod golden;
mod rollup;
