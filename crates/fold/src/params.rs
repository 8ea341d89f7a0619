//! Parameters of a program: shapes, commitment keys and their digest (`docs/spec/folding.md`, section 11).

use crate::circuit::cyclefold::{self, CF_IO, CfClaim};
use crate::circuit::instance::Blinding;
use crate::circuit::merge::{self, ChildWitness, MergeWitness};
use crate::circuit::step::{self, StepWitness};
use crate::codec::{Reader, Writer};
use crate::curve::{CommitmentKey, CycleCurve, Fq, Fr, G1, G1Affine, Gk, GkAffine};
use crate::error::Error;
use crate::gadgets::num::Num;
use crate::instance::{CfInstance, CfParameters, FreshInstance, RelaxedInstance, dummy_cf_hint, fold_state};
use crate::limits::{MAX_ARITY, MAX_CONSTRAINTS};
use crate::r1cs::Shape;
use crate::srs::{INSECURE_TAU_G1, Srs};
use crate::step::StepFunction;
use crate::transcript::{FoldChallenge, Tag, hash};
use ff::{Field, PrimeField};
use group::Curve;
use nova_snark::frontend::shape_cs::ShapeCS;
use nova_snark::provider::traits::DlogGroup;
use nova_snark::provider::{Bn256EngineKZG, GrumpkinEngine};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// Version of all circuits; a change of any of them raises it.
pub const CIRCUIT_VERSION: &str = include_str!("../../../CIRCUIT_VERSION");

/// Label that the blinding base on BN254 is hashed from: that of nova-snark's own keys.
const KEY_LABEL: &[u8] = b"ck";
/// Label that the Grumpkin key is hashed from.
const CF_KEY_LABEL: &[u8] = b"crowdfold cyclefold key 1";
/// Bases of the commitment key under one chunk digest.
const KEY_CHUNK: usize = 4096;
/// First bytes of a parameter file.
const MAGIC: &[u8; 8] = b"CFPARAM1";

/// Names a program: a digest of its step function's name, its circuit and [`CIRCUIT_VERSION`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProgramId(pub [u8; 32]);

impl ProgramId {
    /// The name of a program, from its circuit alone: no reference string is needed. It is that of all its parameters,
    /// [`ProverParameters::program`]. Takes as long as synthesising the step circuit once.
    ///
    /// # Errors
    /// As [`CircuitSize::of_step`].
    pub fn of<F: StepFunction>(step: &F) -> Result<Self, Error> {
        let shape = step_shape(step, &blinding(&cf_key(&cf_shape())))?;
        Ok(Self::from_parts(&step.name(), step.arity(), &shape_digest(&shape)))
    }

    fn from_parts(name: &str, arity: usize, step_shape: &[u8; 32]) -> Self {
        let mut out = Writer::default();
        out.string("crowdfold program");
        out.string(CIRCUIT_VERSION.trim());
        out.string(name);
        out.u64(arity as u64);
        out.bytes(step_shape);
        Self(sha256(&out.into_bytes()))
    }
}

/// Digest of all parameters of a program, as the circuits know it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ParameterDigest(pub(crate) Fr);

impl ParameterDigest {
    /// The element of Fr that every circuit takes as its first input.
    pub fn element(&self) -> Fr {
        self.0
    }
}

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for ProgramId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Debug for ProgramId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProgramId({self})")
    }
}

impl fmt::Display for ParameterDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.0.to_repr();
        bytes.as_mut().reverse();
        hex(bytes.as_ref(), f)
    }
}

impl fmt::Debug for ParameterDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ParameterDigest({self})")
    }
}

/// Digests of the parts, which the parameter digest is made of. A prover without the merge circuit still checks it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    name: String,
    arity: usize,
    insecure: bool,
    step_shape: [u8; 32],
    merge_shape: [u8; 32],
    cf_shape: [u8; 32],
    cf_key: [u8; 32],
    blinding: [u8; 32],
    key_chunks: Vec<[u8; 32]>,
}

impl Parts {
    fn program(&self) -> ProgramId {
        ProgramId::from_parts(&self.name, self.arity, &self.step_shape)
    }

    fn digest(&self) -> ParameterDigest {
        let mut out = Writer::default();
        out.string("crowdfold parameters");
        out.bytes(&self.program().0);
        self.write(&mut out);
        let mut bytes = sha256(&out.into_bytes());
        bytes[31] &= 0x1f;
        ParameterDigest(Option::from(Fr::from_repr(bytes.into())).expect("253 bits are below r"))
    }

