//! A segment being proved, as an object of JavaScript.

use std::rc::Rc;

use crowdfold_fold::{self as fold, Context, Fr, ProverParameters, RangeProof, StepFunction};
use crowdfold_programs::Program as _;
use js_sys::Uint8Array;
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, RngCore};
use wasm_bindgen::prelude::*;

use crate::arguments;
use crate::error::Error;
use crate::{Programs, ProgramsInput};

/// A run of steps being proved: push the inputs as they arrive, then finish. Call `free` to give one up.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Segment {
    /// `None` once it is finished.
    segment: Option<OwnedSegment>,
    rng: ChaCha20Rng,
}

impl Segment {
    pub(crate) fn new(segment: OwnedSegment, rng: ChaCha20Rng) -> Self {
        Self { segment: Some(segment), rng }
    }

    fn open(&self) -> Result<&OwnedSegment, Error> {
        self.segment.as_ref().ok_or(Error::Finished)
    }
}

#[wasm_bindgen]
impl Segment {
    /// Proves one more step, with the input of that encoding. When it throws, the segment is as it was.
    ///
    /// # Errors
    /// Throws a `CrowdfoldError`: `Length`, `Limit` or `Decode` for bytes that are no input of the program, `Step` for an
    /// input that it refuses, `Limit` for a full segment, `Finished`, `Argument`.
    pub fn push(&mut self, input: &Uint8Array) -> Result<(), Error> {
        let segment = self.segment.as_mut().ok_or(Error::Finished)?;
        let input = arguments::bytes("input", input, segment.step().max_input_bytes())?;
        let input = segment.step().decode_input(&input)?;
        Ok(segment.push(&input, &mut self.rng)?)
    }

    /// Steps proved so far.
    ///
    /// # Errors
    /// Throws a `CrowdfoldError` of kind `Finished` after `finish`.
    #[wasm_bindgen(getter)]
    pub fn count(&self) -> Result<u32, Error> {
        // A segment has fewer than 2^20 steps.
        self.open().map(|segment| segment.count() as u32)
    }

    /// The state after them: its elements, 32 bytes each, little-endian.
    ///
    /// # Errors
    /// Throws a `CrowdfoldError` of kind `Finished` after `finish`.
    pub fn state(&self) -> Result<Vec<u8>, Error> {
        self.open().map(|segment| segment.step().encode_state(segment.state()))
    }

    /// The range proof of all steps pushed, in its canonical encoding. The segment is of no further use then.
    ///
    /// # Errors
    /// Throws a `CrowdfoldError`: `Empty` when there are no steps (the segment can still be used), `Finished`.
    pub fn finish(&mut self) -> Result<Vec<u8>, Error> {
        if self.open()?.count() == 0 {
            return Err(fold::Error::Empty.into());
        }
        let segment = self.segment.take().ok_or(Error::Finished)?;
        Ok(segment.finish(&mut self.rng)?.to_bytes())
    }
}

/// A segment that owns a share of its parameters: JavaScript's objects can't borrow from each other.
pub(crate) struct OwnedSegment {
    /// Borrows from `parameters`, so it is declared, and dropped, before it. Never handed out: no reference with its
    /// lifetime may leave this type.
    segment: fold::Segment<'static, Programs>,
    parameters: Rc<ProverParameters<Programs>>,
}

impl OwnedSegment {
    pub(crate) fn new(
        parameters: &Rc<ProverParameters<Programs>>,
        context: Context,
        start: Vec<Fr>,
    ) -> Result<Self, fold::Error> {
        let parameters = Rc::clone(parameters);
        // SAFETY: The parameters lie on the heap, where they stay when this struct moves. They live as long as
        // `parameters` does, which is dropped after `segment` and never replaced. Nobody can change them meanwhile: this
        // crate makes no `&mut` from an `Rc`, and `Rc` itself hands none out while it is shared with the prover or held
        // here.
        #[expect(unsafe_code, reason = "a struct that borrows from itself")]
        let borrowed: &'static ProverParameters<Programs> = unsafe { &*Rc::as_ptr(&parameters) };
        Ok(Self { segment: fold::Segment::new(borrowed, context, start)?, parameters })
    }

    pub(crate) fn step(&self) -> &Programs {
        self.parameters.step()
    }

    pub(crate) fn count(&self) -> u64 {
        self.segment.count()
    }

    pub(crate) fn state(&self) -> &[Fr] {
        self.segment.state()
    }

    pub(crate) fn push(
        &mut self,
        input: &ProgramsInput,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<(), fold::Error> {
        self.segment.push(input, rng)
    }

    pub(crate) fn finish(self, rng: &mut (impl CryptoRng + RngCore)) -> Result<RangeProof, fold::Error> {
        self.segment.finish(rng)
    }
}

impl std::fmt::Debug for OwnedSegment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnedSegment").field("count", &self.count()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crowdfold_fold::{Address, Job, Parameters, Srs, verify};
    use crowdfold_programs::{Builtin, BuiltinInput, Squarings};
    use rand_core::SeedableRng;

    #[test]
    fn a_segment_outlives_the_prover_it_came_from() {
        let params = Parameters::generate(Builtin::Squarings(Squarings::new(3)), &Srs::insecure_development(1 << 16));
        let params = params.expect("parameters");
        let shared = Rc::new(params.prover().clone());
        let job = Job { chain_id: 1, contract: Address([2; 20]), job_id: [3; 32] };
        let context = Context { job, prover: Address([4; 20]) };
        let mut segment = OwnedSegment::new(&shared, context, vec![Fr::from(5)]).expect("one element");
        drop(shared);

        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for input in 0..2 {
            segment.push(&BuiltinInput::Squarings(Fr::from(input)), &mut rng).expect("every input is accepted");
        }
        let state = segment.state().to_vec();
        let proof = segment.finish(&mut rng).expect("two steps");
        assert_eq!((proof.count(), proof.end()), (2, &state[..]));
        verify(&params, &proof, &mut rng).expect("it is valid");
    }
}
