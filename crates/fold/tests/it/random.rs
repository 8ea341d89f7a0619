//! Random splits and merge orders lead to the same range.

use crate::common::{PARAMS, context, job, rng};
use crowdfold_fold::{Address, Fr, RangeProof, Receipt, Segment, StepFunction, merge, verify_batch};
use proptest::prelude::*;

/// Steps of the job.
const STEPS: usize = 6;

/// States before and after each step.
fn states() -> Vec<Fr> {
    let mut all = vec![Fr::from(5)];
    for input in 0..STEPS {
        let next = PARAMS.prover().step().apply(&all[input..], &Fr::from(input as u64)).expect("a state");
        all.push(next[0]);
    }
    all
}

/// Whether the job is cut after each step but the last, and which neighbours merge next.
fn arb_plan() -> impl Strategy<Value = (Vec<bool>, Vec<prop::sample::Index>)> {
    (prop::collection::vec(any::<bool>(), STEPS - 1), prop::collection::vec(any::<prop::sample::Index>(), STEPS))
}

fn segments(cuts: &[bool], seed: u64) -> Vec<RangeProof> {
    let (states, mut rng) = (states(), rng(seed));
    let ends: Vec<usize> = (1..=STEPS).filter(|i| *i == STEPS || cuts[i - 1]).collect();
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts
        .zip(&ends)
        .enumerate()
        .map(|(prover, (start, end))| {
            let mut segment =
                Segment::new(PARAMS.prover(), context(prover as u8), vec![states[start]]).expect("segment");
            for input in start..*end {
                segment.push(&Fr::from(input as u64), &mut rng).expect("push");
                assert_eq!(segment.state(), &states[input + 1..input + 2]);
            }
            segment.finish(&mut rng).expect("finish")
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4,
        max_shrink_iters: 0,
        failure_persistence: None,
        rng_seed: prop::test_runner::RngSeed::Fixed(7),
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_split_and_order_gives_the_same_range((cuts, order) in arb_plan(), seed in any::<u64>()) {
        let (states, mut rng) = (states(), rng(seed));
        let mut ranges = segments(&cuts, seed);
        let shares: Vec<Receipt> = {
            let mut first = 0;
            ranges.iter().enumerate().map(|(prover, range)| {
                let receipt = Receipt { prover: Address([prover as u8; 20]), first, count: range.count() };
                first += range.count();
                receipt
            }).collect()
        };
        let mut all = ranges.clone();
        for pick in &order {
            let merged = if ranges.len() == 1 {
                if ranges[0].is_merged() {
                    break;
                }
                merge(&PARAMS, &ranges[0], None, &mut rng).expect("merges")
            } else {
                let left = pick.index(ranges.len() - 1);
                let right = ranges.remove(left + 1);
                ranges[left] = merge(&PARAMS, &ranges[left], Some(&right), &mut rng).expect("merges");
                all.push(ranges[left].clone());
                continue;
            };
            all.push(merged.clone());
            ranges[0] = merged;
        }
        prop_assert_eq!(ranges.len(), 1);
        let whole = &ranges[0];
        prop_assert!(whole.is_merged());
        prop_assert_eq!((whole.start(), whole.end()), (&states[..1], &states[STEPS..]));
        prop_assert_eq!((whole.count(), whole.range(40)), (STEPS as u64, 40..40 + STEPS as u64));
        prop_assert_eq!(whole.receipts(), shares);
        prop_assert_eq!(whole.job(), &job());
        prop_assert!(verify_batch(&PARAMS, &all, &mut rng).is_ok());
    }
}
