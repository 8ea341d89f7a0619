//! Uploads and merge inputs of a connection, both ways, by the same rules at both ends.

use crate::goodbye::{GoodbyeCode, Violation, ensure};
use crate::limits::{MAX_UPLOADS, REMEMBERED_UPLOADS, STALL_LIMIT_MS};
use crate::message::{Chunk, Stored, Want};
use crate::names::{Millis, UploadId};
use crate::upload::{ChunkState, UploadReceiver, UploadSender};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

/// Something that the peer has announced.
#[derive(Debug)]
struct Incoming {
    bytes: u64,
    receiver: Option<UploadReceiver>,
    /// Since when the peer could send something, if it can.
    open_since: Option<Millis>,
}

/// The last transfers that ended, of which messages may be under way. One proof can go both ways on a connection, one
/// after the other or at once: as an upload, and as a merge input.
#[derive(Debug, Default)]
struct Remembered(VecDeque<UploadId>);

impl Remembered {
    fn contains(&self, upload: &UploadId) -> bool {
        self.0.contains(upload)
    }

    fn insert(&mut self, upload: UploadId) {
        self.0.retain(|other| *other != upload);
        if self.0.len() == REMEMBERED_UPLOADS {
            self.0.pop_front();
        }
        self.0.push_back(upload);
    }
}

#[derive(Debug)]
pub(super) struct Transfers {
    /// In the order in which they were announced. There are few: [`MAX_UPLOADS`].
    outgoing: Vec<(UploadId, UploadSender)>,
    incoming: BTreeMap<UploadId, Incoming>,
    ended_outgoing: Remembered,
    ended_incoming: Remembered,
    last_chunk: Millis,
}

fn unknown(upload: UploadId) -> Violation {
    Violation::new(GoodbyeCode::UnknownUpload, format!("upload {upload} was not announced on this connection"))
}

fn check_room(open: usize, is_known: bool, upload: UploadId) -> Result<(), Violation> {
    ensure(!is_known, GoodbyeCode::DuplicateUpload, || format!("upload {upload} is open already"))?;
    ensure(open < MAX_UPLOADS, GoodbyeCode::TooManyUploads, || {
        format!("{open} uploads are open, the limit is {MAX_UPLOADS}")
    })
}

impl Transfers {
    pub(super) fn new(now: Millis) -> Self {
        Self {
            outgoing: Vec::new(),
            incoming: BTreeMap::new(),
            ended_outgoing: Remembered::default(),
            ended_incoming: Remembered::default(),
            last_chunk: now,
        }
    }

    fn sender(&self, upload: UploadId) -> Option<&UploadSender> {
        self.outgoing.iter().find(|(other, _)| *other == upload).map(|(_, sender)| sender)
    }

    fn sender_mut(&mut self, upload: UploadId) -> Option<&mut UploadSender> {
        self.outgoing.iter_mut().find(|(other, _)| *other == upload).map(|(_, sender)| sender)
    }

    pub(super) fn check_outgoing(&self, uploads: &[UploadId]) -> Result<(), Violation> {
        uploads.iter().enumerate().try_for_each(|(i, upload)| {
            let is_known = self.sender(*upload).is_some();
            check_room(self.outgoing.len() + i, is_known, *upload)
        })
    }

    pub(super) fn check_incoming(&self, uploads: &[UploadId]) -> Result<(), Violation> {
        uploads.iter().enumerate().try_for_each(|(i, upload)| {
            check_room(self.incoming.len() + i, self.incoming.contains_key(upload), *upload)
        })
    }

    pub(super) fn add_outgoing(&mut self, upload: UploadId, bytes: u64) {
        self.outgoing.push((upload, UploadSender::new(bytes)));
    }

    /// How many more may be announced.
    pub(super) fn outgoing_left(&self) -> usize {
        MAX_UPLOADS.saturating_sub(self.outgoing.len())
    }

    /// Whether all bytes of something that we send are safe at the other end.
    pub(super) fn is_stored(&self, upload: UploadId) -> bool {
        self.sender(upload).is_some_and(UploadSender::is_stored)
    }

    pub(super) fn add_incoming(&mut self, upload: UploadId, bytes: u64) {
        self.incoming.insert(upload, Incoming { bytes, receiver: None, open_since: None });
    }

    /// Whether messages of the peer about something that we sent may be under way although it has ended.
    pub(super) fn was_outgoing(&self, upload: UploadId) -> bool {
        self.ended_outgoing.contains(&upload)
    }

    /// Ends what we send. False if there was none.
    pub(super) fn end_outgoing(&mut self, upload: UploadId) -> bool {
        let place = self.outgoing.iter().position(|(other, _)| *other == upload);
        if let Some(place) = place {
            self.outgoing.remove(place);
            self.ended_outgoing.insert(upload);
        }
        place.is_some()
    }

