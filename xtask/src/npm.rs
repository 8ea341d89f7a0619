//! The npm package around one WASM module, and the one that has them all.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use flate2::{Compression, write::GzEncoder};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The compiler of TypeScript.
const TSC: &str = "node_modules/.bin/tsc";

/// The package that has all variants, and the TypeScript around them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Whole {
    description: String,
    output: PathBuf,
    sources: PathBuf,
    needs: Vec<String>,
    entries: Vec<String>,
}

impl Whole {
    /// Puts the package together: copies the variants that were built, now or before, and compiles the sources.
    ///
    /// # Errors
    /// If a variant is missing that the sources need, if they do not compile, or if a file can't be written.
    pub(crate) fn assemble<'a>(
        &self,
        root: &Path,
        name: &str,
        variants: impl Iterator<Item = (&'a str, PathBuf)>,
    ) -> anyhow::Result<()> {
        let folder = root.join(&self.output);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let built: Vec<_> = variants.filter(|(_, path)| path.exists()).collect();
        for (name, path) in &built {
            copy(path, &folder.join("wasm").join(name))?;
        }
        for needed in &self.needs {
            ensure!(
                built.iter().any(|(name, _)| name == needed),
                "the package {name} needs the variant `{needed}`: build it too, with `--variant {needed}`"
            );
        }
        let tsc = root.join(TSC);
        ensure!(tsc.exists(), "there is no {TSC}: run `./just setup npm`");
        let status = Command::new(tsc)
            .current_dir(root)
            .arg("-p")
            .arg(&self.sources)
            .stdin(Stdio::null())
            .status()
            .context("running tsc")?;
        ensure!(status.success(), "compiling {} failed", self.sources.display());
        let entry = |entry: &String| {
            let path = if entry == "index" { ".".to_owned() } else { format!("./{entry}") };
            (path, Value::from(format!("./{entry}.js")))
        };
        let mut exports: Map<String, Value> = self.entries.iter().map(entry).collect();
        exports.insert("./wasm/*".to_owned(), "./wasm/*".into());
        let manifest = json!({
            "name": name,
            "version": env!("CARGO_PKG_VERSION"),
            "description": self.description,
            "license": "MIT OR Apache-2.0",
            "type": "module",
            "main": "./index.js",
            "types": "./index.d.ts",
            // The declarations are found beside them.
            "exports": exports,
            "files": ["*.js", "*.d.ts", "wasm"],
            // Pages import these for what they do, not for what they export.
            "sideEffects": ["./widget.js", "./worker.js", "./wasm/**"],
            "engines": { "node": ">=20" },
            // Node's has no global WebSocket in every version.
            "peerDependencies": { "ws": "^8.0.0" },
            "peerDependenciesMeta": { "ws": { "optional": true } },
        });
        write_json(&folder.join("package.json"), &manifest)?;
        println!("package: {}", self.output.display());
        Ok(())
    }
}

/// Copies the files of a variant's package, but not its description.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else if entry.file_name() != OsStr::new("package.json") {
            fs::copy(entry.path(), &target).with_context(|| format!("writing {}", target.display()))?;
        }
    }
    Ok(())
}

fn write_json(path: &Path, value: &Value) -> anyhow::Result<()> {
    fs::write(path, format!("{value:#}\n")).with_context(|| format!("writing {}", path.display()))
}

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
    write_json(&folder.join("package.json"), &manifest)
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
