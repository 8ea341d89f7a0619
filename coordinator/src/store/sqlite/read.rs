//! What only reads the database. Each query is one statement, so what it sees is consistent.

use crowdfold_fold::Address;
use crowdfold_sched::{ClientId, JobId, ProofId, ProverId};
use crowdfold_wire::PublicKey;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{QueryBuilder, Row as _};

use super::rows::{
    array, client as client_of, cover_columns, covered, credit, end_code, int, job as job_of, job_columns,
    proof as proof_of, proof_columns, prover as prover_of, prover_columns, unsigned,
};
use crate::store::limits::PAGE;
use crate::store::{
    BlobName, Client, Counts, Covered, Credit, JobFilter, Progress, Proof, Prover, Result, StoreError, StoredJob,
    TokenHash,
};

fn all<T>(rows: &[SqliteRow], read: fn(&SqliteRow) -> Result<T>) -> Result<Vec<T>> {
    rows.iter().map(read).collect()
}

pub(super) async fn job(db: &SqlitePool, job: JobId) -> Result<Option<StoredJob>> {
    let sql = concat!(job_columns!(), "WHERE id = ?");
    sqlx::query(sql).bind(int(job.0)?).fetch_optional(db).await?.as_ref().map(job_of).transpose()
}

/// Before all numbers that are given out.
fn place(after: Option<u64>) -> Result<i64> {
    after.map_or(Ok(-1), int)
}

pub(super) async fn open_jobs(db: &SqlitePool, after: Option<JobId>, limit: u32) -> Result<Vec<StoredJob>> {
    let sql = concat!(job_columns!(), "WHERE state = 0 AND id > ? ORDER BY id LIMIT ?");
    let query = sqlx::query(sql).bind(place(after.map(|job| job.0))?).bind(limit.min(PAGE));
    all(&query.fetch_all(db).await?, job_of)
}

pub(super) async fn jobs(db: &SqlitePool, filter: &JobFilter, limit: u32) -> Result<Vec<StoredJob>> {
    let before = filter.before.map_or(Ok(i64::MAX), |job| int(job.0))?;
    let mut query = QueryBuilder::new(concat!(job_columns!(), "WHERE id < "));
    query.push_bind(before);
    if let Some(client) = filter.client {
        query.push(" AND client = ").push_bind(int(client.0)?);
    }
    if let Some(state) = filter.state {
        query.push(" AND state = ").push_bind(state.map_or(0, end_code));
    }
    if let Some(program) = &filter.program {
        query.push(" AND program = ").push_bind(program.clone());
    }
    query.push(" ORDER BY id DESC LIMIT ").push_bind(limit.min(PAGE));
    all(&query.build().fetch_all(db).await?, job_of)
}

pub(super) async fn progress(db: &SqlitePool, job: JobId) -> Result<Progress> {
    let sql = "SELECT coalesce(sum(hi - lo), 0), count(*) FROM cover WHERE job = ?";
    let row = sqlx::query(sql).bind(int(job.0)?).fetch_one(db).await?;
    Ok(Progress { steps: unsigned(&row, 0)?, ranges: unsigned(&row, 1)? })
}

pub(super) async fn cover(db: &SqlitePool, job: JobId) -> Result<Vec<Covered>> {
    let sql = concat!(cover_columns!(), "WHERE job = ? ORDER BY lo");
    all(&sqlx::query(sql).bind(int(job.0)?).fetch_all(db).await?, covered)
}

pub(super) async fn proofs(db: &SqlitePool, job: JobId, after: Option<ProofId>, limit: u32) -> Result<Vec<Proof>> {
    let sql = concat!(proof_columns!(), "WHERE job = ? AND hash > ? ORDER BY hash LIMIT ?");
    // The empty blob comes before all others.
    let after = after.map_or(Vec::new(), |proof| proof.0.to_vec());
    let query = sqlx::query(sql).bind(int(job.0)?).bind(after).bind(limit.min(PAGE));
    all(&query.fetch_all(db).await?, proof_of)
}

pub(super) async fn proof(db: &SqlitePool, proof: ProofId) -> Result<Option<Proof>> {
    let sql = concat!(proof_columns!(), "WHERE hash = ?");
    sqlx::query(sql).bind(&proof.0[..]).fetch_optional(db).await?.as_ref().map(proof_of).transpose()
}

pub(super) async fn prover(db: &SqlitePool, key: PublicKey) -> Result<Option<Prover>> {
    let sql = concat!("SELECT ", prover_columns!(), " FROM provers WHERE key = ?");
    sqlx::query(sql).bind(&key.0[..]).fetch_optional(db).await?.as_ref().map(prover_of).transpose()
}

pub(super) async fn leaderboard(db: &SqlitePool, after: Option<(u64, ProverId)>, limit: u32) -> Result<Vec<Prover>> {
    let sql = concat!(
        "SELECT ",
        prover_columns!(),
        " FROM provers WHERE credit <= ?1 AND (credit < ?1 OR id > ?2) ORDER BY credit DESC, id LIMIT ?3"
    );
    let place = |(credit, id): (u64, ProverId)| Ok::<_, StoreError>((int(credit)?, int(id.0)?));
    let (credit, id) = after.map_or(Ok((i64::MAX, -1)), place)?;
    let query = sqlx::query(sql).bind(credit).bind(id).bind(limit.min(PAGE));
    all(&query.fetch_all(db).await?, prover_of)
}

