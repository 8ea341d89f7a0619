//! The native cores: batches of proofs to verify, and merges.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crowdfold_fold::{Address, Error, Job, RangeProof, merge, verify, verify_batch};
use crowdfold_programs::Program as _;
use crowdfold_sched::{ProofId, Range, TaskId};
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::sleep;

use crate::catalog::Entry;
use crate::chance;
use crate::metrics::{Metrics, observe};
use crate::store::{Blobs, JobData, StoreError, StoredProof};

/// Proofs that are verified at once. More would pay little: the fixed part is ten of them.
pub const BATCH: usize = 16;

/// How much the cores give way to connections, on the system's scale of 20 below the usual: a prover that asks for work has it in
/// milliseconds, whatever is being verified and merged. Without connections the cores have all the time there is.
const NICENESS: i32 = 5;

/// Time before a merge is stored again that found no room.
const RETRY: Duration = Duration::from_secs(5);

/// What a proof has to prove.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Its hash.
    pub proof: ProofId,
    /// Its program.
    pub entry: Arc<Entry>,
    /// Its job's name on the chain, and its blobs.
    pub job: Job,
    /// The job's inputs and states.
    pub data: Arc<JobData>,
    /// The steps.
    pub range: Range,
    /// Who has to be bound into it; `None` for a merge.
    pub payout: Option<Address>,
}

/// A merge to make.
#[derive(Clone, Debug)]
pub struct MergeWork {
    /// The scheduler's name of it.
    pub task: TaskId,
    /// Its program.
    pub entry: Arc<Entry>,
    /// The parts.
    pub left: ProofId,
    /// The right one.
    pub right: ProofId,
}

/// What came of some work.
#[derive(Debug)]
pub enum Done {
    /// A proof was looked at: valid, refused with a reason, or not to be read.
    Checked(ProofId, Checked),
    /// A merge ended.
    Merged(TaskId, Merged),
}

/// What came of a merge.
#[derive(Debug)]
pub enum Merged {
    /// It is valid and on disk.
    Stored(StoredProof),
    /// It failed, for this reason.
    Failed(String),
    /// It can't be stored.
    Unstored(StoreError),
}

/// What is known of a proof.
#[derive(Debug)]
pub enum Checked {
    /// It proves what is claimed.
    Valid,
    /// It does not.
    Refused(String),
    /// Its bytes could not be read: that is not its prover's fault.
    Unreadable(StoreError),
}

/// Threads that compute, as many as the machine has cores.
#[derive(Clone, Debug)]
struct Cores(Arc<ThreadPool>);

impl Cores {
    fn start() -> Result<Self, ThreadPoolBuildError> {
        let name = |number| format!("core-{number}");
        let pool = ThreadPoolBuilder::new().thread_name(name).start_handler(|_| give_way()).build()?;
        Ok(Self(Arc::new(pool)))
    }

    /// Runs something there. The error is its panic.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
        let pool = Arc::clone(&self.0);
        spawn_blocking(move || pool.install(work)).await
    }
}

/// Lets other threads go before this one.
#[cfg(target_os = "linux")]
fn give_way() {
    use rustix::process::{getpriority_process, setpriority_process};
    // On Linux this is about the thread and not the process.
    let usual = getpriority_process(None);
    if let Err(error) = usual.and_then(|usual| setpriority_process(None, usual + NICENESS)) {
        tracing::debug!(%error, "verification does not give way to connections");
    }
}

/// Elsewhere threads have no niceness of their own.
#[cfg(not(target_os = "linux"))]
fn give_way() {}

/// The pool's entrance.
#[derive(Clone, Debug)]
pub struct Pool {
    claims: mpsc::UnboundedSender<Claim>,
    merges: Arc<Semaphore>,
    cores: Cores,
    blobs: Blobs,
    metrics: Metrics,
    done: mpsc::UnboundedSender<Done>,
}

