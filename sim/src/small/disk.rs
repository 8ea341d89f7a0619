//! What survives a crash of the coordinator, and the crashes themselves: before, within and after each write.

use std::collections::{BTreeMap, BTreeSet};

use crowdfold_fold::Address;
use crowdfold_sched::{JobEnd, JobId, ProofId, ProverId, Range, Verdict};

use super::plant::Bug;

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

/// At which write: the number of it among all, or among those of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum When {
    Write(u64),
    Of(Table, u64),
}

/// Kinds of writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    Epoch,
    Job,
    Ended,
    Offered,
    Upload,
    Damaged,
    Judged,
    Merged,
}

impl Table {
    pub(crate) const ALL: [Self; 8] =
        [Self::Epoch, Self::Job, Self::Ended, Self::Offered, Self::Upload, Self::Damaged, Self::Judged, Self::Merged];
}

/// One write. It is atomic, as a database's transaction is, except for parts of uploads, which are appended to files.
#[derive(Clone, Debug)]
pub(crate) enum Record {
    /// A run begins.
    Epoch,
    Job(JobId),
    Ended(JobId, JobEnd),
    /// An upload begins.
    Offered(ProverId, ProofId, Offered),
    /// Bytes of an upload from an offset on.
    Upload(ProverId, ProofId, usize, Vec<u8>),
    /// What was stored of an upload is damaged, or not wanted any more.
    Damaged(ProverId, ProofId),
    /// What became of a proof, with its bytes where they are needed.
    Judged {
        proof: ProofId,
        prover: ProverId,
        job: JobId,
        range: Range,
        verdict: Verdict,
    },
    /// A merge of what the cover has there.
    Merged {
        job: JobId,
        range: Range,
        proof: ProofId,
        bytes: Vec<u8>,
    },
}

impl Record {
    fn table(&self) -> Table {
        match self {
            Self::Epoch => Table::Epoch,
            Self::Job(_) => Table::Job,
            Self::Ended(..) => Table::Ended,
            Self::Offered(..) => Table::Offered,
            Self::Upload(..) => Table::Upload,
            Self::Damaged(..) => Table::Damaged,
            Self::Judged { .. } => Table::Judged,
            Self::Merged { .. } => Table::Merged,
        }
    }
}

/// What an upload is of. Without it nobody would know after a crash what the bytes are good for, unless its prover came
/// back to say so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offered {
    /// First step and number of steps.
    pub(crate) steps: (u64, u64),
    pub(crate) bytes: u64,
    /// Who has to be bound into the proof.
    pub(crate) payout: Address,
}

/// What is known of a proof that had a verdict.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judged {
    pub(crate) prover: ProverId,
    pub(crate) job: JobId,
    pub(crate) range: Range,
    pub(crate) verdict: Verdict,
}

/// The storage.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) epoch: u16,
    pub(crate) jobs: BTreeMap<JobId, Option<JobEnd>>,
    pub(crate) uploads: BTreeMap<(ProverId, ProofId), Vec<u8>>,
    pub(crate) offered: BTreeMap<(ProverId, ProofId), Offered>,
    /// Uploads that were given up at least once.
    pub(crate) damaged: BTreeSet<(ProverId, ProofId)>,
    pub(crate) judged: BTreeMap<ProofId, Judged>,
    /// Per job the ranges that nothing contains, by their first step.
    pub(crate) cover: BTreeMap<(JobId, u64), (Range, ProofId)>,
    pub(crate) blobs: BTreeMap<ProofId, Vec<u8>>,
    /// Every credit, in order.
    pub(crate) ledger: Vec<(ProofId, ProverId, u64)>,
    /// Proofs whose verdict was overtaken by an impossible second one.
    pub(crate) contradictions: BTreeSet<ProofId>,
    /// Writes in all, and of each kind.
    pub(crate) writes: u64,
    pub(crate) written: BTreeMap<Table, u64>,
    pub(crate) crash_at: BTreeMap<When, Place>,
    pub(crate) bug: Option<Bug>,
}

