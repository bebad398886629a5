//! Sockets: binding them, accepting connections within limits, and letting these finish at the end.
//!
//! A listener speaks HTTP/1.1, or, with a certificate, TLS with HTTP/2 or HTTP/1.1 as the other side prefers. What a
//! connection may take, in time, bytes and number, is in `limits.rs`.

mod bind;
mod connection;
mod limits;
mod listener;
mod memory;
#[cfg(all(target_os = "linux", not(portable)))]
mod systemd;
mod tls;
#[cfg_attr(not(unix), path = "listen/no_unix.rs")]
mod unix;

use std::borrow::Cow;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use futures_util::FutureExt as _;
use hyper::Request;
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connection::Ended;
use self::limits::{ACCEPT_PAUSE, BUFFER, MAX_CHAIN};
use self::listener::Stream;
use self::tls::ShownCertificate;
use crate::access::{ConnectionInfo, Share, Shares};
use crate::http::{self, Answer, Service};

pub use self::bind::bind;
pub use self::limits::Limits;
pub use self::listener::Listener;
pub use self::tls::Tls;
#[cfg(unix)]
pub(crate) use self::unix::group_id;

/// Serves until `shutdown`, then lets answers under way finish. Open connections are counted by `open`, of
/// which each holds one, if there is anything to hold.
pub async fn serve(
    limits: Limits,
    service: Arc<impl Service>,
    open: Weak<()>,
    listeners: Vec<Listener>,
    shutdown: impl Future<Output = ()>,
) {
    let server = Arc::new(Server {
        service,
        open,
        limits,
        tasks: TaskTracker::new(),
        permits: Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS))),
        shares: Arc::new(Shares::new(usize::MAX, limits.connections_per_peer, limits.counts_loopback)),
        stop: CancellationToken::new(),
        accepted: AtomicUsize::new(0),
    });
    for listener in listeners {
        listener.bound_buffers();
        server.tasks.spawn(Arc::clone(&server).accept_all(listener));
    }
    // A few less, as each listener has a task, too.
    let ended = || server.accepted.load(Ordering::Relaxed).saturating_sub(server.tasks.len());
    tokio::select! {
        () = shutdown => {}
        () = memory::give_back(ended) => {}
    }
    server.stop.cancel();
    // Each connection ends within the grace.
    server.tasks.close();
    server.tasks.wait().await;
}

#[derive(Debug)]
struct Server<S> {
    service: Arc<S>,
    open: Weak<()>,
    limits: Limits,
    /// One for each listener and each connection.
    tasks: TaskTracker,
    permits: Arc<Semaphore>,
    shares: Arc<Shares>,
    stop: CancellationToken,
    /// Connections, since the start.
    accepted: AtomicUsize,
}

/// A connection that was accepted: what all its requests have in common, and what is held for it.
struct Connection<S> {
    server: Arc<Server<S>>,
    info: ConnectionInfo,
    shown: Option<ShownCertificate>,
    /// Two for HTTP/2, and until the protocol is known.
    permit: OwnedSemaphorePermit,
    /// As many: so much of what the other side's address may have.
    shares: Vec<Share>,
    _open: Option<Arc<()>>,
}

