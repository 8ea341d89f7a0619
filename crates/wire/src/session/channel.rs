//! What both ends do alike: the queue to the transport, pings, silence, and the end.

use super::{Ended, SendError};
use crate::goodbye::{GoodbyeCode, Violation, ensure};
use crate::limits::{
    BULK_QUEUE_BYTES, HANDSHAKE_LIMIT_MS, MAX_FRAME_BYTES, MAX_INTERVAL_MS, MAX_QUEUE_AGE_MS, MAX_QUEUE_BYTES,
    MAX_QUEUE_FRAMES, MESSAGE_BURST, MESSAGE_INTERVAL_MS, MIN_INTERVAL_MS, PONG_IDLE_LIMITS,
};
use crate::message::{Goodbye, Ping, Pong, Welcome};
use crate::names::Millis;
use std::collections::VecDeque;

/// The intervals of an open connection.
#[derive(Clone, Copy, Debug)]
struct Timing {
    ping_interval_ms: u64,
    idle_limit_ms: u64,
}

#[derive(Debug)]
pub(super) struct Channel {
    queue: VecDeque<(Millis, Vec<u8>)>,
    queued_bytes: usize,
    opened: Millis,
    heard: Millis,
    timing: Option<Timing>,
    next_ping: Millis,
    pings: u64,
    unanswered: Option<(Ping, Millis)>,
    /// When the peer will have the whole of its burst again.
    quiet_from: Millis,
    ended: Option<Ended>,
}

/// Refuses intervals that would drown or forget the other end.
pub(super) fn check_timing(welcome: &Welcome) -> Result<(), Violation> {
    let Welcome { ping_interval_ms, idle_limit_ms, checkpoint_interval_ms, .. } = *welcome;
    let within = |ms| (MIN_INTERVAL_MS..=MAX_INTERVAL_MS).contains(&ms);
    let all = within(ping_interval_ms) && within(idle_limit_ms) && within(checkpoint_interval_ms);
    ensure(all && ping_interval_ms < idle_limit_ms, GoodbyeCode::BadTiming, || {
        format!(
            "intervals must be from {MIN_INTERVAL_MS} to {MAX_INTERVAL_MS} ms and pings come before the idle limit, got \
             pings {ping_interval_ms}, idle {idle_limit_ms}, checkpoints {checkpoint_interval_ms}"
        )
    })
}

impl Channel {
    pub(super) fn new(now: Millis) -> Self {
        Self {
            queue: VecDeque::new(),
            queued_bytes: 0,
            opened: now,
            heard: now,
            timing: None,
            next_ping: now,
            pings: 0,
            unanswered: None,
            quiet_from: now,
            ended: None,
        }
    }

    pub(super) fn open(&mut self, now: Millis, welcome: &Welcome) {
        let timing = Timing {
            ping_interval_ms: u64::from(welcome.ping_interval_ms),
            idle_limit_ms: u64::from(welcome.idle_limit_ms),
        };
        self.next_ping = now.after(timing.ping_interval_ms);
        self.timing = Some(timing);
    }

    pub(super) fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    pub(super) fn check_open(&self) -> Result<(), Ended> {
        self.ended.clone().map_or(Ok(()), Err)
    }

    /// Breaks off. What waited is dropped: the peer could not make sense of it, or does not read it.
    pub(super) fn break_off(
        &mut self,
        now: Millis,
        violation: &Violation,
        frame: impl FnOnce(Goodbye) -> Vec<u8>,
    ) -> Ended {
        self.queue.clear();
        self.queued_bytes = 0;
        self.say_goodbye(now, violation.goodbye(), frame)
    }

    /// Ends after what waits.
    pub(super) fn say_goodbye(
        &mut self,
        now: Millis,
        goodbye: Goodbye,
        frame: impl FnOnce(Goodbye) -> Vec<u8>,
    ) -> Ended {
        if let Some(ended) = &self.ended {
            return ended.clone();
        }
        let ended = Ended { by_peer: false, goodbye: goodbye.clone() };
        self.put(now, frame(goodbye));
        self.ended = Some(ended.clone());
        ended
    }

    /// The peer ends it: nothing that waits will be read.
    pub(super) fn hear_goodbye(&mut self, goodbye: Goodbye) -> Ended {
        self.queue.clear();
        self.queued_bytes = 0;
        let ended = Ended { by_peer: true, goodbye };
        self.ended = Some(ended.clone());
        ended
    }

    fn put(&mut self, now: Millis, frame: Vec<u8>) {
        debug_assert!(frame.len() <= MAX_FRAME_BYTES, "a message of {} bytes is no frame", frame.len());
        self.queued_bytes += frame.len();
        self.queue.push_back((now, frame));
    }

