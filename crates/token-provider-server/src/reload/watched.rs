//! Tells whether a file has changed, without reading it.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use crate::file_work::FileWork;

/// A file that is checked for changes.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) path: PathBuf,
    look: FileWork,
    read: FileWork,
    /// How it was at the last look before it was read.
    read_as: Option<Stamp>,
    /// Its stamp when a change was last reported.
    known: Option<Stamp>,
    /// How it was at the last look.
    seen: Option<Stamp>,
    /// Whether there was nothing at the last look, or no answer.
    pub(super) is_gone: bool,
}

/// What differs between two states of a file: which file it is (device and inode; symbolic links are followed), its size,
/// and when its content and its own record were last changed.
#[cfg(unix)]
type Stamp = (u64, u64, u64, (i64, i64), (i64, i64));

/// Where files have no number: the size, and when the file was written and made.
#[cfg(not(unix))]
type Stamp = (u64, std::time::SystemTime, std::time::SystemTime);

impl Watched {
    /// Begins with nothing known: between being read at the start and the first look the file may have changed. So a change is
    /// reported once, and reading it then shows whether there is one.
    pub(super) fn new(path: PathBuf) -> Self {
        let work = || FileWork::new(&path);
        Self { look: work(), read: work(), read_as: None, known: None, seen: None, is_gone: false, path }
    }

    /// Returns whether the file has become another one, and has been so for two looks: one that is being written is left
    /// alone until it is done. A file that is missing, or does not answer, has not changed; it may be about to come
    /// back.
    pub(super) async fn has_changed(&mut self) -> bool {
        let before = self.seen;
        // What does not answer counts as missing.
        self.look().await;
        if self.seen.is_none() || self.seen != before || self.seen == self.known {
            return false;
        }
        self.known = self.seen;
        true
    }

    /// Finds out which file is at the path now, if any. Returns whether there is an answer.
    pub(super) async fn look(&mut self) -> bool {
        let path = self.path.clone();
        // A folder in its place is no file.
        let look = move || path.metadata().ok().filter(|found| !found.is_dir());
        let answer = self.look.run(look).await;
        let found = answer.as_ref().and_then(Option::as_ref);
        self.is_gone = found.is_none();
        self.seen = found.and_then(stamp);
        answer.is_some()
    }

    /// Returns whether it is another file than the one that a change was reported of: it may be being written.
    pub(super) fn is_changing(&self) -> bool {
        self.seen.is_some() && self.seen != self.known
    }

    /// Returns whether there is a pipe, or the like, at the path.
    pub(super) fn is_pipe(&self) -> bool {
        !self.is_gone && self.seen.is_none()
    }

    /// Forgets the file, so that it is reported as changed once it is back, even if it is the same.
    pub(super) fn forget(&mut self) {
        self.known = None;
    }

    /// Reads the file where that may block. Returns `None` if it does not answer: at once while an earlier attempt hangs,
    /// unless another file is at the path by now.
    pub(super) async fn read<T: Send + 'static>(
        &mut self,
        read: impl FnOnce(&Path) -> T + Send + 'static,
    ) -> Option<T> {
        if self.seen.is_some() && self.seen != self.read_as {
            self.read_as = self.seen;
            self.read.forget_unfinished();
        }
        let path = self.path.clone();
        self.read.run(move || read(&path)).await
    }
}

/// `None` for a pipe: what was read from it is gone. It cannot change, and reading it again would wait for a second writer.
#[cfg(unix)]
fn stamp(file: &Metadata) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt as _;

    let modified = (file.mtime(), file.mtime_nsec());
    let changed = (file.ctime(), file.ctime_nsec());
    file.is_file().then(|| (file.dev(), file.ino(), file.size(), modified, changed))
}

#[cfg(not(unix))]
fn stamp(file: &Metadata) -> Option<Stamp> {
    file.is_file().then_some((file.len(), file.modified().ok()?, file.created().ok()?))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// Looks often enough for a change to have settled.
    async fn changed(watched: &mut Watched) -> bool {
        watched.has_changed().await || watched.has_changed().await
    }

    #[tokio::test]
    async fn every_way_of_changing_a_file_is_seen_once() {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let path = directory.path().join("file");
        fs::write(&path, "first").expect("can be written");
        let mut watched = Watched::new(path.clone());
        assert!(changed(&mut watched).await, "may have changed since it was read");
        assert!(!changed(&mut watched).await, "nothing has happened since");

        fs::write(&path, "second, longer").expect("can be written");
        assert!(changed(&mut watched).await, "rewritten");
        assert!(!changed(&mut watched).await, "said once");

        let other = directory.path().join("other");
        fs::write(&other, "third, longer ").expect("can be written");
        fs::rename(&other, &path).expect("can be renamed");
        assert!(changed(&mut watched).await, "renamed over");

        fs::remove_file(&path).expect("can be removed");
        assert!(!changed(&mut watched).await, "missing is not changed");
        fs::write(&path, "fourth").expect("can be written");
        assert!(changed(&mut watched).await, "come back as another");

        fs::remove_file(&path).expect("can be removed");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("can be run").success());
        assert!(!changed(&mut watched).await, "a pipe is no file that changes");
    }

    #[tokio::test]
    async fn swapped_link_in_the_path_is_seen() {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let at = |name: &str| directory.path().join(name);
        for version in ["v1", "v2"] {
            fs::create_dir(at(version)).expect("can be made");
            fs::write(at(version).join("file"), version).expect("can be written");
        }
        // Kubernetes: file -> ..data/file, ..data -> v1; then ..data is swapped.
        symlink("v1", at("..data")).expect("can be linked");
        symlink("..data/file", at("file")).expect("can be linked");
        let mut watched = Watched::new(at("file"));
        assert!(changed(&mut watched).await);
        symlink("v2", at("..data_tmp")).expect("can be linked");
        fs::rename(at("..data_tmp"), at("..data")).expect("can be swapped");
        assert!(changed(&mut watched).await);
    }

    #[tokio::test]
    async fn file_that_is_being_written_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let path = directory.path().join("file");
        fs::write(&path, "a").expect("can be written");
        let mut watched = Watched::new(path.clone());
        for length in 2..5 {
            fs::write(&path, "a".repeat(length)).expect("can be written");
            assert!(!watched.has_changed().await, "still growing");
        }
        assert!(watched.has_changed().await, "settled");
    }
}
