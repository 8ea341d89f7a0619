use super::*;
use crate::program::{PlanError, Program};
use crate::rollup::testing::{
    assert_strict, domain, index, rng, rollup, secret, signed, state_of, transfer, withdrawal,
};
use crate::rollup::workload::{WorkItem, Workload, WorkloadParams};
use crate::rollup::{Accounts, MemoryAccounts, Refusal, Request, Rollup, StepInput};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// Makes a batch.
fn batch(tree: &MemoryAccounts, start: State, requests: &[Request]) -> Outcome {
    build(tree, start, requests, &mut rng()).expect("a batch")
}

/// Proves nothing, but does everything that is proved; checks the outcome, and returns the inputs.
fn check(tree: &mut MemoryAccounts, start: State, outcome: Outcome) -> (State, Vec<StepInput>) {
    let job = outcome.batch.to_bytes();
    assert!(job.len() <= MAX_JOB_BYTES);
    let plan = Rollup.plan(&job).expect("the batch is a job");
    assert_eq!((&plan.start[..], plan.steps), (&start.to_elements()[..], outcome.batch.num_steps() as u64));
    let mut execution = plan.execute(&Rollup);
    let inputs: Vec<StepInput> = execution.by_ref().map(|step| step.expect("it is accepted").input).collect();
    let end = State::try_from(execution.state()).expect("eleven elements");
    assert_eq!(end, outcome.end);
    assert!(end.is_between_batches());

    let words: Vec<Fr> =
        inputs.iter().flat_map(|input| &input.slots).flat_map(|slot| slot.transaction.words()).collect();
    assert_eq!(outcome.data.words(), words);
    let data = BatchData::from_bytes(&outcome.data.to_bytes()).expect("it was just encoded");
    assert!(data.check(data.hash(), start.sealed, end.sealed));
    assert_eq!(inputs.first().map(|input| input.point), Some(data.point(data.hash())));

    let counted = outcome.receipts.len() as u64;
    assert_eq!(end.count, start.count + Fr::from(counted));
    tree.commit(outcome.changes);
    assert_eq!(tree.root(), Ok(end.root));
    (end, inputs)
}

fn deposit(number: u8, amount: u128) -> Request {
    Request::Deposit(Deposit { key: secret(number).public(), amount })
}

#[test]
fn a_batch_of_nothing_is_a_seal() {
    let (mut tree, start) = rollup(1);
    let outcome = batch(&tree, start, &[]);
    let (end, inputs) = check(&mut tree, start, outcome);
    assert_eq!((inputs.len(), end.root, end.count), (1, start.root, start.count));
    assert_ne!(end.sealed, start.sealed);
}

#[test]
fn deposits_fill_an_empty_tree() {
    let mut tree = MemoryAccounts::default();
    let start = state_of(&tree);
    let outcome = batch(&tree, start, &[deposit(1, 10), deposit(2, 20), deposit(1, 5), deposit(3, 0)]);
    assert_eq!(outcome.refused, []);
    let (end, inputs) = check(&mut tree, start, outcome);
    assert_eq!(inputs.len(), 2);
    let held: Vec<_> = tree.iter().map(|(index, account)| (index.get(), account.balance)).collect();
    assert_eq!(held, [(0, 15), (1, 20), (2, 0)]);
    let links = [(1, 10), (2, 20), (1, 5), (3, 0)];
    let link = |d, (key, amount)| Deposit { key: secret(key).public(), amount }.link(d);
    assert_eq!(end.deposits, links.into_iter().fold(Fr::ZERO, link));
}

#[test]
fn who_was_just_created_can_spend() {
    let (mut tree, start) = rollup(1);
    let spend = |amount| {
        let transaction = transfer(1, 0, 0, 1, amount);
        Request::Signed(SignedTransaction::sign(transaction, domain(), &secret(50)).expect("a transfer"))
    };
    let stolen = SignedTransaction::sign(transfer(1, 0, 0, 1, 1), domain(), &secret(51)).expect("a transfer");
    let outcome = batch(&tree, start, &[spend(9), deposit(50, 10), Request::Signed(stolen), spend(9), spend(9)]);
    let refused = [
        (0, Refusal::UnknownAccount { index: index(1) }),
        (2, Refusal::BadSignature { index: index(1) }),
        (4, Refusal::WrongNonce { index: index(1), expected: 1, found: 0 }),
    ];
    assert_eq!(outcome.refused, refused);
    check(&mut tree, start, outcome);
    assert_eq!(tree.account(index(0)).map(|account| account.map(|account| account.balance)), Ok(Some(1010)));
}

