//! Batches of operators.

use super::{ensure_new, entropy, read, state_json, transaction, write, write_json};
use anyhow::{Context as _, bail, ensure};
use crowdfold_fold::StepFunction as _;
use crowdfold_programs::Program as _;
use crowdfold_programs::rollup::{
    Batch, BatchData, MAX_TRANSACTIONS, Outcome, Request, Rollup, State, Transaction, build,
};
use crowdfold_rollup::forms::{BatchFile, hexadecimal, is_binary};
use crowdfold_rollup::store::{Snapshot, Store};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(clap::Subcommand)]
pub(crate) enum Task {
    /// Execute transactions, and write those that were not refused as a batch.
    Build(Build),
    /// Show what is in a batch.
    Show {
        /// File of a batch, binary or JSON.
        file: PathBuf,
    },
    /// Plan a batch as the network would, and execute each of its steps.
    Check {
        /// File of a batch, binary or JSON.
        file: PathBuf,
    },
    /// Write a batch in the other form.
    Convert {
        /// File of a batch: JSON becomes binary, binary becomes JSON.
        file: PathBuf,
        /// File to write.
        #[arg(long)]
        out: PathBuf,
    },
}

#[derive(clap::Args)]
pub(crate) struct Build {
    /// The store that the batch follows.
    #[arg(long)]
    store: PathBuf,
    /// Files of transactions, executed in their order.
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    transactions: Vec<PathBuf>,
    /// File for the batch: a job of the program rollup/1.
    #[arg(long)]
    out: PathBuf,
    /// Take the changes over into the store.
    #[arg(long)]
    commit: bool,
    /// Write the JSON form.
    #[arg(long)]
    json: bool,
    /// Fail, and write nothing, if a transaction is refused.
    #[arg(long)]
    strict: bool,
    /// Make batches of so many requests at most, one after the other; OUT gets the number of each appended: OUT.1,
    /// OUT.2.
    #[arg(long, value_name = "N", requires = "commit", value_parser = clap::value_parser!(u32).range(1..=MAX_TRANSACTIONS as i64))]
    size: Option<u32>,
}

pub(crate) fn run(task: &Task) -> anyhow::Result<()> {
    match task {
        Task::Build(options) => options.run(),
        Task::Show { file } => show(file),
        Task::Check { file } => check(file),
        Task::Convert { file, out } => {
            ensure_new(out)?;
            let bytes = read(file)?;
            let batch = decode(file, &bytes)?;
            put(out, &batch, is_binary(&bytes))
        }
    }
}

/// Writes a batch.
fn put(out: &Path, batch: &Batch, as_json: bool) -> anyhow::Result<()> {
    if as_json { write_json(Some(&out.into()), &BatchFile::new(batch)) } else { write(out, &batch.to_bytes()) }
}

/// Reads a batch of either form.
fn decode(path: &Path, bytes: &[u8]) -> anyhow::Result<Batch> {
    let batch = if is_binary(bytes) {
        Batch::from_bytes(bytes).map_err(crowdfold_rollup::Error::Batch)
    } else {
        BatchFile::from_json(bytes).and_then(|file| file.decode())
    };
    batch.with_context(|| format!("reading {}", path.display()))
}

/// The requests of all files, with the file and position of each.
struct Requests<'a> {
    requests: Vec<Request>,
    sources: Vec<(&'a Path, usize)>,
}

impl Build {
    fn run(&self) -> anyhow::Result<()> {
        // Whoever commits holds the store from the beginning: nobody changes it in between.
        if self.commit {
            let store = Store::open(&self.store)?;
            self.execute(&|| Ok(store.snapshot()?), Some(&store))
        } else {
            self.execute(&|| Ok(Snapshot::open(&self.store)?), None)
        }
    }

    fn execute(&self, view: &dyn Fn() -> anyhow::Result<Snapshot>, store: Option<&Store>) -> anyhow::Result<()> {
        let mut rng = ChaCha20Rng::from_seed(entropy()?);
        let Requests { requests, sources } = self.load(&view()?.head().state)?;
        let size = self.size.map_or(usize::MAX, |size| size as usize);
        // Nothing is a batch too: it has one step, the seal.
        let chunks: Vec<&[Request]> = if requests.is_empty() { vec![&[]] } else { requests.chunks(size).collect() };
        let mut refused = 0;
        let mut sources = sources.into_iter();
        for chunk in chunks {
            let snapshot = view()?;
            let number = snapshot.head().batch + 1;
            let outcome = build(&snapshot, snapshot.head().state, chunk, &mut rng)?;
            let sources: Vec<_> = sources.by_ref().take(chunk.len()).collect();
            for (position, refusal) in &outcome.refused {
                let (file, position) = sources[*position];
                println!("refused: {} transaction {position}: {refusal}", file.display());
            }
            refused += outcome.refused.len();
            if self.strict && refused > 0 {
                bail!("{refused} transactions are refused; nothing was written or committed of this batch");
            }
            let out = self.out(number)?;
            ensure_new(&out)?;
            put(&out, &outcome.batch, self.json)?;
            // The job is on disk before the store moves on: no state without the batch that leads to it.
            if let Some(store) = store {
                store.commit(&outcome)?;
            }
            print(number, &outcome, store.is_some());
        }
        Ok(())
    }

