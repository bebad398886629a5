//! Files that are replaced as a whole, and that nobody else can have put there. What only Unix has is in here.
//!
//! A new file is written beside its place under a name that nobody can guess, gets its group and mode before its content,
//! and is renamed: a reader finds the old one or the new one, whole. It is not synced to the disk: after a power cut a server
//! begins with a new token anyway.
//!
//! The folder is opened once for each operation, and not through a link. It and all above it must belong to this user or root, and
//! nobody else may write to it, except where its sticky bit keeps everybody to their own files (`/tmp`, `/dev/shm`).

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, Permissions};
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{
    Access, AtFlags, Dir, FileType, Mode, OFlags, Stat, access, mkdir, open, openat, renameat, statat,
    unlinkat,
};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};

use crate::config::Owner;
use crate::listen::group_id;

const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const NEW_FILE: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const FOLDER_MODE: u32 = 0o755;
const STICKY: u32 = 0o1000;
const BY_GROUP: u32 = 0o020;
const BY_ALL: u32 = 0o002;

/// The end of the name of a file that is being written: after so many random digits.
const TEMPORARY: &str = ".tmp";
const DIGITS: usize = 16;

/// Where a file is to be.
#[derive(Debug)]
pub struct Place {
    folder: PathBuf,
    name: OsString,
}

/// A file beside its place, removed on drop; it is no longer there if it was renamed.
struct Temporary<'f> {
    folder: &'f File,
    name: OsString,
    file: File,
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        let _ = unlinkat(self.folder, &self.name, AtFlags::empty());
    }
}

impl Place {
    /// Takes a path, relative to the working directory.
    pub fn new(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let parts = path.parent().zip(path.file_name());
        let (folder, name) = parts.ok_or_else(|| problem("expected the path of a file"))?;
        Ok(Self { folder: folder.to_owned(), name: name.to_owned() })
    }

    /// Puts a file with this content into the place, if it is still wanted once it is written. Returns it, open.
    pub fn replace(
        &self,
        mode: u32,
        group: Option<&Owner>,
        content: &[u8],
        is_wanted: impl FnOnce() -> bool,
    ) -> io::Result<File> {
        let folder = self.open_folder()?;
        self.judge_file(&folder)?;
        let temporary = self.create(&folder, mode, group)?;
        (&temporary.file).write_all(content)?;
        if !is_wanted() {
            return Err(problem("the file system took so long that the token is not wanted any more"));
        }
        // Before it is in the place: from then on somebody has to remove it.
        let file = temporary.file.try_clone()?;
        renameat(&folder, &temporary.name, &folder, &self.name)?;
        Ok(file)
    }

    /// Returns the error that [`Self::replace`] would. Makes a folder that is not there only if `makes_folder`.
    pub fn probe(&self, mode: u32, group: Option<&Owner>, makes_folder: bool) -> io::Result<()> {
        if !makes_folder && !self.folder.try_exists()? {
            let above = self.folder.parent().unwrap_or(&self.folder);
            return Ok(access(above, Access::WRITE_OK | Access::EXEC_OK)?);
        }
        let folder = self.open_folder()?;
        self.judge_file(&folder)?;
        self.create(&folder, mode, group).map(drop)
    }

    /// Removes what an earlier process left behind when it was killed: its file, of whose token nobody knows when it expires, and
    /// those that it was writing.
    pub fn clear(&self) -> io::Result<()> {
        let folder = self.open_folder()?;
        self.judge_file(&folder)?;
        let (start, end) = (self.temporary_name(""), TEMPORARY.as_bytes());
        for entry in Dir::read_from(&folder)? {
            let name = OsString::from_vec(entry?.file_name().to_bytes().to_owned());
            let random =
                name.as_bytes().strip_prefix(start.as_bytes()).and_then(|rest| rest.strip_suffix(end));
            let is_left = name == self.name || random.is_some_and(|random| random.len() == DIGITS);
            if is_left && stat(&folder, &name)?.is_some_and(|found| is_own(found.st_uid)) {
                unlinkat(&folder, &name, AtFlags::empty())?;
            }
        }
        Ok(())
    }

