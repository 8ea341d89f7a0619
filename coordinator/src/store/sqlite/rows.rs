//! Numbers, hashes and rows as SQLite has them. What a row can't be is an error, as somebody may have changed the file.

use crowdfold_fold::{Address, Job};
use crowdfold_sched::{ClientId, JobEnd, JobId, JobSpec, Millis, ProofId, ProverId, Range, StepIndex, TaskId, Verdict};
use crowdfold_wire::{ParametersId, PublicKey};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::store::{Client, Covered, Credit, Ended, JobData, Kept, Proof, Prover, Result, Role, StoreError, StoredJob};

/// SQLite's integers have a sign.
pub(super) fn int(number: u64) -> Result<i64> {
    i64::try_from(number).map_err(|_| StoreError::Limit {
        what: "a number in the database",
        limit: i64::MAX.unsigned_abs(),
        found: number,
    })
}

fn bad(row: &SqliteRow, column: usize, why: &str) -> StoreError {
    use sqlx::Column as _;
    let name = row.columns().get(column).map_or("?", |column| column.name());
    StoreError::corrupt(format!("column {name} of the database"), why)
}

pub(super) fn unsigned(row: &SqliteRow, column: usize) -> Result<u64> {
    row.try_get::<i64, _>(column)?.try_into().map_err(|_| bad(row, column, "a number is negative"))
}

pub(super) fn small<T: TryFrom<u64>>(row: &SqliteRow, column: usize) -> Result<T> {
    unsigned(row, column)?.try_into().map_err(|_| bad(row, column, "a number is too large"))
}

pub(super) fn optional(row: &SqliteRow, column: usize) -> Result<Option<u64>> {
    match row.try_get::<Option<i64>, _>(column)? {
        None => Ok(None),
        Some(_) => unsigned(row, column).map(Some),
    }
}

pub(super) fn array<const N: usize>(row: &SqliteRow, column: usize) -> Result<[u8; N]> {
    row.try_get::<&[u8], _>(column)?.try_into().map_err(|_| bad(row, column, "bytes are of a wrong length"))
}

fn range(row: &SqliteRow, column: usize) -> Result<Range> {
    let (start, end) = (unsigned(row, column)?, unsigned(row, column + 1)?);
    Range::new(StepIndex(start), StepIndex(end)).ok_or_else(|| bad(row, column, "a range has no steps"))
}

pub(super) fn end_code(end: JobEnd) -> i64 {
    match end {
        JobEnd::Done => 1,
        JobEnd::Cancelled => 2,
        JobEnd::Expired => 3,
        JobEnd::Failed => 4,
    }
}

/// Its code, and its steps where it has some.
pub(super) fn verdict_code(verdict: Verdict) -> (i64, u64) {
    match verdict {
        Verdict::Counted => (1, 0),
        Verdict::Spare { owed } => (2, owed),
        Verdict::Compensated { steps } => (3, steps),
        Verdict::Superseded => (4, 0),
        Verdict::Late => (5, 0),
        Verdict::Refused => (6, 0),
    }
}

pub(super) fn role_code(role: Role) -> i64 {
    match role {
        Role::Client => 0,
        Role::Admin => 1,
    }
}

/// For `SELECT`, in the order of [`job`].
macro_rules! job_columns {
    () => {
        "SELECT id, chain_id, contract, chain_job, client, program, parameters, steps, rows, cost, memory, \
         start_state, end_state, weight, bounty, height, deadline, submitted, state, ended, reason, root, input_bytes, \
         state_bytes, hashes, purged FROM jobs "
    };
}

pub(super) fn job(row: &SqliteRow) -> Result<StoredJob> {
    let hashes: [u8; 96] = array(row, 24)?;
    let mut parts = [[0; 32]; 3];
    for (part, bytes) in parts.iter_mut().zip(hashes.chunks_exact(32)) {
        part.copy_from_slice(bytes);
    }
    let end = match unsigned(row, 18)? {
        0 => None,
        1 => Some(JobEnd::Done),
        2 => Some(JobEnd::Cancelled),
        3 => Some(JobEnd::Expired),
        4 => Some(JobEnd::Failed),
        _ => return Err(bad(row, 18, "there is no such state")),
    };
    let ended = match end {
        None => None,
        Some(end) => Some(Ended {
            end,
            at: Millis(unsigned(row, 19)?),
            reason: row.try_get::<Option<String>, _>(20)?.unwrap_or_default(),
            root: row.try_get::<Option<&[u8]>, _>(21)?.map(|_| array(row, 21).map(ProofId)).transpose()?,
        }),
    };
    let steps = unsigned(row, 7)?;
    Ok(StoredJob {
        data: JobData {
            job: JobId(unsigned(row, 0)?),
            steps,
            input_bytes: unsigned(row, 22)?,
            state_bytes: unsigned(row, 23)?,
            hashes: parts,
        },
        spec: JobSpec {
            client: ClientId(unsigned(row, 4)?),
            weight: small(row, 13)?,
            bounty: small(row, 14)?,
            steps,
            rows: unsigned(row, 8)?,
            deadline: Millis(unsigned(row, 16)?),
            memory: crowdfold_sched::Bytes(unsigned(row, 10)?),
            height: unsigned(row, 15)?,
        },
        name: Job { chain_id: unsigned(row, 1)?, contract: Address(array(row, 2)?), job_id: array(row, 3)? },
        program: row.try_get(5)?,
        parameters: ParametersId(array(row, 6)?),
        cost: unsigned(row, 9)?,
        start: row.try_get(11)?,
        end: row.try_get(12)?,
        submitted: Millis(unsigned(row, 17)?),
        ended,
        kept: match unsigned(row, 25)? {
            0 => Kept::All,
            1 => Kept::Root,
            _ => Kept::Nothing,
        },
    })
}

