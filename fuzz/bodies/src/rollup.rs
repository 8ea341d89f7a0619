//! The rollup's decoders, and that of programs' names.

use crate::mutation::{Template, build};
use crate::sampled;
use crowdfold_fold::{Address, Fr, StepFunction};
use crowdfold_programs::eddsa::SecretKey;
use crowdfold_programs::rollup::{
    Account, Accounts, Batch, BatchBuilder, Deposit, INPUT_BYTES, Index, MAX_JOB_BYTES, MAX_TRANSACTIONS,
    MemoryAccounts, Rollup, SignedTransaction, State, StepInput, Transaction,
};
use crowdfold_programs::{Builtin, PlanError, Program};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::sync::LazyLock;

/// One in so many jobs that can be split is also executed.
const EXECUTE_ONE_IN: u8 = 16;
/// Where the entries of a batch start: after the mark, seven elements of the state and the number of entries.
const ENTRIES: usize = 8 + 7 * 32 + 4;
/// The longest name of a program, as parameter files hold it.
const MAX_NAME_BYTES: usize = 256;

pub(crate) struct RollupFixture {
    /// A batch of all kinds of transactions, and one of none, with the entries as hole.
    pub(crate) batches: Vec<Template>,
    /// The inputs of the steps of the first, with the first transaction and its signature as hole.
    pub(crate) inputs: Vec<Template>,
}

pub(crate) static ROLLUP: LazyLock<RollupFixture> = LazyLock::new(RollupFixture::make);

impl RollupFixture {
    fn make() -> Self {
        let accounts = (0..3).map(|number| Account { key: secret(number).public(), balance: 1000, nonce: 0 });
        let tree = MemoryAccounts::in_order(accounts).expect("few accounts");
        let Ok(root) = tree.root();
        let start = State::genesis(root, State::domain(31337, Address([7; 20])), index(0));
        let batch = |full: bool| {
            let mut builder = BatchBuilder::new(&tree, start).expect("a state between batches");
            if full {
                fill(&mut builder, start.domain);
            }
            builder.finish().expect("it can be sealed").batch
        };
        let template = |batch: &Batch| {
            let bytes = batch.to_bytes();
            let end = bytes.len() - batch.tree().to_bytes().len();
            Template { bytes, hole: ENTRIES..end }
        };
        let (full, empty) = (batch(true), batch(false));
        let batches = vec![template(&full), template(&empty)];
        let steps = full.into_steps(&mut ChaCha20Rng::seed_from_u64(1)).expect("all of it is allowed");
        let input = |step: Result<StepInput, _>| {
            let bytes = step.expect("all of it is allowed").to_bytes();
            // After the point and the root's children, the fields of any kind, then a flag and the signature.
            Template { bytes, hole: 9 * 32..9 * 32 + 121 + 1 + 64 }
        };
        Self { batches, inputs: steps.map(input).collect() }
    }
}

/// A transfer to another and to oneself, a withdrawal, and a deposit for an old and a new key: two steps.
fn fill(builder: &mut BatchBuilder<&MemoryAccounts>, domain: Fr) {
    let transfer = |to, nonce| Transaction::Transfer { from: index(1), to: index(to), nonce, fee: 1, amount: 10 };
    let withdrawal =
        Transaction::Withdrawal { from: index(2), nonce: 0, fee: 2, amount: 20, address: Address([5; 20]) };
    for (signer, transaction) in [(1, transfer(2, 0)), (1, transfer(1, 1)), (2, withdrawal)] {
        let signed = SignedTransaction::sign(transaction, domain, &secret(signer)).expect("it takes a signature");
        let Ok(verified) = builder.verify(&signed);
        let Ok(done) = builder.execute(&verified.expect("just signed"));
        done.expect("it is allowed");
    }
    for owner in [2, 9] {
        let Ok(done) = builder.deposit(&Deposit { key: secret(owner).public(), amount: 30 });
        done.expect("it is allowed");
    }
}

fn secret(number: u8) -> SecretKey {
    SecretKey::from_bytes([number; 32])
}

fn index(number: u32) -> Index {
    Index::new(number).expect("below 2^24")
}

