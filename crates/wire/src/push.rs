//! Tasks that are posted to functions (`docs/spec/network.md`, section 4): all of a segment in one signed message, and the
//! range proof as the answer.
//!
//! A function learns from the message alone whether to fold it. What the signature can't tell, whether the nonce is new
//! and what is left of the day's budget, is its host's to know.

use crate::bounded::{Bytes, InputsWithin, Text};
use crate::codec::{DecodeError, Reader, Wire, wire_struct};
use crate::limits::{
    MAX_PROGRAM_BYTES, MAX_PUSH_BYTES, MAX_PUSH_INPUTS_BYTES, MAX_PUSH_LIFETIME_S, MAX_PUSH_STEPS, MAX_STATE_BYTES,
    MAX_URL_BYTES, PUSH_SKEW_S, PUSH_VERSION,
};
use crate::names::{ParametersId, PublicKey, Unsigned};
use crowdfold_fold::{Address, Job};
use ed25519_dalek::{Signer, SigningKey};

/// Separates these signatures from all others that the key might make, in any version of the task.
const DOMAIN: &[u8] = b"crowdfold push task\0";

/// Inputs of a posted task.
pub type PushInputs = InputsWithin<MAX_PUSH_STEPS, MAX_PUSH_INPUTS_BYTES>;

wire_struct! {
    /// A segment, or the first steps of one, to be folded by whoever it is posted to. The version comes first in every
    /// version.
    pub struct PushTask {
        /// The version, [`PUSH_VERSION`].
        pub version: u16,
        /// The coordinator's key.
        pub key: PublicKey,
        /// The function's URL, as its coordinator and its owner have both set it.
        pub audience: Text<MAX_URL_BYTES>,
        /// Never used before.
        pub nonce: [u8; 32],
        /// Seconds since 1970 by the coordinator's clock.
        pub issued_s: u64,
        /// Seconds since 1970 from which on nobody begins with it.
        pub expires_s: u64,
        /// The job, which the proof is bound to.
        pub job: Job,
        /// Name of the program.
        pub program: Text<MAX_PROGRAM_BYTES>,
        /// Parameters to fold with.
        pub parameters: ParametersId,
        /// Who is paid, which the proof is bound to.
        pub payout: Address,
        /// The encoded state before the first step.
        pub start: Bytes<MAX_STATE_BYTES>,
        /// Encoded inputs, one for each step. The proof may be of the first ones only.
        pub inputs: PushInputs,
        /// Ed25519, over what [`PushTask::signed_bytes`] says.
        pub signature: [u8; 64],
    }
}

/// What a function has been set up with, and the time.
#[derive(Clone, Copy, Debug)]
pub struct PushGate<'a> {
    /// Keys of the coordinators whose tasks it takes.
    pub keys: &'a [PublicKey],
    /// Its own URL.
    pub audience: &'a str,
    /// Who is to be paid.
    pub payout: Address,
    /// Seconds since 1970.
    pub now_s: u64,
}

/// Why a function does not take a task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// It is of a version that is not spoken.
    #[error("the task is of version {found}, this software speaks {PUSH_VERSION}: update the older of both")]
    Version {
        /// Its version.
        found: u16,
    },
    /// It is no task.
    #[error("this is no task")]
    Decode(#[from] DecodeError),
    /// It is of a coordinator that the function does not know.
    #[error("tasks of the coordinator {0} are not taken: `coordinator push key` prints the key to set up")]
    Stranger(PublicKey),
    /// The coordinator's key is no Ed25519 key, or one of the few that sign everything.
    #[error("{0} is not an Ed25519 public key")]
    Key(PublicKey),
    /// Its signature does not verify.
    #[error("the signature is not that of {0} over the task")]
    Signature(PublicKey),
    /// It was meant for somebody else.
    #[error("the task is for `{found}`, this is `{expected}`: set up both ends with the same URL, letter by letter")]
    Audience {
        /// Whom it names.
        found: String,
        /// Who this is.
        expected: String,
    },
    /// It pays somebody else.
    #[error("the task pays {found}, expected {expected}: set up both ends with the same address")]
    Payout {
        /// Whom it pays.
        found: Address,
        /// Whom it should pay.
        expected: Address,
    },
    /// It would be good for too long, or for no time.
    #[error("the task is good from {issued_s} to {expires_s}, expected from 1 to {MAX_PUSH_LIFETIME_S} seconds")]
    Lifetime {
        /// When it was issued.
        issued_s: u64,
        /// When it expires.
        expires_s: u64,
    },
    /// It comes from the future.
    #[error("the task was issued at {issued_s}, and it is {now_s}: set the clock of the coordinator or the function")]
    Early {
        /// When it was issued.
        issued_s: u64,
        /// The time here.
        now_s: u64,
    },
    /// It came too late.
    #[error("the task expired at {expires_s}, and it is {now_s}")]
    Expired {
        /// When it expired.
        expires_s: u64,
        /// The time here.
        now_s: u64,
    },
}

