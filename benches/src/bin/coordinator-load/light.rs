//! A prover that folds nothing: the protocol's session over a real WebSocket. What it uploads is made elsewhere.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use crowdfold_fold::Address;
use crowdfold_wire::limits::{MAX_FRAME_BYTES, SUBPROTOCOL, VERSION};
use crowdfold_wire::{
    Bytes, Capabilities, Chunk, Event, FromCoordinator, FromProver, Hello, HostKind, List, Millis, Offer,
    ProverSession, PublicKey, Ready, Segment, SendError, SigningKey, Text, UploadId, Within,
};
use futures_util::{SinkExt as _, StreamExt as _};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio::time::{sleep_until, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Who is paid for all proofs of these provers: a proof names its payee, and which prover gets the steps that it is of
/// is the scheduler's choice.
pub(crate) const PAYOUT: Address = Address([0x10; 20]);
/// Bytes that the socket's library reads at once: thousands of these provers are in one process.
const READ: usize = 4 << 10;
/// Time for a connection and its handshake.
const DIAL: Duration = Duration::from_secs(60);

/// A proof as provers hold it.
pub(crate) type Proof = std::sync::Arc<Vec<u8>>;

/// A connection.
pub(crate) struct Light {
    socket: WebSocketStream<TcpStream>,
    session: ProverSession,
    began: Instant,
    uploads: HashMap<UploadId, Proof>,
}

/// The key of the prover of that number.
fn key(number: usize) -> SigningKey {
    SigningKey::from_bytes(&Sha256::digest(format!("light prover {number}")).into())
}

impl Light {
    /// Connects as the prover of that number, which says that it folds so many rows a second.
    pub(crate) async fn connect(address: SocketAddr, number: usize, speed: u64) -> anyhow::Result<Self> {
        timeout(DIAL, Self::dial(address, number, speed)).await.context("a connection takes too long")?
    }

    async fn dial(address: SocketAddr, number: usize, speed: u64) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut request = format!("ws://{address}/v1/prove").into_client_request()?;
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_FRAME_BYTES))
            .max_frame_size(Some(MAX_FRAME_BYTES))
            .read_buffer_size(READ)
            .write_buffer_size(0);
        let (socket, _) = client_async_with_config(request, stream, Some(config)).await?;
        let mut light =
            Self { socket, session: ProverSession::new(Millis(0)), began: Instant::now(), uploads: HashMap::new() };
        let FromCoordinator::Challenge(challenge) = light.next().await? else { bail!("the challenge comes first") };
        light.send(hello(address, speed)?.sign(&challenge, &key(number)))?;
        let FromCoordinator::Welcome(_) = light.next().await? else { bail!("the prover is not welcome") };
        Ok(light)
    }

    fn now(&self) -> Millis {
        Millis(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Queues a message, which goes out when the next one is waited for.
    pub(crate) fn send(&mut self, message: impl Into<FromProver>) -> anyhow::Result<()> {
        Ok(self.session.send(self.now(), message)?)
    }

    /// Says how many segments it would hold.
    pub(crate) fn ready(&mut self, tasks: u64) -> anyhow::Result<()> {
        self.send(Ready { tasks: Within::new(tasks)?, merges: Within::new(0)? })
    }

    /// The segment that was asked for, when its first inputs have come.
    pub(crate) async fn segment(&mut self) -> anyhow::Result<Segment> {
        let FromCoordinator::Segment(segment) = self.next().await? else { bail!("expected a segment") };
        let FromCoordinator::Inputs(_) = self.next().await? else { bail!("expected its inputs") };
        Ok(segment)
    }

    /// Offers a proof, whose bytes go out as they are wanted.
    pub(crate) fn offer(&mut self, offer: Offer, proof: Proof) -> anyhow::Result<()> {
        self.uploads.insert(offer.upload, proof);
        self.send(offer)
    }

    /// Whether the coordinator has all bytes of an upload that has no verdict yet.
    pub(crate) fn is_stored(&self, upload: UploadId) -> bool {
        self.session.is_stored(upload)
    }

    /// Queues chunks of uploads as far as windows and the queue allow.
    fn pump(&mut self) -> anyhow::Result<()> {
        while let Some((upload, part)) = self.session.next_chunk() {
            let proof = self.uploads.get(&upload).context("a proof that was offered")?;
            let bytes = &proof[usize::try_from(part.start)?..usize::try_from(part.end)?];
            let (offset, bytes) = (Within::new(part.start)?, Bytes::new(bytes)?);
            match self.session.send(self.now(), Chunk { upload, offset, bytes }) {
                Ok(()) => {}
                Err(SendError::Wait { .. }) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Sends what waits.
    pub(crate) async fn flush(&mut self) -> anyhow::Result<()> {
        self.pump()?;
        while let Some(frame) = self.session.next_frame() {
            self.socket.send(Message::Binary(frame.into())).await?;
            self.pump()?;
        }
        match self.session.ended() {
            Some(ended) => Err(ended.clone().into()),
            None => Ok(()),
        }
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> anyhow::Result<FromCoordinator> {
        loop {
            if let Some(message) = self.next_before(Instant::now() + Duration::from_secs(3600)).await? {
                return Ok(message);
            }
        }
    }

    /// The next message, if one comes before then. Pings are answered, and what is wanted of uploads is sent.
    pub(crate) async fn next_before(&mut self, until: Instant) -> anyhow::Result<Option<FromCoordinator>> {
        loop {
            self.flush().await?;
            let wake = self.began + Duration::from_millis(self.session.wake_at().0);
            tokio::select! {
                message = self.socket.next() => {
                    if let Some(message) = self.take(message)? {
                        return Ok(Some(message));
                    }
                }
                () = sleep_until(wake.min(until).into()) => {
                    let now = self.now();
                    self.session.tick(now)?;
                    if Instant::now() >= until {
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn take(
        &mut self,
        message: Option<Result<Message, tungstenite::Error>>,
    ) -> anyhow::Result<Option<FromCoordinator>> {
        let frame = match message.context("the coordinator closed the connection")?? {
            Message::Binary(frame) => frame,
            other => bail!("expected frames of bytes, got {other:?}"),
        };
        let now = self.now();
        Ok(match self.session.receive(now, &frame)? {
            // The session has taken note.
            None | Some(Event::Chunk(..) | Event::Message(FromCoordinator::Want(_) | FromCoordinator::Stored(_))) => {
                None
            }
            Some(Event::Message(message)) => {
                if let FromCoordinator::Verdict(verdict) = &message {
                    self.uploads.remove(&verdict.upload);
                }
                Some(message)
            }
        })
    }
}

fn hello(address: SocketAddr, rows_per_second: u64) -> anyhow::Result<Hello> {
    let capabilities = Capabilities { memory_bytes: 4 << 30, threads: Within::new(1)?, rows_per_second, merges: false };
    Ok(Hello {
        version: VERSION,
        software: Text::new("light prover of the benchmark")?,
        origin: Text::new(format!("http://{address}"))?,
        key: PublicKey([0; 32]),
        payout: PAYOUT,
        host: HostKind::Server,
        capabilities,
        cached: List::new(Vec::new())?,
        signature: [0; 64],
    })
}