#[test]
fn what_was_refused_leaves_no_trace() {
    let (tree, start) = rollup(3);
    let good = [Request::Signed(signed(transfer(1, 2, 0, 1, 10))), Request::Signed(signed(transfer(1, 1, 1, 1, 10)))];
    let bad = Request::Signed(signed(transfer(1, 2, 7, 1, 10)));
    let (with, without) = (batch(&tree, start, &[good[0], bad, good[1], bad]), batch(&tree, start, &good));
    assert_eq!(with.batch, without.batch);
    assert_eq!((with.end, with.changes), (without.end, without.changes));
    assert_eq!(with.refused.len(), 2);
}

#[test]
fn a_second_batch_refuses_what_the_first_executed() {
    let (mut tree, start) = rollup(3);
    let requests = [Request::Signed(signed(transfer(1, 2, 0, 1, 10))), Request::Signed(signed(withdrawal(2, 0, 3, 1)))];
    let outcome = batch(&tree, start, &requests);
    let (second, _) = check(&mut tree, start, outcome);
    let outcome = batch(&tree, second, &requests);
    let replayed = |number| Refusal::WrongNonce { index: index(number), expected: 1, found: 0 };
    assert_eq!(outcome.refused, [(0, replayed(1)), (1, replayed(2))]);
    let (end, _) = check(&mut tree, second, outcome);
    assert_eq!((end.root, end.withdrawals), (second.root, second.withdrawals));
}

#[test]
fn batches_begin_where_they_can() {
    let (tree, start) = rollup(3);
    let build = |state| BatchBuilder::new(&tree, state).map(drop);
    assert!(build(start).is_ok());
    assert!(matches!(build(State { fees: Fr::ONE, ..start }), Err(BuildError::Open)));
    assert!(matches!(build(State { root: Fr::ONE, ..start }), Err(BuildError::WrongRoot)));
    assert!(matches!(build(State { operator: -Fr::ONE, ..start }), Err(BuildError::Operator)));
    let no_operator = BatchBuilder::new(&tree, State { operator: Fr::from(3), ..start }).expect("it begins").finish();
    assert!(matches!(no_operator, Err(BuildError::Seal(Refusal::UnknownAccount { .. }))));
}

#[test]
fn a_batch_takes_no_more_than_its_limit() {
    let (tree, start) = rollup(1);
    let mut builder = BatchBuilder::new(&tree, start).expect("it begins");
    let Request::Deposit(deposit) = deposit(0, 1) else { unreachable!() };
    let Ok(first) = builder.deposit(&deposit);
    let entry = Entry::Deposit { to: index(0), deposit };
    (1..MAX_TRANSACTIONS).for_each(|_| {
        builder.push(entry, first.clone().expect("it is allowed"));
    });
    let Ok(done) = builder.deposit(&deposit);
    assert_eq!(done, Err(Refusal::BatchFull { limit: MAX_TRANSACTIONS }));
    assert_eq!(builder.len(), MAX_TRANSACTIONS);
}

#[test]
fn jobs_round_trip_strictly() {
    let (tree, start) = rollup(12);
    let requests = [
        Request::Signed(signed(transfer(1, 11, 0, 1, 10))),
        deposit(99, 5),
        Request::Signed(signed(withdrawal(2, 0, 3, 1))),
    ];
    let batch = batch(&tree, start, &requests).batch;
    let bytes = batch.to_bytes();
    assert_eq!(Batch::from_bytes(&bytes).expect("it was just encoded"), batch);
    assert_strict(&bytes, Batch::from_bytes, Batch::to_bytes);
}

#[test]
fn other_jobs_are_refused() {
    let (tree, start) = rollup(2);
    let bytes = batch(&tree, start, &[Request::Signed(signed(transfer(1, 0, 0, 1, 10)))]).batch.to_bytes();
    let refused = |change: &dyn Fn(&mut Vec<u8>), expected: &str, offset: usize| {
        let mut other = bytes.clone();
        change(&mut other);
        match Batch::from_bytes(&other) {
            Err(Error::Decode { what, at, .. }) => assert_eq!((what, at), (expected, offset)),
            found => panic!("{expected}: {found:?}"),
        }
    };
    refused(&|bytes| bytes[7] = b'2', "job", 0);
    refused(&|bytes| bytes[8 + 31] = 0xff, "state", 8);
    refused(&|bytes| bytes[8 + 6 * 32 + 3] = 1, "operator", 8 + 6 * 32);
    refused(&|bytes| bytes[236] = 4, "kind", 236);
    refused(&|bytes| bytes[8] ^= 1, "part of the tree", 337);
    refused(&|bytes| bytes[337 + 64] ^= 1, "part of the tree", 337);
    refused(&|bytes| bytes.push(0), "the end", bytes.len());

    let mut many = bytes.clone();
    many[232..236].copy_from_slice(&(MAX_TRANSACTIONS as u32 + 1).to_le_bytes());
    assert!(matches!(Batch::from_bytes(&many), Err(Error::Limit { limit: 65536, found: 65537, .. })));
    assert_eq!(MAX_JOB_BYTES, 87_117_334, "what the specification says");
    assert!(matches!(Rollup.plan(&vec![0; MAX_JOB_BYTES + 1]), Err(PlanError::TooLarge { .. })));
    assert!(matches!(Rollup.plan(&bytes[..100]), Err(PlanError::Decode { .. })));
}

