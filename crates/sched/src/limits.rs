//! Every limit of the scheduler, and what happens at it.

/// Jobs at once. At it: [`BadEvent::Full`](crate::BadEvent::Full), the job is not added.
pub const JOBS: usize = 65_536;
/// Jobs of one client at once. At it: [`BadEvent::Full`](crate::BadEvent::Full), the job is not added.
pub const JOBS_PER_CLIENT: usize = 4_096;
/// Jobs that ended and whose proofs are remembered until none is compensated any more. At it: the one of the lowest
/// number is forgotten.
pub const ENDED_JOBS: usize = 65_536;
/// Steps of a job. Beyond: [`BadEvent::BadJob`](crate::BadEvent::BadJob).
pub const JOB_STEPS: u64 = 1 << 32;
/// Rows of a step. Beyond: [`BadEvent::BadJob`](crate::BadEvent::BadJob).
pub const STEP_ROWS: u64 = 1 << 32;
/// Weight of a job. Beyond, or 0: [`BadEvent::BadJob`](crate::BadEvent::BadJob).
pub const WEIGHT: u32 = 1_000_000;
/// Least and greatest factor by which a bounty multiplies the weight, in thousandths. Beyond: the nearest of the two.
pub const BOUNTY: (u32, u32) = (250, 4_000);
/// Different needs of memory that are queued exactly. At it: a job's need is rounded up to a power of two.
pub const MEMORY_KINDS: usize = 64;
/// Provers that are known, connected or not. At it: an absent one without obligations is forgotten for a new one, and
/// if there is none, [`BadEvent::Full`](crate::BadEvent::Full).
pub const PROVERS: usize = 524_288;
/// Segments a prover holds at once. At it: it gets no more until one ends, whatever it asked for.
pub const LEASES_PER_PROVER: usize = 16;
/// Leases that ended without the prover's fault and are remembered for its compensation. At it: the oldest is
/// forgotten.
pub const RIGHTS_PER_PROVER: usize = 16;
/// Merges a prover holds at once. At it: it gets no more until one ends.
pub const MERGES_PER_PROVER: usize = 4;
/// Ranges a prover does not get again because it failed on them. At it: the oldest is forgotten.
pub const AVOIDED_PER_PROVER: usize = 16;
/// Proofs of one prover that wait for verification. At it: [`BadEvent::Full`](crate::BadEvent::Full); the proof can be
/// offered again later.
pub const UNVERIFIED_PER_PROVER: usize = 64;
/// Proofs that wait for verification. At it: [`BadEvent::Full`](crate::BadEvent::Full), as above. Back-pressure begins
/// far earlier, see [`Config::unverified`](crate::Config::unverified).
pub const UNVERIFIED: usize = 262_144;
/// Leases, ended ones that are remembered among them. At it: nothing is handed out.
pub const LEASES: usize = 1 << 22;
/// Leases of the same step at once. At it: the oldest overdue one is cancelled and compensated.
pub const COPIES: usize = 4;
/// Parts of one lease that were handed in apart from each other. At it: further ones are not compensated.
pub const PARTS_PER_LEASE: usize = 16;
/// Spares of a job. At it: a range that would be one is compensated at once.
pub const SPARES_PER_JOB: usize = 256;
/// Proofs of one job. At it: [`BadEvent::Full`](crate::BadEvent::Full).
pub const PROOFS_PER_JOB: usize = 1 << 22;
/// Times that a merge is tried natively. At it: the job fails.
pub const NATIVE_TRIES: u32 = 3;
/// Steps of a segment: the width of the field that counts them in a proof.
pub const SEGMENT_STEPS: u64 = (1 << 20) - 1;
/// Longest time to the hard deadline of a lease: 6 hours. A prover that would need more than a quarter of it gets
/// nothing.
pub const LEASE_MS: u64 = 6 * 3_600_000;
/// Soft and hard deadlines are at least so long from when a segment is handed out.
pub const LEAST_DEADLINES_MS: (u64, u64) = (5_000, 20_000);
/// A prover that folds gets its next segment when it is expected to be done within this, or within two steps: what is
/// handed out later is cut to what is left then, and is not lost with a prover that leaves.
pub const LEAD_MS: u64 = 30_000;
/// What delivering a proof is taken to last at most, an hour: more is no line.
pub const DELIVERY_MS: u64 = 3_600_000;
/// A segment takes its prover at most so many times the target. A prover that needs more for the least number of steps
/// gets nothing: else one that grows ever slower would hold steps for ever longer.
pub const PATIENCE: u64 = 8;
/// Fastest prover that is believed. Beyond: this.
pub const SPEED: u64 = 1_000_000_000;
/// A prover that fails on one task after the other rests, from the second on: so long, then twice and more, at most the
/// second.
pub const REST_MS: (u64, u64) = (1_000, 600_000);
/// Suspensions double up to this: a day.
pub const SUSPENSION_MS: u64 = 24 * 3_600_000;
/// An absent prover's bad proofs are forgotten after this: 30 days.
pub const OFFENCE_MS: u64 = 30 * 24 * 3_600_000;
/// Jobs that are looked at for one prover, and provers for one job, that don't fit. At it: the search ends until a
/// tick.
pub const LOOKS: usize = 16;
/// Waiting provers that find work in one event. At it: the next ones find theirs with the next event.
pub const MATCHES_PER_STEP: usize = 256;
/// Deadlines that are acted on in one event. At it: the others with the next event.
pub const TIMERS_PER_STEP: usize = 1_024;
