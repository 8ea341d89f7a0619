//! Proving a segment: one IVC chain, step by step.

use crate::binding::{BindingTree, Context};
use crate::circuit::step::{self, StepWitness};
use crate::curve::{Fr, G1Affine};
use crate::error::Error;
use crate::instance::{CfAccumulator, FreshInstance, RelaxedInstance, fold_state};
use crate::limits::MAX_SEGMENT_STEPS;
use crate::params::{ProverParameters, base_witness};
use crate::proof::RangeProof;
use crate::r1cs::{CrossTerm, FreshWitness, RelaxedWitness};
use crate::step::StepFunction;
use crate::transcript::{FoldChallenge, Tag, hash};
use nova_snark::frontend::ConstraintSystem;
use nova_snark::frontend::util_cs::witness_cs::WitnessCS;
use rand_core::{CryptoRng, RngCore};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A fresh instance with its witness.
struct Fresh {
    instance: FreshInstance,
    witness: FreshWitness<Fr>,
}

/// The parameters of a segment: those of somebody who outlives it, or its share.
enum Params<'p, F> {
    Borrowed(&'p ProverParameters<F>),
    Shared(Arc<ProverParameters<F>>),
}

impl<F> Deref for Params<'_, F> {
    type Target = ProverParameters<F>;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Borrowed(params) => params,
            Self::Shared(params) => params,
        }
    }
}

/// A segment being proved. Push inputs as they stream in; take a snapshot or finish at any step.
pub struct Segment<'p, F> {
    params: Params<'p, F>,
    context: Context,
    start: Vec<Fr>,
    state: Vec<Fr>,
    count: u64,
    running: RelaxedInstance,
    witness: RelaxedWitness<Fr>,
    cf: CfAccumulator,
    fresh: Option<Fresh>,
}

impl<F> fmt::Debug for Segment<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment").field("context", &self.context).field("count", &self.count).finish_non_exhaustive()
    }
}

impl<'p, F: StepFunction> Segment<'p, F> {
    /// An empty segment that starts at `start`.
    ///
    /// # Errors
    /// [`Error::Length`] when the state does not have the program's arity.
    pub fn new(params: &'p ProverParameters<F>, context: Context, start: Vec<Fr>) -> Result<Self, Error> {
        Self::with(Params::Borrowed(params), context, start)
    }

    /// An empty segment that keeps its parameters alive, for whoever can't borrow them.
    ///
    /// # Errors
    /// As [`Segment::new`].
    pub fn shared(params: Arc<ProverParameters<F>>, context: Context, start: Vec<Fr>) -> Result<Self, Error> {
        Self::with(Params::Shared(params), context, start)
    }

    fn with(params: Params<'p, F>, context: Context, start: Vec<Fr>) -> Result<Self, Error> {
        let (expected, found) = (params.step.arity(), start.len());
        if expected != found {
            return Err(Error::Length { what: "state", expected, found });
        }
        Ok(Self {
            context,
            state: start.clone(),
            start,
            count: 0,
            running: RelaxedInstance::default_for(&params.key.h),
            witness: RelaxedWitness::default_for(&params.step_shape),
            cf: CfAccumulator::default_for(&params.cf),
            fresh: None,
            params,
        })
    }

    /// The parameters that it is proved with.
    pub fn parameters(&self) -> &ProverParameters<F> {
        &self.params
    }

    /// Steps proved so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The state after them.
    pub fn state(&self) -> &[Fr] {
        &self.state
    }

    /// Proves one more step. On an error the segment is as it was.
    ///
    /// # Errors
    /// [`Error::Step`] for an input that the step function refuses, [`Error::Limit`] for a full segment.
    pub fn push(&mut self, input: &F::Input, rng: &mut (impl CryptoRng + RngCore)) -> Result<(), Error> {
        if self.count == MAX_SEGMENT_STEPS {
            return Err(Error::Limit {
                what: "number of steps of a segment",
                limit: MAX_SEGMENT_STEPS,
                found: self.count + 1,
            });
        }
        let next = self.params.step.apply(&self.state, input)?;
        let context = self.context.hash();
        let parameters = self.params.digest().element();

        let Some(fresh) = &self.fresh else {
            let witness = base_witness(parameters, context, &self.start, &self.params.blinding());
            self.fresh = Some(self.synthesize(input, &witness, &next, rng)?);
            self.advance(next);
            return Ok(());
        };
        let t = self.cross_term(fresh, rng);
        let mut transcript = fold_state(&fresh.instance, &t.commitment);
        let r = FoldChallenge::from_hash(&transcript);
        let claims = self.running.fold_claims(&fresh.instance, &t.commitment, &r);
        let mut cf = self.cf.clone();
        let ops = [
            cf.fold(&self.params.cf, &mut transcript, &claims[0], rng)?,
            cf.fold(&self.params.cf, &mut transcript, &claims[1], rng)?,
        ];
        let witness = StepWitness {
            pp: parameters,
            context,
            count: self.count,
            hz_start: hash(Tag::State, &self.start),
            z: self.state.clone(),
            running: self.running,
            cf: self.cf.instance,
            fresh: fresh.instance,
            t: t.commitment,
            ops,
        };
        let proved = self.synthesize(input, &witness, &next, rng)?;
        self.running = self.running.fold(&fresh.instance, &claims, &r);
        self.witness.fold(&fresh.witness, &t, r.effective);
        self.cf = cf;
        self.fresh = Some(proved);
        self.advance(next);
        Ok(())
    }

