//! Range proofs and their encoding.

use crate::binding::{Address, BindingTree, Context, Job, Receipt};
use crate::circuit::cyclefold::CF_IO;
use crate::codec::{Reader, Writer};
use crate::curve::{Fq, Fr, G1Affine};
use crate::error::Error;
use crate::instance::{CfInstance, FreshInstance, RelaxedInstance};
use crate::limits::{COUNT_BITS, MAX_DEPTH, MAX_LEAVES, MAX_SEGMENT_STEPS};
use crate::params::{ParameterDigest, Parameters};
use crate::r1cs::{RelaxedWitness, Shape};
use crate::step::StepFunction;
use crate::transcript::{Tag, hash};
use ff::PrimeField;
use std::ops::Range;

/// First bytes of an encoded range proof.
const MAGIC: &[u8; 8] = b"CFRANGE1";

/// The accumulator of M, which only a merged range has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MergePart {
    /// The accumulator before the last fresh instance.
    pub(crate) running: RelaxedInstance,
    /// The witness after it.
    pub(crate) witness: RelaxedWitness<Fr>,
}

/// A proof that there are inputs which lead from one state to another in a number of steps of a program, bound to the
/// job and to whoever folded them.
///
/// It carries the accumulators as they were before the last fresh instance, that instance and its cross-term's
/// commitment, and the witnesses with it already folded in (`docs/spec/folding.md`, section 8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeProof {
    pub(crate) parameters: Fr,
    pub(crate) job: Job,
    pub(crate) tree: BindingTree,
    pub(crate) start: Vec<Fr>,
    pub(crate) end: Vec<Fr>,
    pub(crate) running: RelaxedInstance,
    pub(crate) witness: RelaxedWitness<Fr>,
    pub(crate) merge: Option<MergePart>,
    pub(crate) cf: CfInstance,
    pub(crate) cf_witness: RelaxedWitness<Fq>,
    pub(crate) fresh_w: G1Affine,
    pub(crate) t: G1Affine,
}

impl RangeProof {
    /// Steps proved.
    pub fn count(&self) -> u64 {
        self.tree.count()
    }

    /// The steps covered when `start` is the state before step `first`. A proof does not know its own position: it
    /// follows from the job.
    pub fn range(&self, first: u64) -> Range<u64> {
        first..first.saturating_add(self.count())
    }

    /// The state before the first step.
    pub fn start(&self) -> &[Fr] {
        &self.start
    }

    /// The state after the last step.
    pub fn end(&self) -> &[Fr] {
        &self.end
    }

    /// Who folded the first segment; all of it, unless it was merged.
    pub fn prover(&self) -> Address {
        self.tree.first_prover()
    }

    /// The job it was made for.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Who folded how many steps, in order.
    pub fn receipts(&self) -> Vec<Receipt> {
        self.tree.receipts()
    }

    /// The tree behind [`RangeProof::receipts`].
    pub fn binding_tree(&self) -> &BindingTree {
        &self.tree
    }

    /// Digest of the parameters it was made with.
    pub fn parameters(&self) -> ParameterDigest {
        ParameterDigest(self.parameters)
    }

    /// Whether it is a merge of others.
    pub fn is_merged(&self) -> bool {
        self.merge.is_some()
    }

    /// The binding that the public value absorbs: the context of a segment, the root of a merge.
    pub(crate) fn binding(&self) -> Fr {
        match &self.tree {
            BindingTree::Leaf { prover, .. } => Context { job: self.job, prover: *prover }.hash(),
            BindingTree::Node { .. } => self.tree.root(&self.job),
        }
    }

    /// The last fresh instance: its public value is the hash of all that the proof claims.
    pub(crate) fn fresh(&self) -> FreshInstance {
        let tag = if self.is_merged() { Tag::MergeInner } else { Tag::Step };
        let chain = [
            self.parameters,
            self.binding(),
            Fr::from(self.count()),
            hash(Tag::State, &self.start),
            hash(Tag::State, &self.end),
        ];
        let inner = step_hash(tag, &chain, &self.running, &self.cf);
        let x = match &self.merge {
            None => inner,
            Some(part) => merge_hash(inner, self.tree.depth(), &self.cf, &part.running),
        };
        FreshInstance { comm_w: self.fresh_w, x }
    }

