//! Partial uploads, one file each.
//!
//! A chunk is synced before it is acknowledged, so a file holds at least what was acknowledged. After a crash of the
//! process it may hold some of the next chunk too, which is right; after a power failure that part may be garbage.
//! There is no second file that says how far to trust the first, as that would double the syncs: the length is
//! believed, the SHA-256 of the whole decides, and an upload that has not got it is asked for from the start again
//! (`docs/spec/network.md`, section 1).

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use crowdfold_sched::{ProofId, ProverId};

use super::limits::{CHUNK_BYTES, PROOF_BYTES, SpoolLimits};
use super::storage::sync_folder;
use super::{At, BlobName, Blobs, Faults, Result, StoreError, StoredProof};

/// Bytes that are read at once when an upload is moved to the blobs.
const COPIED: usize = 1 << 20;

/// An upload: two provers may offer the same bytes, and neither must be able to spoil those of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadKey {
    /// Who uploads.
    pub prover: ProverId,
    /// SHA-256 of the whole.
    pub proof: ProofId,
}

impl UploadKey {
    fn file(self) -> String {
        format!("{}-{}", self.prover, hex::encode(self.proof.0))
    }

    fn parse(text: &str) -> Option<Self> {
        let (prover, proof) = text.split_once('-')?;
        let proof = ProofId(hex::decode(proof).ok()?.try_into().ok()?);
        let key = Self { prover: ProverId(prover.parse().ok()?), proof };
        (key.file() == text).then_some(key)
    }
}

/// What is stored.
#[derive(Debug, Default)]
struct Index {
    uploads: BTreeMap<UploadKey, u64>,
    bytes: u64,
}

impl Index {
    fn of(&self, prover: ProverId) -> impl Iterator<Item = u64> {
        let first = UploadKey { prover, proof: ProofId([0; 32]) };
        let last = UploadKey { prover, proof: ProofId([0xff; 32]) };
        self.uploads.range(first..=last).map(|(_, bytes)| *bytes)
    }

    fn set(&mut self, key: UploadKey, bytes: Option<u64>) {
        let before = match bytes {
            Some(bytes) => self.uploads.insert(key, bytes),
            None => self.uploads.remove(&key),
        };
        self.bytes = self.bytes.saturating_sub(before.unwrap_or(0)).saturating_add(bytes.unwrap_or(0));
    }
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    limits: SpoolLimits,
    faults: Faults,
    index: Mutex<Index>,
}

/// Partial uploads. Clones share them. Calls about one upload are made one after the other.
#[derive(Clone, Debug)]
pub struct Spool(Arc<Inner>);

impl Spool {
    /// The uploads in a folder, which exists. The caller has it to itself.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn open(folder: &Path, limits: SpoolLimits, faults: Faults) -> Result<Self> {
        let mut index = Index::default();
        for entry in fs::read_dir(folder).map_err(|e| StoreError::io(folder, e))? {
            let entry = entry.map_err(|e| StoreError::io(folder, e))?;
            // What has another name is not ours, and nothing here counts on it.
            let Some(key) = entry.file_name().to_str().and_then(UploadKey::parse) else { continue };
            let meta = entry.metadata().map_err(|e| StoreError::io(&entry.path(), e))?;
            index.set(key, Some(meta.len()));
        }
        Ok(Self(Arc::new(Inner { folder: folder.into(), limits, faults, index: Mutex::new(index) })))
    }

    /// Bytes that are stored of an upload; `None` if it never began.
    pub fn stored(&self, key: UploadKey) -> Option<u64> {
        self.0.index().uploads.get(&key).copied()
    }

    /// Number and bytes of all uploads.
    pub fn usage(&self) -> (usize, u64) {
        let index = self.0.index();
        (index.uploads.len(), index.bytes)
    }

    /// Stores the next bytes of an upload. When this returns they may be acknowledged, with the length it says.
    ///
    /// # Errors
    /// [`StoreError::Offset`] if they don't come next; [`StoreError::Limit`] if they or the upload are too long;
    /// [`StoreError::Full`] at a limit of the spool or of the disk: what was stored stays.
    pub async fn append(&self, key: UploadKey, offset: u64, bytes: Bytes) -> Result<u64> {
        self.blocking(move |spool| spool.append(key, offset, &bytes)).await
    }

    /// What is stored of an upload, from the start, so that its SHA-256 can be taken up again.
    ///
    /// # Errors
    /// [`StoreError::Io`]; what was passed to `each` until then is void.
    pub async fn read<F>(&self, key: UploadKey, mut each: F) -> Result<()>
    where
        F: FnMut(&[u8]) + Send + 'static,
    {
        self.blocking(move |spool| {
            let Some(length) = spool.index().uploads.get(&key).copied() else { return Ok(()) };
            let path = spool.folder.join(key.file());
            let mut file = File::open(&path).map_err(|e| StoreError::io(&path, e))?.take(length);
            let mut part = vec![0; COPIED];
            loop {
                match file.read(&mut part).map_err(|e| StoreError::io(&path, e))? {
                    0 => return Ok(()),
                    count => each(&part[..count]),
                }
            }
        })
        .await
    }

    /// All bytes are there: makes a blob of them. The upload stays until [`Spool::forget`], which comes after what
    /// refers to the blob is committed; if a crash comes before, the upload is complete then too.
    ///
    /// # Errors
    /// [`StoreError::WrongHash`] if they are not the right ones; [`StoreError::Full`], [`StoreError::Io`],
    /// [`StoreError::Objects`].
    pub async fn finish(&self, key: UploadKey, blobs: &Blobs) -> Result<StoredProof> {
        let mut writer = blobs.writer(BlobName::Proof(key.proof)).await?;
        let mut at = 0;
        loop {
            let part = self.blocking(move |spool| spool.part(key, at)).await?;
            if part.is_empty() {
                return writer.finish_proof(key.proof).await;
            }
            at += part.len() as u64;
            writer.write(&part).await?;
        }
    }

    /// Forgets an upload.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn forget(&self, key: UploadKey) -> Result<()> {
        self.blocking(move |spool| spool.forget(key)).await
    }

    /// Forgets uploads that got no bytes since `before`, and says how many.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn forget_older(&self, before: At) -> Result<u64> {
        self.blocking(move |spool| {
            let before = SystemTime::UNIX_EPOCH + Duration::from_millis(before.0);
            let keys: Vec<_> = spool.index().uploads.keys().copied().collect();
            let mut count = 0;
            for key in keys {
                let path = spool.folder.join(key.file());
                // One that went away in between is not old.
                let modified = fs::metadata(&path).and_then(|meta| meta.modified());
                if modified.is_ok_and(|modified| modified < before) {
                    spool.forget(key)?;
                    count += 1;
                }
            }
            Ok(count)
        })
        .await
    }

    async fn blocking<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Inner) -> Result<T> + Send + 'static,
    {
        let inner = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&inner)).await.map_err(|_| StoreError::Stopping)?
    }
}

