//! What is written down (sections `log` and `audit`), and where it can be looked at (`admin`).

use std::path::PathBuf;

use super::listen::{Listen, listen};
use super::read::{Fault, Section, one_of};

/// How the server logs; always to stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogConfig {
    /// The form of a line.
    pub format: LogFormat,
    /// The least important level that is written.
    pub level: LogLevel,
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

/// Importance of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
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
    /// From silent to talkative: the steps that `-v` and `-q` take.
    const STEPS: [Self; 6] = [Self::Off, Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// Takes steps towards more, or less where negative, and stops at the ends.
    pub(super) fn shifted(self, steps: i8) -> Self {
        let index = Self::STEPS.iter().position(|step| *step == self).unwrap_or_default();
        let index = index.saturating_add_signed(isize::from(steps)).min(Self::STEPS.len() - 1);
        Self::STEPS.get(index).copied().unwrap_or(self)
    }
}

pub(super) fn read_log(section: &mut Section<'_>) -> LogConfig {
    let format = section.text(
        "format",
        one_of(
            "expected \"auto\", \"text\" or \"json\"",
            &[("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)],
        ),
    );
    let level = section.text(
        "level",
        one_of(
            "expected \"error\", \"warn\", \"info\", \"debug\", \"trace\" or \"off\"",
            &[
                ("error", LogLevel::Error),
                ("warn", LogLevel::Warn),
                ("info", LogLevel::Info),
                ("debug", LogLevel::Debug),
                ("trace", LogLevel::Trace),
                ("off", LogLevel::Off),
            ],
        ),
    );
    LogConfig { format: format.unwrap_or_default(), level: level.unwrap_or_default() }
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
    /// To systemd's journal, likewise.
    Journal,
    /// To a file, likewise.
    File(PathBuf),
    /// Nowhere.
    Off,
}

pub(super) fn read_audit(section: &mut Section<'_>) -> AuditConfig {
    section.text("to", audit).unwrap_or_default()
}

/// Reads a word, or a path: absolute, so that no slip in a word becomes a file.
fn audit(text: &str) -> Result<AuditConfig, Fault> {
    if text.starts_with('/') && !text.ends_with('/') && !text.contains('\0') {
        return Ok(AuditConfig::File(PathBuf::from(text)));
    }
    one_of(
        "expected \"log\", \"stdout\", \"journal\", \"off\" or the absolute path of a file",
        &[
            ("log", AuditConfig::Log),
            ("stdout", AuditConfig::Stdout),
            ("journal", AuditConfig::Journal),
            ("off", AuditConfig::Off),
        ],
    )(text)
}

/// The listener for metrics and status, kept apart from the callers'.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AdminConfig {
    /// Where it listens; there is none unless this is set. A port alone is on loopback.
    pub listen: Option<Listen>,
}

/// Reads the section. `taken` are the places where callers are answered.
pub(super) fn read_admin(section: &mut Section<'_>, taken: &[Listen]) -> AdminConfig {
    let listen = section.text_or_number("listen", listen);
    if let Some(listen) = &listen
        && taken.iter().any(|other| other.collides_with(listen))
    {
        section.problem("listen", "is also in `listen`: it needs an address of its own");
    }
    AdminConfig { listen }
}
