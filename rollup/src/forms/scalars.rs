//! Values as text, in files and on the command line.

use crate::Error;
use crowdfold_fold::{Address, Fr};
use crowdfold_programs::eddsa::{Point, PublicKey, SecretKey, Signature};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A field element: `0x` and up to 64 hexadecimal digits, the most significant one first; written with all 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element(pub Fr);

/// An amount or balance: decimal digits, below 2^128.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount(pub u128);

/// A fee: decimal digits, below 2^64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fee(pub u64);

/// A public key: the 64 hexadecimal digits of the 32 bytes that zk-kit's `packPublicKey` makes. A key that can sign
/// nothing has no such bytes; it is written as 128 digits, those of x and of y, 32 bytes each, little-endian.
///
/// The point is not decoded yet, which takes a square root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyText {
    /// A key that can sign.
    Packed([u8; 32]),
    /// Any other pair of coordinates.
    Coordinates([u8; 64]),
}

/// A signature: the 128 hexadecimal digits of the 64 bytes that zk-kit's `packSignature` makes. Not decoded yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureText(pub [u8; 64]);

/// An address on a chain: `0x` and 40 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressText(pub Address);

/// A secret key: the 64 hexadecimal digits of its 32 bytes. It is no part of any form with other values, and not shown.
#[derive(Clone)]
pub struct SecretText(pub SecretKey);

/// `0x` and 64 digits.
pub fn hexadecimal(element: &Fr) -> String {
    let mut bytes = element.to_bytes();
    bytes.reverse();
    format!("0x{}", hex::encode(bytes))
}

fn wrong(what: &'static str, expected: &'static str, found: &str) -> Error {
    const SHOWN: usize = 80;
    let mut shown: String = found.chars().take(SHOWN).collect();
    if shown.len() < found.len() {
        shown.push_str("...");
    }
    Error::Value { what, expected, found: shown }
}

/// Exactly so many bytes.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok().map(|()| bytes)
}

impl FromStr for Element {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let expected = "0x and 1 to 64 hexadecimal digits, a number below r";
        let element = || {
            let digits = text.strip_prefix("0x").filter(|digits| (1..=64).contains(&digits.len()))?;
            let mut bytes: [u8; 32] = bytes(&format!("{digits:0>64}"))?;
            bytes.reverse();
            Option::from(Fr::from_bytes(&bytes)).map(Self)
        };
        element().ok_or_else(|| wrong("field element", expected, text))
    }
}

/// A number without signs, spaces or leading zeros.
fn decimal<T: FromStr>(text: &str) -> Option<T> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

impl FromStr for Amount {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        decimal(text).map(Self).ok_or_else(|| wrong("amount", "decimal digits, a number below 2^128", text))
    }
}

impl FromStr for Fee {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        decimal(text).map(Self).ok_or_else(|| wrong("fee", "decimal digits, a number below 2^64", text))
    }
}

impl FromStr for KeyText {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let expected =
            "the 64 hexadecimal digits of a packed public key (128 of x and y for a key that can sign nothing)";
        let packed = bytes(text).map(Self::Packed);
        packed.or_else(|| bytes(text).map(Self::Coordinates)).ok_or_else(|| wrong("public key", expected, text))
    }
}

impl FromStr for SignatureText {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        bytes(text)
            .map(Self)
            .ok_or_else(|| wrong("signature", "the 128 hexadecimal digits of a packed signature", text))
    }
}

impl FromStr for AddressText {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let address = text.strip_prefix("0x").and_then(bytes).map(Address);
        address.map(Self).ok_or_else(|| wrong("address", "0x and 40 hexadecimal digits", text))
    }
}

impl FromStr for SecretText {
    type Err = Error;

    /// The error does not repeat what may be nearly a secret.
    fn from_str(text: &str) -> Result<Self, Error> {
        let secret = bytes(text.trim_ascii_end()).map(SecretKey::from_bytes).map(Self);
        secret.ok_or_else(|| wrong("secret key", "64 hexadecimal digits", "something else"))
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl KeyText {
    /// The key.
    ///
    /// # Errors
    /// [`Error::Value`] if these bytes are not how a key is written.
    pub fn decode(&self) -> Result<PublicKey, Error> {
        match self {
            Self::Packed(bytes) => PublicKey::unpack(bytes).ok_or_else(|| {
                wrong("public key", "a packed point of Baby Jubjub that is not of small order", &hex::encode(bytes))
            }),
            Self::Coordinates(bytes) => {
                let element = |half: usize| {
                    let half: &[u8; 32] = bytes.as_chunks().0.get(half)?;
                    Option::<Fr>::from(Fr::from_bytes(half))
                };
                let key = element(0).zip(element(1)).map(|(x, y)| PublicKey(Point { x, y }));
                let expected = "two numbers below r that are no key that can sign: that is written with 64 digits";
                key.filter(|key| !key.is_valid()).ok_or_else(|| wrong("public key", expected, &hex::encode(bytes)))
            }
        }
    }
}

impl From<PublicKey> for KeyText {
    fn from(key: PublicKey) -> Self {
        if key.is_valid() {
            return Self::Packed(key.pack());
        }
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&key.x().to_bytes());
        bytes[32..].copy_from_slice(&key.y().to_bytes());
        Self::Coordinates(bytes)
    }
}

impl SignatureText {
    /// The signature.
    ///
    /// # Errors
    /// [`Error::Value`] if no signature is written like this.
    pub fn decode(&self) -> Result<Signature, Error> {
        let expected = "a packed point of Baby Jubjub and a number below the order of its subgroup";
        Signature::from_bytes(&self.0).ok_or_else(|| wrong("signature", expected, &hex::encode(self.0)))
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hexadecimal(&self.0))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Fee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packed(bytes) => f.write_str(&hex::encode(bytes)),
            Self::Coordinates(bytes) => f.write_str(&hex::encode(bytes)),
        }
    }
}

impl fmt::Display for SignatureText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Display for AddressText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// In files, values are the same texts.
macro_rules! as_text {
    ($($name:ty),*) => {
        $(impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        })*
    };
}

as_text!(Element, Amount, Fee, KeyText, SignatureText, AddressText);
