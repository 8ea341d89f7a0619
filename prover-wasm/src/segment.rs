//! A segment being proved, as an object of JavaScript.

use crowdfold_fold::{self as fold, StepFunction};
use crowdfold_programs::Program as _;
use js_sys::Uint8Array;
use rand_chacha::ChaCha20Rng;
use wasm_bindgen::prelude::*;

use crate::Programs;
use crate::arguments;
use crate::error::Error;

/// A run of steps being proved: push the inputs as they arrive, then finish. Call `free` to give one up.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Segment {
    /// `None` once it is finished.
    segment: Option<fold::Segment<'static, Programs>>,
    rng: ChaCha20Rng,
}

impl Segment {
    pub(crate) fn new(segment: fold::Segment<'static, Programs>, rng: ChaCha20Rng) -> Self {
        Self { segment: Some(segment), rng }
    }

    fn open(&self) -> Result<&fold::Segment<'static, Programs>, Error> {
        self.segment.as_ref().ok_or(Error::Finished)
    }

    /// Proves one more step, with the input of that encoding. After an error the segment is as it was.
    pub(crate) fn push_encoded(&mut self, input: &[u8]) -> Result<(), Error> {
        let segment = self.segment.as_mut().ok_or(Error::Finished)?;
        let input = segment.parameters().step().decode_input(input)?;
        Ok(segment.push(&input, &mut self.rng)?)
    }
}

#[wasm_bindgen]
impl Segment {
    /// Proves one more step, with the input of that encoding. When it throws, the segment is as it was.
    ///
    /// # Errors
    /// Throws a `CrowdfoldError`: `Length`, `Limit` or `Decode` for bytes that are no input of the program, `Step` for
    /// an input that it refuses, `Limit` for a full segment, `Finished`, `Argument`.
    pub fn push(&mut self, input: &Uint8Array) -> Result<(), Error> {
        let most = self.open()?.parameters().step().max_input_bytes();
        self.push_encoded(&arguments::bytes("input", input, most)?)
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
        self.open().map(|segment| segment.parameters().step().encode_state(segment.state()))
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
