//! The files that people and their programs make: accounts of genesis, transactions, batches, all as JSON, and batches
//! also in the binary form that is the program's job (`docs/guide/rollup.md`).
//!
//! A file says which form and version it has. Fields that the form does not have are refused. Decoding keys and
//! signatures takes square roots, so files are read into texts and bytes first, and then decoded on many threads.

mod account;
mod batch;
mod genesis;
mod marks;
mod scalars;
mod transactions;

pub use account::{AccountProof, PathLevel};
pub use batch::{BatchFile, is_binary};
pub use genesis::{GenesisAccount, GenesisFile};
pub use scalars::{AddressText, Amount, Element, Fee, KeyText, SecretText, SignatureText, hexadecimal};
pub use transactions::{Asked, MAX_FILE_TRANSACTIONS, TransactionForm, TransactionsFile};

use crate::Error;
use rayon::prelude::*;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The largest file that is read, in bytes: genesis of all accounts that there can be.
pub const MAX_FILE_BYTES: u64 = 4 << 30;

/// What every file has, whatever its form and version.
#[derive(Deserialize)]
struct Marks<F, V> {
    #[serde(rename = "form")]
    _form: F,
    #[serde(rename = "version")]
    _version: V,
}

/// Reads JSON of a form. Of a file of another form or version, the error says that rather than which of its fields is
/// unknown.
fn from_json<T: DeserializeOwned, F: DeserializeOwned, V: DeserializeOwned>(
    what: &'static str,
    json: &[u8],
    _marks: (F, V),
) -> Result<T, Error> {
    serde_json::from_slice(json).map_err(|error| {
        let other_marks = serde_json::from_slice::<Marks<F, V>>(json).err().filter(|marks| marks.is_data());
        Error::Json { what, source: other_marks.unwrap_or(error) }
    })
}

/// Decodes each item on the threads of rayon's current pool; the error names the first that is wrong.
fn decode_all<T: Sync, U: Send>(
    what: &'static str,
    items: &[T],
    decode: impl Fn(&T) -> Result<U, Error> + Sync,
) -> Result<Vec<U>, Error> {
    let at = |(position, item): (usize, &T)| {
        decode(item).map_err(|source| Error::At { what, position, source: Box::new(source) })
    };
    let decoded: Vec<Result<U, Error>> = items.par_iter().with_min_len(16).enumerate().map(at).collect();
    decoded.into_iter().collect()
}

/// Refuses more than `limit`.
fn check_limit(what: &'static str, limit: usize, found: usize) -> Result<(), Error> {
    let (limit, found) = (limit as u64, found as u64);
    if found > limit { Err(Error::Limit { what, limit, found }) } else { Ok(()) }
}
