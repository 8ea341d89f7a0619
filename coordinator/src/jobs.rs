//! Accepting jobs: each is executed natively, so that the state at every step is known, written down, and only then
//! told to the hub.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use crowdfold_fold::{Job, StepFunction};
use crowdfold_programs::{Builtin, Plan, PlanError, Program as _};
use crowdfold_sched::{JobId, JobSpec, Millis, limits};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use crate::bus::{Bus, News};
use crate::catalog::{Catalog, Entry};
use crate::chance::{self, NoRandomness};
use crate::hub::{Clock, Command};
use crate::sequencer::{self, BatchJob, JobSink};
use crate::settings::ChainSettings;
use crate::store::{Accepted, Client, IdempotencyKey, JobWriter, NewJob, Storage, Store as _, StoreError};

/// Steps that are executed ahead of the disk.
const AHEAD: usize = 64;
/// Bytes of an idempotency key.
pub const KEY_BYTES: usize = 256;
/// What the deadline of a job is at most: as good as none.
const NO_DEADLINE: u64 = u64::MAX >> 1;

/// A job that somebody wants proved, beside its bytes.
#[derive(Clone, Debug)]
pub struct Order {
    /// Who.
    pub client: Client,
    /// The program.
    pub entry: Arc<Entry>,
    /// Its name on the chain; `None` for a new one.
    pub name: Option<Job>,
    /// Till when.
    pub deadline: Option<Millis>,
    /// Thousandths of the going rate; `None` for 1000.
    pub bounty: Option<u32>,
    /// Place among the client's jobs: lower ones come first. `None` for the job's number.
    pub height: Option<u64>,
    /// So that a repeated order gives the same job.
    pub key: Option<IdempotencyKey>,
}

/// Why a job was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// It is no job of the program, or one that can't be proved.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// It has too many steps.
    #[error("a job has at most {} steps, this has {found}", limits::JOB_STEPS)]
    Steps {
        /// How many.
        found: u64,
    },
    /// An idempotency key that can't be one.
    #[error("an idempotency key has 1 to {KEY_BYTES} bytes")]
    Key,
    /// The native execution broke down.
    #[error("the job can't be executed")]
    Execution,
    /// It could not be written down.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could not be named.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

/// The entrance for jobs.
#[derive(Clone, Debug)]
pub struct Jobs {
    /// Where they are written down.
    pub storage: Arc<Storage>,
    /// Who is told.
    pub hub: mpsc::Sender<Command>,
    /// And everybody else.
    pub bus: Arc<dyn Bus>,
    /// The time.
    pub clock: Clock,
    /// What they are proved for.
    pub chain: ChainSettings,
}

impl Jobs {
    /// Accepts a job, or finds the one that the same order made before.
    ///
    /// # Errors
    /// [`JobError`]; nothing is left of the job then but blobs, which are collected.
    pub async fn accept(&self, order: Order, bytes: Bytes) -> Result<Accepted, JobError> {
        let store = &self.storage.store;
        if let Some(key) = &order.key
            && let Some(job) = store.job_of_key(order.client.id, key).await?
        {
            return Ok(Accepted::Before(job));
        }
        let job = self.execute(order, &bytes).await?;
        let accepted = store.add_job(&job).await?;
        if let Accepted::New(id) = accepted
            && let Some(stored) = store.job(id).await?
        {
            let (program, steps) = (stored.program.clone(), stored.spec.steps);
            // It is accepted: if the hub is gone, the next run goes on with it.
            _ = self.hub.send(Command::Accepted(Box::new(stored))).await;
            self.bus.publish(News::JobAccepted { job: id.0, program, steps });
        }
        Ok(accepted)
    }

