//! One encoding for each message, and nothing else decodes.

use crate::arbitrary::{arb_from_coordinator, arb_from_prover};
use crate::samples::{from_coordinator, from_prover};
use crowdfold_wire::limits::{MAX_FRAME_BYTES, MAX_INPUT_BYTES, MAX_INPUTS_PER_FRAME};
use crowdfold_wire::{BoundError, Bytes, DecodeError, FromCoordinator, FromProver, InputList, List, Text, Within};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// What is done alike for both directions: decode, and encode again.
type Again = fn(&[u8]) -> Result<Vec<u8>, DecodeError>;

const PROVER: Again = |frame| FromProver::decode(frame).map(|message| message.encode());
const COORDINATOR: Again = |frame| FromCoordinator::decode(frame).map(|message| message.encode());

fn samples() -> Vec<(String, Again, Vec<u8>)> {
    let prover = from_prover().into_iter().map(|(name, m)| (format!("P {name}"), PROVER, m.encode()));
    let coordinator = from_coordinator().into_iter().map(|(name, m)| (format!("C {name}"), COORDINATOR, m.encode()));
    prover.chain(coordinator).collect()
}

#[test]
fn samples_have_every_kind() {
    let kinds: BTreeSet<u8> = samples().iter().map(|(_, _, frame)| frame[0]).collect();
    assert!(kinds.iter().copied().eq((1..=12).chain(65..=77)), "{kinds:?}");
}

#[test]
fn no_frame_is_of_both_directions() {
    for (name, again, frame) in samples() {
        assert_eq!(again(&frame).as_deref(), Ok(&frame[..]), "{name}");
        let other = if frame[0] < 64 { COORDINATOR } else { PROVER };
        assert!(matches!(other(&frame), Err(DecodeError::Kind { at: 0, .. })), "{name}");
    }
}

#[test]
fn frames_cut_short_or_continued_do_not_decode() {
    for (name, again, frame) in samples() {
        for n in 0..frame.len() {
            assert!(again(&frame[..n]).is_err(), "{name} cut to {n} bytes");
        }
        let longer = [&frame[..], &[0]].concat();
        assert_eq!(again(&longer), Err(DecodeError::Left { at: frame.len(), left: 1 }), "{name}");
    }
}

#[test]
fn a_changed_byte_is_another_message_or_none() {
    for (name, again, frame) in samples() {
        for at in 0..frame.len() {
            for value in 0..=u8::MAX {
                let mut changed = frame.clone();
                changed[at] = value;
                if let Ok(bytes) = again(&changed) {
                    assert_eq!(bytes, changed, "{name}: byte {at} as {value}");
                }
            }
        }
    }
}

#[test]
fn errors_say_what_where_and_what_was_expected() {
    let cases: [(&[u8], &str); 6] = [
        (&[], "bytes of the frame at byte 0 must be from 1 to 270336, got 0"),
        (&[200], "kind of the message at byte 0 is 200, expected one of 1 2 3 4 5 6 7 8 9 10 11 12"),
        (&[11, 1], "Ping.number at byte 1 takes 8 bytes, 1 are left"),
        (&[3, 1, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0], "Ready.merges at byte 9 must be from 0 to 16, got 17"),
        (&[3, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0], "Ready before byte 17: no more merges than tasks"),
        (&[2, 1, 1, 0, 0, 0, 7], "Goodbye.text at byte 6 must be UTF-8 without control characters"),
    ];
    for (frame, expected) in cases {
        assert_eq!(FromProver::decode(frame).expect_err("does not decode").to_string(), expected);
    }
}

#[test]
fn announced_lengths_are_checked_before_anything_is_taken() {
    let mut frame = [9; 1 + 32 + 8];
    frame[33..].fill(0);
    for (length, found) in [(u32::MAX, "must be from 0 to 262144"), (262_144, "takes 262144 bytes, 0 are left")] {
        let frame = [&frame[..], &length.to_le_bytes()].concat();
        let error = FromProver::decode(&frame).expect_err("there are no bytes").to_string();
        assert!(error.starts_with("Chunk.bytes") && error.contains(found), "{error}");
    }
    assert!(matches!(FromProver::decode(&vec![9; MAX_FRAME_BYTES + 1]), Err(DecodeError::Limit { at: 0, .. })));
}

#[test]
fn bounds_hold_where_values_are_made() {
    assert!(Text::<3>::new("abc").is_ok());
    assert!(matches!(Text::<3>::new("abcd"), Err(BoundError::Limit { most: 3, found: 4, .. })));
    assert_eq!(Text::<9>::new("a\nb"), Err(BoundError::Control));
    assert_eq!(&*Text::<5>::lossy("a\nbéé"), "a bé");
    assert!(Bytes::<2>::new([1, 2, 3]).is_err() && List::<u8, 2>::new([1, 2, 3]).is_err());
    assert!(Within::<1, 2>::new(0).is_err() && Within::<1, 2>::new(2).is_ok() && Within::<1, 2>::new(3).is_err());
}

#[test]
fn inputs_fill_frames_within_the_credit() {
    let input = [1; 100];
    let mut rest = std::iter::repeat_n(&input[..], 5).peekable();
    assert_eq!(InputList::fill(&mut rest, 103), Ok(None), "not even one");
    let two = InputList::fill(&mut rest, 300).expect("short").expect("some");
    assert_eq!((two.len(), two.cost()), (2, 208));
    let three = InputList::fill(&mut rest, u64::MAX).expect("short").expect("some");
    assert_eq!((three.len(), rest.next()), (3, None));

    let mut empty = std::iter::repeat(&[][..]).peekable();
    assert_eq!(InputList::fill(&mut empty, u64::MAX).expect("short").expect("some").len(), MAX_INPUTS_PER_FRAME);
    let long = vec![0; MAX_INPUT_BYTES + 1];
    assert!(InputList::fill(&mut [&long[..]].into_iter().peekable(), u64::MAX).is_err());
}

proptest! {
    #[test]
    fn messages_of_provers_round_trip(message in arb_from_prover()) {
        let frame = message.encode();
        prop_assert!(frame.len() <= MAX_FRAME_BYTES);
        prop_assert_eq!(FromProver::decode(&frame), Ok(message));
    }

    #[test]
    fn messages_of_coordinators_round_trip(message in arb_from_coordinator()) {
        let frame = message.encode();
        prop_assert!(frame.len() <= MAX_FRAME_BYTES);
        prop_assert_eq!(FromCoordinator::decode(&frame), Ok(message));
    }

    #[test]
    fn any_bytes_that_decode_are_the_encoding(kind in prop_oneof![1..=12u8, 65..=77u8], rest in prop::collection::vec(0..4u8, 0..120)) {
        let frame = [&[kind][..], &rest].concat();
        for again in [PROVER, COORDINATOR] {
            if let Ok(bytes) = again(&frame) {
                prop_assert_eq!(&bytes, &frame);
            }
        }
    }
}
