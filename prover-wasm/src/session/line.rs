//! The connection: a WebSocket whose events wait until the session looks at them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use crowdfold_wire::Millis;
use crowdfold_wire::limits::{MAX_CREDIT_BYTES, MAX_FRAME_BYTES, MAX_TASKS, SUBPROTOCOL, UPLOAD_WINDOW_BYTES};
use js_sys::{ArrayBuffer, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{CloseEvent, Event, MessageEvent, WebSocket};

use super::hooks::Hooks;

/// Milliseconds for a connection to be made. Then it is given up.
const DIAL_LIMIT_MS: u64 = 20_000;
/// Bytes that may wait in the socket for the network; beyond them no frame is sent. As much as may be under way of an
/// upload, so that a line is busy while a step is folded.
const SEND_BUFFER_BYTES: u64 = UPLOAD_WINDOW_BYTES;
/// Bytes of frames that may wait for the session: inputs of all tasks with all their credit, and as much again for the
/// rest. A coordinator that sends more is not listened to any longer.
const INBOX_BYTES: u64 = 2 * MAX_TASKS as u64 * MAX_CREDIT_BYTES;
/// Bytes that a frame takes there beyond its own.
const FRAME_OVERHEAD_BYTES: u64 = 256;
/// The close code of an orderly end.
const CLOSE_NORMAL: u16 = 1000;
/// Characters of what a host or the coordinator says of an end that are passed on.
const REASON_CHARS: usize = 200;

/// What comes from a connection.
#[derive(Debug)]
pub(super) enum Happened {
    /// It is there.
    Connected,
    /// A frame has come: it has at most [`MAX_FRAME_BYTES`].
    Frame(ArrayBuffer),
    /// It is gone, or could not be made. Nothing comes after this.
    Gone(String),
}

#[derive(Debug, Default)]
struct Inbox {
    happened: VecDeque<Happened>,
    bytes: u64,
    is_over: bool,
}

impl Inbox {
    fn put(&mut self, happened: Happened) {
        if self.is_over {
            return;
        }
        let happened = match happened {
            Happened::Frame(frame) => {
                self.bytes += u64::from(frame.byte_length()) + FRAME_OVERHEAD_BYTES;
                if self.bytes > INBOX_BYTES {
                    Happened::Gone(format!("the coordinator sent more than {INBOX_BYTES} bytes unasked"))
                } else {
                    Happened::Frame(frame)
                }
            }
            other => other,
        };
        self.is_over = matches!(happened, Happened::Gone(_));
        self.happened.push_back(happened);
    }

    fn take(&mut self) -> Option<Happened> {
        let happened = self.happened.pop_front();
        if let Some(Happened::Frame(frame)) = &happened {
            self.bytes = self.bytes.saturating_sub(u64::from(frame.byte_length()) + FRAME_OVERHEAD_BYTES);
        }
        happened
    }
}

/// A function of ours that a socket calls.
struct Listener {
    event: &'static str,
    closure: Closure<dyn FnMut(Event)>,
}

/// A connection being made or there. Dropping it closes it after what waits, and ends its listening.
pub(super) struct Line {
    socket: WebSocket,
    inbox: Rc<RefCell<Inbox>>,
    listeners: Vec<Listener>,
    dialled: Millis,
    is_open: bool,
}

impl Line {
    /// Dials. Whenever something happens, the hooks are told to wake up.
    ///
    /// # Errors
    /// Why there can be no socket, for people.
    pub(super) fn dial(now: Millis, address: &str, hooks: &Rc<Hooks>) -> Result<Self, String> {
        let socket = match hooks.dial(address, SUBPROTOCOL) {
            Some(socket) => socket.map(JsCast::unchecked_into),
            None => WebSocket::new_with_str(address, SUBPROTOCOL),
        };
        let socket = socket.map_err(|error| format!("there can be no connection: {}", said(&error)))?;
        // Where there is no such choice, binary messages come as they should anyway.
        _ = Reflect::set(&socket, &"binaryType".into(), &"arraybuffer".into());
        let mut line = Self { socket, inbox: Rc::default(), listeners: Vec::new(), dialled: now, is_open: false };
        line.listen("open", hooks, |_| Happened::Connected)?;
        line.listen("message", hooks, |event| frame(&event.unchecked_ref::<MessageEvent>().data()))?;
        line.listen("error", hooks, |event| Happened::Gone(said(event)))?;
        line.listen("close", hooks, |event| {
            let event = event.unchecked_ref::<CloseEvent>();
            let (code, reason) = (event.code(), event.reason());
            let reason = if reason.is_empty() { "no reason given" } else { &reason };
            Happened::Gone(shortened(&format!("closed with code {code}: {reason}")))
        })?;
        Ok(line)
    }

    fn listen(
        &mut self,
        event: &'static str,
        hooks: &Rc<Hooks>,
        read: impl Fn(&Event) -> Happened + 'static,
    ) -> Result<(), String> {
        let (inbox, hooks) = (Rc::clone(&self.inbox), Rc::clone(hooks));
        let closure = Closure::<dyn FnMut(Event)>::new(move |event: Event| {
            let happened = read(&event);
            // Borrowed by nobody: none who does calls anything of JavaScript.
            inbox.borrow_mut().put(happened);
            hooks.wake();
        });
        let added = self.socket.add_event_listener_with_callback(event, closure.as_ref().unchecked_ref());
        self.listeners.push(Listener { event, closure });
        added.map_err(|error| format!("what was dialled is no WebSocket: {}", said(&error)))
    }

    /// The next thing that happened.
    pub(super) fn next(&mut self) -> Option<Happened> {
        let happened = self.inbox.borrow_mut().take();
        self.is_open |= matches!(happened, Some(Happened::Connected));
        happened
    }

    /// Milliseconds until an attempt to connect is given up; `None` once there is a connection.
    pub(super) fn gives_up_in(&self, now: Millis) -> Option<u64> {
        (!self.is_open).then(|| self.dialled.after(DIAL_LIMIT_MS).since(now))
    }

    /// The socket, to send by.
    pub(super) fn socket(&self) -> Socket {
        Socket(self.socket.clone())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        for Listener { event, closure } in &self.listeners {
            // What is not there need not be removed, and a socket that is closed stays so.
            _ = self.socket.remove_event_listener_with_callback(event, closure.as_ref().unchecked_ref());
        }
        _ = self.socket.close_with_code(CLOSE_NORMAL);
    }
}

/// A socket, without its events.
pub(super) struct Socket(WebSocket);

impl Socket {
    /// Whether another frame may go.
    pub(super) fn has_room(&self) -> bool {
        self.0.ready_state() == WebSocket::OPEN && u64::from(self.0.buffered_amount()) < SEND_BUFFER_BYTES
    }

    /// Sends a frame. One that can't be sent is lost with the connection, which tells so by itself.
    pub(super) fn send(&self, frame: &[u8]) {
        // A copy: sockets refuse memory that threads share.
        _ = self.0.send_with_array_buffer(&Uint8Array::from(frame).buffer());
    }
}

fn frame(data: &JsValue) -> Happened {
    match data.dyn_ref::<ArrayBuffer>() {
        Some(frame) if frame.byte_length() as usize <= MAX_FRAME_BYTES => Happened::Frame(frame.clone()),
        Some(_) => Happened::Gone(format!("the coordinator sent a frame of more than {MAX_FRAME_BYTES} bytes")),
        None => Happened::Gone("the coordinator sent something other than binary frames".to_owned()),
    }
}

/// What an exception or an event of an error says.
fn said(value: &JsValue) -> String {
    let message = Reflect::get(value, &"message".into()).ok().and_then(|message| message.as_string());
    let message = message.filter(|message| !message.is_empty());
    shortened(&message.unwrap_or_else(|| "the host gives no reason".to_owned()))
}

fn shortened(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).take(REASON_CHARS).collect()
}
