//! What a caller is told when it gets no token: one place that turns every failure into status, code and headers.
//!
//! The body has the form of RFC 6749 §5.2. It never holds an issuer's body, a secret or a token.

use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{ALLOW, HeaderName, WWW_AUTHENTICATE};
use token_provider::{Scope, TokenError, TokenErrorKind};

use crate::reason::{Method, Rejection, Rule};
use crate::topic::Topic;

/// A failure as the caller sees it. Small to pass on: most requests have none.
#[derive(Debug)]
pub struct Problem(Box<Details>);

/// What is to be said of a failure: to the caller, the log and the audit trail.
#[derive(Debug, Default)]
pub struct Details {
    /// The HTTP status.
    pub status: StatusCode,
    topic: Topic,
    /// What is wrong, and what to do.
    pub description: Cow<'static, str>,
    /// The access rule that refused the request, if any.
    pub rule: Option<Rule>,
    /// For the audit trail: more closely than the rule's name, why.
    pub reason: Option<&'static str>,
    /// How long the caller should wait, where that is known.
    pub retry_after: Option<Duration>,
    /// A header of the answer.
    pub header: Option<(HeaderName, Cow<'static, str>)>,
    /// For the audit trail: whose request it was, and for which token, as far as that was found out.
    pub subject: Subject,
    /// For the audit trail: the host that the request names, where the server has no such name.
    pub host: Option<Box<str>>,
    /// HERE's number for it, where the status and the code do not say it.
    number: Option<u32>,
}

/// Whose request it was, and for which token, as far as that was found out.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// How the caller authenticated.
    pub method: Option<Method>,
    /// Its name, if it has one.
    pub caller: Option<Arc<str>>,
    /// Which of its two API keys it used: the first digits of the hash.
    pub key: Option<Arc<str>>,
    /// Whether the configuration has this name in full, so that there are only so many.
    pub is_configured: bool,
    /// The rule that lets it in, if that is one to go.
    pub audit_rule: Option<Arc<str>>,
    /// Where the request came from.
    pub address: Option<IpAddr>,
    /// The profile.
    pub profile: Option<Arc<str>>,
    /// The scope.
    pub scope: Option<Scope>,
    /// The lifetime.
    pub lifetime: Option<Duration>,
}

impl Deref for Problem {
    type Target = Details;

    fn deref(&self) -> &Details {
        &self.0
    }
}

impl Details {
    /// Has the caller show who it is (RFC 9110 §11.6.1).
    fn challenge(&mut self, challenge: impl Into<Cow<'static, str>>) {
        self.rule = Some(Rule::Authenticate);
        self.header = Some((WWW_AUTHENTICATE, challenge.into()));
    }

    /// Returns the `error` code of the answer.
    pub fn code(&self) -> &'static str {
        self.topic.as_str()
    }

    /// Returns the number that HERE has for such an error, if it has one.
    pub fn number(&self) -> Option<u32> {
        self.number.or(match (self.status, self.topic, self.rule) {
            (StatusCode::BAD_REQUEST, Topic::InvalidScope, _) => Some(400_927),
            (StatusCode::BAD_REQUEST, Topic::UnsupportedGrantType, _) => Some(400_290),
            (StatusCode::BAD_REQUEST, ..) => Some(400_200),
            (StatusCode::FORBIDDEN, _, Some(Rule::Scope)) => Some(403_109),
            (StatusCode::TOO_MANY_REQUESTS, ..) => Some(429_002),
            _ => None,
        })
    }

    /// Returns whether the server or its issuer failed. A rule can say "not yet" by the same status, which is no failure.
    pub fn is_failure(&self) -> bool {
        self.status.is_server_error() && self.rule.is_none()
    }
}

impl Problem {
    fn new(status: StatusCode, topic: Topic, description: impl Into<Cow<'static, str>>) -> Self {
        let description = description.into();
        Self(Box::new(Details { status, topic, description, ..Details::default() }))
    }

    /// The caller is not authenticated, on any path except the OAuth 2.0 endpoint (RFC 6750 §3).
    fn bearer(description: impl Into<Cow<'static, str>>, challenge: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Topic::InvalidToken, description)
            .with(|it| it.challenge(challenge))
    }

    /// The client has not shown who it is, at the OAuth 2.0 endpoint (RFC 6749 §5.2).
    fn client(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Topic::InvalidClient, description)
            .with(|it| it.challenge(r#"Basic realm="token-provider", charset="UTF-8""#))
    }

    /// The server cannot do it now; the description says why.
    pub fn unavailable(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Topic::TemporarilyUnavailable, description)
    }

