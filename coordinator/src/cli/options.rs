//! Settings as they hold: the file, then the environment, then arguments.

use std::net::SocketAddr;
use std::path::PathBuf;

use crowdfold_coordinator::settings::{LogFormat, LogSettings, Settings, address};
use crowdfold_fold::Address;

use super::exit::Exit;

/// Where the settings and the data are.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct DataArgs {
    /// File of settings; `coordinator config default` prints one.
    #[arg(long, env = "COORDINATOR_CONFIG")]
    config: Option<PathBuf>,
    /// Folder of jobs, proofs and credit.
    #[arg(long, env = "COORDINATOR_DATA")]
    data: Option<PathBuf>,
}

impl DataArgs {
    /// The settings with these changes.
    pub(crate) fn settings(&self) -> anyhow::Result<Settings> {
        let mut settings = self.config.as_deref().map_or(Ok(Settings::default()), Settings::read)?;
        change(&mut settings.server.data, self.data.clone());
        Ok(settings)
    }

    /// The data folder.
    ///
    /// # Errors
    /// [`Exit::NotFound`] if no coordinator ever wrote there: opening it would make an empty one.
    pub(crate) fn used_folder(&self) -> anyhow::Result<PathBuf> {
        let folder = self.settings()?.server.data;
        if !folder.join("database").exists() {
            return Err(Exit::NotFound.error(format!("there is no data of a coordinator in {}", folder.display())));
        }
        Ok(folder)
    }
}

/// The settings that differ most between installations.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SettingsArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Folder with the parameters of programs.
    #[arg(long, env = "COORDINATOR_PARAMS")]
    params: Option<PathBuf>,
    /// Folder for backups that administrators ask for.
    #[arg(long, env = "COORDINATOR_BACKUPS")]
    backups: Option<PathBuf>,
    /// Address and port; port 0 for any that is free.
    #[arg(long, env = "COORDINATOR_LISTEN")]
    listen: Option<SocketAddr>,
    /// Origin by which provers dial, as https://prove.example; may be given several times.
    #[arg(long, env = "COORDINATOR_ORIGINS", value_delimiter = ',')]
    origin: Vec<String>,
    /// Chain of its jobs.
    #[arg(long, env = "COORDINATOR_CHAIN_ID")]
    chain_id: Option<u64>,
    /// Contract of its jobs: 0x and 40 hexadecimal digits.
    #[arg(long, env = "COORDINATOR_CONTRACT", value_parser = address)]
    contract: Option<Address>,
    /// Seconds that a segment should take its prover.
    #[arg(long, env = "COORDINATOR_TARGET", value_parser = clap::value_parser!(u64).range(1..=3600))]
    target: Option<u64>,
    #[command(flatten)]
    logs: LogArgs,
}

/// What a server says about itself.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct LogArgs {
    /// What logs look like: auto, pretty or json.
    #[arg(long, env = "COORDINATOR_LOGS", value_parser = log_format)]
    logs: Option<LogFormat>,
    /// What is logged, as info,sqlx=warn.
    #[arg(long, env = "RUST_LOG")]
    filter: Option<String>,
}

impl LogArgs {
    /// Changes these settings.
    fn apply(&self, settings: &mut LogSettings) {
        change(&mut settings.format, self.logs);
        change(&mut settings.filter, self.filter.clone());
    }

    /// The settings with these changes, where there is no file of them.
    pub(crate) fn settings(&self) -> LogSettings {
        let mut settings = LogSettings::default();
        self.apply(&mut settings);
        settings
    }
}

impl SettingsArgs {
    /// The settings with these changes, within their bounds.
    pub(crate) fn settings(&self) -> anyhow::Result<Settings> {
        let mut settings = self.data.settings()?;
        change(&mut settings.server.params, self.params.clone());
        change(&mut settings.server.backups, self.backups.clone());
        change(&mut settings.server.listen, self.listen);
        change(&mut settings.server.origins, (!self.origin.is_empty()).then(|| self.origin.clone()));
        change(&mut settings.chain.id, self.chain_id);
        change(&mut settings.chain.contract, self.contract);
        change(&mut settings.scheduler.target_s, self.target);
        self.logs.apply(&mut settings.logs);
        settings.check()?;
        Ok(settings)
    }
}

fn change<T>(setting: &mut T, to: Option<T>) {
    if let Some(to) = to {
        *setting = to;
    }
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "auto" => Ok(LogFormat::Auto),
        "pretty" => Ok(LogFormat::Pretty),
        "json" => Ok(LogFormat::Json),
        _ => Err("expected auto, pretty or json".into()),
    }
}
