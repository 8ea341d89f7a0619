//! `verify`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crowdfold_coordinator::chance;
use crowdfold_coordinator::store::limits::PROOF_BYTES;
use crowdfold_fold::{Error, Parameters, RangeProof, StepFunction as _};
use crowdfold_programs::{Builtin, Program as _};
use crowdfold_wire::ParametersId;
use serde_json::{Value, json};

use super::exit::Exit;
use super::output::answer;
use super::{files, params};

/// What to verify, and what to compare it with.
#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// File with the proof; - for standard input.
    file: PathBuf,
    /// Folder with the parameters of programs.
    #[arg(long, env = "COORDINATOR_PARAMS", default_value = "params")]
    params: PathBuf,
    /// The program. If not given, the one whose parameters the proof names.
    #[arg(long)]
    program: Option<String>,
    /// The state that it has to start from: its encoding in hexadecimal digits.
    #[arg(long)]
    start: Option<String>,
    /// The state that it has to end with.
    #[arg(long)]
    end: Option<String>,
    /// The number of steps that it has to have.
    #[arg(long)]
    count: Option<u64>,
    /// The job's name on the chain, which it has to be bound to: 64 hexadecimal digits.
    #[arg(long)]
    job_id: Option<String>,
}

/// A proof that is valid.
#[derive(Debug)]
pub(crate) struct Verified {
    parameters: Parameters<Builtin>,
    proof: RangeProof,
}

/// Verifies the bytes of a proof with parameters from a folder.
///
/// # Errors
/// [`Exit::NotAProof`] if it is none that is made with these parameters, [`Exit::NotValid`] if its claim is false.
pub(crate) fn verify(bytes: &[u8], folder: &Path, program: Option<&str>) -> anyhow::Result<Verified> {
    program.map(params::program).transpose()?;
    let mut known = Vec::new();
    for (path, program) in params::of_folder(folder, program)? {
        let parameters = params::load(&path, program)?;
        match RangeProof::from_bytes(&parameters, bytes) {
            Ok(proof) => return Verified::new(parameters, proof),
            // Other parameters may be the ones.
            Err(Error::Parameters { found, .. }) => known.push(found),
            Err(error) => return Err(Exit::NotAProof.error(format!("it is no proof: {error}"))),
        }
    }
    let whose = match (known.first(), program) {
        (Some(found), _) => format!("the proof is made with parameters {found}, which are not"),
        (None, Some(program)) => format!("there are no parameters of {program}"),
        (None, None) => "there are no parameters".to_owned(),
    };
    Err(Exit::NotAProof.error(format!("{whose} in {}", folder.display())))
}

impl Verified {
    fn new(parameters: Parameters<Builtin>, proof: RangeProof) -> anyhow::Result<Self> {
        match crowdfold_fold::verify(&parameters, &proof, &mut chance::generator()?) {
            Ok(()) => Ok(Self { parameters, proof }),
            Err(error) => Err(Exit::NotValid.error(error)),
        }
    }

    fn program(&self) -> &Builtin {
        self.parameters.prover().step()
    }

    fn states(&self) -> [String; 2] {
        [self.proof.start(), self.proof.end()].map(|state| hex::encode(self.program().encode_state(state)))
    }

    /// What it proves.
    pub(crate) fn json(&self) -> Value {
        let (job, [start, end]) = (self.proof.job(), self.states());
        let receipts = self.proof.receipts();
        let receipts = receipts
            .iter()
            .map(|receipt| json!({ "prover": format!("0x{}", hex::encode(receipt.prover.0)), "steps": receipt.count }));
        json!({
            "valid": true, "program": self.program().name(),
            "parameters": ParametersId::from(self.parameters.prover().digest()).to_string(),
            "insecure": self.parameters.prover().is_insecure(), "count": self.proof.count(),
            "start": start, "end": end, "chain_id": job.chain_id,
            "contract": format!("0x{}", hex::encode(job.contract.0)), "job_id": hex::encode(job.job_id),
            "receipts": receipts.collect::<Vec<_>>(),
        })
    }

    fn compare(&self, wanted: &Verify) -> anyhow::Result<()> {
        let [start, end] = self.states();
        let job_id = hex::encode(self.proof.job().job_id);
        let count = self.proof.count().to_string();
        let digits = |text: &Option<String>| {
            text.as_ref().map(|text| text.strip_prefix("0x").unwrap_or(text).to_ascii_lowercase())
        };
        for (what, found, expected) in [
            ("first state", start, digits(&wanted.start)),
            ("last state", end, digits(&wanted.end)),
            ("number of steps", count, wanted.count.map(|count| count.to_string())),
            ("job", job_id, digits(&wanted.job_id)),
        ] {
            if expected.as_ref().is_some_and(|expected| *expected != found) {
                let expected = expected.unwrap_or_default();
                let text = format!("the proof is valid, but its {what} is {found}, not {expected}");
                return Err(Exit::NotValid.error(text));
            }
        }
        Ok(())
    }

    /// What it proves, for people.
    fn text(&self) -> String {
        let about = self.json();
        let mut lines = vec!["valid".to_owned()];
        for key in ["program", "parameters", "count", "start", "end", "chain_id", "contract", "job_id"] {
            lines.push(match &about[key] {
                Value::String(text) => format!("{key}: {text}"),
                other => format!("{key}: {other}"),
            });
        }
        for (which, state) in [("start", self.proof.start()), ("end", self.proof.end())] {
            // Not every state of the right form is one that the program can be in.
            for field in self.program().describe(state).unwrap_or_default() {
                lines.push(format!("{which} {}: {} ({})", field.name, field.value, field.meaning));
            }
        }
        let mut steps = BTreeMap::<String, u64>::new();
        for receipt in self.proof.receipts() {
            *steps.entry(hex::encode(receipt.prover.0)).or_default() += receipt.count;
        }
        lines.extend(steps.iter().map(|(prover, steps)| format!("prover 0x{prover}: {steps} steps")));
        lines.join("\n")
    }
}

/// Verifies a file.
pub(crate) fn run(wanted: &Verify, json: bool) -> anyhow::Result<()> {
    let bytes = files::read(&wanted.file, PROOF_BYTES)?;
    let verified = verify(&bytes, &wanted.params, wanted.program.as_deref())?;
    verified.compare(wanted)?;
    answer(json, &verified.json(), verified.text())?;
    if verified.parameters.prover().is_insecure() {
        eprintln!("{}", params::INSECURE);
    }
    Ok(())
}
