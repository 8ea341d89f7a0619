//! A rollup of some accounts, a sequencer over it, and somebody who takes its batches as jobs.

use async_trait::async_trait;
use bytes::Bytes;
use crowdfold_coordinator::hub::Clock;
use crowdfold_coordinator::sequencer::{
    self, Answer, BatchJob, JobSink, Merge, Offered, Options, ReadProof, Sequencer, SequencerError, Service, Settings,
    ToMerge,
};
use crowdfold_coordinator::store::{
    self, Accepted, Faults, JobWriter, NewJob, Place, Record, Storage, Store as _, StoreError, TransactionReceipt,
};
use crowdfold_fold::{Address, Fr, StepFunction as _};
use crowdfold_programs::eddsa::SecretKey;
use crowdfold_programs::rollup::workload::secret_key;
use crowdfold_programs::rollup::{Account, Index, SignedTransaction, State, Transaction};
use crowdfold_programs::{Builtin, Program as _};
use crowdfold_rollup::store::Genesis;
use crowdfold_sched::{ClientId, JobEnd, JobId, JobSpec, Millis};
use crowdfold_wire::ParametersId;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

use crate::store_world::{Folder, NOW, add_prover, judged, range, run, uploaded};

pub(crate) const CHAIN: u64 = 31_337;
pub(crate) const CONTRACT: Address = Address([0xc0; 20]);
/// What each account holds at first.
pub(crate) const BALANCE: u128 = 1_000_000;
/// The account that gets the fees.
pub(crate) const OPERATOR: u32 = 1;

pub(crate) fn domain() -> Fr {
    State::domain(CHAIN, CONTRACT)
}

pub(crate) fn secret(account: u32) -> SecretKey {
    secret_key([7; 32], account)
}

pub(crate) fn index(number: u32) -> Index {
    Index::new(number).expect("below 2^24")
}

pub(crate) fn offered(transaction: Transaction) -> Offered {
    let key = secret(transaction.from().get());
    Offered::new(SignedTransaction::sign(transaction, domain(), &key).expect("it is signed"), domain())
}

pub(crate) fn transfer(from: u32, to: u32, nonce: u32, fee: u64, amount: u128) -> Offered {
    offered(Transaction::Transfer { from: index(from), to: index(to), nonce, fee, amount })
}

/// Settings under which nothing happens by itself.
pub(crate) fn settings() -> Settings {
    Settings { batch_transactions: 1_000, batch_age_s: 1 << 30, sequence_age_s: 1 << 30, ..Settings::default() }
}

/// Makes the accounts of a folder.
pub(crate) fn genesis(folder: &Folder, accounts: u32) -> PathBuf {
    let path = folder.path("accounts");
    let account = |number| Account { key: secret(number).public(), balance: BALANCE, nonce: 0 };
    let all = (0..accounts).map(account).collect();
    drop(Genesis::new(all, domain(), index(OPERATOR)).expect("fine").create(&path).expect("the folder is empty"));
    path
}

/// Takes batches as jobs, as the coordinator would: executes them, and stores their inputs and states.
#[derive(Debug)]
pub(crate) struct Sink {
    pub(crate) storage: Arc<Storage>,
    pub(crate) parameters: ParametersId,
}

#[async_trait]
impl JobSink for Sink {
    async fn accept(&self, batch: BatchJob) -> Result<JobId, Box<dyn std::error::Error + Send + Sync>> {
        let store = &self.storage.store;
        let client = sequencer::client(&self.storage, &Clock::new()).await.map_err(|error| match error {
            SequencerError::Store(error) => error,
            other => panic!("{other}"),
        })?;
        if let Some(before) = store.job_of_key(client.id, &batch.key).await? {
            return Ok(before);
        }
        let job = new_job(&self.storage, client.id, self.parameters, batch).await?;
        match store.add_job(&job).await? {
            Accepted::New(job) | Accepted::Before(job) => Ok(job),
        }
    }
}

