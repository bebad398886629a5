//! The audit trail: one line for every handout and every refusal.
//!
//! The task that answers a request makes the line and puts it into a bounded queue, that of the log or one of the trail's
//! own; a thread writes it, so that a disk that is slow or full holds up nobody. What does not fit, or cannot be written, is
//! lost, counted by reason, and reported in the log and in the trail itself.

mod event;
mod line;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use token_provider::{Clock as _, SystemClock};
use tracing::level_filters::LevelFilter;

use super::log;
use super::sink::Sink;
use super::system;
use super::time::rfc_3339;
use super::writer::{Counts, Options, Writer};
use crate::config::AuditConfig;

pub use self::event::{Event, foreign};

/// Bytes that wait: some 20,000 lines, a third of a second of them where a server is at its limit, minutes where it is not.
/// They are in batches that have grown by doubling: 16 MiB of memory at most, of the 64 that the number of connections leaves for
/// all else.
const MAX_WAITING: usize = 8 * 1024 * 1024;
/// Losses are reported this often at most.
const REPORT_EVERY: Duration = Duration::from_secs(60);
/// How many recent events are kept for the status page.
const RECENT: usize = 50;

/// The audit trail of a running server.
#[derive(Debug)]
pub struct Audit {
    /// What it is written by, unless its lines are among those of the log.
    writer: Option<Writer>,
    /// The lines among those of the log.
    in_log: Option<Mutex<Counts>>,
    /// For the status page.
    recent: Option<Mutex<VecDeque<Arc<Event>>>>,
}

impl Audit {
    /// Opens what the configuration names, and starts the thread that writes to it. With nothing to write to, the newest
    /// events are kept for the status page if `keeps_recent`; else there is no audit trail at all.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened or the thread cannot be started.
    pub fn start(config: &AuditConfig, keeps_recent: bool) -> io::Result<Option<Self>> {
        let sink = match config {
            AuditConfig::Stdout => Some(Sink { out: Box::new(system::stdout()), path: None }),
            AuditConfig::File(path) => Some(Sink::file(path)?),
            AuditConfig::Off if !keeps_recent => return Ok(None),
            AuditConfig::Log | AuditConfig::Off => None,
        };
        let writer = sink.map(|sink| start(sink, MAX_WAITING)).transpose()?;
        let in_log = (*config == AuditConfig::Log).then(Mutex::default);
        Ok(Some(Self { writer, in_log, recent: keeps_recent.then(Mutex::default) }))
    }

    /// Returns the error that [`Self::start`] would, and changes nothing.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn probe(config: &AuditConfig) -> io::Result<()> {
        if let AuditConfig::File(path) = config { Sink::probe(path) } else { Ok(()) }
    }

    /// Returns whether the lines go among those of the log.
    pub fn is_in_log(&self) -> bool {
        self.in_log.is_some()
    }

    /// Records an event. Never waits for the disk or the log's reader.
    pub fn record(&self, event: Event) {
        if let Some(counts) = &self.in_log
            && let Some(is_taken) = log(&event)
        {
            let mut counts = counts.lock();
            counts.written += u64::from(is_taken);
            counts.queue_full += u64::from(!is_taken);
        }
        if let Some(writer) = &self.writer {
            writer.push(&line::record(&event));
        }
        if let Some(recent) = &self.recent {
            let mut recent = recent.lock();
            recent.push_front(Arc::new(event));
            recent.truncate(RECENT);
        }
    }

    /// Goes over to a new file, after the old one was moved away.
    pub fn reopen(&self) {
        if let Some(writer) = &self.writer {
            writer.reopen();
        }
    }

    /// Writes what is waiting. Returns false when that takes too long.
    ///
    /// Blocks; not for an async task.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.writer.as_ref().is_none_or(|writer| writer.flush(timeout))
    }

    /// Returns how many lines were written or lost.
    pub fn counts(&self) -> Counts {
        let in_log = self.in_log.as_ref().map(|counts| *counts.lock());
        in_log.or_else(|| Some(self.writer.as_ref()?.counts())).unwrap_or_default()
    }

    /// Returns the newest events, newest first, each as a JSON object.
    pub fn recent(&self) -> Vec<Value> {
        // Copied, so that no handout waits for the making of JSON.
        let recent = self.recent.as_ref().map(|recent| recent.lock().clone()).unwrap_or_default();
        recent.iter().map(|event| line::json(event)).collect()
    }
}

/// Puts a line about an event into the log. Returns whether it was taken; `None` where the log has no lines of its level.
pub(super) fn log(event: &Event) -> Option<bool> {
    let level = line::level(event);
    (level <= LevelFilter::current()).then(|| log::write(level, &line::log_line(event)))
}

fn start(sink: Sink, max_waiting: usize) -> io::Result<Writer> {
    let options = Options { thread: "audit", max_waiting, gap, report, report_every: REPORT_EVERY };
    Writer::start(options, sink)
}

/// The line that says how many others are missing.
fn gap(lost: u64) -> String {
    let time = rfc_3339(SystemClock.now().wall);
    format!("{{\"time\":\"{time}\",\"outcome\":\"lines_lost\",\"lines\":{lost}}}\n")
}

fn report(lines: u64, error: Option<io::ErrorKind>) {
    if let Some(reason) = error {
        tracing::error!(lines, %reason, "audit lines lost");
    } else {
        tracing::error!(lines, "audit lines lost: they arrive faster than they can be written");
    }
}

#[cfg(test)]
mod tests;