    /// Where a batch goes.
    fn out(&self, number: u64) -> anyhow::Result<PathBuf> {
        if self.size.is_none() {
            return Ok(self.out.clone());
        }
        let mut name = self.out.file_name().context("--out is no name of a file")?.to_owned();
        name.push(format!(".{number}"));
        Ok(self.out.with_file_name(name))
    }

    fn load(&self, state: &State) -> anyhow::Result<Requests<'_>> {
        let (mut requests, mut sources) = (Vec::new(), Vec::new());
        for path in &self.transactions {
            let (domain, asked) = transaction::load(path)?;
            if let Some(domain) = domain.filter(|domain| *domain != state.domain) {
                let (file, expected, found) = (path.display(), hexadecimal(&state.domain), hexadecimal(&domain));
                bail!("{file} is signed for another rollup: the store has domain {expected}, the file {found}");
            }
            requests.extend(asked.iter().map(|asked| asked.request));
            sources.extend((0..asked.len()).map(|position| (path.as_path(), position)));
        }
        Ok(Requests { requests, sources })
    }
}

fn print(number: u64, outcome: &Outcome, is_committed: bool) {
    let data = &outcome.data;
    println!("batch: {number}{}", if is_committed { ", committed" } else { "" });
    println!("transactions: {}", outcome.batch.entries().len());
    println!("refused transactions: {}", outcome.refused.len());
    println!("steps: {}", outcome.batch.num_steps());
    println!("data bytes: {}", data.to_bytes().len());
    println!("data hash: {}", hexadecimal(&data.hash()));
    println!("point: {}", hexadecimal(&data.point(data.hash())));
    println!("end state:");
    print_state(&outcome.end);
}

fn print_state(state: &State) {
    for field in state.describe() {
        println!("  {}: {}", field.name, field.value);
    }
}

fn show(path: &Path) -> anyhow::Result<()> {
    let bytes = read(path)?;
    let batch = decode(path, &bytes)?;
    let transactions = || batch.entries().iter().map(|entry| entry.transaction());
    let count = |is: fn(&Transaction) -> bool| transactions().filter(is).count();
    let shown = json!({
        "form": if is_binary(&bytes) { "binary" } else { "json" },
        "bytes": bytes.len(),
        "transactions": batch.entries().len(),
        "transfers": count(|t| matches!(t, Transaction::Transfer { .. })),
        "deposits": count(|t| matches!(t, Transaction::Deposit { .. })),
        "withdrawals": count(|t| matches!(t, Transaction::Withdrawal { .. })),
        "fees": transactions().map(|t| u128::from(t.fee())).sum::<u128>().to_string(),
        "steps": batch.num_steps(),
        "accounts": batch.tree().accounts().len(),
        "start": state_json(batch.start()),
    });
    write_json(None, &shown)
}

fn check(path: &Path) -> anyhow::Result<()> {
    let job = decode(path, &read(path)?)?.to_bytes();
    let plan = Rollup.plan(&job)?;
    let (mut state, steps) = (plan.start.clone(), plan.steps);
    let before = State::try_from(&state[..])?;
    let mut data = Vec::new();
    for (number, input) in (0..steps).zip(plan.inputs) {
        let input = input?;
        for word in input.slots.iter().flat_map(|slot| slot.transaction.words()) {
            data.extend(word.to_bytes().iter().rev());
        }
        state = Rollup.apply(&state, &input).with_context(|| format!("step {number}"))?;
    }
    let end = State::try_from(&state[..])?;
    ensure!(end.is_between_batches(), "the batch is not sealed by its last step");
    let data = BatchData::from_bytes(&data)?;
    ensure!(data.check(data.hash(), before.sealed, end.sealed), "a contract would refuse the data of the batch");
    println!("steps: {steps}");
    println!("data bytes: {}", data.to_bytes().len());
    println!("end state:");
    print_state(&end);
    println!("all is well");
    Ok(())
}
