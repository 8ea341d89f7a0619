//! Following a job to its end.

use std::io::{BufRead as _, BufReader, Read};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::exit::{self, Exit};
use super::jobs::path;
use super::output::say;
use super::remote::Remote;
use super::screen::{Bar, seconds};

/// The shortest and the longest wait before a coordinator that is not there is asked again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Time before a stream of events that ended, or that is not to be had, is asked for again.
const PAUSE: Duration = Duration::from_secs(1);
/// Time between two looks at a job about which there is news.
const NEWS: Duration = Duration::from_millis(500);
/// Time between two looks at a job without news, for the time that is left.
const NO_NEWS: Duration = Duration::from_secs(15);
/// Bytes of a line of the stream. A longer one ends the stream.
const LINE_BYTES: u64 = 1 << 20;

/// How much to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Nothing but the end.
    Nothing,
    /// How far it is, as it comes.
    Progress,
}

/// Waits for a job's end, through restarts of the coordinator.
///
/// # Errors
/// The kind of end if it is not done, or why it can't be followed.
pub(crate) fn to_the_end(remote: &Remote, job: u64, shown: Shown, json: bool) -> anyhow::Result<()> {
    let mut screen = Screen { bar: None, shown, json, last: Value::Null };
    let mut wait = BACKOFF.0;
    loop {
        match follow(remote, job, &mut screen) {
            Ok(Some(ended)) => return end(&ended),
            // The stream ended, or there is none.
            Ok(None) => {
                wait = BACKOFF.0;
                std::thread::sleep(PAUSE);
            }
            Err(error) if exit::of(&error) == Exit::Unreachable => {
                screen.away(&error)?;
                std::thread::sleep(wait);
                wait = (wait * 2).min(BACKOFF.1);
            }
            Err(error) => {
                screen.clear();
                return Err(error);
            }
        }
    }
}

/// Follows a job on one connection: gives it as it ended, or nothing if the connection did.
fn follow(remote: &Remote, job: u64, screen: &mut Screen) -> anyhow::Result<Option<Value>> {
    let look = |screen: &mut Screen| {
        let found = remote.get(&path(job), &[])?;
        screen.job(&found)?;
        let is_open = found["state"] == "open";
        if !is_open {
            screen.clear();
        }
        anyhow::Ok((!is_open).then_some(found))
    };
    if let Some(ended) = look(screen)? {
        return Ok(Some(ended));
    }
    let Ok(stream) = remote.stream("/v1/events", &[("job", job.to_string())]) else { return Ok(None) };
    let (news, heard) = mpsc::sync_channel(1);
    // It ends with the stream: when the coordinator does, or falls silent.
    std::thread::spawn(move || listen(stream, &news));
    // Whatever happened before the stream began is found here; what happens after wakes the loop.
    let mut looked = Instant::now();
    loop {
        let open = wait_for_news(&heard, looked);
        if let Some(ended) = look(screen)? {
            return Ok(Some(ended));
        }
        if !open {
            return Ok(None);
        }
        looked = Instant::now();
    }
}

/// Waits until it is worth looking again: not at once, as news come in bursts. Whether the stream goes on.
fn wait_for_news(heard: &Receiver<()>, looked: Instant) -> bool {
    match heard.recv_timeout(NO_NEWS) {
        Ok(()) => {
            std::thread::sleep(NEWS.saturating_sub(looked.elapsed()));
            true
        }
        Err(RecvTimeoutError::Timeout) => true,
        Err(RecvTimeoutError::Disconnected) => false,
    }
}

/// Tells of each event of a stream. What is in it is asked for: an event may be lost with its connection.
fn listen(stream: impl Read, news: &SyncSender<()>) {
    let mut lines = BufReader::new(stream);
    loop {
        let mut line = String::new();
        match lines.by_ref().take(LINE_BYTES).read_line(&mut line) {
            Ok(read) if read > 0 && line.ends_with('\n') => {}
            _ => return,
        }
        // A full channel holds the news already.
        if line.starts_with("data:") && news.try_send(()) == Err(mpsc::TrySendError::Disconnected(())) {
            return;
        }
    }
}

