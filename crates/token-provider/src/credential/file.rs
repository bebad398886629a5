//! Reading a file with a secret in it.

use std::io::Read as _;
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::{LoadError, LoadErrorKind};

/// No real credential file is a hundredth of this; what is larger is something else, `/dev/zero` say.
const MAX_FILE_SIZE: u64 = 64 * 1024;

const DENIED: &str = if cfg!(unix) {
    "this user cannot read it; make this user the owner, with mode 0600"
} else {
    "this user cannot read it, or it is a folder; allow this user to read it, and nobody else"
};

/// Reads a credential or private key.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, LoadError> {
    let name = path.display();
    let failed = |error: std::io::Error| {
        let (kind, hint) = match error.kind() {
            std::io::ErrorKind::NotFound => (LoadErrorKind::NotFound, "there is no such file"),
            std::io::ErrorKind::PermissionDenied => (LoadErrorKind::Invalid, DENIED),
            _ => (LoadErrorKind::Invalid, "it cannot be read"),
        };
        LoadError::new(kind, format!("{name}: {hint}")).with_source(error)
    };
    let invalid = |problem| LoadError::invalid(format!("{name}: {problem}"));
    let file = std::fs::File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(invalid("it is a directory; name the file"));
    }
    // Room for the whole file at once, so that growing leaves no copy of the secret behind.
    let mut text =
        Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_FILE_SIZE + 1).expect("64 KiB fit")));
    file.take(MAX_FILE_SIZE + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_FILE_SIZE {
        return Err(invalid("it is larger than 64 KiB, too large for a credential file"));
    }
    Ok(text)
}
