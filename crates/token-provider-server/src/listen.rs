//! Sockets: binding them, accepting connections within limits, and letting these finish at the end.
//!
//! A listener speaks HTTP/1.1, or, with a certificate, TLS with HTTP/2 or HTTP/1.1 as the other side prefers. What a
//! connection may take, in time, bytes and number, is in `limits.rs`.

mod bind;
mod connection;
mod limits;
mod listener;
mod systemd;
mod tls;
mod unix;

use std::io;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::{Request, Version};
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
use crate::problem::Problem;
use crate::telemetry::OpenConnection;

pub use self::bind::bind;
pub use self::limits::{Capacity, Limits};
pub use self::listener::Listener;
pub use self::tls::Tls;

const TOO_MANY: &str = "too many connections from one address";

/// Serves until `shutdown`, then lets answers under way finish.
pub async fn serve(
    limits: Limits,
    service: Arc<impl Service>,
    listeners: Vec<Listener>,
    shutdown: impl Future<Output = ()>,
) {
    let server = Arc::new(Server {
        service,
        limits,
        connections: TaskTracker::new(),
        permits: Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS))),
        shares: Arc::new(Shares::new(usize::MAX, limits.connections_per_peer, limits.counts_loopback)),
        stop: CancellationToken::new(),
    });
    let accepting = TaskTracker::new();
    for listener in listeners {
        listener.bound_buffers();
        accepting.spawn(Arc::clone(&server).accept_all(listener));
    }
    shutdown.await;
    server.stop.cancel();
    accepting.close();
    accepting.wait().await;
    // Each sees to it that it ends within the grace.
    server.connections.close();
    server.connections.wait().await;
}

#[derive(Debug)]
struct Server<S> {
    service: Arc<S>,
    limits: Limits,
    connections: TaskTracker,
    permits: Arc<Semaphore>,
    shares: Arc<Shares>,
    stop: CancellationToken,
}

/// A permit for one connection, or for one request over HTTP/2, and its share of what the other side's address may have; released
/// on drop.
type ConnectionPermit = (OwnedSemaphorePermit, Option<Share>);

/// A connection that was accepted: what all its requests have in common, and what is held for it.
struct Connection<S> {
    server: Arc<Server<S>>,
    ends: ConnectionInfo,
    shown: Option<ShownCertificate>,
    permit: ConnectionPermit,
    _open: Option<OpenConnection>,
}

