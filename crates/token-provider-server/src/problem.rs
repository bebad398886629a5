//! What a caller is told when it gets no token: one place that turns every failure into status, code and headers.
//!
//! The body has the form of RFC 6749 §5.2. It never holds an issuer's body, a secret or a token.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::{Response, StatusCode};
use serde::Serialize;
use token_provider::{Error, ErrorKind, Scope};

use crate::reason::{Method, Rejection, Rule};
use crate::topic::Topic;

const REJECTED_CERTIFICATE: &str =
    "the client certificate is no longer accepted; open a new connection with a valid one";

/// A failure as the caller sees it. Small to pass on: most requests have none.
#[derive(Debug)]
pub struct Problem(Box<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    topic: Topic,
    description: Cow<'static, str>,
    rule: Option<Rule>,
    /// More closely, why: for the audit trail.
    reason: Option<&'static str>,
    retry_after: Option<Duration>,
    header: Option<(HeaderName, Cow<'static, str>)>,
    /// For the audit trail, not for the answer.
    subject: Subject,
    /// The host that the request names, where the server has no such name: for the audit trail.
    host: Option<Box<str>>,
}

/// Whose request it was, and for which token, as far as that was found out.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// How the caller has shown who it is.
    pub method: Option<Method>,
    /// Its name, if it has one.
    pub caller: Option<Arc<str>>,
    /// Where the request came from.
    pub address: Option<IpAddr>,
    /// The profile.
    pub profile: Option<Arc<str>>,
    /// The scope.
    pub scope: Option<Scope>,
    /// The lifetime.
    pub lifetime: Option<Duration>,
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'static str,
    error_description: &'a str,
    request_id: &'a str,
}

impl Problem {
    fn new(status: StatusCode, topic: Topic, description: impl Into<Cow<'static, str>>) -> Self {
        let description = description.into();
        Self(Box::new(Inner {
            status,
            topic,
            description,
            rule: None,
            reason: None,
            retry_after: None,
            header: None,
            subject: Subject::default(),
            host: None,
        }))
    }

    /// The caller has not shown who it is, at any path but that of OAuth 2.0 (RFC 6750 §3).
    fn bearer(description: impl Into<Cow<'static, str>>, challenge: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Topic::InvalidToken, description)
            .with_rule(Rule::Authenticate)
            .with_header(WWW_AUTHENTICATE, challenge)
    }

    /// The client has not shown who it is, at the OAuth 2.0 endpoint (RFC 6749 §5.2).
    fn client(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Topic::InvalidClient, description)
            .with_rule(Rule::Authenticate)
            .with_header(WWW_AUTHENTICATE, r#"Basic realm="token-provider", charset="UTF-8""#)
    }

