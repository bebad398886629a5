//! The configuration file: which one is used, and whether one that was found and not named may be trusted.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::environment::{Environment, FILE_VARIABLE};
use super::error::{ConfigError, ConfigErrors, NOT_TEXT, Place};

/// Looked for in the working directory.
const LOCAL: &str = "token-provider.toml";

/// Looked for when there is no local one.
static SYSTEM: LazyLock<PathBuf> = LazyLock::new(|| {
    if !cfg!(windows) {
        return "/etc/token-provider/config.toml".into();
    }
    let environment = Environment::from_process();
    let folder = environment.variable("PROGRAMDATA").map_or_else(|| Path::new(r"C:\ProgramData"), Path::new);
    folder.join(r"token-provider\config.toml")
});

/// Some thousand callers; a device or a log that is named by mistake does not fill the memory.
const MAX_BYTES: u64 = 1024 * 1024;

/// Where a configuration file may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Locations<'p> {
    pub(crate) named: Option<(&'p Path, &'static str)>,
    pub(crate) local: &'p Path,
    pub(crate) system: &'p Path,
}

impl<'p> Locations<'p> {
    /// The locations where `--config` has this value, in this environment.
    pub(crate) fn new(flag: Option<&'p Path>, environment: &'p Environment) -> Self {
        let variable = environment.variable(FILE_VARIABLE).map(|path| (Path::new(path), FILE_VARIABLE));
        let named = flag.map(|path| (path, "--config")).or(variable);
        Self { named, local: Path::new(LOCAL), system: &SYSTEM }
    }

    /// Returns the file that counts. There is none only where both usual places are empty: a file that cannot be
    /// read may be the one that restricts access.
    pub(crate) fn find(&self) -> Result<Option<PathBuf>, ConfigErrors> {
        if let Some((path, _)) = self.named {
            return Ok(Some(path.to_owned()));
        }
        for path in [self.local, self.system] {
            // A broken link was put there to be used.
            match path.symlink_metadata() {
                Ok(_) => return Ok(Some(path.to_owned())),
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(error) => return Err(self.unreadable(path, &error)),
            }
        }
        Ok(None)
    }

    /// Reads the file that was found.
    pub(crate) fn read(&self, path: &Path) -> Result<String, ConfigErrors> {
        let failed = |error: io::Error| self.unreadable(path, &error);
        let is_judged = self.named.is_none() && path == self.local;
        if is_judged {
            // Before it is opened: another user may have put a pipe there, which would block.
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or_else(|| Path::new("."));
            judge(path, "the working directory", &folder.metadata().map_err(failed)?)?;
            // The link to it, if it is one.
            judge(path, "this file", &path.symlink_metadata().map_err(failed)?)?;
        }
        let file = File::open(path).map_err(failed)?;
        if is_judged {
            // The file that was opened: another may have taken its place.
            judge(path, "this file", &file.metadata().map_err(failed)?)?;
        }
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(at(path, 0, "it is larger than 1 MiB, too large for a configuration file"));
        }
        String::from_utf8(bytes).map_err(|error| {
            let before = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
            let line = before.filter(|byte| **byte == b'\n').count() + 1;
            at(path, line, &format!("not TOML: {NOT_TEXT}"))
        })
    }

    /// Returns a warning where a file that was found decides, and nobody can tell who else can change it.
    pub(crate) fn unjudged(&self, path: &Path) -> Option<String> {
        let text = "was found there, and whether others can change it cannot be judged on this system";
        let is_unjudged = !cfg!(unix) && self.named.is_none();
        is_unjudged.then(|| format!("the configuration {} {text}", path.display()))
    }

    fn unreadable(&self, path: &Path, error: &io::Error) -> ConfigErrors {
        let reason = match error.kind() {
            io::ErrorKind::NotFound => "there is no such file".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
            _ => error.to_string(),
        };
        let message = match self.named {
            Some((_, by)) => format!("cannot read the configuration file given by {by}: {reason}"),
            None => format!("cannot read the configuration: {reason}; pass --config to use another file"),
        };
        at(path, 0, &message)
    }
}

/// Refuses what another user could have written: in a shared folder such as `/tmp`, their file would decide who gets tokens,
/// and which files are read and sent where.
fn judge(path: &Path, what: &str, found: &Metadata) -> Result<(), ConfigErrors> {
    let Some(reason) = others_control(found) else { return Ok(()) };
    let remedy =
        "so the file is not used automatically; if you trust it, pass --config ./token-provider.toml";
    Err(at(path, 0, &format!("{what} {reason}, {remedy}")))
}

/// Returns how another user can change a file, or put one into a folder in the place of another; `None` if nobody can.
#[cfg(unix)]
pub(crate) fn others_control(found: &Metadata) -> Option<&'static str> {
    use std::os::unix::fs::MetadataExt as _;

    const BY_GROUP: u32 = 0o020;
    const BY_ALL: u32 = 0o002;
    // A link has no permissions, and who made it decides where it leads.
    let may = |writers: u32| !found.is_symlink() && found.mode() & writers != 0;
    if !is_own(found.uid()) {
        Some("belongs to another user")
    } else if may(BY_ALL) {
        Some("is writable by every user")
    } else if may(BY_GROUP) && found.gid() != rustix::process::getegid().as_raw() {
        Some("is writable by a group other than this user's own")
    } else {
        None
    }
}

/// It cannot be judged: [`Locations::unjudged`] says so.
#[cfg(not(unix))]
fn others_control(_found: &Metadata) -> Option<&'static str> {
    None
}

/// Returns whether this user or root has this id.
#[cfg(unix)]
pub(crate) fn is_own(user: u32) -> bool {
    [0, rustix::process::geteuid().as_raw()].contains(&user)
}

fn at(path: &Path, line: usize, message: &str) -> ConfigErrors {
    let place = Place::File { file: path.into(), line, column: None };
    ConfigErrors::new(vec![ConfigError::new(place, "", message)])
}
