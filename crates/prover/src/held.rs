//! Finished proofs that have no verdict yet.

use crate::status::ProofInfo;
use crowdfold_wire::UploadId;
use std::ops::Range;
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) upload: UploadId,
    pub(crate) info: ProofInfo,
    pub(crate) bytes: Arc<Vec<u8>>,
    /// On this connection.
    pub(crate) offered: bool,
    /// Whether the coordinator had all of it when the last connection ended on which it was offered.
    pub(crate) was_stored: bool,
}

/// The proofs, oldest first. There are few: [`MAX_HELD_PROOFS`](crate::limits::MAX_HELD_PROOFS).
#[derive(Debug, Default)]
pub(crate) struct Held {
    proofs: Vec<Kept>,
    bytes: u64,
}

impl Held {
    pub(crate) fn len(&self) -> usize {
        self.proofs.len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// False if it is held already.
    pub(crate) fn insert(&mut self, upload: UploadId, info: ProofInfo, bytes: Arc<Vec<u8>>) -> bool {
        if self.proofs.iter().any(|kept| kept.upload == upload) {
            return false;
        }
        self.bytes += bytes.len() as u64;
        self.proofs.push(Kept { upload, info, bytes, offered: false, was_stored: false });
        true
    }

    /// Those that are offered on this connection.
    pub(crate) fn offered(&self) -> impl Iterator<Item = &Kept> {
        self.proofs.iter().filter(|kept| kept.offered)
    }

    pub(crate) fn find(&self, upload: UploadId) -> Option<&Kept> {
        self.proofs.iter().find(|kept| kept.upload == upload)
    }

    pub(crate) fn remove(&mut self, upload: UploadId) -> Option<Kept> {
        let i = self.proofs.iter().position(|kept| kept.upload == upload)?;
        let kept = self.proofs.remove(i);
        self.bytes -= kept.bytes.len() as u64;
        Some(kept)
    }

    /// The proofs that are not offered, at most so many, which they are from now on.
    pub(crate) fn take_unoffered(&mut self, most: usize) -> Vec<(UploadId, ProofInfo, u64)> {
        let unoffered = self.proofs.iter_mut().filter(|kept| !kept.offered).take(most);
        let take = |kept: &mut Kept| {
            kept.offered = true;
            (kept.upload, kept.info, kept.bytes.len() as u64)
        };
        unoffered.map(take).collect()
    }

    /// The connection is gone, and with it all offers. `is_stored` says what it had brought over in full.
    pub(crate) fn withdraw(&mut self, is_stored: impl Fn(UploadId) -> bool) {
        for kept in self.proofs.iter_mut().filter(|kept| kept.offered) {
            (kept.offered, kept.was_stored) = (false, is_stored(kept.upload));
        }
    }

    /// A part of a proof.
    pub(crate) fn part(&self, upload: UploadId, range: Range<u64>) -> Option<&[u8]> {
        let kept = self.find(upload)?;
        kept.bytes.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
    }
}
