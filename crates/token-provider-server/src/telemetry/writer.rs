//! Lines of the log and of the audit trail on their way out: a bounded queue, and a thread that may wait for a disk or a
//! reader that is stuck.
//!
//! `tracing-appender` has the like. Its queue is bounded in lines, however long they are, lines that cannot be written
//! are not counted as lost, and no mark is left where lines are missing.

use std::io;
use std::iter;
use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, Thread};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::sink::{Sink, count_lines, write_lines};

/// Lines come a little late, many in one write, rather than each with its own wake-up and write.
const PAUSE: Duration = Duration::from_millis(25);
/// About so many bytes are written at once.
const BATCH: usize = 64 * 1024;

/// Writes whole lines on its own thread, which ends after the last line once this is dropped.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Sender<Message>,
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
}

#[derive(Debug, Default)]
struct State {
    /// Bytes.
    waiting: usize,
    /// Lines lost after those that wait. No other is taken before the thread has come to the gap, so that it is marked in the
    /// right place.
    missing: u64,
    counts: Counts,
    reported: u64,
    reported_at: Option<Instant>,
    error: Option<io::ErrorKind>,
}

#[derive(Debug)]
enum Message {
    Lines(Vec<u8>),
    /// Lines are missing here.
    Gap,
    Reopen,
    Flush(Sender<()>),
}

/// The thread's side of the queue.
struct Output {
    shared: Arc<Shared>,
    sink: Sink,
    batch: Vec<u8>,
    /// The end of a line whose beginning is written.
    torn: Vec<u8>,
    /// Lines missing before the batch, where no mark says so yet.
    unmarked: u64,
}

impl Writer {
    /// Starts the thread that writes.
    pub(super) fn start(options: Options, sink: Sink) -> io::Result<Self> {
        let (queue, messages) = mpsc::channel();
        let name = options.thread.to_owned();
        let shared = Arc::new(Shared { options, state: Mutex::default() });
        let output = Output::new(Arc::clone(&shared), sink);
        let thread = thread::Builder::new().name(name).spawn(move || output.run(&messages))?;
        Ok(Self { queue, thread: thread.thread().clone(), shared })
    }

    /// Takes whole lines, or none of them and counts them as lost. Never waits for the disk or the reader.
    pub(super) fn push(&self, lines: Vec<u8>) -> bool {
        let mut state = self.shared.state.lock();
        if state.missing == 0 && state.waiting + lines.len() <= self.shared.options.max_waiting {
            state.waiting += lines.len();
            self.send(Message::Lines(lines));
            return true;
        }
        if state.missing == 0 {
            self.send(Message::Gap);
        }
        let lost = count_lines(&lines);
        state.missing += lost;
        state.counts.queue_full += lost;
        drop(state);
        self.shared.report(false);
        false
    }

    /// Goes over to a new file at the path of the old one, which was moved away.
    pub(super) fn reopen(&self) {
        self.send(Message::Reopen);
    }

    pub(super) fn counts(&self) -> Counts {
        self.shared.state.lock().counts
    }

    /// Waits until all lines are written, or lost. Returns false when that takes too long.
    pub(super) fn flush(&self, timeout: Duration) -> bool {
        let (done, is_done) = mpsc::channel();
        self.send(Message::Flush(done));
        // It may be pausing.
        self.thread.unpark();
        let is_flushed = is_done.recv_timeout(timeout).is_ok();
        self.shared.report(true);
        is_flushed
    }

    fn send(&self, message: Message) {
        // Fails when the thread has panicked: then lines wait until the queue is full, and are lost and counted.
        let _ = self.queue.send(message);
    }
}

impl Shared {
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
    fn new(shared: Arc<Shared>, sink: Sink) -> Self {
        Self { shared, sink, batch: Vec::new(), torn: Vec::new(), unmarked: 0 }
    }

    fn run(mut self, messages: &Receiver<Message>) {
        loop {
            match messages.recv_timeout(self.shared.options.report_every) {
                Ok(first) => iter::once(first).chain(messages.try_iter()).for_each(|next| self.take(next)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.write();
            thread::park_timeout(PAUSE);
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Lines(lines) => {
                self.batch.extend(lines);
                if self.batch.len() >= BATCH {
                    self.write();
                }
            }
            Message::Gap => {
                self.write();
                self.unmarked += mem::take(&mut self.shared.state.lock().missing);
            }
            Message::Reopen => {
                self.write();
                self.reopen();
            }
            Message::Flush(done) => {
                self.write();
                // Nobody waits any more where it took too long.
                let _ = done.send(());
            }
        }
    }

    /// Writes the batch, after a mark where lines are missing before it.
    fn write(&mut self) {
        if self.unmarked > 0 {
            let gap = (self.shared.options.gap)(self.unmarked);
            if write_lines(&mut self.sink, gap.as_bytes(), &mut self.torn).0 == 1 {
                self.unmarked = 0;
            }
        }
        let (written, result) = write_lines(&mut self.sink, &self.batch, &mut self.torn);
        let lost = count_lines(&self.batch) - written;
        self.unmarked += lost;
        let mut state = self.shared.state.lock();
        state.waiting -= self.batch.len();
        state.counts.written += written;
        state.counts.write_failed += lost;
        state.error = result.err().map(|error| error.kind()).or(state.error);
        drop(state);
        self.batch.clear();
        self.shared.report(false);
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
                tracing::error!(%error, "the audit file cannot be opened again; still writing to the old one");
            }
        }
    }
}

#[cfg(test)]
mod tests;
