//! Keys, signatures and hashes from a seed, for npm packages to check.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use crowdfold_fold::{Fr, poseidon};
use crowdfold_programs::eddsa::{Point, SecretKey};
use ff::Field;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde::Serialize;

const SIGNERS: usize = 6;
const MESSAGES: usize = 3;

/// What to make.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// File to write.
    out: PathBuf,
    /// The same seed gives the same file.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// The file. Numbers are hexadecimal with `0x`, byte strings hexadecimal in their order.
#[derive(Serialize)]
struct Vectors {
    signers: Vec<Signer>,
    poseidon: Vec<Hashed>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Signer {
    secret: String,
    public_key: [String; 2],
    packed_public_key: String,
    signatures: Vec<Signed>,
}

#[derive(Serialize)]
struct Signed {
    message: String,
    r8: [String; 2],
    s: String,
    packed: String,
}

#[derive(Serialize)]
struct Hashed {
    inputs: Vec<String>,
    hash: String,
}

/// Writes the file.
///
/// # Errors
/// If the file can't be written.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut rng = ChaCha20Rng::seed_from_u64(options.seed);
    let vectors = Vectors {
        signers: (0..SIGNERS).map(|_| signer(&mut rng)).collect(),
        poseidon: (1..=poseidon::MAX_INPUTS).map(|count| hashed(count, &mut rng)).collect(),
    };
    let text = serde_json::to_string_pretty(&vectors)?;
    fs::write(&options.out, text).with_context(|| format!("writing {}", options.out.display()))
}

fn signer(rng: &mut ChaCha20Rng) -> Signer {
    let key = SecretKey::random(rng);
    let mut messages = vec![Fr::ZERO, -Fr::ONE];
    messages.extend((0..MESSAGES).map(|_| Fr::random(&mut *rng)));
    let signed = |message: Fr| {
        let signature = key.sign(message);
        Signed {
            message: element(message),
            r8: point(signature.r8),
            s: number(signature.s.to_bytes()),
            packed: hex::encode(signature.to_bytes()),
        }
    };
    Signer {
        secret: hex::encode(key.to_bytes()),
        public_key: point(key.public().0),
        packed_public_key: hex::encode(key.public().pack()),
        signatures: messages.into_iter().map(signed).collect(),
    }
}

fn hashed(count: usize, rng: &mut ChaCha20Rng) -> Hashed {
    let inputs: Vec<Fr> = (0..count).map(|_| Fr::random(&mut *rng)).collect();
    Hashed { hash: element(poseidon::hash(&inputs)), inputs: inputs.into_iter().map(element).collect() }
}

fn point(point: Point) -> [String; 2] {
    [element(point.x), element(point.y)]
}

fn element(element: Fr) -> String {
    number(element.to_bytes())
}

fn number(mut little_endian: [u8; 32]) -> String {
    little_endian.reverse();
    format!("0x{}", hex::encode(little_endian))
}
