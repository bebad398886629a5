//! In place of `file.rs` on Windows: files that are replaced as a whole. Who can read them, or put another one there, is up to their
//! folder, which nobody judges. Nothing here needs Windows: it is tested on every system.
//!
//! On Windows a file cannot be replaced or removed while another program has it open, unless that program allows it.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use crate::config::Owner;

/// Readers of a token are done sooner.
const LONGEST: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);

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

/// Tries again while it fails, for two seconds. There is nothing to wait for where nothing is.
fn retried<T>(mut attempt: impl FnMut() -> io::Result<T>, mut pause: impl FnMut(Duration)) -> io::Result<T> {
    let mut waited = Duration::ZERO;
    loop {
        match attempt() {
            Err(error) if error.kind() != ErrorKind::NotFound && waited < LONGEST => {
                pause(PAUSE);
                waited += PAUSE;
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A folder, and the place of an output in it, in a folder that is still to be made.
    fn place() -> (TempDir, Place) {
        let folder = tempfile::tempdir().expect("can be made");
        let place = Place::new(&folder.path().join("made/token"), [folder.path().join("made/needed")].into());
        (folder, place)
    }

    fn put(place: &Place, content: &str) -> Mark {
        let mark = place.replace(0, None, content.as_bytes(), || true).expect("can be written");
        mark.expect("is wanted")
    }

    fn names(folder: &TempDir) -> Vec<String> {
        let made = fs::read_dir(folder.path().join("made")).expect("is there");
        made.map(|entry| entry.expect("is there").file_name().into_string().expect("is text")).collect()
    }

    #[test]
    fn file_is_replaced_whole_and_told_from_others() {
        let (folder, place) = place();
        let first = put(&place, "first");
        assert!(place.has(&first).expect("can be told"));
        let second = put(&place, "the second");
        assert_eq!(fs::read_to_string(&place.0).expect("is there"), "the second");
        assert_eq!((place.has(&first).ok(), place.has(&second).ok()), (Some(false), Some(true)));
        assert_eq!(names(&folder), ["token"]);

        fs::write(&place.0, "somebody else's").expect("can be written");
        place.remove(&second).expect("is not there");
        assert_eq!(names(&folder), ["token"], "what somebody else has put there stays");
        let third = put(&place, "3");
        place.remove(&third).expect("can be removed");
        assert!(names(&folder).is_empty());
        assert!(!place.has(&third).expect("can be told"));
        place.remove(&third).expect("there is nothing to do");
    }

    #[test]
    fn what_is_no_longer_wanted_leaves_nothing_behind() {
        let (folder, place) = place();
        assert_eq!(place.replace(0, None, b"x", || false).expect("can be written"), None);
        assert!(names(&folder).is_empty());
        put(&place, "old");
        assert_eq!(place.replace(0, None, b"x", || false).expect("can be written"), None);
        assert_eq!(names(&folder), ["token"]);
        assert_eq!(fs::read_to_string(&place.0).expect("is there"), "old");
    }

    #[test]
    fn leftover_is_removed_and_nothing_is_no_error() {
        let (folder, place) = place();
        place.clear().expect("there is nothing to do");
        put(&place, "of a server that was killed");
        place.clear().expect("can be removed");
        assert!(names(&folder).is_empty());
    }

    #[test]
    fn new_file_replaces_nothing() {
        let (folder, place) = place();
        assert!(place.create(b"x").is_err(), "its folder is not there, and is nothing to be made here");
        put(&place, "old");
        let error = place.create(b"new").expect_err("there is one");
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&place.0).expect("is there"), "old");
        place.clear().expect("can be removed");
        place.create(b"new").expect("can be written");
        assert_eq!((names(&folder).len(), fs::read(&place.0).ok()), (1, Some(b"new".into())));
    }

    #[test]
    fn folder_and_needed_file_are_neither_replaced_nor_removed() {
        let (folder, place) = place();
        let made = folder.path().join("made");
        fs::create_dir_all(made.join("token")).expect("can be made");
        let needed = Place::new(&made.join("needed"), Arc::clone(&place.1));
        needed.create(b"key").expect("can be written");
        // Written another way, it is the same file.
        let roundabout = Place::new(&made.join("../made/needed"), Arc::clone(&place.1));
        for (place, problem) in
            [(&place, "is not a file"), (&needed, "itself needs"), (&roundabout, "itself needs")]
        {
            for result in [place.replace(0, None, b"x", || true).map(drop), place.clear()] {
                let error = result.expect_err("is refused").to_string();
                assert!(error.contains(problem), "{error}");
            }
        }
        assert_eq!(names(&folder).len(), 2);
        assert_eq!(fs::read(&needed.0).expect("is there"), b"key");
    }

    /// What comes of a file that another program has open for so long, and after how long.
    fn with_reader(until: Duration) -> (io::Result<()>, Duration) {
        let now = std::cell::Cell::new(Duration::ZERO);
        let attempt = || if now.get() < until { Err(ErrorKind::PermissionDenied.into()) } else { Ok(()) };
        let result = retried(attempt, |pause| now.set(now.get() + pause));
        (result, now.get())
    }

    #[test]
    fn file_that_is_open_is_replaced_once_it_is_closed_within_two_seconds() {
        for millis in [0, 50, 1_000, 2_000] {
            let (result, after) = with_reader(Duration::from_millis(millis));
            assert!(
                result.is_ok() && after == Duration::from_millis(millis),
                "{millis}: {result:?} {after:?}"
            );
        }
        let (result, after) = with_reader(Duration::from_secs(3));
        assert_eq!(result.map_err(|error| error.kind()), Err(ErrorKind::PermissionDenied));
        assert_eq!(after, LONGEST);
    }

    #[test]
    fn nothing_is_waited_for_where_there_is_no_file() {
        let attempt = || Err::<(), _>(ErrorKind::NotFound.into());
        assert!(retried(attempt, |_| panic!("waits")).is_err());
    }
}
