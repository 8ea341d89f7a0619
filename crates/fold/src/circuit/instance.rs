//! Instances inside circuits, and the folds that S and M share.

use super::cyclefold::CF_IO;
use crate::curve::{Fr, G1Affine, GkAffine, LIMBS};
use crate::gadgets::foreign::{ForeignNum, ForeignPoint, constant_point};
use crate::gadgets::grumpkin::{GkPoint, Rho};
use crate::gadgets::lazy::reduce;
use crate::gadgets::num::{Lc, Num, enforce};
use crate::instance::{CfHint, CfInstance, RelaxedInstance};
use crate::transcript::{FoldChallengeVar, Tag, cyclefold_state_circuit, hash_circuit};
use ff::Field;
use nova_snark::frontend::{ConstraintSystem, SynthesisError};

/// Constants of the commitment keys that the circuits know: the commitments of default instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blinding {
    /// Blinding base on BN254.
    pub h: G1Affine,
    /// Blinding base on Grumpkin.
    pub h_cf: GkAffine,
}

/// [`RelaxedInstance`] in a circuit.
#[derive(Clone, Copy, Debug)]
pub struct RelaxedVar {
    /// Commitment to the witness.
    pub w: ForeignPoint,
    /// Commitment to the error vector.
    pub e: ForeignPoint,
    /// The scalar u.
    pub u: Num<Fr>,
    /// The public value.
    pub x: Num<Fr>,
}

impl RelaxedVar {
    /// Allocates an instance that a hash vouches for.
    ///
    /// # Errors
    /// Those of the constraint system.
    pub fn alloc<CS: ConstraintSystem<Fr>>(cs: &mut CS, value: &RelaxedInstance) -> Result<Self, SynthesisError> {
        Ok(Self {
            w: ForeignPoint::alloc_trusted(cs, &value.comm_w)?,
            e: ForeignPoint::alloc_trusted(cs, &value.comm_e)?,
            u: Num::alloc(cs, value.u)?,
            x: Num::alloc(cs, value.x)?,
        })
    }

    /// What a hash absorbs, in the order of [`RelaxedInstance::elements`].
    pub fn lcs(&self) -> Vec<Lc<Fr>> {
        let mut all = Vec::with_capacity(4 * LIMBS + 2);
        all.extend(self.w.lcs());
        all.extend(self.e.lcs());
        all.extend([self.u, self.x].map(Lc::from));
        all
    }