/// For `SELECT`, in the order of [`covered`].
macro_rules! cover_columns {
    () => {
        "SELECT lo, hi, hash, bytes, prover FROM cover "
    };
}

pub(super) fn covered(row: &SqliteRow) -> Result<Covered> {
    Ok(Covered {
        range: range(row, 0)?,
        proof: ProofId(array(row, 2)?),
        bytes: unsigned(row, 3)?,
        prover: optional(row, 4)?.map(ProverId),
    })
}

/// For `SELECT`, in the order of [`proof`].
macro_rules! proof_columns {
    () => {
        "SELECT hash, prover, payout, job, lo, hi, bytes, task, uploaded, verdict, steps, reason FROM proofs "
    };
}

pub(super) fn proof(row: &SqliteRow) -> Result<Proof> {
    let steps = unsigned(row, 10)?;
    let verdict = match unsigned(row, 9)? {
        0 => None,
        1 => Some(Verdict::Counted),
        2 => Some(Verdict::Spare { owed: steps }),
        3 => Some(Verdict::Compensated { steps }),
        4 => Some(Verdict::Superseded),
        5 => Some(Verdict::Late),
        6 => Some(Verdict::Refused),
        _ => return Err(bad(row, 9, "there is no such verdict")),
    };
    Ok(Proof {
        proof: ProofId(array(row, 0)?),
        prover: ProverId(unsigned(row, 1)?),
        payout: Address(array(row, 2)?),
        job: JobId(unsigned(row, 3)?),
        range: range(row, 4)?,
        bytes: unsigned(row, 6)?,
        // Numbers of tasks use all bits, so these are kept as they are.
        task: row.try_get::<Option<i64>, _>(7)?.map(|task| TaskId(task.cast_unsigned())),
        uploaded: Millis(unsigned(row, 8)?),
        verdict,
        reason: row.try_get(11)?,
    })
}

/// Columns in the order of [`prover`].
macro_rules! prover_columns {
    () => {
        "id, key, payout, first_seen, last_seen, strikes, suspended_until, credit"
    };
}

pub(super) fn prover(row: &SqliteRow) -> Result<Prover> {
    Ok(Prover {
        id: ProverId(unsigned(row, 0)?),
        key: PublicKey(array(row, 1)?),
        payout: Address(array(row, 2)?),
        first_seen: Millis(unsigned(row, 3)?),
        last_seen: Millis(unsigned(row, 4)?),
        strikes: small(row, 5)?,
        suspended_until: Millis(unsigned(row, 6)?),
        credit: unsigned(row, 7)?,
    })
}

/// Columns: id, proof, prover, payout, job, steps, credit, at.
pub(super) fn credit(row: &SqliteRow) -> Result<Credit> {
    Ok(Credit {
        entry: unsigned(row, 0)?,
        proof: ProofId(array(row, 1)?),
        prover: ProverId(unsigned(row, 2)?),
        payout: Address(array(row, 3)?),
        job: JobId(unsigned(row, 4)?),
        steps: unsigned(row, 5)?,
        credit: unsigned(row, 6)?,
        at: Millis(unsigned(row, 7)?),
    })
}

/// Columns: id, name, role, weight, created, revoked.
pub(super) fn client(row: &SqliteRow) -> Result<Client> {
    let role = match unsigned(row, 2)? {
        0 => Role::Client,
        1 => Role::Admin,
        _ => return Err(bad(row, 2, "there is no such role")),
    };
    Ok(Client {
        id: ClientId(unsigned(row, 0)?),
        name: row.try_get(1)?,
        role,
        weight: small(row, 3)?,
        created: Millis(unsigned(row, 4)?),
        revoked: optional(row, 5)?.map(Millis),
    })
}

pub(super) use {cover_columns, job_columns, proof_columns, prover_columns};