impl<S: Service> Server<S> {
    async fn accept_all(self: Arc<Self>, listener: Listener) {
        // One of HTTP/2 counts twice from the start: a head that has begun may be held in a map of 76 KiB, with a frame and a TLS
        // record that have not come to their end, before any request is there to have a permit.
        let Limits { connections, connections_per_peer, .. } = self.limits;
        let weight =
            if listener.tls().is_some() && connections.min(connections_per_peer) > 1 { 2 } else { 1 };
        let mut is_failing = false;
        loop {
            let next = async {
                let permit = Arc::clone(&self.permits).acquire_many_owned(weight).await;
                (permit.expect("the semaphore is never closed"), listener.accept().await)
            };
            // The end goes first: nothing is accepted then, and no wait for a permit holds it up.
            let (permit, accepted) = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                next = next => next,
            };
            match accepted {
                Ok((stream, info)) => {
                    is_failing = false;
                    self.spawn(stream, listener.tls().cloned(), info, permit);
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    // Once, and not every pause.
                    if !is_failing {
                        tracing::warn!(%error, "cannot accept connections; retrying");
                    }
                    is_failing = true;
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves a connection in its own task.
    fn spawn(
        self: &Arc<Self>,
        stream: Stream,
        tls: Option<Arc<Tls>>,
        info: ConnectionInfo,
        permit: OwnedSemaphorePermit,
    ) {
        let shares: Option<Vec<_>> = (0..permit.num_permits()).map(|_| self.share_of(&info)).collect();
        let Some(shares) = shares else { return };
        self.accepted.fetch_add(1, Ordering::Relaxed);
        let (server, open) = (Arc::clone(self), self.open.upgrade());
        let connection = Connection { server, info, shown: None, permit, shares, _open: open };
        self.tasks.spawn(async move {
            match (stream, tls) {
                // In a box: this one is large, and the others would be as large.
                (Stream::Left(stream), Some(tls)) => Box::pin(connection.serve_tls(stream, tls)).await,
                (stream, _) => connection.serve_http1(stream).await,
            }
        });
    }

    /// Takes a share of what the other side's address may have, if there is any left.
    fn share_of(&self, info: &ConnectionInfo) -> Option<Share> {
        let share = self.shares.take(info.peer.map(|peer| peer.ip()));
        if share.is_none() {
            let peer = info.peer.map(tracing::field::display);
            tracing::debug!(peer, "too many connections from one address");
        }
        share
    }
}

impl<S: Service> Connection<S> {
    async fn serve_tls(mut self, stream: TcpStream, tls: Arc<Tls>) {
        let Server { limits, stop, .. } = &*self.server;
        let shaken = tokio::select! {
            () = stop.cancelled().then(|()| sleep(limits.first)) => return,
            shaken = timeout(limits.handshake, tls.accept(stream)) => shaken,
        };
        let mut stream = match shaken.unwrap_or_else(|elapsed| Err(elapsed.into())) {
            // In a box: it is large, and handed on from one future to the next.
            Ok(stream) => Box::new(stream),
            // A scanner, plain HTTP, or a client certificate that is not good.
            Err(error) => return self.report(Ended::Unshaken(error.to_string())),
        };
        let (_, session) = stream.get_mut();
        session.set_buffer_limit(Some(BUFFER));
        let chain = session.peer_certificates().unwrap_or_default();
        if chain.iter().map(|certificate| certificate.len()).sum::<usize>() > MAX_CHAIN {
            return self.report(Ended::Unshaken("the client's certificates are too long".to_owned()));
        }
        self.shown = ShownCertificate::new(tls, chain);
        if session.alpn_protocol() == Some(b"h2") {
            Arc::new(self).serve_http2(stream).await;
        } else {
            // It counts as one, as it is none of HTTP/2.
            drop(self.permit.split(self.permit.num_permits() - 1));
            self.shares.truncate(1);
            self.serve_http1(stream).await;
        }
    }

    async fn serve_http1(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Server { limits, stop, .. } = &*self.server;
        self.report(connection::http1(stream, |request| self.answer(request), limits, stop).await);
    }

    async fn serve_http2(self: Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Server { limits, stop, .. } = &*self.server;
        // The second of the connection's permits is for its first request.
        let first = Arc::new(Semaphore::new(1));
        let answer = |mut request| {
            let permit = self.permit_for_request(&first)?;
            http::shed_fields(&mut request);
            let connection = Arc::clone(&self);
            Some((async move { connection.answer(request).await }, permit))
        };
        self.report(connection::http2(stream, answer, limits, stop).await);
    }

    /// Charges each further HTTP/2 request like a connection.
    fn permit_for_request(&self, first: &Arc<Semaphore>) -> Option<(OwnedSemaphorePermit, Option<Share>)> {
        if let Ok(permit) = Arc::clone(first).try_acquire_owned() {
            return Some((permit, None));
        }
        let permit = Arc::clone(&self.server.permits).try_acquire_owned().ok()?;
        Some((permit, Some(self.server.share_of(&self.info)?)))
    }

    /// Answers a request, by the client certificate as it is judged now.
    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Answer> {
        let service = &self.server.service;
        let info = match &self.shown {
            None => Cow::Borrowed(&self.info),
            Some(shown) => Cow::Owned(ConnectionInfo { client: shown.judge(), ..self.info.clone() }),
        };
        async move { service.answer(request, &info).await }
    }

    fn report(&self, ended: Ended) {
        let peer = self.info.peer.map(tracing::field::display);
        match ended {
            Ended::Done(Ok(())) | Ended::Closed => {}
            // The other side's doing.
            Ended::Done(Err(error)) => tracing::debug!(reason = %error, peer, "connection ended"),
            Ended::Unshaken(error) => tracing::debug!(error, peer, "TLS handshake failed"),
            Ended::Slow => tracing::debug!(reason = "the client was too slow", peer, "connection ended"),
            Ended::CutOff => tracing::warn!(peer, "connection closed: the response took too long"),
        }
    }
}

/// The connection was gone before it was accepted, or the network is not there for it; the next one may be fine
/// (accept(2), "Error handling").
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::Interrupted
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
    )
}
