//! The checkers catch what they are there for: each planted bug, by the check that is meant for it.

use std::sync::atomic::{AtomicUsize, Ordering};

use crowdfold_sim::small::{self, Bug, Options};

/// What the check that is meant for a bug says, and within how many seeds it does.
fn expected(bug: Bug) -> (&'static str, u64) {
    match bug {
        Bug::AcceptEarly => ("was accepted and is lost", 100),
        Bug::StoreEarly => ("bytes were acknowledged", 100),
        Bug::TellEarly => ("was promised", 100),
        Bug::TornMerge => ("was counted and is lost", 100),
        Bug::DropCheckIn => ("was there in full before the crash and is forgotten", 100),
        Bug::CreditTwice => ("was credited twice", 40),
        Bug::CreditOther => ("and credited to", 40),
        Bug::CreditMore => ("was promised", 40),
        Bug::SkipSeal | Bug::SkipEnd | Bug::SkipProver => ("which is not valid", 100),
        Bug::RefuseGood => ("is valid, and refused", 40),
        Bug::TellOther => ("is honest, and its proof", 40),
        Bug::TellMore => ("Accepted", 40),
        Bug::JudgeNothing => ("which nobody made", 40),
        Bug::CountTwice => ("counts, and so does", 100),
        Bug::TurnAway => ("is late, and its steps", 40),
        Bug::JudgeAgain => ("two verdicts on", 100),
        Bug::SupersedeEarly => ("is superseded by nothing that is there", 100),
        Bug::LoseSpare => ("it is still a spare", 100),
        Bug::SkipMerge => ("is done without a valid root proof", 100),
        Bug::SwapReceipts => ("receipts", 40),
        Bug::FailMerges => ("failed", 40),
        Bug::SendOtherInputs => ("are not those of the segment", 40),
        Bug::SendMore => ("inputs are refused", 40),
        Bug::SendOtherState => ("got the state of other steps", 40),
        Bug::SendOtherSegment => ("its lease is", 40),
        Bug::SendOtherMerge => ("its merge is of", 40),
        Bug::AskForAll => ("are asked for", 100),
        Bug::GiveBack => ("and failed on", 100),
        Bug::ServeSuspended => ("is suspended till", 100),
        Bug::NoBackPressure => ("too much waits for verification", 100),
        Bug::KeepTasks => ("a task of it is open", 100),
        Bug::ServeNothing => ("has no steps", 40),
        Bug::ServeTooMany => ("a segment is refused", 40),
        Bug::ServeEnded => ("is over, and MergeNatively", 40),
        Bug::IgnoreCancel => ("should have been cancelled", 100),
        Bug::CancelOther => ("was not cancelled", 100),
        Bug::KeepExpired => ("should have expired", 100),
        Bug::AddAgain | Bug::EndTwice => ("ended twice", 100),
        Bug::StarveEnd | Bug::ForgetMerge => ("did not end", 100),
        Bug::ForgetVerdict => ("waits for verdicts", 40),
        Bug::KeepPending => ("and the scheduler still has", 40),
        Bug::BanForEver => ("is refused for good", 100),
        Bug::Garble => ("a prover broke the rules", 40),
        Bug::HandInTwice => ("was ignored", 40),
        Bug::Undetermined => ("two runs of it differ", 40),
    }
}

/// Whether a seed shows a bug to the check that is meant for it; what the others say meanwhile. A bug may show to another
/// check first.
fn caught(bug: Bug, expected: &str, seeds: u64) -> Result<(), Vec<String>> {
    let options = Options { bug: Some(bug), twice: bug == Bug::Undetermined, ..Options::default() };
    let mut others = Vec::new();
    for seed in 0..seeds {
        match small::run(seed, &options).broken {
            Some(what) if what.contains(expected) => return Ok(()),
            Some(what) => others.push(format!("seed {seed}: {what}")),
            None => {}
        }
    }
    Err(others)
}

/// Calls `check` with every number below `count`, on all cores.
fn each(count: usize, check: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < count) {
            check(at);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(work)));
}

#[test]
fn each_planted_bug_is_caught_by_its_check() {
    each(Bug::ALL.len(), |at| {
        let bug = Bug::ALL[at];
        let (expected, seeds) = expected(bug);
        if let Err(others) = caught(bug, expected, seeds) {
            panic!("{bug}: expected `{expected}` within {seeds} seeds, got {others:#?}");
        }
    });
}

#[test]
fn without_a_bug_the_same_seeds_pass() {
    let most = Bug::ALL.iter().map(|bug| expected(*bug).1).max().unwrap_or(0);
    each(usize::try_from(most).expect("few"), |seed| {
        assert_eq!(small::run(seed as u64, &Options::default()).broken, None, "seed {seed}");
    });
}
