//! The processes of the demonstration.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, ensure};
use crowdfold_fold::Address;

/// Ticks of the processor's time in a second: what Linux counts in for programs, on every machine.
const TICKS: f64 = 100.0;

/// A process, which does not outlive the demonstration.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
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

/// A prover.
pub(crate) struct Prover(Process);

impl Prover {
    /// Starts one.
    pub(crate) fn start(
        folder: &Path,
        coordinator: &Coordinator,
        payout: Address,
        threads: usize,
    ) -> anyhow::Result<Self> {
        let name = format!("prover-{}", payout.0[0]);
        let child = Command::new(binary("prover-native")?)
            .args(["--url", coordinator.url(), "--payout", &format!("0x{}", hex::encode(payout.0))])
            .args(["--threads", &threads.to_string(), "--json", "--data"])
            .arg(folder.join(&name))
            .stdin(Stdio::null())
            .stdout(log(folder, &format!("{name}.log"))?)
            .stderr(log(folder, &format!("{name}.err"))?)
            .spawn()?;
        Ok(Self(Process(child)))
    }

    /// Seconds of CPU that it has taken.
    pub(crate) fn cpu_seconds(&self) -> Option<f64> {
        self.0.cpu_seconds()
    }
}
