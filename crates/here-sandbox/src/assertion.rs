//! Checks client assertions (RFC 7523 §3): JWTs signed with a key whose public half is registered with the app.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;

use crate::problem::Refusal;
use crate::token::APP_ID;

/// How far `iat` may lie ahead of the sandbox's clock. HERE does not publish it.
const WINDOW: i64 = 300;

/// How long an assertion may be good for: twice what HERE's Java SDK writes. HERE does not publish it.
const MAX_LIFETIME: i64 = 600;

/// How long the id of an assertion is remembered at least: until the last moment at which it could be accepted.
pub(crate) const KEPT_FOR: i64 = WINDOW + MAX_LIFETIME;

/// The longest `jti`, which is remembered.
const MAX_ID: usize = 256;

/// What an assertion says (RFC 7523 §3).
#[derive(Deserialize)]
pub(crate) struct Claims {
    iss: String,
    sub: String,
    /// One, or a list (RFC 7519 §4.1.3).
    aud: Value,
    iat: i64,
    exp: i64,
    pub(crate) jti: String,
}

/// Reads a JWK, or a set of them.
pub(crate) fn read_jwks(text: &str) -> serde_json::Result<Vec<Jwk>> {
    let value: Value = serde_json::from_str(text)?;
    if value.get("keys").is_some() {
        return serde_json::from_value(value).map(|JwkSet { keys }| keys);
    }
    Ok(vec![serde_json::from_value(value)?])
}

/// Checks everything but whether the assertion was used before. Returns the name of its key, too.
pub(crate) fn verify(
    assertion: &str,
    keys: &[Jwk],
    audience: &str,
    now: i64,
) -> Result<(Claims, Option<String>), Refusal> {
    let malformed =
        |error: jsonwebtoken::errors::Error| Refusal::ASSERTION_MALFORMED.with_hint(error.to_string());
    let named = decode_header(assertion).map_err(malformed)?.kid;
    let mut refusal = Refusal::ASSERTION_KEY;
    for key in keys.iter().filter(|key| named.is_none() || named == key.common.key_id) {
        match read(assertion, key) {
            Ok(claims) => {
                return check(claims, audience, now).map(|claims| (claims, key.common.key_id.clone()));
            }
            // The signature was right.
            Err(error) if matches!(error.kind(), ErrorKind::Json(_)) => return Err(malformed(error)),
            Err(_) => refusal = Refusal::ASSERTION_SIGNATURE,
        }
    }
    Err(refusal)
}

/// The algorithm is the key's: what the assertion's header says must not decide how a key is used.
fn read(assertion: &str, key: &Jwk) -> jsonwebtoken::errors::Result<Claims> {
    let mut validation = Validation::new(match &key.algorithm {
        AlgorithmParameters::EllipticCurve(_) => Algorithm::ES256,
        _ => Algorithm::RS256,
    });
    // By the sandbox's clock, in `check`.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    decode(assertion, &DecodingKey::from_jwk(key)?, &validation).map(|data| data.claims)
}

fn check(claims: Claims, audience: &str, now: i64) -> Result<Claims, Refusal> {
    if claims.iss != APP_ID || claims.sub != APP_ID {
        return Err(Refusal::APP_UNKNOWN);
    }
    let is_ours = |named: &Value| named == audience;
    if !is_ours(&claims.aud) && !claims.aud.as_array().is_some_and(|named| named.iter().any(is_ours)) {
        return Err(Refusal::ASSERTION_AUDIENCE.with_hint(format!("this endpoint is {audience}")));
    }
    let is_timely = claims.iat <= now.saturating_add(WINDOW)
        && claims.exp > now
        && claims.exp.saturating_sub(claims.iat) <= MAX_LIFETIME;
    if !is_timely {
        let hint = format!("exp is {} s after the server's time", claims.exp.saturating_sub(now));
        return Err(Refusal::ASSERTION_EXPIRED.with_hint(hint));
    }
    if claims.jti.is_empty() || claims.jti.len() > MAX_ID {
        return Err(Refusal::ASSERTION_MALFORMED.with_hint("jti is empty or too long"));
    }
    Ok(claims)
}
