//! The clock, the network and everybody on it.

mod network;

use std::collections::BTreeMap;

use crowdfold_sched::{JobEnd, JobId, ProofId, ProverId};
use crowdfold_wire::{Outcome, ParametersId, UploadId};

use super::Options;
use super::check::Checker;
use super::coordinator::{Coordinator, Env};
use super::disk::{Crash, Disk};
use super::host::{Host, Wish};
use super::log::{Log, log};
use super::plan::{Mishap, Plan};
use super::plant::Bug;
use crate::random::Random;

/// Milliseconds after the last fault within which every job has to end.
const BOUND_MS: u64 = 3_600_000;
/// Milliseconds after the last job for verdicts to arrive.
const REST_MS: u64 = 300_000;
/// Events at one moment beyond which something runs in circles.
const EVENTS_AT_ONCE: u64 = 200_000;

/// What happens at some moment.
#[derive(Debug)]
enum Happening {
    Tick(u64),
    Deadline(u64),
    Submit(JobId),
    Cancel(JobId),
    Join(usize),
    Mishap(usize, Mishap),
    Resume(usize),
    Wake(usize, u64),
    Dialled(usize, u64, bool),
    Parameters(usize, u64, ParametersId, crowdfold_prover::Purpose),
    Down(u64, Option<Vec<u8>>),
    Up(u64, Option<Vec<u8>>),
    Pump(u64),
    Cpu(u64, u64),
    Restart,
}

/// A connection on the wire.
#[derive(Debug)]
struct Wire {
    host: usize,
    /// Last arrivals downwards and upwards: frames stay in order.
    arrivals: (u64, u64),
    /// The transport is full until then.
    busy: (u64, u64),
    silent: bool,
    closing: bool,
}

/// Everything.
pub(crate) struct World {
    plan: Plan,
    now: u64,
    queue: BTreeMap<(u64, u64), Happening>,
    count: u64,
    hosts: Vec<Host>,
    wires: BTreeMap<u64, Wire>,
    next_conn: u64,
    coordinator: Option<Coordinator>,
    incarnation: u64,
    deadline: u64,
    disk: Disk,
    pub(crate) check: Checker,
    log: Log,
    random: Random,
    bug: Option<Bug>,
    after_calm: u64,
}

/// What became of a seed.
#[derive(Debug)]
pub struct Outcomes {
    /// What did not hold, if anything.
    pub broken: Option<String>,
    /// The hash of the log: the same for the same seed.
    pub hash: [u8; 32],
    /// The log, if it was wanted.
    pub log: Vec<String>,
    /// Jobs that were done, cancelled, expired.
    pub ends: [u64; 3],
    /// Events of the scheduler.
    pub events: u64,
    /// Crashes of the coordinator.
    pub crashes: u64,
    /// Proofs of a part of their segment.
    pub prefixes: u64,
    /// Proofs that a new page had from an earlier one.
    pub returned: u64,
    /// Check-ins that only the disk had after a crash.
    pub restored: u64,
    /// Jobs that were submitted again.
    pub resubmitted: u64,
    /// Times that a host with the same key took another's place.
    pub replaced: u64,
    /// Milliseconds from the last fault to the end of the last job.
    pub after_calm: u64,
    /// Steps that count, and steps that were folded.
    pub steps: (u64, u64),
}

impl World {
    pub(crate) fn new(seed: u64, options: &Options) -> Self {
        let (plan, bug) = (Plan::new(seed, &options.without), options.bug);
        let members = plan.members.iter().cloned().zip(0..);
        let hosts = members.map(|(member, number)| Host::new(member, seed, number)).collect();
        let disk = Disk { crash_at: plan.crash_at.iter().copied().collect(), bug, ..Disk::default() };
        let mut world = Self {
            plan,
            now: 0,
            queue: BTreeMap::new(),
            count: 0,
            hosts,
            wires: BTreeMap::new(),
            next_conn: 0,
            coordinator: None,
            incarnation: 0,
            deadline: 0,
            disk,
            check: Checker::default(),
            log: Log::new(options.keeps_log),
            random: Random::new(seed, 2),
            bug,
            after_calm: 0,
        };
        world.at(0, Happening::Restart);
        for index in 0..world.plan.orders.len() {
            let order = &world.plan.orders[index];
            let (id, at, cancelled, again) = (order.id, order.at, order.cancelled_at, order.again_after);
            world.at(at, Happening::Submit(id));
            if let Some(after) = again {
                world.at(at + after, Happening::Submit(id));
            }
            if let Some(cancelled) = cancelled {
                world.at(cancelled, Happening::Cancel(id));
            }
        }
        for index in 0..world.hosts.len() {
            let member = world.hosts[index].member.clone();
            world.at(member.joins_at, Happening::Join(index));
            for (at, mishap) in member.mishaps {
                world.at(at, Happening::Mishap(index, mishap));
            }
        }
        world
    }

