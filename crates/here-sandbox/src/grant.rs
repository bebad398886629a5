//! Reads the body of a token request: what it asks for, in which of two spellings.

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::percent::{self, Pair};
use crate::problem::{FieldProblem, Refusal};
use crate::scope;

/// The one grant type that an access key is good for.
const CLIENT_CREDENTIALS: &str = "client_credentials";

/// The one kind of client assertion (RFC 7523 §2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The names of the fields of a request and of its answer, in one spelling.
#[derive(Debug)]
pub(crate) struct Spelling {
    grant_type: &'static str,
    assertion_type: &'static str,
    assertion: &'static str,
    pub(crate) expires_in: &'static str,
    pub(crate) scope: &'static str,
    pub(crate) access_token: &'static str,
    pub(crate) token_type: &'static str,
}

/// Of JSON requests. The C++ and JavaScript SDKs send them.
const CAMEL_CASE: Spelling = Spelling {
    grant_type: "grantType",
    assertion_type: "clientAssertionType",
    assertion: "clientAssertion",
    expires_in: "expiresIn",
    scope: "scope",
    access_token: "accessToken",
    token_type: "tokenType",
};

/// Of forms, as in RFC 6749. The Java SDK sends them.
const SNAKE_CASE: Spelling = Spelling {
    grant_type: "grant_type",
    assertion_type: "client_assertion_type",
    assertion: "client_assertion",
    expires_in: "expires_in",
    scope: "scope",
    access_token: "access_token",
    token_type: "token_type",
};

/// The body of a token request, told apart by its content type.
#[derive(Debug)]
pub(crate) enum TokenRequestBody {
    /// Takes no part in the signature.
    Json(Bytes),
    /// Every field is signed.
    Form(Vec<Pair>),
}

/// What a token request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Seconds; `None` for the default.
    pub(crate) lifetime: Option<u64>,
    pub(crate) scope: Option<String>,
}

impl TokenRequestBody {
    pub(crate) fn read(headers: &HeaderMap, body: Bytes) -> Result<Self, Refusal> {
        let mut content_types = headers.get_all(header::CONTENT_TYPE).iter();
        let (first, second) = (content_types.next(), content_types.next());
        let content_type = first.ok_or(Refusal::CONTENT_TYPE_MISSING)?.to_str().unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match media_type.as_str() {
            "application/json" if second.is_none() => Ok(Self::Json(body)),
            "application/x-www-form-urlencoded" if second.is_none() => {
                percent::form_pairs(&body).map(Self::Form).ok_or(Refusal::BODY_UNREADABLE)
            }
            _ => Err(Refusal::CONTENT_TYPE_UNSUPPORTED),
        }
    }

    pub(crate) fn spelling(&self) -> &'static Spelling {
        match self {
            Self::Json(_) => &CAMEL_CASE,
            Self::Form(_) => &SNAKE_CASE,
        }
    }

    /// The fields that the signature covers.
    pub(crate) fn signed_fields(&self) -> &[Pair] {
        match self {
            Self::Json(_) => &[],
            Self::Form(pairs) => pairs,
        }
    }

    fn fields(&self) -> Result<Map<String, Value>, Refusal> {
        let mut fields = match self {
            Self::Json(body) => serde_json::from_slice(body).map_err(|_| Refusal::JSON_INVALID)?,
            Self::Form(pairs) => form_fields(pairs),
        };
        // A JSON `null` is as good as no field.
        fields.retain(|_, value| !value.is_null());
        Ok(fields)
    }

    /// Returns the client assertion, if the request has one.
    pub(crate) fn assertion(&self) -> Option<String> {
        let fields = self.fields().ok()?;
        let text = |name| fields.get(name).and_then(Value::as_str);
        let Spelling { assertion_type, assertion, .. } = *self.spelling();
        text(assertion).filter(|_| text(assertion_type) == Some(ASSERTION_TYPE)).map(str::to_owned)
    }

    /// Reads what is requested; all fields that are wrong are named at once.
    pub(crate) fn grant(&self) -> Result<Grant, Refusal> {
        let mut fields = self.fields()?;
        let Spelling { grant_type, expires_in, scope, .. } = *self.spelling();
        let granted_type = read_grant_type(fields.remove(grant_type), grant_type);
        let lifetime = fields.remove(expires_in).map(|value| read_lifetime(&value, expires_in)).transpose();
        if fields.get(scope).and_then(Value::as_str).is_some_and(scope::is_several_projects) {
            return Err(Refusal::SEVERAL_PROJECTS);
        }
        let scope = fields.remove(scope).map(|value| read_scope(value, scope)).transpose();
        match (granted_type, lifetime, scope) {
            (Ok(()), Ok(lifetime), Ok(scope)) => {
                Ok(Grant { lifetime: lifetime.filter(|seconds| *seconds > 0), scope })
            }
            (granted_type, lifetime, scope) => {
                let problems = [granted_type.err(), lifetime.err(), scope.err()];
                Err(Refusal::fields_invalid(problems.into_iter().flatten().collect()))
            }
        }
    }
}

