//! Serves the router on a listener, with a hold on each connection: where its answers break off, and when
//! it ends.

use std::future::Future;
use std::io::{self, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long running requests may take after the shutdown signal.
const GRACE: Duration = Duration::from_secs(5);

/// The pause after `accept` failed, as it does for want of file descriptors: trying again at once would only
/// burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The connection that a request came in on; a request extension.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    /// The same socket as hyper's.
    socket: Arc<std::net::TcpStream>,
    closing: watch::Receiver<bool>,
}

impl Connection {
    /// Sends this, and ends the connection under hyper: a handler can only return a whole answer.
    pub(crate) fn break_off(&self, last_words: &str) {
        // A client that has gone away is as good as one that was cut off.
        let _ = (&*self.socket).write_all(last_words.as_bytes());
        let _ = self.socket.shutdown(Shutdown::Both);
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
    let Ok((stream, socket)) = share(stream) else {
        return tracing::warn!(%peer, "out of file descriptors");
    };
    let connection = Connection { socket, closing };
    let router = TowerToHyperService::new(router);
    let service = service_fn(|mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(connection.clone());
        request.extensions_mut().insert(ConnectInfo(peer));
        router.call(request)
    });
    // With a timer, hyper waits for the head of a request for 30 s.
    let mut http = http1::Builder::new();
    let mut serving = pin!(http.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service));
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

/// Returns a second hold on the socket, too.
fn share(stream: TcpStream) -> io::Result<(TcpStream, Arc<std::net::TcpStream>)> {
    // Small answers must not wait for the client's acknowledgement of the last one.
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    let socket = Arc::new(stream.try_clone()?);
    Ok((TcpStream::from_std(stream)?, socket))
}
