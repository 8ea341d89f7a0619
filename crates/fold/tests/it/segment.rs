//! Segments: reproducible, usable after errors, proved at any step.

use std::sync::Arc;

use crate::common::{PARAMS, context, rng, segment};
use crowdfold_fold::{Error, Fr, Parameters, RangeProof, Segment, Srs, StepFunction, merge, verify};
use crowdfold_programs::Squarings;
use nova_snark::frontend::num::AllocatedNum;
use nova_snark::frontend::{ConstraintSystem, SynthesisError};

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let proofs = || {
        let left = segment(1, Fr::from(5), 0, 2, 11);
        let right = segment(2, left.end()[0], 2, 2, 12);
        let merged = merge(&PARAMS, &left, Some(&right), &mut rng(13)).expect("merges");
        let alone = merge(&PARAMS, &merged, None, &mut rng(14)).expect("merges");
        [left, right, merged, alone].map(|proof| proof.to_bytes())
    };
    let first = proofs();
    assert!(first == proofs());
    assert!(first[0] != segment(1, Fr::from(5), 0, 2, 15).to_bytes());
}

#[test]
fn finishing_early_proves_the_same_as_a_shorter_segment() {
    let inputs: Vec<Fr> = (0..4).map(Fr::from).collect();
    let mut states = vec![Fr::from(5)];
    for stop in 1..=inputs.len() {
        let mut rng = rng(stop as u64);
        let mut segment = Segment::new(PARAMS.prover(), context(1), vec![states[0]]).expect("segment");
        for input in &inputs[..stop] {
            segment.push(input, &mut rng).expect("push");
        }
        assert_eq!(segment.count(), stop as u64);
        states.push(segment.state()[0]);
        let early = segment.finish(&mut rng).expect("finish");
        verify(&PARAMS, &early, &mut rng).expect("verifies");
        let separate = crate::common::segment(1, states[0], 0, stop as u64, 99);
        assert_eq!(
            (early.start(), early.end(), early.count(), early.receipts()),
            (separate.start(), separate.end(), separate.count(), separate.receipts())
        );
        assert_eq!(early.end(), &states[stop..]);
        // The rest starts where it ends.
        if stop < inputs.len() {
            let rest = crate::common::segment(2, early.end()[0], stop as u64, 1, 98);
            assert_eq!(merge(&PARAMS, &early, Some(&rest), &mut rng).expect("merges").count(), stop as u64 + 1);
        }
    }
}

#[test]
fn snapshots_are_proofs_and_change_nothing() {
    let (mut steps, mut others) = (rng(1), rng(2));
    let mut segment = Segment::new(PARAMS.prover(), context(1), vec![Fr::from(5)]).expect("segment");
    let mut snapshots = Vec::new();
    for input in 0..3 {
        segment.push(&Fr::from(input), &mut steps).expect("push");
        let snapshot = segment.snapshot(&mut others).expect("there is a step");
        assert_eq!((snapshot.start(), snapshot.end()), (&[Fr::from(5)][..], segment.state()));
        assert_eq!((snapshot.count(), segment.count()), (input + 1, input + 1));
        verify(&PARAMS, &snapshot, &mut others).expect("verifies");
        snapshots.push(snapshot);
    }
    // Another one of the same steps is another proof, and as valid.
    let again = segment.snapshot(&mut others).expect("there are steps");
    assert!(again != snapshots[2]);
    verify(&PARAMS, &again, &mut others).expect("verifies");
    // Each goes on from what was there before it: the neighbour of a snapshot merges with it.
    let rest = crate::common::segment(2, snapshots[1].end()[0], 2, 1, 3);
    let merged = merge(&PARAMS, &snapshots[1], Some(&rest), &mut others).expect("adjacent");
    assert_eq!((merged.count(), merged.end()), (3, segment.state()));
    verify(&PARAMS, &merged, &mut others).expect("verifies");
    // With the random numbers of a segment without snapshots it ends in the same bytes.
    let last = segment.finish(&mut steps).expect("finish");
    assert!(last.to_bytes() == crate::common::segment(1, Fr::from(5), 0, 3, 1).to_bytes());
    verify(&PARAMS, &last, &mut others).expect("verifies");
}

