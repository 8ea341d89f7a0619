//! What others may look at without asking the hub.

use std::collections::BTreeMap;
use std::sync::Arc;

use crowdfold_sched::{JobId, Millis, ProverId, Speed, Stats};

use super::Hub;

/// A job as it is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobView {
    /// Its steps.
    pub steps: u64,
    /// Those in its cover.
    pub covered: u64,
    /// Ranges in its cover.
    pub ranges: u64,
}

/// The hub as it was a short while ago.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// When that was.
    pub at: Millis,
    /// Jobs that did not end.
    pub jobs: BTreeMap<JobId, JobView>,
    /// Provers that are connected.
    pub connected: usize,
    /// What the scheduler counts.
    pub stats: Stats,
}

/// A prover that is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProverView {
    /// Who.
    pub prover: ProverId,
    /// Segments that it has.
    pub segments: usize,
    /// Merges that it has.
    pub merges: usize,
    /// Rows a second, as measured by what it delivered.
    pub speed: Speed,
}

impl Hub {
    /// Who is connected, in the order of their connections.
    pub(super) fn fleet(&self) -> Vec<ProverView> {
        let view = |link: &super::Link| ProverView {
            prover: link.prover,
            segments: link.holds.0.len(),
            merges: link.holds.1.len(),
            speed: self.scheduler.speed(link.prover).unwrap_or(Speed(0)),
        };
        self.links.values().map(view).collect()
    }

    /// Shows how things are.
    pub(super) fn show(&self) {
        let job = |(&id, live): (&JobId, &Arc<super::LiveJob>)| {
            let cover = self.covers.get(&id);
            let covered = cover.map_or(0, |cover| cover.values().map(|part| part.range.steps()).sum());
            let ranges = cover.map_or(0, |cover| cover.len() as u64);
            (id, JobView { steps: live.stored.spec.steps, covered, ranges })
        };
        let jobs = self.jobs.iter().map(job).collect();
        self.view.send_replace(Arc::new(View {
            at: self.clock.now(),
            jobs,
            connected: self.by_prover.len(),
            stats: self.scheduler.stats(),
        }));
    }
}
