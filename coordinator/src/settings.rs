//! What an operator can choose. The file of settings is this, as TOML; `coordinator config default` prints it.
//!
//! Bounds of each setting are checked by [`Settings::check`]; limits that are not settings are beside what they limit.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crowdfold_fold::Address;
use crowdfold_sched::Config;
use serde::{Deserialize, Serialize};
use toml::de::{DeTable, DeValue};
use tracing_subscriber::EnvFilter;

use crate::push;
use crate::sequencer;
use crate::store::Retention;

/// All settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Folders and addresses.
    pub server: ServerSettings,
    /// What jobs are proved for.
    pub chain: ChainSettings,
    /// How work is cut and handed out.
    pub scheduler: SchedulerSettings,
    /// What requests may take.
    pub requests: RequestSettings,
    /// Who gets root proofs, and when.
    pub proofs: ProofSettings,
    /// What proving is quoted at.
    pub prices: PriceSettings,
    /// How long things are kept.
    pub retention: RetentionSettings,
    /// The sequencer of the rollup.
    pub sequencer: sequencer::Settings,
    /// Functions to which tasks are posted.
    pub push: push::Settings,
    /// What it says about itself.
    pub logs: LogSettings,
}

/// The file of settings with every key at its default, and what each means.
pub const DEFAULT: &str = include_str!("../default.toml");

/// Folders and addresses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// Folder of jobs, proofs and credit.
    pub data: PathBuf,
    /// Folder with the parameters of programs.
    pub params: PathBuf,
    /// Folder for backups that administrators ask for. Empty: `backups` in the data folder.
    pub backups: PathBuf,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Origins by which provers may dial, as `https://prove.example`; that of the listener is added.
    pub origins: Vec<String>,
    /// Header that a reverse proxy sets to the address of its client, as `x-forwarded-for`; empty to take the address of
    /// the connection. Of several addresses in it the last counts.
    pub address_header: String,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            data: "coordinator-data".into(),
            params: "params".into(),
            backups: PathBuf::new(),
            listen: SocketAddr::from(([127, 0, 0, 1], 4090)),
            origins: Vec::new(),
            address_header: String::new(),
        }
    }
}

/// What jobs are proved for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChainSettings {
    /// The chain's number.
    pub id: u64,
    /// The contract that settles: 0x and 40 hexadecimal digits.
    #[serde(with = "hex_address")]
    pub contract: Address,
}

impl Default for ChainSettings {
    fn default() -> Self {
        Self { id: 31_337, contract: Address([0; 20]) }
    }
}

/// How work is cut and handed out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SchedulerSettings {
    /// Seconds that a segment should take its prover, 1 to 3600.
    pub target_s: u64,
    /// A segment has no fewer steps, except where fewer are left between others; from 1.
    pub min_steps: u64,
    /// Merges that are done here at once; 0 for as many as there are cores.
    pub native_merges: usize,
}

impl Default for SchedulerSettings {
    fn default() -> Self {
        Self { target_s: 120, min_steps: 1, native_merges: 0 }
    }
}

impl SchedulerSettings {
    /// For the scheduler.
    pub fn config(&self) -> Config {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let native_merges = if self.native_merges == 0 { cores() } else { self.native_merges };
        let target_ms = self.target_s.saturating_mul(1000);
        Config { target_ms, min_steps: self.min_steps, native_merges, ..Config::default() }
    }
}

/// What requests may take. Beyond, they are refused with 429 or 413, or their connection is closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestSettings {
    /// Requests a second from one address, in the long run; 0 for no limit.
    pub per_second: u32,
    /// Requests at once from an address that was quiet for a while.
    pub burst: u32,
    /// Connections at once, those of provers among them.
    pub connections: usize,
    /// Connections at once from one address; 0 for no limit.
    pub connections_per_address: usize,
    /// Bytes of a job.
    pub job_bytes: usize,
    /// Jobs that are uploaded and executed at once; each takes its bytes in memory. Others wait.
    pub jobs_at_once: usize,
    /// Proofs that are verified for clients at once. Others wait.
    pub checks_at_once: usize,
    /// Seconds for the head of a request.
    pub head_s: u64,
    /// Seconds without a byte of a body.
    pub body_pause_s: u64,
    /// Seconds from the head of a request to the head of its answer. Streams of events and provers' connections last
    /// longer.
    pub answer_s: u64,
    /// Readers of events at once.
    pub event_readers: usize,
}