    fn write(&self, out: &mut Writer) {
        out.string(&self.name);
        out.u64(self.arity as u64);
        out.u8(u8::from(self.insecure));
        for digest in [&self.step_shape, &self.merge_shape, &self.cf_shape, &self.cf_key, &self.blinding] {
            out.bytes(digest);
        }
        out.u64(self.key_chunks.len() as u64);
        self.key_chunks.iter().for_each(|chunk| out.bytes(chunk));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let name = reader.string("program name", 256)?;
        let arity = reader.length("arity", MAX_ARITY)?;
        let insecure = reader.bool("insecure flag")?;
        Ok(Self {
            name,
            arity,
            insecure,
            step_shape: reader.array("digest")?,
            merge_shape: reader.array("digest")?,
            cf_shape: reader.array("digest")?,
            cf_key: reader.array("digest")?,
            blinding: reader.array("digest")?,
            key_chunks: {
                let n = reader.length("key chunks", MAX_CONSTRAINTS / KEY_CHUNK)?;
                (0..n).map(|_| reader.array("digest")).collect::<Result<_, _>>()?
            },
        })
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn shape_digest<F: PrimeField>(shape: &Shape<F>) -> [u8; 32] {
    let mut out = Writer::default();
    out.shape(shape);
    sha256(&out.into_bytes())
}

fn points_digest<C: CycleCurve>(points: &[C]) -> [u8; 32] {
    let mut out = Writer::default();
    points.iter().for_each(|p| out.point(p));
    sha256(&out.into_bytes())
}

/// What a prover of segments needs: everything but the merge circuit.
#[derive(Clone, Debug)]
pub struct ProverParameters<F> {
    pub(crate) step: F,
    pub(crate) step_shape: Shape<Fr>,
    pub(crate) cf: CfParameters,
    pub(crate) key: CommitmentKey<G1Affine>,
    parts: Parts,
    digest: ParameterDigest,
}

/// All parameters: those of the prover and the merge circuit.
#[derive(Clone, Debug)]
pub struct Parameters<F> {
    pub(crate) prover: ProverParameters<F>,
    pub(crate) merge_shape: Shape<Fr>,
}

/// Size of a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitSize {
    /// Rows.
    pub constraints: usize,
    /// Witness variables.
    pub variables: usize,
    /// Non-zero entries of A, B and C together.
    pub nnz: usize,
}

impl CircuitSize {
    /// The size of the step circuit S of a program: what the time of a step and the size of a range proof grow with. It
    /// is [`ProverParameters::step_size`], without a reference string.
    ///
    /// # Errors
    /// [`Error::Limit`] for a program beyond the limits, [`Error::Step`] for a circuit with public inputs, or what its
    /// synthesis returns.
    pub fn of_step<F: StepFunction>(step: &F) -> Result<Self, Error> {
        Ok((&step_shape(step, &blinding(&cf_key(&cf_shape())))?).into())
    }

