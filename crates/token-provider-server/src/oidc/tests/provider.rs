//! The identity provider over a real socket, answering well and badly.

use std::fmt::Write as _;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;

use super::support::Key;
use crate::oidc::keys::KeySet;
use crate::oidc::provider::{self, FetchError};
use crate::printable::causes;

/// Makes the answer to the discovery request and to the other one, given the provider's origin.
type Answers = Box<dyn Fn(&str) -> [Vec<u8>; 2]>;

/// A provider that gives fixed answers, byte by byte as they are written here, and tells what it was asked.
struct Wire {
    origin: String,
    requests: mpsc::UnboundedReceiver<String>,
    _task: tokio::task::JoinHandle<()>,
}

impl Wire {
    /// Starts one with answers as of [`Answers`].
    async fn start(answers: impl Fn(&str) -> [Vec<u8>; 2]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let origin = format!("http://{}", listener.local_addr().expect("is bound"));
        let [discovery, keys] = answers(&origin);
        let (note, requests) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { break };
                    request.push(byte);
                }
                let request = String::from_utf8(request).expect("is ASCII");
                let is_discovery = request.starts_with("GET /.well-known/openid-configuration ");
                let _ = note.send(request);
                // A client that has seen enough hangs up.
                let _ = stream.write_all(if is_discovery { &discovery } else { &keys }).await;
            }
        });
        Self { origin, requests, _task: task }
    }

    async fn fetch(&self) -> Result<KeySet, FetchError> {
        fetch_from(&self.origin).await
    }

    fn asked(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.requests.try_recv().ok()).collect()
    }
}

async fn fetch_from(origin: &str) -> Result<KeySet, FetchError> {
    let discovery = format!("{origin}/.well-known/openid-configuration").parse().expect("is a URL");
    provider::fetch(origin.to_owned(), discovery).await
}

fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}")
        .into_bytes()
}

fn ok(body: &str) -> Vec<u8> {
    answer("200 OK", "", body)
}

fn discovery(origin: &str) -> String {
    json!({ "issuer": origin, "jwks_uri": format!("{origin}/keys"), "token_endpoint": "x" }).to_string()
}

fn chunked(size: usize) -> Vec<u8> {
    let mut text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n".to_owned();
    write!(text, "{size:x}\r\n{}\r\n0\r\n\r\n", " ".repeat(size)).expect("can be written");
    text.into_bytes()
}

#[tokio::test]
async fn keys_are_found_through_the_discovery_document() {
    let keys = json!({ "keys": [Key::p256().jwk("a"), Key::ed25519().jwk("b")] }).to_string();
    let mut wire = Wire::start(|origin| [ok(&discovery(origin)), ok(&keys)]).await;
    assert_eq!(wire.fetch().await.expect("is well-formed").len(), 2);
    let asked = wire.asked();
    let [first, second] = asked.as_slice() else { panic!("{asked:?}") };
    assert!(first.starts_with("GET /.well-known/openid-configuration HTTP/1.1\r\n"), "{first}");
    assert!(second.starts_with("GET /keys HTTP/1.1\r\n"), "{second}");
    for request in [first, second] {
        assert!(request.contains("accept: application/json\r\n"), "{request}");
        assert!(request.contains("user-agent: token-provider/"), "{request}");
    }
}

