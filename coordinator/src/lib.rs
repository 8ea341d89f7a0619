//! The coordinator of a proving network. What it stores, and how that survives crashes, is in [`store`].

pub mod store;
