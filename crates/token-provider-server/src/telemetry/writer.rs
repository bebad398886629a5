//! Lines of the log and of the audit trail on their way out: a bounded queue, and a thread that may wait for a disk or a
//! reader that is stuck.
//!
//! `tracing-appender` has the like. Its queue is bounded in lines, however long they are, lines that cannot be written
//! are not counted as lost, and no mark is left where lines are missing.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, Thread};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::time::Instant;

use super::sink::{Sink, count_lines, write_lines};

/// The pause between writes: batches lines instead of waking up and writing for each.
const PAUSE: Duration = Duration::from_millis(25);
/// The approximate batch size, in bytes.
const BATCH: usize = 64 * 1024;

/// Writes whole lines on its own thread, which runs as long as the process.
#[derive(Debug)]
pub(super) struct Writer {
    thread: Thread,
    shared: Arc<Shared>,
}

/// How one writer differs from another.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) thread: &'static str,
    /// Bytes that wait to be written, or are being written.
    pub(super) max_waiting: usize,
    /// Makes the line that stands where lines are missing.
    pub(super) gap: fn(u64) -> String,
    /// Is told how many lines were lost since the last time, and the error if one could not be written.
    pub(super) report: fn(u64, Option<io::ErrorKind>),
    /// Losses are reported this often at most.
    pub(super) report_every: Duration,
}

/// What became of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines written.
    pub written: u64,
    /// Lines lost because too many waited.
    pub queue_full: u64,
    /// Lines lost because they could not be written.
    pub write_failed: u64,
}

#[derive(Debug)]
struct Shared {
    options: Options,
    state: Mutex<State>,
    /// There is something to do.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What the thread does next.
    work: Option<Work>,
    /// Bytes.
    waiting: usize,
    counts: Counts,
    reported: u64,
    reported_at: Option<Instant>,
    error: Option<io::ErrorKind>,
}

/// What there is to do, in this order.
#[derive(Debug, Default)]
struct Work {
    /// Whole lines, a batch in each.
    batches: Vec<Vec<u8>>,
    /// Lines lost after these. No other is taken before the thread has come here, so that the gap is marked in the right place.
    missing: u64,
    is_reopening: bool,
    flushes: Vec<Sender<()>>,
}

/// The thread's side.
struct Output {
    shared: Arc<Shared>,
    sink: Sink,
    /// The unwritten rest of a partly written line.
    torn: Vec<u8>,
    /// Lines missing before the next one, where no mark says so yet.
    unmarked: u64,
}

impl Writer {
    /// Starts the thread that writes.
    pub(super) fn start(options: Options, sink: Sink) -> io::Result<Self> {
        let name = options.thread.to_owned();
        let shared = Arc::new(Shared { options, state: Mutex::default(), changed: Condvar::new() });
        let output = Output { shared: Arc::clone(&shared), sink, torn: Vec::new(), unmarked: 0 };
        let thread = thread::Builder::new().name(name).spawn(move || output.run())?;
        Ok(Self { thread: thread.thread().clone(), shared })
    }

    /// Takes whole lines, or none of them and counts them as lost. Never waits for the disk or the reader.
    ///
    /// They are copied: the thread would free the caller's memory, and a handout that allocates would wait for that.
    pub(super) fn push(&self, lines: &[u8]) -> bool {
        let mut guard = self.shared.state.lock();
        let state = &mut *guard;
        let has_room = state.waiting + lines.len() <= self.shared.options.max_waiting;
        let work = state.work.get_or_insert_default();
        if work.missing == 0 && has_room {
            match work.batches.last_mut().filter(|batch| batch.len() + lines.len() <= BATCH) {
                Some(batch) => batch.extend(lines),
                None => work.batches.push(lines.to_vec()),
            }
            state.waiting += lines.len();
            self.shared.changed.notify_one();
            return true;
        }
        let lost = count_lines(lines);
        work.missing += lost;
        state.counts.queue_full += lost;
        drop(guard);
        self.shared.changed.notify_one();
        self.shared.report(false);
        false
    }

