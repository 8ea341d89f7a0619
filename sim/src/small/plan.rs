//! What a seed says: the jobs, the provers and their faults, the network.

use std::collections::BTreeSet;

use crowdfold_fold::{Address, Job};
use crowdfold_sched::{Bytes, ClientId, Config, JobId, JobSpec, Millis};

use super::disk::{Place, Table, When};
use super::named::named;
use crate::model::{Lie, ModelEngine, Truth};
use crate::random::Random;

named! {
    /// Something that goes wrong. Each can be left out by name.
    pub enum Fault {
        /// The coordinator crashes at a write.
        Crash = "crash",
        /// Some provers make bad proofs.
        Lie = "lie",
        /// Connections break.
        Drop = "drop",
        /// Connections go silent without breaking.
        Partition = "partition",
        /// Provers leave without a word and come back.
        Leave = "leave",
        /// Provers are paused by their owners, or stopped in order.
        Pause = "pause",
        /// Provers do nothing for a while, as a machine that sleeps.
        Freeze = "freeze",
        /// Clocks of provers go wrong.
        Skew = "skew",
        /// Steps fail now and then.
        Flaky = "flaky",
        /// Clients cancel jobs.
        Cancel = "cancel",
        /// Jobs have deadlines that may be too short.
        Deadline = "deadline",
        /// Provers take merges. No fault, but it can be left out too.
        Merge = "merge",
        /// Provers are far slower than they say.
        Slow = "slow",
        /// Two hosts have the same key and are there at once.
        Twin = "twin",
        /// Clients do not hear that their job was accepted, and submit it again.
        Again = "again",
    }
}

/// A job and when it comes.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) at: u64,
    pub(crate) id: JobId,
    pub(crate) spec: JobSpec,
    pub(crate) truth: Truth,
    pub(crate) cancelled_at: Option<u64>,
    /// Milliseconds after which the client submits it again, because the answer was lost.
    pub(crate) again_after: Option<u64>,
}

/// What happens to a prover from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// Its page is closed; with what it has stored it comes back later.
    Leave {
        back_after: u64,
    },
    Pause {
        resume_after: u64,
    },
    Stop {
        resume_after: u64,
    },
    Freeze {
        ms: u64,
    },
    /// Its connection breaks.
    Drop,
    /// Its connection goes silent, and new ones fail for a while.
    Partition {
        ms: u64,
    },
    /// Its owner sees that another host took its place, and wants it back.
    Return,
}

/// A prover.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) joins_at: u64,
    pub(crate) engine: ModelEngine,
    pub(crate) step_ms: u64,
    /// What it says of itself: rows a second.
    pub(crate) says: u64,
    pub(crate) memory: u64,
    pub(crate) tasks: u64,
    pub(crate) merges: u64,
    /// Whether its finished proofs outlive its page.
    pub(crate) stores: bool,
    pub(crate) held_bytes: u64,
    /// Its clock: where it starts, and how many parts in a million it is too fast or slow.
    pub(crate) clock: (u64, i64),
    pub(crate) latency_ms: u64,
    pub(crate) jitter_ms: u64,
    pub(crate) bytes_ms: u64,
    pub(crate) mishaps: Vec<(u64, Mishap)>,
    /// The number of the member that has the same key.
    pub(crate) twin_of: Option<u64>,
}

impl Member {
    pub(crate) fn is_honest(&self) -> bool {
        self.engine.lie.is_none()
    }
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) orders: Vec<Order>,
    pub(crate) members: Vec<Member>,
    pub(crate) config: Config,
    pub(crate) checkpoint_ms: u32,
    pub(crate) cores: usize,
    pub(crate) crash_at: Vec<(When, Place)>,
    /// From here on nothing new goes wrong.
    pub(crate) calm_from: u64,
}

/// A job's name on the chain.
pub(crate) fn chain_job(id: JobId) -> Job {
    let mut job_id = [0; 32];
    job_id[..8].copy_from_slice(&id.0.to_le_bytes());
    Job { chain_id: 31337, contract: Address([7; 20]), job_id }
}

