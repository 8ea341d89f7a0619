//! Keys: files with 64 hexadecimal digits that only their owner can read.

use super::{entropy, index, key_seed};
use anyhow::{Context as _, ensure};
use crowdfold_programs::eddsa::SecretKey;
use crowdfold_programs::rollup::workload::secret_key;
use crowdfold_rollup::forms::{KeyText, SecretText};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

#[derive(clap::Subcommand)]
pub(crate) enum Task {
    /// Make a key that nobody else knows, and print its public key.
    New {
        /// File for the secret key; without one it is printed.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Print the public key of a file.
    Show {
        /// File with a secret key.
        file: PathBuf,
    },
    /// Make the key of an account that `genesis --generate` or `workload` makes of a seed. Whoever knows the seed knows
    /// it.
    Derive {
        /// Their seed.
        #[arg(long)]
        seed: u64,
        /// The account.
        #[arg(long)]
        index: u32,
        /// File for the secret key; without one it is printed.
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

pub(crate) fn run(task: &Task) -> anyhow::Result<()> {
    match task {
        Task::New { out } => hand_out(&SecretKey::from_bytes(entropy()?), out.as_deref()),
        Task::Show { file } => {
            print_public(&load(file)?);
            Ok(())
        }
        Task::Derive { seed, index: account, out } => {
            hand_out(&secret_key(key_seed(*seed), index(*account)?.get()), out.as_deref())
        }
    }
}

fn print_public(key: &SecretKey) {
    println!("public key: {}", KeyText::from(key.public()));
}

fn hand_out(key: &SecretKey, out: Option<&Path>) -> anyhow::Result<()> {
    let secret = hex::encode(key.to_bytes());
    match out {
        Some(path) => save(path, &secret)?,
        None => println!("secret key: {secret}"),
    }
    print_public(key);
    Ok(())
}

/// A new file that only its owner can read: keys are never written over.
fn save(path: &Path, secret: &str) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).with_context(|| format!("writing the secret key {}", path.display()))?;
    let written = file.write_all(format!("{secret}\n").as_bytes()).and_then(|()| file.sync_all());
    written.with_context(|| format!("writing the secret key {}", path.display()))
}

/// The secret key of a file.
pub(crate) fn load(path: &Path) -> anyhow::Result<SecretKey> {
    let reading = || format!("reading the secret key {}", path.display());
    let file = File::open(path).with_context(reading)?;
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().with_context(reading)?.permissions());
        let shown = path.display();
        ensure!(
            mode & 0o077 == 0,
            "{shown} can be read by others (mode {:o}, expected 600): chmod 600 {shown}",
            mode & 0o777
        );
    }
    let mut text = String::new();
    file.take(128).read_to_string(&mut text).with_context(reading)?;
    Ok(text.parse::<SecretText>().with_context(reading)?.0)
}
