//! What the account answers when it refuses: HERE's status, error code and body for every reason, in one place.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::random;

const FIELDS_MESSAGE: &str = "Received invalid data.  See json element 'errorFields' for more information.";
const MISMATCH_MESSAGE: &str = "Signature mismatch. Authorization signature or client credential is wrong.";

/// Why a request was refused. HERE numbers most reasons; those without a number have no documented one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: StatusCode,
    pub(crate) code: Option<u32>,
    /// The OAuth 2.0 code beside HERE's own.
    error: &'static str,
    message: &'static str,
    fields: Vec<FieldProblem>,
    /// What the sandbox can say beyond HERE's words, for the person at the other end.
    hint: Option<String>,
}

/// What is wrong with one field of the request body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FieldProblem {
    pub(crate) name: &'static str,
    pub(crate) error_code: u32,
    pub(crate) message: &'static str,
    #[serde(skip)]
    pub(crate) error: &'static str,
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

/// The 401 family: who sends the request is not established.
impl Refusal {
    pub(crate) const AUTHORIZATION_MISSING: Self =
        Self::client_unknown(401_200, "Authorization header is missing.");
    pub(crate) const SIGNATURE_METHOD: Self =
        Self::not_authorized(401_205, "Unsupported value for signature method.");
    pub(crate) const VERSION: Self =
        Self::not_authorized(401_206, "Unsupported value for \"oauth_version\" parameter (should be 1.0).");
    pub(crate) const NONCE_CONSUMED: Self = Self::not_authorized(401_207, "Nonce already consumed.");
    pub(crate) const CLIENT_ID_AS_KEY_ID: Self = Self::client_unknown(
        401_310,
        "Invalid signature. Attempt to use client ID instead of access key identifier for consumer key.",
    );

    pub(crate) const KEY_DISABLED: Self = Self::client_unknown(401_424, "Access key has been disabled.");
    pub(crate) const APP_INACTIVE: Self =
        Self::client_unknown(401_311, "Requesting client status is not active.");
    /// The code begins with 404 although the status is 401, as HERE has it.
    pub(crate) const APP_UNKNOWN: Self = Self::client_unknown(404_660, "No app exists with the given Id.");
    pub(crate) const ASSERTION_CONSUMED: Self =
        Self::client_unknown(401_934, "Client assertion 'jti' already consumed.");
    pub(crate) const ASSERTION_SIGNATURE: Self =
        Self::client_unknown(401_952, "Client assertion signature is invalid.");
    pub(crate) const ASSERTION_KEY: Self =
        Self::client_unknown(401_953, "Client assertion key ('kid') cannot be found.");

    pub(crate) fn assertion_audience(expected: &str) -> Self {
        Self::client_unknown(401_932, "Client assertion audience is invalid.")
            .with_hint(format!("this endpoint is {expected}"))
    }

    pub(crate) fn assertion_expired(left_seconds: i64) -> Self {
        Self::client_unknown(401_933, "Client assertion is expired.")
            .with_hint(format!("exp is {left_seconds} s after the server's time"))
    }

    pub(crate) fn header_malformed(why: impl Into<String>) -> Self {
        Self::not_authorized(401_202, "Malformed OAuth 1.0 header.").with_hint(why)
    }

    pub(crate) fn timestamp_outside(offset_seconds: i64) -> Self {
        Self::not_authorized(401_204, "Time stamp is outside the valid period.")
            .with_hint(format!("the request's offset from the server's clock is {offset_seconds} s"))
    }

    pub(crate) fn signature_mismatch(hint: &str) -> Self {
        Self::client_unknown(401_300, MISMATCH_MESSAGE).with_hint(hint)
    }

    /// The code begins with 400 although the status is 401: that is how HERE numbers it.
    pub(crate) fn access_token_invalid(hint: impl Into<String>) -> Self {
        Self::not_authorized(400_601, "Invalid accessToken.").with_hint(hint)
    }

    const fn not_authorized(code: u32, message: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Some(code), "invalid_request", message)
    }

    const fn client_unknown(code: u32, message: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Some(code), "invalid_client", message)
    }
}

/// The 400 family, 403, and what any HTTP server has to say.
impl Refusal {
    pub(crate) const SEVERAL_PROJECTS: Self = Self::new(
        StatusCode::BAD_REQUEST,
        Some(400_981),
        "invalid_scope",
        "Only one project scope allowed in token.",
    );
    pub(crate) const NOT_A_MEMBER: Self = Self::new(
        StatusCode::FORBIDDEN,
        Some(403_109),
        "invalid_scope",
        "Client is not a member of the project.",
    );
    pub(crate) const HOST_INVALID: Self = Self::bad(None, "Exactly one valid Host header is needed.");
    pub(crate) const JSON_INVALID: Self = Self::bad(Some(400_002), "Invalid JSON.");
    pub(crate) const CONTENT_TYPE_MISSING: Self = Self::bad(Some(400_003), "Content-Type header is missing.");
    pub(crate) const CONTENT_TYPE_UNSUPPORTED: Self =
        Self::bad(Some(400_004), "Content-Type header is something else than 'application/json'.");
    pub(crate) const BODY_UNREADABLE: Self = Self::bad(None, "The request body cannot be read.");
    pub(crate) const BODY_TOO_LARGE: Self =
        Self::http(StatusCode::PAYLOAD_TOO_LARGE, "The request body is too large.");
    pub(crate) const NOT_FOUND: Self = Self::http(StatusCode::NOT_FOUND, "There is no such resource.");
    pub(crate) const METHOD_NOT_ALLOWED: Self =
        Self::http(StatusCode::METHOD_NOT_ALLOWED, "The resource does not support this method.");

