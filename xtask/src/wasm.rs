//! Builds the WASM packages described in `wasm-pack.toml`: cargo compiles the crate together with the standard library,
//! wasm-bindgen's library writes the JavaScript around it, and the result is a folder that npm can publish. Where the
//! description asks for it, they are put together with TypeScript sources into one package.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use wasm_bindgen_cli_support::Bindgen;

use crate::npm;
use crate::rustc::WasmRustc;

const TARGET: &str = "wasm32-unknown-unknown";
const WASM_PAGE_BYTES: u64 = 65_536;

/// Symbols that wasm-bindgen needs to give each thread its own stack and thread-local storage.
const THREAD_SYMBOLS: [&str; 4] = ["__wasm_init_tls", "__tls_size", "__tls_align", "__tls_base"];

/// Which packages to build.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Variant to build; may be repeated. All of them by default.
    #[arg(long = "variant", value_name = "NAME", conflicts_with = "in_tests")]
    variants: Vec<String>,
    /// Build the variants that the tests load.
    #[arg(long)]
    in_tests: bool,
    /// What to build, relative to the repository.
    #[arg(long, value_name = "FILE", default_value = "wasm-pack.toml")]
    config: PathBuf,
    /// Keep the functions' names in the module, for profilers.
    #[arg(long)]
    names: bool,
}

/// A `wasm-pack.toml`; the one at the root documents the keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(rename = "crate")]
    crate_name: String,
    out_name: String,
    npm_name: String,
    whole: Option<npm::Whole>,
    variant: BTreeMap<String, Variant>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variant {
    description: String,
    output: PathBuf,
    #[serde(default)]
    target_features: Vec<String>,
    #[serde(default)]
    cargo_features: Vec<String>,
    #[serde(default)]
    shared_memory: bool,
    max_memory_mib: Option<u64>,
    module_of: Option<String>,
    #[serde(default)]
    in_tests: bool,
}

/// Builds the packages that `options` names and prints their sizes.
///
/// # Errors
/// If the configuration is wrong, no compiler fits, or the build fails.
pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let path = root.join(&options.config);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let config: Config = toml::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
    let chosen = config.choose(options)?;
    let rustc = WasmRustc::find()?;
    println!("compiler: {}", Path::new(&rustc.program).display());

    let mut sizes = Vec::new();
    for name in chosen {
        let started = Instant::now();
        let variant = &config.variant[name];
        let module = config.compile(root, &rustc, name)?;
        let wasm = config.package(root, name, variant, &module, options.names)?;
        println!("{name}: {} in {:.1} s", variant.output.display(), started.elapsed().as_secs_f64());
        sizes.push((name, wasm.len(), npm::gzip_size(&wasm)?));
    }
    if let Some(whole) = &config.whole {
        let built = config.variant.iter().map(|(name, variant)| (name.as_str(), root.join(&variant.output)));
        whole.assemble(root, &config.npm_name, built)?;
    }
    println!("{:<10} {:>12} {:>12}", "variant", "bytes", "gzip");
    for (name, raw, gzip) in sizes {
        println!("{name:<10} {raw:>12} {gzip:>12}");
    }
    Ok(())
}

impl Config {
    fn choose<'a>(&'a self, options: &'a Options) -> anyhow::Result<Vec<&'a str>> {
        for name in &options.variants {
            self.variant(name)?;
        }
        if options.variants.is_empty() {
            let wanted = |variant: &Variant| variant.in_tests || !options.in_tests;
            let all = self.variant.iter().filter(|(_, variant)| wanted(variant));
            return Ok(all.map(|(name, _)| name.as_str()).collect());
        }
        Ok(options.variants.iter().map(String::as_str).collect())
    }

    fn variant(&self, name: &str) -> anyhow::Result<&Variant> {
        self.variant.get(name).with_context(|| {
            let known: Vec<_> = self.variant.keys().map(String::as_str).collect();
            format!("there is no variant `{name}`; there are {}", known.join(", "))
        })
    }

