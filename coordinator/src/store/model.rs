//! What is stored, as its users see it. Times are milliseconds since 1970.

use crowdfold_fold::{Address, Job};
use crowdfold_sched::{ClientId, JobEnd, JobId, JobSpec, Millis, ProofId, ProverId, Range, TaskId, Verdict};
use crowdfold_wire::{ParametersId, PublicKey};

use super::{JobData, StoredProof};

/// A moment of wall-clock time, in milliseconds since 1970.
pub type At = Millis;

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Order jobs and see its own.
    Client,
    /// Everything.
    Admin,
}

/// SHA-256 of a token of 32 random bytes. The token itself is never stored; as it has full entropy a plain hash is
/// enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

/// A client to be added.
#[derive(Clone, Debug)]
pub struct NewClient {
    /// Unique.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Of its token.
    pub token: TokenHash,
    /// Share of the provers' work, at least 1.
    pub weight: u32,
    /// Now.
    pub created: At,
}

/// A client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its number.
    pub id: ClientId,
    /// Unique.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Share of the provers' work.
    pub weight: u32,
    /// When it was added.
    pub created: At,
    /// Since when its token is void.
    pub revoked: Option<At>,
}

/// A client's name for a request, so that a repeated request doesn't make a second job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The client's choice.
    pub key: String,
    /// SHA-256 of the request.
    pub body: [u8; 32],
}

/// A job to be accepted.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Its blobs, which also say its number.
    pub data: JobData,
    /// What the scheduler is told.
    pub spec: JobSpec,
    /// Its name on the chain. Unique, but for the batches of a sequence, which share one.
    pub name: Job,
    /// Its program, as in the registry.
    pub program: String,
    /// Of the program.
    pub parameters: ParametersId,
    /// Credit of one step.
    pub cost: u64,
    /// Encoded state before the first step.
    pub start: Vec<u8>,
    /// Encoded state after the last step.
    pub end: Vec<u8>,
    /// Now.
    pub submitted: At,
    /// So that a repeated request gives the same job.
    pub key: Option<IdempotencyKey>,
}

/// What became of a request for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is a new job.
    New(JobId),
    /// The same request was accepted before. The blobs that came with this one are not used.
    Before(JobId),
}

/// What is kept of a job's blobs. Its row and its credits are for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// Nothing: it ended long ago.
    Nothing,
    /// Its root proof, if it has one.
    Root,
    /// All that is needed for going on, or for looking into why it failed.
    All,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub end: JobEnd,
    /// When.
    pub at: At,
    /// In words.
    pub reason: String,
    /// Its root proof, if it is done.
    pub root: Option<ProofId>,
}

/// A job.
#[derive(Clone, Debug)]
pub struct StoredJob {
    /// Its blobs.
    pub data: JobData,
    /// What the scheduler is told.
    pub spec: JobSpec,
    /// Its name on the chain.
    pub name: Job,
    /// Its program.
    pub program: String,
    /// Of the program.
    pub parameters: ParametersId,
    /// Credit of one step.
    pub cost: u64,
    /// Encoded state before the first step.
    pub start: Vec<u8>,
    /// Encoded state after the last step.
    pub end: Vec<u8>,
    /// When it was accepted.
    pub submitted: At,
    /// How it ended, if it did.
    pub ended: Option<Ended>,
    /// What of its blobs is still there.
    pub kept: Kept,
}

impl StoredJob {
    /// Its number.
    pub fn id(&self) -> JobId {
        self.data.job()
    }
}

/// Which jobs are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Those of a client.
    pub client: Option<ClientId>,
    /// Those that are open, or ended like this.
    pub state: Option<Option<JobEnd>>,
    /// Those of a program.
    pub program: Option<String>,
    /// Those with lower numbers.
    pub before: Option<JobId>,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Steps in the cover.
    pub steps: u64,
    /// Ranges in the cover: each but the first is a merge to come.
    pub ranges: u64,
}

/// A range of a job's cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covered {
    /// Its steps.
    pub range: Range,
    /// Its proof.
    pub proof: ProofId,
    /// Bytes of the proof.
    pub bytes: u64,
    /// Who made it; `None` for a merge.
    pub prover: Option<ProverId>,
}

