//! What changes the database, each in one transaction.

use crowdfold_fold::Address;
use crowdfold_sched::{ClientId, JobEnd, JobId, ProofId, ProverId, Range, Verdict};
use sqlx::sqlite::SqlitePool;
use sqlx::{Row as _, Sqlite, SqliteConnection, Transaction};

use super::rows::{array, end_code, int, prover, prover_columns, role_code, unsigned, verdict_code};
use crate::store::limits::{NAME_BYTES, PAGE, REASON_BYTES, RECORDS};
use crate::store::{
    Accepted, At, Faults, IdempotencyKey, Kept, NewClient, NewJob, Prover, Record, Result, Seen, StoreError,
    StoredProof,
};

/// A transaction that has the database to itself from its beginning on. If it is dropped nothing of it was done.
pub(super) async fn begin(writer: &SqlitePool, faults: &Faults) -> Result<Transaction<'static, Sqlite>> {
    faults.point()?;
    match writer.begin_with("BEGIN IMMEDIATE").await {
        // SQLite has undone by itself what found no room, and the connection takes that transaction for open for ever. The
        // next connection knows of none.
        Err(sqlx::Error::InvalidSavePointStatement) => {
            writer.acquire().await?.close().await?;
            Ok(writer.begin_with("BEGIN IMMEDIATE").await?)
        }
        begun => Ok(begun?),
    }
}

pub(super) async fn end(transaction: Transaction<'static, Sqlite>, faults: &Faults) -> Result<()> {
    faults.point()?;
    transaction.commit().await?;
    faults.point()
}

fn check_size(group: usize) -> Result<()> {
    if group <= RECORDS {
        return Ok(());
    }
    Err(StoreError::Limit { what: "records of a group", limit: RECORDS as u64, found: group as u64 })
}

pub(super) async fn commit(writer: &SqlitePool, faults: &Faults, records: &[Record]) -> Result<()> {
    check_size(records.len())?;
    if records.is_empty() {
        return Ok(());
    }
    let mut transaction = begin(writer, faults).await?;
    for (place, record) in records.iter().enumerate() {
        apply(&mut transaction, record).await.map_err(|error| error.of_record(place))?;
        faults.point()?;
    }
    end(transaction, faults).await
}

async fn apply(db: &mut SqliteConnection, record: &Record) -> Result<()> {
    match record {
        Record::Uploaded { proof, prover, payout, job, range, task, at } => {
            let sql = "INSERT INTO proofs (hash, prover, payout, job, lo, hi, bytes, task, uploaded) \
                       SELECT ?, ?, ?, id, ?, ?, ?, ?, ? FROM jobs WHERE id = ? AND steps >= ? AND purged = 0";
            let (lo, hi) = ends(*range)?;
            let done = sqlx::query(sql)
                .bind(&proof.proof().0[..])
                .bind(int(prover.0)?)
                .bind(&payout.0[..])
                .bind(lo)
                .bind(hi)
                .bind(int(proof.bytes())?)
                .bind(task.map(|task| task.0.cast_signed()))
                .bind(int(at.0)?)
                .bind(int(job.0)?)
                .bind(hi)
                .execute(db)
                .await?;
            one(done.rows_affected(), || format!("job {job} is not there, was given up, or has no steps {range:?}"))
        }
        Record::Withdrawn { proof } => {
            let sql = "DELETE FROM proofs WHERE hash = ? AND verdict = 0";
            let done = sqlx::query(sql).bind(&proof.0[..]).execute(db).await?;
            one(done.rows_affected(), || format!("proof {proof:?} is not there or has its verdict"))
        }
        Record::Judged { proof, prover, job, range, verdict, reason, at } => {
            let subject = Subject { proof: *proof, prover: *prover, job: *job, range: *range };
            judge(db, subject, *verdict, reason.as_deref(), *at).await
        }
        Record::Merged { job, range, proof } => merge(db, *job, *range, *proof).await,
        Record::Ended { job, end, reason, at } => {
            // The table's checks refuse a job that is done and has no root.
            let sql = "UPDATE jobs SET state = ?1, ended = ?2, reason = ?3, \
                       root = (SELECT hash FROM cover WHERE ?1 = 1 AND job = ?4 AND lo = 0 AND hi = steps), \
                       root_bytes = (SELECT bytes FROM cover WHERE ?1 = 1 AND job = ?4 AND lo = 0 AND hi = steps) \
                       WHERE id = ?4 AND state = 0";
            let done = sqlx::query(sql)
                .bind(end_code(*end))
                .bind(int(at.0)?)
                .bind(shortened(reason))
                .bind(int(job.0)?)
                .execute(db)
                .await
                .map_err(|error| match StoreError::from(error) {
                    StoreError::Conflict { why } if *end == JobEnd::Done => {
                        StoreError::conflict(format!("job {job} is not covered by one proof ({why})"))
                    }
                    error => error,
                })?;
            one(done.rows_affected(), || format!("job {job} is not there or has ended"))
        }
        Record::Suspended { prover, until } => {
            // The scheduler says it again to a prover that comes back before.
            let sql =
                "UPDATE provers SET strikes = strikes + (suspended_until <> ?1), suspended_until = ?1 WHERE id = ?2";
            let done = sqlx::query(sql).bind(int(until.0)?).bind(int(prover.0)?).execute(db).await?;
            one(done.rows_affected(), || format!("prover {prover} is not known"))
        }
        Record::Forgiven { prover } => {
            let sql = "UPDATE provers SET strikes = max(strikes - 1, 0) WHERE id = ?";
            let done = sqlx::query(sql).bind(int(prover.0)?).execute(db).await?;
            one(done.rows_affected(), || format!("prover {prover} is not known"))
        }
    }
}

