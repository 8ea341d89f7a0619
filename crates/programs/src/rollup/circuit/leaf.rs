//! An account as a leaf, before and after a transaction.

use crowdfold_fold::Fr;
use crowdfold_fold::gadgets::num::{Lc, Num};
use crowdfold_fold::poseidon::circuit::{first_sbox, hash_from_first_sboxes};
use crowdfold_fold::poseidon::first_constant;
use ff::Field;
use nova_snark::frontend::{ConstraintSystem, SynthesisError};

use super::slot::flag;
use super::witness::AccessWitness;

/// Inputs of a leaf's hash.
const INPUTS: usize = 4;

/// An account that may exist.
pub(super) struct Leaf {
    /// One where there is none.
    pub(super) empty: Num<Fr>,
    /// Coordinates of its public key.
    pub(super) key: [Num<Fr>; 2],
    /// What it holds.
    pub(super) balance: Num<Fr>,
    /// Transactions signed so far.
    pub(super) nonce: Num<Fr>,
    /// First S-box outputs of key and nonce.
    outputs: [Num<Fr>; 3],
}

impl Leaf {
    pub(super) fn alloc<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        witness: &AccessWitness,
    ) -> Result<Self, SynthesisError> {
        let empty = flag(&mut cs.namespace(|| "empty"), witness.empty)?;
        let key = [Num::alloc(cs, witness.key[0])?, Num::alloc(cs, witness.key[1])?];
        let [balance, nonce] = [Num::alloc(cs, witness.balance)?, Num::alloc(cs, witness.nonce)?];
        let outputs = [output(cs, 0, &key[0].into())?, output(cs, 1, &key[1].into())?, output(cs, 3, &nonce.into())?];
        Ok(Self { empty, key, balance, nonce, outputs })
    }

    /// What is in the tree now: zero if the account does not exist.
    pub(super) fn before<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS) -> Result<Lc<Fr>, SynthesisError> {
        let exists = Lc::one().plus(-Fr::ONE, &self.empty);
        self.with(cs, &exists, &self.balance.into(), self.outputs[2])
    }

    /// What will be in the tree, with another balance and the nonce as it was.
    pub(super) fn with_balance<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        exists: &Lc<Fr>,
        balance: &Lc<Fr>,
    ) -> Result<Lc<Fr>, SynthesisError> {
        self.with(cs, exists, balance, self.outputs[2])
    }

    /// What will be in the tree, with another balance and nonce.
    pub(super) fn with_balance_and_nonce<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        exists: &Lc<Fr>,
        balance: &Lc<Fr>,
        nonce: &Lc<Fr>,
    ) -> Result<Lc<Fr>, SynthesisError> {
        let nonce = output(cs, 3, nonce)?;
        self.with(cs, exists, balance, nonce)
    }

    fn with<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        exists: &Lc<Fr>,
        balance: &Lc<Fr>,
        nonce: Num<Fr>,
    ) -> Result<Lc<Fr>, SynthesisError> {
        let balance = output(cs, 2, balance)?;
        let [x, y, _] = self.outputs;
        let hash = hash_from_first_sboxes(cs, &[x.into(), y.into(), balance.into(), nonce.into()])?;
        Ok(Num::product(cs, exists, &hash.into())?.into())
    }
}

fn output<CS: ConstraintSystem<Fr>>(cs: &mut CS, position: usize, x: &Lc<Fr>) -> Result<Num<Fr>, SynthesisError> {
    first_sbox(cs, x, &Lc::constant(first_constant(INPUTS, position)))
}
