//! A reader that does not read, a disk that is full, and how both are told from what is written.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::mem;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

const LONG: Duration = Duration::from_secs(60);
/// Bytes in each line.
const LINE: usize = 64;
/// Lines that fit into the queue.
const ROOM: usize = 1000;

fn line(number: usize) -> Vec<u8> {
    format!("{number:0width$}\n", width = LINE - 1).into_bytes()
}

fn start(sink: Sink) -> Writer {
    let gap = |lost| format!("{lost} lost\n");
    let report_every = Duration::from_secs(60);
    let options = Options { thread: "test", max_waiting: ROOM * LINE, gap, report: |_, _| {}, report_every };
    Writer::start(options, sink).expect("starts")
}

/// A file that fails as a full disk does (full(4)), until it is replaced and reopened.
#[cfg(target_os = "linux")]
fn full_disk(folder: &Path) -> (PathBuf, Sink) {
    let path = folder.join("file");
    symlink("/dev/full", &path).expect("can be made");
    let sink = Sink::file(&path).expect("can be opened");
    (path, sink)
}

#[test]
fn lines_keep_their_order_and_a_gap_is_where_lines_are_missing() {
    let (mut reader, pipe) = io::pipe().expect("can be made");
    let mut file = File::from(OwnedFd::from(pipe));
    // All that fits into the pipe.
    file.write_all(&vec![b' '; 65_536]).expect("fits");
    let writer = start(Sink { out: Box::new(file), path: None });
    // The thread is stuck with the first of them.
    let count = 2 * ROOM;
    assert!(writer.push(&line(0)));
    while writer.shared.state.lock().work.is_some() {
        thread::yield_now();
    }
    let taken = 1 + (1..count).filter(|number| writer.push(&line(*number))).count();
    let lost = usize::try_from(writer.counts().lost()).expect("is small");
    assert_eq!((taken, lost), (ROOM, ROOM));
    assert!(!writer.flush(Duration::from_millis(1)), "nobody reads");

    reader.read_exact(&mut vec![0; 65_536]).expect("is there");
    let mut text = String::new();
    let mut piece = [0; 4096];
    while !text.contains("lost\n") {
        let length = reader.read(&mut piece).expect("is open");
        text.push_str(std::str::from_utf8(&piece[..length]).expect("is ASCII"));
    }
    let lines: Vec<&str> = text.lines().collect();
    let gap = format!("{lost} lost");
    assert_eq!(lines.last(), Some(&gap.as_str()));
    let numbers = lines[..taken].iter().map(|line| line.parse());
    assert!(numbers.eq((0..taken).map(Ok)), "what was taken, in order");
    assert_eq!(lines.len(), taken + 1);

    assert!(writer.push(&line(count)) && writer.flush(LONG));
    let length = reader.read(&mut piece).expect("is open");
    assert_eq!(piece[..length], line(count), "the gap is told once");
    assert_eq!(writer.counts().written, taken as u64 + 1);
}

#[cfg(target_os = "linux")]
#[test]
fn lines_that_cannot_be_written_are_counted_and_told_before_the_next() {
    let folder = tempfile::tempdir().expect("can be made");
    let (path, sink) = full_disk(folder.path());
    let writer = start(sink);
    for number in 0..3 {
        assert!(writer.push(&line(number)) && writer.flush(LONG));
        assert_eq!(writer.counts(), Counts { write_failed: number as u64 + 1, ..Counts::default() });
    }
    fs::remove_file(&path).expect("is there");
    writer.reopen();
    assert!(writer.flush(LONG) && writer.push(b"more\n") && writer.flush(LONG));
    assert!(writer.push(b"later\n") && writer.flush(LONG));
    assert_eq!(fs::read_to_string(&path).expect("is there"), "3 lost\nmore\nlater\n");
}

#[cfg(target_os = "linux")]
#[test]
fn torn_line_whose_end_still_does_not_fit_when_reopened_is_lost() {
    let folder = tempfile::tempdir().expect("can be made");
    let path = folder.path().join("audit.jsonl");
    for (place, lost) in [(path.as_path(), 0), (Path::new("/dev/full"), 1)] {
        let file = File::options().append(true).create(true).open(place).expect("can be opened");
        let shared = Arc::clone(&start(Sink::file(&path).expect("can be opened")).shared);
        let sink = Sink { out: Box::new(file), path: Some(path.clone()) };
        let mut output = Output { shared, sink, torn: b"end\n".to_vec(), unmarked: 0 };
        output.write(b"");
        output.reopen();
        assert_eq!(output.shared.state.lock().counts.lost(), lost, "{}", place.display());
        output.shared.state.lock().waiting = 5;
        output.write(b"next\n");
    }
    assert_eq!(fs::read_to_string(&path).expect("is there"), "end\nnext\n1 lost\nnext\n");
}

#[cfg(target_os = "linux")]
#[test]
fn losses_are_reported_at_once_then_not_too_often_and_at_the_end() {
    static REPORTS: Mutex<Vec<(u64, Option<io::ErrorKind>)>> = Mutex::new(Vec::new());
    let report = |lines, error| REPORTS.lock().push((lines, error));
    let report_every = Duration::from_secs(60);
    let options = Options { thread: "test", max_waiting: 0, gap: |_| String::new(), report, report_every };
    let shared = Shared { options, state: Mutex::default(), changed: Condvar::new() };
    let report = |is_last| {
        shared.report(is_last);
        mem::take(&mut *REPORTS.lock())
    };
    assert_eq!(report(true), []);
    shared.state.lock().counts.write_failed = 3;
    shared.state.lock().error = Some(io::ErrorKind::StorageFull);
    assert_eq!(report(false), [(3, Some(io::ErrorKind::StorageFull))]);
    shared.state.lock().counts.queue_full = 2;
    assert_eq!(report(false), []);
    shared.state.lock().reported_at = Instant::now().checked_sub(shared.options.report_every);
    assert_eq!(report(false), [(2, None)]);
    shared.state.lock().counts.queue_full = 3;
    assert_eq!(report(false), []);
    assert_eq!(report(true), [(1, None)]);
}

#[cfg(target_os = "linux")]
#[test]
fn losses_are_reported_although_no_line_comes_any_more() {
    static REPORTED: AtomicU64 = AtomicU64::new(0);
    let folder = tempfile::tempdir().expect("can be made");
    let (_, sink) = full_disk(folder.path());
    let report = |lines, _| {
        REPORTED.fetch_add(lines, Ordering::Relaxed);
    };
    let report_every = Duration::from_millis(200);
    let options =
        Options { thread: "test", max_waiting: 1000, gap: |_| "gap\n".to_owned(), report, report_every };
    let writer = Writer::start(options, sink).expect("starts");
    for _ in 0..3 {
        // Each is written by itself; all but the first are lost too soon after a report.
        assert!(writer.push(b"a\n"));
        while writer.shared.state.lock().waiting > 0 {
            thread::yield_now();
        }
    }
    while REPORTED.load(Ordering::Relaxed) < 3 {
        thread::yield_now();
    }
}