/// What is shown of a job.
struct Screen {
    bar: Option<Bar>,
    shown: Shown,
    json: bool,
    last: Value,
}

impl Screen {
    fn job(&mut self, job: &Value) -> anyhow::Result<()> {
        if self.shown == Shown::Nothing {
            return Ok(());
        }
        let number = |key: &str| job[key].as_u64().unwrap_or(0);
        let bar = self.bar.get_or_insert_with(|| Bar::new(number("steps"), self.json));
        if bar.is_shown() {
            let left = job["left_ms"].as_u64().map(|left| format!(", {} left", seconds(left / 1000)));
            let message = format!(", {} ranges{}", number("ranges"), left.unwrap_or_default());
            bar.set(&format!("job {}", number("job")), number("covered"), &message);
            self.last = job.clone();
            return Ok(());
        }
        // The time left changes always, and is no news.
        let of = |job: &Value| ["state", "covered", "ranges"].map(|key| job[key].clone());
        if of(&self.last) != of(job) {
            let mut line = json!({ "event": "job" });
            for key in ["job", "state", "covered", "ranges", "steps", "left_ms", "ended_ms", "reason"] {
                line[key] = job[key].clone();
            }
            say(line)?;
            self.last = job.clone();
        }
        Ok(())
    }

    fn away(&mut self, error: &anyhow::Error) -> anyhow::Result<()> {
        match &self.bar {
            Some(bar) if bar.is_shown() => {
                bar.set("waiting for the coordinator", self.last["covered"].as_u64().unwrap_or(0), "");
            }
            _ if self.shown == Shown::Progress => {
                say(json!({ "event": "away", "message": format!("{error:#}") }))?;
                // It is news when it is back.
                self.last = Value::Null;
            }
            _ => {}
        }
        Ok(())
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.clear();
        }
    }
}

/// The end of a job as an exit code.
fn end(job: &Value) -> anyhow::Result<()> {
    let exit = match job["state"].as_str() {
        Some("done") => return Ok(()),
        Some("failed") => Exit::JobFailed,
        Some("expired") => Exit::JobExpired,
        Some("cancelled") => Exit::JobCancelled,
        _ => Exit::Failure,
    };
    let (number, state) = (&job["job"], job["state"].as_str().unwrap_or("in no state"));
    let reason = job["reason"].as_str().filter(|reason| !reason.is_empty());
    Err(exit.error(format!("job {number} is {state}{}", reason.map(|why| format!(": {why}")).unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use super::{Exit, LINE_BYTES, end, exit, listen};
    use serde_json::json;
    use std::sync::mpsc;

    #[test]
    fn the_end_of_a_job_is_an_exit_code() {
        end(&json!({ "job": 1, "state": "done" })).expect("done");
        for (state, expected) in
            [("failed", Exit::JobFailed), ("expired", Exit::JobExpired), ("cancelled", Exit::JobCancelled)]
        {
            let error = end(&json!({ "job": 1, "state": state, "reason": "why" })).expect_err("it is not done");
            assert_eq!((exit::of(&error), error.to_string()), (expected, format!("job 1 is {state}: why")));
        }
    }

    #[test]
    fn events_are_news_and_comments_are_none() {
        let heard = |stream: &str| {
            let (news, heard) = mpsc::sync_channel(100);
            listen(stream.as_bytes(), &news);
            drop(news);
            heard.iter().count()
        };
        assert_eq!(heard(": still here\n\n"), 0);
        assert_eq!(heard("event: snapshot\ndata: {}\n\nevent: job_ended\nid: 2\ndata: {}\n\n"), 2);
        assert_eq!(heard("data: {}"), 0, "a stream may break in the middle of an event");
        let endless = format!("{}\ndata: {{}}\n", "x".repeat(LINE_BYTES as usize));
        assert_eq!(heard(&endless), 0);
    }
}
