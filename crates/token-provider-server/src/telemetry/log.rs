//! The log: where it goes, in what form, and how much of it.
//!
//! Lines go through a queue to a thread of their own, and so does everything else that is said on stderr. Nobody waits
//! for its reader, who may be a terminal after Ctrl-S, a paused container or a full disk.

mod queue;

use std::borrow::Cow;
use std::io::{self, IsTerminal as _};
use std::panic;
use std::sync::{LazyLock, OnceLock};
use std::thread;
use std::time::Duration;

use token_provider::{Clock as _, SystemClock};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Registry, fmt, reload};

use self::queue::Queue;
use super::audit::Event;
use super::output::Stream;
use super::rfc_3339;
use crate::config::{LogConfig, LogFormat, LogLevel};
use crate::printable::{escaped, excerpt, put_json};
use crate::reason::{Method, Outcome, Rule};

/// What audit lines are called in the log, for filters.
pub(super) const AUDIT_TARGET: &str = "audit";

/// At the end of the process, a reader that is stuck is waited for no longer than this.
const LAST_WORDS: Duration = Duration::from_secs(1);

static QUEUE: LazyLock<Queue> = LazyLock::new(|| {
    // A machine without room for a thread has lines wait until the queue is full; then they are lost, and counted.
    let _ = thread::Builder::new().name("log".to_owned()).spawn(|| QUEUE.run(Stream::stderr(), gap));
    Queue::default()
});
static LEVEL: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();
static FORM: OnceLock<Form> = OnceLock::new();

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Text { ansi: bool },
}

/// Waits for the last lines when it is dropped, also when `main` panics; but not long.
#[derive(Debug)]
#[must_use]
pub struct LastLines;

impl Drop for LastLines {
    fn drop(&mut self) {
        // Nowhere is left to report it to.
        let _ = QUEUE.flush(LAST_WORDS);
    }
}

/// Takes what `tracing-subscriber` has made: one line in each write.
struct Line(Form);

impl io::Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        write(&fit(line, self.0));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends logs to stderr from here on; stdout is for data. Does nothing the second time.
pub fn init(config: LogConfig, no_color: bool) {
    let (filter, handle) = reload::Layer::new(targets(config.level));
    let registry = tracing_subscriber::registry().with(filter);
    let is_terminal = io::stderr().is_terminal();
    let form = match config.format {
        LogFormat::Auto if !is_terminal => Form::Json,
        LogFormat::Json => Form::Json,
        LogFormat::Text | LogFormat::Auto => Form::Text { ansi: is_terminal && !no_color },
    };
    // What the layer has to say about itself would wait for stderr.
    let layer = fmt::layer().with_writer(move || Line(form)).log_internal_errors(false);
    let set = match form {
        Form::Text { ansi } => registry.with(layer.with_ansi(ansi).with_target(false)).try_init(),
        Form::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
    // An error means that a log is set up already, as in tests: that one goes on.
    if set.is_ok() {
        let _ = LEVEL.set(handle);
        let _ = FORM.set(form);
    }
}

/// Has panics reported in the log. The standard library's own report waits for the reader of stderr, and has its lock
/// meanwhile: one handler that panics would stop all.
pub fn report_panics() {
    panic::set_hook(Box::new(|panic| {
        // It may hold what a stranger sent.
        let text = panic.to_string().replace('\n', " ");
        let text = excerpt(text);
        if LEVEL.get().is_some() {
            tracing::error!(thread = thread::current().name(), "{text}");
        } else {
            write(format!("{text}\n").as_bytes());
        }
    }));
}

/// Puts whole lines among those of the log, as they are. Returns false when they are lost. Never waits.
pub(crate) fn write(lines: &[u8]) -> bool {
    QUEUE.push(lines)
}

/// Returns how many lines of the log were lost: they waited for a reader in vain, or could not be written.
pub fn lines_lost() -> usize {
    QUEUE.lost()
}

/// Changes how much is logged, from here on.
pub fn set_level(level: LogLevel) {
    if let Some(handle) = LEVEL.get() {
        // Fails only when the log is gone, at the end of the process.
        let _ = handle.modify(|filter| *filter = targets(level));
    }
}

/// Returns the form of the log's lines, for those that are not made here.
pub(super) fn form() -> Form {
    FORM.get().copied().unwrap_or(Form::Json)
}

/// The line that says how many others are missing.
fn gap(lost: usize) -> String {
    let time = rfc_3339(SystemClock.now().wall);
    match form() {
        Form::Json => format!(
            "{{\"timestamp\":\"{time}\",\"level\":\"ERROR\",\"message\":\"{lost} log lines were lost\",\"lines\":{lost}}}\n"
        ),
        Form::Text { .. } => format!("{time} ERROR {lost} log lines were lost lines={lost}\n"),
    }
}

/// Escapes what is hidden in a line: all but its end, and the colors that the formatter has given it. (It escapes those
/// in messages and values itself.)
fn fit(line: &[u8], form: Form) -> Cow<'_, [u8]> {
    let content = line.strip_suffix(b"\n").unwrap_or(line);
    if content.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(line);
    }
    let content = String::from_utf8_lossy(content);
    let mut text = match form {
        Form::Json => {
            let mut text = String::with_capacity(2 * line.len());
            // Writing to a `String` cannot fail.
            let _ = content.chars().try_for_each(|c| put_json(c, &mut text));
            text
        }
        Form::Text { ansi: true } => content.split('\x1b').map(escaped).collect::<Vec<_>>().join("\x1b"),
        Form::Text { ansi: false } => escaped(content),
    };
    text.push('\n');
    Cow::Owned(text.into_bytes())
}

