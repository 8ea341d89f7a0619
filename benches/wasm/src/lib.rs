//! The contestants of the benchmarks: the same chain proved by us and by peers.
//!
//! The native benchmarks use the library; the browser's use the same code through the exports of the WASM module. No
//! package for users contains any of it.

mod ours;
mod peer;

#[cfg(target_family = "wasm")]
mod exports;
#[cfg(all(feature = "threads", target_family = "wasm"))]
pub use wasm_bindgen_rayon::init_thread_pool;

pub use ours::Ours;
pub use peer::{Nova, NovaParameters, PEER, PeerError};
