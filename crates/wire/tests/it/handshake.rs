//! Versions and signatures.

use crate::common::{Pair, T0, code};
use crate::samples::{ORIGIN, challenge, hello, key, text, unsigned_hello, welcome};
use crowdfold_fold::Address;
use crowdfold_wire::limits::{HANDSHAKE_LIMIT_MS, MAX_INTERVAL_MS, VERSION};
use crowdfold_wire::{
    Challenge, CoordinatorSession, FromCoordinator, FromProver, Goodbye, GoodbyeCode, Hello, HelloError, HostKind,
    List, ParametersId, ProverSession, PublicKey, SigningKey, Within,
};

const ORIGINS: [&str; 2] = ["https://other.example", ORIGIN];

#[test]
fn a_signed_hello_verifies() {
    assert_eq!(hello().verify(&challenge(), &ORIGINS), Ok(()));
}

#[test]
fn every_field_is_signed() {
    type Change = (&'static str, fn(&mut Hello));
    let changes: [Change; 10] = [
        ("software", |hello| hello.software = text("another")),
        ("origin", |hello| hello.origin = text(ORIGINS[0])),
        ("payout", |hello| hello.payout = Address([8; 20])),
        ("host", |hello| hello.host = HostKind::Server),
        ("memory", |hello| hello.capabilities.memory_bytes += 1),
        ("threads", |hello| hello.capabilities.threads = Within::new(9).expect("a few")),
        ("speed", |hello| hello.capabilities.rows_per_second += 1),
        ("merges", |hello| hello.capabilities.merges = true),
        ("cached", |hello| hello.cached = List::default()),
        ("one cached", |hello| hello.cached = List::new([ParametersId([1; 32])]).expect("one")),
    ];
    for (field, change) in changes {
        let mut changed = hello();
        change(&mut changed);
        let outcome = changed.verify(&challenge(), &ORIGINS);
        assert_eq!(outcome, Err(HelloError::Signature(changed.key)), "{field}");
    }
    let key = PublicKey(SigningKey::from_bytes(&[8; 32]).verifying_key().to_bytes());
    let changed = Hello { key, ..hello() };
    assert_eq!(changed.verify(&challenge(), &ORIGINS), Err(HelloError::Signature(key)), "key");
    for at in 0..64 {
        let mut changed = hello();
        changed.signature[at] ^= 1;
        assert!(matches!(changed.verify(&challenge(), &ORIGINS), Err(HelloError::Signature(_))), "byte {at}");
    }
}

#[test]
fn every_field_of_the_challenge_is_signed() {
    for other in [
        Challenge { nonce: [6; 32], ..challenge() },
        Challenge { lowest: 0, ..challenge() },
        Challenge { highest: 2, ..challenge() },
    ] {
        assert!(matches!(hello().verify(&other, &ORIGINS), Err(HelloError::Signature(_))), "{other:?}");
    }
    let both = Challenge { highest: 2, ..challenge() };
    let version = Hello { version: 2, ..hello() };
    assert!(matches!(version.verify(&both, &ORIGINS), Err(HelloError::Signature(_))));
}

#[test]
fn another_coordinators_hello_is_refused() {
    for origin in ["https://prove.example.org", "http://prove.example", "https://prove.example/", ""] {
        let other = Hello { origin: text(origin), ..unsigned_hello() }.sign(&challenge(), &key());
        let outcome = other.verify(&challenge(), &ORIGINS);
        assert!(matches!(outcome, Err(HelloError::Origin { .. })), "{origin}: {outcome:?}");
        assert_eq!(outcome.expect_err("refused").violation().code, GoodbyeCode::WrongOrigin);
    }
}

/// Keys of small order have signatures that verify for many messages, so they would name nobody.
#[test]
fn keys_of_small_order_and_no_keys_are_refused() {
    let mut identity = [0; 32];
    identity[0] = 1;
    // The identity, its non-canonical form, a point of order 4, and no point at all.
    let mut identity_again = [0xff; 32];
    (identity_again[0], identity_again[31]) = (0xee, 0x7f);
    let mut no_point = [0; 32];
    no_point[0] = 2;
    for key in [identity, identity_again, [0; 32], no_point] {
        let mut weak = Hello { key: PublicKey(key), ..unsigned_hello() };
        weak.signature[0] = 1;
        assert_eq!(weak.verify(&challenge(), &ORIGINS), Err(HelloError::Key(PublicKey(key))));
    }
}

/// s + l is as good as s in the equation.
#[test]
fn signatures_have_one_encoding() {
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut hello = hello();
    let mut carry = 0;
    for (byte, l) in hello.signature[32..].iter_mut().zip(L) {
        let sum = u16::from(*byte) + u16::from(l) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert!(matches!(hello.verify(&challenge(), &ORIGINS), Err(HelloError::Signature(_))));
}

fn answer(frame: &[u8]) -> Goodbye {
    let mut coordinator = CoordinatorSession::new(T0, challenge(), vec![ORIGIN.into()]);
    assert_eq!(coordinator.next_frame(), Some(FromCoordinator::from(challenge()).encode()));
    let ended = coordinator.receive(T0, frame).expect_err("it is refused");
    assert!(!ended.by_peer);
    assert_eq!(coordinator.next_frame(), Some(FromCoordinator::from(ended.goodbye.clone()).encode()));
    assert_eq!(coordinator.next_frame(), None);
    ended.goodbye
}

#[test]
fn an_unknown_version_is_told_what_to_do() {
    // Whatever follows the version in other versions.
    for version in [0, VERSION + 1, u16::MAX] {
        let goodbye = answer(&[&[1][..], &version.to_le_bytes(), b"a future"].concat());
        assert_eq!(goodbye.code, GoodbyeCode::UnknownVersion);
        for part in [format!("version {version} "), "only 1 to 1".into(), "update the software".into()] {
            assert!(goodbye.text.contains(&part), "{part}: {}", goodbye.text);
        }
    }
    for (lowest, highest) in [(VERSION + 1, VERSION + 3), (0, VERSION - 1), (2, 1)] {
        let frame = [&[65][..], &u16::to_le_bytes(lowest), &u16::to_le_bytes(highest), b"a future"].concat();
        let mut prover = ProverSession::new(T0);
        let ended = prover.receive(T0, &frame).expect_err("it is refused");
        assert_eq!(ended.goodbye.code, GoodbyeCode::UnknownVersion);
        let said = prover.next_frame().map(|frame| FromProver::decode(&frame));
        assert_eq!(said, Some(Ok(ended.goodbye.into())));
    }
    let newer = Challenge { highest: VERSION + 1, ..challenge() };
    assert!(ProverSession::new(T0).receive(T0, &FromCoordinator::from(newer).encode()).is_ok());
}

#[test]
fn a_bad_hello_gets_its_own_goodbye() {
    let forged = Hello { payout: Address([1; 20]), ..hello() };
    assert_eq!(answer(&FromProver::from(forged).encode()).code, GoodbyeCode::BadSignature);
    let elsewhere = Hello { origin: text("https://evil.example"), ..unsigned_hello() }.sign(&challenge(), &key());
    assert_eq!(answer(&FromProver::from(elsewhere).encode()).code, GoodbyeCode::WrongOrigin);
    assert_eq!(answer(&FromProver::from(hello()).encode()[..50]).code, GoodbyeCode::BadMessage);
}

#[test]
fn a_handshake_has_its_time() {
    let mut prover = ProverSession::new(T0);
    let limit = T0.after(u64::from(HANDSHAKE_LIMIT_MS));
    assert_eq!(prover.tick(limit), Ok(()));
    assert_eq!(prover.wake_at(), limit.after(1));
    assert_eq!(code(prover.tick(limit.after(1))), GoodbyeCode::HandshakeTimeout);
    let mut coordinator = CoordinatorSession::new(T0, challenge(), vec![ORIGIN.into()]);
    coordinator.next_frame();
    assert_eq!(code(coordinator.tick(limit.after(1))), GoodbyeCode::HandshakeTimeout);
}

#[test]
fn intervals_must_be_sane() {
    for change in [
        (|w| w.ping_interval_ms = 0) as fn(&mut crowdfold_wire::Welcome),
        |w| w.idle_limit_ms = MAX_INTERVAL_MS + 1,
        |w| w.checkpoint_interval_ms = 1,
        |w| w.idle_limit_ms = w.ping_interval_ms,
    ] {
        let mut bad = welcome();
        change(&mut bad);
        let mut pair = Pair::greeted();
        let refused = pair.coordinator.send(T0, bad.clone());
        assert!(format!("{refused:?}").contains("BadTiming"), "{refused:?}");
        let outcome = pair.prover.receive(T0, &FromCoordinator::from(bad).encode());
        assert_eq!(code(outcome), GoodbyeCode::BadTiming);
    }
}
