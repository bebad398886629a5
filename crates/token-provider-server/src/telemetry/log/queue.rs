//! The way of log lines to where they are read: a bounded queue, and a thread that may wait for a reader that is stuck.
//!
//! `tracing-appender` has the like. Its queue is bounded in lines, however long they are, lines that cannot be written
//! are not counted as lost, and no mark is left where lines are missing.

use std::io::Write;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::telemetry::output::{count_lines, write_lines};

/// Bytes that wait to be written: some 6,000 audit lines, or six seconds of a thousand handouts each. The lines that
/// are being written come on top, and are no more.
const MAX_WAITING: usize = 2 * 1024 * 1024;
/// A buffer that was longer than this gives its memory back.
const USUAL_LENGTH: usize = 64 * 1024;

/// Lines on their way.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    lost: usize,
    /// Lines were lost after those that wait. No other is taken before they are written, so that the gap is where the
    /// log says that it is.
    is_full: bool,
    is_writing: bool,
}

/// The end of the queue where lines are written.
#[derive(Debug)]
struct Output<W> {
    out: W,
    /// The end of a line whose beginning is written.
    torn: Vec<u8>,
    /// Losses that the log speaks of.
    reported: usize,
}

impl Queue {
    /// Takes whole lines, or none of them and counts them as lost. Never waits for the reader.
    pub(super) fn push(&self, lines: &[u8]) -> bool {
        let mut state = self.lock();
        let was_idle = state.waiting.is_empty() && !state.is_full;
        state.is_full |= state.waiting.len() + lines.len() > MAX_WAITING;
        let is_taken = !state.is_full;
        if is_taken {
            state.waiting.extend_from_slice(lines);
        } else {
            state.lost += count_lines(lines);
        }
        drop(state);
        if was_idle {
            self.changed.notify_all();
        }
        is_taken
    }

    /// Returns how many lines were lost.
    pub(super) fn lost(&self) -> usize {
        self.lock().lost
    }

    /// Waits until all lines are written, or lost. Returns false when that takes too long.
    pub(super) fn flush(&self, patience: Duration) -> bool {
        let is_busy = |state: &mut State| state.is_writing || state.is_full || !state.waiting.is_empty();
        let waited = self.changed.wait_timeout_while(self.lock(), patience, is_busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Writes lines as they come, for ever. `gap` makes the line that says how many are missing.
    pub(super) fn run(&self, out: impl Write, gap: impl Fn(usize) -> String) {
        let mut output = Output { out, torn: Vec::new(), reported: 0 };
        let (mut lines, mut failed) = (Vec::new(), 0);
        loop {
            let mut state = self.lock();
            state.lost += failed;
            state.is_writing = false;
            self.changed.notify_all();
            while state.waiting.is_empty() && !state.is_full {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            mem::swap(&mut lines, &mut state.waiting);
            let lost_before = if state.is_full { output.reported } else { state.lost };
            let lost = state.lost;
            (state.is_full, state.is_writing) = (false, true);
            drop(state);
            output.report(lost_before, &gap);
            failed = output.write(&lines);
            if failed == 0 {
                output.report(lost, &gap);
            }
            lines.clear();
            lines.shrink_to(USUAL_LENGTH);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Write> Output<W> {
    /// Returns how many lines could not be written.
    fn write(&mut self, lines: &[u8]) -> usize {
        count_lines(lines) - write_lines(&mut self.out, lines, &mut self.torn).0
    }

    fn report(&mut self, lost: usize, gap: impl Fn(usize) -> String) {
        if lost > self.reported && self.write(gap(lost - self.reported).as_bytes()) == 0 {
            self.reported = lost;
        }
    }
}

#[cfg(test)]
mod tests;