impl Pool {
    /// Starts it. Results come through `done`; as many merges run at once as `merges` says. The queues are bounded by
    /// what the scheduler asks for.
    ///
    /// # Errors
    /// If threads can't be started.
    pub fn start(
        blobs: Blobs,
        merges: usize,
        metrics: Metrics,
        done: mpsc::UnboundedSender<Done>,
    ) -> Result<Self, ThreadPoolBuildError> {
        let (claims, inbox) = mpsc::unbounded_channel();
        let cores = Cores::start()?;
        tokio::spawn(verify_all(cores.clone(), blobs.clone(), metrics.clone(), inbox, done.clone()));
        Ok(Self { claims, merges: Arc::new(Semaphore::new(merges)), cores, blobs, metrics, done })
    }

    /// Verifies a proof when there is a core.
    pub fn verify(&self, claim: Claim) {
        // The task ends only with the process.
        _ = self.claims.send(claim);
    }

    /// Merges when there is a core. What comes out is verified: a native merge is only as good as its memory.
    // It is measured how long it takes.
    #[allow(clippy::disallowed_methods)]
    pub fn merge(&self, work: MergeWork) {
        let (blobs, done, merges) = (self.blobs.clone(), self.done.clone(), Arc::clone(&self.merges));
        let metrics = self.metrics.clone();
        let cores = self.cores.clone();
        tokio::spawn(async move {
            let Ok(_permit) = merges.acquire().await else { return };
            let (task, began) = (work.task, Instant::now());
            let parts = async { Ok((blobs.proof(work.left).await?, blobs.proof(work.right).await?)) };
            let made = match parts.await {
                Err(error) => Err(StoreError::to_string(&error)),
                Ok((left, right)) => {
                    let made = cores.run(move || merge_parts(&work, &left, &right)).await;
                    made.unwrap_or_else(|error| Err(error.to_string()))
                }
            };
            observe(&metrics.merge_seconds, began.elapsed());
            let merged = match made {
                Ok(bytes) => store(&blobs, bytes).await,
                Err(why) => Merged::Failed(why),
            };
            _ = done.send(Done::Merged(task, merged));
        });
    }
}

/// Stores a merge, however long it has to wait for room: the next one of its job waits for it anyway.
async fn store(blobs: &Blobs, bytes: Bytes) -> Merged {
    loop {
        match blobs.put_proof(bytes.clone()).await {
            Ok(stored) => return Merged::Stored(stored),
            Err(StoreError::Full { what }) => {
                tracing::warn!(what, "a merge waits for room on the disk");
                sleep(RETRY).await;
            }
            Err(error) => return Merged::Unstored(error),
        }
    }
}

fn merge_parts(work: &MergeWork, left: &[u8], right: &[u8]) -> Result<Bytes, String> {
    let mut rng = chance::generator().map_err(|error| error.to_string())?;
    let parameters = &work.entry.parameters;
    let read = |bytes| RangeProof::from_bytes(parameters, bytes);
    let made = read(left).and_then(|left| merge(parameters, &left, Some(&read(right)?), &mut rng));
    let made = made.map_err(|error| error.to_string())?;
    verify(parameters, &made, &mut rng).map_err(|error| error.to_string())?;
    Ok(Bytes::from(made.to_bytes()))
}

// It is measured how long it takes.
#[allow(clippy::disallowed_methods)]
async fn verify_all(
    cores: Cores,
    blobs: Blobs,
    metrics: Metrics,
    mut inbox: mpsc::UnboundedReceiver<Claim>,
    done: mpsc::UnboundedSender<Done>,
) {
    let mut held: Option<Claim> = None;
    loop {
        let first = match held.take() {
            Some(claim) => claim,
            None => match inbox.recv().await {
                Some(claim) => claim,
                None => return,
            },
        };
        let mut batch = vec![first];
        // Proofs of one program at a time share their multi-scalar multiplication.
        while batch.len() < BATCH
            && let Ok(claim) = inbox.try_recv()
        {
            if batch[0].entry.id == claim.entry.id {
                batch.push(claim);
            } else {
                held = Some(claim);
                break;
            }
        }
        let began = Instant::now();
        verify_some(&cores, &blobs, batch, &done).await;
        observe(&metrics.verify_seconds, began.elapsed());
    }
}

