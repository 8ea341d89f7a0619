//! Strategies for all messages.

use crowdfold_fold::{Address, Job};
use crowdfold_wire::limits::PUSH_VERSION;
use crowdfold_wire::{
    Blob, Bytes, Cancel, CancelReason, Capabilities, Challenge, Chunk, Credit, FromCoordinator, FromProver, Goodbye,
    GoodbyeCode, Hello, HostKind, InputList, Inputs, InputsWithin, List, Merge, Offer, Outcome, ParametersId, Ping,
    Pong, Progress, PublicKey, PushTask, Ready, Release, ReleaseReason, Segment, SessionId, Stored, TaskId, Text,
    UploadId, Verdict, Want, Welcome, Within,
};
use proptest::prelude::*;

/// Numbers in their limits, both ends among them.
fn arb_within<const LEAST: u64, const MOST: u64>() -> impl Strategy<Value = Within<LEAST, MOST>> {
    prop_oneof![Just(LEAST), Just(MOST), LEAST..=MOST].prop_map(|n| Within::new(n).expect("within limits"))
}

fn arb_text<const MAX: usize>() -> impl Strategy<Value = Text<MAX>> {
    prop_oneof![Just("x".repeat(MAX)), "\\PC{0,20}"].prop_map(|text| Text::lossy(&text))
}

fn arb_bytes<const MAX: usize>() -> impl Strategy<Value = Bytes<MAX>> {
    prop::collection::vec(any::<u8>(), 1..50).prop_map(|bytes| Bytes::new(bytes).expect("short"))
}

fn arb_upload() -> impl Strategy<Value = UploadId> {
    any::<[u8; 32]>().prop_map(UploadId)
}

fn arb_task() -> impl Strategy<Value = TaskId> {
    any::<u64>().prop_map(TaskId)
}

fn arb_job() -> impl Strategy<Value = Job> {
    (any::<u64>(), any::<[u8; 20]>(), any::<[u8; 32]>()).prop_map(|(chain_id, contract, job_id)| Job {
        chain_id,
        contract: Address(contract),
        job_id,
    })
}

fn arb_challenge() -> impl Strategy<Value = Challenge> {
    any::<(u16, u16, [u8; 32])>().prop_map(|(lowest, highest, nonce)| Challenge { lowest, highest, nonce })
}

fn arb_hello() -> impl Strategy<Value = Hello> {
    let host = prop_oneof![Just(HostKind::Tab), Just(HostKind::Edge), Just(HostKind::Server)];
    let capabilities = (any::<(u64, u64, bool)>(), arb_within()).prop_map(|((memory, rows, merges), threads)| {
        Capabilities { memory_bytes: memory, threads, rows_per_second: rows, merges }
    });
    let cached = prop::collection::vec(any::<[u8; 32]>().prop_map(ParametersId), 0..5);
    let names = (any::<u16>(), arb_text(), arb_text(), any::<[u8; 32]>(), any::<[u8; 20]>());
    let signature = any::<([u8; 32], [u8; 32])>();
    (names, host, capabilities, cached, signature).prop_map(|(names, host, capabilities, cached, (r, s))| {
        let (version, software, origin, key, payout) = names;
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&r);
        signature[32..].copy_from_slice(&s);
        Hello {
            version,
            software,
            origin,
            key: PublicKey(key),
            payout: Address(payout),
            host,
            capabilities,
            cached: List::new(cached).expect("a few"),
            signature,
        }
    })
}

fn arb_goodbye() -> impl Strategy<Value = Goodbye> {
    let codes = [GoodbyeCode::Closing, GoodbyeCode::UnknownVersion, GoodbyeCode::BadAcknowledgement];
    (prop::sample::select(codes.to_vec()), arb_text()).prop_map(|(code, text)| Goodbye { code, text })
}

