//! Finds a compiler that can build the standard library for WASM.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// A compiler with the standard library's source beside it.
#[derive(Debug)]
pub(crate) struct WasmRustc {
    /// What to call.
    pub(crate) program: OsString,
    /// Linker to name explicitly; `None` where the compiler brings its own.
    pub(crate) linker: Option<&'static str>,
    /// Where compiler and source are installed.
    pub(crate) sysroot: PathBuf,
}

/// Names under which distributions install LLVM's WASM linker, in order of preference.
const SYSTEM_LINKERS: [&str; 2] = ["wasm-ld-19", "wasm-ld"];

impl WasmRustc {
    /// The toolchain that cargo itself runs under if it has the `rust-src` component, else the first other `rustc` on
    /// PATH that has one (Debian's `rustc-web` with `rust-web-src`).
    ///
    /// # Errors
    /// If there is none, or it has no linker.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let active = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        if let Some(sysroot) = sysroot_with_source(&active) {
            return Ok(Self { program: active, linker: None, sysroot });
        }
        let path = env::var_os("PATH").unwrap_or_default();
        for program in env::split_paths(&path).map(|dir| dir.join("rustc")) {
            let program = program.into_os_string();
            let Some(sysroot) = sysroot_with_source(&program) else {
                continue;
            };
            let linker = SYSTEM_LINKERS
                .into_iter()
                .find(|name| env::split_paths(&path).any(|dir| dir.join(name).is_file()))
                .context("a WASM linker is missing: install the Debian package lld-19")?;
            return Ok(Self { program, linker: Some(linker), sysroot });
        }
        bail!(
            "no compiler here can build WASM: run `./just setup`, which installs rustup's component rust-src \
             or Debian's packages rustc-web, rust-web-src and lld-19"
        )
    }
}

/// The compiler's sysroot, if the compiler runs and the standard library's source lies there.
fn sysroot_with_source(program: &OsString) -> Option<PathBuf> {
    let output =
        Command::new(program).args(["--print", "sysroot"]).output().ok().filter(|output| output.status.success())?;
    let sysroot = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    source_of(&sysroot).is_file().then_some(sysroot)
}

fn source_of(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib/src/rust/library/Cargo.lock")
}
