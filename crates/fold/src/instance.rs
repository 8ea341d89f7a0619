//! Committed instances, natively: fresh and relaxed ones on BN254, and the lazily accumulated one of CycleFold.

use crate::circuit::cyclefold::{self, CF_IO, CfClaim};
use crate::curve::{CommitmentKey, Fq, Fr, G1Affine, Gk, GkAffine, LIMBS, from_limbs, to_limbs};
use crate::error::Error;
use crate::r1cs::{CrossTerm, FreshWitness, RelaxedWitness, Shape};
use crate::transcript::{self, FoldChallenge, rho_from_hash};
use ff::{Field, PrimeField};
use group::Curve;
use nova_snark::frontend::ConstraintSystem;
use nova_snark::frontend::util_cs::witness_cs::WitnessCS;
use rand_core::{CryptoRng, RngCore};

/// Elements that a relaxed instance contributes to a hash.
pub const RELAXED_ELEMENTS: usize = 14;

/// The six limbs of a point, x first.
pub fn point_elements(p: &G1Affine) -> [Fr; 2 * LIMBS] {
    let [a, b, c] = to_limbs(&p.x);
    let [d, e, f] = to_limbs(&p.y);
    [a, b, c, d, e, f]
}

/// A fresh instance of S or M: u = 1, no error, one public value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreshInstance {
    /// Commitment to the witness.
    pub comm_w: G1Affine,
    /// The public value: a hash.
    pub x: Fr,
}

/// A relaxed instance of S or M.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelaxedInstance {
    /// Commitment to the witness.
    pub comm_w: G1Affine,
    /// Commitment to the error vector.
    pub comm_e: G1Affine,
    /// The scalar u.
    pub u: Fr,
    /// The public value.
    pub x: Fr,
}

impl RelaxedInstance {
    /// The default: zero vectors with blinds of one, so both commitments are the blinding base `h`.
    pub fn default_for(h: &G1Affine) -> Self {
        Self { comm_w: *h, comm_e: *h, u: Fr::ZERO, x: Fr::ZERO }
    }

    /// What a hash absorbs: limbs of both commitments, u and x.
    pub fn elements(&self) -> [Fr; RELAXED_ELEMENTS] {
        let [w0, w1, w2, w3, w4, w5] = point_elements(&self.comm_w);
        let [e0, e1, e2, e3, e4, e5] = point_elements(&self.comm_e);
        [w0, w1, w2, w3, w4, w5, e0, e1, e2, e3, e4, e5, self.u, self.x]
    }

    /// The two group operations that fold a fresh instance with cross-term commitment `t` in.
    pub fn fold_claims(&self, fresh: &FreshInstance, t: &G1Affine, r: &FoldChallenge) -> [CfClaim; 2] {
        [CfClaim::compute(self.comm_w, fresh.comm_w, r.bits), CfClaim::compute(self.comm_e, *t, r.bits)]
    }

    /// The folded instance, with the commitments that [`RelaxedInstance::fold_claims`] found.
    #[must_use]
    pub fn fold(&self, fresh: &FreshInstance, claims: &[CfClaim; 2], r: &FoldChallenge) -> Self {
        Self { comm_w: claims[0].p3, comm_e: claims[1].p3, u: self.u + r.effective, x: self.x + r.effective * fresh.x }
    }

    /// The three group operations that merge `other` in: `W + r W2`, `V = t + r E2` and `E + r V`.
    pub fn merge_claims(&self, other: &Self, t: &G1Affine, r: &FoldChallenge) -> [CfClaim; 3] {
        let w = CfClaim::compute(self.comm_w, other.comm_w, r.bits);
        let v = CfClaim::compute(*t, other.comm_e, r.bits);
        let e = CfClaim::compute(self.comm_e, v.p3, r.bits);
        [w, v, e]
    }

    /// The merged instance, with the commitments that [`RelaxedInstance::merge_claims`] found.
    #[must_use]
    pub fn merge(&self, other: &Self, claims: &[CfClaim; 3], r: &FoldChallenge) -> Self {
        Self {
            comm_w: claims[0].p3,
            comm_e: claims[2].p3,
            u: self.u + r.effective * other.u,
            x: self.x + r.effective * other.x,
        }
    }
}

/// The hash of the fold of a fresh instance: state of the transcript, whose low bits are the challenge r.
pub fn fold_state(fresh: &FreshInstance, t: &G1Affine) -> Fr {
    let mut inputs = vec![fresh.x];
    inputs.extend(point_elements(&fresh.comm_w));
    inputs.extend(point_elements(t));
    transcript::hash(transcript::Tag::Fold, &inputs)
}

/// The relaxed instance of CycleFold. Its scalars are accumulated as unreduced limbs (`docs/spec/folding.md`, section
/// 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CfInstance {
    /// Commitment to the witness.
    pub comm_w: GkAffine,
    /// Commitment to the error vector.
    pub comm_e: GkAffine,
    /// Limbs of the scalar u.
    pub u: [Fr; LIMBS],
    /// Limbs of the public inputs.
    pub x: [[Fr; LIMBS]; CF_IO],
}

impl CfInstance {
    /// The default: zero vectors with blinds of one, so both commitments are the blinding base `h`.
    pub fn default_for(h: &GkAffine) -> Self {
        Self { comm_w: *h, comm_e: *h, u: [Fr::ZERO; LIMBS], x: [[Fr::ZERO; LIMBS]; CF_IO] }
    }

    /// The scalar u.
    pub fn u_scalar(&self) -> Fq {
        from_limbs(&self.u)
    }

    /// The public inputs.
    pub fn x_scalars(&self) -> [Fq; CF_IO] {
        self.x.map(|limbs| from_limbs(&limbs))
    }

