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
    /// Takes the low 128 bits of a hash output (373 rows).
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
