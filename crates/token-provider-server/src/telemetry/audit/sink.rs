//! Where audit lines go.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, OFlags, access};
use tracing::Level;

use super::journal::{Journal, SOCKET};
use super::line::Shape;
use crate::config::AuditConfig;
use crate::telemetry::log::{self, AUDIT_TARGET};
use crate::telemetry::output::{Stream, count_lines, write_lines, write_some};

/// Nobody but the server's own user has any business with it.
const MODE: u32 = 0o600;

/// An open place.
#[derive(Debug)]
pub(super) enum Sink {
    /// Among the lines of the log.
    Log,
    Stdout {
        /// The end of a line whose beginning is written.
        torn: Vec<u8>,
    },
    Journal(Journal),
    File(AuditFile),
    /// Events are looked at on the status page alone.
    Nowhere,
}

/// A file that is appended to.
#[derive(Debug)]
pub(super) struct AuditFile {
    path: PathBuf,
    file: File,
    /// The end of a line whose beginning is in the file: the disk was full in the middle of it.
    torn: Vec<u8>,
}

impl Sink {
    pub(super) fn open(config: &AuditConfig) -> io::Result<Self> {
        Ok(match config {
            AuditConfig::Log => Self::Log,
            AuditConfig::Stdout => Self::Stdout { torn: Vec::new() },
            AuditConfig::Journal => Self::Journal(Journal::open(Path::new(SOCKET))?),
            AuditConfig::File(path) => {
                Self::File(AuditFile { path: path.clone(), file: open(path)?, torn: Vec::new() })
            }
            AuditConfig::Off => Self::Nowhere,
        })
    }

    /// Says whether it could be opened, and leaves nothing behind: no empty file that looks like a trail.
    pub(super) fn probe(config: &AuditConfig) -> io::Result<()> {
        let AuditConfig::File(path) = config else { return Self::open(config).map(drop) };
        match options().open(path) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().filter(|folder| *folder != Path::new(""));
                let rights = Access::WRITE_OK | Access::EXEC_OK;
                Ok(access(folder.unwrap_or_else(|| Path::new(".")), rights)?)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the form that lines have here; `None` where none are wanted at present.
    pub(super) fn shape(&self) -> Option<Shape> {
        match self {
            Self::Log if tracing::enabled!(target: AUDIT_TARGET, Level::INFO) => {
                Some(Shape::Log(log::form()))
            }
            Self::Stdout { .. } | Self::Journal(_) | Self::File(_) => Some(Shape::Record),
            Self::Log | Self::Nowhere => None,
        }
    }

    /// Opens the file anew. What was open stays in use when that fails. Returns how many lines are lost with it: one, where
    /// the end of a torn one still does not fit.
    pub(super) fn reopen(&mut self) -> io::Result<usize> {
        let Self::File(AuditFile { path, file, torn }) = self else { return Ok(0) };
        let opened = open(path)?;
        let (done, _) = write_some(file, torn);
        let lost = usize::from(done < torn.len());
        torn.clear();
        *file = opened;
        Ok(lost)
    }

    /// Writes whole lines. Returns how many of them are written, and why not all of them.
    pub(super) fn write(&mut self, lines: &[u8]) -> (usize, io::Result<()>) {
        match self {
            Self::Log if log::write(lines) => (count_lines(lines), Ok(())),
            Self::Log => (0, Err(io::ErrorKind::WouldBlock.into())),
            Self::Stdout { torn } => write_lines(&mut Stream::stdout(), lines, torn),
            Self::Journal(journal) => journal.write(lines),
            Self::File(AuditFile { file, torn, .. }) => write_lines(file, lines, torn),
            Self::Nowhere => (0, Ok(())),
        }
    }
}

/// Opens a file to append to, and makes it if need be.
fn open(path: &Path) -> io::Result<File> {
    options().create(true).mode(MODE).open(path)
}

/// A pipe that nobody reads is an error rather than a wait.
fn options() -> OpenOptions {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let mut options = OpenOptions::new();
    options.append(true).custom_flags(flags);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_the_servers_alone_and_appended_to() {
        use std::os::unix::fs::MetadataExt as _;

        let folder = tempfile::tempdir().expect("can be made");
        let path = folder.path().join("audit.jsonl");
        for _ in 0..2 {
            let mut sink = Sink::open(&AuditConfig::File(path.clone())).expect("can be opened");
            assert_eq!(sink.write(b"a\nb\n").0, 2);
        }
        assert_eq!(std::fs::read_to_string(&path).expect("is there"), "a\nb\na\nb\n");
        assert_eq!(path.metadata().expect("is there").mode() & 0o777, 0o600);
    }

    #[test]
    fn reopened_file_is_the_one_at_the_path() {
        let folder = tempfile::tempdir().expect("can be made");
        let (path, moved) = (folder.path().join("audit.jsonl"), folder.path().join("audit.jsonl.1"));
        let mut sink = Sink::open(&AuditConfig::File(path.clone())).expect("can be opened");
        assert_eq!(sink.write(b"before\n").0, 1);
        std::fs::rename(&path, &moved).expect("can be moved");
        assert_eq!(sink.write(b"still before\n").0, 1);
        sink.reopen().expect("can be made");
        assert_eq!(sink.write(b"after\n").0, 1);
        assert_eq!(std::fs::read_to_string(&moved).expect("is there"), "before\nstill before\n");
        assert_eq!(std::fs::read_to_string(&path).expect("is there"), "after\n");
        std::fs::remove_dir_all(folder.path()).expect("can be removed");
        assert!(sink.reopen().is_err());
        assert_eq!(sink.write(b"into the removed one\n").0, 1, "goes on with what is open");
    }

    #[test]
    fn probe_says_what_opening_would_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("can be made");
        let at = |name: &str| AuditConfig::File(folder.path().join(name));
        std::fs::write(folder.path().join("there"), "").expect("can be written");
        for (name, expected) in [("there", true), ("new", true), ("nowhere/new", false), ("", false)] {
            assert_eq!(Sink::probe(&at(name)).is_ok(), expected, "{name:?}");
            assert!(!folder.path().join("new").exists(), "{name:?}");
            assert_eq!(Sink::open(&at(name)).is_ok(), expected, "{name:?}");
            let _ = std::fs::remove_file(folder.path().join("new"));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn torn_line_whose_end_still_does_not_fit_when_reopened_is_lost() {
        let folder = tempfile::tempdir().expect("can be made");
        let path = folder.path().join("audit.jsonl");
        for (place, lost) in [(path.as_path(), 0), (Path::new("/dev/full"), 1)] {
            let file = open(place).expect("can be opened");
            let mut sink = Sink::File(AuditFile { path: path.clone(), file, torn: b"end\n".to_vec() });
            assert_eq!(sink.reopen().expect("can be opened"), lost, "{}", place.display());
            assert_eq!(sink.write(b"next\n").0, 1);
        }
        assert_eq!(std::fs::read_to_string(&path).expect("is there"), "end\nnext\nnext\n");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn full_disk_is_an_error_and_no_line() {
        let mut sink = Sink::open(&AuditConfig::File("/dev/full".into())).expect("can be opened");
        let (written, result) = sink.write(b"a\nb\n");
        assert_eq!((written, result.map_err(|error| error.kind())), (0, Err(io::ErrorKind::StorageFull)));
    }
}
