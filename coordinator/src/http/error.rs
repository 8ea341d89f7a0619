//! What is wrong with a request, or here.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use crowdfold_programs::PlanError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::jobs::JobError;
use crate::metrics::Refusal;
use crate::store::StoreError;
use crate::ws::Unspoken;

/// What is wrong with a request, or here.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No token, or none that is known.
    #[error("a token is needed: send it as `Authorization: Bearer TOKEN`")]
    Unauthorized,
    /// The token's role does not allow it.
    #[error("only an administrator may do this")]
    Forbidden,
    /// There is no such thing, or it is another client's.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// What is there can't be asked like this.
    #[error("this can't be done here: see /docs")]
    Method,
    /// The request can't be granted.
    #[error("{0}")]
    Bad(String),
    /// A prover of another protocol.
    #[error(transparent)]
    Unspoken(#[from] Unspoken),
    /// It is too large.
    #[error("{0}")]
    TooLarge(String),
    /// It contradicts what is there.
    #[error("{0}")]
    Conflict(String),
    /// Too many requests.
    #[error("too many requests: try again in {0} s")]
    TooMany(u64),
    /// It can't be done now.
    #[error("{0}")]
    Unavailable(String),
}

/// The body of every answer that is no success.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// For programs.
    #[schema(example = "not_found")]
    pub error: &'static str,
    /// For people.
    pub message: String,
}

/// What went wrong, left with an answer for those who count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused(pub Refusal);

impl HttpError {
    fn parts(&self) -> (StatusCode, &'static str, Option<Refusal>) {
        match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", Some(Refusal::Token)),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", Some(Refusal::Token)),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not_found", None),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", Some(Refusal::Request)),
            Self::Bad(_) => (StatusCode::BAD_REQUEST, "bad_request", Some(Refusal::Request)),
            Self::Unspoken(_) => (StatusCode::BAD_REQUEST, "bad_request", Some(Refusal::Version)),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", Some(Refusal::Size)),
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict", None),
            Self::TooMany(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many", Some(Refusal::Rate)),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", None),
        }
    }

    /// The coordinator is about to end.
    pub(super) fn stopping() -> Self {
        Self::Unavailable("the coordinator is stopping".into())
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let (status, error, refusal) = self.parts();
        let mut response = (status, Json(ErrorBody { error, message: self.to_string() })).into_response();
        if let Self::TooMany(seconds) = self {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        if let Some(refusal) = refusal {
            response.extensions_mut().insert(Refused(refusal));
        }
        response
    }
}

/// The largest number that the database can hold. Nothing has a greater one.
const NUMBERS: u64 = i64::MAX.unsigned_abs();

impl From<StoreError> for HttpError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::KeyReused { .. } => Self::Conflict("this idempotency key was used for another request".into()),
            StoreError::Conflict { .. } | StoreError::NotEmpty { .. } => Self::Conflict(error.to_string()),
            StoreError::Limit { limit: NUMBERS, .. } => Self::Bad(format!("numbers go up to {NUMBERS}")),
            StoreError::Limit { .. } => Self::TooLarge(error.to_string()),
            other => {
                tracing::error!(error = %other, "the store fails");
                Self::Unavailable("the coordinator can't read or write its files now".into())
            }
        }
    }
}

impl From<JobError> for HttpError {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Plan(PlanError::TooLarge { .. }) | JobError::Steps { .. } => Self::TooLarge(error.to_string()),
            JobError::Plan(_) | JobError::Key => Self::Bad(error.to_string()),
            JobError::Store(error) => error.into(),
            JobError::Execution | JobError::Randomness(_) => {
                tracing::error!(%error, "a job can't be accepted");
                Self::Unavailable(error.to_string())
            }
        }
    }
}

macro_rules! rejections {
    ($($rejection:ty),*) => {
        $(impl From<$rejection> for HttpError {
            fn from(rejection: $rejection) -> Self {
                match rejection.status() {
                    StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge(rejection.body_text()),
                    _ => Self::Bad(rejection.body_text()),
                }
            }
        })*
    };
}

rejections!(PathRejection, QueryRejection, JsonRejection, WebSocketUpgradeRejection);
