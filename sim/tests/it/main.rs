//! The simulator's short runs.

mod planted;

use crowdfold_sim::fleet;
use crowdfold_sim::small::{self, Fault, Options};

#[test]
fn a_few_seeds_keep_the_invariants() {
    let (mut crashes, mut prefixes, mut done) = (0, 0, 0);
    let (mut returned, mut restored, mut resubmitted, mut replaced) = (0, 0, 0, 0);
    for seed in 0..40 {
        let outcomes = small::run(seed, &Options::default());
        let repeat = format!("cargo run -p crowdfold-sim -- --seed {seed}");
        assert_eq!(outcomes.broken, None, "seed {seed}, repeat it with: {repeat}");
        crashes += outcomes.crashes;
        prefixes += outcomes.prefixes;
        done += outcomes.ends[0];
        returned += outcomes.returned;
        restored += outcomes.restored;
        resubmitted += outcomes.resubmitted;
        replaced += outcomes.replaced;
    }
    assert!(crashes > 10 && prefixes > 100 && done > 40, "{crashes} crashes, {prefixes} prefixes, {done} jobs done");
    // What only happens sometimes happens often enough to be tested.
    assert!(returned > 5 && restored > 5, "{returned} proofs of earlier pages, {restored} of earlier runs");
    assert!(resubmitted > 10 && replaced > 5, "{resubmitted} jobs came again, {replaced} connections were replaced");
}

#[test]
fn a_seed_is_always_the_same() {
    for seed in 100..106 {
        let [first, second] = [0, 1].map(|_| small::run(seed, &Options::default()).hash);
        assert_eq!(first, second, "seed {seed}");
    }
    assert_ne!(small::run(1, &Options::default()).hash, small::run(2, &Options::default()).hash);
}

#[test]
fn without_faults_little_is_lost() {
    let options = Options { without: Fault::ALL.iter().copied().collect(), ..Options::default() };
    let mut sums = (0, 0);
    for seed in 0..20 {
        let outcomes = small::run(seed, &options);
        assert_eq!((outcomes.broken, outcomes.crashes), (None, 0), "seed {seed}");
        sums = (sums.0 + outcomes.steps.0, sums.1 + outcomes.steps.1);
    }
    // Jobs this short are mostly tail, where work is done twice on purpose.
    assert!(sums.0 * 100 >= sums.1 * 85, "{} steps folded, {} count", sums.1, sums.0);
}

/// Bounds for regressions; what the fleet reaches is what `./just bench sched` says.
#[test]
fn a_fleet_with_churn_is_used() {
    let report = fleet::run(fleet::Options::new(1_000, 300));
    assert!(report.utilisation > 0.9 && report.wasted < 0.06, "{report:#?}");
    // What is said of a task in the moment in which its deadline passes.
    assert!(report.ignored < 10, "{report:#?}");
    assert!(report.left > 300 && report.queue < 1_000, "{report:#?}");
}
