//! How fast frames go up.

use crowdfold_wire::Millis;

/// Milliseconds of its rate that a bucket saves up: what a session that was folding may send at once.
const SAVED_MS: u64 = 2_000;
/// Parts of a byte in which a bucket counts: those that a rate in bytes a second gives in a millisecond.
const PARTS: i64 = 1_000;

/// A token bucket: in the long run so many bytes a second. A frame may go while the level is above 0, and takes its
/// whole length, so that frames longer than what was saved up go too.
#[derive(Debug)]
pub(super) struct Bucket {
    bytes_per_second: Option<i64>,
    level: i64,
    at: Millis,
}

impl Bucket {
    /// A bucket without a limit.
    pub(super) fn new(now: Millis) -> Self {
        Self { bytes_per_second: None, level: 0, at: now }
    }

    /// Sets the rate; `None` for no limit.
    pub(super) fn set_rate(&mut self, now: Millis, bytes_per_second: Option<u32>) {
        self.bytes_per_second = bytes_per_second.map(i64::from);
        (self.level, self.at) = (PARTS, now);
    }

    /// Milliseconds until a frame may go; 0 for now.
    pub(super) fn wait_ms(&mut self, now: Millis) -> u64 {
        let Some(rate) = self.bytes_per_second else { return 0 };
        // Longer is not saved up anyway, except by whoever owes much.
        let passed = i64::try_from(now.since(self.at)).unwrap_or(i64::MAX);
        let full = rate.saturating_mul(SAVED_MS as i64);
        self.level = self.level.saturating_add(rate.saturating_mul(passed)).min(full);
        self.at = now;
        if self.level > 0 { 0 } else { self.level.unsigned_abs() / rate.unsigned_abs().max(1) + 1 }
    }

    /// A frame of so many bytes goes.
    pub(super) fn take(&mut self, bytes: usize) {
        if self.bytes_per_second.is_some() {
            let parts = i64::try_from(bytes).unwrap_or(i64::MAX).saturating_mul(PARTS);
            self.level = self.level.saturating_sub(parts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that go in so many milliseconds when frames of `frame` bytes wait and somebody looks every `look_ms`.
    fn sent(bucket: &mut Bucket, ms: u64, look_ms: u64, frame: usize) -> usize {
        let mut sent = 0;
        for now in (0..ms).step_by(look_ms as usize).map(Millis) {
            while bucket.wait_ms(now) == 0 {
                bucket.take(frame);
                sent += frame;
            }
        }
        sent
    }

    #[test]
    fn the_rate_is_kept_whoever_looks_how_often() {
        for look_ms in [1, 10, 1_300] {
            for frame in [10, 1_000, 264 << 10] {
                let mut bucket = Bucket::new(Millis(0));
                bucket.set_rate(Millis(0), Some(100_000));
                let sent = sent(&mut bucket, 60_000, look_ms, frame);
                let (least, most) = (6_000_000 - 130_000 - frame, 6_000_000 + 200_000 + frame);
                assert!((least..=most).contains(&sent), "{sent} bytes in frames of {frame}, looked at every {look_ms}");
            }
        }
    }

    #[test]
    fn the_wait_is_what_it_takes() {
        let mut bucket = Bucket::new(Millis(0));
        bucket.set_rate(Millis(0), Some(8_000));
        assert_eq!(bucket.wait_ms(Millis(0)), 0);
        bucket.take(80_000);
        let wait = bucket.wait_ms(Millis(0));
        assert_eq!(wait, 10_000);
        assert_eq!(bucket.wait_ms(Millis(wait - 1)), 1);
        assert_eq!(bucket.wait_ms(Millis(wait)), 0);
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let mut bucket = Bucket::new(Millis(0));
        bucket.take(1 << 30);
        assert_eq!(bucket.wait_ms(Millis(0)), 0);
        bucket.set_rate(Millis(5), Some(8_000));
        bucket.take(1 << 30);
        assert!(bucket.wait_ms(Millis(5)) > 0);
        bucket.set_rate(Millis(5), None);
        assert_eq!(bucket.wait_ms(Millis(5)), 0);
    }
}
