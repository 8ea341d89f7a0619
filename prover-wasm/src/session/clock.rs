//! Time, from two clocks of JavaScript.

use crowdfold_wire::Millis;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch, js_namespace = performance, js_name = now)]
    fn performance_now() -> Result<f64, JsValue>;
}

/// What both clocks say, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// `performance.now()`, which may stand still while the machine sleeps.
    steady: f64,
    /// `Date.now()`, which jumps when somebody sets it.
    wall: f64,
}

impl Reading {
    /// Looks at both clocks. A host that has only one of them is served by that one.
    pub(super) fn take() -> Self {
        Self { steady: performance_now().unwrap_or(0.0), wall: js_sys::Date::now() }
    }
}

/// Milliseconds since the session began: each reading advances by the larger of what both clocks advanced, so that
/// sleep counts, and never goes back.
#[derive(Debug)]
pub(super) struct Clock {
    last: Reading,
    elapsed_ms: f64,
}

impl Clock {
    /// A clock that stands at 0.
    pub(super) fn new(now: Reading) -> Self {
        Self { last: now, elapsed_ms: 0.0 }
    }

    /// The time at this reading.
    pub(super) fn at(&mut self, now: Reading) -> Millis {
        // What is not a number counts as nothing.
        let advance = |now: f64, last: f64| if (now - last).is_finite() { now - last } else { 0.0 };
        let steady = advance(now.steady, self.last.steady);
        self.elapsed_ms += steady.max(advance(now.wall, self.last.wall)).max(0.0);
        self.last = now;
        Millis(self.elapsed_ms as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a clock says after these readings.
    fn after(readings: &[(f64, f64)]) -> Vec<u64> {
        let mut clock = Clock::new(Reading { steady: 1_000.0, wall: 1e12 });
        readings
            .iter()
            .map(|&(steady, wall)| clock.at(Reading { steady: 1_000.0 + steady, wall: 1e12 + wall }).0)
            .collect()
    }

    #[test]
    fn both_clocks_are_followed_and_none_back() {
        assert_eq!(after(&[(0.0, 0.0), (10.5, 10.0), (20.5, 21.0)]), [0, 10, 21]);
        // The machine slept for a minute.
        assert_eq!(after(&[(5.0, 5.0), (6.0, 60_006.0), (7.0, 60_007.0)]), [5, 60_006, 60_007]);
        // Somebody set the time back by an hour.
        assert_eq!(after(&[(5.0, 5.0), (6.0, -3_600_000.0), (7.0, -3_599_999.0)]), [5, 6, 7]);
        assert_eq!(after(&[(-5.0, -5.0), (-4.0, -5.0)]), [0, 1]);
    }

    #[test]
    fn what_is_no_number_stands_still() {
        assert_eq!(after(&[(f64::NAN, 5.0), (f64::NAN, 9.0), (1.0, 10.0)]), [5, 9, 10]);
        assert_eq!(after(&[(f64::INFINITY, f64::NAN), (0.0, 0.0), (3.0, 0.0)]), [0, 0, 3]);
    }
}
