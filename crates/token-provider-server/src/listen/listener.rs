//! Bound sockets, and the connections that they accept.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use socket2::SockRef;
use token_provider::is_loopback_address;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::either::Either;

use super::limits::BUFFER;
use super::tls::Tls;
use super::unix::{self, UnixSocket, UnixStream};
use crate::access::ConnectionInfo;

/// A bound socket.
#[derive(Debug)]
#[non_exhaustive]
pub enum Listener {
    /// A TCP port, which speaks TLS with this certificate.
    Tcp(TcpListener, Option<Arc<Tls>>),
    /// A Unix domain socket.
    Unix(UnixSocket),
}

/// What a connection is read from and written to.
pub(super) type Stream = Either<TcpStream, UnixStream>;

impl Listener {
    /// Makes a TCP listener use TLS, on loopback too. A Unix socket stays as it is, since nothing on the way could
    /// listen in.
    #[must_use]
    pub fn with_tls(self, tls: Arc<Tls>) -> Self {
        match self {
            Self::Tcp(listener, _) => Self::Tcp(listener, Some(tls)),
            Self::Unix(_) => self,
        }
    }

    pub(super) fn tls(&self) -> Option<&Arc<Tls>> {
        if let Self::Tcp(_, tls) = self { tls.as_ref() } else { None }
    }

    /// Returns the address of a TCP listener.
    pub fn address(&self) -> Option<SocketAddr> {
        if let Self::Tcp(listener, _) = self { listener.local_addr().ok() } else { None }
    }

    /// Returns whether only this machine can reach it. Of a socket from systemd the configuration cannot tell.
    pub fn is_local(&self) -> bool {
        let is_unix = matches!(self, Self::Unix(_));
        is_unix || self.address().is_some_and(|address| is_loopback_address(address.ip()))
    }

    /// Bounds the kernel's socket buffers. By default Linux keeps up to four mebibytes of answers that nobody reads,
    /// which count towards a container's memory limit.
    pub(super) fn bound_buffers(&self) {
        let Self::Tcp(listener, _) = self else { return };
        let socket = SockRef::from(listener);
        let bounded = socket.set_send_buffer_size(BUFFER).and_then(|()| socket.set_recv_buffer_size(BUFFER));
        if let Err(error) = bounded {
            tracing::debug!(%error, "cannot set the socket's buffer sizes");
        }
    }

    pub(super) async fn accept(&self) -> io::Result<(Stream, ConnectionInfo)> {
        let mut info = ConnectionInfo::default();
        let stream = match self {
            Self::Tcp(listener, tls) => {
                let (stream, peer) = listener.accept().await?;
                // An answer is one packet: it need not wait for more. Elsewhere than on Linux this fails where the other side has
                // reset.
                let _ = stream.set_nodelay(true);
                let local = stream.local_addr().map_err(|_reset| io::ErrorKind::ConnectionAborted)?;
                (info.local, info.peer, info.is_tls) = (Some(local), Some(peer), tls.is_some());
                Either::Left(stream)
            }
            Self::Unix(socket) => Either::Right(unix::accept(socket).await?),
        };
        Ok((stream, info))
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(listener, tls) => {
                let address = listener.local_addr().expect("a bound socket has an address");
                write!(f, "{}://{address}", if tls.is_some() { "https" } else { "http" })
            }
            Self::Unix(socket) => socket.fmt(f),
        }
    }
}
