//! Serves the router on a listener, with a hold on each connection: where its answers break off, and when
//! it ends.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWrite;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long running requests may take after the shutdown signal.
const GRACE: Duration = Duration::from_secs(5);

/// How long a client may take to send the header of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// The pause after `accept` failed for want of, say, file descriptors: trying again at once would only burn
/// the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// No limit on what may be written.
const UNCUT: usize = usize::MAX;

/// The connection that a request came in on; a request extension.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    /// Bytes that may still be written, or [`UNCUT`].
    writable: Arc<AtomicUsize>,
    closing: watch::Receiver<bool>,
}

impl Connection {
    /// Lets this many more bytes through, then fails every write, upon which the connection is closed.
    pub(crate) fn cut_after(&self, bytes: usize) {
        self.writable.store(bytes, Ordering::Release);
    }

    /// Ends when the sandbox is being shut down.
    pub(crate) async fn closing(&self) {
        let mut closing = self.closing.clone();
        // An error means that the server is gone, which comes to the same.
        let _ = closing.wait_for(|closing| *closing).await;
    }
}

pub(crate) async fn serve(
    router: Router,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    tracing::info!(%address, "sandbox listening");
    let (close, closing) = watch::channel(false);
    let mut shutdown = pin!(shutdown);
    // Dropping the set aborts what is in it, so no connection outlives this function.
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                connections.spawn(serve_connection(router.clone(), stream, peer, closing.clone()));
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    close.send_replace(true);
    let all_closed = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(GRACE, all_closed).await;
    Ok(())
}

async fn serve_connection(
    router: Router,
    stream: TcpStream,
    peer: SocketAddr,
    closing: watch::Receiver<bool>,
) {
    // Small answers must not wait for the client's acknowledgement of the last one.
    let _ = stream.set_nodelay(true);
    let connection = Connection { writable: Arc::new(AtomicUsize::new(UNCUT)), closing };
    let (reader, inner) = stream.into_split();
    let writer = CuttableWriter { inner, writable: Arc::clone(&connection.writable) };
    let io = TokioIo::new(tokio::io::join(reader, writer));
    let router = TowerToHyperService::new(router);
    let service = service_fn(|mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(connection.clone());
        request.extensions_mut().insert(ConnectInfo(peer));
        router.call(request)
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(io, service);
    let mut serving = pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = connection.closing() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "connection ended early");
    }
}

/// The client gave up before it was accepted; the listener is as good as before.
fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// The writing half of a stream, which can be made to fail after a number of bytes, at whatever place in an answer that
/// is. A handler can only return an answer; where on the wire it ends is decided here.
struct CuttableWriter {
    inner: OwnedWriteHalf,
    writable: Arc<AtomicUsize>,
}

impl AsyncWrite for CuttableWriter {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let writable = self.writable.load(Ordering::Acquire);
        if writable == UNCUT {
            return Pin::new(&mut self.inner).poll_write(cx, buf);
        }
        let allowed = buf.get(..writable).unwrap_or(buf);
        if allowed.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let written = std::task::ready!(Pin::new(&mut self.inner).poll_write(cx, allowed))?;
        self.writable.fetch_sub(written, Ordering::AcqRel);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