    /// The size of the program's own part of S: rows, variables and entries of F, without the state that it is given.
    ///
    /// # Errors
    /// As [`CircuitSize::of_step`].
    pub fn of_function<F: StepFunction>(step: &F) -> Result<Self, Error> {
        let arity = arity(step)?;
        let shape = record(|cs| {
            let state = (0..arity).map(|_| Ok(Num::alloc(cs, Fr::ZERO)?.to_allocated()));
            let state = state.collect::<Result<Vec<_>, Error>>()?;
            Ok(step.synthesize(cs, &state, &step.shape_input()).map(drop)?)
        })?;
        only_public_inputs(&shape, 0)?;
        let Self { constraints, variables, nnz } = (&shape).into();
        Ok(Self { constraints, variables: variables - arity, nnz })
    }
}

impl<F: PrimeField> From<&Shape<F>> for CircuitSize {
    fn from(shape: &Shape<F>) -> Self {
        Self { constraints: shape.num_cons, variables: shape.num_vars, nnz: shape.nnz() }
    }
}

/// The blinding base on BN254: a point of unknown discrete logarithm to every power of tau.
fn blinding_base() -> G1Affine {
    G1::from_label(KEY_LABEL, 1)[0]
}

/// The blinding bases, of which that on Grumpkin comes with the key.
fn blinding(cf_key: &CommitmentKey<GkAffine>) -> Blinding {
    Blinding { h: blinding_base(), h_cf: cf_key.h }
}

/// A key on Grumpkin for CF.
fn cf_key(shape: &Shape<Fq>) -> CommitmentKey<GkAffine> {
    let n = shape.num_cons.max(shape.num_vars);
    let mut bases: Vec<GkAffine> = Gk::from_label(CF_KEY_LABEL, n + 1);
    let h = bases.pop().expect("n + 1 points");
    CommitmentKey { bases, h }
}

/// The shape of CF.
fn cf_shape() -> Shape<Fq> {
    let mut cs = ShapeCS::<GrumpkinEngine>::new();
    let g = G1Affine::generator();
    let claim = CfClaim::compute(g, (g + g).to_affine(), 0);
    cyclefold::synthesize(&mut cs, &claim).expect("no closure of CF fails");
    Shape::from_rows(&cs.constraints, cs.num_aux(), CF_IO)
}

/// Runs a synthesis with the recorder of shapes.
fn record(synthesize: impl FnOnce(&mut ShapeCS<Bn256EngineKZG>) -> Result<(), Error>) -> Result<Shape<Fr>, Error> {
    let mut cs = ShapeCS::<Bn256EngineKZG>::new();
    synthesize(&mut cs)?;
    let (found, limit) = (cs.num_constraints().max(cs.num_aux()), MAX_CONSTRAINTS);
    if found > limit {
        return Err(Error::Limit { what: "rows of a circuit", limit: limit as u64, found: found as u64 });
    }
    Ok(Shape::from_rows(&cs.constraints, cs.num_aux(), cs.num_inputs() - 1))
}

/// The witness of a base step: any points on the curve stand for the fold that is not there.
pub(crate) fn base_witness(pp: Fr, context: Fr, start: &[Fr], blinding: &Blinding) -> StepWitness {
    let generator = G1Affine::generator();
    let running = RelaxedInstance::default_for(&blinding.h);
    let fresh = FreshInstance { comm_w: generator, x: Fr::ZERO };
    let r = FoldChallenge::from_hash(&fold_state(&fresh, &generator));
    StepWitness {
        pp,
        context,
        count: 0,
        hz_start: hash(Tag::State, start),
        z: start.to_vec(),
        running,
        cf: CfInstance::default_for(&blinding.h_cf),
        fresh,
        t: generator,
        ops: running.fold_claims(&fresh, &generator, &r).map(|claim| dummy_cf_hint(&claim)),
    }
}

/// A child that is not there: any points on the curve stand for it.
pub(crate) fn nil_child(blinding: &Blinding) -> ChildWitness {
    let base = base_witness(Fr::ZERO, Fr::ZERO, &[Fr::ZERO], blinding);
    ChildWitness {
        is_merge: false,
        binding: Fr::ZERO,
        depth: 0,
        count: 0,
        hz_start: Fr::ZERO,
        hz_end: Fr::ZERO,
        running_s: base.running,
        running_m: base.running,
        cf: base.cf,
        fresh_w: base.fresh.comm_w,
        t: base.t,
        ops: base.ops,
    }
}

/// The arity of a program.
fn arity<F: StepFunction>(step: &F) -> Result<usize, Error> {
    let arity = step.arity();
    if arity == 0 || arity > MAX_ARITY {
        return Err(Error::Limit { what: "arity", limit: MAX_ARITY as u64, found: arity as u64 });
    }
    Ok(arity)
}

/// The shape of S.
fn step_shape<F: StepFunction>(step: &F, blinding: &Blinding) -> Result<Shape<Fr>, Error> {
    let witness = base_witness(Fr::ZERO, Fr::ZERO, &vec![Fr::ZERO; arity(step)?], blinding);
    let shape = record(|cs| Ok(step::synthesize(cs, blinding, step, &step.shape_input(), &witness).map(drop)?))?;
    only_public_inputs(&shape, 1)?;
    Ok(shape)
}

/// That a program's circuit adds none to the `own` public inputs of what surrounds it.
fn only_public_inputs(shape: &Shape<Fr>, own: usize) -> Result<(), Error> {
    if shape.num_io != own {
        return Err(Error::Step("its circuit allocates public inputs: only S has one, the hash".into()));
    }
    Ok(())
}

/// The shape of M.
fn merge_shape(blinding: &Blinding) -> Result<Shape<Fr>, Error> {
    let child = nil_child(blinding);
    let op = child.ops[0];
    let witness = MergeWitness {
        pp: Fr::ZERO,
        left: child.clone(),
        right: child,
        right_is_nil: true,
        depth: 1,
        t_s: G1Affine::generator(),
        t_m: G1Affine::generator(),
        t_cf: op.t,
        ops_s: [op; 3],
        ops_m: [op; 3],
    };
    record(|cs| Ok(merge::synthesize(cs, blinding, &witness).map(drop)?))
}

impl<F: StepFunction> Parameters<F> {
    /// Makes the parameters of a program: synthesises all circuits once and takes as many powers of tau as they need.
    /// Takes seconds.
    ///
    /// # Errors
    /// [`Error::SrsTooShort`], [`Error::Limit`] for a program beyond the limits, or what its circuit returns.
    pub fn generate(step: F, srs: &Srs) -> Result<Self, Error> {
        let cf_shape = cf_shape();
        let cf_key = cf_key(&cf_shape);
        let blinding = blinding(&cf_key);
        let step_shape = step_shape(&step, &blinding)?;
        let merge_shape = merge_shape(&blinding)?;

        let needed = [&step_shape, &merge_shape].map(|s| s.num_cons.max(s.num_vars)).into_iter().max().unwrap_or(0);
        let bases = srs.g1().get(..needed).ok_or(Error::SrsTooShort { needed, found: srs.g1().len() })?;
        let parts = Parts {
            name: step.name(),
            arity: step.arity(),
            insecure: srs.is_insecure(),
            step_shape: shape_digest(&step_shape),
            merge_shape: shape_digest(&merge_shape),
            cf_shape: shape_digest(&cf_shape),
            cf_key: points_digest(&cf_key.bases),
            blinding: {
                let mut out = Writer::default();
                out.point(&blinding.h);
                out.point(&blinding.h_cf);
                sha256(&out.into_bytes())
            },
            key_chunks: bases.chunks(KEY_CHUNK).map(points_digest).collect(),
        };
        let prover = ProverParameters {
            step,
            step_shape,
            cf: CfParameters { shape: cf_shape, key: cf_key },
            key: CommitmentKey { bases: bases.to_vec(), h: blinding.h },
            digest: parts.digest(),
            parts,
        };
        Ok(Self { prover, merge_shape })
    }

