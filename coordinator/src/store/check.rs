//! Whether what is stored fits together.

use std::fmt;

use crowdfold_sched::{JobId, ProofId};
use sqlx::Row as _;

use super::{BlobName, Result, Storage, StoreError};

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SQLite finds the file damaged, or a row refers to one that is not there.
    Database(String),
    /// A blob that a row refers to is missing.
    Missing(BlobName),
    /// A blob has another length or hash than its row says.
    Damaged(BlobName),
    /// Ranges of a job's cover overlap or are beyond its steps.
    Cover(JobId),
    /// The sum kept for a prover or an address is not that of the ledger.
    Ledger(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(why) => write!(f, "the database: {why}"),
            Self::Missing(blob) => write!(f, "{blob} is missing"),
            Self::Damaged(blob) => write!(f, "{blob} has a wrong length or SHA-256"),
            Self::Cover(job) => write!(f, "the cover of job {job} overlaps or is beyond its steps"),
            Self::Ledger(whose) => write!(f, "the credit of {whose} is not the sum of its ledger"),
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Blobs that were read.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is wrong; nothing in a good store.
    pub faults: Vec<Fault>,
}

impl Storage {
    /// Reads all that is stored and sees whether it fits together. Nothing may be removed meanwhile; all else
    /// may go on.
    ///
    /// # Errors
    /// What reading fails with. What is damaged is no error but in the answer.
    pub async fn check(&self) -> Result<Checked> {
        let _staying = self.removal.lock().await;
        let mut checked = Checked::default();
        self.check_database(&mut checked).await?;
        // Blobs that are referred to now may not be in a moment, but they stay while this holds the lock.
        for (name, bytes, hash) in referred(self.store.reader()).await? {
            match self.blobs.digest(name).await {
                Err(StoreError::Missing { .. }) => checked.faults.push(Fault::Missing(name)),
                Err(error) => return Err(error),
                Ok(found) => {
                    checked.blobs += 1;
                    checked.bytes += found.0;
                    if found != (bytes, hash) {
                        checked.faults.push(Fault::Damaged(name));
                    }
                }
            }
        }
        Ok(checked)
    }

    async fn check_database(&self, checked: &mut Checked) -> Result<()> {
        let db = self.store.reader();
        for row in sqlx::query("PRAGMA integrity_check").fetch_all(db).await? {
            let said: String = row.try_get(0)?;
            if said != "ok" {
                checked.faults.push(Fault::Database(said));
            }
        }
        for row in sqlx::query("PRAGMA foreign_key_check").fetch_all(db).await? {
            let table: String = row.try_get(0)?;
            checked.faults.push(Fault::Database(format!("a row of table {table} refers to none")));
        }
        let sql = "SELECT DISTINCT c.job FROM cover c JOIN jobs j ON j.id = c.job WHERE c.hi > j.steps \
                   OR c.hi > (SELECT min(n.lo) FROM cover n WHERE n.job = c.job AND n.lo > c.lo)";
        for row in sqlx::query(sql).fetch_all(db).await? {
            checked.faults.push(Fault::Cover(JobId(row.try_get::<i64, _>(0)?.unsigned_abs())));
        }
        let sql = "SELECT 'prover ' || p.id FROM provers p WHERE p.credit <> \
                   (SELECT coalesce(sum(l.credit), 0) FROM ledger l WHERE l.prover = p.id) \
                   UNION ALL SELECT 'address 0x' || lower(hex(coalesce(p.address, s.payout))) FROM payouts p \
                   FULL JOIN (SELECT payout, sum(credit) AS credit FROM ledger GROUP BY payout) s \
                   ON s.payout = p.address WHERE p.credit IS NOT s.credit";
        for row in sqlx::query(sql).fetch_all(db).await? {
            checked.faults.push(Fault::Ledger(row.try_get(0)?));
        }
        Ok(())
    }
}

/// Every blob that a row refers to, with its length and hash.
pub(super) async fn referred(db: &sqlx::SqlitePool) -> Result<Vec<(BlobName, u64, [u8; 32])>> {
    let mut blobs = Vec::new();
    let sql = "SELECT hash, max(bytes) FROM (SELECT hash, bytes FROM cover \
               UNION ALL SELECT hash, bytes FROM proofs WHERE verdict IN (0, 2) \
               UNION ALL SELECT root, root_bytes FROM jobs WHERE root IS NOT NULL AND purged < 2 \
               UNION ALL SELECT root, root_bytes FROM sequences WHERE root IS NOT NULL) GROUP BY hash";
    for row in sqlx::query(sql).fetch_all(db).await? {
        let hash: &[u8] = row.try_get(0)?;
        let hash = hash.try_into().map_err(|_| StoreError::corrupt("the database", "a hash has a wrong length"))?;
        blobs.push((BlobName::Proof(ProofId(hash)), row.try_get::<i64, _>(1)?.unsigned_abs(), hash));
    }
    let sql = "SELECT id, steps, input_bytes, state_bytes, hashes FROM jobs WHERE purged = 0";
    for row in sqlx::query(sql).fetch_all(db).await? {
        let number = |column: usize| row.try_get::<i64, _>(column).map(i64::unsigned_abs);
        let all: &[u8] = row.try_get(4)?;
        let mut hashes = [[0; 32]; 3];
        for (hash, bytes) in hashes.iter_mut().zip(all.chunks_exact(32)) {
            hash.copy_from_slice(bytes);
        }
        let data = super::JobData {
            job: JobId(number(0)?),
            steps: number(1)?,
            input_bytes: number(2)?,
            state_bytes: number(3)?,
            hashes,
        };
        blobs.extend(data.blobs());
    }
    for row in sqlx::query("SELECT number, job_bytes, job_hash, data_bytes, data_hash, purged FROM batches")
        .fetch_all(db)
        .await?
    {
        let number = |column: usize| row.try_get::<i64, _>(column).map(i64::unsigned_abs);
        let hash = |column: usize| {
            let hash: &[u8] = row.try_get(column)?;
            hash.try_into().map_err(|_| StoreError::corrupt("the database", "a hash has a wrong length"))
        };
        if number(5)? == 0 {
            blobs.push((BlobName::BatchJob(number(0)?), number(1)?, hash(2)?));
        }
        blobs.push((BlobName::BatchData(number(0)?), number(3)?, hash(4)?));
    }
    Ok(blobs)
}
