//! The simulator's short runs.

use std::collections::BTreeSet;

use crowdfold_sim::fleet;
use crowdfold_sim::small::{self, Fault};

#[test]
fn a_few_seeds_keep_the_invariants() {
    let (mut crashes, mut prefixes, mut done) = (0, 0, 0);
    for seed in 0..40 {
        let outcomes = small::run(seed, &BTreeSet::new(), false);
        let repeat = format!("cargo run -p crowdfold-sim -- --seed {seed}");
        assert_eq!(outcomes.broken, None, "seed {seed}, repeat it with: {repeat}");
        crashes += outcomes.crashes;
        prefixes += outcomes.prefixes;
        done += outcomes.ends[0];
    }
    assert!(crashes > 10 && prefixes > 100 && done > 40, "{crashes} crashes, {prefixes} prefixes, {done} jobs done");
}

#[test]
fn a_seed_is_always_the_same() {
    for seed in 100..106 {
        let [first, second] = [0, 1].map(|_| small::run(seed, &BTreeSet::new(), false).hash);
        assert_eq!(first, second, "seed {seed}");
    }
    assert_ne!(small::run(1, &BTreeSet::new(), false).hash, small::run(2, &BTreeSet::new(), false).hash);
}

#[test]
fn without_faults_little_is_lost() {
    let without: BTreeSet<Fault> = Fault::ALL.iter().copied().collect();
    let mut sums = (0, 0);
    for seed in 0..20 {
        let outcomes = small::run(seed, &without, false);
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
    assert!(report.utilisation > 0.7 && report.wasted < 0.15 && report.ignored == 0, "{report:#?}");
    assert!(report.left > 300 && report.queue < 1_000, "{report:#?}");
}
