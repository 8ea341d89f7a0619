//! One message of each kind, and of each case within, with fields that differ.

use crowdfold_fold::{Address, Job};
use crowdfold_wire::{
    Blob, Bytes, Cancel, CancelReason, Capabilities, Challenge, Chunk, Credit, FromCoordinator, FromProver, Goodbye,
    GoodbyeCode, Hello, HostKind, Inputs, InputsWithin, List, Merge, Offer, Outcome, ParametersId, Ping, Pong,
    Progress, PublicKey, PushTask, Ready, Release, ReleaseReason, Segment, SessionId, SigningKey, Stored, TaskId, Text,
    UploadId, Verdict, Want, Welcome, Within,
};

pub(crate) const ORIGIN: &str = "https://prove.example";

pub(crate) fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub(crate) fn challenge() -> Challenge {
    Challenge::new([5; 32])
}

pub(crate) fn text<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::new(text).expect("a short text")
}

pub(crate) fn number<const LEAST: u64, const MOST: u64>(number: u64) -> Within<LEAST, MOST> {
    Within::new(number).expect("within limits")
}

pub(crate) fn inputs<const COUNT: usize, const BYTES: usize>(inputs: &[&[u8]]) -> InputsWithin<COUNT, BYTES> {
    let mut rest = inputs.iter().copied().peekable();
    let list = InputsWithin::fill(&mut rest, u64::MAX).expect("short inputs").expect("at least one");
    assert!(rest.next().is_none(), "they fit");
    list
}

pub(crate) fn job() -> Job {
    Job { chain_id: 31337, contract: Address([2; 20]), job_id: [3; 32] }
}

/// Before it is signed.
pub(crate) fn unsigned_hello() -> Hello {
    Hello {
        version: 1,
        software: text("crowdfold-web 0.1"),
        origin: text(ORIGIN),
        key: PublicKey([0; 32]),
        payout: Address([9; 20]),
        host: HostKind::Tab,
        capabilities: Capabilities {
            memory_bytes: 4 << 30,
            threads: number(8),
            rows_per_second: 250_000,
            merges: false,
        },
        cached: List::new([ParametersId([1; 32]), ParametersId([2; 32])]).expect("two"),
        signature: [0; 64],
    }
}

pub(crate) fn hello() -> Hello {
    unsigned_hello().sign(&challenge(), &key())
}

pub(crate) fn welcome() -> Welcome {
    Welcome { session: SessionId(77), ping_interval_ms: 15_000, idle_limit_ms: 45_000, checkpoint_interval_ms: 60_000 }
}

pub(crate) fn segment(task: u64, steps: u64) -> Segment {
    Segment {
        task: TaskId(task),
        job: job(),
        program: text("squarings/1/10000"),
        parameters: ParametersId([4; 32]),
        first: number(1000),
        steps: number(steps),
        start: Bytes::new([1; 32]).expect("a short state"),
        soft_ms: 120_000,
        hard_ms: 240_000,
    }
}

pub(crate) fn merge(task: u64, left: &[u8], right: Option<&[u8]>) -> Merge {
    let blob = |bytes: &[u8]| Blob { upload: UploadId::of(bytes), bytes: number(bytes.len() as u64) };
    Merge {
        task: TaskId(task),
        job: job(),
        program: text("rollup/1"),
        parameters: ParametersId([4; 32]),
        left: blob(left),
        right: right.map(blob),
        soft_ms: 60_000,
        hard_ms: 60_000,
    }
}

pub(crate) fn chunk(upload: UploadId, offset: u64, bytes: &[u8]) -> Chunk {
    Chunk { upload, offset: number(offset), bytes: Bytes::new(bytes).expect("a short chunk") }
}

pub(crate) fn offer(task: u64, first: u64, steps: u64, proof: &[u8]) -> Offer {
    Offer {
        upload: UploadId::of(proof),
        task: TaskId(task),
        first: number(first),
        steps: number(steps),
        bytes: number(proof.len() as u64),
    }
}

pub(crate) fn stored(upload: UploadId, bytes: u64) -> Stored {
    Stored { upload, bytes: number(bytes) }
}

