//! TLS and the server's certificate, seen from the other side.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Version;
use rustls::HandshakeKind;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use token_provider::SystemClock;
use token_provider_server::parts::config::{Host, Listen};
use token_provider_server::parts::listen::{self, Limits, Tls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::authority::{Authority, Files};
use super::{REQUEST, TlsServer};
use crate::support::log::{heard, listen_in};
use crate::support::server::Setup;
use crate::support::wire::Connection;
use crate::support::within;

#[tokio::test]
async fn both_versions_of_http_are_spoken_as_the_client_prefers() {
    let server = TlsServer::start().await;
    for (client, version) in
        [(server.client(), Version::HTTP_2), (server.client().http1_only(), Version::HTTP_11)]
    {
        let client = client.build().expect("is a client");
        let answer = within("an answer", client.get(server.url("/getToken")).send()).await.expect("is sent");
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
        let token = answer.text().await.expect("is text");
        assert!(server.server.sandbox.verify_token(&token).is_ok());
    }
}

#[tokio::test]
async fn client_without_alpn_gets_http_1_1_over_either_version_of_tls() {
    let server = TlsServer::start().await;
    for version in [&TLS12, &TLS13] {
        let config = Arc::new(server.client_config(&[version]));
        let mut connection = server.connect(config).await;
        for _ in 0..2 {
            connection.send(REQUEST).await;
            assert_eq!(connection.reply().await.status, 200, "{version:?}");
        }
    }
}

#[tokio::test]
async fn handshake_under_way_is_finished_although_the_server_stops() {
    let limits = Limits { first: Duration::from_secs(20), ..Limits::default() };
    let mut server = TlsServer::start_with(Setup::default().limits(limits), Files::new()).await;
    let stream = TcpStream::connect(server.server.address).await.expect("connects");
    // Accepted, as this later one has been.
    let config = Arc::new(server.client_config(&[&TLS13]));
    let mut later = server.connect(Arc::clone(&config)).await;
    later.send(REQUEST).await;
    assert_eq!(later.reply().await.status, 200);
    server.server.begin_shutdown();
    within("the port is closed", async { while TcpStream::connect(server.server.address).await.is_ok() {} })
        .await;
    let name = ServerName::try_from("localhost").expect("is a name");
    let stream = within("a handshake", TlsConnector::from(config).connect(name, stream)).await;
    let mut connection = Connection::new(stream.expect("shakes hands"));
    connection.send(REQUEST).await;
    assert_eq!(connection.reply().await.status, 200);
    drop(connection);
    server.server.ended().await;
}

#[tokio::test]
async fn older_versions_of_tls_are_refused() {
    let server = TlsServer::start().await;
    for minor in [0, 1, 2] {
        let mut stream = TcpStream::connect(server.server.address).await.expect("connects");
        stream.write_all(&client_hello(minor)).await.expect("is sent");
        let mut answer = Vec::new();
        within("the end", stream.read_to_end(&mut answer)).await.expect("ends in order");
        // One record, a fatal alert: handshake_failure or protocol_version (RFC 8446 §6).
        assert!(matches!(answer[..], [21, _, _, 0, 2, 2, 40 | 70]), "3.{minor}: {answer:?}");
    }
}

/// A `ClientHello` of SSL 3.0 (minor 0), TLS 1.0 or TLS 1.1 with suites that any of them has.
fn client_hello(minor: u8) -> Vec<u8> {
    let mut body = vec![3, minor];
    body.extend([7; 32]);
    body.extend([0, 0, 4, 0xc0, 0x13, 0x00, 0x2f, 1, 0]);
    let mut hello = vec![22, 3, 1, 0, u8::try_from(body.len() + 4).expect("is short"), 1, 0, 0];
    hello.push(u8::try_from(body.len()).expect("is short"));
    hello.extend(body);
    hello
}

#[tokio::test]
async fn plain_request_gets_no_answer() {
    let server = TlsServer::start().await;
    let mut stream = TcpStream::connect(server.server.address).await.expect("is accepted");
    stream.write_all(REQUEST.as_bytes()).await.expect("can be sent");
    let mut answer = Vec::new();
    // A reset is an end, too.
    let _ = within("the end", stream.read_to_end(&mut answer)).await;
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/"), "{answer:?}");
    assert_eq!(server.server.sandbox.stats().token_requests, 0);
}

#[tokio::test]
async fn listener_says_what_it_speaks() {
    let server = TlsServer::start().await;
    let bound = listen::bind(&Listen::Tcp { host: Host::Localhost, port: 0 }, "--listen");
    let listener = bound.expect("can be bound").remove(0);
    let port = listener.address().expect("is TCP").port();
    assert_eq!(listener.to_string(), format!("http://127.0.0.1:{port}"));
    assert!(listener.is_local());
    let listener = listener.with_tls(Arc::clone(&server.tls));
    assert_eq!(listener.to_string(), format!("https://127.0.0.1:{port}"));
    assert!(listener.is_local());
}

#[tokio::test]
async fn new_certificate_is_shown_to_new_connections_and_old_ones_go_on() {
    let server = TlsServer::start().await;
    let config = Arc::new(server.client_config(&[&TLS13]));
    let mut old = server.connect(Arc::clone(&config)).await;
    old.send(REQUEST).await;
    assert_eq!(old.reply().await.status, 200);
    let before = shown(&server).await;

    assert!(!server.tls.reload().expect("is good"), "nothing has changed");
    let leaf = server.files.write_server(&server.authority);
    assert_eq!(shown(&server).await, before, "not before it is checked");
    assert!(server.tls.reload().expect("is good"), "has changed");
    assert_eq!(shown(&server).await, leaf.chain());
    assert_ne!(leaf.chain(), before);

    old.send(REQUEST).await;
    assert_eq!(old.reply().await.status, 200, "the old connection has not noticed");
}

#[tokio::test]
async fn bad_new_files_change_nothing() {
    let server = TlsServer::start().await;
    let before = shown(&server).await;
    let until = server.tls.not_after();
    assert!(until.is_some());
    let other = Authority::new().server();
    for (name, text) in [("tls.key", other.key.as_str()), ("tls.crt", ""), ("tls.crt", "-----BEGIN CERTI")] {
        server.files.write(name, text);
        assert!(server.tls.reload().is_err(), "{name}: {text}");
        server.tls.look();
        assert_eq!(shown(&server).await, before, "{name}: {text}");
    }
    server.files.remove("tls.key");
    assert!(server.tls.reload().is_err());
    assert_eq!(shown(&server).await, before);
    assert_eq!(server.tls.not_after(), until);
    // And it is not stuck.
    let leaf = server.files.write_server(&server.authority);
    server.tls.look();
    assert_eq!(shown(&server).await, leaf.chain());
}

#[tokio::test]
async fn new_certificate_that_is_out_of_date_is_rejected() {
    let server = TlsServer::start().await;
    let before = shown(&server).await;
    for (from, until, expected) in [
        (2019, 2020, "tls.crt: the certificate expired on Wed, 01 Jan 2020 00:00:00 GMT"),
        (2090, 2099, "tls.crt: the certificate is not valid before Sun, 01 Jan 2090 00:00:00 GMT"),
    ] {
        let leaf = server.authority.server_for("localhost", from, until);
        server.files.write("tls.crt", &leaf.certificate);
        server.files.write("tls.key", &leaf.key);
        let error = server.tls.reload().expect_err("is out of date");
        assert!(error.to_string().ends_with(expected), "{error}");
        listen_in();
        for _ in 0..3 {
            server.tls.look();
        }
        let heard = heard();
        assert_eq!(heard.matches("the new certificate was rejected").count(), 1, "{heard}");
        assert!(!heard.contains("certificate read"), "{heard}");
        assert_eq!(shown(&server).await, before, "{from} to {until}");
        assert_eq!(server.tls.out_of_date(), None);
    }
    let leaf = server.files.write_server(&server.authority);
    assert!(server.tls.reload().expect("is good"));
    assert_eq!(shown(&server).await, leaf.chain());
}

#[tokio::test]
async fn certificate_that_is_out_of_date_is_served_from_the_start() {
    let (authority, files) = (Authority::new(), Files::new());
    let leaf = authority.server_for("localhost", 2019, 2020);
    files.write("tls.crt", &leaf.certificate);
    files.write("tls.key", &leaf.key);
    let tls = Tls::load(&files.config(), Arc::new(SystemClock)).expect("is served, with a warning");
    let reason = tls.out_of_date().expect("has expired");
    assert!(reason.contains("2020"), "{reason}");
    assert!(!tls.reload().expect("is the same"), "a look at the same files is no new certificate");
    assert!(tls.is_for("localhost") && !tls.is_for("tokens.example.com"));
}

/// The certificate that a new connection is shown.
async fn shown(server: &TlsServer) -> Vec<rustls::pki_types::CertificateDer<'static>> {
    let stream = server.try_connect(Arc::new(server.client_config(&[&TLS13]))).await.expect("shakes hands");
    stream.get_ref().1.peer_certificates().expect("are shown").to_vec()
}

