//! `vectors/eddsa.json` and `vectors/poseidon.json`, which zk-kit and poseidon-lite made.

use crowdfold_fold::{Fr, poseidon};
use ff::PrimeField;
use serde::Deserialize;

use crate::eddsa::{Point, PublicKey, SecretKey, Signature, verify};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Signer {
    secret: String,
    public_key: [String; 2],
    packed_public_key: String,
    signatures: Vec<Signed>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    message: String,
    r8: [String; 2],
    s: String,
    packed: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hashed {
    inputs: Vec<String>,
    hash: String,
}

fn element(decimal: &str) -> Fr {
    Fr::from_str_vartime(decimal).expect("a decimal number below r")
}

fn point(decimals: &[String; 2]) -> Point {
    Point { x: element(&decimals[0]), y: element(&decimals[1]) }
}

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).expect("hexadecimal").try_into().expect("the right length")
}

#[test]
fn keys_and_signatures_are_those_of_zk_kit() {
    let signers: Vec<Signer> = serde_json::from_str(include_str!("../../../../../vectors/eddsa.json")).unwrap();
    assert_eq!(signers.len(), 8);
    for signer in signers {
        let key = SecretKey::from_bytes(bytes(&signer.secret));
        let public = PublicKey(point(&signer.public_key));
        assert_eq!(key.public(), public);
        assert_eq!(public.pack(), bytes(&signer.packed_public_key));
        assert_eq!(PublicKey::unpack(&bytes(&signer.packed_public_key)), Some(public));
        assert!(signer.signatures.len() >= 2);
        for signed in signer.signatures {
            let message = element(&signed.message);
            let signature = key.sign(message);
            assert_eq!(signature.r8, point(&signed.r8));
            // S is below r too, where decimals are read.
            assert_eq!(signature.s.to_bytes(), element(&signed.s).to_bytes());
            assert_eq!(signature.to_bytes(), bytes(&signed.packed));
            assert_eq!(Signature::from_bytes(&bytes(&signed.packed)), Some(signature));
            assert!(verify(&public, message, &signature));
        }
    }
}

#[test]
fn poseidon_is_that_of_poseidon_lite() {
    let vectors: Vec<Hashed> = serde_json::from_str(include_str!("../../../../../vectors/poseidon.json")).unwrap();
    let mut seen = [false; poseidon::MAX_INPUTS];
    for vector in vectors {
        let inputs: Vec<Fr> = vector.inputs.iter().map(|input| element(input)).collect();
        assert_eq!(poseidon::hash(&inputs), element(&vector.hash), "{} inputs", inputs.len());
        seen[inputs.len() - 1] = true;
    }
    assert_eq!(seen, [true; poseidon::MAX_INPUTS]);
}
