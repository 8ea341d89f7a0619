//! What the worker of `browser/` calls. Parameters are leaked: a page proves one chain and is closed.

use crowdfold_fold::{ProverParameters, StepFunction as _};
use crowdfold_programs::{Builtin, Program as _};
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

fn program(name: &str) -> Result<Builtin, JsError> {
    Builtin::from_name(name).ok_or_else(|| JsError::new("no such program"))
}

/// Our prover.
#[wasm_bindgen]
pub struct Ours {
    program: Builtin,
    chain: crate::Ours<'static, Builtin>,
}

#[wasm_bindgen]
impl Ours {
    /// Reads parameters of a program and starts a segment at an encoded state.
    ///
    /// # Errors
    /// If the parameters or the state are wrong.
    #[wasm_bindgen(constructor)]
    pub fn new(name: &str, params: &[u8], start: &[u8], seed: u32) -> Result<Ours, JsError> {
        let program = program(name)?;
        let params = ProverParameters::from_bytes(program.clone(), params)?;
        let start = program.decode_state(start)?;
        Ok(Self { program, chain: crate::Ours::new(Box::leak(Box::new(params)), start, seed.into())? })
    }

    /// Proves one more step.
    ///
    /// # Errors
    /// If the input is wrong or proving fails.
    pub fn step(&mut self, input: &[u8]) -> Result<(), JsError> {
        Ok(self.chain.step(&self.program.decode_input(input)?)?)
    }

    /// The encoded proof.
    ///
    /// # Errors
    /// If proving fails.
    pub fn finish(self) -> Result<Vec<u8>, JsError> {
        Ok(self.chain.finish()?.to_bytes())
    }
}

/// nova-snark.
#[wasm_bindgen]
pub struct Nova {
    program: Builtin,
    chain: crate::Nova<'static, Builtin>,
}

#[wasm_bindgen]
impl Nova {
    /// Reads nova-snark's parameters of a program and starts a chain at an encoded state, whose first input is this one.
    ///
    /// # Errors
    /// If the parameters, the state or the input are wrong.
    #[wasm_bindgen(constructor)]
    pub fn new(name: &str, params: &[u8], start: &[u8], first: &[u8]) -> Result<Nova, JsError> {
        let program = program(name)?;
        let params = crate::NovaParameters::from_bytes(program.clone(), params)?;
        let (start, first) = (program.decode_state(start)?, program.decode_input(first)?);
        Ok(Self { program, chain: crate::Nova::new(Box::leak(Box::new(params)), start, &first)? })
    }

    /// Proves one more step.
    ///
    /// # Errors
    /// If the input is wrong or proving fails.
    pub fn step(&mut self, input: &[u8]) -> Result<(), JsError> {
        Ok(self.chain.step(&self.program.decode_input(input)?)?)
    }

    /// Verifies all steps.
    ///
    /// # Errors
    /// If they are wrong.
    pub fn verify(&self) -> Result<(), JsError> {
        Ok(self.chain.verify()?)
    }
}
