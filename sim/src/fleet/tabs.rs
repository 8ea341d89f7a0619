//! Provers that come, fold, check in and go.

use std::collections::{BTreeMap, VecDeque};

use crowdfold_sched::{Bytes, Event, JobId, ProofId, ProverId, ProverSpec, Range, Speed, StepIndex, TaskId};

use super::{Fleet, PROOF_BYTES, ROWS, What, float, ms};

/// Rows a second of a tab with a thread, and the deviation of its logarithm.
const ROWS_PER_SECOND: f64 = 16_000.0;
const SPREAD: f64 = 0.5;
/// Milliseconds from its start to a tab's first step, with parameters at hand, and to finish a proof after its last step.
const START_MS: u64 = 1_360;
const FINISH_MS: u64 = 60;
/// Median of what a line uploads, in bytes a millisecond (12 Mbit/s), the deviation of its logarithm, and the least. For
/// comparison: the worldwide means of Ookla's Speedtest Global Index of September 2020 are 11 Mbit/s for mobile and
/// 46 Mbit/s for fixed lines.
const UPLOAD: f64 = 1_500.0;
const UPLOAD_SPREAD: f64 = 1.0;
const LEAST_UPLOAD: f64 = 125.0;
/// Segments that a tab holds.
const HELD: usize = 2;

#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    task: TaskId,
    job: JobId,
    range: Range,
}

/// The chain of the first segment of a tab.
#[derive(Clone, Copy, Debug, Default)]
struct Chain {
    /// Steps folded up to a moment, at which the next one began.
    steps: u64,
    at: u64,
    /// Those of them that were folded while it was measured.
    measured: u64,
    /// Steps in its last check-in, and since when the next one is waited for.
    checked_in: u64,
    since: u64,
    /// Whether its last check-in is under way.
    sending: bool,
}

/// A prover that is there.
#[derive(Debug)]
pub(super) struct Tab {
    /// Milliseconds for a step, and bytes a millisecond upwards.
    each: f64,
    upload: f64,
    tasks: VecDeque<Segment>,
    chain: Chain,
    /// Goes up whenever what was planned is void.
    turn: u64,
    /// When its line is free.
    line: u64,
    /// Uploads under way, in order.
    sending: VecDeque<u64>,
    /// Measured steps of each chain that the coordinator has, while it does not have all of it.
    safe: BTreeMap<TaskId, u64>,
    since: u64,
    /// Since when it has nothing to do.
    idle_since: Option<u64>,
}

/// A proof under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Upload {
    tab: u64,
    segment: Segment,
    proof: ProofId,
    /// Where its range ends, and the measured steps in it.
    end: u64,
    measured: u64,
    each: f64,
}

impl Fleet {
    /// Stays have a heavy tail: a Pareto distribution of exponent 1.5, whose mean is three times its least value.
    pub(super) fn join(&mut self, first: bool) {
        let id = self.next_tab;
        self.next_tab += 1;
        let least = self.options.mean_stay / 3.0;
        let chance = 1.0 - self.random.unit();
        // What is left of the stays of those who are there at a moment: a third of them have less than the least stay.
        let left = match first {
            false => least / chance.powf(1.0 / 1.5),
            true if self.random.chance(333) => least * chance,
            true => least / (chance * chance),
        };
        let threads = float(1 << self.random.between(0, 3));
        let speed = ROWS_PER_SECOND * threads * (SPREAD * self.random.normal()).exp();
        let upload = (UPLOAD * (UPLOAD_SPREAD * self.random.normal()).exp()).max(LEAST_UPLOAD);
        let said = speed * (0.3 * self.random.normal()).exp();
        let now = self.now;
        let tab = Tab {
            each: float(ROWS) * 1000.0 / speed,
            upload,
            tasks: VecDeque::new(),
            chain: Chain::default(),
            turn: 0,
            line: now,
            sending: VecDeque::new(),
            safe: BTreeMap::new(),
            since: now,
            idle_since: Some(now),
        };
        self.tabs.insert(id, tab);
        self.at(now + ms(left * 1000.0).max(1), What::Leave(id));
        let spec = ProverSpec {
            speed: Speed(ms(said)),
            memory: Bytes(1 << 32),
            merges: false,
            most_steps: u64::MAX,
            strikes: 0,
        };
        self.inbox.push_back(Event::ProverJoined { prover: ProverId(id), spec });
        self.ask(id);
    }

