//! Replacing all tokens of a profile: for callers on this machine, and for no page of another site.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use token_provider_server::parts::Admin;
use token_provider_server::parts::access::ConnectionInfo;
use token_provider_server::parts::http::Service as _;

use super::{CONFIG, start};
use crate::support::server::{Server, Setup};
use crate::support::wire::{Reply, get, request};
use crate::support::within;

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A query, header fields, and the status that they get.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], u16);

async fn revoke(admin: SocketAddr, query: &str, headers: &[(&str, &str)]) -> Reply {
    request(admin, "POST", &format!("/revoke{query}"), headers).await
}

async fn token(server: &Server, query: &str) -> String {
    let reply = get(server.address, &format!("/getToken{query}")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.text().to_owned()
}

#[tokio::test]
async fn all_tokens_of_one_profile_are_replaced_once_in_ten_seconds() {
    let server = Setup::default().config(&format!("{CONFIG}[profiles.maps]\n")).start().await;
    let admin = server.admin().await;
    let queries = ["?profile=maps", "?profile=maps&ttl=600", ""];
    let mut before = Vec::new();
    for query in queries {
        before.push(token(&server, query).await);
    }
    // Asked for since they came.
    for query in queries {
        token(&server, query).await;
    }
    let requests = server.sandbox.stats().token_requests;
    let reply = revoke(admin, "?profile=maps", &[JSON]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    for (query, old) in queries.iter().zip(&before).take(2) {
        within("another token", async { while token(&server, query).await == *old {} }).await;
    }
    assert_eq!(token(&server, "").await, before[2], "another profile's");
    assert_eq!(server.sandbox.stats().token_requests, requests + 2);

    let again = revoke(admin, "?profile=maps", &[JSON]).await;
    assert_eq!((again.status, again.error().as_str()), (429, "slow_down"), "{again:?}");
    let pause: u64 = again.header("retry-after").and_then(|pause| pause.parse().ok()).expect("is a number");
    assert!((1..=10).contains(&pause), "{pause}");
    assert_eq!(revoke(admin, "?profile=default", &[JSON]).await.status, 200, "has a pause of its own");
}

#[tokio::test]
async fn request_that_replaces_nothing_says_why() {
    let server = start().await;
    let admin = server.admin().await;
    let held = token(&server, "").await;
    let own = format!("http://{admin}");
    let neighbour = format!("http://{}", server.address);
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let table: [Case<'_>; 13] = [
        ("", &[JSON], 400),
        ("?profile=default&profile=default", &[JSON], 400),
        ("?profile=default", &[], 400),
        ("?profile=default", &[form], 400),
        ("?profile=default", &[("Content-Type", "text/plain")], 400),
        ("?profile=defaul", &[JSON], 404),
        ("?profile=all", &[JSON], 404),
        ("?profile=default", &[JSON, ("Origin", "https://evil.example")], 403),
        ("?profile=default", &[JSON, ("Origin", &neighbour)], 403),
        ("?profile=default", &[JSON, ("Sec-Fetch-Site", "same-site")], 403),
        ("?profile=default", &[JSON, ("Host", "evil.example")], 403),
        ("?profile=default", &[JSON, ("X-Forwarded-For", "192.0.2.1")], 403),
        ("?profile=default", &[JSON, ("Via", "1.1 proxy")], 403),
    ];
    for (query, headers, status) in table {
        let reply = revoke(admin, query, headers).await;
        assert_eq!(reply.status, status, "{query} {headers:?}: {reply:?}");
        assert_eq!(reply.header("access-control-allow-origin"), None, "{reply:?}");
    }
    let reply = get(admin, "/revoke?profile=default").await;
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")), "{reply:?}");
    let preflight = [("Origin", own.as_str()), ("Access-Control-Request-Method", "POST")];
    assert_eq!(request(admin, "OPTIONS", "/revoke?profile=default", &preflight).await.status, 405);
    assert_eq!(get(server.address, "/revoke").await.status, 404, "callers have no such path");
    assert_eq!(token(&server, "").await, held);
    assert_eq!(server.sandbox.stats().token_requests, 1);
    // None of them has used up the one in ten seconds. The server's own page may.
    assert_eq!(revoke(admin, "?profile=default", &[JSON, ("Origin", &own)]).await.status, 200);
}

#[tokio::test]
async fn tokens_are_replaced_only_for_who_is_on_this_machine() {
    let server = start().await;
    let admin = Admin(Arc::clone(&server.app));
    for (peer, status) in [
        (Some("192.0.2.1:4711"), 403),
        (Some("[2001:db8::1]:4711"), 403),
        (Some("[::ffff:192.0.2.1]:4711"), 403),
        (Some("10.0.0.1:4711"), 403),
        (Some("[::ffff:127.0.0.1]:4711"), 200),
        (Some("[::1]:4711"), 429),
        // A Unix socket.
        (None, 429),
    ] {
        let request = Request::post("/revoke?profile=default").header("Host", "localhost");
        let request = request.header("Content-Type", "application/json");
        let request = request.body(Full::new(Bytes::new())).expect("is well-formed");
        let peer = peer.map(|peer| peer.parse().expect("is an address"));
        let connection = ConnectionInfo { peer, ..ConnectionInfo::default() };
        assert_eq!(admin.answer(request, &connection).await.status(), status, "{peer:?}");
    }
}