impl Default for RequestSettings {
    fn default() -> Self {
        Self {
            per_second: 50,
            burst: 200,
            connections: 20_000,
            connections_per_address: 0,
            job_bytes: 256 << 20,
            jobs_at_once: 2,
            checks_at_once: 1,
            head_s: 10,
            body_pause_s: 20,
            answer_s: 600,
            event_readers: 1_024,
        }
    }
}

/// Who else than its client and administrators may fetch a root proof.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Readers {
    /// Nobody.
    #[default]
    Owner,
    /// Whoever has a token.
    Clients,
    /// Everybody.
    Public,
}

/// Who gets root proofs, and when.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProofSettings {
    /// Who may fetch a root proof beside its client and administrators, who may at once: `owner`, `clients` or
    /// `public`.
    pub readers: Readers,
    /// Seconds after a job's end before they may.
    pub after_s: u64,
}

/// What proving is quoted at. A price is a rate times rows folded, rounded up; it binds nobody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PriceSettings {
    /// Price of a million rows.
    pub per_million_rows: u64,
    /// Of what, for people and their programs.
    pub unit: String,
}

impl Default for PriceSettings {
    fn default() -> Self {
        Self { per_million_rows: 1_000, unit: "gwei".into() }
    }
}

/// How long things are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionSettings {
    /// Hours for which inputs, states and inner proofs of a job are kept after its end; from 1.
    pub job_hours: u64,
    /// Days for which root proofs are kept after their jobs' ends; 0 for ever.
    pub root_days: u64,
    /// Hours for which partial uploads are kept that get no more bytes; from 1.
    pub upload_hours: u64,
    /// Minutes between two collections of what is not kept any more; from 1.
    pub every_minutes: u64,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self { job_hours: 168, root_days: 0, upload_hours: 72, every_minutes: 60 }
    }
}

impl RetentionSettings {
    /// For the store.
    pub fn retention(&self) -> Retention {
        let hours = |hours: u64| hours.saturating_mul(3_600_000);
        Retention {
            job_ms: hours(self.job_hours),
            root_ms: (self.root_days > 0).then(|| hours(self.root_days.saturating_mul(24))),
            upload_ms: hours(self.upload_hours),
            ..Retention::default()
        }
    }
}

/// What logs look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// As [`LogFormat::Pretty`] on a terminal, else as [`LogFormat::Json`].
    #[default]
    Auto,
    /// A line of text for each event.
    Pretty,
    /// A line of JSON for each event.
    Json,
}

/// What it says about itself, on standard error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// What logs look like: `auto`, `pretty` or `json`.
    pub format: LogFormat,
    /// What is logged: a level, or levels of parts as `info,crowdfold_coordinator::http=debug`.
    pub filter: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::Auto, filter: "info".into() }
    }
}

/// A setting that can't be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the setting `{setting}` has to be {expected}")]
pub struct BadSetting {
    /// Which.
    pub setting: &'static str,
    /// What it could be.
    pub expected: &'static str,
}

impl BadSetting {
    /// The first of these, each with what it could be and whether it is, that is not.
    pub(crate) fn first<const N: usize>(bounds: [(&'static str, &'static str, bool); N]) -> Result<(), Self> {
        let bad = bounds.into_iter().find(|(_, _, is_good)| !is_good);
        bad.map_or(Ok(()), |(setting, expected, _)| Err(Self { setting, expected }))
    }
}

impl Settings {
    /// The folder for backups.
    pub fn backups(&self) -> PathBuf {
        if self.server.backups.as_os_str().is_empty() {
            self.server.data.join("backups")
        } else {
            self.server.backups.clone()
        }
    }