    fn at(&mut self, at: u64, what: Happening) {
        self.count += 1;
        self.queue.insert((at.max(self.now), self.count), what);
    }

    /// Runs to the end.
    pub(crate) fn run(mut self) -> Outcomes {
        let mut at_once = 0;
        let mut rest = None;
        while let Some(((at, _), what)) = self.queue.pop_first() {
            at_once = if at == self.now { at_once + 1 } else { 0 };
            self.now = at;
            self.log.now = at;
            self.check.ensure(at_once < EVENTS_AT_ONCE, || format!("it runs in circles at {at} ms, with {what:?}"));
            self.happen(what);
            let over = self.plan.orders.iter().all(|order| matches!(self.disk.jobs.get(&order.id), Some(Some(_))));
            if over && rest.is_none() {
                self.after_calm = self.now.saturating_sub(self.plan.calm_from);
                rest = Some(self.now.max(self.plan.calm_from) + REST_MS);
            }
            if self.check.broken.is_some() || rest.is_some_and(|rest| self.now > rest) {
                break;
            }
            if self.now > self.plan.calm_from + BOUND_MS {
                let stuck: Vec<_> =
                    self.disk.jobs.iter().filter(|(_, end)| end.is_none()).map(|(job, _)| *job).collect();
                self.check.ensure(false, || format!("jobs {stuck:?} did not end in {BOUND_MS} ms without faults"));
            }
        }
        self.finish()
    }

    fn finish(mut self) -> Outcomes {
        if self.check.broken.is_none() {
            self.check.durable(&self.disk);
            self.check.spares_decided(&self.disk);
            if let Some(stats) = self.coordinator.as_ref().map(Coordinator::stats) {
                let left = stats.jobs + stats.leases + stats.merges + stats.unverified;
                self.check.ensure(left == 0, || format!("all jobs ended, and the scheduler still has {stats:?}"));
            }
            for host in &self.hosts {
                let Some(status) = host.prover.as_ref().map(crowdfold_prover::Prover::status) else { continue };
                let open = matches!(status.link, crowdfold_prover::Link::Open(_));
                let name = host.name;
                self.check
                    .ensure(!open || status.held_proofs == 0, || format!("{name} waits for verdicts: {status:?}"));
            }
        }
        let ends = |wanted| self.disk.jobs.values().filter(|end| **end == Some(wanted)).count() as u64;
        let ends = [ends(JobEnd::Done), ends(JobEnd::Cancelled), ends(JobEnd::Expired)];
        let counted = self.check.counted.values().flatten().map(|(range, _)| range.steps()).sum();
        self.hosts.iter_mut().for_each(Host::close);
        let folded = self.hosts.iter().map(|host| host.folded).sum();
        log!(self.log, "the end: {:?}", self.check.broken);
        let (hash, log) = self.log.end();
        let returned = self.hosts.iter().map(|host| host.returned).sum();
        let Checker { broken, events, crashes, prefixes, resubmitted, replaced, restored, .. } = self.check;
        let (steps, after_calm) = ((counted, folded), self.after_calm);
        Outcomes {
            broken,
            hash,
            log,
            ends,
            events,
            crashes,
            prefixes,
            returned,
            restored,
            resubmitted,
            replaced,
            after_calm,
            steps,
        }
    }

