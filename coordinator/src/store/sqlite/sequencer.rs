//! The sequencer's tables.

use crowdfold_fold::Job;
use crowdfold_sched::{JobId, Millis, ProofId};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection};

use super::SqliteStore;
use super::rows::{array, int, job as job_of, job_columns, optional, small, unsigned};
use super::write::{begin, end, one, shortened};
use crate::store::limits::{PAGE, ROWS};
use crate::store::{
    At, BatchState, Dropped, Intake, NewBatch, NewTransaction, PendingTransaction, Place, Result, SequencerCounts,
    StoreError, StoredBatch, StoredJob, StoredProof, StoredSequence, TransactionHash, TransactionReceipt,
    WaitingDeposit,
};

/// Why deposits were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DepositConflict {
    /// This number is the next.
    Gap {
        /// The next one.
        next: u64,
    },
    /// Another deposit has this number.
    Differs {
        /// The number.
        number: u64,
    },
}

/// For `SELECT`, in the order of [`batch`].
macro_rules! batch_columns {
    () => {
        "SELECT b.number, b.sequence, s.chain_job, b.transactions, b.deposits, b.steps, b.end_state, b.job_bytes, \
         b.job_hash, b.data_bytes, b.data_hash, b.sealed, b.attempt, b.job, j.state, j.root, j.ended FROM batches b \
         JOIN sequences s ON s.number = b.sequence LEFT JOIN jobs j ON j.id = b.job "
    };
}

/// For `SELECT`, in the order of [`sequence`].
macro_rules! sequence_columns {
    () => {
        "SELECT s.number, s.chain_job, (SELECT min(number) FROM batches WHERE sequence = s.number), \
         (SELECT max(number) FROM batches WHERE sequence = s.number), \
         (SELECT count(*) FROM batches b JOIN jobs j ON j.id = b.job WHERE b.sequence = s.number AND j.state = 1), \
         s.opened, s.closed, s.root, s.root_bytes, s.merged FROM sequences s "
    };
}

fn batch(row: &SqliteRow) -> Result<StoredBatch> {
    let state = match optional(row, 14)? {
        None => BatchState::Sealed,
        Some(0) => BatchState::Proving,
        Some(1) => BatchState::Proved,
        Some(_) => BatchState::Failed,
    };
    Ok(StoredBatch {
        number: unsigned(row, 0)?,
        sequence: unsigned(row, 1)?,
        chain_job: array(row, 2)?,
        transactions: unsigned(row, 3)?,
        deposits: unsigned(row, 4)?,
        steps: unsigned(row, 5)?,
        end: row.try_get(6)?,
        job_bytes: unsigned(row, 7)?,
        job_hash: array(row, 8)?,
        data_bytes: unsigned(row, 9)?,
        data_hash: array(row, 10)?,
        sealed: Millis(unsigned(row, 11)?),
        attempt: unsigned(row, 12)?,
        job: optional(row, 13)?.map(JobId),
        state,
        root: row.try_get::<Option<&[u8]>, _>(15)?.map(|_| array(row, 15).map(ProofId)).transpose()?,
        ended: optional(row, 16)?.map(Millis),
    })
}

fn sequence(row: &SqliteRow) -> Result<StoredSequence> {
    let root = match row.try_get::<Option<&[u8]>, _>(7)? {
        None => None,
        Some(_) => Some((ProofId(array(row, 7)?), unsigned(row, 8)?, Millis(unsigned(row, 9)?))),
    };
    Ok(StoredSequence {
        number: unsigned(row, 0)?,
        chain_job: array(row, 1)?,
        batches: (unsigned(row, 2)?, unsigned(row, 3)?),
        proved: unsigned(row, 4)?,
        opened: Millis(unsigned(row, 5)?),
        closed: optional(row, 6)?.map(Millis),
        root,
    })
}

