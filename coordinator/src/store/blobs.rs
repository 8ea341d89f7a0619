//! Bytes that are too many for a database: a folder, or a bucket of an S3-compatible store.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use crowdfold_sched::{JobId, ProofId};
use futures_util::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
use sha2::{Digest, Sha256};
use tokio::sync::RwLock;

use super::limits::{PART_BYTES, PARTS, PROOF_BYTES};
use super::{At, Faults, Result, StoreError};

/// What a blob is called.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum BlobName {
    /// `proofs/<SHA-256>`: a range proof.
    Proof(ProofId),
    /// `jobs/<number>/inputs`: encoded inputs of a job, one after the other.
    Inputs(JobId),
    /// `jobs/<number>/index`: where each input begins, and where the last one ends, as u64, little-endian.
    Index(JobId),
    /// `jobs/<number>/states`: encoded states of one length, before the first step and after each.
    States(JobId),
    /// `batches/<number>/job`: a sealed batch, as its job is handed over.
    BatchJob(u64),
    /// `batches/<number>/data`: its data for the chain.
    BatchData(u64),
}

impl fmt::Display for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proof(proof) => write!(f, "proofs/{}", hex::encode(proof.0)),
            Self::Inputs(job) => write!(f, "jobs/{job}/inputs"),
            Self::Index(job) => write!(f, "jobs/{job}/index"),
            Self::States(job) => write!(f, "jobs/{job}/states"),
            Self::BatchJob(batch) => write!(f, "batches/{batch}/job"),
            Self::BatchData(batch) => write!(f, "batches/{batch}/data"),
        }
    }
}

impl BlobName {
    /// The name that is written so; `None` if there is none, or it would be written otherwise.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let name = match parts[..] {
            ["proofs", hash] => Self::Proof(ProofId(hex::decode(hash).ok()?.try_into().ok()?)),
            ["jobs", job, kind] => {
                let job = JobId(job.parse().ok()?);
                match kind {
                    "inputs" => Self::Inputs(job),
                    "index" => Self::Index(job),
                    "states" => Self::States(job),
                    _ => return None,
                }
            }
            ["batches", batch, "job"] => Self::BatchJob(batch.parse().ok()?),
            ["batches", batch, "data"] => Self::BatchData(batch.parse().ok()?),
            _ => return None,
        };
        (name.to_string() == text).then_some(name)
    }

    fn path(self) -> object_store::path::Path {
        self.to_string().into()
    }
}

/// A range proof whose bytes are durable. Only what writes them makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredProof {
    proof: ProofId,
    bytes: u64,
}

impl StoredProof {
    /// Its hash.
    pub fn proof(self) -> ProofId {
        self.proof
    }

    /// Its bytes.
    pub fn bytes(self) -> u64 {
        self.bytes
    }
}

/// The blobs, over any object store. Clones share it.
#[derive(Clone, Debug)]
pub struct Blobs {
    objects: Arc<dyn ObjectStore>,
    faults: Faults,
    /// Held by each write, and alone by what removes old blobs: so that one which is being written again, and will be
    /// referred to, is not taken for the old one.
    gate: Arc<RwLock<()>>,
}

impl Blobs {
    /// Blobs in a folder, which exists. The caller has it to itself.
    ///
    /// # Errors
    /// [`StoreError::Objects`] if it can't be used, [`StoreError::Io`] if what a crash left can't be removed.
    pub fn in_folder(folder: &Path, faults: Faults) -> Result<Self> {
        remove_staged(folder)?;
        let objects = LocalFileSystem::new_with_prefix(folder).map_err(|e| StoreError::objects(folder.display(), e))?;
        // Without it a write is only in the page cache when it returns; with it file and folders are synced.
        Ok(Self::over(Arc::new(objects.with_fsync(true)), faults))
    }

    /// Blobs in any object store that keeps what it has acknowledged.
    pub fn over(objects: Arc<dyn ObjectStore>, faults: Faults) -> Self {
        Self { objects, faults, gate: Arc::default() }
    }

    /// Stores a proof.
    ///
    /// # Errors
    /// [`StoreError::Limit`] if it is too long, [`StoreError::Full`], [`StoreError::Objects`].
    pub async fn put_proof(&self, bytes: Bytes) -> Result<StoredProof> {
        let length = bytes.len() as u64;
        if length > PROOF_BYTES {
            return Err(StoreError::Limit { what: "bytes of a proof", limit: PROOF_BYTES, found: length });
        }
        let proof = ProofId(Sha256::digest(&bytes).into());
        self.put(BlobName::Proof(proof), bytes).await?;
        Ok(StoredProof { proof, bytes: length })
    }

    pub(crate) async fn put(&self, name: BlobName, bytes: Bytes) -> Result<()> {
        let _open = self.gate.read().await;
        self.faults.point()?;
        let put = self.objects.put(&name.path(), PutPayload::from_bytes(bytes)).await;
        put.map_err(|e| StoreError::objects(name, e))?;
        self.faults.point()
    }

