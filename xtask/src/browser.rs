//! A prover in headless Chromium, driven over the standard streams of `prover-wasm/tests/remote.mjs`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, anyhow, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The script that starts Chromium and the web server, and passes commands on to the page.
const SCRIPT: &str = "prover-wasm/tests/remote.mjs";

/// A browser with the prover of one program loaded. Dropping it stops Chromium and the web server.
pub(crate) struct Browser {
    child: Child,
    /// Closed on dropping: the script stops everything when its input ends, however this process ended.
    commands: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
}

/// A line of the script.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Reply {
    Result(Value),
    Error(String),
}

impl Browser {
    /// Starts it; Chromium runs when the first [`Browser::call`] returns.
    ///
    /// # Errors
    /// If Node.js can't be started.
    pub(crate) fn start(root: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new("node")
            .current_dir(root)
            .arg(SCRIPT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting node: run `./just setup`")?;
        let commands = child.stdin.take();
        let replies = BufReader::new(child.stdout.take().context("its output is a pipe")?);
        Ok(Self { child, commands, replies })
    }

    /// Runs a command of `prover-wasm/tests/commands.mjs` in the page's worker.
    ///
    /// # Errors
    /// What the page threw, or that the script stopped.
    pub(crate) fn call<T: DeserializeOwned>(&mut self, command: &str, arguments: Value) -> anyhow::Result<T> {
        let commands = self.commands.as_mut().context("the script was told to stop")?;
        writeln!(commands, "{}", json!({ "command": command, "arguments": arguments })).context("talking to node")?;
        let mut line = String::new();
        if self.replies.read_line(&mut line).context("listening to node")? == 0 {
            bail!("node stopped: see above");
        }
        match serde_json::from_str(&line).with_context(|| format!("node said `{}`", line.trim_end()))? {
            Reply::Result(value) => Ok(serde_json::from_value(value)?),
            Reply::Error(message) => Err(anyhow!("{command} in Chromium: {message}")),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.commands.take());
        // The script ends within seconds of its input, by force if need be.
        let _ = self.child.wait();
    }
}
