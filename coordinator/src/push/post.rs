//! Posting a task over HTTP, and what comes back.

use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, Request, Response, StatusCode, Uri};
use bytes::Bytes;
use crowdfold_wire::Reason;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use tokio::time::timeout;

use crate::http::OCTETS;

/// The header of an answer that says how many steps its proof is of.
pub const STEPS_HEADER: &str = "crowdfold-steps";
/// Time for a connection to one of a function's addresses.
const CONNECT: Duration = Duration::from_secs(10);
/// Bytes that are read of an answer that is no proof. What is longer is not told.
const REASON_BYTES: usize = 4 << 10;

/// A proof, as a function has answered with it. Nothing of it is believed.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) steps: u64,
    pub(super) proof: Bytes,
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    /// It does not take the task, and would not take it again.
    #[error("it refuses the task with {status}: {why}")]
    Refused { status: StatusCode, why: Reason },
    /// It does not take a task now.
    #[error("it takes no task now, {status}: {why}")]
    Busy { status: StatusCode, why: Reason, wait: Option<Duration> },
    /// It can't be reached.
    #[error("it can't be reached: {0}")]
    Unreachable(String),
    /// It took too long.
    #[error("there was no proof within {} s", .0.as_secs())]
    Late(Duration),
    /// It failed, or what it said makes no sense.
    #[error("{0}")]
    Failed(String),
}

/// The client that all tasks share. It follows no redirect: a task is for one URL. It asks no proxy, and has a connection
/// for each task, as they are few and long.
#[derive(Clone, Debug)]
pub(super) struct Poster(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

#[derive(Deserialize)]
struct Why {
    message: String,
}

impl Poster {
    pub(super) fn new() -> Self {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(CONNECT));
        http.set_nodelay(true);
        let https =
            HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().wrap_connector(http);
        Self(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(https))
    }

    /// Posts a task and waits so long for a proof of at most so many bytes. Dropped, it closes the connection.
    pub(super) async fn post(&self, url: &Uri, task: Vec<u8>, most: u64, time: Duration) -> Result<Answer, PostError> {
        timeout(time, self.answer(url, task, most)).await.unwrap_or(Err(PostError::Late(time)))
    }

    async fn answer(&self, url: &Uri, task: Vec<u8>, most: u64) -> Result<Answer, PostError> {
        let request = Request::post(url).header(CONTENT_TYPE, OCTETS).body(Full::from(task));
        let request = request.map_err(|error| PostError::Failed(error.to_string()))?;
        let response = self.0.request(request).await.map_err(|error| match error.is_connect() {
            true => PostError::Unreachable(chain(&error)),
            // It may have read the task.
            false => PostError::Failed(format!("the connection broke: {}", chain(&error))),
        })?;
        let status = response.status();
        match status {
            StatusCode::OK => proof(response, most).await,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                let wait = wait(response.headers());
                Err(PostError::Busy { status, why: reason(response).await, wait })
            }
            _ if status.is_redirection() => {
                let why = Reason::lossy("a redirect; set the URL that the function answers at");
                Err(PostError::Refused { status, why })
            }
            _ if status.is_client_error() => Err(PostError::Refused { status, why: reason(response).await }),
            _ => Err(PostError::Failed(format!("it answers {status}: {}", reason(response).await))),
        }
    }
}

async fn proof(response: Response<Incoming>, most: u64) -> Result<Answer, PostError> {
    let kind = response.headers().get(CONTENT_TYPE).map_or(&[][..], |kind| kind.as_bytes());
    if kind != OCTETS.as_bytes() {
        return Err(PostError::Failed(format!("its answer is no proof: expected `{OCTETS}`")));
    }
    let steps = number(response.headers(), STEPS_HEADER);
    let steps = steps.ok_or_else(|| PostError::Failed(format!("its answer has no number as `{STEPS_HEADER}`")))?;
    let most_bytes = usize::try_from(most).unwrap_or(usize::MAX);
    let body = Limited::new(response.into_body(), most_bytes).collect().await.map_err(|error| {
        PostError::Failed(match error.is::<LengthLimitError>() {
            true => format!("its answer has more than the {most} bytes of a proof of this program"),
            false => format!("its answer broke off: {error}"),
        })
    })?;
    Ok(Answer { steps, proof: body.to_bytes() })
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

fn wait(headers: &HeaderMap) -> Option<Duration> {
    number(headers, RETRY_AFTER.as_str()).map(Duration::from_secs)
}

/// What an answer says that is no proof, where it says it as functions do.
async fn reason(response: Response<Incoming>) -> Reason {
    let body = Limited::new(response.into_body(), REASON_BYTES).collect().await;
    let why = body.ok().and_then(|body| serde_json::from_slice::<Why>(&body.to_bytes()).ok());
    Reason::lossy(why.as_ref().map_or("it does not say why", |why| &why.message))
}

/// An error with what it came of: what a client says alone is only that it failed.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
