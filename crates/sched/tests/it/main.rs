//! The scheduler from outside.

mod check_ins;
mod fleet;
mod golden;
mod properties;
mod rules;
mod world;
