//! The control endpoint: faults and statistics, for callers on this machine only.

use std::net::SocketAddr;

use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use serde_json::Value;

use super::cors;
use crate::base_url::BaseUrl;
use crate::fault::Fault;
use crate::problem::Refusal;
use crate::sandbox::Sandbox;
use crate::stats::Stats;

/// Headers that a reverse proxy adds: the peer on loopback is then not who asks.
const FORWARDING: [&str; 5] =
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];

pub(super) fn routes() -> Router<Sandbox> {
    Router::new()
        .route("/sandbox/faults", get(list).put(replace).delete(clear))
        .route("/sandbox/stats", get(stats))
        // Before the layer, so that it covers a preflight, whose method no route has.
        .method_not_allowed_fallback(|| async { Refusal::METHOD_NOT_ALLOWED })
        .layer(middleware::from_fn(local_only))
}

async fn list(State(sandbox): State<Sandbox>) -> Json<Vec<Fault>> {
    Json(sandbox.faults().list())
}

/// Takes one fault or an array of them; they replace those in force.
async fn replace(
    state: State<Sandbox>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Vec<Fault>>, Refusal> {
    let faults = parse(&body?).map_err(|error| Refusal::no_faults(&error))?;
    tracing::info!(count = faults.len(), "faults replaced");
    state.faults().replace(faults);
    Ok(list(state).await)
}

async fn clear(State(sandbox): State<Sandbox>) -> StatusCode {
    sandbox.faults().clear();
    StatusCode::NO_CONTENT
}

async fn stats(State(sandbox): State<Sandbox>) -> Json<Stats> {
    Json(sandbox.stats())
}

fn parse(body: &[u8]) -> serde_json::Result<Vec<Fault>> {
    // By way of a value, because an untagged "one or many" would lose the message about the key that is
    // wrong.
    match serde_json::from_slice(body)? {
        Value::Array(values) => values.into_iter().map(serde_json::from_value).collect(),
        value => Ok(vec![serde_json::from_value(value)?]),
    }
}

/// Keeps out other machines (peer), web sites that made a name point here (Host), and pages that merely
/// send requests here (Origin). Pages of this machine, such as the demonstration's, may read the answers.
async fn local_only(
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    check(peer, request.headers())?;
    Ok(match request.headers().get(header::ORIGIN).cloned() {
        Some(origin) => cors::answer(origin, ("GET, PUT, DELETE", "Content-Type"), request, next).await,
        None => next.run(request).await,
    })
}

fn check(peer: SocketAddr, headers: &HeaderMap) -> Result<(), Refusal> {
    if !peer.ip().to_canonical().is_loopback() {
        return Err(Refusal::NOT_LOCAL);
    }
    if FORWARDING.iter().any(|name| headers.contains_key(*name)) {
        return Err(Refusal::PROXY);
    }
    let is_loopback = |url: Option<BaseUrl>| url.is_some_and(|url| url.is_loopback());
    if !is_loopback(BaseUrl::from_headers(headers)) {
        return Err(Refusal::HOST_NOT_LOCAL);
    }
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let is_local = match (origins.next(), origins.next()) {
        // A browser that names no origin still tells if another site is behind the request. With an origin that
        // is not the question: to a page at `localhost`, `127.0.0.1` is another site.
        (None, _) => headers.get("sec-fetch-site").is_none_or(|site| site != "cross-site"),
        (Some(origin), None) => is_loopback(origin.to_str().ok().and_then(BaseUrl::from_origin)),
        (Some(_), Some(_)) => false,
    };
    if is_local { Ok(()) } else { Err(Refusal::FOREIGN_PAGE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 1] = [("host", "127.0.0.1:8080")];

    fn outcome(peer: &str, headers: &[(&'static str, &'static str)]) -> Result<(), Refusal> {
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        check(peer.parse().unwrap(), &headers)
    }

    #[test]
    fn only_this_machine_may_connect() {
        for peer in ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(outcome(peer, &GOOD), Ok(()), "{peer}");
        }
        for peer in ["10.0.0.1:1", "192.168.1.1:1", "[fe80::1]:1", "[::ffff:10.0.0.1]:1"] {
            assert_eq!(outcome(peer, &GOOD), Err(Refusal::NOT_LOCAL), "{peer}");
        }
    }

    #[test]
    fn host_must_be_loopback() {
        for host in ["localhost", "localhost:3000", "[::1]:1", "sandbox.localhost"] {
            assert_eq!(outcome("127.0.0.1:1", &[("host", host)]), Ok(()), "{host}");
        }
        for host in ["example.com", "localhost.example.com:8080", "10.0.0.1", ""] {
            assert_eq!(outcome("127.0.0.1:1", &[("host", host)]), Err(Refusal::HOST_NOT_LOCAL), "{host}");
        }
        assert_eq!(outcome("127.0.0.1:1", &[]), Err(Refusal::HOST_NOT_LOCAL));
        let twice = [("host", "localhost"), ("host", "localhost")];
        let headers = twice.iter().fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(*name, value.parse().unwrap());
            map
        });
        assert_eq!(check("127.0.0.1:1".parse().unwrap(), &headers), Err(Refusal::HOST_NOT_LOCAL));
    }

    #[test]
    fn foreign_pages_and_proxies_are_kept_out() {
        let with = |name, value| outcome("127.0.0.1:1", &[GOOD[0], (name, value)]);
        for origin in ["http://localhost:5173", "http://127.0.0.1:8080", "https://[::1]"] {
            assert_eq!(with("origin", origin), Ok(()), "{origin}");
        }
        for origin in [
            "https://example.com",
            "null",
            "",
            "http://localhost.example.com",
            "file://",
            "chrome-extension://abc",
        ] {
            assert_eq!(with("origin", origin), Err(Refusal::FOREIGN_PAGE), "{origin}");
        }
        assert_eq!(with("sec-fetch-site", "cross-site"), Err(Refusal::FOREIGN_PAGE));
        assert_eq!(with("sec-fetch-site", "same-origin"), Ok(()));
        let from = |origin| {
            let headers = [GOOD[0], ("origin", origin), ("sec-fetch-site", "cross-site")];
            outcome("127.0.0.1:1", &headers)
        };
        assert_eq!(from("http://localhost:3000"), Ok(()), "a page of this machine");
        assert_eq!(from("https://example.com"), Err(Refusal::FOREIGN_PAGE));
        for name in FORWARDING {
            assert_eq!(with(name, "127.0.0.1"), Err(Refusal::PROXY), "{name}");
        }
    }
}
