//! What a token must say: from whom it is, for whom, when it holds, and about whom (RFC 7519 §4.1, RFC 9068 §4, `OpenID`
//! Connect Core §3.1.3.7).
//!
//! Not left to `jsonwebtoken`, which reads the system's clock itself, accepts a list of issuers and a token without `aud`
//! or `iss`, and knows nothing of `iat`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::token::Members;
use crate::config::OidcConfig;
use crate::reason::Rejection;
use crate::values::claim::texts;
use crate::values::name::is_plain;

/// `OpenID` Connect Core §2: at most 255 ASCII characters.
const MAX_SUBJECT: usize = 255;

/// Claims that hold several words in one string (RFC 8693 §4.2, and the name that Entra ID gives the same).
const WORD_CLAIMS: [&str; 2] = ["scope", "scp"];

/// Judges everything but the signature and the required claims. Returns the subject.
pub(super) fn judge<'a>(
    claims: &'a Members,
    config: &OidcConfig,
    now: Duration,
) -> Result<&'a str, Rejection> {
    // A logout token or another security event (OpenID Connect Back-Channel Logout §2.4, RFC 8417 §2.2): signed by the same
    // keys, and not every issuer gives it its own `typ`.
    if claims.get("events").is_some() {
        return Err(Rejection::Type);
    }
    if claims.get("iss").and_then(Value::as_str) != Some(&config.keys.issuer) {
        return Err(Rejection::Issuer);
    }
    if !texts(claims.get("aud")).any(|text| config.audience.iter().any(|audience| audience == text)) {
        return Err(Rejection::Audience);
    }
    let expires_at = time(claims, "exp")?.ok_or(Rejection::Malformed)?;
    if now >= expires_at.saturating_add(config.leeway) {
        return Err(Rejection::Expired);
    }
    let latest = now.saturating_add(config.leeway);
    if time(claims, "nbf")?.is_some_and(|not_before| not_before > latest) {
        return Err(Rejection::NotYetValid);
    }
    if time(claims, "iat")?.is_some_and(|issued_at| issued_at > latest) {
        return Err(Rejection::IssuedInFuture);
    }
    // Bound to a certificate or a DPoP key (RFC 8705 §3, RFC 9449 §6): who stole it must not get in by leaving the
    // proof out.
    if claims.get("cnf").is_some() {
        return Err(Rejection::Bound);
    }
    // It becomes the caller's name, and that goes into logs.
    let subject = claims.get("sub").and_then(Value::as_str);
    subject.filter(|subject| is_plain(subject, MAX_SUBJECT)).ok_or(Rejection::Subject)
}

/// Returns the first required claim that is missing or has none of the values wanted.
pub(super) fn missing<'a>(claims: &Members, required: &'a BTreeMap<String, Vec<String>>) -> Option<&'a str> {
    let has = |claim: &str, wanted: &String| {
        let given = claims.get(claim);
        let words = given.and_then(Value::as_str).filter(|_| WORD_CLAIMS.contains(&claim));
        texts(given).any(|text| text == wanted)
            || words.is_some_and(|words| words.split_ascii_whitespace().any(|word| word == wanted))
    };
    let mut required = required.iter();
    let (claim, _) = required.find(|(claim, values)| !values.iter().any(|wanted| has(claim, wanted)))?;
    Some(claim)
}

/// RFC 7519 §2, `NumericDate`: seconds since the epoch, which may have a fraction. What is later than this clock can
/// tell is the end of time.
pub(super) fn time(claims: &Members, name: &str) -> Result<Option<Duration>, Rejection> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_f64().filter(|seconds| *seconds >= 0.0).ok_or(Rejection::Malformed)?;
    Ok(Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)))
}
