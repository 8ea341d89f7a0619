//! Connections: dialling, breaking, and frames on their way.

use crowdfold_prover::Link;
use crowdfold_sched::{ProofId, ProverId};
use crowdfold_wire::{FromCoordinator, GoodbyeCode};

use super::{Happening, Wire, World};
use crate::small::host::read;
use crate::small::log::log;
use crate::small::plan::chain_job;
use crate::small::plant::Bug;

impl World {
    /// A connection breaks: both ends get to know, each at its own time, and what was under way is lost.
    pub(super) fn cut(&mut self, conn: u64, page_gone: bool) {
        let Some(wire) = self.wires.get_mut(&conn) else { return };
        wire.silent = true;
        let (down, up) = (self.random.between(0, 2_000), self.random.between(0, 20_000));
        if !page_gone {
            self.at(self.now + down, Happening::Down(conn, None));
        }
        self.at(self.now + up, Happening::Up(conn, None));
    }

    pub(super) fn dialled(&mut self, index: usize, dial: u64, works: bool) {
        let (now, works) = (self.now, works && self.coordinator.is_some());
        let host = &mut self.hosts[index];
        if host.dials != dial {
            return;
        }
        let clock = host.clock(now);
        let Some(prover) = &mut host.prover else { return };
        if !works {
            prover.disconnected(clock, host.random.next());
            return self.drive(index);
        }
        self.next_conn += 1;
        let conn = self.next_conn;
        host.conn = Some(conn);
        prover.connected(clock);
        let wire = Wire { host: index, arrivals: (now, now), busy: (now, now), silent: false, closing: false };
        self.wires.insert(conn, wire);
        log!(self.log, "{} dials {conn}", self.hosts[index].name);
        self.coordinate(|coordinator, env| {
            coordinator.accept(env, conn);
            Ok(())
        });
        self.drive(index);
    }

    /// The prover has closed its connection.
    pub(super) fn close_up(&mut self, index: usize) {
        self.pump_up(index);
        let (now, host) = (self.now, &mut self.hosts[index]);
        if let Some(conn) = host.conn.take()
            && let Some(wire) = self.wires.get(&conn)
        {
            let at = wire.arrivals.1.max(now) + host.member.latency_ms;
            self.at(at, Happening::Up(conn, None));
        }
        self.disconnected(index);
    }

    pub(super) fn disconnected(&mut self, index: usize) {
        let (now, host) = (self.now, &mut self.hosts[index]);
        host.conn = None;
        let (clock, random) = (host.clock(now), host.random.next());
        let Some(prover) = &mut host.prover else { return };
        prover.disconnected(clock, random);
        if let Link::Refused(goodbye) = prover.status().link {
            let name = host.name;
            let replaced = goodbye.code == GoodbyeCode::Replaced && self.has_twin(index);
            self.check.replaced += u64::from(replaced);
            self.check.ensure(replaced, || format!("{name} is refused for good: {goodbye:?}"));
        }
        self.drive(index);
    }

    fn has_twin(&self, index: usize) -> bool {
        let name = self.hosts[index].name;
        self.hosts.iter().filter(|host| host.name == name).count() > 1
    }

    pub(super) fn arrive_down(&mut self, conn: u64, frame: Option<Vec<u8>>) {
        let Some(index) = self.wires.get(&conn).map(|wire| wire.host) else { return };
        if self.hosts[index].conn != Some(conn) {
            return;
        }
        if self.hosts[index].frozen_until > self.now {
            let at = self.hosts[index].frozen_until;
            self.at(at, Happening::Down(conn, frame));
            return;
        }
        let Some(frame) = frame else { return self.disconnected(index) };
        self.overhear(index, &frame);
        let clock = self.hosts[index].clock(self.now);
        self.hosts[index].prover.iter_mut().for_each(|prover| prover.frame(clock, &frame));
        self.drive(index);
    }