    fn advance(&mut self, next: Vec<Fr>) {
        self.state = next;
        self.count += 1;
    }

    fn cross_term(&self, fresh: &Fresh, rng: &mut (impl CryptoRng + RngCore)) -> CrossTerm<G1Affine> {
        self.witness.cross_term(
            &self.params.step_shape,
            &self.params.key,
            (self.running.u, &[self.running.x]),
            (&fresh.witness, &[fresh.instance.x]),
            rng,
        )
    }

    /// The instance of S for `witness`.
    fn synthesize(
        &self,
        input: &F::Input,
        witness: &StepWitness,
        next: &[Fr],
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Fresh, Error> {
        let shape = &self.params.step_shape;
        let mut cs = WitnessCS::<Fr>::with_capacity(shape.num_vars, shape.num_io);
        let out = step::synthesize(&mut cs, &self.params.blinding(), &self.params.step, input, witness)?;
        if out.z != next {
            return Err(Error::Step("its circuit computes another state than its native function".into()));
        }
        if cs.aux_slice().len() != shape.num_vars {
            return Err(Error::Step("the number of its circuit's variables depends on values".into()));
        }
        let w = cs.aux_slice().to_vec();
        debug_assert_eq!(
            shape.first_unsatisfied(&w, &vec![Fr::from(0); shape.num_cons], Fr::from(1), &[out.hash]),
            None
        );
        let witness = FreshWitness::new(w, rng);
        let comm_w = self.params.key.commit(&witness.w, &witness.blind_w);
        Ok(Fresh { instance: FreshInstance { comm_w, x: out.hash }, witness })
    }

    /// The proof of all steps pushed so far; the segment goes on as if it had not been made.
    ///
    /// Each proof of a chain folds its last instance in by itself, with its own blinding of the cross-term and so its
    /// own challenge. All of them are valid, whatever else was made of the chain. Two of them give away more of the
    /// witness than one, which costs nothing: a range proof carries its witnesses, and hides nothing to begin with.
    ///
    /// # Errors
    /// [`Error::Empty`] when no step was pushed.
    pub fn snapshot(&self, rng: &mut (impl CryptoRng + RngCore)) -> Result<RangeProof, Error> {
        let fresh = self.fresh.as_ref().ok_or(Error::Empty)?;
        let copy = Segment {
            params: Params::Borrowed(&*self.params),
            context: self.context,
            start: self.start.clone(),
            state: self.state.clone(),
            count: self.count,
            running: self.running,
            witness: self.witness.clone(),
            cf: self.cf.clone(),
            fresh: None,
        };
        Ok(copy.close(fresh, rng))
    }

    /// The proof of all steps pushed. It is that of [`Segment::snapshot`], without a copy of the witnesses.
    ///
    /// # Errors
    /// [`Error::Empty`] when there are none.
    pub fn finish(mut self, rng: &mut (impl CryptoRng + RngCore)) -> Result<RangeProof, Error> {
        let fresh = self.fresh.take().ok_or(Error::Empty)?;
        Ok(self.close(&fresh, rng))
    }

    /// Folds the last instance in and gives up the rest.
    fn close(mut self, fresh: &Fresh, rng: &mut (impl CryptoRng + RngCore)) -> RangeProof {
        let t = self.cross_term(fresh, rng);
        let r = FoldChallenge::from_hash(&fold_state(&fresh.instance, &t.commitment));
        self.witness.fold(&fresh.witness, &t, r.effective);
        RangeProof {
            parameters: self.params.digest().element(),
            job: self.context.job,
            tree: BindingTree::Leaf { prover: self.context.prover, count: self.count },
            start: self.start,
            end: self.state,
            running: self.running,
            witness: self.witness,
            merge: None,
            cf: self.cf.instance,
            cf_witness: self.cf.witness,
            fresh_w: fresh.instance.comm_w,
            t: t.commitment,
        }
    }
}
