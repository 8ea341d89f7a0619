//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::Parser;
use crowdfold_fold::Address;
use crowdfold_wire::limits::{MAX_TASKS, MAX_THREADS};

/// Folds steps for a coordinator. Ctrl-C, or a signal to terminate, hands in what is folded and hands back the rest; a
/// second one leaves at once.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    after_help = "Exit codes: 0 stopped in order, 1 failure, 2 bad arguments, 3 refused by the coordinator."
)]
pub struct Cli {
    /// Where the coordinator is, as ws://localhost:4090 or wss://prove.example.
    #[arg(long, env = "CROWDFOLD_URL")]
    url: String,
    /// Ethereum address that is paid: 0x and 40 hexadecimal digits. Proofs name it.
    #[arg(long, env = "CROWDFOLD_PAYOUT", value_parser = address)]
    payout: Address,
    /// Threads that fold; 0 for one for each core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Ends in order after so long, as 90s, 30m or 12h, or after so many steps, as 500steps.
    #[arg(long, value_parser = until)]
    until: Option<Until>,
    /// Uploads at most so many kilobits a second.
    #[arg(long, value_parser = clap::value_parser!(u64).range(64..))]
    bandwidth: Option<u64>,
    /// Merges that it takes at once beside folding; they need the parameters of the merge circuit and more memory.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=i64::from(MAX_TASKS) - 2))]
    merges: u8,
    /// Memory that it may use, in MiB.
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u64).range(64..))]
    memory: u64,
    /// Folder for its identity, parameters and proofs that are not delivered.
    #[arg(long, env = "CROWDFOLD_DATA", default_value = "crowdfold-prover")]
    data: PathBuf,
    /// File of its identity, a secret key; made when it is not there. `identity.key` in the data folder if not given.
    #[arg(long)]
    identity: Option<PathBuf>,
    /// Prints a line of JSON for each event, as it does where standard output is no terminal.
    #[arg(long)]
    json: bool,
}

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After so long.
    Time(Duration),
    /// After so many steps folded.
    Steps(u64),
}

/// What the command line says, checked.
#[derive(Debug)]
pub struct Options {
    /// Scheme, host and port, as the handshake signs them.
    pub origin: String,
    /// Of the WebSocket.
    pub socket: String,
    /// Of everything else.
    pub http: String,
    /// Who is paid.
    pub payout: Address,
    /// Threads that fold.
    pub threads: usize,
    /// When to stop.
    pub until: Option<Until>,
    /// Bytes a second upwards.
    pub bytes_per_second: Option<u64>,
    /// Merges at once.
    pub merges: u8,
    /// Memory that it may use.
    pub memory_bytes: u64,
    /// Folder of parameters and proofs.
    pub data: PathBuf,
    /// File of the key.
    pub identity: PathBuf,
    /// Whether to print lines of JSON.
    pub json: bool,
}

impl Cli {
    /// Checks the arguments against each other.
    pub fn options(self) -> anyhow::Result<Options> {
        let (origin, socket, http) = addresses(&self.url)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if self.threads == 0 { cores } else { self.threads };
        ensure!(threads <= usize::from(MAX_THREADS), "at most {MAX_THREADS} threads, got {threads}");
        Ok(Options {
            origin,
            socket,
            http,
            payout: self.payout,
            threads,
            until: self.until,
            bytes_per_second: self.bandwidth.map(|kilobits| kilobits * 125),
            merges: self.merges,
            memory_bytes: self.memory << 20,
            identity: self.identity.unwrap_or_else(|| self.data.join("identity.key")),
            data: self.data,
            json: self.json,
        })
    }
}

/// Origin, address of the WebSocket, and base of the other addresses.
fn addresses(url: &str) -> anyhow::Result<(String, String, String)> {
    let (scheme, rest) = url.split_once("://").context("expected an address as ws://localhost:4090")?;
    let (socket, http) = match scheme {
        "ws" | "http" => ("ws", "http"),
        "wss" | "https" => ("wss", "https"),
        other => bail!("expected an address that begins with ws:// or wss://, got {other}://"),
    };
    let host = rest.trim_end_matches('/');
    ensure!(!host.is_empty() && !host.contains(['/', '?', '#', '@']), "expected only a host and a port, got `{rest}`");
    Ok((format!("{http}://{host}"), format!("{socket}://{host}/v1/prove"), format!("{http}://{host}")))
}

fn address(text: &str) -> Result<Address, String> {
    let expected = || format!("expected 0x and 40 hexadecimal digits, got `{text}`");
    let digits = text.strip_prefix("0x").ok_or_else(expected)?;
    let mut bytes = [0; 20];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| expected())?;
    if bytes == [0; 20] {
        return Err("nobody has the address 0".into());
    }
    Ok(Address(bytes))
}

fn until(text: &str) -> Result<Until, String> {
    let expected = || format!("expected a time as 90s, 30m or 12h, or steps as 500steps, got `{text}`");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| expected())?;
    let seconds = match text.get(digits.len()..) {
        Some("s") => 1,
        Some("m") => 60,
        Some("h") => 3600,
        Some("steps") => return Ok(Until::Steps(number)),
        _ => return Err(expected()),
    };
    Ok(Until::Time(Duration::from_secs(number.checked_mul(seconds).ok_or_else(expected)?)))
}

#[cfg(test)]
mod tests {
    use super::{Cli, Until, address, addresses, until};
    use clap::Parser as _;
    use std::time::Duration;

    const PAYOUT: &str = "0x00000000000000000000000000000000000000aa";

    #[test]
    fn addresses_follow_from_the_url() {
        let (origin, socket, http) = addresses("ws://localhost:4090/").unwrap();
        assert_eq!(origin, "http://localhost:4090");
        assert_eq!((socket.as_str(), http), ("ws://localhost:4090/v1/prove", origin));
        assert_eq!(addresses("https://prove.example").unwrap().1, "wss://prove.example/v1/prove");
        for bad in ["localhost:4090", "ftp://localhost", "ws://", "ws://host/path", "ws://user@host"] {
            assert!(addresses(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_are_checked() {
        assert_eq!(until("90s"), Ok(Until::Time(Duration::from_secs(90))));
        assert_eq!(until("500steps"), Ok(Until::Steps(500)));
        for bad in ["", "s", "90", "90x", "-1s", "18446744073709551615h"] {
            assert!(until(bad).is_err(), "{bad}");
        }
        assert!(address(PAYOUT).is_ok());
        for bad in ["00000000000000000000000000000000000000aa", "0x00", "0x0000000000000000000000000000000000000000"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn arguments_have_limits() {
        let parse = |more: &[&str]| {
            let start = ["prover-native", "--url", "ws://localhost:1", "--payout", PAYOUT];
            Cli::try_parse_from(start.iter().chain(more)).map_err(anyhow::Error::from).and_then(Cli::options)
        };
        let options = parse(&[]).unwrap();
        assert!(options.threads > 0 && options.identity.ends_with("identity.key"));
        assert_eq!(parse(&["--bandwidth", "800"]).unwrap().bytes_per_second, Some(100_000));
        for bad in [["--bandwidth", "1"], ["--merges", "15"], ["--memory", "1"], ["--threads", "5000"]] {
            assert!(parse(&bad).is_err(), "{bad:?}");
        }
    }
}
