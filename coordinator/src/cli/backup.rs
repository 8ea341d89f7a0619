//! `backup`, `restore` and `check`.

use std::path::PathBuf;

use crowdfold_coordinator::sequencer::{SequencerError, backup_accounts};
use crowdfold_coordinator::store::{self, Storage};
use serde_json::json;

use super::exit::Exit;
use super::options::DataArgs;
use super::output::answer;
use super::remote::{Remote, Token};

/// What to copy where.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("target").required(true).args(["to", "name"]))]
pub(crate) struct Backup {
    #[command(flatten)]
    data: DataArgs,
    /// New folder for the copy, on this machine; the coordinator may not run.
    #[arg(long, conflicts_with = "url")]
    to: Option<PathBuf>,
    /// Name of a new folder within the coordinator's folder of backups.
    #[arg(long, requires = "url")]
    name: Option<String>,
    /// The coordinator that runs, as https://prove.example; needs an administrator's token.
    #[arg(long, requires = "name")]
    url: Option<String>,
    #[command(flatten)]
    token: Token,
}

/// What to make of what.
#[derive(Debug, clap::Args)]
pub(crate) struct Restore {
    /// The backup.
    #[arg(long)]
    from: PathBuf,
    #[command(flatten)]
    data: DataArgs,
}

/// What to check.
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    #[command(flatten)]
    data: DataArgs,
}

/// Copies a data folder.
pub(crate) async fn backup(backup: &Backup, json: bool) -> anyhow::Result<()> {
    let (folder, bytes) = match (&backup.to, &backup.url, &backup.name) {
        (_, Some(url), Some(name)) => {
            let answer = Remote::new(url, &backup.token)?.post_json("/v1/admin/backup", &json!({ "name": name }))?;
            (answer["folder"].as_str().unwrap_or(name).to_owned(), answer["bytes"].as_u64().unwrap_or(0))
        }
        (Some(to), ..) => {
            let folder = backup.data.used_folder()?;
            let accounts = backup.data.settings()?.sequencer.accounts_in(&folder);
            let storage = Storage::open(&folder, store::Options::default()).await?;
            let copied = match accounts.exists() {
                true => storage.backup_with(to, backup_accounts(&accounts, to)).await,
                false => storage.backup(to).await.map_err(SequencerError::from),
            };
            storage.close().await;
            (to.display().to_string(), copied?)
        }
        _ => return Err(Exit::Arguments.error("expected --to, or --url with --name")),
    };
    let text = format!("{folder}: {bytes} bytes of inputs, states and proofs, and the database");
    answer(json, &json!({ "folder": folder, "bytes": bytes }), text)
}

/// Makes a data folder of a backup.
pub(crate) async fn restore(restore: &Restore, json: bool) -> anyhow::Result<()> {
    if !restore.from.is_dir() {
        return Err(Exit::NotFound.error(format!("there is no folder {}", restore.from.display())));
    }
    let folder = restore.data.settings()?.server.data;
    let bytes = Storage::restore(&restore.from, &folder).await?;
    let folder = folder.display().to_string();
    let text = format!("{folder}: {bytes} bytes of inputs, states and proofs, and the database");
    answer(json, &json!({ "folder": folder, "bytes": bytes }), text)
}

/// Reads all that is stored.
pub(crate) async fn check(check: &Check, json: bool) -> anyhow::Result<()> {
    let folder = check.data.used_folder()?;
    let storage = Storage::open(&folder, store::Options::default()).await?;
    let checked = storage.check().await;
    storage.close().await;
    let checked = checked?;
    let faults: Vec<_> = checked.faults.iter().map(ToString::to_string).collect();
    let read = format!("{} blobs with {} bytes were read", checked.blobs, checked.bytes);
    let text = faults.iter().map(String::as_str).chain([read.as_str()]).collect::<Vec<_>>().join("\n");
    answer(json, &json!({ "blobs": checked.blobs, "bytes": checked.bytes, "faults": faults }), text)?;
    match faults.len() {
        0 => Ok(()),
        faults => Err(Exit::NotValid.error(format!("{}: {faults} things are not as they should be", folder.display()))),
    }
}
