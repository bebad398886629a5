//! Reads what a token endpoint answered: a token, or an error that says what to do.
//!
//! Pure. Nothing of the answer's body but a number goes into an error: a body can hold anything.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::Issued;
use crate::error::{TokenError, TokenErrorKind};
use crate::token::{Scope, is_b64token};

/// HERE's number for "time stamp is outside the valid period".
pub(super) const TIMESTAMP_REFUSED: u32 = 401_204;
/// HERE's number for "nonce already consumed": something in between sent our request twice.
const NONCE_CONSUMED: u32 = 401_207;

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
        // RFC 6749 §5.2 has `invalid_client`, a gateway `Forbidden`.
        let is_oauth_code = |error: &str| error.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        ["errorId", "errorCode", "httpStatus", "error_description"]
            .iter()
            .any(|name| self.get(name).is_some())
            || self.get("error").and_then(Value::as_str).is_some_and(is_oauth_code)
            || self.code().is_some()
    }

    /// Returns HERE's number for an error. With RFC 6749 §5.2 it is in the text: `errorCode: '401300'. …`.
    fn code(&self) -> Option<u32> {
        let number = |name| u32::try_from(seconds(self.get(name)?)?).ok();
        let in_text = || {
            let (_, after) = self.get("error_description")?.as_str()?.split_once("errorCode: '")?;
            after.split_once('\'')?.0.parse().ok()
        };
        number("errorCode").or_else(|| number("code")).or_else(in_text)
    }
}

/// Reads an answer of the given status; `place` is what the errors call the place that the credential is from.
pub(super) fn read(
    status: u16,
    retry_after: Option<Duration>,
    body: &[u8],
    place: &str,
) -> Result<Issued, TokenError> {
    match status {
        200..=299 => success(status, body),
        300..=399 => Err(TokenError::new(
            TokenErrorKind::InvalidAnswer { status: Some(status) },
            format!(
                "the token endpoint answered with a redirect ({status}), which is not followed; check \
                     here.token.endpoint.url"
            ),
        )),
        429 => Err(TokenError::new(
            TokenErrorKind::Throttled,
            "HERE returned 429 (too many requests); use fewer scopes and lifetimes, or fewer token \
             providers per app",
        )
        .with_retry_after(retry_after)),
        408 | 500..=599 => {
            let code = Answer::parse(body).and_then(|answer| answer.code());
            let code = code.map_or_else(String::new, |code| format!(", {code}"));
            Err(TokenError::new(
                TokenErrorKind::Unavailable { status },
                format!("the token endpoint is failing ({status}{code}); retrying"),
            )
            .with_retry_after(retry_after))
        }
        _ => Err(refusal(status, body, place).with_retry_after(retry_after)),
    }
}

fn success(status: u16, body: &[u8]) -> Result<Issued, TokenError> {
    let invalid = |what: &str| {
        let message = format!(
            "the token endpoint's response {what}; check here.token.endpoint.url, and whether a proxy \
             intercepts it"
        );
        TokenError::new(TokenErrorKind::InvalidAnswer { status: Some(status) }, message)
    };
    let Some(mut answer) = Answer::parse(body) else {
        return Err(invalid("is not a JSON token response"));
    };
    // Wiped from here on.
    let Some(Value::String(access_token)) = answer.take("accessToken", "access_token") else {
        return Err(invalid("contains no access token"));
    };
    let access_token = Zeroizing::new(access_token);
    if !is_b64token(&access_token) {
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
    Ok(Issued::wiped(access_token, Duration::from_secs(expires_in)).with_scope(scope))
}

fn refusal(status: u16, body: &[u8], place: &str) -> TokenError {
    let Some(answer) = Answer::parse(body).filter(Answer::is_heres) else {
        return refusal_of_another(status);
    };
    let code = answer.code();
    let number = code.map_or_else(|| format!("status {status}"), |code| code.to_string());
    let message = match code {
        Some(TIMESTAMP_REFUSED) => {
            return TokenError::new(
                TokenErrorKind::ClockSkew,
                format!(
                    "HERE refused the timestamp ({number}): set this machine's clock, preferably with NTP"
                ),
            );
        }
        Some(NONCE_CONSUMED) => {
            // Worth repeating, with the new nonce that every attempt has.
            return TokenError::new(
                TokenErrorKind::Unavailable { status },
                format!(
                    "HERE has seen this request before ({number}): something in between sends requests twice"
                ),
            );
        }
        Some(401_300) => {
            format!(
                "HERE refused the access key ({number}): check here.access.key.id and here.access.key.secret \
                 in {place}; both must belong to the same key"
            )
        }
        Some(401_310) => format!(
            "HERE refused the access key id ({number}): here.access.key.id in {place} holds the client id; \
             put the access key id there"
        ),
        Some(401_600) => format!(
            "HERE does not know this access key ({number}): check here.access.key.id in {place}; the key may \
             have been deleted"
        ),
        Some(401_302) => format!(
            "HERE does not let this app use the endpoint ({number}): check the app's permissions in the \
             HERE portal, and here.token.endpoint.url"
        ),
        Some(401_200..=401_206) => format!(
            "HERE could not read the signature ({number}): something in between, most likely a proxy, \
             changes the Authorization header"
        ),
        Some(400_200..=400_299) => {
            format!("HERE refused the scope or the lifetime ({number}): check both")
        }
        _ if status == 401 || status == 403 => format!(
            "HERE refused the access key ({number}): check here.access.key.id and here.access.key.secret in {place}"
        ),
        _ => format!("HERE refused the request ({number}): check here.token.endpoint.url and the scope"),
    };
    TokenError::new(TokenErrorKind::Rejected { status, code }, message)
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
