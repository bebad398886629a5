//! Reads the body of a token request: what it asks for, in which of two spellings.

use axum::http::{HeaderMap, header};
use serde_json::{Map, Value};

use crate::percent::{self, Pair};
use crate::problem::Refusal;
use crate::scope;

/// The one grant type that an access key is good for.
const CLIENT_CREDENTIALS: &str = "client_credentials";

/// The one kind of client assertion (RFC 7523 §2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The two names of a field of a request or of its answer: in JSON, which the C++ and JavaScript SDKs send, and in forms
/// (RFC 6749), which the Java SDK sends.
type Names = (&'static str, &'static str);

const GRANT_TYPE: Names = ("grantType", "grant_type");
const ASSERTION_TYPE: Names = ("clientAssertionType", "client_assertion_type");
const ASSERTION: Names = ("clientAssertion", "client_assertion");
pub(crate) const EXPIRES_IN: Names = ("expiresIn", "expires_in");
pub(crate) const SCOPE: Names = ("scope", "scope");
pub(crate) const ACCESS_TOKEN: Names = ("accessToken", "access_token");
pub(crate) const TOKEN_TYPE: Names = ("tokenType", "token_type");

/// The body of a token request.
#[derive(Debug)]
pub(crate) struct TokenRequestBody {
    /// `None` for JSON that is not well-formed, which is told only to those who are known.
    fields: Option<Map<String, Value>>,
    /// The fields of a form, every one of which is signed. A JSON body takes no part in the signature.
    pub(crate) form: Option<Vec<Pair>>,
}

/// What a token request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Seconds; `None` for the default.
    pub(crate) lifetime: Option<u64>,
    pub(crate) scope: Option<String>,
}

impl TokenRequestBody {
    pub(crate) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        let mut content_types = headers.get_all(header::CONTENT_TYPE).iter();
        let (first, second) = (content_types.next(), content_types.next());
        let content_type = first.ok_or(Refusal::CONTENT_TYPE_MISSING)?.to_str().unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match media_type.as_str() {
            "application/json" if second.is_none() => {
                Ok(Self { fields: serde_json::from_slice(body).ok(), form: None })
            }
            "application/x-www-form-urlencoded" if second.is_none() => {
                let pairs = percent::form_pairs(body).ok_or(Refusal::BODY_UNREADABLE)?;
                Ok(Self { fields: Some(form_fields(&pairs)), form: Some(pairs) })
            }
            _ => Err(Refusal::CONTENT_TYPE_UNSUPPORTED),
        }
    }

    /// Returns the name of a field in a body of this kind.
    pub(crate) fn name(&self, (json, form): Names) -> &'static str {
        if self.form.is_some() { form } else { json }
    }

    /// A JSON `null` is as good as no field.
    fn field(&self, names: Names) -> Option<&Value> {
        self.fields.as_ref()?.get(self.name(names)).filter(|value| !value.is_null())
    }

    /// Returns the client assertion, if the request has one.
    pub(crate) fn assertion(&self) -> Option<&str> {
        let text = |names| self.field(names).and_then(Value::as_str);
        text(ASSERTION).filter(|_| text(ASSERTION_TYPE) == Some(JWT_BEARER))
    }

    /// Reads what is requested; all fields that are wrong are named at once.
    pub(crate) fn grant(&self) -> Result<Grant, Refusal> {
        if self.fields.is_none() {
            return Err(Refusal::JSON_INVALID);
        }
        if self.field(SCOPE).and_then(Value::as_str).is_some_and(scope::is_several_projects) {
            return Err(Refusal::SEVERAL_PROJECTS);
        }
        let grant_type = self.field(GRANT_TYPE).ok_or(Refusal::FIELD_MISSING).and_then(read_grant_type);
        let lifetime = self.field(EXPIRES_IN).map(read_lifetime).transpose();
        let scope = self.field(SCOPE).map(read_scope).transpose();
        match (grant_type, lifetime, scope) {
            (Ok(()), Ok(lifetime), Ok(scope)) => {
                Ok(Grant { lifetime: lifetime.filter(|seconds| *seconds > 0), scope })
            }
            (grant_type, lifetime, scope) => {
                let wrong =
                    [(GRANT_TYPE, grant_type.err()), (EXPIRES_IN, lifetime.err()), (SCOPE, scope.err())];
                let named =
                    wrong.into_iter().filter_map(|(names, refusal)| Some((self.name(names), refusal?)));
                Err(Refusal::fields_invalid(named.collect()))
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
        let is_number =
            name == EXPIRES_IN.1 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let value = if is_number { text.parse().unwrap_or(u64::MAX).into() } else { Value::String(text) };
        if fields.insert(name.clone(), value).is_some() {
            fields.insert(name, "given twice".into());
        }
    }
    fields
}

fn read_grant_type(value: &Value) -> Result<(), Refusal> {
    if read_text(value)? == CLIENT_CREDENTIALS { Ok(()) } else { Err(Refusal::GRANT_TYPE) }
}

/// A whole number, zero or more, in digits; HERE clamps large ones, so the size is no error.
fn read_lifetime(value: &Value) -> Result<u64, Refusal> {
    match value {
        Value::Number(number) if number.is_i64() => number.as_u64().ok_or(Refusal::TOO_SMALL),
        Value::Number(number) => number.as_u64().ok_or(Refusal::NOT_A_NUMBER),
        Value::String(text) if text.is_empty() => Err(Refusal::FIELD_EMPTY),
        _ => Err(Refusal::NOT_A_NUMBER),
    }
}

fn read_scope(value: &Value) -> Result<String, Refusal> {
    let scope = read_text(value)?;
    let is_illegal = |c: char| !(c.is_ascii_graphic() || c == ' ') || "*<>\\|".contains(c);
    match scope {
        _ if scope::is_well_formed(scope) => Ok(scope.to_owned()),
        _ if scope.contains(is_illegal) => Err(Refusal::SCOPE_CHARACTER),
        _ => Err(Refusal::SCOPE),
    }
}

fn read_text(value: &Value) -> Result<&str, Refusal> {
    let text = value.as_str().ok_or(Refusal::NOT_TEXT)?;
    if text.is_empty() { Err(Refusal::FIELD_EMPTY) } else { Ok(text) }
}

#[cfg(test)]
mod tests;