async fn new_job(
    storage: &Storage,
    client: ClientId,
    parameters: ParametersId,
    batch: BatchJob,
) -> Result<NewJob, StoreError> {
    let program = Builtin::from_name(&batch.program).expect("it is built in");
    let plan = program.plan(&batch.bytes).expect("batches can be executed");
    let start = program.encode_state(&plan.start);
    let number = storage.store.job_number().await?;
    let mut writer = JobWriter::begin(&storage.blobs, number, &start).await?;
    let mut end = start.clone();
    for step in plan.execute(&program) {
        let step = step.expect("batches can be executed");
        end = program.encode_state(&step.state);
        writer.push(&program.encode_input(&step.input), &end).await?;
    }
    let data = writer.finish().await?;
    let spec = JobSpec {
        client,
        weight: 1,
        bounty: 1_000,
        steps: data.steps(),
        rows: 100,
        deadline: Millis(1 << 50),
        memory: crowdfold_sched::Bytes(0),
        height: batch.number,
    };
    let (name, program, key) = (batch.name, batch.program, Some(batch.key));
    Ok(NewJob { data, spec, name, program, parameters, cost: 1, start, end, submitted: NOW, key })
}

/// What a "proof" that [`Joining`] can merge says.
pub(crate) fn part(job: JobId) -> Bytes {
    Bytes::from(format!("proof of job {job};"))
}

/// Merges by writing one proof behind the other.
#[derive(Debug)]
pub(crate) struct Joining;

impl Merge for Joining {
    fn merge(&self, sequence: &ToMerge, read: &ReadProof<'_>) -> Result<Bytes, String> {
        assert!(sequence.parts.len() > 1 && sequence.start != sequence.end);
        let parts = sequence.parts.iter().map(|part| read(*part)).collect::<Result<Vec<_>, _>>()?;
        Ok(parts.concat().into())
    }
}

/// A job is proved.
pub(crate) async fn prove(storage: &Storage, job: JobId, bytes: Bytes) -> Result<(), StoreError> {
    let stored = storage.store.job(job).await?.expect("it is there");
    if stored.ended.is_some() {
        return Ok(());
    }
    let prover = add_prover(storage, 1).await?;
    let (steps, proof) = (range(0, stored.data.steps()), storage.blobs.put_proof(bytes).await?);
    if storage.store.proof(proof.proof()).await?.is_none() {
        storage.store.commit(&[uploaded(proof, &prover, job, steps)]).await?;
    }
    let counted = judged(proof.proof(), &prover, job, steps, crowdfold_sched::Verdict::Counted);
    let end = Record::Ended { job, end: JobEnd::Done, reason: String::new(), at: NOW };
    storage.store.commit(&[counted, end]).await
}

/// A sequencer that runs.
pub(crate) struct World {
    pub(crate) storage: Arc<Storage>,
    pub(crate) sequencer: Sequencer,
    service: JoinHandle<Result<(), SequencerError>>,
}

impl World {
    pub(crate) async fn new(folder: &Folder, settings: Settings) -> Self {
        Self::with(folder, settings, Faults::none()).await.expect("it starts")
    }

    pub(crate) async fn with(folder: &Folder, settings: Settings, faults: Faults) -> Result<Self, SequencerError> {
        Self::opened(folder, settings, store::Options { faults, ..store::Options::default() }).await
    }

    /// Over a storage with these options.
    pub(crate) async fn opened(
        folder: &Folder,
        settings: Settings,
        options: store::Options,
    ) -> Result<Self, SequencerError> {
        let storage = Arc::new(folder.open_with(options).await?);
        let jobs = Arc::new(Sink { storage: Arc::clone(&storage), parameters: ParametersId([1; 32]) });
        Self::over(folder, settings, storage, jobs, Arc::new(Joining)).await
    }

