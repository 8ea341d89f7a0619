//! The host: drives the prover with the clock, the connection, the disk and the screen.

use std::io::Read as _;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use crowdfold_programs::Builtin;
use crowdfold_prover::{Config, Effect, Engine as _, FoldEngine, Link, Prover, Purpose, RestoreError, Worked};
use crowdfold_wire::{Goodbye, HostKind, Millis, ParametersId, Ready, Text, Within};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::timeout;

use crate::cli::{Options, Until};
use crate::disk::{Disk, MAX_PARAMETERS_BYTES, identity};
use crate::line::{Happened, INCOMING, Line};
use crate::screen::Screen;

/// The longest wait without a look at the signals.
const LOOK: Duration = Duration::from_millis(500);

/// How a run ended.
#[derive(Debug)]
pub enum End {
    /// In order.
    Stopped,
    /// The coordinator does not want this prover.
    Refused(String),
}

/// What the prover is told from outside its own thread.
#[derive(Debug)]
enum Told {
    Line(u64, Happened),
    Parameters(Wanted, Result<Vec<u8>, String>),
    Signal,
}

/// Parameters that some task waits for.
#[derive(Clone, Debug)]
struct Wanted {
    id: ParametersId,
    program: String,
    purpose: Purpose,
    /// Whether they come from the disk.
    is_cached: bool,
}

struct Host {
    options: Options,
    prover: Prover<FoldEngine<Builtin>>,
    rng: ChaCha20Rng,
    began: Instant,
    runtime: Runtime,
    line: Option<Line>,
    /// Number of the last connection.
    dialled: u64,
    told: Sender<Told>,
    disk: Disk,
    screen: Screen,
    /// Proofs of earlier runs that wait for room.
    stored: Vec<std::path::PathBuf>,
    stopping: bool,
    refused: Option<Goodbye>,
}

/// Runs until it is told to stop.
pub fn run(options: Options) -> anyhow::Result<End> {
    rayon::ThreadPoolBuilder::new().num_threads(options.threads).build_global().context("threads can't be started")?;
    let (told, inbox) = mpsc::channel(INCOMING);
    watch_signals(told.clone())?;
    let host = Host::new(options, told)?;
    host.run(inbox)
}

/// The first signal stops in order, the second at once.
fn watch_signals(told: Sender<Told>) -> anyhow::Result<()> {
    let count = AtomicU8::new(0);
    ctrlc::set_handler(move || {
        if count.fetch_add(1, Ordering::Relaxed) > 0 {
            std::process::exit(130);
        }
        // A full inbox is emptied soon: the handler has a thread of its own.
        _ = told.blocking_send(Told::Signal);
    })
    .context("signals can't be watched")
}

impl Host {
    fn new(options: Options, told: Sender<Told>) -> anyhow::Result<Self> {
        let disk = Disk::open(&options.data)?;
        let key = identity(&options.identity)?;
        let public = crowdfold_wire::PublicKey(key.verifying_key().to_bytes());
        let software = Text::new(concat!("prover-native ", env!("CARGO_PKG_VERSION"))).context("a short text")?;
        let origin = Text::new(options.origin.clone()).context("the address is too long")?;
        let threads = Within::new(options.threads as u64).context("too many threads")?;
        let merges = Within::new(u64::from(options.merges)).context("too many merges")?;
        let tasks = Within::new(2 + u64::from(options.merges)).context("too many merges")?;
        let config = Config {
            ready: Ready { tasks, merges },
            cached: disk.cached(),
            held_bytes: options.memory_bytes / 4,
            ..Config::new(software, origin, options.payout, HostKind::Server, options.memory_bytes, threads)
        };
        let mut seed = [0; 32];
        getrandom::getrandom(&mut seed).context("the system has no randomness")?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let screen = Screen::new(options.json);
        screen.started(&public, &options.socket, options.threads);
        Ok(Self {
            prover: Prover::new(Millis(0), config, FoldEngine::new(), key),
            rng: ChaCha20Rng::from_seed(seed),
            began: Instant::now(),
            runtime,
            line: None,
            dialled: 0,
            told,
            stored: disk.proofs(),
            disk,
            screen,
            stopping: false,
            refused: None,
            options,
        })
    }

