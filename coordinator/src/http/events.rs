//! What happens, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::unfold;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::IntoParams;

use super::error::{ErrorBody, HttpError};
use super::extract::Query;
use super::health::StatusBody;
use super::{Answer, App};
use crate::bus::{Heard, Listener};

/// Time after which a comment is sent where nothing happens, so that nobody takes the connection for dead.
const QUIET: Duration = Duration::from_secs(15);

/// Which events are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    /// Only those about this job.
    job: Option<u64>,
}

/// A stream of events.
struct Stream {
    app: App,
    listener: Listener,
    job: Option<u64>,
    /// Whether the reader knows how things are.
    is_new: bool,
    _room: OwnedSemaphorePermit,
}

impl Stream {
    async fn next(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.is_new) {
            return self.snapshot();
        }
        loop {
            match self.listener.next().await? {
                Heard::Missed => return self.snapshot(),
                Heard::News(numbered) if self.job.is_none_or(|job| numbered.news.job() == Some(job)) => {
                    let event = Event::default().event(numbered.news.kind()).id(numbered.number.to_string());
                    // What can't be written as JSON is not in news.
                    return event.json_data(Arc::as_ref(&numbered.news)).ok();
                }
                Heard::News(_) => {}
            }
        }
    }

    fn snapshot(&self) -> Option<Event> {
        Event::default().event("snapshot").json_data(StatusBody::new(&self.app)).ok()
    }
}

/// What happens, as server-sent events.
///
/// The first event is a `snapshot`: what `/v1/status` says. Then follow, as JSON with a `kind`: `job_accepted`,
/// `batch_handed_over`, `segment_assigned`, `range_verified`, `range_merged`, `job_ended`, `proof_refused`, `prover_joined`, `prover_left`.
/// A reader that comes back with `Last-Event-ID` misses nothing of the last 8192 events, or gets a `snapshot` again, and so
/// does one that is too slow.
#[utoipa::path(
    get, path = "/v1/events", tag = "events",
    params(EventsQuery, ("last-event-id" = Option<String>, Header)),
    responses((status = 200, content_type = "text/event-stream"), (status = 503, body = ErrorBody)),
)]
pub(super) async fn events(
    State(app): State<App>,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Answer<Response> {
    let full = |_| HttpError::Unavailable("too many read the events: try again later".into());
    let room = Arc::clone(&app.room.events).try_acquire_owned().map_err(full)?;
    let last = headers.get("last-event-id").and_then(|last| last.to_str().ok()?.parse().ok());
    let listener = app.bus.listen(last);
    let stream = Stream { app, listener, job: query.job, is_new: last.is_none(), _room: room };
    let events = unfold(stream, async |mut stream| {
        let event = stream.next().await?;
        Some((Ok::<_, Infallible>(event), stream))
    });
    let sse = Sse::new(events).keep_alive(KeepAlive::new().interval(QUIET));
    // A proxy that collects answers would hold events back.
    Ok(([("x-accel-buffering", "no")], sse).into_response())
}
