//! Planted bugs: each breaks one duty, so that a test can see that a checker notices. None is ever on by itself.

use std::sync::atomic::{AtomicU64, Ordering};

use crowdfold_sched::{CancelReason, Config, Effect, Event, JobEnd, JobId, Millis, Range, StepIndex, TaskId, Verdict};

use super::named::named;

named! {
    /// A duty that the model of the coordinator, its disk or the scheduler neglects.
    pub enum Bug {
        /// A client hears that its job is accepted up to ten seconds before it is written.
        AcceptEarly = "accept-early",
        /// Bytes of uploads are acknowledged while they are only in memory: a crash loses half of each.
        StoreEarly = "store-early",
        /// A prover hears of its compensation up to ten seconds before it is written.
        TellEarly = "tell-early",
        /// A merge is two writes: the parts are gone before the whole is there.
        TornMerge = "torn-merge",
        /// After a crash nobody tells the scheduler of proofs that are there and have no verdict.
        DropCheckIn = "drop-check-in",
        /// A run that starts does the last credit again, as who replays a journal carelessly would.
        CreditTwice = "credit-twice",
        /// What counts is credited to another prover.
        CreditOther = "credit-other",
        /// The ledger gets a step more than was proved.
        CreditMore = "credit-more",
        /// Nobody looks whether a proof was made at all.
        SkipSeal = "skip-seal",
        /// Nobody looks at the state that a proof ends with, so one over other inputs passes.
        SkipEnd = "skip-end",
        /// Nobody looks who is bound into a proof.
        SkipProver = "skip-prover",
        /// Every eighth good proof is refused.
        RefuseGood = "refuse-good",
        /// A prover whose proof counts is told that it was refused.
        TellOther = "tell-other",
        /// A prover is told of a step more than is credited.
        TellMore = "tell-more",
        /// A verdict is written down under another proof's name.
        JudgeNothing = "judge-nothing",
        /// A proof of steps that are covered counts too.
        CountTwice = "count-twice",
        /// A valid proof of open steps is turned away.
        TurnAway = "turn-away",
        /// After a crash nobody knows any more which proofs had their verdict.
        JudgeAgain = "judge-again",
        /// A check-in is given up when a longer one is offered, before that one has come.
        SupersedeEarly = "supersede-early",
        /// The second verdict on a spare is lost.
        LoseSpare = "lose-spare",
        /// A merge that a prover made is taken unseen.
        SkipMerge = "skip-merge",
        /// A native merge names its provers in the wrong order.
        SwapReceipts = "swap-receipts",
        /// Native merges fail, all of them.
        FailMerges = "fail-merges",
        /// The inputs of a segment begin a step too late.
        SendOtherInputs = "send-other-inputs",
        /// A prover gets inputs of the segment behind its own.
        SendMore = "send-more",
        /// A segment starts from the state after its first step.
        SendOtherState = "send-other-state",
        /// A prover is told of a segment that is not the one it was given.
        SendOtherSegment = "send-other-segment",
        /// A prover is to merge proofs of whatever job.
        SendOtherMerge = "send-other-merge",
        /// Bytes are asked for whatever they are good for.
        AskForAll = "ask-for-all",
        /// A prover gets again what it just failed on.
        GiveBack = "give-back",
        /// A prover goes on getting work after a bad proof.
        ServeSuspended = "serve-suspended",
        /// Provers get work however much waits for verification.
        NoBackPressure = "no-back-pressure",
        /// Who works on a job that ended isn't told.
        KeepTasks = "keep-tasks",
        /// A segment reaches over the end of its job.
        ServeNothing = "serve-nothing",
        /// A prover gets a task more than it said it would hold.
        ServeTooMany = "serve-too-many",
        /// A job that ended is handed out again.
        ServeEnded = "serve-ended",
        /// The client's wish to cancel a job is dropped.
        IgnoreCancel = "ignore-cancel",
        /// Another job than the client wants is cancelled.
        CancelOther = "cancel-other",
        /// Deadlines of jobs are forgotten.
        KeepExpired = "keep-expired",
        /// A job that is submitted again is added again.
        AddAgain = "add-again",
        /// The end of a job is announced twice.
        EndTwice = "end-twice",
        /// The last step of a job is never handed out.
        StarveEnd = "starve-end",
        /// A merge that a prover lost is not made again.
        ForgetMerge = "forget-merge",
        /// A prover isn't told what became of its proof.
        ForgetVerdict = "forget-verdict",
        /// The scheduler isn't told that a proof of a job that ended was verified.
        KeepPending = "keep-pending",
        /// A prover whose proof was bad is told never to come back.
        BanForEver = "ban-for-ever",
        /// Frames of provers are garbled.
        Garble = "garble",
        /// A proof is handed in twice.
        HandInTwice = "hand-in-twice",
        /// Something depends on what ran before in the same process.
        Undetermined = "undetermined",
    }
}

