//! Whatever a coordinator says, the prover neither panics nor grows.

use crate::model::{LOADED, Model, PROGRAM};
use crate::world::{JOB, config};
use crowdfold_prover::{Effect, Prover, Purpose};
use crowdfold_wire::{
    Blob, Bytes, Cancel, CancelReason, Challenge, Chunk, FromCoordinator, Goodbye, GoodbyeCode, InputList, Inputs,
    Merge, Millis, Outcome, ParametersId, Ping, Pong, Segment, SessionId, SigningKey, Stored, TaskId, Text, UploadId,
    Verdict, Want, Welcome, Within,
};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

#[derive(Clone, Debug)]
enum Act {
    Says(FromCoordinator),
    /// About the proof that was kept last.
    SaysOfLast(u8, u64),
    Frame(Vec<u8>),
    Connect,
    Disconnect(u64),
    Wait(u64),
    Work(u8),
    Pause,
    Resume,
    Stop,
    Parameters(bool),
}

fn blobs() -> impl Strategy<Value = UploadId> {
    (0..4_u8).prop_map(|i| UploadId::of(&[i; 3]))
}

fn within<const A: u64, const B: u64>(most: u64) -> impl Strategy<Value = Within<A, B>> {
    prop_oneof![9 => A..=most, 1 => A..=B].prop_map(|number| Within::new(number).expect("within"))
}

fn parameters() -> impl Strategy<Value = ParametersId> {
    prop_oneof![4 => Just(LOADED), 1 => (0..9_u8).prop_map(|i| ParametersId([i; 32]))]
}

fn program() -> impl Strategy<Value = &'static str> {
    prop_oneof![9 => Just(PROGRAM), 1 => Just("other/1")]
}

fn segment() -> impl Strategy<Value = FromCoordinator> {
    let ms = prop_oneof![0..30_000_u32, Just(u32::MAX)];
    (0..9_u64, program(), parameters(), within(50), within(20), 7..9_usize, ms).prop_map(
        |(task, program, parameters, first, steps, length, hard_ms)| {
            let (program, start) = (Text::new(program).expect("short"), Bytes::new(vec![1; length]).expect("short"));
            let task = TaskId(task);
            Segment { task, job: JOB, program, parameters, first, steps, start, soft_ms: 0, hard_ms }.into()
        },
    )
}

fn merge() -> impl Strategy<Value = FromCoordinator> {
    let sizes = prop_oneof![Just(3_u64), 1..2_000_000_000_u64];
    (0..9_u64, program(), parameters(), blobs(), proptest::option::of(blobs()), sizes, 0..50_000_u32).prop_map(
        |(task, program, parameters, left, right, size, hard_ms)| {
            let bytes = Within::new(size.min(1 << 30)).expect("within");
            let blob = |upload| Blob { upload, bytes };
            let program = Text::new(program).expect("short");
            let (left, right) = (blob(left), right.map(blob));
            Merge { task: TaskId(task), job: JOB, program, parameters, left, right, soft_ms: 0, hard_ms }.into()
        },
    )
}

fn inputs() -> impl Strategy<Value = FromCoordinator> {
    let list = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..5), 1..30);
    (0..9_u64, within(20), list).prop_map(|(task, index, list)| {
        let inputs = InputList::fill(&mut list.iter().map(|input| &input[..]).peekable(), u64::MAX);
        let inputs = inputs.expect("short").expect("at least one");
        Inputs { task: TaskId(task), index, inputs }.into()
    })
}

