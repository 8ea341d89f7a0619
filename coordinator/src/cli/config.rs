//! `config`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use crowdfold_coordinator::settings::{DEFAULT, Settings};
use serde_json::json;

use super::options::SettingsArgs;

/// What to do with settings.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Print a file of settings with all keys at their defaults, each explained.
    Default,
    /// Check a file of settings.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Print the settings that hold: the file's, as environment and arguments change them.
    Show(SettingsArgs),
}

/// Does it.
pub(crate) fn run(task: &Task, json: bool) -> anyhow::Result<()> {
    match task {
        Task::Default if json => println!("{}", serde_json::to_value(Settings::default())?),
        Task::Default => print!("{DEFAULT}"),
        Task::Check { file } => {
            Settings::read(file)?;
            if json {
                println!("{}", json!({ "file": file.display().to_string(), "valid": true }));
            } else {
                println!("{} is fine", file.display());
            }
        }
        Task::Show(arguments) => {
            let settings = arguments.settings()?;
            if json {
                println!("{}", serde_json::to_value(settings)?);
            } else {
                print!("{}", toml::to_string(&settings).context("settings can't be written as TOML")?);
            }
        }
    }
    Ok(())
}
