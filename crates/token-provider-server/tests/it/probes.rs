//! Health checks of balancers, which call the server by any name or none.

use here_sandbox::Fault;

use super::support::server::Server;
use super::support::wire::{Connection, Reply, get};

async fn probe(server: &Server, head: &str) -> Reply {
    let mut connection = Connection::open(server.address).await;
    connection.send(format!("{head}\r\nConnection: close\r\n\r\n")).await;
    connection.reply().await
}

#[track_caller]
fn assert_word(reply: &Reply, status: u16, word: &str) {
    assert_eq!((reply.status, reply.text().trim_end()), (status, word), "{reply:?}");
    assert_eq!(reply.header("access-control-allow-origin"), None, "{reply:?}");
    assert_eq!(reply.header("cache-control"), Some("no-store"), "{reply:?}");
}

#[tokio::test]
async fn health_is_told_whatever_the_name() {
    let server = Server::start().await;
    let names = [
        " HTTP/1.0",
        " HTTP/1.0\r\nHost: balancer.example",
        " HTTP/1.1\r\nHost: 192.0.2.1:3000",
        " HTTP/1.1\r\nHost: not a name",
        " HTTP/1.1\r\nHost:",
    ];
    for name in names {
        assert_word(&probe(&server, &format!("GET /livez{name}")).await, 200, "live");
        assert_word(&probe(&server, &format!("GET /readyz{name}")).await, 200, "ready");
    }
    assert_eq!(server.sandbox.stats().token_requests, 0, "a stranger's probe is not asking for a token");

    server.sandbox.faults().replace(vec![Fault { status: Some(503), count: Some(1000), ..Fault::default() }]);
    let own = get(server.address, "/readyz").await;
    assert_eq!((own.status, own.error().as_str()), (503, "temporarily_unavailable"), "{own:?}");
    for name in names {
        assert_word(&probe(&server, &format!("GET /readyz{name}")).await, 503, "unready");
        assert_word(&probe(&server, &format!("GET /livez{name}")).await, 200, "live");
        assert_eq!(probe(&server, &format!("POST /readyz{name}")).await.status, 405, "{name}");
    }
}

#[tokio::test]
async fn health_is_not_told_to_pages_nor_anything_else_to_strangers() {
    let server = Server::start().await;
    for (head, status) in [
        ("GET /readyz HTTP/1.1", 400),
        ("GET /livez HTTP/1.1\r\nHost: a\r\nHost: a", 400),
        ("GET /livez HTTP/1.0\r\nHost: a\r\nHost: b", 400),
        ("GET /readyz HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example", 403),
        ("GET /readyz HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://localhost:5173", 403),
        ("GET /readyz HTTP/1.1\r\nHost: evil.example\r\nSec-Fetch-Site: same-origin", 403),
        ("GET /livez HTTP/1.1\r\nHost: evil.example\r\nSec-Fetch-Site: none", 403),
        ("GET /livez HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example", 403),
        ("GET /getToken HTTP/1.1\r\nHost: evil.example", 403),
        ("GET /openapi.json HTTP/1.0", 400),
        ("GET / HTTP/1.0", 400),
    ] {
        let reply = probe(&server, head).await;
        assert_eq!(reply.status, status, "{head}: {reply:?}");
        assert!(["access_denied", "invalid_request"].contains(&reply.error().as_str()), "{head}: {reply:?}");
    }
}
