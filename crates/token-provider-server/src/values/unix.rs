//! Unix domain sockets: `unix:/run/x.sock`, or with who may use it, `unix:/run/x.sock,mode=0660,group=www-data`: the
//! form of socat, which a shell leaves alone.

use std::path::PathBuf;

/// Longest path of a Unix domain socket, as `sockaddr_un` has it: 108 bytes with the final NUL on Linux, 104 on macOS.
const LONGEST_PATH: usize = if cfg!(target_os = "macos") { 103 } else { 107 };

pub(crate) const EXPECTED_PATH: &str = "expected an absolute path after `unix:`";

/// Reading and writing for the server's own user and group: connecting takes permission to write.
const DEFAULT_MODE: u32 = 0o660;

const NO_MODE: &str =
    "cannot be set on this system: leave it out, and let the folder's permissions say who can read the file";

/// Longest name of a user or group on Linux.
const LONGEST_NAME: usize = 32;

/// A Unix domain socket to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixPlace {
    /// Its absolute path.
    pub path: PathBuf,
    /// The permission bits of its file; 0660 unless said otherwise.
    pub mode: u32,
    /// The user that it is for, if not the server's own. Only root may give a socket away.
    pub user: Option<Owner>,
    /// The group that it is for, if not the server's own. The server has to be in it.
    pub group: Option<Owner>,
}

/// A user or a group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Owner {
    /// By number.
    Id(u32),
    /// By name.
    Name(String),
}

impl From<PathBuf> for UnixPlace {
    fn from(path: PathBuf) -> Self {
        Self { path, mode: DEFAULT_MODE, user: None, group: None }
    }
}

/// Reads what comes after `unix:`.
pub(super) fn place(text: &str) -> Result<UnixPlace, &'static str> {
    const OPTIONS: &str =
        "expected `mode=0660`, `user=NAME` or `group=NAME` after the comma; a path cannot contain one";
    let mut parts = text.split(',');
    let path = socket_path(parts.next().unwrap_or_default())?;
    let (mut bits, mut user, mut group) = (None, None, None);
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let is_twice = match key {
            "mode" => bits.replace(socket_mode(value)?).is_some(),
            "user" => user.replace(owner(value)?).is_some(),
            "group" => group.replace(owner(value)?).is_some(),
            _ => return Err(OPTIONS),
        };
        if is_twice {
            return Err("expected each of mode, user and group once");
        }
    }
    Ok(UnixPlace { path, mode: bits.unwrap_or(DEFAULT_MODE), user, group })
}

/// Reads the path of a socket.
pub(crate) fn socket_path(text: &str) -> Result<PathBuf, &'static str> {
    only_unix("Unix sockets cannot be used on this system; use TCP, such as localhost:3000")?;
    if !text.starts_with('/') || text.ends_with('/') || text.contains('\0') {
        return Err(EXPECTED_PATH);
    }
    if text.len() > LONGEST_PATH {
        return Err(
            "expected a path of at most 107 bytes (on macOS, 103) after `unix:`: the system does not \
                    support longer paths",
        );
    }
    Ok(PathBuf::from(text))
}

fn only_unix(message: &'static str) -> Result<(), &'static str> {
    if cfg!(unix) { Ok(()) } else { Err(message) }
}

fn socket_mode(text: &str) -> Result<u32, &'static str> {
    let mode = mode(text)?;
    if mode & 0o600 != 0o600 {
        return Err("expected a mode that lets the owner read and write: others may have less, not more");
    }
    Ok(mode)
}

/// Octal, as everywhere: `660` in decimal would be a strange mode indeed.
pub(crate) fn mode(text: &str) -> Result<u32, &'static str> {
    only_unix(NO_MODE)?;
    let is_octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| is_octal && *mode <= 0o777);
    mode.ok_or("expected a mode such as 0660, in octal digits")
}

/// Reads the name or the number of a user or group.
pub(crate) fn owner(text: &str) -> Result<Owner, &'static str> {
    only_unix(NO_MODE)?;
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // The largest is no id: it means "leave it as it is".
        let id = text.parse().ok().filter(|id| *id != u32::MAX);
        return id.map(Owner::Id).ok_or("expected an id below 4294967295");
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.$".contains(&byte);
    if text.is_empty() || text.len() > LONGEST_NAME || text.starts_with('-') || !text.bytes().all(is_name) {
        return Err("expected the name or number of a user or group");
    }
    Ok(Owner::Name(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mode_and_owner_are_read() {
        let name = |name: &str| Some(Owner::Name(name.to_owned()));
        for (text, mode, user, group) in [
            ("/run/x.sock", 0o660, None, None),
            ("/run/x.sock,mode=0666", 0o666, None, None),
            ("/run/x.sock,mode=600", 0o600, None, None),
            ("/run/x.sock,group=www-data", 0o660, None, name("www-data")),
            ("/run/x.sock,group=33,mode=0770", 0o770, None, Some(Owner::Id(33))),
            ("/run/x.sock,user=root,group=0", 0o660, name("root"), Some(Owner::Id(0))),
        ] {
            let expected = UnixPlace { path: "/run/x.sock".into(), mode, user, group };
            assert_eq!(place(text).as_ref(), Ok(&expected), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for options in [
            "",
            "mode",
            "mode=",
            "mode=66",
            "mode=0668",
            "mode=01660",
            "mode=1660",
            "mode=0o660",
            "mode=+660",
            "mode=0060",
            "mode=0400",
            "mode=0660,mode=0660",
            "user=",
            "user=-x",
            "user=a b",
            "user=a:b",
            "group=4294967295",
            "group=99999999999",
            "group=a,group=b",
            "Mode=0660",
            "backlog=5",
            "group=www-data,",
        ] {
            assert!(place(&format!("/run/x.sock,{options}")).is_err(), "{options}");
        }
    }
}
