//! Serves the router on a listener, with a hold on each connection: its answers may have to break off.

use std::io::{self, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The pause after `accept` failed, as it does for want of file descriptors: trying again at once would only
/// burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The connection that a request came in on, as the same socket as hyper's; a request extension.
#[derive(Debug, Clone)]
pub(crate) struct Connection(Arc<std::net::TcpStream>);

impl Connection {
    /// Sends this, and ends the connection under hyper: a handler can only return a whole answer.
    pub(crate) fn break_off(&self, last_words: &str) {
        // A client that has gone away is as good as one that was cut off.
        let _ = (&*self.0).write_all(last_words.as_bytes());
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// Serves until dropped.
pub(crate) async fn serve(router: Router, listener: TcpListener) {
    // Dropping the set aborts what is in it, so no connection outlives this function.
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => drop(connections.spawn(serve_connection(router.clone(), stream, peer))),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve_connection(router: Router, stream: TcpStream, peer: SocketAddr) {
    let Ok((stream, connection)) = share(stream) else {
        return tracing::warn!(%peer, "out of file descriptors");
    };
    let router = TowerToHyperService::new(router);
    let service = service_fn(|mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(connection.clone());
        request.extensions_mut().insert(ConnectInfo(peer));
        router.call(request)
    });
    // With a timer, hyper waits for the head of a request for 30 s.
    let mut http = http1::Builder::new();
    if let Err(error) = http.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, %peer, "connection ended early");
    }
}

/// Returns a second hold on the socket, too.
fn share(stream: TcpStream) -> io::Result<(TcpStream, Connection)> {
    // Small answers must not wait for the client's acknowledgement of the last one.
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    let connection = Connection(Arc::new(stream.try_clone()?));
    Ok((TcpStream::from_std(stream)?, connection))
}
