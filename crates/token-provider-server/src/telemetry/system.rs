//! What differs between systems: the standard streams, the files that lines are appended to, systemd's journal.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;

#[cfg(not(unix))]
pub use std::io::{stderr, stdout};

#[cfg(unix)]
pub use self::unlocked::{stderr, stdout};

/// Returns whether stderr is the journal: a device and an inode, as in `JOURNAL_STREAM`.
pub fn is_stderr(journal: &OsStr) -> bool {
    #[cfg(all(target_os = "linux", not(portable)))]
    return rustix::fs::fstat(rustix::stdio::stderr())
        .is_ok_and(|stream| *journal == *format!("{}:{}", stream.st_dev, stream.st_ino));
    #[cfg(not(all(target_os = "linux", not(portable))))]
    journal.is_empty()
}

/// A file is readable by the server's own user alone (on Windows, by those who can read its folder). A named pipe that nobody reads is
/// an error rather than a wait.
pub fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    }
    options
}

/// Returns an error unless a file can be made in this folder; on Windows, unless it is there.
pub fn check_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    return Ok(rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)?);
    #[cfg(not(unix))]
    folder.read_dir().map(drop)
}

#[cfg(unix)]
mod unlocked {
    use std::io::{self, Write};
    use std::os::fd::BorrowedFd;

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::fs::{FileType, fstat};
    use rustix::io::Errno;
    use rustix::pipe::PIPE_BUF;

    /// A standard stream to which nobody else writes.
    ///
    /// Written to without the standard library's lock, so that a thread that waits for the reader holds up no other. Waits even if
    /// the program was started with a non-blocking stream.
    pub struct Stream(BorrowedFd<'static>);

    pub fn stdout() -> Stream {
        Stream(rustix::stdio::stdout())
    }

    pub fn stderr() -> Stream {
        Stream(rustix::stdio::stderr())
    }

    impl Write for Stream {
        /// Takes whole lines, as far as a pipe takes them all or none: a process that ends while it waits here leaves no torn line.
        /// A file, which nothing waits for, gets all of them at once.
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let is_file = fstat(self.0).is_ok_and(|it| FileType::from_raw_mode(it.st_mode).is_file());
            let start = bytes.get(..PIPE_BUF).filter(|_| !is_file).unwrap_or(bytes);
            let end = start.iter().rposition(|byte| *byte == b'\n').map_or(start.len(), |end| end + 1);
            loop {
                match rustix::io::write(self.0, start.get(..end).unwrap_or(start)) {
                    Err(Errno::AGAIN) => poll(&mut [PollFd::new(&self.0, PollFlags::OUT)], None)?,
                    result => return Ok(result?),
                };
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
