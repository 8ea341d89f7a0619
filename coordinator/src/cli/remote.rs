//! A coordinator somewhere else, over HTTP.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use ureq::http::{Response, StatusCode};
use ureq::typestate::WithoutBody;
use ureq::{Agent, Body, RequestBuilder};

use super::exit::Exit;
use super::files;
use super::output::answer;

/// Time to connect. Beyond, the coordinator counts as not reached.
const CONNECT: Duration = Duration::from_secs(10);
/// Time to the head of an answer: a job is executed before it is accepted. Beyond, as above.
const ANSWER: Duration = Duration::from_secs(660);
/// Time without a byte. Beyond, the connection is given up.
const SILENCE: Duration = Duration::from_secs(660);
/// Time without a byte of a stream of events, in which a comment comes every few seconds.
const EVENT_SILENCE: Duration = Duration::from_secs(60);
/// Time for the answer that it serves, which takes no work. Beyond, it does not serve.
const HEALTH: Duration = Duration::from_secs(4);
/// Bytes of an answer in JSON. Beyond, it is no answer of a coordinator.
const JSON_BYTES: u64 = 64 << 20;
/// Bytes of a token's file.
const TOKEN_BYTES: u64 = 1 << 10;

/// Where to find the token that says who asks. It is never an argument, because those can be seen by all.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Token {
    /// File with the token of a client, 64 hexadecimal digits; else the environment's COORDINATOR_TOKEN is taken.
    #[arg(long)]
    token_file: Option<PathBuf>,
}

impl Token {
    fn read(&self) -> anyhow::Result<Option<String>> {
        let (text, whose) = match &self.token_file {
            Some(path) => {
                let bytes = files::read(path, TOKEN_BYTES)?;
                (String::from_utf8_lossy(&bytes).into_owned(), path.display().to_string())
            }
            None => match std::env::var("COORDINATOR_TOKEN") {
                Ok(text) => (text, "COORDINATOR_TOKEN".to_owned()),
                Err(_) => return Ok(None),
            },
        };
        let token = text.trim();
        if token.len() != 64 || hex::decode(token).is_err() {
            return Err(Exit::Arguments.error(format!("{whose} is no token: expected 64 hexadecimal digits")));
        }
        Ok(Some(token.to_owned()))
    }
}

/// Which coordinator, and who asks.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RemoteArgs {
    /// The coordinator, as https://prove.example.
    #[arg(long, env = "COORDINATOR_URL", default_value = "http://127.0.0.1:4090")]
    url: String,
    #[command(flatten)]
    token: Token,
}

impl RemoteArgs {
    /// The coordinator. Nothing is sent yet.
    pub(crate) fn remote(&self) -> anyhow::Result<Remote> {
        Remote::new(&self.url, &self.token)
    }
}

/// A coordinator.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    agent: Agent,
    events: Agent,
    base: String,
    token: Option<String>,
}

