//! What can go wrong, sorted by what to do about it.
//!
//! An error says in its text what happened and what to do. It never holds a secret, a token or the body that an
//! issuer answered with, so it may be logged and shown. It is cheap to clone: one failed request is told to every
//! caller that waited for it.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Why a credential, or the way to an issuer, cannot be used. Nothing was requested; somebody has to change a setting first.
#[derive(Clone, Debug)]
pub struct LoadError {
    kind: LoadErrorKind,
    message: Cow<'static, str>,
    source: Option<Source>,
}

/// The kinds of [`LoadError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadErrorKind {
    /// No credential was found in any of the usual places.
    NotFound,
    /// What is there cannot be used: fix the file, line and key, or the variable, that the message names.
    Invalid,
    /// TLS cannot be set up: the system has no CA certificates, most likely.
    Tls,
}

/// Why there is no token. Made by an [`Issue`](crate::Issue), or by the provider itself.
#[derive(Clone, Debug)]
pub struct TokenError {
    kind: TokenErrorKind,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
    error_id: Option<Arc<str>>,
    correlation_id: Option<Arc<str>>,
    source: Option<Source>,
}

/// The kinds of [`TokenError`]; each says what the reader of the message should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenErrorKind {
    /// The issuer's own settings cannot be used, as a [`LoadError`] says: fix what the message names.
    NotLoaded,
    /// The request can never be granted (a malformed scope, a lifetime out of range): ask for something else.
    InvalidRequest,
    /// The issuer refused the request (400, 401, 403 and other 4xx): fix the credential, or the scope.
    Rejected {
        /// The HTTP status.
        status: u16,
        /// HERE's own number for the reason (`errorCode`), such as 401300 for a wrong signature.
        code: Option<u32>,
    },
    /// The issuer refused the timestamp (401204) even after the clock offset was corrected: set the clock.
    ClockSkew,
    /// The issuer said 429 (RFC 6585 §4): ask less often; see [`TokenError::retry_after`].
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
        /// The HTTP status, where the answer came over HTTP.
        status: Option<u16>,
    },
    /// The issuer gives tokens that expire too soon to be handed out: ask for a longer lifetime, or set the clock.
    ExpiresTooSoon,
    /// The issuer's code panicked: report it to its author.
    IssuerPanicked,
    /// The caller's own wait ended first; the request to the issuer goes on.
    WaitedTooLong,
    /// The bound on different tokens held at once is reached: ask for fewer scopes and lifetimes.
    TooManyTokens,
}

type Source = Arc<dyn StdError + Send + Sync>;

impl LoadError {
    pub(crate) fn new(kind: LoadErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(LoadErrorKind::Invalid, message)
    }

    /// Puts before the message where it happened.
    pub(crate) fn within(self, place: &str) -> Self {
        Self { message: format!("{place}: {}", self.message).into(), ..self }
    }

    pub(crate) fn with_source(self, source: impl StdError + Send + Sync + 'static) -> Self {
        Self { source: Some(Arc::new(source)), ..self }
    }

    /// Returns the kind, for programs that act on it.
    pub fn kind(&self) -> LoadErrorKind {
        self.kind
    }
}

