//! Forged proofs, and good ones in the wrong place: refused with a reason, counted, and paid to nobody.

use crate::hostile_peer::{Peer, Work, entry, fold, key, payout, rng, trying};
use crate::http::{ONE, World};
use crowdfold_fold::{Context, Fr, Parameters, RangeProof, Segment as Chain, Srs, StepFunction as _, merge};
use crowdfold_programs::{Builtin, Program as _};
use crowdfold_wire::{FromCoordinator, GoodbyeCode as Code, Outcome, Within};
use rand_core::RngCore as _;

const HONEST: u64 = 1;

/// A forgery for some work by the prover of that number, and what the verdict says of it.
type Forgery = (&'static str, &'static str, fn(&Work, u64) -> Vec<u8>);

fn flipped(work: &Work, number: u64, place: fn(usize) -> usize) -> Vec<u8> {
    let mut proof = work.fold(number);
    let place = place(proof.len());
    proof[place] ^= 4;
    proof
}

/// A proof of as many steps of another program.
fn of_another_program(work: &Work, number: u64) -> Vec<u8> {
    let program = Builtin::from_name("squarings/1/2").expect("a program");
    let parameters = Parameters::generate(program, &Srs::insecure_development(1 << 16)).expect("parameters");
    let context = Context { job: work.segment.job, prover: payout(number) };
    let mut chain = Chain::new(parameters.prover(), context, work.start.clone()).expect("a state");
    let step = parameters.prover().step();
    for input in &work.inputs {
        let input = step.decode_input(&step.encode_state(&[*input])).expect("an input");
        chain.push(&input, &mut rng(1)).expect("it is allowed");
    }
    chain.finish(&mut rng(1)).expect("it has steps").to_bytes()
}

const FORGERIES: [Forgery; 13] = [
    ("random bytes", "", |work, number| {
        let mut bytes = work.fold(number);
        rng(number).fill_bytes(&mut bytes);
        bytes
    }),
    ("cut off", "", |work, number| {
        let mut proof = work.fold(number);
        proof.pop();
        proof
    }),
    ("half of it", "", |work, number| {
        let proof = work.fold(number);
        proof[..proof.len() / 2].to_vec()
    }),
    ("a bit at the start", "", |work, number| flipped(work, number, |_| 60)),
    ("a bit in the first half", "", |work, number| flipped(work, number, |length| length / 4)),
    ("a bit in the middle", "", |work, number| flipped(work, number, |length| length / 2)),
    ("a bit near the end", "", |work, number| flipped(work, number, |length| length - 40)),
    ("other steps of the job", "does not lead", |work, number| {
        let next = work.start.iter().map(|x| (*x + work.inputs[0]) * (*x + work.inputs[0])).collect();
        let inputs = [&work.inputs[1..], &work.inputs[..1]].concat();
        fold(work.segment.job, payout(number), next, &inputs).to_bytes()
    }),
    ("fewer steps", "covers 1 steps, 2 were offered", |work, number| {
        fold(work.segment.job, payout(number), work.start.clone(), &work.inputs[..1]).to_bytes()
    }),
    ("another job", "another job", |work, number| {
        let mut job = work.segment.job;
        job.job_id[0] ^= 1;
        fold(job, payout(number), work.start.clone(), &work.inputs).to_bytes()
    }),
    ("another start", "does not lead", |work, number| {
        let start = work.start.iter().map(|x| *x + Fr::from(1)).collect();
        fold(work.segment.job, payout(number), start, &work.inputs).to_bytes()
    }),
    ("another payee", "pays somebody else", |work, number| work.fold(number + 1_000_000)),
    ("another program", "", of_another_program),
];

#[test]
fn forged_proofs_are_refused_and_their_provers_suspended() {
    let mut world = World::new("hostile-forged");
    let job = world.submit(ONE, 16);
    let mut honest = Peer::join(&world, HONEST, 2);
    let work = honest.work();
    for (number, (what, words, forge)) in (100..).zip(FORGERIES) {
        trying(what);
        let mut peer = Peer::join(&world, number, 2);
        let own = peer.work();
        assert_eq!(own.steps(), 2, "forgeries are made of two steps");
        let proof = forge(&own, number);
        let outcome = world.counts("Proof", 1, || peer.deliver(own.segment.task, own.first(), own.steps(), &proof));
        let Outcome::Refused(why) = outcome else { panic!("{outcome:?}") };
        assert!(!why.is_empty() && why.contains(words), "{}", &*why);
        peer.ends(Code::Suspended, "bad proofs");
        assert_eq!(world.credit(number), 0);
        honest.is_alive();
    }
    // A suspension is over when it is over: not with a new connection, nor with a new run.
    let stays_out = |world: &World| {
        world.counts("Suspended", 1, || {
            let mut peer = Peer::dial(world, 100);
            let hello = peer.signed(peer.unsigned(2));
            peer.send(hello);
            peer.ends(Code::Suspended, "connect again in");
        });
    };
    stays_out(&world);
    honest.proves(&work);
    world.restart();
    stays_out(&world);
    let key = hex::encode(key(100).verifying_key().to_bytes());
    assert_eq!(world.get(&format!("/v1/provers/{key}"), None).json()["strikes"], 1);
    let mut honest = Peer::join(&world, HONEST, 2);
    honest.finishes(&world, job);
    world.is_proved(job, &[HONEST]);
}