#[test]
fn a_plan_refuses_what_is_not_allowed() {
    let (tree, start) = rollup(3);
    let good = batch(
        &tree,
        start,
        &(0..4).map(|nonce| Request::Signed(signed(transfer(1, 2, nonce, 1, 10)))).collect::<Vec<_>>(),
    );
    let plan = |change: &dyn Fn(&mut Batch)| {
        let mut other = good.batch.clone();
        change(&mut other);
        match Rollup.plan(&other.to_bytes()) {
            Err(PlanError::Refused { step, reason }) => (step, reason),
            found => panic!("{found:?}"),
        }
    };
    let (step, reason) = plan(&|batch| batch.entries[3] = batch.entries[0]);
    assert_eq!((step, reason.contains("transaction 3")), (1, true), "{reason}");
    let forged = SignedTransaction::new(transfer(1, 2, 1, 1, 11), *signed(transfer(1, 2, 1, 1, 10)).signature());
    let (step, reason) = plan(&|batch| batch.entries[1] = Entry::Signed(forged.expect("a transfer")));
    assert_eq!((step, reason.contains("transaction 1") && reason.contains("signature")), (0, true), "{reason}");
    let entry = Entry::Deposit { to: index(2), deposit: Deposit { key: secret(1).public(), amount: 1 } };
    let (step, reason) = plan(&|batch| batch.entries[2] = entry);
    assert_eq!((step, reason.contains("another key")), (0, true), "{reason}");
}

#[test]
fn a_deposit_may_go_to_another_index() {
    // A dishonest operator gives the owner of account 1 a second account.
    let (tree, start) = rollup(2);
    let accounts: std::collections::BTreeSet<Index> = [0, 1, 7].map(index).into();
    let entries = vec![Entry::Deposit { to: index(7), deposit: Deposit { key: secret(1).public(), amount: 5 } }];
    let Ok(part) = PartialTree::of(&tree, &accounts);
    let other = Batch { start, operator: index(0), entries, tree: part };
    // Account 1 is not named, so it does not belong into the part.
    Batch::from_bytes(&other.to_bytes()).expect_err("an account too much");
    let Ok(part) = PartialTree::of(&tree, &[0, 7].map(index).into());
    let other = Batch { tree: part, ..other };
    let plan = Rollup.plan(&other.to_bytes()).expect("it is allowed");
    assert_eq!(plan.execute(&Rollup).filter_map(Result::ok).count(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn random_work_is_executed_and_keeps_the_sum_of_all_money(
        seed in any::<u64>(), accounts in 2u32..30, counts in prop::collection::vec(0usize..25, 1..3),
    ) {
        let params = WorkloadParams {
            accounts, invalid: 0.15, deposits: 0.2, withdrawals: 0.2, domain: domain(), balance: 1 << 66, ..WorkloadParams::default()
        };
        let mut workload = Workload::new(params, ChaCha20Rng::seed_from_u64(seed));
        let mut tree = MemoryAccounts::in_order(workload.genesis()).expect("few accounts");
        let mut state = state_of(&tree);
        let total = |tree: &MemoryAccounts| tree.iter().map(|(_, account)| account.balance).sum::<u128>();
        for count in counts {
            let items: Vec<WorkItem> = workload.by_ref().take(count).collect();
            let requests: Vec<Request> = items.iter().map(|item| item.request).collect();
            let outcome = batch(&tree, state, &requests);
            let refused: Vec<usize> = outcome.refused.iter().map(|(position, _)| *position).collect();
            let invalid: Vec<usize> = items.iter().enumerate().filter(|(_, item)| !item.is_valid).map(|(i, _)| i).collect();
            prop_assert_eq!(refused, invalid);

            // The seal brings the fees back, so what enters and leaves is deposits and withdrawals.
            let before = total(&tree);
            let (mut into, mut out) = (0, 0);
            for receipt in &outcome.receipts {
                match receipt.transaction {
                    Transaction::Deposit { amount, .. } => into += amount,
                    Transaction::Withdrawal { amount, .. } => out += amount,
                    _ => {}
                }
            }
            state = check(&mut tree, state, outcome).0;
            prop_assert_eq!(before + into, total(&tree) + out);
        }
    }
}
