//! The keys that name provers.

use crowdfold_wire::{PublicKey, SigningKey};
use js_sys::Uint8Array;
use sha2::{Digest as _, Sha256};
use wasm_bindgen::prelude::*;

use crate::arguments;
use crate::error::Error;

/// What is hashed before an identity and a slot. Nothing else is hashed with it.
const SLOT_TAG: &[u8] = b"crowdfold prover slot\0";

/// The seed of an Ed25519 key.
pub(crate) type Seed = [u8; 32];

/// Reads an identity.
///
/// # Errors
/// [`Error::Argument`].
pub(crate) fn read(value: &JsValue) -> Result<Seed, Error> {
    arguments::array("identity", "a Uint8Array of 32 bytes, a secret key", value)
}

/// The public key of an identity, by which coordinators know the prover: 32 bytes in hexadecimal. An identity is the
/// seed of an Ed25519 key: 32 random bytes, kept secret.
///
/// # Errors
/// Throws a `CrowdfoldError` of kind `Argument`.
#[wasm_bindgen(js_name = publicKey)]
pub fn public_key(identity: &Uint8Array) -> Result<String, Error> {
    Ok(PublicKey(SigningKey::from_bytes(&read(identity)?).verifying_key().to_bytes()).to_string())
}

/// The identity of one of several provers that share an owner's: slot 0 has it itself, each other slot a hash of it, from
/// which nobody learns it.
///
/// # Errors
/// Throws a `CrowdfoldError` of kind `Argument`.
#[wasm_bindgen(js_name = deriveIdentity)]
pub fn derive_identity(identity: &Uint8Array, slot: f64) -> Result<Vec<u8>, Error> {
    let expected = "a whole number from 0 to 4294967295";
    // What does not fit saturates, and is another number then.
    let number = slot as u32;
    if f64::from(number) != slot {
        return Err(Error::Argument { what: "slot", expected });
    }
    Ok(derive(&read(identity)?, number).to_vec())
}

fn derive(identity: &Seed, slot: u32) -> Seed {
    match slot {
        0 => *identity,
        slot => Sha256::new()
            .chain_update(SLOT_TAG)
            .chain_update(identity)
            .chain_update(slot.to_le_bytes())
            .finalize()
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_slot_has_an_identity_of_its_own() {
        let (one, other) = ([1; 32], [2; 32]);
        assert_eq!(derive(&one, 0), one);
        let all: BTreeSet<Seed> = (0..100).flat_map(|slot| [derive(&one, slot), derive(&other, slot)]).collect();
        assert_eq!(all.len(), 200);
        // Stored proofs lie under it: it must not change.
        assert_eq!(hex::encode(derive(&one, 1)), "8c11eb752cec03f96b0f827a2c1ac4fc2ffbe571bb150c1553c699e8bf1ffa1a");
    }
}