impl Plan {
    pub(crate) fn new(seed: u64, without: &BTreeSet<Fault>) -> Self {
        let random = &mut Random::new(seed, 1);
        let calm_from = 1000 * random.between(120, 600);
        let config = Config {
            target_ms: 1000 * random.between(10, 60),
            min_steps: random.between(1, 6),
            grace_ms: 60_000,
            upload_ms: 30_000,
            avoid_ms: 60_000,
            merge_ms: 20_000,
            native_merges: usize::try_from(random.between(1, 4)).unwrap_or(1),
            unverified: usize::try_from(random.between(0, 16)).unwrap_or(2),
            suspension_ms: 30_000,
            ..Config::default()
        };
        let rows = random.between(500, 20_000);
        let mut orders: Vec<_> =
            (1..=random.between(1, 5)).map(|id| order(random, id, rows, calm_from, without)).collect();
        let again = |order: &mut Order, more: &mut Random| {
            let lost = !without.contains(&Fault::Again) && more.chance(300);
            order.again_after = lost.then(|| more.between(1, 200_000));
        };
        // Some seeds hand out many tasks and some few, some have big proofs and some small ones.
        let proof_bytes =
            if random.chance(200) { random.between(100_000, 900_000) } else { random.between(300, 20_000) };
        let count = random.between(1, 12) + if random.chance(100) { 18 } else { 0 };
        let mut members: Vec<_> = (0..count).map(|_| member(random, rows, proof_bytes, calm_from, without)).collect();
        // From a stream of their own, so that what else a seed says does not depend on them.
        let more = &mut Random::new(seed, 3);
        orders.iter_mut().for_each(|order| again(order, more));
        twins(more, &mut members, calm_from, without);
        // One who is there and true to the end, so that the work can be done.
        members.push(member(random, rows, proof_bytes, calm_from, &Fault::ALL.iter().copied().collect()));
        let crashes = if without.contains(&Fault::Crash) || random.chance(300) { 0 } else { random.between(1, 6) };
        let crash_at = (0..crashes).map(|_| crash(random, more)).collect();
        Self {
            orders,
            members,
            config,
            checkpoint_ms: u32::try_from(1000 * random.between(3, 30)).unwrap_or(10_000),
            cores: usize::try_from(random.between(1, 4)).unwrap_or(1),
            crash_at,
            calm_from,
        }
    }
}

/// Half of the crashes are at any write, half at one of a certain kind: the rare ones would hardly be hit otherwise.
fn crash(random: &mut Random, more: &mut Random) -> (When, Place) {
    let places = [Place::Before, Place::Torn, Place::After];
    let write = random.between(1, 300);
    let place = places[usize::try_from(random.between(0, 2)).unwrap_or(0)];
    if more.chance(500) {
        return (When::Write(write), place);
    }
    let table = Table::ALL[usize::try_from(more.between(0, Table::ALL.len() as u64 - 1)).unwrap_or(0)];
    let most = match table {
        Table::Epoch | Table::Job | Table::Ended => 6,
        Table::Merged | Table::Damaged => 20,
        Table::Upload | Table::Offered | Table::Judged => 60,
    };
    (When::Of(table, more.between(1, most)), place)
}

/// Second hosts for some of the keys. Their owners want now the one, now the other.
fn twins(random: &mut Random, members: &mut Vec<Member>, calm_from: u64, without: &BTreeSet<Fault>) {
    for number in 0..members.len() {
        if without.contains(&Fault::Twin) || !random.chance(60) {
            continue;
        }
        let mut twin = members[number].clone();
        twin.twin_of = Some(number as u64);
        twin.joins_at = random.between(0, calm_from);
        twin.mishaps = vec![(random.between(twin.joins_at, calm_from), Mishap::Leave { back_after: calm_from })];
        for wants in [&mut twin, &mut members[number]] {
            let returns = (0..random.between(0, 3)).map(|_| (random.between(0, calm_from), Mishap::Return));
            wants.mishaps.extend(returns.collect::<Vec<_>>());
            wants.mishaps.sort_by_key(|(at, _)| *at);
        }
        members.push(twin);
    }
}

