//! The admin listener: metrics, the status, and who may see them.

mod metrics;
mod revoke;
mod status;

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use here_sandbox::Fault;
use http_body_util::Full;
use hyper::Request;
use rustix::process::Signal;
use token_provider::{Issue, Issued, TokenError, TokenKey, TokenProvider};
use token_provider_server::parts::Admin;
use token_provider_server::parts::access::ConnectionInfo;
use token_provider_server::parts::http::Service as _;
use tokio::time::Instant;

use super::support::program::Folder;
use super::support::server::{Server, Setup};
use super::support::wire::{Connection, get, request};
use super::support::within;

const CONFIG: &str = "[admin]\nlisten = 0\n[audit]\nto = \"off\"\n";

async fn start() -> Server {
    Setup::default().config(CONFIG).start().await
}

#[track_caller]
fn assert_sample(page: &str, expected: &str) {
    assert!(page.lines().any(|line| line == expected), "{expected}\n{page}");
}

async fn metrics(server: &Server) -> String {
    let reply = get(server.admin().await, "/metrics").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.text().to_owned()
}

#[tokio::test]
async fn people_get_a_page_and_programs_json() {
    let server = start().await;
    let admin = server.admin().await;
    let browser = [("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")];
    for target in ["/", "/status"] {
        let page = request(admin, "GET", target, &browser).await;
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"), "{page:?}");
        let policy = page.header("content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(page.text().contains("/status.js"));
    }
    for (target, media_type) in
        [("/status.js", "text/javascript; charset=utf-8"), ("/status.css", "text/css; charset=utf-8")]
    {
        assert_eq!(get(admin, target).await.header("content-type"), Some(media_type));
    }
    assert_eq!(get(admin, "/status").await.header("content-type"), Some("application/json"), "curl's */*");
}

/// An issuer that never answers.
#[derive(Debug)]
struct Hanging;

impl Issue for Hanging {
    async fn issue(&self, _key: &TokenKey) -> Result<Issued, TokenError> {
        pending().await
    }
}

/// A body's content that notes its end.
struct Content(#[expect(dead_code, reason = "it is there to be dropped")] Arc<()>);

impl AsRef<[u8]> for Content {
    fn as_ref(&self) -> &[u8] {
        b"content"
    }
}

#[tokio::test]
async fn body_is_dropped_before_the_answer_is_waited_for() {
    let provider = TokenProvider::builder(Hanging).build();
    let server = Setup::default().config(CONFIG).provider(provider).start().await;
    let admin = Admin(Arc::clone(&server.app));
    let content = Arc::new(());
    let body = Full::new(Bytes::from_owner(Content(Arc::clone(&content))));
    let request = Request::get("/readyz").header("Host", "localhost").body(body).expect("is well-formed");
    let connection = ConnectionInfo::default();
    let mut answer = pin!(admin.answer(request, &connection));
    assert!(answer.as_mut().now_or_never().is_none(), "there is no token yet");
    assert_eq!(Arc::strong_count(&content), 1);
}

#[tokio::test]
async fn nobody_elses_page_may_look() {
    let server = start().await;
    let admin = server.admin().await;
    let own = format!("http://{admin}");
    let neighbour = format!("http://{}", server.address);
    for target in ["/status", "/metrics"] {
        for headers in [
            [("Origin", "https://evil.example")],
            [("Origin", "null")],
            // Even one that may ask for tokens.
            [("Origin", neighbour.as_str())],
            [("Sec-Fetch-Site", "cross-site")],
            [("Sec-Fetch-Site", "same-site")],
            [("Sec-Purpose", "prefetch")],
        ] {
            let reply = request(admin, "GET", target, &headers).await;
            assert_eq!(
                (reply.status, reply.error().as_str()),
                (403, "access_denied"),
                "{headers:?} {reply:?}"
            );
            assert_eq!(reply.header("access-control-allow-origin"), None, "{reply:?}");
        }
        for headers in [[("Origin", own.as_str())], [("Sec-Fetch-Site", "same-origin")]] {
            let reply = request(admin, "GET", target, &headers).await;
            assert_eq!(reply.status, 200, "{headers:?} {reply:?}");
        }
        // A name that somebody has pointed here.
        let mut connection = Connection::open(admin).await;
        connection.send(format!("GET {target} HTTP/1.1\r\nHost: evil.example\r\n\r\n")).await;
        let rebound = connection.reply().await;
        assert_eq!((rebound.status, rebound.error().as_str()), (403, "access_denied"), "{rebound:?}");
        let preflight = [("Origin", "https://evil.example"), ("Access-Control-Request-Method", "GET")];
        let reply = request(admin, "OPTIONS", target, &preflight).await;
        assert!(reply.status >= 400 && reply.header("access-control-allow-origin").is_none(), "{reply:?}");
    }
}

/// A probe may call it by any name; a page of somebody else may not.
#[tokio::test]
async fn admin_listener_tells_its_health() {
    let server = start().await;
    let admin = server.admin().await;
    for (target, word) in [("/livez", "live\n"), ("/readyz", "ready\n")] {
        assert_eq!((get(admin, target).await.status, get(admin, target).await.text()), (200, word));
        let mut connection = Connection::open(admin).await;
        connection.send(format!("GET {target} HTTP/1.1\r\nHost: balancer.example\r\n\r\n")).await;
        assert_eq!(connection.reply().await.text(), word);
        let page = request(admin, "GET", target, &[("Origin", "https://evil.example")]).await;
        assert_eq!(page.status, 403, "{page:?}");
    }
}

#[tokio::test]
async fn readiness_of_a_profile_is_what_is_known_and_requests_nothing() {
    let server =
        Setup::default().config(&format!("{CONFIG}[profiles.maps]\n[profiles.rest]\n")).start().await;
    let admin = server.admin().await;
    let ready = async |query: &str| get(admin, &format!("/readyz?{query}")).await;
    for query in ["profile=maps", "profile=all", "profile=default"] {
        assert_eq!((ready(query).await.status, ready(query).await.text()), (200, "ready\n"), "{query}");
    }
    let unknown = ready("profile=map").await;
    assert_eq!((unknown.status, unknown.error().as_str()), (404, "not_found"), "{unknown:?}");
    assert_eq!(ready("profile=").await.status, 404);
    assert_eq!(ready("profile=maps&profile=rest").await.status, 400);
    assert_eq!(server.sandbox.stats().token_requests, 0, "looking is not asking");

    server.sandbox.faults().replace(vec![Fault {
        status: Some(403),
        error_code: Some(403_000),
        count: Some(1),
        ..Fault::default()
    }]);
    assert_eq!(get(server.address, "/getToken?profile=maps").await.status, 502);
    assert_eq!(get(server.address, "/getToken").await.status, 200);
    let requests = server.sandbox.stats().token_requests;
    for (profile, status) in [("maps", 503), ("all", 503), ("default", 200), ("rest", 200)] {
        let reply = ready(&format!("profile={profile}")).await;
        assert_eq!(reply.status, status, "{reply:?}");
        let names_it = reply.text().contains("handed out for maps;");
        assert_eq!(names_it, status == 503, "{reply:?}");
    }
    assert_eq!(get(admin, "/readyz").await.text(), "ready\n", "the default profile's");
    assert_eq!(
        get(server.address, "/readyz?profile=maps").await.text(),
        "ready\n",
        "for callers there is one answer"
    );
    for (target, status, word) in [
        ("/readyz?profile=maps", 503, "unready\n"),
        ("/readyz?profile=default", 200, "ready\n"),
        ("/readyz?profile=map", 404, "unready\n"),
        ("/readyz?profile=maps&profile=rest", 400, "unready\n"),
        ("/livez?profile=maps&profile=rest", 200, "live\n"),
    ] {
        let mut connection = Connection::open(admin).await;
        let head = format!("GET {target} HTTP/1.1\r\nHost: balancer.example\r\n\r\n");
        connection.send(head).await;
        let reply = connection.reply().await;
        assert_eq!((reply.status, reply.text()), (status, word), "{reply:?}");
    }
    assert_eq!(server.sandbox.stats().token_requests, requests, "looking is not asking");
    server.app.access.drain();
    assert_eq!(ready("profile=default").await.status, 503);
}

#[tokio::test]
async fn admin_listener_has_nothing_for_callers() {
    let server = start().await;
    let admin = server.admin().await;
    for target in ["/getToken", "/oauth2/token", "/openapi.json", "/client.js", "/nothing"] {
        assert_eq!(get(admin, target).await.status, 404, "{target}");
    }
    for target in ["/", "/status", "/status.js", "/metrics", "/livez", "/readyz"] {
        let reply = request(admin, "POST", target, &[]).await;
        assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")), "{target}");
    }
}

#[tokio::test]
async fn there_is_no_admin_listener_unless_configured_and_then_on_loopback() {
    let folder = Folder::new();
    let mut server = folder.start(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]);
    assert!(!server.logged("listening on").await.contains("metrics"));
    for target in ["/metrics", "/status"] {
        let port = server.first_address();
        assert_eq!(get(port, target).await.status, 404);
    }
    drop(server);

    folder.write("token-provider.toml", "admin.listen = 0\n");
    let mut server = folder.start(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]);
    let [callers, admin] = server.addresses().await;
    assert!(admin.ip().is_loopback(), "{admin}");
    assert_eq!(get(admin, "/metrics").await.status, 200);
    assert_eq!(get(callers, "/metrics").await.status, 404);
    server.signal(Signal::TERM);
    let (status, _, log) = server.end().await;
    assert_eq!(status.code(), Some(0));
    assert!(!log.join("\n").contains("can be reached from other machines"), "{log:#?}");
}

#[tokio::test]
async fn silent_connections_do_not_keep_others_from_the_admin_listener() {
    let folder = Folder::new();
    folder.write("c.toml", "[admin]\nlisten = \"127.0.0.1:0\"\n");
    let arguments = ["serve", "--sandbox", "--config", "c.toml", "--listen", "127.0.0.1:0"];
    let mut running = folder.start(&arguments);
    let [_, admin] = running.addresses().await;
    let start = Instant::now();
    let mut silent = Vec::new();
    for _ in 0..64 {
        silent.push(Connection::open(admin).await);
    }
    // Its own share is taken for now, another's is not.
    let mut other = Connection::open_from(2, admin).await;
    other.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(other.reply().await.status, 200);
    for connection in &mut silent {
        assert!(connection.is_closed_by_server().await);
    }
    // The last place is given back a moment after the connection is closed.
    let again = async {
        loop {
            let mut connection = Connection::open(admin).await;
            let sent = connection.try_send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
            if sent.is_ok() && !connection.is_closed_by_server().await {
                return connection.reply().await.status;
            }
        }
    };
    assert_eq!(within("an answer", again).await, 200);
    // A head has two seconds there, and twenty elsewhere.
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}