    /// Compiles the module of the variant `name` and returns its path. Cargo decides whether there is anything to do.
    fn compile(&self, root: &Path, rustc: &WasmRustc, name: &str) -> anyhow::Result<PathBuf> {
        let name = self.variant[name].module_of.as_deref().unwrap_or(name);
        let variant = self.variant(name)?;
        ensure!(
            variant.module_of.is_none(),
            "`{name}` has no module of its own: `module_of` must name a variant that is compiled"
        );
        let target_dir = root.join("target/wasm").join(name);
        let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .current_dir(root)
            .args(["build", "--release", "--lib", "--target", TARGET])
            .args(["--package", &self.crate_name])
            .args(["--features", &variant.cargo_features.join(",")])
            .args(["-Z", "build-std=std,panic_abort", "--target-dir"])
            .arg(&target_dir)
            .env("RUSTC", &rustc.program)
            // `-Z build-std` is all that is taken from the unstable side.
            .env("RUSTC_BOOTSTRAP", "1")
            // The standard library is built for nothing else.
            .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
            // Takes precedence over every other way of setting flags, so none leaks in; and cargo keeps it from build
            // scripts because a target is named.
            .env("CARGO_ENCODED_RUSTFLAGS", variant.rustflags(root, rustc).join("\u{1f}"))
            .stdin(Stdio::null())
            .status()
            .context("running cargo")?;
        if !status.success() {
            bail!("compiling the WASM module `{name}` failed");
        }
        let file = format!("{}.wasm", self.crate_name.replace('-', "_"));
        Ok(target_dir.join(TARGET).join("release").join(file))
    }

    /// Writes the npm package and returns its WASM module.
    fn package(
        &self,
        root: &Path,
        name: &str,
        variant: &Variant,
        module: &Path,
        keep_names: bool,
    ) -> anyhow::Result<Vec<u8>> {
        let folder = root.join(&variant.output);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let mut bindgen = Bindgen::new();
        bindgen
            .input_path(module)
            .out_name(&self.out_name)
            .web(true)?
            .omit_default_module_path(false)
            .typescript(true)
            // A host that goes on after a trap makes a new instance; one with threads makes a new worker.
            .reset_state_function(!variant.shared_memory)
            .remove_name_section(!keep_names)
            .remove_producers_section(true);
        let mut output = bindgen.generate_output()?;
        if let (false, Some(mib)) = (variant.shared_memory, variant.max_memory_mib) {
            for memory in output.wasm_mut().memories.iter_mut() {
                memory.maximum = Some((mib << 20) / WASM_PAGE_BYTES);
            }
        }
        output.emit(&folder)?;
        npm::write_manifest(&folder, &format!("{}-{name}", self.npm_name), &variant.description, &self.out_name)?;
        Ok(fs::read(folder.join(format!("{}_bg.wasm", self.out_name)))?)
    }
}

impl Variant {
    fn rustflags(&self, root: &Path, rustc: &WasmRustc) -> Vec<String> {
        let mut flags = Vec::new();
        if let Some(linker) = rustc.linker {
            flags.push(format!("-Clinker={linker}"));
        }
        let features: Vec<_> = self.target_features.iter().map(|f| format!("+{f}")).collect();
        if !features.is_empty() {
            flags.push(format!("-Ctarget-feature={}", features.join(",")));
        }
        if self.shared_memory {
            flags.push("-Clink-arg=--shared-memory".to_owned());
            flags.push("-Clink-arg=--import-memory".to_owned());
            flags.extend(THREAD_SYMBOLS.map(|symbol| format!("-Clink-arg=--export={symbol}")));
            if let Some(mib) = self.max_memory_mib {
                flags.push(format!("-Clink-arg=--max-memory={}", mib << 20));
            }
        }
        // Panic messages carry paths: they must not name the builder's folders.
        let cargo_home = env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
        let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
        flags.extend(cargo_home.map(|home| remap(&home, "cargo")));
        flags.push(remap(&rustc.sysroot, "rust"));
        flags.push(remap(root, "crowdfold"));
        flags
    }
}
