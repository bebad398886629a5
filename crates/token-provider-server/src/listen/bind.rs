//! Binding the places that the configuration names.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::unix::UnixSocket;
use super::{ACCEPT_QUEUE, Listener, systemd};
use crate::config::{Host, Listen};

/// `localhost:0` is a port that is free on two addresses: the second may be taken by somebody.
const PORT_ATTEMPTS: usize = 8;

/// Binds a place to listen at. `localhost` is two sockets, since its name is two addresses; systemd may have passed any
/// number.
///
/// # Errors
///
/// What the system said, and which address it was about.
pub fn bind(listen: &Listen) -> io::Result<Vec<Listener>> {
    bind_for(listen, "--listen")
}

/// Binds a place that this setting names.
///
/// # Errors
///
/// What the system said, which address it was about, and the setting to change.
pub fn bind_for(listen: &Listen, setting: &str) -> io::Result<Vec<Listener>> {
    match listen {
        Listen::Tcp { host: Host::Localhost, port } => bind_localhost(*port, setting),
        Listen::Tcp { host: Host::Ip(address), port } => {
            Ok(vec![Listener::Tcp(bind_tcp(SocketAddr::new(*address, *port), setting)?)])
        }
        Listen::Unix(place) => {
            let bound =
                UnixSocket::bind(place).map_err(|error| named(&error, listen, unix_hint(error.kind())))?;
            Ok(vec![Listener::Unix(bound)])
        }
        Listen::Systemd(name) => systemd::take(name.as_deref()).map_err(|error| named(&error, listen, "")),
    }
}

fn bind_localhost(port: u16, setting: &str) -> io::Result<Vec<Listener>> {
    let mut attempts = if port == 0 { PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        let first = bind_tcp(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port), setting)?;
        // Port 0 was chosen by now: both get the same.
        let chosen = first.local_addr()?.port();
        match bind_tcp(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), chosen), setting) {
            Ok(second) => return Ok(vec![Listener::Tcp(first), Listener::Tcp(second)]),
            Err(error) if is_absent_address(&error) => return Ok(vec![Listener::Tcp(first)]),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts > 0 => {}
            Err(error) => return Err(error),
        }
    }
}

fn bind_tcp(address: SocketAddr, setting: &str) -> io::Result<TcpListener> {
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
    bind().map_err(|error: io::Error| named(&error, &address, &tcp_hint(error.kind(), setting)))
}

/// A machine without IPv6 has no `::1`.
fn is_absent_address(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || error.to_string().contains("Address family not supported")
}

fn tcp_hint(kind: io::ErrorKind, setting: &str) -> String {
    match kind {
        io::ErrorKind::AddrInUse => {
            format!(": another process listens there; stop it, or choose another port with {setting}")
        }
        io::ErrorKind::PermissionDenied => {
            format!(": ports below 1024 need a permission; choose another port with {setting}")
        }
        io::ErrorKind::AddrNotAvailable => ": this machine has no such address".to_owned(),
        _ => String::new(),
    }
}

fn unix_hint(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::AddrInUse => ": another process listens there; stop it, or choose another path",
        io::ErrorKind::PermissionDenied => {
            ": the process must be able to write to the folder, and be in the group that the socket is for"
        }
        _ => "",
    }
}

fn named(error: &io::Error, address: &dyn fmt::Display, hint: &str) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen at {address}: {error}{hint}"))
}
