//! Mutual TLS: which certificates get through the handshake, and whose names get a token.

use std::sync::Arc;

use reqwest::{Client, StatusCode};
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, SupportedProtocolVersion};
use serde_json::Value;
use token_provider::TestClock;

use super::authority::{Authority, Files, Leaf};
use super::tls::kind;
use super::{REQUEST, TlsServer};
use crate::support::server::{Setup, parse};
use crate::support::wire::Connection;
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

fn with_identity(
    server: &TlsServer,
    leaf: &Leaf,
    version: &'static SupportedProtocolVersion,
) -> ClientConfig {
    identity_of(server, leaf, leaf.chain(), version)
}

fn identity_of(
    server: &TlsServer,
    leaf: &Leaf,
    chain: Vec<CertificateDer<'static>>,
    version: &'static SupportedProtocolVersion,
) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("is supported")
        .with_root_certificates(server.authority.roots())
        .with_client_auth_cert(chain, leaf.private_key())
        .expect("fit together")
}

async fn status(server: &TlsServer, leaf: Option<&Leaf>) -> Result<StatusCode, reqwest::Error> {
    let request = client(server, leaf).get(server.url("/getToken")).send();
    Ok(within("an answer", request).await?.status())
}

#[tokio::test]
async fn certificate_reports_a_token_as_it_gets_one() {
    let clients = Authority::new();
    let server = start(&clients).await;
    for (names, expected) in
        [(&["dashboard.example.com"][..], StatusCode::OK), (&["other.example.com"], StatusCode::UNAUTHORIZED)]
    {
        let report = client(&server, Some(&clients.client(names))).post(server.url("/oauth2/revoke"));
        let report = report.header("Content-Type", "application/x-www-form-urlencoded").body("token=abc");
        let reply = within("an answer", report.send()).await.expect("is answered");
        assert_eq!(reply.status(), expected, "{names:?}");
    }
}

