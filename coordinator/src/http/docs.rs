//! The description of the interface, and the page that shows it.

use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{Html, IntoResponse as _};
use axum::routing::get;
use axum::{Json, Router};
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, openapi};

use super::App;

/// The page needs nothing from elsewhere, and nothing else runs in it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

#[derive(OpenApi)]
#[openapi(
    info(title = "Crowdfold coordinator", description = "Jobs in, verified root proofs out."),
    tags(
        (name = "jobs", description = "Order computations to be proved"),
        (name = "proofs", description = "Fetch and verify proofs"),
        (name = "programs", description = "What is proved here"),
        (name = "provers", description = "Who proves, and their credit"),
        (name = "events", description = "What happens"),
        (name = "rollup", description = "The sequencer: transactions, accounts, batches"),
        (name = "administration", description = "For administrators"),
        (name = "health", description = "For whoever operates it"),
    ),
    modifiers(&Token),
)]
struct About;

struct Token;

impl Modify for Token {
    fn modify(&self, openapi: &mut openapi::OpenApi) {
        let token = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        openapi.components.get_or_insert_default().add_security_scheme("token", token);
    }
}

/// What is true of the whole interface.
pub(super) fn about() -> openapi::OpenApi {
    About::openapi()
}

/// Adds to each operation what it answers to requests that it does not grant.
fn with_errors(mut description: openapi::OpenApi) -> openapi::OpenApi {
    let body = openapi::ContentBuilder::new().schema(Some(openapi::Ref::from_schema_name("ErrorBody"))).build();
    let text = "What is wrong with the request: it can't be understood, has no token, is too large, comes too often.";
    let error = openapi::ResponseBuilder::new().description(text).content("application/json", body).build();
    for path in description.paths.paths.values_mut() {
        let operations = [&mut path.get, &mut path.put, &mut path.post, &mut path.delete];
        for operation in operations.into_iter().flatten() {
            operation.responses.responses.entry("default".into()).or_insert_with(|| error.clone().into());
        }
    }
    description
}

/// Serves the description of all routes, and the page.
pub(super) fn routes(description: openapi::OpenApi) -> Router<App> {
    let description = with_errors(description);
    let page = [(CONTENT_SECURITY_POLICY, POLICY)];
    let of = |kind: &'static str, text: &'static str| get(async move || ([(CONTENT_TYPE, kind)], text).into_response());
    Router::new()
        .route("/openapi.json", get(async move || Json(description)))
        .route("/docs", get(async move || (page, Html(include_str!("docs/page.html"))).into_response()))
        .route("/docs/page.js", of("text/javascript; charset=utf-8", include_str!("docs/page.js")))
        .route("/docs/page.css", of("text/css; charset=utf-8", include_str!("docs/page.css")))
}
