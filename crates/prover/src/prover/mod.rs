//! The state machine: what the host calls.

mod connection;
mod messages;
mod work;

use crate::backoff::Backoff;
use crate::config::Config;
use crate::engine::{Engine, Purpose};
use crate::held::{Held, Kept};
use crate::limits::{ADRIFT_MS, MAX_HELD_PROOFS};
use crate::speed::Speed;
use crate::status::{Activity, Effect, Link, ProofInfo, Status, Totals};
use crate::task::{Folding, MergeTask, Task};
use crowdfold_wire::limits::{MAX_RANGE_STEPS, MAX_UPLOAD_BYTES};
use crowdfold_wire::{Ended, Millis, ParametersId, ProverSession, Ready, ReleaseReason, SigningKey, TaskId, UploadId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Why a stored proof is not taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// There is no room for it now: give it again when others have had their verdict.
    #[error("there is no room for another finished proof now")]
    Full,
    /// No prover made that: forget it.
    #[error("the stored proof is damaged: its bytes or its steps are out of their limits")]
    Damaged,
}

/// A prover.
pub struct Prover<E: Engine> {
    config: Config,
    engine: E,
    key: SigningKey,
    link: Link,
    session: Option<ProverSession>,
    backoff: Backoff,
    opened: Option<Millis>,
    ended: Option<Ended>,
    /// The last `Ready` of this connection.
    ready: Option<Ready>,
    checkpoint_ms: u64,
    paused: bool,
    stopping: bool,
    waiting: BTreeMap<TaskId, Task>,
    merges: BTreeMap<TaskId, MergeTask>,
    folding: Option<Folding<E::Segment>>,
    held: Held,
    /// Parameters that the host was asked for and some task waits for.
    needed: BTreeSet<(ParametersId, Purpose)>,
    speed: Speed,
    totals: Totals,
    effects: VecDeque<Effect>,
    shown: Option<Status>,
}

