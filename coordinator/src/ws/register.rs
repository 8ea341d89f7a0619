//! Who connects gets a number. A fleet that comes back at once after a restart gets its numbers in few writes: one for
//! each prover would take longer than all else.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use crate::store::{Prover, Seen, Storage, Store as _, StoreError};

/// Provers that wait for their numbers. At it further ones wait with their connections.
const WAITING: usize = 1_024;
/// Provers of one write.
const GROUP: usize = 256;
/// Time before a write is tried again that found no room. A prover that waits for longer than its handshake may take
/// goes and tries again.
const RETRY: Duration = Duration::from_secs(2);

/// A prover, and where its number goes.
type Entry = (Seen, oneshot::Sender<Prover>);

/// The way to the task that writes provers down.
#[derive(Clone, Debug)]
pub struct Register(mpsc::Sender<Entry>);

impl Register {
    /// Starts the task. It ends with the last register.
    pub fn start(storage: Arc<Storage>) -> Self {
        let (entries, inbox) = mpsc::channel(WAITING);
        tokio::spawn(write_down(storage, inbox));
        Self(entries)
    }

    /// What is known of a prover that connects; `None` if it can't be written down, which was logged.
    pub(crate) async fn prover(&self, seen: Seen) -> Option<Prover> {
        let (answer, answered) = oneshot::channel();
        self.0.send((seen, answer)).await.ok()?;
        answered.await.ok()
    }
}

async fn write_down(storage: Arc<Storage>, mut inbox: mpsc::Receiver<Entry>) {
    let mut entries = Vec::with_capacity(GROUP);
    while inbox.recv_many(&mut entries, GROUP).await > 0 {
        let seen: Vec<Seen> = entries.iter().map(|(seen, _)| *seen).collect();
        let known = loop {
            match storage.store.seen(&seen).await {
                Err(StoreError::Full { what }) => {
                    tracing::warn!(what, "provers wait for room on the disk");
                    sleep(RETRY).await;
                }
                written => break written,
            }
        };
        match known {
            Ok(known) => entries.drain(..).zip(known).for_each(|((_, answer), prover)| {
                // Who asked may be gone.
                _ = answer.send(prover);
            }),
            Err(error) => {
                tracing::error!(%error, "provers can't be written down");
                entries.clear();
            }
        }
    }
}
