//! nova-snark's recursive SNARK over the same program.

use bincode::config::{Configuration, Fixint, LittleEndian};
use crowdfold_fold::{Fr, StepFunction};
use nova_snark::errors::NovaError;
use nova_snark::frontend::num::AllocatedNum;
use nova_snark::frontend::{ConstraintSystem, SynthesisError};
use nova_snark::nova::{PublicParams, RecursiveSNARK};
use nova_snark::provider::{Bn256EngineIPA, GrumpkinEngine};
use nova_snark::traits::circuit::StepCircuit;
use nova_snark::traits::snark::default_ck_hint;

/// What the peer is called. It stands for `Bn256EngineKZG`: see `Primary` here.
pub const PEER: &str = "nova-snark 0.76 RecursiveSNARK, Bn256EngineIPA/Grumpkin";

/// The engine with a key hashed from a label. `Bn256EngineKZG` makes its key only under `test-utils`, a feature that no
/// build here may turn on; both commit by the same lines of code, to the same circuits, in `prove_step`.
type Primary = Bn256EngineIPA;
type Secondary = GrumpkinEngine;

const ENCODING: Configuration<LittleEndian, Fixint> = bincode::config::legacy();

/// What can go wrong with the peer.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The prover refused.
    #[error("nova-snark: {0:?}")]
    Nova(NovaError),
    /// The parameters can't be written.
    #[error("writing nova-snark's parameters")]
    Encode(#[from] bincode::error::EncodeError),
    /// The parameters can't be read.
    #[error("reading nova-snark's parameters")]
    Decode(#[from] bincode::error::DecodeError),
    /// It proved another state.
    #[error("nova-snark verifies, but its state is another than the one computed")]
    State,
}

impl From<NovaError> for PeerError {
    fn from(error: NovaError) -> Self {
        Self::Nova(error)
    }
}

/// Our program with its input, as nova-snark takes it.
#[derive(Clone, Debug)]
struct Step<F: StepFunction> {
    program: F,
    input: F::Input,
}

impl<F: StepFunction> StepCircuit<Fr> for Step<F> {
    fn arity(&self) -> usize {
        self.program.arity()
    }

    fn synthesize<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        z: &[AllocatedNum<Fr>],
    ) -> Result<Vec<AllocatedNum<Fr>>, SynthesisError> {
        self.program.synthesize(cs, z, &self.input)
    }
}

/// nova-snark's public parameters of a program.
pub struct NovaParameters<F: StepFunction> {
    program: F,
    public: PublicParams<Primary, Secondary, Step<F>>,
}

impl<F: StepFunction> NovaParameters<F> {
    /// Generates them. Takes seconds natively, and much longer in WASM.
    ///
    /// # Errors
    /// Those of [`PublicParams::setup`].
    pub fn generate(program: F) -> Result<Self, PeerError> {
        let step = Step { program: program.clone(), input: program.shape_input() };
        let public = PublicParams::setup(&step, &*default_ck_hint(), &*default_ck_hint())?;
        Ok(Self { program, public })
    }

    /// Encodes them for [`NovaParameters::from_bytes`].
    ///
    /// # Errors
    /// [`PeerError::Encode`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, PeerError> {
        Ok(bincode::serde::encode_to_vec(&self.public, ENCODING)?)
    }

    /// Reads what [`NovaParameters::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`PeerError::Decode`].
    pub fn from_bytes(program: F, bytes: &[u8]) -> Result<Self, PeerError> {
        Ok(Self { program, public: bincode::serde::decode_from_slice(bytes, ENCODING)?.0 })
    }
}

/// A chain being proved.
pub struct Nova<'p, F: StepFunction> {
    params: &'p NovaParameters<F>,
    snark: RecursiveSNARK<Primary, Secondary, Step<F>>,
    start: Vec<Fr>,
    inputs: Vec<F::Input>,
}

impl<'p, F: StepFunction> Nova<'p, F> {
    /// A chain that starts at `start`. nova-snark proves its first step here, for which it takes the first input: the first
    /// [`Nova::step`], which has to be given the same one, does nothing.
    ///
    /// # Errors
    /// Those of [`RecursiveSNARK::new`].
    pub fn new(params: &'p NovaParameters<F>, start: Vec<Fr>, first: &F::Input) -> Result<Self, PeerError> {
        let step = Step { program: params.program.clone(), input: first.clone() };
        let snark = RecursiveSNARK::new(&params.public, &step, &start)?;
        Ok(Self { params, snark, start, inputs: Vec::new() })
    }

    /// Proves one more step.
    ///
    /// # Errors
    /// Those of [`RecursiveSNARK::prove_step`].
    pub fn step(&mut self, input: &F::Input) -> Result<(), PeerError> {
        let step = Step { program: self.params.program.clone(), input: input.clone() };
        self.snark.prove_step(&self.params.public, &step)?;
        self.inputs.push(input.clone());
        Ok(())
    }

    /// Verifies all steps.
    ///
    /// # Errors
    /// Those of [`RecursiveSNARK::verify`]; [`PeerError::State`].
    pub fn verify(&self) -> Result<(), PeerError> {
        let end = self.snark.verify(&self.params.public, self.inputs.len(), &self.start)?;
        let apply = |state: Vec<Fr>, input| self.params.program.apply(&state, input);
        let expected = self.inputs.iter().try_fold(self.start.clone(), apply).map_err(|_| PeerError::State)?;
        if end == expected { Ok(()) } else { Err(PeerError::State) }
    }
}
