//! Binding the sockets that the configuration names.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

use super::limits::ACCEPT_QUEUE;
use super::listener::Listener;
use super::unix;
use crate::config::{Host, Listen};

/// The system knows no IPv6 at all, in the numbers of Linux, macOS and Windows.
const NO_SUCH_FAMILY: [Option<i32>; 3] = [Some(97), Some(47), Some(10_047)];

/// `localhost:0` is a port that is free on two addresses: the system's choice for the first may be taken on the second.
const PORT_ATTEMPTS: usize = 8;

/// Binds what this setting names. `localhost` is two sockets, since its name is two addresses; systemd
/// may have passed any number.
///
/// # Errors
///
/// What the system said, of which address, and what to do.
pub fn bind(listen: &Listen, setting: &str) -> io::Result<Vec<Listener>> {
    let bound = match listen {
        Listen::Tcp { host: Host::Localhost, port } => bind_localhost(*port),
        Listen::Tcp { host: Host::Ip(address), port } => {
            bind_tcp(SocketAddr::new(*address, *port)).map(|listener| vec![Listener::Tcp(listener, None)])
        }
        Listen::Unix(place) => unix::bind(place).map(|socket| vec![Listener::Unix(socket)]),
        #[cfg(all(target_os = "linux", not(portable)))]
        Listen::Systemd(name) => super::systemd::take(name.as_deref()),
        #[cfg(not(all(target_os = "linux", not(portable))))]
        Listen::Systemd(_) => Err(io::ErrorKind::Unsupported.into()),
    };
    bound.map_err(|error| {
        let hint = hint(error.kind(), listen, setting);
        io::Error::new(error.kind(), format!("cannot listen on {listen}: {error}{hint}"))
    })
}

fn bind_localhost(port: u16) -> io::Result<Vec<Listener>> {
    let is_absent = |error: &io::Error| {
        NO_SUCH_FAMILY.contains(&error.raw_os_error()) || error.kind() == io::ErrorKind::AddrNotAvailable
    };
    let mut attempts = if port == 0 { PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        let first = bind_tcp(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port))?;
        // Port 0 was chosen by now: both get the same.
        let chosen = first.local_addr()?.port();
        match bind_tcp(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), chosen)) {
            Ok(second) => return Ok(vec![Listener::Tcp(first, None), Listener::Tcp(second, None)]),
            // A machine without IPv6 has no `::1`.
            Err(error) if is_absent(&error) => return Ok(vec![Listener::Tcp(first, None)]),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts > 0 => {}
            Err(error) => return Err(io::Error::new(error.kind(), format!("[::1]:{chosen}: {error}"))),
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait for the last connections of the one before to time out. On Windows none does, and this would let
    // another program take the port over.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(ACCEPT_QUEUE)
}

fn hint(kind: io::ErrorKind, listen: &Listen, setting: &str) -> String {
    let is_unix = matches!(listen, Listen::Unix(_));
    match kind {
        io::ErrorKind::AddrInUse => {
            let another = if is_unix { "path".to_owned() } else { format!("port with {setting}") };
            format!(": another process is already listening there; stop it, or choose another {another}")
        }
        io::ErrorKind::PermissionDenied if is_unix => {
            ": the process must be able to write to the folder".to_owned()
        }
        io::ErrorKind::PermissionDenied if cfg!(windows) => {
            format!(
                ": another program has this port for itself, or Windows reserves it; choose another port with {setting}"
            )
        }
        io::ErrorKind::PermissionDenied => {
            format!(": ports below 1024 require special permission; choose another port with {setting}")
        }
        io::ErrorKind::AddrNotAvailable => ": this machine has no such address".to_owned(),
        _ => String::new(),
    }
}
