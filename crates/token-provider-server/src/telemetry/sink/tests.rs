//! Lines are written whole, whatever room the disk has.

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

fn write(sink: &mut Sink, lines: &[u8]) -> (u64, io::Result<()>) {
    write_lines(&mut sink.out, lines, &mut Vec::new())
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
        assert_eq!(lines.len() as u64, first + none + second, "{room}: {text}");
        assert!(lines.iter().all(|line| line.len() == 6), "{room}: {text}");
        assert!(text.ends_with("later\n"), "{room}: {text}");
    }
}

#[test]
fn file_is_the_servers_alone_and_appended_to() {
    use std::os::unix::fs::MetadataExt as _;

    let folder = tempfile::tempdir().expect("can be made");
    let path = folder.path().join("audit.jsonl");
    for _ in 0..2 {
        let mut sink = Sink::file(&path).expect("can be opened");
        assert_eq!(write(&mut sink, b"a\nb\n").0, 2);
    }
    assert_eq!(std::fs::read_to_string(&path).expect("is there"), "a\nb\na\nb\n");
    assert_eq!(path.metadata().expect("is there").mode() & 0o777, 0o600);
}

#[test]
fn reopened_file_is_the_one_at_the_path() {
    let folder = tempfile::tempdir().expect("can be made");
    let (path, moved) = (folder.path().join("audit.jsonl"), folder.path().join("audit.jsonl.1"));
    let mut sink = Sink::file(&path).expect("can be opened");
    assert_eq!(write(&mut sink, b"before\n").0, 1);
    std::fs::rename(&path, &moved).expect("can be moved");
    assert_eq!(write(&mut sink, b"still before\n").0, 1);
    sink = sink.reopened().expect("can be made").expect("is a file");
    assert_eq!(write(&mut sink, b"after\n").0, 1);
    assert_eq!(std::fs::read_to_string(&moved).expect("is there"), "before\nstill before\n");
    assert_eq!(std::fs::read_to_string(&path).expect("is there"), "after\n");
    std::fs::remove_dir_all(folder.path()).expect("can be removed");
    assert!(sink.reopened().is_err());
    assert_eq!(write(&mut sink, b"into the removed one\n").0, 1, "goes on with what is open");
}

#[test]
fn probe_says_what_opening_would_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("can be made");
    std::fs::write(folder.path().join("there"), "").expect("can be written");
    for (name, expected) in [("there", true), ("new", true), ("nowhere/new", false), ("", false)] {
        let path = folder.path().join(name);
        assert_eq!(Sink::probe(&path).is_ok(), expected, "{name:?}");
        assert!(!folder.path().join("new").exists(), "{name:?}");
        assert_eq!(Sink::file(&path).is_ok(), expected, "{name:?}");
        let _ = std::fs::remove_file(folder.path().join("new"));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn full_disk_is_an_error_and_no_line() {
    let mut sink = Sink::file(Path::new("/dev/full")).expect("can be opened");
    let (written, result) = write(&mut sink, b"a\nb\n");
    assert_eq!((written, result.map_err(|error| error.kind())), (0, Err(io::ErrorKind::StorageFull)));
}
