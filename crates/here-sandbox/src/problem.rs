//! What the account answers when it refuses: HERE's status, error code and body for every reason, in one place.

use std::borrow::Cow;

use axum::extract::rejection::BytesRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::random;

/// Why a request was refused. HERE numbers most reasons; those without a number have no documented one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: StatusCode,
    /// 0 for none.
    pub(crate) code: u32,
    /// The OAuth 2.0 code beside HERE's own.
    error: &'static str,
    message: Cow<'static, str>,
    /// What is wrong with which field of the request body.
    fields: Vec<(&'static str, Self)>,
    /// What the sandbox can say beyond HERE's words, for the person at the other end.
    hint: Option<String>,
}

/// How an error answer spells HERE's number. HERE has all of these; usually the answer has the number as a member and, in quotes,
/// in its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NumberSpelling {
    /// Only in the text: `errorCode: '401300'. …`
    Quoted,
    /// In the newest form, with `code` for a class of errors, and in the text: `errorCode: 401300. …`
    Unquoted,
    /// Of a field (`errorFields`), within 400200.
    Wrapped,
    /// As `errorCode` beside `message`, and nothing else.
    Bare,
}

/// Refusals by name: status, number, OAuth 2.0 code and message. Those without a name are for faults alone, by their status.
macro_rules! refusals {
    ($($name:ident = $status:ident $code:literal $error:literal $message:literal;)*
     $(_ = $fault:ident $number:literal $class:literal $words:literal;)*) => {
        impl Refusal {
            $(pub(crate) const $name: Self = Self::new(StatusCode::$status, $code, $error, $message);)*
            const OF_FAULTS: &[Self] = &[$(Self::new(StatusCode::$fault, $number, $class, $words)),*];
        }
    };
}

