//! From JavaScript's values to ours, checking everything before anything is copied.

use crowdfold_fold::{self as fold, Address, Context, Job};
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::prelude::*;

use crate::error::Error;

/// The largest number below which JavaScript's numbers are exact integers.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** What a segment's proof is bound to. Bytes are hexadecimal, with or without `0x`. */
export interface SegmentContext {
  /** Chain that settles the job (EIP-155). */
  chainId: bigint | number;
  /** Contract that settles it: 20 bytes. */
  contract: string;
  /** The contract's name for the job: 32 bytes. */
  jobId: string;
  /** Address that is paid for the segment: 20 bytes. */
  prover: string;
}
"#;

#[wasm_bindgen]
extern "C" {
    /// A `SegmentContext` of JavaScript, not checked yet.
    #[wasm_bindgen(typescript_type = "SegmentContext")]
    #[derive(Debug)]
    pub type SegmentContext;
}

impl SegmentContext {
    /// Reads and checks the fields.
    ///
    /// # Errors
    /// [`Error::Argument`] names the field that is wrong.
    pub(crate) fn read(&self) -> Result<Context, Error> {
        let field = |name| field("context", self, name);
        let text = |name| field(name).map(|value| value.as_string().unwrap_or_default());
        Ok(Context {
            job: Job {
                chain_id: chain_id(&field("chainId")?)?,
                contract: Address(from_hex("contract", "20 bytes as hexadecimal", &text("contract")?)?),
                job_id: from_hex("jobId", "32 bytes as hexadecimal", &text("jobId")?)?,
            },
            prover: Address(from_hex("prover", "20 bytes as hexadecimal", &text("prover")?)?),
        })
    }
}

fn chain_id(value: &JsValue) -> Result<u64, Error> {
    let expected = "a whole number below 2^64 (a bigint if beyond 2^53)";
    whole(value).ok_or(Error::Argument { what: "chainId", expected })
}

/// A field of the argument `what`; undefined if it has none of that name.
pub(crate) fn field(what: &'static str, object: &JsValue, name: &str) -> Result<JsValue, Error> {
    // Fails for what is no object, and when a getter throws.
    Reflect::get(object, &name.into()).map_err(|_| Error::Argument { what, expected: "an object with readable fields" })
}

/// A whole number below 2^64: a number that is exact, or a bigint.
pub(crate) fn whole(value: &JsValue) -> Option<u64> {
    match value.as_f64() {
        Some(number) => ((0.0..=MAX_SAFE_INTEGER).contains(&number) && number.fract() == 0.0).then_some(number as u64),
        None => u64::try_from(value.clone()).ok(),
    }
}

/// Exactly `N` bytes in hexadecimal, with or without `0x`.
pub(crate) fn from_hex<const N: usize>(
    what: &'static str,
    expected: &'static str,
    text: &str,
) -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut bytes)
        .map_err(|_| Error::Argument { what, expected })?;
    Ok(bytes)
}

/// Copies a byte array of exactly `N` bytes.
pub(crate) fn array<const N: usize>(
    what: &'static str,
    expected: &'static str,
    value: &JsValue,
) -> Result<[u8; N], Error> {
    let array = value.dyn_ref::<Uint8Array>().filter(|array| array.length() as usize == N);
    let mut bytes = [0; N];
    array.ok_or(Error::Argument { what, expected })?.copy_to(&mut bytes);
    Ok(bytes)
}

/// Copies a byte array of at most `limit` bytes.
pub(crate) fn bytes(what: &'static str, array: &Uint8Array, limit: usize) -> Result<Vec<u8>, Error> {
    if !array.is_instance_of::<Uint8Array>() {
        return Err(Error::Argument { what, expected: "a Uint8Array" });
    }
    let length = array.length() as usize;
    if length > limit {
        return Err(fold::Error::Limit { what, limit: limit as u64, found: length as u64 }.into());
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(|_| Error::Memory(length))?;
    bytes.resize(length, 0);
    array.copy_to(&mut bytes);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_has_its_exact_length() {
        let read = |text: &str| from_hex::<2>("it", "2 bytes", text);
        assert_eq!(read("0x0aF1").expect("2 bytes"), [0x0a, 0xf1]);
        assert_eq!(read("0af1").expect("2 bytes"), [0x0a, 0xf1]);
        for text in ["", "0x", "0x0a", "0af", "0af1ff", "0x0x0af1", "0ag1", " 0af1", "äf1"] {
            read(text).expect_err(text);
        }
    }
}
