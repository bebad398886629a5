//! Why a command failed, what it says then, and what the process exits with.

use std::io;

use crate::config::ConfigErrors;
use crate::printable::{causes, escaped};
use crate::sandbox::SandboxError;
use crate::setup::SetupError;
use crate::telemetry;
use crate::topic::Topic;

/// What clap exits with.
const EXIT_USAGE: u8 = 2;
/// sysexits' `EX_CONFIG`.
pub(super) const EXIT_CONFIG: u8 = 78;

/// Why a command failed, sorted by exit code.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The configuration cannot be used.
    #[error("the configuration cannot be used:")]
    Config(ConfigErrors),
    /// An argument that clap cannot judge.
    #[error("{0}")]
    Usage(String),
    /// It reads well, and yet cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// No token could be had.
    #[error(transparent)]
    Token(#[from] token_provider::Error),
    /// The system said no.
    #[error("{what}")]
    System { what: String, source: io::Error },
    /// A listener cannot be bound; says which, and what to do.
    #[error("{0}")]
    Bind(io::Error),
    /// Somebody could not wait for the last answers.
    #[error("{signal} after the stop had begun: answers under way were cut off")]
    CutOff { signal: &'static str },
    /// No server could be asked.
    #[error("no server answers at {listen}")]
    Unanswered { listen: String, source: reqwest::Error },
    /// The server says so itself.
    #[error("the server at {listen} is not ready: HTTP {status}{reason}")]
    NotReady { listen: String, status: u16, reason: String },
    /// `check` has said what is wrong.
    #[error("")]
    Reported(u8),
}

impl Failure {
    pub(super) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        |source| Self::System { what, source }
    }

    /// `None` where each finding was reported by itself.
    fn topic(&self) -> Option<Topic> {
        Some(match self {
            Self::Config(_) => Topic::Configuration,
            Self::Usage(_) => Topic::Usage,
            Self::Setup(error) => error.topic(),
            Self::Token(error) => error.kind().into(),
            Self::System { .. } => Topic::System,
            Self::Bind(_) => Topic::Bind,
            Self::CutOff { .. } => Topic::CutOff,
            Self::Unanswered { .. } => Topic::Unanswered,
            Self::NotReady { .. } => Topic::NotReady,
            Self::Reported(_) => return None,
        })
    }

    pub(super) fn exit_code(&self) -> u8 {
        match (self, self.topic()) {
            (Self::Reported(code), _) => *code,
            (Self::Usage(_), _) => EXIT_USAGE,
            (Self::Config(_) | Self::Setup(_), _)
            | (_, Some(Topic::CredentialInvalid | Topic::CredentialNotFound)) => EXIT_CONFIG,
            _ => 1,
        }
    }

    /// `error: …`, then `caused by: …` for each cause.
    pub(super) fn report(&self) {
        if matches!(self, Self::Reported(_)) {
            return;
        }
        let mut text = format!("error: {}\n", escaped(self));
        if let Self::Config(error) = self {
            text.extend(error.as_slice().iter().map(|problem| escaped(problem) + "\n"));
        }
        text.extend(causes(self).iter().map(|cause| format!("caused by: {cause}\n")));
        telemetry::log::write(text.into_bytes());
    }
}

impl From<SandboxError> for Failure {
    fn from(error: SandboxError) -> Self {
        match error {
            SandboxError::Absent | SandboxError::Usage(_) => Self::Usage(error.to_string()),
            SandboxError::Credential(error) => Self::Token(error),
            SandboxError::System { what, source } => Self::System { what, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use token_provider::ErrorKind;

    use super::*;

    #[test]
    fn exit_code_tells_configuration_from_bad_luck() {
        let token = |kind| Failure::Token(token_provider::Error::from_issuer(kind, "x"));
        let open = SetupError::open("0.0.0.0:1");
        for (failure, expected) in [
            (Failure::Setup(open), 78),
            (token(ErrorKind::CredentialInvalid), 78),
            (token(ErrorKind::CredentialNotFound), 78),
            (token(ErrorKind::Rejected { status: 401, code: Some(401_300) }), 1),
            (token(ErrorKind::Unreachable), 1),
            (Failure::system("cannot")(io::Error::other("x")), 1),
            (Failure::NotReady { listen: "x".to_owned(), status: 503, reason: String::new() }, 1),
            (Failure::Usage("x".to_owned()), 2),
            (Failure::Reported(78), 78),
        ] {
            assert_eq!(failure.exit_code(), expected, "{failure:?}");
        }
    }
}