fn message() -> impl Strategy<Value = FromCoordinator> {
    let text = || Text::lossy("text");
    prop_oneof![
        5 => segment(),
        6 => inputs(),
        2 => merge(),
        1 => Just(Challenge::new([1; 32]).into()),
        2 => (500..100_000_u32).prop_map(|checkpoint_interval_ms| Welcome {
            session: SessionId(1), ping_interval_ms: 5_000, idle_limit_ms: 9_000, checkpoint_interval_ms }.into()),
        1 => Just(Goodbye { code: GoodbyeCode::Full, text: text() }.into()),
        2 => (0..9_u64).prop_map(|task| Cancel { task: TaskId(task), reason: CancelReason::Covered }.into()),
        1 => (blobs(), within(9)).prop_map(|(upload, offset)| Want { upload, offset }.into()),
        3 => (0..4_u8, within(3)).prop_map(|(i, offset)| Chunk {
            upload: UploadId::of(&[i; 3]), offset, bytes: Bytes::new([i; 3]).expect("short") }.into()),
        1 => (blobs(), within(9)).prop_map(|(upload, bytes)| Stored { upload, bytes }.into()),
        1 => blobs().prop_map(|upload| Verdict { upload, outcome: Outcome::Spare }.into()),
        1 => any::<u64>().prop_map(|number| Ping { number }.into()),
        1 => (0..5_u64).prop_map(|number| Pong { number }.into()),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        20 => message().prop_map(Act::Says),
        4 => (0..4_u8, prop_oneof![Just(0_u64), 0..400_000_u64]).prop_map(|(kind, at)| Act::SaysOfLast(kind, at)),
        1 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Act::Frame),
        3 => Just(Act::Connect),
        1 => any::<u64>().prop_map(Act::Disconnect),
        3 => prop_oneof![9 => 0..20_000_u64, 1 => Just(u64::MAX)].prop_map(Act::Wait),
        8 => (1..30_u8).prop_map(Act::Work),
        1 => Just(Act::Pause),
        3 => Just(Act::Resume),
        1 => Just(Act::Stop),
        1 => any::<bool>().prop_map(Act::Parameters),
    ]
}

/// A connection that begins as one should, so that what follows gets somewhere.
fn greet(prover: &mut Prover<Model>, now: Millis) {
    prover.connected(now);
    prover.frame(now, &FromCoordinator::from(Challenge::new([1; 32])).encode());
    let (ping_interval_ms, idle_limit_ms, checkpoint_interval_ms) = (5_000, 3_600_000, 2_000);
    let welcome = Welcome { session: SessionId(1), ping_interval_ms, idle_limit_ms, checkpoint_interval_ms };
    prover.frame(now, &FromCoordinator::from(welcome).encode());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_is_said_panics_or_piles_up(acts in proptest::collection::vec(act(), 1..120), merging: bool) {
        let mut config = config();
        config.held_bytes = 30 << 20;
        config.ready.tasks = Within::new(4).expect("four");
        config.ready.merges = Within::new(2).expect("two");
        let most = config.held_bytes;
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut now = Millis(0);
        let mut prover =
            Prover::new(now, config, Model { merging, ..Model::new() }, SigningKey::from_bytes(&[5; 32]));
        greet(&mut prover, now);
        let mut last = UploadId::of(&[0; 3]);
        for act in acts {
            match act {
                Act::Says(message) => prover.frame(now, &message.encode()),
                Act::SaysOfLast(kind, at) => {
                    let offset = Within::new(at).expect("within");
                    let message: FromCoordinator = match kind {
                        0 => Want { upload: last, offset }.into(),
                        1 => Stored { upload: last, bytes: offset }.into(),
                        2 => Verdict { upload: last, outcome: Outcome::Superseded }.into(),
                        _ => Verdict { upload: last, outcome: Outcome::NotNeeded }.into(),
                    };
                    prover.frame(now, &message.encode());
                }
                Act::Frame(bytes) => prover.frame(now, &bytes),
                Act::Connect => greet(&mut prover, now),
                Act::Disconnect(random) => prover.disconnected(now, random),
                Act::Wait(ms) => {
                    now = now.after(ms);
                    prover.tick(now);
                }
                Act::Work(times) => for _ in 0..times {
                    prover.work(now, &mut rng);
                    now = now.after(100);
                },
                Act::Pause => prover.pause(now),
                Act::Resume => prover.resume(now),
                Act::Stop => prover.stop(now),
                Act::Parameters(right) => {
                    let id = ParametersId([2; 32]);
                    let outcome = if right { Ok(&id.0[..]) } else { Err("not found") };
                    prover.parameters(now, id, Purpose::Fold, outcome);
                }
            }
            let mut effects = 0;
            while let Some(effect) = prover.next_effect() {
                effects += 1;
                if let Effect::Keep { upload, .. } = effect {
                    last = upload;
                }
            }
            prop_assert!(effects < 100);
            while prover.next_frame(now).is_some() {}
            let status = prover.status();
            prop_assert!(status.held_bytes <= most && status.waiting <= 16, "{status:?}");
            let _ = prover.wake_at();
        }
    }
}