    /// Returns the folder if this file is in the place.
    pub fn folder_of(&self, file: &File) -> io::Result<Option<File>> {
        let folder = match open(&self.folder, FOLDER, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            folder => File::from(folder?),
        };
        let (found, ours) = (stat(&folder, &self.name)?, file.metadata()?);
        let is_ours = |found: Stat| (found.st_dev, found.st_ino) == (ours.dev(), ours.ino());
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
        }
        let opened = || open(&self.folder, FOLDER, Mode::empty()).map(File::from);
        let folder = match opened() {
            Err(Errno::NOENT) => {
                match mkdir(&self.folder, Mode::from_raw_mode(FOLDER_MODE)) {
                    // Another output may be for the same folder.
                    Err(Errno::EXIST) | Ok(()) => {}
                    Err(error) => return Err(error.into()),
                }
                let folder = opened()?;
                // Whatever the umask.
                folder.set_permissions(Permissions::from_mode(FOLDER_MODE))?;
                folder
            }
            Err(Errno::NOTDIR | Errno::LOOP) => {
                return Err(problem("its folder is a symbolic link or a file; name the folder itself"));
            }
            folder => folder?,
        };
        judge_folder(&folder.metadata()?)?;
        Ok(folder)
    }

    /// Refuses to replace what is not a file or a link of this user's.
    fn judge_file(&self, folder: &File) -> io::Result<()> {
        let Some(found) = stat(folder, &self.name)? else { return Ok(()) };
        if !is_own(found.st_uid) {
            return Err(problem("what is at this path belongs to another user"));
        }
        // Such as `/dev/stdout`, which others go on to need.
        let target =
            statat(folder, &self.name, AtFlags::empty()).map_or(found.st_mode, |target| target.st_mode);
        match FileType::from_raw_mode(target) {
            FileType::RegularFile | FileType::Symlink => Ok(()),
            _ => Err(problem("what is at this path is neither a file nor a link to one")),
        }
    }

    /// Creates an empty file beside the place.
    fn create<'f>(&self, folder: &'f File, mode: u32, group: Option<&Owner>) -> io::Result<Temporary<'f>> {
        let group = group.map(group_id).transpose()?;
        let random = getrandom::u64().map_err(io::Error::other)?;
        let name = self.temporary_name(&format!("{random:0DIGITS$x}{TEMPORARY}"));
        let file = openat(folder, &name, NEW_FILE, Mode::RUSR | Mode::WUSR)?.into();
        let temporary = Temporary { folder, name, file };
        // Under a strict unit it can be set to none, and has the unit's by itself.
        if group.is_some_and(|group| temporary.file.metadata().is_ok_and(|found| found.gid() != group)) {
            fchown(&temporary.file, None, group).map_err(|error| {
                problem(&format!("its group cannot be set: {error}; this process must be in the group"))
            })?;
        }
        // Whatever the umask.
        temporary.file.set_permissions(Permissions::from_mode(mode))?;
        Ok(temporary)
    }

    /// Hidden, and recognizable as one of this place.
    fn temporary_name(&self, end: &str) -> OsString {
        [OsStr::new("."), &self.name, OsStr::new("."), OsStr::new(end)].into_iter().collect()
    }
}

/// Returns what is in a folder under this name, if there is anything.
fn stat(folder: &File, name: &OsStr) -> io::Result<Option<Stat>> {
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(None),
        found => Ok(Some(found?)),
    }
}

/// Refuses a folder in which another user can put a file in the place of one.
pub fn judge_folder(folder: &Metadata) -> io::Result<()> {
    let may = |writers: u32| folder.mode() & STICKY == 0 && folder.mode() & writers != 0;
    if !is_own(folder.uid()) {
        Err(problem("its folder belongs to another user"))
    } else if may(BY_ALL) {
        Err(problem("every user may write to its folder"))
    } else if may(BY_GROUP) && folder.gid() != getegid().as_raw() {
        Err(problem("a group other than this user's own may write to its folder"))
    } else {
        Ok(())
    }
}

/// Whether a user may decide what is in the place: this one, or root, who may decide everything.
fn is_own(user: u32) -> bool {
    [0, geteuid().as_raw()].contains(&user)
}

fn problem(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
