//! Processes of the `coordinator`, and what they need.

// A test waits for processes, which takes time.
#![allow(clippy::disallowed_methods)]

use crate::store_world::Folder;
use crowdfold_fold::{Fr, Srs};
use crowdfold_programs::Squarings;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, BufWriter, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// The program of these tests, and the name of its file.
pub(crate) const PROGRAM: &str = "squarings/1/1";
pub(crate) const FILE: &str = "squarings+1+1.params";
/// What is waited for comes in a moment; far later only where something is stuck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Powers of tau that the merge circuit needs.
const POWERS: usize = 1 << 16;

/// Files that all tests share, in every run: `dev.ptau`, and `params/` made from it. Each is there in whole, or not.
pub(crate) static SHARED: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli-shared");
    fs::create_dir_all(&folder).expect("the target folder can be written");
    let (srs, new) = (folder.join("dev.ptau"), folder.join(format!("{}.new", std::process::id())));
    Srs::insecure_development(POWERS).write_ptau(BufWriter::new(File::create(&new).expect("a file"))).expect("powers");
    fs::rename(new, &srs).expect("a file");
    let (srs, out) = (srs.to_str().expect("text"), folder.join("params"));
    coordinator(&["params", "make", PROGRAM, "--srs", srs, "--out", out.to_str().expect("text")]).done();
    folder
});

/// A path among the shared files.
pub(crate) fn shared(name: &str) -> String {
    SHARED.join(name).to_str().expect("text").to_owned()
}

/// The job of so many steps.
pub(crate) fn job(steps: u64) -> Vec<u8> {
    let inputs: Vec<Fr> = (1..=steps).map(Fr::from).collect();
    Squarings::job(Fr::from(3), &inputs)
}

/// A command without what the environment of the tests says.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coordinator"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COORDINATOR_") || name == "RUST_LOG") {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    pub(crate) fn of(mut command: Command) -> Self {
        let output = command.stdin(Stdio::null()).output().expect("a process");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        let code = output.status.code().expect("it ended by itself");
        Self { code, out: text(output.stdout), err: text(output.stderr) }
    }

    /// It did what it was asked for: its standard output.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// The JSON object that it printed.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(self.done().trim()).expect("an object")
    }

    /// It failed with this code and one line that says all of this.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, says: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        let line = self.err.lines().last().unwrap_or_default();
        assert!(line.starts_with("coordinator: ") && says.iter().all(|part| line.contains(part)), "{says:?}: {self:?}");
    }
}

/// Runs a command to its end.
pub(crate) fn coordinator(arguments: &[&str]) -> Ended {
    Ended::of(command(arguments))
}

/// A process that goes on, and is not left behind.
pub(crate) struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
    /// Where it listens, as http://127.0.0.1:4090.
    pub(crate) url: String,
}

impl Running {
    /// Starts a command that prints where it listens.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = command(arguments);
        command.env("RUST_LOG", "error");
        let mut running = Self::spawn(command);
        let line = running.line();
        running.url = line.strip_prefix("listening on ").expect("where it listens").to_owned();
        running
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("a process");
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, lines, url: String::new() }
    }

    /// A coordinator on the data folder of a test.
    pub(crate) fn serve(folder: &Folder) -> Self {
        let (data, params) = (folder.text("data"), shared("params"));
        Self::start(&["serve", "--data", &data, "--params", &params, "--listen", "127.0.0.1:0"])
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// Its standard error, where that was asked for.
    pub(crate) fn logs(&mut self) -> ChildStderr {
        self.child.stderr.take().expect("a pipe")
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().expect("kill").success());
    }

    /// Waits for its end: the code and the rest of what it printed.
    pub(crate) fn end(mut self) -> (i32, String) {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a process") {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        };
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).expect("text");
        (status.code().expect("it ended by itself"), rest)
    }

    /// As an operator stops it.
    pub(crate) fn stop(self) {
        self.signal("-TERM");
        assert_eq!(self.end().0, 0);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// A client of a coordinator that does not run: the file with its token.
pub(crate) fn add_client(folder: &Folder, name: &str) -> String {
    let token = coordinator(&["client", "add", name, "--data", &folder.text("data")]).done();
    let file = folder.text(&format!("{name}.token"));
    fs::write(&file, token).expect("a file");
    file
}