    fn unavailable(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Topic::TemporarilyUnavailable, description)
    }

    fn with_rule(mut self, rule: Rule) -> Self {
        self.0.rule = Some(rule);
        self
    }

    fn with_reason(mut self, reason: &'static str) -> Self {
        self.0.reason = Some(reason);
        self
    }

    fn with_retry_after(mut self, retry_after: Option<Duration>) -> Self {
        self.0.retry_after = retry_after;
        self
    }

    fn with_header(mut self, name: HeaderName, value: impl Into<Cow<'static, str>>) -> Self {
        self.0.header = Some((name, value.into()));
        self
    }

    /// Notes whose request it was, and for which token, as far as that is known.
    #[must_use]
    pub fn with_subject(mut self, subject: Subject) -> Self {
        self.0.subject = subject;
        self
    }

    /// Notes where the request came from.
    #[must_use]
    pub fn with_address(mut self, address: Option<IpAddr>) -> Self {
        self.0.subject.address = address;
        self
    }

    /// Notes the host that the request names.
    #[must_use]
    pub fn with_host(mut self, host: &str) -> Self {
        self.0.host = Some(host.into());
        self
    }

    /// A parameter that is missing, repeated or not well-formed.
    pub fn invalid_request(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Topic::InvalidRequest, description)
    }

    /// A scope that the configuration does not list.
    pub fn invalid_scope(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Topic::InvalidScope, description)
    }

    /// Another grant than the one there is (RFC 6749 §5.2).
    pub fn unsupported_grant_type() -> Self {
        let description = "grant_type: expected client_credentials";
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
    fn rejected_token(reason: &'static str) -> Self {
        let challenge =
            format!(r#"Bearer realm="token-provider", error="invalid_token", error_description="{reason}""#);
        Self::bearer(reason, challenge).with_reason(reason)
    }

    /// The client certificate that the connection began with is not good any more.
    pub fn rejected_certificate() -> Self {
        Self::rejected_token(REJECTED_CERTIFICATE)
    }

    /// The same at the OAuth 2.0 endpoint.
    pub fn rejected_client_certificate() -> Self {
        Self::client(REJECTED_CERTIFICATE).with_reason(REJECTED_CERTIFICATE)
    }

    /// A token cannot be judged: the identity provider's keys are not held, and it does not answer.
    pub fn keys_unavailable(retry_after: Duration) -> Self {
        Self::unavailable(
            "the identity provider cannot be asked for its keys, so its tokens cannot be judged",
        )
        .with_retry_after(Some(retry_after))
    }

    /// A token cannot be judged yet: its key may be newer than those held, and the identity provider is not asked so soon
    /// again. Not a failure of the server: strangers' tokens look the same.
    pub fn key_not_known_yet(retry_after: Duration) -> Self {
        let description =
            "the token's key is not known yet; the identity provider is asked for its keys again shortly";
        Self::unavailable(description)
            .with_rule(Rule::Authenticate)
            .with_reason("the token's key is not known yet")
            .with_retry_after(Some(retry_after))
    }

    /// The client at the OAuth 2.0 endpoint has shown nothing.
    pub fn unauthenticated_client(ways: &str) -> Self {
        Self::client(format!("authentication required: {ways}"))
    }

    /// The client at the OAuth 2.0 endpoint is not known.
    pub fn invalid_client() -> Self {
        Self::client("the client id or the client secret is wrong")
    }

    /// The client authenticates in a way that there is not here.
    pub fn unsupported_client_authentication() -> Self {
        Self::client("expected client_secret_basic, client_secret_post or a client certificate")
    }

    /// A rule says no.
    pub fn access_denied(rule: Rule, description: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, Topic::AccessDenied, format!("{rule}: {description}"))
            .with_rule(rule)
    }

    /// No such path.
    pub fn not_found() -> Self {
        let description = "there is nothing at this path; see GET /openapi.json";
        Self::new(StatusCode::NOT_FOUND, Topic::NotFound, description)
    }

    /// The path is there, but not for this method.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let description = format!("this path accepts only {allow}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, Topic::InvalidRequest, description)
            .with_header(ALLOW, allow)
    }

    /// More body than any request to this server has.
    pub fn content_too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, Topic::InvalidRequest, "the body is larger than 16 KiB")
    }

    /// More path and query than any use of this server needs.
    pub fn uri_too_long() -> Self {
        Self::new(StatusCode::URI_TOO_LONG, Topic::InvalidRequest, "the URL is longer than 8 KiB")
    }

    /// More fields than any use of this server needs.
    pub fn too_many_fields() -> Self {
        let description = "the head has more than 100 fields";
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, Topic::InvalidRequest, description)
    }

    /// Not a failure of the server: those who let it wait for their bodies keep themselves from being heard.
    pub fn too_many_bodies() -> Self {
        let description = "too many request bodies at once; ask again later, or authenticate by HTTP Basic, which is judged first";
        Self::unavailable(description).with_rule(Rule::Rate).with_retry_after(Some(Duration::from_secs(1)))
    }

    /// The caller asks more often than its rate allows.
    pub fn slow_down(retry_after: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, Topic::SlowDown, "rate: too many requests; ask again later")
            .with_rule(Rule::Rate)
            .with_retry_after(Some(retry_after))
    }

    /// A handler panicked; the report is in the log.
    pub fn internal() -> Self {
        let description = "the server failed; its log has the report";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, Topic::ServerError, description)
    }

    /// `/readyz` says no; the description says why.
    pub fn not_ready(description: impl Into<Cow<'static, str>>) -> Self {
        Self::unavailable(description)
    }

    /// Returns the HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Returns the `error` code of the body.
    pub fn code(&self) -> &'static str {
        self.0.topic.anchor()
    }

    /// Returns whether the server or its issuer failed. A rule can say "not yet" by the same status, which is no failure.
    pub fn is_failure(&self) -> bool {
        self.status().is_server_error() && self.0.rule.is_none()
    }

    /// Returns the access rule that said no, where it was one.
    pub fn rule(&self) -> Option<Rule> {
        self.0.rule
    }

    /// Returns, more closely than the rule's name, why it said no, where there is more to say.
    pub fn reason(&self) -> Option<&'static str> {
        self.0.reason
    }

    /// Returns how long the caller should wait, where that is known.
    #[cfg(test)]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns whose request it was, and for which token, as far as that was found out.
    pub fn subject(&self) -> &Subject {
        &self.0.subject
    }

    /// Returns the host that the request names, where the server has no such name.
    pub fn host(&self) -> Option<&str> {
        self.0.host.as_deref()
    }

    /// Makes the answer. CORS and the headers that every answer has are added by the HTTP room.
    pub(crate) fn into_response(self, request_id: &str) -> Response<Full<Bytes>> {
        let Inner { status, topic, description, retry_after, header, .. } = *self.0;
        let body = Body { error: topic.anchor(), error_description: &description, request_id };
        let json = serde_json::to_vec(&body).expect("strings have a JSON form");
        let mut response = Response::new(Full::from(json));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(retry_after) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(retry_after)));
        }
        if let Some((name, value)) = header {
            headers.insert(name, HeaderValue::try_from(&*value).expect("it is printable ASCII"));
        }
        response
    }
}

