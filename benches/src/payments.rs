//! Batches of payments, as jobs of the rollup program.

use anyhow::{Context as _, ensure};
use crowdfold_fold::Address;
use crowdfold_programs::rollup::workload::{Workload, WorkloadParams};
use crowdfold_programs::rollup::{Accounts as _, Batch, Index, MemoryAccounts, Request, SLOTS, State, build};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// Name of the program.
pub const ROLLUP: &str = "rollup/1";
/// Accounts of the rollup.
const ACCOUNTS: u32 = 1_000;

/// The state before a batch of so many steps, and the batch. Those of two seeds are not alike.
///
/// # Errors
/// If the workload is not what it should be.
pub fn batch(steps: usize, seed: u64) -> anyhow::Result<(State, Batch)> {
    let domain = State::domain(31_337, Address([0; 20]));
    let params = WorkloadParams { accounts: ACCOUNTS, domain, ..WorkloadParams::default() };
    let mut workload = Workload::new(params, ChaCha20Rng::seed_from_u64(seed));
    let accounts = MemoryAccounts::in_order(workload.genesis()).context("few accounts")?;
    let Ok(root) = accounts.root();
    let state = State::genesis(root, domain, Index::default());
    // The seal takes the last slot.
    let requests: Vec<Request> = workload.by_ref().take(SLOTS * steps - 1).map(|item| item.request).collect();
    let outcome = build(&accounts, state, &requests, &mut ChaCha20Rng::seed_from_u64(seed))?;
    ensure!(outcome.refused.is_empty(), "the workload has no invalid requests");
    Ok((state, outcome.batch))
}
