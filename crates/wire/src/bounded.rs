//! Texts, byte strings, lists and numbers that can't leave their limits, so that whatever is encoded also decodes.

use crate::codec::{DecodeError, Reader, Wire};
use crate::limits::{INPUT_OVERHEAD_BYTES, MAX_INPUT_BYTES, MAX_INPUTS_BYTES, MAX_INPUTS_PER_FRAME};
use std::fmt;
use std::ops::Deref;

/// A value outside the limits of its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoundError {
    /// Too much of something, or a number out of its range.
    #[error("expected {least} to {most} {what}, got {found}")]
    Limit {
        /// What was measured.
        what: &'static str,
        /// The least allowed.
        least: u64,
        /// The most allowed.
        most: u64,
        /// What there was.
        found: u64,
    },
    /// A text with control characters.
    #[error("expected a text without control characters")]
    Control,
}

fn at_most(what: &'static str, most: usize, found: usize) -> Result<(), BoundError> {
    if found <= most {
        Ok(())
    } else {
        Err(BoundError::Limit { what, least: 0, most: most as u64, found: found as u64 })
    }
}

/// A text of at most `MAX` bytes of UTF-8 without control characters: it may be shown and logged.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// The text as it is.
    ///
    /// # Errors
    /// [`BoundError`] if it is too long or has control characters.
    pub fn new(text: impl Into<String>) -> Result<Self, BoundError> {
        let text = text.into();
        at_most("bytes of text", MAX, text.len())?;
        if text.chars().any(char::is_control) { Err(BoundError::Control) } else { Ok(Self(text)) }
    }

    /// The text with spaces for control characters, cut where it would become too long.
    pub fn lossy(text: &str) -> Self {
        let clean = |c: char| if c.is_control() { ' ' } else { c };
        let mut kept = String::new();
        for c in text.chars().map(clean) {
            if kept.len() + c.len_utf8() > MAX {
                break;
            }
            kept.push(c);
        }
        Self(kept)
    }
}

impl<const MAX: usize> Deref for Text<MAX> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Debug for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn write_length(length: usize, out: &mut Vec<u8>) {
    u32::try_from(length).expect("every limit of a length is below 2^32").write(out);
}

impl<const MAX: usize> Wire for Text<MAX> {
    fn write(&self, out: &mut Vec<u8>) {
        write_length(self.0.len(), out);
        out.extend_from_slice(self.0.as_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let length = reader.length(MAX)?;
        let (what, at) = (reader.what, reader.at());
        let text = std::str::from_utf8(reader.take(length)?).map_err(|_| DecodeError::Text { what, at })?;
        Self::new(text).map_err(|_| DecodeError::Text { what, at })
    }
}

/// At most `MAX` bytes.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Bytes<const MAX: usize>(Vec<u8>);

impl<const MAX: usize> Bytes<MAX> {
    /// These bytes.
    ///
    /// # Errors
    /// [`BoundError::Limit`].
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, BoundError> {
        let bytes = bytes.into();
        at_most("bytes", MAX, bytes.len())?;
        Ok(Self(bytes))
    }

    /// The bytes themselves.
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl<const MAX: usize> Deref for Bytes<MAX> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const MAX: usize> fmt::Debug for Bytes<MAX> {
    /// The number of bytes and the first few: proofs and inputs would flood a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes {:02x?}", self.0.len(), &self.0[..self.0.len().min(8)])
    }
}

impl<const MAX: usize> Wire for Bytes<MAX> {
    fn write(&self, out: &mut Vec<u8>) {
        write_length(self.0.len(), out);
        out.extend_from_slice(&self.0);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let length = reader.length(MAX)?;
        reader.take(length).map(|bytes| Self(bytes.to_vec()))
    }
}

/// At most `MAX` things.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> List<T, MAX> {
    /// These things.
    ///
    /// # Errors
    /// [`BoundError::Limit`].
    pub fn new(things: impl Into<Vec<T>>) -> Result<Self, BoundError> {
        let things = things.into();
        at_most("things", MAX, things.len())?;
        Ok(Self(things))
    }
}

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize> Deref for List<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Wire, const MAX: usize> Wire for List<T, MAX> {
    fn write(&self, out: &mut Vec<u8>) {
        write_length(self.0.len(), out);
        self.0.iter().for_each(|thing| thing.write(out));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let length = reader.length(MAX)?;
        // Grows as things come, so that an announced length alone costs nothing.
        let mut things = Vec::new();
        for _ in 0..length {
            things.push(T::read(reader)?);
        }
        Ok(Self(things))
    }
}

