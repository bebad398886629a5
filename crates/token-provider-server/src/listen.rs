//! Sockets: binding them, accepting connections within limits, and letting these finish at the end.
//!
//! A listener speaks HTTP/1.1, or, with a certificate, TLS with HTTP/2 or HTTP/1.1 as the other side prefers. What a
//! connection may take, in time, bytes and number, is in [`Limits`]; the way of its bytes is one of plain types, so that
//! the fast path has no layer that it does not use.

mod activity;
mod bind;
mod capacity;
mod connection;
mod limits;
mod systemd;
mod tls;
mod unix;
mod watched;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::{Request, Version};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connection::Ended;
use self::tls::{ShownCertificate, is_too_long};
use crate::access::{Ends, Share, Shares};
use crate::http::{self, Answer, Service};
use crate::problem::Problem;

pub use self::bind::{bind, bind_for};
pub use self::capacity::Capacity;
pub use self::limits::Limits;
pub use self::tls::{Tls, TlsError};
pub use self::unix::UnixSocket;

/// The system cuts it down to its own limit (`net.core.somaxconn`).
const ACCEPT_QUEUE: i32 = 4096;
/// What the system keeps of a connection in each direction, and TLS of answers: a head, or some tokens. The system doubles it for
/// what it needs itself.
const BUFFER: usize = 16 * 1024;
/// When the process is out of file descriptors, accepting pauses for connections to end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound socket.
#[derive(Debug)]
#[non_exhaustive]
pub enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A TCP port that speaks TLS.
    Tls(TcpListener, Arc<Tls>),
    /// A Unix domain socket.
    Unix(UnixSocket),
}

impl Listener {
    /// Has a TCP listener speak TLS, on loopback as elsewhere: one address does not mean two things. A Unix socket stays
    /// as it is, since nothing on the way could listen in.
    #[must_use]
    pub fn with_tls(self, tls: Arc<Tls>) -> Self {
        match self {
            Self::Tcp(listener) | Self::Tls(listener, _) => Self::Tls(listener, tls),
            Self::Unix(socket) => Self::Unix(socket),
        }
    }

    /// Returns the address of a TCP listener.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) | Self::Tls(listener, _) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// Has the system keep little for each of its connections. By itself it would take four mebibytes of answers that nobody
    /// reads, which count for the memory limit of a container.
    fn bound_buffers(&self) {
        let (Self::Tcp(listener) | Self::Tls(listener, _)) = self else { return };
        let socket = SockRef::from(listener);
        let bounded = socket.set_send_buffer_size(BUFFER).and_then(|()| socket.set_recv_buffer_size(BUFFER));
        if let Err(error) = bounded {
            tracing::debug!(%error, "the system's buffers stay as they are");
        }
    }

    /// Says whether only this machine can reach it. Of a socket from systemd the configuration cannot tell.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Tls(..) => {
                self.address().is_some_and(|address| address.ip().to_canonical().is_loopback())
            }
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, listener) = match self {
            Self::Tcp(listener) => ("http", listener),
            Self::Tls(listener, _) => ("https", listener),
            Self::Unix(socket) => {
                let address = socket.listener.local_addr().ok();
                return match address.as_ref().and_then(|address| address.as_pathname()) {
                    Some(path) => write!(f, "unix:{}", path.display()),
                    None => f.write_str("a Unix socket without a name"),
                };
            }
        };
        match listener.local_addr() {
            Ok(address) => write!(f, "{scheme}://{address}"),
            Err(error) => write!(f, "a socket without an address ({error})"),
        }
    }
}

/// Serves until `shutdown` within the usual [`Limits`], then lets answers under way finish.
pub async fn serve(service: Arc<impl Service>, listeners: Vec<Listener>, shutdown: impl Future<Output = ()>) {
    serve_with(Limits::default(), service, listeners, shutdown).await;
}

/// Serves until `shutdown`, then lets answers under way finish.
pub async fn serve_with(
    limits: Limits,
    service: Arc<impl Service>,
    listeners: Vec<Listener>,
    shutdown: impl Future<Output = ()>,
) {
    let server = Arc::new(Server {
        service,
        limits,
        connections: TaskTracker::new(),
        places: Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS))),
        shares: Arc::new(
            Shares::new(usize::MAX, limits.connections_per_peer).counting_loopback(limits.counts_loopback),
        ),
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
    places: Arc<Semaphore>,
    shares: Arc<Shares>,
    stop: CancellationToken,
}

