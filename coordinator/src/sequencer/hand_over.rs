//! Sealed batches become jobs, in order and once each.

use std::time::Duration;

use crowdfold_fold::Job;
use crowdfold_sched::Millis;

use super::{BatchJob, SequencerError, Shared, words};
use crate::store::{IdempotencyKey, StoreError, StoredBatch};

/// Time between two looks for batches without a job, should nobody say that there is one.
const TICK: Duration = Duration::from_secs(5);
/// Time until it is tried again what failed.
const RETRY: Duration = Duration::from_secs(5);
/// Milliseconds after the end of a job without a proof until its batch gets another one.
const AGAIN_MS: u64 = 60_000;

/// Hands batches over as they come.
pub(super) async fn run(shared: &Shared) -> Result<(), SequencerError> {
    loop {
        let wait = match hand_over_all(shared).await {
            Ok(()) => TICK,
            Err(error) if error.is_crash() => return Err(error),
            Err(error) => {
                tracing::error!(error = words(&error), "a batch waits for being handed over");
                RETRY
            }
        };
        tokio::select! {
            () = shared.sealed.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn hand_over_all(shared: &Shared) -> Result<(), SequencerError> {
    let store = &shared.options.storage.store;
    let before = Millis(shared.options.clock.now().0.saturating_sub(AGAIN_MS));
    for batch in store.retry_batches(before).await? {
        tracing::warn!(batch, "the job of a batch ended without a proof: it gets another");
    }
    while let Some(batch) = store.batch_to_hand_over().await? {
        hand_over(shared, &batch).await?;
    }
    Ok(())
}

async fn hand_over(shared: &Shared, batch: &StoredBatch) -> Result<(), SequencerError> {
    let (options, storage) = (&shared.options, &shared.options.storage);
    let bytes = storage.blobs.whole(batch.job_blob(), batch.job_bytes, batch.job_hash).await?;
    let (chain_id, contract) = options.settlement;
    // The key makes one job of it, should a crash come before its number is recorded.
    let key = format!("rollup batch {}, attempt {}", batch.number, batch.attempt);
    let job = BatchJob {
        number: batch.number,
        name: Job { chain_id, contract, job_id: batch.chain_job },
        program: options.settings.program.clone(),
        key: IdempotencyKey { key, body: batch.job_hash },
        bytes,
    };
    let job = options.jobs.accept(job).await.map_err(|error| match error.downcast_ref() {
        Some(StoreError::Crashed) => SequencerError::Crashed,
        _ => SequencerError::HandOver { batch: batch.number, why: words(&*error) },
    })?;
    storage.store.set_batch_job(batch.number, batch.attempt, job).await?;
    tracing::info!(batch = batch.number, %job, "a batch is a job");
    Ok(())
}
