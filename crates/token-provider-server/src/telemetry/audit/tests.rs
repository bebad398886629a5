//! The trail as a whole: many threads, disks that are full or slow, and its end.

use std::fs;
use std::io::Read as _;

use serde_json::Value;

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

fn start(config: &AuditConfig, max_waiting: usize) -> Audit {
    let sink = Sink::open(config).expect("can be opened");
    Audit::start_with(sink, Lines::new(Vec::new()), false, max_waiting).expect("starts")
}

fn numbers(text: &str) -> Vec<u64> {
    let parse = |line| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().filter_map(|line| parse(line)["seconds_left"].as_u64()).collect()
}

#[test]
fn every_event_of_every_thread_is_a_line() {
    let folder = tempfile::tempdir().expect("can be made");
    let path = folder.path().join("audit.jsonl");
    let audit = start(&AuditConfig::File(path.clone()), 1_000_000);
    thread::scope(|scope| {
        for thread in 0..4 {
            let audit = &audit;
            scope.spawn(move || (0..10_000).for_each(|number| audit.push(event(thread * 10_000 + number))));
        }
    });
    assert!(audit.close(LONG));
    let mut found = numbers(&fs::read_to_string(&path).expect("is there"));
    found.sort_unstable();
    assert_eq!(found, (0..40_000).collect::<Vec<_>>());
    assert_eq!((audit.written(), audit.lost()), (40_000, [("queue_full", 0), ("write_failed", 0)]));
}

#[cfg(target_os = "linux")]
#[test]
fn full_disk_loses_lines_and_counts_them() {
    let audit = start(&AuditConfig::File("/dev/full".into()), 1000);
    (0..100).for_each(|number| audit.push(event(number)));
    assert!(audit.close(LONG));
    assert_eq!((audit.written(), audit.lost()), (0, [("queue_full", 0), ("write_failed", 100)]));
}

/// A pipe whose reader does not read: once it is full, a write would block. It is opened so that it does not.
#[test]
fn reader_that_stops_reading_holds_up_nobody_and_a_gap_is_marked() {
    let folder = tempfile::tempdir().expect("can be made");
    let path = folder.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .expect("can be made");
    // For both, so that opening does not wait for the other side.
    let mut reader = fs::OpenOptions::new().read(true).write(true).open(&path).expect("can be opened");
    let audit = start(&AuditConfig::File(path), 1_000_000);
    (0..5000).for_each(|number| audit.push(event(number)));
    let mut text = String::new();
    // Whatever fits into a pipe is there; the rest is lost.
    while audit.written() + audit.lost()[1].1 < 5000 {
        thread::yield_now();
    }
    assert!(audit.lost()[1].1 > 0 && audit.written() > 0, "{audit:?}");
    let mut buffer = vec![0; 65_536];
    let count = reader.read(&mut buffer).expect("can be read");
    text.push_str(std::str::from_utf8(&buffer[..count]).expect("is text"));
    audit.push(event(5000));
    assert!(audit.close(LONG));
    let count = reader.read(&mut buffer).expect("can be read");
    text.push_str(std::str::from_utf8(&buffer[..count]).expect("is text"));
    let gap = format!("\"outcome\":\"lines_lost\",\"lines\":{}}}", audit.lost()[1].1);
    assert!(text.contains(&gap), "{gap}: {text}");
    let found = numbers(&text);
    assert_eq!(found.last(), Some(&5000));
    assert_eq!(u64::try_from(found.len()).ok(), Some(audit.written()), "every line that is counted is whole");
}

#[test]
fn full_queue_loses_what_comes_then() {
    let folder = tempfile::tempdir().expect("can be made");
    let path = folder.path().join("audit.jsonl");
    let audit = start(&AuditConfig::File(path.clone()), 1);
    // Faster than the thread that writes can be, which sleeps between batches.
    (0..1000).for_each(|number| audit.push(event(number)));
    assert!(audit.close(LONG));
    let [(_, queue_full), (_, write_failed)] = audit.lost();
    assert!(queue_full > 900 && write_failed == 0, "{audit:?}");
    let text = fs::read_to_string(&path).expect("is there");
    assert_eq!(u64::try_from(numbers(&text).len()).ok(), Some(1000 - queue_full));
}

/// The writer runs in this thread, once everything is in its queue: one batch.
#[test]
fn lines_of_a_batch_are_in_the_order_of_time() {
    let folder = tempfile::tempdir().expect("can be made");
    let path = folder.path().join("audit.jsonl");
    let shared = Arc::new(Shared::new(1000));
    shared.queue.lock().expect("is not poisoned").extend([4, 5, 0, 3, 1, 2].map(event));
    shared.stop.store(true, Ordering::Release);
    let sink = Sink::open(&AuditConfig::File(path.clone())).expect("can be opened");
    Writer::new(Arc::clone(&shared), sink, Lines::new(Vec::new())).run();
    assert_eq!(numbers(&fs::read_to_string(&path).expect("is there")), [0, 1, 2, 3, 4, 5]);
    assert_eq!(shared.tally.written.load(Ordering::Relaxed), 6);
}

#[test]
fn newest_events_are_kept_for_the_status_page() {
    let audit = Audit::start(&AuditConfig::Off, Vec::new(), true).expect("starts").expect("is there");
    (0..200).for_each(|number| audit.push(event(number)));
    assert!(audit.close(LONG));
    let recent: Vec<u64> = audit.recent().iter().flat_map(|line| numbers(line)).collect();
    assert_eq!(recent, (150..200).rev().collect::<Vec<_>>());
    assert_eq!((audit.written(), audit.lost()[1].1), (0, 0), "none is wanted");
    assert!(Audit::start(&AuditConfig::Off, Vec::new(), false).expect("is fine").is_none());
}

#[test]
fn file_that_cannot_be_opened_is_an_error() {
    assert!(Audit::start(&AuditConfig::File("/nonexistent/audit.jsonl".into()), Vec::new(), false).is_err());
}