    /// Ends what the peer sends. False if there was none.
    pub(super) fn end_incoming(&mut self, upload: UploadId) -> bool {
        let known = self.incoming.remove(&upload).is_some();
        if known {
            self.ended_incoming.insert(upload);
        }
        known
    }

    /// What to send next: the upload and the range of its bytes. What was announced first goes first, so that a proof
    /// is not overtaken by those that came after it.
    pub(super) fn next_chunk(&self) -> Option<(UploadId, Range<u64>)> {
        self.outgoing.iter().find_map(|(upload, sender)| Some((*upload, sender.next_chunk()?)))
    }

    pub(super) fn send_chunk(&mut self, chunk: &Chunk) -> Result<(), Violation> {
        self.sender_mut(chunk.upload).ok_or_else(|| unknown(chunk.upload))?.send(chunk)
    }

    /// Takes the receiver of something announced and not asked for.
    pub(super) fn check_want(&self, receiver: &UploadReceiver) -> Result<(), Violation> {
        let incoming = self.incoming.get(&receiver.upload()).ok_or_else(|| unknown(receiver.upload()))?;
        ensure(incoming.bytes == receiver.total(), GoodbyeCode::BadOffset, || {
            format!("{} bytes are announced, the receiver expects {}", incoming.bytes, receiver.total())
        })?;
        ensure(incoming.receiver.is_none(), GoodbyeCode::DuplicateUpload, || {
            format!("upload {} is under way", receiver.upload())
        })?;
        // It would say that all bytes are safe.
        ensure(receiver.state() != ChunkState::Corrupt, GoodbyeCode::BadOffset, || {
            format!("the stored bytes of upload {} are damaged, it has to be wanted from 0", receiver.upload())
        })
    }

    pub(super) fn add_receiver(&mut self, now: Millis, receiver: UploadReceiver) {
        if let Some(incoming) = self.incoming.get_mut(&receiver.upload()) {
            incoming.open_since = receiver.is_open().then_some(now);
            incoming.receiver = Some(receiver);
        }
    }

    /// Acknowledges; true if all bytes are.
    pub(super) fn send_stored(&mut self, now: Millis, stored: &Stored) -> Result<bool, Violation> {
        let incoming = self.incoming.get_mut(&stored.upload).ok_or_else(|| unknown(stored.upload))?;
        let receiver = incoming.receiver.as_mut().ok_or_else(|| unknown(stored.upload))?;
        receiver.acknowledge(stored)?;
        incoming.open_since = receiver.is_open().then_some(incoming.open_since.unwrap_or(now));
        Ok(stored.bytes.get() == incoming.bytes)
    }

    /// `None` if the upload has ended.
    pub(super) fn chunk(&mut self, now: Millis, chunk: &Chunk) -> Result<Option<ChunkState>, Violation> {
        self.last_chunk = now;
        let Some(incoming) = self.incoming.get_mut(&chunk.upload) else {
            return if self.ended_incoming.contains(&chunk.upload) { Ok(None) } else { Err(unknown(chunk.upload)) };
        };
        let Some(receiver) = &mut incoming.receiver else {
            let text = format!("upload {} was not asked for", chunk.upload);
            return Err(Violation::new(GoodbyeCode::BeyondWindow, text));
        };
        let state = receiver.accept(chunk)?;
        incoming.open_since = receiver.is_open().then_some(now);
        if state == ChunkState::Corrupt {
            incoming.receiver = None;
        }
        Ok(Some(state))
    }

    /// False if the upload has ended.
    pub(super) fn want(&mut self, want: &Want) -> Result<bool, Violation> {
        if let Some(sender) = self.sender_mut(want.upload) {
            return sender.want(want).map(|()| true);
        }
        if self.was_outgoing(want.upload) { Ok(false) } else { Err(unknown(want.upload)) }
    }

    /// `None` if the upload has ended, else whether all bytes are safe.
    pub(super) fn stored(&mut self, stored: &Stored) -> Result<Option<bool>, Violation> {
        if let Some(sender) = self.sender_mut(stored.upload) {
            return sender.acknowledge(stored).map(|()| Some(sender.is_stored()));
        }
        if self.was_outgoing(stored.upload) { Ok(None) } else { Err(unknown(stored.upload)) }
    }

    /// The moment from which on the peer could have sent something. It sends one upload after another, so a chunk of
    /// any counts for all.
    fn open_since(&self) -> Option<Millis> {
        let since = self.incoming.values().filter_map(|incoming| incoming.open_since).min()?;
        Some(since.max(self.last_chunk))
    }

    pub(super) fn tick(&self, now: Millis) -> Result<(), Violation> {
        let Some(since) = self.open_since() else { return Ok(()) };
        ensure(now.since(since) <= STALL_LIMIT_MS, GoodbyeCode::Stalled, || {
            format!("no chunk came for {} ms although some were asked for", now.since(since))
        })
    }

    pub(super) fn wake_at(&self) -> Option<Millis> {
        self.open_since().map(|since| since.after(STALL_LIMIT_MS + 1))
    }
}
