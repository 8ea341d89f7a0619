//! The `.ptau` format of snarkjs, in which the Perpetual Powers of Tau are published.
//!
//! All integers are little-endian. A file is `"ptau"`, the version (u32, 1), the number of sections (u32), and the
//! sections, each an id (u32), a size in bytes (u64) and that many bytes:
//!
//! | id | content |
//! | --- | --- |
//! | 1 | bytes in a coordinate (u32, 32), the prime q of the coordinates, the ceremony's power p (u32) |
//! | 2 | `tau^i * G1` for `i < 2 * 2^p - 1`, 64 bytes each: x, y |
//! | 3 | `tau^i * G2` for `i < 2^p`, 128 bytes each: x.c0, x.c1, y.c0, y.c1 |
//!
//! A coordinate v is stored as `v * 2^256 mod q`, its Montgomery form. The other sections don't matter here. A **full**
//! file has 11 sections; a **pruned** one has 3 with fewer points: nova-snark's `ppot_prune` keeps `2^p` of G1 and 2 of
//! G2, which is also what [`Srs::write_ptau`] writes for `2^p` points (`64 * 2^p + 344` bytes; the empty sections of
//! nova-snark's
//! `write_ptau` make it 440). nova-snark's `read_ptau` reads what is written here.

use std::io::{self, Read, Write};

use ff::{Field, PrimeField};
use group::{Curve, Group};
use halo2curves::CurveAffine;
use halo2curves::bn256::{Bn256, Fq2, G2};
use halo2curves::msm::msm_parallel;
use halo2curves::pairing::{MillerLoopResult, MultiMillerLoop};
use halo2curves::serde::SerdeObject;
use rand_core::{CryptoRng, RngCore};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::error::Section;
use super::{INSECURE_TAU_G1, MAX_POINTS, MAX_POWER, MIN_POINTS, Origin, Srs, SrsError};
use crate::curve::{Fq, Fr, G1Affine, G2Affine};

const MAGIC: [u8; 4] = *b"ptau";
const VERSION: u32 = 1;
const COORDINATE_BYTES: u32 = 32;
const HEADER_BYTES: u64 = 4 + 32 + 4;
const G1_BYTES: u64 = 64;
const G2_BYTES: u64 = 128;
/// Points read from section 3: the generator and tau times it.
const G2_POINTS: u64 = 2;
const MIN_SECTIONS: u32 = 3;
const MAX_SECTIONS: u32 = 16;
/// Above every section of the largest ceremony (section 12 at power 28 has less than 2^37 bytes).
const MAX_SECTION_BYTES: u64 = 1 << 40;