#[tokio::test]
async fn names_in_the_certificate_decide() {
    let clients = Authority::new();
    let server = start(&clients).await;
    for (names, expected) in [
        (&["dashboard.example.com"][..], StatusCode::OK),
        (&["Dashboard.EXAMPLE.com"], StatusCode::OK),
        (&["spiffe://example.com/inspector"], StatusCode::OK),
        (&["spiffe://example.com/Inspector"], StatusCode::UNAUTHORIZED),
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

/// The chain is kept as long as the connection, so it is bounded; what else is in it need not be in use.
#[tokio::test]
async fn chain_of_certificates_that_is_too_long_does_not_get_through() {
    let clients = Authority::new();
    let server = start(&clients).await;
    let leaf = clients.client(&["dashboard.example.com"]);
    let own = leaf.chain().iter().map(|certificate| certificate.len()).sum::<usize>();
    let unused = clients.server().chain().remove(0);
    for (length, is_taken) in [(16 * 1024, true), (20 * 1024, false)] {
        let mut chain = leaf.chain();
        chain.extend(std::iter::repeat_n(unused.clone(), (length - own) / unused.len()));
        for version in [&TLS12, &TLS13] {
            let config = identity_of(&server, &leaf, chain.clone(), version);
            let answer = async {
                let stream = server.try_connect(Arc::new(config)).await.ok()?;
                let mut connection = Connection::new(stream);
                connection.try_send(REQUEST).await.ok()?;
                (!connection.is_closed_by_server().await).then_some(())?;
                Some(connection.reply().await.status)
            };
            assert_eq!(answer.await, is_taken.then_some(200), "{length} bytes, {version:?}");
        }
    }
}

/// A client that keeps its connection, of either version of HTTP.
fn keeping(server: &TlsServer, leaf: &Leaf, is_http2: bool) -> Client {
    let client = server.client().identity(leaf.identity());
    let client = if is_http2 { client.http2_prior_knowledge() } else { client.http1_only() };
    client.build().expect("is a client")
}

async fn get(client: &Client, server: &TlsServer, target: &str) -> Result<u16, reqwest::Error> {
    Ok(within("an answer", client.get(server.url(target)).send()).await?.status().as_u16())
}

#[tokio::test]
async fn changed_authorities_count_for_new_connections_and_kept_ones() {
    let (clients, successor) = (Authority::new(), Authority::new());
    let server = start(&clients).await;
    let leaf = clients.client(&["dashboard.example.com"]);
    let old = [keeping(&server, &leaf, false), keeping(&server, &leaf, true)];
    for client in &old {
        assert_eq!(get(client, &server, "/getToken").await.expect("is known"), 200);
    }
    let both = format!("{}{}", clients.pem(), successor.pem());
    server.files.write("clients.pem", &both);
    server.tls.look();
    for client in &old {
        assert_eq!(get(client, &server, "/getToken").await.expect("is kept"), 200, "one more is no harm");
    }
    server.files.write("clients.pem", &successor.pem());
    server.tls.look();
    for client in &old {
        assert_eq!(get(client, &server, "/getToken").await.expect("is kept"), 401);
        // Everybody may ask for this, but not on that connection: the next one fails.
        assert!(get(client, &server, "/livez").await.is_err(), "the connection is closed");
    }
    assert!(status(&server, Some(&leaf)).await.is_err(), "its authority is not on the list");
    let leaf = successor.client(&["dashboard.example.com"]);
    assert_eq!(status(&server, Some(&leaf)).await.expect("shakes hands"), StatusCode::OK);
}

#[tokio::test]
async fn rule_that_is_removed_lets_nobody_in_on_a_kept_connection_either() {
    let clients = Authority::new();
    let narrow = "[[access.mtls.rules]]\nnames = [\"*.example.com\"]\n";
    let wide = "[[access.mtls.rules]]\nnames = [\"spiffe://example.com/ns/*\"]\n";
    let (tls, _) = CONFIG.split_once("[access.mtls]").expect("has the section");
    let setup = Setup::default().config(&format!("{tls}{narrow}{wide}"));
    let server = TlsServer::start_with(setup, Files::with_client_ca(&clients)).await;
    let dashboard = clients.client(&["dashboard.example.com"]);
    let inspector = clients.client(&["spiffe://example.com/ns/maps"]);
    let kept = |leaf| [false, true].map(|is_http2| keeping(&server, leaf, is_http2));
    let (dashboard, inspector) = (kept(&dashboard), kept(&inspector));
    for client in dashboard.iter().chain(&inspector) {
        assert_eq!(get(client, &server, "/getToken").await.expect("is let in"), 200);
    }
    server.server.app.access.reload(&parse(&format!("{tls}{narrow}")));
    for client in &dashboard {
        assert_eq!(get(client, &server, "/getToken").await.expect("is kept"), 200);
    }
    for client in &inspector {
        assert_eq!(get(client, &server, "/getToken").await.expect("is kept"), 403);
    }
    // What is no SPIFFE id and no name of a host is nobody's name, whatever a rule says of hosts.
    let disguised = clients.client(&["urn:dashboard.example.com"]);
    assert_eq!(status(&server, Some(&disguised)).await.expect("shakes hands"), StatusCode::FORBIDDEN);
    let nested = clients.client(&["spiffe://example.com/ns/maps/x"]);
    assert_eq!(status(&server, Some(&nested)).await.expect("shakes hands"), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn certificate_that_cannot_be_used_does_not_keep_an_authority_in_use() {
    let (clients, successor) = (Authority::new(), Authority::new());
    let server = start(&clients).await;
    let client = keeping(&server, &clients.client(&["dashboard.example.com"]), false);
    assert_eq!(get(&client, &server, "/getToken").await.expect("is known"), 200);
    server.files.write("tls.crt", "");
    server.files.write("clients.pem", &successor.pem());
    assert!(server.tls.reload().is_err());
    assert_eq!(get(&client, &server, "/getToken").await.expect("is kept"), 401);
}

const YEAR: i64 = 365 * 24 * 3600;

#[tokio::test]
async fn certificate_that_expires_is_refused_on_a_kept_connection() {
    let clients = Authority::new();
    let intermediate = clients.intermediate(2060);
    let names = ["dashboard.example.com"];
    // The leaf itself, one that it needs, and one that came along and is not needed.
    for (leaf, years, expected) in [
        (clients.client(&names), 50, 200),
        (clients.client(&names), 80, 401),
        (intermediate.client(&names).with(&intermediate), 30, 200),
        (intermediate.client(&names).with(&intermediate), 50, 401),
        (clients.client(&names).with(&intermediate), 50, 200),
        (clients.client(&names).with(&Authority::until(2020)), 50, 200),
        (clients.client(&names).with(&intermediate), 80, 401),
    ] {
        for is_http2 in [false, true] {
            let clock = TestClock::new();
            let files = Files::with_client_ca(&clients);
            let setup = Setup::default().config(CONFIG);
            let server = TlsServer::start_with_clock(setup, files, Arc::new(clock.clone())).await;
            let client = keeping(&server, &leaf, is_http2);
            for _ in 0..2 {
                assert_eq!(get(&client, &server, "/getToken").await.expect("is good"), 200);
            }
            clock.set_wall(years * YEAR);
            let status = get(&client, &server, "/getToken").await.expect("is kept");
            assert_eq!(status, expected, "in {years} years, HTTP/2: {is_http2}");
            // The connection is closed where the certificate was refused, and there is no other.
            assert_eq!(get(&client, &server, "/livez").await.is_ok(), expected == 200);
        }
    }
}

#[tokio::test]
async fn refusal_of_a_certificate_says_so_and_ends_the_connection() {
    let clients = Authority::new();
    let clock = TestClock::new();
    let open = CONFIG.replace("[access.mtls]", "[access]\nanonymous = true\n[access.mtls]");
    let (setup, files) = (Setup::default().config(&open), Files::with_client_ca(&clients));
    let server = TlsServer::start_with_clock(setup, files, Arc::new(clock.clone())).await;
    let leaf = clients.client(&["dashboard.example.com"]);
    for (request, error) in [
        (REQUEST, "invalid_token"),
        (
            "POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 29\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\ngrant_type=client_credentials",
            "invalid_client",
        ),
    ] {
        let mut kept = server.connect(Arc::new(with_identity(&server, &leaf, &TLS13))).await;
        kept.send(request).await;
        assert_eq!(kept.reply().await.status, 200);
        clock.set_wall(80 * YEAR);
        kept.send(request).await;
        let reply = kept.reply().await;
        assert_eq!((reply.status, reply.error().as_str()), (401, error));
        assert!(reply.description().contains("open a new connection"), "{reply:?}");
        assert_eq!(reply.header("connection"), Some("close"));
        assert!(kept.is_closed_by_server().await);
        clock.set_wall(-80 * YEAR);
    }
}

#[tokio::test]
async fn authority_that_has_expired_vouches_for_nobody() {
    let (expired, lasting) = (Authority::until(2020), Authority::until(2060));
    let clock = TestClock::new();
    let files = Files::with_client_ca(&expired);
    files.write("clients.pem", &format!("{}{}", expired.pem(), lasting.pem()));
    let setup = Setup::default().config(CONFIG);
    let server = TlsServer::start_with_clock(setup, files, Arc::new(clock.clone())).await;
    assert_eq!(server.tls.expired_authorities(), (1, true));
    let names = ["dashboard.example.com"];
    assert!(status(&server, Some(&expired.client(&names))).await.is_err());
    let leaf = lasting.client(&names);
    let kept = keeping(&server, &leaf, false);
    assert_eq!(get(&kept, &server, "/getToken").await.expect("is good"), 200);

    clock.set_wall(50 * YEAR);
    // The file need not be there for that.
    server.files.remove("clients.pem");
    server.tls.look();
    assert_eq!(server.tls.expired_authorities(), (2, false));
    assert_eq!(get(&kept, &server, "/getToken").await.expect("is kept"), 401);
    // Nobody is asked for a certificate now; others get their answers.
    assert_eq!(status(&server, Some(&leaf)).await.expect("shakes hands"), StatusCode::UNAUTHORIZED);
    assert_eq!(get(&kept, &server, "/livez").await.expect("shakes hands"), 200);

    clock.set_wall(-50 * YEAR);
    server.tls.look();
    assert_eq!(server.tls.expired_authorities(), (1, true), "the clock was wrong");
    assert_eq!(status(&server, Some(&leaf)).await.expect("shakes hands"), StatusCode::OK);
}

#[tokio::test]
async fn every_connection_presents_its_certificate_again() {
    let clients = Authority::new();
    let server = start(&clients).await;
    let leaf = clients.client(&["dashboard.example.com"]);
    for version in [&TLS12, &TLS13] {
        let mut config = with_identity(&server, &leaf, version);
        config.resumption = Resumption::in_memory_sessions(8);
        let config = Arc::new(config);
        for _ in 0..2 {
            assert_eq!(kind(&server, &config).await, HandshakeKind::Full, "{version:?}");
        }
    }
}

#[tokio::test]
async fn audit_trail_names_the_caller_of_a_valid_certificate_that_sends_a_wrong_form() {
    let (clients, folder) = (Authority::new(), tempfile::tempdir().expect("can be made"));
    let trail = folder.path().join("audit.jsonl");
    let setup = Setup::default().config(CONFIG).trail(&trail);
    let server = TlsServer::start_with(setup, Files::with_client_ca(&clients)).await;
    let (leaf, other) = (clients.client(&["dashboard.example.com"]), clients.client(&["other.example.com"]));
    for (leaf, fields, status) in [
        (&leaf, "&client_id=a&client_secret=tp_wrong", StatusCode::UNAUTHORIZED),
        (&leaf, "&scope=a&scope=a", StatusCode::BAD_REQUEST),
        (&other, "&scope=a&scope=a", StatusCode::BAD_REQUEST),
    ] {
        let request = client(&server, Some(leaf)).post(server.url("/oauth2/token"));
        let request = request.header("Content-Type", "application/x-www-form-urlencoded");
        let form = format!("grant_type=client_credentials{fields}");
        let answer = within("an answer", request.body(form).send()).await.expect("is answered");
        assert_eq!(answer.status(), status, "{fields}");
    }
    let named = |line: &Value| (line["method"].clone(), line["caller"].clone(), line["address"].clone());
    let known = ("mtls".into(), "dashboard.example.com".into(), "127.0.0.1".into());
    let unknown = (Value::Null, Value::Null, "127.0.0.1".into());
    let lines = server.server.audit_lines(&trail);
    assert_eq!(lines.iter().map(named).collect::<Vec<_>>(), [known.clone(), known, unknown]);
}

#[tokio::test]
async fn certificate_lets_a_body_come_where_strangers_have_to_wait() {
    let clients = Authority::new();
    let server = start(&clients).await;
    let head = "POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 29\r\nExpect: 100-continue\r\n\
                Content-Type: application/x-www-form-urlencoded\r\n\r\n";
    let mut waiting = Vec::new();
    for _ in 0..32 {
        let mut stranger = server.connect(Arc::new(server.client_config(&[&TLS13]))).await;
        stranger.send(head).await;
        assert_eq!(stranger.head().await, "HTTP/1.1 100 Continue");
        waiting.push(stranger);
    }
    let mut stranger = server.connect(Arc::new(server.client_config(&[&TLS13]))).await;
    stranger.send(head).await;
    assert_eq!(stranger.reply().await.status, 503);
    let leaf = clients.client(&["dashboard.example.com"]);
    let mut known = server.connect(Arc::new(with_identity(&server, &leaf, &TLS13))).await;
    known.send(head).await;
    assert_eq!(known.head().await, "HTTP/1.1 100 Continue");
    known.send("grant_type=client_credentials").await;
    assert_eq!(known.reply().await.status, 200);
}
