//! Signatures and their verification one by one.

use crowdfold_fold::{Fr, poseidon};

use super::extended::{Extended, Niels};
use super::keys::PublicKey;
use super::point::Point;
use super::scalar::Scalar;

/// A signature `(R8, S)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The nonce times `B8`.
    pub r8: Point,
    /// The nonce plus `8 h` times the secret scalar.
    pub s: Scalar,
}

impl Signature {
    /// The 64 bytes of zk-kit's `packSignature`: `R8` as [`Point::pack`] writes it, then `S`, little-endian.
    pub fn to_bytes(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&self.r8.pack());
        bytes[32..].copy_from_slice(&self.s.to_bytes());
        bytes
    }

    /// The signature that [`Self::to_bytes`] writes as these bytes; none if there is no such signature.
    pub fn from_bytes(bytes: &[u8; 64]) -> Option<Self> {
        let (mut r8, mut s) = ([0; 32], [0; 32]);
        r8.copy_from_slice(&bytes[..32]);
        s.copy_from_slice(&bytes[32..]);
        Some(Self { r8: Point::unpack(&r8)?, s: Scalar::from_bytes(&s)? })
    }
}

/// `h = Poseidon(R8.x, R8.y, A.x, A.y, M)` modulo `l`, which is enough as it only multiplies `8 A`, of order `l`.
pub(super) fn challenge(r8: &Point, key: &PublicKey, message: Fr) -> Scalar {
    Scalar::reduce_fr(&poseidon::hash(&[r8.x, r8.y, key.x(), key.y(), message]))
}

/// Whether the signature is valid: `A` is a valid key, `R8` lies on the curve and `S B8 = R8 + 8 h A`.
///
/// For coordinates below `r` this accepts what zk-kit's `verifySignature` accepts, except under public keys of small
/// order.
pub fn verify(key: &PublicKey, message: Fr, signature: &Signature) -> bool {
    key.is_valid()
        && signature.r8.is_on_curve()
        && equation_holds(key, &challenge(&signature.r8, key, message), signature)
}

/// Whether `S B8 = R8 + 8 h A`.
pub(super) fn equation_holds(key: &PublicKey, challenge: &Scalar, signature: &Signature) -> bool {
    let product = Extended::from(&key.0).times(&challenge.words(), Scalar::BITS).times8();
    Extended::base8_times(&signature.s).equals(&product.plus_affine(&Niels::from(&signature.r8)))
}
