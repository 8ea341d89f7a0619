//! Processes: the coordinator, as it is built for servers, and provers that fold.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

/// A job takes some minutes here; far more only where something is stuck.
const PATIENCE: Duration = Duration::from_secs(900);
/// Time between two looks at a job.
const LOOK: Duration = Duration::from_millis(50);

/// Where the programs are that are measured.
#[derive(Clone, Debug)]
pub(crate) struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// Builds them as this program was built.
    pub(crate) fn build(root: &Path) -> anyhow::Result<Self> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.current_dir(root).args([
            "build",
            "--quiet",
            "-p",
            "crowdfold-coordinator",
            "-p",
            "crowdfold-prover-native",
        ]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        ensure!(build.status().context("running cargo")?.success(), "the coordinator can't be built: see above");
        let folder = std::env::current_exe()?.parent().context("a program lies in a folder")?.to_owned();
        Ok(Self { folder })
    }

    fn command(&self, name: &str) -> Command {
        Command::new(self.folder.join(name))
    }
}

/// Processor time and memory of a process, from `/proc`.
fn proc(pid: u32, file: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).with_context(|| format!("{path}: processes are measured on Linux only"))
}

/// Seconds of processor time that a process has used, in user and kernel mode.
fn cpu(pid: u32) -> anyhow::Result<f64> {
    let stat = proc(pid, "stat")?;
    // The name, in parentheses, may have spaces in it; the state is the third field.
    let (_, fields) = stat.rsplit_once(')').context("a name")?;
    let ticks = |place: usize| fields.split_whitespace().nth(place).context("a field")?.parse::<u32>().context("ticks");
    // A hundred ticks a second on every Linux that is met in practice: the C library's constant.
    Ok(f64::from(ticks(11)? + ticks(12)?) / 100.0)
}

/// Kilobytes of memory that a process has.
fn memory(pid: u32) -> anyhow::Result<f64> {
    let status = proc(pid, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()?)
}

/// What a coordinator is started with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choices {
    /// Seconds that a segment should take.
    pub(crate) target_s: u64,
    /// Steps of a segment at least.
    pub(crate) min_steps: u64,
}

/// A coordinator's data folder and command line, from which it can be started again and again.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    binaries: Binaries,
    params: PathBuf,
    data: PathBuf,
    choices: Choices,
    token: String,
    pub(crate) address: SocketAddr,
}

impl Site {
    /// An empty data folder with one client, and a free port.
    pub(crate) fn new(binaries: &Binaries, folder: &Path, name: &str, choices: Choices) -> anyhow::Result<Self> {
        let data = folder.join(name);
        if data.exists() {
            fs::remove_dir_all(&data).with_context(|| data.display().to_string())?;
        }
        fs::create_dir_all(&data).with_context(|| data.display().to_string())?;
        let added = binaries.command("coordinator").args(["client", "add", "bench", "--data"]).arg(&data).output()?;
        ensure!(added.status.success(), "a client can't be added: {}", String::from_utf8_lossy(&added.stderr));
        let token = String::from_utf8(added.stdout)?.trim().to_owned();
        // It is free again at once, and nobody else here asks for one.
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        Ok(Self { binaries: binaries.clone(), params: folder.join("params"), data, choices, token, address })
    }

    /// Starts it, and waits until it listens.
    pub(crate) fn start(&self) -> anyhow::Result<Coordinator> {
        let log = File::options().create(true).append(true).open(self.data.with_extension("log"))?;
        let settings = self.data.with_extension("toml");
        let Choices { target_s, min_steps } = self.choices;
        // All of the load comes from one address.
        let text = format!(
            "[server]\ndata = {:?}\nparams = {:?}\n[scheduler]\ntarget_s = {target_s}\nmin_steps = {min_steps}\n\
             [requests]\nper_second = 0\n",
            self.data, self.params,
        );
        fs::write(&settings, text).with_context(|| settings.display().to_string())?;
        let mut child = self
            .binaries
            .command("coordinator")
            .args(["serve", "--listen", &self.address.to_string(), "--config"])
            .arg(&settings)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("starting the coordinator")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("a pipe")?).read_line(&mut line)?;
        let coordinator = Coordinator { process: Process(child), site: self.clone() };
        ensure!(
            line.contains("listening"),
            "the coordinator does not start: see {}",
            self.data.with_extension("log").display()
        );
        Ok(coordinator)
    }

    /// Starts a prover with so many threads, whose data folder is called `name`.
    pub(crate) fn prover(&self, name: &str, threads: usize) -> anyhow::Result<Process> {
        let data = self.data.with_file_name(name);
        let log = File::options().create(true).append(true).open(data.with_extension("log"))?;
        let child = self
            .binaries
            .command("prover-native")
            .args(["--url", &format!("ws://{}", self.address), "--threads", &threads.to_string(), "--json"])
            .args(["--payout", &format!("0x{}", hex::encode([0x20; 20]))])
            .args(["--data".as_ref(), data.as_os_str()])
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting a prover")?;
        Ok(Process(child))
    }
}

/// A process, which does not outlive its owner.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    /// Seconds of processor time so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<f64> {
        cpu(self.0.id())
    }

    /// Kilobytes of memory.
    pub(crate) fn memory(&self) -> anyhow::Result<f64> {
        memory(self.0.id())
    }

    /// As `kill -9`.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// A coordinator that runs.
#[derive(Debug)]
pub(crate) struct Coordinator {
    pub(crate) process: Process,
    pub(crate) site: Site,
}

impl Coordinator {
    fn request(&self, path: &str, body: Option<&[u8]>) -> anyhow::Result<Value> {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let (url, token) = (format!("http://{}{path}", self.site.address), format!("Bearer {}", self.site.token));
        let mut answer = match body {
            Some(body) => agent.post(&url).header("authorization", &token).send(body)?,
            None => agent.get(&url).header("authorization", &token).call()?,
        };
        let mut text = String::new();
        answer.body_mut().as_reader().read_to_string(&mut text)?;
        ensure!(answer.status().is_success(), "{path}: {} {text}", answer.status());
        Ok(serde_json::from_str(&text)?)
    }

    /// Submits a job; its number.
    pub(crate) fn submit(&self, program: &str, body: &[u8]) -> anyhow::Result<u64> {
        let answer = self.request(&format!("/v1/jobs?program={program}"), Some(body))?;
        answer["job"].as_u64().context("a job's number")
    }

    /// A job as it is now.
    pub(crate) fn job(&self, job: u64) -> anyhow::Result<Value> {
        self.request(&format!("/v1/jobs/{job}"), None)
    }

    /// Waits until a job is done.
    pub(crate) fn wait(&self, job: u64) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let found = self.job(job)?;
            match found["state"].as_str() {
                Some("done") => return Ok(()),
                Some("open") if began.elapsed() < PATIENCE => std::thread::sleep(LOOK),
                _ => bail!("job {job} is not done: {found}"),
            }
        }
    }
}
