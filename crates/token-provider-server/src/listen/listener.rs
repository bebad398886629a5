//! Bound sockets, and the connections that they accept.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::limits::BUFFER;
use super::tls::Tls;
use super::unix::UnixSocket;
use crate::access::ConnectionInfo;

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

/// A connection that was accepted.
pub(super) enum Stream {
    Tcp(TcpStream),
    Tls(TcpStream, Arc<Tls>),
    Unix(UnixStream),
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

    fn tcp(&self) -> Option<&TcpListener> {
        match self {
            Self::Tcp(listener) | Self::Tls(listener, _) => Some(listener),
            Self::Unix(_) => None,
        }
    }

    /// Returns the address of a TCP listener.
    pub fn address(&self) -> Option<SocketAddr> {
        self.tcp()?.local_addr().ok()
    }

    /// Returns whether only this machine can reach it. Of a socket from systemd the configuration cannot tell.
    pub fn is_local(&self) -> bool {
        let is_loopback = |address: SocketAddr| address.ip().to_canonical().is_loopback();
        self.tcp().is_none_or(|listener| listener.local_addr().is_ok_and(is_loopback))
    }

    /// Has the system keep little for each of its connections. By itself it would take four mebibytes of answers that nobody
    /// reads, which count for the memory limit of a container.
    pub(super) fn bound_buffers(&self) {
        let Some(listener) = self.tcp() else { return };
        let socket = SockRef::from(listener);
        let bounded = socket.set_send_buffer_size(BUFFER).and_then(|()| socket.set_recv_buffer_size(BUFFER));
        if let Err(error) = bounded {
            tracing::debug!(%error, "the system's buffers stay as they are");
        }
    }

    pub(super) async fn accept(&self) -> io::Result<(Stream, ConnectionInfo)> {
        let (listener, tls) = match self {
            Self::Tcp(listener) => (listener, None),
            Self::Tls(listener, tls) => (listener, Some(tls)),
            Self::Unix(socket) => {
                return Ok((Stream::Unix(socket.listener.accept().await?.0), ConnectionInfo::default()));
            }
        };
        let (stream, peer) = listener.accept().await?;
        // An answer is one packet: it need not wait for more.
        stream.set_nodelay(true)?;
        let local = stream.local_addr()?;
        let ends = ConnectionInfo {
            local: Some(local),
            peer: Some(peer),
            is_tls: tls.is_some(),
            ..ConnectionInfo::default()
        };
        let stream = match tls {
            Some(tls) => Stream::Tls(stream, Arc::clone(tls)),
            None => Stream::Tcp(stream),
        };
        Ok((stream, ends))
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, listener) = match self {
            Self::Tcp(listener) => ("http", listener),
            Self::Tls(listener, _) => ("https", listener),
            Self::Unix(socket) => return socket.fmt(f),
        };
        match listener.local_addr() {
            Ok(address) => write!(f, "{scheme}://{address}"),
            Err(error) => write!(f, "a socket without an address ({error})"),
        }
    }
}