    /// A rule says that it is too early. Not a failure of the server.
    fn not_yet(rule: Rule, description: &'static str, retry_after: Duration) -> Self {
        let problem = Self::unavailable(description);
        problem.with(|it| (it.rule, it.retry_after) = (Some(rule), Some(retry_after)))
    }

    /// Notes what else there is to say.
    pub fn with(mut self, more: impl FnOnce(&mut Details)) -> Self {
        more(&mut self.0);
        self
    }

    /// Sets the number that HERE has for it.
    pub fn with_number(mut self, number: u32) -> Self {
        self.0.number = Some(number);
        self
    }

    /// Notes whose request it was, and for which token, unless that is known already.
    pub fn with_subject(mut self, subject: Subject) -> Self {
        if self.subject.method.is_none() {
            self.0.subject = subject;
        }
        self
    }

    /// A parameter that is missing, repeated or not well-formed.
    pub fn invalid_request(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Topic::InvalidRequest, description)
    }

    /// A scope that the configuration does not list.
    pub fn invalid_scope(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Topic::InvalidScope, description)
            .with(|it| it.rule = Some(Rule::Scope))
    }

    /// An unsupported grant type (RFC 6749 §5.2).
    pub fn unsupported_grant_type(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Topic::UnsupportedGrantType, description)
    }

    /// The caller has shown nothing to say who it is. RFC 6750 §3.1: the challenge then has no error code.
    pub fn unauthenticated(ways: &str) -> Self {
        Self::bearer(format!("authentication required: {ways}"), r#"Bearer realm="token-provider""#)
    }

    /// The caller has shown a key or token that is not known (RFC 6750 §3.1).
    pub fn invalid_token() -> Self {
        let description = "the API key or token is unknown, or no longer valid";
        Self::bearer(description, r#"Bearer realm="token-provider", error="invalid_token""#)
    }

    /// What names the caller is not good (RFC 6750 §3.1). The reason has no quotation marks.
    pub fn rejected_token(reason: &'static str) -> Self {
        let challenge =
            format!(r#"Bearer realm="token-provider", error="invalid_token", error_description="{reason}""#);
        Self::bearer(reason, challenge).with(|it| it.reason = Some(reason))
    }

    /// The caller's credential is no longer good; `is_client` at the OAuth 2.0 endpoint.
    pub fn rejected(rejection: Rejection, is_client: bool) -> Self {
        let reason = rejection.as_str();
        if is_client {
            return Self::client(reason).with(|it| it.reason = Some(reason));
        }
        Self::rejected_token(reason)
    }

    /// A token cannot be judged: the identity provider's keys are not held, and it does not answer.
    pub fn keys_unavailable(retry_after: Duration) -> Self {
        Self::unavailable("the identity provider's keys cannot be fetched, so its tokens cannot be verified")
            .with(|it| it.retry_after = Some(retry_after))
    }

    /// A token cannot be judged yet: its key may be newer than those held, and the identity provider is not asked so soon
    /// again. Not a failure of the server: strangers' tokens look the same.
    pub fn key_not_known_yet(retry_after: Duration) -> Self {
        let description =
            "the token's key is not known yet; the identity provider's keys will be requested again shortly";
        Self::not_yet(Rule::Authenticate, description, retry_after)
            .with(|it| it.reason = Some("the token's key is not known yet"))
    }

    /// The client at the OAuth 2.0 endpoint is not known.
    pub fn invalid_client() -> Self {
        Self::client("the client id or the client secret is wrong")
    }

    /// The client authenticates in an unsupported way.
    pub fn unsupported_client_authentication() -> Self {
        Self::client(
            "expected client_secret_basic, client_secret_post, a client certificate or Authorization: OAuth",
        )
    }

    /// A request that is signed as HERE's SDKs do is refused, with HERE's number for that.
    pub fn rejected_signature(number: u32, reason: &'static str) -> Self {
        // As HERE has it: the signature may be good.
        let topic = if number == 401_204 { Topic::InvalidRequest } else { Topic::InvalidClient };
        Self::new(StatusCode::UNAUTHORIZED, topic, reason).with(|it| {
            it.challenge(r#"OAuth realm="token-provider""#);
            (it.reason, it.number) = (Some(reason), Some(number));
        })
    }

    /// Another request with the same signature is in flight. A client that did not wait for it may find that it brought no
    /// token, and this signature is good.
    pub fn nonce_in_flight() -> Self {
        let description = "a request with this nonce is in flight; retry later";
        Self::not_yet(Rule::Authenticate, description, Duration::from_secs(1))
            .with(|it| it.reason = Some("a request with this nonce is in flight"))
    }

    /// The client at the OAuth 2.0 endpoint has shown nothing, or has signed with a key that is not of this server.
    pub fn unauthenticated_client(has_signed: bool, ways: &str) -> Self {
        if has_signed {
            let reason = "no access key of this server has this id";
            let problem = Self::client(format!("{reason}: {ways}")).with_number(401_600);
            return problem.with(|it| it.reason = Some(reason));
        }
        Self::client(format!("authentication required: {ways}")).with_number(401_200)
    }

    /// An access rule refused the request.
    pub fn access_denied(rule: Rule, description: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, Topic::AccessDenied, format!("{rule}: {description}"))
            .with(|it| it.rule = Some(rule))
    }

    /// No such path.
    pub fn not_found() -> Self {
        let description = "no such path; see GET /openapi.json";
        Self::new(StatusCode::NOT_FOUND, Topic::NotFound, description)
    }

    /// No such profile, where it is part of what is addressed.
    pub fn unknown_profile() -> Self {
        let description = "profile: no profile with this name is configured; see GET /status";
        Self::new(StatusCode::NOT_FOUND, Topic::NotFound, description)
    }

    /// The path is there, but not for this method.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let description = format!("this path accepts only {allow}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, Topic::InvalidRequest, description)
            .with(|it| it.header = Some((ALLOW, allow.into())))
    }

    /// More than any use of this server needs.
    pub fn too_large(status: StatusCode, description: &'static str) -> Self {
        Self::new(status, Topic::InvalidRequest, description)
    }

    /// Not a server failure: callers that are slow to send their bodies cause it.
    pub fn too_many_bodies() -> Self {
        let description = "too many request bodies in flight; retry later, or authenticate in the request's \
                           head, which is checked before the body is read";
        Self::not_yet(Rule::Rate, description, Duration::from_secs(1))
    }

    /// The caller asks more often than its rate allows.
    pub fn slow_down(retry_after: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, Topic::SlowDown, "rate: too many requests; retry later")
            .with(|it| (it.rule, it.retry_after) = (Some(Rule::Rate), Some(retry_after)))
    }

    /// A handler panicked; the report is in the log.
    pub fn internal() -> Self {
        let description = "internal error; see the server's log";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, Topic::ServerError, description)
    }
}

