//! One live line on a terminal.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on standard error, if that is a terminal.
#[derive(Debug)]
pub(crate) struct Bar(Option<ProgressBar>);

impl Bar {
    /// A bar of so many steps; none with `quiet`.
    pub(crate) fn new(steps: u64, quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} steps{msg}");
            ProgressBar::new(steps).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self(bar)
    }

    /// Whether there is one.
    pub(crate) fn is_shown(&self) -> bool {
        self.0.is_some()
    }

    /// What it shows: the message follows the steps without a space.
    pub(crate) fn set(&self, prefix: &str, steps: u64, message: &str) {
        if let Some(bar) = &self.0 {
            bar.set_prefix(prefix.to_owned());
            bar.set_message(message.to_owned());
            bar.set_position(steps);
        }
    }

    /// Takes it away.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// A time in words, as `2 h 5 min`.
pub(crate) fn seconds(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_are_readable() {
        for (time, text) in [(59, "59 s"), (60, "1 min 0 s"), (3_599, "59 min 59 s"), (7_505, "2 h 5 min")] {
            assert_eq!(seconds(time), text);
        }
    }
}
