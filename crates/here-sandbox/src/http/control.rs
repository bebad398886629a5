//! The control endpoint: faults and statistics, for callers on this machine only.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use serde_json::{Value, json};

use super::cors::{self, Allowed};
use crate::account::Account;
use crate::base_url::BaseUrl;
use crate::fault::Fault;
use crate::problem::Refusal;
use crate::stats::Stats;

/// Headers that a reverse proxy adds: the peer on loopback is then not who asks.
const FORWARDING: [&str; 5] =
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];

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

/// Takes one fault or an array of them; they replace those in force.
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
async fn local_only(ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request, next: Next) -> Response {
    if let Err(denied) = check(peer, request.headers()) {
        return invalid(StatusCode::FORBIDDEN, denied);
    }
    match request.headers().get(header::ORIGIN).cloned() {
        Some(origin) => {
            let allowed = Allowed { methods: "GET, PUT, DELETE", headers: "Content-Type" };
            cors::answer(origin, &allowed, request, next).await
        }
        None => next.run(request).await,
    }
}

/// Says why a request is turned away.
fn check(peer: SocketAddr, headers: &HeaderMap) -> Result<(), &'static str> {
    if !peer.ip().to_canonical().is_loopback() {
        return Err("the control endpoint is for connections from this machine");
    }
    if FORWARDING.iter().any(|name| headers.contains_key(*name)) {
        return Err("the control endpoint is not reachable through a proxy");
    }
    let is_loopback = |url: Option<BaseUrl>| url.is_some_and(|url| url.is_loopback());
    if !is_loopback(BaseUrl::from_headers(headers)) {
        return Err("the Host header must be a loopback name or address");
    }
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let is_local = match (origins.next(), origins.next()) {
        // A browser that names no origin still tells if another site is behind the request. With an origin that
        // is not the question: to a page at `localhost`, `127.0.0.1` is another site.
        (None, _) => headers.get("sec-fetch-site").is_none_or(|site| site != "cross-site"),
        (Some(origin), None) => is_loopback(origin.to_str().ok().and_then(BaseUrl::from_origin)),
        (Some(_), Some(_)) => false,
    };
    is_local.then_some(()).ok_or("a web page of another site must not use the control endpoint")
}

fn invalid(status: StatusCode, description: &str) -> Response {
    let error = if status == StatusCode::FORBIDDEN { "access_denied" } else { "invalid_request" };
    (status, Json(json!({ "error": error, "error_description": description }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 1] = [("host", "127.0.0.1:8080")];

    const PEER: &str = "the control endpoint is for connections from this machine";
    const HOST: &str = "the Host header must be a loopback name or address";
    const ORIGIN: &str = "a web page of another site must not use the control endpoint";

    fn outcome(peer: &str, headers: &[(&'static str, &'static str)]) -> Result<(), &'static str> {
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
            assert_eq!(outcome(peer, &GOOD), Err(PEER), "{peer}");
        }
    }

    #[test]
    fn host_must_be_loopback() {
        for host in ["localhost", "localhost:3000", "[::1]:1", "sandbox.localhost"] {
            assert_eq!(outcome("127.0.0.1:1", &[("host", host)]), Ok(()), "{host}");
        }
        for host in ["example.com", "localhost.example.com:8080", "10.0.0.1", ""] {
            assert_eq!(outcome("127.0.0.1:1", &[("host", host)]), Err(HOST), "{host}");
        }
        assert_eq!(outcome("127.0.0.1:1", &[]), Err(HOST));
        let twice = [("host", "localhost"), ("host", "localhost")];
        let headers = twice.iter().fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(*name, value.parse().unwrap());
            map
        });
        assert_eq!(check("127.0.0.1:1".parse().unwrap(), &headers), Err(HOST));
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
            assert_eq!(with("origin", origin), Err(ORIGIN), "{origin}");
        }
        assert_eq!(with("sec-fetch-site", "cross-site"), Err(ORIGIN));
        assert_eq!(with("sec-fetch-site", "same-origin"), Ok(()));
        let from = |origin| {
            let headers = [GOOD[0], ("origin", origin), ("sec-fetch-site", "cross-site")];
            outcome("127.0.0.1:1", &headers)
        };
        assert_eq!(from("http://localhost:3000"), Ok(()), "a page of this machine");
        assert_eq!(from("https://example.com"), Err(ORIGIN));
        for name in FORWARDING {
            assert_eq!(
                with(name, "127.0.0.1"),
                Err("the control endpoint is not reachable through a proxy"),
                "{name}"
            );
        }
    }
}