    /// Checks everything about the form that needs no cryptography.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn check_form<F: StepFunction>(&self, params: &Parameters<F>) -> Result<(), Error> {
        let prover = params.prover();
        if self.parameters != prover.digest().element() {
            return Err(Error::Parameters {
                what: "the range proof",
                expected: prover.digest().to_string(),
                found: self.parameters().to_string(),
            });
        }
        let arity = prover.step.arity();
        for state in [&self.start, &self.end] {
            if state.len() != arity {
                return Err(Error::Length { what: "state", expected: arity, found: state.len() });
            }
        }
        self.witness.check_lengths(&prover.step_shape)?;
        self.cf_witness.check_lengths(&prover.cf.shape)?;
        match (&self.merge, &self.tree) {
            (None, BindingTree::Leaf { count, .. }) => {
                if *count == 0 || *count > MAX_SEGMENT_STEPS {
                    let what = "number of steps of a segment";
                    return Err(Error::Limit { what, limit: MAX_SEGMENT_STEPS, found: *count });
                }
                if self.cf.u[1..] != [Fr::from(0); 2] {
                    return Err(Error::Invalid("a segment's CycleFold scalar has one limb"));
                }
            }
            (Some(part), BindingTree::Node { .. }) => {
                part.witness.check_lengths(&params.merge_shape)?;
                if self.tree.depth() > MAX_DEPTH {
                    return Err(Error::Limit {
                        what: "depth of a merge tree",
                        limit: MAX_DEPTH,
                        found: self.tree.depth(),
                    });
                }
            }
            _ => return Err(Error::Invalid("a segment has one prover, a merge has children")),
        }
        Ok(())
    }

    /// The canonical encoding: about 64 bytes for each row of the step circuit.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.bytes(MAGIC);
        out.u8(u8::from(self.is_merged()));
        out.scalar(&self.parameters);
        out.u64(self.job.chain_id);
        out.bytes(&self.job.contract.0);
        out.bytes(&self.job.job_id);
        write_tree(&self.tree, &mut out);
        out.scalars(&self.start);
        out.scalars(&self.end);
        out.point(&self.fresh_w);
        out.point(&self.t);
        write_relaxed(&self.running, &self.witness, &mut out);
        if let Some(part) = &self.merge {
            write_relaxed(&part.running, &part.witness, &mut out);
        }
        out.point(&self.cf.comm_w);
        out.point(&self.cf.comm_e);
        out.scalars(&self.cf.u);
        self.cf.x.iter().for_each(|limbs| out.scalars(limbs));
        write_witness(&self.cf_witness, &mut out);
        out.into_bytes()
    }

    /// Reads [`RangeProof::to_bytes`]. The result has the right form for `params` and is not verified.
    ///
    /// # Errors
    /// [`Error::Decode`], [`Error::Length`], [`Error::Limit`] or [`Error::Parameters`].
    pub fn from_bytes<F: StepFunction>(params: &Parameters<F>, bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        reader.magic(MAGIC, "range proof")?;
        let is_merged = reader.bool("kind")?;
        let parameters: Fr = reader.scalar("parameter digest")?;
        let expected = params.prover().digest();
        if parameters != expected.element() {
            return Err(Error::Parameters {
                what: "the range proof",
                expected: expected.to_string(),
                found: ParameterDigest(parameters).to_string(),
            });
        }
        let job = Job {
            chain_id: reader.u64("chain id")?,
            contract: Address(reader.array("contract")?),
            job_id: reader.array("job id")?,
        };
        let mut leaves = 0;
        let tree = read_tree(&mut reader, MAX_DEPTH, &mut leaves)?;
        let arity = params.prover().step.arity();
        let start = reader.scalars("first state", arity)?;
        let end = reader.scalars("last state", arity)?;
        let fresh_w = reader.point("fresh commitment")?;
        let t = reader.point("cross-term commitment")?;
        let (running, witness) = read_relaxed(&mut reader, &params.prover().step_shape)?;
        let merge = if is_merged {
            let (running, witness) = read_relaxed(&mut reader, &params.merge_shape)?;
            Some(MergePart { running, witness })
        } else {
            None
        };
        let cf = CfInstance {
            comm_w: reader.point("CycleFold commitment")?,
            comm_e: reader.point("CycleFold commitment")?,
            u: read_limbs(&mut reader)?,
            x: {
                let mut x = [[Fr::from(0); 3]; CF_IO];
                for limbs in &mut x {
                    *limbs = read_limbs(&mut reader)?;
                }
                x
            },
        };
        let cf_witness = read_witness(&mut reader, &params.prover().cf.shape)?;
        reader.finish()?;
        let proof = Self { parameters, job, tree, start, end, running, witness, merge, cf, cf_witness, fresh_w, t };
        proof.check_form(params)?;
        Ok(proof)
    }
}