impl PushTask {
    /// The one encoding, a request's body.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// Reads what [`Self::encode`] wrote, and nothing else. Nothing is allocated beyond a small multiple of the bytes.
    /// Whether it is signed is not looked at.
    ///
    /// # Errors
    /// [`PushError::Version`], whatever else is in it; [`PushError::Decode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, PushError> {
        let mut reader = Reader::new(bytes);
        reader.what = "bytes of the task";
        reader.check(0, bytes.len() as u64, 1, MAX_PUSH_BYTES as u64)?;
        reader.what = "version of the task";
        let found = u16::read(&mut reader)?;
        if found != PUSH_VERSION {
            return Err(PushError::Version { found });
        }
        let mut reader = Reader::new(bytes);
        let task = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(task)
    }

    /// What the signature covers: a domain tag, and the task without the signature, as it is encoded.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = DOMAIN.to_vec();
        self.write(&mut bytes);
        bytes.truncate(bytes.len() - self.signature.len());
        bytes
    }

    /// Puts the key's public half and its signature into the task.
    #[must_use]
    pub fn sign(mut self, key: &SigningKey) -> Self {
        self.key = PublicKey(key.verifying_key().to_bytes());
        self.signature = key.sign(&self.signed_bytes()).to_bytes();
        self
    }

    /// Checks that a function may take the task: whose it is, that it is signed, whom it is for, whom it pays, and that it
    /// is its time. Texts are compared byte by byte; the signature is verified strictly.
    ///
    /// # Errors
    /// [`PushError`], any but the first two.
    pub fn verify(&self, gate: &PushGate<'_>) -> Result<(), PushError> {
        let Self { key, issued_s, expires_s, .. } = *self;
        if !gate.keys.contains(&key) {
            return Err(PushError::Stranger(key));
        }
        key.verify(&self.signed_bytes(), &self.signature).map_err(|unsigned| match unsigned {
            Unsigned::Key => PushError::Key(key),
            Unsigned::Signature => PushError::Signature(key),
        })?;
        if &*self.audience != gate.audience {
            return Err(PushError::Audience { found: self.audience.to_string(), expected: gate.audience.into() });
        }
        if self.payout != gate.payout {
            return Err(PushError::Payout { found: self.payout, expected: gate.payout });
        }
        if !(1..=MAX_PUSH_LIFETIME_S).contains(&expires_s.saturating_sub(issued_s)) {
            return Err(PushError::Lifetime { issued_s, expires_s });
        }
        let now_s = gate.now_s;
        if issued_s > now_s.saturating_add(PUSH_SKEW_S) {
            return Err(PushError::Early { issued_s, now_s });
        }
        if expires_s <= now_s {
            return Err(PushError::Expired { expires_s, now_s });
        }
        Ok(())
    }

    /// Reads a task and checks that a function may take it.
    ///
    /// # Errors
    /// [`PushError`].
    pub fn open(bytes: &[u8], gate: &PushGate<'_>) -> Result<Self, PushError> {
        let task = Self::decode(bytes)?;
        task.verify(gate)?;
        Ok(task)
    }
}
