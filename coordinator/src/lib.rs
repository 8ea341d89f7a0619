//! The coordinator of a proving network: takes jobs, hands their steps to provers, verifies and merges what comes back.
//!
//! [`hub`] decides, and is the only one that writes down what became of proofs; [`ws`] serves provers, [`pool`]
//! computes, [`http`] serves clients, [`catalog`] has the programs, [`sequencer`] makes jobs of payments, [`push`] posts tasks
//! to functions. What is stored, and how that survives crashes, is in [`store`].

pub mod bus;
pub mod catalog;
pub mod chance;
pub mod http;
pub mod hub;
pub mod jobs;
pub mod keeper;
pub mod listen;
pub mod metrics;
pub mod open_files;
pub mod pool;
pub mod push;
pub mod sequencer;
pub mod server;
pub mod settings;
pub mod store;
pub mod ws;