    /// The part that a prover of segments needs.
    pub fn prover(&self) -> &ProverParameters<F> {
        &self.prover
    }

    /// Size of the merge circuit.
    pub fn merge_size(&self) -> CircuitSize {
        (&self.merge_shape).into()
    }

    /// The canonical encoding of everything.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.prover.encode(self.prover.key.bases.len());
        out.shape(&self.merge_shape);
        out.into_bytes()
    }

    /// Reads [`Parameters::to_bytes`] and checks the digest of every part.
    ///
    /// # Errors
    /// [`Error::Decode`], [`Error::Parameters`] when they belong to another program, [`Error::ParameterFile`] when a
    /// part does not have its digest.
    pub fn from_bytes(step: F, bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let prover = ProverParameters::decode(step, &mut reader)?;
        if reader.is_at_end() {
            return Err(Error::ParameterFile("it is a prover's file, without the merge circuit"));
        }
        let merge_shape = reader.shape()?;
        reader.finish()?;
        if shape_digest(&merge_shape) != prover.parts.merge_shape {
            return Err(Error::ParameterFile("the merge circuit does not have its digest"));
        }
        if prover.key.bases.len() < merge_shape.num_cons.max(merge_shape.num_vars) {
            return Err(Error::ParameterFile("the commitment key is shorter than the merge circuit"));
        }
        Ok(Self { prover, merge_shape })
    }
}

impl<F: StepFunction> ProverParameters<F> {
    /// Digest of all parameters, those of the merge circuit included.
    pub fn digest(&self) -> ParameterDigest {
        self.digest
    }

    /// The program's name.
    pub fn program(&self) -> ProgramId {
        self.parts.program()
    }

    /// Whether the powers of tau are known to everyone, so that these parameters prove nothing.
    pub fn is_insecure(&self) -> bool {
        self.parts.insecure
    }

    /// The step function.
    pub fn step(&self) -> &F {
        &self.step
    }

    /// Size of the step circuit.
    pub fn step_size(&self) -> CircuitSize {
        (&self.step_shape).into()
    }

