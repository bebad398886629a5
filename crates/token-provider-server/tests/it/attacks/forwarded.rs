//! Headers that only a proxy of ours may write, written by strangers; and requests that two readers would read
//! differently.

use super::{Target, assert_refusal};
use crate::support::wire::{Connection, request};

const ELSEWHERE: &str = "[access.trusted_proxy]\nfrom = [\"10.0.0.0/8\"]\nheader = \"X-Forwarded-User\"\n";
const HERE: &str = "[access.trusted_proxy]\nfrom = [\"127.0.0.1\"]\nheader = \"X-Forwarded-User\"\n";

#[tokio::test]
async fn callers_name_is_not_taken_from_strangers() {
    let target = Target::start(ELSEWHERE).await;
    let requests: [&[(&str, &str)]; 6] = [
        &[("X-Forwarded-User", "alice")],
        &[("X-Forwarded-User", "alice"), ("X-Forwarded-For", "10.0.0.1")],
        &[("X-Forwarded-User", "alice"), ("Forwarded", "for=10.0.0.1;by=10.0.0.2")],
        &[("X-Forwarded-User", "alice"), ("X-Real-IP", "10.0.0.1")],
        &[("X-Forwarded-User", "alice"), ("Via", "1.1 proxy"), ("X-Forwarded-Proto", "https")],
        &[("X-Remote-User", "alice"), ("Remote-User", "alice"), ("X-Forwarded-Preferred-Username", "alice")],
    ];
    for headers in requests {
        let reply = target.get(headers).await;
        assert_eq!(reply.status, 401, "{headers:?}: {reply:?}");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer realm=\"token-provider\""));
    }
    // Nor do they tell how it is called, or that it speaks TLS.
    let headers = [("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Proto", "https")];
    let metadata =
        request(target.server.address, "GET", "/.well-known/oauth-authorization-server", &headers).await;
    assert_eq!(metadata.json()["issuer"], format!("http://{}", target.server.address));
    target.assert_nothing_happened();
    let lines = target.lines();
    assert_eq!(lines.len(), requests.len());
    for line in &lines {
        assert_refusal(line, 401, "authenticate", "127.0.0.1");
    }
}

#[tokio::test]
async fn address_is_not_taken_from_strangers() {
    let limit = "[access]\nanonymous = true\nanonymous_rate = \"1/h\"\n";
    let target = Target::start(&format!("{limit}{ELSEWHERE}")).await;
    assert_eq!(target.get(&[("X-Forwarded-For", "192.0.2.1")]).await.status, 200);
    for address in ["192.0.2.2", "2001:db8::1", "10.0.0.1", "127.0.0.1, 192.0.2.3"] {
        let reply = target.get(&[("X-Forwarded-For", address)]).await;
        assert_eq!((reply.status, reply.error()), (429, "slow_down".to_owned()), "{address}: {reply:?}");
    }
    let lines = target.lines();
    assert_eq!((lines.len(), &lines[0]["address"]), (5, &"127.0.0.1".into()));
    for line in &lines[1..] {
        assert_refusal(line, 429, "rate", "127.0.0.1");
    }
}

#[tokio::test]
async fn balancer_that_names_nobody_is_believed_about_addresses_and_tls_and_nothing_else() {
    let balancer = "[access.trusted_proxy]\nfrom = [\"127.0.0.1\"]\n";
    let key = format!("[[access.api_keys]]\nid = \"a\"\nsha256 = \"{}\"\n", "a".repeat(64));
    let target = Target::start(&format!("[access]\nanonymous_rate = \"1/h\"\n{balancer}{key}")).await;
    let headers = [("X-Forwarded-Proto", "https")];
    let metadata =
        request(target.server.address, "GET", "/.well-known/oauth-authorization-server", &headers).await;
    assert_eq!(metadata.json()["token_endpoint"], format!("https://{}/oauth2/token", target.server.address));
    for (address, status) in [("192.0.2.1", 401), ("192.0.2.1", 429), ("192.0.2.2", 401)] {
        let reply = target.get(&[("X-Forwarded-For", address), ("X-Forwarded-User", "alice")]).await;
        assert_eq!(reply.status, status, "{address}: {reply:?}");
    }
    target.assert_nothing_happened();
    let lines = target.lines();
    assert_refusal(&lines[1], 429, "rate", "192.0.2.1");
    assert_refusal(&lines[2], 401, "authenticate", "192.0.2.2");
}

#[tokio::test]
async fn name_that_slips_past_the_proxy_names_nobody() {
    let target = Target::start(HERE).await;
    assert_eq!(target.get(&[("X-Forwarded-User", "alice")]).await.status, 200, "the proxy's own");
    let refused: [&[(&str, &str)]; 5] = [
        // Added by a proxy that has not taken away the caller's.
        &[("X-Forwarded-User", "mallory"), ("X-Forwarded-User", "alice")],
        &[("x-forwarded-user", "mallory"), ("X-Forwarded-User", "alice")],
        // What servers of other makes would take for the same name.
        &[("X_Forwarded_User", "alice")],
        &[("X-Forwarded_User", "alice")],
        &[("X-Forwarded-User", "")],
    ];
    for headers in refused {
        assert_eq!(target.get(headers).await.status, 401, "{headers:?}");
    }
    let lines = target.lines();
    assert_eq!((&lines[0]["method"], &lines[0]["caller"]), (&"trusted_proxy".into(), &"alice".into()));
    for line in &lines[1..] {
        assert_refusal(line, 401, "authenticate", "127.0.0.1");
    }
    assert_eq!(lines.len(), 1 + refused.len());
}

/// Where a proxy and the server disagree on where a request ends, the rest of a caller's body becomes the next request,
/// with the name that the proxy gives the next caller.
#[tokio::test]
async fn request_with_two_ends_is_refused_and_the_connection_closed() {
    const SMUGGLED: &str = "GET /getToken HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-User: alice\r\n\r\n";
    let target = Target::start(HERE).await;
    let length = SMUGGLED.len();
    let heads = [
        format!("Content-Length: 0\r\nContent-Length: {length}"),
        format!("Content-Length: {length}\r\nContent-Length: 0"),
        format!("Content-Length: 0, {length}"),
        "Content-Length: +0".to_owned(),
        "Content-Length: 0x0".to_owned(),
        "Content-Length: -1".to_owned(),
        "Transfer-Encoding: xchunked".to_owned(),
        "Transfer-Encoding: chunked, identity".to_owned(),
        "Transfer-Encoding : chunked".to_owned(),
        "X: y\r\n Transfer-Encoding: chunked".to_owned(),
        "X: y\rTransfer-Encoding: chunked".to_owned(),
        "X\0: y".to_owned(),
    ];
    for head in &heads {
        let mut connection = Connection::open(target.server.address).await;
        let bytes = format!("POST /livez HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n{SMUGGLED}");
        connection.send(bytes).await;
        assert!(connection.is_refused_with(&[400, 405]).await, "{head:?}");
        assert!(connection.is_closed_by_server().await, "{head:?}: the rest was read as a request");
    }
    // Both kinds of length: the chunks count (RFC 9112 §6.3), and nothing is read after them.
    let bytes = format!(
        "POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\n\r\n{SMUGGLED}"
    );
    let mut connection = Connection::open(target.server.address).await;
    connection.send(bytes).await;
    assert!(connection.is_refused_with(&[400, 405]).await);
    assert!(connection.is_closed_by_server().await, "the rest was read as a request");
    target.assert_nothing_happened();
}