#[test]
fn a_proof_is_paid_once_and_to_its_prover() {
    let mut world = World::new("hostile-replayed");
    let job = world.submit(ONE, 8);
    let mut honest = Peer::join(&world, HONEST, 2);
    let work = honest.work();
    let proof = honest.proves(&work);
    let credit = world.credit(HONEST);
    assert!(credit > 0);
    let old = Outcome::Accepted(Within::new(work.steps()).expect("some"));
    // Its verdict is said again, on this connection, another one, and after a restart.
    assert_eq!(honest.deliver(work.segment.task, work.first(), work.steps(), &proof), old);
    let mut honest = Peer::join(&world, HONEST, 2);
    assert_eq!(honest.deliver(work.segment.task, work.first(), work.steps(), &proof), old);
    assert_eq!(world.credit(HONEST), credit);
    // Another prover gets nothing for it: neither for the same steps nor for those that it has, nor for no task at all.
    let mut thief = Peer::join(&world, 2, 2);
    let own = thief.work();
    for (task, first, steps) in [
        (own.segment.task, own.first(), own.steps()),
        (work.segment.task, work.first(), work.steps()),
        (work.segment.task, own.first(), own.steps()),
    ] {
        let outcome = world.counts("Proof", 1, || thief.deliver(task, first, steps, &proof));
        let Outcome::Refused(why) = outcome else { panic!("{outcome:?}") };
        assert!(why.contains("another prover"), "{}", &*why);
    }
    thief.is_alive();
    assert_eq!((world.credit(2), world.credit(HONEST)), (0, credit));
    drop(thief);
    world.restart();
    let mut honest = Peer::join(&world, HONEST, 2);
    assert_eq!(honest.deliver(work.segment.task, work.first(), work.steps(), &proof), old);
    assert_eq!(world.credit(HONEST), credit);
    honest.finishes(&world, job);
    world.is_proved(job, &[HONEST]);
}

#[test]
fn bytes_that_two_provers_upload_at_once_have_one_prover() {
    let world = World::new("hostile-race");
    let job = world.submit(ONE, 8);
    let mut honest = Peer::join(&world, HONEST, 2);
    let work = honest.work();
    let mut thief = Peer::join(&world, 2, 2);
    let own = thief.work();
    let proof = work.fold(HONEST);
    // All but the last byte, over both connections.
    let upload = honest.offer(work.segment.task, work.first(), work.steps(), &proof);
    thief.offer(own.segment.task, own.first(), own.steps(), &proof);
    let mut parts: Vec<(u64, &[u8])> = Vec::new();
    let mut at = 0;
    for part in proof[..proof.len() - 1].chunks(200_000) {
        parts.push((at, part));
        at += part.len() as u64;
    }
    for peer in [&mut honest, &mut thief] {
        peer.wanted(upload);
        for (at, part) in &parts {
            peer.chunk(upload, *at, part);
        }
    }
    honest.chunk(upload, at, &proof[proof.len() - 1..]);
    assert_eq!(honest.verdict(upload), Outcome::Accepted(Within::new(work.steps()).expect("some")));
    let outcome = world.counts("Proof", 1, || {
        thief.chunk(upload, at, &proof[proof.len() - 1..]);
        thief.verdict(upload)
    });
    let Outcome::Refused(why) = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("another prover"), "{}", &*why);
    drop(thief);
    honest.finishes(&world, job);
    world.is_proved(job, &[HONEST]);
}

#[test]
fn merges_are_not_taken_for_segments_nor_segments_for_merges() {
    let world = World::new("hostile-merges");
    let job = world.submit(ONE, 8);
    // A merge where a segment is wanted: it is larger than one, so its bytes are not even wanted.
    let mut peer = Peer::join(&world, 2, 2);
    let own = peer.work();
    let half = |start: Vec<Fr>, input: Fr| fold(own.segment.job, payout(2), start, &[input]);
    let left = half(own.start.clone(), own.inputs[0]);
    let right = half(left.end().to_vec(), own.inputs[1]);
    let merged = merge(&entry().parameters, &left, Some(&right), &mut rng(3)).expect("they are adjacent").to_bytes();
    let outcome = world.counts("Oversized", 1, || peer.deliver(own.segment.task, own.first(), own.steps(), &merged));
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    drop(peer);

    // A merge task that is answered with something else.
    let mut merger = Peer::join_as(&world, 3, |peer| {
        let mut hello = peer.unsigned(2);
        hello.capabilities.merges = true;
        hello
    });
    merger.ready(1, 1);
    let mut honest = Peer::join(&world, HONEST, 2);
    let first = honest.work();
    let proof = honest.proves(&first);
    let second = honest.work();
    honest.proves(&second);
    let task = merger.until(|message| match message {
        FromCoordinator::Merge(merge) => Some(merge.task),
        _ => None,
    });
    let other = RangeProof::from_bytes(&entry().parameters, &proof).expect("a proof");
    let other = merge(&entry().parameters, &other, None, &mut rng(4)).expect("one can be wrapped").to_bytes();
    let outcome = world.counts("Merge", 1, || merger.deliver(task, 0, 4, &other));
    let Outcome::Refused(why) = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("covers 2 steps"), "{}", &*why);
    merger.ends(Code::Suspended, "bad proofs");
    honest.finishes(&world, job);
    world.is_proved(job, &[HONEST]);
}