    /// Size of the CycleFold circuit.
    pub fn cyclefold_size(&self) -> CircuitSize {
        (&self.cf.shape).into()
    }

    pub(crate) fn blinding(&self) -> Blinding {
        Blinding { h: self.key.h, h_cf: self.cf.key.h }
    }

    /// Bases that a prover's key needs: whole chunks.
    fn needed_bases(&self) -> usize {
        let needed = self.step_shape.num_cons.max(self.step_shape.num_vars);
        needed.next_multiple_of(KEY_CHUNK).min(self.key.bases.len())
    }

    /// The canonical encoding, with just as much of the key as the step circuit needs.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.encode(self.needed_bases()).into_bytes()
    }

    fn encode(&self, bases: usize) -> Writer {
        let mut out = Writer::default();
        out.bytes(MAGIC);
        self.parts.write(&mut out);
        out.point(&self.key.h);
        out.point(&self.cf.key.h);
        out.u64(self.cf.key.bases.len() as u64);
        self.cf.key.bases.iter().for_each(|p| out.point(p));
        out.u64(bases as u64);
        self.key.bases[..bases].iter().for_each(|p| out.point(p));
        out.shape(&self.cf.shape);
        out.shape(&self.step_shape);
        out
    }

    /// Reads [`ProverParameters::to_bytes`] and checks the digest of every part. That the digest is the one wanted is
    /// for the caller to compare.
    ///
    /// # Errors
    /// As [`Parameters::from_bytes`].
    pub fn from_bytes(step: F, bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let params = Self::decode(step, &mut reader)?;
        reader.finish()?;
        Ok(params)
    }

    fn decode(step: F, reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.magic(MAGIC, "parameter file")?;
        let parts = Parts::read(reader)?;
        if parts.name != step.name() || parts.arity != step.arity() {
            return Err(Error::Parameters { what: "the file", expected: step.name(), found: parts.name });
        }
        let h = reader.point("blinding base")?;
        let h_cf = reader.point("blinding base")?;
        let cf_bases = reader.points("CycleFold key", 1 << 12)?;
        let bases = reader.points("commitment key", MAX_CONSTRAINTS)?;
        let cf_shape: Shape<Fq> = reader.shape()?;
        let step_shape: Shape<Fr> = reader.shape()?;
        let mut blinding = Writer::default();
        blinding.point::<G1Affine>(&h);
        blinding.point::<GkAffine>(&h_cf);
        let whole = bases.len() / KEY_CHUNK * KEY_CHUNK;
        // Whole chunks, or all of the key.
        let known = whole == bases.len() || bases.len().div_ceil(KEY_CHUNK) == parts.key_chunks.len();
        let chunks_fit = bases.len().div_ceil(KEY_CHUNK) <= parts.key_chunks.len()
            && bases.chunks(KEY_CHUNK).zip(&parts.key_chunks).all(|(chunk, digest)| points_digest(chunk) == *digest);
        let insecure = bases.get(1) == Some(&*INSECURE_TAU_G1);
        for (fits, what) in [
            (parts.insecure || !insecure, "it is made from the insecure powers of tau and does not say so"),
            (sha256(&blinding.into_bytes()) == parts.blinding, "the blinding bases do not have their digest"),
            (points_digest(&cf_bases) == parts.cf_key, "the CycleFold key does not have its digest"),
            (shape_digest(&cf_shape) == parts.cf_shape, "the CycleFold circuit does not have its digest"),
            (shape_digest(&step_shape) == parts.step_shape, "the step circuit does not have its digest"),
            (known && chunks_fit, "the commitment key does not have its digest"),
            (
                cf_bases.len() >= cf_shape.num_cons.max(cf_shape.num_vars) && cf_shape.num_io == CF_IO,
                "the CycleFold key is shorter than its circuit",
            ),
            (
                bases.len() >= step_shape.num_cons.max(step_shape.num_vars) && step_shape.num_io == 1,
                "the commitment key is shorter than the step circuit",
            ),
        ] {
            if !fits {
                return Err(Error::ParameterFile(what));
            }
        }
        Ok(Self {
            step,
            step_shape,
            cf: CfParameters { shape: cf_shape, key: CommitmentKey { bases: cf_bases, h: h_cf } },
            key: CommitmentKey { bases, h },
            digest: parts.digest(),
            parts,
        })
    }
}
