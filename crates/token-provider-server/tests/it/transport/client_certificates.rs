//! Mutual TLS: which certificates get through the handshake, and whose names get a token.

use std::sync::Arc;

use reqwest::{Client, StatusCode};
use rustls::HandshakeKind;
use rustls::client::Resumption;
use rustls::version::{TLS12, TLS13};

use super::TlsServer;
use super::authority::{Authority, Files, Leaf};
use super::tls::kind;
use crate::support::server::Setup;
use crate::support::within;

const CONFIG: &str = r#"
[tls]
cert = "tls.crt"
key = "tls.key"
client_ca = "clients.pem"
[access.mtls]
allow = ["spiffe://example.com/inspector", "dashboard.example.com"]
"#;

async fn start(clients: &Authority) -> TlsServer {
    TlsServer::start_with(Setup::default().config(CONFIG), Files::with_client_ca(clients)).await
}

fn client(server: &TlsServer, leaf: Option<&Leaf>) -> Client {
    let client = server.client();
    let client = match leaf {
        Some(leaf) => client.identity(leaf.identity()),
        None => client,
    };
    client.build().expect("is a client")
}

async fn status(server: &TlsServer, leaf: Option<&Leaf>) -> Result<StatusCode, reqwest::Error> {
    let request = client(server, leaf).get(server.url("/getToken")).send();
    Ok(within("an answer", request).await?.status())
}

#[tokio::test]
async fn names_in_the_certificate_decide() {
    let clients = Authority::new();
    let server = start(&clients).await;
    for (names, expected) in [
        (&["dashboard.example.com"][..], StatusCode::OK),
        (&["spiffe://example.com/inspector"], StatusCode::OK),
        (&["other.example.com", "dashboard.example.com"], StatusCode::OK),
        (&["other.example.com"], StatusCode::UNAUTHORIZED),
        (&["spiffe://example.com/inspector/2"], StatusCode::UNAUTHORIZED),
        (&["sub.dashboard.example.com"], StatusCode::UNAUTHORIZED),
        (&["*.example.com"], StatusCode::UNAUTHORIZED),
        (&[], StatusCode::UNAUTHORIZED),
    ] {
        let leaf = clients.client(names);
        assert_eq!(status(&server, Some(&leaf)).await.expect("shakes hands"), expected, "{names:?}");
    }
    assert_eq!(status(&server, None).await.expect("may come without"), StatusCode::UNAUTHORIZED);
    let probe = client(&server, None).get(server.url("/livez")).send();
    assert_eq!(within("an answer", probe).await.expect("is answered").status(), StatusCode::OK);
}

#[tokio::test]
async fn certificates_that_nobody_vouches_for_do_not_get_through() {
    let clients = Authority::new();
    let server = start(&clients).await;
    let names = ["dashboard.example.com"];
    let stranger = Authority::new().client(&names);
    let expired = clients.expired_client(&names);
    // Good for servers only, as the one that the server itself has.
    let of_a_server = clients.server();
    for (leaf, what) in [(&stranger, "stranger"), (&expired, "expired"), (&of_a_server, "of a server")] {
        assert!(status(&server, Some(leaf)).await.is_err(), "{what}");
    }
    assert_eq!(server.server.sandbox.stats().token_requests, 0);
    assert_eq!(status(&server, Some(&clients.client(&names))).await.expect("shakes hands"), StatusCode::OK);
}

#[tokio::test]
async fn changed_authorities_count_for_new_connections() {
    let clients = Authority::new();
    let server = start(&clients).await;
    let leaf = clients.client(&["dashboard.example.com"]);
    let old = client(&server, Some(&leaf));
    let ask = || async { within("an answer", old.get(server.url("/getToken")).send()).await };
    assert_eq!(ask().await.expect("is known").status(), StatusCode::OK);
    let successor = Authority::new();
    server.files.write("clients.pem", &successor.pem());
    server.tls.look();
    assert_eq!(ask().await.expect("the connection is kept").status(), StatusCode::OK);
    assert!(status(&server, Some(&leaf)).await.is_err(), "its authority is struck off the list");
    let leaf = successor.client(&["dashboard.example.com"]);
    assert_eq!(status(&server, Some(&leaf)).await.expect("shakes hands"), StatusCode::OK);
}

#[tokio::test]
async fn every_connection_shows_its_certificate_anew() {
    let clients = Authority::new();
    let server = start(&clients).await;
    let leaf = clients.client(&["dashboard.example.com"]);
    for version in [&TLS12, &TLS13] {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .expect("is supported")
            .with_root_certificates(server.authority.roots())
            .with_client_auth_cert(leaf.chain(), leaf.private_key())
            .expect("fit together");
        config.resumption = Resumption::in_memory_sessions(8);
        let config = Arc::new(config);
        for _ in 0..2 {
            assert_eq!(kind(&server, &config).await, HandshakeKind::Full, "{version:?}");
        }
    }
}