impl Disk {
    /// Writes, unless the seed wants a crash here.
    pub(crate) fn write(&mut self, record: Record) -> Result<(), Crash> {
        self.writes += 1;
        let table = record.table();
        let written = self.written.entry(table).or_default();
        *written += 1;
        let of_kind = self.crash_at.remove(&When::Of(table, *written));
        match self.crash_at.remove(&When::Write(self.writes)).or(of_kind) {
            None => {
                self.put(record);
                return Ok(());
            }
            Some(Place::Before) => {}
            Some(Place::After) => self.put(record),
            Some(Place::Torn) => self.tear(record),
        }
        if self.bug == Some(Bug::StoreEarly) {
            self.uploads.values_mut().for_each(|bytes| bytes.truncate(bytes.len() / 2));
        }
        Err(Crash)
    }

    /// Writes a part of what is not atomic.
    fn tear(&mut self, record: Record) {
        match record {
            Record::Upload(prover, proof, at, mut bytes) => {
                // A prefix of the bytes, the last of them garbage: a page that was not flushed.
                let length = bytes.len();
                bytes.truncate(length / 2 + 1);
                if let Some(last) = bytes.last_mut().filter(|_| length % 2 == 0) {
                    *last ^= 0xff;
                }
                self.put(Record::Upload(prover, proof, at, bytes));
            }
            Record::Merged { job, range, .. } if self.bug == Some(Bug::TornMerge) => self.remove_parts(job, range),
            _ => {}
        }
    }

    fn put(&mut self, record: Record) {
        match record {
            Record::Epoch => {
                self.epoch += 1;
                if self.bug == Some(Bug::CreditTwice) {
                    self.ledger.extend(self.ledger.last().copied());
                }
            }
            Record::Job(job) => _ = self.jobs.entry(job).or_insert(None),
            Record::Ended(job, end) => _ = self.jobs.insert(job, Some(end)),
            Record::Offered(prover, proof, offered) => _ = self.offered.insert((prover, proof), offered),
            Record::Upload(prover, proof, at, bytes) => {
                let stored = self.uploads.entry((prover, proof)).or_default();
                stored.truncate(at);
                stored.extend(bytes);
            }
            Record::Damaged(prover, proof) => {
                self.uploads.remove(&(prover, proof));
                self.offered.remove(&(prover, proof));
                self.damaged.insert((prover, proof));
            }
            Record::Judged { proof, prover, job, range, verdict } => {
                self.judge(proof, Judged { prover, job, range, verdict });
            }
            Record::Merged { job, range, proof, bytes } => {
                self.remove_parts(job, range);
                self.cover.insert((job, range.start().0), (range, proof));
                self.blobs.insert(proof, bytes);
            }
        }
    }

    fn judge(&mut self, proof: ProofId, judged: Judged) {
        let Judged { prover, job, range, verdict } = judged;
        let bytes = self.uploads.remove(&(prover, proof));
        self.offered.remove(&(prover, proof));
        let before = self.judged.insert(proof, judged);
        if before.is_some_and(|before| !matches!(before.verdict, Verdict::Spare { .. })) {
            self.contradictions.insert(proof);
        }
        if let Some(bytes) = bytes.filter(|_| matches!(verdict, Verdict::Counted | Verdict::Spare { .. })) {
            self.blobs.insert(proof, bytes);
        }
        let steps = match verdict {
            Verdict::Counted => {
                self.cover.insert((job, range.start().0), (range, proof));
                range.steps()
            }
            Verdict::Compensated { steps } => steps,
            Verdict::Spare { .. } | Verdict::Superseded | Verdict::Late | Verdict::Refused => return,
        };
        let more = u64::from(self.bug == Some(Bug::CreditMore));
        self.ledger.push((proof, prover, steps + more));
    }

    fn remove_parts(&mut self, job: JobId, range: Range) {
        let inside: Vec<u64> =
            self.parts(job).filter(|part| range.contains(*part)).map(|part| part.start().0).collect();
        for start in inside {
            if let Some((_, part)) = self.cover.remove(&(job, start)) {
                self.blobs.remove(&part);
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
