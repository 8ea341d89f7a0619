//! What operators and planners do with transactions before anything is proved, on one core.

use anyhow::{Context, ensure};
use crowdfold_bench::report::Measure;
use crowdfold_bench::sample::{on_threads, repeat, timed};
use crowdfold_fold::Fr;
use crowdfold_programs::eddsa::{PublicKey, Signature, verify, verify_batch};
use crowdfold_programs::rollup::{
    Accounts as _, Deposit, Executor, MemoryAccounts, Refusal, Request, SLOTS, StepInput, Verified,
};

use crate::setup::{Work, rng};

/// Accounts of the store, which transactions name by Zipf's law.
const ACCOUNTS: u32 = 1_000_000;
/// Transactions that are executed.
const EXECUTED: usize = 50_000;
/// Transactions of the batch that inputs are made for, and whose tree is hashed: with the seal they fill their steps.
const BATCH: usize = 1000 * SLOTS - 1;
/// Signatures that are checked, and how many of them at once.
const SIGNATURES: (usize, usize) = (4096, 512);
/// Runs, of which the median counts.
const ROUNDS: usize = 5;

/// A transaction whose signature was checked.
enum Checked {
    Deposit(Deposit),
    Signed(Box<Verified>),
}

/// All measures.
pub(crate) fn measure() -> anyhow::Result<Vec<Measure>> {
    eprintln!("making a rollup of {ACCOUNTS} accounts");
    let work = Work::generate(ACCOUNTS, EXECUTED)?;
    eprintln!("execution, witnesses and signatures, one core");
    on_threads(1, || {
        let checked = check(&work)?;
        let mut measures = execution(&work, &checked)?;
        measures.extend(signatures(&checked, work.start.domain)?);
        measures.push(witnesses(work)?);
        Ok(measures)
    })
}

/// Proving one transaction over making its witness, where both were measured.
pub(crate) fn gap(measures: &[Measure]) -> Option<Measure> {
    let value = |id| measures.iter().find(|measure| measure.id == id).map(|measure| measure.value);
    let gap = value("prove_s_per_tx_native_1")? * value("witness_tx_s")?;
    Some(Measure::new("proving_gap", "time of proving over time of the witness, native, 1 thread", gap.round(), "x"))
}

/// Executes everything once, with each signature checked under the key that the account has by then.
fn check(work: &Work) -> anyhow::Result<Vec<Checked>> {
    let mut executor = Executor::new(&work.store);
    let check = |request: &Request| {
        Ok(match request {
            Request::Deposit(deposit) => {
                executor.deposit(deposit)??;
                Checked::Deposit(*deposit)
            }
            Request::Signed(signed) => {
                let payer = executor.accounts().account(signed.transaction().from())?.context("nobody pays")?;
                let verified = Verified::new(*signed, payer.key, work.start.domain)?;
                executor.execute(&verified)??;
                Checked::Signed(Box::new(verified))
            }
        })
    };
    work.requests.iter().map(check).collect()
}

/// Executes transactions of which none is refused.
fn execute<'a>(store: &'a MemoryAccounts, checked: &[Checked]) -> Result<Executor<&'a MemoryAccounts>, Refusal> {
    let mut executor = Executor::new(store);
    for transaction in checked {
        let Ok(done) = match transaction {
            Checked::Deposit(deposit) => executor.deposit(deposit),
            Checked::Signed(verified) => executor.execute(verified),
        };
        done?;
    }
    Ok(executor)
}

fn execution(work: &Work, checked: &[Checked]) -> anyhow::Result<Vec<Measure>> {
    let executing = repeat(ROUNDS, || execute(&work.store, checked))?;
    let batch = &checked[..BATCH];
    let rehashing = repeat(ROUNDS, || {
        let mut accounts = execute(&work.store, batch)?.into_accounts();
        let Ok(()) = accounts.rehash();
        let Ok(root) = accounts.root();
        ensure!(root != work.start.root, "nothing was hashed");
        Ok(accounts)
    })?;
    let of = format!("store of {ACCOUNTS} accounts");
    Ok(vec![
        rate("execute_tx_s", format!("execution without hashing and signatures, {of}"), EXECUTED, executing)
            .at_least(4000.0),
        rate("rehash_tx_s", format!("execution, the tree hashed once after {BATCH} transactions"), BATCH, rehashing),
    ])
}

/// Inputs of steps, with the tree hashed after each change.
fn witnesses(mut work: Work) -> anyhow::Result<Measure> {
    work.requests.truncate(BATCH);
    let mut steps = work.batch()?.batch.into_steps(&mut rng(5))?;
    let (inputs, seconds) = timed(|| steps.by_ref().collect::<Result<Vec<StepInput>, _>>());
    ensure!(inputs?.len() * SLOTS == BATCH + 1, "the batch does not fill its steps");
    Ok(rate("witness_tx_s", "step inputs, the tree hashed after each change", BATCH, seconds))
}

fn signatures(checked: &[Checked], domain: Fr) -> anyhow::Result<Vec<Measure>> {
    let (count, at_once) = SIGNATURES;
    let triple = |transaction: &Checked| match transaction {
        Checked::Deposit(_) => None,
        Checked::Signed(verified) => {
            let signed = verified.signed();
            Some((*verified.key(), signed.transaction().message(domain), *signed.signature()))
        }
    };
    let triples: Vec<(PublicKey, Fr, Signature)> = checked.iter().filter_map(triple).take(count).collect();
    ensure!(triples.len() == count, "there are {} signatures", triples.len());
    let batched = repeat(ROUNDS, || {
        let all = triples.chunks(at_once).all(|chunk| verify_batch(chunk, &mut rng(6)).is_ok());
        if all { Ok(()) } else { Err(anyhow::anyhow!("a signature is not valid")) }
    })?;
    let single = repeat(ROUNDS, || {
        let all = triples.iter().all(|(key, message, signature)| verify(key, *message, signature));
        if all { Ok(()) } else { Err(anyhow::anyhow!("a signature is not valid")) }
    })?;
    Ok(vec![
        rate("signatures_s", format!("signatures checked, {at_once} at once"), count, batched),
        rate("signatures_single_s", "signatures checked, one by one", count, single),
    ])
}

/// So many things in so many seconds.
fn rate(id: &'static str, what: impl Into<String>, count: usize, seconds: f64) -> Measure {
    let unit = if id.starts_with("signatures") { "sig/s" } else { "tx/s" };
    Measure::new(id, what, (count as f64 / seconds).round(), unit)
}
