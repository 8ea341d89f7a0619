//! Randomness of the system, which nobody else can predict.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

/// The system has none.
#[derive(Debug, thiserror::Error)]
#[error("the system has no randomness: {0}")]
pub struct NoRandomness(getrandom::Error);

/// Random bytes.
///
/// # Errors
/// [`NoRandomness`].
// This is a shell: what draws randomness in the core crates is given it.
#[allow(clippy::disallowed_methods)]
pub fn bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    getrandom::getrandom(&mut bytes).map_err(NoRandomness)?;
    Ok(bytes)
}

/// A generator.
///
/// # Errors
/// [`NoRandomness`].
pub fn generator() -> Result<ChaCha20Rng, NoRandomness> {
    bytes().map(ChaCha20Rng::from_seed)
}
