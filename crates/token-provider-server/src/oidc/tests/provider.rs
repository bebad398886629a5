//! The identity provider over a real socket, answering well and badly; and its keys in a file.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;

use super::support::{Key, discovered};
use crate::config::KeySource;
use crate::oidc::keys::KeySet;
use crate::oidc::provider::{FetchError, Fetcher};
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
    fetch(discovered(origin)).await
}

async fn fetch(source: KeySource) -> Result<KeySet, FetchError> {
    Fetcher::new(&source).fetch().await
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
            "no answer to the request for the key set; check its URL, the network and HTTPS_PROXY",
            2,
        ),
        (
            "no HTTP",
            Box::new(|_| [b"planted-secret\r\n".to_vec(), Vec::new()]),
            "no answer to the request for the discovery document; check its URL, the network and HTTPS_PROXY",
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

/// An issuer whose keys are at this URL, which wants to see the token in this file.
fn at(url: &str, token_file: Option<PathBuf>) -> KeySource {
    let (issuer, url) = ("kubernetes/serviceaccount".to_owned(), Some(url.parse().expect("is a URL")));
    KeySource { issuer, file: None, url, is_discovery: false, token_file, ca: None }
}

fn in_file(file: PathBuf) -> KeySource {
    KeySource { file: Some(file), url: None, ..at("https://x.example", None) }
}

#[tokio::test]
async fn keys_at_a_configured_url_are_requested_there_and_nowhere_else() {
    let keys = json!({ "keys": [Key::p256().jwk("a")] }).to_string();
    let mut wire = Wire::start(|_| [Vec::new(), ok(&keys)]).await;
    let url = format!("{}/openid/v1/jwks", wire.origin);
    assert_eq!(fetch(at(&url, None)).await.expect("is well-formed").len(), 1);
    let asked = wire.asked();
    let [only] = asked.as_slice() else { panic!("{asked:?}") };
    assert!(only.starts_with("GET /openid/v1/jwks HTTP/1.1\r\n"), "{only}");
    assert!(!only.contains("authorization"), "{only}");
}

#[tokio::test]
async fn token_for_the_keys_is_read_for_each_request_and_sent_to_no_other_place() {
    let folder = tempfile::tempdir().expect("can be made");
    let file = folder.path().join("token");
    let keys = json!({ "keys": [Key::p256().jwk("a")] }).to_string();
    let mut elsewhere = Wire::start(|_| [Vec::new(), ok(&keys)]).await;
    let mut wire = Wire::start(|_| [Vec::new(), ok(&keys)]).await;
    // One fetcher, as the server has it.
    let mut fetcher = Fetcher::new(&at(&format!("{}/jwks", wire.origin), Some(file.clone())));
    for token in ["first.planted-secret", "second.planted-secret"] {
        fs::write(&file, format!("{token}\n")).expect("can be written");
        assert!(fetcher.fetch().await.is_ok());
        let asked = wire.asked().concat();
        assert!(asked.contains(&format!("authorization: Bearer {token}\r\n")), "{asked}");
    }
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let location = format!("location: {}/jwks\r\n", elsewhere.origin);
        let redirecting = Wire::start(|_| [Vec::new(), answer(status, &location, "")]).await;
        let error = fetch(at(&format!("{}/jwks", redirecting.origin), Some(file.clone()))).await.map(drop);
        let error = error.expect_err("is not followed").to_string();
        assert_eq!(
            error,
            format!(
                "the request for the key set returned status {}",
                status.split(' ').next().unwrap_or_default()
            )
        );
    }
    assert_eq!(elsewhere.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn token_file_that_cannot_be_used_is_named_and_nothing_is_requested() {
    let folder = tempfile::tempdir().expect("can be made");
    let file = folder.path().join("token");
    let mut wire = Wire::start(|_| [Vec::new(), ok(r#"{"keys":[]}"#)]).await;
    for (content, problem) in [
        (None, "cannot be read: No such file or directory"),
        (Some(String::new()), "expected a token, and nothing else"),
        (Some("planted secret\r\nX-Other: 1".to_owned()), "expected a token, and nothing else"),
        (Some("planted-secret".repeat(400)), "cannot be read: it is larger than 4 KiB"),
    ] {
        if let Some(content) = &content {
            fs::write(&file, content).expect("can be written");
        }
        let source = at(&format!("{}/jwks", wire.origin), Some(file.clone()));
        let error = fetch(source).await.map(drop).expect_err(problem);
        let log = format!("{error} {:?} {error:?}", causes(&error));
        let expected = format!("access.oidc.jwks_token_file: {}: {problem}", file.display());
        assert!(error.to_string().starts_with(&expected), "{error}");
        assert!(!log.contains("planted"), "{log}");
    }
    assert_eq!(wire.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn keys_in_a_file_are_read_or_it_is_named() {
    let folder = tempfile::tempdir().expect("can be made");
    let file = folder.path().join("keys.json");
    let mut fetcher = Fetcher::new(&in_file(file.clone()));
    let whole = json!({ "keys": [Key::p256().jwk("a")] }).to_string();
    for (content, expected) in [
        (None, Err("cannot be read: No such file or directory")),
        (Some(whole.clone()), Ok(1)),
        (Some(String::new()), Err("the key set in access.oidc.jwks_file is malformed at line 1, column 0")),
        (
            Some(whole.chars().take(90).collect()),
            Err("the key set in access.oidc.jwks_file is malformed at line 1, column 90"),
        ),
        (Some(" ".repeat(256 * 1024 + 1)), Err("cannot be read: it is larger than 256 KiB")),
        (Some(r#"{"keys":[]}"#.to_owned()), Ok(0)),
    ] {
        if let Some(content) = content {
            fs::write(&file, content).expect("can be written");
        }
        match (fetcher.fetch().await, expected) {
            (Ok(keys), Ok(count)) => assert_eq!(keys.len(), count),
            (Err(error), Err(problem)) => assert!(error.to_string().contains(problem), "{error}"),
            (found, expected) => panic!("{found:?} {expected:?}"),
        }
    }
}

#[tokio::test]
async fn authority_that_cannot_be_used_is_named_and_nothing_is_requested() {
    const DAMAGED: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let folder = tempfile::tempdir().expect("can be made");
    let file = folder.path().join("ca.pem");
    for (content, problem) in
        [(None, "cannot be read: "), (Some("planted-secret"), "there is no PEM certificate in it")]
    {
        if let Some(content) = content {
            fs::write(&file, content).expect("can be written");
        }
        // Nobody is there, which would be another error.
        let source = KeySource { ca: Some(file.clone()), ..at("https://127.0.0.1:1/jwks", None) };
        let error = fetch(source).await.map(drop).expect_err(problem).to_string();
        assert!(error.starts_with(&format!("access.oidc.ca: {}: {problem}", file.display())), "{error}");
    }
    fs::write(&file, DAMAGED).expect("can be written");
    let source = KeySource { ca: Some(file), ..at("https://127.0.0.1:1/jwks", None) };
    let error = fetch(source).await.map(drop).expect_err("is damaged").to_string();
    assert!(
        error.starts_with("TLS could not be set up; ") && error.ends_with("access.oidc.ca whole?"),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_no_file_is_not_waited_for() {
    let folder = tempfile::tempdir().expect("can be made");
    let file = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&file).status();
    assert!(made.expect("can be run").success());
    let mut fetcher = Fetcher::new(&in_file(file.clone()));
    for _ in 0..3 {
        let error = fetcher.fetch().await.map(drop).expect_err("nobody writes").to_string();
        assert!(error.ends_with("cannot be read: it is not a file"), "{error}");
    }
    // And is forgotten once there is one.
    fs::remove_file(&file).and_then(|()| fs::write(&file, r#"{"keys":[]}"#)).expect("can be exchanged");
    assert_eq!(fetcher.fetch().await.expect("is a file").len(), 0);
}
