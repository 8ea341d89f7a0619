//! Jobs as JSON, for those who would rather not write their bytes.

use bytes::Bytes;
use crowdfold_fold::Fr;
use crowdfold_programs::{Builtin, Squarings};
use crowdfold_rollup::forms::{BatchFile, Element};
use serde::Deserialize;

/// A job of squarings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SquaringsForm {
    /// Elements are text: 0x and 1 to 64 hexadecimal digits.
    start: Element,
    inputs: Vec<Element>,
}

/// The bytes of a job that is described in JSON. A batch of the rollup is the file of `docs/guide/rollup.md`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn job(program: &Builtin, json: &[u8]) -> Result<Bytes, String> {
    let wrong = |error: &dyn std::error::Error| {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    };
    match program {
        Builtin::Squarings(_) => {
            let form: SquaringsForm = serde_json::from_slice(json).map_err(|error| wrong(&error))?;
            let inputs: Vec<Fr> = form.inputs.iter().map(|input| input.0).collect();
            Ok(Squarings::job(form.start.0, &inputs).into())
        }
        Builtin::Rollup(_) => {
            let batch = BatchFile::from_json(json).and_then(|file| file.decode()).map_err(|error| wrong(&error))?;
            Ok(batch.to_bytes().into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crowdfold_programs::Program as _;

    fn squarings() -> Builtin {
        Builtin::from_name("squarings/1/2").expect("a program")
    }

    #[test]
    fn squarings_are_read() {
        let bytes = job(&squarings(), br#"{"start": "0x3", "inputs": ["0x1", "0xff"]}"#).expect("a job");
        assert_eq!(bytes, Squarings::job(Fr::from(3), &[Fr::from(1), Fr::from(255)]));
    }

    #[test]
    fn what_is_no_form_is_refused() {
        let rollup = Builtin::from_name("rollup/1").expect("a program");
        for (program, json) in [
            (&squarings(), &b"{\"start\": \"0x3\"}"[..]),
            (&squarings(), b"{\"start\": 3, \"inputs\": []}"),
            (&squarings(), b"{\"start\": \"0x3\", \"inputs\": [], \"more\": 1}"),
            (&squarings(), b""),
            (&rollup, b"{}"),
            (&rollup, b"\xff"),
        ] {
            assert!(job(program, json).is_err(), "{}", String::from_utf8_lossy(json));
        }
    }
}
