//! Inputs as edits: valid encodings are far larger than what a fuzzer can invent or keep.

use crowdfold_fold::curve::{Fq, Fr};
use ff::PrimeField;
use std::ops::Range;

/// Bytes of an edit in an input.
const EDIT_BYTES: usize = 8;
/// Most edits of one input.
const MAX_EDITS: usize = 64;
/// Bytes at the start of an encoding that hold more than field elements and points.
const HEAD: usize = 512;

/// A valid encoding.
pub(crate) struct Template {
    pub(crate) bytes: Vec<u8>,
    /// What [`with_hole`] replaces.
    pub(crate) hole: Range<usize>,
}

/// Raw bytes, edits of a template, or a template with its hole filled, as the first byte says.
pub(crate) fn build(data: &[u8], templates: &[Template]) -> Vec<u8> {
    let Some((selector, rest)) = data.split_first() else { return Vec::new() };
    let selector = usize::from(*selector) % (1 + 2 * templates.len());
    let Some(index) = selector.checked_sub(1) else { return rest.to_vec() };
    let template = &templates[index / 2];
    if index % 2 == 0 {
        modified(template.bytes.clone(), rest)
    } else {
        with_hole(&template.bytes, template.hole.clone(), rest)
    }
}

/// `bytes` with `hole` replaced by `filling`.
pub fn with_hole(bytes: &[u8], hole: Range<usize>, filling: &[u8]) -> Vec<u8> {
    [&bytes[..hole.start], filling, &bytes[hole.end..]].concat()
}

/// One edit of an encoding. Places are taken modulo what there is, so every edit fits every encoding.
///
/// Field elements lie at multiples of 32 bytes from the end of an encoding wherever nothing shorter follows; those are
/// counted from the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Sets a byte.
    Byte {
        /// Where.
        place: u32,
        /// To what.
        value: u8,
    },
    /// Sets a byte among the first 512.
    HeadByte {
        /// Where.
        place: u32,
        /// To what.
        value: u8,
    },
    /// Writes a number of 8 bytes, as lengths are, among the first 512 bytes.
    HeadLength {
        /// Where.
        place: u32,
        /// The number.
        value: u32,
    },
    /// Adds r or q to a field element, modulo 2^256: the same element in another encoding.
    AddModulus {
        /// Elements after it.
        place: u32,
        /// Whether the modulus is q, that of BN254's coordinates.
        base_field: bool,
    },
    /// Writes two zero elements: what would be the point at infinity.
    ZeroPoint {
        /// Elements after it.
        place: u32,
    },
    /// Copies one element over another.
    CopyElement {
        /// Elements after the one overwritten.
        place: u32,
        /// Elements after the one copied.
        from: u32,
    },
    /// Cuts off the end.
    Truncate {
        /// The new length.
        place: u32,
    },
    /// Appends bytes.
    Extend {
        /// How many, modulo 64.
        place: u32,
        /// All the same.
        value: u8,
    },
}

impl Edit {
    /// Reads an edit: its kind, its place (24 bits), its value (32 bits).
    fn read(bytes: &[u8; EDIT_BYTES]) -> Self {
        let [kind, p0, p1, p2, v0, v1, v2, v3] = *bytes;
        let place = u32::from_le_bytes([p0, p1, p2, 0]);
        let word = u32::from_le_bytes([v0, v1, v2, v3]);
        match kind % 8 {
            0 => Self::Byte { place, value: v0 },
            1 => Self::HeadByte { place, value: v0 },
            2 => Self::HeadLength { place, value: word },
            3 => Self::AddModulus { place, base_field: v0 & 1 == 1 },
            4 => Self::ZeroPoint { place },
            5 => Self::CopyElement { place, from: word },
            6 => Self::Truncate { place },
            _ => Self::Extend { place, value: v0 },
        }
    }

    /// The input bytes that mean this edit.
    pub fn to_bytes(self) -> [u8; EDIT_BYTES] {
        let (kind, place, word) = match self {
            Self::Byte { place, value } => (0, place, value.into()),
            Self::HeadByte { place, value } => (1, place, value.into()),
            Self::HeadLength { place, value } => (2, place, value),
            Self::AddModulus { place, base_field } => (3, place, base_field.into()),
            Self::ZeroPoint { place } => (4, place, 0),
            Self::CopyElement { place, from } => (5, place, from),
            Self::Truncate { place } => (6, place, 0),
            Self::Extend { place, value } => (7, place, value.into()),
        };
        let mut bytes = [0; EDIT_BYTES];
        bytes[..4].copy_from_slice(&place.to_le_bytes());
        bytes.copy_within(..3, 1);
        bytes[0] = kind;
        bytes[4..].copy_from_slice(&word.to_le_bytes());
        bytes
    }

    fn apply(self, bytes: &mut Vec<u8>) {
        let n = bytes.len();
        let within = |place: u32, limit: usize| (limit > 0).then(|| place as usize % limit);
        // The start of the element with so many after it.
        let element = |place: u32| within(place, n / 32).map(|after| n - 32 * (after + 1));
        match self {
            Self::Byte { place, value } => {
                if let Some(at) = within(place, n) {
                    bytes[at] = value;
                }
            }
            Self::HeadByte { place, value } => {
                if let Some(at) = within(place, n.min(HEAD)) {
                    bytes[at] = value;
                }
            }
            Self::HeadLength { place, value } => {
                if let Some(at) = within(place, n.min(HEAD).saturating_sub(7)) {
                    bytes[at..at + 8].copy_from_slice(&u64::from(value).to_le_bytes());
                }
            }
            Self::AddModulus { place, base_field } => {
                if let Some(at) = element(place) {
                    let modulus = if base_field { modulus::<Fq>() } else { modulus::<Fr>() };
                    add(&mut bytes[at..at + 32], &modulus);
                }
            }
            Self::ZeroPoint { place } => {
                if let Some(at) = element(place) {
                    bytes[at..n.min(at + 64)].fill(0);
                }
            }
            Self::CopyElement { place, from } => {
                if let Some((to, from)) = element(place).zip(element(from)) {
                    bytes.copy_within(from..from + 32, to);
                }
            }
            Self::Truncate { place } => bytes.truncate(place as usize % (n + 1)),
            Self::Extend { place, value } => bytes.resize(n + place as usize % 64, value),
        }
    }
}

/// `bytes` after the edits that an input holds; an incomplete one at its end is left out.
pub fn modified(mut bytes: Vec<u8>, edits: &[u8]) -> Vec<u8> {
    for edit in edits.chunks_exact(EDIT_BYTES).take(MAX_EDITS) {
        Edit::read(edit.try_into().expect("chunks of that size")).apply(&mut bytes);
    }
    bytes
}

/// A field's modulus, little-endian.
fn modulus<F: PrimeField<Repr: AsRef<[u8]>>>() -> [u8; 32] {
    let mut bytes: [u8; 32] = (-F::ONE).to_repr().as_ref().try_into().expect("32 bytes");
    // The modulus is odd, so nothing carries.
    bytes[0] += 1;
    bytes
}

fn add(number: &mut [u8], other: &[u8; 32]) {
    let mut carry = 0;
    for (digit, other) in number.iter_mut().zip(other) {
        let sum = u16::from(*digit) + u16::from(*other) + carry;
        *digit = sum as u8;
        carry = sum >> 8;
    }
}
