//! Powers of tau and parameters of programs for development, cached under `target/`.

use std::fs::{self, File};
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use crowdfold_fold::{Parameters, Srs, srs};
use crowdfold_programs::Program;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// Powers of tau that are made: enough for every program here, and for the merge circuit.
pub(crate) const POWERS: usize = 1 << 16;

/// What is printed wherever parameters for development are used.
pub(crate) const INSECURE_WARNING: &str = "\
!! INSECURE: these powers of tau are for development. Their secret is public, so anyone can forge
!! these proofs. They show that the machinery works, and prove nothing to anyone.";

/// A generator seeded by the system.
///
/// # Errors
/// If the system has no random source.
pub(crate) fn rng() -> anyhow::Result<ChaCha20Rng> {
    let mut seed = [0; 32];
    getrandom::getrandom(&mut seed).context("asking the system for randomness")?;
    Ok(ChaCha20Rng::from_seed(seed))
}

/// The first `n` insecure powers of tau for development, from their cache or made anew, and the file they lie in.
///
/// # Errors
/// If the cache can't be written.
pub(crate) fn development_powers(root: &Path, n: usize) -> anyhow::Result<(Srs, PathBuf)> {
    let path = root.join("target/srs").join(srs::insecure_file_name(n));
    if let Ok(file) = File::open(&path) {
        // A damaged or outdated file is made again.
        if let Ok(srs) = Srs::read_ptau(BufReader::new(file), n, None, &mut rng()?)
            && srs.is_insecure()
        {
            return Ok((srs, path));
        }
    }
    let srs = Srs::insecure_development(n);
    let mut bytes = Vec::new();
    srs.write_ptau(&mut bytes)?;
    write(&path, &bytes)?;
    Ok((srs, path))
}

/// The parameters of the program called `name`, and the file with the part that provers fetch; its name is their
/// digest.
///
/// # Errors
/// If there is no such program, or the cache can't be written.
pub(crate) fn of_program<P: Program>(root: &Path, name: &str) -> anyhow::Result<(Parameters<P>, PathBuf)> {
    let program =
        P::from_name(name).with_context(|| format!("there is no program `{name}` here; expected {}", P::forms()))?;
    let (srs, _) = development_powers(root, POWERS)?;
    let parameters = Parameters::generate(program, &srs)?;
    let path = root.join("target/params").join(format!("{}.params", parameters.prover().digest()));
    let bytes = parameters.prover().to_bytes();
    // The same digest is the same content, unless the file was damaged.
    if fs::read(&path).ok().as_ref() != Some(&bytes) {
        write(&path, &bytes)?;
    }
    Ok((parameters, path))
}

/// Writes a file so that nobody ever sees a part of it.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().context("a file lies in a folder")?;
    let scratch = folder.join(format!(".{}.part", std::process::id()));
    fs::create_dir_all(folder)
        .and_then(|()| File::create(&scratch)?.write_all(bytes))
        .and_then(|()| fs::rename(&scratch, path))
        .with_context(|| format!("writing {}", path.display()))
}
