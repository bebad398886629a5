//! What is written down (sections `log` and `audit`), and where it can be looked at (`admin`).

use std::path::PathBuf;

use clap::ValueEnum;

use super::overrides::Overrides;
use crate::settings::{ReadError, Section, word};
use crate::values::Listen;
use crate::values::listen::listen;

/// How the server logs; always to stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogConfig {
    /// The form of a line.
    pub format: LogFormat,
    /// The least important level that is written.
    pub level: LogLevel,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
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

/// Importance of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, ValueEnum)]
#[non_exhaustive]
pub enum LogLevel {
    /// Nothing at all.
    Off,
    /// Somebody has to act.
    Error,
    /// Somebody should look.
    Warn,
    /// What the server does.
    #[default]
    Info,
    /// How it does it.
    Debug,
    /// Every step.
    Trace,
}

impl LogLevel {
    /// Takes steps towards more and towards less, and stops at the ends.
    fn shifted(self, more: u8, less: u8) -> Self {
        let levels = Self::value_variants();
        let index = levels.iter().position(|level| *level == self).expect("every level is a variant");
        let index = (index + usize::from(more)).saturating_sub(less.into()).min(levels.len() - 1);
        *levels.get(index).expect("is at most the last")
    }
}

pub(super) fn read_log(mut section: Section<'_>, flags: &Overrides) -> LogConfig {
    let format = |text: &str| word(text, None);
    let given = section.argument("--log-format", flags.log.log_format.as_deref(), format);
    let set = section.text("format", format);
    let level = section.text("level", |text: &str| word::<LogLevel>(text, None)).unwrap_or_default();
    let format = given.or(set).unwrap_or_default();
    LogConfig { format, level: level.shifted(flags.log.verbose, flags.log.quiet) }
}

/// Where the audit events go.
#[derive(Debug, Clone, PartialEq, Eq, Default, ValueEnum)]
#[non_exhaustive]
pub enum AuditConfig {
    /// Into the log, among the other lines.
    #[default]
    Log,
    /// To standard output, one JSON object in each line.
    Stdout,
    /// To systemd's journal, likewise.
    Journal,
    /// To a file, likewise.
    #[value(skip)]
    File(PathBuf),
    /// Nowhere.
    Off,
}

/// Reads a word, or a path: absolute, so that no slip in a word becomes a file.
pub(super) fn audit(text: &str) -> Result<AuditConfig, ReadError> {
    if text.starts_with('/') && !text.ends_with('/') && !text.contains('\0') {
        return Ok(AuditConfig::File(PathBuf::from(text)));
    }
    word(text, Some("the absolute path of a file"))
}

/// Reads the listener for metrics and status. `taken` are the places where callers are answered.
pub(super) fn read_admin(mut section: Section<'_>, taken: &[Listen]) -> Option<Listen> {
    let listen = section.text_or_number("listen", listen)?;
    if taken.iter().any(|other| other.collides_with(&listen)) {
        section.error("listen", "is also in `listen`: it needs its own address");
    }
    Some(listen)
}