impl TokenError {
    /// Makes an error. `message` says what happened and what to do; it must hold no secret.
    pub fn new(kind: TokenErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_after: None,
            error_id: None,
            correlation_id: None,
            source: None,
        }
    }

    /// Notes what caused it. A log of the error has it, too, so it must hold no secret either.
    #[must_use]
    pub fn with_source(self, source: impl StdError + Send + Sync + 'static) -> Self {
        Self { source: Some(Arc::new(source)), ..self }
    }

    /// Notes how long the issuer wants to be left alone, from its answer on (`Retry-After`, RFC 9110 §10.2.3). The provider waits
    /// five minutes at most.
    #[must_use]
    pub fn with_retry_after(self, retry_after: Option<Duration>) -> Self {
        Self { retry_after, ..self }
    }

    pub(crate) fn with_error_id(self, id: Option<&str>) -> Self {
        Self { error_id: id.map(Arc::from), ..self }
    }

    pub(crate) fn with_correlation_id(self, id: Option<&str>) -> Self {
        Self { correlation_id: id.map(Arc::from), ..self }
    }

    /// Returns the kind, for programs that act on it.
    pub fn kind(&self) -> TokenErrorKind {
        self.kind
    }

    /// Returns whether the same request can succeed later with nothing changed. After such a failure the provider pauses for 0.2 s at
    /// first and 30 s at last, after any other for a minute.
    ///
    /// A refused credential is not transient: it is tried again all the same, but slowly, because only a person can
    /// fix it.
    pub fn is_transient(&self) -> bool {
        match self.kind {
            // A gateway's page with 2xx, 3xx or 5xx comes and goes; with 400, 401 or 403 it is a refusal that
            // somebody has to lift (a proxy that wants to be logged in to, say).
            TokenErrorKind::InvalidAnswer { status } => !matches!(status, Some(400..=403)),
            TokenErrorKind::NotLoaded
            | TokenErrorKind::InvalidRequest
            | TokenErrorKind::Rejected { .. }
            | TokenErrorKind::ClockSkew
            | TokenErrorKind::TooManyTokens => false,
            // The network and the issuer's health change by themselves.
            _ => true,
        }
    }

    /// Returns the texts of all causes below this error, outermost first, for a log line; 300 characters of each.
    pub fn causes(&self) -> Option<String> {
        // The start of a text that is not ours: a certificate that a message lists all names of must not fill the log.
        let excerpts = error_chain(self).skip(1).map(|cause| cause.to_string().chars().take(300).collect());
        let mut texts: Vec<String> = excerpts.collect();
        texts.dedup();
        (!texts.is_empty()).then(|| texts.join(": "))
    }

    /// Returns how long to wait before asking again, from when the error was returned, where that is known: the issuer's
    /// `Retry-After`, or what is left of the provider's own pause.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Returns HERE's id of this error (`errorId`): `ERROR-` and a UUID. HERE's support asks for it. It is for the log and not for
    /// callers, so it is no part of the text.
    pub fn error_id(&self) -> Option<&str> {
        self.error_id.as_deref()
    }

    /// Returns the `X-Correlation-ID` of the request that failed, as HERE answered it, else as it was sent. HERE's support finds the
    /// request by it. At most 128 visible ASCII characters; it is no part of the text either.
    pub fn correlation_id(&self) -> Option<&str> {
        self.correlation_id.as_deref()
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

impl From<LoadError> for TokenError {
    fn from(error: LoadError) -> Self {
        let LoadError { message, source, .. } = error;
        Self { source, ..Self::new(TokenErrorKind::NotLoaded, message) }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for LoadError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl StdError for TokenError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transient_is_what_recovers_by_itself() {
        let table = [
            (TokenErrorKind::NotLoaded, false),
            (TokenErrorKind::InvalidRequest, false),
            (TokenErrorKind::Rejected { status: 401, code: Some(401_300) }, false),
            (TokenErrorKind::ClockSkew, false),
            (TokenErrorKind::Throttled, true),
            (TokenErrorKind::Unavailable { status: 503 }, true),
            (TokenErrorKind::Unreachable, true),
            (TokenErrorKind::TimedOut, true),
            (TokenErrorKind::InvalidAnswer { status: Some(200) }, true),
            (TokenErrorKind::InvalidAnswer { status: Some(302) }, true),
            (TokenErrorKind::InvalidAnswer { status: Some(403) }, false),
            (TokenErrorKind::ExpiresTooSoon, true),
            (TokenErrorKind::IssuerPanicked, true),
            (TokenErrorKind::WaitedTooLong, true),
            (TokenErrorKind::TooManyTokens, false),
        ];
        for (kind, transient) in table {
            assert_eq!(TokenError::new(kind, "x").is_transient(), transient, "{kind:?}");
        }
    }

    #[test]
    fn source_is_in_the_chain_and_not_in_the_text() {
        let error = TokenError::new(TokenErrorKind::Unreachable, "no connection")
            .with_source(io::Error::other("inner"));
        assert_eq!(error.to_string(), "no connection");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("inner"));
    }
}
