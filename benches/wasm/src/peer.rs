//! nova-snark's recursive SNARK over the same program.

use bincode::config::{Configuration, Fixint, LittleEndian};
use crowdfold_fold::{Fr, StepFunction};
use crowdfold_programs::Squarings;
use nova_snark::errors::NovaError;
use nova_snark::frontend::num::AllocatedNum;
use nova_snark::frontend::{ConstraintSystem, SynthesisError};
use nova_snark::nova::{PublicParams, RecursiveSNARK};
use nova_snark::provider::{Bn256EngineIPA, GrumpkinEngine};
use nova_snark::traits::circuit::StepCircuit;
use nova_snark::traits::snark::default_ck_hint;

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
struct Step {
    program: Squarings,
    input: Fr,
}

impl StepCircuit<Fr> for Step {
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

/// nova-snark's public parameters for squarings.
pub struct NovaParameters {
    program: Squarings,
    public: PublicParams<Primary, Secondary, Step>,
}

impl NovaParameters {
    /// Generates them. Takes seconds natively, and much longer in WASM.
    ///
    /// # Errors
    /// Those of [`PublicParams::setup`].
    pub fn generate(program: Squarings) -> Result<Self, PeerError> {
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
    pub fn from_bytes(program: Squarings, bytes: &[u8]) -> Result<Self, PeerError> {
        Ok(Self { program, public: bincode::serde::decode_from_slice(bytes, ENCODING)?.0 })
    }
}

/// A chain of squarings being proved.
pub struct Nova<'p> {
    params: &'p NovaParameters,
    snark: RecursiveSNARK<Primary, Secondary, Step>,
    start: Fr,
    steps: u64,
}

impl<'p> Nova<'p> {
    /// A chain that starts at `start`. nova-snark proves its first step here: the first [`Nova::step`] does nothing.
    ///
    /// # Errors
    /// Those of [`RecursiveSNARK::new`].
    pub fn new(params: &'p NovaParameters, start: Fr) -> Result<Self, PeerError> {
        let first = Step { program: params.program.clone(), input: Fr::from(0) };
        let snark = RecursiveSNARK::new(&params.public, &first, &[start])?;
        Ok(Self { params, snark, start, steps: 0 })
    }

    /// Proves one more step.
    ///
    /// # Errors
    /// Those of [`RecursiveSNARK::prove_step`].
    pub fn step(&mut self) -> Result<(), PeerError> {
        let step = Step { program: self.params.program.clone(), input: Fr::from(self.steps) };
        self.snark.prove_step(&self.params.public, &step)?;
        self.steps += 1;
        Ok(())
    }

    /// Verifies all steps.
    ///
    /// # Errors
    /// Those of [`RecursiveSNARK::verify`]; [`PeerError::State`].
    pub fn verify(&self) -> Result<(), PeerError> {
        let end = self.snark.verify(&self.params.public, self.steps as usize, &[self.start])?;
        let expected = (0..self.steps)
            .try_fold(vec![self.start], |state, i| self.params.program.apply(&state, &Fr::from(i)))
            .map_err(|_| PeerError::State)?;
        if end == expected { Ok(()) } else { Err(PeerError::State) }
    }
}