    /// What the hash of a step absorbs: both commitments, the first limb of u, all limbs of x (26 elements).
    pub fn elements(&self) -> Vec<Fr> {
        let mut all = vec![self.comm_w.x, self.comm_w.y, self.comm_e.x, self.comm_e.y, self.u[0]];
        all.extend(self.x.iter().flatten());
        all
    }

    /// The same scalars with canonical limbs.
    #[must_use]
    fn reduced(&self) -> Self {
        Self { u: to_limbs(&self.u_scalar()), x: self.x_scalars().map(|x| to_limbs(&x)), ..*self }
    }

    fn fold_commitments(&mut self, w: &GkAffine, e: &GkAffine, rho: u128) {
        let rho = Fq::from_u128(rho);
        self.comm_w = (*w * rho + self.comm_w).to_affine();
        self.comm_e = (*e * rho + self.comm_e).to_affine();
    }

    /// Folds the fresh instance of `claim` in.
    fn fold(&mut self, w: &GkAffine, claim: &CfClaim, t: &GkAffine, rho: u128) {
        self.fold_commitments(w, t, rho);
        let scalar = Fr::from_u128(rho);
        self.u[0] += scalar;
        for (x, value) in self.x.iter_mut().zip(claim.io()) {
            for (limb, fresh) in x.iter_mut().zip(to_limbs(&value)) {
                *limb += scalar * fresh;
            }
        }
    }

    /// Merges `other` in, whose scalars are reduced first.
    fn fold_relaxed(&mut self, other: &Self, t: &GkAffine, rho: u128) {
        let error = (other.comm_e * Fq::from_u128(rho) + *t).to_affine();
        self.fold_commitments(&other.comm_w, &error, rho);
        let scalar = Fr::from_u128(rho);
        let other = other.reduced();
        for (limb, fresh) in self.u.iter_mut().zip(other.u) {
            *limb += scalar * fresh;
        }
        for (limb, fresh) in self.x.iter_mut().flatten().zip(other.x.iter().flatten()) {
            *limb += scalar * fresh;
        }
    }
}

/// The CycleFold circuit's shape and commitment key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CfParameters {
    /// Shape of CF.
    pub shape: Shape<Fq>,
    /// Key on Grumpkin.
    pub key: CommitmentKey<GkAffine>,
}

/// What a circuit is told about one CycleFold operation beside its operands.
#[derive(Clone, Copy, Debug)]
pub struct CfHint {
    /// The result of the operation.
    pub p3: G1Affine,
    /// Commitment to the fresh CF witness.
    pub w: GkAffine,
    /// Commitment to the cross-term.
    pub t: GkAffine,
}

/// A CycleFold accumulator with its witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CfAccumulator {
    /// The instance.
    pub instance: CfInstance,
    /// Its witness.
    pub witness: RelaxedWitness<Fq>,
}

impl CfAccumulator {
    /// The default accumulator.
    pub fn default_for(cf: &CfParameters) -> Self {
        Self { instance: CfInstance::default_for(&cf.key.h), witness: RelaxedWitness::default_for(&cf.shape) }
    }

    /// Proves `claim`, folds it in and moves the transcript on.
    ///
    /// # Errors
    /// [`Error::Synthesis`].
    pub fn fold(
        &mut self,
        cf: &CfParameters,
        state: &mut Fr,
        claim: &CfClaim,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<CfHint, Error> {
        let fresh = FreshWitness::new(cyclefold_witness(claim, cf.shape.num_vars)?, rng);
        let w = cf.key.commit(&fresh.w, &fresh.blind_w);
        let running = (self.instance.u_scalar(), &self.instance.x_scalars()[..]);
        let t = self.witness.cross_term(&cf.shape, &cf.key, running, (&fresh, &claim.io()), rng);
        let hint = CfHint { p3: claim.p3, w, t: t.commitment };
        *state =
            transcript::cyclefold_state(*state, &point_elements(&hint.p3), [hint.w.x, hint.w.y], [hint.t.x, hint.t.y]);
        let rho = rho_from_hash(state);
        self.witness.fold(&fresh, &t, Fq::from_u128(rho));
        self.instance.fold(&hint.w, claim, &hint.t, rho);
        Ok(hint)
    }

    /// The committed cross-term of two accumulators.
    pub fn cross_term(
        &self,
        cf: &CfParameters,
        other: &Self,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> CrossTerm<GkAffine> {
        self.witness.cross_term_relaxed(
            &cf.shape,
            &cf.key,
            (self.instance.u_scalar(), &self.instance.x_scalars()),
            &other.witness,
            (other.instance.u_scalar(), &other.instance.x_scalars()),
            rng,
        )
    }

    /// Merges `other` in with challenge `rho`.
    pub fn merge(&mut self, other: &Self, t: &CrossTerm<GkAffine>, rho: u128) {
        self.witness.fold_relaxed(&other.witness, t, Fq::from_u128(rho));
        self.instance.fold_relaxed(&other.instance, &t.commitment, rho);
    }
}

/// The witness of CF for `claim`.
fn cyclefold_witness(claim: &CfClaim, num_vars: usize) -> Result<Vec<Fq>, Error> {
    let mut cs = WitnessCS::<Fq>::with_capacity(num_vars, CF_IO);
    cyclefold::synthesize(&mut cs, claim)?;
    Ok(cs.aux_slice().to_vec())
}

/// A folded instance of CF that a base case passes to the circuit: any points on the curve do.
pub fn dummy_cf_hint(claim: &CfClaim) -> CfHint {
    let generator = GkAffine::from(Gk::generator());
    CfHint { p3: claim.p3, w: generator, t: generator }
}