/// An uploaded proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Its hash.
    pub proof: ProofId,
    /// Who made it.
    pub prover: ProverId,
    /// Who is paid for it.
    pub payout: Address,
    /// Its job.
    pub job: JobId,
    /// Its steps.
    pub range: Range,
    /// Its bytes.
    pub bytes: u64,
    /// The task it was made for. It is one of an earlier epoch after a crash, when the scheduler is to be told `None`.
    pub task: Option<TaskId>,
    /// When all of it was there.
    pub uploaded: At,
    /// `None` while it has none: it waits for verification, or is a parked check-in.
    pub verdict: Option<Verdict>,
    /// Why it was refused.
    pub reason: Option<String>,
}

/// A prover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prover {
    /// Its number.
    pub id: ProverId,
    /// Its key.
    pub key: PublicKey,
    /// Where it was last to be paid.
    pub payout: Address,
    /// When it came first.
    pub first_seen: At,
    /// When it came last.
    pub last_seen: At,
    /// Bad proofs that are not forgotten.
    pub strikes: u32,
    /// Till when it gets no work.
    pub suspended_until: At,
    /// All it was credited.
    pub credit: u64,
}

/// A prover that connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its key.
    pub key: PublicKey,
    /// Where it is to be paid.
    pub payout: Address,
    /// Now.
    pub at: At,
}

/// What a function to which tasks are posted was asked for on the last day on which it was asked for anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Days since 1970.
    pub day: u64,
    /// Steps.
    pub steps: u64,
}

/// One credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credit {
    /// Place in the ledger.
    pub entry: u64,
    /// For which proof.
    pub proof: ProofId,
    /// Who made it.
    pub prover: ProverId,
    /// Who is paid.
    pub payout: Address,
    /// Its job.
    pub job: JobId,
    /// For so many steps.
    pub steps: u64,
    /// Steps times the cost of one.
    pub credit: u64,
    /// When.
    pub at: At,
}

/// What changes as the scheduler goes on.
#[derive(Clone, Debug)]
pub enum Record {
    /// All bytes of a proof are there. Without it a check-in that is parked would be lost with a crash if its prover
    /// never came back.
    Uploaded {
        /// The proof.
        proof: StoredProof,
        /// Who made it.
        prover: ProverId,
        /// Who is paid for it.
        payout: Address,
        /// Its job.
        job: JobId,
        /// The steps that it claims to prove.
        range: Range,
        /// The task that it was made for.
        task: Option<TaskId>,
        /// Now.
        at: At,
    },
    /// An undecided proof is forgotten: its bytes turned out to be damaged, and may be uploaded again.
    Withdrawn {
        /// The proof.
        proof: ProofId,
    },
    /// A verdict, with the credit and the place in the cover that it means.
    Judged {
        /// The proof.
        proof: ProofId,
        /// Who made it.
        prover: ProverId,
        /// Its job.
        job: JobId,
        /// Its steps.
        range: Range,
        /// What it is good for.
        verdict: Verdict,
        /// Why it was refused.
        reason: Option<String>,
        /// Now.
        at: At,
    },
    /// A merge takes the place of the ranges of the cover that it was made of.
    Merged {
        /// The job.
        job: JobId,
        /// Exactly the steps of those ranges.
        range: Range,
        /// The merge.
        proof: StoredProof,
    },
    /// A job ended. The root proof of one that is done is the one proof of its cover.
    Ended {
        /// The job.
        job: JobId,
        /// How.
        end: JobEnd,
        /// In words.
        reason: String,
        /// Now.
        at: At,
    },
    /// A prover sent a bad proof.
    Suspended {
        /// Who.
        prover: ProverId,
        /// Till when it gets no work.
        until: At,
    },
    /// One of a prover's bad proofs is forgotten.
    Forgiven {
        /// Who.
        prover: ProverId,
    },
}

/// Numbers for `/metrics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Jobs by state: open, done, cancelled, expired, failed.
    pub jobs: [u64; 5],
    /// Provers ever seen.
    pub provers: u64,
    /// Proofs by verdict: none yet, counted, spare, compensated, superseded, late, refused. Of purged jobs there are
    /// none.
    pub proofs: [u64; 7],
    /// Ranges in covers.
    pub ranges: u64,
    /// Entries of the ledger.
    pub credits: u64,
    /// Bytes of the database without its log.
    pub database_bytes: u64,
}
