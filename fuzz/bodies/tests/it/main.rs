//! Replays the inputs of `fuzz/corpus-regressions/`, and some that are made here, against every fuzz target.

mod layout;
mod replay;