    fn now(&self) -> Millis {
        Millis(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn run(mut self, mut inbox: Receiver<Told>) -> anyhow::Result<End> {
        self.restore();
        loop {
            while let Ok(told) = inbox.try_recv() {
                self.tell(told);
            }
            self.prover.tick(self.now());
            self.stop_if_due();
            self.effects()?;
            self.send();
            if let Some(goodbye) = self.refused.take() {
                self.screen.finished(&self.prover.status());
                return Ok(End::Refused(goodbye.text.to_string()));
            }
            if self.prover.status().link == Link::Off {
                self.screen.finished(&self.prover.status());
                return Ok(End::Stopped);
            }
            let (now, rng) = (self.now(), &mut self.rng);
            if self.prover.work(now, rng) == Worked::Idle {
                self.effects()?;
                self.send();
                self.wait(&mut inbox);
            }
        }
    }

    /// Waits until something happens or the clock matters.
    fn wait(&mut self, inbox: &mut Receiver<Told>) {
        let until = self.prover.wake_at().map(|at| Duration::from_millis(at.since(self.now())));
        let longest = until.unwrap_or(LOOK).min(LOOK);
        let told = self.runtime.block_on(async { timeout(longest, inbox.recv()).await });
        if let Ok(Some(told)) = told {
            self.tell(told);
        }
    }

    fn tell(&mut self, told: Told) {
        let now = self.now();
        match told {
            Told::Line(number, happened) if number == self.dialled && self.line.is_some() => match happened {
                Happened::Connected => self.prover.connected(now),
                Happened::Frame(frame) => self.prover.frame(now, &frame),
                Happened::Room => {}
                Happened::Gone(why) => {
                    self.line = None;
                    self.screen.note(&format!("not connected: {why}"));
                    let random = self.rng.next_u64();
                    self.prover.disconnected(now, random);
                }
            },
            // Of a connection that was given up.
            Told::Line(..) => {}
            Told::Parameters(wanted, outcome) => self.parameters(wanted, outcome),
            Told::Signal => self.stop("stopping: what is folded is handed in; once more to leave at once"),
        }
    }

    fn stop(&mut self, why: &str) {
        if !self.stopping {
            self.stopping = true;
            self.screen.note(why);
            self.prover.stop(self.now());
        }
    }

    fn stop_if_due(&mut self) {
        let is_due = match self.options.until {
            Some(Until::Time(time)) => self.began.elapsed() >= time,
            Some(Until::Steps(steps)) => self.prover.status().totals.folded_steps >= steps,
            None => false,
        };
        if is_due {
            self.stop("as long as was wanted: stopping");
        }
    }

    fn effects(&mut self) -> anyhow::Result<()> {
        while let Some(effect) = self.prover.next_effect() {
            match effect {
                Effect::Connect => self.dial(),
                Effect::Disconnect => {
                    self.send();
                    self.line = None;
                    let (now, random) = (self.now(), self.rng.next_u64());
                    self.prover.disconnected(now, random);
                }
                Effect::NeedParameters { parameters: id, program, purpose } => {
                    self.fetch(Wanted { id, program, purpose, is_cached: true });
                }
                Effect::Keep { upload, info, bytes } => {
                    // It is still delivered if this process lives.
                    if let Err(error) = self.disk.keep_proof(upload, info, &bytes) {
                        self.screen.note(&format!("{error:#}"));
                    }
                }
                Effect::Forget { upload, info, outcome } => {
                    self.disk.forget_proof(upload)?;
                    self.screen.verdict(upload, info, &outcome);
                    self.restore();
                }
                Effect::Changed => {
                    let status = self.prover.status();
                    self.screen.status(&status);
                    if let Link::Refused(goodbye) = status.link {
                        self.refused = Some(goodbye);
                    }
                }
            }
        }
        Ok(())
    }

    fn dial(&mut self) {
        self.dialled += 1;
        let (number, handle) = (self.dialled, self.runtime.handle());
        let (address, rate) = (&self.options.socket, self.options.bytes_per_second);
        let event = move |happened| Told::Line(number, happened);
        self.line = Some(Line::dial(handle, address, rate, self.told.clone(), event));
    }

    fn send(&mut self) {
        let now = self.now();
        while self.line.as_ref().is_some_and(Line::has_room)
            && let Some(frame) = self.prover.next_frame(now)
        {
            if let Some(line) = &self.line {
                line.send(frame);
            }
        }
    }

    /// Gives the prover what earlier runs did not deliver, as it has room.
    fn restore(&mut self) {
        let now = self.now();
        while let Some(path) = self.stored.last() {
            let restored = Disk::proof(path).map(|(info, bytes)| self.prover.proof_restored(now, info, bytes));
            match restored {
                Ok(Ok(())) => {}
                Ok(Err(RestoreError::Full)) => return,
                Ok(Err(RestoreError::Damaged)) | Err(_) => {
                    self.screen.note(&format!("{} is damaged and removed", path.display()));
                    // If it can't be, it is refused again next time.
                    _ = std::fs::remove_file(path);
                }
            }
            self.stored.pop();
        }
    }

    /// Gets parameters in a thread of its own: from the disk if it has them, else from the coordinator.
    fn fetch(&self, wanted: Wanted) {
        let (disk, told) = (self.disk.clone(), self.told.clone());
        let Wanted { id, purpose, is_cached, .. } = wanted;
        let kind = match purpose {
            Purpose::Fold => "fold",
            Purpose::Merge => "merge",
        };
        let address = format!("{}/v1/parameters/{id}/{kind}", self.options.http);
        self.runtime.spawn_blocking(move || {
            let (is_cached, outcome) = match disk.parameters(id, purpose).filter(|_| is_cached) {
                Some(bytes) => (true, Ok(bytes)),
                None => (false, download(&address).map_err(|error| format!("{error:#}"))),
            };
            // Nobody listens when the process is about to end.
            _ = told.blocking_send(Told::Parameters(Wanted { is_cached, ..wanted }, outcome));
        });
    }

    /// Parameters have come. Good ones are kept on disk; bad ones from there are fetched again.
    fn parameters(&mut self, wanted: Wanted, outcome: Result<Vec<u8>, String>) {
        let Wanted { id, ref program, purpose, is_cached } = wanted;
        let engine = self.prover.engine_mut();
        let loaded = outcome.and_then(|bytes| match engine.load(program, &id, purpose, &bytes) {
            Ok(()) => Ok(bytes),
            Err(failure) => Err(failure.to_string()),
        });
        match loaded {
            Err(_) if is_cached => {
                self.disk.forget_parameters(id, purpose);
                self.fetch(Wanted { is_cached: false, ..wanted });
            }
            Err(why) => self.prover.parameters(self.now(), id, purpose, Err(&why)),
            Ok(bytes) => {
                if !is_cached {
                    let disk = self.disk.clone();
                    self.runtime.spawn_blocking(move || {
                        // Without a cache it works too.
                        _ = disk.keep_parameters(id, purpose, &bytes);
                    });
                }
                self.prover.tick(self.now());
            }
        }
    }
}

fn download(address: &str) -> anyhow::Result<Vec<u8>> {
    let mut answer = ureq::get(address).call().with_context(|| format!("{address} can't be had"))?;
    let mut bytes = Vec::new();
    let body = answer.body_mut().as_reader();
    body.take(MAX_PARAMETERS_BYTES + 1).read_to_end(&mut bytes).with_context(|| format!("{address} broke off"))?;
    ensure!(bytes.len() as u64 <= MAX_PARAMETERS_BYTES, "{address} has more than {MAX_PARAMETERS_BYTES} bytes");
    Ok(bytes)
}