/// Which proof a verdict is about.
#[derive(Clone, Copy)]
struct Subject {
    proof: ProofId,
    prover: ProverId,
    job: JobId,
    range: Range,
}

async fn judge(db: &mut SqliteConnection, of: Subject, verdict: Verdict, reason: Option<&str>, at: At) -> Result<()> {
    let Subject { proof, prover, job, range } = of;
    let ((code, steps), (lo, hi)) = (verdict_code(verdict), ends(range)?);
    if steps > range.steps() {
        return Err(StoreError::conflict(format!("a proof of {} steps is not worth {steps}", range.steps())));
    }
    // The first verdict, or that on a spare, which is valid and can't be refused.
    let sql = "UPDATE proofs SET verdict = ?1, steps = ?2, reason = ?3 \
               WHERE hash = ?4 AND prover = ?5 AND job = ?6 AND lo = ?7 AND hi = ?8 \
               AND (verdict = 0 OR verdict = 2 AND ?1 NOT IN (2, 6)) RETURNING payout, bytes";
    let row = sqlx::query(sql)
        .bind(code)
        .bind(int(steps)?)
        .bind(reason.map(shortened))
        .bind(&proof.0[..])
        .bind(int(prover.0)?)
        .bind(int(job.0)?)
        .bind(lo)
        .bind(hi)
        .fetch_optional(&mut *db)
        .await?;
    let Some(row) = row else {
        let why = format!("proof {proof:?} of prover {prover} for job {job}, steps {range:?}, waits for no verdict");
        return Err(StoreError::conflict(why));
    };
    let payout = Address(array(&row, 0)?);
    match verdict {
        Verdict::Counted => {
            cover(&mut *db, job, range, proof, unsigned(&row, 1)?, Some(prover)).await?;
            credit(db, of, payout, range.steps(), at).await
        }
        Verdict::Compensated { steps } => credit(db, of, payout, steps, at).await,
        Verdict::Spare { .. } | Verdict::Superseded | Verdict::Late | Verdict::Refused => Ok(()),
    }
}

