//! `config`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use crowdfold_coordinator::settings::{DEFAULT, Settings};
use serde_json::json;

use super::options::SettingsArgs;
use super::output::{answer, say};

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
    Show(Box<SettingsArgs>),
}

/// Does it.
pub(crate) fn run(task: &Task, json: bool) -> anyhow::Result<()> {
    match task {
        Task::Default if json => say(serde_json::to_value(Settings::default())?),
        Task::Default => say(DEFAULT.trim_end()),
        Task::Check { file } => {
            Settings::read(file)?;
            let file = file.display().to_string();
            answer(json, &json!({ "file": file, "valid": true }), format!("{file} is fine"))
        }
        Task::Show(arguments) => {
            let settings = arguments.settings()?;
            let text = toml::to_string(&settings).context("settings can't be written as TOML")?;
            answer(json, &serde_json::to_value(settings)?, text.trim_end())
        }
    }
}