/// Encoded inputs of consecutive steps: from 1 to `COUNT`, which cost at most `BYTES`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputsWithin<const COUNT: usize, const BYTES: usize> {
    inputs: Vec<Bytes<MAX_INPUT_BYTES>>,
    cost: u64,
}

/// As many inputs as fit into a frame.
pub type InputList = InputsWithin<MAX_INPUTS_PER_FRAME, MAX_INPUTS_BYTES>;

impl<const COUNT: usize, const BYTES: usize> InputsWithin<COUNT, BYTES> {
    /// As many of the inputs, from the first on, as fit and cost at most `credit`; `None` if that is none. Takes them out
    /// of the iterator only if they fit.
    ///
    /// # Errors
    /// [`BoundError::Limit`] for an input that is too long anywhere.
    pub fn fill<'a, I>(inputs: &mut std::iter::Peekable<I>, credit: u64) -> Result<Option<Self>, BoundError>
    where
        I: Iterator<Item = &'a [u8]>,
    {
        let most = credit.min(BYTES as u64);
        let mut list = Self { inputs: Vec::new(), cost: 0 };
        while let Some(input) = inputs.peek() {
            at_most("bytes of an input", MAX_INPUT_BYTES, input.len())?;
            if list.inputs.len() == COUNT || list.cost + Self::cost_of(input) > most {
                break;
            }
            list.cost += Self::cost_of(input);
            list.inputs.push(Bytes(input.to_vec()));
            inputs.next();
        }
        Ok((!list.inputs.is_empty()).then_some(list))
    }

    /// Bytes that an input counts against credit.
    pub fn cost_of(input: &[u8]) -> u64 {
        (input.len() + INPUT_OVERHEAD_BYTES) as u64
    }

    /// Bytes that all of them count against credit.
    pub fn cost(&self) -> u64 {
        self.cost
    }
}

impl<const COUNT: usize, const BYTES: usize> Deref for InputsWithin<COUNT, BYTES> {
    type Target = [Bytes<MAX_INPUT_BYTES>];

    fn deref(&self) -> &Self::Target {
        &self.inputs
    }
}

impl<const COUNT: usize, const BYTES: usize> Wire for InputsWithin<COUNT, BYTES> {
    fn write(&self, out: &mut Vec<u8>) {
        write_length(self.inputs.len(), out);
        self.inputs.iter().for_each(|input| input.write(out));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = reader.at();
        let inputs = List::<Bytes<MAX_INPUT_BYTES>, COUNT>::read(reader)?.0;
        reader.check(at, inputs.len() as u64, 1, COUNT as u64)?;
        let cost = inputs.iter().map(|input| Self::cost_of(input)).sum();
        reader.check(at, cost, 0, BYTES as u64)?;
        Ok(Self { inputs, cost })
    }
}

/// A number from `LEAST` to `MOST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Within<const LEAST: u64, const MOST: u64>(u64);

impl<const LEAST: u64, const MOST: u64> Within<LEAST, MOST> {
    /// This number.
    ///
    /// # Errors
    /// [`BoundError::Limit`].
    pub fn new(number: u64) -> Result<Self, BoundError> {
        if (LEAST..=MOST).contains(&number) {
            Ok(Self(number))
        } else {
            Err(BoundError::Limit { what: "as a number", least: LEAST, most: MOST, found: number })
        }
    }

    /// The number itself.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl<const LEAST: u64, const MOST: u64> Wire for Within<LEAST, MOST> {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = reader.at();
        let number = u64::read(reader)?;
        reader.check(at, number, LEAST, MOST)?;
        Ok(Self(number))
    }
}