    /// Begins to write a blob bit by bit. It is there, whole, when it is finished.
    pub(crate) async fn writer(&self, name: BlobName) -> Result<BlobWriter> {
        self.faults.point()?;
        let upload = self.objects.put_multipart(&name.path()).await.map_err(|e| StoreError::objects(name, e))?;
        let upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        Ok(BlobWriter { name, upload, blobs: self.clone(), hasher: Sha256::new(), bytes: 0 })
    }

    /// A proof's bytes.
    ///
    /// # Errors
    /// [`StoreError::Missing`]; [`StoreError::Corrupt`] if they don't have its hash.
    pub async fn proof(&self, proof: ProofId) -> Result<Bytes> {
        let name = BlobName::Proof(proof);
        let bytes = self.size(name).await?.ok_or_else(|| StoreError::Missing { blob: name.to_string() })?;
        if bytes > PROOF_BYTES {
            return Err(StoreError::corrupt(name, format!("it has {bytes} bytes, proofs have at most {PROOF_BYTES}")));
        }
        let found = self.objects.get(&name.path()).await.map_err(|e| StoreError::objects(name, e))?;
        let bytes = found.bytes().await.map_err(|e| StoreError::objects(name, e))?;
        if <[u8; 32]>::from(Sha256::digest(&bytes)) != proof.0 {
            return Err(StoreError::corrupt(name, "its bytes have another SHA-256"));
        }
        Ok(bytes)
    }

    /// All bytes of a blob of that length and SHA-256.
    ///
    /// # Errors
    /// [`StoreError::Missing`]; [`StoreError::Corrupt`] if they are others.
    pub(crate) async fn whole(&self, name: BlobName, bytes: u64, hash: [u8; 32]) -> Result<Bytes> {
        let found = self.range(name, 0..bytes).await?;
        if <[u8; 32]>::from(Sha256::digest(&found)) != hash {
            return Err(StoreError::corrupt(name, "its bytes have another SHA-256"));
        }
        Ok(found)
    }

    /// A part of a proof, whose hash is not checked: whoever gets all parts does that.
    ///
    /// # Errors
    /// [`StoreError::Missing`]; [`StoreError::Corrupt`] if it is too short.
    pub async fn proof_part(&self, proof: ProofId, part: Range<u64>) -> Result<Bytes> {
        self.range(BlobName::Proof(proof), part).await
    }

    /// A part of a blob of the given length.
    ///
    /// # Errors
    /// [`StoreError::Missing`]; [`StoreError::Corrupt`] if it is too short.
    pub(crate) async fn range(&self, name: BlobName, range: Range<u64>) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let wanted = range.end - range.start;
        let short = || StoreError::corrupt(name, format!("it has less than {} bytes", range.end));
        let found = match self.objects.get_range(&name.path(), range.clone()).await {
            Ok(found) => found,
            Err(error) => {
                // A range behind the end is an error of its own in each kind of store.
                return Err(match self.size(name).await? {
                    Some(size) if size < range.end => short(),
                    _ => StoreError::objects(name, error),
                });
            }
        };
        if found.len() as u64 == wanted { Ok(found) } else { Err(short()) }
    }

    /// Length and SHA-256 of a blob, read bit by bit.
    pub(crate) async fn digest(&self, name: BlobName) -> Result<(u64, [u8; 32])> {
        let found = self.objects.get(&name.path()).await.map_err(|e| StoreError::objects(name, e))?;
        let mut stream = found.into_stream();
        let (mut bytes, mut hasher) = (0, Sha256::new());
        while let Some(part) = stream.try_next().await.map_err(|e| StoreError::objects(name, e))? {
            bytes += part.len() as u64;
            hasher.update(&part);
        }
        Ok((bytes, hasher.finalize().into()))
    }

    /// Bytes of a blob; `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError::Objects`].
    pub async fn size(&self, name: BlobName) -> Result<Option<u64>> {
        Ok(self.meta(name).await?.map(|(bytes, _)| bytes))
    }

    async fn meta(&self, name: BlobName) -> Result<Option<(u64, At)>> {
        match self.objects.head(&name.path()).await {
            Ok(meta) => Ok(Some((meta.size, written(&meta)))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(StoreError::objects(name, error)),
        }
    }

    /// Names of the blobs that were written before, as many as there are, and how many things have no such name.
    pub(crate) async fn older_than(&self, before: At) -> Result<(Vec<BlobName>, u64)> {
        let mut list = self.objects.list(None);
        let (mut names, mut strange) = (Vec::new(), 0);
        while let Some(meta) = list.try_next().await.map_err(|e| StoreError::objects("the list of blobs", e))? {
            match BlobName::parse(meta.location.as_ref()) {
                None => strange += 1,
                Some(name) if written(&meta) < before => names.push(name),
                Some(_) => {}
            }
        }
        Ok((names, strange))
    }

    /// Removes a blob that was written before, unless it is wanted after all. Says how many bytes that frees.
    pub(crate) async fn remove_older<F>(&self, name: BlobName, before: At, wanted: F) -> Result<Option<u64>>
    where
        F: Future<Output = Result<bool>>,
    {
        let _alone = self.gate.write().await;
        let Some((bytes, _)) = self.meta(name).await?.filter(|(_, written)| *written < before) else { return Ok(None) };
        if wanted.await? {
            return Ok(None);
        }
        self.faults.point()?;
        match self.objects.delete(&name.path()).await {
            Ok(()) => self.faults.point().map(|()| Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(StoreError::objects(name, error)),
        }
    }

    /// Copies a blob to where `to` keeps it, and says its length and SHA-256.
    pub(crate) async fn copy_to(&self, name: BlobName, to: &Self) -> Result<(u64, [u8; 32])> {
        let found = self.objects.get(&name.path()).await.map_err(|e| StoreError::objects(name, e))?;
        let mut stream = found.into_stream();
        let mut writer = to.writer(name).await?;
        while let Some(part) = stream.try_next().await.map_err(|e| StoreError::objects(name, e))? {
            writer.write(&part).await?;
        }
        writer.finish().await
    }
}

/// When it was last written.
fn written(meta: &object_store::ObjectMeta) -> At {
    crowdfold_sched::Millis(u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or(0))
}

/// The local store writes beside the blob, with a `#` and a number behind its name, and renames; it does not list such
/// files, so nobody else would remove what a crash left of them.
fn remove_staged(folder: &Path) -> Result<()> {
    let entries = std::fs::read_dir(folder).map_err(|e| StoreError::io(folder, e))?;
    for entry in entries {
        let entry = entry.map_err(|e| StoreError::io(folder, e))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(|e| StoreError::io(&path, e))?;
        if kind.is_dir() {
            remove_staged(&path)?;
        } else if entry.file_name().to_string_lossy().contains('#') {
            std::fs::remove_file(&path).map_err(|e| StoreError::io(&path, e))?;
        }
    }
    Ok(())
}

/// A blob that is being written.
pub(crate) struct BlobWriter {
    name: BlobName,
    upload: WriteMultipart,
    blobs: Blobs,
    hasher: Sha256,
    bytes: u64,
}

impl fmt::Debug for BlobWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobWriter({}, {} bytes)", self.name, self.bytes)
    }
}

