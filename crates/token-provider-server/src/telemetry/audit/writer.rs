//! The thread that writes the audit trail.

use std::io;
use std::mem;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

use token_provider::{Clock as _, Moment, SystemClock};

use super::event::Event;
use super::line::{Lines, Shape};
use super::sink::Sink;
use super::{RECENT, Shared};

/// Lines come a little late, many in one write, rather than each with a wake-up and a write of its own.
const BATCH: Duration = Duration::from_millis(25);
/// So much is written at once.
const CHUNK: usize = 64 * 1024;
/// Losses are reported in the log this often at most.
const REPORT_EVERY: Duration = Duration::from_secs(60);
/// A queue that was longer than this gives its memory back.
const USUAL_LENGTH: usize = 4096;

pub(super) struct Writer {
    shared: Arc<Shared>,
    sink: Sink,
    lines: Lines,
    /// What is taken out of the queue, which goes on with what this had of memory.
    taken: Vec<Event>,
    /// Lines in the making.
    text: Vec<u8>,
    /// Losses that the trail itself speaks of, and those that the log does.
    lost_in_trail: u64,
    lost_in_log: u64,
    reported_at: Option<Moment>,
    last_error: Option<io::ErrorKind>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, sink: Sink, lines: Lines) -> Self {
        Self {
            shared,
            sink,
            lines,
            taken: Vec::new(),
            text: Vec::new(),
            lost_in_trail: 0,
            lost_in_log: 0,
            reported_at: None,
            last_error: None,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            // Before the queue is looked at: whatever was pushed before the end was asked for is written.
            let is_last = self.shared.stop.load(Ordering::Acquire);
            if self.shared.reopen.swap(false, Ordering::AcqRel) {
                self.reopen();
            }
            let count = self.write_waiting();
            self.report(is_last);
            if is_last {
                return;
            }
            if count > 0 {
                thread::sleep(BATCH);
            } else if self.lost() > self.lost_in_log {
                thread::park_timeout(REPORT_EVERY);
            } else {
                thread::park();
            }
        }
    }

    /// Writes what is in the queue, and returns how many events that was.
    fn write_waiting(&mut self) -> usize {
        let mut taken = mem::take(&mut self.taken);
        mem::swap(&mut *self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner), &mut taken);
        let count = taken.len();
        if count > 0 {
            // A thread may have taken the time of its event before another, and put it here after.
            taken.sort_by_key(|event| event.time);
            if let Some(shape) = self.sink.shape() {
                self.write_events(&taken, shape);
            }
            self.keep_recent(&taken);
        }
        taken.clear();
        taken.shrink_to(USUAL_LENGTH);
        self.taken = taken;
        count
    }

    fn write_events(&mut self, events: &[Event], shape: Shape) {
        let (mut text, mut count) = (mem::take(&mut self.text), 0);
        for event in events {
            if count == 0 {
                self.write_gap(event.time, shape);
            }
            self.lines.write(event, shape, &mut text);
            count += 1;
            if text.len() >= CHUNK {
                self.write_lines(&text, count);
                text.clear();
                count = 0;
            }
        }
        self.write_lines(&text, count);
        text.clear();
        self.text = text;
    }

    fn write_lines(&mut self, text: &[u8], count: usize) {
        let (written, result) = self.sink.write(text);
        let tally = &self.shared.tally;
        tally.written.fetch_add(number(written), Ordering::Relaxed);
        tally.write_failed.fetch_add(number(count.saturating_sub(written)), Ordering::Relaxed);
        self.last_error = result.err().map(|error| error.kind()).or(self.last_error);
    }

    /// Leaves a mark where lines are missing, once lines can be written again.
    fn write_gap(&mut self, time: Duration, shape: Shape) {
        let lost = self.lost();
        if lost > self.lost_in_trail {
            let mut text = Vec::new();
            self.lines.write_gap(time, lost - self.lost_in_trail, shape, &mut text);
            if self.sink.write(&text).0 == 1 {
                self.lost_in_trail = lost;
            }
        }
    }

    fn keep_recent(&mut self, events: &[Event]) {
        let newest = events.get(events.len().saturating_sub(RECENT)..).unwrap_or(events);
        let mut made = Vec::with_capacity(newest.len());
        for event in newest {
            let mut line = Vec::new();
            self.lines.write(event, Shape::Record, &mut line);
            made.push(String::from_utf8(line).unwrap_or_default().into_boxed_str());
        }
        let mut recent = self.shared.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.extend(made);
        let surplus = recent.len().saturating_sub(RECENT);
        recent.drain(..surplus);
    }

    fn reopen(&mut self) {
        match self.sink.reopen() {
            Ok(lost) => {
                self.shared.tally.write_failed.fetch_add(number(lost), Ordering::Relaxed);
                tracing::debug!("audit file reopened");
            }
            Err(error) => {
                tracing::error!(%error, "the audit file cannot be opened anew; the one that is open stays in use");
            }
        }
    }

    /// Says in the log how many lines were lost since it was said last.
    fn report(&mut self, is_last: bool) {
        let lost = self.lost();
        let now = SystemClock.now();
        let is_time = self.reported_at.is_none_or(|at| at.after(REPORT_EVERY).remaining(now).is_zero());
        if lost == self.lost_in_log || !(is_time || is_last) {
            return;
        }
        tracing::error!(
            lines = lost - self.lost_in_log,
            reason = self.last_error.map_or_else(|| "too many at once".to_owned(), |error| error.to_string()),
            "audit lines lost"
        );
        self.lost_in_log = lost;
        self.reported_at = Some(now);
        self.last_error = None;
        self.shared.is_full.store(false, Ordering::Relaxed);
    }

    fn lost(&self) -> u64 {
        let tally = &self.shared.tally;
        tally.queue_full.load(Ordering::Relaxed) + tally.write_failed.load(Ordering::Relaxed)
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
