//! Accounts, as anybody may look at them.

use crowdfold_programs::rollup::{Directory as _, Index};
use crowdfold_rollup::forms::{AccountProof, KeyText};

use super::{Sequencer, SequencerError};

/// How an account is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountName {
    /// By its index.
    Index(Index),
    /// By its key, of which it is the lowest index.
    Key(KeyText),
}

impl AccountName {
    /// Reads an index in digits, or a key; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        // No index has as many digits as a key.
        if text.len() <= 8 {
            let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
            return text.parse().ok().filter(|_| plain).and_then(Index::new).map(Self::Index);
        }
        text.parse().ok().map(Self::Key)
    }
}

/// An account after the last batch, and what waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountAnswer {
    /// The account, with its path to the root of the state after `batch`.
    pub proof: AccountProof,
    /// The batch that it is after; 0 for genesis.
    pub batch: u64,
    /// Transactions that wait.
    pub pending: u64,
    /// The first nonce that no transaction has.
    pub next_nonce: u32,
    /// What of the balance is not needed for transactions that wait.
    pub available: u128,
}

impl Sequencer {
    /// An account, as one batch left it; `None` if there is none.
    ///
    /// # Errors
    /// [`SequencerError`] if the accounts can't be read.
    pub async fn account(&self, name: AccountName) -> Result<Option<AccountAnswer>, SequencerError> {
        let snapshot = self.view().snapshot.clone();
        let batch = snapshot.head().batch;
        let read = move || {
            let index = match name {
                AccountName::Index(index) => Some(index),
                AccountName::Key(key) => snapshot.find(&key.decode()?)?,
            };
            index.map_or(Ok(None), |index| AccountProof::of(&snapshot, index))
        };
        // The store of accounts may panic over a damaged file.
        let read = tokio::task::spawn_blocking(read).await;
        let proof = read.map_err(|error| SequencerError::Panicked(error.to_string()))??;
        let Some(proof) = proof else { return Ok(None) };
        let pending = self.storage().store.pending_of(proof.index).await?;
        // A batch may have been sealed between the two reads.
        let waiting: Vec<_> = pending.into_iter().filter(|(nonce, _)| *nonce >= proof.nonce).collect();
        let run = (proof.nonce..).zip(&waiting).take_while(|(next, (nonce, _))| next == nonce).count();
        let needed = waiting.iter().fold(0u128, |sum, (_, cost)| sum.saturating_add(*cost));
        Ok(Some(AccountAnswer {
            batch,
            pending: waiting.len() as u64,
            next_nonce: proof.nonce.saturating_add(u32::try_from(run).unwrap_or(u32::MAX)),
            available: proof.balance.0.saturating_sub(needed),
            proof,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::AccountName;

    #[test]
    fn indices_and_keys_are_told_apart() {
        let number = |text: &str| match AccountName::parse(text) {
            Some(AccountName::Index(index)) => Some(index.get()),
            _ => None,
        };
        assert_eq!((number("0"), number("16777215")), (Some(0), Some((1 << 24) - 1)));
        for text in ["", "16777216", "-1", "+1", "01", "1x", "99999999", "deadbeef"] {
            assert_eq!(AccountName::parse(text), None, "{text}");
        }
        assert!(matches!(AccountName::parse(&"0a".repeat(32)), Some(AccountName::Key(_))));
        assert_eq!(AccountName::parse(&"0a".repeat(31)), None);
    }
}