/// `Retry-After` has no fractions, and "0" would invite a caller back before the pause is over.
fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

/// The identity provider's token is not good.
impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        Self::rejected_token(rejection.as_str())
    }
}

impl From<&Error> for Problem {
    /// Every kind that the library has a row for; what it adds later is a 503 until it has one here.
    fn from(error: &Error) -> Self {
        let (status, topic) = match error.kind() {
            ErrorKind::InvalidRequest => (StatusCode::BAD_REQUEST, Topic::InvalidRequest),
            ErrorKind::Rejected { .. }
            | ErrorKind::ClockSkew
            | ErrorKind::InvalidAnswer { .. }
            | ErrorKind::CredentialInvalid
            | ErrorKind::CredentialNotFound => (StatusCode::BAD_GATEWAY, Topic::IssuerRejected),
            ErrorKind::WaitedTooLong => (StatusCode::GATEWAY_TIMEOUT, Topic::IssuerTimeout),
            _ => (StatusCode::SERVICE_UNAVAILABLE, Topic::TemporarilyUnavailable),
        };
        Self::new(status, topic, error.to_string()).with_retry_after(error.retry_after())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_of_the_library_has_its_row() {
        for (kind, status, code) in [
            (ErrorKind::InvalidRequest, 400, "invalid_request"),
            (ErrorKind::Rejected { status: 401, code: Some(401_300) }, 502, "issuer_rejected"),
            (ErrorKind::ClockSkew, 502, "issuer_rejected"),
            (ErrorKind::InvalidAnswer { status: 200 }, 502, "issuer_rejected"),
            (ErrorKind::CredentialInvalid, 502, "issuer_rejected"),
            (ErrorKind::CredentialNotFound, 502, "issuer_rejected"),
            (ErrorKind::WaitedTooLong, 504, "issuer_timeout"),
            (ErrorKind::Throttled, 503, "temporarily_unavailable"),
            (ErrorKind::Unavailable { status: 500 }, 503, "temporarily_unavailable"),
            (ErrorKind::Unreachable, 503, "temporarily_unavailable"),
            (ErrorKind::TimedOut, 503, "temporarily_unavailable"),
            (ErrorKind::ExpiresTooSoon, 503, "temporarily_unavailable"),
            (ErrorKind::TooManyTokens, 503, "temporarily_unavailable"),
        ] {
            let problem = Problem::from(&Error::from_issuer(kind, "what to do"));
            assert_eq!((problem.status().as_u16(), problem.code()), (status, code), "{kind:?}");
        }
    }

    #[test]
    fn pause_is_said_in_whole_seconds_and_never_as_none() {
        for (millis, seconds) in [(0, 0), (1, 1), (200, 1), (1000, 1), (1001, 2), (300_000, 300)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds, "{millis}");
        }
    }

    #[test]
    fn answer_is_not_kept_by_anyone() {
        let error = Error::from_issuer(ErrorKind::Throttled, "\"quoted\"\n");
        let pause = Some(Duration::from_millis(1500));
        let answer = Problem::from(&error.with_retry_after(pause)).into_response("id-1");
        let headers = answer.headers();
        assert_eq!(headers[CACHE_CONTROL], "no-store");
        assert_eq!(headers[CONTENT_TYPE], "application/json");
        assert_eq!(headers[RETRY_AFTER], "2");
    }

    #[test]
    fn method_that_is_not_allowed_names_those_that_are() {
        let answer = Problem::method_not_allowed("GET, HEAD").into_response("id");
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()[ALLOW]),
            (405, &HeaderValue::from_static("GET, HEAD"))
        );
    }
}
