//! What an operator chooses.

use std::path::{Path, PathBuf};

use crowdfold_programs::rollup::MAX_TRANSACTIONS;
use serde::{Deserialize, Serialize};

use super::mempool::Limits;
use crate::store::ACCOUNTS;

/// Batches of a sequence.
pub const MAX_SEQUENCE_BATCHES: u64 = 64;
/// Transactions of one request: what the largest group of the actor holds.
pub const MAX_REQUEST_TRANSACTIONS: usize = 16_384;
/// Transactions that may wait in all: more would take too long to verify again at a start.
pub const MAX_PENDING: usize = 1 << 20;

/// What an operator chooses of the sequencer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Whether there is one.
    pub enabled: bool,
    /// The store of accounts, as `crowdfold-rollup genesis` makes it. Empty: `accounts` in the data folder.
    pub accounts: PathBuf,
    /// The program that proves batches.
    pub program: String,
    /// A batch is sealed when so many transactions can go into it; at most 65,536. A step proves three.
    pub batch_transactions: usize,
    /// A batch is sealed when something that could go into it has waited for so many seconds.
    pub batch_age_s: u64,
    /// A sequence is closed when it has so many batches; at most 64. Their proofs become one.
    pub sequence_batches: u64,
    /// A sequence is closed so many seconds after it was opened, however many batches it has.
    pub sequence_age_s: u64,
    /// The least fee of a transaction.
    pub least_fee: u64,
    /// By how many percent a fee has to be higher to take the place of a pending transaction with the same nonce.
    pub replacement_percent: u64,
    /// Transactions that may be pending in all; at most 1,048,576. A better one takes the place of the worst.
    pub pending: usize,
    /// Transactions of one account that may be pending.
    pub account_pending: usize,
    /// How far a nonce may be ahead of the first one that is missing.
    pub nonce_gap: u32,
    /// A transaction that is pending for so many seconds is dropped.
    pub pending_s: u64,
    /// Receipts are kept for so many seconds after a transaction was dropped, or the proof of its sequence was made.
    pub receipts_s: u64,
    /// Transactions or deposits of one request; at most 16,384.
    pub request_transactions: usize,
    /// Number of the first deposit that is taken: how many the store's batches consumed before the sequencer ran.
    pub first_deposit: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: false,
            accounts: PathBuf::new(),
            program: "rollup/1".into(),
            batch_transactions: 3_000,
            batch_age_s: 60,
            sequence_batches: 16,
            sequence_age_s: 3_600,
            least_fee: 1,
            replacement_percent: 10,
            pending: 65_536,
            account_pending: 64,
            nonce_gap: 16,
            pending_s: 3 * 3_600,
            receipts_s: 30 * 24 * 3_600,
            request_transactions: 1_024,
            first_deposit: 0,
        }
    }
}

/// A setting that can't be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sequencer's setting {name} is {found}: it has to be from {least} to {most}")]
pub struct BadSetting {
    /// Its name.
    pub name: &'static str,
    /// The least.
    pub least: u64,
    /// The highest.
    pub most: u64,
    /// What it is.
    pub found: u64,
}

impl Settings {
    /// Checks all of them.
    ///
    /// # Errors
    /// [`BadSetting`] for the first that can't be.
    pub fn check(&self) -> Result<(), BadSetting> {
        /// Seconds that as milliseconds are still far below 2^63.
        const SECONDS: u64 = 1 << 40;
        for (name, least, most, found) in [
            ("batch_transactions", 1, MAX_TRANSACTIONS as u64, self.batch_transactions as u64),
            ("batch_age_s", 0, SECONDS, self.batch_age_s),
            ("sequence_batches", 1, MAX_SEQUENCE_BATCHES, self.sequence_batches),
            ("sequence_age_s", 0, SECONDS, self.sequence_age_s),
            ("replacement_percent", 0, 10_000, self.replacement_percent),
            ("pending", 1, MAX_PENDING as u64, self.pending as u64),
            ("account_pending", 1, MAX_PENDING as u64, self.account_pending as u64),
            ("pending_s", 1, SECONDS, self.pending_s),
            ("receipts_s", 0, SECONDS, self.receipts_s),
            ("request_transactions", 1, MAX_REQUEST_TRANSACTIONS as u64, self.request_transactions as u64),
        ] {
            if !(least..=most).contains(&found) {
                return Err(BadSetting { name, least, most, found });
            }
        }
        Ok(())
    }

    /// Where the accounts are.
    pub fn accounts_in(&self, data: &Path) -> PathBuf {
        if self.accounts.as_os_str().is_empty() { data.join(ACCOUNTS) } else { self.accounts.clone() }
    }

    /// What may wait.
    pub fn limits(&self) -> Limits {
        Limits {
            all: self.pending,
            account: self.account_pending,
            gap: self.nonce_gap,
            fee: self.least_fee,
            raise: self.replacement_percent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BadSetting, Settings};

    #[test]
    fn each_bound_is_checked() {
        let default = Settings::default();
        assert_eq!(default.check(), Ok(()));
        type Change = fn(&mut Settings);
        let bad: [(&str, Change); 8] = [
            ("batch_transactions", |all| all.batch_transactions = 0),
            ("batch_transactions", |all| all.batch_transactions = 65_537),
            ("sequence_batches", |all| all.sequence_batches = 65),
            ("pending", |all| all.pending = 0),
            ("account_pending", |all| all.account_pending = 0),
            ("request_transactions", |all| all.request_transactions = 16_385),
            ("pending_s", |all| all.pending_s = u64::MAX),
            ("replacement_percent", |all| all.replacement_percent = 10_001),
        ];
        for (wanted, change) in bad {
            let mut settings = default.clone();
            change(&mut settings);
            assert!(matches!(settings.check(), Err(BadSetting { name, .. }) if name == wanted), "{wanted}");
        }
    }

    #[test]
    fn what_is_left_out_is_the_default_and_what_is_unknown_is_refused() {
        let read = serde_json::from_str::<Settings>;
        assert_eq!(read("{}").expect("all is left out"), Settings::default());
        assert_eq!(read(r#"{"least_fee": 7}"#).expect("it is known").least_fee, 7);
        assert!(read(r#"{"least_fees": 7}"#).is_err());
    }
}
