//! A small client of the coordinator.

use std::io::{BufRead as _, BufReader, Read as _};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;

/// Something that happened.
pub(crate) struct Event {
    /// What.
    pub(crate) kind: String,
    /// The rest.
    pub(crate) data: Value,
}

/// The coordinator's interface.
pub(crate) struct Api {
    agent: ureq::Agent,
    url: String,
}

impl Api {
    pub(crate) fn new(url: &str) -> Self {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        Self { agent, url: url.to_owned() }
    }

    /// Fetches some bytes.
    pub(crate) fn bytes(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let mut answer = self.agent.get(format!("{}{path}", self.url)).call().with_context(|| path.to_owned())?;
        let mut bytes = Vec::new();
        answer.body_mut().as_reader().read_to_end(&mut bytes)?;
        ensure!(answer.status() == 200, "{path}: {} {}", answer.status(), String::from_utf8_lossy(&bytes));
        Ok(bytes)
    }

    /// Fetches text.
    pub(crate) fn text(&self, path: &str) -> anyhow::Result<String> {
        Ok(String::from_utf8(self.bytes(path)?)?)
    }

    /// Fetches JSON.
    pub(crate) fn get(&self, path: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(&self.bytes(path)?)?)
    }

    /// Fetches JSON until it is as wanted.
    pub(crate) fn wait(&self, path: &str, is_it: impl Fn(&Value) -> bool, most: Duration) -> anyhow::Result<Value> {
        let began = Instant::now();
        loop {
            let found = self.get(path)?;
            if is_it(&found) {
                return Ok(found);
            }
            ensure!(began.elapsed() < most, "{path} stays as it is: {found}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Sends JSON.
    pub(crate) fn post(&self, path: &str, body: &[u8]) -> anyhow::Result<Value> {
        let request = self.agent.post(format!("{}{path}", self.url)).header("content-type", "application/json");
        let mut answer = request.send(body).with_context(|| path.to_owned())?;
        let mut bytes = Vec::new();
        answer.body_mut().as_reader().read_to_end(&mut bytes)?;
        ensure!(answer.status() == 200, "{path}: {} {}", answer.status(), String::from_utf8_lossy(&bytes));
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// What happens from now on, as long as the coordinator runs.
    pub(crate) fn events(&self) -> anyhow::Result<Receiver<Event>> {
        let answer = self.agent.get(format!("{}/v1/events", self.url)).call()?;
        ensure!(answer.status() == 200, "/v1/events: {}", answer.status());
        let (to, events) = channel();
        let mut lines = BufReader::new(answer.into_body().into_reader()).lines();
        let mut next = move || -> Option<Event> {
            let (mut kind, mut data) = (String::new(), Value::Null);
            loop {
                let line = lines.next()?.ok()?;
                if let Some(found) = line.strip_prefix("event: ") {
                    kind = found.to_owned();
                } else if let Some(found) = line.strip_prefix("data: ") {
                    data = serde_json::from_str(found).ok()?;
                } else if line.is_empty() && !kind.is_empty() {
                    return Some(Event { kind, data });
                }
            }
        };
        // The first one tells how things are, and that the rest will come.
        next().context("the coordinator tells no events")?;
        thread::spawn(move || while next().is_some_and(|event| to.send(event).is_ok()) {});
        Ok(events)
    }
}
