//! The parameters of one program, loaded and checked.

use std::sync::Arc;

use crowdfold_fold::{self as fold, Context, ProverParameters, StepFunction};
use crowdfold_programs::Program as _;
use js_sys::Uint8Array;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use wasm_bindgen::prelude::*;

use crate::Programs;
use crate::arguments::{self, SegmentContext};
use crate::error::Error;
use crate::segment::Segment;

/// The largest parameter file that is read.
pub(crate) const MAX_PARAMETER_BYTES: usize = 1 << 28;
/// Bytes of a parameter digest.
const DIGEST_BYTES: usize = 32;

/// Proves segments of one program. Load it once: the parameters are checked, then shared by all segments.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Prover {
    parameters: Arc<ProverParameters<Programs>>,
}

#[wasm_bindgen]
impl Prover {
    /// Loads the prover parameters of the program called `program`, such as `squarings/1/10000`. `digest` is the
    /// hexadecimal digest of the parameters that the job wants.
    ///
    /// The bytes are copied once, and the copy is freed when they are decoded.
    ///
    /// # Errors
    /// Throws a `CrowdfoldError`: `UnknownProgram`; `ParameterDigest` when the parameters are not those that were asked
    /// for; `Decode`, `Limit`, `Parameters` or `Invalid` for bytes that are damaged or belong to another program;
    /// `Argument`, `Memory`.
    #[wasm_bindgen(constructor)]
    pub fn new(program: &str, parameters: &Uint8Array, digest: &str) -> Result<Self, Error> {
        let program = Programs::from_name(program).ok_or(Error::UnknownProgram)?;
        let expected: [u8; DIGEST_BYTES] = arguments::from_hex("digest", "32 bytes as hexadecimal", digest)?;
        let bytes = arguments::bytes("parameters", parameters, MAX_PARAMETER_BYTES)?;
        let parameters = ProverParameters::from_bytes(program, &bytes)?;
        let (expected, found) = (hex::encode(expected), parameters.digest().to_string());
        if expected != found {
            return Err(Error::ParameterDigest { expected, found });
        }
        Ok(Self { parameters: Arc::new(parameters) })
    }

    /// Digest of the parameters, in hexadecimal.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn digest(&self) -> String {
        self.parameters.digest().to_string()
    }

    /// Name of the program, as it was given.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn program(&self) -> String {
        self.parameters.step().name()
    }

    /// Rows of the step circuit: what the time of a step and the size of a range proof grow with.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn constraints(&self) -> usize {
        self.parameters.step_size().constraints
    }

    /// Whether the parameters are for development: then proofs made with them prove nothing.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn insecure(&self) -> bool {
        self.parameters.is_insecure()
    }

    /// An empty segment that starts at the state `start`: its elements, 32 bytes each, little-endian.
    ///
    /// # Errors
    /// Throws a `CrowdfoldError`: `Argument` for a context of another form, `Length`, `Limit` or `Decode` for a state
    /// of another form, `Randomness`.
    pub fn segment(&self, context: &SegmentContext, start: &Uint8Array) -> Result<Segment, Error> {
        let context = context.read()?;
        let program = self.parameters.step();
        let start = arguments::bytes("start", start, program.state_bytes())?;
        self.segment_at(context, &start)
    }
}

impl Prover {
    /// An empty segment that starts at the state of that encoding.
    ///
    /// # Errors
    /// Those of the folding scheme, and [`Error::Randomness`].
    pub(crate) fn segment_at(&self, context: Context, start: &[u8]) -> Result<Segment, Error> {
        let start = self.parameters.step().decode_state(start)?;
        let segment = fold::Segment::shared(Arc::clone(&self.parameters), context, start)?;
        Ok(Segment::new(segment, rng()?))
    }
}

/// A generator of random blinds, seeded by the host.
pub(crate) fn rng() -> Result<ChaCha20Rng, Error> {
    let mut seed = [0; 32];
    #[expect(clippy::disallowed_methods, reason = "this shell is where the host's randomness enters")]
    getrandom::getrandom(&mut seed).map_err(Error::Randomness)?;
    Ok(ChaCha20Rng::from_seed(seed))
}
