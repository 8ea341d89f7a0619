//! A posted task, as an object of JavaScript.

use crowdfold_fold::Context;
use crowdfold_wire as wire;
use crowdfold_wire::PublicKey;
use crowdfold_wire::limits::MAX_PUSH_BYTES;
use js_sys::{Array, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;

use crate::arguments;
use crate::error::Error;
use crate::prover::Prover;
use crate::segment::Segment;

/// Keys of coordinators that a function takes tasks of.
const MAX_KEYS: u32 = 64;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** What a function was set up with, and the time. */
export interface PushGate {
  /** Public keys of the coordinators whose tasks it takes: 32 bytes each, hexadecimal, with or without `0x`. */
  keys: readonly string[];
  /** Its own URL, letter by letter as its coordinators have it. */
  audience: string;
  /** Address that is to be paid: 20 bytes, hexadecimal. */
  payout: string;
  /** Seconds since 1970. */
  nowSeconds: number;
}
"#;

#[wasm_bindgen]
extern "C" {
    /// A `PushGate` of JavaScript, not checked yet.
    #[wasm_bindgen(typescript_type = "PushGate")]
    #[derive(Debug)]
    pub type PushGate;
}

fn field(gate: &PushGate, name: &'static str) -> Result<JsValue, Error> {
    // Fails for what is no object, and when a getter throws.
    Reflect::get(gate, &name.into())
        .map_err(|_| Error::Argument { what: "gate", expected: "an object with readable fields" })
}

fn text(gate: &PushGate, name: &'static str) -> Result<String, Error> {
    field(gate, name)?.as_string().ok_or(Error::Argument { what: name, expected: "a string" })
}

fn keys(gate: &PushGate) -> Result<Vec<PublicKey>, Error> {
    const WHAT: &str = "keys";
    const EXPECTED: &str = "an array of at most 64 keys, each 32 bytes as hexadecimal";
    let array: Array = field(gate, WHAT)?.dyn_into().map_err(|_| Error::Argument { what: WHAT, expected: EXPECTED })?;
    if array.length() > MAX_KEYS {
        return Err(Error::Argument { what: WHAT, expected: EXPECTED });
    }
    let key = |key: JsValue| arguments::from_hex(WHAT, EXPECTED, &key.as_string().unwrap_or_default()).map(PublicKey);
    array.iter().map(key).collect()
}

/// A task that a coordinator has posted, and that this function may take. Call `free` when it is done.
#[wasm_bindgen]
#[derive(Debug)]
pub struct PushTask {
    task: wire::PushTask,
}

#[wasm_bindgen]
impl PushTask {
    /// Bytes of a task, at most. Do not read more of a request.
    #[wasm_bindgen(js_name = maxBytes)]
    #[must_use]
    pub fn max_bytes() -> usize {
        MAX_PUSH_BYTES
    }

    /// Reads a request's body and checks that it is a task for this function now. Whether its nonce is new, and what is
    /// left of the day's budget, is for the caller to know.
    ///
    /// # Errors
    /// Throws a `CrowdfoldError`: `Version` or `Decode` for what is no task of this version; `Stranger` for the task of
    /// another coordinator; `Signature`; `Audience` or `Payout` for one that was meant for another function; `Lifetime`,
    /// `Early` or `Expired` for one that is not good now; `Limit`, `Argument`, `Memory`.
    pub fn open(bytes: &Uint8Array, gate: &PushGate) -> Result<Self, Error> {
        let keys = keys(gate)?;
        let payout = text(gate, "payout")?;
        let payout = arguments::from_hex("payout", "20 bytes as hexadecimal", &payout).map(crowdfold_fold::Address)?;
        let now_s = field(gate, "nowSeconds")?.as_f64().filter(|now| *now >= 0.0);
        let now_s = now_s.ok_or(Error::Argument { what: "nowSeconds", expected: "seconds since 1970" })?;
        let audience = text(gate, "audience")?;
        let bytes = arguments::bytes("task", bytes, MAX_PUSH_BYTES)?;
        // What is beyond 64 bits is as far in the future as the last of them.
        let gate = wire::PushGate { keys: &keys, audience: &audience, payout, now_s: now_s as u64 };
        Ok(Self { task: wire::PushTask::open(&bytes, &gate)? })
    }

    /// The coordinator's public key, in hexadecimal.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn coordinator(&self) -> String {
        self.task.key.to_string()
    }

    /// The nonce, in hexadecimal. Together with the coordinator's key it may be seen once.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn nonce(&self) -> String {
        hex::encode(self.task.nonce)
    }

    /// Seconds since 1970 from which on the task is not taken, so that its nonce may be forgotten.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn expires(&self) -> f64 {
        self.task.expires_s as f64
    }

    /// Name of the program.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn program(&self) -> String {
        self.task.program.to_string()
    }

    /// Digest of the parameters to fold with, in hexadecimal.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn parameters(&self) -> String {
        self.task.parameters.to_string()
    }

    /// Path of the parameters at the coordinator.
    #[wasm_bindgen(getter, js_name = parametersPath)]
    #[must_use]
    pub fn parameters_path(&self) -> String {
        format!("/v1/parameters/{}/fold", self.task.parameters)
    }

    /// Steps that are wanted, at most.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn steps(&self) -> usize {
        self.task.inputs.len()
    }

    /// An empty segment at the state where the task starts, bound to its job and to who is paid.
    ///
    /// # Errors
    /// Throws a `CrowdfoldError`: `ParameterDigest` when the prover's parameters are not those of the task, `Length` or
    /// `Decode` for a state that is none of the program, `Randomness`.
    pub fn segment(&self, prover: &Prover) -> Result<Segment, Error> {
        let (expected, found) = (self.parameters(), prover.digest());
        if expected != found {
            return Err(Error::ParameterDigest { expected, found });
        }
        let context = Context { job: self.task.job, prover: self.task.payout };
        prover.segment_at(context, &self.task.start)
    }

    /// Folds the next step of the task into its segment. Says how many are left. When it throws, the segment is as it was.
    ///
    /// # Errors
    /// As `push` of the segment.
    pub fn fold(&self, segment: &mut Segment) -> Result<usize, Error> {
        let (next, steps) = (segment.count()? as usize, self.steps());
        if let Some(input) = self.task.inputs.get(next) {
            segment.push_encoded(input)?;
        }
        Ok(steps.saturating_sub(next + 1))
    }
}
