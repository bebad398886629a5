//! The control endpoint: faults and statistics, for whoever sits at this machine and nobody else.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::account::Account;
use crate::base_url::BaseUrl;
use crate::fault::Fault;
use crate::problem::Refusal;
use crate::stats::Stats;

/// Headers that a reverse proxy adds: the peer on loopback is then not who asks.
const FORWARDING: [&str; 5] =
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];

/// Why a request to the control endpoint is turned away, in the order of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Denied {
    #[error("the control endpoint is for connections from this machine")]
    Peer,
    #[error("the control endpoint is not reachable through a proxy")]
    Forwarded,
    #[error("the Host header must be a loopback name or address")]
    Host,
    #[error("a web page of another site must not use the control endpoint")]
    Origin,
}

pub(super) fn routes() -> Router<Arc<Account>> {
    Router::new()
        .route("/sandbox/faults", get(list).put(replace).delete(clear))
        .route("/sandbox/stats", get(stats))
        // Before the layer, so that it covers a preflight, whose method no route has.
        .method_not_allowed_fallback(|| async { Refusal::METHOD_NOT_ALLOWED })
        .layer(middleware::from_fn(local_only))
}

async fn list(State(account): State<Arc<Account>>) -> Json<Vec<Fault>> {
    Json(account.faults.list())
}

/// Takes one fault or an array of them, in the place of those in force.
async fn replace(State(account): State<Arc<Account>>, body: Result<Bytes, BytesRejection>) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return invalid(rejection.status(), &rejection.body_text()),
    };
    match parse(&body) {
        Ok(faults) => {
            tracing::info!(count = faults.len(), "faults replaced");
            account.faults.replace(faults);
            list(State(account)).await.into_response()
        }
        Err(error) => invalid(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

async fn clear(State(account): State<Arc<Account>>) -> StatusCode {
    account.faults.clear();
    StatusCode::NO_CONTENT
}

async fn stats(State(account): State<Arc<Account>>) -> Json<Stats> {
    Json(account.stats().clone())
}

fn parse(body: &[u8]) -> Result<Vec<Fault>, serde_json::Error> {
    // By way of a value, because an untagged "one or many" would lose the message about the key that is
    // wrong.
    match serde_json::from_slice(body)? {
        Value::Array(values) => values.into_iter().map(serde_json::from_value).collect(),
        value => Ok(vec![serde_json::from_value(value)?]),
    }
}

/// Keeps out other machines (peer), web sites that made a name point here (Host), and pages that merely
/// send requests here (Origin). Pages of this machine, such as the demonstration's, may read the answers.
async fn local_only(request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    if let Err(denied) = check(peer, request.headers()) {
        return invalid(StatusCode::FORBIDDEN, &denied.to_string());
    }
    let Some(origin) = request.headers().get(header::ORIGIN).cloned() else {
        return next.run(request).await;
    };
    let is_preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response =
        if is_preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    if is_preflight {
        let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
        set(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, PUT, DELETE");
        set(header::ACCESS_CONTROL_ALLOW_HEADERS, "Content-Type");
        set(header::ACCESS_CONTROL_MAX_AGE, "600");
    }
    response
}

fn check(peer: Option<SocketAddr>, headers: &HeaderMap) -> Result<(), Denied> {
    if !peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback()) {
        return Err(Denied::Peer);
    }
    if FORWARDING.iter().any(|name| headers.contains_key(*name)) {
        return Err(Denied::Forwarded);
    }
    let is_loopback = |url: Option<BaseUrl>| url.is_some_and(|url| url.is_loopback());
    if !is_loopback(BaseUrl::from_headers(headers)) {
        return Err(Denied::Host);
    }
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let is_local = match (origins.next(), origins.next()) {
        // A browser that names no origin still says whether another site is behind the request. With an origin that
        // is not the question: to a page at `localhost`, `127.0.0.1` is another site.
        (None, _) => headers.get("sec-fetch-site").is_none_or(|site| site != "cross-site"),
        (Some(origin), None) => is_loopback(origin.to_str().ok().and_then(BaseUrl::from_origin)),
        (Some(_), Some(_)) => false,
    };
    if is_local { Ok(()) } else { Err(Denied::Origin) }
}

fn invalid(status: StatusCode, description: &str) -> Response {
    let error = if status == StatusCode::FORBIDDEN { "access_denied" } else { "invalid_request" };
    (status, Json(json!({ "error": error, "error_description": description }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 1] = [("host", "127.0.0.1:8080")];

    fn outcome(peer: &str, headers: &[(&'static str, &'static str)]) -> Result<(), Denied> {
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        check(Some(peer.parse().unwrap()), &headers)
    }

    #[test]
    fn only_this_machine_may_connect() {
        for peer in ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(outcome(peer, &GOOD), Ok(()), "{peer}");
        }
        for peer in ["10.0.0.1:1", "192.168.1.1:1", "[fe80::1]:1", "[::ffff:10.0.0.1]:1"] {
            assert_eq!(outcome(peer, &GOOD), Err(Denied::Peer), "{peer}");
        }
        assert_eq!(check(None, &HeaderMap::new()), Err(Denied::Peer));
    }

    #[test]
    fn host_must_be_loopback() {
        for host in ["localhost", "localhost:3000", "[::1]:1", "sandbox.localhost"] {
            assert_eq!(outcome("127.0.0.1:1", &[("host", host)]), Ok(()), "{host}");
        }
        for host in ["example.com", "localhost.example.com:8080", "10.0.0.1", ""] {
            assert_eq!(outcome("127.0.0.1:1", &[("host", host)]), Err(Denied::Host), "{host}");
        }
        assert_eq!(outcome("127.0.0.1:1", &[]), Err(Denied::Host));
        let twice = [("host", "localhost"), ("host", "localhost")];
        let headers = twice.iter().fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(*name, value.parse().unwrap());
            map
        });
        assert_eq!(check("127.0.0.1:1".parse().ok(), &headers), Err(Denied::Host));
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
            assert_eq!(with("origin", origin), Err(Denied::Origin), "{origin}");
        }
        assert_eq!(with("sec-fetch-site", "cross-site"), Err(Denied::Origin));
        assert_eq!(with("sec-fetch-site", "same-origin"), Ok(()));
        let from = |origin| {
            let headers = [GOOD[0], ("origin", origin), ("sec-fetch-site", "cross-site")];
            outcome("127.0.0.1:1", &headers)
        };
        assert_eq!(from("http://localhost:3000"), Ok(()), "a page of this machine");
        assert_eq!(from("https://example.com"), Err(Denied::Origin));
        for name in FORWARDING {
            assert_eq!(with(name, "127.0.0.1"), Err(Denied::Forwarded), "{name}");
        }
    }
}
