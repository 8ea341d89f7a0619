//! Who asks, and whether it may.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, OptionalFromRequestParts, Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use sha2::{Digest as _, Sha256};

use super::App;
use super::error::{HttpError, Refused};
use crate::metrics::{self, observe};
use crate::settings::RequestSettings;
use crate::store::{Client, Role, Store as _, TokenHash};

/// Addresses whose requests are counted. At it, those that were quiet are forgotten, and if there are none, new ones are
/// refused.
const ADDRESSES: usize = 65_536;

/// A request with a client's token.
#[derive(Clone, Debug)]
pub struct Caller(pub Client);

/// A request with an administrator's token.
#[derive(Clone, Debug)]
pub struct Admin(pub Client);

/// The client of a request's token, if there is one.
async fn client(app: &App, headers: &HeaderMap) -> Result<Option<Client>, HttpError> {
    let Some(value) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let token = value.to_str().ok().and_then(|value| value.strip_prefix("Bearer "));
    let mut bytes = [0; 32];
    hex::decode_to_slice(token.ok_or(HttpError::Unauthorized)?, &mut bytes).map_err(|_| HttpError::Unauthorized)?;
    let found = app.gateway.storage.store.client(TokenHash(Sha256::digest(bytes).into())).await?;
    found.filter(|client| client.revoked.is_none()).map(Some).ok_or(HttpError::Unauthorized)
}

impl FromRequestParts<App> for Caller {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, HttpError> {
        client(app, &parts.headers).await?.map(Self).ok_or(HttpError::Unauthorized)
    }
}

/// A request may come without a token, but not with a wrong one.
impl OptionalFromRequestParts<App> for Caller {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Option<Self>, HttpError> {
        Ok(client(app, &parts.headers).await?.map(Self))
    }
}

impl FromRequestParts<App> for Admin {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, HttpError> {
        let Caller(client) = <Caller as FromRequestParts<App>>::from_request_parts(parts, app).await?;
        if client.role == Role::Admin { Ok(Self(client)) } else { Err(HttpError::Forbidden) }
    }
}

/// Limits the requests of each address.
#[derive(Clone, Debug)]
pub struct Limiter(Option<Arc<DefaultKeyedRateLimiter<IpAddr>>>);

impl Limiter {
    /// With what settings say.
    pub fn new(settings: &RequestSettings) -> Self {
        let quota = std::num::NonZeroU32::new(settings.per_second).map(Quota::per_second);
        let burst = std::num::NonZeroU32::new(settings.burst);
        let quota = quota.map(|quota| burst.map_or(quota, |burst| quota.allow_burst(burst)));
        Self(quota.map(|quota| Arc::new(DefaultKeyedRateLimiter::hashmap(quota))))
    }

    /// Lets a request in.
    fn check(&self, address: IpAddr) -> Result<(), HttpError> {
        let Some(limiter) = &self.0 else { return Ok(()) };
        if limiter.len() >= ADDRESSES {
            limiter.retain_recent();
            if limiter.len() >= ADDRESSES {
                return Err(HttpError::TooMany(1));
            }
        }
        limiter.check_key(&network(address)).map_err(|not_until| {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            HttpError::TooMany(wait.as_secs().saturating_add(1))
        })
    }
}

/// What counts as one address: whoever has one of IPv6 has 2^64 of them.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
    }
}

/// The address of a request: that of the connection, or what a proxy says.
fn address(app: &App, request: &Request) -> Option<IpAddr> {
    let header = &app.settings.server.address_header;
    if header.is_empty() {
        return request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
    }
    request.headers().get(header)?.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
}

/// Lets only administrators through.
pub(super) async fn admin(_: Admin, request: Request, next: Next) -> Response {
    next.run(request).await
}

/// Limits, counts and times requests.
// It is measured how long they take.
#[allow(clippy::disallowed_methods)]
pub(super) async fn guard(State(app): State<App>, path: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = path.as_ref().map_or("other", MatchedPath::as_str).to_owned();
    // Connections of provers are limited by their number, and one that is open sends no further requests.
    let is_free = matches!(route.as_str(), "/v1/prove" | "/healthz" | "/readyz" | "/metrics");
    let allowed = match address(&app, &request) {
        Some(address) if !is_free => app.limiter.check(address),
        _ => Ok(()),
    };
    let response = match allowed {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    };
    count(&app, route, &response, began.elapsed());
    response
}

fn count(app: &App, route: String, response: &Response, took: Duration) {
    if let Some(Refused(kind)) = response.extensions().get() {
        app.metrics.refuse(*kind);
    }
    let status = response.status().as_u16();
    app.metrics.requests.get_or_create(&metrics::Request { route: route.clone(), status }).inc();
    observe(&app.metrics.request_seconds.get_or_create(&metrics::Route { route }), took);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_own_limit() {
        let limiter = Limiter::new(&RequestSettings { per_second: 1, burst: 2, ..RequestSettings::default() });
        let (one, other) = ("10.0.0.1".parse().expect("an address"), "10.0.0.2".parse().expect("an address"));
        assert!(limiter.check(one).is_ok() && limiter.check(one).is_ok());
        assert!(matches!(limiter.check(one), Err(HttpError::TooMany(1..=2))));
        assert!(limiter.check(other).is_ok());
    }

    #[test]
    fn no_limit_is_none() {
        let limiter = Limiter::new(&RequestSettings { per_second: 0, ..RequestSettings::default() });
        assert!((0..10_000).all(|_| limiter.check(IpAddr::from([1, 2, 3, 4])).is_ok()));
    }

    #[test]
    fn addresses_of_one_network_count_together() {
        let of = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }
}
