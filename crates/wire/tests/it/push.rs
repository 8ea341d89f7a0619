//! Posted tasks: one encoding, and whom a function takes them from.

use crate::arbitrary::arb_push;
use crate::samples::{inputs, key, push, text, unsigned_push};
use crowdfold_fold::{Address, Job};
use crowdfold_wire::limits::{
    MAX_INPUT_BYTES, MAX_PROGRAM_BYTES, MAX_PUSH_BYTES, MAX_PUSH_INPUTS_BYTES, MAX_PUSH_LIFETIME_S, MAX_PUSH_STEPS,
    MAX_STATE_BYTES, MAX_URL_BYTES, PUSH_SKEW_S,
};
use crowdfold_wire::{
    Bytes, DecodeError, ParametersId, PublicKey, PushError, PushGate, PushInputs, PushTask, SigningKey,
};
use proptest::prelude::*;

const NOW_S: u64 = 1_800_000_010;

fn ours() -> [PublicKey; 2] {
    [PublicKey([3; 32]), push().key]
}

/// A function that takes the sample.
fn gate(keys: &[PublicKey]) -> PushGate<'_> {
    PushGate { keys, audience: "https://fold.example/push", payout: Address([9; 20]), now_s: NOW_S }
}

#[test]
fn a_signed_task_is_taken() {
    assert_eq!(PushTask::open(&push().encode(), &gate(&ours())), Ok(push()));
}