    /// Goes over to a new file at the path of the old one, which was moved away.
    pub(super) fn reopen(&self) {
        self.shared.state.lock().work.get_or_insert_default().is_reopening = true;
        self.shared.changed.notify_one();
    }

    pub(super) fn counts(&self) -> Counts {
        self.shared.state.lock().counts
    }

    /// Waits until all lines are written, or lost. Returns false when that takes too long.
    pub(super) fn flush(&self, timeout: Duration) -> bool {
        let (done, is_done) = mpsc::channel();
        self.shared.state.lock().work.get_or_insert_default().flushes.push(done);
        self.shared.changed.notify_one();
        self.thread.unpark();
        let is_flushed = is_done.recv_timeout(timeout).is_ok();
        self.shared.report(true);
        is_flushed
    }
}

impl Shared {
    /// Waits until there is something to do, or losses may be reported again.
    fn next(&self) -> Work {
        let mut state = self.state.lock();
        self.changed.wait_while_for(&mut state, |state| state.work.is_none(), self.options.report_every);
        state.work.take().unwrap_or_default()
    }

    /// Reports losses: the first at once, more of them not too often.
    fn report(&self, is_last: bool) {
        let mut state = self.state.lock();
        let lost = state.counts.lost() - state.reported;
        let is_early = state.reported_at.is_some_and(|at| at.elapsed() < self.options.report_every);
        if lost == 0 || (is_early && !is_last) {
            return;
        }
        state.reported += lost;
        state.reported_at = Some(Instant::now());
        let error = state.error.take();
        drop(state);
        (self.options.report)(lost, error);
    }
}

impl Counts {
    /// Returns how many lines were lost.
    pub fn lost(self) -> u64 {
        self.queue_full + self.write_failed
    }

    /// Returns how many lines were lost, by reason.
    pub fn lost_by_reason(self) -> [(&'static str, u64); 2] {
        [("queue_full", self.queue_full), ("write_failed", self.write_failed)]
    }
}

impl Output {
    fn run(mut self) {
        loop {
            let work = self.shared.next();
            work.batches.iter().for_each(|lines| self.write(lines));
            self.unmarked += work.missing;
            if work.is_reopening || self.sink.is_moved() {
                self.reopen();
            }
            self.mark_gap();
            self.shared.report(false);
            for done in work.flushes {
                let _ = done.send(());
            }
            thread::park_timeout(PAUSE);
        }
    }

    fn write(&mut self, lines: &[u8]) {
        self.mark_gap();
        let (written, result) = write_lines(&mut self.sink.out, lines, &mut self.torn);
        let lost = count_lines(lines) - written;
        self.unmarked += lost;
        let mut state = self.shared.state.lock();
        state.waiting -= lines.len();
        state.counts.written += written;
        state.counts.write_failed += lost;
        state.error = result.err().map(|error| error.kind()).or(state.error);
    }

    /// Marks the place where lines are missing.
    fn mark_gap(&mut self) {
        if self.unmarked > 0 {
            let gap = (self.shared.options.gap)(self.unmarked);
            if write_lines(&mut self.sink.out, gap.as_bytes(), &mut self.torn).0 == 1 {
                self.unmarked = 0;
            }
        }
    }

    /// If the new file cannot be opened, the old one stays in use.
    fn reopen(&mut self) {
        match self.sink.reopened() {
            Ok(Some(sink)) => {
                self.sink = sink;
                // Its end did not fit into the old file just now.
                if !self.torn.is_empty() {
                    self.torn.clear();
                    self.unmarked += 1;
                    self.shared.state.lock().counts.write_failed += 1;
                }
                tracing::debug!("audit file reopened");
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, "cannot reopen the audit file; still writing to the old one");
            }
        }
    }
}

#[cfg(test)]
mod tests;