#[test]
fn files_that_cannot_be_used_are_named_with_the_reason() {
    let authority = Authority::new();
    let good = authority.server();
    let other = authority.server();
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let damaged = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
    for (cert, key, client_ca, file, expected) in [
        ("", good.key.as_str(), "", "tls.crt", "tls.cert: "),
        (damaged, &good.key, "", "tls.crt", "damaged"),
        (&good.key, &good.key, "", "tls.crt", "expected a certificate"),
        (&good.certificate, "", "", "tls.key", "tls.key: "),
        (&good.certificate, encrypted, "", "tls.key", "expected an unencrypted private key"),
        (&good.certificate, &good.certificate, "", "tls.key", "expected an unencrypted private key"),
        (&good.certificate, &other.key, "", "tls.key", "tls.cert and tls.key"),
        (&good.certificate, &good.key, "\n", "clients.pem", "tls.client_ca: "),
        (&good.certificate, &good.key, damaged, "clients.pem", "damaged"),
    ] {
        let files = if client_ca.is_empty() { Files::new() } else { Files::with_client_ca(&authority) };
        files.write("tls.crt", cert);
        files.write("tls.key", key);
        if !client_ca.is_empty() {
            files.write("clients.pem", client_ca);
        }
        let error = Tls::load(&files.config(), Arc::new(SystemClock)).expect_err(expected);
        let text = format!("{error}; {:?}; {error:?}", error.source().map(ToString::to_string));
        assert!(text.contains(expected) && text.contains(file), "{expected}: {text}");
        let planted = key.lines().nth(1).filter(|line| line.len() > 8).unwrap_or("no key");
        assert!(!text.contains(planted), "{text}");
    }
    let files = Files::new();
    let error = Tls::load(&files.config(), Arc::new(SystemClock)).expect_err("there are none");
    assert!(error.to_string().starts_with("tls.cert: cannot read "), "{error}");
    assert!(error.source().expect("is the system's").to_string().contains("No such file"));
}