    /// Nobody gets anything that is not of its own segments.
    pub(super) fn overhear(&mut self, index: usize, frame: &[u8]) {
        let Some(coordinator) = &self.coordinator else { return };
        let own = ProverId(self.hosts[index].name);
        match read(frame) {
            Some(FromCoordinator::Segment(segment)) => {
                let lease = coordinator.lease(segment.task.0);
                let order = self.plan.orders.iter().find(|order| chain_job(order.id) == segment.job);
                let right = lease.is_none_or(|(prover, job, range)| {
                    let same = (range.start().0, range.steps()) == (segment.first.get(), segment.steps.get());
                    prover == own && same && order.is_some_and(|order| order.id == job)
                });
                self.check.ensure(right, || format!("{own} got {segment:?}, its lease is {lease:?}"));
                let state = order.and_then(|order| order.truth.state(segment.first.get()));
                let own_state = state.is_some_and(|state| segment.start[..] == state.to_le_bytes());
                self.check.ensure(own_state, || format!("{own} got the state of other steps in {segment:?}"));
            }
            Some(FromCoordinator::Merge(merge)) => {
                let Some((prover, job, parts)) = coordinator.merge(&self.disk, merge.task.0) else { return };
                let sent =
                    [Some(&merge.left), merge.right.as_ref()].map(|blob| blob.map(|blob| ProofId(blob.upload.0)));
                // What the cover had when it was sent may be merged by now.
                let same = parts.iter().zip(sent).all(|(part, sent)| part.is_none() || *part == sent);
                let right = prover == own && chain_job(job) == merge.job && same;
                self.check.ensure(right, || format!("{own} got {merge:?}, its merge is of {parts:?}"));
            }
            Some(FromCoordinator::Stored(stored)) => {
                let key = (own, ProofId(stored.upload.0));
                self.check.acknowledged.insert(key, stored.bytes.get());
            }
            Some(FromCoordinator::Inputs(inputs)) => {
                let Some((prover, job, range)) = coordinator.lease(inputs.task.0) else { return };
                let end = inputs.index.get() + inputs.inputs.len() as u64;
                self.check.ensure(prover == own && end <= range.steps(), || format!("{own} got inputs of {prover}"));
                let Some(order) = self.plan.orders.iter().find(|order| order.id == job) else { return };
                let sent: Vec<&[u8]> = inputs.inputs.iter().map(|input| &**input).collect();
                self.check.handed(&order.truth, range.start().0 + inputs.index.get(), &sent);
            }
            _ => {}
        }
    }

    /// Puts the coordinator's frames on the wire as far as it has room.
    pub(super) fn pump_down(&mut self, conn: u64) {
        let Some(coordinator) = &mut self.coordinator else { return };
        let Some(wire) = self.wires.get_mut(&conn) else { return };
        let member = &self.hosts[wire.host].member;
        let mut arrivals = Vec::new();
        while wire.busy.0 <= self.now {
            let (frame, over) = coordinator.next_frame(conn);
            let jitter = self.random.between(0, member.jitter_ms);
            wire.arrivals.0 = wire.arrivals.0.max(self.now + member.latency_ms + jitter);
            let Some(frame) = frame else {
                if over && !wire.closing {
                    wire.closing = true;
                    arrivals.push((wire.arrivals.0, Happening::Down(conn, None)));
                    arrivals.push((self.now, Happening::Up(conn, None)));
                }
                break;
            };
            wire.busy.0 = self.now + frame.len() as u64 / member.bytes_ms;
            if wire.busy.0 > self.now {
                arrivals.push((wire.busy.0, Happening::Pump(conn)));
            }
            wire.arrivals.0 = wire.arrivals.0.max(wire.busy.0);
            if !wire.silent {
                arrivals.push((wire.arrivals.0, Happening::Down(conn, Some(frame))));
            }
        }
        arrivals.into_iter().for_each(|(at, what)| self.at(at, what));
    }

    /// Puts a prover's frames on the wire as far as it has room.
    pub(super) fn pump_up(&mut self, index: usize) {
        let (now, host) = (self.now, &mut self.hosts[index]);
        let clock = host.clock(now);
        let (Some(conn), Some(prover)) = (host.conn, &mut host.prover) else { return };
        let Some(wire) = self.wires.get_mut(&conn) else { return };
        let mut arrivals = Vec::new();
        while wire.busy.1 <= now
            && let Some(mut frame) = prover.next_frame(clock)
        {
            if self.bug == Some(Bug::Garble) {
                frame.push(0);
            }
            wire.busy.1 = now + frame.len() as u64 / host.member.bytes_ms;
            if wire.busy.1 > now {
                arrivals.push((wire.busy.1, Happening::Pump(conn)));
            }
            let jitter = self.random.between(0, host.member.jitter_ms);
            wire.arrivals.1 = wire.arrivals.1.max(wire.busy.1 + host.member.latency_ms + jitter);
            if !wire.silent {
                arrivals.push((wire.arrivals.1, Happening::Up(conn, Some(frame))));
            }
        }
        arrivals.into_iter().for_each(|(at, what)| self.at(at, what));
    }
}