    /// Without a documented number.
    pub(crate) fn assertion_malformed(why: impl Into<String>) -> Self {
        Self::bad(None, "The client assertion is malformed.").with_hint(why)
    }

    /// One or more fields are wrong; the answer lists them all.
    pub(crate) fn fields_invalid(fields: Vec<FieldProblem>) -> Self {
        let error = fields.first().map_or("invalid_request", |field| field.error);
        Self { error, fields, ..Self::bad(Some(400_200), FIELDS_MESSAGE) }
    }

    /// The scope is one that the app may not have, or there must be one. HERE documents no number for either.
    pub(crate) fn scope_invalid() -> Self {
        Self::fields_invalid(vec![FieldProblem::scope(400_927, "Scope is invalid.")])
    }

    /// The answer of a fault: any status at all, with the code and words that HERE uses for it where they are known.
    pub(crate) fn from_fault(status: StatusCode, code: Option<u32>) -> Self {
        let (known_code, error, message) = match status.as_u16() {
            400 => (Some(400_200), "invalid_request", FIELDS_MESSAGE),
            401 => (Some(401_300), "invalid_client", MISMATCH_MESSAGE),
            404 => (Some(404_000), "invalid_request", "User for the given access token cannot be found."),
            409 => (
                Some(409_100),
                "invalid_request",
                "A password account with the specified email address already exists.",
            ),
            412 => (Some(412_001), "invalid_request", "Precondition Failed"),
            429 => (
                Some(429_002),
                "invalid_request",
                "Request blocked because too many requests were made. Please wait for a while before making a new request.",
            ),
            500 => (Some(500_203), "server_error", "Missing Thing Encrypted Secret."),
            503 | 504 => (None, "temporarily_unavailable", "Service unavailable."),
            _ => (None, "server_error", status.canonical_reason().unwrap_or("An error was requested.")),
        };
        Self::new(status, code.or(known_code), error, message).with_hint("this answer is a requested fault")
    }

    const fn bad(code: Option<u32>, message: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, "invalid_request", message)
    }

    const fn http(status: StatusCode, message: &'static str) -> Self {
        Self::new(status, None, "invalid_request", message)
    }
}

impl Refusal {
    const fn new(status: StatusCode, code: Option<u32>, error: &'static str, message: &'static str) -> Self {
        Self { status, code, error, message, fields: Vec::new(), hint: None }
    }

    fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl FieldProblem {
    pub(crate) const fn scope(error_code: u32, message: &'static str) -> Self {
        Self { name: "scope", error_code, message, error: "invalid_scope" }
    }
}

impl Refusal {
    /// The answer, with its number where a fault wants it; one without a number is the same everywhere.
    pub(crate) fn spelled(self, spelling: NumberSpelling) -> Response {
        let Self { status, code: Some(code), error, message, .. } = self else { return self.into_response() };
        let error_id = format!("ERROR-{}", random::uuid());
        let body = match spelling {
            NumberSpelling::Wrapped if !self.fields.is_empty() => return self.into_response(),
            NumberSpelling::Wrapped => {
                let field = FieldProblem { name: "", error_code: code, message, error };
                return Self { status, ..Self::fields_invalid(vec![field]) }.into_response();
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

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let refusal = self.clone();
        let error_description = match self.code {
            Some(code) => format!("errorCode: '{code}'. {}", self.message),
            None => self.message.to_owned(),
        };
        let body = json!({
            "errorId": format!("ERROR-{}", random::uuid()),
            "httpStatus": self.status.as_u16(),
            "errorCode": self.code,
            "message": self.message,
            "error": self.error,
            "error_description": error_description,
            "errorFields": Some(self.fields).filter(|fields| !fields.is_empty()),
            "sandboxHint": self.hint,
        });
        // The refusal is for a fault that has its number elsewhere.
        (self.status, Extension(refusal), uncached(body)).into_response()
    }
}

/// An answer that is not to be kept; fields that are null are left out.
pub(crate) fn uncached(mut body: Value) -> Response {
    if let Value::Object(fields) = &mut body {
        fields.retain(|_, value| !value.is_null());
    }
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (no_store, Json(body)).into_response()
}
