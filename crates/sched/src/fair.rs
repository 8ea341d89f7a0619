//! Weighted fair queueing between clients.
//!
//! Each client has a virtual time that goes up by the rows that are handed out for it over its weight. The client that
//! is furthest behind is served first, so one that always has work is served at least in proportion to its weight. A
//! client that comes back starts at the time of those being served, so that idleness is not saved up.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::ids::{ClientId, JobId};
use crate::limits;

/// Virtual time of one row at weight 1 and bounty 1000.
const UNIT: u128 = 1 << 40;

/// A client's jobs by height, then age.
type Jobs = BTreeSet<(u64, u64, JobId)>;

#[derive(Debug, Default)]
struct Client {
    time: u128,
    /// Jobs that did not end.
    jobs: usize,
    /// Jobs with something to hand out, by need of memory.
    open: BTreeMap<u64, Jobs>,
}

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Fair {
    clients: HashMap<ClientId, Client>,
    /// Clients with something to hand out that needs so much memory, furthest behind first.
    queues: BTreeMap<u64, BTreeSet<(u128, ClientId)>>,
    /// Clients without jobs whose virtual time is ahead: to be forgotten when the others come up with them.
    idle: BTreeSet<(u128, ClientId)>,
    /// Virtual time of the client that was served last.
    time: u128,
}

impl Fair {
    /// Number of jobs of a client.
    pub(crate) fn jobs(&self, client: ClientId) -> usize {
        self.clients.get(&client).map_or(0, |client| client.jobs)
    }

    /// Number of clients that are remembered.
    pub(crate) fn clients(&self) -> usize {
        self.clients.len()
    }

    pub(crate) fn job_added(&mut self, client: ClientId) {
        let time = self.time;
        let entry = self.clients.entry(client).or_default();
        if entry.jobs == 0 {
            self.idle.remove(&(entry.time, client));
            entry.time = entry.time.max(time);
        }
        entry.jobs += 1;
    }

    pub(crate) fn job_ended(&mut self, client: ClientId) {
        if let Some(entry) = self.clients.get_mut(&client) {
            entry.jobs = entry.jobs.saturating_sub(1);
            if entry.jobs == 0 {
                self.idle.insert((entry.time, client));
            }
        }
        self.forget();
    }

    /// The need of memory to queue a job under.
    pub(crate) fn need(&self, memory: u64) -> u64 {
        let exact = self.queues.len() < limits::MEMORY_KINDS || self.queues.contains_key(&memory);
        if exact { memory } else { memory.checked_next_power_of_two().unwrap_or(memory) }
    }

    /// The job has something to hand out.
    pub(crate) fn open(&mut self, client: ClientId, need: u64, key: (u64, u64, JobId)) {
        let Some(entry) = self.clients.get_mut(&client) else { return };
        if entry.open.is_empty() {
            entry.time = entry.time.max(self.time);
        }
        let jobs = entry.open.entry(need).or_default();
        if jobs.is_empty() {
            self.queues.entry(need).or_default().insert((entry.time, client));
        }
        jobs.insert(key);
    }

    /// The job has nothing to hand out.
    pub(crate) fn close(&mut self, client: ClientId, need: u64, key: (u64, u64, JobId)) {
        let Some(entry) = self.clients.get_mut(&client) else { return };
        let Some(jobs) = entry.open.get_mut(&need) else { return };
        jobs.remove(&key);
        if jobs.is_empty() {
            entry.open.remove(&need);
            if let Some(queue) = self.queues.get_mut(&need) {
                queue.remove(&(entry.time, client));
                if queue.is_empty() {
                    self.queues.remove(&need);
                }
            }
        }
    }

    /// So many rows were handed out for a client.
    pub(crate) fn charge(&mut self, client: ClientId, rows: u64, weight: u32, bounty: u32) {
        let bounty = bounty.clamp(limits::BOUNTY.0, limits::BOUNTY.1);
        let cost = u128::from(rows) * (UNIT * 1000 / (u128::from(weight.max(1)) * u128::from(bounty)));
        let Some(entry) = self.clients.get_mut(&client) else { return };
        self.time = self.time.max(entry.time);
        let (old, new) = (entry.time, entry.time.saturating_add(cost));
        entry.time = new;
        for need in entry.open.keys() {
            if let Some(queue) = self.queues.get_mut(need) {
                queue.remove(&(old, client));
                queue.insert((new, client));
            }
        }
        self.forget();
    }

    /// Whom a prover with so much memory should serve.
    pub(crate) fn first(&self, memory: u64) -> Option<JobId> {
        let heads = self.queues.range(..=memory).filter_map(|(_, queue)| queue.first());
        let client = self.clients.get(&heads.min()?.1)?;
        let jobs = client.open.range(..=memory).filter_map(|(_, jobs)| jobs.first());
        jobs.min().map(|&(_, _, job)| job)
    }

