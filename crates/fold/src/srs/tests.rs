use std::io::Cursor;

use ff::{Field, PrimeField};
use group::{Curve, Group};
use halo2curves::CurveAffine;
use halo2curves::bn256::{Fq2, G2};
use halo2curves::serde::SerdeObject;
use num_bigint::BigUint;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use sha2::{Digest, Sha256};

use super::*;
use crate::curve::Fq;

/// Offsets in a pruned file.
const VERSION: usize = 4;
const SECTIONS: usize = 8;
const HEADER: usize = 12;
const N8: usize = HEADER + 12;
const PRIME: usize = N8 + 4;
const POWER: usize = PRIME + 32;
const TAU_G1: usize = POWER + 4;
const G1_POINTS: usize = TAU_G1 + 12;

const N: usize = 16;

fn g1_point(index: usize) -> usize {
    G1_POINTS + 64 * index
}

/// Where section 3 starts in a pruned file of `n` points.
fn tau_g2(n: usize) -> usize {
    g1_point(n)
}

fn g2_point(n: usize, index: usize) -> usize {
    tau_g2(n) + 12 + 128 * index
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

fn bytes_of(srs: &Srs) -> Vec<u8> {
    let mut bytes = Vec::new();
    srs.write_ptau(&mut bytes).unwrap();
    bytes
}

/// A file as a ceremony would make it: its tau is not the development tau.
fn ceremony(tau: Fr, n: usize) -> Vec<u8> {
    let origin = Origin::Ceremony { sha256: [0; 32], pinned: false };
    bytes_of(&Srs::from_tau(tau, n, origin))
}

fn ceremony_file() -> Vec<u8> {
    ceremony(Fr::from(0x5eed), N)
}

fn read(bytes: &[u8], n: usize) -> Result<Srs, SrsError> {
    Srs::read_ptau(bytes, n, None, &mut rng())
}

/// The error of reading the file with `patch` at `offset`.
fn error_with(offset: usize, patch: &[u8]) -> SrsError {
    let mut bytes = ceremony_file();
    assert!(read(&bytes, N).is_ok());
    assert_ne!(&bytes[offset..offset + patch.len()], patch);
    bytes[offset..offset + patch.len()].copy_from_slice(patch);
    read(&bytes, N).unwrap_err()
}

macro_rules! assert_error {
    ($result:expr, $pattern:pat $(if $guard:expr)?) => {
        let error = $result;
        assert!(matches!(error, $pattern $(if $guard)?), "{error:?}: {error}");
    };
}

fn section(id: u32, content: &[u8]) -> Vec<u8> {
    let size = content.len() as u64;
    [&id.to_le_bytes()[..], &size.to_le_bytes(), content].concat()
}

fn file(sections: &[Vec<u8>]) -> Vec<u8> {
    let count = sections.len() as u32;
    let start = [&b"ptau"[..], &1u32.to_le_bytes(), &count.to_le_bytes()].concat();
    [start, sections.concat()].concat()
}

/// The sections of a pruned file of [`N`] points, without their ids and sizes.
fn contents() -> [Vec<u8>; 3] {
    let bytes = ceremony_file();
    [bytes[N8..TAU_G1].to_vec(), bytes[G1_POINTS..tau_g2(N)].to_vec(), bytes[g2_point(N, 0)..].to_vec()]
}

/// A point of the twist whose order is not r.
fn point_outside_subgroup() -> G2Affine {
    let mut x = Fq2::ONE;
    loop {
        let y = (x.square() * x + G2Affine::b()).sqrt();
        if let Some(y) = Option::<Fq2>::from(y) {
            return G2Affine::from_xy(x, y).unwrap();
        }
        x += Fq2::ONE;
    }
}

#[test]
fn development_points_are_the_powers_of_the_public_tau() {
    // More than one chunk of the parallel generation.
    let srs = Srs::insecure_development(1030);
    assert_eq!(srs.len(), 1030);
    assert!(srs.is_insecure());
    let mut power = Fr::ONE;
    for point in srs.g1() {
        assert_eq!(*point, (G1::generator() * power).to_affine());
        power *= *INSECURE_TAU;
    }
    let expected = (G2::generator() * *INSECURE_TAU).to_affine();
    assert_eq!(*srs.tau_g2(), expected);
    assert_eq!(Srs::insecure_development(N).g1(), &srs.g1()[..N]);
}

#[test]
fn development_file_is_pinned() {
    let bytes = bytes_of(&Srs::insecure_development(N));
    assert_eq!(
        hex(&Sha256::digest(&bytes)),
        "95c226eb5303754b98727b44aa0c3a8a3dfafb54a43d9455de4796bc85b766f4",
        "caches of the development file no longer agree"
    );
}

#[test]
fn file_layout_is_that_of_snarkjs() {
    let bytes = ceremony_file();
    assert_eq!(bytes.len(), 64 * N + 344);
    assert_eq!(&bytes[..HEADER], b"ptau\x01\0\0\0\x03\0\0\0");
    assert_eq!(bytes[HEADER..PRIME], [&[1, 0, 0, 0, 40][..], &[0; 7], &[32, 0, 0, 0]].concat());
    let prime: BigUint =
        "21888242871839275222246405745257275088696311157297823662689037894645226208583".parse().unwrap();
    assert_eq!(bytes[PRIME..POWER], prime.to_bytes_le());
    assert_eq!(bytes[POWER..TAU_G1], [4, 0, 0, 0]);
    // Montgomery form: the generator (1, 2) is stored as 2^256 and 2 * 2^256 mod q.
    let one = (BigUint::from(1u32) << 256u32) % &prime;
    let two = (BigUint::from(2u32) << 256u32) % &prime;
    assert_eq!(bytes[g1_point(0)..][..32], one.to_bytes_le());
    assert_eq!(bytes[g1_point(0)..][32..64], two.to_bytes_le());
}

#[test]
fn written_powers_are_read_back() {
    for n in [2, 3, 15, 16, 17, 64] {
        let srs = Srs::insecure_development(n);
        let bytes = bytes_of(&srs);
        assert_eq!(read(&bytes, n).unwrap(), srs);
        assert_eq!(read(&bytes, 2).unwrap().g1(), &srs.g1()[..2]);
    }
}

#[test]
fn full_files_are_read() {
    // As snarkjs writes them: 2 * 2^p - 1 points of G1, 2^p of G2 (only two of which are looked at), and 11 sections.
    let power = 3u32;
    let pruned = ceremony(Fr::from(77), 15);
    let header = [&pruned[N8..POWER], &power.to_le_bytes()].concat();
    let mut g2 = pruned[g2_point(15, 0)..].to_vec();
    g2.resize(128 << power, 0xff);
    let mut sections = vec![section(1, &header), section(2, &pruned[G1_POINTS..tau_g2(15)]), section(3, &g2)];
    sections.extend([4, 5, 6, 7, 12, 13, 14, 15].map(|id| section(id, &[7; 100])));
    assert_eq!(sections.len(), 11);
    let full = file(&sections);
    let srs = read(&full, 15).unwrap();
    assert_eq!(srs.g1(), read(&pruned, 15).unwrap().g1());

    // As nova-snark's `write_ptau` writes them: empty sections first, one of them with id 0.
    let [header, g1, g2] = contents();
    let mut sections = vec![section(1, &header)];
    sections.extend([0, 4, 5, 6, 7, 8, 9, 10].map(|id| section(id, &[])));
    sections.extend([section(2, &g1), section(3, &g2)]);
    let bytes = file(&sections);
    assert_eq!(bytes.len(), 64 * N + 440);
    assert_eq!(read(&bytes, N).unwrap().g1(), read(&ceremony_file(), N).unwrap().g1());
}

#[test]
fn sections_may_come_in_any_order() {
    let [header, g1, g2] = contents();
    let bytes = file(&[section(3, &g2), section(2, &g1), section(1, &header)]);
    assert_eq!(read(&bytes, N).unwrap().g1(), read(&ceremony_file(), N).unwrap().g1());
}

#[test]
fn a_renamed_development_file_stays_insecure() {
    let bytes = bytes_of(&Srs::insecure_development(N));
    let srs = read(&bytes, N).unwrap();
    assert_eq!(srs.origin(), Origin::InsecureDevelopment);
    assert!(srs.origin().to_string().starts_with("INSECURE"));
    // Not even pinning its hash makes it a ceremony.
    let hash = Sha256::digest(&bytes).into();
    let pinned = Srs::read_ptau(&bytes[..], N, Some(hash), &mut rng()).unwrap();
    assert!(pinned.is_insecure());
    assert_eq!(insecure_file_name(131_072), "INSECURE-dev-131072.ptau");
}

#[test]
fn ceremony_files_carry_the_hash_of_the_whole_file() {
    let bytes = ceremony_file();
    let sha256: [u8; 32] = Sha256::digest(&bytes).into();
    for n in [2, N] {
        let srs = read(&bytes, n).unwrap();
        let pinned = false;
        assert_eq!(srs.origin(), Origin::Ceremony { sha256, pinned });
        assert!(!srs.is_insecure());
        assert!(srs.origin().to_string().contains("NOT pinned"));

        let srs = Srs::read_ptau(&bytes[..], n, Some(sha256), &mut rng()).unwrap();
        let pinned = true;
        assert_eq!(srs.origin(), Origin::Ceremony { sha256, pinned });
    }
}

#[test]
fn another_file_than_the_pinned_one_is_refused() {
    let bytes = ceremony_file();
    let sha256: [u8; 32] = Sha256::digest(&bytes).into();
    let other = ceremony(Fr::from(0x5eee), N);
    let result = Srs::read_ptau(&other[..], N, Some(sha256), &mut rng());
    assert_error!(result.unwrap_err(), SrsError::Hash { expected, .. } if expected == sha256);

    // Also where the difference is in bytes that aren't parsed.
    let mut last_point = bytes.clone();
    last_point[g1_point(N - 1)] ^= 1;
    assert!(read(&last_point, 8).is_ok());
    let result = Srs::read_ptau(&last_point[..], 8, Some(sha256), &mut rng());
    assert_error!(result.unwrap_err(), SrsError::Hash { .. });
}

#[test]
fn wrong_counts_are_refused() {
    let bytes = ceremony_file();
    for n in [0, 1, MAX_POINTS + 1, usize::MAX] {
        assert_error!(read(&bytes, n).unwrap_err(), SrsError::PointCount { requested } if requested == n);
    }
    assert_error!(read(&bytes, N + 1).unwrap_err(), SrsError::TooFewPoints { found: 16, requested: 17 });
    assert_error!(read(&bytes, 32).unwrap_err(), SrsError::PowerTooSmall { power: 4, requested: 32 });
    // Nothing is allocated for points that aren't there.
    assert_error!(read(&bytes, MAX_POINTS).unwrap_err(), SrsError::PowerTooSmall { .. });
}

#[test]
#[should_panic(expected = "1 powers of tau asked for")]
fn development_powers_need_two_points() {
    Srs::insecure_development(1);
}

#[test]
fn wrong_framing_is_refused() {
    assert_error!(error_with(0, b"ptaU"), SrsError::Magic { found } if &found == b"ptaU");
    assert_error!(error_with(VERSION, &[2]), SrsError::Version { found: 2 });
    assert_error!(error_with(SECTIONS, &[2]), SrsError::SectionCount { found: 2 });
    assert_error!(error_with(SECTIONS, &[17]), SrsError::SectionCount { found: 17 });
    assert_error!(error_with(SECTIONS, &[4]), SrsError::Truncated { .. });
    assert_error!(error_with(TAU_G1, &[1]), SrsError::DuplicateSection { id: 1 });
    assert_error!(error_with(HEADER, &[9]), SrsError::MissingSection { section: Section::Header });
    assert_error!(error_with(TAU_G1, &[9]), SrsError::MissingSection { section: Section::TauG1 });
    assert_error!(error_with(tau_g2(N), &[9]), SrsError::MissingSection { section: Section::TauG2 });

    let mut trailing = ceremony_file();
    trailing.push(0);
    assert_error!(read(&trailing, N).unwrap_err(), SrsError::TrailingBytes { sections: 3 });
}

#[test]
fn wrong_section_sizes_are_refused() {
    for start in [HEADER, TAU_G1, tau_g2(N)] {
        assert_error!(error_with(start + 4, &[0xff; 8]), SrsError::SectionTooLarge { .. });
        // The largest size that isn't refused at once: no memory may be taken for it.
        let size = (1u64 << 40).to_le_bytes();
        assert_error!(error_with(start + 4, &size), SrsError::Truncated { .. });
    }
    let [header, g1, g2] = contents();
    let read =
        |header: &[u8], g1: &[u8], g2: &[u8]| read(&file(&[section(1, header), section(2, g1), section(3, g2)]), N);
    assert!(read(&header, &g1, &g2).is_ok());

    let wrong = [
        (Section::Header, read(&header[..39], &g1, &g2)),
        (Section::Header, read(&[&header[..], &[0]].concat(), &g1, &g2)),
        (Section::Header, read(&[], &g1, &g2)),
        (Section::TauG1, read(&header, &[&g1[..], &[0]].concat(), &g2)),
        (Section::TauG1, read(&header, &g1[1..], &g2)),
        (Section::TauG1, read(&header, &g1.repeat(2), &g2)),
        (Section::TauG2, read(&header, &g1, &g2[..255])),
        (Section::TauG2, read(&header, &g1, &g2[..128])),
        (Section::TauG2, read(&header, &g1, &g2.repeat(9))),
        (Section::TauG2, read(&header, &g1, &[])),
    ];
    for (expected, result) in wrong {
        assert_error!(result.unwrap_err(), SrsError::SectionSize { section, .. } if section == expected);
    }
    assert_error!(read(&header, &g1[64..], &g2).unwrap_err(), SrsError::TooFewPoints { found: 15, .. });
    assert_error!(read(&header, &[], &g2).unwrap_err(), SrsError::TooFewPoints { found: 0, .. });
}

#[test]
fn every_truncation_is_refused() {
    let bytes = ceremony_file();
    for len in 0..bytes.len() {
        assert_error!(read(&bytes[..len], N).unwrap_err(), SrsError::Truncated { .. });
    }
}

#[test]
fn wrong_headers_are_refused() {
    assert_error!(error_with(N8, &[48]), SrsError::CoordinateSize { found: 48 });
    assert_error!(error_with(N8, &[0xff; 4]), SrsError::CoordinateSize { found: u32::MAX });
    let mut scalar_prime = (-Fr::ONE).to_repr();
    scalar_prime.as_mut()[0] += 1;
    assert_error!(error_with(PRIME, scalar_prime.as_ref()), SrsError::Prime { .. });
    assert_error!(error_with(POWER, &[0]), SrsError::Power { found: 0 });
    assert_error!(error_with(POWER, &[29]), SrsError::Power { found: 29 });
    assert_error!(error_with(POWER, &[0xff; 4]), SrsError::Power { found: u32::MAX });
    assert_error!(error_with(POWER, &[3]), SrsError::PowerTooSmall { power: 3, requested: N });
}

#[test]
fn non_canonical_coordinates_are_refused() {
    let bytes = ceremony_file();
    let prime = BigUint::from_bytes_le(&bytes[PRIME..POWER]);
    let places = [
        (Section::TauG1, 0, g1_point(0), 2),
        (Section::TauG1, 7, g1_point(7), 2),
        (Section::TauG2, 0, g2_point(N, 0), 4),
        (Section::TauG2, 1, g2_point(N, 1), 4),
    ];
    for (expected, at, start, coordinates) in places {
        for offset in (0..coordinates).map(|coordinate| start + 32 * coordinate) {
            // The same point, but for the encoding.
            let lifted = BigUint::from_bytes_le(&bytes[offset..offset + 32]) + &prime;
            assert_error!(
                error_with(offset, &lifted.to_bytes_le()),
                SrsError::Coordinate { section, index } if section == expected && index == at
            );
        }
    }
}

#[test]
fn points_off_the_curve_are_refused() {
    let off_g1 = G1Affine { x: Fq::ONE, y: Fq::ONE };
    for at in [0, 1, N - 1] {
        assert_error!(
            error_with(g1_point(at), &off_g1.to_raw_bytes()),
            SrsError::NotOnCurve { section: Section::TauG1, index } if index == at
        );
    }
    let off_g2 = G2Affine { x: Fq2::ONE, y: Fq2::ONE };
    for at in [0, 1] {
        assert_error!(
            error_with(g2_point(N, at), &off_g2.to_raw_bytes()),
            SrsError::NotOnCurve { section: Section::TauG2, index } if index == at
        );
    }
}

#[test]
fn the_identity_is_refused() {
    for at in [0, 1, N - 1] {
        assert_error!(
            error_with(g1_point(at), &[0; 64]),
            SrsError::Identity { section: Section::TauG1, index } if index == at
        );
    }
    for at in [0, 1] {
        assert_error!(
            error_with(g2_point(N, at), &[0; 128]),
            SrsError::Identity { section: Section::TauG2, index } if index == at
        );
    }
}

#[test]
fn points_outside_the_subgroup_are_refused() {
    let outside = point_outside_subgroup();
    assert!(bool::from(outside.is_on_curve()));
    assert_error!(error_with(g2_point(N, 1), &outside.to_raw_bytes()), SrsError::Subgroup);

    // The right point plus one of small order: the pairing may not see it.
    let srs = read(&ceremony_file(), N).unwrap();
    let torsion = (0..254).rev().fold(G2::identity(), |sum, bit| {
        let order = BigUint::from_bytes_le((-Fr::ONE).to_repr().as_ref()) + 1u32;
        let double = sum.double();
        if order.bit(bit) { double + outside } else { double }
    });
    assert!(!bool::from(torsion.is_identity()));
    let shifted = (torsion + srs.tau_g2()).to_affine();
    assert_error!(error_with(g2_point(N, 1), &shifted.to_raw_bytes()), SrsError::Subgroup);
}

#[test]
fn other_generators_are_refused() {
    // Consistent powers of one tau, of another generator.
    let [header, g1, g2] = contents();
    let shifted = [&g1[64..], &ceremony(Fr::from(0x5eed), N + 1)[g1_point(N)..][..64]].concat();
    let bytes = file(&[section(1, &header), section(2, &shifted), section(3, &g2)]);
    assert_error!(read(&bytes, N).unwrap_err(), SrsError::Generator { section: Section::TauG1 });

    let double = G2::generator().double().to_affine();
    assert_error!(error_with(g2_point(N, 0), &double.to_raw_bytes()), SrsError::Generator { section: Section::TauG2 });
}

#[test]
fn points_that_are_not_powers_of_one_tau_are_refused() {
    let srs = read(&ceremony_file(), N).unwrap();
    let other = (G1::generator() * Fr::from(3)).to_affine();
    for at in 1..N {
        let error = error_with(g1_point(at), &other.to_raw_bytes());
        assert_error!(error, SrsError::NotPowersOfTau);
        let error = error_with(g1_point(at), &(-srs.g1()[at]).to_raw_bytes());
        assert_error!(error, SrsError::NotPowersOfTau);
    }
    let other = (G2::generator() * Fr::from(3)).to_affine();
    assert_error!(error_with(g2_point(N, 1), &other.to_raw_bytes()), SrsError::NotPowersOfTau);

    // Points that trip multi-scalar multiplications made for honest bases: equal and opposite ones.
    let opposite = [srs.g1()[1], -srs.g1()[1]].map(|point| point.to_raw_bytes()).concat();
    let [_, g1, _] = contents();
    let patch = [&g1[..64], &opposite.repeat(8)[..64 * 15]].concat();
    assert_error!(error_with(g1_point(0), &patch), SrsError::NotPowersOfTau);

    // Errors that cancel each other without weights.
    let shift = G1::generator();
    let (up, down) = (shift + srs.g1()[4], srs.g1()[5] - shift);
    let patch = [up.to_affine(), down.to_affine()].map(|point| point.to_raw_bytes()).concat();
    assert_error!(error_with(g1_point(4), &patch), SrsError::NotPowersOfTau);
}

#[test]
fn degenerate_taus_are_refused() {
    let bytes = ceremony(Fr::ONE, N);
    assert_error!(read(&bytes, N).unwrap_err(), SrsError::Degenerate { index: 1 });
    let bytes = ceremony(-Fr::ONE, N);
    assert_error!(read(&bytes, N).unwrap_err(), SrsError::Degenerate { index: 2 });
    let bytes = ceremony(Fr::ZERO, N);
    assert_error!(read(&bytes, N).unwrap_err(), SrsError::Identity { index: 1, .. });
}

#[test]
fn failing_readers_and_writers_are_reported() {
    struct Failing;
    impl std::io::Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("broken"))
        }
    }
    let result = Srs::read_ptau(Failing, N, None, &mut rng());
    assert_error!(result.unwrap_err(), SrsError::Read(_));
    for len in [0, 100, 1000] {
        let mut short = vec![0; len];
        let result = Srs::insecure_development(N).write_ptau(Cursor::new(&mut short[..]));
        assert_error!(result.unwrap_err(), SrsError::Write(_));
    }
}