#[test]
fn an_empty_segment_and_a_state_of_another_arity_are_refused() {
    let mut rng = rng(1);
    let segment = Segment::new(PARAMS.prover(), context(1), vec![Fr::from(5)]).expect("segment");
    assert_eq!((segment.count(), segment.state()), (0, &[Fr::from(5)][..]));
    assert!(matches!(segment.snapshot(&mut rng), Err(Error::Empty)));
    assert!(matches!(segment.finish(&mut rng), Err(Error::Empty)));
    for arity in [0, 2, 65] {
        let error = Segment::new(PARAMS.prover(), context(1), vec![Fr::from(5); arity]).err();
        assert!(matches!(error, Some(Error::Length { expected: 1, found, .. }) if found == arity));
    }
}

/// Counts down natively, and refuses below zero; an input of one makes its circuit disagree.
#[derive(Clone, Debug)]
struct Countdown;

impl StepFunction for Countdown {
    type Input = u8;

    fn name(&self) -> String {
        "countdown/1".into()
    }

    fn arity(&self) -> usize {
        1
    }

    fn apply(&self, state: &[Fr], _: &u8) -> Result<Vec<Fr>, Error> {
        if state[0] == Fr::from(0) {
            return Err(Error::Step("nothing is left".into()));
        }
        Ok(vec![state[0] - Fr::from(1)])
    }

    fn shape_input(&self) -> u8 {
        0
    }

    fn synthesize<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        state: &[AllocatedNum<Fr>],
        input: &u8,
    ) -> Result<Vec<AllocatedNum<Fr>>, SynthesisError> {
        let off = Fr::from(u64::from(*input));
        let next = AllocatedNum::alloc(cs.namespace(|| "next"), || {
            state[0].get_value().map(|x| x - Fr::from(1) + off).ok_or(SynthesisError::AssignmentMissing)
        })?;
        cs.enforce(
            || "next",
            |lc| lc + next.get_variable() + CS::one(),
            |lc| lc + CS::one(),
            |lc| lc + state[0].get_variable(),
        );
        Ok(vec![next])
    }

    fn max_input_bytes(&self) -> usize {
        1
    }

    fn encode_input(&self, input: &u8) -> Vec<u8> {
        vec![*input]
    }

    fn decode_input(&self, bytes: &[u8]) -> Result<u8, Error> {
        bytes.first().copied().ok_or(Error::Length { what: "input", expected: 1, found: 0 })
    }
}

#[test]
fn an_error_leaves_the_segment_as_it_was() {
    let params = Parameters::generate(Countdown, &Srs::insecure_development(1 << 16)).expect("parameters");
    let mut rng = rng(1);
    let mut segment = Segment::new(params.prover(), context(1), vec![Fr::from(2)]).expect("segment");
    // A circuit that disagrees with the native function, before and after the first step.
    assert!(matches!(segment.push(&1, &mut rng), Err(Error::Step(_))));
    assert_eq!((segment.count(), segment.state()), (0, &[Fr::from(2)][..]));
    segment.push(&0, &mut rng).expect("one step");
    assert!(matches!(segment.push(&1, &mut rng), Err(Error::Step(_))));
    segment.push(&0, &mut rng).expect("another step");
    // An input that the function refuses.
    assert!(matches!(segment.push(&0, &mut rng), Err(Error::Step(_))));
    assert_eq!((segment.count(), segment.state()), (2, &[Fr::from(0)][..]));
    let proof = segment.finish(&mut rng).expect("finish");
    assert_eq!((proof.count(), proof.end()), (2, &[Fr::from(0)][..]));
    verify(&params, &proof, &mut rng).expect("verifies");

    // One program's proof is none of another's, in bytes or in memory.
    let foreign: &Parameters<Squarings> = &PARAMS;
    assert!(matches!(verify(foreign, &proof, &mut rng), Err(Error::Parameters { .. })));
    assert!(matches!(RangeProof::from_bytes(foreign, &proof.to_bytes()), Err(Error::Parameters { .. })));
    assert!(matches!(merge(foreign, &proof, None, &mut rng), Err(Error::Parameters { .. })));
}

#[test]
fn a_segment_that_shares_its_parameters_outlives_who_made_it() {
    let shared = Arc::new(PARAMS.prover().clone());
    let mut segment = Segment::shared(Arc::clone(&shared), context(1), vec![Fr::from(5)]).expect("one element");
    drop(shared);
    let mut rng = rng(1);
    for input in 0..2 {
        segment.push(&Fr::from(input), &mut rng).expect("every input is accepted");
    }
    let proof = segment.finish(&mut rng).expect("two steps");
    verify(&PARAMS, &proof, &mut rng).expect("it is valid");
}
