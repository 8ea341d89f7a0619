//! The tool and the store, as their users meet them.

mod common;
mod files;
mod kill;
mod store;
mod tool;
