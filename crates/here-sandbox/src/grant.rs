//! Reads the body of a token request: what is asked for, in which of the two spellings.

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::percent::{self, Pair};
use crate::problem::{FieldProblem, Refusal};
use crate::scope;

/// The one grant type that an access key can ask with.
const CLIENT_CREDENTIALS: &str = "client_credentials";

/// The body of a token request, told apart by its content type.
#[derive(Debug)]
pub(crate) enum TokenRequestBody {
    /// Camel case; takes no part in the signature. The C++ and JavaScript SDKs send it.
    Json(Bytes),
    /// Snake case; every field is signed. The Java SDK sends it.
    Form(Vec<Pair>),
}

/// What a token request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Seconds; `None` for the default.
    pub(crate) lifetime: Option<u64>,
    pub(crate) scope: Option<String>,
}

/// The names of the fields in one spelling.
struct Names {
    grant_type: &'static str,
    expires_in: &'static str,
    scope: &'static str,
}

const CAMEL_CASE: Names = Names { grant_type: "grantType", expires_in: "expiresIn", scope: "scope" };
const SNAKE_CASE: Names = Names { grant_type: "grant_type", expires_in: "expires_in", scope: "scope" };

impl TokenRequestBody {
    pub(crate) fn read(headers: &HeaderMap, body: Bytes) -> Result<Self, Refusal> {
        let mut content_types = headers.get_all(header::CONTENT_TYPE).iter();
        let (first, second) = (content_types.next(), content_types.next());
        let content_type = first.ok_or_else(Refusal::content_type_missing)?.to_str().unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match media_type.as_str() {
            _ if second.is_some() => Err(Refusal::content_type_unsupported()),
            "application/json" => Ok(Self::Json(body)),
            "application/x-www-form-urlencoded" => match percent::form_pairs(&body) {
                Some(pairs) => Ok(Self::Form(pairs)),
                None => Err(Refusal::body_unreadable()),
            },
            _ => Err(Refusal::content_type_unsupported()),
        }
    }

    /// The fields that the signature covers.
    pub(crate) fn signed_fields(&self) -> &[Pair] {
        match self {
            Self::Json(_) => &[],
            Self::Form(pairs) => pairs,
        }
    }

    /// Reads what is asked for; all fields that are wrong are named at once. `allowed` limits the scopes.
    pub(crate) fn grant(&self, allowed: Option<&[String]>) -> Result<Grant, Refusal> {
        let fields = match self {
            Self::Json(body) => {
                Fields::Json(serde_json::from_slice(body).map_err(|_| Refusal::json_invalid())?)
            }
            Self::Form(pairs) => Fields::Form(pairs),
        };
        let names = fields.names();
        let grant_type = read_grant_type(fields.value(names.grant_type), names.grant_type);
        let lifetime =
            fields.value(names.expires_in).map(|value| read_lifetime(&value, names.expires_in)).transpose();
        let scope =
            fields.value(names.scope).map(|value| read_scope(value, names.scope, allowed)).transpose();
        match (grant_type, lifetime, scope) {
            (Ok(()), Ok(lifetime), Ok(scope)) => {
                Ok(Grant { lifetime: lifetime.filter(|seconds| *seconds > 0), scope })
            }
            (grant_type, lifetime, scope) => {
                let problems = [grant_type.err(), lifetime.err(), scope.err()];
                Err(Refusal::fields_invalid(problems.into_iter().flatten().collect()))
            }
        }
    }
}

/// The fields of a body in either form.
enum Fields<'a> {
    Json(Map<String, Value>),
    Form(&'a [Pair]),
}

impl Fields<'_> {
    fn names(&self) -> &'static Names {
        match self {
            Self::Json(_) => &CAMEL_CASE,
            Self::Form(_) => &SNAKE_CASE,
        }
    }

    /// A JSON `null` is as good as no field.
    fn value(&self, name: &str) -> Option<Value> {
        match self {
            Self::Json(object) => object.get(name).filter(|value| !value.is_null()).cloned(),
            Self::Form(pairs) => form_field(pairs, name),
        }
    }
}

fn read_grant_type(value: Option<Value>, name: &'static str) -> Result<(), FieldProblem> {
    let required = FieldProblem {
        name,
        error_code: 400_201,
        message: "This field is required.",
        error: "invalid_request",
    };
    let grant_type = read_text(value.ok_or(required)?, name)?;
    if grant_type == CLIENT_CREDENTIALS {
        return Ok(());
    }
    Err(FieldProblem { error: "unsupported_grant_type", ..illegal(name) })
}

/// A whole number, zero or more, in digits; HERE clamps large ones, so the size is no error.
fn read_lifetime(value: &Value, name: &'static str) -> Result<u64, FieldProblem> {
    match value {
        Value::Number(number) => number.as_u64().ok_or_else(|| illegal(name)),
        Value::String(text) if text.is_empty() => Err(empty(name)),
        _ => Err(illegal(name)),
    }
}

fn read_scope(value: Value, name: &'static str, allowed: Option<&[String]>) -> Result<String, FieldProblem> {
    let scope = read_text(value, name)?;
    if scope::is_well_formed(&scope) && allowed.is_none_or(|list| list.contains(&scope)) {
        return Ok(scope);
    }
    Err(FieldProblem { error: "invalid_scope", ..illegal(name) })
}

fn read_text(value: Value, name: &'static str) -> Result<String, FieldProblem> {
    match value {
        Value::String(text) if text.is_empty() => Err(empty(name)),
        Value::String(text) => Ok(text),
        _ => Err(FieldProblem {
            name,
            error_code: 400_217,
            message: "Not a valid string value.",
            error: "invalid_request",
        }),
    }
}

fn empty(name: &'static str) -> FieldProblem {
    FieldProblem {
        name,
        error_code: 400_202,
        message: "This field cannot be empty.",
        error: "invalid_request",
    }
}

fn illegal(name: &'static str) -> FieldProblem {
    FieldProblem {
        name,
        error_code: 400_203,
        message: "This field has an invalid value.",
        error: "invalid_request",
    }
}

/// A form has only text; digits alone become a number, as `expires_in` wants it. A field that is repeated
/// or not UTF-8 becomes a value that no field can have.
fn form_field(pairs: &[Pair], name: &str) -> Option<Value> {
    let mut values =
        pairs.iter().filter(|(candidate, _)| candidate == name.as_bytes()).map(|(_, value)| value);
    let first = values.next()?;
    if values.next().is_some() {
        return Some(Value::String(format!("repeated {name}")));
    }
    let text = String::from_utf8(first.clone()).unwrap_or_else(|_| "not UTF-8".into());
    let is_number =
        name == SNAKE_CASE.expires_in && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    Some(if is_number { text.parse().unwrap_or(u64::MAX).into() } else { Value::String(text) })
}

#[cfg(test)]
mod tests;
