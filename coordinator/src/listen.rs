//! The listener: connections within their limits, requests that come in time.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::http::access::network;
use crate::metrics::{Metrics, Refusal};
use crate::settings::RequestSettings;

/// Bytes of the head of a request.
const HEAD_BYTES: usize = 16 << 10;
/// Time before another connection is taken where the process can't open any more.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Connections of each address.
#[derive(Debug, Default)]
struct Addresses(Mutex<HashMap<IpAddr, usize>>);

/// A connection that counts while this lives.
#[derive(Debug)]
pub struct Counted {
    addresses: Arc<Addresses>,
    address: IpAddr,
    metrics: Metrics,
    _permit: OwnedSemaphorePermit,
}

impl Addresses {
    /// Counts one more, if there are fewer than `most`.
    fn add(&self, address: IpAddr, most: usize) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        let is_allowed = most == 0 || *count < most;
        if is_allowed {
            *count += 1;
        }
        is_allowed
    }

    fn remove(&self, address: IpAddr) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&address);
            }
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.addresses.remove(self.address);
        self.metrics.connections.dec();
    }
}

/// Serves requests until it is dropped, and all its connections with it.
pub async fn serve(listener: TcpListener, app: Router, settings: RequestSettings, metrics: Metrics) {
    let (addresses, room) = (Arc::<Addresses>::default(), Arc::new(Semaphore::new(settings.connections)));
    let mut connections = JoinSet::new();
    loop {
        // Those that ended are forgotten as others come.
        while connections.try_join_next().is_some() {}
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Of one connection that went away, or for want of descriptors: both pass.
                tracing::debug!(%error, "a connection can't be taken");
                tokio::time::sleep(EXHAUSTED).await;
                continue;
            }
        };
        let address = network(peer.ip());
        let permit = Arc::clone(&room).try_acquire_owned().ok();
        let Some(permit) = permit.filter(|_| addresses.add(address, settings.connections_per_address)) else {
            // There is nothing to be said to it that would not cost more than it is worth.
            metrics.refuse(Refusal::Connection);
            continue;
        };
        metrics.connections.inc();
        let (addresses, metrics) = (Arc::clone(&addresses), metrics.clone());
        let counted = Counted { addresses, address, metrics, _permit: permit };
        connections.spawn(connection(stream, peer, app.clone(), Duration::from_secs(settings.head_s), counted));
    }
}

/// Serves one connection. An upgraded one goes on by itself, and counts as long as it does.
async fn connection(stream: TcpStream, peer: SocketAddr, app: Router, head: Duration, counted: Counted) {
    // Answers and frames are small, and somebody waits for each.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection went away");
        return;
    }
    let metrics = counted.metrics.clone();
    let counted = Arc::new(counted);
    let service = TowerToHyperService::new(app.map_request(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(Arc::clone(&counted));
        request
    }));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(HEAD_BYTES);
    let served = http.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
    if served.is_err_and(|error| error.is_timeout()) {
        metrics.refuse(Refusal::Slow);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_an_address_are_counted() {
        let addresses = Addresses::default();
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        assert!(addresses.add(one, 2) && addresses.add(one, 2) && addresses.add(other, 2));
        assert!(!addresses.add(one, 2));
        addresses.remove(one);
        assert!(addresses.add(one, 2));
        (0..2).for_each(|_| addresses.remove(one));
        addresses.remove(other);
        assert!(addresses.0.lock().expect("nobody panicked").is_empty());
    }

    #[test]
    fn no_limit_is_none() {
        let addresses = Addresses::default();
        assert!((0..1_000).all(|_| addresses.add(IpAddr::from([10, 0, 0, 1]), 0)));
    }
}
