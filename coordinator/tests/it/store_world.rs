//! Folders, jobs, provers and proofs for tests of the storage.

use bytes::Bytes;
use crowdfold_coordinator::store::{
    Accepted, Faults, IdempotencyKey, JobData, JobWriter, NewClient, NewJob, Options, Prover, Record, Result, Role,
    Seen, Storage, Store, StoreError, StoredProof, TokenHash, UploadKey,
};
use crowdfold_fold::{Address, Job};
use crowdfold_sched::{ClientId, JobId, JobSpec, Millis, ProofId, Range, StepIndex, Verdict};
use crowdfold_wire::{ParametersId, PublicKey, UploadId};
use std::fs;
use std::path::{Path, PathBuf};

/// Runs to the end on a runtime of its own, whose threads are gone afterwards.
pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(work)
}

/// An empty folder for the test of that name.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(test: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("store-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("the target folder can be written");
        Self(path)
    }

    /// The text of a path in it.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("the target folder has a readable name").to_owned()
    }

    /// Another process's folder, which stays.
    pub(crate) fn at(path: &Path) -> std::mem::ManuallyDrop<Self> {
        std::mem::ManuallyDrop::new(Self(path.to_owned()))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) async fn open(&self) -> Storage {
        self.open_with(Options::default()).await.expect("it can be opened")
    }

    pub(crate) async fn open_with(&self, options: Options) -> Result<Storage> {
        Storage::open(&self.path("data"), options).await
    }

    pub(crate) fn faulty(faults: &Faults) -> Options {
        Options { faults: faults.clone(), ..Options::default() }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A failed test's folder stays to be looked at.
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

pub(crate) const COST: u64 = 10;
pub(crate) const NOW: Millis = Millis(1_000_000);

/// Longer than everything that a test made is old.
pub(crate) const MUCH_LATER: Millis = Millis(1 << 50);

pub(crate) fn range(lo: u64, hi: u64) -> Range {
    Range::new(StepIndex(lo), StepIndex(hi)).expect("it has steps")
}

/// Bytes of a proof, in more than one chunk.
pub(crate) fn proof_bytes(seed: u8) -> Vec<u8> {
    (0..400).map(|at: u32| (at % 251) as u8 ^ seed).collect()
}

pub(crate) fn proof_id(bytes: &[u8]) -> ProofId {
    ProofId(UploadId::of(bytes).0)
}

pub(crate) fn input(step: u64) -> Vec<u8> {
    vec![step as u8; step as usize % 5]
}

pub(crate) fn state(step: u64) -> Vec<u8> {
    step.wrapping_mul(77).to_le_bytes().to_vec()
}

pub(crate) fn token(seed: u8) -> TokenHash {
    TokenHash([seed; 32])
}

pub(crate) fn key(seed: u8) -> PublicKey {
    PublicKey([seed; 32])
}

pub(crate) fn payout(seed: u8) -> Address {
    Address([seed; 20])
}

pub(crate) async fn add_client(storage: &Storage, seed: u8) -> Result<ClientId> {
    let name = format!("client {seed}");
    let client = NewClient { name, role: Role::Client, token: token(seed), weight: 3, created: NOW };
    storage.store.add_client(&client).await
}

pub(crate) async fn add_prover(storage: &Storage, seed: u8) -> Result<Prover> {
    let seen = Seen { key: key(seed), payout: payout(seed), at: NOW };
    Ok(storage.store.seen(&[seen]).await?.remove(0))
}

/// Writes inputs and states of a job.
pub(crate) async fn write_job(storage: &Storage, job: JobId, steps: u64) -> Result<JobData> {
    let mut writer = JobWriter::begin(&storage.blobs, job, &state(0)).await?;
    for step in 0..steps {
        writer.push(&input(step), &state(step + 1)).await?;
    }
    writer.finish().await
}

pub(crate) fn idempotency(seed: u8) -> IdempotencyKey {
    IdempotencyKey { key: format!("key {seed}"), body: [seed; 32] }
}

pub(crate) fn job_of(data: JobData, client: ClientId, seed: u8) -> NewJob {
    let steps = data.steps();
    NewJob {
        spec: JobSpec {
            client,
            weight: 3,
            bounty: 1_000,
            steps,
            rows: 100,
            deadline: Millis(9_000_000),
            memory: crowdfold_sched::Bytes(1 << 30),
            height: 5,
        },
        name: Job { chain_id: 31_337, contract: Address([9; 20]), job_id: [seed; 32] },
        program: "minroot/v1/16".into(),
        parameters: ParametersId([4; 32]),
        cost: COST,
        start: state(0),
        end: state(steps),
        submitted: NOW,
        key: Some(idempotency(seed)),
        data,
    }
}

/// A job of so many steps, as a client would order it.
pub(crate) async fn add_job(storage: &Storage, client: ClientId, seed: u8, steps: u64) -> Result<JobId> {
    let number = storage.store.job_number().await?;
    let data = write_job(storage, number, steps).await?;
    match storage.store.add_job(&job_of(data, client, seed)).await? {
        Accepted::New(job) | Accepted::Before(job) => Ok(job),
    }
}

pub(crate) fn upload_key(prover: &Prover, seed: u8) -> UploadKey {
    UploadKey { prover: prover.id, proof: proof_id(&proof_bytes(seed)) }
}

/// Uploads a proof in chunks; there is no record of it yet.
pub(crate) async fn upload(storage: &Storage, prover: &Prover, seed: u8) -> Result<StoredProof> {
    let (upload, bytes) = (upload_key(prover, seed), proof_bytes(seed));
    for (at, chunk) in bytes.chunks(150).enumerate() {
        storage.spool.append(upload, at as u64 * 150, Bytes::copy_from_slice(chunk)).await?;
    }
    storage.spool.finish(upload, &storage.blobs).await
}

pub(crate) fn uploaded(proof: StoredProof, prover: &Prover, job: JobId, range: Range) -> Record {
    let task = Some(crowdfold_sched::TaskId(u64::MAX - 5));
    Record::Uploaded { proof, prover: prover.id, payout: prover.payout, job, range, task, at: NOW }
}

pub(crate) fn judged(proof: ProofId, prover: &Prover, job: JobId, range: Range, verdict: Verdict) -> Record {
    let reason = (verdict == Verdict::Refused).then(|| "it does not verify".into());
    Record::Judged { proof, prover: prover.id, job, range, verdict, reason, at: NOW }
}

/// A proof that is uploaded, recorded and judged.
pub(crate) async fn prove(
    storage: &Storage,
    prover: &Prover,
    job: JobId,
    range: Range,
    seed: u8,
    verdict: Verdict,
) -> Result<ProofId> {
    let proof = upload(storage, prover, seed).await?;
    let id = proof.proof();
    let records = [uploaded(proof, prover, job, range), judged(id, prover, job, range, verdict)];
    storage.store.commit(&records).await?;
    storage.spool.forget(upload_key(prover, seed)).await?;
    Ok(id)
}

/// A storage with a client, a prover and a job of eight steps.
pub(crate) struct World {
    pub(crate) storage: Storage,
    pub(crate) client: ClientId,
    pub(crate) prover: Prover,
    pub(crate) job: JobId,
}

impl World {
    pub(crate) async fn new(folder: &Folder) -> Self {
        Self::with(folder, Options::default()).await
    }

    pub(crate) async fn with(folder: &Folder, options: Options) -> Self {
        let storage = folder.open_with(options).await.expect("it can be opened");
        let client = add_client(&storage, 1).await.expect("it is new");
        let prover = add_prover(&storage, 1).await.expect("it can be written");
        let job = add_job(&storage, client, 1, 8).await.expect("it is new");
        Self { storage, client, prover, job }
    }

    pub(crate) async fn prove(&self, range: Range, seed: u8, verdict: Verdict) -> Result<ProofId> {
        prove(&self.storage, &self.prover, self.job, range, seed, verdict).await
    }

    pub(crate) async fn commit(&self, record: Record) -> Result<()> {
        self.storage.store.commit(&[record]).await
    }

    /// The record is refused, for a reason that says this.
    pub(crate) async fn rejects(&self, record: Record, says: &str) {
        match self.commit(record.clone()).await {
            Err(StoreError::Rejected { record: 0, why }) if why.contains(says) => {}
            other => panic!("{record:?} must be rejected because of {says:?}, got {other:?}"),
        }
    }
}
