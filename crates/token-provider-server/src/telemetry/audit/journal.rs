//! systemd's journal, by its own protocol: each line is a datagram of fields
//! (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>).

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the journal listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";
/// A journal that takes nothing for so long is stuck. Lines that wait meanwhile are bounded.
const PATIENCE: Duration = Duration::from_secs(1);
/// What each line has beside its text: importance (syslog's "informational"), and a name to find it by.
const FIELDS: &[u8] = b"\nPRIORITY=6\nSYSLOG_IDENTIFIER=token-provider-audit\n";

/// A way to the journal. Not connected, so that a journal that is started anew is found again.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    /// Says so at once where there is no journal.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        UnixDatagram::unbound()?.connect(path)?;
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { socket, path: path.to_owned() })
    }

    /// Sends whole lines. Returns how many of them the journal has taken, and why not all of them.
    pub(super) fn write(&self, lines: &[u8]) -> (usize, io::Result<()>) {
        let mut written = 0;
        let mut datagram = Vec::new();
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            datagram.clear();
            // A line has no line feed in it, which would end the field.
            for part in [b"MESSAGE=", line, FIELDS] {
                datagram.extend_from_slice(part);
            }
            if let Err(error) = self.socket.send_to(&datagram, &self.path) {
                return (written, Err(error));
            }
            written += 1;
        }
        (written, Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_datagram_and_a_journal_that_comes_back_is_found() {
        let folder = tempfile::tempdir().expect("can be made");
        let path = folder.path().join("socket");
        assert!(Journal::open(&path).is_err(), "there is none");
        let listening = UnixDatagram::bind(&path).expect("can be bound");
        let journal = Journal::open(&path).expect("is there");
        let received = |listening: &UnixDatagram| {
            let mut buffer = [0; 1024];
            let count = listening.recv(&mut buffer).expect("has come");
            String::from_utf8_lossy(&buffer[..count]).into_owned()
        };
        assert_eq!(journal.write(b"{\"a\":1}\n{\"b\":2}\n").0, 2);
        let fields = "PRIORITY=6\nSYSLOG_IDENTIFIER=token-provider-audit\n";
        for line in ["{\"a\":1}", "{\"b\":2}"] {
            assert_eq!(received(&listening), format!("MESSAGE={line}\n{fields}"));
        }
        drop(listening);
        std::fs::remove_file(&path).expect("is there");
        let (written, result) = journal.write(b"lost\nlost\n");
        assert!(written == 0 && result.is_err());
        let listening = UnixDatagram::bind(&path).expect("can be bound");
        assert_eq!(journal.write(b"back\n").0, 1);
        assert!(received(&listening).starts_with("MESSAGE=back\n"));
    }
}
