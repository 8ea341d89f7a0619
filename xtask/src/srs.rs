//! Makes insecure powers of tau for development, and checks files of real ones.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use crowdfold_fold::Srs;
use crowdfold_fold::srs::Origin;

use crate::parameters;

/// Bytes read from a file at once: ceremonies' files have gigabytes.
const BUFFER_BYTES: usize = 1 << 20;

/// What to do with powers of tau.
#[derive(clap::Subcommand)]
pub(crate) enum Task {
    /// Make INSECURE ones for development, with a secret that everybody knows.
    Dev {
        /// Make 2^POWER of them.
        #[arg(long, default_value_t = parameters::POWERS.ilog2(), value_parser = clap::value_parser!(u32).range(1..=24))]
        power: u32,
    },
    /// Check a file of a ceremony, and say what it is.
    Check {
        /// The file, full or pruned.
        file: PathBuf,
        /// Check the first 2^POWER of its powers.
        #[arg(long, default_value_t = parameters::POWERS.ilog2(), value_parser = clap::value_parser!(u32).range(1..=28))]
        power: u32,
        /// The SHA-256 of the file, as the ceremony published it.
        #[arg(long, value_name = "HEX", value_parser = sha256)]
        sha256: Option<[u8; 32]>,
    },
}

/// Runs a task.
///
/// # Errors
/// If powers of tau can't be written, or a file is not one to make proofs with.
pub(crate) fn run(root: &Path, task: &Task) -> anyhow::Result<()> {
    match task {
        Task::Dev { power } => {
            let (srs, path) = parameters::development_powers(root, 1 << power)?;
            println!("{}\n{} powers of tau in {}", parameters::INSECURE_WARNING, srs.len(), path.display());
        }
        Task::Check { file, power, sha256 } => {
            println!("{}", check(file, 1 << power, *sha256)?);
        }
    }
    Ok(())
}

/// Checks the first `n` powers in a file and says what they are.
fn check(path: &Path, n: usize, sha256: Option<[u8; 32]>) -> anyhow::Result<String> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let reader = BufReader::with_capacity(BUFFER_BYTES, file);
    let srs = Srs::read_ptau(reader, n, sha256, &mut parameters::rng()?)
        .with_context(|| format!("checking {}", path.display()))?;
    let advice = match srs.origin() {
        Origin::InsecureDevelopment => bail!(
            "{} holds the INSECURE powers of tau for development, whatever its name is: their secret is public, so \
             anyone can forge proofs made with them. Pass the file of a ceremony",
            path.display()
        ),
        Origin::Ceremony { pinned: true, .. } => "It is the file that --sha256 names.",
        Origin::Ceremony { pinned: false, .. } => {
            "Nothing yet says whose they are: compare the hash with the one that the ceremony published, and pass \
             that with --sha256."
        }
    };
    Ok(format!("{}: the first {} are powers of one tau.\n{}\n{advice}", path.display(), srs.len(), srs.origin()))
}

fn sha256(text: &str) -> Result<[u8; 32], String> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text, &mut hash)
        .map_err(|error| format!("expected a SHA-256 as 64 hexadecimal digits: {error}"))?;
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file in a folder of the test's own.
    fn development_file(test: &str) -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tmp/xtask-srs").join(test);
        parameters::development_powers(&root, 4).expect("made").1
    }

    #[test]
    fn development_powers_are_named_so_and_refused() {
        let path = development_file("insecure");
        assert!(path.file_name().expect("a name").to_string_lossy().starts_with("INSECURE-dev"));
        let renamed = path.with_file_name("ceremony.ptau");
        std::fs::copy(&path, &renamed).expect("copied");
        for path in [path, renamed] {
            let error = check(&path, 4, None).expect_err("it is refused");
            assert!(error.to_string().contains("INSECURE"), "{error:#}");
        }
    }

    #[test]
    fn another_hash_and_too_few_powers_are_refused() {
        let path = development_file("refused");
        let error = format!("{:#}", check(&path, 4, Some([0xab; 32])).expect_err("another hash"));
        assert!(error.contains("abab") && error.contains("was pinned"), "{error}");
        let error = format!("{:#}", check(&path, 8, None).expect_err("too few"));
        assert!(error.contains("8 powers of tau are needed"), "{error}");
        let error = format!("{:#}", check(Path::new("no-such-file"), 4, None).expect_err("no file"));
        assert!(error.contains("opening no-such-file"), "{error}");
    }

    #[test]
    fn a_hash_is_64_digits() {
        assert_eq!(sha256(&"0f".repeat(32)), Ok([0x0f; 32]));
        for text in ["", "0f", &"0f".repeat(33), &"zz".repeat(32)] {
            assert!(sha256(text).expect_err("no hash").contains("64 hexadecimal digits"));
        }
    }
}
