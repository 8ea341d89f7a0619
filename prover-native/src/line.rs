//! The connection: a WebSocket in the background, with channels to and from it.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use crowdfold_wire::limits::{MAX_FRAME_BYTES, SUBPROTOCOL};

/// Frames that wait for the socket, and events that wait for the host.
const OUTGOING: usize = 4;
pub const INCOMING: usize = 32;
/// Time to connect, and to say goodbye.
const DIAL_LIMIT: Duration = Duration::from_secs(20);
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// What comes from a connection.
#[derive(Debug)]
pub enum Happened {
    /// It is there.
    Connected,
    /// A frame has come.
    Frame(Vec<u8>),
    /// Another frame may be sent.
    Room,
    /// It is gone, or could not be made.
    Gone(String),
}

/// A connection being made or there. Dropping it closes it after what waits.
#[derive(Debug)]
pub struct Line {
    frames: Sender<Vec<u8>>,
}

impl Line {
    /// Dials. What happens comes with `number`, so that what is said of an earlier connection is not taken for this
    /// one.
    pub fn dial<E: Send + 'static>(
        runtime: &Handle,
        address: &str,
        bytes_per_second: Option<u64>,
        events: Sender<E>,
        event: impl Fn(Happened) -> E + Send + Sync + 'static,
    ) -> Self {
        let (frames, outgoing) = mpsc::channel(OUTGOING);
        let address = address.to_owned();
        runtime.spawn(async move {
            let why = match run(&address, bytes_per_second, outgoing, &events, &event).await {
                Ok(()) => "the coordinator closed the connection".to_owned(),
                Err(error) => error.to_string(),
            };
            // Nobody listens when the process is about to end.
            _ = events.send(event(Happened::Gone(why))).await;
        });
        Self { frames }
    }

    /// Whether a frame can be sent now.
    pub fn has_room(&self) -> bool {
        self.frames.capacity() > 0
    }

    /// Sends a frame, for which there must be room.
    pub fn send(&self, frame: Vec<u8>) {
        // A connection that is gone tells so by itself.
        _ = self.frames.try_send(frame);
    }
}

async fn run<E>(
    address: &str,
    bytes_per_second: Option<u64>,
    mut outgoing: Receiver<Vec<u8>>,
    events: &Sender<E>,
    event: &(impl Fn(Happened) -> E + Send + Sync),
) -> Result<(), Error> {
    let mut request = address.into_client_request()?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    let config =
        WebSocketConfig::default().max_message_size(Some(MAX_FRAME_BYTES)).max_frame_size(Some(MAX_FRAME_BYTES));
    let dialled = tokio_tungstenite::connect_async_with_config(request, Some(config), true);
    let late = |_| Error::Io(std::io::ErrorKind::TimedOut.into());
    let (socket, _) = timeout(DIAL_LIMIT, dialled).await.map_err(late)??;
    let (mut sink, mut stream) = socket.split();
    if events.send(event(Happened::Connected)).await.is_err() {
        return Ok(());
    }
    let write = async {
        let mut free = Instant::now();
        while let Some(frame) = outgoing.recv().await {
            sleep_until(free).await;
            if let Some(rate) = bytes_per_second {
                let takes = frame.len() as u64 * 1_000_000 / rate.max(1);
                free = free.max(Instant::now()) + Duration::from_micros(takes);
            }
            sink.send(Message::Binary(Bytes::from(frame))).await?;
            // If the host has much to look at, it looks for room by itself.
            _ = events.try_send(event(Happened::Room));
        }
        timeout(CLOSE_LIMIT, sink.close()).await.map_err(late)?
    };
    let read = async {
        while let Some(message) = stream.next().await {
            let happened = match message? {
                Message::Binary(frame) => Happened::Frame(frame.to_vec()),
                Message::Close(_) => break,
                // Control frames are answered by the library.
                Message::Ping(_) | Message::Pong(_) => continue,
                Message::Text(_) | Message::Frame(_) => {
                    return Err(Error::Protocol(tokio_tungstenite::tungstenite::error::ProtocolError::InvalidOpcode(
                        1,
                    )));
                }
            };
            if events.send(event(happened)).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    tokio::select! {
        done = write => done,
        done = read => done,
    }
}
