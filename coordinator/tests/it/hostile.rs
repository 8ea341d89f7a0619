//! Provers that don't keep to the protocol: each is told why it goes, each is counted once, and nobody else notices.

use crate::hostile_peer::{Peer, entry, offer, trying};
use crate::http::{ONE, World};
use crowdfold_wire::limits::{MAX_FRAME_BYTES, MAX_RESTARTS, MESSAGE_BURST};
use crowdfold_wire::{
    FromProver, GoodbyeCode as Code, Hello, Outcome, Ping, Pong, Progress, PublicKey, Ready, Release, ReleaseReason,
    TaskId, Text, UploadId, Within,
};
use tungstenite::Message;

/// Who keeps to the rules.
const HONEST: u64 = 1;

fn ready(tasks: u64) -> Ready {
    Ready { tasks: Within::new(tasks).expect("few"), merges: Within::new(0).expect("few") }
}

fn progress(task: TaskId, steps: u64) -> Progress {
    Progress { task, steps: Within::new(steps).expect("few") }
}

/// Asks for a WebSocket with these headers more.
fn upgrade(headers: &str) -> String {
    format!(
        "GET /v1/prove HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

#[test]
fn who_does_not_speak_the_protocol_is_told_so() {
    let world = World::new("hostile-upgrade");
    let plain = world.counts("Request", 1, || world.request("GET", "/v1/prove", None, "", b""));
    assert_eq!(plain.error(400), "bad_request");
    for headers in ["", "sec-websocket-protocol: crowdfold.2\r\n", "sec-websocket-protocol: chat, mqtt\r\n"] {
        let head = upgrade(&format!("{headers}content-length: 0\r\n"));
        let mut reply = None;
        // It would be kept for another request.
        let ask = || {
            use std::io::{Read as _, Write as _};
            let mut stream = world.connect();
            stream.write_all(head.as_bytes()).expect("it is taken");
            let mut bytes = vec![0; 4096];
            let count = stream.read(&mut bytes).expect("an answer");
            reply = Some(String::from_utf8_lossy(&bytes[..count]).into_owned());
        };
        world.counts("Version", 1, ask);
        let reply = reply.expect("an answer");
        assert!(reply.starts_with("HTTP/1.1 400 ") && reply.contains("crowdfold.1"), "{reply}");
    }
}

/// A way to be refused: what is sent once the challenge is there.
type Attack = fn(&mut Peer);

fn hello(peer: &Peer) -> Hello {
    peer.signed(peer.unsigned(2))
}

#[test]
fn no_one_comes_in_with_a_bad_hello() {
    let world = World::new("hostile-hello");
    let job = world.submit(ONE, 2);
    let mut honest = Peer::join(&world, HONEST, 2);
    let work = honest.work();
    let attacks: [(&str, Code, &str, Attack); 14] = [
        ("text", Code::BadMessage, "binary", |peer| peer.write(Message::Text("hello".into()))),
        ("nothing", Code::BadMessage, "", |peer| peer.raw(Vec::new())),
        ("no message", Code::BadMessage, "kind", |peer| peer.raw(vec![200; 100])),
        ("a coordinator's", Code::BadMessage, "kind", |peer| {
            let challenge = crowdfold_wire::FromCoordinator::from(peer.challenge.clone()).encode();
            peer.raw(challenge);
        }),
        ("too long by a byte", Code::FrameTooLarge, "at most", |peer| peer.raw(vec![1; MAX_FRAME_BYTES + 1])),
        ("far too long", Code::FrameTooLarge, "at most", |peer| {
            // A head that promises 2^40 bytes.
            peer.bytes(&[0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
        }),
        ("not masked", Code::BadMessage, "", |peer| peer.bytes(&[0x82, 0x01, 0x01])),
        ("a reserved bit", Code::BadMessage, "", |peer| peer.bytes(&[0xf2, 0x81, 0, 0, 0, 0, 1])),
        ("cut off", Code::BadMessage, "", |peer| {
            let frame = FromProver::from(hello(peer)).encode();
            peer.raw(frame[..frame.len() - 1].to_vec());
        }),
        ("a byte more", Code::BadMessage, "", |peer| {
            let mut frame = FromProver::from(hello(peer)).encode();
            frame.push(0);
            peer.raw(frame);
        }),
        ("work before it", Code::OutOfOrder, "Hello comes once", |peer| peer.send(ready(1))),
        ("an offer before it", Code::OutOfOrder, "Hello comes once", |peer| {
            peer.send(offer(UploadId([1; 32]), TaskId(1), 0, 1, 100));
        }),
        ("a second one", Code::OutOfOrder, "Hello comes once", |peer| {
            let hello = hello(peer);
            peer.send(hello.clone());
            peer.send(hello);
        }),
        ("a pong", Code::OutOfOrder, "Hello comes once", |peer| peer.send(Pong { number: 1 })),
    ];
    for (number, (what, code, words, attack)) in attacks.into_iter().enumerate() {
        trying(what);
        world.counts("Protocol", 1, || {
            let mut peer = Peer::dial(&world, 100 + number as u64);
            attack(&mut peer);
            peer.ends(code, words);
        });
    }
    let attacks: [(&str, &str, Code, &str, Attack); 7] = [
        ("a version to come", "Version", Code::UnknownVersion, "1 to 1", |peer| {
            peer.send(peer.signed(Hello { version: 2, ..peer.unsigned(2) }));
        }),
        ("a version with another layout", "Version", Code::UnknownVersion, "1 to 1", |peer| {
            peer.raw(vec![1, 9, 0, 1, 2, 3]);
        }),
        ("no signature", "Signature", Code::BadSignature, "sign", |peer| peer.send(peer.unsigned(2))),
        ("another's key", "Signature", Code::BadSignature, "signature", |peer| {
            let key = PublicKey(crate::hostile_peer::key(HONEST).verifying_key().to_bytes());
            peer.send(Hello { key, ..hello(peer) });
        }),
        ("another payout", "Signature", Code::BadSignature, "signature", |peer| {
            peer.send(Hello { payout: crate::hostile_peer::payout(66), ..hello(peer) });
        }),
        ("another challenge", "Signature", Code::BadSignature, "signature", |peer| {
            peer.challenge.nonce[0] ^= 1;
            peer.send(hello(peer));
        }),
        ("passed on by another coordinator", "Origin", Code::WrongOrigin, "http://other.example", |peer| {
            let origin = Text::new("http://other.example").expect("short");
            peer.send(peer.signed(Hello { origin, ..peer.unsigned(2) }));
        }),
    ];
    for (what, kind, code, words, attack) in attacks {
        trying(what);
        world.counts(kind, 1, || {
            let mut peer = Peer::dial(&world, 200);
            attack(&mut peer);
            peer.ends(code, words);
        });
    }
    // What opened one door does not open another.
    let recorded = {
        let mut peer = Peer::dial(&world, 300);
        let recorded = hello(&peer);
        peer.send(recorded.clone());
        assert!(matches!(peer.message(), crowdfold_wire::FromCoordinator::Welcome(_)));
        peer.is_alive();
        recorded
    };
    world.counts("Signature", 1, || {
        let mut peer = Peer::dial(&world, 300);
        peer.send(recorded);
        peer.ends(Code::BadSignature, "signature");
    });
    honest.proves(&work);
    honest.finishes(&world, job);
    world.is_proved(job, &[HONEST]);
}

#[test]
fn who_breaks_a_rule_is_told_which() {
    let world = World::new("hostile-rules");
    let job = world.submit(ONE, 8);
    let mut honest = Peer::join(&world, HONEST, 1);
    let work = honest.work();
    let theirs = work.segment.task;
    let mut number = 100;
    let mut breaks = |what: &str, has_work: bool, code: Code, words: &str, attack: &dyn Fn(&mut Peer, TaskId)| {
        trying(what);
        number += 1;
        world.counts("Protocol", 1, || {
            let mut peer = Peer::join(&world, number, 1);
            let task = if has_work { peer.work().segment.task } else { theirs };
            attack(&mut peer, task);
            peer.ends(code, words);
        });
    };
    let id = UploadId([7; 32]);
    let some = vec![1; 5_000];
    breaks("a task that is none", true, Code::UnknownTask, "task", &|peer, task| {
        peer.send(progress(TaskId(task.0 + 1_000_000), 1));
    });
    breaks("another's progress", false, Code::UnknownTask, "task", &|peer, task| peer.send(progress(task, 1)));
    breaks("another's task handed back", false, Code::UnknownTask, "task", &|peer, task| {
        peer.send(Release { task, kept: Within::new(0).expect("none"), reason: ReleaseReason::Closing });
    });
    breaks("steps that can't be folded yet", true, Code::BadProgress, "steps", &|peer, task| {
        peer.send(progress(task, 2));
    });
    breaks("an offer from outside of the segment", true, Code::BadRange, "steps within", &|peer, task| {
        peer.send(offer(id, task, 0, 8, 100));
    });
    breaks("a chunk of nothing", false, Code::UnknownUpload, "announced", &|peer, _| peer.chunk(id, 0, &some));
    breaks("a chunk out of order", false, Code::BadOffset, "bytes from 0", &|peer, task| {
        peer.send(offer(id, task, 0, 1, 10_000));
        peer.wanted(id);
        peer.chunk(id, 5_000, &some);
    });
    breaks("a chunk twice", false, Code::BadOffset, "bytes from 5000", &|peer, task| {
        peer.send(offer(id, task, 0, 1, 10_000));
        peer.wanted(id);
        peer.chunk(id, 0, &some);
        peer.chunk(id, 0, &some);
    });
    breaks("a chunk beyond the end", false, Code::BadOffset, "of 4999", &|peer, task| {
        peer.send(offer(id, task, 0, 1, 4_999));
        peer.wanted(id);
        peer.chunk(id, 0, &some);
    });
    breaks("an upload twice at once", false, Code::DuplicateUpload, "open already", &|peer, task| {
        peer.send(offer(id, task, 0, 1, 10_000));
        peer.send(offer(id, task, 0, 1, 10_000));
    });
    breaks("too many uploads", false, Code::TooManyUploads, "limit", &|peer, task| {
        (0..40).for_each(|upload| peer.send(offer(UploadId([upload; 32]), task, 0, 1, 10_000)));
    });
    breaks("an acknowledgement of nothing", false, Code::UnknownUpload, "announced", &|peer, _| {
        peer.send(crowdfold_wire::Stored { upload: id, bytes: Within::new(1).expect("one") });
    });
    breaks("a pong to no ping", false, Code::UnexpectedPong, "pong", &|peer, _| peer.send(Pong { number: 5 }));
    breaks("a hello in between", false, Code::OutOfOrder, "Hello", &|peer, _| peer.send(hello(peer)));
    breaks("a flood", false, Code::TooManyMessages, "messages at once", &|peer, _| {
        (0..MESSAGE_BURST * 2).for_each(|_| peer.send(ready(0)));
    });
    honest.is_alive();
    honest.proves(&work);
    honest.finishes(&world, job);
    world.is_proved(job, &[HONEST]);
}

#[test]
fn what_a_prover_says_of_others_tasks_does_not_touch_them() {
    let world = World::new("hostile-others");
    let job = world.submit(ONE, 8);
    let mut honest = Peer::join(&world, HONEST, 1);
    let work = honest.work();
    // Its own task is younger, so it might have had the other's: what it says is ignored.
    let mut other = Peer::join(&world, 2, 1);
    other.work();
    other.send(progress(work.segment.task, 1));
    let task = work.segment.task;
    other.send(Release { task, kept: Within::new(0).expect("none"), reason: ReleaseReason::Closing });
    other.is_alive();
    // Garbage for it is nobody's proof.
    let garbage = vec![3; 10_000];
    let outcome = world.counts("NotNeeded", 1, || other.deliver(task, work.first(), 1, &garbage));
    assert_eq!(outcome, Outcome::NotNeeded);
    honest.is_alive();
    honest.proves(&work);
    drop(other);
    honest.finishes(&world, job);
    world.is_proved(job, &[HONEST]);
}

#[test]
fn uploads_are_what_was_offered_or_refused() {
    let world = World::new("hostile-uploads");
    let job = world.submit(ONE, 4);
    let mut honest = Peer::join(&world, HONEST, 1);
    let work = honest.work();
    let mut peer = Peer::join(&world, 2, 1);
    let own = peer.work();
    let task = own.segment.task;
    // Larger than any proof of the program.
    let most = entry().proof_bytes;
    let id = UploadId([1; 32]);
    let refused = world.counts("Oversized", 1, || {
        peer.send(offer(id, task, own.first(), 1, most + 1));
        peer.verdict(id)
    });
    let Outcome::Refused(why) = refused else { panic!("{refused:?}") };
    assert!(why.contains(&most.to_string()), "{}", &*why);
    // Other bytes than those that were hashed, again and again.
    let proof = own.fold(2);
    let mut other = proof.clone();
    let last = other.len() - 1;
    other[last] ^= 1;
    let upload = peer.offer(task, own.first(), 1, &proof);
    let times = u64::from(MAX_RESTARTS) + 1;
    world.counts("Upload", times, || {
        for _ in 0..times {
            assert_eq!(peer.wanted(upload), 0);
            let mut at = 0;
            for part in other.chunks(200_000) {
                peer.chunk(upload, at, part);
                at += part.len() as u64;
            }
        }
        let Outcome::Refused(why) = peer.verdict(upload) else { panic!("it is not what was offered") };
        assert!(why.contains("hash"), "{}", &*why);
    });
    // The right ones are still welcome: nothing is known of the proof itself.
    peer.is_alive();
    assert_eq!(peer.deliver(task, own.first(), 1, &proof), Outcome::Accepted(Within::new(1).expect("one")));
    honest.proves(&work);
    honest.finishes(&world, job);
    world.is_proved(job, &[HONEST, 2]);
}

#[test]
fn the_same_key_has_one_connection() {
    let world = World::new("hostile-twice");
    let job = world.submit(ONE, 2);
    let mut first = Peer::join(&world, HONEST, 2);
    let work = first.work();
    let mut second = Peer::join(&world, HONEST, 2);
    first.ends(Code::Replaced, "another connection");
    // What the first one had, the second may deliver.
    second.proves(&work);
    second.send(Ping { number: 1 });
    second.finishes(&world, job);
    world.is_proved(job, &[HONEST]);
    for kind in ["Protocol", "Slow", "Signature"] {
        assert_eq!(world.refused(kind), 0, "being replaced is no offence");
    }
}
