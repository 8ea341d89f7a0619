//! What the worker of `browser/` calls. Parameters are leaked: a page proves one chain and is closed.

use crowdfold_fold::{Fr, ProverParameters};
use crowdfold_programs::Squarings;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn console_error(message: &str);
}

/// Says on the console what panicked.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| console_error(&panic.to_string())));
}

/// State that every chain starts at.
const START: u64 = 3;

/// Our prover.
#[wasm_bindgen]
pub struct Ours(crate::Ours<'static>);

#[wasm_bindgen]
impl Ours {
    /// Reads parameters of the program with `per_step` squarings and starts a segment.
    ///
    /// # Errors
    /// If the parameters are wrong.
    #[wasm_bindgen(constructor)]
    pub fn new(params: &[u8], per_step: usize, seed: u32) -> Result<Ours, JsError> {
        let params = ProverParameters::from_bytes(Squarings::new(per_step), params)?;
        Ok(Self(crate::Ours::new(Box::leak(Box::new(params)), Fr::from(START), seed.into())?))
    }

    /// Proves one more step.
    ///
    /// # Errors
    /// If proving fails.
    pub fn step(&mut self) -> Result<(), JsError> {
        Ok(self.0.step()?)
    }

    /// The encoded proof.
    ///
    /// # Errors
    /// If proving fails.
    pub fn finish(self) -> Result<Vec<u8>, JsError> {
        Ok(self.0.finish()?.to_bytes())
    }
}

/// nova-snark.
#[wasm_bindgen]
pub struct Nova(crate::Nova<'static>);

#[wasm_bindgen]
impl Nova {
    /// Reads nova-snark's parameters of the program with `per_step` squarings and starts a chain.
    ///
    /// # Errors
    /// If the parameters are wrong.
    #[wasm_bindgen(constructor)]
    pub fn new(params: &[u8], per_step: usize) -> Result<Nova, JsError> {
        let params = crate::NovaParameters::from_bytes(Squarings::new(per_step), params)?;
        Ok(Self(crate::Nova::new(Box::leak(Box::new(params)), Fr::from(START))?))
    }

    /// Proves one more step.
    ///
    /// # Errors
    /// If proving fails.
    pub fn step(&mut self) -> Result<(), JsError> {
        Ok(self.0.step()?)
    }

    /// Verifies all steps.
    ///
    /// # Errors
    /// If they are wrong.
    pub fn verify(&self) -> Result<(), JsError> {
        Ok(self.0.verify()?)
    }
}
