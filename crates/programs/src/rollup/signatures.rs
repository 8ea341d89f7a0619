//! Checks of many signatures, apart from execution.

use super::rules::Refusal;
use super::transaction::SignedTransaction;
use crate::eddsa::{PublicKey, Signature, verify, verify_batch};
use crowdfold_fold::Fr;
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, RngCore, SeedableRng};
use rayon::prelude::*;

/// Signatures that one thread checks together.
const CHUNK: usize = 512;

/// A signed transaction whose signature is valid under a key. Whether that is the key of the account is seen when it is
/// executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    signed: SignedTransaction,
    key: PublicKey,
}

impl Verified {
    /// Checks one signature, for the rollup of `domain`.
    ///
    /// # Errors
    /// [`Refusal::BadSignature`].
    pub fn new(signed: SignedTransaction, key: PublicKey, domain: Fr) -> Result<Self, Refusal> {
        let transaction = signed.transaction();
        if verify(&key, transaction.message(domain), signed.signature()) {
            Ok(Self { signed, key })
        } else {
            Err(Refusal::BadSignature { index: transaction.from() })
        }
    }

    /// Checks many signatures at once, each under the key beside it, on the threads of rayon's current pool. The
    /// weights of [`verify_batch`] come from `rng`, which must be unpredictable to those who signed.
    pub fn many(
        candidates: &[(SignedTransaction, PublicKey)],
        domain: Fr,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Vec<Result<Self, Refusal>> {
        let message = |(signed, key): &(SignedTransaction, PublicKey)| {
            (*key, signed.transaction().message(domain), *signed.signature())
        };
        let triples: Vec<_> = candidates.par_iter().with_min_len(CHUNK / 8).map(message).collect();
        let mut verified: Vec<Result<Self, Refusal>> =
            candidates.iter().map(|(signed, key)| Ok(Self { signed: *signed, key: *key })).collect();
        for i in invalid(&triples, rng) {
            verified[i] = Err(Refusal::BadSignature { index: candidates[i].0.transaction().from() });
        }
        verified
    }

    /// The transaction and its signature.
    pub fn signed(&self) -> &SignedTransaction {
        &self.signed
    }

    /// The key that the signature is valid under.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }
}

/// The positions, in ascending order, of signatures that are not valid.
pub(super) fn invalid(triples: &[(PublicKey, Fr, Signature)], rng: &mut (impl CryptoRng + RngCore)) -> Vec<usize> {
    let mut seeds = vec![[0; 32]; triples.len().div_ceil(CHUNK)];
    seeds.iter_mut().for_each(|seed| rng.fill_bytes(seed));
    let check = |(number, (chunk, seed)): (usize, (&[_], [u8; 32]))| {
        let found = verify_batch(chunk, &mut ChaCha20Rng::from_seed(seed)).err().unwrap_or_default();
        found.into_iter().map(|i| number * CHUNK + i).collect::<Vec<_>>()
    };
    triples.par_chunks(CHUNK).zip(seeds).enumerate().flat_map_iter(check).collect()
}