    /// `if bit { yes } else { no }` (14 rows).
    ///
    /// # Errors
    /// Those of the constraint system.
    pub fn select<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        bit: &Lc<Fr>,
        yes: &Self,
        no: &Self,
    ) -> Result<Self, SynthesisError> {
        Ok(Self {
            w: ForeignPoint::select(cs, bit, &yes.w.lcs(), &no.w)?,
            e: ForeignPoint::select(cs, bit, &yes.e.lcs(), &no.e)?,
            u: Num::select(cs, bit, &yes.u.into(), &no.u.into())?,
            x: Num::select(cs, bit, &yes.x.into(), &no.x.into())?,
        })
    }

    /// `if bit { default } else { self }` (14 rows).
    ///
    /// # Errors
    /// Those of the constraint system.
    pub fn default_when<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        bit: &Lc<Fr>,
        h: &G1Affine,
    ) -> Result<Self, SynthesisError> {
        let h = constant_point(h);
        Ok(Self {
            w: ForeignPoint::select(cs, bit, &h, &self.w)?,
            e: ForeignPoint::select(cs, bit, &h, &self.e)?,
            u: Num::select(cs, bit, &Lc::zero(), &self.u.into())?,
            x: Num::select(cs, bit, &Lc::zero(), &self.x.into())?,
        })
    }

    /// Folds a fresh instance `(w, x)` with cross-term commitment `t` in, each group operation proved by CycleFold.
    /// Returns the folded instance and the transcript's state after both operations.
    ///
    /// # Errors
    /// Those of the constraint system.
    pub fn fold<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        (w, x): (&ForeignPoint, &Num<Fr>),
        t: &ForeignPoint,
        cf: &mut CfVar,
        hints: &[CfHint; 2],
    ) -> Result<(Self, Num<Fr>), SynthesisError> {
        let mut inputs = vec![x.into()];
        inputs.extend(w.lcs());
        inputs.extend(t.lcs());
        let mut state = hash_circuit(cs, Tag::Fold, &inputs)?;
        let r = FoldChallengeVar::from_hash(cs, &state)?;
        let comm_w = cf.fold(cs, &mut state, (&self.w, w, &r), &hints[0])?;
        let comm_e = cf.fold(cs, &mut state, (&self.e, t, &r), &hints[1])?;
        let u = Num::alloc(cs, self.u.value + r.effective.value)?;
        enforce(cs, &Lc::from(self.u).plus(Fr::ONE, &r.effective), &Lc::one(), &u.into());
        let x = multiply_add(cs, &self.x, &r.effective, x)?;
        Ok((Self { w: comm_w, e: comm_e, u, x }, state))
    }

    /// Merges `other` in with cross-term commitment `t` and challenge `r`; CycleFold's accumulator and transcript take
    /// the three operations.
    ///
    /// # Errors
    /// Those of the constraint system.
    pub fn merge<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        other: &Self,
        (t, r): (&ForeignPoint, &FoldChallengeVar),
        (cf, state): (&mut CfVar, &mut Num<Fr>),
        hints: &[CfHint; 3],
    ) -> Result<Self, SynthesisError> {
        let w = cf.fold(cs, state, (&self.w, &other.w, r), &hints[0])?;
        let v = cf.fold(cs, state, (t, &other.e, r), &hints[1])?;
        let e = cf.fold(cs, state, (&self.e, &v, r), &hints[2])?;
        let u = multiply_add(cs, &self.u, &r.effective, &other.u)?;
        let x = multiply_add(cs, &self.x, &r.effective, &other.x)?;
        Ok(Self { w, e, u, x })
    }
}

/// Allocates `a + b c` (one row).
fn multiply_add<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    a: &Num<Fr>,
    b: &Num<Fr>,
    c: &Num<Fr>,
) -> Result<Num<Fr>, SynthesisError> {
    let out = Num::alloc(cs, a.value + b.value * c.value)?;
    cs.enforce(|| "", |lc| lc + b.var, |lc| lc + c.var, |lc| lc + out.var - a.var);
    Ok(out)
}

/// [`CfInstance`] in a circuit.
#[derive(Clone, Copy, Debug)]
pub struct CfVar {
    /// Commitment to the witness.
    pub w: GkPoint,
    /// Commitment to the error vector.
    pub e: GkPoint,
    /// Unreduced limbs of u. In S only the first is ever set.
    pub u: ForeignNum,
    /// Unreduced limbs of the public inputs.
    pub x: [ForeignNum; CF_IO],
}

impl CfVar {
    /// Allocates an instance that a hash vouches for.
    ///
    /// # Errors
    /// Those of the constraint system.
    pub fn alloc<CS: ConstraintSystem<Fr>>(cs: &mut CS, value: &CfInstance) -> Result<Self, SynthesisError> {
        let w = GkPoint::alloc_trusted(cs, &value.comm_w)?;
        let e = GkPoint::alloc_trusted(cs, &value.comm_e)?;
        let u = ForeignNum::alloc_trusted(cs, &value.u)?;
        let x = map_io(|i| ForeignNum::alloc_trusted(cs, &value.x[i]))?;
        Ok(Self { w, e, u, x })
    }

    /// What the hash of a step absorbs, in the order of [`CfInstance::elements`].
    pub fn lcs(&self) -> Vec<Lc<Fr>> {
        let mut all: Vec<Lc<Fr>> = [self.w.x, self.w.y, self.e.x, self.e.y, self.u.0[0]].map(Lc::from).to_vec();
        all.extend(self.x.iter().flat_map(ForeignNum::lcs));
        all
    }

