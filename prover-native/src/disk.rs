//! What a prover keeps on disk: its key, parameters, and proofs that have no verdict.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use crowdfold_prover::{ProofInfo, Purpose};
use crowdfold_wire::limits::MAX_UPLOAD_BYTES;
use crowdfold_wire::{ParametersId, SigningKey, TaskId, UploadId};

/// Bytes before the proof in a file of one: task, first step and steps.
const HEADER: usize = 24;
/// Bytes of parameters: the largest that there are, for merging, have 1.3 GB.
pub const MAX_PARAMETERS_BYTES: u64 = 4 << 30;

/// Reads the key that names this prover, or makes one.
pub fn identity(path: &Path) -> anyhow::Result<SigningKey> {
    match fs::read_to_string(path) {
        Ok(text) => {
            check_private(path)?;
            let mut secret = [0; 32];
            let digits = text.trim_end();
            hex::decode_to_slice(digits, &mut secret)
                .with_context(|| format!("{}: expected the 64 hexadecimal digits of a key", path.display()))?;
            Ok(SigningKey::from_bytes(&secret))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mut secret = [0; 32];
            getrandom::getrandom(&mut secret).context("the system has no randomness")?;
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
            }
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(path).with_context(|| format!("{}", path.display()))?;
            writeln!(file, "{}", hex::encode(secret)).and_then(|()| file.sync_all())?;
            Ok(SigningKey::from_bytes(&secret))
        }
        Err(error) => Err(error).with_context(|| format!("{}", path.display())),
    }
}

/// Refuses a key that others can read.
#[cfg(unix)]
fn check_private(path: &Path) -> anyhow::Result<()> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path)?.permissions());
    ensure!(mode & 0o077 == 0, "others can read {}: chmod 600 it, or make another key", path.display());
    Ok(())
}

/// Elsewhere the folder's own protection has to do.
#[cfg(not(unix))]
fn check_private(_: &Path) -> anyhow::Result<()> {
    Ok(())
}

/// The folder.
#[derive(Clone, Debug)]
pub struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// Makes the folder, unless it is there.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        for part in ["parameters", "proofs"] {
            let part = folder.join(part);
            fs::create_dir_all(&part).with_context(|| format!("{}", part.display()))?;
        }
        Ok(Self { folder: folder.to_owned() })
    }

    fn parameters_path(&self, id: ParametersId, purpose: Purpose) -> PathBuf {
        let kind = match purpose {
            Purpose::Fold => "fold",
            Purpose::Merge => "merge",
        };
        self.folder.join("parameters").join(format!("{id}.{kind}"))
    }

    /// Parameters of an earlier run. They are checked when they are loaded.
    pub fn parameters(&self, id: ParametersId, purpose: Purpose) -> Option<Vec<u8>> {
        fs::read(self.parameters_path(id, purpose)).ok()
    }

    /// Keeps parameters for another run.
    pub fn keep_parameters(&self, id: ParametersId, purpose: Purpose, bytes: &[u8]) -> anyhow::Result<()> {
        write(&self.parameters_path(id, purpose), &[bytes])
    }

    /// Forgets parameters that could not be loaded.
    pub fn forget_parameters(&self, id: ParametersId, purpose: Purpose) {
        // If it can't be removed, it is refused once more next time.
        _ = fs::remove_file(self.parameters_path(id, purpose));
    }

    /// The digests of those that are kept for folding.
    pub fn cached(&self) -> Vec<ParametersId> {
        let names = fs::read_dir(self.folder.join("parameters")).into_iter().flatten().flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        let mut ids: Vec<_> = names.filter_map(|name| ParametersId::parse(name.strip_suffix(".fold")?)).collect();
        ids.sort();
        ids
    }

    fn proof_path(&self, upload: UploadId) -> PathBuf {
        self.folder.join("proofs").join(upload.to_string())
    }

    /// Keeps a finished proof until its verdict.
    pub fn keep_proof(&self, upload: UploadId, info: ProofInfo, bytes: &[u8]) -> anyhow::Result<()> {
        let mut header = [0; HEADER];
        let numbers = [info.task.0, info.first, info.steps];
        header.as_chunks_mut::<8>().0.iter_mut().zip(numbers).for_each(|(at, number)| *at = number.to_le_bytes());
        write(&self.proof_path(upload), &[&header, bytes])
    }

    /// Forgets a proof.
    pub fn forget_proof(&self, upload: UploadId) -> anyhow::Result<()> {
        match fs::remove_file(self.proof_path(upload)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error).context("a proof can't be removed"),
            _ => Ok(()),
        }
    }

    /// Names of the proofs of earlier runs.
    pub fn proofs(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.join("proofs")).into_iter().flatten().flatten();
        let mut paths: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
        paths.sort();
        paths
    }

    /// A proof of an earlier run.
    pub fn proof(path: &Path) -> anyhow::Result<(ProofInfo, Vec<u8>)> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_UPLOAD_BYTES + HEADER as u64 + 1).read_to_end(&mut bytes)?;
        let Some((header, proof)) = bytes.split_first_chunk::<HEADER>() else {
            bail!("{} is no proof: it has {} bytes", path.display(), bytes.len())
        };
        let number = |i: usize| header.as_chunks::<8>().0.get(i).map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let info = ProofInfo { task: TaskId(number(0)), first: number(1), steps: number(2) };
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        ensure!(UploadId::of(proof).to_string() == name, "{} is damaged", path.display());
        Ok((info, proof.to_vec()))
    }
}

