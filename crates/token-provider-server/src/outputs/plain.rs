//! In place of `file.rs` on Windows: files that are replaced as a whole. Who can read them, or put another one there, is up to their
//! folder, which nobody judges.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::SystemTime;

use super::retry::retried;
use crate::config::Owner;

/// Where a file is to be; and files that are never replaced or removed, as this program needs them itself.
#[derive(Debug)]
pub struct Place(PathBuf, Arc<[PathBuf]>);

/// What a file is told from others by: its size, and when it was written. (To hold it open would be in the way of the next one.)
pub type Mark = (u64, SystemTime);

impl Place {
    /// Takes the path of an output, which is absolute.
    pub fn new(path: &Path, kept: Arc<[PathBuf]>) -> Self {
        Self(path.to_owned(), kept)
    }

    /// Puts a file with this content into the place if it is still wanted once it is written. Makes the folder if it is not there.
    pub fn replace(
        &self,
        _mode: u32,
        _group: Option<&Owner>,
        content: &[u8],
        is_wanted: impl Fn() -> bool,
    ) -> io::Result<Option<Mark>> {
        let folder = self.0.parent().expect("an output's path has a folder");
        // For the root of a drive that is there the system says that access is denied.
        fs::create_dir(folder).or_else(|error| if folder.is_dir() { Ok(()) } else { Err(error) })?;
        self.judge_file()?;
        let random = getrandom::u64().map_err(io::Error::other)?;
        let new = Self(self.0.with_extension(format!("{random:016x}.tmp")), Arc::default());
        new.create(content)?;
        let mark = mark(&new.0)?;
        // After each pause the server may be at its end, or the token.
        let put = || if is_wanted() { fs::rename(&new.0, &self.0).map(|()| true) } else { Ok(false) };
        let done = retried(put, sleep);
        if !matches!(done, Ok(true)) {
            let _ = fs::remove_file(&new.0);
        }
        Ok(done?.then_some(mark))
    }

    /// Makes a file with this content in the place. It replaces nothing.
    pub fn create(&self, content: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&self.0)?;
        // As far as it can be removed: why it could not be written matters more.
        let written = file.write_all(content).and_then(|()| file.sync_all());
        written.inspect_err(|_| drop(fs::remove_file(&self.0)))
    }

    /// Removes what is in the place: a server that was killed has left its file, and nobody knows when its token expires.
    pub fn clear(&self) -> io::Result<()> {
        self.judge_file()?;
        match retried(|| fs::remove_file(&self.0), sleep) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// Returns whether this file is in the place.
    pub fn has(&self, file: &Mark) -> io::Result<bool> {
        match mark(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            found => Ok(found? == *file),
        }
    }

    /// Removes this file if it is in the place.
    pub fn remove(&self, file: &Mark) -> io::Result<()> {
        if self.has(file)? { self.clear() } else { Ok(()) }
    }

    /// Refuses to replace what is not a file, or is needed.
    fn judge_file(&self) -> io::Result<()> {
        let Ok(found) = self.0.symlink_metadata() else { return Ok(()) };
        let path = self.0.canonicalize().ok();
        let problem = if !found.is_file() {
            "what is at this path is not a file"
        } else if path.is_some() && self.1.iter().any(|kept| kept.canonicalize().ok() == path) {
            "what is at this path is a file that the server itself needs"
        } else {
            return Ok(());
        };
        Err(io::Error::new(ErrorKind::InvalidInput, problem))
    }
}

fn mark(path: &Path) -> io::Result<Mark> {
    let found = path.symlink_metadata()?;
    Ok((found.len(), found.modified()?))
}