impl<S: Service> Server<S> {
    async fn accept_all(self: Arc<Self>, listener: Listener) {
        let mut is_failing = false;
        loop {
            // The end goes first: not one more is accepted then, and nobody waits for a place before that.
            let next = async {
                // Never closed, so there is a place in the end.
                let place = Arc::clone(&self.places).acquire_owned().await.ok();
                (place, accept(&listener).await)
            };
            let (place, accepted) = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                next = next => next,
            };
            match accepted {
                Ok(stream) => {
                    is_failing = false;
                    self.spawn(stream, place);
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    // Once, and not every pause.
                    if !is_failing {
                        tracing::warn!(%error, "no connection can be accepted for now");
                    }
                    is_failing = true;
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves a connection in a task of its own, of just the size that its kind needs.
    fn spawn(self: &Arc<Self>, stream: Stream, place: impl Send + 'static) {
        let address = stream.peer().map(|peer| peer.ip());
        let Some(share) = self.shares.take(address) else {
            tracing::debug!(
                peer = address.map(tracing::field::display),
                "too many connections from one address"
            );
            return;
        };
        let held = (place, share, self.service.connection());
        let server = Arc::clone(self);
        match stream {
            Stream::Tcp(stream, peer) => self.connections.spawn(async move {
                server.serve_tcp(stream, peer).await;
                drop(held);
            }),
            Stream::Tls(stream, peer, tls) => self.connections.spawn(async move {
                server.serve_tls(stream, peer, &tls).await;
                drop(held);
            }),
            Stream::Unix(stream) => self.connections.spawn(async move {
                server.serve_http1(stream, Ends::default(), None).await;
                drop(held);
            }),
        };
    }

    async fn serve_tcp(&self, stream: TcpStream, peer: SocketAddr) {
        if let Ok(ends) = ends(&stream, peer) {
            self.serve_http1(stream, ends, None).await;
        }
    }

    async fn serve_tls(&self, stream: TcpStream, peer: SocketAddr, tls: &Arc<Tls>) {
        let Ok(ends) = ends(&stream, peer) else {
            return;
        };
        let shake_hands = async {
            if is_plain_http(&stream).await {
                return Err(stream);
            }
            Ok(tls.acceptor().accept(stream).await)
        };
        let shaken = tokio::select! {
            () = self.stop.cancelled() => return,
            shaken = tokio::time::timeout(self.limits.handshake, shake_hands) => shaken,
        };
        let stream = match shaken {
            // In a box: it is large, and handed on from one future to the next.
            Ok(Ok(Ok(mut stream))) => {
                stream.get_mut().1.set_buffer_limit(Some(BUFFER));
                Box::new(stream)
            }
            Ok(Ok(Err(error))) => {
                // A scanner, or a client certificate that is not good.
                return tracing::debug!(%error, %peer, "TLS handshake failed");
            }
            Ok(Err(stream)) => return self.refuse_plain(stream, peer).await,
            Err(_elapsed) => return tracing::debug!(%peer, "TLS handshake took too long"),
        };
        let (_, session) = stream.get_ref();
        if is_too_long(session.peer_certificates()) {
            return tracing::debug!(%peer, "TLS handshake failed: the client's certificates are too long");
        }
        let is_http2 = session.alpn_protocol() == Some(b"h2");
        let chain = session.peer_certificates().unwrap_or_default();
        let shown = ShownCertificate::new(Arc::clone(tls), chain);
        let ends = Ends { is_tls: true, ..ends };
        if is_http2 {
            // The first of its streams has the connection's own place.
            let own = Arc::new(Semaphore::new(1));
            let place = || self.place_of_stream(&own, peer.ip());
            let (service, known) = (Arc::clone(&self.service), Arc::new((ends, shown)));
            let answer = move |mut request| {
                http::shed_fields(&mut request);
                let (service, known) = (Arc::clone(&service), Arc::clone(&known));
                async move { answer(&*service, request, &known.0, known.1.as_ref()).await }
            };
            report(connection::http2(stream, place, answer, &self.limits, &self.stop).await, Some(peer));
        } else {
            self.serve_http1(stream, ends, shown).await;
        }
    }

    /// Gives a stream of HTTP/2 a place, so that many streams on few connections do not take more than as many connections.
    fn place_of_stream(
        &self,
        own: &Arc<Semaphore>,
        address: IpAddr,
    ) -> Option<(OwnedSemaphorePermit, Option<Share>)> {
        if let Ok(place) = Arc::clone(own).try_acquire_owned() {
            return Some((place, None));
        }
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some((place, Some(self.shares.take(Some(address))?)))
    }

    async fn serve_http1<T>(&self, stream: T, ends: Ends, shown: Option<ShownCertificate>)
    where
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
    {
        let answer = |request| answer(&*self.service, request, &ends, shown.as_ref());
        report(connection::http1(stream, answer, &self.limits, &self.stop).await, ends.peer);
    }

    /// Says in words what a browser or curl would call a protocol error.
    async fn refuse_plain(&self, stream: TcpStream, peer: SocketAddr) {
        let refuse = |_request| async {
            let problem = Problem::invalid_request("this port speaks HTTPS: use https:// in the URL");
            let mut answer = problem.into_response("");
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            answer
        };
        report(connection::http1(stream, refuse, &self.limits, &self.stop).await, Some(peer));
    }
}

/// Answers a request. The connection ends with it when its client certificate is no longer accepted: the client may have a
/// newer one, which it can only show on another connection. So it does, over HTTP/1.1, when the server is about to stop: a
/// request that comes in just when a kept connection is closed would be lost.
async fn answer(
    service: &impl Service,
    request: Request<Incoming>,
    ends: &Ends,
    shown: Option<&ShownCertificate>,
) -> Answer {
    let is_http2 = request.version() == Version::HTTP_2;
    let (mut answer, is_rejected) = match shown {
        None => (service.answer(request, ends).await, false),
        Some(shown) => {
            let ends = Ends { client: shown.judge(), ..ends.clone() };
            (service.answer(request, &ends).await, ends.client.is_rejected())
        }
    };
    // HTTP/2 says at the end which requests it has not looked at, so that none is lost. To end a connection before that would
    // cost a handshake for each request until the balancer has noticed.
    if is_rejected || service.is_draining() && !is_http2 {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

fn report(result: Result<(), Ended>, peer: Option<SocketAddr>) {
    let peer = peer.map(tracing::field::display);
    match result {
        Ok(()) => {}
        Err(Ended::CutOff) => tracing::warn!(peer, "connection cut off: its answer took too long"),
        // The other side's doing.
        Err(ended) => tracing::debug!(reason = %ended, peer, "connection ended"),
    }
}

/// A connection that was accepted.
enum Stream {
    Tcp(TcpStream, SocketAddr),
    Tls(TcpStream, SocketAddr, Arc<Tls>),
    Unix(UnixStream),
}

impl Stream {
    fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(_, peer) | Self::Tls(_, peer, _) => Some(*peer),
            Self::Unix(_) => None,
        }
    }
}

async fn accept(listener: &Listener) -> io::Result<Stream> {
    Ok(match listener {
        Listener::Tcp(listener) => {
            let (stream, peer) = listener.accept().await?;
            Stream::Tcp(stream, peer)
        }
        Listener::Tls(listener, tls) => {
            let (stream, peer) = listener.accept().await?;
            Stream::Tls(stream, peer, Arc::clone(tls))
        }
        Listener::Unix(socket) => Stream::Unix(socket.listener.accept().await?.0),
    })
}

/// Fails when the other side is gone already.
fn ends(stream: &TcpStream, peer: SocketAddr) -> io::Result<Ends> {
    // An answer is one packet: it need not wait for more.
    stream.set_nodelay(true)?;
    Ok(Ends { local: Some(stream.local_addr()?), peer: Some(peer), ..Ends::default() })
}

/// Looks at the first byte: of a method it is a capital letter, of TLS it is 22 (handshake).
async fn is_plain_http(stream: &TcpStream) -> bool {
    let mut first = [0];
    matches!(stream.peek(&mut first).await, Ok(1)) && first.iter().all(u8::is_ascii_uppercase)
}

/// The connection was gone before it was accepted, or the network is not there for it; the next one may be fine
/// (accept(2), "Error handling").
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkDown,
        NetworkUnreachable,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
    )
}