impl<E: Engine> std::fmt::Debug for Prover<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prover").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl<E: Engine> Prover<E> {
    /// A prover that wants to connect. `key` names it to the coordinator.
    pub fn new(now: Millis, config: Config, engine: E, key: SigningKey) -> Self {
        let speed = Speed::new(config.rows_per_second);
        let mut prover = Self {
            config,
            engine,
            key,
            link: Link::Waiting(now),
            session: None,
            backoff: Backoff::default(),
            opened: None,
            ended: None,
            ready: None,
            checkpoint_ms: u64::from(crowdfold_wire::limits::CHECKPOINT_INTERVAL_MS),
            paused: false,
            stopping: false,
            waiting: BTreeMap::new(),
            merges: BTreeMap::new(),
            folding: None,
            held: Held::default(),
            needed: BTreeSet::new(),
            speed,
            totals: Totals::default(),
            effects: VecDeque::new(),
            shown: None,
        };
        prover.tick(now);
        prover
    }

    /// The next thing for the host to do.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The engine, to give it parameters that the host has loaded itself.
    pub fn engine_mut(&mut self) -> &mut E {
        &mut self.engine
    }

    /// What there is to show.
    pub fn status(&self) -> Status {
        Status {
            link: self.link.clone(),
            activity: self.activity(),
            waiting: self.waiting.len() + self.merges.len(),
            rows_per_second: self.speed.rows_per_second(),
            held_proofs: self.held.len(),
            held_bytes: self.held.bytes(),
            totals: self.totals,
        }
    }

    fn activity(&self) -> Activity {
        if self.stopping {
            return Activity::Stopping;
        }
        if let Some(Folding { task, chain, .. }) = &self.folding
            && (chain.is_some() || !self.is_full())
        {
            return Activity::Folding {
                task: task.id(),
                job: task.segment.job,
                program: task.segment.program.to_string(),
                steps: task.steps(),
                folded: task.folded,
            };
        }
        if self.paused {
            return Activity::Paused;
        }
        if let Some(MergeTask { merge, .. }) = self.merges.values().next() {
            return Activity::Merging { task: merge.task, job: merge.job };
        }
        if self.is_full() { Activity::Full } else { Activity::Idle }
    }

    /// Looks at the clock: deadlines, pings, the next attempt to connect.
    pub fn tick(&mut self, now: Millis) {
        self.speed.at(now);
        if let Some(Err(ended)) = self.session.as_mut().map(|session| session.tick(now)) {
            self.session_ended(now, ended);
        }
        self.review(now);
        self.settle(now);
    }

    /// The latest moment for the next [`Self::tick`], if the clock matters at all. Only when [`Self::work`] is idle.
    pub fn wake_at(&self) -> Option<Millis> {
        let session = self.session.as_ref().filter(|_| self.ended.is_none()).map(ProverSession::wake_at);
        let dial = if let Link::Waiting(until) = self.link { Some(until) } else { None };
        let waiting = self.waiting.values().flat_map(|task| [Some(task.finish_by), task.starves_at()]);
        let merges = self.merges.values().map(|merge| Some(merge.finish_by));
        let folding = self.folding.iter().filter(|folding| folding.ending.is_none()).flat_map(|folding| {
            [
                Some(folding.task.finish_by),
                folding.task.starves_at(),
                folding.adrift.map(|since| since.after(ADRIFT_MS)),
                self.check_in_at(),
            ]
        });
        [session, dial].into_iter().chain(waiting).chain(merges).chain(folding).flatten().min()
    }

    /// Stops folding: what is folded becomes a proof and is offered, the rest is handed back. Call [`Self::work`] for
    /// it.
    pub fn pause(&mut self, now: Millis) {
        self.speed.at(now);
        self.paused = true;
        self.hand_back(now, &ReleaseReason::Paused);
        self.settle(now);
    }

    /// Goes on after [`Self::pause`] or [`Self::stop`], or connects again after [`Link::Refused`].
    pub fn resume(&mut self, now: Millis) {
        self.speed.at(now);
        (self.paused, self.stopping) = (false, false);
        if matches!(self.link, Link::Refused(_) | Link::Off) {
            self.link = Link::Waiting(now);
        }
        self.settle(now);
    }

    /// Dials at once if it waits to: the network may be back.
    pub fn dial_now(&mut self, now: Millis) {
        self.speed.at(now);
        if matches!(self.link, Link::Waiting(_)) {
            self.link = Link::Waiting(now);
        }
        self.settle(now);
    }

    /// Ends in order: as [`Self::pause`], then delivers what it has and says goodbye, until [`Link::Off`]. A host that
    /// can't wait just leaves; what it has stored can be delivered in another run.
    pub fn stop(&mut self, now: Millis) {
        self.speed.at(now);
        self.stopping = true;
        self.hand_back(now, &ReleaseReason::Closing);
        self.settle(now);
    }

    /// A proof from an earlier run, which the host had stored.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn proof_restored(&mut self, now: Millis, info: ProofInfo, bytes: Vec<u8>) -> Result<(), RestoreError> {
        let length = bytes.len() as u64;
        let is_range = info.steps > 0 && info.first.checked_add(info.steps).is_some_and(|end| end <= MAX_RANGE_STEPS);
        if !(1..=MAX_UPLOAD_BYTES).contains(&length) || !is_range {
            return Err(RestoreError::Damaged);
        }
        if !self.has_room(length) {
            return Err(RestoreError::Full);
        }
        self.held.insert(UploadId::of(&bytes), info, Arc::new(bytes));
        self.settle(now);
        Ok(())
    }

    /// The host has what [`Effect::NeedParameters`] asked for, or can't get it and says why.
    pub fn parameters(
        &mut self,
        now: Millis,
        parameters: ParametersId,
        purpose: Purpose,
        outcome: Result<&[u8], &str>,
    ) {
        self.speed.at(now);
        self.needed.remove(&(parameters, purpose));
        let programs: BTreeSet<String> = self
            .awaited()
            .filter(|(_, id, of, _)| (*id, *of) == (parameters, purpose))
            .map(|(_, _, _, program)| program.to_owned())
            .collect();
        for program in programs {
            let loaded = match outcome {
                Ok(bytes) => {
                    self.engine.load(&program, &parameters, purpose, bytes).map_err(|failure| failure.to_string())
                }
                Err(text) => Err(text.to_owned()),
            };
            let Err(text) = loaded else { continue };
            let stuck =
                self.awaited().filter(|(_, id, of, name)| (*id, *of) == (parameters, purpose) && *name == program);
            for task in stuck.map(|(task, ..)| task).collect::<Vec<_>>() {
                self.drop_task(now, task, ReleaseReason::Unable(crowdfold_wire::Reason::lossy(&text)));
            }
        }
        self.settle(now);
    }

    /// Tasks that wait for parameters, with these and their program.
    fn awaited(&self) -> impl Iterator<Item = (TaskId, ParametersId, Purpose, &str)> {
        let folds = self.waiting.values().chain(self.folding.iter().map(|folding| &folding.task));
        let folds = folds
            .map(|task| &task.segment)
            .filter(|segment| self.engine.size(&segment.program, &segment.parameters).is_none())
            .map(|segment| (segment.task, segment.parameters, Purpose::Fold, &*segment.program));
        let merges = self.merges.values().map(|task| &task.merge);
        let merges = merges
            .filter(|merge| !self.engine.merges(&merge.program, &merge.parameters))
            .map(|merge| (merge.task, merge.parameters, Purpose::Merge, &*merge.program));
        folds.chain(merges)
    }

    /// Asks for parameters that some task waits for. Once: a host may take long.
    fn ask_for_parameters(&mut self) {
        let awaited: BTreeMap<(ParametersId, Purpose), String> = self
            .awaited()
            .map(|(_, parameters, purpose, program)| ((parameters, purpose), program.to_owned()))
            .collect();
        self.needed.retain(|key| awaited.contains_key(key));
        for ((parameters, purpose), program) in awaited {
            if self.needed.insert((parameters, purpose)) {
                self.effects.push_back(Effect::NeedParameters { parameters, program, purpose });
            }
        }
    }

    /// Bytes that are spoken for, and proofs.
    fn reserved(&self) -> (u64, usize) {
        let chain =
            self.folding.iter().filter(|folding| folding.chain.is_some()).map(|folding| folding.size.proof_bytes);
        let merges = self.merges.values().map(MergeTask::bytes);
        let (bytes, count) = chain.chain(merges).fold((0_u64, 0), |(bytes, count), more| (bytes + more, count + 1));
        (bytes.saturating_add(self.held.bytes()), count + self.held.len())
    }

    /// Whether so many bytes more may be held.
    fn has_room(&self, bytes: u64) -> bool {
        self.has_room_without(None, bytes)
    }

    /// The same when a proof goes that is held now.
    fn has_room_without(&self, gone: Option<&Kept>, bytes: u64) -> bool {
        let (reserved, count) = self.reserved();
        let reserved = reserved - gone.map_or(0, |gone| gone.bytes.len() as u64);
        let count = count - usize::from(gone.is_some());
        reserved.saturating_add(bytes) <= self.config.held_bytes && count < MAX_HELD_PROOFS
    }

    /// Whether the coordinator has all bytes of a proof that is held.
    fn is_stored(&self, kept: &Kept) -> bool {
        if kept.offered {
            self.session.as_ref().is_some_and(|session| session.is_stored(kept.upload))
        } else {
            kept.was_stored
        }
    }

    /// The moment for a check-in of the chain, if nothing but time is missing.
    fn check_in_at(&self) -> Option<Millis> {
        let folding = self.folding.as_ref()?;
        let chain = folding.chain.as_ref()?;
        let last = chain.check_in.and_then(|upload| self.held.find(upload));
        // A line that is slower than the checkpoint interval gets fewer of them, and each arrives.
        let has_arrived = last.is_none_or(|kept| self.is_stored(kept));
        let has_room = || self.has_room_without(last, folding.size.proof_bytes);
        let is_worth = folding.is_worth_check_in(self.speed.rows_per_second(), self.checkpoint_ms);
        (is_worth && has_arrived && has_room()).then(|| chain.since.after(self.checkpoint_ms))
    }

    /// Whether there is a segment that could be folded if there were room for its proof.
    fn is_full(&self) -> bool {
        let folding = self.folding.iter().filter(|folding| folding.chain.is_none()).map(|folding| folding.size);
        let waiting = self.waiting.values().map(|task| &task.segment);
        let waiting = waiting.filter_map(|segment| self.engine.size(&segment.program, &segment.parameters));
        let is_chained = self.folding.as_ref().is_some_and(|folding| folding.chain.is_some());
        !is_chained && folding.chain(waiting).any(|size| !self.has_room(size.proof_bytes))
            || self.held.len() >= MAX_HELD_PROOFS
            || self.held.bytes() >= self.config.held_bytes
    }

    /// What follows from any change.
    fn settle(&mut self, now: Millis) {
        self.ask_for_parameters();
        self.offer(now);
        self.announce(now);
        self.close_if_done(now);
        self.dial_if_due(now);
        let status = self.status();
        if self.shown.as_ref() != Some(&status) {
            self.shown = Some(status);
            // One is enough: the host asks for the status when it gets there.
            if !self.effects.contains(&Effect::Changed) {
                self.effects.push_back(Effect::Changed);
            }
        }
    }
}