/// Writes a file so that it is there in whole or not at all.
fn write(path: &Path, parts: &[&[u8]]) -> anyhow::Result<()> {
    let new = path.with_extension("new");
    let whole = || {
        let mut file = File::create(&new)?;
        parts.iter().try_for_each(|part| file.write_all(part))?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    whole().with_context(|| format!("{} can't be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{Disk, identity};
    use crowdfold_prover::{ProofInfo, Purpose};
    use crowdfold_wire::{ParametersId, TaskId, UploadId};
    use std::fs;
    use std::path::PathBuf;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("crowdfold-prover-{}-{name}", std::process::id()));
        _ = fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn a_key_is_made_once_and_is_private() {
        let path = folder("key").join("deep/identity.key");
        let key = identity(&path).unwrap();
        assert_eq!(identity(&path).unwrap(), key);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            assert!(identity(&path).unwrap_err().to_string().contains("chmod 600"));
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        fs::write(&path, "abc\n").unwrap();
        assert!(identity(&path).is_err());
    }

    #[test]
    fn proofs_outlive_the_process_and_damaged_ones_are_known() {
        let disk = Disk::open(&folder("proofs")).unwrap();
        let (info, bytes) = (ProofInfo { task: TaskId(7), first: 3, steps: 9 }, vec![5; 100]);
        let upload = UploadId::of(&bytes);
        disk.keep_proof(upload, info, &bytes).unwrap();
        let paths = disk.proofs();
        assert_eq!(Disk::proof(&paths[0]).unwrap(), (info, bytes));
        let mut damaged = fs::read(&paths[0]).unwrap();
        damaged[50] ^= 1;
        fs::write(&paths[0], &damaged).unwrap();
        assert!(Disk::proof(&paths[0]).is_err());
        fs::write(&paths[0], [0; 5]).unwrap();
        assert!(Disk::proof(&paths[0]).is_err());
        disk.forget_proof(upload).unwrap();
        disk.forget_proof(upload).unwrap();
        assert!(disk.proofs().is_empty());
    }

    #[test]
    fn parameters_are_cached_by_digest_and_purpose() {
        let disk = Disk::open(&folder("parameters")).unwrap();
        let id = ParametersId([9; 32]);
        assert!(disk.parameters(id, Purpose::Fold).is_none());
        disk.keep_parameters(id, Purpose::Fold, b"bytes").unwrap();
        assert_eq!(disk.parameters(id, Purpose::Fold).unwrap(), b"bytes");
        assert!(disk.parameters(id, Purpose::Merge).is_none());
        assert_eq!(disk.cached(), [id]);
        disk.forget_parameters(id, Purpose::Fold);
        assert!(disk.cached().is_empty());
    }
}
