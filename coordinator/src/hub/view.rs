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
    /// Whether nothing is done for it, because the parameters of its program are missing here.
    pub paused: bool,
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

    fn job_view(&self, job: JobId) -> Option<JobView> {
        let Some(live) = self.jobs.get(&job) else { return self.paused.get(&job).map(|paused| paused.view) };
        let (covered, ranges) = self.covers.get(&job).map_or((0, 0), |cover| (cover.steps(), cover.ranges()));
        Some(JobView { steps: live.stored.spec.steps, covered, ranges, paused: false })
    }

    /// Shows how things are: of jobs only those that changed since.
    pub(super) fn show(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        self.view.send_modify(|view| {
            // Whoever still looks at the last one keeps it.
            let view = Arc::make_mut(view);
            for job in changed {
                match self.job_view(job) {
                    Some(shown) => _ = view.jobs.insert(job, shown),
                    None => _ = view.jobs.remove(&job),
                }
            }
            view.at = self.clock.now();
            view.connected = self.by_prover.len();
            view.stats = self.scheduler.stats();
        });
    }
}
