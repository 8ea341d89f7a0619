//! Logs, on standard error.

use std::io::IsTerminal as _;

use crowdfold_coordinator::settings::{LogFormat, LogSettings};
use tracing_subscriber::EnvFilter;

use super::exit::Exit;

/// Starts logging.
///
/// # Errors
/// [`Exit::Arguments`] if the filter can't be read.
pub(crate) fn start(settings: &LogSettings) -> anyhow::Result<()> {
    let wrong = |error| Exit::Arguments.error(format!("the filter `{}` of logs: {error}", settings.filter));
    let filter = EnvFilter::try_new(&settings.filter).map_err(wrong)?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let is_pretty = match settings.format {
        LogFormat::Pretty => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    if is_pretty {
        logs.init();
    } else {
        logs.json().init();
    }
    Ok(())
}