pub(super) async fn payouts(db: &SqlitePool, after: Option<(u64, Address)>, limit: u32) -> Result<Vec<(Address, u64)>> {
    let sql = "SELECT address, credit FROM payouts WHERE credit <= ?1 AND (credit < ?1 OR address > ?2) \
               ORDER BY credit DESC, address LIMIT ?3";
    let place = |(credit, address): (u64, Address)| Ok::<_, StoreError>((int(credit)?, address.0.to_vec()));
    let (credit, address) = after.map_or(Ok((i64::MAX, Vec::new())), place)?;
    let rows = sqlx::query(sql).bind(credit).bind(address).bind(limit.min(PAGE)).fetch_all(db).await?;
    all(&rows, |row| Ok((Address(array(row, 0)?), unsigned(row, 1)?)))
}

pub(super) async fn ledger(db: &SqlitePool, prover: ProverId, after: Option<u64>, limit: u32) -> Result<Vec<Credit>> {
    let sql = "SELECT id, proof, prover, payout, job, steps, credit, at FROM ledger WHERE prover = ? AND id > ? \
               ORDER BY id LIMIT ?";
    let query = sqlx::query(sql).bind(int(prover.0)?).bind(place(after)?).bind(limit.min(PAGE));
    all(&query.fetch_all(db).await?, credit)
}

pub(super) async fn clients(db: &SqlitePool, after: Option<ClientId>, limit: u32) -> Result<Vec<Client>> {
    let sql = "SELECT id, name, role, weight, created, revoked FROM clients WHERE id > ? ORDER BY id LIMIT ?";
    let query = sqlx::query(sql).bind(place(after.map(|client| client.0))?).bind(limit.min(PAGE));
    all(&query.fetch_all(db).await?, client_of)
}

pub(super) async fn client(db: &SqlitePool, token: TokenHash) -> Result<Option<Client>> {
    let sql = "SELECT id, name, role, weight, created, revoked FROM clients WHERE token = ?";
    sqlx::query(sql).bind(&token.0[..]).fetch_optional(db).await?.as_ref().map(client_of).transpose()
}

pub(super) async fn counts(db: &SqlitePool) -> Result<Counts> {
    let sql = "SELECT (SELECT count(*) FROM provers), (SELECT count(*) FROM cover), (SELECT count(*) FROM ledger), \
               (SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size)";
    let row = sqlx::query(sql).fetch_one(db).await?;
    let mut counts = Counts {
        provers: unsigned(&row, 0)?,
        ranges: unsigned(&row, 1)?,
        credits: unsigned(&row, 2)?,
        database_bytes: unsigned(&row, 3)?,
        ..Counts::default()
    };
    let jobs = "SELECT state, count(*) FROM jobs GROUP BY state";
    let proofs = "SELECT verdict, count(*) FROM proofs GROUP BY verdict";
    for (sql, into) in [(jobs, &mut counts.jobs[..]), (proofs, &mut counts.proofs[..])] {
        for row in sqlx::query(sql).fetch_all(db).await? {
            let kind = usize::try_from(unsigned(&row, 0)?).unwrap_or(usize::MAX);
            if let Some(count) = into.get_mut(kind) {
                *count = unsigned(&row, 1)?;
            }
        }
    }
    Ok(counts)
}

pub(super) async fn refers_to(db: &SqlitePool, blob: BlobName) -> Result<bool> {
    let query = match blob {
        BlobName::Proof(proof) => {
            let sql = "SELECT EXISTS (SELECT 1 FROM cover WHERE hash = ?1) \
                       OR EXISTS (SELECT 1 FROM jobs WHERE root = ?1 AND purged < 2) \
                       OR EXISTS (SELECT 1 FROM proofs WHERE hash = ?1 AND verdict IN (0, 2)) \
                       OR EXISTS (SELECT 1 FROM sequences WHERE root = ?1)";
            sqlx::query(sql).bind(proof.0.to_vec())
        }
        BlobName::BatchJob(batch) => {
            let sql = "SELECT EXISTS (SELECT 1 FROM batches WHERE number = ? AND purged = 0)";
            sqlx::query(sql).bind(int(batch).unwrap_or(-1))
        }
        BlobName::BatchData(batch) => {
            sqlx::query("SELECT EXISTS (SELECT 1 FROM batches WHERE number = ?)").bind(int(batch).unwrap_or(-1))
        }
        BlobName::Inputs(job) | BlobName::Index(job) | BlobName::States(job) => {
            let sql = "SELECT EXISTS (SELECT 1 FROM jobs WHERE id = ? AND purged = 0)";
            // A number beyond those of the database is no job's.
            sqlx::query(sql).bind(int(job.0).unwrap_or(-1))
        }
    };
    Ok(query.fetch_one(db).await?.try_get::<bool, _>(0)?)
}
