//! In place of Unix domain sockets on other systems, where the configuration accepts none.

use std::convert::Infallible;
use std::io;

use tokio::net::TcpStream;

use crate::config::UnixPlace;

/// There is none.
pub type UnixSocket = Infallible;
pub(super) type UnixStream = TcpStream;

pub(super) fn bind(_place: &UnixPlace) -> io::Result<UnixSocket> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) async fn accept(socket: &UnixSocket) -> io::Result<UnixStream> {
    match *socket {}
}
