//! Sockets that systemd has opened for the process (socket activation, `sd_listen_fds(3)`): ports below 1024 without a
//! permission for them, a start on the first request, no connection lost in a restart.

use std::io;
use std::mem::ManuallyDrop;
use std::sync::OnceLock;

use parking_lot::Mutex;
use socket2::{Socket, Type};
use tokio::net::{TcpListener, UnixListener};

use super::listener::Listener;
use super::unix::UnixSocket;
use crate::printable::excerpt;

/// A socket, and the unit's `FileDescriptorName=` for it.
type Passed = (String, Socket);

/// What systemd has passed and nobody has taken: a process gets its sockets once.
static PASSED: OnceLock<Result<Mutex<Vec<Passed>>, String>> = OnceLock::new();

const NOT_LISTENING: &str =
    "systemd has passed a socket that does not listen; the unit needs ListenStream= and Accept=no";

/// Takes the sockets of this name, or all of them.
pub(super) fn take(name: Option<&str>) -> io::Result<Vec<Listener>> {
    let passed = PASSED.get_or_init(|| passed().map(Mutex::new)).as_ref().map_err(|wrong| invalid(wrong))?;
    let mut passed = passed.lock();
    let is_wanted = |passed: &mut Passed| name.is_none_or(|name| passed.0 == name);
    let taken: Vec<_> = passed.extract_if(.., is_wanted).collect();
    if !taken.is_empty() {
        return taken.into_iter().map(|(_name, socket)| listener(socket)).collect();
    }
    let names: Vec<&str> = passed.iter().map(|(name, _socket)| name.as_str()).collect();
    Err(io::Error::new(
        io::ErrorKind::NotFound,
        if names.is_empty() {
            "systemd has passed no socket to this process; start it by a .socket unit".to_owned()
        } else {
            format!("systemd has passed no socket of this name, but {}", excerpt(names.join(", ")))
        },
    ))
}

fn passed() -> Result<Vec<Passed>, String> {
    let descriptors = sd_listen_fds::get().map_err(|_| "LISTEN_FDS or LISTEN_PID is not a number")?;
    let mut passed = Vec::new();
    for (name, descriptor) in descriptors {
        // Not ours to close unless it is a socket that listens: variables that lie may mean one that this process has opened since.
        let socket = ManuallyDrop::new(Socket::from(descriptor.into_std()));
        match is_listening(&socket) {
            Ok(true) => passed.push((name.unwrap_or_default(), ManuallyDrop::into_inner(socket))),
            Ok(false) => return Err(NOT_LISTENING.to_owned()),
            Err(error) => return Err(format!("not a socket, as LISTEN_FDS has it: {error}")),
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
        UnixListener::from_std(socket.into()).map(UnixSocket::inherited).map(Listener::Unix)
    } else if address.as_socket().is_some() {
        TcpListener::from_std(socket.into()).map(Listener::Tcp)
    } else {
        Err(invalid("systemd has passed a socket that is neither TCP nor a Unix socket"))
    }
}

fn invalid(wrong: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, wrong)
}
