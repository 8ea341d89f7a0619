//! Making stores.

use super::{Rollup, index, key_seed, read};
use anyhow::Context as _;
use crowdfold_programs::rollup::workload::secret_key;
use crowdfold_programs::rollup::{Account, Index};
use crowdfold_rollup::forms::{Amount, GenesisFile, hexadecimal};
use crowdfold_rollup::store::Genesis;
use rayon::prelude::*;
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["accounts", "generate"]))]
pub(crate) struct Options {
    /// File of accounts.
    #[arg(long, value_name = "FILE")]
    accounts: Option<PathBuf>,
    /// Make so many accounts of a seed instead. Whoever knows the seed has their keys: for tests only.
    #[arg(long, value_name = "N", requires = "seed")]
    generate: Option<u32>,
    /// The seed.
    #[arg(long, requires = "generate")]
    seed: Option<u64>,
    /// What each generated account holds.
    #[arg(long, requires = "generate", default_value = "1208925819614629174706176")]
    balance: Amount,
    #[command(flatten)]
    rollup: Rollup,
    /// Index of the account that fees go to.
    #[arg(long)]
    operator: u32,
    /// The store to make.
    #[arg(long)]
    out: PathBuf,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let (domain, operator) = (options.rollup.required()?, index(options.operator)?);
    let accounts = match (&options.accounts, options.generate) {
        (Some(file), _) => GenesisFile::from_json(&read(file)?).and_then(|accounts| accounts.decode()),
        (None, generate) => generate_accounts(generate, options.seed, options.balance.0),
    };
    let source = options.accounts.as_ref();
    let accounts = match source {
        Some(file) => accounts.with_context(|| format!("reading {}", file.display()))?,
        None => accounts?,
    };
    let genesis = Genesis::new(accounts, domain, operator)?;
    let store = genesis.create(&options.out)?;
    let head = store.head()?;
    println!("accounts: {}", head.accounts);
    println!("root: {}", hexadecimal(&head.state.root));
    println!("domain: {}", hexadecimal(&domain));
    Ok(())
}

fn generate_accounts(
    count: Option<u32>,
    seed: Option<u64>,
    balance: u128,
) -> Result<Vec<Account>, crowdfold_rollup::Error> {
    // clap has seen to it that both are there.
    let (found, seed) = (count.unwrap_or_default(), key_seed(seed.unwrap_or_default()));
    let limit = 1usize << Index::BITS;
    if found as usize > limit {
        return Err(crowdfold_rollup::Error::TooManyAccounts { limit, found: found as usize });
    }
    let account = |index| Account { key: secret_key(seed, index).public(), balance, nonce: 0 };
    Ok((0..found).into_par_iter().map(account).collect())
}