fn order(random: &mut Random, id: u64, rows: u64, calm_from: u64, without: &BTreeSet<Fault>) -> Order {
    let most = if random.chance(200) { 600 } else { 150 };
    let steps = random.between(1, most);
    let longest = if random.chance(100) { 3_000 } else { 100 };
    let inputs = (0..steps).map(|_| {
        let length = random.between(0, longest);
        (0..length).map(|_| random.next().to_le_bytes()[0]).collect()
    });
    let inputs = inputs.collect();
    let (at, id) = (1 + random.between(0, calm_from / 2), JobId(id));
    let tight = !without.contains(&Fault::Deadline) && random.chance(200);
    let deadline = if tight { at + random.between(10_000, 300_000) } else { u64::MAX / 4 };
    let cancelled = !without.contains(&Fault::Cancel) && random.chance(150);
    let spec = JobSpec {
        client: ClientId(random.between(1, 2)),
        weight: u32::try_from(random.between(1, 4)).unwrap_or(1),
        bounty: 1000,
        steps,
        rows,
        deadline: Millis(deadline),
        memory: Bytes(random.between(1, 1000)),
        height: random.between(0, 3),
    };
    let truth = Truth::new(chain_job(id), random.next(), inputs);
    let cancelled_at = cancelled.then(|| at + random.between(0, calm_from));
    Order { at, id, spec, truth, cancelled_at, again_after: None }
}

fn member(random: &mut Random, rows: u64, proof_bytes: u64, calm_from: u64, without: &BTreeSet<Fault>) -> Member {
    let has = |random: &mut Random, fault: Fault, times: u64| !without.contains(&fault) && random.chance(times);
    let step_ms = random.between(20, 1_500);
    let truth = rows * 1000 / step_ms;
    let says = if has(random, Fault::Slow, 150) { truth * random.between(2, 50) } else { truth };
    let lies = [Lie::Seal, Lie::State, Lie::Prover];
    let lie = has(random, Fault::Lie, 150).then(|| (lies[usize::try_from(random.between(0, 2)).unwrap_or(0)], 400));
    let flaky = if has(random, Fault::Flaky, 150) { 20 } else { 0 };
    let merges = if has(random, Fault::Merge, 250) { random.between(1, 2) } else { 0 };
    let skewed = has(random, Fault::Skew, 500);
    let clock = if skewed {
        (random.between(0, 1 << 40), i64::try_from(random.between(0, 40_000)).unwrap_or(0) - 20_000)
    } else {
        (0, 0)
    };
    let mut mishaps = Vec::new();
    for _ in 0..random.between(0, 6) {
        let (ms, long) = (random.between(1_000, 90_000), random.between(1_000, 240_000));
        let (fault, mishap) = match random.between(0, 7) {
            0 | 1 => (Fault::Leave, Mishap::Leave { back_after: long }),
            2 => (Fault::Pause, Mishap::Pause { resume_after: long }),
            3 => (Fault::Pause, Mishap::Stop { resume_after: long }),
            4 => (Fault::Freeze, Mishap::Freeze { ms }),
            5 | 6 => (Fault::Drop, Mishap::Drop),
            _ => (Fault::Partition, Mishap::Partition { ms }),
        };
        if !without.contains(&fault) {
            mishaps.push((random.between(0, calm_from), mishap));
        }
    }
    mishaps.sort_by_key(|(at, _)| *at);
    let tasks = random.between(1, 3) + merges;
    let late = has(random, Fault::Leave, 300);
    Member {
        joins_at: if late { random.between(0, calm_from) } else { random.between(0, 5_000) },
        engine: ModelEngine { rows, proof_bytes, lie, flaky, loaded: random.chance(700) },
        step_ms,
        says: if random.chance(100) { 0 } else { says },
        memory: if without.len() == Fault::ALL.len() { 1000 } else { random.between(500, 2_000) },
        tasks,
        merges,
        stores: random.chance(500),
        held_bytes: proof_bytes * random.between(2, 40) + (64 << 20) * merges,
        clock,
        latency_ms: random.between(1, 400),
        jitter_ms: random.between(0, 300),
        bytes_ms: random.between(60, 5_000),
        mishaps,
        twin_of: None,
    }
}
