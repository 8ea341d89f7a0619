//! The coordinator's native cores: what verifying and merging cost, as measured by `./just bench fold` for 2^16 rows.

use crowdfold_sched::{Event, ProofId, Range, TaskId};

use super::{Fleet, Options, What, float, ms};

/// Milliseconds of a core for a batch, and for each proof in it.
const VERIFY_BATCH_MS: f64 = 73.0;
const VERIFY_EACH_MS: f64 = 7.0;
const BATCH: usize = 16;
/// Milliseconds of a core to merge two segments, and two ranges of which one is merged already.
const MERGE_SEGMENTS_MS: f64 = 440.0;
const MERGE_RANGES_MS: f64 = 840.0;
/// Ranges longer than this are taken for merged ones.
const LONGEST_SEGMENT: u64 = 1_000;

#[derive(Debug)]
pub(super) enum Work {
    Verify(Vec<ProofId>),
    Merge(TaskId),
}

/// What a pool needs if the whole fleet is at work: for each segment a proof and a merge, and a quarter more. Segments
/// are half as long as they should be on average, because they shrink towards a job's end.
pub(super) fn needed(options: &Options) -> usize {
    let per_second = float(options.provers) * 2000.0 / float(options.target_ms);
    let each = VERIFY_EACH_MS + VERIFY_BATCH_MS + MERGE_RANGES_MS;
    usize::try_from(ms(per_second * each / 1000.0 * 1.25)).unwrap_or(usize::MAX).saturating_add(2)
}

pub(super) fn merge_ms(left: Range, right: Range) -> f64 {
    if left.steps().max(right.steps()) > LONGEST_SEGMENT { MERGE_RANGES_MS } else { MERGE_SEGMENTS_MS }
}

impl Fleet {
    /// Gives free cores something to do: verifying first, because credit and merges wait for it.
    pub(super) fn employ(&mut self) {
        self.report.queue = self.report.queue.max(self.to_verify.len() + self.to_merge.len());
        while self.running.len() < self.cores {
            let (work, took) = if self.to_verify.is_empty() {
                let Some((task, took)) = self.to_merge.pop_front() else { return };
                (Work::Merge(task), took)
            } else {
                let batch: Vec<_> = self.to_verify.drain(..self.to_verify.len().min(BATCH)).collect();
                let took = VERIFY_BATCH_MS + VERIFY_EACH_MS * float(batch.len() as u64);
                (Work::Verify(batch), took)
            };
            if self.is_measured() {
                self.busy_ms += took;
            }
            let name = self.name();
            self.running.insert(name, work);
            self.at(self.now + ms(took), What::Core(name));
        }
    }

    pub(super) fn worked(&mut self, work: u64) {
        match self.running.remove(&work) {
            Some(Work::Verify(batch)) => {
                self.inbox.extend(batch.into_iter().map(|proof| Event::Verified { proof }));
            }
            Some(Work::Merge(task)) => self.inbox.push_back(Event::MergeDone { task }),
            None => {}
        }
    }
}