/// Libraries below are heard from `warn` on, whatever the level: hyper and rustls say at `trace` what went over the
/// wire. Their lines are never let through at that level.
fn targets(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("token_provider", level)
        .with_target("token_provider_server", level)
        .with_target("here_sandbox", level)
        .with_target(AUDIT_TARGET, level)
}

/// Logs a request that got no token. `unsaid` were left out before it.
pub(super) fn refusal(event: &Event, unsaid: u64) {
    let caller = event.caller.as_deref();
    let address = event.address.map(tracing::field::display);
    let id = tracing::field::display(&event.request_id);
    let unsaid = (unsaid > 0).then_some(unsaid);
    let trace = event.trace.as_ref().map(super::TraceParent::trace_id);
    if event.outcome == Outcome::Refused {
        tracing::info!(
            request.id = id,
            trace.id = trace,
            caller.id = caller,
            caller.method = event.method.map(Method::as_str),
            caller.address = address,
            http.status = event.status,
            error = event.error,
            rule = event.rule.map(Rule::as_str),
            reason = event.reason,
            http.host = event.host.as_deref(),
            not_logged = unsaid,
            "request refused"
        );
    } else {
        tracing::warn!(
            request.id = id,
            trace.id = trace,
            caller.id = caller,
            caller.method = event.method.map(Method::as_str),
            caller.address = address,
            http.status = event.status,
            error = event.error,
            not_logged = unsaid,
            "no token for a caller"
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::printable::is_hidden;

    use super::*;

    #[test]
    fn no_character_of_unicode_is_hidden_in_a_line_of_the_log() {
        let all: String = ('\0'..=char::MAX).collect();
        let json = serde_json::to_string(&all).expect("is text") + "\n";
        for (form, line) in [(Form::Json, &json), (Form::Text { ansi: false }, &(all.clone() + "\n"))] {
            let line = fit(line.as_bytes(), form);
            let text = str::from_utf8(&line).expect("is text").strip_suffix('\n').expect("ends");
            assert!(!text.contains(is_hidden), "{form:?}");
            assert!(form != Form::Json || serde_json::from_str::<String>(text).is_ok_and(|read| read == all));
        }
        let colored = b"\x1b[2mnow\x1b[0m \xe2\x80\xaeevil\nINFO\n";
        let fitted = fit(colored, Form::Text { ansi: true });
        assert_eq!(fitted, &b"\x1b[2mnow\x1b[0m \\u{202e}evil\\nINFO\n"[..]);
    }
}