    pub(crate) async fn over(
        folder: &Folder,
        settings: Settings,
        storage: Arc<Storage>,
        jobs: Arc<dyn JobSink>,
        merge: Arc<dyn Merge>,
    ) -> Result<Self, SequencerError> {
        let (settlement, clock, accounts) = ((CHAIN, CONTRACT), Clock::new(), folder.path("accounts"));
        let options = Options { settings, accounts, settlement, storage: Arc::clone(&storage), clock, jobs, merge };
        let (sequencer, service) = Sequencer::start(options).await?;
        Ok(Self { storage, sequencer, service: tokio::spawn(Service::run(service)) })
    }

    /// Stops it, whatever it is doing, and closes everything.
    pub(crate) async fn stop(self) {
        let Self { storage, sequencer, service } = self;
        service.abort();
        // That it was aborted is what was wanted.
        _ = service.await;
        drop(sequencer);
        // A thread may still hold the accounts for a moment.
        while Arc::strong_count(&storage) > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub(crate) async fn submit(&self, transactions: &[Offered]) -> Vec<Answer> {
        self.sequencer.submit(transactions.to_vec()).await.expect("it answers")
    }

    /// Submits some that have to be accepted.
    pub(crate) async fn accept(&self, transactions: &[Offered]) {
        for answer in self.submit(transactions).await {
            assert!(matches!(answer, Answer::Accepted(_)), "{answer:?}");
        }
    }

    /// What has to be refused with a code.
    pub(crate) async fn refuse(&self, transaction: Offered, code: &str) {
        match &self.submit(&[transaction]).await[..] {
            [Answer::Refused(refused)] => assert_eq!(refused.code(), code, "{refused}"),
            other => panic!("{code} is expected: {other:?}"),
        }
    }

    pub(crate) async fn receipt(&self, offered: &Offered) -> TransactionReceipt {
        self.storage.store.transaction(offered.hash).await.expect("readable").expect("it was accepted")
    }

    pub(crate) async fn place(&self, offered: &Offered) -> Place {
        self.receipt(offered).await.place
    }

    /// Seals what waits.
    pub(crate) async fn seal(&self) -> u64 {
        self.sequencer.seal(false).await.expect("it answers").batch.expect("something waits")
    }

    /// Waits until it is so.
    pub(crate) async fn until(&self, what: &str, is_so: impl AsyncFnMut(&Self) -> bool) {
        assert!(self.comes(is_so).await, "it stopped before {what}");
    }

    /// Waits until it is so; says whether it came before a simulated crash.
    pub(crate) async fn comes(&self, mut is_so: impl AsyncFnMut(&Self) -> bool) -> bool {
        for _ in 0..12_000 {
            if is_so(self).await {
                return true;
            }
            if self.service.is_finished() {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("it does not come");
    }

    /// The job of a batch, once it has one.
    pub(crate) async fn job(&self, batch: u64) -> JobId {
        self.until("a batch is a job", async |world| world.batch(batch).await.job.is_some()).await;
        self.batch(batch).await.job.expect("it has one")
    }

    pub(crate) async fn batch(&self, number: u64) -> store::StoredBatch {
        self.storage.store.batch(number).await.expect("readable").expect("it is there")
    }

    pub(crate) async fn sequence(&self, number: u64) -> store::StoredSequence {
        self.storage.store.sequence(number).await.expect("readable").expect("it is there")
    }

    /// Proves a batch.
    pub(crate) async fn prove(&self, batch: u64) {
        let job = self.job(batch).await;
        prove(&self.storage, job, part(job)).await.expect("it can be written");
        self.sequencer.job_ended();
    }

    pub(crate) fn balance(&self, account: u32) -> u128 {
        use crowdfold_programs::rollup::Accounts as _;
        let found = self.sequencer.view().snapshot.account(index(account)).expect("readable");
        found.expect("it exists").balance
    }
}

/// Runs a test on threads, as the coordinator does.
pub(crate) fn test(work: impl Future<Output = ()>) {
    // Only the first test of the process can set it.
    _ = tracing_subscriber::fmt().with_test_writer().try_init();
    run(work);
}
