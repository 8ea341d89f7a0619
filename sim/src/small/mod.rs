//! The exact mode: every frame, every write and every event of a few dozen provers.
//!
//! Within a connection frames come late, but whole, once and in order, as over TCP. What a network does to them shows
//! as on a real one: a loss breaks the connection or makes it silent, each end gets to know at its own time, and frames
//! that were under way still arrive, behind those of the next connection. What is said again after that (offers,
//! chunks, jobs) comes twice, from two hosts with one key at once too.

mod check;
mod coordinator;
mod disk;
mod effects;
mod host;
mod log;
mod named;
mod plan;
mod plant;
mod uploads;
mod world;

use std::collections::BTreeSet;

pub use plan::Fault;
pub use plant::Bug;
pub use world::Outcomes;

/// How to run a seed.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Kinds of faults to leave out.
    pub without: BTreeSet<Fault>,
    /// A duty to neglect.
    pub bug: Option<Bug>,
    /// Whether to keep the log.
    pub keeps_log: bool,
    /// Whether to run the seed twice, to see that it is the same.
    pub twice: bool,
}

/// Runs one seed.
pub fn run(seed: u64, options: &Options) -> Outcomes {
    let mut outcomes = world::World::new(seed, options).run();
    if options.twice && outcomes.broken.is_none() && world::World::new(seed, options).run().hash != outcomes.hash {
        outcomes.broken = Some("two runs of it differ".into());
    }
    outcomes
}
