//! Why a command failed, with its message and exit code.

use std::error::Error;
use std::io;

use token_provider::{LoadError, TokenError};

use crate::config::ConfigErrors;
use crate::printable::{causes, escaped};
use crate::topic::Topic;

/// What clap exits with.
const EXIT_USAGE: u8 = 2;
/// sysexits' `EX_CONFIG`.
pub const EXIT_CONFIG: u8 = 78;

/// Why something failed, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    message: String,
    /// Lines below the message.
    details: Vec<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
    /// The exit code of the process.
    pub exit_code: u8,
}

impl Failure {
    pub(crate) fn new(topic: Topic, message: impl Into<String>) -> Self {
        let exit_code = match topic {
            Topic::Usage => EXIT_USAGE,
            Topic::Configuration
            | Topic::UnknownProfile
            | Topic::Exposed
            | Topic::ProfileFile
            | Topic::SecretFile
            | Topic::Certificate
            | Topic::AuditTrail
            | Topic::Output
            | Topic::Store
            | Topic::CredentialNotFound
            | Topic::CredentialInvalid => EXIT_CONFIG,
            _ => 1,
        };
        Self { message: message.into(), details: Vec::new(), source: None, exit_code }
    }

    pub(crate) fn caused_by(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// The same failure where it is no fault of the configuration.
    pub(crate) fn at_run_time(self) -> Self {
        Self { exit_code: 1, ..self }
    }

    /// An error from the operating system; `tried` says what failed.
    pub(crate) fn system(tried: &str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::new(Topic::System, tried).caused_by(error)
    }

    pub(crate) fn stdout(error: io::Error) -> Self {
        Self::system("cannot write to stdout")(error)
    }

    /// A library error caused by the configuration; always exits with [`EXIT_CONFIG`].
    pub(crate) fn setup(what: String) -> impl Fn(LoadError) -> Self {
        move |error| {
            let failure = Self::new(error.kind().into(), format!("{what}: {error}"));
            Self { exit_code: EXIT_CONFIG, ..failure.caused_by(error) }
        }
    }

    /// Returns `error: …`, the lines below it, and `caused by: …` for each cause.
    pub(crate) fn report(&self) -> String {
        let mut text = format!("error: {}\n", escaped(self));
        text.extend(self.details.iter().map(|line| escaped(line) + "\n"));
        text.extend(causes(self).iter().map(|cause| format!("caused by: {cause}\n")));
        text
    }
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        let details = errors.as_slice().iter().map(ToString::to_string).collect();
        Self { details, ..Self::new(Topic::Configuration, "the configuration cannot be used:") }
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Self::new(error.kind().into(), error.to_string()).caused_by(error)
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        Self::new(error.kind().into(), error.to_string()).caused_by(error)
    }
}

#[cfg(test)]
mod tests {
    use token_provider::{Credential, TokenErrorKind};

    use super::*;
    use crate::printable::one_line;

    #[test]
    fn exit_code_distinguishes_configuration_errors_from_runtime_failures() {
        let token = |kind| Failure::from(TokenError::new(kind, "x"));
        let absent = || Credential::from_file("/nonexistent/file").expect_err("is not there");
        for (failure, expected) in [
            (Failure::new(Topic::Exposed, "x"), 78),
            (Failure::setup("profile x".to_owned())(absent()), 78),
            (Failure::from(absent()), 78),
            (token(TokenErrorKind::NotLoaded), 78),
            (token(TokenErrorKind::Rejected { status: 401, code: Some(401_300) }), 1),
            (token(TokenErrorKind::Unreachable), 1),
            (Failure::system("cannot")(io::Error::other("x")), 1),
            (Failure::new(Topic::NotReady, "x"), 1),
            (Failure::new(Topic::Usage, "x"), 2),
        ] {
            assert_eq!(failure.exit_code, expected, "{failure:?}");
        }
    }

    #[test]
    fn report_says_each_thing_once_on_its_own_line() {
        let failure = Failure::system("cannot write\nto stdout")(io::Error::other("the disk is full"));
        assert_eq!(failure.report(), "error: cannot write\\nto stdout\ncaused by: the disk is full\n");
        assert_eq!(one_line(&failure), "cannot write\\nto stdout: the disk is full");
        let failure = Failure::from(TokenError::new(TokenErrorKind::Unreachable, "no connection"));
        assert_eq!(failure.report(), "error: no connection\n");
    }
}