impl Remote {
    /// The coordinator at an address. Nothing is sent yet.
    pub(crate) fn new(url: &str, token: &Token) -> anyhow::Result<Self> {
        let base = url.trim_end_matches('/');
        let host = base.strip_prefix("http://").or_else(|| base.strip_prefix("https://"));
        if host.is_none_or(|host| host.is_empty() || host.contains(['?', '#', '@'])) {
            return Err(Exit::Arguments.error(format!("expected an address as https://prove.example, got `{url}`")));
        }
        let agent = |silence| {
            let config = Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .timeout_connect(Some(CONNECT))
                .timeout_recv_response(Some(ANSWER))
                .timeout_per_read(Some(silence));
            config.build().new_agent()
        };
        let (agent, events) = (agent(SILENCE), agent(EVENT_SILENCE));
        Ok(Self { agent, events, base: base.to_owned(), token: token.read()? })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// What is read at a path.
    pub(crate) fn get(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Value> {
        self.json(self.ask(self.agent.get(self.url(path)), query)?)
    }

    /// What comes of a deletion.
    pub(crate) fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.json(self.ask(self.agent.delete(self.url(path)), &[])?)
    }

    /// What comes of an order.
    pub(crate) fn post_json(&self, path: &str, order: &Value) -> anyhow::Result<Value> {
        let body = order.to_string();
        self.post(path, &[], &[("content-type", "application/json")], body.as_bytes())
    }

    /// What comes of an order in bytes.
    pub(crate) fn post(
        &self,
        path: &str,
        query: &[(&str, String)],
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> anyhow::Result<Value> {
        let mut request = self.authorized(self.agent.post(self.url(path)));
        request = query.iter().fold(request, |request, (name, value)| request.query(name, value));
        request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.json(self.answer(request.send(body))?)
    }

    /// The bytes at a path, at most so many.
    pub(crate) fn bytes(&self, path: &str, limit: u64) -> anyhow::Result<Vec<u8>> {
        let mut answer = self.ask(self.agent.get(self.url(path)), &[])?;
        let read = answer.body_mut().with_config().limit(limit).read_to_vec();
        read.map_err(|error| self.unreachable(&error))
    }

    /// A stream of events.
    pub(crate) fn stream(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<impl Read + use<>> {
        Ok(self.ask(self.events.get(self.url(path)), query)?.into_body().into_reader())
    }

    fn authorized<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    fn ask(&self, request: RequestBuilder<WithoutBody>, query: &[(&str, String)]) -> anyhow::Result<Response<Body>> {
        let request = self.authorized(request);
        self.answer(query.iter().fold(request, |request, (name, value)| request.query(name, value)).call())
    }

    fn unreachable(&self, error: &ureq::Error) -> anyhow::Error {
        Exit::Unreachable.error(format!("{} can't be reached: {error}", self.base))
    }

    /// An answer that is none of refusal.
    fn answer(&self, sent: Result<Response<Body>, ureq::Error>) -> anyhow::Result<Response<Body>> {
        let mut answer = match sent {
            Ok(answer) if answer.status().is_success() => return Ok(answer),
            Ok(answer) => answer,
            Err(ureq::Error::BadUri(why)) => return Err(Exit::Arguments.error(format!("{}: {why}", self.base))),
            Err(error) => return Err(self.unreachable(&error)),
        };
        let status = answer.status();
        let later = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let text = answer.body_mut().with_config().limit(JSON_BYTES).read_to_string().unwrap_or_default();
        let said = serde_json::from_str::<Value>(&text).ok();
        let message = said.as_ref().and_then(|said| said["message"].as_str()).map(str::to_owned);
        let mut message = message.unwrap_or_else(|| format!("{} answers {status}", self.base));
        if let Some(seconds) = later {
            message += &format!("; try again in {seconds} s");
        }
        Err(kind(status).error(message))
    }

    fn json(&self, mut answer: Response<Body>) -> anyhow::Result<Value> {
        let text = answer.body_mut().with_config().limit(JSON_BYTES).read_to_string();
        let text = text.map_err(|error| self.unreachable(&error))?;
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(|| format!("{} does not answer as a coordinator", self.base))
    }
}

/// The kind of failure that a status means.
fn kind(status: StatusCode) -> Exit {
    match status.as_u16() {
        401 | 403 => Exit::Refused,
        404 => Exit::NotFound,
        409 => Exit::Conflict,
        408 | 429 | 502..=504 => Exit::Unreachable,
        _ => Exit::Failure,
    }
}

/// `health`.
pub(crate) fn health(arguments: &RemoteArgs, json: bool) -> anyhow::Result<()> {
    let remote = arguments.remote()?;
    let request = remote.agent.get(remote.url("/healthz"));
    remote.answer(request.config().timeout_global(Some(HEALTH)).build().call())?;
    answer(json, &json!({ "url": remote.base, "healthy": true }), format!("{} serves", remote.base))
}