fn receipt(row: &SqliteRow) -> Result<TransactionReceipt> {
    let place = match (optional(row, 4)?, optional(row, 9)?) {
        (Some(batch), _) => Place::Included {
            batch,
            position: unsigned(row, 5)?,
            sequence: unsigned(row, 6)?,
            job: optional(row, 7)?.map(JobId),
            is_proved: optional(row, 8)? == Some(1),
        },
        (None, Some(at)) => {
            Place::Dropped { at: Millis(at), why: Dropped { reason: row.try_get(10)?, detail: row.try_get(11)? } }
        }
        (None, None) => Place::Pending,
    };
    Ok(TransactionReceipt {
        hash: TransactionHash(array(row, 0)?),
        account: small(row, 1)?,
        nonce: small(row, 2)?,
        received: Millis(unsigned(row, 3)?),
        place,
    })
}

/// Numbers as a JSON array, which one parameter can carry.
fn json(numbers: impl IntoIterator<Item = u64>) -> String {
    let numbers: Vec<String> = numbers.into_iter().map(|number| number.to_string()).collect();
    format!("[{}]", numbers.join(","))
}

async fn insert(db: &mut SqliteConnection, rows: &[NewTransaction], at: At) -> Result<()> {
    // Those that were not dropped before stay as they are, and are missed below.
    for rows in rows.chunks(ROWS) {
        let mut values = Vec::with_capacity(rows.len());
        for row in rows {
            let dropped = row.dropped.as_ref().map(|_| int(at.0)).transpose()?;
            values.push((row, int(row.id)?, int(row.received.0)?, dropped));
        }
        let mut query: QueryBuilder<Sqlite> = QueryBuilder::new(
            "INSERT INTO transactions (id, hash, account, nonce, cost, received, bytes, dropped, reason, detail) ",
        );
        query.push_values(values, |mut out, (row, id, received, dropped)| {
            out.push_bind(id).push_bind(&row.hash.0[..]).push_bind(row.account).push_bind(row.nonce);
            out.push_bind(row.cost.to_be_bytes().to_vec()).push_bind(received);
            out.push_bind(row.dropped.is_none().then_some(&row.bytes[..])).push_bind(dropped);
            out.push_bind(row.dropped.as_ref().map(|why| why.reason.as_str()));
            out.push_bind(row.dropped.as_ref().and_then(|why| why.detail.as_deref()));
        });
        query.push(
            " ON CONFLICT (hash) DO UPDATE SET id = excluded.id, received = excluded.received, \
             bytes = excluded.bytes, dropped = excluded.dropped, reason = excluded.reason, detail = excluded.detail \
             WHERE transactions.dropped IS NOT NULL",
        );
        let done = query.build().persistent(false).execute(&mut *db).await?;
        if done.rows_affected() != rows.len() as u64 {
            return Err(StoreError::conflict("a transaction is pending or in a batch already"));
        }
    }
    Ok(())
}

async fn drop_all(db: &mut SqliteConnection, dropped: &[(u64, Dropped)], at: At) -> Result<()> {
    for (id, why) in dropped {
        let sql = "UPDATE transactions SET bytes = NULL, dropped = ?, reason = ?, detail = ? \
                   WHERE id = ? AND bytes IS NOT NULL";
        let done = sqlx::query(sql)
            .bind(int(at.0)?)
            .bind(&why.reason)
            .bind(why.detail.as_deref().map(shortened))
            .bind(int(*id)?)
            .execute(&mut *db)
            .await?;
        one(done.rows_affected(), || format!("transaction {id} is not pending"))?;
    }
    Ok(())
}

impl SqliteStore {
    /// Writes what a group of requests changes, all or nothing.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if it contradicts what is stored; those of every write.
    pub async fn take_in(&self, intake: &Intake, at: At) -> Result<()> {
        let mut transaction = begin(&self.writer, &self.faults).await?;
        drop_all(&mut transaction, &intake.dropped, at).await?;
        self.faults.point()?;
        insert(&mut transaction, &intake.added, at).await?;
        end(transaction, &self.faults).await
    }

