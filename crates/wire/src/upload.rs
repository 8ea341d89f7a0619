//! Both ends of one upload. They keep numbers and a hash, not bytes: the bytes lie in the caller's storage.

use crate::goodbye::{GoodbyeCode, Violation, ensure};
use crate::limits::{MAX_CHUNK_BYTES, MAX_RESTARTS, MAX_UPLOAD_BYTES, UPLOAD_WINDOW_BYTES};
use crate::message::{Chunk, Stored, UploadOffset, Want};
use crate::names::UploadId;
use sha2::{Digest, Sha256};
use std::ops::Range;

/// An offset that is within an upload's bytes.
fn offset(bytes: u64) -> UploadOffset {
    UploadOffset::new(bytes).expect("offsets stay within the upload, which is within its limit")
}

/// The next chunk: full ones only, but for the last. So an acknowledgement of a few bytes does not make tiny chunks;
/// the window is a few chunks wide, so full ones fit as soon as what is under way has been acknowledged.
fn next(at: u64, stored: u64, total: u64) -> Option<Range<u64>> {
    let window = stored.saturating_add(UPLOAD_WINDOW_BYTES).min(total);
    let end = total.min(at + MAX_CHUNK_BYTES as u64);
    (at < end && end <= window).then_some(at..end)
}

/// A chunk must be the next bytes, within the window and the upload.
fn check_chunk(chunk: &Chunk, at: u64, stored: u64, total: u64) -> Result<(), Violation> {
    let (found, end) = (chunk.offset.get(), chunk.offset.get() + chunk.bytes.len() as u64);
    ensure(found == at && end <= total, GoodbyeCode::BadOffset, || {
        format!("expected bytes from {at} on of {total}, got {found} to {end} of upload {}", chunk.upload)
    })?;
    let window = stored.saturating_add(UPLOAD_WINDOW_BYTES);
    ensure(end <= window, GoodbyeCode::BeyondWindow, || {
        format!("bytes up to {window} may be sent, got some up to {end} of upload {}", chunk.upload)
    })
}

/// An acknowledgement must go up, and not beyond what was sent.
fn check_stored(message: &Stored, stored: u64, at: u64) -> Result<(), Violation> {
    let found = message.bytes.get();
    ensure(stored < found && found <= at, GoodbyeCode::BadAcknowledgement, || {
        format!(
            "more than {stored} and at most {at} bytes can be acknowledged, got {found} of upload {}",
            message.upload
        )
    })
}

/// The sender's end: what was sent, and what is safe at the other end.
#[derive(Clone, Debug)]
pub struct UploadSender {
    total: u64,
    sent: u64,
    stored: u64,
    wanted: bool,
    restarts: u8,
}

impl UploadSender {
    /// An upload of so many bytes, of which nothing may be sent yet.
    ///
    /// # Panics
    /// If they are more than [`MAX_UPLOAD_BYTES`], which no message can announce.
    pub fn new(total: u64) -> Self {
        assert!(total <= MAX_UPLOAD_BYTES, "an upload of {total} bytes can't be announced");
        Self { total, sent: 0, stored: 0, wanted: false, restarts: 0 }
    }

    /// Bytes that are safe at the other end.
    pub fn stored(&self) -> u64 {
        self.stored
    }

    /// Whether all bytes are.
    pub fn is_stored(&self) -> bool {
        self.stored == self.total
    }

    /// The bytes that may be sent next.
    pub fn next_chunk(&self) -> Option<Range<u64>> {
        next(self.sent, self.stored, self.total).filter(|_| self.wanted)
    }

    /// The other end asks for bytes.
    ///
    /// # Errors
    /// [`BadOffset`](GoodbyeCode::BadOffset) beyond the end, or for any but the first time, when only starting over is
    /// allowed, only [`MAX_RESTARTS`] times, and not once all bytes are safe: the sender may have forgotten them.
    pub fn want(&mut self, want: &Want) -> Result<(), Violation> {
        let found = want.offset.get();
        let may_restart = found == 0 && self.restarts < MAX_RESTARTS && !self.is_stored();
        let allowed = if self.wanted { may_restart } else { found <= self.total };
        ensure(allowed, GoodbyeCode::BadOffset, || {
            let again = format!(", of which {} are stored, and {} restarts", self.stored, self.restarts);
            let again = if self.wanted { &again } else { "" };
            format!("upload {} has {} bytes{again}, it was wanted from {found}", want.upload, self.total)
        })?;
        self.restarts += u8::from(self.wanted);
        (self.wanted, self.sent, self.stored) = (true, found, found);
        Ok(())
    }

