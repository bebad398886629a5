//! Sockets that systemd has opened for the process (socket activation, `sd_listen_fds(3)`): ports below 1024 without a
//! permission for them, a start on the first request, no connection lost in a restart.

use std::io;
use std::mem::ManuallyDrop;

use parking_lot::Mutex;
use socket2::{Socket, Type};
use tokio::net::{TcpListener, UnixListener};

use super::listener::Listener;
use super::unix::UnixSocket;
use crate::printable::excerpt;

/// The unit's `FileDescriptorName=`, and the socket.
type Passed = (String, Listener);

/// What systemd has passed and no listener has taken, once that has been looked at: a process gets its sockets once.
static PASSED: Mutex<Option<Vec<Passed>>> = Mutex::new(None);

const NOT_LISTENING: &str =
    "systemd has passed a socket that does not listen; the unit needs ListenStream= and Accept=no";

/// Takes the sockets of this name, or all of them.
pub(super) fn take(name: Option<&str>) -> io::Result<Vec<Listener>> {
    let mut slot = PASSED.lock();
    let mut left = slot.take().map_or_else(passed, Ok)?;
    let is_wanted = |passed: &mut Passed| name.is_none_or(|name| passed.0 == name);
    let taken: Vec<_> = left.extract_if(.., is_wanted).map(|(_name, listener)| listener).collect();
    let left = slot.insert(left);
    if !taken.is_empty() {
        return Ok(taken);
    }
    let names: Vec<&str> = left.iter().map(|(name, _listener)| name.as_str()).collect();
    let problem = if names.is_empty() {
        "systemd passed no socket to this process; start it from a .socket unit".to_owned()
    } else {
        format!("systemd passed no socket with this name, only {}", excerpt(names.join(", ")))
    };
    Err(io::Error::new(io::ErrorKind::NotFound, problem))
}

fn passed() -> io::Result<Vec<Passed>> {
    let invalid = |wrong: &str| io::Error::new(io::ErrorKind::InvalidInput, wrong);
    let descriptors =
        sd_listen_fds::get().map_err(|_| invalid("LISTEN_FDS or LISTEN_PID is not a number"))?;
    let mut passed = Vec::new();
    for (name, descriptor) in descriptors {
        // Not ours to close unless it is a socket that listens: variables that lie may mean one that this process has opened since.
        let socket = ManuallyDrop::new(Socket::from(descriptor.into_std()));
        let is_listening = is_listening(&socket).map_err(|error| {
            invalid(&format!("LISTEN_FDS refers to a descriptor that is not a socket: {error}"))
        })?;
        if !is_listening {
            return Err(invalid(NOT_LISTENING));
        }
        passed.push((name.unwrap_or_default(), listener(ManuallyDrop::into_inner(socket))?));
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
        let listener = UnixListener::from_std(socket.into())?;
        Ok(Listener::Unix(UnixSocket { listener, _file: None }))
    } else if address.as_socket().is_some() {
        TcpListener::from_std(socket.into()).map(|listener| Listener::Tcp(listener, None))
    } else {
        Err(io::Error::other("systemd has passed a socket that is neither TCP nor a Unix socket"))
    }
}
