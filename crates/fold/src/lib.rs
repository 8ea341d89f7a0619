//! Parallel Nova with CycleFold on BN254/Grumpkin: prove steps, merge adjacent ranges as a tree, verify.
//!
//! A [`Segment`] proves consecutive steps of a program as one IVC chain and finishes, at any step, into a
//! [`RangeProof`]. [`merge`] joins two adjacent ranges, made by anybody in any order, into one; a tree of merges ends
//! in the proof of a whole job. [`verify`] and [`verify_batch`] check ranges. Relations, transcripts, bounds and the
//! soundness argument are in
//! `docs/spec/folding.md`, whose sections the code cites.
//!
//! No I/O, no clock, no randomness of its own: the random source is an argument, so runs are reproducible.
//!
//! ```
//! use crowdfold_fold::{Address, Context, Error, Fr, Job, Parameters, Segment, Srs, StepFunction, merge, verify};
//! use nova_snark::frontend::{ConstraintSystem, SynthesisError, num::AllocatedNum};
//! use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
//!
//! /// The state is one number; a step multiplies it by its input.
//! #[derive(Clone)]
//! struct Product;
//!
//! impl StepFunction for Product {
//!     type Input = Fr;
//!     fn name(&self) -> String {
//!         "product/1".into()
//!     }
//!     fn arity(&self) -> usize {
//!         1
//!     }
//!     fn apply(&self, state: &[Fr], input: &Fr) -> Result<Vec<Fr>, Error> {
//!         Ok(vec![state[0] * input])
//!     }
//!     fn shape_input(&self) -> Fr {
//!         Fr::from(1)
//!     }
//!     fn synthesize<CS: ConstraintSystem<Fr>>(
//!         &self,
//!         cs: &mut CS,
//!         state: &[AllocatedNum<Fr>],
//!         input: &Fr,
//!     ) -> Result<Vec<AllocatedNum<Fr>>, SynthesisError> {
//!         let input = AllocatedNum::alloc(cs.namespace(|| "input"), || Ok(*input))?;
//!         Ok(vec![state[0].mul(cs.namespace(|| "product"), &input)?])
//!     }
//!     fn max_input_bytes(&self) -> usize {
//!         32
//!     }
//!     fn encode_input(&self, input: &Fr) -> Vec<u8> {
//!         input.to_bytes().to_vec()
//!     }
//!     fn decode_input(&self, bytes: &[u8]) -> Result<Fr, Error> {
//!         let error = Error::Decode { what: "input", at: 0, reason: "not a number below r" };
//!         let bytes: &[u8; 32] = bytes.try_into().map_err(|_| error)?;
//!         let error = Error::Decode { what: "input", at: 0, reason: "not a number below r" };
//!         Option::from(Fr::from_bytes(bytes)).ok_or(error)
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut rng = ChaCha20Rng::seed_from_u64(1);
//! let params = Parameters::generate(Product, &Srs::insecure_development(1 << 16))?;
//! let job = Job { chain_id: 31337, contract: Address([1; 20]), job_id: [2; 32] };
//!
//! // Two provers fold two segments, independently of each other.
//! let mut first = Segment::new(params.prover(), Context { job, prover: Address([3; 20]) }, vec![Fr::from(1)])?;
//! first.push(&Fr::from(2), &mut rng)?;
//! first.push(&Fr::from(3), &mut rng)?;
//! let mut second = Segment::new(params.prover(), Context { job, prover: Address([4; 20]) }, vec![Fr::from(6)])?;
//! second.push(&Fr::from(7), &mut rng)?;
//! let (first, second) = (first.finish(&mut rng)?, second.finish(&mut rng)?);
//!
//! let root = merge(&params, &first, Some(&second), &mut rng)?;
//! verify(&params, &root, &mut rng)?;
//! assert_eq!((root.start(), root.end(), root.count()), (&[Fr::from(1)][..], &[Fr::from(42)][..], 3));
//! assert_eq!(root.receipts().len(), 2);
//! # Ok(())
//! # }
//! ```

mod aggregate;
#[cfg(test)]
mod attacks;
mod binding;
pub mod circuit;
mod codec;
pub mod curve;
mod error;
pub mod gadgets;
pub mod instance;
pub mod limits;
mod params;
pub mod poseidon;
mod proof;
pub mod r1cs;
pub mod recorder;
mod segment;
pub mod srs;
mod step;
pub mod transcript;
mod verify;

pub use aggregate::merge;
pub use binding::{Address, BindingTree, Context, Job, Receipt};
pub use curve::Fr;
pub use error::Error;
pub use params::{CIRCUIT_VERSION, CircuitSize, ParameterDigest, Parameters, ProgramId, ProverParameters};
pub use proof::RangeProof;
pub use segment::Segment;
pub use srs::Srs;
pub use step::StepFunction;
pub use verify::{verify, verify_batch};