    /// A chunk is about to be sent.
    ///
    /// # Errors
    /// [`BeyondWindow`](GoodbyeCode::BeyondWindow) or [`BadOffset`](GoodbyeCode::BadOffset): the other end would close
    /// the connection.
    pub fn send(&mut self, chunk: &Chunk) -> Result<(), Violation> {
        ensure(self.wanted, GoodbyeCode::BeyondWindow, || format!("upload {} is not wanted yet", chunk.upload))?;
        check_chunk(chunk, self.sent, self.stored, self.total)?;
        self.sent += chunk.bytes.len() as u64;
        Ok(())
    }

    /// The other end acknowledges.
    ///
    /// # Errors
    /// [`BadAcknowledgement`](GoodbyeCode::BadAcknowledgement) for one that does not go up or is beyond what was sent.
    pub fn acknowledge(&mut self, stored: &Stored) -> Result<(), Violation> {
        check_stored(stored, self.stored, self.sent)?;
        self.stored = stored.bytes.get();
        Ok(())
    }
}

/// What a chunk made of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkState {
    /// More is to come.
    More,
    /// It was the last, and all bytes have the upload's SHA-256.
    Complete,
    /// It was the last, and they do not: forget what is stored, and want it again or refuse it.
    Corrupt,
}

/// The receiver's end: what has come, and what was acknowledged. It is built anew from what is stored.
#[derive(Clone, Debug)]
pub struct UploadReceiver {
    upload: UploadId,
    total: u64,
    received: u64,
    stored: u64,
    hasher: Sha256,
}

impl UploadReceiver {
    /// An upload of which nothing is stored.
    ///
    /// # Panics
    /// If it has more than [`MAX_UPLOAD_BYTES`], which no message can announce.
    pub fn new(upload: UploadId, total: u64) -> Self {
        assert!(total <= MAX_UPLOAD_BYTES, "an upload of {total} bytes can't be announced");
        Self { upload, total, received: 0, stored: 0, hasher: Sha256::new() }
    }

    /// Takes bytes that are stored from an earlier connection, in order, in pieces of any size.
    ///
    /// # Panics
    /// If there are more than the upload has: then the storage belongs to another one.
    pub fn resume(&mut self, bytes: &[u8]) {
        assert!(bytes.len() as u64 <= self.total - self.received, "more is stored of {} than it has", self.upload);
        self.hasher.update(bytes);
        self.received += bytes.len() as u64;
        self.stored = self.received;
    }

    /// The upload.
    pub fn upload(&self) -> UploadId {
        self.upload
    }

    /// Bytes in all.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Bytes that have come.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Whether all bytes have come, and whether they are the right ones.
    pub fn state(&self) -> ChunkState {
        if self.received < self.total {
            ChunkState::More
        } else if self.hasher.clone().finalize()[..] == self.upload.0 {
            ChunkState::Complete
        } else {
            ChunkState::Corrupt
        }
    }

    /// The message that asks for what is missing.
    pub fn want(&self) -> Want {
        Want { upload: self.upload, offset: offset(self.received) }
    }

    /// Whether the sender could send something now.
    pub fn is_open(&self) -> bool {
        next(self.received, self.stored, self.total).is_some()
    }

    /// A chunk has come; the caller stores its bytes.
    ///
    /// # Errors
    /// [`BadOffset`](GoodbyeCode::BadOffset) if it is not the next one, [`BeyondWindow`](GoodbyeCode::BeyondWindow).
    pub fn accept(&mut self, chunk: &Chunk) -> Result<ChunkState, Violation> {
        check_chunk(chunk, self.received, self.stored, self.total)?;
        self.hasher.update(&chunk.bytes[..]);
        self.received += chunk.bytes.len() as u64;
        Ok(self.state())
    }

    /// An acknowledgement is about to be sent.
    ///
    /// # Errors
    /// [`BadAcknowledgement`](GoodbyeCode::BadAcknowledgement): the other end would close the connection.
    pub fn acknowledge(&mut self, stored: &Stored) -> Result<(), Violation> {
        check_stored(stored, self.stored, self.received)?;
        self.stored = stored.bytes.get();
        Ok(())
    }
}
