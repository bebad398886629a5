//! Files with secrets that a command writes.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use crate::failure::Failure;
use crate::outputs::judge_folder;
use crate::topic::Topic;

/// Creates a file that only this user can read and write, in a folder where nobody else can put another in its place. It replaces
/// nothing, and follows no link. What could not be written is removed. The path is absolute.
pub(super) fn create(path: &Path, text: &[u8]) -> Result<(), Failure> {
    let name = path.display();
    let failed = |error| Failure::system(&format!("cannot create {name}"))(error);
    let folder = path.parent().expect("the path is absolute, and names a file");
    folder.metadata().and_then(|found| judge_folder(folder, &found)).map_err(failed)?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = file.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::new(Topic::Usage, format!("{name} already exists and is not overwritten"))
        }
        _ => failed(error),
    })?;
    write(file, text).map_err(|error| {
        // As far as that is possible: why it could not be written matters more.
        let _ = fs::remove_file(path);
        Failure::system(&format!("cannot write {name}"))(error)
    })
}

fn write(mut file: File, text: &[u8]) -> io::Result<()> {
    // Whatever the umask takes away.
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(text)?;
    file.sync_all()
}