/// `StepInput::from_bytes`: what decodes encodes to the same bytes and is as long as announced, and what the program makes of
/// it is not worth a panic.
///
/// The input is raw bytes, edits of a valid step's input, or such an input with another first transaction.
///
/// # Panics
/// When it does not hold.
pub fn step_input(data: &[u8]) {
    let bytes = build(data, &ROLLUP.inputs);
    let Ok(input) = StepInput::from_bytes(&bytes) else { return };
    assert!(input.to_bytes() == bytes, "a step's input has two encodings");
    assert_eq!(bytes.len(), INPUT_BYTES);
    assert!(bytes.len() <= Rollup.max_input_bytes());
    if sampled(data, EXECUTE_ONE_IN) {
        // Of the states that could come before, this one lets the input get far.
        let state = Rollup.plan(&ROLLUP.batches[0].bytes).expect("it is allowed").start;
        drop(Rollup.apply(&state, &input));
    }
}

/// `Batch::from_bytes` and [`Program::plan`]: what decodes encodes to the same bytes and keeps to the limits; what can be
/// planned has as many steps as it says, all of which are executed, and ends sealed.
///
/// The input is raw bytes, edits of a batch, or a batch with other transactions.
///
/// # Panics
/// When it does not hold.
pub fn batch(data: &[u8]) {
    let bytes = build(data, &ROLLUP.batches);
    let Ok(batch) = Batch::from_bytes(&bytes) else {
        assert!(Rollup.plan(&bytes).is_err(), "a job is planned that does not decode");
        return;
    };
    assert!(batch.to_bytes() == bytes, "a batch has two encodings");
    assert!(bytes.len() <= MAX_JOB_BYTES && batch.entries().len() <= MAX_TRANSACTIONS);
    let steps = batch.num_steps();
    let plan = match Rollup.plan(&bytes) {
        Ok(plan) => plan,
        Err(PlanError::Refused { .. }) => return,
        Err(error) => panic!("it decodes, and planning it says: {error}"),
    };
    assert_eq!((plan.steps, &plan.start[..]), (steps as u64, &batch.start().to_elements()[..]));
    if sampled(data, EXECUTE_ONE_IN) {
        let mut end = plan.start.clone();
        for step in plan.execute(&Rollup) {
            let step = step.expect("what was checked is executed");
            assert!(StepInput::from_bytes(&step.input.to_bytes()).expect("it was just encoded") == step.input);
            end = step.state;
        }
        assert!(State::try_from(&end[..]).expect("a state").is_between_batches(), "the batch is not sealed");
    }
}

/// `SignedTransaction::from_bytes` and `Deposit::from_bytes`: what decodes encodes to the same bytes and is no longer than
/// announced.
///
/// # Panics
/// When it does not hold.
pub fn transaction(data: &[u8]) {
    if let Ok(signed) = SignedTransaction::from_bytes(data) {
        assert_eq!(signed.to_bytes(), data, "a signed transaction has two encodings");
        assert!(data.len() <= SignedTransaction::MAX_BYTES && signed.transaction().is_signed());
    }
    if let Ok(deposit) = Deposit::from_bytes(data) {
        assert_eq!(deposit.to_bytes(), data, "a deposit has two encodings");
    }
}

/// `Builtin::from_name`: a program has just the name that it was found by, and what it says of itself is within limits.
///
/// # Panics
/// When it does not hold.
pub fn program_name(data: &[u8]) {
    let Ok(name) = std::str::from_utf8(data) else { return };
    let Some(program) = Builtin::from_name(name) else { return };
    assert_eq!(program.name(), name, "a program has two names");
    assert!(name.len() <= MAX_NAME_BYTES);
    assert!((1..=crowdfold_fold::limits::MAX_ARITY).contains(&program.arity()));
    assert!(program.max_job_bytes() > 0 && !program.summary().is_empty());
    // Nothing but a job of the program is planned.
    assert!(program.plan(&[]).is_err());
    let shape = program.encode_input(&program.shape_input());
    assert!(shape.len() <= program.max_input_bytes());
    program.decode_input(&shape).expect("it was just encoded");
}