async fn cover(
    db: &mut SqliteConnection,
    job: JobId,
    range: Range,
    proof: ProofId,
    bytes: u64,
    prover: Option<ProverId>,
) -> Result<()> {
    let (lo, hi) = ends(range)?;
    sqlx::query("INSERT INTO cover (job, lo, hi, hash, bytes, prover) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(int(job.0)?)
        .bind(lo)
        .bind(hi)
        .bind(&proof.0[..])
        .bind(int(bytes)?)
        .bind(prover.map(|prover| int(prover.0)).transpose()?)
        .execute(db)
        .await?;
    Ok(())
}

async fn credit(db: &mut SqliteConnection, of: Subject, payout: Address, steps: u64, at: At) -> Result<()> {
    // What a job can be worth in all was bounded when it was added. A trigger adds it to the sums.
    let sql = "INSERT INTO ledger (proof, prover, payout, job, steps, credit, at) \
               SELECT ?1, ?2, ?3, id, ?4, cost * ?4, ?5 FROM jobs WHERE id = ?6";
    let done = sqlx::query(sql)
        .bind(&of.proof.0[..])
        .bind(int(of.prover.0)?)
        .bind(&payout.0[..])
        .bind(int(steps)?)
        .bind(int(at.0)?)
        .bind(int(of.job.0)?)
        .execute(db)
        .await?;
    one(done.rows_affected(), || format!("job {} is not there", of.job))
}

async fn merge(db: &mut SqliteConnection, job: JobId, range: Range, proof: StoredProof) -> Result<()> {
    let ((lo, hi), number) = (ends(range)?, int(job.0)?);
    let sql = "SELECT min(lo), max(hi), coalesce(sum(hi - lo), 0) FROM cover WHERE job = ? AND lo >= ? AND lo < ?";
    let row = sqlx::query(sql).bind(number).bind(lo).bind(hi).fetch_one(&mut *db).await?;
    let ends: (Option<i64>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
    // They are disjoint, so if they have as many steps as the range there is no gap.
    if ends != (Some(lo), Some(hi)) || row.try_get::<i64, _>(2)? != hi - lo {
        return Err(StoreError::conflict(format!("the cover of job {job} has no ranges that make up {range:?}")));
    }
    let sql = "DELETE FROM cover WHERE job = ? AND lo >= ? AND lo < ?";
    sqlx::query(sql).bind(number).bind(lo).bind(hi).execute(&mut *db).await?;
    cover(db, job, range, proof.proof(), proof.bytes(), None).await
}

fn ends(range: Range) -> Result<(i64, i64)> {
    Ok((int(range.start().0)?, int(range.end().0)?))
}

pub(super) fn one(rows: u64, why: impl FnOnce() -> String) -> Result<()> {
    if rows == 1 { Ok(()) } else { Err(StoreError::conflict(why())) }
}

pub(super) fn shortened(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(REASON_BYTES)]
}

fn bounded(what: &'static str, text: &str) -> Result<()> {
    if text.len() <= NAME_BYTES {
        return Ok(());
    }
    Err(StoreError::Limit { what, limit: NAME_BYTES as u64, found: text.len() as u64 })
}

pub(super) async fn job_of_key(
    db: &mut SqliteConnection,
    client: ClientId,
    key: &IdempotencyKey,
) -> Result<Option<JobId>> {
    let sql = "SELECT job, body FROM job_keys WHERE client = ? AND key = ?";
    let row = sqlx::query(sql).bind(int(client.0)?).bind(&key.key).fetch_optional(db).await?;
    let Some(row) = row else { return Ok(None) };
    if array(&row, 1)? != key.body {
        return Err(StoreError::KeyReused { key: key.key.clone() });
    }
    Ok(Some(JobId(unsigned(&row, 0)?)))
}

pub(super) async fn add_job(writer: &SqlitePool, faults: &Faults, job: &NewJob) -> Result<Accepted> {
    let (data, spec, id) = (&job.data, &job.spec, job.data.job());
    bounded("bytes of a program's name", &job.program)?;
    if spec.steps != data.steps() {
        let why = format!("a job of {} steps has inputs for {}", spec.steps, data.steps());
        return Err(StoreError::conflict(why));
    }
    // So that no sum for it can overflow.
    int(job.cost.saturating_mul(spec.steps))?;
    let mut transaction = begin(writer, faults).await?;
    if let Some(key) = &job.key {
        bounded("bytes of an idempotency key", &key.key)?;
        if let Some(before) = job_of_key(&mut transaction, spec.client, key).await? {
            return Ok(Accepted::Before(before));
        }
    }
    let sql = "INSERT INTO jobs (id, chain_id, contract, chain_job, client, program, parameters, steps, rows, cost, \
               memory, start_state, end_state, weight, bounty, height, deadline, submitted, input_bytes, state_bytes, \
               hashes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    sqlx::query(sql)
        .bind(int(id.0)?)
        .bind(int(job.name.chain_id)?)
        .bind(&job.name.contract.0[..])
        .bind(&job.name.job_id[..])
        .bind(int(spec.client.0)?)
        .bind(&job.program)
        .bind(&job.parameters.0[..])
        .bind(int(spec.steps)?)
        .bind(int(spec.rows)?)
        .bind(int(job.cost)?)
        .bind(int(spec.memory.0)?)
        .bind(&job.start)
        .bind(&job.end)
        .bind(spec.weight)
        .bind(spec.bounty)
        .bind(int(spec.height)?)
        .bind(int(spec.deadline.0)?)
        .bind(int(job.submitted.0)?)
        .bind(int(data.input_bytes())?)
        .bind(int(data.state_bytes())?)
        .bind(data.hashes.concat())
        .execute(&mut *transaction)
        .await?;
    faults.point()?;
    if let Some(key) = &job.key {
        sqlx::query("INSERT INTO job_keys (client, key, body, job) VALUES (?, ?, ?, ?)")
            .bind(int(spec.client.0)?)
            .bind(&key.key)
            .bind(&key.body[..])
            .bind(int(id.0)?)
            .execute(&mut *transaction)
            .await?;
    }
    end(transaction, faults).await?;
    Ok(Accepted::New(id))
}

pub(super) async fn seen(writer: &SqlitePool, faults: &Faults, provers: &[Seen]) -> Result<Vec<Prover>> {
    check_size(provers.len())?;
    let sql = concat!(
        "INSERT INTO provers (key, payout, first_seen, last_seen) VALUES (?1, ?2, ?3, ?3) ",
        "ON CONFLICT (key) DO UPDATE SET payout = excluded.payout, last_seen = max(last_seen, excluded.last_seen) ",
        "RETURNING ",
        prover_columns!()
    );
    let mut transaction = begin(writer, faults).await?;
    let mut known = Vec::with_capacity(provers.len());
    for seen in provers {
        let query = sqlx::query(sql).bind(&seen.key.0[..]).bind(&seen.payout.0[..]).bind(int(seen.at.0)?);
        known.push(prover(&query.fetch_one(&mut *transaction).await?)?);
    }
    end(transaction, faults).await?;
    Ok(known)
}

pub(super) async fn add_client(writer: &SqlitePool, faults: &Faults, client: &NewClient) -> Result<ClientId> {
    bounded("bytes of a client's name", &client.name)?;
    let mut transaction = begin(writer, faults).await?;
    let sql = "INSERT INTO clients (name, role, token, weight, created) VALUES (?, ?, ?, ?, ?) RETURNING id";
    let row = sqlx::query(sql)
        .bind(&client.name)
        .bind(role_code(client.role))
        .bind(&client.token.0[..])
        .bind(client.weight)
        .bind(int(client.created.0)?)
        .fetch_one(&mut *transaction)
        .await?;
    end(transaction, faults).await?;
    Ok(ClientId(unsigned(&row, 0)?))
}

pub(super) async fn revoke_client(writer: &SqlitePool, faults: &Faults, client: ClientId, at: At) -> Result<()> {
    let mut transaction = begin(writer, faults).await?;
    let sql = "UPDATE clients SET revoked = coalesce(revoked, ?) WHERE id = ?";
    let done = sqlx::query(sql).bind(int(at.0)?).bind(int(client.0)?).execute(&mut *transaction).await?;
    one(done.rows_affected(), || format!("client {client} is not known"))?;
    end(transaction, faults).await
}

pub(super) async fn purge(
    writer: &SqlitePool,
    faults: &Faults,
    kept: Kept,
    before: At,
    limit: u32,
) -> Result<Vec<JobId>> {
    let level = match kept {
        Kept::All => return Ok(Vec::new()),
        Kept::Root => 1,
        Kept::Nothing => 2,
    };
    let mut transaction = begin(writer, faults).await?;
    // The roots of a sequence's batches are merged first.
    let sql = "UPDATE jobs SET purged = ?1 WHERE id IN (SELECT id FROM jobs WHERE purged < ?1 AND ended < ?2 \
               AND (?1 < 2 OR NOT EXISTS (SELECT 1 FROM batches b JOIN sequences s ON s.number = b.sequence \
               WHERE b.job = jobs.id AND s.root IS NULL)) LIMIT ?3) RETURNING id";
    let query = sqlx::query(sql).bind(level).bind(int(before.0)?).bind(limit.min(PAGE));
    let mut jobs = Vec::new();
    for row in query.fetch_all(&mut *transaction).await? {
        jobs.push(JobId(unsigned(&row, 0)?));
    }
    if jobs.is_empty() {
        return Ok(jobs);
    }
    for job in &jobs {
        for sql in ["DELETE FROM cover WHERE job = ?", "DELETE FROM proofs WHERE job = ?"] {
            sqlx::query(sql).bind(int(job.0)?).execute(&mut *transaction).await?;
        }
        faults.point()?;
    }
    end(transaction, faults).await?;
    Ok(jobs)
}