async fn verify_some(cores: &Cores, blobs: &Blobs, batch: Vec<Claim>, done: &mpsc::UnboundedSender<Done>) {
    let mut read = Vec::new();
    for claim in batch {
        match expected(blobs, &claim).await {
            Ok(expected) => read.push((claim, expected)),
            Err(error) => _ = done.send(Done::Checked(claim.proof, Checked::Unreadable(error))),
        }
    }
    let names: Vec<_> = read.iter().map(|(claim, _)| claim.proof).collect();
    match cores.run(move || verify_batch_of(&read)).await {
        Ok(checked) => checked.into_iter().for_each(|(proof, checked)| _ = done.send(Done::Checked(proof, checked))),
        // Nothing in a proof may bring the verifier down; if something does, the proof is not good.
        Err(error) => names.into_iter().for_each(|proof| {
            _ = done.send(Done::Checked(proof, Checked::Refused(format!("it can't be verified: {error}"))));
        }),
    }
}

/// A proof's bytes, and the encoded states before and after its steps.
struct Expected {
    bytes: Bytes,
    start: Bytes,
    end: Bytes,
}

async fn expected(blobs: &Blobs, claim: &Claim) -> Result<Expected, StoreError> {
    Ok(Expected {
        bytes: blobs.proof(claim.proof).await?,
        start: claim.data.state(blobs, claim.range.start().0).await?,
        end: claim.data.state(blobs, claim.range.end().0).await?,
    })
}

fn verify_batch_of(batch: &[(Claim, Expected)]) -> Vec<(ProofId, Checked)> {
    let Some((first, _)) = batch.first() else { return Vec::new() };
    let parameters = &first.entry.parameters;
    let (mut out, mut names, mut proofs) = (Vec::new(), Vec::new(), Vec::new());
    for (claim, expected) in batch {
        match read(claim, expected) {
            Ok(proof) => {
                names.push(claim.proof);
                proofs.push(proof);
            }
            Err(why) => out.push((claim.proof, Checked::Refused(why))),
        }
    }
    let bad = match chance::generator().map(|mut rng| verify_batch(parameters, &proofs, &mut rng)) {
        Ok(Ok(())) => Vec::new(),
        Ok(Err(Error::InvalidBatch(bad))) => bad,
        // None is good that was not seen to be.
        Ok(Err(_)) | Err(_) => (0..names.len()).collect(),
    };
    out.extend(names.into_iter().enumerate().map(|(i, proof)| {
        let refused = bad.contains(&i).then(|| Checked::Refused("the proof does not verify".to_owned()));
        (proof, refused.unwrap_or(Checked::Valid))
    }));
    out
}

/// Reads a proof and compares what it says with what is claimed.
fn read(claim: &Claim, expected: &Expected) -> Result<RangeProof, String> {
    let parameters = &claim.entry.parameters;
    let program = parameters.prover().step();
    let proof = RangeProof::from_bytes(parameters, &expected.bytes).map_err(|error| error.to_string())?;
    if *proof.job() != claim.job {
        return Err("it is of another job".into());
    }
    if proof.count() != claim.range.steps() {
        return Err(format!("it covers {} steps, {} were offered", proof.count(), claim.range.steps()));
    }
    if program.encode_state(proof.start()) != expected.start || program.encode_state(proof.end()) != expected.end {
        return Err("it does not lead from the job's state to the job's state".into());
    }
    match claim.payout {
        Some(_) if proof.is_merged() => Err("a segment was asked for, and this is a merge".into()),
        Some(payout) if proof.prover() != payout => Err("it pays somebody else than its prover said".into()),
        _ => Ok(proof),
    }
}
