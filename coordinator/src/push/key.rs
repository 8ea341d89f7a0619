//! The key with which posted tasks are signed, in the data folder.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crowdfold_wire::{PublicKey, SigningKey};
use sha2::{Digest as _, Sha256};

use crate::chance::{self, NoRandomness};

/// Its name in the data folder.
pub const FILE: &str = "push.key";
/// Separates the keys of functions from all else that may be made of this one.
const DOMAIN: &[u8] = b"crowdfold push function\0";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file can't be read or made.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is no key.
    #[error("{}: expected the 64 hexadecimal digits of a key", .0.display())]
    Text(PathBuf),
    /// It is no secret.
    #[error("others can read {}: chmod 600 it, or remove it for another key", .0.display())]
    Open(PathBuf),
    /// It can't be made.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

/// The key of a coordinator.
#[derive(Clone, Debug)]
pub struct PushKey(SigningKey);

impl PushKey {
    /// Reads the key in a data folder, or makes one.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn open(folder: &Path) -> Result<Self, KeyError> {
        let path = folder.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Self::read(&path, text.trim_end()),
            Err(error) if error.kind() == ErrorKind::NotFound => Self::make(&path),
            Err(error) => Err(KeyError::Io { path, error }),
        }
    }

    fn read(path: &Path, text: &str) -> Result<Self, KeyError> {
        #[cfg(unix)]
        {
            let about = fs::metadata(path).map_err(|error| KeyError::Io { path: path.into(), error })?;
            if std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o077 != 0 {
                return Err(KeyError::Open(path.into()));
            }
        }
        let mut secret = [0; 32];
        hex::decode_to_slice(text, &mut secret).map_err(|_| KeyError::Text(path.into()))?;
        Ok(Self(SigningKey::from_bytes(&secret)))
    }

    fn make(path: &Path) -> Result<Self, KeyError> {
        let secret: [u8; 32] = chance::bytes()?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
        let written = folder.and_then(|()| options.open(path)).and_then(|mut file| {
            writeln!(file, "{}", hex::encode(secret))?;
            file.sync_all()
        });
        written.map_err(|error| KeyError::Io { path: path.into(), error })?;
        Ok(Self(SigningKey::from_bytes(&secret)))
    }

    /// What functions are set up with.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// For signing tasks.
    pub(super) fn signing(&self) -> &SigningKey {
        &self.0
    }

    /// The key under which a function is a prover, the same in every run.
    pub fn of_function(&self, url: &str) -> PublicKey {
        let secret = Sha256::new_with_prefix(DOMAIN).chain_update(self.0.to_bytes()).chain_update(url).finalize();
        PublicKey(SigningKey::from_bytes(&secret.into()).verifying_key().to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::{FILE, KeyError, PushKey};
    use std::fs;
    use std::path::PathBuf;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("crowdfold-push-key-{}-{name}", std::process::id()));
        _ = fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn a_key_is_made_once_for_nobody_else_to_read() {
        let folder = folder("once");
        let key = PushKey::open(&folder).expect("a key");
        assert_eq!(PushKey::open(&folder).expect("the same").public(), key.public());
        let path = folder.join(FILE);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("ours");
            assert!(matches!(PushKey::open(&folder), Err(KeyError::Open(_))));
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("ours");
        }
        for text in ["", "00", "not a key"] {
            fs::write(&path, text).expect("ours");
            assert!(matches!(PushKey::open(&folder), Err(KeyError::Text(_))), "{text}");
        }
        fs::remove_file(&path).expect("ours");
        assert_ne!(PushKey::open(&folder).expect("another").public(), key.public());
        _ = fs::remove_dir_all(folder);
    }

    #[test]
    fn each_function_has_its_own_key() {
        let folder = folder("own");
        let key = PushKey::open(&folder).expect("a key");
        let (one, other) = (key.of_function("https://one.example/"), key.of_function("https://other.example/"));
        assert_eq!(one, key.of_function("https://one.example/"));
        assert!(one != other && one != key.public());
        _ = fs::remove_dir_all(folder);
    }
}
