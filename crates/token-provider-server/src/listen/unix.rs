//! Unix domain sockets: made so that nobody reaches them before their mode and owner are right, and taken away at the
//! end.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

use super::ACCEPT_QUEUE;
use crate::config::{Owner, UnixPlace};

const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// A socket that listens, and its file.
#[derive(Debug)]
pub struct UnixSocket {
    pub(super) listener: UnixListener,
    /// None of a socket that somebody else made.
    _file: Option<SocketFile>,
}

/// A socket's file, removed when dropped: unless another process has put its own there meanwhile.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl UnixSocket {
    /// Binds, in place of a socket that a process which is gone left behind.
    pub(super) fn bind(place: &UnixPlace) -> io::Result<Self> {
        let user = place.user.as_ref().map(user_id).transpose()?;
        let group = place.group.as_ref().map(group_id).transpose()?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        let address = SockAddr::unix(&place.path)?;
        match socket.bind(&address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(&place.path, &address)? => {
                fs::remove_file(&place.path)?;
                socket.bind(&address)?;
            }
            bound => bound?,
        }
        let file = SocketFile::at(&place.path)?;
        // Until it listens, whoever connects is refused: there is no moment at which the mode is not yet right.
        if user.is_some() || group.is_some() {
            std::os::unix::fs::lchown(&place.path, user, group)?;
        }
        fs::set_permissions(&place.path, fs::Permissions::from_mode(place.mode))?;
        socket.listen(ACCEPT_QUEUE)?;
        Ok(Self { listener: UnixListener::from_std(socket.into())?, _file: Some(file) })
    }

    /// Takes a socket that listens already.
    pub(super) fn inherited(listener: UnixListener) -> Self {
        Self { listener, _file: None }
    }
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        let metadata = path.symlink_metadata()?;
        Ok(Self { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = self
            .path
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.dev() == self.device && metadata.ino() == self.inode);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, path = %self.path.display(), "the socket stays behind");
        }
    }
}

/// Says whether the file in the way is a socket that nobody listens at.
fn is_stale(path: &Path, address: &SockAddr) -> io::Result<bool> {
    if !path.symlink_metadata()?.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file is in the way that is no socket"));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A server with a full accept queue would have us wait.
    probe.set_nonblocking(true)?;
    Ok(probe.connect(address).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused))
}

fn user_id(user: &Owner) -> io::Result<u32> {
    id("user", user, USERS)
}

fn group_id(group: &Owner) -> io::Result<u32> {
    id("group", group, GROUPS)
}

/// Looks a name up in the system's own list. Users of a directory service, unlikely owners of a socket, can be given by
/// number.
fn id(kind: &str, owner: &Owner, list: &str) -> io::Result<u32> {
    match owner {
        Owner::Id(id) => Ok(*id),
        Owner::Name(name) => find(name, &fs::read_to_string(list)?).ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("there is no {kind} {name:?} in {list}"))
        }),
    }
}

/// `name:password:id:…`, in both lists.
fn find(name: &str, list: &str) -> Option<u32> {
    list.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_the_systems_lists() {
        let list = "root:x:0:\n# note\nwww:x:8\nwww-data:x:33:proxy,www\nbroken\nbad:x:y:\n";
        let table =
            [("root", Some(0)), ("www-data", Some(33)), ("www", Some(8)), ("proxy", None), ("bad", None)];
        for (name, expected) in table {
            assert_eq!(find(name, list), expected, "{name}");
        }
        let error = group_id(&Owner::Name("no-such-group-here".into())).expect_err("there is none");
        assert_eq!(error.to_string(), "there is no group \"no-such-group-here\" in /etc/group");
        assert_eq!(user_id(&Owner::Id(1000)).expect("is a number"), 1000);
    }
}
