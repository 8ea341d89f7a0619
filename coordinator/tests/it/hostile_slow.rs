//! Provers that take their time, take room, and send what nobody can make sense of.

use crate::hostile_peer::{Peer, entry, offer, rng};
use crate::http::{ONE, World};
use crowdfold_coordinator::store::limits::SpoolLimits;
use crowdfold_wire::limits::{MAX_UPLOADS, SMALL_BULK_BYTES};
use crowdfold_wire::{
    Bytes, Chunk, Credit, FromProver, Goodbye, GoodbyeCode as Code, Ping, Pong, Progress, Ready, Release,
    ReleaseReason, Stored, TaskId, Text, UploadId, Want, Within,
};
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore as _;

const HONEST: u64 = 1;

/// Frames that are changed and sent.
const MUTATIONS: usize = 4_000;
/// Frames on one connection.
const ON_ONE: usize = 20;

/// Uploads that begin and don't go on take what a prover may have, and no more.
#[test]
fn room_and_patience_end() {
    let world = World::new("hostile-slow");
    let job = world.submit(ONE, 4);
    let limit = SpoolLimits::default().uploads_per_prover;
    world.counts("Slow", 1, || world.counts("Connection", 1, || fills_the_spool(&world, job, limit)));
}

fn fills_the_spool(world: &World, job: u64, limit: usize) {
    // One that never says who it is, while all else goes on.
    let mut silent = Peer::dial(world, 50);
    let part = vec![9; SMALL_BULK_BYTES];
    let mut begun = 0;
    let mut peers = Vec::new();
    let begin = |peer: &mut Peer, number: usize| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&(number as u64).to_le_bytes());
        let upload = UploadId(id);
        peer.send(offer(upload, TaskId(1), 0, 1, entry().proof_bytes));
        peer.wanted(upload);
        peer.chunk(upload, 0, &part);
    };
    while begun < limit {
        let mut peer = Peer::join(world, 60, 1);
        for _ in 0..MAX_UPLOADS {
            begin(&mut peer, begun);
            begun += 1;
        }
        peer.is_alive();
        peers.push(peer);
    }
    let mut greedy = Peer::join(world, 60, 1);
    begin(&mut greedy, begun);
    // Another prover has room meanwhile.
    let mut honest = Peer::join(world, HONEST, 1);
    honest.finishes(world, job);
    world.is_proved(job, &[HONEST]);
    let stored = world.server.as_ref().expect("it runs").storage.spool.usage();
    assert_eq!(stored, (limit, (limit * part.len()) as u64));
    silent.ends(Code::HandshakeTimeout, "the handshake was not done");
    greedy.ends(Code::Full, "no room");
}

/// What a prover sends in a session where all is well.
fn recorded(task: TaskId) -> Vec<FromProver> {
    let few = |number: u64| Within::new(number).expect("few");
    let upload = UploadId::of(b"a proof");
    vec![
        Ready { tasks: few(2), merges: few(1) }.into(),
        Credit { task, bytes: 1 << 20 }.into(),
        Progress { task, steps: Within::new(1).expect("one") }.into(),
        offer(upload, task, 0, 1, 7).into(),
        Chunk { upload, offset: Within::new(0).expect("none"), bytes: Bytes::new(*b"a proof").expect("short") }.into(),
        Want { upload, offset: Within::new(0).expect("none") }.into(),
        Stored { upload, bytes: Within::new(7).expect("few") }.into(),
        Ping { number: 3 }.into(),
        Pong { number: 1 }.into(),
        Release { task, kept: Within::new(1).expect("one"), reason: ReleaseReason::Failed(Text::lossy("why")) }.into(),
        Goodbye { code: Code::Closing, text: Text::lossy("bye") }.into(),
    ]
}

/// Changes a frame in one of the ways in which frames go wrong.
fn mutated(mut frame: Vec<u8>, rng: &mut ChaCha20Rng) -> Vec<u8> {
    let mut below = |most: usize| rng.next_u64() as usize % most.max(1);
    let at = below(frame.len());
    match below(8) {
        0 => frame[at] ^= 1 << below(8),
        1 => frame[at] = below(256) as u8,
        2 => frame.truncate(at),
        3 => frame.extend((0..below(40)).map(|byte| byte as u8)),
        4 => frame[at..].fill(0xff),
        5 => frame[at..].fill(0),
        6 => frame.drain(..at).for_each(drop),
        // As it was, but not in its place.
        _ => {}
    }
    frame
}

#[test]
fn what_nobody_can_make_sense_of_does_no_harm() {
    let world = World::new("hostile-mutations");
    let job = world.submit(ONE, 6);
    let mut honest = Peer::join(&world, HONEST, 1);
    let work = honest.work();
    let mut rng = rng(20_261_121);
    for connection in 0..MUTATIONS / ON_ONE {
        let number = 100 + connection as u64 % 16;
        let mut peer = Peer::dial(&world, number);
        let hello = FromProver::from(peer.signed(peer.unsigned(1))).encode();
        // One in eight does not get in.
        let is_in = connection % 8 > 0;
        peer.raw(if is_in { hello } else { mutated(hello, &mut rng) });
        let tasks = [work.segment.task, TaskId(work.segment.task.0 + 1), TaskId(1)];
        let frames = recorded(tasks[connection % tasks.len()]);
        for _ in 0..ON_ONE {
            let frame = frames[rng.next_u64() as usize % frames.len()].encode();
            peer.raw(mutated(frame, &mut rng));
        }
        // Some are gone before they are answered.
        if connection % 4 == 0 {
            while peer.next_within(std::time::Duration::from_millis(50)).is_some() {}
        }
    }
    assert_eq!(world.get("/healthz", None).status, 200);
    assert!(world.refused("Protocol") > 0);
    honest.is_alive();
    honest.proves(&work);
    honest.finishes(&world, job);
    world.is_proved(job, &[HONEST]);
}
