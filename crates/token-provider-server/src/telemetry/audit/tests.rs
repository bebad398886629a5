//! The trail as a whole: many threads, disks that are full or slow, and its end.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;
use std::thread;

use super::*;
use crate::reason::Outcome;

const LONG: Duration = Duration::from_secs(60);

fn event(number: u64) -> Event {
    Event {
        time: Duration::from_millis(number),
        left: Some(number),
        outcome: Outcome::HandedOut,
        ..Event::default()
    }
}

fn open(path: &Path, max_waiting: usize) -> Audit {
    let writer = start(Sink::file(path).expect("can be opened"), max_waiting).expect("starts");
    Audit { writer: Some(writer), in_log: None, recent: None }
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn numbers(text: &str) -> Vec<u64> {
    text.lines().filter_map(|line| parse(line)["seconds_left"].as_u64()).collect()
}

#[test]
fn every_event_of_every_thread_is_a_line() {
    let folder = tempfile::tempdir().expect("can be made");
    let path = folder.path().join("audit.jsonl");
    let audit = open(&path, 64 * 1024 * 1024);
    thread::scope(|scope| {
        for thread in 0..4 {
            let audit = &audit;
            scope.spawn(move || (0..10_000).for_each(|number| audit.record(event(thread * 10_000 + number))));
        }
    });
    assert!(audit.flush(LONG));
    let mut found = numbers(&fs::read_to_string(&path).expect("is there"));
    found.sort_unstable();
    assert_eq!(found, (0..40_000).collect::<Vec<_>>());
    assert_eq!(audit.counts(), Counts { written: 40_000, ..Counts::default() });
}

#[cfg(target_os = "linux")]
#[test]
fn full_disk_loses_lines_and_counts_them() {
    let audit = open(Path::new("/dev/full"), MAX_WAITING);
    (0..100).for_each(|number| audit.record(event(number)));
    assert!(audit.flush(LONG));
    assert_eq!(audit.counts(), Counts { write_failed: 100, ..Counts::default() });
}

/// A pipe whose reader does not read: once it is full, a write would block. It is opened so that it does not.
#[test]
fn reader_that_stops_reading_holds_up_nobody_and_a_gap_is_marked() {
    let folder = tempfile::tempdir().expect("can be made");
    let path = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().expect("can be run").success());
    // For both, so that opening does not wait for the other side.
    let mut reader = fs::OpenOptions::new().read(true).write(true).open(&path).expect("can be opened");
    let audit = open(&path, MAX_WAITING);
    (0..5000).for_each(|number| audit.record(event(number)));
    assert!(audit.flush(LONG));
    // Whatever fits into a pipe is there; the rest is lost.
    let Counts { written, write_failed: lost, .. } = audit.counts();
    assert!(lost > 0 && written + lost == 5000, "{audit:?}");
    let mut buffer = vec![0; 65_536];
    let mut text = String::new();
    for _ in 0..2 {
        let count = reader.read(&mut buffer).expect("can be read");
        text.push_str(std::str::from_utf8(&buffer[..count]).expect("is text"));
        audit.record(event(5000));
        assert!(audit.flush(LONG));
    }
    // A full pipe may have room for a gap and not for the lines that come then: there can be several.
    let gaps = text.lines().filter_map(|line| parse(line)["lines"].as_u64());
    assert_eq!(gaps.sum::<u64>(), lost, "{text}");
    let found = numbers(&text);
    assert_eq!(found.last(), Some(&5000));
    // The last one is not read.
    assert_eq!(found.len() as u64 + 1, audit.counts().written, "every line that is counted is whole");
}

#[test]
fn full_queue_loses_what_comes_then() {
    let folder = tempfile::tempdir().expect("can be made");
    let path = folder.path().join("audit.jsonl");
    let audit = open(&path, 200);
    // Faster than the thread that writes can be, which rests between batches.
    (0..1000).for_each(|number| audit.record(event(number)));
    assert!(audit.flush(LONG));
    let Counts { queue_full, write_failed, .. } = audit.counts();
    assert!(queue_full > 0 && write_failed == 0, "{audit:?}");
    let text = fs::read_to_string(&path).expect("is there");
    assert_eq!(numbers(&text).len() as u64, 1000 - queue_full);
}

#[test]
fn newest_events_are_kept_for_the_status_page() {
    let audit = Audit::start(&AuditConfig::Off, true).expect("starts").expect("is there");
    (0..200).for_each(|number| audit.record(event(number)));
    let recent: Vec<u64> = audit.recent().iter().filter_map(|event| event["seconds_left"].as_u64()).collect();
    assert_eq!(recent, (150..200).rev().collect::<Vec<_>>());
    assert_eq!(audit.counts(), Counts::default(), "none is wanted");
    assert!(Audit::start(&AuditConfig::Off, false).expect("is fine").is_none());
}

#[test]
fn file_that_cannot_be_opened_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = AuditConfig::File(folder.path().join("missing/audit.jsonl"));
    assert!(Audit::start(&config, false).is_err() && Audit::probe(&config).is_err());
}
