//! The coordinator of a proving network: takes jobs, hands their steps to provers, verifies and merges what comes back.
//!
//! [`hub`] decides, and is the only one that writes down what became of proofs; [`ws`] serves provers, [`pool`]
//! computes, [`http`] serves clients, [`catalog`] has the programs. What is stored, and how that survives crashes, is
//! in [`store`].

pub mod catalog;
pub mod chance;
pub mod http;
pub mod hub;
pub mod open_files;
pub mod pool;
pub mod refusal;
pub mod server;
pub mod store;
pub mod ws;