/// A form has only text; digits alone become a number, as `expires_in` wants it. A field that is repeated or not UTF-8
/// becomes a value that no field can have.
fn form_fields(pairs: &[Pair]) -> Map<String, Value> {
    let mut fields = Map::new();
    for (name, value) in pairs {
        let name = String::from_utf8_lossy(name).into_owned();
        let text = String::from_utf8(value.clone()).unwrap_or_else(|_| "not UTF-8".to_owned());
        let is_number = name == SNAKE_CASE.expires_in
            && !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_digit());
        let value = if is_number { text.parse().unwrap_or(u64::MAX).into() } else { Value::String(text) };
        if fields.insert(name.clone(), value).is_some() {
            fields.insert(name, "given twice".into());
        }
    }
    fields
}

fn read_grant_type(value: Option<Value>, name: &'static str) -> Result<(), FieldProblem> {
    let required = problem(name, 400_201, "This field is required.");
    if read_text(value.ok_or(required)?, name)? == CLIENT_CREDENTIALS {
        return Ok(());
    }
    let illegal = problem(name, 400_290, "Illegal grant type.");
    Err(FieldProblem { error: "unsupported_grant_type", ..illegal })
}

/// A whole number, zero or more, in digits; HERE clamps large ones, so the size is no error.
fn read_lifetime(value: &Value, name: &'static str) -> Result<u64, FieldProblem> {
    let not_a_number = problem(name, 400_208, "Not a number.");
    match value {
        Value::Number(number) => number.as_u64().ok_or_else(|| match number.as_i64() {
            Some(_negative) => problem(name, 400_209, "Value too small."),
            None => not_a_number,
        }),
        Value::String(text) if text.is_empty() => Err(empty(name)),
        _ => Err(not_a_number),
    }
}

fn read_scope(value: Value, name: &'static str) -> Result<String, FieldProblem> {
    let scope = read_text(value, name)?;
    if scope::is_well_formed(&scope) {
        return Ok(scope);
    }
    let is_illegal = |c: char| !(c.is_ascii_graphic() || c == ' ') || "*<>\\|".contains(c);
    Err(if scope.contains(is_illegal) {
        FieldProblem::scope(400_909, "Invalid character in scope field.")
    } else {
        FieldProblem::scope(400_927, "Scope is invalid.")
    })
}

fn read_text(value: Value, name: &'static str) -> Result<String, FieldProblem> {
    match value {
        Value::String(text) if text.is_empty() => Err(empty(name)),
        Value::String(text) => Ok(text),
        _ => Err(problem(name, 400_217, "Not a valid string value.")),
    }
}

fn empty(name: &'static str) -> FieldProblem {
    problem(name, 400_202, "This field cannot be empty.")
}

fn problem(name: &'static str, error_code: u32, message: &'static str) -> FieldProblem {
    FieldProblem { name, error_code, message, error: "invalid_request" }
}

#[cfg(test)]
mod tests;
