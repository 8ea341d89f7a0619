//! Replacing a leaf in the tree.

use std::array::from_fn;

use crowdfold_fold::Fr;
use crowdfold_fold::gadgets::num::{Lc, Num, enforce};
use crowdfold_fold::poseidon::circuit::{first_sbox, hash_from_first_sboxes};
use crowdfold_fold::poseidon::first_constant;
use ff::Field;
use nova_snark::frontend::{ConstraintSystem, SynthesisError};

use super::super::account::{Index, TREE_ARITY, TREE_DEPTH};

/// Bits of an index at each level.
const DIGIT_BITS: usize = Index::BITS / TREE_DEPTH;

/// Children of a node, as the outputs of their first S-boxes.
pub(super) type Children = [Lc<Fr>; TREE_ARITY];

/// Replaces the leaf at `index` (bits, least significant first) by another in the tree whose root has the children
/// `top`.
///
/// # Errors
/// Those of the constraint system. If `old` is not the leaf there, rows stay unsatisfied.
pub(super) fn replace<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    top: &mut Children,
    index: &[Num<Fr>; Index::BITS],
    old: Lc<Fr>,
    new: Lc<Fr>,
    siblings: &[[Fr; TREE_ARITY - 1]; TREE_DEPTH - 1],
) -> Result<(), SynthesisError> {
    let (mut old, mut new) = (old, new);
    let (digits, _) = index.as_chunks::<DIGIT_BITS>();
    for (digit, siblings) in digits.iter().zip(siblings) {
        let place = Place::new(cs, digit, &old, &new)?;
        let position = digit.iter().rev().fold(0, |acc, bit| 2 * acc + usize::from(bit.value == Fr::ONE));
        let mut outputs = siblings.to_vec();
        outputs.insert(position, place.old.value);
        let outputs: Vec<Lc<Fr>> =
            outputs.iter().map(|o| Ok(Num::alloc(cs, *o)?.into())).collect::<Result<_, SynthesisError>>()?;
        let mut children: Children = outputs.try_into().expect("one for each child");
        let cs = &mut cs.namespace(|| "node");
        place.expect_old(cs, &children)?;
        old = hash_from_first_sboxes(cs, &children)?.into();
        place.put_new(cs, &mut children)?;
        new = hash_from_first_sboxes(cs, &children)?.into();
    }
    let place = Place::new(cs, &digits[TREE_DEPTH - 1], &old, &new)?;
    let cs = &mut cs.namespace(|| "top");
    place.expect_old(cs, top)?;
    place.put_new(cs, top)
}

/// A place among the children of a node, and what is and will be there.
struct Place<'a> {
    /// Bits of the position, least significant first.
    digit: &'a [Num<Fr>; DIGIT_BITS],
    /// First S-box output of what is there.
    old: Num<Fr>,
    /// That of what will be.
    new: Num<Fr>,
}

impl<'a> Place<'a> {
    /// Takes both through the first S-box of the place (eight rows).
    fn new<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        digit: &'a [Num<Fr>; DIGIT_BITS],
        old: &Lc<Fr>,
        new: &Lc<Fr>,
    ) -> Result<Self, SynthesisError> {
        let [b0, b1, b2] = *digit;
        let both = Num::product(cs, &b0.into(), &b1.into())?;
        let c: [Fr; TREE_ARITY] = from_fn(|i| first_constant(TREE_ARITY, i));
        // The four constants from `at` on, chosen by the two lower bits.
        let of_four = |at: usize| {
            Lc::constant(c[at])
                .plus(c[at + 1] - c[at], &b0)
                .plus(c[at + 2] - c[at], &b1)
                .plus(c[at + 3] - c[at + 2] - c[at + 1] + c[at], &both)
        };
        let (lower, upper) = (of_four(0), of_four(4));
        let constant: Lc<Fr> = Num::select(cs, &b2.into(), &upper, &lower)?.into();
        Ok(Self { digit, old: first_sbox(cs, old, &constant)?, new: first_sbox(cs, new, &constant)? })
    }

    /// Enforces that the child at the place is the old one (seven rows).
    fn expect_old<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS, children: &Children) -> Result<(), SynthesisError> {
        let [b0, b1, b2] = self.digit.each_ref().map(Lc::from);
        let cs = &mut cs.namespace(|| "old");
        let mut pairs = Vec::with_capacity(4);
        for pair in children.chunks_exact(2) {
            pairs.push(Lc::from(Num::select(cs, &b0, &pair[1], &pair[0])?));
        }
        let lower = Num::select(cs, &b1, &pairs[1], &pairs[0])?;
        let upper = Num::select(cs, &b1, &pairs[3], &pairs[2])?;
        enforce(cs, &b2, &Lc::from(upper).plus(-Fr::ONE, &lower), &Lc::from(self.old).plus(-Fr::ONE, &lower));
        Ok(())
    }

    /// Replaces the child at the place by the new one (seven rows).
    fn put_new<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS, children: &mut Children) -> Result<(), SynthesisError> {
        let mut parts = vec![Lc::from(self.new).plus(-Fr::ONE, &self.old)];
        for bit in self.digit.iter().rev() {
            let mut halves = Vec::with_capacity(2 * parts.len());
            for part in parts {
                let upper = Num::product(cs, &bit.into(), &part)?;
                halves.push(part.plus(-Fr::ONE, &upper));
                halves.push(upper.into());
            }
            parts = halves;
        }
        for (child, part) in children.iter_mut().zip(&parts) {
            *child = child.clone() + part;
        }
        Ok(())
    }
}
