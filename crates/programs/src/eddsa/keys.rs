//! Secret and public keys.

use std::fmt;

use crowdfold_fold::Fr;
use rand_core::{CryptoRng, RngCore};

use super::blake512;
use super::extended::Extended;
use super::point::Point;
use super::scalar::Scalar;
use super::signature::{Signature, challenge};

/// 32 secret bytes, and what signing makes of them.
#[derive(Clone)]
pub struct SecretKey {
    bytes: [u8; 32],
    scalar: Scalar,
    nonce_key: [u8; 32],
    public: PublicKey,
}

impl SecretKey {
    /// The key of 32 bytes, which zk-kit calls a private key: any bytes will do.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let hash = blake512::hash(&bytes);
        let (mut low, mut nonce_key) = ([0; 32], [0; 32]);
        low.copy_from_slice(&hash[..32]);
        nonce_key.copy_from_slice(&hash[32..]);
        // Bit 254 is the highest and the three lowest bits are clear; the secret scalar is an eighth of this number.
        low[0] &= 0xf8;
        low[31] = (low[31] & 0x7f) | 0x40;
        for i in 0..32 {
            low[i] = (low[i] >> 3) | (low.get(i + 1).map_or(0, |next| next << 5));
        }
        let scalar = Scalar::reduce(&low);
        let public = PublicKey(Extended::base8_times(&scalar).to_affine());
        Self { bytes, scalar, nonce_key, public }
    }

    /// A key that nobody else knows, given an unpredictable random source.
    pub fn random(rng: &mut (impl CryptoRng + RngCore)) -> Self {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        Self::from_bytes(bytes)
    }

    /// The 32 secret bytes.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.bytes
    }

    /// The key that verifies this key's signatures.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The signature of a message. The same message has the same signature.
    pub fn sign(&self, message: Fr) -> Signature {
        let mut nonce_input = [0; 64];
        nonce_input[..32].copy_from_slice(&self.nonce_key);
        nonce_input[32..].copy_from_slice(&message.to_bytes());
        let nonce = Scalar::reduce_wide(&blake512::hash(&nonce_input));
        let r8 = Extended::base8_times(&nonce).to_affine();
        let h = challenge(&r8, &self.public, message);
        Signature { r8, s: nonce + Scalar::from(8u64) * h * self.scalar }
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// The point `A` that verifies signatures.
///
/// Any pair of coordinates can be put in; [`Self::is_valid`] says whether signatures under it can verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(pub Point);

impl PublicKey {
    /// The first coordinate.
    pub fn x(&self) -> Fr {
        self.0.x
    }

    /// The second coordinate.
    pub fn y(&self) -> Fr {
        self.0.y
    }

    /// Whether this is a point of the curve and not one of the eight of small order, under which one signature would be
    /// valid for every message.
    pub fn is_valid(&self) -> bool {
        self.0.is_on_curve() && !Extended::from(&self.0).times8().is_identity()
    }

    /// The point's 32 bytes, as in zk-kit's `packPublicKey` (see [`Point::pack`]).
    pub fn pack(&self) -> [u8; 32] {
        self.0.pack()
    }

    /// The key of 32 bytes; none if they encode no point of the curve (see [`Point::unpack`]) or one of small order.
    pub fn unpack(bytes: &[u8; 32]) -> Option<Self> {
        Point::unpack(bytes).map(Self).filter(Self::is_valid)
    }
}
