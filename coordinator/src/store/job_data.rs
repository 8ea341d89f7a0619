//! Inputs and states of a job, as three blobs that are written once, bit by bit, and read by range.

use std::ops::Range;

use bytes::Bytes;
use crowdfold_sched::JobId;

use super::blobs::BlobWriter;
use super::limits::{INPUT_BYTES, INPUTS_PER_READ, JOB_INPUT_BYTES, STATE_BYTES};
use super::{BlobName, Blobs, Result, StoreError};

/// Bytes of an entry of the index.
const ENTRY: u64 = 8;
/// Bytes that are gathered before they go to a blob.
const GATHERED: usize = 64 << 10;

/// A job's blobs, which are durable. Only a finished [`JobWriter`] makes one, and what the database says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobData {
    pub(super) job: JobId,
    pub(super) steps: u64,
    pub(super) input_bytes: u64,
    pub(super) state_bytes: u64,
    /// SHA-256 of inputs, index and states.
    pub(super) hashes: [[u8; 32]; 3],
}

/// A bound on what a caller gave.
fn at_most(what: &'static str, found: u64, limit: u64) -> Result<()> {
    if found > limit { Err(StoreError::Limit { what, limit, found }) } else { Ok(()) }
}

/// A blob to which small pieces are written.
#[derive(Debug)]
struct Gathered {
    blob: BlobWriter,
    pieces: Vec<u8>,
}

impl Gathered {
    async fn begin(blobs: &Blobs, name: BlobName) -> Result<Self> {
        Ok(Self { blob: blobs.writer(name).await?, pieces: Vec::with_capacity(GATHERED) })
    }

    async fn push(&mut self, piece: &[u8]) -> Result<()> {
        self.pieces.extend_from_slice(piece);
        if self.pieces.len() >= GATHERED {
            self.blob.write(&self.pieces).await?;
            self.pieces.clear();
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.blob.bytes() + self.pieces.len() as u64
    }

    async fn finish(mut self) -> Result<(u64, [u8; 32])> {
        self.blob.write(&self.pieces).await?;
        self.blob.finish().await
    }
}

/// Writes a job's inputs and states as they are computed. Its memory does not depend on the job's size.
#[derive(Debug)]
pub struct JobWriter {
    job: JobId,
    steps: u64,
    state_bytes: u64,
    inputs: Gathered,
    index: Gathered,
    states: Gathered,
}

impl JobWriter {
    /// Begins a job of a number that [`Store::job_number`](super::Store::job_number) gave out, with its encoded first
    /// state.
    ///
    /// # Errors
    /// [`StoreError::Limit`] if the state is empty or too long; [`StoreError::Objects`].
    pub async fn begin(blobs: &Blobs, job: JobId, start: &[u8]) -> Result<Self> {
        let state_bytes = start.len() as u64;
        at_most("bytes of a state", state_bytes, STATE_BYTES)?;
        if state_bytes == 0 {
            return Err(StoreError::conflict("states are not empty"));
        }
        let mut writer = Self {
            job,
            steps: 0,
            state_bytes,
            inputs: Gathered::begin(blobs, BlobName::Inputs(job)).await?,
            index: Gathered::begin(blobs, BlobName::Index(job)).await?,
            states: Gathered::begin(blobs, BlobName::States(job)).await?,
        };
        writer.index.push(&0u64.to_le_bytes()).await?;
        writer.states.push(start).await?;
        Ok(writer)
    }

    /// The next step: its encoded input and the encoded state after it.
    ///
    /// # Errors
    /// [`StoreError::Limit`] if one is too long or all inputs are, or there are too many steps;
    /// [`StoreError::Conflict`] if states are of different lengths; [`StoreError::Full`], [`StoreError::Objects`].
    /// After an error the writer is of no use.
    pub async fn push(&mut self, input: &[u8], after: &[u8]) -> Result<()> {
        at_most("bytes of an input", input.len() as u64, INPUT_BYTES)?;
        at_most("bytes of a job's inputs", self.inputs.bytes() + input.len() as u64, JOB_INPUT_BYTES)?;
        at_most("steps of a job", self.steps + 1, crowdfold_sched::limits::JOB_STEPS)?;
        if after.len() as u64 != self.state_bytes {
            let why = format!("the first state has {} bytes, one after it has {}", self.state_bytes, after.len());
            return Err(StoreError::conflict(why));
        }
        self.inputs.push(input).await?;
        self.index.push(&self.inputs.bytes().to_le_bytes()).await?;
        self.states.push(after).await?;
        self.steps += 1;
        Ok(())
    }

