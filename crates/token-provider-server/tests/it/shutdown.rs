//! The end: what is under way finishes, nothing new begins, and it does not take for ever.

use std::sync::Arc;
use std::time::Duration;

use token_provider::TokenProvider;
use token_provider_server::parts::listen::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::support::issuer::GatedIssuer;
use super::support::server::{Server, Setup};
use super::support::wire::{Connection, get};
use super::support::within;

const REQUEST: &str = "GET /getToken HTTP/1.1\r\nHost: localhost\r\n\r\n";

async fn gated(limits: Limits) -> (Server, Arc<GatedIssuer>) {
    let issuer = Arc::new(GatedIssuer::new("planted.token.text"));
    let provider = TokenProvider::new(Arc::clone(&issuer));
    (Setup::default().provider(provider).limits(limits).start().await, issuer)
}

/// Waits until the port is nobody's.
async fn refused(server: &Server) {
    let connecting = async { while TcpStream::connect(server.address).await.is_ok() {} };
    within("new connections being refused", connecting).await;
}

#[tokio::test]
async fn answer_under_way_finishes_and_new_connections_are_refused() {
    let (mut server, issuer) = gated(Limits::default()).await;
    let mut under_way = Connection::open(server.address).await;
    under_way.send(REQUEST).await;
    issuer.asked().await;
    server.begin_shutdown();
    refused(&server).await;
    issuer.answer();
    let reply = under_way.reply().await;
    assert_eq!((reply.status, reply.text()), (200, "planted.token.text"));
    assert_eq!(reply.header("connection"), Some("close"), "the caller is told not to come back this way");
    assert!(under_way.is_closed_by_server().await);
    server.ended().await;
}

#[tokio::test]
async fn idle_connections_are_closed_at_once() {
    let mut server = Server::start().await;
    let mut idle = Connection::open(server.address).await;
    idle.send(REQUEST).await;
    assert_eq!(idle.reply().await.status, 200);
    server.begin_shutdown();
    assert!(idle.is_closed_by_server().await);
    server.ended().await;
}

#[tokio::test]
async fn connection_that_was_accepted_gets_its_first_request_answered() {
    let limits = Limits { first: Duration::from_secs(20), ..Limits::default() };
    let mut server = Setup::default().limits(limits).start().await;
    let mut unused = Connection::open(server.address).await;
    // Accepted, as this later one has been.
    let mut later = Connection::open(server.address).await;
    later.send(REQUEST).await;
    assert_eq!(later.reply().await.status, 200);
    server.begin_shutdown();
    refused(&server).await;
    unused.send(REQUEST).await;
    assert_eq!(unused.reply().await.status, 200);
    assert!(unused.is_closed_by_server().await);
    server.ended().await;
}

#[tokio::test]
async fn answer_that_takes_too_long_is_cut_off() {
    let (mut server, issuer) = gated(Limits { grace: Duration::from_millis(20), ..Limits::default() }).await;
    let mut under_way = Connection::open(server.address).await;
    under_way.send(REQUEST).await;
    issuer.asked().await;
    server.begin_shutdown();
    // Nobody answers the request to the issuer, and yet it ends.
    server.ended().await;
}

#[tokio::test]
async fn nobody_is_let_in_who_waited_for_a_place() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let (mut server, issuer) = gated(limits).await;
    let mut only = Connection::open(server.address).await;
    only.send(REQUEST).await;
    issuer.asked().await;
    let mut waiting = Connection::open(server.address).await;
    waiting.send(REQUEST).await;
    server.begin_shutdown();
    // Although the only place is still taken.
    refused(&server).await;
    assert!(waiting.is_closed_by_server().await);
    issuer.answer();
    assert_eq!(only.reply().await.status, 200);
    server.ended().await;
}

/// Its connection looks idle while it takes its time to take in what it has asked for all at once, and more of that is unread.
#[tokio::test]
async fn answers_to_a_client_that_asks_far_ahead_are_not_cut() {
    let mut server = Server::start().await;
    let token = get(server.address, "/getToken").await.text().to_owned();
    let socket = TcpSocket::new_v4().expect("can be made");
    socket.set_recv_buffer_size(4096).expect("is allowed");
    let (mut reader, mut writer) = socket.connect(server.address).await.expect("is there").into_split();
    let asking = tokio::spawn(async move {
        // The server need not read all of it.
        let _ = writer.write_all(REQUEST.repeat(3000).as_bytes()).await;
        writer
    });
    // Until it can send no more.
    let (mut there, mut still) = (0, 0);
    while still < 1000 {
        let now = reader.peek(&mut [0; 16_384]).await.expect("is there");
        still = if now == there { still + 1 } else { 0 };
        there = now;
        tokio::task::yield_now().await;
    }
    server.begin_shutdown();
    let mut answers = Vec::new();
    within("the end", reader.read_to_end(&mut answers)).await.expect("no answer is lost to a reset");
    let answers = String::from_utf8(answers).expect("is text");
    assert!(answers.ends_with(&token), "the last is whole");
    assert_eq!(answers.matches("HTTP/1.1 200").count(), answers.matches(&token).count());
    drop((reader, asking.await.expect("does not panic")));
    server.ended().await;
}

#[tokio::test]
async fn server_without_callers_ends_at_once() {
    let mut server = Server::start().await;
    server.begin_shutdown();
    server.ended().await;
    refused(&server).await;
}