#[test]
fn every_field_is_signed() {
    type Change = (&'static str, fn(&mut PushTask));
    let changes: [Change; 13] = [
        ("version", |task| task.version += 1),
        ("audience", |task| task.audience = text("https://fold.example/other")),
        ("nonce", |task| task.nonce[31] ^= 1),
        ("issued", |task| task.issued_s -= 1),
        ("expires", |task| task.expires_s += 1),
        ("chain", |task| task.job.chain_id += 1),
        ("contract", |task| task.job.contract = Address([7; 20])),
        ("job", |task| task.job = Job { job_id: [7; 32], ..task.job }),
        ("program", |task| task.program = text("squarings/1/1")),
        ("parameters", |task| task.parameters = ParametersId([5; 32])),
        ("payout", |task| task.payout = Address([7; 20])),
        ("start", |task| task.start = Bytes::new([2; 32]).expect("short")),
        ("inputs", |task| task.inputs = inputs(&[b"one", b""])),
    ];
    let keys = ours();
    for (field, change) in changes {
        let mut changed = push();
        change(&mut changed);
        assert_eq!(changed.verify(&gate(&keys)), Err(PushError::Signature(changed.key)), "{field}");
    }
    let other = PublicKey(SigningKey::from_bytes(&[8; 32]).verifying_key().to_bytes());
    let changed = PushTask { key: other, ..push() };
    assert_eq!(changed.verify(&gate(&[other])), Err(PushError::Signature(other)), "key");
    for at in 0..64 {
        let mut changed = push();
        changed.signature[at] ^= 1;
        assert_eq!(changed.verify(&gate(&keys)), Err(PushError::Signature(changed.key)), "byte {at}");
    }
}

#[test]
fn a_signature_of_another_kind_is_none() {
    let mut task = push();
    let mut bytes = task.signed_bytes();
    bytes[..20].copy_from_slice(b"crowdfold other task");
    task.signature = ed25519_dalek::Signer::sign(&key(), &bytes).to_bytes();
    assert_eq!(task.verify(&gate(&ours())), Err(PushError::Signature(task.key)));
}

#[test]
fn strangers_and_keys_of_small_order_are_refused() {
    let stranger = unsigned_push().sign(&SigningKey::from_bytes(&[8; 32]));
    assert_eq!(stranger.verify(&gate(&ours())), Err(PushError::Stranger(stranger.key)));
    assert_eq!(push().verify(&gate(&[])), Err(PushError::Stranger(push().key)));
    let mut identity = [0; 32];
    identity[0] = 1;
    let weak = PushTask { key: PublicKey(identity), ..push() };
    assert_eq!(weak.verify(&gate(&[weak.key])), Err(PushError::Key(weak.key)));
}

#[test]
fn a_task_for_another_function_or_payout_is_refused() {
    let keys = ours();
    for audience in ["https://fold.example/push/", "https://fold.example/pusH", "http://fold.example/push", ""] {
        let refused = push().verify(&PushGate { audience, ..gate(&keys) });
        let (found, expected) = ("https://fold.example/push".into(), audience.into());
        assert_eq!(refused, Err(PushError::Audience { found, expected }));
    }
    let expected = Address([8; 20]);
    let refused = push().verify(&PushGate { payout: expected, ..gate(&keys) });
    assert_eq!(refused, Err(PushError::Payout { found: Address([9; 20]), expected }));
}

#[test]
fn a_task_is_good_for_its_time_only() {
    let keys = ours();
    let at = |now_s| push().verify(&PushGate { now_s, ..gate(&keys) });
    let (issued_s, expires_s) = (push().issued_s, push().expires_s);
    assert_eq!(at(issued_s - PUSH_SKEW_S), Ok(()));
    let now_s = issued_s - PUSH_SKEW_S - 1;
    assert_eq!(at(now_s), Err(PushError::Early { issued_s, now_s }));
    assert_eq!(at(expires_s - 1), Ok(()));
    for now_s in [expires_s, u64::MAX] {
        assert_eq!(at(now_s), Err(PushError::Expired { expires_s, now_s }));
    }
    for (issued_s, expires_s) in
        [(NOW_S, NOW_S), (NOW_S, NOW_S - 1), (0, u64::MAX), (NOW_S, NOW_S + MAX_PUSH_LIFETIME_S + 1)]
    {
        let task = PushTask { issued_s, expires_s, ..unsigned_push() }.sign(&key());
        assert_eq!(task.verify(&gate(&keys)), Err(PushError::Lifetime { issued_s, expires_s }));
    }
    let longest = PushTask { issued_s: NOW_S, expires_s: NOW_S + MAX_PUSH_LIFETIME_S, ..unsigned_push() };
    assert_eq!(longest.sign(&key()).verify(&gate(&keys)), Ok(()));
}

#[test]
fn another_version_is_told_before_anything_else_is_read() {
    assert_eq!(PushTask::decode(&[2, 0]), Err(PushError::Version { found: 2 }));
    assert!(matches!(PushTask::decode(&[1, 0]), Err(PushError::Decode(DecodeError::Short { at: 2, .. }))));
    assert!(matches!(PushTask::decode(&[]), Err(PushError::Decode(DecodeError::Limit { at: 0, .. }))));
}

#[test]
fn tasks_cut_short_continued_or_too_long_do_not_decode() {
    let bytes = push().encode();
    for n in 0..bytes.len() {
        assert!(matches!(PushTask::decode(&bytes[..n]), Err(PushError::Decode(_))), "cut to {n} bytes");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(PushTask::decode(&longer), Err(DecodeError::Left { at: bytes.len(), left: 1 }.into()));
    let too_long = PushTask::decode(&vec![1; MAX_PUSH_BYTES + 1]);
    assert!(matches!(too_long, Err(PushError::Decode(DecodeError::Limit { what: "bytes of the task", .. }))));
}

#[test]
fn a_changed_byte_is_another_task_or_none() {
    let bytes = push().encode();
    for at in 0..bytes.len() {
        for value in 0..=u8::MAX {
            let mut changed = bytes.clone();
            changed[at] = value;
            if let Ok(task) = PushTask::decode(&changed) {
                assert_eq!(task.encode(), changed, "byte {at} as {value}");
                assert_eq!(task == push(), changed == bytes, "byte {at} as {value}");
            }
        }
    }
}

#[test]
fn a_task_has_an_input_and_no_more_than_fit() {
    let mut none = push().encode();
    let inputs_at = none.len() - 64 - (4 + 3 * 4 + 8);
    none[inputs_at..inputs_at + 4].fill(0);
    none.truncate(inputs_at + 4);
    none.extend([0; 64]);
    let refused = PushTask::decode(&none);
    assert!(matches!(refused, Err(PushError::Decode(DecodeError::Limit { least: 1, found: 0, .. }))), "{refused:?}");

    let long = vec![1; MAX_INPUT_BYTES];
    let mut many = std::iter::repeat_n(&long[..], MAX_PUSH_INPUTS_BYTES / MAX_INPUT_BYTES).peekable();
    let filled = PushInputs::fill(&mut many, u64::MAX).expect("none is too long").expect("some fit");
    assert_eq!((filled.len(), many.count()), (MAX_PUSH_INPUTS_BYTES / MAX_INPUT_BYTES - 1, 1));
    let mut short = std::iter::repeat_n(&[][..], MAX_PUSH_STEPS + 1).peekable();
    let filled = PushInputs::fill(&mut short, u64::MAX).expect("none is too long").expect("some fit");
    assert_eq!((filled.len(), short.count()), (MAX_PUSH_STEPS, 1));
}

#[test]
fn the_longest_task_decodes() {
    let input = vec![1; MAX_PUSH_INPUTS_BYTES / MAX_PUSH_STEPS - 4];
    let longest = PushTask {
        audience: text(&"x".repeat(MAX_URL_BYTES)),
        program: text(&"x".repeat(MAX_PROGRAM_BYTES)),
        start: Bytes::new([1; MAX_STATE_BYTES]).expect("as long as allowed"),
        inputs: inputs(&vec![&input[..]; MAX_PUSH_STEPS]),
        ..unsigned_push()
    };
    let longest = longest.sign(&key());
    let bytes = longest.encode();
    assert!((MAX_PUSH_INPUTS_BYTES..=MAX_PUSH_BYTES).contains(&bytes.len()), "{}", bytes.len());
    assert_eq!(PushTask::decode(&bytes), Ok(longest));
}

proptest! {
    #[test]
    fn tasks_round_trip(task in arb_push()) {
        prop_assert_eq!(PushTask::decode(&task.encode()), Ok(task));
    }

    #[test]
    fn what_is_signed_is_taken_at_its_time_by_whom_it_is_for(task in arb_push(), seed: [u8; 32], life in 1..=MAX_PUSH_LIFETIME_S) {
        let issued_s = task.issued_s / 2;
        let task = PushTask { issued_s, expires_s: issued_s + life, ..task }.sign(&SigningKey::from_bytes(&seed));
        let keys = [task.key];
        let gate = PushGate { keys: &keys, audience: &task.audience, payout: task.payout, now_s: issued_s };
        prop_assert_eq!(task.verify(&gate), Ok(()));
        let late = PushGate { now_s: issued_s + life, ..gate };
        prop_assert_eq!(task.verify(&late), Err(PushError::Expired { expires_s: issued_s + life, now_s: issued_s + life }));
    }

    #[test]
    fn any_bytes_that_decode_are_the_encoding(rest in prop::collection::vec(0..4u8, 0..400)) {
        let bytes = [&[1, 0][..], &rest].concat();
        if let Ok(task) = PushTask::decode(&bytes) {
            prop_assert_eq!(task.encode(), bytes);
        }
    }
}