impl Srs {
    /// Reads the first `n` powers of tau from a `.ptau` file, full or pruned, and checks them.
    ///
    /// The file is read once from start to end, so what is hashed is what is parsed; points after the first `n` (and
    /// after the first two of G2) are hashed, but not parsed. Give `pinned_sha256` wherever real proofs are made: the
    /// other checks show that the points are powers of one tau, and only the hash shows *whose*.
    ///
    /// `rng` weighs the pairing check: whoever wrote the file must not be able to predict it.
    ///
    /// # Errors
    /// A [`SrsError`] unless the file is well-formed, over BN254, large enough, has the pinned hash, and each point is
    /// canonical, on its curve, not the identity and of order r; unless both generators come first; and unless
    /// e(tau^(i+1) G1, G2) = e(tau^i G1, tau G2) for all i, checked with one random combination (a wrong file passes
    /// with probability 2^-128); and if tau is a root of unity of an order below `n`.
    pub fn read_ptau(
        reader: impl Read,
        n: usize,
        pinned_sha256: Option<[u8; 32]>,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Self, SrsError> {
        if !(MIN_POINTS..=MAX_POINTS).contains(&n) {
            return Err(SrsError::PointCount { requested: n });
        }
        let file = RawFile::read(reader, n)?;
        if let Some(expected) = pinned_sha256.filter(|expected| *expected != file.sha256) {
            let found = file.sha256;
            return Err(SrsError::Hash { expected, found });
        }
        file.check_sizes(n)?;

        let g1 = decode_g1(&file.g1.start)?;
        let tau_g2 = decode_g2(&file.g2.start)?;
        check_powers(&g1, tau_g2, rng)?;

        let origin = if g1[1] == *INSECURE_TAU_G1 {
            Origin::InsecureDevelopment
        } else {
            Origin::Ceremony { sha256: file.sha256, pinned: pinned_sha256.is_some() }
        };
        Ok(Self { g1, tau_g2, origin })
    }

    /// Writes a pruned `.ptau` file with all points: `64 * len() + 344` bytes. Its power is the smallest p >= 1 with
    /// `2^p >= len()` (28 at most). Wrap a file in a `BufWriter`.
    ///
    /// # Errors
    /// [`SrsError::Write`] if the writer fails.
    pub fn write_ptau(&self, writer: impl Write) -> Result<(), SrsError> {
        self.write_sections(writer).map_err(SrsError::Write)
    }

    fn write_sections(&self, mut writer: impl Write) -> io::Result<()> {
        let power = self.g1.len().next_power_of_two().ilog2();
        writer.write_all(&MAGIC)?;
        writer.write_all(&VERSION.to_le_bytes())?;
        writer.write_all(&MIN_SECTIONS.to_le_bytes())?;

        write_section_start(&mut writer, 1, HEADER_BYTES)?;
        writer.write_all(&COORDINATE_BYTES.to_le_bytes())?;
        writer.write_all(&base_prime())?;
        writer.write_all(&power.clamp(1, MAX_POWER).to_le_bytes())?;

        write_section_start(&mut writer, 2, G1_BYTES * self.g1.len() as u64)?;
        for point in &self.g1 {
            point.write_raw(&mut writer)?;
        }

        write_section_start(&mut writer, 3, G2_BYTES * G2_POINTS)?;
        G2Affine::generator().write_raw(&mut writer)?;
        self.tau_g2.write_raw(&mut writer)?;
        writer.flush()
    }
}

fn write_section_start(writer: &mut impl Write, id: u32, size: u64) -> io::Result<()> {
    writer.write_all(&id.to_le_bytes())?;
    writer.write_all(&size.to_le_bytes())
}

/// The prime q of BN254's coordinates, little-endian.
fn base_prime() -> [u8; 32] {
    let mut prime: [u8; 32] = (-Fq::ONE).to_repr().into();
    // q - 1 is even, so nothing carries.
    prime[0] += 1;
    prime
}

/// The part of a section that is used.
struct RawSection {
    /// Bytes of the whole section.
    size: u64,
    /// Its first bytes: as many as are used, or all if there are fewer.
    start: Vec<u8>,
}

/// A file cut into its sections, with nothing decoded but the framing.
struct RawFile {
    header: RawSection,
    g1: RawSection,
    g2: RawSection,
    sha256: [u8; 32],
}

impl RawFile {
    fn read(reader: impl Read, n: usize) -> Result<Self, SrsError> {
        let mut reader = HashingReader { inner: reader, hasher: Sha256::new() };
        let magic = reader.array("first 12 bytes")?;
        if magic != MAGIC {
            return Err(SrsError::Magic { found: magic });
        }
        let version = reader.u32("first 12 bytes")?;
        if version != VERSION {
            return Err(SrsError::Version { found: version });
        }
        let sections = reader.u32("first 12 bytes")?;
        if !(MIN_SECTIONS..=MAX_SECTIONS).contains(&sections) {
            return Err(SrsError::SectionCount { found: sections });
        }

        let (mut header, mut g1, mut g2) = (None, None, None);
        let mut seen = Vec::new();
        for _ in 0..sections {
            let id = reader.u32("list of sections")?;
            let size = u64::from_le_bytes(reader.array("list of sections")?);
            if seen.contains(&id) {
                return Err(SrsError::DuplicateSection { id });
            }
            seen.push(id);
            if size > MAX_SECTION_BYTES {
                return Err(SrsError::SectionTooLarge { id, found: size });
            }
            match id {
                1 => header = Some(reader.section(size, HEADER_BYTES, "header")?),
                2 => g1 = Some(reader.section(size, G1_BYTES * n as u64, "powers on G1")?),
                3 => g2 = Some(reader.section(size, G2_BYTES * G2_POINTS, "powers on G2")?),
                _ => reader.skip(size, "unused sections")?,
            }
        }
        if reader.copy_to_sink(1)? != 0 {
            return Err(SrsError::TrailingBytes { sections });
        }
        let missing = |section| SrsError::MissingSection { section };
        Ok(Self {
            header: header.ok_or_else(|| missing(Section::Header))?,
            g1: g1.ok_or_else(|| missing(Section::TauG1))?,
            g2: g2.ok_or_else(|| missing(Section::TauG2))?,
            sha256: reader.hasher.finalize().into(),
        })
    }

