//! What an operator can choose. The file of settings is this, as TOML; `coordinator config default` prints it.
//!
//! Bounds of each setting are checked by [`Settings::check`]; limits that are not settings are beside what they limit.

use std::net::SocketAddr;
use std::path::PathBuf;

use crowdfold_fold::Address;
use crowdfold_sched::Config;
use serde::{Deserialize, Serialize};

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
}

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

/// A setting that can't be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the setting `{setting}` has to be {expected}")]
pub struct BadSetting {
    /// Which.
    pub setting: &'static str,
    /// What it could be.
    pub expected: &'static str,
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
        let bounds = [
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
        ];
        let bad = bounds.into_iter().find(|(_, _, is_good)| !is_good);
        bad.map_or(Ok(()), |(setting, expected, _)| Err(BadSetting { setting, expected }))
    }
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

mod hex_address {
    use crowdfold_fold::Address;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(address: &Address, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("0x{}", hex::encode(address.0)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Address, D::Error> {
        super::address(&String::deserialize(from)?).map_err(de::Error::custom)
    }
}