/// Whether it has expired, webpki does not tell.
#[test]
fn authority_before_version_3_of_x509_is_refused() {
    let files = Files::with_client_ca(&Authority::new());
    files.write_server(&Authority::new());
    files.write("clients.pem", VERSION_1);
    let error = Tls::load(&files.config(), Arc::new(SystemClock)).expect_err("is version 1");
    assert!(error.to_string().contains("clients.pem: expected CA certificates"), "{error}");
}

/// `openssl x509 -req -signkey`, good until 2081.
const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBFzCBvQIUB4KCRWoLY4J5yMAWC13MYI4b0QMwCgYIKoZIzj0EAwIwDTELMAkG
A1UEAwwCdjEwIBcNMjYxMTI2MTkwODU0WhgPMjA4MTA4MjkxOTA4NTRaMA0xCzAJ
BgNVBAMMAnYxMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEAyvBiOo8je6kB/t8
80/ldlnlZEeOnJB5z3InzhTLNei/eto+7r48qa/Yj7AOq0OXgIEMeahGj5eZUJ4U
EDsSWTAKBggqhkjOPQQDAgNJADBGAiEAhgppnDBJdsAUShTxTqF+jGa2+odNuJDl
ImfFg4syULgCIQDzS94Lz7dWCwA+Ll3UDfqXBa19XSP/6h6wV7+yO2TrdQ==
-----END CERTIFICATE-----
";

#[tokio::test]
async fn key_is_not_in_debug_output() {
    let server = TlsServer::start().await;
    let text = format!("{:?}", server.tls);
    assert!(text.contains("tls.crt"), "{text}");
    assert!(text.len() < 400, "{text}");
}

#[tokio::test]
async fn sessions_are_taken_up_again_until_the_certificate_changes() {
    let server = TlsServer::start().await;
    for version in [&TLS12, &TLS13] {
        let mut config = server.client_config(&[version]);
        config.resumption = Resumption::in_memory_sessions(8);
        let config = Arc::new(config);
        assert_eq!(kind(&server, &config).await, HandshakeKind::Full, "{version:?}");
        assert_eq!(kind(&server, &config).await, HandshakeKind::Resumed, "{version:?}");
        server.files.write_server(&server.authority);
        server.tls.look();
        assert_eq!(kind(&server, &config).await, HandshakeKind::Full, "{version:?}");
    }
}

/// Makes a request on a new connection. Says how it began.
pub(super) async fn kind(server: &TlsServer, config: &Arc<rustls::ClientConfig>) -> HandshakeKind {
    let stream = server.try_connect(Arc::clone(config)).await.expect("shakes hands");
    let kind = stream.get_ref().1.handshake_kind().expect("is over");
    let mut connection = Connection::new(stream);
    // TLS 1.3 sends its tickets behind the handshake.
    connection.send(REQUEST).await;
    assert_eq!(connection.reply().await.status, 200);
    kind
}
