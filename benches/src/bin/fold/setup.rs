//! Parameters that all parts measure with.

use anyhow::Context;
use crowdfold_bench_wasm::NovaParameters;
use crowdfold_fold::{Parameters, Srs};
use crowdfold_programs::Squarings;

/// Squarings of the step that is timed against the peer.
pub(crate) const PER_STEP: usize = 10_000;
/// Rows of S where memory and the first step are measured.
pub(crate) const LARGE_CONSTRAINTS: usize = 1 << 16;
/// Powers of tau: enough for M.
const POWERS: usize = 1 << 17;

/// The state that chains start at.
pub(crate) const START: u64 = 3;

/// Parameters of ours and of the peer.
pub(crate) struct Setup {
    /// Ours for [`PER_STEP`].
    pub(crate) step: Parameters<Squarings>,
    /// The peer's for [`PER_STEP`].
    pub(crate) nova: NovaParameters<Squarings>,
    /// Ours for S of [`LARGE_CONSTRAINTS`] rows.
    pub(crate) large: Parameters<Squarings>,
    /// Rows of S without F.
    pub(crate) overhead: usize,
}

impl Setup {
    /// Makes all of it. Takes seconds.
    pub(crate) fn generate() -> anyhow::Result<Self> {
        let srs = Srs::insecure_development(POWERS);
        let make = |per_step| Parameters::generate(Squarings::new(per_step), &srs);
        let overhead = make(1)?.prover().step_size().constraints - 1;
        let per_step = LARGE_CONSTRAINTS.checked_sub(overhead).context("S alone has too many rows")?;
        Ok(Self {
            step: make(PER_STEP)?,
            nova: NovaParameters::generate(Squarings::new(PER_STEP))?,
            large: make(per_step)?,
            overhead,
        })
    }
}
