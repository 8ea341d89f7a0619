//! The scheduler from outside.

mod fleet;
mod golden;
mod properties;
mod rules;
mod world;
