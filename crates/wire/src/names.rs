//! What messages call things.

use crate::codec::{DecodeError, Reader, Wire};
use crowdfold_fold::{Address, Job, ParameterDigest};
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};
use std::fmt;

/// A moment in milliseconds since any fixed one. Both ends have their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// The moment so many milliseconds later.
    #[must_use]
    pub fn after(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds since an earlier moment; 0 if it is not earlier.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

macro_rules! wire_newtype {
    ($($(#[$attribute:meta])* $name:ident($inner:ty);)+) => {
        $(
            $(#[$attribute])*
            #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $name(pub $inner);

            impl Wire for $name {
                fn write(&self, out: &mut Vec<u8>) {
                    self.0.write(out);
                }

                fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                    Wire::read(reader).map(Self)
                }
            }
        )+
    };
}

wire_newtype! {
    /// A coordinator's name for a task. It never uses one twice, and those of one connection go up.
    #[derive(Debug)]
    TaskId(u64);
    /// A coordinator's name for a connection.
    #[derive(Debug)]
    SessionId(u64);
    /// SHA-256 of the bytes of a range proof: names an upload, or a merge input, across connections.
    UploadId([u8; 32]);
    /// An Ed25519 public key, which names a prover. Whether it is one is seen when a signature is checked.
    PublicKey([u8; 32]);
    /// The parameter digest of a program as 32 bytes, little-endian. One that is no field element names no parameters.
    ParametersId([u8; 32]);
}

impl UploadId {
    /// The name of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl From<ParameterDigest> for ParametersId {
    fn from(digest: ParameterDigest) -> Self {
        Self(digest.element().to_bytes())
    }
}

/// Why a signature is not that of a key.
pub(crate) enum Unsigned {
    /// The key is no Ed25519 key, or one of the few that sign everything.
    Key,
    /// The signature does not verify.
    Signature,
}

impl PublicKey {
    /// Verifies a signature strictly: one encoding, no keys of small order.
    pub(crate) fn verify(&self, bytes: &[u8], signature: &[u8; 64]) -> Result<(), Unsigned> {
        let key = VerifyingKey::from_bytes(&self.0).ok().filter(|key| !key.is_weak()).ok_or(Unsigned::Key)?;
        key.verify_strict(bytes, &Signature::from_bytes(signature)).map_err(|_| Unsigned::Signature)
    }
}

fn hex<'a>(bytes: impl Iterator<Item = &'a u8>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.into_iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(self.0.iter(), f)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(self.0.iter(), f)
    }
}

impl fmt::Display for ParametersId {
    /// As `ParameterDigest` is shown: the most significant digit first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(self.0.iter().rev(), f)
    }
}

impl ParametersId {
    /// Reads what its `Display` writes, in lower case, and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let (digits, rest) = text.as_bytes().as_chunks::<2>();
        if digits.len() != bytes.len() || !rest.is_empty() {
            return None;
        }
        for (byte, [high, low]) in bytes.iter_mut().rev().zip(digits) {
            let digit = |digit: u8| (!digit.is_ascii_uppercase()).then(|| char::from(digit).to_digit(16)).flatten();
            *byte = u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?;
        }
        Some(Self(bytes))
    }
}

macro_rules! debug_as_display {
    ($($name:ident),+) => {
        $(
            impl fmt::Debug for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    write!(f, concat!(stringify!($name), "({})"), self)
                }
            }
        )+
    };
}
debug_as_display!(UploadId, PublicKey, ParametersId);

impl Wire for Address {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array().map(Self)
    }
}

impl Wire for Job {
    fn write(&self, out: &mut Vec<u8>) {
        self.chain_id.write(out);
        self.contract.write(out);
        self.job_id.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { chain_id: Wire::read(reader)?, contract: Wire::read(reader)?, job_id: Wire::read(reader)? })
    }
}

#[cfg(test)]
mod tests {
    use super::ParametersId;

    #[test]
    fn parameters_are_named_as_they_are_shown() {
        let id = ParametersId(std::array::from_fn(|i| u8::try_from(i * 7 % 251).unwrap()));
        let text = id.to_string();
        assert_eq!(ParametersId::parse(&text), Some(id));
        for bad in
            [text.to_uppercase(), format!("{text}0"), text[2..].to_owned(), text.replace('0', "g"), "é".repeat(32)]
        {
            assert_eq!(ParametersId::parse(&bad), None, "{bad}");
        }
    }
}
