//! Where things lie in a parameter file (`docs/spec/folding.md`, section 11).

use sha2::{Digest, Sha256};
use std::ops::Range;

/// Bases under one chunk digest.
const KEY_CHUNK: usize = 4096;
const POINT: usize = 64;
const SCALAR: usize = 32;

/// A part of a parameter file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The mark of kind and version.
    Magic,
    /// The program's name with its length, and the arity.
    Program,
    /// Whether the powers of tau are public.
    Insecure,
    /// Digest of the step circuit.
    StepDigest,
    /// Digest of the merge circuit.
    MergeDigest,
    /// Digest of the CycleFold circuit.
    CfDigest,
    /// Digest of the CycleFold key.
    CfKeyDigest,
    /// Digest of both blinding bases.
    BlindingDigest,
    /// The number of chunks of the commitment key and their digests.
    ChunkDigests,
    /// Both blinding bases.
    Blinding,
    /// The bases of the CycleFold key with their number.
    CfKey,
    /// The bases of the commitment key with their number.
    Key,
    /// The CycleFold circuit.
    CfShape,
    /// The step circuit.
    StepShape,
    /// The merge circuit, which a prover's file does not have.
    MergeShape,
}

/// Where each section of a parameter file lies, in order and without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterLayout {
    sections: Vec<(Section, Range<usize>)>,
}

struct Walker<'a> {
    bytes: &'a [u8],
    at: usize,
    sections: Vec<(Section, Range<usize>)>,
}

impl Walker<'_> {
    fn skip(&mut self, n: usize) -> Option<()> {
        self.at = self.at.checked_add(n).filter(|end| *end <= self.bytes.len())?;
        Some(())
    }

    fn length(&mut self) -> Option<usize> {
        let start = self.at;
        self.skip(8)?;
        usize::try_from(u64::from_le_bytes(self.bytes[start..self.at].try_into().ok()?)).ok()
    }

    /// A number of things with `size` bytes each.
    fn vector(&mut self, size: usize) -> Option<()> {
        let n = self.length()?;
        self.skip(n.checked_mul(size)?)
    }

    fn shape(&mut self) -> Option<()> {
        let rows = self.length()?;
        self.skip(16)?;
        for _ in 0..3 {
            self.vector(SCALAR)?;
            let entries = self.length()?;
            self.skip(rows.checked_mul(4)?)?;
            self.skip(entries.checked_mul(8)?)?;
        }
        Some(())
    }

    fn section(&mut self, section: Section, walk: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        let start = self.at;
        walk(self)?;
        self.sections.push((section, start..self.at));
        Some(())
    }
}

impl ParameterLayout {
    /// Walks through a file; `None` if it is cut short or goes on after its end.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let mut walker = Walker { bytes, at: 0, sections: Vec::new() };
        walker.section(Section::Magic, |w| w.skip(8))?;
        walker.section(Section::Program, |w| w.vector(1).and_then(|()| w.skip(8)))?;
        walker.section(Section::Insecure, |w| w.skip(1))?;
        for digest in [
            Section::StepDigest,
            Section::MergeDigest,
            Section::CfDigest,
            Section::CfKeyDigest,
            Section::BlindingDigest,
        ] {
            walker.section(digest, |w| w.skip(32))?;
        }
        walker.section(Section::ChunkDigests, |w| w.vector(32))?;
        walker.section(Section::Blinding, |w| w.skip(2 * POINT))?;
        walker.section(Section::CfKey, |w| w.vector(POINT))?;
        walker.section(Section::Key, |w| w.vector(POINT))?;
        walker.section(Section::CfShape, Walker::shape)?;
        walker.section(Section::StepShape, Walker::shape)?;
        if walker.at < bytes.len() {
            walker.section(Section::MergeShape, Walker::shape)?;
        }
        (walker.at == bytes.len()).then_some(Self { sections: walker.sections })
    }

    /// All sections in order.
    pub fn sections(&self) -> &[(Section, Range<usize>)] {
        &self.sections
    }

    /// Where a section lies.
    ///
    /// # Panics
    /// If it is the merge circuit and the file is a prover's.
    pub fn range(&self, section: Section) -> Range<usize> {
        let found = self.sections.iter().find(|(name, _)| *name == section);
        found.unwrap_or_else(|| panic!("the file has no section {section:?}")).1.clone()
    }

    /// All before the first point.
    pub(crate) fn header(&self) -> Range<usize> {
        0..self.range(Section::ChunkDigests).end
    }

    /// Writes the digest of each section of `bytes` to its place.
    pub fn seal(&self, bytes: &mut [u8]) {
        for (digest, section, length_bytes) in [
            (Section::StepDigest, Section::StepShape, 0),
            (Section::MergeDigest, Section::MergeShape, 0),
            (Section::CfDigest, Section::CfShape, 0),
            (Section::CfKeyDigest, Section::CfKey, 8),
            (Section::BlindingDigest, Section::Blinding, 0),
        ] {
            if self.sections.iter().any(|(name, _)| *name == section) {
                let range = self.range(section);
                put_digest(bytes, range.start + length_bytes..range.end, self.range(digest).start);
            }
        }
        let (chunks, key) = (self.range(Section::ChunkDigests), self.range(Section::Key));
        let starts = (key.start + 8..key.end).step_by(KEY_CHUNK * POINT);
        for (start, place) in starts.zip((chunks.start + 8..chunks.end).step_by(32)) {
            put_digest(bytes, start..key.end.min(start + KEY_CHUNK * POINT), place);
        }
    }
}

fn put_digest(bytes: &mut [u8], range: Range<usize>, place: usize) {
    let digest = Sha256::digest(&bytes[range]);
    bytes[place..place + 32].copy_from_slice(&digest);
}