// The words of those without a number are the sandbox's own.
refusals! {
    // Who sends the request is not established. Some numbers begin otherwise although the status is 401: so HERE has it.
    AUTHORIZATION_MISSING = UNAUTHORIZED 401_200 "invalid_client" "Authorization header is missing.";
    HEADER_MALFORMED = UNAUTHORIZED 401_202 "invalid_request" "Malformed OAuth 1.0 header.";
    TIMESTAMP_OUTSIDE = UNAUTHORIZED 401_204 "invalid_request" "Time stamp is outside the valid period.";
    SIGNATURE_METHOD = UNAUTHORIZED 401_205 "invalid_request" "Unsupported value for signature method.";
    VERSION = UNAUTHORIZED 401_206 "invalid_request" "Unsupported value for \"oauth_version\" parameter (should be 1.0).";
    NONCE_CONSUMED = UNAUTHORIZED 401_207 "invalid_request" "Nonce already consumed.";
    SIGNATURE_MISMATCH = UNAUTHORIZED 401_300 "invalid_client" "Signature mismatch. Authorization signature or client credential is wrong.";
    CLIENT_ID_AS_KEY_ID = UNAUTHORIZED 401_310 "invalid_client" "Invalid signature. Attempt to use client ID instead of access key identifier for consumer key.";
    APP_INACTIVE = UNAUTHORIZED 401_311 "invalid_client" "Requesting client status is not active.";
    KEY_DISABLED = UNAUTHORIZED 401_424 "invalid_client" "Access key has been disabled.";
    ASSERTION_AUDIENCE = UNAUTHORIZED 401_932 "invalid_client" "Client assertion audience is invalid.";
    ASSERTION_EXPIRED = UNAUTHORIZED 401_933 "invalid_client" "Client assertion is expired.";
    ASSERTION_CONSUMED = UNAUTHORIZED 401_934 "invalid_client" "Client assertion 'jti' already consumed.";
    ASSERTION_SIGNATURE = UNAUTHORIZED 401_952 "invalid_client" "Client assertion signature is invalid.";
    ASSERTION_KEY = UNAUTHORIZED 401_953 "invalid_client" "Client assertion key ('kid') cannot be found.";
    APP_UNKNOWN = UNAUTHORIZED 404_660 "invalid_client" "No app exists with the given Id.";
    ACCESS_TOKEN_INVALID = UNAUTHORIZED 400_601 "invalid_request" "Invalid accessToken.";

    // What is asked for.
    HOST_INVALID = BAD_REQUEST 0 "invalid_request" "Exactly one valid Host header is needed.";
    JSON_INVALID = BAD_REQUEST 400_002 "invalid_request" "Invalid JSON.";
    CONTENT_TYPE_MISSING = BAD_REQUEST 400_003 "invalid_request" "Content-Type header is missing.";
    CONTENT_TYPE_UNSUPPORTED = BAD_REQUEST 400_004 "invalid_request" "Content-Type header is something else than 'application/json'.";
    BODY_UNREADABLE = BAD_REQUEST 0 "invalid_request" "The request body cannot be read.";
    ASSERTION_MALFORMED = BAD_REQUEST 0 "invalid_request" "The client assertion is malformed.";
    FIELDS_INVALID = BAD_REQUEST 400_200 "invalid_request" "Received invalid data.  See json element 'errorFields' for more information.";
    SEVERAL_PROJECTS = BAD_REQUEST 400_981 "invalid_scope" "Only one project scope allowed in token.";
    NOT_A_MEMBER = FORBIDDEN 403_109 "invalid_scope" "Client is not a member of the project.";

    // Within FIELDS_INVALID.
    FIELD_MISSING = BAD_REQUEST 400_201 "invalid_request" "This field is required.";
    FIELD_EMPTY = BAD_REQUEST 400_202 "invalid_request" "This field cannot be empty.";
    NOT_A_NUMBER = BAD_REQUEST 400_208 "invalid_request" "Not a number.";
    TOO_SMALL = BAD_REQUEST 400_209 "invalid_request" "Value too small.";
    NOT_TEXT = BAD_REQUEST 400_217 "invalid_request" "Not a valid string value.";
    GRANT_TYPE = BAD_REQUEST 400_290 "unsupported_grant_type" "Illegal grant type.";
    SCOPE_CHARACTER = BAD_REQUEST 400_909 "invalid_scope" "Invalid character in scope field.";
    SCOPE = BAD_REQUEST 400_927 "invalid_scope" "Scope is invalid.";

    // What any HTTP server has to say.
    NOT_FOUND = NOT_FOUND 0 "invalid_request" "There is no such resource.";
    METHOD_NOT_ALLOWED = METHOD_NOT_ALLOWED 0 "invalid_request" "The resource does not support this method.";
    BODY_TOO_LARGE = PAYLOAD_TOO_LARGE 0 "invalid_request" "The request body is too large.";

    // What the control endpoint has to say.
    NOT_LOCAL = FORBIDDEN 0 "access_denied" "the control endpoint is for connections from this machine";
    PROXY = FORBIDDEN 0 "access_denied" "the control endpoint is not reachable through a proxy";
    HOST_NOT_LOCAL = FORBIDDEN 0 "access_denied" "the Host header must be a loopback name or address";
    FOREIGN_PAGE = FORBIDDEN 0 "access_denied" "a web page of another site must not use the control endpoint";

    // Only on request.
    _ = NOT_FOUND 404_000 "invalid_request" "User for the given access token cannot be found.";
    _ = CONFLICT 409_100 "invalid_request" "A password account with the specified email address already exists.";
    _ = PRECONDITION_FAILED 412_001 "invalid_request" "Precondition Failed";
    _ = TOO_MANY_REQUESTS 429_002 "invalid_request" "Request blocked because too many requests were made. Please wait for a while before making a new request.";
    _ = INTERNAL_SERVER_ERROR 500_203 "server_error" "Missing Thing Encrypted Secret.";
    _ = SERVICE_UNAVAILABLE 0 "temporarily_unavailable" "Service unavailable.";
    _ = GATEWAY_TIMEOUT 0 "temporarily_unavailable" "Service unavailable.";
}

