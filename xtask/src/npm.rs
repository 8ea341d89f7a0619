//! The npm package around one WASM module.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use flate2::{Compression, write::GzEncoder};
use serde_json::json;

/// Writes `package.json` for the files that wasm-bindgen left in `folder`.
///
/// # Errors
/// If the file can't be written.
pub(crate) fn write_manifest(folder: &Path, name: &str, description: &str, stem: &str) -> anyhow::Result<()> {
    let js = format!("{stem}.js");
    let wasm = format!("{stem}_bg.wasm");
    let types = format!("{stem}.d.ts");
    let manifest = json!({
        "name": name,
        "version": env!("CARGO_PKG_VERSION"),
        "description": description,
        "license": "MIT OR Apache-2.0",
        "type": "module",
        "main": &js,
        "types": &types,
        "exports": {
            // The declarations are found beside it.
            ".": format!("./{js}"),
            "./module.wasm": format!("./{wasm}"),
        },
        "files": [&js, &types, &wasm, format!("{stem}_bg.wasm.d.ts"), "snippets"],
        // The thread pool's workers import these files for what they do, not for what they export.
        "sideEffects": [format!("./{js}"), "./snippets/*"],
    });
    let path = folder.join("package.json");
    fs::write(&path, format!("{manifest:#}\n")).with_context(|| format!("writing {}", path.display()))
}

/// Size of `bytes` after gzip at its best level, which is what a web server would send.
///
/// # Errors
/// None in practice: it writes into nothing.
pub(crate) fn gzip_size(bytes: &[u8]) -> io::Result<u64> {
    let mut encoder = GzEncoder::new(ByteCount(0), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.0)
}

/// A writer that only counts.
struct ByteCount(u64);

impl Write for ByteCount {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
