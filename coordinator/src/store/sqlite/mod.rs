//! The database as one SQLite file: one connection that writes, some that read.

mod push;
mod read;
mod rows;
mod sequencer;
mod write;

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use crowdfold_fold::Address;
use crowdfold_sched::{ClientId, JobId, ProofId, ProverId};
use crowdfold_wire::PublicKey;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Row as _, SqlSafeStr as _};
use tokio::sync::Mutex;

use super::limits::{BUSY_MS, JOB_NUMBERS, READERS};
use super::{
    Accepted, At, BlobName, Client, Counts, Covered, Credit, Faults, IdempotencyKey, JobFilter, Kept, NewClient,
    NewJob, Progress, Proof, Prover, Record, Result, Seen, Store, StoreError, StoredJob, TokenHash,
};
use rows::{int, unsigned};
pub use sequencer::DepositConflict;

/// Every version of the schema, in order. One that was released is never changed: a change is a further one.
const MIGRATIONS: [(&str, &str); 3] = [
    ("init", include_str!("../../../migrations/0001_init.sql")),
    ("sequencer", include_str!("../../../migrations/0002_sequencer.sql")),
    ("push", include_str!("../../../migrations/0003_push.sql")),
];

/// [`Store`] in an SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    /// One connection: SQLite has one writer at a time anyway, and so waiting for it is fair.
    writer: SqlitePool,
    readers: SqlitePool,
    faults: Faults,
    epoch: u16,
    /// Job numbers that were set aside.
    numbers: Mutex<std::ops::Range<u64>>,
}

