//! Hashes and challenges, natively and in circuits, side by side (`docs/spec/folding.md`, sections 2 and 5).
//!
//! Each hash starts with a tag of its own, which also fixes the number of inputs, so the encoding is prefix-free.

use crate::curve::{Fr, effective_challenge, halves};
use crate::gadgets::foreign::ForeignPoint;
use crate::gadgets::grumpkin::{GkPoint, RHO_BITS, Rho, rho_from_bits};
use crate::gadgets::num::{Lc, Num};
use crate::gadgets::{bits, num};
use crate::poseidon;
use ff::{Field, PrimeField};
use nova_snark::frontend::{ConstraintSystem, SynthesisError};

/// What is hashed; the number is the first input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// A state vector.
    State = 1,
    /// Who proves what for whom.
    Context = 2,
    /// Public value of a step instance.
    Step = 3,
    /// The part of a merge instance's public value that a step's has too.
    MergeInner = 4,
    /// Public value of a merge instance.
    Merge = 5,
    /// Challenge that folds a fresh instance into its accumulator.
    Fold = 6,
    /// Challenge that folds a CycleFold instance into its accumulator.
    CycleFold = 7,
    /// Challenge that merges the accumulators of two children.
    MergeFold = 8,
    /// Challenge that merges the CycleFold accumulators of two children.
    MergeCycleFold = 9,
    /// A leaf of the binding tree.
    Leaf = 10,
    /// A node of the binding tree.
    Node = 11,
    /// The transcript state of an absent right child.
    Nil = 12,
}

/// "crowdfold" without its vowels, so that a tag is unlikely to be another protocol's input.
const DOMAIN: u128 = 0x63_7277_6466_6c64;

impl Tag {
    /// The first input of a hash of `inputs` further ones.
    pub fn element(self, inputs: usize) -> Fr {
        Fr::from_u128(DOMAIN << 64 | (self as u128) << 32 | inputs as u128)
    }
}

/// `H(tag, inputs)`.
pub fn hash(tag: Tag, inputs: &[Fr]) -> Fr {
    let mut all = Vec::with_capacity(inputs.len() + 1);
    all.push(tag.element(inputs.len()));
    all.extend_from_slice(inputs);
    poseidon::hash_long(&all)
}

/// `H(tag, inputs)` in a circuit.
///
/// # Errors
/// Those of the constraint system.
pub fn hash_circuit<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    tag: Tag,
    inputs: &[Lc<Fr>],
) -> Result<Num<Fr>, SynthesisError> {
    hash_circuit_with(cs, Lc::constant(tag.element(inputs.len())), inputs)
}

/// [`hash_circuit`] with the first input given, where a circuit selects the tag.
///
/// # Errors
/// Those of the constraint system.
pub fn hash_circuit_with<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    tag: Lc<Fr>,
    inputs: &[Lc<Fr>],
) -> Result<Num<Fr>, SynthesisError> {
    let mut all = Vec::with_capacity(inputs.len() + 1);
    all.push(tag);
    all.extend_from_slice(inputs);
    poseidon::circuit::hash_long(cs, &all)
}

/// A challenge of the BN254 side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoldChallenge {
    /// The 128 bits that CycleFold takes.
    pub bits: u128,
    /// The scalar they stand for.
    pub effective: Fr,
}

impl FoldChallenge {
    /// The challenge in a hash output: its low 128 bits.
    pub fn from_hash(hash: &Fr) -> Self {
        let bits = halves(hash)[0];
        Self { bits, effective: effective_challenge(bits) }
    }
}

/// The challenge of the CycleFold side in a hash output, below 2^128.
pub fn rho_from_hash(hash: &Fr) -> u128 {
    rho_from_bits(halves(hash)[0] & ((1 << RHO_BITS) - 1))
}

/// A challenge of the BN254 side in a circuit.
#[derive(Clone, Debug)]
pub struct FoldChallengeVar {
    /// The scalar.
    pub effective: Num<Fr>,
    /// Low 85 and high 43 of the 128 bits: the limbs of CycleFold's last public input, whose third is zero.
    pub limbs: [Num<Fr>; 2],
    /// The 128 bits as a number, for the witness of CycleFold.
    pub bits: u128,
}

impl FoldChallengeVar {
    /// Takes the low 128 bits of a hash output (371 rows).
    ///
    /// # Errors
    /// Those of the constraint system.
    pub fn from_hash<CS: ConstraintSystem<Fr>>(cs: &mut CS, hash: &Num<Fr>) -> Result<Self, SynthesisError> {
        let mut all = bits::hash_bits(cs, hash)?;
        all.truncate(128);
        let value = FoldChallenge::from_hash(&hash.value);
        let (signs, exponents) = all.split_at(64);
        let both = signs
            .iter()
            .zip(exponents)
            .map(|(s, e)| Num::product(cs, &s.into(), &e.into()))
            .collect::<Result<Vec<_>, _>>()?;
        // sum 2^i (2 y - 1)(1 + (lambda - 1) e) + 2^64 (1 + lambda)
        //   = sum 2^i (2 y + (lambda - 1)(2 y e - e)) + 2^64 (1 + lambda) - (2^64 - 1).
        let effective = Num::alloc(cs, value.effective)?;
        cs.enforce(
            || "",
            |mut lc| {
                let lambda = crate::curve::ENDOMORPHISM.lambda;
                let constant = Fr::from_u128(1 << 64) * lambda + Fr::ONE;
                lc = lc + (constant, num::ONE);
                let mut weight = Fr::ONE;
                for i in 0..64 {
                    let scaled = weight * (lambda - Fr::ONE);
                    lc = lc + (weight.double(), signs[i].var) - (scaled, exponents[i].var);
                    lc = lc + (scaled.double(), both[i].var);
                    weight = weight.double();
                }
                lc
            },
            |lc| lc + num::ONE,
            |lc| lc + effective.var,
        );
        let (low, high) = all.split_at(crate::curve::LIMB_BITS);
        let limbs = [bits::recompose(cs, low)?, bits::recompose(cs, high)?];
        Ok(Self { effective, limbs, bits: value.bits })
    }
}