    /// Looks whether settings are within their bounds.
    ///
    /// # Errors
    /// [`BadSetting`] with the first that is not.
    pub fn check(&self) -> Result<(), BadSetting> {
        let requests = &self.requests;
        BadSetting::first([
            ("scheduler.target_s", "from 1 to 3600", (1..=3600).contains(&self.scheduler.target_s)),
            ("scheduler.min_steps", "at least 1", self.scheduler.min_steps > 0),
            ("requests.burst", "at least 1", requests.burst > 0),
            ("requests.connections", "at least 1", requests.connections > 0),
            ("requests.job_bytes", "at least 1", requests.job_bytes > 0),
            ("requests.jobs_at_once", "at least 1", requests.jobs_at_once > 0),
            ("requests.checks_at_once", "at least 1", requests.checks_at_once > 0),
            ("requests.head_s", "at least 1", requests.head_s > 0),
            ("requests.body_pause_s", "at least 1", requests.body_pause_s > 0),
            ("requests.answer_s", "at least 1", requests.answer_s > 0),
            ("retention.job_hours", "at least 1", self.retention.job_hours > 0),
            ("retention.upload_hours", "at least 1", self.retention.upload_hours > 0),
            ("retention.every_minutes", "at least 1", self.retention.every_minutes > 0),
            ("logs.filter", "levels as `info,sqlx=warn`", EnvFilter::try_new(&self.logs.filter).is_ok()),
        ])?;
        self.push.check(self.scheduler.min_steps)
    }
}

/// Why a file of settings can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// It can't be read.
    #[error("{file}: {error}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        error: std::io::Error,
    },
    /// It is no TOML, or a key is not known or of another kind.
    #[error("{file}, line {line}: {}{what}", key.as_ref().map(|key| format!("`{key}`: ")).unwrap_or_default())]
    Text {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// Where in the file, unless it is no TOML.
        key: Option<String>,
        /// What is wrong, and what was expected.
        what: String,
    },
    /// A setting is out of its bounds.
    #[error("{file}, line {line}: {error}")]
    Bound {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// Which.
        error: BadSetting,
    },
}

impl Settings {
    /// Reads a file of settings. What is not in it has its default.
    ///
    /// # Errors
    /// [`SettingsError`] with file, line and key.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let file = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::from_toml(&text, &file),
            Err(error) => Err(SettingsError::Read { file, error }),
        }
    }

    /// Settings from the text of a file of that name.
    ///
    /// # Errors
    /// As [`Settings::read`].
    pub fn from_toml(text: &str, file: &str) -> Result<Self, SettingsError> {
        let wrong = |error: &toml::de::Error, key: Option<String>| {
            let line = line_at(text, error.span().map_or(0, |span| span.start));
            // Some of the parser's messages have several lines.
            let what = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
            SettingsError::Text { file: file.into(), line, key, what }
        };
        let parsed = toml::Deserializer::parse(text).map_err(|error| wrong(&error, None))?;
        let settings: Self = serde_path_to_error::deserialize(parsed).map_err(|error| {
            let key = error.path().to_string();
            wrong(error.inner(), (key != ".").then_some(key))
        })?;
        settings.check().map_err(|error| SettingsError::Bound {
            file: file.into(),
            line: line_of(text, error.setting).unwrap_or(1),
            error,
        })?;
        Ok(settings)
    }
}

/// The line, from 1, that a byte is in.
fn line_at(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|byte| *byte == b'\n').count() + 1
}

/// The line of a key as `scheduler.target_s`.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let (section, name) = key.split_once('.')?;
    let DeValue::Table(section) = table.get_ref().get(section)?.get_ref() else { return None };
    Some(line_at(text, section.get(name)?.span().start))
}

/// An address from text.
///
/// # Errors
/// What was expected.
pub fn address(text: &str) -> Result<Address, String> {
    let expected = || format!("expected 0x and 40 hexadecimal digits, got `{text}`");
    let mut bytes = [0; 20];
    hex::decode_to_slice(text.strip_prefix("0x").ok_or_else(expected)?, &mut bytes).map_err(|_| expected())?;
    Ok(Address(bytes))
}