    /// `if bit { default } else { self }` (28 rows).
    ///
    /// # Errors
    /// Those of the constraint system.
    pub fn default_when<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        bit: &Lc<Fr>,
        h: &GkAffine,
    ) -> Result<Self, SynthesisError> {
        let zero = [Lc::zero(), Lc::zero(), Lc::zero()];
        Ok(Self {
            w: GkPoint::select(cs, bit, h, &self.w)?,
            e: GkPoint::select(cs, bit, h, &self.e)?,
            u: ForeignNum::select(cs, bit, &zero, &self.u)?,
            x: map_io(|i| ForeignNum::select(cs, bit, &zero, &self.x[i]))?,
        })
    }

    /// Folds the CF instance of `p3 = p1 + r p2` in, moves the transcript on and returns the range-checked `p3`.
    ///
    /// # Errors
    /// Those of the constraint system.
    pub fn fold<CS: ConstraintSystem<Fr>>(
        &mut self,
        cs: &mut CS,
        state: &mut Num<Fr>,
        (p1, p2, r): (&ForeignPoint, &ForeignPoint, &FoldChallengeVar),
        hint: &CfHint,
    ) -> Result<ForeignPoint, SynthesisError> {
        let p3 = ForeignPoint::alloc_checked(cs, &hint.p3)?;
        let w = GkPoint::alloc_checked(cs, &hint.w)?;
        let t = GkPoint::alloc_checked(cs, &hint.t)?;
        let (next, rho) = cyclefold_state_circuit(cs, state, &p3, &w, &t)?;
        *state = next;
        self.fold_commitments(cs, &w, &t, &rho)?;
        self.u.0[0] = {
            let sum = Num::alloc(cs, self.u.0[0].value + rho.value.value)?;
            enforce(cs, &Lc::from(self.u.0[0]).plus(Fr::ONE, &rho.value), &Lc::one(), &sum.into());
            sum
        };
        for (x, fresh) in self.x.iter_mut().zip([p1.x, p1.y, p2.x, p2.y, p3.x, p3.y]) {
            for (limb, fresh) in x.0.iter_mut().zip(fresh.0) {
                *limb = multiply_add(cs, limb, &rho.value, &fresh)?;
            }
        }
        for (limb, fresh) in self.x[CF_IO - 1].0.iter_mut().zip(r.limbs) {
            *limb = multiply_add(cs, limb, &rho.value, &fresh)?;
        }
        Ok(p3)
    }

    /// `w + rho w2`, `e + rho e2`.
    fn fold_commitments<CS: ConstraintSystem<Fr>>(
        &mut self,
        cs: &mut CS,
        w: &GkPoint,
        e: &GkPoint,
        rho: &Rho,
    ) -> Result<(), SynthesisError> {
        self.w = w.ladder(cs, &rho.bits)?.add(cs, &self.w)?;
        self.e = e.ladder(cs, &rho.bits)?.add(cs, &self.e)?;
        Ok(())
    }

    /// Merges `other` in, whose scalars are reduced first: `e + rho (t + rho e2)`.
    ///
    /// # Errors
    /// Those of the constraint system.
    pub fn merge<CS: ConstraintSystem<Fr>>(
        &mut self,
        cs: &mut CS,
        other: &Self,
        t: &GkPoint,
        rho: &Rho,
    ) -> Result<(), SynthesisError> {
        let error = other.e.ladder(cs, &rho.bits)?.add(cs, t)?;
        self.fold_commitments(cs, &other.w, &error, rho)?;
        let mine = std::iter::once(&mut self.u).chain(&mut self.x);
        let theirs = std::iter::once(&other.u).chain(&other.x);
        for (mine, theirs) in mine.zip(theirs) {
            let theirs = reduce(cs, theirs)?;
            for (limb, fresh) in mine.0.iter_mut().zip(theirs.0) {
                *limb = multiply_add(cs, limb, &rho.value, &fresh)?;
            }
        }
        Ok(())
    }
}

/// Builds one number for each public input of CF.
fn map_io(
    mut make: impl FnMut(usize) -> Result<ForeignNum, SynthesisError>,
) -> Result<[ForeignNum; CF_IO], SynthesisError> {
    let all = (0..CF_IO).map(&mut make).collect::<Result<Vec<_>, _>>()?;
    Ok(std::array::from_fn(|i| all[i]))
}
