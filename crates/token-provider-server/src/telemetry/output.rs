//! Whole lines for files and standard streams.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::PIPE_BUF;

/// A standard stream without the standard library's lock: whoever waits for its reader holds up nobody else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream(BorrowedFd<'static>);

impl Stream {
    pub(super) fn stdout() -> Self {
        Self(rustix::stdio::stdout())
    }

    pub(super) fn stderr() -> Self {
        Self(rustix::stdio::stderr())
    }
}

impl Write for Stream {
    /// Waits for the reader, also where whoever started this program has made the stream non-blocking.
    ///
    /// Takes whole lines, as far as a pipe takes them all or none: a process that ends while it waits here leaves no
    /// torn line.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let start = bytes.get(..PIPE_BUF).unwrap_or(bytes);
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

/// Writes whole lines after what is left of a torn one. A line that is torn now counts as written: its end comes first
/// next time.
pub(super) fn write_lines(out: &mut impl Write, lines: &[u8], torn: &mut Vec<u8>) -> (usize, io::Result<()>) {
    let (done, result) = write_some(out, torn);
    torn.drain(..done);
    if let Err(error) = result {
        return (0, Err(error));
    }
    let (done, result) = write_some(out, lines);
    let (start, rest) = lines.split_at_checked(done).unwrap_or((lines, &[]));
    let mut written = count_lines(start);
    if start.last().is_some_and(|byte| *byte != b'\n') {
        let end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |end| end + 1);
        torn.extend_from_slice(rest.get(..end).unwrap_or(rest));
        written += 1;
    }
    (written, result)
}

pub(super) fn count_lines(text: &[u8]) -> usize {
    text.split(|byte| *byte == b'\n').count() - 1
}

/// Writes as much as can be written.
pub(super) fn write_some(out: &mut impl Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match out.write(rest) {
            Ok(0) => return (done, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (done, Err(error)),
        }
    }
    (done, Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with so much room.
    struct Disk {
        room: usize,
        content: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // In small pieces, as signals make them.
            let count = bytes.len().min(self.room).min(3);
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= count;
            self.content.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn torn_line_is_finished_when_there_is_room_again() {
        // Wherever the disk is full, what is in the file in the end is whole lines, as many as were counted.
        for room in 0..=20 {
            let (mut disk, mut torn) = (Disk { room, content: Vec::new() }, Vec::new());
            let (first, result) = write_lines(&mut disk, b"one11\ntwo22\nthree\n", &mut torn);
            assert_eq!(result.is_ok(), room >= 18, "{room}");
            let (none, _) = write_lines(&mut disk, b"lost1\n", &mut torn);
            disk.room = 100;
            let (second, result) = write_lines(&mut disk, b"later\n", &mut torn);
            assert!(result.is_ok() && torn.is_empty(), "{room}");
            let text = String::from_utf8(disk.content).expect("is text");
            let lines: Vec<_> = text.split_inclusive('\n').collect();
            assert_eq!(lines.len(), first + none + second, "{room}: {text}");
            assert!(lines.iter().all(|line| line.len() == 6), "{room}: {text}");
            assert!(text.ends_with("later\n"), "{room}: {text}");
        }
    }
}
