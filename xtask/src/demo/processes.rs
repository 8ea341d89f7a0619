//! The processes of the demonstration.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use crowdfold_fold::Address;

/// Ticks of the processor's time in a second: what Linux counts in for programs, on every machine.
const TICKS: f64 = 100.0;
/// Time that a script has to end what it has started.
const FAREWELL: Duration = Duration::from_secs(10);

/// A process, which does not outlive the demonstration.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // A script ends what it has started when nobody talks to it any more.
        if self.0.stdin.take().is_some() {
            let began = Instant::now();
            while began.elapsed() < FAREWELL && matches!(self.0.try_wait(), Ok(None)) {
                sleep(Duration::from_millis(20));
            }
        }
        // It may have ended by itself.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

impl Process {
    /// Seconds of CPU that it has taken, where the system tells.
    fn cpu_seconds(&self) -> Option<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).ok()?;
        // The name, in brackets, may have spaces; user and system time are fields 14 and 15.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
        let mut ticks = || fields.next()?.parse::<f64>().ok();
        Some((ticks()? + ticks()?) / TICKS)
    }
}

/// A binary beside this one.
fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(path.exists(), "there is no {}: `cargo build --workspace --bins` makes it", path.display());
    Ok(path)
}

fn log(folder: &Path, name: &str) -> anyhow::Result<File> {
    let path = folder.join(name);
    File::create(&path).with_context(|| path.display().to_string())
}

/// The coordinator.
pub(crate) struct Coordinator {
    process: Process,
    url: String,
}

impl Coordinator {
    /// Starts one whose batches have so many transactions, with the accounts and parameters in the folder.
    pub(crate) fn start(folder: &Path, transactions: u64, settlement: (u64, Address)) -> anyhow::Result<Self> {
        let (chain_id, contract) = (settlement.0, hex::encode(settlement.1.0));
        let settings = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\ndata = {:?}\nparams = {:?}\n\
             [chain]\nid = {chain_id}\ncontract = \"0x{contract}\"\n\
             [scheduler]\ntarget_s = 10\nmin_steps = 4\n\
             [sequencer]\nenabled = true\naccounts = {:?}\nleast_fee = 0\nbatch_transactions = {transactions}\n\
             sequence_batches = 1\n",
            folder.join("data"),
            folder.join("params"),
            folder.join("accounts"),
        );
        let file = folder.join("coordinator.toml");
        fs::write(&file, settings).with_context(|| file.display().to_string())?;
        let mut child = Command::new(binary("coordinator")?)
            .args(["serve", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log(folder, "coordinator.log")?)
            .spawn()?;
        let out = child.stdout.take().context("a pipe")?;
        let process = Process(child);
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let said = || fs::read_to_string(folder.join("coordinator.log")).unwrap_or_default();
        let url = line.trim().strip_prefix("listening on ");
        let url = url.with_context(|| format!("the coordinator does not start: {}", said()))?.to_owned();
        Ok(Self { process, url })
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Seconds of CPU that it has taken.
    pub(crate) fn cpu_seconds(&self) -> Option<f64> {
        self.process.cpu_seconds()
    }
}

/// Something that folds.
pub(crate) struct Prover {
    /// What it is called here.
    pub(crate) name: String,
    /// Where it is paid.
    pub(crate) payout: Address,
    /// The coordinator's numbers for it: one for each of its connections.
    pub(crate) numbers: BTreeSet<u64>,
    process: Process,
}

impl Prover {
    /// Starts a native one.
    pub(crate) fn native(
        folder: &Path,
        coordinator: &Coordinator,
        number: u8,
        payout: Address,
        threads: usize,
    ) -> anyhow::Result<Self> {
        let name = format!("native prover {number}");
        let mut command = Command::new(binary("prover-native")?);
        command
            .args(["--url", coordinator.url(), "--payout", &payout.to_string()])
            .args(["--threads", &threads.to_string(), "--json", "--data"])
            .arg(folder.join(format!("native-{number}")));
        Self::start(folder, name, payout, command.stdin(Stdio::null()))
    }

    /// Starts one in Node that drives another host: a script of `xtask/demo/`.
    pub(crate) fn host(
        root: &Path,
        folder: &Path,
        coordinator: &Coordinator,
        (name, script): (&str, &str),
        payout: Address,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new("node");
        command.arg(root.join("xtask/demo").join(script));
        command.args([coordinator.url(), &payout.to_string()]).arg(folder);
        Self::start(folder, name.to_owned(), payout, command.stdin(Stdio::piped()))
    }

    fn start(folder: &Path, name: String, payout: Address, command: &mut Command) -> anyhow::Result<Self> {
        let file = name.replace(' ', "-");
        let child = command
            .stdout(log(folder, &format!("{file}.log"))?)
            .stderr(log(folder, &format!("{file}.err"))?)
            .spawn()
            .with_context(|| format!("starting the {name}"))?;
        Ok(Self { name, payout, numbers: BTreeSet::new(), process: Process(child) })
    }

    /// Fails if it has ended, with what it said.
    pub(crate) fn check(&mut self, folder: &Path) -> anyhow::Result<()> {
        if let Some(status) = self.process.0.try_wait()? {
            let file = folder.join(format!("{}.err", self.name.replace(' ', "-")));
            let said = fs::read_to_string(file).unwrap_or_default();
            anyhow::bail!("the {} ended with {status}: {said}", self.name);
        }
        Ok(())
    }

    /// Seconds of CPU that it has taken, where the system tells. A script's are not those of what it drives.
    pub(crate) fn cpu_seconds(&self) -> Option<f64> {
        if self.process.0.stdin.is_none() { self.process.cpu_seconds() } else { None }
    }
}
