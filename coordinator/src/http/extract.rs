//! What is taken from requests. Whatever is wrong with it becomes an [`HttpError`].

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::error::HttpError;

/// The parameters in a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path<T>(pub T);

/// The parameters of a query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<T>(pub T);

/// A body of JSON.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpError> {
        Ok(Self(axum::extract::Path::from_request_parts(parts, state).await?.0))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpError> {
        Ok(Self(axum::extract::Query::from_request_parts(parts, state).await?.0))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Form<T> {
    type Rejection = HttpError;

    async fn from_request(request: Request, state: &S) -> Result<Self, HttpError> {
        Ok(Self(axum::Json::from_request(request, state).await?.0))
    }
}