    /// The header, and that sections 2 and 3 have sizes that fit it and hold what is needed. After this, `g1.start` has
    /// exactly `n` points and `g2.start` exactly 2.
    fn check_sizes(&self, n: usize) -> Result<(), SrsError> {
        let power = self.power()?;
        let (max_g1, max_g2) = ((2u64 << power) - 1, 1u64 << power);
        if n as u64 > max_g1 {
            return Err(SrsError::PowerTooSmall { power, requested: n });
        }
        check_size(Section::TauG1, self.g1.size, G1_BYTES, 0, max_g1)?;
        check_size(Section::TauG2, self.g2.size, G2_BYTES, G2_POINTS, max_g2)?;
        let found = self.g1.size / G1_BYTES;
        if found < n as u64 {
            return Err(SrsError::TooFewPoints { found, requested: n });
        }
        Ok(())
    }

    fn power(&self) -> Result<u32, SrsError> {
        check_size(Section::Header, self.header.size, HEADER_BYTES, 1, 1)?;
        let (n8, rest) = split_array(&self.header.start);
        let (prime, rest) = split_array(rest);
        let (power, _) = split_array(rest);
        let n8 = u32::from_le_bytes(n8);
        if n8 != COORDINATE_BYTES {
            return Err(SrsError::CoordinateSize { found: n8 });
        }
        if prime != base_prime() {
            return Err(SrsError::Prime { found: prime });
        }
        let power = u32::from_le_bytes(power);
        if !(1..=MAX_POWER).contains(&power) {
            return Err(SrsError::Power { found: power });
        }
        Ok(power)
    }
}

/// The first `N` bytes and the rest, of a slice whose length has been checked.
fn split_array<const N: usize>(bytes: &[u8]) -> ([u8; N], &[u8]) {
    let (head, rest) = bytes.split_first_chunk().expect("length was checked");
    (*head, rest)
}

fn check_size(section: Section, found: u64, step: u64, min: u64, max: u64) -> Result<(), SrsError> {
    let (min, max) = (min * step, max * step);
    if !found.is_multiple_of(step) || !(min..=max).contains(&found) {
        return Err(SrsError::SectionSize { section, found, min, max, step });
    }
    Ok(())
}

/// Hashes all that is read.
struct HashingReader<R> {
    inner: R,
    hasher: Sha256,
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

impl<R: Read> HashingReader<R> {
    fn array<const N: usize>(&mut self, part: &'static str) -> Result<[u8; N], SrsError> {
        let mut bytes = [0; N];
        self.read_exact(&mut bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => SrsError::Truncated { part },
            _ => SrsError::Read(error),
        })?;
        Ok(bytes)
    }

    fn u32(&mut self, part: &'static str) -> Result<u32, SrsError> {
        self.array(part).map(u32::from_le_bytes)
    }

    /// Reads a section and keeps its first `used` bytes. Memory grows with what arrives, never with what is announced.
    fn section(&mut self, size: u64, used: u64, part: &'static str) -> Result<RawSection, SrsError> {
        let used = used.min(size);
        let mut start = Vec::new();
        let count = self.by_ref().take(used).read_to_end(&mut start).map_err(SrsError::Read)?;
        if (count as u64) < used {
            return Err(SrsError::Truncated { part });
        }
        self.skip(size - used, part)?;
        Ok(RawSection { size, start })
    }

    fn skip(&mut self, size: u64, part: &'static str) -> Result<(), SrsError> {
        if self.copy_to_sink(size)? < size {
            return Err(SrsError::Truncated { part });
        }
        Ok(())
    }

