//! The audit trail: one line for every handout and every refusal.
//!
//! Those who answer requests only put an [`Event`] into a queue. One thread of the trail's own makes lines
//! of them and writes them, so that a disk that is slow or full holds up nobody. The queue is bounded: what does not
//! fit, or cannot be written, is lost, counted by reason, and reported in the log and in the trail itself.

mod event;
mod journal;
mod line;
mod sink;
mod writer;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::config::AuditConfig;

use self::line::Lines;
use self::sink::Sink;
use self::writer::Writer;

pub use self::event::{Event, RequestId, foreign};

/// Events that wait to be written: a third of a second of them where a server is at its limit, minutes where it is not.
/// Each has some 300 bytes, and 1 KiB where a stranger fills its texts: 16 MiB at most, of the 64 MiB that the number of
/// connections leaves for all else.
const MAX_WAITING: usize = 16_384;
/// So many of the newest are kept for the status page.
const RECENT: usize = 50;
/// The audit trail of a running server.
pub struct Audit {
    shared: Arc<Shared>,
    thread: thread::Thread,
    ended: Mutex<Option<(mpsc::Receiver<()>, JoinHandle<()>)>>,
    is_in_log: bool,
}

/// What those who answer requests share with the thread that writes.
struct Shared {
    queue: Mutex<Vec<Event>>,
    max_waiting: usize,
    tally: Tally,
    recent: Mutex<VecDeque<Box<str>>>,
    stop: AtomicBool,
    reopen: AtomicBool,
    /// A full queue has been reported since the thread that writes last reported anything: stuck, it cannot.
    is_full: AtomicBool,
}

/// Lines written, and lost.
#[derive(Debug, Default)]
struct Tally {
    written: AtomicU64,
    queue_full: AtomicU64,
    write_failed: AtomicU64,
}

impl Audit {
    /// Opens the place that the configuration names, and starts the thread that writes to it. `profiles` are the names
    /// that events refer to by number. With nowhere to write to, the newest events are kept for the status page if
    /// `keeps_recent`; else there is no audit trail at all.
    ///
    /// # Errors
    ///
    /// What the system says to the file, or to one thread more.
    pub fn start(
        config: &AuditConfig,
        profiles: Vec<String>,
        keeps_recent: bool,
    ) -> io::Result<Option<Self>> {
        if *config == AuditConfig::Off && !keeps_recent {
            return Ok(None);
        }
        let sink = Sink::open(config)?;
        let lines = Lines::new(profiles);
        Self::start_with(sink, lines, *config == AuditConfig::Log, MAX_WAITING).map(Some)
    }

    /// Says whether the place that the configuration names could be opened, and leaves it as it is.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn probe(config: &AuditConfig) -> io::Result<()> {
        Sink::probe(config)
    }

    fn start_with(sink: Sink, lines: Lines, is_in_log: bool, max_waiting: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(max_waiting));
        let (last_word, ended) = mpsc::channel();
        let writer = Writer::new(Arc::clone(&shared), sink, lines);
        let running = thread::Builder::new().name("audit".to_owned()).spawn(move || {
            writer.run();
            // Nobody may be listening any more.
            let _ = last_word.send(());
        })?;
        let thread = running.thread().clone();
        Ok(Self { shared, thread, ended: Mutex::new(Some((ended, running))), is_in_log })
    }

    /// Says whether the lines go among those of the log.
    pub fn is_in_log(&self) -> bool {
        self.is_in_log
    }

    /// Takes an event. Never waits for the disk.
    pub fn push(&self, event: Event) {
        let mut waiting = self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = waiting.is_empty();
        if waiting.len() >= self.shared.max_waiting {
            drop(waiting);
            self.shared.tally.queue_full.fetch_add(1, Ordering::Relaxed);
            if !self.shared.is_full.swap(true, Ordering::Relaxed) {
                tracing::error!("audit lines are lost: they come faster than they can be written");
            }
            return;
        }
        waiting.push(event);
        drop(waiting);
        // Once for each batch, then: the thread empties the queue before it sleeps again.
        if is_first {
            self.thread.unpark();
        }
    }

    /// Opens the file anew, after the old one was moved away.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        self.thread.unpark();
    }

    /// Writes what is waiting, and ends. Returns false when that takes too long.
    ///
    /// Blocks; not for an async task.
    pub fn close(&self, patience: Duration) -> bool {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((ended, running)) = ended else { return true };
        self.shared.stop.store(true, Ordering::Release);
        self.thread.unpark();
        match ended.recv_timeout(patience) {
            // Has said its last word: this does not block.
            Ok(()) => running.join().is_ok(),
            Err(_) => false,
        }
    }

    /// Returns how many lines have been written.
    pub fn written(&self) -> u64 {
        self.shared.tally.written.load(Ordering::Relaxed)
    }

    /// Returns how many lines were lost, by reason.
    pub fn lost(&self) -> [(&'static str, u64); 2] {
        let Tally { queue_full, write_failed, .. } = &self.shared.tally;
        [
            ("queue_full", queue_full.load(Ordering::Relaxed)),
            ("write_failed", write_failed.load(Ordering::Relaxed)),
        ]
    }

    /// Returns the newest events, newest first, each as a JSON object.
    pub fn recent(&self) -> Vec<Box<str>> {
        let recent = self.shared.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().rev().cloned().collect()
    }
}

impl Shared {
    fn new(max_waiting: usize) -> Self {
        Self {
            queue: Mutex::default(),
            max_waiting,
            tally: Tally::default(),
            recent: Mutex::default(),
            stop: AtomicBool::new(false),
            reopen: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
        }
    }
}

impl Drop for Audit {
    /// Lets the thread end by itself.
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").field("tally", &self.shared.tally).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