/// `H(tag, parameters, binding, count, first state, last state, U_S, U_cf)`: the public value of a step.
pub(crate) fn step_hash(tag: Tag, chain: &[Fr; 5], running: &RelaxedInstance, cf: &CfInstance) -> Fr {
    let mut inputs = chain.to_vec();
    inputs.extend(running.elements());
    inputs.extend(cf.elements());
    hash(tag, &inputs)
}

/// `H(merge, inner, depth, upper limbs of u, U_M)`: the public value of a merge.
pub(crate) fn merge_hash(inner: Fr, depth: u64, cf: &CfInstance, running: &RelaxedInstance) -> Fr {
    let mut inputs = vec![inner, Fr::from(depth), cf.u[1], cf.u[2]];
    inputs.extend(running.elements());
    hash(Tag::Merge, &inputs)
}

fn write_tree(tree: &BindingTree, out: &mut Writer) {
    match tree {
        BindingTree::Leaf { prover, count } => {
            out.u8(0);
            out.bytes(&prover.0);
            out.u64(*count);
        }
        BindingTree::Node { left, right } => {
            out.u8(if right.is_some() { 2 } else { 1 });
            write_tree(left, out);
            if let Some(right) = right {
                write_tree(right, out);
            }
        }
    }
}

/// Reads a tree of at most `levels` merges; the recursion is as deep.
fn read_tree(reader: &mut Reader<'_>, levels: u64, leaves: &mut usize) -> Result<BindingTree, Error> {
    let children = reader.u8("binding tree")?;
    if children == 0 {
        *leaves += 1;
        if *leaves > MAX_LEAVES {
            let what = "leaves of a binding tree";
            return Err(Error::Limit { what, limit: MAX_LEAVES as u64, found: *leaves as u64 });
        }
        let prover = Address(reader.array("prover")?);
        let count = reader.u64("step count")?;
        if count == 0 || count > MAX_SEGMENT_STEPS {
            return Err(Error::Limit { what: "steps of a segment", limit: MAX_SEGMENT_STEPS, found: count });
        }
        return Ok(BindingTree::Leaf { prover, count });
    }
    if children > 2 {
        return Err(reader.error("binding tree", "a node has one or two children"));
    }
    let below = levels.checked_sub(1).ok_or(Error::Limit {
        what: "depth of a merge tree",
        limit: MAX_DEPTH,
        found: MAX_DEPTH + 1,
    })?;
    let left = Box::new(read_tree(reader, below, leaves)?);
    let right = if children == 2 { Some(Box::new(read_tree(reader, below, leaves)?)) } else { None };
    Ok(BindingTree::Node { left, right })
}

/// 2^20 leaves of fewer than 2^20 steps stay below 2^48.
const _: () = assert!(MAX_LEAVES as u64 * MAX_SEGMENT_STEPS < 1 << COUNT_BITS);

fn write_witness<F: PrimeField>(witness: &RelaxedWitness<F>, out: &mut Writer) {
    out.scalars(&witness.w);
    out.scalars(&witness.e);
    out.scalar(&witness.blind_w);
    out.scalar(&witness.blind_e);
}

fn read_witness<F: PrimeField>(reader: &mut Reader<'_>, shape: &Shape<F>) -> Result<RelaxedWitness<F>, Error> {
    Ok(RelaxedWitness {
        w: reader.scalars("witness", shape.num_vars)?,
        e: reader.scalars("error vector", shape.num_cons)?,
        blind_w: reader.scalar("blind")?,
        blind_e: reader.scalar("blind")?,
    })
}

fn write_relaxed(instance: &RelaxedInstance, witness: &RelaxedWitness<Fr>, out: &mut Writer) {
    out.point(&instance.comm_w);
    out.point(&instance.comm_e);
    out.scalar(&instance.u);
    out.scalar(&instance.x);
    write_witness(witness, out);
}

fn read_relaxed(reader: &mut Reader<'_>, shape: &Shape<Fr>) -> Result<(RelaxedInstance, RelaxedWitness<Fr>), Error> {
    let instance = RelaxedInstance {
        comm_w: reader.point("commitment")?,
        comm_e: reader.point("commitment")?,
        u: reader.scalar("u")?,
        x: reader.scalar("public value")?,
    };
    Ok((instance, read_witness(reader, shape)?))
}

fn read_limbs(reader: &mut Reader<'_>) -> Result<[Fr; 3], Error> {
    Ok([reader.scalar("limb")?, reader.scalar("limb")?, reader.scalar("limb")?])
}
