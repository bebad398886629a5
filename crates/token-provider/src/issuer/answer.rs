//! Reads what a token endpoint answered: a token, or an error that says what to do.
//!
//! Pure. Nothing of the answer's body goes into an error but a number, and an id of a fixed form: a body can hold anything.

mod remedy;

use std::ops::Range;
use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Issued;
use super::http::Exchange;
use crate::credential::Credential;
use crate::error::{TokenError, TokenErrorKind};
use crate::token::{Scope, is_b64token};

/// HERE's numbers begin with an HTTP status. `E110000` is a class of errors; its number is in the text.
const CODES: Range<u32> = 400_000..600_000;
/// HERE's number for "see `errorFields`".
const FIELDS_INVALID: u32 = 400_200;
/// Where HERE writes its number: alone, or in a text (`errorCode: '401300'. …`).
const NUMBERED: [&str; 6] = ["errorCode", "code", "error_description", "message", "cause", "title"];
/// RFC 6749 §5.2. Gateways have other words: `Forbidden`, `unauthorized`.
const OAUTH_ERRORS: &str =
    "invalid_request invalid_client invalid_grant unauthorized_client unsupported_grant_type invalid_scope";
/// For 429, with or without a number.
const TOO_MANY: &str = "HERE returned 429 (too many requests); use fewer scopes and lifetimes, or fewer token \
                        providers per app";

/// The JSON object of an answer. Unknown fields are ignored, as in HERE's SDKs.
#[derive(Deserialize)]
struct Answer(Map<String, Value>);

impl Answer {
    /// Reads JSON, with or without a byte-order mark, which some gateways write (RFC 8259 §8.1 lets a reader ignore it).
    fn parse(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)).ok()
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Takes a field in either spelling that HERE uses. camelCase wins where both are there, as in HERE's C++ SDK.
    fn take(&mut self, camel: &str, snake: &str) -> Option<Value> {
        let mut take = |name| self.0.remove(name).filter(|value| !value.is_null());
        let (camel, snake) = (take(camel), take(snake));
        camel.or(snake)
    }

    /// Returns whether an error is HERE's, old or new. Gateways answer in JSON, too: `{"message":"Forbidden"}`.
    fn is_heres(&self) -> bool {
        let text = |name| self.get(name).and_then(Value::as_str);
        // `E110000`, in the newest form.
        let is_class = |code: &str| {
            let digits = code.strip_prefix('E').unwrap_or_default();
            digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        ["errorId", "errorCode", "errorFields", "httpStatus", "error_description"]
            .iter()
            .any(|name| self.get(name).is_some())
            || text("error").is_some_and(|error| OAUTH_ERRORS.split(' ').any(|known| known == error))
            || text("code").is_some_and(is_class)
            || self.code().is_some()
    }

    /// Returns HERE's number for an error. The number of a field says more than the one around it.
    fn code(&self) -> Option<u32> {
        let outer = NUMBERED.iter().find_map(|name| code(self.get(name)?));
        if outer.is_some_and(|code| code != FIELDS_INVALID) {
            return outer;
        }
        let fields = self.get("errorFields").and_then(Value::as_array);
        fields.into_iter().flatten().find_map(|field| code(field.get("errorCode")?)).or(outer)
    }

    /// Returns `ERROR-` and a UUID, or nothing.
    fn error_id(&self) -> Option<&str> {
        let id = self.get("errorId")?.as_str()?;
        let is_uuid = |uuid: &str| {
            uuid.split('-').map(str::len).eq([8, 4, 4, 4, 12])
                && uuid.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
        };
        id.strip_prefix("ERROR-").is_some_and(is_uuid).then_some(id)
    }
}

/// Reads an answer of HERE's to a request with this credential.
pub(super) fn read(
    exchange: &Exchange,
    now: SystemTime,
    credential: &Credential,
) -> Result<Issued, TokenError> {
    let status = exchange.status;
    if (200..300).contains(&status) {
        return token(exchange);
    }
    if (300..400).contains(&status) {
        return Err(TokenError::new(
            TokenErrorKind::InvalidAnswer { status: Some(status) },
            format!(
                "the token endpoint answered with a redirect ({status}), which is not followed; check \
                 here.token.endpoint.url"
            ),
        ));
    }
    let answer = Answer::parse(&exchange.body).filter(Answer::is_heres);
    let code = answer.as_ref().and_then(Answer::code);
    let error = match (status, code) {
        (408 | 500..=599, code) => {
            let code = code.map_or_else(String::new, |code| format!(", {code}"));
            let message = format!("the token endpoint is failing ({status}{code}); retrying");
            TokenError::new(TokenErrorKind::Unavailable { status }, message)
        }
        (429, _) | (_, Some(429_002 | 429_003)) => TokenError::new(TokenErrorKind::Throttled, TOO_MANY),
        _ if answer.is_none() => refusal_of_another(status),
        _ => remedy::refusal(status, code, credential),
    };
    let error_id = answer.as_ref().and_then(Answer::error_id);
    Err(error.with_retry_after(exchange.retry_after(now)).with_error_id(error_id))
}