    fn ask(&mut self, id: u64) {
        let held = self.tabs.get(&id).map_or(0, |tab| tab.tasks.len());
        let segments = u16::try_from(HELD.saturating_sub(held)).unwrap_or(0);
        self.inbox.push_back(Event::Ready { prover: ProverId(id), segments, merges: 0 });
    }

    pub(super) fn assigned(&mut self, id: u64, task: TaskId, job: JobId, range: Range) {
        let now = self.now;
        let Some(tab) = self.tabs.get_mut(&id) else { return };
        tab.tasks.push_back(Segment { task, job, range });
        if tab.tasks.len() == 1 {
            let at = now.max(tab.since + START_MS);
            self.open(id, at);
        }
    }

    /// Begins with the first task, if there is one.
    fn open(&mut self, id: u64, at: u64) {
        let (now, from) = (self.now, self.measured_from);
        let Some(tab) = self.tabs.get_mut(&id) else { return };
        tab.chain = Chain { at, since: at, ..Chain::default() };
        if tab.tasks.is_empty() {
            tab.idle_since.get_or_insert(now);
            tab.turn += 1;
            return;
        }
        if let Some(since) = tab.idle_since.take() {
            self.idle_ms += now.saturating_sub(since.max(from));
        }
        self.plan(id);
    }

    /// Plans the next moment at which a prover makes a proof: when a check-in is due, if the last one has gone up, or at the
    /// segment's end.
    fn plan(&mut self, id: u64) {
        let interval = self.options.checkpoint_ms;
        let Some(tab) = self.tabs.get_mut(&id) else { return };
        let Some(segment) = tab.tasks.front() else { return };
        tab.turn += 1;
        let left = segment.range.steps() - tab.chain.steps;
        let due = (tab.chain.since + interval).saturating_sub(tab.chain.at);
        let until = ms((float(due) / tab.each).ceil()).max(1);
        // Shortly before the end none is made.
        let rest = float(left.saturating_sub(until)) * tab.each;
        let steps = if tab.chain.sending || rest < float(interval) / 2.0 { left } else { until.min(left) };
        let (at, turn) = (tab.chain.at + ms(float(steps) * tab.each).max(1), tab.turn);
        self.at(at, What::Step(id, turn));
    }

    /// Takes note of the steps that are folded by now.
    fn advance(&mut self, id: u64) {
        let (now, is_measured) = (self.now, self.is_measured());
        let Some(tab) = self.tabs.get_mut(&id) else { return };
        let Some(segment) = tab.tasks.front() else { return };
        // What was rounded down when it was planned is no reason to miss a step.
        let took = float(now.saturating_sub(tab.chain.at)) + 1.0;
        let steps = ms(took / tab.each).min(segment.range.steps() - tab.chain.steps);
        tab.chain.steps += steps;
        tab.chain.at = (tab.chain.at + ms(float(steps) * tab.each)).min(now);
        if is_measured {
            tab.chain.measured += steps;
            self.steps += steps;
            self.folded_ms += float(steps) * tab.each;
        }
    }

    /// The end of a step at which a proof is made. It goes up the line while the next steps are folded.
    pub(super) fn step(&mut self, id: u64, turn: u64) {
        if self.tabs.get(&id).is_none_or(|tab| tab.turn != turn) {
            return;
        }
        self.advance(id);
        let name = self.name();
        let (now, is_measured) = (self.now, self.is_measured());
        let Some(tab) = self.tabs.get_mut(&id) else { return };
        let Some(&segment) = tab.tasks.front() else { return };
        let mut proof = ProofId([0; 32]);
        proof.0[..8].copy_from_slice(&name.to_le_bytes());
        let end = segment.range.start().0 + tab.chain.steps;
        tab.line = tab.line.max(now + FINISH_MS) + ms(PROOF_BYTES / tab.upload);
        tab.sending.push_back(name);
        self.uploads
            .insert(name, Upload { tab: id, segment, proof, end, measured: tab.chain.measured, each: tab.each });
        let (line, steps) = (tab.line, tab.chain.steps);
        if is_measured {
            self.bytes += PROOF_BYTES;
        }
        self.inbox.push_back(Event::Progress { prover: ProverId(id), task: segment.task, steps });
        tab.chain.at = now + FINISH_MS;
        if end == segment.range.end().0 {
            tab.tasks.pop_front();
            self.open(id, now + FINISH_MS);
            self.ask(id);
        } else {
            (tab.chain.checked_in, tab.chain.since, tab.chain.sending) = (steps, now, true);
            self.plan(id);
        }
        self.at(line, What::Uploaded(name));
    }