/// `state' = H(CycleFold, state, P3, w, t)`: absorbs a CycleFold instance and its cross-term.
pub fn cyclefold_state(state: Fr, p3: &[Fr; 6], w: [Fr; 2], t: [Fr; 2]) -> Fr {
    let [a, b, c, d, e, f] = *p3;
    hash(Tag::CycleFold, &[state, a, b, c, d, e, f, w[0], w[1], t[0], t[1]])
}

/// [`cyclefold_state`] in a circuit, with its challenge.
///
/// # Errors
/// Those of the constraint system.
pub fn cyclefold_state_circuit<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    state: &Num<Fr>,
    p3: &ForeignPoint,
    w: &GkPoint,
    t: &GkPoint,
) -> Result<(Num<Fr>, Rho), SynthesisError> {
    let mut inputs = vec![state.into()];
    inputs.extend(p3.lcs());
    inputs.extend([w.x, w.y, t.x, t.y].map(Lc::from));
    let state = hash_circuit(cs, Tag::CycleFold, &inputs)?;
    let rho = Rho::from_hash(cs, &state)?;
    Ok((state, rho))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::{Fq, LIMB_WIDTHS, to_limbs};
    use crate::gadgets::testing::{integer, power, record, rng};
    use std::collections::BTreeSet;

    #[test]
    fn a_tag_fixes_what_is_hashed_and_how_much() {
        use Tag::*;
        let tags =
            [State, Context, Step, MergeInner, Merge, Fold, CycleFold, MergeFold, MergeCycleFold, Leaf, Node, Nil];
        let elements: BTreeSet<_> = tags.iter().flat_map(|tag| (0..100).map(|n| integer(&tag.element(n)))).collect();
        assert_eq!(elements.len(), tags.len() * 100);
        let inputs = [Fr::from(1), Fr::from(2)];
        let hashes: BTreeSet<_> = tags.iter().map(|tag| integer(&hash(*tag, &inputs))).collect();
        assert_eq!(hashes.len(), tags.len());
    }

    #[test]
    fn hashes_in_circuits_equal_native_ones() {
        for n in [0, 1, 3, 15, 16, 45, 46] {
            let inputs: Vec<Fr> = (0..n).map(|i| Fr::from(i + 10)).collect();
            let (cs, out) = record(|cs| {
                let inputs: Vec<Lc<Fr>> =
                    inputs.iter().map(|v| Num::alloc(cs, *v).map(Lc::from)).collect::<Result<_, _>>()?;
                hash_circuit(cs, Tag::Step, &inputs)
            });
            assert!(cs.is_satisfied());
            assert_eq!(out.value, hash(Tag::Step, &inputs));
        }
    }

    #[test]
    fn a_fold_challenge_comes_from_the_low_bits_of_a_hash() {
        let mut rng = rng(1);
        let edges = [Fr::ZERO, Fr::from_u128(u128::MAX), Fr::from_u128(1 << 64), Fr::from_u128(u128::MAX >> 64)];
        for hash in edges.into_iter().chain((0..5).map(|_| Fr::random(&mut rng))) {
            let (mut cs, r) = record(|cs| {
                let hash = Num::alloc(cs, hash)?;
                FoldChallengeVar::from_hash(cs, &hash)
            });
            assert!(cs.is_satisfied() && cs.free_variables().is_empty());
            assert_eq!(cs.num_rows(), 371);
            let native = FoldChallenge::from_hash(&hash);
            assert_eq!(integer(&Fr::from_u128(native.bits)), integer(&hash) % power(128));
            assert_eq!((r.bits, r.effective.value), (native.bits, native.effective));
            assert_eq!(r.effective.value, effective_challenge(native.bits));
            // CycleFold's last public input has just these limbs and a third of zero.
            let limbs = to_limbs(&Fq::from_u128(native.bits));
            assert_eq!([r.limbs[0].value, r.limbs[1].value, Fr::ZERO], limbs);
            assert!(LIMB_WIDTHS[0] + 43 == 128);
            for num in [r.effective, r.limbs[0], r.limbs[1]] {
                cs.set(num.var, num.value + Fr::ONE);
                assert_eq!(cs.unsatisfied().len(), 1);
                cs.set(num.var, num.value);
            }
        }
    }

    #[test]
    fn a_cyclefold_state_binds_all_it_absorbs() {
        let base: [u64; 11] = std::array::from_fn(|i| i as u64);
        let state = |v: [u64; 11]| {
            let f = v.map(Fr::from);
            let p3 = std::array::from_fn(|i| f[1 + i]);
            integer(&cyclefold_state(f[0], &p3, [f[7], f[8]], [f[9], f[10]]))
        };
        let mut states = BTreeSet::from([state(base)]);
        for i in 0..11 {
            let mut other = base;
            other[i] += 100;
            states.insert(state(other));
        }
        assert_eq!(states.len(), 12);
    }
}
