//! What happens, for whoever listens: pages, command lines, other processes of a coordinator.
//!
//! A [`Bus`] carries [`News`]. News tell of what is durable already, and are never needed for anything to work: who
//! missed some asks how things are.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::broadcast;
use utoipa::ToSchema;

/// News that are kept for listeners that come back. Those who missed more ask how things are.
pub const KEPT: usize = 8_192;
/// News that a listener may be behind. At it, it is told that it missed some.
const BEHIND: usize = 4_096;

/// Something that happened. Provers are named by their numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum News {
    /// A job was accepted.
    JobAccepted {
        /// Which.
        job: u64,
        /// Its program.
        program: String,
        /// Its steps.
        steps: u64,
    },
    /// A batch of the sequencer became a job.
    BatchHandedOver {
        /// Which job.
        job: u64,
        /// The batch's number.
        batch: u64,
    },
    /// A segment was handed out.
    SegmentAssigned {
        /// Of which job.
        job: u64,
        /// Its first step.
        first: u64,
        /// Its steps.
        steps: u64,
        /// To whom.
        prover: u64,
    },
    /// A segment's proof counts.
    RangeVerified {
        /// Of which job.
        job: u64,
        /// Its first step.
        first: u64,
        /// Its steps.
        steps: u64,
        /// By whom.
        prover: u64,
        /// Credit for it.
        credit: u64,
    },
    /// Two ranges became one.
    RangeMerged {
        /// Of which job.
        job: u64,
        /// Its first step.
        first: u64,
        /// Its steps.
        steps: u64,
        /// By whom; nothing if it was done here.
        prover: Option<u64>,
    },
    /// A job ended.
    JobEnded {
        /// Which.
        job: u64,
        /// How: `done`, `cancelled`, `expired` or `failed`.
        state: String,
    },
    /// A proof was refused.
    ProofRefused {
        /// For which job.
        job: u64,
        /// Whose.
        prover: u64,
        /// Why.
        reason: String,
    },
    /// A prover connected.
    ProverJoined {
        /// Who.
        prover: u64,
    },
    /// A prover is gone.
    ProverLeft {
        /// Who.
        prover: u64,
    },
}

impl News {
    /// Its kind, as in its JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::JobAccepted { .. } => "job_accepted",
            Self::BatchHandedOver { .. } => "batch_handed_over",
            Self::SegmentAssigned { .. } => "segment_assigned",
            Self::RangeVerified { .. } => "range_verified",
            Self::RangeMerged { .. } => "range_merged",
            Self::JobEnded { .. } => "job_ended",
            Self::ProofRefused { .. } => "proof_refused",
            Self::ProverJoined { .. } => "prover_joined",
            Self::ProverLeft { .. } => "prover_left",
        }
    }

    /// The job that it is about.
    pub fn job(&self) -> Option<u64> {
        match self {
            Self::JobAccepted { job, .. }
            | Self::BatchHandedOver { job, .. }
            | Self::SegmentAssigned { job, .. }
            | Self::RangeVerified { job, .. }
            | Self::RangeMerged { job, .. }
            | Self::JobEnded { job, .. }
            | Self::ProofRefused { job, .. } => Some(*job),
            Self::ProverJoined { .. } | Self::ProverLeft { .. } => None,
        }
    }
}

/// News with their number. Numbers grow by one within a run of the coordinator, and no two runs share any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// Its number.
    pub number: u64,
    /// What happened.
    pub news: Arc<News>,
}

/// Carries news to whoever listens.
pub trait Bus: Send + Sync + std::fmt::Debug {
    /// Tells everybody. It neither waits nor fails: news are not needed for anything to work.
    fn publish(&self, news: News);

    /// Listens from now on, or from after the news of that number if all since then are still there.
    fn listen(&self, after: Option<u64>) -> Listener;
}

/// What a listener hears next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// News.
    News(Numbered),
    /// Some news were missed: what it knows is out of date.
    Missed,
}

/// One that listens.
#[derive(Debug)]
pub struct Listener {
    before: VecDeque<Numbered>,
    live: broadcast::Receiver<Numbered>,
    has_missed: bool,
}

