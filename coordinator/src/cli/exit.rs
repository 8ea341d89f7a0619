//! How the process ends: a code for scripts, and one line for people.

use std::fmt;
use std::io::ErrorKind;
use std::process::ExitCode;

use crowdfold_coordinator::sequencer::SequencerError;
use crowdfold_coordinator::server::ServerError;
use crowdfold_coordinator::settings::{BadSetting, SettingsError};
use crowdfold_coordinator::store::StoreError;
use serde_json::json;

/// The kinds of failure. 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Whatever has no code of its own.
    Failure = 1,
    /// Arguments or settings that are not understood; what the parser of arguments ends with too.
    Arguments = 2,
    /// There is no such job, file, program or client.
    NotFound = 3,
    /// The token is missing, unknown, or not allowed to do this.
    Refused = 4,
    /// The coordinator can't be reached, or can't do this now: the same may succeed later.
    Unreachable = 5,
    /// It contradicts what is there: a folder in use, a file that would be overwritten, a job that has ended.
    Conflict = 6,
    /// The job failed.
    JobFailed = 7,
    /// The job's deadline passed.
    JobExpired = 8,
    /// The job was cancelled.
    JobCancelled = 9,
    /// A proof, parameters or stored data are not valid, or not what they were compared with.
    NotValid = 10,
    /// A file is no proof, or none that is made with parameters at hand.
    NotAProof = 11,
    /// A signal ended it before it was done.
    Interrupted = 130,
}

/// The codes, for `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0 done                            7 the job failed
  1 failure                         8 the job expired
  2 bad arguments or settings       9 the job was cancelled
  3 no such job, file, client      10 not valid, or not what it was compared with
  4 the token is not accepted      11 the file is no proof for the parameters at hand
  5 not reached, or too busy      130 interrupted by a signal
  6 contradicts what is there";

impl Exit {
    /// The name in JSON.
    fn name(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Arguments => "arguments",
            Self::NotFound => "not_found",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Conflict => "conflict",
            Self::JobFailed => "job_failed",
            Self::JobExpired => "job_expired",
            Self::JobCancelled => "job_cancelled",
            Self::NotValid => "not_valid",
            Self::NotAProof => "not_a_proof",
            Self::Interrupted => "interrupted",
        }
    }

    /// An error of this kind.
    pub(crate) fn error(self, text: impl fmt::Display) -> anyhow::Error {
        Failure { exit: self, text: text.to_string() }.into()
    }
}

/// An error whose kind is known.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Failure {
    exit: Exit,
    text: String,
}

/// The kind of an error, by the first of its causes that tells.
pub(crate) fn of(error: &anyhow::Error) -> Exit {
    error.chain().find_map(of_cause).unwrap_or(Exit::Failure)
}

fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if let Some(failure) = cause.downcast_ref::<Failure>() {
        return Some(failure.exit);
    }
    if let Some(error) = cause.downcast_ref::<ServerError>() {
        return match error {
            ServerError::Store(error) => of_cause(error),
            ServerError::Setting(error) => of_cause(error),
            ServerError::Sequencer(error) => of_cause(error),
            ServerError::Program(_) => Some(Exit::NotFound),
            ServerError::Listen { error, .. } if error.kind() == ErrorKind::AddrInUse => Some(Exit::Conflict),
            _ => None,
        };
    }
    if let Some(error) = cause.downcast_ref::<StoreError>() {
        return match error {
            StoreError::Locked { .. } | StoreError::NotEmpty { .. } | StoreError::Conflict { .. } => {
                Some(Exit::Conflict)
            }
            StoreError::Corrupt { .. } | StoreError::Missing { .. } => Some(Exit::NotValid),
            _ => None,
        };
    }
    if let Some(error) = cause.downcast_ref::<SequencerError>() {
        return match error {
            SequencerError::Store(error) => of_cause(error),
            SequencerError::Accounts(crowdfold_rollup::Error::Missing { .. }) => Some(Exit::NotFound),
            SequencerError::Accounts(crowdfold_rollup::Error::InUse { .. }) => Some(Exit::Conflict),
            SequencerError::Setting(_) | SequencerError::Domain => Some(Exit::Arguments),
            SequencerError::Ahead { .. } | SequencerError::Diverged { .. } => Some(Exit::NotValid),
            _ => None,
        };
    }
    if let Some(error) = cause.downcast_ref::<SettingsError>() {
        return match error {
            SettingsError::Read { error, .. } => of_cause(error),
            SettingsError::Text { .. } | SettingsError::Bound { .. } => Some(Exit::Arguments),
        };
    }
    if cause.is::<BadSetting>() {
        return Some(Exit::Arguments);
    }
    let io = cause.downcast_ref::<std::io::Error>()?;
    (io.kind() == ErrorKind::NotFound).then_some(Exit::NotFound)
}

/// Says what went wrong, and the code to end with.
pub(crate) fn tell(error: &anyhow::Error, json: bool) -> ExitCode {
    let exit = of(error);
    let message = format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ");
    if json {
        eprintln!("{}", json!({ "error": exit.name(), "message": message }));
    } else {
        eprintln!("coordinator: {message}");
    }
    ExitCode::from(exit as u8)
}

#[cfg(test)]
mod tests {
    use super::{Exit, HELP, of};
    use anyhow::Context as _;
    use crowdfold_coordinator::settings::Settings;
    use std::path::Path;

    #[test]
    fn the_guide_and_the_help_have_every_code() {
        let guide = include_str!("../../../docs/guide/operator.md");
        let all = [
            Exit::Failure,
            Exit::Arguments,
            Exit::NotFound,
            Exit::Refused,
            Exit::Unreachable,
            Exit::Conflict,
            Exit::JobFailed,
            Exit::JobExpired,
            Exit::JobCancelled,
            Exit::NotValid,
            Exit::NotAProof,
            Exit::Interrupted,
        ];
        for exit in all {
            let row = format!("| {} | `{}` |", exit as u8, exit.name());
            assert!(guide.contains(&row), "{row}");
            let code = (exit as u8).to_string();
            assert!(HELP.split_whitespace().any(|word| word == code), "{code}");
        }
    }

    #[test]
    fn an_error_keeps_its_kind_below_what_is_said_around_it() {
        let error = Err::<(), _>(Exit::Conflict.error("it is there")).context("writing").expect_err("an error");
        assert_eq!(of(&error), Exit::Conflict);
        assert_eq!(format!("{error:#}"), "writing: it is there");
        let missing = std::fs::read("no such file").context("reading").expect_err("there is none");
        assert_eq!(of(&missing), Exit::NotFound);
        assert_eq!(of(&anyhow::anyhow!("anything")), Exit::Failure);
        assert_eq!(of(&Settings::read(Path::new("no such file")).expect_err("there is none").into()), Exit::NotFound);
        assert_eq!(of(&Settings::from_toml("x = 1", "a").expect_err("no key").into()), Exit::Arguments);
    }
}
