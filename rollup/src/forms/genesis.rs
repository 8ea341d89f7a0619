//! The accounts that a rollup starts with, as a file.

use super::marks::{GenesisForm, Version1};
use super::scalars::{Amount, KeyText};
use super::{check_limit, decode_all, from_json};
use crate::Error;
use crowdfold_programs::rollup::{Account, Index};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Accounts in order of their indices, from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisFile {
    form: GenesisForm,
    version: Version1,
    accounts: Vec<GenesisAccount>,
}

/// An account that has signed nothing yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisAccount {
    /// Whose it is.
    pub key: KeyText,
    /// What it holds.
    pub balance: Amount,
}

impl GenesisFile {
    /// The file of accounts, whose nonces are left out.
    pub fn new(accounts: &[Account]) -> Self {
        let form = |account: &Account| GenesisAccount { key: account.key.into(), balance: Amount(account.balance) };
        Self { form: GenesisForm, version: Version1, accounts: accounts.par_iter().map(form).collect() }
    }

    /// Reads the JSON form.
    ///
    /// # Errors
    /// [`Error::Json`], [`Error::Limit`].
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        let file: Self = from_json("accounts of genesis", json, (GenesisForm, Version1))?;
        check_limit("accounts", 1 << Index::BITS, file.accounts.len())?;
        Ok(file)
    }

    /// The accounts.
    ///
    /// # Errors
    /// [`Error::At`] for the first whose key is none.
    pub fn decode(&self) -> Result<Vec<Account>, Error> {
        decode_all("account", &self.accounts, |account| {
            Ok(Account { key: account.key.decode()?, balance: account.balance.0, nonce: 0 })
        })
    }
}