impl<S: Service> Server<S> {
    async fn accept_all(self: Arc<Self>, listener: Listener) {
        // One of HTTP/2 counts twice from the start: a head that has begun may be held in a map of 76 KiB, with a frame and a TLS
        // record that have not come to their end, before any request is there to have a permit.
        let weight = if matches!(listener, Listener::Tls(..)) { 2.min(self.limits.connections) } else { 1 };
        let weight = u32::try_from(weight).expect("is 2 at most");
        let mut is_failing = false;
        loop {
            let next = async {
                let permit = Arc::clone(&self.permits).acquire_many_owned(weight).await;
                (permit.expect("the semaphore is never closed"), listener.accept().await)
            };
            // The end goes first: not one more is accepted then, and nobody waits for a permit before that.
            let (permit, accepted) = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                next = next => next,
            };
            match accepted {
                Ok((stream, ends)) => {
                    is_failing = false;
                    self.spawn(stream, ends, permit);
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    // Once, and not every pause.
                    if !is_failing {
                        tracing::warn!(%error, "no connection can be accepted for now");
                    }
                    is_failing = true;
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves a connection in its own task.
    fn spawn(self: &Arc<Self>, stream: Stream, ends: ConnectionInfo, permit: OwnedSemaphorePermit) {
        let Some(permit) = self.with_share(permit, &ends) else {
            return tracing::debug!(peer = ends.peer.map(tracing::field::display), "{TOO_MANY}");
        };
        let (server, open) = (Arc::clone(self), self.service.connection());
        let connection = Connection { server, ends, shown: None, permit, _open: open };
        self.connections.spawn(async move {
            match stream {
                Stream::Tcp(stream) => connection.serve_http1(stream).await,
                // In a box: this one is large, and the others would be as large.
                Stream::Tls(stream, tls) => Box::pin(connection.serve_tls(stream, tls)).await,
                Stream::Unix(stream) => connection.serve_http1(stream).await,
            }
        });
    }

    /// Has a permit count for the other side's address, too, unless that has its share.
    fn with_share(&self, permit: OwnedSemaphorePermit, ends: &ConnectionInfo) -> Option<ConnectionPermit> {
        Some((permit, Some(self.shares.take(ends.peer.map(|peer| peer.ip()))?)))
    }
}

impl<S: Service> Connection<S> {
    async fn serve_tls(mut self, stream: TcpStream, tls: Arc<Tls>) {
        let peer = self.ends.peer.map(tracing::field::display);
        let shake_hands = async {
            if is_plain_http(&stream).await {
                return Err(stream);
            }
            Ok(tls.acceptor().accept(stream).await)
        };
        let shaken = tokio::select! {
            () = self.server.stop.cancelled() => return,
            shaken = timeout(self.server.limits.handshake, shake_hands) => shaken,
        };
        let mut stream = match shaken {
            // In a box: it is large, and handed on from one future to the next.
            Ok(Ok(Ok(stream))) => Box::new(stream),
            // A scanner, or a client certificate that is not good.
            Ok(Ok(Err(error))) => return tracing::debug!(%error, peer, "TLS handshake failed"),
            Ok(Err(stream)) => return self.refuse_plain(stream).await,
            Err(_elapsed) => return tracing::debug!(peer, "TLS handshake took too long"),
        };
        let (_, session) = stream.get_mut();
        session.set_buffer_limit(Some(BUFFER));
        let chain = session.peer_certificates().unwrap_or_default();
        if chain.iter().map(|certificate| certificate.len()).sum::<usize>() > MAX_CHAIN {
            return tracing::debug!(peer, "TLS handshake failed: the client's certificates are too long");
        }
        self.shown = ShownCertificate::new(tls, chain);
        if session.alpn_protocol() == Some(b"h2") {
            Arc::new(self).serve_http2(stream).await;
        } else {
            let (permit, _share) = &mut self.permit;
            drop(permit.split(permit.num_permits() - 1));
            self.serve_http1(stream).await;
        }
    }

    async fn serve_http1(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Server { limits, stop, .. } = &*self.server;
        self.report(connection::http1(stream, |request| self.answer(request), limits, stop).await);
    }

    async fn serve_http2(self: Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Server { limits, stop, .. } = &*self.server;
        let Some(_second_share) = self.server.shares.take(self.ends.peer.map(|peer| peer.ip())) else {
            return tracing::debug!(peer = self.ends.peer.map(tracing::field::display), "{TOO_MANY}");
        };
        // The second of the connection's permits is for its first request.
        let first = Arc::new(Semaphore::new(1));
        let answer = |mut request| {
            http::shed_fields(&mut request);
            let connection = Arc::clone(&self);
            async move { connection.answer(request).await }
        };
        let permit = || self.permit_for_request(&first);
        self.report(connection::http2(stream, permit, answer, limits, stop).await);
    }

    /// Has many requests on few connections take no more than as many connections.
    fn permit_for_request(&self, first: &Arc<Semaphore>) -> Option<ConnectionPermit> {
        if let Ok(permit) = Arc::clone(first).try_acquire_owned() {
            return Some((permit, None));
        }
        let permit = Arc::clone(&self.server.permits).try_acquire_owned().ok()?;
        self.server.with_share(permit, &self.ends)
    }

    /// Says in words what a browser or curl would call a protocol error.
    async fn refuse_plain(&self, stream: TcpStream) {
        let Server { limits, stop, .. } = &*self.server;
        let refuse = |_request| async {
            let problem = Problem::invalid_request("this port speaks HTTPS: use https:// in the URL");
            last(http::answer::problem(&problem, ""))
        };
        self.report(connection::http1(stream, refuse, limits, stop).await);
    }

    /// Answers a request. The connection ends with it when its client certificate is no longer accepted: the client may have a
    /// newer one, which it can only show on another connection. So it does, over HTTP/1.1, when the server is about to stop: a
    /// request that comes in just when a kept connection is closed would be lost.
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let service = &self.server.service;
        let is_http2 = request.version() == Version::HTTP_2;
        let (answer, is_rejected) = match &self.shown {
            None => (service.answer(request, &self.ends).await, false),
            Some(shown) => {
                let ends = ConnectionInfo { client: shown.judge(), ..self.ends.clone() };
                (service.answer(request, &ends).await, ends.client.is_rejected())
            }
        };
        // HTTP/2 says at the end which requests it has not looked at, so that none is lost. To end a connection before that
        // would cost a handshake for each request until the balancer has noticed.
        if is_rejected || service.is_draining() && !is_http2 { last(answer) } else { answer }
    }

    fn report(&self, ended: Ended) {
        let peer = self.ends.peer.map(tracing::field::display);
        match ended {
            Ended::Done(Ok(())) | Ended::Closed => {}
            // The other side's doing.
            Ended::Done(Err(error)) => tracing::debug!(reason = %error, peer, "connection ended"),
            Ended::Slow => tracing::debug!(reason = "the other side was too slow", peer, "connection ended"),
            Ended::CutOff => tracing::warn!(peer, "connection cut off: its answer took too long"),
        }
    }
}

/// Has the connection end with this answer.
fn last(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// Looks at the first byte: of a method it is a capital letter, of TLS it is 22 (handshake).
async fn is_plain_http(stream: &TcpStream) -> bool {
    let mut first = [0];
    matches!(stream.peek(&mut first).await, Ok(1)) && first[0].is_ascii_uppercase()
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
