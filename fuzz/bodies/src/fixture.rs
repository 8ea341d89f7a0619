//! Valid encodings that inputs are edits of, made once.

use crate::layout::ParameterLayout;
use crate::mutation::Template;
use crowdfold_fold::curve::{Fq, Fr};
use crowdfold_fold::{Address, Context, Job, Parameters, RangeProof, Segment, Srs, merge};
use crowdfold_programs::Squarings;
use ff::{Field, PrimeField};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::sync::LazyLock;

/// Powers of tau: enough for every circuit here.
const POWERS: usize = 1 << 16;
/// Where the binding tree of a range proof starts: after mark, kind, parameter digest, chain id, contract and job id.
const TREE: usize = 8 + 1 + 32 + 8 + 20 + 32;
/// Bytes of a leaf of it.
const LEAF: usize = 1 + 20 + 8;

pub(crate) struct Fixture {
    pub(crate) parameters: Parameters<Squarings>,
    /// Proofs of a segment and of a merge, with the binding tree as hole.
    pub(crate) proofs: Vec<Template>,
    /// The file of all parameters, with the digests and sizes before the points as hole.
    pub(crate) full: Vec<Template>,
    /// The file of a prover's parameters, likewise.
    pub(crate) prover: Vec<Template>,
}

pub(crate) static FIXTURE: LazyLock<Fixture> = LazyLock::new(Fixture::make);

/// The program of all targets.
pub fn program() -> Squarings {
    Squarings::new(3)
}

impl Fixture {
    fn make() -> Self {
        let parameters = Parameters::generate(program(), &Srs::insecure_development(POWERS)).expect("parameters");
        let left = segment(&parameters, vec![Fr::from(5)], 1);
        let right = segment(&parameters, left.end().to_vec(), 2);
        let merged = merge(&parameters, &left, Some(&right), &mut rng(3)).expect("merge");
        let file = |bytes: Vec<u8>| {
            let hole = ParameterLayout::of(&bytes).expect("a parameter file").header();
            vec![Template { bytes, hole }]
        };
        Self {
            proofs: vec![
                Template { bytes: left.to_bytes(), hole: TREE..TREE + LEAF },
                Template { bytes: merged.to_bytes(), hole: TREE..TREE + 1 + 2 * LEAF },
            ],
            full: file(parameters.to_bytes()),
            prover: file(parameters.prover().to_bytes()),
            parameters,
        }
    }
}

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn segment(parameters: &Parameters<Squarings>, start: Vec<Fr>, seed: u64) -> RangeProof {
    let job = Job { chain_id: 31337, contract: Address([7; 20]), job_id: [9; 32] };
    let context = Context { job, prover: Address([seed as u8; 20]) };
    let mut rng = rng(seed);
    let mut segment = Segment::new(parameters.prover(), context, start).expect("segment");
    for input in 0..2 {
        segment.push(&Fr::from(input), &mut rng).expect("push");
    }
    segment.finish(&mut rng).expect("finish")
}

/// A parameter file of about a kilobyte for [`program`], with circuits of one row and every digest right: what no one
/// generates, but what decodes.
pub fn small_parameters(with_merge: bool) -> Vec<u8> {
    let mut out = b"CFPARAM1".to_vec();
    let name = crowdfold_fold::StepFunction::name(&program());
    out.extend((name.len() as u64).to_le_bytes());
    out.extend(name.as_bytes());
    out.extend(1u64.to_le_bytes());
    out.push(1);
    out.extend([0; 5 * 32]);
    out.extend(1u64.to_le_bytes());
    out.extend([0; 32]);
    let [bn254, grumpkin] = [generator(Fq::ONE, Fq::from(2)), generator(Fr::ONE, grumpkin_y())];
    out.extend(&bn254);
    out.extend(&grumpkin);
    for point in [&grumpkin, &bn254] {
        out.extend(2u64.to_le_bytes());
        out.extend(point);
        out.extend(point);
    }
    shape::<Fq>(&mut out, 7);
    shape::<Fr>(&mut out, 1);
    if with_merge {
        shape::<Fr>(&mut out, 1);
    }
    let layout = ParameterLayout::of(&out).expect("well-formed");
    layout.seal(&mut out);
    out
}

fn generator<F: PrimeField>(x: F, y: F) -> Vec<u8> {
    [x.to_repr().as_ref(), y.to_repr().as_ref()].concat()
}

/// The y of Grumpkin's generator: x is 1 and y^2 = x^3 - 17.
fn grumpkin_y() -> Fr {
    (-Fr::from(16)).sqrt().expect("-16 is a square")
}

/// A circuit of one row, `w * w = w`.
fn shape<F: PrimeField>(out: &mut Vec<u8>, io: u64) {
    for size in [1, 1, io] {
        out.extend(size.to_le_bytes());
    }
    for _ in 0..3 {
        out.extend(2u64.to_le_bytes());
        out.extend([F::ONE, -F::ONE].iter().flat_map(|c| c.to_repr().as_ref().to_vec()));
        out.extend(1u64.to_le_bytes());
        out.extend([1u32, 0, 0].iter().flat_map(|word| word.to_le_bytes()));
    }
}
