//! How many files and connections the process may have open.

/// Raises the limit as far as the system lets it, and says in the log how far that is: each prover takes a file, and
/// many systems start processes with 1,024.
#[cfg(unix)]
pub fn allow() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let before = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: before.maximum, ..before }) {
        Ok(()) => tracing::info!(limit = before.maximum, "files and connections that may be open at once"),
        Err(error) => tracing::warn!(limit = before.current, %error, "the limit of open files can't be raised"),
    }
}

/// Elsewhere there is no such limit.
#[cfg(not(unix))]
pub fn allow() {}
