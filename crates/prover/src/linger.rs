//! Pauses between steps, in which proofs that are under way get on: an upload stops when its window is used up and nobody
//! hears that there is more, which while a long step is folded is most of the time.

use crate::limits::{LINGER_GAP_MS, LINGER_MS, LINGER_SHARE};
use crowdfold_wire::Millis;

/// The pause after a step.
#[derive(Debug, Default)]
pub(crate) struct Linger {
    /// When the last step began, until its end is known.
    began: Option<Millis>,
    /// When the pause ends, and when a frame came last.
    pause: Option<(Millis, Millis)>,
}

impl Linger {
    /// A step begins.
    pub(crate) fn step(&mut self, now: Millis) {
        *self = Self { began: Some(now), pause: None };
    }

    /// The time. The first one after a step is its end.
    pub(crate) fn at(&mut self, now: Millis) {
        if let Some(began) = self.began.take() {
            let (least, most) = LINGER_MS;
            let length = (now.since(began) / LINGER_SHARE).clamp(least, most);
            self.pause = Some((now.after(length), now));
        }
    }

    /// A frame has come.
    pub(crate) fn heard(&mut self, now: Millis) {
        if let Some((_, heard)) = &mut self.pause {
            *heard = now;
        }
    }

    /// When it is over, at the latest.
    pub(crate) fn ends(&self) -> Option<Millis> {
        self.pause.map(|(end, heard)| end.min(heard.after(LINGER_GAP_MS)))
    }

    /// Whether to wait still. If not, or if nothing is under way, it is over.
    pub(crate) fn lasts(&mut self, now: Millis, is_uploading: bool) -> bool {
        let lasts = is_uploading && self.ends().is_some_and(|end| now < end);
        if !lasts {
            self.pause = None;
        }
        lasts
    }
}

#[cfg(test)]
mod tests {
    use super::Linger;
    use crowdfold_wire::Millis;

    fn after_a_step_of(took: u64) -> Linger {
        let mut linger = Linger::default();
        linger.step(Millis(1_000));
        linger.at(Millis(1_000 + took));
        linger
    }

    #[test]
    fn it_is_a_part_of_the_step_as_long_as_frames_come() {
        let mut linger = after_a_step_of(3_000);
        for now in (4_000..4_300).step_by(50) {
            assert!(linger.lasts(Millis(now), true), "{now}");
            linger.heard(Millis(now));
        }
        assert!(!linger.lasts(Millis(4_300), true));
        assert!(!linger.lasts(Millis(4_000), true), "it is over");
    }

    #[test]
    fn it_ends_when_nothing_comes_or_nothing_is_under_way() {
        let mut linger = after_a_step_of(3_000);
        assert_eq!(linger.ends(), Some(Millis(4_100)));
        assert!(!linger.lasts(Millis(4_100), true));
        assert!(!after_a_step_of(3_000).lasts(Millis(4_000), false));
        assert!(!Linger::default().lasts(Millis(0), true), "no step was made");
    }

    #[test]
    fn it_has_bounds() {
        assert!(after_a_step_of(0).lasts(Millis(1_019), true));
        assert_eq!(after_a_step_of(0).ends(), Some(Millis(1_020)));
        let mut long = after_a_step_of(3_600_000);
        long.heard(Millis(3_602_000));
        assert_eq!(long.ends(), Some(Millis(3_602_000)));
    }
}
