//! Transactions of users.

use super::{Rollup, index, key, read, write_json};
use anyhow::{Context as _, bail, ensure};
use crowdfold_fold::{Address, Fr};
use crowdfold_programs::eddsa::SecretKey;
use crowdfold_programs::rollup::{
    Accounts as _, Deposit, Directory as _, Index, Request, SignedTransaction, Transaction, Verified,
};
use crowdfold_rollup::forms::{
    AddressText, Amount, Asked, Fee, KeyText, TransactionForm, TransactionsFile, hexadecimal,
};
use crowdfold_rollup::store::Snapshot;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(clap::Subcommand)]
pub(crate) enum Task {
    /// Sign a payment to another account.
    Transfer {
        #[command(flatten)]
        signing: Signing,
        /// Index of the account that is paid.
        #[arg(long)]
        to: u32,
    },
    /// Sign a payment to an address on the chain.
    Withdraw {
        #[command(flatten)]
        signing: Signing,
        /// Where it arrives.
        #[arg(long, value_name = "0xADDRESS")]
        address: AddressText,
    },
    /// Write a deposit as the chain's queue would have it.
    Deposit {
        /// Public key of the account that it is for.
        #[arg(long, value_name = "KEY")]
        to_key: KeyText,
        /// How much.
        #[arg(long)]
        amount: Amount,
        /// File to write; without one it is printed.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Show the transactions of a file, with what is signed and their encodings.
    Show {
        /// File of transactions.
        file: PathBuf,
    },
    /// Verify the signatures of a file, each under the key that it names.
    Verify {
        /// File of transactions.
        file: PathBuf,
    },
}

/// What both kinds of signed transactions need.
#[derive(clap::Args)]
pub(crate) struct Signing {
    /// File with the secret key of the account that pays.
    #[arg(long)]
    key: PathBuf,
    /// Index of the account that pays.
    #[arg(long, required_unless_present = "store")]
    from: Option<u32>,
    /// What arrives.
    #[arg(long)]
    amount: Amount,
    /// What the operator gets.
    #[arg(long, default_value = "0")]
    fee: Fee,
    /// The account's nonce.
    #[arg(long, required_unless_present = "store")]
    nonce: Option<u32>,
    /// A store to look up --from, --nonce and --domain in.
    #[arg(long)]
    store: Option<PathBuf>,
    #[command(flatten)]
    rollup: Rollup,
    /// File to write; without one it is printed.
    #[arg(long)]
    out: Option<PathBuf>,
}

pub(crate) fn run(task: &Task) -> anyhow::Result<()> {
    match task {
        Task::Transfer { signing, to } => {
            let to = index(*to)?;
            signing.run(|from, nonce, fee, amount| Transaction::Transfer { from, to, nonce, fee, amount })
        }
        Task::Withdraw { signing, address: AddressText(address) } => {
            let address: Address = *address;
            signing.run(|from, nonce, fee, amount| Transaction::Withdrawal { from, nonce, fee, amount, address })
        }
        Task::Deposit { to_key, amount, out } => {
            let deposit = Deposit { key: to_key.decode()?, amount: amount.0 };
            write_json(out.as_ref(), &TransactionsFile::new(None, vec![TransactionForm::deposit(&deposit)]))
        }
        Task::Show { file } => show(file),
        Task::Verify { file } => verify(file),
    }
}

impl Signing {
    fn run(&self, transaction: impl Fn(Index, u32, u64, u128) -> Transaction) -> anyhow::Result<()> {
        let key = key::load(&self.key)?;
        let (from, nonce, domain) = self.look_up(&key)?;
        let transaction = transaction(from, nonce, self.fee.0, self.amount.0);
        let signed = SignedTransaction::sign(transaction, domain, &key);
        let form = signed.and_then(|signed| TransactionForm::signed(&signed, key.public()));
        let form = form.context("only transfers and withdrawals are signed")?;
        write_json(self.out.as_ref(), &TransactionsFile::new(Some(domain), vec![form]))
    }

    /// Index and nonce of the account that pays, and the rollup's domain.
    fn look_up(&self, key: &SecretKey) -> anyhow::Result<(Index, u32, Fr)> {
        let from = self.from.map(index).transpose()?;
        let Some(path) = &self.store else {
            let from = from.context("which account pays? Give --from or --store")?;
            return Ok((from, self.nonce.context("which nonce? Give --nonce or --store")?, self.rollup.required()?));
        };
        let snapshot = Snapshot::open(path)?;
        let public = KeyText::from(key.public());
        let from = match from {
            Some(from) => from,
            None => snapshot.find(&key.public())?.with_context(|| format!("no account has the key {public}"))?,
        };
        let account = snapshot.account(from)?.with_context(|| format!("there is no account {from}"))?;
        let known = KeyText::from(account.key);
        ensure!(account.key == key.public(), "account {from} has the key {known}, the file has {public}");
        let domain = snapshot.head().state.domain;
        if let Some(other) = self.rollup.domain().filter(|other| *other != domain) {
            bail!("the store's domain is {}, got {}", hexadecimal(&domain), hexadecimal(&other));
        }
        Ok((from, self.nonce.unwrap_or(account.nonce), domain))
    }
}

/// The transactions of a file, and what they are bound to.
pub(crate) fn load(path: &Path) -> anyhow::Result<(Option<Fr>, Vec<Asked>)> {
    let reading = || format!("reading {}", path.display());
    let file = TransactionsFile::from_json(&read(path)?).with_context(reading)?;
    Ok((file.domain(), file.decode().with_context(reading)?))
}

fn show(path: &Path) -> anyhow::Result<()> {
    let (domain, asked) = load(path)?;
    let shown = |Asked { request, key }: &Asked| -> Value {
        match request {
            Request::Deposit(deposit) => json!({
                "kind": "deposit",
                "key": KeyText::from(*key),
                "amount": deposit.amount.to_string(),
                "encoding": hex::encode(deposit.to_bytes()),
            }),
            Request::Signed(signed) => json!({
                "transaction": TransactionForm::signed(signed, *key),
                "words": signed.transaction().words().each_ref().map(hexadecimal),
                "message": domain.map(|domain| hexadecimal(&signed.transaction().message(domain))),
                "encoding": hex::encode(signed.to_bytes()),
            }),
        }
    };
    write_json(None, &asked.iter().map(shown).collect::<Vec<_>>())
}

fn verify(path: &Path) -> anyhow::Result<()> {
    let (domain, asked) = load(path)?;
    let mut invalid = 0;
    for (position, Asked { request, key }) in asked.iter().enumerate() {
        let refusal = match (request, domain) {
            (Request::Signed(signed), Some(domain)) => Verified::new(*signed, *key, domain).err(),
            _ => None,
        };
        if let Some(refusal) = refusal {
            println!("transaction {position}: {refusal}");
            invalid += 1;
        }
    }
    let valid = asked.len() - invalid;
    println!("valid: {valid}");
    ensure!(invalid == 0, "{invalid} of {} transactions have signatures that are not valid", asked.len());
    Ok(())
}
