//! Lines of the log and of the audit trail on their way out: a bounded queue, and a thread that may wait for a disk or a
//! reader that is stuck.
//!
//! `tracing-appender` has the like. Its queue is bounded in lines, however long they are, lines that cannot be written
//! are not counted as lost, and no mark is left where lines are missing.

use std::io;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

use super::sink::{Sink, count_lines, write_lines, write_some};

/// Lines come a little late, many in one write, rather than each with a wake-up and a write of its own.
const PAUSE: Duration = Duration::from_millis(25);
/// Losses are reported this often at most.
const REPORT_EVERY: Duration = Duration::from_secs(60);
/// A buffer that was longer than this gives its memory back.
const USUAL_LENGTH: usize = 64 * 1024;

/// Writes whole lines on a thread of its own, which ends after the last line once this is dropped.
#[derive(Debug)]
pub(super) struct Writer(Arc<Shared>);

/// How one writer differs from another.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) thread: &'static str,
    /// Bytes that wait to be written. Those that are being written come on top, and are no more.
    pub(super) max_waiting: usize,
    /// Makes the line that stands where lines are missing.
    pub(super) gap: fn(u64) -> String,
    /// Is told how many lines were lost since the last time, and the error if one could not be written.
    pub(super) report: fn(u64, Option<io::ErrorKind>),
}

/// What became of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) written: u64,
    /// Lost, as too many waited.
    pub(super) queue_full: u64,
    /// Lost, as they could not be written.
    pub(super) write_failed: u64,
}

#[derive(Debug)]
struct Shared {
    options: Options,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each of them is true or false whatever the others are")]
struct State {
    waiting: Vec<u8>,
    counts: Counts,
    /// Lines were lost after those that wait. No other is taken before they are written, so that the gap is marked in the
    /// right place.
    is_full: bool,
    is_writing: bool,
    reopens: bool,
    /// Somebody waits until all is written.
    is_urgent: bool,
    is_closed: bool,
    reported: u64,
    reported_at: Option<Instant>,
    error: Option<io::ErrorKind>,
}

/// The end where lines are written.
struct Output {
    sink: Sink,
    /// The end of a line whose beginning is written.
    torn: Vec<u8>,
    /// Losses that are marked.
    marked: u64,
}

impl Writer {
    /// Makes a writer whose lines wait until it is started.
    pub(super) fn new(options: Options) -> Self {
        Self(Arc::new(Shared { options, state: Mutex::default(), changed: Condvar::new() }))
    }

    /// Starts the thread that writes.
    pub(super) fn start(&self, sink: Sink) -> io::Result<()> {
        let shared = Arc::clone(&self.0);
        let name = shared.options.thread.to_owned();
        let output = Output { sink, torn: Vec::new(), marked: 0 };
        thread::Builder::new().name(name).spawn(move || shared.run(output)).map(drop)
    }

    /// Takes whole lines, or none of them and counts them as lost. Never waits for the disk or the reader.
    pub(super) fn push(&self, lines: &[u8]) -> bool {
        let Shared { options, changed, .. } = &*self.0;
        let mut state = self.0.lock();
        let was_idle = state.waiting.is_empty() && !state.is_full;
        state.is_full |= state.waiting.len() + lines.len() > options.max_waiting;
        let is_taken = !state.is_full;
        let mut report = None;
        if is_taken {
            state.waiting.extend_from_slice(lines);
        } else {
            state.counts.queue_full += count(lines);
            report = state.losses_to_report(false);
        }
        drop(state);
        if was_idle {
            changed.notify_all();
        }
        if let Some((lines, error)) = report {
            (options.report)(lines, error);
        }
        is_taken
    }

    /// Goes over to a new file at the path of the old one, which was moved away.
    pub(super) fn reopen(&self) {
        self.0.lock().reopens = true;
        self.0.changed.notify_all();
    }

    pub(super) fn counts(&self) -> Counts {
        self.0.lock().counts
    }

