//! What can be wrong with a powers-of-tau file.

use std::fmt;
use std::io;

use super::{MAX_POINTS, MAX_POWER, MIN_POINTS, hex};

/// A section of a ptau file that [`Srs::read_ptau`](super::Srs::read_ptau) uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Section 1: the prime and the power.
    Header,
    /// Section 2: powers of tau on G1.
    TauG1,
    /// Section 3: powers of tau on G2.
    TauG2,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "section 1 (header)",
            Self::TauG1 => "section 2 (tauG1)",
            Self::TauG2 => "section 3 (tauG2)",
        })
    }
}

/// Powers of tau that can't be read, trusted or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SrsError {
    /// The caller asked for too few or too many points.
    #[error("{requested} powers of tau asked for; ask for {MIN_POINTS} to {MAX_POINTS}")]
    PointCount {
        /// How many were asked for.
        requested: usize,
    },
    /// The reader failed.
    #[error("reading the powers-of-tau file failed; check the file and the disk")]
    Read(#[source] io::Error),
    /// The writer failed.
    #[error("writing the powers-of-tau file failed; check the free space and the permissions")]
    Write(#[source] io::Error),
    /// The file ends early.
    #[error("the powers-of-tau file ends inside its {part}; fetch it again and compare its size")]
    Truncated {
        /// What was being read.
        part: &'static str,
    },
    /// Bytes follow the last section.
    #[error("bytes follow the last of the {sections} sections of the powers-of-tau file; fetch it again")]
    TrailingBytes {
        /// Sections the file announces.
        sections: u32,
    },
    /// Not a ptau file.
    #[error("a powers-of-tau file starts with \"ptau\", this one with \"{}\"; pass a .ptau file", found.escape_ascii())]
    Magic {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// A ptau version not known here.
    #[error("version {found} of the ptau format is not supported; pass a file of version 1")]
    Version {
        /// The version found.
        found: u32,
    },
    /// An implausible number of sections.
    #[error("a ptau file has 3 to 16 sections (3 if pruned, 11 if full), this one {found}; fetch it again")]
    SectionCount {
        /// The number found.
        found: u32,
    },
    /// The same section twice.
    #[error("section {id} occurs twice in the powers-of-tau file; fetch it again")]
    DuplicateSection {
        /// The section's number.
        id: u32,
    },
    /// A section that is needed is not there.
    #[error("{section} is missing in the powers-of-tau file; fetch it again")]
    MissingSection {
        /// The section.
        section: Section,
    },
    /// A section announces more bytes than any ptau file has.
    #[error("section {id} announces {found} bytes, more than the largest ceremony has; fetch the file again")]
    SectionTooLarge {
        /// The section's number.
        id: u32,
        /// Bytes announced.
        found: u64,
    },
    /// A section's size doesn't fit what the file says about itself.
    #[error("{section} has {found} bytes, but must have {min} to {max} in steps of {step}; fetch the file again")]
    SectionSize {
        /// The section.
        section: Section,
        /// Bytes announced.
        found: u64,
        /// Fewest bytes allowed.
        min: u64,
        /// Most bytes allowed.
        max: u64,
        /// What the number of bytes must be a multiple of.
        step: u64,
    },
    /// Coordinates of another width.
    #[error("coordinates of BN254 take 32 bytes, those of this file {found}; pass a BN254 (bn128) file")]
    CoordinateSize {
        /// Bytes for each coordinate.
        found: u32,
    },
    /// Another curve.
    #[error(
        "the powers of tau are over the prime {} (little-endian), not BN254's; pass a BN254 (bn128) file",
        hex(found)
    )]
    Prime {
        /// The file's prime, little-endian.
        found: [u8; 32],
    },
    /// A power no ceremony has.
    #[error("the file claims power {found}; a powers-of-tau file has 1 to {MAX_POWER}: fetch it again")]
    Power {
        /// The power found.
        found: u32,
    },
    /// The ceremony is too small.
    #[error(
        "{requested} powers of tau are needed, but a file of power {power} has at most {}; pass one of a higher power",
        (2u64 << power) - 1
    )]
    PowerTooSmall {
        /// The file's power.
        power: u32,
        /// How many points were asked for.
        requested: usize,
    },
    /// The file was pruned too far.
    #[error("{requested} powers of tau are needed, but this file was pruned to {found}; pass a larger one")]
    TooFewPoints {
        /// Points in the file.
        found: u64,
        /// How many points were asked for.
        requested: usize,
    },
    /// A coordinate that is not below the prime.
    #[error("point {index} of {section} has a coordinate that is not below the prime; fetch the file again")]
    Coordinate {
        /// Where the point is.
        section: Section,
        /// Its index there.
        index: usize,
    },
    /// A point off its curve.
    #[error("point {index} of {section} is not on the curve; fetch the file again")]
    NotOnCurve {
        /// Where the point is.
        section: Section,
        /// Its index there.
        index: usize,
    },
    /// The identity, which no power of a nonzero tau gives.
    #[error("point {index} of {section} is the identity; don't use this file")]
    Identity {
        /// Where the point is.
        section: Section,
        /// Its index there.
        index: usize,
    },
    /// `tau * G2` on the curve, but not in the subgroup of order r.
    #[error("tau * G2 is not in the subgroup of prime order; don't use this file")]
    Subgroup,
    /// The first power is not the generator.
    #[error(
        "the first point of {section} is not the generator; pass a file for commitments over BN254's usual generators"
    )]
    Generator {
        /// Where the point is.
        section: Section,
    },
    /// Tau is a root of unity of small order, such as 1.
    #[error("power {index} of tau is 1 already, so tau is known to everyone; don't use this file")]
    Degenerate {
        /// The order of tau.
        index: usize,
    },
    /// The points aren't the powers of the tau on G2.
    #[error("the points are not the powers of one tau; don't use this file")]
    NotPowersOfTau,
    /// Another file than the one that was pinned.
    #[error(
        "the powers-of-tau file has SHA-256 {}, but {} was pinned; pass the pinned file",
        hex(found),
        hex(expected)
    )]
    Hash {
        /// The pinned hash.
        expected: [u8; 32],
        /// The file's hash.
        found: [u8; 32],
    },
}