impl Inner {
    fn index(&self) -> MutexGuard<'_, Index> {
        // Each change of it is whole, so what a panic left is good.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks the limits, and takes room for the bytes so that others don't.
    fn reserve(&self, key: UploadKey, offset: u64, bytes: u64) -> Result<()> {
        let mut index = self.index();
        let known = index.uploads.get(&key).copied();
        let stored = known.unwrap_or(0);
        if offset != stored {
            return Err(StoreError::Offset { stored, found: offset });
        }
        let length = stored.saturating_add(bytes);
        if length > PROOF_BYTES {
            return Err(StoreError::Limit { what: "bytes of an upload", limit: PROOF_BYTES, found: length });
        }
        let new = usize::from(known.is_none());
        let (own, own_bytes) = index.of(key.prover).fold((new, bytes), |(n, sum), one| (n + 1, sum + one));
        let limits = &self.limits;
        let full = own > limits.uploads_per_prover
            || own_bytes > limits.bytes_per_prover
            || index.uploads.len() + new > limits.uploads
            || index.bytes.saturating_add(bytes) > limits.bytes;
        if full {
            return Err(StoreError::Full { what: format!("uploads of prover {}", key.prover) });
        }
        index.set(key, Some(length));
        Ok(())
    }

    fn append(&self, key: UploadKey, offset: u64, bytes: &[u8]) -> Result<u64> {
        let length = bytes.len() as u64;
        if bytes.len() > CHUNK_BYTES {
            return Err(StoreError::Limit { what: "bytes of a chunk", limit: CHUNK_BYTES as u64, found: length });
        }
        let began = self.index().uploads.contains_key(&key);
        self.reserve(key, offset, length)?;
        let path = self.folder.join(key.file());
        match self.write(&path, began, offset, bytes) {
            Ok(()) => Ok(offset + length),
            Err(error) => {
                self.index().set(key, began.then_some(offset));
                Err(error)
            }
        }
    }

    fn write(&self, path: &Path, began: bool, offset: u64, bytes: &[u8]) -> Result<()> {
        let io = |error| StoreError::io(path, error);
        self.faults.point()?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(io)?;
        if !began {
            sync_folder(&self.folder)?;
        }
        self.faults.point()?;
        // What a write that failed left behind the end must not be taken for the next bytes.
        if file.metadata().map_err(io)?.len() > offset {
            file.set_len(offset).map_err(io)?;
        }
        if offset > 0 {
            file.seek(SeekFrom::Start(offset)).map_err(io)?;
        }
        let (head, tail) = bytes.split_at(bytes.len() / 2);
        file.write_all(head).map_err(io)?;
        self.faults.point()?;
        file.write_all(tail).map_err(io)?;
        self.faults.point()?;
        file.sync_data().map_err(io)?;
        self.faults.point()
    }

    /// Bytes from an offset on; none at the end.
    fn part(&self, key: UploadKey, at: u64) -> Result<Vec<u8>> {
        let length = self.index().uploads.get(&key).copied().unwrap_or(0);
        if at >= length {
            return Ok(Vec::new());
        }
        let path = self.folder.join(key.file());
        let io = |error| StoreError::io(&path, error);
        let mut file = File::open(&path).map_err(io)?;
        file.seek(SeekFrom::Start(at)).map_err(io)?;
        let mut part = Vec::new();
        file.take((length - at).min(COPIED as u64)).read_to_end(&mut part).map_err(io)?;
        Ok(part)
    }

    fn forget(&self, key: UploadKey) -> Result<()> {
        self.faults.point()?;
        let path = self.folder.join(key.file());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(StoreError::io(&path, error)),
            _ => self.index().set(key, None),
        }
        self.faults.point()
    }
}