impl BlobWriter {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.upload.wait_for_capacity(PARTS).await.map_err(|e| StoreError::objects(self.name, e))?;
        self.upload.write(bytes);
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Makes it durable, and says its length and SHA-256.
    pub(crate) async fn finish(self) -> Result<(u64, [u8; 32])> {
        let _open = self.blobs.gate.read().await;
        self.blobs.faults.point()?;
        self.upload.finish().await.map_err(|e| StoreError::objects(self.name, e))?;
        self.blobs.faults.point()?;
        Ok((self.bytes, self.hasher.finalize().into()))
    }

    /// The same for a proof, which is not published if its hash is another.
    pub(crate) async fn finish_proof(self, proof: ProofId) -> Result<StoredProof> {
        if <[u8; 32]>::from(self.hasher.clone().finalize()) != proof.0 {
            // Failing that it is a leftover, which the store removes by its own means.
            _ = self.upload.abort().await;
            return Err(StoreError::WrongHash { proof: hex::encode(proof.0) });
        }
        let (bytes, _) = self.finish().await?;
        Ok(StoredProof { proof, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::{BlobName, Blobs, Faults, JobId, ProofId};
    use crowdfold_sched::Millis;
    use object_store::memory::InMemory;
    use std::sync::Arc;

    #[test]
    fn what_is_new_or_wanted_is_not_removed() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let blobs = Blobs::over(Arc::new(InMemory::new()), Faults::none());
            let proof = blobs.put_proof("a proof".into()).await.expect("there is room");
            let name = BlobName::Proof(proof.proof());
            for (before, wanted) in [(Millis(0), false), (Millis(u64::MAX), true)] {
                // Not even if it was old, or not wanted, when somebody looked.
                let removed = blobs.remove_older(name, before, async { Ok(wanted) }).await;
                assert_eq!(removed.expect("it can be written"), None);
                assert_eq!(blobs.proof(proof.proof()).await.expect("it is there"), "a proof");
            }
            let removed = blobs.remove_older(name, Millis(u64::MAX), async { Ok(false) }).await;
            assert_eq!(removed.expect("it can be written"), Some(7));
            assert_eq!(blobs.size(name).await.expect("readable"), None);
        });
    }

    #[test]
    fn a_name_is_written_in_one_way() {
        for name in [
            BlobName::Proof(ProofId([0xab; 32])),
            BlobName::Inputs(JobId(7)),
            BlobName::States(JobId(0)),
            BlobName::BatchJob(3),
        ] {
            assert_eq!(BlobName::parse(&name.to_string()), Some(name));
        }
        let upper = format!("proofs/{}", "AB".repeat(32));
        for text in [
            "",
            "proofs/00",
            &upper,
            "jobs/07/inputs",
            "jobs/7/inputs/x",
            "jobs/7/other",
            "jobs/-1/index",
            "batches/03/job",
            "batches/3/x",
        ] {
            assert_eq!(BlobName::parse(text), None, "{text}");
        }
    }
}
