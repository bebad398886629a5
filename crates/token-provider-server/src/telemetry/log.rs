//! The log: where it goes, in what form, and how much of it.
//!
//! Lines go through a queue to their own thread, and so does everything else that goes to stderr. Nobody waits for its
//! reader, which may be a terminal after Ctrl-S, a paused container or a full disk.

use std::io::{self, IsTerminal as _};
use std::panic;
use std::sync::{LazyLock, OnceLock};
use std::thread;
use std::time::Duration;

use token_provider::{Clock as _, SystemClock};
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Registry, fmt, reload};

use super::sink::Sink;
use super::system;
use super::time::rfc_3339;
use super::writer::{Counts, Options, Writer};
use crate::config::{LogConfig, LogFormat};
use crate::printable::{escaped, excerpt, put_json};
use crate::settings::Environment;

/// Bytes that wait: some 6,000 audit lines, or six seconds of a thousand handouts each.
const MAX_WAITING: usize = 2 * 1024 * 1024;
/// At the end of the process, a reader that is stuck is waited for no longer than this.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// None on a machine without room for a thread.
static WRITER: LazyLock<Option<Writer>> = LazyLock::new(|| {
    let options = Options {
        thread: "log",
        max_waiting: MAX_WAITING,
        gap,
        // The gap says so in the log itself.
        report: |_, _| {},
        report_every: Duration::MAX,
    };
    Writer::start(options, Sink { out: Box::new(system::stderr()), path: None }).ok()
});
/// What sets its level, and its form, once it is set up.
static LOG: OnceLock<(reload::Handle<Targets, Registry>, Form)> = OnceLock::new();
/// Whether stderr is systemd's journal: the variable has the stream's device and inode (systemd.exec(5)).
static IS_JOURNAL: LazyLock<bool> = LazyLock::new(|| {
    let environment = Environment::from_process();
    environment.variable("JOURNAL_STREAM").is_some_and(system::is_stderr)
});

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
        let _ = WRITER.as_ref().map(|writer| writer.flush(FLUSH_TIMEOUT));
    }
}

/// Takes what `tracing-subscriber` has made: one line in each write.
pub(super) struct Line(Form, Level);

impl io::Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        write(self.1, &fit(line.to_vec(), self.0));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Form {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line(*self, Level::INFO)
    }

    fn make_writer_for(&self, metadata: &Metadata<'_>) -> Line {
        Line(*self, *metadata.level())
    }
}

/// Sends logs to stderr from here on; stdout is for data. Does nothing the second time.
pub fn init(config: LogConfig, no_color: bool) {
    let (filter, handle) = reload::Layer::new(targets(config.level));
    let registry = tracing_subscriber::registry().with(filter);
    let is_terminal = io::stderr().is_terminal();
    // A console of Windows need not know the codes for colors.
    let form = match config.format {
        LogFormat::Auto if !is_terminal => Form::Json,
        LogFormat::Json => Form::Json,
        LogFormat::Text | LogFormat::Auto => Form::Text { ansi: is_terminal && !no_color && cfg!(unix) },
    };
    // What the layer has to say about itself would wait for stderr.
    let layer = fmt::layer().with_writer(form).log_internal_errors(false);
    let set = match form {
        Form::Text { ansi } => registry.with(layer.with_ansi(ansi).with_target(false)).try_init(),
        Form::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
    // An error means that a log is set up already, as in tests: that one goes on.
    if set.is_ok() {
        let _ = LOG.set((handle, form));
    }
}

/// Has panics reported in the log. The standard library's own report waits for the reader of stderr, and has its lock
/// meanwhile: one handler that panics would stop all.
pub fn report_panics() {
    panic::set_hook(Box::new(|panic| {
        // It may hold what a stranger sent.
        let text = excerpt(panic.to_string().replace('\n', " "));
        if LOG.get().is_some() {
            tracing::error!(thread = thread::current().name(), "{text}");
        } else {
            write(Level::ERROR, format!("{text}\n").as_bytes());
        }
    }));
}

/// Puts whole lines among those of the log, as they are. Returns false when they are lost. Never waits.
pub(crate) fn write(level: Level, lines: &[u8]) -> bool {
    let Some(writer) = &*WRITER else { return false };
    let lines = lines.split_inclusive(|byte| *byte == b'\n');
    writer.push(&lines.flat_map(|line| [priority(level).as_bytes(), line]).collect::<Vec<_>>().concat())
}

/// Returns what the journal reads a line's priority from (sd-daemon(3)); nothing where stderr is not the journal.
fn priority(level: Level) -> &'static str {
    match level {
        _ if !*IS_JOURNAL => "",
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        _ => "<7>",
    }
}

