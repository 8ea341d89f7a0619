//! What survives a crash of the coordinator, and the crashes themselves: before, within and after each write.

use std::collections::{BTreeMap, BTreeSet};

use crowdfold_sched::{JobEnd, JobId, ProofId, ProverId, Range, Verdict};

/// The coordinator is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crash;

/// At which place of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nothing of it is written.
    Before,
    /// A part of it is.
    Torn,
    /// All of it is, but nobody was told.
    After,
}

/// One write. It is atomic, as a database's transaction is, except for parts of uploads, which are appended to files.
#[derive(Clone, Debug)]
pub(crate) enum Record {
    /// A run begins.
    Epoch,
    Job(JobId),
    Ended(JobId, JobEnd),
    /// Bytes of an upload from an offset on.
    Upload(ProverId, ProofId, usize, Vec<u8>),
    /// What was stored of an upload is damaged.
    Damaged(ProverId, ProofId),
    /// What became of a proof, with its bytes where they are needed.
    Judged {
        proof: ProofId,
        prover: ProverId,
        job: JobId,
        range: Range,
        verdict: Verdict,
        entitled: bool,
    },
    /// A merge of what the cover has there.
    Merged {
        job: JobId,
        range: Range,
        proof: ProofId,
        bytes: Vec<u8>,
    },
}

/// What is known of a proof that had a verdict.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judged {
    pub(crate) prover: ProverId,
    pub(crate) job: JobId,
    pub(crate) range: Range,
    pub(crate) verdict: Verdict,
    pub(crate) entitled: bool,
}

/// The storage.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) epoch: u16,
    pub(crate) jobs: BTreeMap<JobId, Option<JobEnd>>,
    pub(crate) uploads: BTreeMap<(ProverId, ProofId), Vec<u8>>,
    pub(crate) judged: BTreeMap<ProofId, Judged>,
    /// Per job the ranges that nothing contains, by their first step.
    pub(crate) cover: BTreeMap<(JobId, u64), (Range, ProofId)>,
    pub(crate) blobs: BTreeMap<ProofId, Vec<u8>>,
    /// Every credit, in order.
    pub(crate) ledger: Vec<(ProofId, ProverId, u64)>,
    /// Proofs whose verdict was overtaken by an impossible second one.
    pub(crate) contradictions: BTreeSet<ProofId>,
    pub(crate) writes: u64,
    pub(crate) crash_at: BTreeMap<u64, Place>,
}

impl Disk {
    /// Writes, unless the seed wants a crash here.
    pub(crate) fn write(&mut self, record: Record) -> Result<(), Crash> {
        self.writes += 1;
        match self.crash_at.remove(&self.writes) {
            None => self.put(record),
            Some(Place::Before) => return Err(Crash),
            Some(Place::After) => {
                self.put(record);
                return Err(Crash);
            }
            Some(Place::Torn) => {
                if let Record::Upload(prover, proof, at, mut bytes) = record {
                    // A prefix of the bytes, the last of them garbage: a page that was not flushed.
                    let length = bytes.len();
                    bytes.truncate(length / 2 + 1);
                    if let Some(last) = bytes.last_mut().filter(|_| length % 2 == 0) {
                        *last ^= 0xff;
                    }
                    self.put(Record::Upload(prover, proof, at, bytes));
                }
                return Err(Crash);
            }
        }
        Ok(())
    }

    fn put(&mut self, record: Record) {
        match record {
            Record::Epoch => self.epoch += 1,
            Record::Job(job) => _ = self.jobs.entry(job).or_insert(None),
            Record::Ended(job, end) => _ = self.jobs.insert(job, Some(end)),
            Record::Upload(prover, proof, at, bytes) => {
                let stored = self.uploads.entry((prover, proof)).or_default();
                stored.truncate(at);
                stored.extend(bytes);
            }
            Record::Damaged(prover, proof) => _ = self.uploads.remove(&(prover, proof)),
            Record::Judged { proof, prover, job, range, verdict, entitled } => {
                let bytes = self.uploads.remove(&(prover, proof));
                let before = self.judged.insert(proof, Judged { prover, job, range, verdict, entitled });
                if before.is_some_and(|before| before.verdict != Verdict::Spare) {
                    self.contradictions.insert(proof);
                }
                if let Some(bytes) = bytes.filter(|_| matches!(verdict, Verdict::Counted | Verdict::Spare)) {
                    self.blobs.insert(proof, bytes);
                }
                if verdict == Verdict::Counted {
                    self.cover.insert((job, range.start().0), (range, proof));
                }
                if matches!(verdict, Verdict::Counted | Verdict::Compensated) {
                    self.ledger.push((proof, prover, range.steps()));
                }
            }
            Record::Merged { job, range, proof, bytes } => {
                let inside: Vec<u64> =
                    self.parts(job).filter(|part| range.contains(*part)).map(|part| part.start().0).collect();
                for start in inside {
                    if let Some((_, part)) = self.cover.remove(&(job, start)) {
                        self.blobs.remove(&part);
                    }
                }
                self.cover.insert((job, range.start().0), (range, proof));
                self.blobs.insert(proof, bytes);
            }
        }
    }

    /// The ranges of a job's cover, in order.
    pub(crate) fn parts(&self, job: JobId) -> impl Iterator<Item = Range> + '_ {
        self.cover.range((job, 0)..=(job, u64::MAX)).map(|(_, (range, _))| *range)
    }

    /// Whether the job was accepted and did not end.
    pub(crate) fn is_live(&self, job: JobId) -> bool {
        self.jobs.get(&job) == Some(&None)
    }

    /// The proof of exactly this range of the cover.
    pub(crate) fn proof_of(&self, job: JobId, range: Range) -> Option<(ProofId, &[u8])> {
        let (found, proof) = self.cover.get(&(job, range.start().0))?;
        (*found == range).then_some(())?;
        Some((*proof, self.blobs.get(proof)?))
    }
}