fn arb_ready() -> impl Strategy<Value = Ready> {
    (0..=16u64).prop_flat_map(|tasks| (Just(tasks), 0..=tasks)).prop_map(|(tasks, merges)| Ready {
        tasks: Within::new(tasks).expect("at most 16"),
        merges: Within::new(merges).expect("at most 16"),
    })
}

fn arb_release() -> impl Strategy<Value = Release> {
    let reason = prop_oneof![
        Just(ReleaseReason::Paused),
        Just(ReleaseReason::Closing),
        Just(ReleaseReason::OutOfMemory),
        Just(ReleaseReason::Starved),
        Just(ReleaseReason::Deadline),
        arb_text().prop_map(ReleaseReason::Unable),
        arb_text().prop_map(ReleaseReason::Failed),
    ];
    (arb_task(), arb_within(), reason).prop_map(|(task, kept, reason)| Release { task, kept, reason })
}

fn arb_offer() -> impl Strategy<Value = Offer> {
    (arb_upload(), arb_task(), 0..1u64 << 47, 1..1u64 << 47, arb_within()).prop_map(
        |(upload, task, first, steps, bytes)| Offer {
            upload,
            task,
            first: Within::new(first).expect("below 2^47"),
            steps: Within::new(steps).expect("below 2^47"),
            bytes,
        },
    )
}

fn arb_want() -> impl Strategy<Value = Want> {
    (arb_upload(), arb_within()).prop_map(|(upload, offset)| Want { upload, offset })
}

fn arb_chunk() -> impl Strategy<Value = Chunk> {
    (arb_upload(), arb_within(), arb_bytes()).prop_map(|(upload, offset, bytes)| Chunk { upload, offset, bytes })
}

fn arb_stored() -> impl Strategy<Value = Stored> {
    (arb_upload(), arb_within()).prop_map(|(upload, bytes)| Stored { upload, bytes })
}

fn arb_deadlines() -> impl Strategy<Value = (u32, u32)> {
    any::<(u32, u32)>().prop_map(|(a, b)| (a.min(b), a.max(b)))
}

fn arb_segment() -> impl Strategy<Value = Segment> {
    let names = (arb_task(), arb_job(), arb_text(), any::<[u8; 32]>());
    (names, 0..1u64 << 47, arb_within(), arb_bytes(), arb_deadlines()).prop_map(
        |((task, job, program, parameters), first, steps, start, (soft_ms, hard_ms))| Segment {
            task,
            job,
            program,
            parameters: ParametersId(parameters),
            first: Within::new(first).expect("below 2^47"),
            steps,
            start,
            soft_ms,
            hard_ms,
        },
    )
}

fn arb_inputs() -> impl Strategy<Value = Inputs> {
    let inputs = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..20);
    (arb_task(), arb_within(), inputs).prop_map(|(task, index, inputs)| {
        let mut rest = inputs.iter().map(|input| &input[..]).peekable();
        let inputs = InputList::fill(&mut rest, u64::MAX).expect("short inputs").expect("at least one");
        Inputs { task, index, inputs }
    })
}

fn arb_merge() -> impl Strategy<Value = Merge> {
    fn blob() -> impl Strategy<Value = Blob> {
        (arb_upload(), arb_within()).prop_map(|(upload, bytes)| Blob { upload, bytes })
    }
    let names = (arb_task(), arb_job(), arb_text(), any::<[u8; 32]>());
    (names, blob(), prop::option::of(blob()), arb_deadlines()).prop_map(
        |((task, job, program, parameters), left, right, (soft_ms, hard_ms))| Merge {
            task,
            job,
            program,
            parameters: ParametersId(parameters),
            left,
            right,
            soft_ms,
            hard_ms,
        },
    )
}

fn arb_verdict() -> impl Strategy<Value = Verdict> {
    let outcome = prop_oneof![
        arb_within().prop_map(Outcome::Accepted),
        Just(Outcome::Spare),
        arb_within().prop_map(Outcome::Duplicate),
        Just(Outcome::NotNeeded),
        arb_text().prop_map(Outcome::Refused),
        Just(Outcome::Superseded),
    ];
    (arb_upload(), outcome).prop_map(|(upload, outcome)| Verdict { upload, outcome })
}

