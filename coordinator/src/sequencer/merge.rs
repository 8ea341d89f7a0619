//! The proofs of a sequence's batches become one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crowdfold_fold::{Job, RangeProof, merge, verify};
use crowdfold_programs::Program as _;
use crowdfold_sched::ProofId;
use tokio::runtime::Handle;

use super::{SequencerError, Shared, words};
use crate::catalog::Entry;
use crate::chance;
use crate::store::{BatchState, Store as _, StoreError, StoredBatch, StoredSequence};

/// Time between two looks for sequences that are proved.
const TICK: Duration = Duration::from_secs(1);
/// Time until it is tried again what failed.
const RETRY: Duration = Duration::from_secs(30);

/// What is to be merged, and what has to come out.
#[derive(Clone, Debug)]
pub struct ToMerge {
    /// The name on the chain that all proofs have.
    pub name: Job,
    /// The proofs of its batches, in order.
    pub parts: Vec<ProofId>,
    /// Steps of all batches.
    pub steps: u64,
    /// Encoded state before the first batch.
    pub start: Vec<u8>,
    /// Encoded state after the last batch.
    pub end: Vec<u8>,
}

/// Reads a proof.
pub type ReadProof<'a> = dyn Fn(ProofId) -> Result<Bytes, String> + 'a;

/// Who merges proofs.
pub trait Merge: Send + Sync + std::fmt::Debug {
    /// Merges at least two proofs, and verifies what comes out. It may take long, and blocks.
    ///
    /// # Errors
    /// Why it can't be done, in words.
    fn merge(&self, sequence: &ToMerge, read: &ReadProof<'_>) -> Result<Bytes, String>;
}

/// The folding scheme with the parameters of a program.
#[derive(Clone, Debug)]
pub struct Folding(pub Arc<Entry>);

impl Folding {
    /// Merges as a balanced binary tree. At most one proof for each level of it is held at once.
    fn tree(
        &self,
        parts: &[ProofId],
        read: &ReadProof<'_>,
        rng: &mut rand_chacha::ChaCha20Rng,
    ) -> Result<RangeProof, String> {
        let parameters = &self.0.parameters;
        if let [part] = parts {
            return RangeProof::from_bytes(parameters, &read(*part)?).map_err(|error| error.to_string());
        }
        let (left, right) = parts.split_at(parts.len().div_ceil(2));
        let (left, right) = (self.tree(left, read, rng)?, self.tree(right, read, rng)?);
        merge(parameters, &left, Some(&right), rng).map_err(|error| error.to_string())
    }
}

impl Merge for Folding {
    fn merge(&self, sequence: &ToMerge, read: &ReadProof<'_>) -> Result<Bytes, String> {
        if sequence.parts.is_empty() {
            return Err("there are no proofs".into());
        }
        let mut rng = chance::generator().map_err(|error| error.to_string())?;
        let (parameters, program) = (&self.0.parameters, self.0.parameters.prover().step());
        let root = self.tree(&sequence.parts, read, &mut rng)?;
        // A merge is only as good as the memory that it was made in.
        verify(parameters, &root, &mut rng).map_err(|error| error.to_string())?;
        let is_right = *root.job() == sequence.name
            && root.count() == sequence.steps
            && program.encode_state(root.start()) == sequence.start
            && program.encode_state(root.end()) == sequence.end;
        if is_right { Ok(Bytes::from(root.to_bytes())) } else { Err("it is not of the sequence's batches".into()) }
    }
}

/// Merges sequences as they are proved.
pub(super) async fn run(shared: &Shared) -> Result<(), SequencerError> {
    loop {
        let wait = match merge_all(shared).await {
            Ok(()) => TICK,
            Err(error) if error.is_crash() => return Err(error),
            Err(error) => {
                tracing::error!(error = words(&error), "a sequence waits for being merged");
                RETRY
            }
        };
        tokio::select! {
            () = shared.proved.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn merge_all(shared: &Shared) -> Result<(), SequencerError> {
    while let Some(sequence) = shared.options.storage.store.sequence_to_merge().await? {
        merge_one(shared, &sequence).await?;
    }
    Ok(())
}

async fn merge_one(shared: &Shared, sequence: &StoredSequence) -> Result<(), SequencerError> {
    let (options, storage) = (&shared.options, &shared.options.storage);
    let failed = |why: String| SequencerError::Merge { sequence: sequence.number, why };
    let batches = storage.store.batches_of(sequence.number).await?;
    let proof = |batch: &StoredBatch| batch.root.filter(|_| batch.state == BatchState::Proved);
    let parts = batches.iter().map(proof).collect::<Option<Vec<_>>>();
    let parts = parts.ok_or_else(|| failed("a batch is not proved".into()))?;
    let ends = batches.first().zip(batches.last());
    let (first, last) = ends.ok_or_else(|| failed("it has no batches".into()))?;
    let job = match first.job {
        Some(job) => storage.store.job(job).await?,
        None => None,
    };
    let (chain_id, contract) = options.settlement;
    let work = ToMerge {
        name: Job { chain_id, contract, job_id: sequence.chain_job },
        steps: batches.iter().map(|batch| batch.steps).sum(),
        start: job.ok_or_else(|| failed("the job of its first batch is not there".into()))?.start,
        end: last.end.clone(),
        parts,
    };
    let bytes = match work.parts[..] {
        // The proof of the only batch is that of the sequence.
        [part] => storage.blobs.proof(part).await?,
        _ => {
            let (merger, blobs, runtime) = (Arc::clone(&options.merge), storage.blobs.clone(), Handle::current());
            let merged = tokio::task::spawn_blocking(move || {
                let read = |proof| runtime.block_on(blobs.proof(proof)).map_err(|error: StoreError| error.to_string());
                merger.merge(&work, &read)
            });
            merged.await.map_err(|error| SequencerError::Panicked(error.to_string()))?.map_err(failed)?
        }
    };
    let stored = storage.blobs.put_proof(bytes).await?;
    storage.store.set_sequence_root(sequence.number, stored, options.clock.now()).await?;
    tracing::info!(sequence = sequence.number, batches = batches.len(), "the batches of a sequence have one proof");
    Ok(())
}
