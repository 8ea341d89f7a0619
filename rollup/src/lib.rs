//! What an operator of the rollup program (`docs/spec/rollup.md`) needs beside the program: the accounts on disk
//! ([`store`]), and the files of accounts, transactions and batches ([`forms`]; `docs/guide/rollup.md`).
//!
//! The program `crowdfold-rollup` is a shell around both.

mod error;
pub mod forms;
pub mod store;

pub use error::Error;