    /// Queues a frame.
    pub(super) fn push(&mut self, now: Millis, frame: Vec<u8>) -> Result<(), Violation> {
        let room = self.queued_bytes + frame.len() <= MAX_QUEUE_BYTES && self.queue.len() < MAX_QUEUE_FRAMES;
        ensure(room, GoodbyeCode::SlowPeer, || {
            format!("{} bytes in {} frames were not read", self.queued_bytes, self.queue.len())
        })?;
        self.put(now, frame);
        Ok(())
    }

    /// Whether the queue takes a long frame.
    pub(super) fn check_bulk(&self) -> Result<(), SendError> {
        if self.queued_bytes < BULK_QUEUE_BYTES && self.queue.len() < MAX_QUEUE_FRAMES / 2 {
            Ok(())
        } else {
            Err(SendError::Wait { queued_bytes: self.queued_bytes })
        }
    }

    pub(super) fn next_frame(&mut self) -> Option<Vec<u8>> {
        let (_, frame) = self.queue.pop_front()?;
        self.queued_bytes -= frame.len();
        Some(frame)
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// A frame has come: before it is decoded.
    pub(super) fn hear(&mut self, now: Millis, frame: &[u8]) -> Result<(), Violation> {
        self.heard = now;
        ensure(frame.len() <= MAX_FRAME_BYTES, GoodbyeCode::FrameTooLarge, || {
            format!("a frame has at most {MAX_FRAME_BYTES} bytes, got {}", frame.len())
        })
    }

    /// Charges the peer for a message.
    pub(super) fn charge(&mut self, now: Millis) -> Result<(), Violation> {
        let next = self.quiet_from.max(now).after(MESSAGE_INTERVAL_MS);
        ensure(next.since(now) <= MESSAGE_BURST * MESSAGE_INTERVAL_MS, GoodbyeCode::TooManyMessages, || {
            format!("more than {MESSAGE_BURST} messages at once, or one every {MESSAGE_INTERVAL_MS} ms")
        })?;
        self.quiet_from = next;
        Ok(())
    }

    pub(super) fn pong(&mut self, pong: &Pong) -> Result<(), Violation> {
        let expected = self.unanswered.as_ref().map(|(ping, _)| ping.number);
        ensure(expected == Some(pong.number), GoodbyeCode::UnexpectedPong, || match expected {
            Some(number) => format!("expected a pong to {number}, got one to {}", pong.number),
            None => format!("no ping waits for a pong, got one to {}", pong.number),
        })?;
        self.unanswered = None;
        Ok(())
    }

    /// Looks at the clock; a ping to send, if it is time for one.
    pub(super) fn tick(&mut self, now: Millis) -> Result<Option<Ping>, Violation> {
        if let Some((since, _)) = self.queue.front() {
            ensure(now.since(*since) <= MAX_QUEUE_AGE_MS, GoodbyeCode::SlowPeer, || {
                format!("nothing was read for {} ms", now.since(*since))
            })?;
        }
        let Some(timing) = self.timing else {
            let open_ms = now.since(self.opened);
            ensure(open_ms <= u64::from(HANDSHAKE_LIMIT_MS), GoodbyeCode::HandshakeTimeout, || {
                format!("the handshake was not done after {open_ms} ms, the limit is {HANDSHAKE_LIMIT_MS}")
            })?;
            return Ok(None);
        };
        let silent_ms = now.since(self.heard);
        ensure(silent_ms <= timing.idle_limit_ms, GoodbyeCode::Idle, || {
            format!("nothing came for {silent_ms} ms, the limit is {}", timing.idle_limit_ms)
        })?;
        if let Some((_, since)) = &self.unanswered {
            let pong_ms = PONG_IDLE_LIMITS * timing.idle_limit_ms;
            ensure(now.since(*since) <= pong_ms, GoodbyeCode::NoPong, || {
                format!("a ping was not answered for {} ms, the limit is {pong_ms}", now.since(*since))
            })?;
        }
        if now < self.next_ping || self.unanswered.is_some() {
            return Ok(None);
        }
        self.pings += 1;
        self.next_ping = now.after(timing.ping_interval_ms);
        let ping = Ping { number: self.pings };
        self.unanswered = Some((ping.clone(), now));
        Ok(Some(ping))
    }

    /// When the clock matters next.
    pub(super) fn wake_at(&self) -> Millis {
        // Limits are passed, not reached.
        let queue = self.queue.front().map(|(since, _)| since.after(MAX_QUEUE_AGE_MS + 1));
        let Some(timing) = self.timing else {
            let handshake = self.opened.after(u64::from(HANDSHAKE_LIMIT_MS) + 1);
            return queue.map_or(handshake, |queue| queue.min(handshake));
        };
        let idle = self.heard.after(timing.idle_limit_ms + 1);
        let ping = match &self.unanswered {
            Some((_, since)) => since.after(PONG_IDLE_LIMITS * timing.idle_limit_ms + 1),
            None => self.next_ping,
        };
        queue.map_or(idle, |queue| queue.min(idle)).min(ping)
    }
}
