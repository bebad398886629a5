//! What is written down (sections `log` and `audit`), and where it can be looked at (`admin`).

use std::path::{Path, PathBuf, is_separator};

use tracing::level_filters::LevelFilter;

use super::overrides::Overrides;
use crate::settings::{ReadError, Section, word};
use crate::values::Listen;
use crate::values::listen::listen;

/// The levels of the log, from nothing at all to every step.
const LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::OFF),
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];

/// How the server logs; always to stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogConfig {
    /// The form of a line.
    pub format: LogFormat,
    /// The least important level that is written.
    pub level: LevelFilter,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Text,
    /// For machines: one object in each line.
    Json,
}

pub(super) fn read_log(mut section: Section<'_>, flags: &Overrides) -> LogConfig {
    let format = |text: &str| {
        word(text, &[("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)], None)
    };
    let given = section.argument("--log-format", flags.log.log_format.as_deref(), format);
    let set = section.text("format", format);
    let level = section.text("level", |text: &str| word(text, &LEVELS, None)).unwrap_or(LevelFilter::INFO);
    LogConfig { format: given.or(set).unwrap_or_default(), level: shifted(level, flags) }
}

/// Takes the flags' steps towards more and towards less, and stops at the ends.
fn shifted(level: LevelFilter, flags: &Overrides) -> LevelFilter {
    let index = LEVELS.iter().position(|(_, other)| *other == level).expect("it is one of them");
    let index = (index + usize::from(flags.log.verbose)).saturating_sub(flags.log.quiet.into());
    LEVELS.get(index).map_or(LevelFilter::TRACE, |(_, level)| *level)
}

/// Where the audit events go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AuditConfig {
    /// Into the log, among the other lines.
    #[default]
    Log,
    /// To standard output, one JSON object in each line.
    Stdout,
    /// To a file, likewise.
    File(PathBuf),
    /// Nowhere.
    Off,
}

/// Reads a word, or a path: absolute, so that no slip in a word becomes a file.
pub(super) fn audit(text: &str) -> Result<AuditConfig, ReadError> {
    if Path::new(text).is_absolute() && !text.ends_with(is_separator) && !text.contains('\0') {
        return Ok(AuditConfig::File(PathBuf::from(text)));
    }
    let words = [
        ("log", AuditConfig::Log),
        ("stdout", AuditConfig::Stdout),
        // What a unit writes to its standard output is in systemd's journal.
        ("journal", AuditConfig::Stdout),
        ("off", AuditConfig::Off),
    ];
    word(text, &words, Some("the absolute path of a file"))
}

/// Reads the listener for metrics and status. `taken` are those for callers.
pub(super) fn read_admin(mut section: Section<'_>, taken: &[Listen]) -> Option<Listen> {
    let admin = section.text_or_number("listen", listen)?;
    // Of port 0 the system chooses another each time.
    if taken.contains(&admin) && !matches!(admin, Listen::Tcp { port: 0, .. }) {
        section.error("listen", "is also in `listen`: it needs its own address");
    }
    Some(admin)
}
