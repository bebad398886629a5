//! In place of `file.rs` on Windows: files that are replaced as a whole. Who can read them, or put another one there, is up to their
//! folder, which nobody judges.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::SystemTime;

use super::retry::retried;
use crate::config::Owner;

/// Where a file is to be.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    /// Files that are never replaced or removed, as this program needs them itself.
    kept: Arc<[PathBuf]>,
}

/// What a file is told from others by: its size, and when it was written. (To hold it open would be in the way of the next one.)
#[derive(Debug, PartialEq, Eq)]
pub struct Mark(u64, SystemTime);

impl Place {
    /// Takes the path of an output, which is absolute.
    pub fn new(path: &Path, kept: Arc<[PathBuf]>) -> Self {
        Self { path: path.to_owned(), kept }
    }

    /// Puts a file with this content into the place if it is still wanted once it is written. Makes the folder if it is not there.
    pub fn replace(
        &self,
        _mode: u32,
        _group: Option<&Owner>,
        content: &[u8],
        is_wanted: impl FnOnce() -> bool,
    ) -> io::Result<Option<Mark>> {
        let made = fs::create_dir(self.folder());
        made.or_else(|error| if error.kind() == ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })?;
        self.judge_file()?;
        let random = getrandom::u64().map_err(io::Error::other)?;
        let name = self.path.file_name().expect("an output's path has a name").to_string_lossy();
        let new = self.path.with_file_name(format!(".{name}.{random:016x}.tmp"));
        let put = || -> io::Result<Option<Mark>> {
            write(&new, content)?;
            let mark = mark(&new)?;
            if !is_wanted() {
                return Ok(None);
            }
            retried(|| fs::rename(&new, &self.path), thread::sleep)?;
            Ok(Some(mark))
        };
        let done = put();
        if !matches!(done, Ok(Some(_))) {
            let _ = fs::remove_file(&new);
        }
        done
    }

    /// Makes a file with this content in the place. It replaces nothing.
    pub fn create(&self, content: &[u8]) -> io::Result<()> {
        write(&self.path, content).inspect_err(|error| {
            if error.kind() != ErrorKind::AlreadyExists {
                // As far as that is possible: why it could not be written matters more.
                let _ = fs::remove_file(&self.path);
            }
        })
    }

    /// Removes what is in the place: a server that was killed has left its file, and nobody knows when its token expires.
    pub fn clear(&self) -> io::Result<()> {
        self.judge_file()?;
        match retried(|| fs::remove_file(&self.path), thread::sleep) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// Returns whether this file is in the place.
    pub fn has(&self, file: &Mark) -> io::Result<bool> {
        match mark(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            found => Ok(found? == *file),
        }
    }

    /// Removes this file if it is in the place.
    pub fn remove(&self, file: &Mark) -> io::Result<()> {
        if self.has(file)? { self.clear() } else { Ok(()) }
    }

    fn folder(&self) -> &Path {
        self.path.parent().expect("an output's path has a folder")
    }

    /// Refuses to replace what is not a file, or is needed.
    fn judge_file(&self) -> io::Result<()> {
        let invalid = |text| Err(io::Error::new(ErrorKind::InvalidInput, text));
        let found = match self.path.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            found => found?,
        };
        if !found.is_file() {
            return invalid("what is at this path is not a file");
        }
        let path = self.path.canonicalize()?;
        if self.kept.iter().any(|kept| kept.canonicalize().is_ok_and(|kept| kept == path)) {
            return invalid("what is at this path is a file that the server itself needs");
        }
        Ok(())
    }
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn mark(path: &Path) -> io::Result<Mark> {
    let found = path.symlink_metadata()?;
    Ok(Mark(found.len(), found.modified()?))
}
