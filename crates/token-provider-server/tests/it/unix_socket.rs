//! A Unix socket in place of a port.

use std::io;
use std::path::Path;

use token_provider_server::parts::config::Listen;
use token_provider_server::parts::listen::{self, Limits};
use tokio::net::UnixStream;

use super::support::server::{Server, Setup};
use super::support::wire::Connection;
use super::support::within;

async fn connect(path: &Path) -> Connection<UnixStream> {
    let stream = within("a connection", UnixStream::connect(path)).await;
    Connection::new(stream.expect("connects"))
}

async fn status_of(path: &Path, head: &str) -> u16 {
    let mut connection = connect(path).await;
    connection.send(format!("{head}\r\n\r\n")).await;
    connection.reply().await.status
}

async fn start(path: &Path) -> Server {
    Setup::default().start_at_unix(path).await
}

#[tokio::test]
async fn tokens_come_through_a_unix_socket() {
    let folder = tempfile::tempdir().expect("can be made");
    let path = folder.path().join("x.sock");
    let server = start(&path).await;
    let mut connection = connect(&path).await;
    connection.send("GET /getToken HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let reply = connection.reply().await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(server.sandbox.verify_token(reply.text()).is_ok());
}

#[tokio::test]
async fn name_that_was_pointed_at_a_proxy_in_front_gets_nothing_through_its_socket() {
    let folder = tempfile::tempdir().expect("can be made");
    let path = folder.path().join("x.sock");
    let proxied = "public_hosts = [\"tokens.example.com\"]";
    let server = Setup::default().config(proxied).start_at_unix(&path).await;
    let get = async |rest: &str| status_of(&path, &format!("GET /getToken HTTP/1.1\r\nHost: {rest}")).await;
    for page in [
        "rebound.example\r\nSec-Fetch-Site: same-origin",
        "rebound.example\r\nOrigin: http://rebound.example",
        // An older browser says nothing of itself, and some proxies do not, either.
        "rebound.example",
        "rebound",
        "tokens.example.com\r\nOrigin: http://rebound.example",
    ] {
        assert_eq!(get(page).await, 403, "{page}");
    }
    assert_eq!(server.sandbox.stats().token_requests, 0, "HERE was asked");
    assert_eq!(get("a\r\nHost: b").await, 400);
    let own = "tokens.example.com\r\nOrigin: https://tokens.example.com\r\nSec-Fetch-Site: same-origin";
    assert_eq!(get(own).await, 200);
}

#[tokio::test]
async fn program_on_this_machine_may_make_up_a_name_for_the_socket() {
    let folder = tempfile::tempdir().expect("can be made");
    let path = folder.path().join("x.sock");
    let _server = start(&path).await;
    for host in ["token-provider", "localhost", "x"] {
        assert_eq!(status_of(&path, &format!("GET /getToken HTTP/1.1\r\nHost: {host}")).await, 200, "{host}");
    }
}

#[tokio::test]
async fn socket_of_a_process_that_is_gone_is_replaced_and_one_in_use_is_not() {
    let folder = tempfile::tempdir().expect("can be made");
    let path = folder.path().join("x.sock");
    let mut server = start(&path).await;
    let busy =
        listen::bind(&Listen::Unix(path.clone().into()), "--listen").expect_err("somebody listens there");
    assert_eq!(busy.kind(), io::ErrorKind::AddrInUse);
    assert!(busy.to_string().contains("another process is already listening there"), "{busy}");
    server.begin_shutdown();
    server.ended().await;
    // What a process leaves behind that was killed.
    drop(std::os::unix::net::UnixListener::bind(folder.path().join("stale")).expect("can be bound"));
    let stale = folder.path().join("stale");
    let _server = start(&stale).await;
    assert_eq!(status_of(&stale, "GET /livez HTTP/1.1\r\nHost: x").await, 200);
}

#[tokio::test]
async fn file_that_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().expect("can be made");
    let path = folder.path().join("file");
    std::fs::write(&path, "precious").expect("can be written");
    let error = listen::bind(&Listen::Unix(path.clone().into()), "--listen").expect_err("is a file");
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    assert_eq!(std::fs::read_to_string(&path).expect("is there"), "precious");
}

#[tokio::test]
async fn connections_through_a_unix_socket_share_one_count() {
    let folder = tempfile::tempdir().expect("can be made");
    let path = folder.path().join("x.sock");
    let limits = Limits { connections_per_peer: 2, ..Limits::default() };
    let _server = Setup::default().limits(limits).start_at_unix(&path).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut connection = connect(&path).await;
        connection.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        assert_eq!(connection.reply().await.status, 200);
        held.push(connection);
    }
    assert!(connect(&path).await.is_closed_by_server().await);
}