/// Something that no seed decides.
pub(super) fn undetermined() -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    CALLS.fetch_add(1, Ordering::Relaxed) % 1_000
}

/// What the scheduler is set up with in place of what the operator chose.
pub(super) fn config(bug: Option<Bug>, config: Config) -> Config {
    match bug {
        Some(Bug::GiveBack) => Config { avoid_ms: 0, ..config },
        Some(Bug::ServeSuspended) => Config { suspension_ms: 0, ..config },
        Some(Bug::NoBackPressure) => Config { unverified: usize::MAX, ..config },
        _ => config,
    }
}

/// What the scheduler hears in place of what happened.
pub(super) fn hears(bug: Option<Bug>, event: Event) -> Event {
    match (bug, event) {
        (Some(Bug::IgnoreCancel), Event::JobCancelled { .. }) => Event::Tick,
        (Some(Bug::KeepExpired), Event::JobAdded { job, mut spec }) => {
            spec.deadline = Millis(u64::MAX / 4);
            Event::JobAdded { job, spec }
        }
        _ => event,
    }
}

/// What the others hear in place of what the scheduler says. `steps` says how many the job of a segment has.
pub(super) fn says(bug: Option<Bug>, effects: Vec<Effect>, steps: impl Fn(&Effect) -> Option<u64>) -> Vec<Effect> {
    let Some(bug) = bug else { return effects };
    let mut said = Vec::with_capacity(effects.len());
    for effect in effects {
        match (bug, effect) {
            (Bug::ServeSuspended, Effect::Suspend { .. }) => {}
            (Bug::ServeNothing, Effect::Assign { task, prover, job, range, soft, hard }) => {
                let range = Range::new(range.start(), StepIndex(u64::MAX)).unwrap_or(range);
                said.push(Effect::Assign { task, prover, job, range, soft, hard });
            }
            (
                Bug::JudgeNothing,
                Effect::Verdict { mut proof, prover, job, range, verdict: verdict @ Verdict::Counted },
            ) => {
                proof.0[0] ^= 1;
                said.push(Effect::Verdict { proof, prover, job, range, verdict });
            }
            (Bug::KeepTasks, Effect::Cancel { reason: CancelReason::JobEnded, .. }) => {}
            (Bug::StarveEnd, Effect::Assign { range, .. }) if Some(range.end().0) == steps(&effect) => {}
            (Bug::CountTwice, Effect::Verdict { proof, prover, job, range, verdict: Verdict::Compensated { .. } }) => {
                said.push(Effect::Verdict { proof, prover, job, range, verdict: Verdict::Counted });
            }
            (Bug::TurnAway, Effect::Verdict { proof, prover, job, range, verdict: Verdict::Counted }) => {
                said.push(Effect::Verdict { proof, prover, job, range, verdict: Verdict::Late });
            }
            (Bug::EndTwice, Effect::JobEnded { end: JobEnd::Done, .. }) => said.extend([effect, effect]),
            (Bug::ServeEnded, Effect::JobEnded { job, .. }) => said.extend([effect, serve(job)]),
            _ => said.push(effect),
        }
    }
    said
}

/// A merge that nobody needs.
fn serve(job: JobId) -> Effect {
    let range = |lo, hi| Range::new(StepIndex(lo), StepIndex(hi)).expect("steps");
    Effect::MergeNatively { task: TaskId(u64::MAX), job, left: range(0, 1), right: range(1, 2) }
}
