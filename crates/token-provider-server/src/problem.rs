//! What a caller is told when it gets no token: one place that turns every failure into status, code and headers.
//!
//! The body has the form of RFC 6749 §5.2. It never holds an issuer's body, a secret or a token.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde::Serialize;
use token_provider::{Error, ErrorKind};

/// A failure as the caller sees it.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    description: Cow<'static, str>,
    retry_after: Option<Duration>,
    header: Option<(HeaderName, &'static str)>,
    rule: Option<&'static str>,
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'static str,
    error_description: &'a str,
    request_id: &'a str,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, description: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            description: description.into(),
            retry_after: None,
            header: None, rule: None
        }
    }

    /// A parameter that is missing, repeated or not well-formed.
    pub fn invalid_request(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    /// A scope that the configuration does not list.
    pub fn invalid_scope(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_scope", description)
    }

    /// A rule says no.
    pub fn access_denied(rule: &'static str, description: &str) -> Self {
        let description = format!("{rule}: {description}");
        Self { rule: Some(rule), ..Self::new(StatusCode::FORBIDDEN, "access_denied", description) }
    }

    /// The caller has shown nothing to say who it is. RFC 6750 §3.1: the challenge then has no error code.
    pub fn unauthenticated() -> Self {
        let header = Some((WWW_AUTHENTICATE, r#"Bearer realm="token-provider""#));
        let description = "this server wants to know who is asking: send an API key, or a token of your identity provider";
        let rule = Some("authenticate");
        Self { header, rule, ..Self::new(StatusCode::UNAUTHORIZED, "invalid_token", description) }
    }

    /// The caller has shown a key or token that is not known (RFC 6750 §3.1).
    pub fn invalid_token() -> Self {
        let header = Some((WWW_AUTHENTICATE, r#"Bearer realm="token-provider", error="invalid_token""#));
        let description = "the API key or token is not known here, or no longer good";
        let rule = Some("authenticate");
        Self { header, rule, ..Self::new(StatusCode::UNAUTHORIZED, "invalid_token", description) }
    }

    /// The caller at the OAuth 2.0 door is not known (RFC 6749 §5.2).
    pub fn invalid_client() -> Self {
        let header = Some((WWW_AUTHENTICATE, r#"Basic realm="token-provider", charset="UTF-8""#));
        let rule = Some("authenticate");
        Self { header, rule, ..Self::new(StatusCode::UNAUTHORIZED, "invalid_client", "no such client id and secret") }
    }

    /// The caller asks more often than its rate allows.
    pub fn slow_down(retry_after: Duration) -> Self {
        let (retry_after, rule) = (Some(retry_after), Some("rate"));
        Self { retry_after, rule, ..Self::new(StatusCode::TOO_MANY_REQUESTS, "slow_down", "rate: too many requests") }
    }

    /// RFC 6749 §5.2.
    pub fn unsupported_grant_type() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "unsupported_grant_type", "grant_type: expected client_credentials")
    }

    /// More body than any request to this server has.
    pub fn content_too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", "the body is larger than 16 KiB")
    }

    /// No such path.
    pub fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "there is nothing here; GET / says what there is",
        )
    }

    /// The path is there, but not for this method.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let description = format!("this path answers to {allow} only");
        let header = Some((ALLOW, allow));
        Self {
            header,
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", description)
        }
    }

    /// More path and query than any use of this server needs.
    pub fn uri_too_long() -> Self {
        Self::new(
            StatusCode::URI_TOO_LONG,
            "invalid_request",
            "the URL is longer than 8 KiB",
        )
    }

    /// `/readyz` says no; the description says why.
    pub fn not_ready(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            description,
        )
    }

    /// A handler panicked; the report is in the log.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            "the server failed; its log has the report",
        )
    }

    /// Returns the HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the `error` code of the body.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Returns the access rule that said no, where it was one.
    pub fn rule(&self) -> Option<&'static str> {
        self.rule
    }

    /// Returns how long the caller should wait, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Makes the answer. CORS and the headers that every answer has are added by the HTTP room.
    pub fn into_response(self, request_id: &str) -> Response<Full<Bytes>> {
        let body = Body {
            error: self.code,
            error_description: &self.description,
            request_id,
        };
        // Three strings always have a JSON form.
        let json = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = Response::new(Full::from(json));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(retry_after) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(retry_after)));
        }
        if let Some((name, value)) = self.header {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// `Retry-After` has no fractions, and "0" would invite a caller back before the pause is over.
fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

impl From<&Error> for Problem {
    /// Exhaustive over what the library can report, as far as `non_exhaustive` lets it be: a kind that is added there
    /// is a 503 here until it has a row of its own.
    fn from(error: &Error) -> Self {
        let description = error.to_string();
        let (status, code) = match error.kind() {
            ErrorKind::InvalidRequest => (StatusCode::BAD_REQUEST, "invalid_request"),
            ErrorKind::Rejected { .. }
            | ErrorKind::ClockSkew
            | ErrorKind::InvalidAnswer { .. }
            | ErrorKind::CredentialInvalid
            | ErrorKind::CredentialNotFound => (StatusCode::BAD_GATEWAY, "issuer_rejected"),
            ErrorKind::WaitedTooLong => (StatusCode::GATEWAY_TIMEOUT, "issuer_timeout"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
        };
        Self {
            retry_after: error.retry_after(),
            ..Self::new(status, code, description)
        }
    }
}