    async fn execute(&self, order: Order, bytes: &[u8]) -> Result<NewJob, JobError> {
        let entry = &order.entry;
        let program = entry.parameters.prover().step().clone();
        let plan: Plan<_> = program.plan(bytes)?;
        if plan.steps > limits::JOB_STEPS {
            return Err(JobError::Steps { found: plan.steps });
        }
        let start = program.encode_state(&plan.start);
        let id = self.storage.store.job_number().await?;
        let mut writer = JobWriter::begin(&self.storage.blobs, id, &start).await?;
        let (steps, mut executed) = mpsc::channel(AHEAD);
        let working = tokio::task::spawn_blocking(move || run_steps(&program, plan, &steps));
        let mut end = start.clone();
        while let Some((input, state)) = executed.recv().await {
            writer.push(&input, &state).await?;
            end = state;
        }
        working.await.map_err(|_| JobError::Execution)??;
        let data = writer.finish().await?;
        let ChainSettings { id: chain_id, contract } = self.chain;
        let name = match order.name {
            Some(name) => name,
            None => Job { chain_id, contract, job_id: chance::bytes()? },
        };
        let spec = JobSpec {
            client: order.client.id,
            weight: order.client.weight,
            bounty: order.bounty.unwrap_or(1000),
            steps: data.steps(),
            rows: entry.rows,
            deadline: Millis(order.deadline.map_or(NO_DEADLINE, |deadline| deadline.0.min(NO_DEADLINE))),
            memory: crowdfold_sched::Bytes(0),
            height: order.height.unwrap_or(id.0),
        };
        let (program, parameters, cost) = (entry.name.clone(), entry.id, entry.rows);
        let (submitted, key) = (self.clock.now(), order.key);
        Ok(NewJob { data, spec, name, program, parameters, cost, start, end, submitted, key })
    }
}

/// The idempotency key of a client for an order: it stands for the program and the job's bytes.
///
/// # Errors
/// [`JobError::Key`].
pub fn key(key: String, program: &str, bytes: &[u8]) -> Result<IdempotencyKey, JobError> {
    if key.is_empty() || key.len() > KEY_BYTES {
        return Err(JobError::Key);
    }
    let mut digest = Sha256::new_with_prefix(program.as_bytes());
    digest.update(bytes);
    Ok(IdempotencyKey { key, body: digest.finalize().into() })
}

/// Makes jobs of the sequencer's batches.
#[derive(Clone, Debug)]
pub struct Batches {
    /// The entrance for jobs.
    pub jobs: Jobs,
    /// Programs.
    pub catalog: Catalog,
}

#[async_trait]
impl JobSink for Batches {
    async fn accept(&self, batch: BatchJob) -> Result<JobId, Box<dyn std::error::Error + Send + Sync>> {
        let unknown = || format!("there are no parameters of the program `{}`", batch.program);
        let entry = self.catalog.named(&batch.program).cloned().ok_or_else(unknown)?;
        let client = sequencer::client(&self.jobs.storage, &self.jobs.clock).await?;
        let (name, key, height) = (Some(batch.name), Some(batch.key), Some(batch.number));
        let order = Order { client, entry, name, deadline: None, bounty: None, height, key };
        match self.jobs.accept(order, batch.bytes).await? {
            Accepted::New(job) => {
                self.jobs.bus.publish(News::BatchHandedOver { job: job.0, batch: batch.number });
                Ok(job)
            }
            Accepted::Before(job) => Ok(job),
        }
    }
}

/// Whether a job has a deadline.
pub fn deadline(spec: &JobSpec) -> Option<Millis> {
    (spec.deadline.0 < NO_DEADLINE).then_some(spec.deadline)
}

/// Sends the encoded input and state of each step.
fn run_steps(
    program: &Builtin,
    plan: Plan<<Builtin as StepFunction>::Input>,
    steps: &mpsc::Sender<(Vec<u8>, Vec<u8>)>,
) -> Result<(), PlanError> {
    for step in plan.execute(program) {
        let step = step?;
        let executed = (program.encode_input(&step.input), program.encode_state(&step.state));
        if steps.blocking_send(executed).is_err() {
            // Whoever asked is gone.
            return Ok(());
        }
    }
    Ok(())
}
