//! What can go wrong, sorted by what to do about it.
//!
//! An [`Error`] says in its text what happened and what to do. It never holds a secret, a token or the body that an
//! issuer answered with, so it may be logged and shown. It is cheap to clone: one failed request is told to every
//! caller that waited for it.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Why there is no token, or a credential could not be read.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The kinds of failure; each says what the reader of the message should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No credential in any of the places that were looked at: name one of them.
    CredentialNotFound,
    /// The credential is there but cannot be used: fix the file, line and key that the message names.
    CredentialInvalid,
    /// The request can never be granted (a malformed scope, a lifetime out of range): ask for something else.
    InvalidRequest,
    /// The issuer refused the request (400, 401, 403 and other 4xx): fix the credential, or the scope.
    Rejected {
        /// The HTTP status.
        status: u16,
        /// HERE's own number for the reason, such as 401300.
        code: Option<u32>,
    },
    /// The issuer refused the timestamp (401204) even after the clock offset was corrected: set the clock.
    ClockSkew,
    /// The issuer said 429: ask less often; see [`Error::retry_after`].
    Throttled,
    /// The issuer, or a gateway before it, is failing (408, 5xx): wait.
    Unavailable {
        /// The HTTP status.
        status: u16,
    },
    /// No connection: name resolution, refusal, TLS, or a connection that broke off. Check the network and the endpoint.
    Unreachable,
    /// The issuer did not answer within the time allowed for one attempt.
    TimedOut,
    /// The answer was no token answer: most often a proxy's own page, or an endpoint that is not a token endpoint.
    InvalidAnswer {
        /// The HTTP status.
        status: u16,
    },
    /// The issuer gives tokens that expire too soon to be handed out: ask for a longer lifetime, or set the clock.
    ExpiresTooSoon,
    /// The caller's own wait ended first; the request to the issuer goes on.
    WaitedTooLong,
    /// The bound on different tokens held at once is reached: ask for fewer scopes and lifetimes.
    TooManyTokens,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), retry_after: None, source: None }
    }

    pub(crate) fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Makes the error of an [`Issue`](crate::Issue) written outside this crate. `message` must hold no secret.
    pub fn from_issuer(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(kind, message)
    }

    /// Notes how long the issuer wants to be left alone.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Option<Duration>) -> Self {
        self.retry_after = retry_after;
        self
    }

    /// Returns the kind, for programs that act on it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns whether the same request can succeed later with nothing changed.
    ///
    /// A refused credential is not transient: it is tried again all the same, but slowly, because only a person can
    /// fix it.
    pub fn is_transient(&self) -> bool {
        match self.kind {
            // The network and the issuer's health change by themselves.
            ErrorKind::Throttled
            | ErrorKind::Unavailable { .. }
            | ErrorKind::Unreachable
            | ErrorKind::TimedOut
            | ErrorKind::ExpiresTooSoon
            | ErrorKind::WaitedTooLong => true,
            // A gateway's page with 2xx, 3xx or 5xx comes and goes; with 400, 401 or 403 it is a refusal that
            // somebody has to lift (a proxy that wants to be logged in to, say).
            ErrorKind::InvalidAnswer { status } => !(400..=403).contains(&status),
            ErrorKind::CredentialNotFound
            | ErrorKind::CredentialInvalid
            | ErrorKind::InvalidRequest
            | ErrorKind::Rejected { .. }
            | ErrorKind::ClockSkew
            | ErrorKind::TooManyTokens => false,
        }
    }

    /// Returns the texts of all causes below this error, outermost first, for a log line.
    pub fn causes(&self) -> Option<String> {
        let mut texts: Vec<String> =
            error_chain(self).skip(1).map(|cause| excerpt(&cause.to_string())).collect();
        texts.dedup();
        (!texts.is_empty()).then(|| texts.join(": "))
    }

    /// Returns how long to wait before asking again, where that is known: the issuer's `Retry-After`, or what is left
    /// of the provider's own pause.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

/// Returns an error and all that caused it, outermost first.
///
/// An [`io::Error`] leaves out the error that it wraps, and names that one's cause. Here the wrapped one is there, too, often
/// with the same text.
pub fn error_chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let wrapped = |error: &'a (dyn StdError + 'static)| error.downcast_ref::<io::Error>()?.get_ref();
    std::iter::successors(Some(error), move |&error| match wrapped(error) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    })
}

/// The start of a text that is not ours: a certificate that a message lists all names of must not fill the log.
pub(crate) fn excerpt(text: &str) -> String {
    text.chars().take(300).collect()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transient_is_what_heals_by_itself() {
        let table = [
            (ErrorKind::CredentialNotFound, false),
            (ErrorKind::CredentialInvalid, false),
            (ErrorKind::InvalidRequest, false),
            (ErrorKind::Rejected { status: 401, code: Some(401_300) }, false),
            (ErrorKind::ClockSkew, false),
            (ErrorKind::Throttled, true),
            (ErrorKind::Unavailable { status: 503 }, true),
            (ErrorKind::Unreachable, true),
            (ErrorKind::TimedOut, true),
            (ErrorKind::InvalidAnswer { status: 200 }, true),
            (ErrorKind::InvalidAnswer { status: 302 }, true),
            (ErrorKind::InvalidAnswer { status: 403 }, false),
            (ErrorKind::ExpiresTooSoon, true),
            (ErrorKind::WaitedTooLong, true),
            (ErrorKind::TooManyTokens, false),
        ];
        for (kind, transient) in table {
            assert_eq!(Error::new(kind, "x").is_transient(), transient, "{kind:?}");
        }
    }

    #[test]
    fn source_is_in_the_chain_and_not_in_the_text() {
        let error =
            Error::new(ErrorKind::Unreachable, "no connection").with_source(io::Error::other("inner"));
        assert_eq!(error.to_string(), "no connection");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("inner"));
    }
}
