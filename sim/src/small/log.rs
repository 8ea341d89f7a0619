//! What happened, as lines: hashed always, kept if somebody wants to read them.

use sha2::{Digest, Sha256};
use std::fmt;

/// The log.
#[derive(Debug, Default)]
pub(crate) struct Log {
    hash: Sha256,
    kept: Option<Vec<String>>,
    pub(crate) now: u64,
}

impl Log {
    pub(crate) fn new(keeps: bool) -> Self {
        Self { hash: Sha256::new(), kept: keeps.then(Vec::new), now: 0 }
    }

    pub(crate) fn line(&mut self, what: fmt::Arguments<'_>) {
        let line = format!("{:>9} {what}", self.now);
        self.hash.update(line.as_bytes());
        if let Some(kept) = &mut self.kept {
            kept.push(line);
        }
    }

    /// The hash of all lines, and those that were kept.
    pub(crate) fn end(self) -> ([u8; 32], Vec<String>) {
        (self.hash.finalize().into(), self.kept.unwrap_or_default())
    }
}

macro_rules! log {
    ($log:expr, $($what:tt)*) => { $log.line(format_args!($($what)*)) };
}
pub(crate) use log;