#[tokio::test]
async fn bad_answer_is_an_error_that_repeats_nothing_of_it() {
    let body = |text: &str| format!("{text} planted-secret");
    let table: Vec<(&str, Answers, &str, usize)> = vec![
        (
            "no such document",
            Box::new(move |_| [answer("404 Not Found", "", &body("x")), ok("")]),
            "the request for the discovery document returned status 404",
            1,
        ),
        (
            "another issuer",
            Box::new(|origin| {
                [ok(&discovery(origin).replace(origin, "https://planted-secret.example")), ok("")]
            }),
            "the discovery document is for another issuer; access.oidc.issuer must match it exactly, \
             including any trailing slash",
            1,
        ),
        (
            "an issuer with a slash",
            Box::new(|origin| {
                [
                    ok(&json!({ "issuer": format!("{origin}/"), "jwks_uri": format!("{origin}/keys") })
                        .to_string()),
                    ok(""),
                ]
            }),
            "the discovery document is for another issuer; access.oidc.issuer must match it exactly, \
             including any trailing slash",
            1,
        ),
        (
            "no issuer",
            Box::new(|origin| [ok(&json!({ "jwks_uri": format!("{origin}/keys") }).to_string()), ok("")]),
            "the discovery document is malformed",
            1,
        ),
        (
            "a page",
            Box::new(|_| [ok("<html>planted-secret</html>"), ok("")]),
            "the discovery document is malformed",
            1,
        ),
        (
            "a redirect",
            Box::new(|origin| {
                [answer("302 Found", &format!("location: {origin}/keys\r\n"), ""), ok("{\"keys\":[]}")]
            }),
            "the request for the discovery document returned status 302",
            1,
        ),
        (
            "a redirect of the key set",
            Box::new(|origin| {
                [
                    ok(&discovery(origin)),
                    answer("307 Temporary Redirect", "location: http://127.0.0.1:1/keys\r\n", ""),
                ]
            }),
            "the request for the key set returned status 307",
            2,
        ),
        (
            "keys in the clear",
            Box::new(|origin| {
                [
                    ok(&json!({ "issuer": origin, "jwks_uri": "http://planted-secret.example/" })
                        .to_string()),
                    ok(""),
                ]
            }),
            "the discovery document names a key set that is not at an https URL",
            1,
        ),
        (
            "a key set that is none",
            Box::new(|origin| [ok(&discovery(origin)), ok(r#"{"keys":"planted-secret"}"#)]),
            "the key set is malformed",
            2,
        ),
        (
            "a failure",
            Box::new(move |origin| [ok(&discovery(origin)), answer("500 Oh", "", &body("x"))]),
            "the request for the key set returned status 500",
            2,
        ),
        (
            "a large document",
            Box::new(|_| [ok(&" ".repeat(256 * 1024 + 1)), ok("")]),
            "the discovery document is larger than 256 KiB",
            1,
        ),
        (
            "a large key set of unknown length",
            Box::new(|origin| [ok(&discovery(origin)), chunked(256 * 1024 + 1)]),
            "the key set is larger than 256 KiB",
            2,
        ),
        (
            "half an answer",
            Box::new(|origin| {
                [ok(&discovery(origin)), b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"keys\":".to_vec()]
            }),
            "no answer to the request for the key set; check access.oidc.issuer, the network and HTTPS_PROXY",
            2,
        ),
        (
            "no HTTP",
            Box::new(|_| [b"planted-secret\r\n".to_vec(), Vec::new()]),
            "no answer to the request for the discovery document; check access.oidc.issuer, the network and HTTPS_PROXY",
            1,
        ),
    ];
    for (what, answers, expected, requests) in table {
        let mut wire = Wire::start(answers).await;
        let error = wire.fetch().await.map(drop).expect_err(what);
        assert!(error.to_string().starts_with(expected), "{what}: {error}");
        let log = format!("{error} {:?} {error:?}", causes(&error));
        assert!(!log.contains("planted-secret"), "{what}: {log}");
        assert_eq!(wire.asked().len(), requests, "{what}");
    }
}

#[tokio::test]
async fn answer_of_256_kib_is_read() {
    let padding = " ".repeat(256 * 1024 - r#"{"keys":[]}"#.len());
    let wire =
        Wire::start(|origin| [ok(&discovery(origin)), ok(&format!(r#"{{"keys":[]{padding}}}"#))]).await;
    assert!(wire.fetch().await.is_ok());
}

#[tokio::test]
async fn provider_that_is_not_there_is_an_error() {
    // Bound, so that nobody else takes the port, and not listening.
    let socket = TcpSocket::new_v4().expect("can be made");
    socket.bind("127.0.0.1:0".parse().expect("is an address")).expect("a port is free");
    let origin = format!("http://{}", socket.local_addr().expect("is bound"));
    let error = fetch_from(&origin).await.map(drop).expect_err("nobody listens");
    assert!(error.to_string().starts_with("no answer to the request for the discovery document; check "));
    assert!(!causes(&error).is_empty());
}
