//! Work from a seed.

use super::{Rollup, seeded, write_json};
use anyhow::{Context as _, ensure};
use crowdfold_programs::rollup::workload::{Workload, WorkloadParams, secret_key};
use crowdfold_programs::rollup::{Index, Request};
use crowdfold_rollup::forms::{Amount, GenesisFile, MAX_FILE_TRANSACTIONS, TransactionForm, TransactionsFile};
use std::fs;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The same seed and options make the same files. Whoever knows it has all keys.
    #[arg(long)]
    seed: u64,
    /// Accounts of genesis, at least 2.
    #[arg(long)]
    accounts: u32,
    /// Transactions to make.
    #[arg(long)]
    transactions: usize,
    /// Exponent of Zipf's law that says how often accounts take part; 0 for all alike.
    #[arg(long, default_value_t = 1.0)]
    zipf: f64,
    /// Shares of transfers, deposits and withdrawals.
    #[arg(long, value_name = "T,D,W", value_delimiter = ',', default_values_t = [0.9, 0.05, 0.05])]
    shares: Vec<f64>,
    /// How many have to be refused, from 0 to 1.
    #[arg(long, default_value_t = 0.0)]
    invalid: f64,
    /// What each account holds at genesis.
    #[arg(long, default_value = "1208925819614629174706176")]
    balance: Amount,
    #[command(flatten)]
    rollup: Rollup,
    /// Folder for genesis.json and transactions.json, made if there is none.
    #[arg(long)]
    out: PathBuf,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let Options { accounts, transactions, zipf, invalid, .. } = *options;
    ensure!((2..=1 << Index::BITS).contains(&accounts), "expected 2 to 2^24 accounts, got {accounts}");
    let limit = MAX_FILE_TRANSACTIONS;
    ensure!(transactions <= limit, "a file has at most {limit} transactions, got {transactions}: use several seeds");
    let [transfers, deposits, withdrawals] = options.shares[..] else {
        anyhow::bail!("expected three shares, got {}", options.shares.len());
    };
    let is_share = |share: &f64| share.is_finite() && *share >= 0.0;
    let shares = [transfers, deposits, withdrawals];
    ensure!(shares.iter().all(is_share) && shares.iter().sum::<f64>() > 0.0, "expected shares from 0, not all 0");
    ensure!(zipf.is_finite() && zipf >= 0.0, "expected an exponent of Zipf's law from 0, got {zipf}");
    ensure!((0.0..=1.0).contains(&invalid), "expected a share of invalid transactions from 0 to 1, got {invalid}");
    let balance = options.balance.0;
    ensure!(balance.checked_mul(accounts.into()).is_some(), "all balances together have to stay below 2^128");

    let domain = options.rollup.required()?;
    let params = WorkloadParams {
        accounts,
        balance,
        zipf_exponent: zipf,
        transfers,
        deposits,
        withdrawals,
        invalid,
        domain,
        ..WorkloadParams::default()
    };
    let mut workload = Workload::new(params, seeded(options.seed));
    let genesis = workload.genesis();
    let seed = workload.seed();
    let form = |request: Request| match request {
        Request::Deposit(deposit) => Some(TransactionForm::deposit(&deposit)),
        Request::Signed(signed) => {
            let index = signed.transaction().from().get();
            let known = genesis.get(index as usize).map(|account| account.key);
            TransactionForm::signed(&signed, known.unwrap_or_else(|| secret_key(seed, index).public()))
        }
    };
    let forms: Vec<_> = workload.by_ref().take(transactions).filter_map(|item| form(item.request)).collect();
    fs::create_dir_all(&options.out).with_context(|| format!("making {}", options.out.display()))?;
    write_json(Some(&options.out.join("genesis.json")), &GenesisFile::new(&genesis))?;
    write_json(Some(&options.out.join("transactions.json")), &TransactionsFile::new(Some(domain), forms))?;
    println!("accounts: {accounts}");
    println!("transactions: {transactions}");
    Ok(())
}
