//! Where whole lines are written: a standard stream, or a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Access, OFlags, access};
use rustix::io::Errno;
use rustix::pipe::PIPE_BUF;

/// A file is readable by the server's own user alone.
const MODE: u32 = 0o600;

#[derive(Debug)]
pub(super) enum Sink {
    /// Standard output or error.
    Stream(BorrowedFd<'static>),
    /// A file that is appended to.
    File { path: PathBuf, file: File },
}

impl Sink {
    /// Opens a file, and creates it if need be.
    pub(super) fn file(path: &Path) -> io::Result<Self> {
        let file = options().create(true).mode(MODE).open(path)?;
        Ok(Self::File { path: path.to_owned(), file })
    }

    /// Returns the error that [`Self::file`] would, and creates nothing: an empty file would look like a trail.
    pub(super) fn probe(path: &Path) -> io::Result<()> {
        match options().open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().filter(|folder| *folder != Path::new(""));
                let rights = Access::WRITE_OK | Access::EXEC_OK;
                Ok(access(folder.unwrap_or_else(|| Path::new(".")), rights)?)
            }
            opened => opened.map(drop),
        }
    }

    /// Opens the file at the same path, where another one may be now. `None` for a stream.
    pub(super) fn reopened(&self) -> io::Result<Option<Self>> {
        match self {
            Self::Stream(_) => Ok(None),
            Self::File { path, .. } => Self::file(path).map(Some),
        }
    }
}

/// A named pipe that nobody reads is an error rather than a wait.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.append(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    options
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stream(stream) => write_to_stream(*stream, bytes),
            Self::File { file, .. } => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes without the standard library's lock, so that a thread that waits for the reader holds up no other. Waits even if the
/// program was started with a non-blocking stream.
///
/// Takes whole lines, as far as a pipe takes them all or none: a process that ends while it waits here leaves no torn line.
fn write_to_stream(stream: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let start = bytes.get(..PIPE_BUF).unwrap_or(bytes);
    let end = start.iter().rposition(|byte| *byte == b'\n').map_or(start.len(), |end| end + 1);
    loop {
        match rustix::io::write(stream, start.get(..end).unwrap_or(start)) {
            Err(Errno::AGAIN) => poll(&mut [PollFd::new(&stream, PollFlags::OUT)], None)?,
            result => return Ok(result?),
        };
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