pub(crate) fn goodbye() -> Goodbye {
    Goodbye { code: GoodbyeCode::Closing, text: text("the coordinator restarts; connect again in a while") }
}

/// Before it is signed.
pub(crate) fn unsigned_push() -> PushTask {
    PushTask {
        version: 1,
        key: PublicKey([0; 32]),
        audience: text("https://fold.example/push"),
        nonce: [8; 32],
        issued_s: 1_800_000_000,
        expires_s: 1_800_000_120,
        job: job(),
        program: text("squarings/1/10000"),
        parameters: ParametersId([4; 32]),
        payout: Address([9; 20]),
        start: Bytes::new([1; 32]).expect("a short state"),
        inputs: inputs(&[b"one", b"", b"three"]),
        signature: [0; 64],
    }
}

pub(crate) fn push() -> PushTask {
    unsigned_push().sign(&key())
}

const UPLOAD: UploadId = UploadId([6; 32]);

pub(crate) fn from_prover() -> Vec<(&'static str, FromProver)> {
    let release = |reason| Release { task: TaskId(3), kept: number(17), reason }.into();
    vec![
        ("Hello", hello().into()),
        ("Goodbye", goodbye().into()),
        ("Ready", Ready { tasks: number(2), merges: number(1) }.into()),
        ("Credit", Credit { task: TaskId(3), bytes: 1 << 20 }.into()),
        ("Progress", Progress { task: TaskId(3), steps: number(42) }.into()),
        ("Release paused", release(ReleaseReason::Paused)),
        ("Release closing", release(ReleaseReason::Closing)),
        ("Release out of memory", release(ReleaseReason::OutOfMemory)),
        ("Release unable", release(ReleaseReason::Unable(text("no program rollup/2")))),
        ("Release failed", release(ReleaseReason::Failed(text("input 3 is none")))),
        ("Release starved", release(ReleaseReason::Starved)),
        ("Release deadline", release(ReleaseReason::Deadline)),
        ("Offer", offer(3, 1000, 17, b"proof").into()),
        ("Want", Want { upload: UPLOAD, offset: number(0) }.into()),
        ("Chunk", chunk(UPLOAD, 4, b"of").into()),
        ("Stored", stored(UPLOAD, 4).into()),
        ("Ping", Ping { number: 1 }.into()),
        ("Pong", Pong { number: 2 }.into()),
    ]
}

pub(crate) fn from_coordinator() -> Vec<(&'static str, FromCoordinator)> {
    let cancel = |reason| Cancel { task: TaskId(3), reason }.into();
    let verdict = |outcome| Verdict { upload: UPLOAD, outcome }.into();
    vec![
        ("Challenge", challenge().into()),
        ("Goodbye", goodbye().into()),
        ("Welcome", welcome().into()),
        ("Segment", segment(3, 100).into()),
        ("Inputs", Inputs { task: TaskId(3), index: number(5), inputs: inputs(&[b"one", b"", b"three"]) }.into()),
        ("Cancel job ended", cancel(CancelReason::JobEnded)),
        ("Cancel covered", cancel(CancelReason::Covered)),
        ("Cancel deadline", cancel(CancelReason::Deadline)),
        ("Merge", merge(4, b"left", Some(b"right")).into()),
        ("Merge of one", merge(4, b"left", None).into()),
        ("Want", Want { upload: UPLOAD, offset: number(262_144) }.into()),
        ("Chunk", chunk(UPLOAD, 4, b"of").into()),
        ("Stored", stored(UPLOAD, 1 << 20).into()),
        ("Verdict accepted", verdict(Outcome::Accepted(number(17)))),
        ("Verdict spare", verdict(Outcome::Spare)),
        ("Verdict duplicate", verdict(Outcome::Duplicate(number(17)))),
        ("Verdict not needed", verdict(Outcome::NotNeeded)),
        ("Verdict refused", verdict(Outcome::Refused(text("the proof does not verify")))),
        ("Verdict superseded", verdict(Outcome::Superseded)),
        ("Ping", Ping { number: 1 }.into()),
        ("Pong", Pong { number: 2 }.into()),
    ]
}
