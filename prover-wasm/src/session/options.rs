//! What a session is told about itself, checked.

use crowdfold_fold::Address;
use crowdfold_prover::Config;
use crowdfold_wire::limits::{MAX_ORIGIN_BYTES, MAX_THREADS};
use crowdfold_wire::{HostKind, ParametersId, Ready, SigningKey, Text, Within};
use js_sys::Array;
use wasm_bindgen::prelude::*;

use crate::arguments::{field, from_hex, whole};
use crate::error::Error;
use crate::identity;

/// Name and version of this software, as coordinators see it unless the host says otherwise.
const SOFTWARE: &str = concat!("prover-wasm ", env!("CARGO_PKG_VERSION"));
/// Tasks at once unless the host says otherwise: one is folded while the next one's inputs come.
const TASKS: u64 = 2;
/// Of its memory, the part that finished proofs may take, unless the host says otherwise.
const HELD_SHARE: u64 = 4;
/// Parameter digests that are read. Coordinators are told of fewer.
const MAX_CACHED: u32 = 1024;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** What a session is, and how much it takes on. */
export interface SessionOptions {
  /** Where the coordinator is: `wss://`, `ws://`, `https://` or `http://` with a host and perhaps a port, nothing more. */
  url: string;
  /** Secret key that names the prover: 32 random bytes. Two sessions must not have the same one at a time. */
  identity: Uint8Array;
  /** Ethereum address that is paid: `0x` and 40 hexadecimal digits. Proofs name it. */
  payout: string;
  /** What the prover runs on. */
  host: "tab" | "edge" | "server";
  /** Threads that fold. */
  threads: number;
  /** Memory that it may use. */
  memoryBytes: number;
  /** Name and version of the software, at most 64 bytes. */
  software?: string;
  /** Its speed as an earlier session measured it. */
  rowsPerSecond?: number;
  /** Digests of parameters for folding that the host has cached, in hexadecimal. */
  cached?: string[];
  /** Bytes of finished proofs without a verdict, the one being folded among them; a quarter of its memory by default. */
  heldBytes?: number;
  /** Tasks at once: one is folded, the others wait with their first inputs; 2 by default. */
  tasks?: number;
}
"#;

#[wasm_bindgen]
extern "C" {
    /// The options of JavaScript, not checked yet.
    #[wasm_bindgen(typescript_type = "SessionOptions")]
    #[derive(Debug)]
    pub type SessionOptions;
}

/// Checked options.
#[derive(Debug)]
pub(super) struct Options {
    /// Address of the WebSocket.
    pub(super) socket: String,
    /// The key that names the prover.
    pub(super) key: SigningKey,
    /// The rest.
    pub(super) config: Config,
}

impl SessionOptions {
    /// Reads and checks the fields.
    ///
    /// # Errors
    /// [`Error::Argument`] names the field that is wrong.
    pub(super) fn read(&self) -> Result<Options, Error> {
        let given =
            |name: &'static str| field("options", self, name).map(|value| (!value.is_undefined()).then_some(value));
        let text = |name, expected| given(name)?.and_then(|value| value.as_string()).ok_or(wrong(name, expected));
        let Addresses { origin, socket } = Addresses::read(&text("url", URL)?)?;
        let payout = payout(&text("payout", PAYOUT)?)?;
        let key = SigningKey::from_bytes(&identity::read(&given("identity")?.unwrap_or_default())?);
        let host = host(&text("host", HOST)?)?;
        let number = |name, expected, otherwise: Option<u64>| match given(name)? {
            Some(value) => whole(&value).ok_or(wrong(name, expected)),
            None => otherwise.ok_or(wrong(name, expected)),
        };
        let expected = "a whole number from 1 to 4096";
        let threads = Within::<1, { MAX_THREADS as u64 }>::new(number("threads", expected, None)?);
        let threads = threads.map_err(|_| wrong("threads", expected))?;
        let memory_bytes = number("memoryBytes", "a whole number of bytes", None)?;
        let software = match given("software")? {
            Some(value) => value.as_string(),
            None => Some(SOFTWARE.to_owned()),
        };
        let software = software.and_then(|software| Text::new(software).ok());
        let software = software.ok_or(wrong("software", "at most 64 bytes of text without control characters"))?;
        let expected = "a whole number from 1 to 16";
        let tasks = number("tasks", expected, Some(TASKS))?;
        let tasks = Within::new(tasks).ok().filter(|_| tasks > 0).ok_or(wrong("tasks", expected))?;
        let config = Config::new(software, origin, payout, host, memory_bytes, threads);
        let config = Config {
            rows_per_second: number("rowsPerSecond", "a whole number", Some(0))?,
            held_bytes: number("heldBytes", "a whole number of bytes", Some(memory_bytes / HELD_SHARE))?,
            cached: given("cached")?.map_or(Ok(Vec::new()), |list| cached(&list))?,
            ready: Ready { tasks, ..config.ready },
            ..config
        };
        Ok(Options { socket, key, config })
    }
}