    /// Waits until all lines are written, or lost. Returns false when that takes too long.
    pub(super) fn flush(&self, patience: Duration) -> bool {
        let Shared { options, changed, .. } = &*self.0;
        let mut state = self.0.lock();
        state.is_urgent = true;
        changed.notify_all();
        let is_busy = |state: &mut State| state.is_writing || state.has_work();
        let waited = changed.wait_timeout_while(state, patience, is_busy);
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_urgent = false;
        let report = state.losses_to_report(true);
        drop(state);
        if let Some((lines, error)) = report {
            (options.report)(lines, error);
        }
        !timeout.timed_out()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn run(&self, mut output: Output) {
        let mut lines = Vec::new();
        let mut state = self.lock();
        loop {
            state.is_writing = false;
            self.changed.notify_all();
            let is_idle = |state: &mut State| !state.has_work() && !state.is_closed;
            state = self.changed.wait_while(state, is_idle).unwrap_or_else(PoisonError::into_inner);
            if !state.has_work() {
                return;
            }
            state.is_writing = true;
            mem::swap(&mut lines, &mut state.waiting);
            let reopens = mem::take(&mut state.reopens);
            let lost = state.counts.lost();
            let lost_before = if mem::take(&mut state.is_full) { output.marked } else { lost };
            drop(state);

            let lost_by_reopening = if reopens { output.reopen() } else { 0 };
            output.mark(lost_before, self.options.gap);
            let (written, result) = output.write(&lines);
            if result.is_ok() {
                output.mark(lost, self.options.gap);
            }

            state = self.lock();
            state.counts.written += written;
            state.counts.write_failed += lost_by_reopening + count(&lines) - written;
            state.error = result.err().map(|error| error.kind()).or(state.error);
            if let Some((lines, error)) = state.losses_to_report(false) {
                drop(state);
                (self.options.report)(lines, error);
                state = self.lock();
            }
            lines.clear();
            lines.shrink_to(USUAL_LENGTH);
            let may_rest = |state: &mut State| !state.is_urgent && !state.is_closed;
            let rested = self.changed.wait_timeout_while(state, PAUSE, may_rest);
            state = rested.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_work(&self) -> bool {
        !self.waiting.is_empty() || self.is_full || self.reopens
    }

    fn losses_to_report(&mut self, is_last: bool) -> Option<(u64, Option<io::ErrorKind>)> {
        let lost = self.counts.lost() - self.reported;
        let is_time = is_last || self.reported_at.is_none_or(|at| at.elapsed() >= REPORT_EVERY);
        if lost == 0 || !is_time {
            return None;
        }
        self.reported += lost;
        self.reported_at = Some(Instant::now());
        Some((lost, self.error.take()))
    }
}

impl Counts {
    fn lost(self) -> u64 {
        self.queue_full + self.write_failed
    }
}

impl Output {
    /// Returns how many lines are written, and why not all of them.
    fn write(&mut self, lines: &[u8]) -> (u64, io::Result<()>) {
        let (written, result) = write_lines(&mut self.sink, lines, &mut self.torn);
        (number(written), result)
    }

    fn mark(&mut self, lost: u64, gap: fn(u64) -> String) {
        if lost > self.marked && self.write(gap(lost - self.marked).as_bytes()).0 == 1 {
            self.marked = lost;
        }
    }

    /// Returns how many lines are lost by it: one, where the end of a torn one still does not fit into the old file. If the
    /// new one cannot be opened, the old one stays in use.
    fn reopen(&mut self) -> u64 {
        match self.sink.reopened() {
            Ok(Some(sink)) => {
                let (done, _) = write_some(&mut self.sink, &self.torn);
                let is_lost = done < self.torn.len();
                self.torn.clear();
                self.sink = sink;
                tracing::debug!("audit file reopened");
                is_lost.into()
            }
            Ok(None) => 0,
            Err(error) => {
                tracing::error!(%error, "the audit file cannot be opened again; still writing to the old one");
                0
            }
        }
    }
}

fn count(lines: &[u8]) -> u64 {
    number(count_lines(lines))
}

fn number(count: usize) -> u64 {
    u64::try_from(count).expect("a count of lines in memory fits")
}

#[cfg(test)]
mod tests;
