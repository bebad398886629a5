//! Sockets: binding them, accepting connections within limits, and letting these finish at the end.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Ends;
use crate::config::{Host, Listen};
use crate::http::App;

/// The system cuts it down to its own limit (`net.core.somaxconn`).
const ACCEPT_QUEUE: i32 = 4096;
/// When the process is out of file descriptors, accepting pauses for connections to end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What connections may cost. The defaults are for everybody; tests make them small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A request's head must be there in this time; also how long an idle connection is kept open.
    pub head_timeout: Duration,
    /// A head larger than this is refused (431). Node and nginx have 8 to 32 KiB.
    pub max_head: usize,
    /// Connections open at once, over all listeners. Each costs some KiB; more wait in the accept queue.
    pub max_connections: usize,
    /// After the signal to stop, answers under way get this long: a caller's own wait (10 s) and a little.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(75),
            max_head: 16 * 1024,
            max_connections: 16_384,
            grace: Duration::from_secs(12),
        }
    }
}

/// A bound socket.
#[derive(Debug)]
#[non_exhaustive]
pub enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A Unix domain socket.
    Unix(UnixListener),
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(listener) => match listener.local_addr() {
                Ok(address) => write!(f, "http://{address}"),
                Err(error) => write!(f, "a socket without an address ({error})"),
            },
            Self::Unix(listener) => match listener
                .local_addr()
                .ok()
                .as_ref()
                .and_then(|address| address.as_pathname())
            {
                Some(path) => write!(f, "unix:{}", path.display()),
                None => f.write_str("a Unix socket without a name"),
            },
        }
    }
}

/// Binds a place to listen at. `localhost` is two sockets, since its name is two addresses.
///
/// # Errors
///
/// What the system said, and which address it was about.
pub fn bind(listen: &Listen) -> io::Result<Vec<Listener>> {
    match listen {
        Listen::Tcp {
            host: Host::Localhost,
            port,
        } => {
            let first = bind_tcp(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), *port))?;
            // Port 0 was chosen by now: both get the same.
            let port = first.local_addr()?.port();
            let second = match bind_tcp(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port)) {
                Ok(second) => Some(second),
                Err(error) if is_absent_address(&error) => None,
                Err(error) => return Err(error),
            };
            Ok(std::iter::once(first).chain(second).map(Listener::Tcp).collect())
        }
        Listen::Tcp {
            host: Host::Ip(address),
            port,
        } => Ok(vec![Listener::Tcp(bind_tcp(SocketAddr::new(*address, *port))?)]),
        Listen::Unix(path) => Ok(vec![Listener::Unix(bind_unix(path)?)]),
        other => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("{other}: cannot be listened at here"),
        )),
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let bind = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.ip() == IpAddr::V6(Ipv6Addr::LOCALHOST) {
            socket.set_only_v6(true)?;
        }
        // A restart must not wait for the last connections of the one before to time out.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(ACCEPT_QUEUE)?;
        TcpListener::from_std(socket.into())
    };
    bind().map_err(|error: io::Error| named(&error, &address.to_string()))
}

/// Binds a Unix socket, in place of one that a process which is gone left behind.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let bind = || match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path) => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    };
    bind().map_err(|error: io::Error| named(&error, &format!("unix:{}", path.display())))
}

/// Says whether it is a socket that nobody listens at. Connecting to a file that is no socket is refused in the same
/// words, and that file must not be taken away.
fn is_stale(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    use std::os::unix::net::UnixStream;

    let is_socket = path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket());
    is_socket
        && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// A machine without IPv6 has no `::1`.
fn is_absent_address(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
    ) || error.to_string().contains("Address family not supported")
}

fn named(error: &io::Error, address: &str) -> io::Error {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => {
            ": another process listens there; stop it, or choose another port with --listen"
        }
        io::ErrorKind::PermissionDenied => {
            ": ports below 1024 need a permission; choose another port with --listen"
        }
        io::ErrorKind::AddrNotAvailable => ": this machine has no such address",
        _ => "",
    };
    io::Error::new(error.kind(), format!("cannot listen at {address}: {error}{hint}"))
}

/// Serves until `shutdown`, then lets answers under way finish.
pub async fn serve(app: Arc<App>, listeners: Vec<Listener>, shutdown: impl Future<Output = ()>) {
    serve_with(Limits::default(), app, listeners, shutdown).await;
}

/// The same, with limits of one's own.
pub async fn serve_with(
    limits: Limits,
    app: Arc<App>,
    listeners: Vec<Listener>,
    shutdown: impl Future<Output = ()>,
) {
    let grace = limits.grace;
    let connections = Connections {
        app,
        tasks: TaskTracker::new(),
        places: Arc::new(Semaphore::new(limits.max_connections)),
        limits,
        stop: CancellationToken::new(),
    };
    let accepting = TaskTracker::new();
    for listener in listeners {
        accepting.spawn(connections.clone().accept_all(listener));
    }
    shutdown.await;
    connections.stop.cancel();
    accepting.close();
    accepting.wait().await;
    connections.tasks.close();
    if tokio::time::timeout(grace, connections.tasks.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            connections = connections.tasks.len(),
            "connections cut off: their answers took too long"
        );
    }
}

#[derive(Clone)]
struct Connections {
    app: Arc<App>,
    tasks: TaskTracker,
    places: Arc<Semaphore>,
    limits: Limits,
    stop: CancellationToken,
}

impl Connections {
    async fn accept_all(self, listener: Listener) {
        loop {
            // The end goes first: not one more is accepted then, even if all places are taken.
            let (place, accepted) = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                next = self.next(&listener) => next,
            };
            match accepted {
                Ok((Stream::Tcp(stream), ends)) => {
                    let connection = self.clone().serve(stream, ends);
                    self.tasks.spawn(async move { (connection.await, drop(place)) });
                }
                Ok((Stream::Unix(stream), ends)) => {
                    let connection = self.clone().serve(stream, ends);
                    self.tasks.spawn(async move { (connection.await, drop(place)) });
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted for now");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Waits for a free place, and then for somebody to take it.
    async fn next(&self, listener: &Listener) -> (Option<OwnedSemaphorePermit>, io::Result<(Stream, Ends)>) {
        // Never closed, so there always is a place in the end.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        (place, accept(listener).await)
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin, ends: Ends) {
        let (app, ends) = (&self.app, &ends);
        let service =
            service_fn(move |request| async move { Ok::<_, Infallible>(app.answer(request, ends).await) });
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head_timeout)
            .max_buf_size(self.limits.max_head);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            // The other side's doing: bad syntax, a head too large or too slow, a connection broken off.
            tracing::debug!(%error, peer = ends.peer.map(tracing::field::display), "connection ended");
        }
    }
}

enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

async fn accept(listener: &Listener) -> io::Result<(Stream, Ends)> {
    match listener {
        Listener::Tcp(listener) => {
            let (stream, peer) = listener.accept().await?;
            // An answer is one packet: it need not wait for more.
            stream.set_nodelay(true)?;
            let local = stream.local_addr()?;
            Ok((
                Stream::Tcp(stream),
                Ends { local: Some(local), peer: Some(peer), ..Ends::default() },
            ))
        }
        Listener::Unix(listener) => {
            let (stream, _) = listener.accept().await?;
            Ok((Stream::Unix(stream), Ends::default()))
        }
    }
}

/// The connection was gone before it was accepted; the next one may be fine.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
