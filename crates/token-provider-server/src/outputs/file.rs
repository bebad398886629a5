//! Files that are replaced as a whole, and that nobody else can have put there. What only Unix has is in here.
//!
//! A new file is written beside its place under a name that nobody can guess, gets its group and mode before its content,
//! and is renamed: a reader finds the old one or the new one, whole. It is not synced to the disk: after a power cut a server
//! begins with a new token anyway.
//!
//! The folder is opened once for each operation, and not through a link. It and all above it must belong to this user or root, and
//! nobody else may write to them, except where a sticky bit keeps everybody to their own files (`/tmp`, `/dev/shm`).

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, fstat, mkdir, open, openat, renameat, stat, statat, unlinkat,
};
use rustix::io::Errno;

use crate::config::Owner;
use crate::listen::group_id;
use crate::settings::{is_own, others_control};

const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// For a folder that need not be readable, where the system can do that.
#[cfg(all(target_os = "linux", not(portable)))]
const SEARCHED: OFlags = OFlags::PATH;
#[cfg(not(all(target_os = "linux", not(portable))))]
const SEARCHED: OFlags = OFlags::empty();
const NEW_FILE: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const FOLDER_MODE: u16 = 0o755;
const STICKY: u32 = 0o1000;

/// What a file is told from others by: it is held open, so that no other file can have its number.
pub type Mark = File;

/// Where a file is to be.
#[derive(Debug)]
pub struct Place {
    folder: PathBuf,
    name: OsString,
    /// Files that are never replaced or removed, as this program needs them itself.
    kept: Arc<[PathBuf]>,
}

impl Place {
    /// Takes the path of an output, which is absolute.
    pub fn new(path: &Path, kept: Arc<[PathBuf]>) -> Self {
        let (folder, name) = path.parent().zip(path.file_name()).expect("an output's path has a folder");
        Self { folder: folder.to_owned(), name: name.to_owned(), kept }
    }

    /// Puts a file with this content into the place if it is still wanted once it is written, and returns it, open. Makes the
    /// folder if it is not there.
    pub fn replace(
        &self,
        mode: u32,
        group: Option<&Owner>,
        content: &[u8],
        is_wanted: impl FnOnce() -> bool,
    ) -> io::Result<Option<File>> {
        let folder = self.open_folder()?;
        self.judge_file(&folder)?;
        let random = getrandom::u64().map_err(io::Error::other)?;
        let name = format!(".{}.{random:016x}.tmp", self.name.display());
        make(&folder, OsStr::new(&name), |mut file| {
            set_access(file, mode, group)?;
            file.write_all(content)?;
            let is_wanted = is_wanted();
            if is_wanted {
                renameat(&folder, &name, &folder, &self.name)?;
            }
            Ok(is_wanted)
        })
    }

    /// Makes a file with this content in the place, for this user alone. It replaces nothing, and follows no link.
    pub fn create(&self, content: &[u8]) -> io::Result<()> {
        let flags = SEARCHED | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = File::from(open(&self.folder, flags, Mode::empty())?);
        judge_folder(&self.folder, &folder.metadata()?)?;
        let write = |mut file: &File| {
            set_access(file, 0o600, None)?;
            file.write_all(content)?;
            file.sync_all().map(|()| true)
        };
        make(&folder, &self.name, write).map(drop)
    }

    /// Removes what is in the place: a server that was killed has left its file, and nobody knows when its token expires.
    pub fn clear(&self) -> io::Result<()> {
        let folder = self.open_folder()?;
        self.judge_file(&folder)?;
        match unlinkat(folder, &self.name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            done => Ok(done?),
        }
    }

    /// Returns whether this file is in the place.
    pub fn has(&self, file: &Mark) -> io::Result<bool> {
        Ok(self.folder_of(file)?.is_some())
    }

    /// Returns the folder if this file is in the place.
    fn folder_of(&self, file: &File) -> io::Result<Option<File>> {
        let folder = match open(&self.folder, FOLDER, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            folder => File::from(folder?),
        };
        let (found, ours) = (self.stat(&folder, AtFlags::SYMLINK_NOFOLLOW)?, fstat(file)?);
        let is_ours = |found: Stat| (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino);
        Ok(found.is_some_and(is_ours).then_some(folder))
    }