fn migrator() -> Migrator {
    let migrations = (1..).zip(MIGRATIONS).map(|(version, (name, sql))| {
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}

/// Refuses what a newer version wrote: this one would not know what it means.
async fn check_version(writer: &SqlitePool) -> Result<()> {
    let table = "SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'";
    let tables: i64 = sqlx::query(table).fetch_one(writer).await?.try_get(0)?;
    if tables == 0 {
        return Ok(());
    }
    let row = sqlx::query("SELECT coalesce(max(version), 0) FROM _sqlx_migrations").fetch_one(writer).await?;
    let (found, known): (i64, i64) = (row.try_get(0)?, MIGRATIONS.len() as i64);
    if found > known { Err(StoreError::Newer { found, known }) } else { Ok(()) }
}

impl SqliteStore {
    /// Opens or makes a database, brings it to this version, and counts a start.
    pub(super) async fn open(path: &Path, pages: Option<u32>, faults: Faults) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // In WAL mode anything less may lose what was committed when the power fails.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_millis(BUSY_MS));
        let limited = match pages {
            Some(pages) => options.clone().pragma("max_page_count", pages.to_string()),
            None => options.clone(),
        };
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_with(limited)
            .await?;
        check_version(&writer).await?;
        faults.point()?;
        migrator().run(&writer).await?;
        faults.point()?;
        let run = sqlx::query("UPDATE meta SET runs = runs + 1 RETURNING runs").fetch_one(&writer).await?;
        let run = unsigned(&run, 0)?;
        faults.point()?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .test_before_acquire(false)
            .connect_with(options.read_only(true).create_if_missing(false))
            .await?;
        // It wraps: only tasks of runs that are long over are taken for new ones then.
        let epoch = (run % (1 << 16)) as u16;
        Ok(Self { writer, readers, faults, epoch, numbers: Mutex::new(0..0) })
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// A consistent copy of all of it in a new file, while it is being written.
    pub(super) async fn copy_to(&self, path: &Path) -> Result<()> {
        let path = path.to_str().ok_or_else(|| StoreError::conflict("the path of a backup is not UTF-8"))?;
        sqlx::query("VACUUM INTO ?").bind(path).execute(&self.readers).await?;
        Ok(())
    }

    pub(super) fn reader(&self) -> &SqlitePool {
        &self.readers
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn epoch(&self) -> u16 {
        self.epoch
    }

    async fn commit(&self, records: &[Record]) -> Result<()> {
        write::commit(&self.writer, &self.faults, records).await
    }

    async fn job_number(&self) -> Result<JobId> {
        let mut numbers = self.numbers.lock().await;
        if numbers.is_empty() {
            self.faults.point()?;
            let sql = "UPDATE meta SET next_job = next_job + ? RETURNING next_job";
            let row = sqlx::query(sql).bind(int(JOB_NUMBERS)?).fetch_one(&self.writer).await?;
            self.faults.point()?;
            let end = unsigned(&row, 0)?;
            *numbers = end.saturating_sub(JOB_NUMBERS)..end;
        }
        numbers.next().map(JobId).ok_or_else(|| StoreError::corrupt("table meta", "no job numbers are left"))
    }

    async fn add_job(&self, job: &NewJob) -> Result<Accepted> {
        write::add_job(&self.writer, &self.faults, job).await
    }

    async fn job_of_key(&self, client: ClientId, key: &IdempotencyKey) -> Result<Option<JobId>> {
        let mut connection = self.readers.acquire().await?;
        write::job_of_key(&mut connection, client, key).await
    }

    async fn job(&self, job: JobId) -> Result<Option<StoredJob>> {
        read::job(&self.readers, job).await
    }

    async fn open_jobs(&self, after: Option<JobId>, limit: u32) -> Result<Vec<StoredJob>> {
        read::open_jobs(&self.readers, after, limit).await
    }

    async fn jobs(&self, filter: &JobFilter, limit: u32) -> Result<Vec<StoredJob>> {
        read::jobs(&self.readers, filter, limit).await
    }

    async fn progress(&self, job: JobId) -> Result<Progress> {
        read::progress(&self.readers, job).await
    }

    async fn cover(&self, job: JobId) -> Result<Vec<Covered>> {
        read::cover(&self.readers, job).await
    }

    async fn proofs(&self, job: JobId, after: Option<ProofId>, limit: u32) -> Result<Vec<Proof>> {
        read::proofs(&self.readers, job, after, limit).await
    }

    async fn proof(&self, proof: ProofId) -> Result<Option<Proof>> {
        read::proof(&self.readers, proof).await
    }

    async fn seen(&self, provers: &[Seen]) -> Result<Vec<Prover>> {
        write::seen(&self.writer, &self.faults, provers).await
    }

    async fn prover(&self, key: PublicKey) -> Result<Option<Prover>> {
        read::prover(&self.readers, key).await
    }

    async fn leaderboard(&self, after: Option<(u64, ProverId)>, limit: u32) -> Result<Vec<Prover>> {
        read::leaderboard(&self.readers, after, limit).await
    }

    async fn payouts(&self, after: Option<(u64, Address)>, limit: u32) -> Result<Vec<(Address, u64)>> {
        read::payouts(&self.readers, after, limit).await
    }

    async fn ledger(&self, prover: ProverId, after: Option<u64>, limit: u32) -> Result<Vec<Credit>> {
        read::ledger(&self.readers, prover, after, limit).await
    }

    async fn add_client(&self, client: &NewClient) -> Result<ClientId> {
        write::add_client(&self.writer, &self.faults, client).await
    }

    async fn revoke_client(&self, client: ClientId, at: At) -> Result<()> {
        write::revoke_client(&self.writer, &self.faults, client, at).await
    }

    async fn client(&self, token: TokenHash) -> Result<Option<Client>> {
        read::client(&self.readers, token).await
    }

    async fn clients(&self, after: Option<ClientId>, limit: u32) -> Result<Vec<Client>> {
        read::clients(&self.readers, after, limit).await
    }

    async fn counts(&self) -> Result<Counts> {
        read::counts(&self.readers).await
    }

    async fn refers_to(&self, blob: BlobName) -> Result<bool> {
        read::refers_to(&self.readers, blob).await
    }

    async fn purge(&self, kept: Kept, ended_before: At, limit: u32) -> Result<Vec<JobId>> {
        write::purge(&self.writer, &self.faults, kept, ended_before, limit).await
    }
}
