//! The configuration file: which one counts, and whether one that nobody has named may be obeyed.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::process::{getegid, geteuid};

use super::environment::{CONFIG_VARIABLE, Environment};
use super::error::{Place, Problem};
use super::sources::Overrides;

/// Looked for in the working directory.
const LOCAL: &str = "token-provider.toml";

/// Looked for when there is no local one.
const SYSTEM: &str = "/etc/token-provider/config.toml";

/// Some thousand callers; a device or a log that is named by mistake does not fill the memory.
const MAX_BYTES: u64 = 1024 * 1024;

/// Where a configuration file may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places<'p> {
    named: Option<(&'p Path, &'static str)>,
    local: &'p Path,
    system: &'p Path,
}

impl<'p> Places<'p> {
    /// The places for these flags and this environment.
    pub(super) fn new(overrides: &'p Overrides, environment: &'p Environment) -> Self {
        let named = match (&overrides.config, environment.config_file()) {
            (Some(path), _) => Some((path.as_path(), "--config")),
            (None, Some(path)) => Some((path, CONFIG_VARIABLE)),
            (None, None) => None,
        };
        Self { named, local: Path::new(LOCAL), system: Path::new(SYSTEM) }
    }

    #[cfg(test)]
    pub(super) fn with_usual(self, local: &'p Path, system: &'p Path) -> Self {
        Self { local, system, ..self }
    }

    /// Returns the file that counts. There is none only where both usual places are empty: a file that cannot be looked
    /// at may be the one that says who may ask.
    pub(super) fn find(&self) -> Result<Option<PathBuf>, Problem> {
        if let Some((path, _)) = self.named {
            return Ok(Some(path.to_owned()));
        }
        for path in [self.local, self.system] {
            // A broken link was put there to be used.
            match path.symlink_metadata() {
                Ok(_) => return Ok(Some(path.to_owned())),
                Err(error) if is_absence(&error) => {}
                Err(error) => return Err(unreadable(path, "", &error)),
            }
        }
        Ok(None)
    }

    /// Reads the file that was found.
    pub(super) fn read(&self, path: &Path) -> Result<String, Problem> {
        let named = self.named.map_or_else(String::new, |(_, by)| format!(", named by {by}"));
        let failed = |error: io::Error| unreadable(path, &named, &error);
        let is_judged = self.named.is_none() && path == self.local;
        if is_judged {
            self.judge_folder()?;
        }
        let file = File::open(path).map_err(failed)?;
        if is_judged {
            // Of what was opened, so that it cannot be exchanged in between; and who made the link to it, if it is one.
            judge(path, "this file", &file.metadata().map_err(failed)?)?;
        }
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(whole(path, "it is larger than 1 MiB, so it is no configuration file".to_owned()));
        }
        text_of(path, bytes)
    }

    /// Before the file is opened: what a stranger put there may be a pipe that nobody writes to.
    fn judge_folder(&self) -> Result<(), Problem> {
        let path = self.local;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let failed = |error: io::Error| unreadable(path, "", &error);
        let folder = folder.unwrap_or_else(|| Path::new(".")).metadata().map_err(failed)?;
        judge(path, "the working directory", &folder)?;
        let link = path.symlink_metadata().map_err(failed)?;
        if is_owned(&link) { Ok(()) } else { Err(not_ours(path, "this file", BELONGS)) }
    }
}

const BELONGS: &str = "belongs to another user";

/// Refuses what somebody else could have written: in a folder that is shared, such as `/tmp`, a stranger's file would
/// decide who gets tokens, and which files are read and sent where.
fn judge(path: &Path, what: &str, metadata: &Metadata) -> Result<(), Problem> {
    const BY_GROUP: u32 = 0o020;
    const BY_ALL: u32 = 0o002;
    let reason = if !is_owned(metadata) {
        BELONGS
    } else if metadata.mode() & BY_ALL != 0 {
        "can be written by every user"
    } else if metadata.mode() & BY_GROUP != 0 && metadata.gid() != getegid().as_raw() {
        "can be written by a group that is not this user's own"
    } else {
        return Ok(());
    };
    Err(not_ours(path, what, reason))
}

fn is_owned(metadata: &Metadata) -> bool {
    [0, geteuid().as_raw()].contains(&metadata.uid())
}

fn not_ours(path: &Path, what: &str, reason: &str) -> Problem {
    let message = format!(
        "{what} {reason}, so the file is not used unless it is named; if it is meant, say --config ./{LOCAL}"
    );
    whole(path, message)
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn unreadable(path: &Path, named: &str, error: &io::Error) -> Problem {
    let reason = match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => error.to_string(),
    };
    let remedy = if named.is_empty() { "; to use another, name it with --config" } else { "" };
    whole(path, format!("cannot read the configuration{named}: {reason}{remedy}"))
}

fn text_of(path: &Path, bytes: Vec<u8>) -> Result<String, Problem> {
    String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        let line = before.filter(|byte| **byte == b'\n').count() + 1;
        problem(path, line, "not TOML: expected UTF-8 text")
    })
}

fn whole(path: &Path, message: String) -> Problem {
    problem(path, 0, message)
}

fn problem(path: &Path, line: usize, message: impl Into<String>) -> Problem {
    Problem::new(Place::File { file: path.into(), line, column: None }, "", message)
}
