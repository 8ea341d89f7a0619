//! The coordinator's parts as the others meet them.

mod hub;
mod store;
mod store_crash;
mod store_damage;
mod store_keep;
mod store_kill;
mod store_world;
