//! The structured reference string: powers of tau on BN254 for KZG-type commitments (folding.md section 3).
//!
//! An [`Srs`] holds `tau^i * G1` for `i < n` and `tau * G2`. Whoever knows tau can open any commitment to anything, so
//! every fold and every final proof rests on nobody knowing it. Two sources exist:
//!
//! * [`Srs::read_ptau`] reads a file of the Perpetual Powers of Tau ceremony (or a pruned copy of one) and checks all it
//!   hands out: see there.
//! * [`Srs::insecure_development`] computes the powers of a tau that is **public**. Such a string is recognised by its
//!   points wherever it comes from, so renaming its file doesn't hide what it is: [`Srs::is_insecure`] says so.
//!
//! No file is opened here: readers, writers and randomness are arguments.

mod error;
mod ptau;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::LazyLock;

use ff::{Field, FromUniformBytes, PrimeField};
use group::{Curve, Group};
use rayon::prelude::*;
use sha2::{Digest, Sha512};

use crate::curve::{Fr, G1, G1Affine, G2Affine};

pub use error::{Section, SrsError};

/// What the name of every file of insecure development powers of tau starts with.
pub const INSECURE_NAME: &str = "INSECURE-dev";

/// The public label whose hash is the development tau. Another label is another development string and a stale cache.
const INSECURE_LABEL: &[u8] = b"Crowdfold INSECURE development powers of tau v1";

/// Largest power of a ptau file: the two-adicity of Fr, which is also the largest ceremony.
const MAX_POWER: u32 = 28;

/// Most powers of tau a ptau file holds on G1: `2 * 2^28 - 1`.
pub const MAX_POINTS: usize = (2 << MAX_POWER) - 1;

/// Fewest powers of tau with which the file's tau can be checked: `G` and `tau * G`.
pub const MIN_POINTS: usize = 2;

static INSECURE_TAU: LazyLock<Fr> = LazyLock::new(|| Fr::from_uniform_bytes(&Sha512::digest(INSECURE_LABEL).into()));

pub(crate) static INSECURE_TAU_G1: LazyLock<G1Affine> = LazyLock::new(|| (G1::generator() * *INSECURE_TAU).to_affine());

/// The name of a file with `n` insecure development powers of tau.
pub fn insecure_file_name(n: usize) -> String {
    format!("{INSECURE_NAME}-{n}.ptau")
}

/// Where powers of tau come from, and so what a proof made with them is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Tau is public: anyone can forge proofs. For development and tests only.
    InsecureDevelopment,
    /// A file whose tau is not the development tau.
    Ceremony {
        /// SHA-256 of the whole file.
        sha256: [u8; 32],
        /// Whether the caller demanded this hash. If not, nothing says that the file comes from a ceremony at all: show
        /// the hash and let the operator compare it.
        pinned: bool,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InsecureDevelopment => {
                write!(f, "INSECURE development powers of tau: anyone can forge proofs")
            }
            Self::Ceremony { sha256, pinned } => {
                let state = if *pinned { "pinned" } else { "NOT pinned" };
                write!(f, "powers of tau with SHA-256 {} ({state})", hex(sha256))
            }
        }
    }
}

/// Powers of one tau on BN254: `tau^i * G1` for `i < len()` with `len() >= 2`, and `tau * G2`.
///
/// All points are canonical, on their curve, in the subgroup of order r, and not the identity; the first one is the
/// generator, and the others are the powers of the tau in `tau_g2` (up to a probability of 2^-128 for a file).
#[derive(Clone, PartialEq, Eq)]
pub struct Srs {
    g1: Vec<G1Affine>,
    tau_g2: G2Affine,
    origin: Origin,
}

impl fmt::Debug for Srs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Srs").field("len", &self.g1.len()).field("origin", &self.origin).finish_non_exhaustive()
    }
}

#[expect(clippy::len_without_is_empty, reason = "never empty")]
impl Srs {
    /// The first `n` powers of the **public** development tau: proofs made with them prove nothing to anyone.
    ///
    /// Every call yields the same points, and a longer string starts with a shorter one, so cached files agree.
    ///
    /// # Panics
    /// If `n` is not in [`MIN_POINTS`]`..=`[`MAX_POINTS`].
    pub fn insecure_development(n: usize) -> Self {
        assert!(
            (MIN_POINTS..=MAX_POINTS).contains(&n),
            "{n} powers of tau asked for, not {MIN_POINTS} to {MAX_POINTS}"
        );
        Self::from_tau(*INSECURE_TAU, n, Origin::InsecureDevelopment)
    }

    fn from_tau(tau: Fr, n: usize, origin: Origin) -> Self {
        Self { g1: fixed_base_powers(tau, n), tau_g2: (G2Affine::generator() * tau).to_affine(), origin }
    }

    /// The powers `tau^i * G1`, lowest first.
    pub fn g1(&self) -> &[G1Affine] {
        &self.g1
    }

    /// `tau * G2`.
    pub fn tau_g2(&self) -> &G2Affine {
        &self.tau_g2
    }

    /// How many powers of tau there are on G1.
    pub fn len(&self) -> usize {
        self.g1.len()
    }

    /// Where the powers of tau come from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Whether tau is public, which voids every proof made with this string.
    pub fn is_insecure(&self) -> bool {
        self.origin == Origin::InsecureDevelopment
    }
}

/// `tau^i * G1` for `i < n`, tau not zero: one table of multiples of the generator per byte of the scalar.
fn fixed_base_powers(tau: Fr, n: usize) -> Vec<G1Affine> {
    const CHUNK: usize = 1024;
    let tables = generator_tables();
    let mut points = vec![G1Affine::default(); n];
    points.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, out)| {
        let mut power = tau.pow_vartime([(chunk * CHUNK) as u64]);
        let sums: Vec<G1> = out
            .iter()
            .map(|_| {
                let sum = multiply_generator(&tables, power);
                power *= tau;
                sum
            })
            .collect();
        G1::batch_normalize(&sums, out);
    });
    points
}

/// Entry `[j][d]` is `d * 256^j * G1`.
fn generator_tables() -> Vec<[G1Affine; 256]> {
    let bytes = Fr::NUM_BITS.div_ceil(8);
    let bases: Vec<G1> =
        std::iter::successors(Some(G1::generator()), |base| Some((0..8).fold(*base, |base, _| base.double())))
            .take(bytes as usize)
            .collect();
    bases
        .par_iter()
        .map(|base| {
            let mut multiples = [G1::identity(); 256];
            for digit in 1..256 {
                multiples[digit] = multiples[digit - 1] + base;
            }
            let mut table = [G1Affine::default(); 256];
            G1::batch_normalize(&multiples, &mut table);
            table
        })
        .collect()
}

fn multiply_generator(tables: &[[G1Affine; 256]], scalar: Fr) -> G1 {
    let mut sum = G1::identity();
    for (table, digit) in tables.iter().zip(scalar.to_repr().as_ref()) {
        if *digit != 0 {
            sum += table[usize::from(*digit)];
        }
    }
    sum
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
