//! Verification of many signatures at once.
//!
//! The sides of `S B8 = R8 + 8 h A` are multiplied by random weights `z < 2^128` and summed up:
//!
//! `(sum z S) B8 = sum z R8 + 8 sum (z h mod l) A`.
//!
//! The batch accepts what single verification accepts, because that implies `R8` in the subgroup (`B8` and `8 A` are),
//! which is checked here for each signature by itself. Then all terms lie in a group of prime order `l > 2^128`, and if
//! some equation fails, at most one value of its weight makes the sum hold, whatever the other weights: probability
//! `2^-128`. Without that check, components of order 2, 4 or 8 would vanish, or cancel each other, under every second
//! choice of weights.

use rand_core::{CryptoRng, RngCore};

use crowdfold_fold::Fr;

use super::extended::Extended;
use super::keys::PublicKey;
use super::msm::sum_of_multiples;
use super::point::Point;
use super::scalar::Scalar;
use super::signature::{Signature, challenge, equation_holds};

const WEIGHT_BITS: usize = 128;

/// Up to so many equations are faster checked one by one.
const MAX_SINGLE: usize = 2;

/// Verifies signatures of messages under keys: accepts what [`super::verify`] accepts for each, up to a chance of
/// `2^-128` to accept a false one. Runs on the calling thread; callers with more of them split the batch.
///
/// The weights must be unpredictable to whoever made the signatures. If some signatures are false, the batch is halved
/// until they are found, which costs about three times single verification if all are.
///
/// # Errors
/// The indices of all signatures that are not valid, in ascending order.
pub fn verify_batch(
    signatures: &[(PublicKey, Fr, Signature)],
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<(), Vec<usize>> {
    let mut invalid = Vec::new();
    let mut equations = Vec::with_capacity(signatures.len());
    for (index, (key, message, signature)) in signatures.iter().enumerate() {
        if key.is_valid() && signature.r8.in_subgroup() {
            let challenge = challenge(&signature.r8, key, *message);
            equations.push(Equation { index, key, signature, challenge });
        } else {
            invalid.push(index);
        }
    }
    find_false(&equations, false, rng, &mut invalid);
    if invalid.is_empty() {
        return Ok(());
    }
    invalid.sort_unstable();
    Err(invalid)
}

/// `S B8 = R8 + 8 h A` for a valid key and `R8` in the subgroup.
struct Equation<'a> {
    index: usize,
    key: &'a PublicKey,
    signature: &'a Signature,
    challenge: Scalar,
}

/// Adds the indices of equations that are false, of which there is one at least if `known`; says whether there was any.
fn find_false(
    equations: &[Equation<'_>],
    known: bool,
    rng: &mut (impl CryptoRng + RngCore),
    invalid: &mut Vec<usize>,
) -> bool {
    if equations.len() <= MAX_SINGLE {
        let before = invalid.len();
        let single = |equation: &&Equation<'_>| !equation_holds(equation.key, &equation.challenge, equation.signature);
        invalid.extend(equations.iter().filter(single).map(|equation| equation.index));
        return invalid.len() > before;
    }
    if !known && combination_holds(equations, rng) {
        return false;
    }
    let (left, right) = equations.split_at(equations.len() / 2);
    let in_left = find_false(left, false, rng, invalid);
    find_false(right, !in_left, rng, invalid);
    true
}

fn combination_holds(equations: &[Equation<'_>], rng: &mut (impl CryptoRng + RngCore)) -> bool {
    let weights: Vec<u128> = equations
        .iter()
        .map(|_| {
            let mut bytes = [0; WEIGHT_BITS / 8];
            rng.fill_bytes(&mut bytes);
            u128::from_le_bytes(bytes)
        })
        .collect();
    let weighted = || equations.iter().zip(weights.iter().map(|weight| Scalar::from(*weight)));

    let keys: Vec<Point> = equations.iter().map(|equation| equation.key.0).collect();
    let multiples: Vec<[u64; 4]> = weighted().map(|(equation, z)| (z * equation.challenge).words()).collect();
    let right = sum_of_multiples(&keys, &multiples, Scalar::BITS).times8();

    let nonces: Vec<Point> = equations.iter().map(|equation| equation.signature.r8).collect();
    let multiples: Vec<[u64; 4]> = weighted().map(|(_, z)| z.words()).collect();
    let right = right.plus(&sum_of_multiples(&nonces, &multiples, WEIGHT_BITS));

    let s = weighted().map(|(equation, z)| z * equation.signature.s).sum();
    Extended::base8_times(&s).equals(&right)
}