impl Refusal {
    const fn new(status: StatusCode, code: u32, error: &'static str, message: &'static str) -> Self {
        Self { status, code, error, message: Cow::Borrowed(message), fields: Vec::new(), hint: None }
    }

    /// One or more fields are wrong; the answer lists them all.
    pub(crate) fn fields_invalid(fields: Vec<(&'static str, Self)>) -> Self {
        let error = fields.first().map_or("invalid_request", |(_, refusal)| refusal.error);
        Self { error, fields, ..Self::FIELDS_INVALID }
    }

    /// The answer of a fault: any status at all, with the code and words that HERE uses for it where they are known.
    pub(crate) fn from_fault(status: StatusCode, code: Option<u32>) -> Self {
        let message = status.canonical_reason().unwrap_or("An error was requested.");
        // What HERE answers most with the status.
        let usual = [Self::FIELDS_INVALID, Self::SIGNATURE_MISMATCH].into_iter();
        let usual = usual.chain(Self::OF_FAULTS.iter().cloned()).find(|usual| usual.status == status);
        let usual = usual.unwrap_or_else(|| Self::new(status, 0, "server_error", message));
        Self { code: code.unwrap_or(usual.code), ..usual }.with_hint("this answer is a requested fault")
    }

    /// A body that is no fault, or no array of them.
    pub(crate) fn no_faults(error: &serde_json::Error) -> Self {
        Self { message: error.to_string().into(), ..Self::BODY_UNREADABLE }
    }

    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The answer, with its number where a fault wants it; one without a number is the same everywhere.
    pub(crate) fn spelled(self, spelling: NumberSpelling) -> Response {
        let Self { status, code, error, ref message, ref fields, .. } = self;
        let error_id = format!("ERROR-{}", random::uuid());
        let body = match spelling {
            _ if code == 0 => return self.into_response(),
            NumberSpelling::Wrapped if !fields.is_empty() => return self.into_response(),
            NumberSpelling::Wrapped => {
                return Self { status, ..Self::fields_invalid(vec![("", self)]) }.into_response();
            }
            NumberSpelling::Quoted => json!({
                "errorId": error_id, "httpStatus": status.as_u16(), "error": error,
                "error_description": format!("errorCode: '{code}'. {message}"),
            }),
            NumberSpelling::Unquoted => json!({
                "title": message, "status": status.as_u16(), "code": "E110000", "cause": message,
                "action": "See the description.", "errorId": error_id, "error": error,
                "error_description": format!("errorCode: {code}. {message}"),
            }),
            NumberSpelling::Bare => json!({ "errorCode": code, "message": message }),
        };
        (status, uncached(body)).into_response()
    }
}

impl From<BytesRejection> for Refusal {
    fn from(rejection: BytesRejection) -> Self {
        let is_large = rejection.status() == StatusCode::PAYLOAD_TOO_LARGE;
        if is_large { Self::BODY_TOO_LARGE } else { Self::BODY_UNREADABLE }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, code, error, message, fields, hint } = &self;
        let field =
            |(name, why): &(_, Self)| json!({ "name": name, "errorCode": why.code, "message": why.message });
        let fields: Vec<_> = fields.iter().map(field).collect();
        let body = json!({
            "errorId": format!("ERROR-{}", random::uuid()),
            "httpStatus": status.as_u16(),
            "errorCode": Some(code).filter(|code| **code > 0),
            "message": message,
            "error": error,
            "error_description": if *code > 0 { format!("errorCode: '{code}'. {message}") } else { message.to_string() },
            "errorFields": Some(fields).filter(|fields| !fields.is_empty()),
            "sandboxHint": hint,
        });
        // The refusal is for a fault that has its number elsewhere.
        (self.status, Extension(self), uncached(body)).into_response()
    }
}

/// An answer that is not to be kept; fields that are null are left out.
pub(crate) fn uncached(body: Value) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(without_nulls(body))).into_response()
}

pub(crate) fn without_nulls(mut body: Value) -> Value {
    if let Value::Object(fields) = &mut body {
        fields.retain(|_, value| !value.is_null());
    }
    body
}