fn arb_cancel() -> impl Strategy<Value = Cancel> {
    let reasons = [CancelReason::JobEnded, CancelReason::Covered, CancelReason::Deadline];
    (arb_task(), prop::sample::select(reasons.to_vec())).prop_map(|(task, reason)| Cancel { task, reason })
}

fn arb_welcome() -> impl Strategy<Value = Welcome> {
    any::<(u64, u32, u32, u32)>().prop_map(|(session, ping, idle, checkpoint)| Welcome {
        session: SessionId(session),
        ping_interval_ms: ping,
        idle_limit_ms: idle,
        checkpoint_interval_ms: checkpoint,
    })
}

pub(crate) fn arb_from_prover() -> impl Strategy<Value = FromProver> {
    prop_oneof![
        arb_hello().prop_map(FromProver::from),
        arb_goodbye().prop_map(FromProver::from),
        arb_ready().prop_map(FromProver::from),
        (arb_task(), any::<u64>()).prop_map(|(task, bytes)| Credit { task, bytes }.into()),
        (arb_task(), arb_within()).prop_map(|(task, steps)| Progress { task, steps }.into()),
        arb_release().prop_map(FromProver::from),
        arb_offer().prop_map(FromProver::from),
        arb_want().prop_map(FromProver::from),
        arb_chunk().prop_map(FromProver::from),
        arb_stored().prop_map(FromProver::from),
        any::<u64>().prop_map(|number| Ping { number }.into()),
        any::<u64>().prop_map(|number| Pong { number }.into()),
    ]
}

pub(crate) fn arb_from_coordinator() -> impl Strategy<Value = FromCoordinator> {
    prop_oneof![
        arb_challenge().prop_map(FromCoordinator::from),
        arb_goodbye().prop_map(FromCoordinator::from),
        arb_welcome().prop_map(FromCoordinator::from),
        arb_segment().prop_map(FromCoordinator::from),
        arb_inputs().prop_map(FromCoordinator::from),
        arb_cancel().prop_map(FromCoordinator::from),
        arb_merge().prop_map(FromCoordinator::from),
        arb_want().prop_map(FromCoordinator::from),
        arb_chunk().prop_map(FromCoordinator::from),
        arb_stored().prop_map(FromCoordinator::from),
        arb_verdict().prop_map(FromCoordinator::from),
        any::<u64>().prop_map(|number| Ping { number }.into()),
        any::<u64>().prop_map(|number| Pong { number }.into()),
    ]
}

pub(crate) fn arb_push() -> impl Strategy<Value = PushTask> {
    let inputs = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..8);
    let inputs = inputs.prop_map(|inputs| {
        let mut inputs = inputs.iter().map(Vec::as_slice).peekable();
        InputsWithin::fill(&mut inputs, u64::MAX).expect("short inputs").expect("at least one")
    });
    let names = (any::<[u8; 32]>(), arb_text(), any::<[u8; 32]>(), arb_text());
    let rest = (any::<(u64, u64)>(), arb_job(), any::<[u8; 32]>(), any::<[u8; 20]>(), arb_bytes());
    let signature = any::<([u8; 32], [u8; 32])>();
    (names, rest, inputs, signature).prop_map(|(names, rest, inputs, (r, s))| {
        let (key, audience, nonce, program) = names;
        let ((issued_s, expires_s), job, parameters, payout, start) = rest;
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&r);
        signature[32..].copy_from_slice(&s);
        PushTask {
            version: PUSH_VERSION,
            key: PublicKey(key),
            audience,
            nonce,
            issued_s,
            expires_s,
            job,
            program,
            parameters: ParametersId(parameters),
            payout: Address(payout),
            start,
            inputs,
            signature,
        }
    })
}
