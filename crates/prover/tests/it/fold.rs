//! The real engine: a check-in and the last proof of a segment verify, and merge with a neighbour.

use crate::world::{JOB, ORIGIN, config};
use crowdfold_fold::{Fr, Parameters, RangeProof, Srs, verify};
use crowdfold_programs::{Builtin, Program, Squarings};
use crowdfold_prover::{Effect, Engine, Failure, FoldEngine, Merging, Opening, Prover, Purpose, Worked};
use crowdfold_wire::{
    Bytes, Challenge, CoordinatorSession, Event, FromProver, InputList, Inputs, Millis, ParametersId, Segment,
    SessionId, SigningKey, TaskId, Text, Welcome, Within,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::sync::Arc;

const NAME: &str = "squarings/1/3";

#[test]
fn proofs_of_a_real_segment_verify_and_merge() {
    let program = Builtin::from_name(NAME).expect("it is built in");
    let params = Parameters::generate(program, &Srs::insecure_development(1 << 16)).expect("parameters");
    let id = ParametersId::from(params.prover().digest());
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut now = Millis(0);
    let mut prover = Prover::new(now, config(), FoldEngine::<Builtin>::new(), SigningKey::from_bytes(&[1; 32]));
    let mut coordinator = CoordinatorSession::new(now, Challenge::new([2; 32]), vec![ORIGIN.into()]);
    prover.connected(now);

    let terms: Vec<Fr> = (1..=5).map(Fr::from).collect();
    let job = Squarings::job(Fr::from(7), &terms);
    let plan = params.prover().step().plan(&job).expect("a job");
    let start = params.prover().step().encode_state(&plan.start);
    let mut proofs = Vec::new();
    let mut offers = Vec::new();
    let mut steps = 0;
    while offers.len() < 2 {
        while let Some(frame) = prover.next_frame(now) {
            match coordinator.receive(now, &frame).expect("allowed") {
                Some(Event::Message(FromProver::Hello(_))) => {
                    let session = SessionId(1);
                    let (ping_interval_ms, idle_limit_ms, checkpoint_interval_ms) = (10_000, 40_000, 3_000);
                    let welcome = Welcome { session, ping_interval_ms, idle_limit_ms, checkpoint_interval_ms };
                    coordinator.send(now, welcome).expect("welcome");
                }
                Some(Event::Message(FromProver::Ready(_))) if steps == 0 => {
                    let segment = Segment {
                        task: TaskId(1),
                        job: JOB,
                        program: Text::new(NAME).expect("short"),
                        parameters: id,
                        first: Within::new(40).expect("within"),
                        steps: Within::new(5).expect("within"),
                        start: Bytes::new(start.clone()).expect("short"),
                        soft_ms: 1_000_000,
                        hard_ms: 1_000_000,
                    };
                    coordinator.send(now, segment).expect("a segment");
                    let encoded: Vec<&[u8]> = job[32..].chunks(32).collect();
                    let inputs = InputList::fill(&mut encoded.into_iter().peekable(), 10_000).expect("short");
                    let inputs = inputs.expect("five");
                    let index = Within::new(0).expect("0");
                    coordinator.send(now, Inputs { task: TaskId(1), index, inputs }).expect("inputs");
                }
                Some(Event::Message(FromProver::Offer(offer))) => offers.push((offer.first.get(), offer.steps.get())),
                _ => {}
            }
        }
        while let Some(frame) = coordinator.next_frame() {
            prover.frame(now, &frame);
        }
        while let Some(effect) = prover.next_effect() {
            match effect {
                Effect::NeedParameters { parameters, purpose, .. } => {
                    let bytes = params.prover().to_bytes();
                    prover.parameters(now, parameters, purpose, Ok(&bytes));
                }
                Effect::Keep { bytes, .. } => proofs.push(bytes),
                _ => {}
            }
        }
        steps += u64::from(prover.work(now, &mut rng) == Worked::Step);
        now = now.after(1_000);
    }
    assert_eq!((steps, offers), (5, vec![(40, 3), (40, 5)]));

    let decoded: Vec<RangeProof> =
        proofs.iter().map(|bytes| RangeProof::from_bytes(&params, bytes).expect("a proof")).collect();
    decoded.iter().for_each(|proof| verify(&params, proof, &mut rng).expect("it is valid"));
    let size = prover.engine_mut().size(NAME, &id).expect("it is loaded");
    assert!(proofs.iter().all(|bytes| (bytes.len() as u64) <= size.proof_bytes));

    let mut engine = FoldEngine::<Builtin>::new();
    // What would be folded again if the prover had vanished after its check-in.
    let middle = params.prover().step().encode_state(decoded[0].end());
    let context = crowdfold_fold::Context { job: JOB, prover: config().payout };
    let opening = Opening { program: NAME, parameters: &id, context, start: &middle };
    let mut rest = prover.engine_mut().open(&opening).expect("a state");
    for input in job[32 + 3 * 32..].chunks(32) {
        prover.engine_mut().push(&mut rest, input, &mut rng).expect("an input");
    }
    let rest = prover.engine_mut().finish(rest, &mut rng).expect("two steps");
    let merging = Merging { program: NAME, parameters: &id, job: &JOB, left: &proofs[0], right: Some(&rest) };
    engine.merge(&merging, &mut rng).expect_err("it has no parameters yet");
    engine.provide_for_merging(Arc::new(params.clone()));
    assert!(engine.merges(NAME, &id));
    let merged = engine.merge(&merging, &mut rng).expect("adjacent");
    let root = RangeProof::from_bytes(&params, &merged.bytes).expect("a proof");
    verify(&params, &root, &mut rng).expect("it is valid");
    let end = plan_end(&params, &job);
    assert_eq!((root.count(), merged.steps, root.start(), root.end()), (5, 5, &[Fr::from(7)][..], &end[..]));

    // What is wrong is said, and changes nothing.
    let bytes = params.prover().to_bytes();
    let other = ParametersId([0; 32]);
    assert!(matches!(engine.load(NAME, &other, Purpose::Fold, &bytes), Err(Failure::Fatal(_))));
    assert!(matches!(engine.load("squarings/1/4", &id, Purpose::Fold, &bytes), Err(Failure::Fatal(_))));
    assert!(engine.size(NAME, &id).is_none());
    engine.load(NAME, &id, Purpose::Fold, &bytes).expect("they are right");
    assert!(matches!(engine.open(&Opening { start: &start[1..], ..opening }), Err(Failure::Fatal(_))));
    let mut segment = engine.open(&Opening { start: &start, ..opening }).expect("a state");
    assert!(matches!(engine.push(&mut segment, &[1; 31], &mut rng), Err(Failure::Fatal(_))));
    assert_eq!(engine.push(&mut segment, &job[32..64], &mut rng).expect("an input").len(), 32);
}

fn plan_end(params: &Parameters<Builtin>, job: &[u8]) -> Vec<Fr> {
    let program = params.prover().step();
    let steps = program.plan(job).expect("a job").execute(program);
    steps.last().expect("steps").expect("accepted").state
}

#[test]
fn an_engine_keeps_as_many_parameters_as_it_may() {
    let srs = Srs::insecure_development(1 << 16);
    let made = [1, 2, 3].map(|squarings| {
        let name = format!("squarings/1/{squarings}");
        let program = Builtin::from_name(&name).expect("it is built in");
        let parameters = Parameters::generate(program, &srs).expect("parameters");
        (name, ParametersId::from(parameters.prover().digest()), parameters.prover().to_bytes())
    });
    let mut engine = FoldEngine::<Builtin>::new();
    let load = |engine: &mut FoldEngine<Builtin>, i: usize| {
        let (name, id, bytes) = &made[i];
        engine.load(name, id, Purpose::Fold, bytes).expect("good ones");
    };
    (0..3).for_each(|i| load(&mut engine, i));
    assert_eq!(engine.loaded(), [made[2].1, made[1].1, made[0].1]);
    engine.keep_at_most(2);
    assert_eq!(engine.loaded(), [made[2].1, made[1].1]);
    load(&mut engine, 0);
    assert_eq!(engine.loaded(), [made[0].1, made[2].1]);
    // There is always room for those in use.
    engine.keep_at_most(0);
    load(&mut engine, 1);
    assert_eq!(engine.loaded(), [made[1].1]);
}