/// Flips bits in each byte of a file of which the first half of the powers is read.
#[test]
fn no_changed_byte_changes_what_is_read() {
    let bytes = ceremony_file();
    let expected = read(&bytes, N / 2).unwrap();
    let mut rng = rng();
    for position in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[position] ^= (rng.next_u32() % 255 + 1) as u8;
        let unread = (g1_point(N / 2)..tau_g2(N)).contains(&position);
        match read(&changed, N / 2) {
            Ok(srs) => {
                // Another power is no other string: a pruned file may have fewer points than its power allows.
                assert!(unread || position == POWER, "byte {position}");
                assert_eq!(srs.g1(), expected.g1());
                assert_eq!(srs.tau_g2(), expected.tau_g2());
                assert_ne!(srs.origin(), expected.origin(), "the hash covers byte {position}");
            }
            Err(error) => assert!(!unread, "byte {position}: {error}"),
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        keep in 0..G1_POINTS + 200,
        noise in prop::collection::vec(any::<u8>(), 0..400),
        n in 2..64usize,
    ) {
        let bytes = [&ceremony_file()[..keep], &noise].concat();
        prop_assert!(read(&bytes, n).is_err());
    }

    #[test]
    fn arbitrary_sections_never_panic(
        sections in prop::collection::vec((0..5u32, prop::collection::vec(any::<u8>(), 0..300)), 0..20),
    ) {
        let sections: Vec<_> = sections.iter().map(|(id, content)| section(*id, content)).collect();
        prop_assert!(read(&file(&sections), 2).is_err());
    }
}