fn wrong(what: &'static str, expected: &'static str) -> Error {
    Error::Argument { what, expected }
}

const HOST: &str = "\"tab\", \"edge\" or \"server\"";

fn host(name: &str) -> Result<HostKind, Error> {
    match name {
        "tab" => Ok(HostKind::Tab),
        "edge" => Ok(HostKind::Edge),
        "server" => Ok(HostKind::Server),
        _ => Err(wrong("host", HOST)),
    }
}

fn cached(list: &JsValue) -> Result<Vec<ParametersId>, Error> {
    let wrong = || wrong("cached", "an array of at most 1024 digests, each 64 hexadecimal digits in lower case");
    let list = list.dyn_ref::<Array>().filter(|list| list.length() <= MAX_CACHED).ok_or_else(wrong)?;
    list.iter().map(|id| id.as_string().and_then(|id| ParametersId::parse(&id)).ok_or_else(wrong)).collect()
}

const PAYOUT: &str = "0x and the 40 hexadecimal digits of an Ethereum address that is not 0";

fn payout(text: &str) -> Result<Address, Error> {
    let bytes = if text.starts_with("0x") { from_hex("payout", PAYOUT, text)? } else { [0; 20] };
    if bytes == [0; 20] { Err(wrong("payout", PAYOUT)) } else { Ok(Address(bytes)) }
}

const URL: &str = "ws://, wss://, http:// or https://, then a host and perhaps a port, nothing more";

/// Where the coordinator is.
#[derive(Debug, PartialEq, Eq)]
struct Addresses {
    /// Scheme, host and port, as the handshake signs them.
    origin: Text<MAX_ORIGIN_BYTES>,
    /// Of the WebSocket.
    socket: String,
}

impl Addresses {
    /// What follows from an address. It is written as browsers write origins: in lower case, without the port that its
    /// scheme has anyway.
    fn read(url: &str) -> Result<Self, Error> {
        let wrong = || wrong("url", URL);
        let url = url.to_ascii_lowercase();
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let (socket, http, port) = match scheme {
            "ws" | "http" => ("ws", "http", ":80"),
            "wss" | "https" => ("wss", "https", ":443"),
            _ => return Err(wrong()),
        };
        let host = rest.strip_suffix('/').unwrap_or(rest);
        let host = host.strip_suffix(port).unwrap_or(host);
        let is_of_host = |char: char| char.is_ascii_alphanumeric() || ".-_:[]".contains(char);
        if host.is_empty() || host.starts_with(':') || !host.chars().all(is_of_host) {
            return Err(wrong());
        }
        let origin = Text::new(format!("{http}://{host}")).map_err(|_| wrong())?;
        Ok(Self { origin, socket: format!("{socket}://{host}/v1/prove") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_follow_from_the_url() {
        let read = |url: &str| Addresses::read(url).map(|found| (found.origin.to_string(), found.socket));
        for (url, origin, socket) in [
            ("ws://localhost:4090", "http://localhost:4090", "ws://localhost:4090/v1/prove"),
            ("http://127.0.0.1/", "http://127.0.0.1", "ws://127.0.0.1/v1/prove"),
            ("https://Prove.Example:443", "https://prove.example", "wss://prove.example/v1/prove"),
            ("WSS://prove.example:80", "https://prove.example:80", "wss://prove.example:80/v1/prove"),
            ("ws://[::1]:80/", "http://[::1]", "ws://[::1]/v1/prove"),
        ] {
            assert_eq!(read(url).expect("an address"), (origin.to_owned(), socket.to_owned()));
        }
        let long = format!("ws://{}", "a".repeat(300));
        for bad in [
            "",
            "localhost:4090",
            "ftp://localhost",
            "ws://",
            "ws:///",
            "ws://:80",
            "ws://host/path",
            "ws://host//",
            "ws://user@host",
            "ws://host?a",
            "ws://host#a",
            "ws://ho st",
            "ws://höst",
            "ws://host\n",
            " ws://host",
            &long,
        ] {
            read(bad).expect_err(bad);
        }
    }

    #[test]
    fn an_address_that_can_be_paid_is_wanted() {
        let good = "0x00000000000000000000000000000000000000aa";
        assert_eq!(payout(good).expect("an address").0[19], 0xaa);
        let zero = format!("0x{}", "0".repeat(40));
        for bad in ["", "0x", "0x00", &good[2..], &good[..41], &zero, "0xg0000000000000000000000000000000000000aa"] {
            payout(bad).expect_err(bad);
        }
    }

    #[test]
    fn hosts_have_names() {
        assert_eq!(host("edge").expect("a host"), HostKind::Edge);
        host("Edge").expect_err("another name");
    }
}
