//! Standard output.

use std::fmt::Display;
use std::io::Write as _;

use anyhow::Context as _;
use serde_json::Value;

/// Prints a line.
///
/// # Errors
/// If whoever read it is gone, or a disk is full: what was asked for did not arrive then.
pub(crate) fn say(line: impl Display) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{line}").and_then(|()| out.flush());
    written.context("standard output can't be written")
}

/// Prints an answer: the object where JSON is wanted, else the text.
///
/// # Errors
/// As [`say`].
pub(crate) fn answer(json: bool, object: &Value, text: impl Display) -> anyhow::Result<()> {
    if json { say(object) } else { say(text) }
}
