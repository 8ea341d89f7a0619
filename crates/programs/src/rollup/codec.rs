//! The canonical encoding that this program's codecs share: fixed-width little-endian numbers, one after the other.

use super::account::{Account, Index};
use crate::eddsa::{Point, PublicKey, Signature};
use crowdfold_fold::{Address, Error, Fr};

/// Bytes of a field element.
pub(super) const ELEMENT_BYTES: usize = 32;
/// Bytes of a key: both coordinates, because a deposit's key may be no point of the curve.
pub(super) const KEY_BYTES: usize = 2 * ELEMENT_BYTES;
/// Bytes of a signature.
pub(super) const SIGNATURE_BYTES: usize = 64;
/// Bytes of an account.
pub(super) const ACCOUNT_BYTES: usize = KEY_BYTES + 16 + 4;

/// The 64 bytes of a key.
pub(super) fn key_bytes(key: &PublicKey) -> [u8; KEY_BYTES] {
    let mut bytes = [0; KEY_BYTES];
    bytes[..ELEMENT_BYTES].copy_from_slice(&key.x().to_bytes());
    bytes[ELEMENT_BYTES..].copy_from_slice(&key.y().to_bytes());
    bytes
}

/// Key, balance and nonce.
pub(super) fn write_account(out: &mut Vec<u8>, account: &Account) {
    out.extend(key_bytes(&account.key));
    out.extend(account.balance.to_le_bytes());
    out.extend(account.nonce.to_le_bytes());
}

/// Reads an encoding. Every error names the offset of the value that it is about.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Bytes not read yet.
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(super) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Error> {
        let ended = Error::Decode { what, at: self.at, reason: "the input ends too early" };
        let array = *self.bytes[self.at..].first_chunk::<N>().ok_or(ended)?;
        self.at += N;
        Ok(array)
    }

    /// A value of `N` bytes; `reason` says what is wrong where `read` finds none in them.
    pub(super) fn value<const N: usize, T>(
        &mut self,
        what: &'static str,
        reason: &'static str,
        read: impl FnOnce([u8; N]) -> Option<T>,
    ) -> Result<T, Error> {
        let at = self.at;
        read(self.array(what)?).ok_or(Error::Decode { what, at, reason })
    }

    pub(super) fn u8(&mut self, what: &'static str) -> Result<u8, Error> {
        Ok(u8::from_le_bytes(self.array(what)?))
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(super) fn u64(&mut self, what: &'static str) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    pub(super) fn u128(&mut self, what: &'static str) -> Result<u128, Error> {
        Ok(u128::from_le_bytes(self.array(what)?))
    }

    pub(super) fn flag(&mut self, what: &'static str) -> Result<bool, Error> {
        self.value(what, "a flag is 0 or 1", |[byte]: [u8; 1]| match byte {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        })
    }

    pub(super) fn element(&mut self, what: &'static str) -> Result<Fr, Error> {
        self.value(what, "a number is not below its modulus", |bytes| Option::from(Fr::from_bytes(&bytes)))
    }

    pub(super) fn index(&mut self, what: &'static str) -> Result<Index, Error> {
        self.value(what, "an index is not below 2^24", |bytes| Index::new(u32::from_le_bytes(bytes)))
    }

    pub(super) fn key(&mut self, what: &'static str) -> Result<PublicKey, Error> {
        Ok(PublicKey(Point { x: self.element(what)?, y: self.element(what)? }))
    }

    pub(super) fn signature(&mut self, what: &'static str) -> Result<Signature, Error> {
        self.value(what, NO_SIGNATURE, |bytes| Signature::from_bytes(&bytes))
    }

    pub(super) fn account(&mut self, what: &'static str) -> Result<Account, Error> {
        Ok(Account { key: self.key(what)?, balance: self.u128(what)?, nonce: self.u32(what)? })
    }

    pub(super) fn address(&mut self, what: &'static str) -> Result<Address, Error> {
        self.array(what).map(Address)
    }

    /// `N` bytes that stand where an absent value would be.
    pub(super) fn zeros<const N: usize>(&mut self, what: &'static str) -> Result<(), Error> {
        let reason = "what is absent is written as zeros";
        self.value(what, reason, |bytes: [u8; N]| (bytes == [0; N]).then_some(()))
    }

    /// Refuses bytes after the end.
    pub(super) fn finish(self) -> Result<(), Error> {
        if self.left() == 0 {
            Ok(())
        } else {
            Err(Error::Decode { what: "the end", at: self.at, reason: "there are bytes after it" })
        }
    }
}

/// Why 64 bytes are not a signature.
pub(super) const NO_SIGNATURE: &str = "no signature is written like this";

/// Decodes all of `bytes`.
pub(super) fn decode_all<T>(bytes: &[u8], read: impl FnOnce(&mut Reader<'_>) -> Result<T, Error>) -> Result<T, Error> {
    let mut reader = Reader::new(bytes);
    let value = read(&mut reader)?;
    reader.finish()?;
    Ok(value)
}
