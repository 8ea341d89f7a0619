//! What can go wrong, and how JavaScript sees it.

use std::error::Error as _;

use crowdfold_fold as fold;
use crowdfold_programs::Program as _;
use crowdfold_wire::PushError;
use wasm_bindgen::prelude::*;

use crate::Programs;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** What every failing call of this package throws. */
export interface CrowdfoldError extends Error {
  name: "CrowdfoldError";
  /** What went wrong, for programs; `message` is for people. */
  kind:
    | "UnknownProgram" | "ParameterDigest" | "Argument" | "Memory" | "Randomness" | "Finished" | "Unusable"
    | "Version" | "Stranger" | "Signature" | "Audience" | "Payout" | "Lifetime" | "Early" | "Expired"
    | "Length" | "Decode" | "Limit" | "Parameters" | "Empty" | "Invalid" | "ParameterFile" | "Step" | "Fold";
}
"#;

/// Errors of this package. In JavaScript each is an `Error` named `CrowdfoldError` whose property `kind` says which.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program that this package does not have.
    #[error("there is no program of that name: expected {forms}", forms = Programs::forms())]
    UnknownProgram,
    /// Parameters other than those that were asked for.
    #[error("the parameters have digest {found}, expected {expected}: fetch those of the job")]
    ParameterDigest {
        /// The digest asked for.
        expected: String,
        /// The digest of what was given.
        found: String,
    },
    /// An argument of the wrong type or form.
    #[error("{what}: expected {expected}")]
    Argument {
        /// Which argument.
        what: &'static str,
        /// What it should have been.
        expected: &'static str,
    },
    /// The module's memory can't grow as far as is needed.
    #[error("there is no memory for {0} more bytes")]
    Memory(usize),
    /// The host has no secure random source.
    #[error("the host has no crypto.getRandomValues")]
    Randomness(#[source] getrandom::Error),
    /// A segment that was finished before.
    #[error("the segment is finished: start another one")]
    Finished,
    /// Parameters that are not those that a session asked for, or can't be used.
    #[error("the parameters can't be used: {0}")]
    Unusable(#[source] crowdfold_prover::Failure),
    /// A posted task that is not taken.
    #[error(transparent)]
    Push(#[from] PushError),
    /// What the folding scheme says.
    #[error(transparent)]
    Fold(#[from] fold::Error),
}

impl Error {
    /// The value of `kind` in JavaScript.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::UnknownProgram => "UnknownProgram",
            Self::ParameterDigest { .. } => "ParameterDigest",
            Self::Argument { .. } => "Argument",
            Self::Memory(_) => "Memory",
            Self::Randomness(_) => "Randomness",
            Self::Finished => "Finished",
            Self::Unusable(_) => "Unusable",
            Self::Push(error) => match error {
                PushError::Version { .. } => "Version",
                PushError::Decode(_) => "Decode",
                PushError::Stranger(_) => "Stranger",
                PushError::Key(_) | PushError::Signature(_) => "Signature",
                PushError::Audience { .. } => "Audience",
                PushError::Payout { .. } => "Payout",
                PushError::Lifetime { .. } => "Lifetime",
                PushError::Early { .. } => "Early",
                PushError::Expired { .. } => "Expired",
            },
            Self::Fold(error) => match error {
                fold::Error::Length { .. } => "Length",
                fold::Error::Decode { .. } => "Decode",
                fold::Error::Limit { .. } => "Limit",
                fold::Error::Parameters { .. } => "Parameters",
                fold::Error::Empty => "Empty",
                fold::Error::Invalid(_) => "Invalid",
                fold::Error::ParameterFile(_) => "ParameterFile",
                fold::Error::Step(_) => "Step",
                _ => "Fold",
            },
        }
    }
}

impl From<Error> for JsValue {
    fn from(error: Error) -> Self {
        let message = match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        let js = js_sys::Error::new(&message);
        js.set_name("CrowdfoldError");
        // A fresh object takes any property.
        let _ = js_sys::Reflect::set(&js, &"kind".into(), &error.kind().into());
        js.into()
    }
}
