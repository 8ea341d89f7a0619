//! The coordinator's parts as the others meet them.

mod cli;
mod cli_jobs;
mod cli_keep;
mod cli_prove;
mod cli_watch;
mod cli_world;
mod deploy;
mod hostile;
mod hostile_peer;
mod hostile_proofs;
mod hostile_slow;
mod http;
mod hub;
mod push;
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