/// The identity provider's token is not good.
impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        Self::rejected(rejection, false)
    }
}

impl From<&TokenError> for Problem {
    /// Kinds that the library adds later are 503 until they are listed here.
    fn from(error: &TokenError) -> Self {
        let (status, topic) = match error.kind() {
            TokenErrorKind::InvalidRequest => (StatusCode::BAD_REQUEST, Topic::InvalidRequest),
            TokenErrorKind::Rejected { .. }
            | TokenErrorKind::ClockSkew
            | TokenErrorKind::InvalidAnswer { .. }
            | TokenErrorKind::NotLoaded => (StatusCode::BAD_GATEWAY, Topic::IssuerRejected),
            TokenErrorKind::WaitedTooLong => (StatusCode::GATEWAY_TIMEOUT, Topic::IssuerTimeout),
            _ => (StatusCode::SERVICE_UNAVAILABLE, Topic::TemporarilyUnavailable),
        };
        Self::new(status, topic, error.to_string()).with(|it| it.retry_after = error.retry_after())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_of_the_library_has_its_row() {
        for (kind, status, code) in [
            (TokenErrorKind::InvalidRequest, 400, "invalid_request"),
            (TokenErrorKind::Rejected { status: 401, code: Some(401_300) }, 502, "issuer_rejected"),
            (TokenErrorKind::ClockSkew, 502, "issuer_rejected"),
            (TokenErrorKind::InvalidAnswer { status: Some(200) }, 502, "issuer_rejected"),
            (TokenErrorKind::NotLoaded, 502, "issuer_rejected"),
            (TokenErrorKind::WaitedTooLong, 504, "issuer_timeout"),
            (TokenErrorKind::Throttled, 503, "temporarily_unavailable"),
            (TokenErrorKind::Unavailable { status: 500 }, 503, "temporarily_unavailable"),
            (TokenErrorKind::Unreachable, 503, "temporarily_unavailable"),
            (TokenErrorKind::TimedOut, 503, "temporarily_unavailable"),
            (TokenErrorKind::ExpiresTooSoon, 503, "temporarily_unavailable"),
            (TokenErrorKind::TooManyTokens, 503, "temporarily_unavailable"),
        ] {
            let problem = Problem::from(&TokenError::new(kind, "what to do"));
            assert_eq!((problem.status.as_u16(), problem.code()), (status, code), "{kind:?}");
        }
    }
}