    /// Makes all of it durable.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if there are no steps; [`StoreError::Full`], [`StoreError::Objects`].
    pub async fn finish(self) -> Result<JobData> {
        if self.steps == 0 {
            return Err(StoreError::conflict("a job has at least one step"));
        }
        let (input_bytes, inputs) = self.inputs.finish().await?;
        let (_, index) = self.index.finish().await?;
        let (_, states) = self.states.finish().await?;
        let hashes = [inputs, index, states];
        Ok(JobData { job: self.job, steps: self.steps, input_bytes, state_bytes: self.state_bytes, hashes })
    }
}

impl JobData {
    /// The job's number.
    pub fn job(&self) -> JobId {
        self.job
    }

    /// Its steps.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Bytes of all inputs.
    pub fn input_bytes(&self) -> u64 {
        self.input_bytes
    }

    /// Bytes of each state.
    pub fn state_bytes(&self) -> u64 {
        self.state_bytes
    }

    /// Its blobs with their lengths and hashes.
    pub(super) fn blobs(&self) -> [(BlobName, u64, [u8; 32]); 3] {
        let [inputs, index, states] = self.hashes;
        // They were written, so these are far below 2^64.
        let entries = self.steps.saturating_add(1);
        [
            (BlobName::Inputs(self.job), self.input_bytes, inputs),
            (BlobName::Index(self.job), entries.saturating_mul(ENTRY), index),
            (BlobName::States(self.job), entries.saturating_mul(self.state_bytes), states),
        ]
    }

    /// Encoded inputs from the first of these steps on, as many as have at most so many bytes, and at least one.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the job has not these steps or there are none; [`StoreError::Corrupt`],
    /// [`StoreError::Missing`], [`StoreError::Objects`].
    pub async fn inputs(&self, blobs: &Blobs, steps: Range<u64>, bytes: u64) -> Result<Vec<Bytes>> {
        if steps.is_empty() || steps.end > self.steps {
            return Err(StoreError::conflict(format!("job {} has {} steps, not {steps:?}", self.job, self.steps)));
        }
        let ends = self.offsets(blobs, steps.start..steps.end.min(steps.start + INPUTS_PER_READ)).await?;
        let (Some(&first), Some(&second)) = (ends.first(), ends.get(1)) else { return Ok(Vec::new()) };
        let last = ends.iter().copied().take_while(|end| end - first <= bytes).last().unwrap_or(first).max(second);
        let all = blobs.range(BlobName::Inputs(self.job), first..last).await?;
        let mut inputs = Vec::new();
        for pair in ends.windows(2).filter(|pair| pair[1] <= last) {
            // Both are at most INPUTS_PER_READ * INPUT_BYTES, and in order.
            let (from, to) = ((pair[0] - first) as usize, (pair[1] - first) as usize);
            inputs.push(all.slice(from..to));
        }
        Ok(inputs)
    }

    /// Where the inputs of these steps begin, and where the last one ends.
    async fn offsets(&self, blobs: &Blobs, steps: Range<u64>) -> Result<Vec<u64>> {
        let name = BlobName::Index(self.job);
        let found = blobs.range(name, steps.start * ENTRY..(steps.end + 1) * ENTRY).await?;
        let entries = found.chunks_exact(8).map(|entry| entry.try_into().map_or(0, u64::from_le_bytes));
        let ends: Vec<u64> = entries.collect();
        let rising = ends.windows(2).all(|pair| pair[0] <= pair[1] && pair[1] - pair[0] <= INPUT_BYTES);
        if !rising || ends.last().is_none_or(|last| *last > self.input_bytes) {
            return Err(StoreError::corrupt(name, format!("inputs of steps {steps:?} are not in order")));
        }
        Ok(ends)
    }

    /// The encoded state before a step; that after the last one before the step behind it.
    ///
    /// # Errors
    /// As [`JobData::inputs`].
    pub async fn state(&self, blobs: &Blobs, at: u64) -> Result<Bytes> {
        if at > self.steps {
            return Err(StoreError::conflict(format!("job {} has {} steps, not {at}", self.job, self.steps)));
        }
        let from = at * self.state_bytes;
        blobs.range(BlobName::States(self.job), from..from + self.state_bytes).await
    }
}
