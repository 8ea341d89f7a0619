//! One module for each group of commands, and what they share.

pub(crate) mod accounts;
pub(crate) mod batch;
pub(crate) mod genesis;
pub(crate) mod key;
pub(crate) mod transaction;
pub(crate) mod workload;

use anyhow::{Context as _, bail, ensure};
use crowdfold_fold::Fr;
use crowdfold_programs::StateField;
use crowdfold_programs::rollup::{Index, State};
use crowdfold_rollup::forms::{AddressText, Element, MAX_FILE_BYTES, hexadecimal};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The rollup that signatures are bound to.
#[derive(clap::Args)]
pub(crate) struct Rollup {
    /// What signatures are bound to, instead of --chain-id and --contract.
    #[arg(long, value_name = "0xHEX", conflicts_with_all = ["chain_id", "contract"])]
    domain: Option<Element>,
    /// The chain that the rollup settles on (EIP-155).
    #[arg(long, requires = "contract")]
    chain_id: Option<u64>,
    /// The rollup's contract on it.
    #[arg(long, value_name = "0xADDRESS", requires = "chain_id")]
    contract: Option<AddressText>,
}

impl Rollup {
    /// The domain, if the rollup is named.
    pub(crate) fn domain(&self) -> Option<Fr> {
        let of_contract = || Some(State::domain(self.chain_id?, self.contract?.0));
        self.domain.map(|domain| domain.0).or_else(of_contract)
    }

    /// The domain.
    pub(crate) fn required(&self) -> anyhow::Result<Fr> {
        self.domain().context("which rollup? Give --chain-id and --contract, or --domain")
    }
}

/// An index on the command line.
pub(crate) fn index(number: u32) -> anyhow::Result<Index> {
    Index::new(number).with_context(|| format!("expected an index below 2^24, got {number}"))
}

/// The bytes of a file within the limit.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let reading = || format!("reading {}", path.display());
    let length = fs::metadata(path).with_context(reading)?.len();
    ensure!(length <= MAX_FILE_BYTES, "{} has {length} bytes, files have at most {MAX_FILE_BYTES}", path.display());
    fs::read(path).with_context(reading)
}

/// Writes a file, which is on disk when this returns, or appears not at all.
pub(crate) fn write(path: &Path, contents: &[u8]) -> anyhow::Result<()> {
    let writing = || format!("writing {}", path.display());
    let mut name = path.file_name().with_context(|| format!("{} is no name of a file", path.display()))?.to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let mut file = File::create(&part).with_context(writing)?;
    file.write_all(contents).and_then(|()| file.sync_all()).with_context(writing)?;
    fs::rename(&part, path).with_context(writing)
}

/// Writes JSON for people and programs into a file, or on standard output.
pub(crate) fn write_json(out: Option<&PathBuf>, value: &impl Serialize) -> anyhow::Result<()> {
    match out {
        Some(path) => {
            let mut text = BufWriter::new(Vec::new());
            serde_json::to_writer_pretty(&mut text, value)?;
            let mut text = text.into_inner()?;
            text.push(b'\n');
            write(path, &text)
        }
        None => {
            let text = serde_json::to_string_pretty(value)?;
            match writeln!(std::io::stdout(), "{text}") {
                // Whoever reads has seen enough.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
                other => Ok(other?),
            }
        }
    }
}

/// A state as JSON: its elements under their names.
pub(crate) fn state_json(state: &State) -> Value {
    let named = state.describe().into_iter().zip(state.to_elements());
    // Two elements are numbers for people; the others are hashes.
    let value = |(StateField { name, value, .. }, element): (StateField, Fr)| {
        let is_number = matches!(name.as_str(), "count" | "operator" | "fees");
        (name, json!(if is_number { value } else { hexadecimal(&element) }))
    };
    Value::Object(named.map(value).collect::<Map<_, _>>())
}

/// The random source of a seed, as all commands use it: what one makes of a seed belongs to what the others make of it.
pub(crate) fn seeded(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// What the secret keys of a seed's accounts are made from.
pub(crate) fn key_seed(seed: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    seeded(seed).fill_bytes(&mut bytes);
    bytes
}

/// 32 bytes from the system.
#[allow(clippy::disallowed_methods, reason = "randomness enters here and goes on as an argument")]
pub(crate) fn entropy() -> anyhow::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::getrandom(&mut bytes).context("the system has no randomness")?;
    Ok(bytes)
}

/// Refuses to write over a file.
pub(crate) fn ensure_new(path: &Path) -> anyhow::Result<()> {
    if path.exists() {
        bail!("{} exists already: give another name, or delete it", path.display());
    }
    Ok(())
}