pub(crate) mod hex_address {
    use crowdfold_fold::Address;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(address: &Address, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("0x{}", hex::encode(address.0)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Address, D::Error> {
        super::address(&String::deserialize(from)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{BadSetting, DEFAULT, Settings};
    use toml::{Table, Value};

    fn error(text: &str) -> String {
        Settings::from_toml(text, "a.toml").expect_err("it is wrong").to_string()
    }

    /// Names of all keys, as `scheduler.target_s`.
    fn keys(table: &Table) -> Vec<String> {
        let mut keys = Vec::new();
        for (name, value) in table {
            match value {
                Value::Table(inner) => keys.extend(self::keys(inner).into_iter().map(|key| format!("{name}.{key}"))),
                _ => keys.push(name.clone()),
            }
        }
        keys.sort();
        keys
    }

    #[test]
    fn the_file_of_defaults_says_what_the_defaults_are() {
        assert_eq!(Settings::from_toml(DEFAULT, "default.toml").expect("it is fine"), Settings::default());
        let written: Table = DEFAULT.parse().expect("TOML");
        let all = Table::try_from(Settings::default()).expect("a table");
        assert_eq!(keys(&written), keys(&all));
    }

    #[test]
    fn every_key_of_the_file_of_defaults_is_explained() {
        let mut is_explained = false;
        for line in DEFAULT.lines() {
            let is_key = line.contains('=') && !line.starts_with('#');
            assert!(!(is_key || line.starts_with('[')) || is_explained, "no comment before `{line}`");
            is_explained = line.starts_with('#');
        }
    }

    #[test]
    fn a_file_needs_only_what_differs() {
        let settings = Settings::from_toml("[scheduler]\ntarget_s = 7\n", "a.toml").expect("it is fine");
        let mut expected = Settings::default();
        expected.scheduler.target_s = 7;
        assert_eq!(settings, expected);
        assert_eq!(Settings::from_toml("", "a.toml").expect("it is fine"), Settings::default());
    }

    #[test]
    fn errors_name_file_line_key_and_what_was_expected() {
        for (text, parts) in [
            ("\n[server]\nlisten = 5\n", ["a.toml, line 3", "`server.listen`", "expected socket address"]),
            ("[server]\nlisten = \"here\"\n", ["line 2", "`server.listen`", "invalid socket address"]),
            ("[proofs]\n\nreaders = \"all\"\n", ["line 3", "`proofs.readers`", "`owner`, `clients`, `public`"]),
            ("[chain]\ncontract = \"0x00\"", ["line 2", "`chain.contract`", "40 hexadecimal digits"]),
            ("[requests]\nburst = -1\n", ["line 2", "`requests.burst`", "expected u32"]),
            ("[server]\ndate = \"x\"\n", ["line 2", "`date`", "`data`"]),
            ("[sever]\n", ["line 1", "`sever`", "`server`"]),
            ("[server\n", ["a.toml, line 1", "", "]"]),
            ("[scheduler]\nmin_steps = 3\ntarget_s = 0\n", ["line 3", "`scheduler.target_s`", "from 1 to 3600"]),
            ("[logs]\nfilter = \"a=b=c\"\n", ["line 2", "`logs.filter`", "levels as"]),
        ] {
            let error = error(text);
            assert!(parts.iter().all(|part| error.contains(part)) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn every_bound_is_checked_and_names_a_key_that_there_is() {
        let all = keys(&Table::try_from(Settings::default()).expect("a table"));
        let bounded = [
            "requests.burst",
            "requests.connections",
            "requests.job_bytes",
            "requests.jobs_at_once",
            "requests.checks_at_once",
            "requests.head_s",
            "requests.body_pause_s",
            "requests.answer_s",
            "retention.job_hours",
            "retention.upload_hours",
            "retention.every_minutes",
            "scheduler.min_steps",
            "scheduler.target_s",
        ];
        for key in bounded {
            assert!(all.iter().any(|known| known == key), "{key}");
            let (section, name) = key.split_once('.').expect("a section");
            let mut table = Table::try_from(Settings::default()).expect("a table");
            table[section].as_table_mut().expect("a table").insert(name.into(), Value::Integer(0));
            let settings: Settings = table.try_into().expect("settings");
            assert!(matches!(settings.check(), Err(BadSetting { setting, .. }) if setting == key), "{key}");
        }
    }
}
