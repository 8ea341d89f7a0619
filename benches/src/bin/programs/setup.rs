//! What the parts measure with: parameters, and rollups with work for them.

use anyhow::{Context as _, ensure};
use crowdfold_fold::{Address, Context, Fr, Job, Parameters, Srs};
use crowdfold_programs::rollup::workload::{Workload, WorkloadParams};
use crowdfold_programs::rollup::{Accounts as _, Outcome};
use crowdfold_programs::rollup::{Index, MemoryAccounts, Request, Rollup, SLOTS, State, StepInput, build};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// Powers of tau: enough for M.
const POWERS: usize = 1 << 17;
/// Accounts of the rollup whose steps are proved.
const ACCOUNTS: u32 = 10_000;
/// Steps before the first that counts: the first two are of another kind, and by then the optimised code is there in a
/// browser.
pub(crate) const WARM_UP: usize = 3;
/// Steps that count. The seal's step comes after them.
const STEPS: usize = 7;

/// Parameters, and a batch to prove.
pub(crate) struct Setup {
    /// Of the rollup program.
    pub(crate) params: Parameters<Rollup>,
    /// What proofs are bound to.
    pub(crate) context: Context,
    /// The state before the batch.
    pub(crate) start: Vec<Fr>,
    /// The inputs of its steps, each with [`SLOTS`] transactions but the last, which seals.
    pub(crate) inputs: Vec<StepInput>,
    /// The state after it.
    pub(crate) end: Vec<Fr>,
}

impl Setup {
    /// Makes all of it. Takes seconds.
    pub(crate) fn generate() -> anyhow::Result<Self> {
        let work = Work::generate(ACCOUNTS, (WARM_UP + STEPS) * SLOTS)?;
        let outcome = work.batch()?;
        let start = work.start.to_elements().to_vec();
        let inputs: Vec<StepInput> = outcome.batch.into_steps(&mut rng(2))?.collect::<Result<_, _>>()?;
        ensure!(inputs.len() == WARM_UP + STEPS + 1, "the batch has {} steps", inputs.len());
        let params = Parameters::generate(Rollup, &Srs::insecure_development(POWERS))?;
        let job = Job { chain_id: 31337, contract: Address([7; 20]), job_id: [9; 32] };
        let context = Context { job, prover: Address([3; 20]) };
        Ok(Self { params, context, start, inputs, end: outcome.end.to_elements().to_vec() })
    }

    /// Of the seconds of all steps, those of a transaction in each step that counts.
    pub(crate) fn per_transaction(&self, times: &[f64]) -> Vec<f64> {
        times[WARM_UP..self.inputs.len() - 1].iter().map(|seconds| seconds / SLOTS as f64).collect()
    }
}

/// A rollup and what people ask of it.
pub(crate) struct Work {
    /// Its accounts.
    pub(crate) store: MemoryAccounts,
    /// Its state.
    pub(crate) start: State,
    /// Transfers, deposits and withdrawals of people, all of which can be executed in this order.
    pub(crate) requests: Vec<Request>,
}

impl Work {
    /// A rollup of so many accounts, and so many requests.
    pub(crate) fn generate(accounts: u32, requests: usize) -> anyhow::Result<Self> {
        let domain = State::domain(31337, Address([7; 20]));
        let mut workload = Workload::new(WorkloadParams { accounts, domain, ..WorkloadParams::default() }, rng(1));
        let store = MemoryAccounts::in_order(workload.genesis()).context("more accounts than indices")?;
        let Ok(root) = store.root();
        let start = State::genesis(root, domain, Index::default());
        let requests = workload.by_ref().take(requests).map(|item| item.request).collect();
        Ok(Self { store, start, requests })
    }

    /// All requests as one batch.
    pub(crate) fn batch(&self) -> anyhow::Result<Outcome> {
        let outcome = build(&self.store, self.start, &self.requests, &mut rng(3))?;
        ensure!(outcome.refused.is_empty(), "refused: {:?}", outcome.refused);
        Ok(outcome)
    }
}

/// A random source that is the same in each run.
pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}