    /// Removes this file if it is in the place.
    pub fn remove(&self, file: &File) -> io::Result<()> {
        let Some(folder) = self.folder_of(file)? else { return Ok(()) };
        Ok(unlinkat(folder, &self.name, AtFlags::empty())?)
    }

    /// Opens the folder, and makes it if it is not there.
    fn open_folder(&self) -> io::Result<File> {
        for above in self.folder.ancestors().skip(1) {
            if !is_own(above.symlink_metadata()?.uid()) {
                return Err(problem(&format!("{} belongs to another user", above.display())));
            }
            let found = above.metadata()?;
            // The root of a volume may be open to all who have the volume, as in a pod.
            let is_volume =
                above.parent().map(Path::metadata).transpose()?.is_some_and(|up| up.dev() != found.dev());
            if !is_volume {
                judge_folder(above, &found)?;
            }
        }
        let is_new = match mkdir(&self.folder, Mode::from_raw_mode(FOLDER_MODE.into())) {
            Err(Errno::EXIST) => false,
            made => made.map(|()| true)?,
        };
        let folder = match open(&self.folder, FOLDER, Mode::empty()) {
            Err(Errno::NOTDIR | Errno::LOOP) => {
                return Err(problem("its folder is a symbolic link or a file; name the folder itself"));
            }
            folder => File::from(folder?),
        };
        if is_new {
            // Whatever the umask.
            folder.set_permissions(Permissions::from_mode(FOLDER_MODE.into()))?;
        }
        judge_folder(&self.folder, &folder.metadata()?).map(|()| folder)
    }

    /// Refuses to replace what is not a file or a link of this user's, or is needed.
    fn judge_file(&self, folder: &File) -> io::Result<()> {
        let Some(found) = self.stat(folder, AtFlags::SYMLINK_NOFOLLOW)? else { return Ok(()) };
        if !is_own(found.st_uid) {
            return Err(problem("what is at this path belongs to another user"));
        }
        let target = self.stat(folder, AtFlags::empty())?.unwrap_or(found);
        // A link that leads to another file system is one such as `/dev/stdout`, which others go on to need.
        if target.st_dev != found.st_dev || !FileType::from_raw_mode(target.st_mode).is_file() {
            return Err(problem("what is at this path is neither a file nor a link to one beside it"));
        }
        let is_target = |kept: Stat| (kept.st_dev, kept.st_ino) == (target.st_dev, target.st_ino);
        if self.kept.iter().any(|kept| stat(kept).is_ok_and(is_target)) {
            return Err(problem("what is at this path is a file that the server itself needs"));
        }
        Ok(())
    }

    /// Returns what is in the place, if there is anything.
    fn stat(&self, folder: &File, flags: AtFlags) -> io::Result<Option<Stat>> {
        match statat(folder, &self.name, flags) {
            Err(Errno::NOENT) => Ok(None),
            found => Ok(Some(found?)),
        }
    }
}

/// Makes a file, and removes it again where it cannot be written or is not wanted.
fn make(
    folder: &File,
    name: &OsStr,
    write: impl FnOnce(&File) -> io::Result<bool>,
) -> io::Result<Option<File>> {
    let file = File::from(openat(folder, name, NEW_FILE, Mode::RUSR | Mode::WUSR)?);
    let done = write(&file);
    if !matches!(done, Ok(true)) {
        // As far as that is possible: why it could not be written matters more.
        let _ = unlinkat(folder, name, AtFlags::empty());
    }
    Ok(done?.then_some(file))
}

/// Sets who may read a file, exactly, whatever the umask.
fn set_access(file: &File, mode: u32, group: Option<&Owner>) -> io::Result<()> {
    let group = group.map(group_id).transpose()?;
    // Under a strict unit it can be set to none, and has the unit's by itself.
    if group.is_some_and(|group| file.metadata().is_ok_and(|found| found.gid() != group)) {
        fchown(file, None, group).map_err(|error| {
            problem(&format!("its group cannot be set: {error}; this process must be in the group"))
        })?;
    }
    file.set_permissions(Permissions::from_mode(mode))
}

/// Refuses a folder in which another user can put a file in the place of one.
fn judge_folder(path: &Path, folder: &Metadata) -> io::Result<()> {
    if is_own(folder.uid()) && folder.mode() & STICKY != 0 {
        return Ok(());
    }
    match others_control(folder) {
        Some(reason) => Err(problem(&format!("{} {reason}", path.display()))),
        None => Ok(()),
    }
}

fn problem(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
