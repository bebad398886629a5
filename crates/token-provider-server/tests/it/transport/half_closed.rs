//! Clients that close their side right behind a request, as `nc -N` does: they still get the answer.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use here_sandbox::Fault;
use rustls::version::{TLS12, TLS13};
use token_provider_server::parts::listen::Limits;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time;
use tokio_rustls::client::TlsStream;

use super::authority::Files;
use super::{REQUEST, TlsServer};
use crate::support::server::{Server, Setup};
use crate::support::wire::Connection;
use crate::support::within;

const ROUNDS: usize = 200;
/// Handshakes are slow in a program that was not optimised.
const TLS_ROUNDS: usize = 25;
const POST: &str = "POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\n\
                    Content-Type: application/x-www-form-urlencoded";
/// At once, while a token is requested.
const WAITING: usize = 50;

/// A TLS client that closes the TCP connection without TLS' `close_notify`.
struct BareFin(TlsStream<TcpStream>);

impl AsyncRead for BareFin {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for BareFin {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.0.get_mut().0).poll_shutdown(cx)
    }
}

/// Few enough places that a connection left behind would be noticed; TLS needs a second one for its handshake.
fn few_places() -> Setup {
    Setup::default().limits(Limits { connections: WAITING + 1, ..Limits::default() })
}

async fn tcp(address: SocketAddr) -> TcpStream {
    within("a connection", TcpStream::connect(address)).await.expect("connects")
}

async fn unix(path: &Path) -> UnixStream {
    within("a connection", UnixStream::connect(path)).await.expect("connects")
}

/// Lets a second pass at once, which only a single thread can.
async fn rest() {
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        time::pause();
        time::advance(Duration::from_secs(1)).await;
        time::resume();
    }
}

/// Runs through everything on connections of one kind.
async fn is_answered<S>(server: &Server, what: &str, rounds: usize, open: impl AsyncFn() -> S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // Before there is a token: all wait for the one request.
    server.sandbox.faults().inject(Fault { delay_ms: Some(1_000), count: Some(1), ..Fault::default() });
    let mut waiting = Vec::new();
    for _ in 0..WAITING {
        let mut connection = Connection::new(open().await);
        connection.send_last(REQUEST).await;
        waiting.push(connection);
    }
    for mut connection in waiting {
        assert_eq!(connection.reply().await.status, 200, "{what}, while a token is requested");
        assert!(connection.is_closed_by_server().await);
    }
    assert_eq!(server.sandbox.stats().token_requests, 1);
    for round in 0..rounds {
        let what = format!("{what}, round {round}");
        let mut fresh = Connection::new(open().await);
        fresh.send_last(REQUEST).await;
        assert_eq!(fresh.reply().await.status, 200, "{what}, fresh");
        assert!(fresh.is_closed_by_server().await);

        let mut kept = Connection::new(open().await);
        kept.send(REQUEST).await;
        assert_eq!(kept.reply().await.status, 200, "{what}, first");
        kept.send_last([REQUEST, REQUEST].concat()).await;
        assert_eq!(kept.reply().await.status, 200, "{what}, kept");
        assert_eq!(kept.reply().await.status, 200, "{what}, pipelined");
        assert!(kept.is_closed_by_server().await);

        let mut rested = Connection::new(open().await);
        rested.send(REQUEST).await;
        assert_eq!(rested.reply().await.status, 200, "{what}, first");
        rest().await;
        rested.send_last(REQUEST).await;
        assert_eq!(rested.reply().await.status, 200, "{what}, after a second");
        assert!(rested.is_closed_by_server().await);

        let mut posting = Connection::new(open().await);
        let body = "grant_type=client_credentials";
        posting.send_last(format!("{POST}\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
        assert_eq!(posting.reply().await.status, 200, "{what}, with a body");
        assert!(posting.is_closed_by_server().await);
    }
}

async fn plain() {
    let server = few_places().start().await;
    is_answered(&server, "TCP", ROUNDS, async || tcp(server.address).await).await;
}

async fn unix_socket() {
    let folder = tempfile::tempdir().expect("can be made");
    let path = folder.path().join("x.sock");
    let server = few_places().start_at_unix(&path).await;
    is_answered(&server, "Unix", ROUNDS, async || unix(&path).await).await;
}

async fn tls_with_close_notify() {
    for version in [&TLS12, &TLS13] {
        let server = TlsServer::start_with(few_places(), Files::new()).await;
        let config = Arc::new(server.client_config(&[version]));
        let open = async || server.try_connect(Arc::clone(&config)).await.expect("shakes hands");
        is_answered(&server.server, &format!("{version:?}, close_notify"), TLS_ROUNDS, open).await;
    }
}

async fn tls_with_a_bare_fin() {
    for version in [&TLS12, &TLS13] {
        let server = TlsServer::start_with(few_places(), Files::new()).await;
        let config = Arc::new(server.client_config(&[version]));
        let open = async || BareFin(server.try_connect(Arc::clone(&config)).await.expect("shakes hands"));
        is_answered(&server.server, &format!("{version:?}, bare FIN"), TLS_ROUNDS, open).await;
    }
}

#[tokio::test]
async fn request_of_a_client_that_closes_its_side_is_answered() {
    plain().await;
    unix_socket().await;
}

#[tokio::test]
async fn request_of_a_client_that_closes_its_side_is_answered_over_tls() {
    tls_with_close_notify().await;
    tls_with_a_bare_fin().await;
}

// The request and the end come together or apart, as the threads have it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_of_a_client_that_closes_its_side_is_answered_on_several_threads() {
    plain().await;
    unix_socket().await;
    tls_with_close_notify().await;
    tls_with_a_bare_fin().await;
}

/// Neither an idle connection nor half a request is kept for a client that says no more.
#[tokio::test]
async fn client_that_closes_its_side_and_waits_for_nothing_gives_its_place_back() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let server = Setup::default().limits(limits).start().await;
    for last in ["", "GET /getToken HTTP/1.1\r\nHost: local"] {
        for _ in 0..ROUNDS {
            let mut connection = Connection::open(server.address).await;
            connection.send(REQUEST).await;
            assert_eq!(connection.reply().await.status, 200);
            connection.send_last(last).await;
            assert!(connection.is_closed_by_server().await, "{last:?}");
        }
    }
    for last in ["", "GET"] {
        let mut connection = Connection::open(server.address).await;
        connection.send_last(last).await;
        assert!(connection.is_closed_by_server().await, "{last:?}");
    }
    let mut connection = Connection::open(server.address).await;
    connection.send_last(format!("{POST}\r\nContent-Length: 100\r\n\r\ngrant_type=")).await;
    assert!(connection.is_refused_with(&[400]).await, "half a body");
    let mut connection = Connection::open(server.address).await;
    connection.send(REQUEST).await;
    assert_eq!(connection.reply().await.status, 200, "there is a place");
}
