//! EdDSA-Poseidon on Baby Jubjub (EIP-2494), byte for byte as `@zk-kit/eddsa-poseidon` 1.1.0 and circomlib make and
//! check it.
//!
//! A signature of the field element `M` by the key `A` is `(R8, S)` with `S B8 = R8 + 8 h A`, where `h = Poseidon(R8.x,
//! R8.y, A.x, A.y, M)` is taken as an integer. Keys and nonces come from BLAKE-512, the finalist of the SHA-3
//! competition. Nothing is multiplied by the cofactor before it is compared, so `R8` of a valid signature lies in the
//! subgroup.
//!
//! Speed was preferred to constant time: table lookups depend on secret digits, so signing may leak through caches to
//! code that shares the processor. Verification handles public values only.
//!
//! ```
//! use crowdfold_programs::eddsa::{SecretKey, verify, verify_batch};
//! use crowdfold_fold::Fr;
//! use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
//!
//! let mut rng = ChaCha20Rng::seed_from_u64(1);
//! let key = SecretKey::random(&mut rng);
//! let signature = key.sign(Fr::from(7));
//! assert!(verify(&key.public(), Fr::from(7), &signature));
//! assert!(!verify(&key.public(), Fr::from(8), &signature));
//! let batch = [(key.public(), Fr::from(7), signature), (key.public(), Fr::from(8), signature)];
//! assert_eq!(verify_batch(&batch, &mut rng), Err(vec![1]));
//! ```

mod batch;
mod blake512;
pub mod circuit;
mod extended;
mod keys;
mod msm;
mod point;
mod scalar;
mod signature;
mod subgroup;
#[cfg(test)]
mod tests;

pub use batch::verify_batch;
pub use keys::{PublicKey, SecretKey};
pub use point::Point;
pub use scalar::Scalar;
pub use signature::{Signature, verify};
