//! The coordinator's parts as the others meet them.

mod sequencer;
mod sequencer_crash;
mod sequencer_http;
mod sequencer_mempool;
mod sequencer_proofs;
mod sequencer_world;
mod store;
mod store_crash;
mod store_damage;
mod store_keep;
mod store_kill;
mod store_world;
