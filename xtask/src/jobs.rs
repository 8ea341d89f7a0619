//! Jobs to try programs with: a chain of squarings, and a batch of payments.

use anyhow::{Context as _, ensure};
use crowdfold_fold::Fr;
use crowdfold_programs::rollup::workload::{Workload, WorkloadParams};
use crowdfold_programs::rollup::{Accounts, Index, MemoryAccounts, Request, SLOTS, State, build};
use crowdfold_programs::{Builtin, Squarings};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::chain::JOB;

/// Accounts of the rollup that a batch is made for.
const ACCOUNTS: u32 = 1000;
/// Seed of the batch: the same steps for all who ask.
const SEED: u64 = 1;

/// A job of so many steps for the program, and what it is in words.
///
/// # Errors
/// If there is no such job, as for no steps.
pub(crate) fn of_steps(program: &Builtin, steps: usize) -> anyhow::Result<(Vec<u8>, String)> {
    ensure!(steps > 0, "a job has at least one step");
    match program {
        Builtin::Squarings(_) => {
            let inputs: Vec<Fr> = (1..=steps as u64).map(Fr::from).collect();
            Ok((Squarings::job(Fr::from(3), &inputs), format!("A chain of {steps} steps")))
        }
        Builtin::Rollup(_) => payments(steps),
    }
}

/// A batch of as many payments as the steps have slots for, besides the seal.
fn payments(steps: usize) -> anyhow::Result<(Vec<u8>, String)> {
    let domain = State::domain(JOB.chain_id, JOB.contract);
    let params = WorkloadParams { accounts: ACCOUNTS, domain, ..WorkloadParams::default() };
    let mut workload = Workload::new(params, ChaCha20Rng::seed_from_u64(SEED));
    let tree = MemoryAccounts::in_order(workload.genesis()).context("few accounts")?;
    let Ok(root) = tree.root();
    let state = State::genesis(root, domain, Index::default());
    let requests: Vec<Request> = workload.by_ref().take(SLOTS * steps - 1).map(|item| item.request).collect();
    let outcome = build(&tree, state, &requests, &mut ChaCha20Rng::seed_from_u64(SEED))?;
    ensure!(outcome.refused.is_empty(), "the workload has no invalid requests");
    let signed = requests.iter().filter(|request| matches!(request, Request::Signed(_))).count();
    let about = format!(
        "A batch of {} payments among {ACCOUNTS} accounts, {signed} of them signed and the others deposits, with {} bytes \
         of data",
        requests.len(),
        outcome.data.to_bytes().len(),
    );
    Ok((outcome.batch.to_bytes(), about))
}