    pub(super) fn uploaded(&mut self, name: u64) {
        let Some(Upload { tab: id, segment, proof, end, measured, each }) = self.uploads.remove(&name) else { return };
        let Some(tab) = self.tabs.get_mut(&id) else { return };
        tab.sending.retain(|&other| other != name);
        let is_last = end == segment.range.end().0;
        if is_last {
            tab.safe.remove(&segment.task);
        } else {
            tab.safe.insert(segment.task, measured);
        }
        let is_current = !is_last && tab.tasks.front().is_some_and(|first| first.task == segment.task);
        let (prover, job, task) = (ProverId(id), segment.job, Some(segment.task));
        if let Some(range) = Range::new(segment.range.start(), StepIndex(end)) {
            self.undecided.insert(proof, (measured, each));
            self.inbox.push_back(Event::ProofReceived { proof, prover, job, range, task });
        }
        if is_current {
            self.advance(id);
            if let Some(tab) = self.tabs.get_mut(&id) {
                tab.chain.sending = false;
            }
            self.plan(id);
        }
    }

    /// What was folded of the task since its last check-in is lost.
    pub(super) fn cancelled(&mut self, task: TaskId, id: u64) {
        let now = self.now;
        let Some(tab) = self.tabs.get(&id) else { return };
        let Some(at) = tab.tasks.iter().position(|segment| segment.task == task) else { return };
        if at == 0 {
            self.advance(id);
        }
        let Some(tab) = self.tabs.get_mut(&id) else { return };
        tab.tasks.remove(at);
        if at == 0 {
            // A check-in under way has a verdict of its own.
            let under_way = tab.sending.iter().filter_map(|name| self.uploads.get(name));
            let under_way = under_way.filter(|upload| upload.segment.task == task).map(|upload| upload.measured).max();
            let safe = tab.safe.remove(&task).unwrap_or(0).max(under_way.unwrap_or(0));
            let (lost, each) = (tab.chain.measured.saturating_sub(safe), tab.each);
            self.lose(lost, each, false);
            self.open(id, now);
        }
        self.ask(id);
    }

    /// The page is closed without a word: what the coordinator does not have is lost, and somebody else comes.
    pub(super) fn leave(&mut self, id: u64) {
        self.advance(id);
        self.account_presence(id);
        let is_measured = self.is_measured();
        if let Some(tab) = self.tabs.remove(&id) {
            self.report.left += u64::from(is_measured);
            let safe = |task: TaskId| tab.safe.get(&task).copied().unwrap_or(0);
            if let Some(segment) = tab.tasks.front() {
                self.lose(tab.chain.measured.saturating_sub(safe(segment.task)), tab.each, true);
            }
            for name in &tab.sending {
                let Some(upload) = self.uploads.remove(name) else { continue };
                // A check-in that is under way is of the first task, or the segment's own proof comes after it.
                if upload.end == upload.segment.range.end().0 {
                    self.lose(upload.measured.saturating_sub(safe(upload.segment.task)), tab.each, true);
                }
            }
            self.inbox.push_back(Event::ProverLeft { prover: ProverId(id) });
        }
        self.join(false);
    }

    /// Adds up for how long a prover was there while it was measured.
    pub(super) fn account_presence(&mut self, id: u64) {
        let Some(tab) = self.tabs.get(&id) else { return };
        let from = self.measured_from;
        self.present_ms += self.now.saturating_sub(tab.since.max(from));
        if let Some(since) = tab.idle_since {
            self.idle_ms += self.now.saturating_sub(since.max(from));
        }
    }
}
