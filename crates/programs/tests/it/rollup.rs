//! A real batch of payments, proved by two provers and verified.

use crowdfold_fold::{Address, Context, Fr, Job, Parameters, Segment, Srs, StepFunction, merge, verify};
use crowdfold_programs::rollup::workload::{Workload, WorkloadParams};
use crowdfold_programs::rollup::{Accounts, Index, MemoryAccounts, Request, State, build};
use crowdfold_programs::{Builtin, Program};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

#[test]
fn batches_are_proved_in_pieces_and_merged() {
    let program = Builtin::from_name("rollup/1").expect("it is built in");
    let params = Parameters::generate(program, &Srs::insecure_development(1 << 16)).expect("parameters");
    let program = params.prover().step();
    let mut rng = ChaCha20Rng::seed_from_u64(1);

    // Two batches of five requests, some of them refused: three steps each.
    let contract = Address([1; 20]);
    let domain = State::domain(31337, contract);
    let work =
        WorkloadParams { accounts: 20, invalid: 0.2, deposits: 0.3, withdrawals: 0.3, domain, ..Default::default() };
    let mut workload = Workload::new(work, ChaCha20Rng::seed_from_u64(2));
    let mut tree = MemoryAccounts::in_order(workload.genesis()).expect("few accounts");
    let Ok(root) = tree.root();
    let mut state = State::genesis(root, domain, Index::new(3).expect("below 2^24"));

    let job = Job { chain_id: 31337, contract, job_id: [2; 32] };
    let mut ranges = Vec::new();
    for _ in 0..2 {
        let requests: Vec<Request> = workload.by_ref().take(8).map(|item| item.request).collect();
        let outcome = build(&tree, state, &requests, &mut rng).expect("a batch");
        assert!(!outcome.refused.is_empty() || requests.len() == outcome.receipts.len());
        let plan = program.plan(&outcome.batch.to_bytes()).expect("a job");
        assert_eq!((&plan.start[..], plan.steps), (&state.to_elements()[..], 3));

        let mut start = plan.start;
        let mut steps = plan.inputs;
        for (prover, count) in [(1, 2), (2, 1)] {
            let context = Context { job, prover: Address([prover; 20]) };
            let mut segment = Segment::new(params.prover(), context, start).expect("a state");
            for input in steps.by_ref().take(count) {
                // As it goes over the wire.
                let bytes = program.encode_input(&input.expect("it is planned"));
                segment.push(&program.decode_input(&bytes).expect("canonical"), &mut rng).expect("it is allowed");
            }
            start = segment.state().to_vec();
            ranges.push(segment.finish(&mut rng).expect("it has steps"));
        }
        assert!(steps.next().is_none());
        assert_eq!(start, outcome.end.to_elements());
        assert_eq!(outcome.end.fees, Fr::from(0));
        tree.commit(outcome.changes);
        state = outcome.end;
    }

    // Both batches settle in one proof.
    let first = merge(&params, &ranges[0], Some(&ranges[1]), &mut rng).expect("adjacent");
    let second = merge(&params, &ranges[2], Some(&ranges[3]), &mut rng).expect("adjacent");
    let root = merge(&params, &first, Some(&second), &mut rng).expect("adjacent");
    verify(&params, &root, &mut rng).expect("it is valid");
    assert_eq!((root.count(), root.end()), (6, &state.to_elements()[..]));
}
