//! Unix domain sockets: unreachable until their mode and owner are right, and removed at the end.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
pub(super) use tokio::net::UnixStream;
use tokio::net::{self, UnixListener};

use super::limits::ACCEPT_QUEUE;
use crate::config::{Owner, UnixPlace};

const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// EPERM or EINVAL has one of these causes.
const WHO_MAY: &str = "the process must be in the group that the socket is for, and be root for another user; a systemd unit \
                       with PrivateUsers=yes or SystemCallFilter=~@chown can use no other group than its own (Group=)";

/// A socket that listens.
#[derive(Debug)]
pub struct UnixSocket {
    pub(super) listener: UnixListener,
    /// `None` if another process has made it.
    pub(super) _file: Option<SocketFile>,
}

/// A socket's file, with device and inode. Removed on drop, unless another process has put its own there meanwhile.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf, (u64, u64));

/// Binds, in place of a socket that a process which is gone left behind.
pub(super) fn bind(place: &UnixPlace) -> io::Result<UnixSocket> {
    let UnixPlace { path, mode, user, group } = place;
    let user = user.as_ref().map(|user| id("user", user, USERS)).transpose()?;
    let group = group.as_ref().map(group_id).transpose()?;
    let socket = net::UnixSocket::new_stream()?;
    match socket.bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path)? => {
            fs::remove_file(path)?;
            socket.bind(path)?;
        }
        bound => bound?,
    }
    let file = SocketFile(path.clone(), device_and_inode(path)?);
    // Until it listens, every connection is refused: there is no moment at which the mode is not yet right.
    let owner = path.symlink_metadata()?;
    if user.is_some_and(|user| user != owner.uid()) || group.is_some_and(|group| group != owner.gid()) {
        lchown(path, user, group).map_err(|error| {
            io::Error::other(format!("its user or group cannot be set: {error}; {WHO_MAY}"))
        })?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(*mode))?;
    Ok(UnixSocket { listener: socket.listen(ACCEPT_QUEUE)?, _file: Some(file) })
}

pub(super) async fn accept(socket: &UnixSocket) -> io::Result<UnixStream> {
    socket.listener.accept().await.map(|(stream, _address)| stream)
}

impl fmt::Display for UnixSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.listener.local_addr().ok();
        match address.as_ref().and_then(|address| address.as_pathname()) {
            Some(path) => write!(f, "unix:{}", path.display()),
            None => f.write_str("a Unix socket without a name"),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let Self(path, made) = &*self;
        let is_ours = device_and_inode(path).is_ok_and(|found| found == *made);
        if is_ours && let Err(error) = fs::remove_file(path) {
            tracing::debug!(%error, path = %path.display(), "cannot remove the socket file");
        }
    }
}

fn device_and_inode(path: &Path) -> io::Result<(u64, u64)> {
    path.symlink_metadata().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Returns whether the file in the way is a socket that no process listens at.
fn is_stale(path: &Path) -> io::Result<bool> {
    if !path.symlink_metadata()?.file_type().is_socket() {
        let problem = "a file that is not a socket already exists there";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, problem));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A server with a full accept queue would have us wait.
    probe.set_nonblocking(true)?;
    let address = SockAddr::unix(path)?;
    Ok(probe.connect(&address).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused))
}

/// Returns the number of a group.
pub(crate) fn group_id(group: &Owner) -> io::Result<u32> {
    id("group", group, GROUPS)
}

/// Looks a name up in the system's own list, whose lines are `name:password:id:…`. Users of a directory service, unlikely owners
/// of a socket, can be given by number.
fn id(kind: &str, owner: &Owner, list: &str) -> io::Result<u32> {
    let name = match owner {
        Owner::Id(id) => return Ok(*id),
        Owner::Name(name) => name,
    };
    let text = fs::read_to_string(list)?;
    let mut lines = text.lines().map(|line| line.split(':'));
    let fields = lines.find_map(|mut fields| (fields.next()? == name).then_some(fields));
    let id = fields.and_then(|mut fields| fields.nth(1)?.parse().ok());
    let missing =
        || io::Error::new(io::ErrorKind::NotFound, format!("there is no {kind} {name:?} in {list}"));
    id.ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_the_systems_lists() {
        let list = tempfile::NamedTempFile::new().expect("can be made");
        let text = "root:x:0:\n# note\nwww:x:8\nwww-data:x:33:proxy,www\nbroken\nbad:x:y:\n";
        fs::write(list.path(), text).expect("can be written");
        let path = list.path().to_str().expect("is text");
        let id = |name: &str| id("group", &Owner::Name(name.to_owned()), path).ok();
        let table =
            [("root", Some(0)), ("www-data", Some(33)), ("www", Some(8)), ("proxy", None), ("bad", None)];
        for (name, expected) in table {
            assert_eq!(id(name), expected, "{name}");
        }
    }

    #[test]
    fn owner_that_is_not_there_is_named() {
        let error =
            id("group", &Owner::Name("no-such-group-here".into()), GROUPS).expect_err("there is none");
        assert_eq!(error.to_string(), "there is no group \"no-such-group-here\" in /etc/group");
        assert_eq!(id("user", &Owner::Id(1000), USERS).expect("is a number"), 1000);
    }
}