    /// Transactions that wait for their batch, in the order in which they came.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn pending_transactions(&self, after: Option<u64>, limit: u32) -> Result<Vec<PendingTransaction>> {
        let sql = "SELECT id, hash, bytes, received FROM transactions WHERE bytes IS NOT NULL AND id > ? \
                   ORDER BY id LIMIT ?";
        let after = after.map_or(Ok(-1), int)?;
        let rows = sqlx::query(sql).bind(after).bind(limit.min(PAGE)).fetch_all(&self.readers).await?;
        let read = |row: &SqliteRow| {
            let (id, hash) = (unsigned(row, 0)?, TransactionHash(array(row, 1)?));
            Ok(PendingTransaction { id, hash, bytes: row.try_get(2)?, received: Millis(unsigned(row, 3)?) })
        };
        rows.iter().map(read).collect()
    }

    /// Nonces and costs of an account's pending transactions, in the order of their nonces.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn pending_of(&self, account: u32) -> Result<Vec<(u32, u128)>> {
        let sql = "SELECT nonce, cost FROM transactions WHERE account = ? AND bytes IS NOT NULL ORDER BY nonce";
        let rows = sqlx::query(sql).bind(account).fetch_all(&self.readers).await?;
        rows.iter().map(|row| Ok((small(row, 0)?, u128::from_be_bytes(array(row, 1)?)))).collect()
    }

    /// The place that the next transaction gets in the order in which they come.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn next_transaction(&self) -> Result<u64> {
        let sql = "SELECT coalesce(max(id) + 1, 0) FROM transactions";
        unsigned(&sqlx::query(sql).fetch_one(&self.readers).await?, 0)
    }

    /// What became of a transaction; `None` if none of that name was accepted, or it was long ago.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn transaction(&self, hash: TransactionHash) -> Result<Option<TransactionReceipt>> {
        let sql = "SELECT t.hash, t.account, t.nonce, t.received, t.batch, t.position, b.sequence, b.job, j.state, \
                   t.dropped, t.reason, t.detail FROM transactions t LEFT JOIN batches b ON b.number = t.batch \
                   LEFT JOIN jobs j ON j.id = b.job WHERE t.hash = ?";
        let row = sqlx::query(sql).bind(&hash.0[..]).fetch_optional(&self.readers).await?;
        row.as_ref().map(receipt).transpose()
    }

    /// Adds the deposits that are new, all or nothing, and says how many they are. The very first has number `first`.
    ///
    /// # Errors
    /// Those of every write.
    pub async fn add_deposits(
        &self,
        first: u64,
        deposits: &[(u64, Vec<u8>)],
        at: At,
    ) -> Result<Result<u64, DepositConflict>> {
        let mut transaction = begin(&self.writer, &self.faults).await?;
        let sql = "SELECT max(number) + 1 FROM deposits";
        let row = sqlx::query(sql).fetch_one(&mut *transaction).await?;
        let mut next = optional(&row, 0)?.unwrap_or(first);
        let mut added = 0;
        for (number, bytes) in deposits {
            if *number > next {
                return Ok(Err(DepositConflict::Gap { next }));
            }
            if *number < next {
                let sql = "SELECT EXISTS (SELECT 1 FROM deposits WHERE number = ? AND bytes = ?)";
                let row = sqlx::query(sql).bind(int(*number)?).bind(bytes).fetch_one(&mut *transaction).await?;
                if !row.try_get::<bool, _>(0)? {
                    return Ok(Err(DepositConflict::Differs { number: *number }));
                }
                continue;
            }
            let sql = "INSERT INTO deposits (number, bytes, received) VALUES (?, ?, ?)";
            let query = sqlx::query(sql).bind(int(*number)?).bind(bytes).bind(int(at.0)?);
            query.execute(&mut *transaction).await?;
            (next, added) = (next + 1, added + 1);
        }
        end(transaction, &self.faults).await?;
        Ok(Ok(added))
    }

    /// Deposits that wait, in order.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn waiting_deposits(&self, limit: u32) -> Result<Vec<WaitingDeposit>> {
        let sql = "SELECT number, bytes, received FROM deposits WHERE batch IS NULL ORDER BY number LIMIT ?";
        let rows = sqlx::query(sql).bind(limit).fetch_all(&self.readers).await?;
        let read = |row: &SqliteRow| {
            let (number, received) = (unsigned(row, 0)?, Millis(unsigned(row, 2)?));
            Ok(WaitingDeposit { number, bytes: row.try_get(1)?, received })
        };
        rows.iter().map(read).collect()
    }

    /// Records a sealed batch: its row, and the places of its transactions.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if it does not follow the last one, or one of its transactions does not wait; those of
    /// every write.
    pub async fn seal(&self, batch: &NewBatch) -> Result<()> {
        let (number, at) = (int(batch.number)?, int(batch.at.0)?);
        let mut transaction = begin(&self.writer, &self.faults).await?;
        if let Some(opens) = &batch.opens {
            let sql = "INSERT INTO sequences (number, chain_job, opened) VALUES (?, ?, ?)";
            let query = sqlx::query(sql).bind(int(opens.number)?).bind(&opens.chain_job[..]).bind(at);
            query.execute(&mut *transaction).await?;
        }
        let (deposits, all) = (batch.deposits.len(), batch.deposits.len() + batch.transactions.len());
        let sql = "INSERT INTO batches (number, sequence, transactions, deposits, steps, end_state, job_bytes, \
                   job_hash, data_bytes, data_hash, sealed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        sqlx::query(sql)
            .bind(number)
            .bind(int(batch.sequence)?)
            .bind(int(all as u64)?)
            .bind(int(deposits as u64)?)
            .bind(int(batch.steps)?)
            .bind(&batch.end)
            .bind(int(batch.job.0)?)
            .bind(&batch.job.1[..])
            .bind(int(batch.data.0)?)
            .bind(&batch.data.1[..])
            .bind(at)
            .execute(&mut *transaction)
            .await?;
        self.faults.point()?;
        let sql = "UPDATE deposits SET batch = ?1, position = key FROM json_each(?2) \
                   WHERE number = value AND batch IS NULL";
        let query = sqlx::query(sql).bind(number).bind(json(batch.deposits.iter().copied()));
        let done = query.execute(&mut *transaction).await?;
        let mut moved = done.rows_affected();
        let sql = "UPDATE transactions SET bytes = NULL, batch = ?1, position = key + ?2 FROM json_each(?3) \
                   WHERE transactions.id = value AND bytes IS NOT NULL";
        let query = sqlx::query(sql).bind(number).bind(int(deposits as u64)?);
        let done = query.bind(json(batch.transactions.iter().copied())).execute(&mut *transaction).await?;
        moved += done.rows_affected();
        if moved != all as u64 {
            return Err(StoreError::conflict(format!(
                "{} transactions of batch {number} don't wait",
                all as u64 - moved
            )));
        }
        drop_all(&mut transaction, &batch.dropped, batch.at).await?;
        if batch.closes {
            let sql = "UPDATE sequences SET closed = ? WHERE number = ?";
            sqlx::query(sql).bind(at).bind(int(batch.sequence)?).execute(&mut *transaction).await?;
        }
        end(transaction, &self.faults).await
    }

    /// Closes a sequence, if it is open.
    ///
    /// # Errors
    /// Those of every write.
    pub async fn close_sequence(&self, number: u64, at: At) -> Result<()> {
        let mut transaction = begin(&self.writer, &self.faults).await?;
        let sql = "UPDATE sequences SET closed = ? WHERE number = ? AND closed IS NULL";
        sqlx::query(sql).bind(int(at.0)?).bind(int(number)?).execute(&mut *transaction).await?;
        end(transaction, &self.faults).await
    }

    /// A batch.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn batch(&self, number: u64) -> Result<Option<StoredBatch>> {
        let Ok(number) = int(number) else { return Ok(None) };
        let sql = concat!(batch_columns!(), "WHERE b.number = ?");
        sqlx::query(sql).bind(number).fetch_optional(&self.readers).await?.as_ref().map(batch).transpose()
    }

    /// Batches, the newest first.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn batches(&self, before: Option<u64>, limit: u32) -> Result<Vec<StoredBatch>> {
        let sql = concat!(batch_columns!(), "WHERE b.number < ? ORDER BY b.number DESC LIMIT ?");
        let before = before.map_or(Ok(i64::MAX), int)?;
        let rows = sqlx::query(sql).bind(before).bind(limit.min(PAGE)).fetch_all(&self.readers).await?;
        rows.iter().map(batch).collect()
    }

    /// The batches of a sequence, in order.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn batches_of(&self, sequence: u64) -> Result<Vec<StoredBatch>> {
        let sql = concat!(batch_columns!(), "WHERE b.sequence = ? ORDER BY b.number");
        let rows = sqlx::query(sql).bind(int(sequence)?).fetch_all(&self.readers).await?;
        rows.iter().map(batch).collect()
    }

    /// A sequence.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn sequence(&self, number: u64) -> Result<Option<StoredSequence>> {
        let Ok(number) = int(number) else { return Ok(None) };
        let sql = concat!(sequence_columns!(), "WHERE s.number = ?");
        sqlx::query(sql).bind(number).fetch_optional(&self.readers).await?.as_ref().map(sequence).transpose()
    }

    /// Sequences, the newest first.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn sequences(&self, before: Option<u64>, limit: u32) -> Result<Vec<StoredSequence>> {
        let sql = concat!(sequence_columns!(), "WHERE s.number < ? ORDER BY s.number DESC LIMIT ?");
        let before = before.map_or(Ok(i64::MAX), int)?;
        let rows = sqlx::query(sql).bind(before).bind(limit.min(PAGE)).fetch_all(&self.readers).await?;
        rows.iter().map(sequence).collect()
    }

    /// The first batch that has no job.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn batch_to_hand_over(&self) -> Result<Option<StoredBatch>> {
        let sql = concat!(batch_columns!(), "WHERE b.job IS NULL ORDER BY b.number LIMIT 1");
        sqlx::query(sql).fetch_optional(&self.readers).await?.as_ref().map(batch).transpose()
    }

    /// Records the job of a batch.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if it has another one; those of every write.
    pub async fn set_batch_job(&self, number: u64, attempt: u64, job: JobId) -> Result<()> {
        let mut transaction = begin(&self.writer, &self.faults).await?;
        let sql = "UPDATE batches SET job = ?1 WHERE number = ?2 AND attempt = ?3 AND (job IS NULL OR job = ?1)";
        let query = sqlx::query(sql).bind(int(job.0)?).bind(int(number)?).bind(int(attempt)?);
        let done = query.execute(&mut *transaction).await?;
        one(done.rows_affected(), || format!("batch {number} has another job than {job}"))?;
        end(transaction, &self.faults).await
    }

    /// Takes batches from jobs that ended without a proof before, so that they get others, and says which.
    ///
    /// # Errors
    /// Those of every write.
    pub async fn retry_batches(&self, ended_before: At) -> Result<Vec<u64>> {
        let sql = "SELECT b.number FROM batches b JOIN sequences s ON s.number = b.sequence \
                   JOIN jobs j ON j.id = b.job WHERE s.root IS NULL AND j.state > 1 AND j.ended < ?";
        let rows = sqlx::query(sql).bind(int(ended_before.0)?).fetch_all(&self.readers).await?;
        let numbers = rows.iter().map(|row| unsigned(row, 0)).collect::<Result<Vec<_>>>()?;
        if numbers.is_empty() {
            return Ok(numbers);
        }
        let mut transaction = begin(&self.writer, &self.faults).await?;
        let sql = "UPDATE batches SET job = NULL, attempt = attempt + 1 \
                   WHERE number IN (SELECT value FROM json_each(?)) AND purged = 0";
        sqlx::query(sql).bind(json(numbers.iter().copied())).execute(&mut *transaction).await?;
        end(transaction, &self.faults).await?;
        Ok(numbers)
    }

    /// The first closed sequence without a root whose batches are all proved.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn sequence_to_merge(&self) -> Result<Option<StoredSequence>> {
        let sql = concat!(
            sequence_columns!(),
            "WHERE s.root IS NULL AND s.closed IS NOT NULL AND NOT EXISTS \
             (SELECT 1 FROM batches b LEFT JOIN jobs j ON j.id = b.job \
             WHERE b.sequence = s.number AND j.state IS NOT 1) ORDER BY s.number LIMIT 1"
        );
        sqlx::query(sql).fetch_optional(&self.readers).await?.as_ref().map(sequence).transpose()
    }

    /// Records the proof of all batches of a closed sequence.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if it is open or has one; those of every write.
    pub async fn set_sequence_root(&self, number: u64, proof: StoredProof, at: At) -> Result<()> {
        let mut transaction = begin(&self.writer, &self.faults).await?;
        let sql = "UPDATE sequences SET root = ?, root_bytes = ?, merged = ? \
                   WHERE number = ? AND closed IS NOT NULL AND root IS NULL";
        let query = sqlx::query(sql).bind(proof.proof().0.to_vec()).bind(int(proof.bytes())?);
        let done = query.bind(int(at.0)?).bind(int(number)?).execute(&mut *transaction).await?;
        one(done.rows_affected(), || format!("sequence {number} is open or has its root"))?;
        end(transaction, &self.faults).await
    }

    /// Forgets transactions that were dropped before, and those of one batch whose sequence was merged before. Says how
    /// many.
    ///
    /// # Errors
    /// Those of every write.
    pub async fn forget_transactions(&self, before: At, limit: u32) -> Result<u64> {
        let mut transaction = begin(&self.writer, &self.faults).await?;
        let sql = "DELETE FROM transactions WHERE id IN (SELECT id FROM transactions WHERE dropped < ? LIMIT ?)";
        let done = sqlx::query(sql).bind(int(before.0)?).bind(limit.min(PAGE)).execute(&mut *transaction).await?;
        let mut forgotten = done.rows_affected();
        // Sequences are merged about in their order, so the oldest batch is the next.
        let sql = "DELETE FROM transactions WHERE batch = (SELECT b.number FROM batches b \
                   JOIN sequences s ON s.number = b.sequence WHERE s.merged < ? \
                   AND b.number = (SELECT min(batch) FROM transactions WHERE batch IS NOT NULL))";
        forgotten += sqlx::query(sql).bind(int(before.0)?).execute(&mut *transaction).await?.rows_affected();
        if forgotten == 0 {
            return Ok(0);
        }
        end(transaction, &self.faults).await?;
        Ok(forgotten)
    }

    /// Gives up the jobs' blobs of batches whose sequence was merged before, and says of how many.
    pub(in crate::store) async fn purge_batches(&self, merged_before: At) -> Result<u64> {
        let mut transaction = begin(&self.writer, &self.faults).await?;
        let sql = "UPDATE batches SET purged = 1 WHERE purged = 0 \
                   AND sequence IN (SELECT number FROM sequences WHERE merged < ?)";
        let done = sqlx::query(sql).bind(int(merged_before.0)?).execute(&mut *transaction).await?;
        if done.rows_affected() > 0 {
            end(transaction, &self.faults).await?;
        }
        Ok(done.rows_affected())
    }

    /// Numbers for `/metrics`.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn sequencer_counts(&self) -> Result<SequencerCounts> {
        // Numbers have no gaps, and what is not over is found by indices: all rows are never counted.
        let sql = "SELECT (SELECT coalesce(max(number) - min(number) + 1, 0) FROM batches), \
                   (SELECT count(*) FROM batches WHERE job IS NULL), \
                   (SELECT count(*) FROM jobs j JOIN batches b ON b.job = j.id WHERE j.state = 0), \
                   (SELECT count(*) FROM sequences s JOIN batches b ON b.sequence = s.number \
                    JOIN jobs j ON j.id = b.job WHERE s.root IS NULL AND j.state > 1), \
                   (SELECT coalesce(max(number), 0) FROM sequences), \
                   (SELECT count(*) FROM sequences WHERE closed IS NULL), \
                   (SELECT count(*) FROM sequences WHERE root IS NULL), \
                   (SELECT count(*) FROM deposits WHERE batch IS NULL)";
        let row = sqlx::query(sql).fetch_one(&self.readers).await?;
        let number = |column| unsigned(&row, column);
        let [sealed, proving, failed] = [number(1)?, number(2)?, number(3)?];
        let proved = number(0)?.saturating_sub(sealed + proving + failed);
        let (open, unmerged) = (number(5)?, number(6)?);
        Ok(SequencerCounts {
            batches: [sealed, proving, proved, failed],
            sequences: [open, unmerged.saturating_sub(open), number(4)?.saturating_sub(unmerged)],
            deposits: number(7)?,
        })
    }

    /// Open jobs of a name on the chain: those of a sequence, or one.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn open_jobs_named(&self, name: &Job) -> Result<Vec<StoredJob>> {
        let sql = concat!(job_columns!(), "WHERE chain_job = ? AND chain_id = ? AND contract = ? AND state = 0");
        let query = sqlx::query(sql).bind(&name.job_id[..]).bind(int(name.chain_id)?).bind(&name.contract.0[..]);
        query.fetch_all(&self.readers).await?.iter().map(job_of).collect()
    }
}