    /// What the coordinator is given with each call.
    fn env(&mut self) -> Env<'_> {
        Env {
            now: self.now,
            disk: &mut self.disk,
            log: &mut self.log,
            check: &mut self.check,
            random: &mut self.random,
            orders: &self.plan.orders,
            bug: self.bug,
            accepted: Vec::new(),
            later: Vec::new(),
        }
    }

    /// Calls the coordinator, if it is there, and does what follows.
    fn coordinate(&mut self, call: impl FnOnce(&mut Coordinator, &mut Env<'_>) -> Result<(), Crash>) {
        let Some(mut coordinator) = self.coordinator.take() else { return };
        let mut env = self.env();
        let outcome = call(&mut coordinator, &mut env);
        let (later, accepted) = (env.later, env.accepted);
        self.check.accepted.extend(accepted.into_iter().filter(|_| outcome.is_ok()));
        if outcome.is_err() {
            drop(coordinator);
            return self.crashed();
        }
        for (ms, work) in later {
            self.at(self.now + ms, Happening::Cpu(self.incarnation, work));
        }
        let connections = coordinator.connections();
        if let Some(deadline) = coordinator.next_deadline().filter(|at| *at > self.now && *at != self.deadline) {
            self.deadline = deadline;
            self.at(deadline, Happening::Deadline(self.incarnation));
        }
        self.coordinator = Some(coordinator);
        connections.into_iter().for_each(|conn| self.pump_down(conn));
    }

    fn crashed(&mut self) {
        log!(self.log, "the coordinator crashes");
        self.check.crashes += 1;
        self.coordinator = None;
        let conns: Vec<u64> = self.wires.keys().copied().collect();
        for conn in conns {
            if self.random.chance(800) {
                let at = self.now + self.random.between(1, 3_000);
                self.at(at, Happening::Down(conn, None));
            }
        }
        let back = self.now + self.random.between(100, 60_000);
        self.at(back, Happening::Restart);
    }

    fn restart(&mut self) {
        self.incarnation += 1;
        let (config, cores, checkpoint_ms) = (self.plan.config.clone(), self.plan.cores, self.plan.checkpoint_ms);
        let mut env = self.env();
        let started = Coordinator::start(&mut env, &config, cores, checkpoint_ms);
        let later = env.later;
        match started {
            Ok(coordinator) => {
                log!(self.log, "the coordinator starts, epoch {}", self.disk.epoch);
                self.coordinator = Some(coordinator);
                later.into_iter().for_each(|(ms, work)| self.at(self.now + ms, Happening::Cpu(self.incarnation, work)));
                self.at(self.now, Happening::Tick(self.incarnation));
            }
            Err(Crash) => self.crashed(),
        }
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Restart => self.restart(),
            Happening::Tick(incarnation) if incarnation == self.incarnation && self.coordinator.is_some() => {
                self.coordinate(Coordinator::tick);
                self.at(self.now + 1_000, Happening::Tick(incarnation));
            }
            Happening::Deadline(incarnation) if incarnation == self.incarnation => self.coordinate(Coordinator::tick),
            Happening::Tick(_) | Happening::Deadline(_) => {}
            Happening::Submit(job) => {
                self.coordinate(|coordinator, env| coordinator.submit(env, job));
                if self.coordinator.is_none() {
                    // The client did not hear that it was accepted, and tries again.
                    self.at(self.now + 1_000, Happening::Submit(job));
                }
            }
            Happening::Cancel(job) => {
                self.coordinate(|coordinator, env| coordinator.cancel(env, job));
                if self.coordinator.is_none() {
                    self.at(self.now + 1_000, Happening::Cancel(job));
                }
            }
            Happening::Join(index) => {
                if self.hosts[index].prover.is_none() {
                    self.hosts[index].open(self.now);
                    self.drive(index);
                }
            }
            Happening::Mishap(index, mishap) => self.mishap(index, mishap),
            Happening::Resume(index) => {
                let host = &mut self.hosts[index];
                let clock = host.clock(self.now);
                host.prover.iter_mut().for_each(|prover| prover.resume(clock));
                self.drive(index);
            }
            Happening::Wake(index, at) => {
                if self.hosts[index].wake == Some(at) {
                    self.hosts[index].wake = None;
                    if self.hosts[index].frozen_until > self.now {
                        self.wake(index, self.hosts[index].frozen_until);
                        return;
                    }
                    let clock = self.hosts[index].clock(self.now);
                    self.hosts[index].prover.iter_mut().for_each(|prover| prover.tick(clock));
                    self.drive(index);
                }
            }
            Happening::Dialled(index, dial, works) => self.dialled(index, dial, works),
            Happening::Parameters(index, dial, parameters, purpose) => {
                if self.hosts[index].dials == dial || self.hosts[index].prover.is_some() {
                    let clock = self.hosts[index].clock(self.now);
                    let outcome = Ok(&[][..]);
                    let provers = self.hosts[index].prover.iter_mut();
                    provers.for_each(|prover| prover.parameters(clock, parameters, purpose, outcome));
                    self.drive(index);
                }
            }
            Happening::Down(conn, frame) => self.arrive_down(conn, frame),
            Happening::Up(conn, frame) => {
                if let Some(frame) = frame {
                    self.coordinate(|coordinator, env| coordinator.frame(env, conn, &frame));
                } else {
                    self.coordinate(|coordinator, env| coordinator.lost(env, conn));
                }
            }
            Happening::Pump(conn) => {
                self.pump_down(conn);
                if let Some(index) = self.wires.get(&conn).map(|wire| wire.host) {
                    self.pump_up(index);
                }
            }
            Happening::Cpu(incarnation, work) => {
                if incarnation == self.incarnation {
                    self.coordinate(|coordinator, env| coordinator.worked(env, work));
                }
            }
        }
    }

    fn mishap(&mut self, index: usize, mishap: Mishap) {
        log!(self.log, "{}: {mishap:?}", self.hosts[index].name);
        let (host, now) = (&mut self.hosts[index], self.now);
        let clock = host.clock(now);
        match mishap {
            Mishap::Return => host.prover.iter_mut().for_each(|prover| prover.resume(clock)),
            Mishap::Leave { back_after } => {
                if let Some(conn) = host.conn {
                    self.cut(conn, true);
                }
                self.hosts[index].close();
                self.at(now + back_after, Happening::Join(index));
                return;
            }
            Mishap::Pause { resume_after } => {
                host.prover.iter_mut().for_each(|prover| prover.pause(clock));
                self.at(now + resume_after, Happening::Resume(index));
            }
            Mishap::Stop { resume_after } => {
                host.prover.iter_mut().for_each(|prover| prover.stop(clock));
                self.at(now + resume_after, Happening::Resume(index));
            }
            Mishap::Freeze { ms } => host.frozen_until = now + ms,
            Mishap::Drop => {
                if let Some(conn) = host.conn {
                    self.cut(conn, false);
                }
            }
            Mishap::Partition { ms } => {
                host.cut_until = now + ms;
                if let Some(wire) = host.conn.and_then(|conn| self.wires.get_mut(&conn)) {
                    wire.silent = true;
                }
            }
        }
        self.drive(index);
    }

    /// Lets a prover do what it can, sends what it has, and says when it goes on.
    fn drive(&mut self, index: usize) {
        let next = self.hosts[index].work(self.now);
        for wish in self.hosts[index].wishes() {
            match wish {
                Wish::Dial => {
                    let host = &mut self.hosts[index];
                    host.dials += 1;
                    let works = self.coordinator.is_some() && host.cut_until <= self.now;
                    let took = host.member.latency_ms * 2 + host.random.between(0, 300) + if works { 0 } else { 2_000 };
                    let dial = host.dials;
                    self.at(self.now + took, Happening::Dialled(index, dial, works));
                }
                Wish::Close => self.close_up(index),
                Wish::Parameters(parameters, purpose) => {
                    let (dial, took) = (self.hosts[index].dials, self.random.between(10, 4_000));
                    self.at(self.now + took, Happening::Parameters(index, dial, parameters, purpose));
                }
                Wish::Made(upload, info, bytes) => {
                    let (proof, prover) = (ProofId(upload.0), ProverId(self.hosts[index].name));
                    self.check.made(proof, prover, (info.first, info.steps), &bytes, &self.plan.orders);
                }
                Wish::Told(upload, outcome, steps) => self.told(index, upload, &outcome, steps),
            }
        }
        self.pump_up(index);
        // What it did may have made something else possible.
        let host = &self.hosts[index];
        let next = if host.busy_until > self.now { Some(host.busy_until) } else { next };
        if let Some(next) = next {
            self.wake(index, next);
        }
    }

    fn wake(&mut self, index: usize, at: u64) {
        let at = at.max(self.now);
        if self.hosts[index].wake != Some(at) {
            self.hosts[index].wake = Some(at);
            self.at(at, Happening::Wake(index, at));
        }
    }

    fn told(&mut self, index: usize, upload: UploadId, outcome: &Outcome, steps: u64) {
        let host = &self.hosts[index];
        let (name, honest) = (host.name, host.member.is_honest());
        let refused = matches!(outcome, Outcome::Refused(_));
        self.check.ensure(!(honest && refused), || format!("{name} is honest, and its proof {upload} was refused"));
        let made = self.check.made.contains_key(&ProofId(upload.0));
        let (Outcome::Accepted(credited) | Outcome::Duplicate(credited)) = outcome else { return };
        let all = matches!(outcome, Outcome::Accepted(_)) && credited.get() == steps;
        let some = matches!(outcome, Outcome::Duplicate(_)) && credited.get() <= steps;
        self.check.ensure(all || some || !made, || format!("{upload}: {steps} steps, {outcome:?}"));
        if made {
            self.check.promised.insert(ProofId(upload.0), (ProverId(name), credited.get()));
        }
    }
}
