//! A drain: a server that is to stop is not ready, so that balancers turn away from it, and goes on serving until they have.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tokio::time::Instant;

use super::support::program::{Folder, Running};
use super::support::wire::{Connection, get, request};

const FILE: &str = "token-provider.toml";
const DRAINS: &str = "no longer ready";
const REQUEST: &str = "GET /getToken HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Starts a server that drains for so long.
async fn start(folder: &Folder, drain: &str) -> (Running, SocketAddr, SocketAddr) {
    folder.write(FILE, &format!("drain = '{drain}'\nadmin.listen = '127.0.0.1:0'\naudit.to = 'off'\n"));
    let mut server = folder.start(&["serve", "--sandbox", "--listen", "127.0.0.1:0", "--log-format", "json"]);
    let [address, admin] = server.addresses().await;
    assert_eq!(get(address, "/readyz").await.status, 200);
    (server, address, admin)
}

async fn status(admin: SocketAddr) -> Value {
    request(admin, "GET", "/status", &[("Accept", "application/json")]).await.json()
}

#[tokio::test]
async fn draining_server_is_not_ready_and_serves_until_a_second_signal() {
    let folder = Folder::new();
    // Longer than any test takes.
    let (mut server, address, admin) = start(&folder, "10m").await;
    assert_eq!(status(admin).await["ready"], true);
    let mut kept = Connection::open(address).await;
    kept.send(REQUEST).await;
    assert_eq!(kept.reply().await.header("connection"), None);

    server.signal(Signal::TERM);
    server.logged(DRAINS).await;
    let ready = get(address, "/readyz").await;
    assert_eq!((ready.status, ready.error()), (503, "temporarily_unavailable".to_owned()));
    assert!(ready.description().contains("shutting down"), "{}", ready.description());
    let mut balancer = Connection::open(address).await;
    balancer.send("GET /readyz HTTP/1.0\r\n\r\n").await;
    let unready = balancer.reply().await;
    assert_eq!((unready.status, unready.text()), (503, "unready\n"));
    assert_eq!(get(address, "/livez").await.status, 200, "nobody is to kill it");
    // On a connection from before as on a new one, which is told to use another the next time.
    let mut fresh = Connection::open(address).await;
    for connection in [&mut kept, &mut fresh] {
        connection.send(REQUEST).await;
        let reply = connection.reply().await;
        assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
        assert!(connection.is_closed_by_server().await);
    }
    assert_eq!(status(admin).await["ready"], false);
    assert_eq!(get(admin, "/metrics").await.status, 200, "it is watched to the end");

    server.signal(Signal::TERM);
    let (ended, _, log) = server.end().await;
    assert_eq!(ended.code(), Some(1), "{log:#?}");
}

#[tokio::test]
async fn drain_comes_to_its_end() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = Folder::new();
        let (mut server, address, _) = start(&folder, "1s").await;
        let begun = Instant::now();
        server.signal(signal);
        server.logged(DRAINS).await;
        // Idle when the drain ends: nobody waits for it.
        let _idle = Connection::open(address).await;
        assert_eq!(get(address, "/getToken").await.status, 200);
        let (ended, _, log) = server.end().await;
        assert_eq!(ended.code(), Some(0), "{log:#?}");
        assert!(begun.elapsed() >= Duration::from_secs(1), "{log:#?}");
    }
}

/// Setting it is usually followed by a restart, and it should apply to that restart as well.
#[tokio::test]
async fn drain_can_be_set_while_the_server_runs() {
    let folder = Folder::new();
    let (mut server, address, _) = start(&folder, "0s").await;
    folder.write(FILE, "drain = '10m'\nadmin.listen = '127.0.0.1:0'\naudit.to = 'off'\n");
    server.signal(Signal::HUP);
    server.logged("configuration reloaded").await;
    server.signal(Signal::TERM);
    server.logged(DRAINS).await;
    assert_eq!(get(address, "/getToken").await.status, 200);
}