    /// Whom it should serve if it can't serve the first ones: so many clients at most, so many jobs of each.
    pub(crate) fn list(&self, memory: u64, clients: usize, jobs: usize) -> Vec<JobId> {
        let heads = self.queues.range(..=memory).flat_map(|(_, queue)| queue.iter().take(clients));
        let heads: BTreeSet<_> = heads.collect();
        let mut list = Vec::new();
        for entry in heads.iter().take(clients).filter_map(|(_, client)| self.clients.get(client)) {
            let open = entry.open.range(..=memory).flat_map(|(_, open)| open.iter().take(jobs));
            let open: BTreeSet<_> = open.collect();
            list.extend(open.iter().take(jobs).map(|&&(_, _, job)| job));
        }
        list
    }

    /// Whether nobody has anything to hand out.
    pub(crate) fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    fn forget(&mut self) {
        while let Some(&(time, client)) = self.idle.first()
            && (time <= self.time || self.clients.len() > limits::JOBS * 2)
        {
            self.idle.remove(&(time, client));
            self.clients.remove(&client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Fair;
    use crate::ids::{ClientId, JobId};

    /// Clients with one endless job each, named alike.
    fn queue(clients: u64) -> Fair {
        let mut fair = Fair::default();
        for id in 0..clients {
            fair.job_added(ClientId(id));
            fair.open(ClientId(id), 1, (0, id, JobId(id)));
        }
        fair
    }

    fn serve(fair: &mut Fair, rounds: usize, weights: &[u32]) -> Vec<u64> {
        let mut served = vec![0; weights.len()];
        for _ in 0..rounds {
            let id = fair.first(1).unwrap().0;
            let index = usize::try_from(id).unwrap();
            fair.charge(ClientId(id), 100, weights[index], 1000);
            served[index] += 1;
        }
        served
    }

    #[test]
    fn work_goes_by_weight() {
        assert_eq!(serve(&mut queue(3), 600, &[1, 2, 3]), [100, 200, 300]);
    }

    #[test]
    fn bounties_count_within_limits() {
        let mut fair = queue(2);
        let mut served = [0, 0];
        for _ in 0..500 {
            let id = fair.first(1).unwrap().0;
            fair.charge(ClientId(id), 100, 1, if id == 1 { u32::MAX } else { 1000 });
            served[usize::try_from(id).unwrap()] += 1;
        }
        assert_eq!(served, [100, 400]);
    }

    #[test]
    fn idleness_is_not_saved_up_and_debt_is_not_lost() {
        let mut fair = queue(2);
        serve(&mut fair, 100, &[1, 1]);
        fair.job_added(ClientId(2));
        fair.open(ClientId(2), 1, (0, 2, JobId(2)));
        assert_eq!(serve(&mut fair, 99, &[1, 1, 1]), [33, 33, 33]);
        fair.charge(ClientId(0), 10_000, 1, 1000);
        fair.close(ClientId(0), 1, (0, 0, JobId(0)));
        fair.job_ended(ClientId(0));
        fair.job_added(ClientId(0));
        fair.open(ClientId(0), 1, (0, 0, JobId(0)));
        assert_eq!(serve(&mut fair, 50, &[1, 1, 1])[0], 0, "who was served ahead waits, gone in between or not");
    }

    #[test]
    fn clients_without_jobs_are_forgotten() {
        let mut fair = queue(2);
        serve(&mut fair, 3, &[1, 1]);
        fair.close(ClientId(0), 1, (0, 0, JobId(0)));
        fair.job_ended(ClientId(0));
        serve(&mut fair, 10, &[1, 1]);
        assert_eq!(fair.clients(), 1);
    }

    #[test]
    fn jobs_that_need_more_memory_are_not_seen() {
        let mut fair = queue(1);
        fair.job_added(ClientId(7));
        fair.open(ClientId(7), 5, (0, 7, JobId(7)));
        fair.charge(ClientId(0), 1, 1, 1000);
        assert_eq!((fair.first(0), fair.first(4), fair.first(5)), (None, Some(JobId(0)), Some(JobId(7))));
        assert_eq!(fair.list(5, 9, 9), [JobId(7), JobId(0)]);
        assert_eq!(fair.list(5, 1, 9), [JobId(7)]);
    }

    #[test]
    fn height_goes_before_age() {
        let mut fair = Fair::default();
        for (height, age) in [(3, 0), (1, 1), (2, 2), (1, 3)] {
            fair.job_added(ClientId(0));
            fair.open(ClientId(0), age, (height, age, JobId(age)));
        }
        assert_eq!(fair.list(9, 9, 9), [1, 3, 2, 0].map(JobId));
        assert_eq!(fair.first(9), Some(JobId(1)));
    }
}
