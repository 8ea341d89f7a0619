//! The handshake: versions, and the prover's signature over the coordinator's challenge.

use crate::codec::{Reader, Wire};
use crate::goodbye::{GoodbyeCode, Violation, ensure};
use crate::limits::VERSION;
use crate::message::{Challenge, Hello, kind};
use crate::names::{PublicKey, Unsigned};
use ed25519_dalek::{Signer, SigningKey};

/// Separates these signatures from all others that the key might make, in any version of the protocol.
const DOMAIN: &[u8] = b"crowdfold prover hello\0";
/// Where to get the software of this protocol's version.
const SOFTWARE: &str = "get the software of this version from who runs the coordinator, or reload the page";

/// Why a `Hello` is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// It wants a version that is not spoken.
    #[error("protocol version {wanted} is not spoken here, only {lowest} to {highest}")]
    Version {
        /// The version wanted.
        wanted: u16,
        /// The lowest one spoken.
        lowest: u16,
        /// The highest one.
        highest: u16,
    },
    /// It was meant for somebody else.
    #[error("the prover dialled `{dialled}`, expected one of `{expected}`")]
    Origin {
        /// The origin that it names.
        dialled: String,
        /// The coordinator's own, with commas.
        expected: String,
    },
    /// Its key is no Ed25519 key, or one of the few that sign everything.
    #[error("{0} is not an Ed25519 public key")]
    Key(PublicKey),
    /// Its signature does not verify.
    #[error("the signature is not that of {0} over the challenge and Hello")]
    Signature(PublicKey),
}

impl HelloError {
    /// The broken rule, as the prover gets to know it.
    pub fn violation(&self) -> Violation {
        match self {
            Self::Version { .. } => Violation::new(GoodbyeCode::UnknownVersion, format!("{self}: {SOFTWARE}")),
            Self::Origin { .. } => Violation::new(GoodbyeCode::WrongOrigin, self.to_string()),
            Self::Key(_) | Self::Signature(_) => Violation::new(GoodbyeCode::BadSignature, self.to_string()),
        }
    }
}

impl Challenge {
    /// The challenge of a coordinator that speaks what this crate does. The nonce must be unpredictable and new.
    pub fn new(nonce: [u8; 32]) -> Self {
        Self { lowest: VERSION, highest: VERSION, nonce }
    }
}

impl Hello {
    /// What the signature covers: a domain tag, the whole challenge, and `Hello` without the signature, as they are
    /// encoded. The versions of the challenge are in it, so nobody in between can talk both into an older one.
    pub fn signed_bytes(&self, challenge: &Challenge) -> Vec<u8> {
        let mut bytes = DOMAIN.to_vec();
        challenge.write(&mut bytes);
        self.write(&mut bytes);
        bytes.truncate(bytes.len() - self.signature.len());
        bytes
    }

    /// Puts the key's public half and its signature into `Hello`.
    #[must_use]
    pub fn sign(mut self, challenge: &Challenge, key: &SigningKey) -> Self {
        self.key = PublicKey(key.verifying_key().to_bytes());
        self.signature = key.sign(&self.signed_bytes(challenge)).to_bytes();
        self
    }

    /// Checks the version, the origin and the signature. `origins` are the coordinator's own, compared byte by byte.
    ///
    /// The signature is verified strictly: one encoding, no keys of small order.
    ///
    /// # Errors
    /// [`HelloError`].
    pub fn verify(&self, challenge: &Challenge, origins: &[impl AsRef<str>]) -> Result<(), HelloError> {
        let Challenge { lowest, highest, .. } = *challenge;
        if !(lowest..=highest).contains(&self.version) {
            return Err(HelloError::Version { wanted: self.version, lowest, highest });
        }
        if !origins.iter().any(|origin| origin.as_ref() == &*self.origin) {
            let expected = origins.iter().map(AsRef::as_ref).collect::<Vec<_>>().join("`, `");
            return Err(HelloError::Origin { dialled: self.origin.to_string(), expected });
        }
        self.key.verify(&self.signed_bytes(challenge), &self.signature).map_err(|unsigned| match unsigned {
            Unsigned::Key => HelloError::Key(self.key),
            Unsigned::Signature => HelloError::Signature(self.key),
        })
    }
}

/// Refuses a first frame of a coordinator that does not speak this crate's version, whatever else is in it.
pub(crate) fn check_challenge(frame: &[u8]) -> Result<(), Violation> {
    let Some(rest) = frame.strip_prefix(&[kind::CHALLENGE]) else { return Ok(()) };
    let mut reader = Reader::new(rest);
    let (Ok(lowest), Ok(highest)) = (u16::read(&mut reader), u16::read(&mut reader)) else { return Ok(()) };
    ensure((lowest..=highest).contains(&VERSION), GoodbyeCode::UnknownVersion, || {
        format!("this prover speaks protocol version {VERSION}, the coordinator {lowest} to {highest}: {SOFTWARE}")
    })
}

/// Refuses a first frame of a prover that wants another version, whatever else is in it.
pub(crate) fn check_hello(frame: &[u8], challenge: &Challenge) -> Result<(), Violation> {
    let Some(rest) = frame.strip_prefix(&[kind::HELLO]) else { return Ok(()) };
    let Ok(wanted) = u16::read(&mut Reader::new(rest)) else { return Ok(()) };
    let Challenge { lowest, highest, .. } = *challenge;
    if (lowest..=highest).contains(&wanted) {
        return Ok(());
    }
    Err(HelloError::Version { wanted, lowest, highest }.violation())
}