    /// Reads up to `size` bytes and returns how many there were.
    fn copy_to_sink(&mut self, size: u64) -> Result<u64, SrsError> {
        io::copy(&mut self.by_ref().take(size), &mut io::sink()).map_err(SrsError::Read)
    }
}

fn decode_g1(bytes: &[u8]) -> Result<Vec<G1Affine>, SrsError> {
    let points: Vec<G1Affine> = bytes
        .par_chunks_exact(G1_BYTES as usize)
        .enumerate()
        .map(|(index, mut bytes)| {
            let (x, y) = (Fq::read_raw(&mut bytes), Fq::read_raw(&mut bytes));
            let point = x.and_then(|x| Ok(G1Affine { x, y: y? })).ok();
            check_point(point, Section::TauG1, index)
        })
        .collect::<Result<_, _>>()?;
    if points.first() != Some(&G1Affine::generator()) {
        return Err(SrsError::Generator { section: Section::TauG1 });
    }
    Ok(points)
}

/// Takes `[G2, tau * G2]` and returns the second.
fn decode_g2(mut bytes: &[u8]) -> Result<G2Affine, SrsError> {
    let mut next = |index| {
        let (x, y) = (Fq2::read_raw(&mut bytes), Fq2::read_raw(&mut bytes));
        let point = x.and_then(|x| Ok(G2Affine { x, y: y? })).ok();
        check_point(point, Section::TauG2, index)
    };
    let (generator, tau_g2) = (next(0)?, next(1)?);
    if generator != G2Affine::generator() {
        return Err(SrsError::Generator { section: Section::TauG2 });
    }
    if !has_order_r(tau_g2) {
        return Err(SrsError::Subgroup);
    }
    Ok(tau_g2)
}

/// `point` is `None` if a coordinate was not below the prime.
fn check_point<C: CurveAffine>(point: Option<C>, section: Section, index: usize) -> Result<C, SrsError> {
    let point = point.ok_or(SrsError::Coordinate { section, index })?;
    // halo2curves encodes the identity as (0, 0) and counts it as on the curve.
    if point.is_identity().into() {
        return Err(SrsError::Identity { section, index });
    }
    if !bool::from(point.is_on_curve()) {
        return Err(SrsError::NotOnCurve { section, index });
    }
    Ok(point)
}

/// Whether `r * point` is the identity, for a point on the twist. (`is_torsion_free` of halo2curves 0.9 prints to
/// stdout.)
fn has_order_r(point: G2Affine) -> bool {
    let minus_one = (-Fr::ONE).to_repr();
    let multiple = minus_one.as_ref().iter().rev().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).fold(
        G2::identity(),
        |sum, bit| {
            let double = sum.double();
            if bit == 1 { double + point } else { double }
        },
    );
    (multiple + point).is_identity().into()
}

/// That `g1[i] = tau^i * G1` for the tau in `tau_g2`, given `g1[0]` = G1 and all points of order r.
///
/// With random rho_i of 128 bits: e(sum rho_i g1[i+1], G2) = e(sum rho_i g1[i], tau G2). If some g1[i+1] is not
/// tau * g1[i], this holds for at most one value of rho_i, whatever the others are.
fn check_powers(g1: &[G1Affine], tau_g2: G2Affine, rng: &mut (impl CryptoRng + RngCore)) -> Result<(), SrsError> {
    if let Some(index) = (1..g1.len()).find(|&index| g1[index] == g1[0]) {
        return Err(SrsError::Degenerate { index });
    }
    let weights: Vec<Fr> = g1[1..].iter().map(|_| random_weight(rng)).collect();
    // Not `msm_best`: its batched affine additions are made for honest points, and these may be chosen to break them.
    let (low, high) = rayon::join(
        || msm_parallel(&weights, &g1[..weights.len()]).to_affine(),
        || msm_parallel(&weights, &g1[1..]).to_affine(),
    );
    let quotient =
        Bn256::multi_miller_loop(&[(&high, &G2Affine::generator()), (&-low, &tau_g2)]).final_exponentiation();
    if bool::from(quotient.is_identity()) { Ok(()) } else { Err(SrsError::NotPowersOfTau) }
}

/// A uniform 128-bit number.
fn random_weight(rng: &mut (impl CryptoRng + RngCore)) -> Fr {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    Fr::from_u128(u128::from_le_bytes(bytes))
}
