//! The exact mode: every frame, every write and every event of a few dozen provers.

mod check;
mod coordinator;
mod disk;
mod effects;
mod host;
mod log;
mod plan;
mod world;

use std::collections::BTreeSet;

pub use plan::Fault;
pub use world::Outcomes;

/// Runs one seed, without some kinds of faults, and keeps the log if it is wanted.
pub fn run(seed: u64, without: &BTreeSet<Fault>, keeps_log: bool) -> Outcomes {
    world::World::new(seed, without, keeps_log).run()
}