/// Reads an answer that should have a token.
pub(super) fn token(exchange: &Exchange) -> Result<Issued, TokenError> {
    let invalid = |what: &str| {
        let message = format!(
            "the token endpoint's response {what}; check here.token.endpoint.url, and whether a proxy \
             intercepts it"
        );
        TokenError::new(TokenErrorKind::InvalidAnswer { status: Some(exchange.status) }, message)
    };
    let Some(mut answer) = Answer::parse(&exchange.body) else {
        return Err(invalid("is not a JSON token response"));
    };
    let Some(Value::String(access_token)) = answer.take("accessToken", "access_token") else {
        return Err(invalid("contains no access token"));
    };
    let access_token = SecretString::from(access_token);
    if !is_b64token(access_token.expose_secret()) {
        return Err(invalid("holds an access token that is not well-formed (RFC 6750 §2.1)"));
    }
    let is_bearer = |kind: &Value| kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
    if answer.take("tokenType", "token_type").is_some_and(|kind| !is_bearer(&kind)) {
        return Err(invalid("contains a token that is not of type Bearer"));
    }
    let expires_in = answer.take("expiresIn", "expires_in");
    let Some(expires_in) = expires_in.as_ref().and_then(seconds) else {
        return Err(invalid("does not say in whole seconds when the token expires (expires_in)"));
    };
    // A scope that is not well-formed is of no use to anyone; the token is.
    let scope = answer.get("scope").and_then(scope);
    Ok(Issued::new(access_token, Duration::from_secs(expires_in)).with_scope(scope))
}

/// A refusal by something that is not HERE.
fn refusal_of_another(status: u16) -> TokenError {
    let message = match status {
        404 | 405 => {
            format!("there is no token endpoint at this address ({status}); check here.token.endpoint.url")
        }
        407 => "a proxy requires authentication (407); check HTTPS_PROXY and NO_PROXY".to_owned(),
        _ => format!(
            "the request was refused ({status}) by something that is not HERE's token endpoint, most often a \
             proxy; check here.token.endpoint.url, HTTPS_PROXY and NO_PROXY"
        ),
    };
    TokenError::new(TokenErrorKind::InvalidAnswer { status: Some(status) }, message)
}

/// A number, `401300` or `E401300`, or that in a text: `errorCode: '401300'. …`, or the same without quotes.
fn code(value: &Value) -> Option<u32> {
    let text = value.as_str().unwrap_or_default();
    let digits = match text.split_once("errorCode:") {
        Some((_, after)) => {
            after.trim_start_matches([' ', '\'', '"']).split(|c: char| !c.is_ascii_digit()).next()
        }
        None => text.strip_prefix('E'),
    };
    let code = match digits {
        Some(digits) => digits.parse().ok()?,
        None => u32::try_from(seconds(value)?).ok()?,
    };
    CODES.contains(&code).then_some(code)
}

/// A whole number, `3600` or `3600.0`, or a string of one: some gateways rewrite JSON loosely.
fn seconds(value: &Value) -> Option<u64> {
    let number = match value {
        Value::String(text) => &serde_json::from_str(text.trim()).ok()?,
        other => other,
    };
    number.as_u64().or_else(|| {
        let whole = number.as_f64().filter(|number| number.fract() == 0.0)?;
        Some(Duration::try_from_secs_f64(whole).ok()?.as_secs())
    })
}

/// A string, or an array of strings, as some gateways rewrite a list.
fn scope(value: &Value) -> Option<Scope> {
    let text = match value {
        Value::Array(parts) => parts.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?.join(" "),
        other => other.as_str()?.to_owned(),
    };
    Scope::new(&text).ok()
}

#[cfg(test)]
mod tests;