impl Listener {
    /// What comes next; `None` once the bus is gone.
    pub async fn next(&mut self) -> Option<Heard> {
        if std::mem::take(&mut self.has_missed) {
            return Some(Heard::Missed);
        }
        if let Some(numbered) = self.before.pop_front() {
            return Some(Heard::News(numbered));
        }
        match self.live.recv().await {
            Ok(numbered) => Some(Heard::News(numbered)),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Heard::Missed),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// The bus within one process.
#[derive(Debug)]
pub struct LocalBus {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: u64,
    kept: VecDeque<Numbered>,
    live: broadcast::Sender<Numbered>,
}

impl LocalBus {
    /// A bus of a run of the coordinator with that number, which no other run should have.
    pub fn new(epoch: u16) -> Self {
        let live = broadcast::Sender::new(BEHIND);
        Self { state: Mutex::new(State { next: (u64::from(epoch) << 36) + 1, kept: VecDeque::new(), live }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bus for LocalBus {
    fn publish(&self, news: News) {
        let mut state = self.state();
        let numbered = Numbered { number: state.next, news: Arc::new(news) };
        state.next += 1;
        if state.kept.len() == KEPT {
            state.kept.pop_front();
        }
        state.kept.push_back(numbered.clone());
        // An error means that nobody listens.
        _ = state.live.send(numbered);
    }

    fn listen(&self, after: Option<u64>) -> Listener {
        // Nothing is published between the look at what is kept and the subscription.
        let state = self.state();
        let first = state.kept.front().map_or(state.next, |oldest| oldest.number);
        let is_there = after.is_none_or(|after| (first..=state.next).contains(&(after.saturating_add(1))));
        let after = after.filter(|_| is_there).unwrap_or(u64::MAX);
        let before = state.kept.iter().filter(|numbered| numbered.number > after).cloned().collect();
        Listener { before, live: state.live.subscribe(), has_missed: !is_there }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(prover: u64) -> News {
        News::ProverLeft { prover }
    }

    async fn heard(listener: &mut Listener) -> Option<u64> {
        match listener.next().await.expect("the bus is there") {
            Heard::News(numbered) => match *numbered.news {
                News::ProverLeft { prover } => Some(prover),
                _ => None,
            },
            Heard::Missed => None,
        }
    }

    #[tokio::test]
    async fn a_listener_hears_what_comes_after_it() {
        let bus = LocalBus::new(1);
        bus.publish(left(1));
        let mut listener = bus.listen(None);
        bus.publish(left(2));
        assert_eq!(heard(&mut listener).await, Some(2));
    }

    #[tokio::test]
    async fn one_that_comes_back_misses_nothing_that_is_kept() {
        let bus = LocalBus::new(1);
        let mut listener = bus.listen(None);
        (1..=3).for_each(|prover| bus.publish(left(prover)));
        let Some(Heard::News(first)) = listener.next().await else { panic!("news") };
        drop(listener);
        let mut listener = bus.listen(Some(first.number));
        bus.publish(left(4));
        for expected in 2..=4 {
            assert_eq!(heard(&mut listener).await, Some(expected));
        }
    }

    #[tokio::test]
    async fn one_that_comes_back_too_late_or_from_another_run_is_told_so() {
        let bus = LocalBus::new(2);
        (0..=KEPT as u64).for_each(|prover| bus.publish(left(prover)));
        let another_run = LocalBus::new(3).state().next;
        for after in [(2 << 36), another_run, 0, u64::MAX] {
            let mut listener = bus.listen(Some(after));
            assert_eq!(listener.next().await, Some(Heard::Missed), "{after}");
        }
        let all_there = (2 << 36) + 1;
        assert_eq!(heard(&mut bus.listen(Some(all_there))).await, Some(1));
    }

    #[tokio::test]
    async fn one_that_is_too_slow_is_told_so_and_goes_on() {
        let bus = LocalBus::new(1);
        let mut listener = bus.listen(None);
        (0..2 * BEHIND as u64).for_each(|prover| bus.publish(left(prover)));
        assert_eq!(listener.next().await, Some(Heard::Missed));
        assert_eq!(heard(&mut listener).await, Some(BEHIND as u64));
    }

    #[test]
    fn kinds_are_those_of_the_json() {
        let news = left(1);
        assert_eq!(serde_json::to_value(&news).expect("JSON")["kind"], news.kind());
    }
}
