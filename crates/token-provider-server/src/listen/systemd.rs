//! Sockets that systemd has opened for the process (socket activation, `sd_listen_fds(3)`): ports below 1024 without a
//! permission for them, a start on the first request, no connection lost in a restart.

use std::io;
use std::mem;
use std::sync::{Mutex, OnceLock, PoisonError};

use socket2::{Socket, Type};
use tokio::net::{TcpListener, UnixListener};

use super::Listener;
use super::unix::UnixSocket;
use crate::printable::excerpt;

/// What systemd has passed and nobody has taken: a process gets its sockets once.
static PASSED: OnceLock<Result<Mutex<Vec<Passed>>, String>> = OnceLock::new();

/// A socket, and the unit's `FileDescriptorName=` for it.
#[derive(Debug)]
struct Passed {
    name: String,
    socket: Socket,
}

/// Takes the sockets of this name, or all of them.
pub(super) fn take(name: Option<&str>) -> io::Result<Vec<Listener>> {
    let passed = PASSED.get_or_init(|| passed().map(Mutex::new).map_err(|error| error.to_string()));
    let passed =
        passed.as_ref().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.clone()))?;
    let mut passed = passed.lock().unwrap_or_else(PoisonError::into_inner);
    let (taken, left): (Vec<_>, Vec<_>) =
        mem::take(&mut *passed).into_iter().partition(|passed| name.is_none_or(|name| passed.name == name));
    if taken.is_empty() {
        let names: Vec<&str> = left.iter().map(|passed| passed.name.as_str()).collect();
        let message = if names.is_empty() {
            "systemd has passed no socket to this process; start it by a .socket unit".to_owned()
        } else {
            format!("systemd has passed no socket of this name, but {}", excerpt(names.join(", ")))
        };
        *passed = left;
        return Err(io::Error::new(io::ErrorKind::NotFound, message));
    }
    *passed = left;
    taken.into_iter().map(|passed| listener(passed.socket)).collect()
}

fn passed() -> io::Result<Vec<Passed>> {
    let sockets = sd_listen_fds::get().map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidInput, "LISTEN_FDS or LISTEN_PID is not a number")
    })?;
    let mut passed = Vec::new();
    for (name, descriptor) in sockets {
        let socket = Socket::from(descriptor.into_std());
        // Also tells whether there is such a descriptor, and a socket. If not, it is not ours to close: variables that
        // lie may mean one that this process has opened since.
        match is_listening(&socket) {
            Ok(true) => passed.push(Passed { name: name.unwrap_or_default(), socket }),
            Ok(false) => {
                mem::forget(socket);
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "systemd has passed a socket that does not listen; the unit needs ListenStream= and Accept=no",
                ));
            }
            Err(error) => {
                mem::forget(socket);
                return Err(io::Error::new(
                    error.kind(),
                    format!("not a socket, as LISTEN_FDS has it: {error}"),
                ));
            }
        }
    }
    Ok(passed)
}

fn is_listening(socket: &Socket) -> io::Result<bool> {
    let is_stream = socket.r#type()? == Type::STREAM && socket.is_listener()?;
    // Not for programs that this one may start.
    socket.set_cloexec(true)?;
    Ok(is_stream)
}

fn listener(socket: Socket) -> io::Result<Listener> {
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    if address.is_unix() {
        return UnixListener::from_std(socket.into()).map(UnixSocket::inherited).map(Listener::Unix);
    }
    if address.as_socket().is_some() {
        return TcpListener::from_std(socket.into()).map(Listener::Tcp);
    }
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "systemd has passed a socket that is neither TCP nor a Unix socket",
    ))
}