/// Returns how many lines of the log were lost, because too many waited or because they could not be written.
pub fn lines_lost() -> u64 {
    WRITER.as_ref().map(Writer::counts).map_or(0, Counts::lost)
}

/// Changes how much is logged, from here on.
pub fn set_level(level: LevelFilter) {
    if let Some((handle, _)) = LOG.get() {
        // Fails only when the log is gone, at the end of the process.
        let _ = handle.modify(|filter| *filter = targets(level));
    }
}

/// Returns the form of the log's lines, for those that are not made here.
pub(super) fn form() -> Form {
    LOG.get().map_or(Form::Json, |(_, form)| *form)
}

/// The line that says how many others are missing.
fn gap(lost: u64) -> String {
    let now = SystemClock.now().wall;
    let line = if form() == Form::Json {
        let time = rfc_3339(now);
        format!(
            "{{\"timestamp\":\"{time}\",\"level\":\"ERROR\",\"message\":\"{lost} log lines were lost\",\"lines\":{lost}}}\n"
        )
    } else {
        text_line(now, Level::ERROR, &format!("{lost} log lines were lost lines={lost}"))
    };
    priority(Level::ERROR).to_owned() + &line
}

/// Returns a line for people, as `tracing-subscriber` makes them.
pub(super) fn text_line(time: Duration, level: Level, text: &str) -> String {
    let time = rfc_3339(time);
    if form() != (Form::Text { ansi: true }) {
        return format!("{time} {level:>5} {text}\n");
    }
    let color = match level {
        Level::INFO => 32,
        Level::WARN => 33,
        _ => 31,
    };
    format!("\x1b[2m{time}\x1b[0m \x1b[{color}m{level:>5}\x1b[0m {text}\n")
}

/// Escapes what is hidden in a line: all but its end, and the colors that the formatter has given it. (It escapes those
/// in messages and values itself.)
pub(super) fn fit(line: Vec<u8>, form: Form) -> Vec<u8> {
    let content = line.strip_suffix(b"\n").unwrap_or(&line);
    // All are looked at, several at a time, rather than one after the other up to the first that is hidden.
    if content.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~')) {
        return line;
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
    text.into_bytes()
}

/// Libraries below are heard from `warn` on, whatever the level: hyper and rustls say at `trace` what went over the
/// wire. Their lines are never let through at that level. h2 warns of each connection that resets too many streams, so that
/// anyone who can connect could have a thousand lines a second written.
fn targets(level: LevelFilter) -> Targets {
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("h2", level.min(LevelFilter::ERROR))
        .with_target("token_provider", level)
        .with_target("token_provider_server", level)
        .with_target("here_sandbox", level)
}

#[cfg(test)]
mod tests {
    use crate::printable::is_hidden;

    use super::*;

    #[test]
    fn clients_cannot_have_warnings_of_libraries_written() {
        for level in [LevelFilter::WARN, LevelFilter::TRACE] {
            let targets = targets(level);
            assert!(!targets.would_enable("h2::proto::streams::recv", &Level::WARN), "{level}");
            assert!(
                targets.would_enable("h2::codec", &Level::ERROR)
                    && targets.would_enable("hyper", &Level::WARN)
            );
            assert!(!targets.would_enable("hyper", &Level::INFO), "{level}");
        }
    }

    #[test]
    fn no_character_of_unicode_is_hidden_in_a_line_of_the_log() {
        let all: String = ('\0'..=char::MAX).collect();
        let json = serde_json::to_string(&all).expect("is text") + "\n";
        for (form, line) in [(Form::Json, &json), (Form::Text { ansi: false }, &(all.clone() + "\n"))] {
            let line = fit(line.clone().into_bytes(), form);
            let text = str::from_utf8(&line).expect("is text").strip_suffix('\n').expect("ends");
            assert!(!text.contains(is_hidden), "{form:?}");
            assert!(form != Form::Json || serde_json::from_str::<String>(text).is_ok_and(|read| read == all));
        }
        let colored = b"\x1b[2mnow\x1b[0m \xe2\x80\xaeevil\nINFO\n";
        let fitted = fit(colored.to_vec(), Form::Text { ansi: true });
        assert_eq!(fitted, b"\x1b[2mnow\x1b[0m \\u{202e}evil\\nINFO\n");
    }
}
