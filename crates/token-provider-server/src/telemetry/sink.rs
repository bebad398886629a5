//! Where whole lines are written: a standard stream, or a file.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::system::{check_folder, options};

pub(super) struct Sink {
    pub(super) out: Box<dyn Write + Send>,
    /// Of a file, which is appended to.
    pub(super) path: Option<PathBuf>,
}

impl Sink {
    /// Opens a file, and creates it if need be.
    pub(super) fn file(path: &Path) -> io::Result<Self> {
        let file = options().create(true).open(path)?;
        Ok(Self { out: Box::new(file), path: Some(path.to_owned()) })
    }

    /// Returns the error that [`Self::file`] would, and creates nothing: an empty file would look like a trail.
    pub(super) fn probe(path: &Path) -> io::Result<()> {
        match options().open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().filter(|folder| *folder != Path::new(""));
                check_folder(folder.unwrap_or_else(|| Path::new(".")))
            }
            opened => opened.map(drop),
        }
    }

    /// Returns whether the file was moved away, where no SIGHUP says so.
    pub(super) fn is_moved(&self) -> bool {
        !cfg!(unix) && self.path.as_ref().is_some_and(|path| !path.exists())
    }

    /// Opens the file at the same path, where another one may be now. `None` for a stream.
    pub(super) fn reopened(&self) -> io::Result<Option<Self>> {
        self.path.as_deref().map(Self::file).transpose()
    }
}

/// Writes whole lines after what is left of a torn one, and returns how many are written. A line that is torn now counts as
/// written: its end comes first next time.
pub(super) fn write_lines(out: &mut impl Write, lines: &[u8], torn: &mut Vec<u8>) -> (u64, io::Result<()>) {
    let (done, result) = write_some(out, torn);
    torn.drain(..done);
    if result.is_err() {
        return (0, result);
    }
    let (done, result) = write_some(out, lines);
    let (start, rest) = lines.split_at(done);
    let mut written = count_lines(start);
    if start.last().is_some_and(|byte| *byte != b'\n') {
        torn.extend(rest.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default());
        written += 1;
    }
    (written, result)
}

pub(super) fn count_lines(text: &[u8]) -> u64 {
    let count = memchr::memchr_iter(b'\n', text).count();
    count.try_into().expect("a count of bytes in memory fits")
}

/// Writes as much as can be written.
fn write_some(out: &mut impl Write, mut bytes: &[u8]) -> (usize, io::Result<()>) {
    let length = bytes.len();
    let result = loop {
        if bytes.is_empty() {
            break Ok(());
        }
        match out.write(bytes) {
            Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.split_at(count).1,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    (length - bytes.len(), result)
}

#[cfg(test)]
mod tests;
