//! The header of a signed request, `Authorization: OAuth …` (RFC 5849 §3.5.1).

use std::collections::BTreeMap;

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderValue};
use percent_encoding::percent_decode_str;

use crate::problem::Problem;

/// HERE's SDKs send six parameters, a program for OAuth 1.0a perhaps `realm` and `oauth_token`.
const MAX_PARAMETERS: usize = 16;
/// A nonce is a UUID, or 64 hexadecimal digits.
const MAX_NONCE: usize = 128;

/// What a signed request says of itself, decoded.
pub(crate) struct Signature {
    pub(super) key_id: String,
    pub(super) nonce: String,
    /// Seconds since the Unix epoch.
    pub(super) timestamp: u64,
    /// The signature itself, in base64.
    pub(super) value: String,
    /// All that is signed, the first three included.
    pub(super) parameters: BTreeMap<String, String>,
}

impl Signature {
    /// Reads the header, if the request has one of this scheme.
    ///
    /// # Errors
    ///
    /// 401 unless it is well-formed, and for another method than HMAC-SHA256 or another version than 1.0.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        if !is_signed(headers) {
            return Ok(None);
        }
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let only = values.next().filter(|_| values.next().is_none());
        let signature = only.and_then(|value| Self::parse(value.to_str().ok()?)).ok_or_else(|| {
            Problem::rejected_signature(401_202, "the OAuth 1.0 Authorization header is malformed")
        })?;
        let is_other = |name, expected| signature.parameters.get(name).is_some_and(|text| text != expected);
        if is_other("oauth_signature_method", "HMAC-SHA256") {
            return Err(Problem::rejected_signature(401_205, "oauth_signature_method: expected HMAC-SHA256"));
        }
        if is_other("oauth_version", "1.0") {
            return Err(Problem::rejected_signature(401_206, "oauth_version: expected 1.0"));
        }
        Ok(Some(signature))
    }

    fn parse(value: &str) -> Option<Self> {
        let mut parameters = parameters(value.split_once(' ')?.1)?;
        parameters.remove("realm");
        let value = parameters.remove("oauth_signature")?;
        parameters.get("oauth_signature_method")?;
        let nonce = parameters.get("oauth_nonce").filter(|nonce| (1..=MAX_NONCE).contains(&nonce.len()));
        Some(Self {
            key_id: parameters.get("oauth_consumer_key")?.clone(),
            nonce: nonce?.clone(),
            timestamp: parameters.get("oauth_timestamp")?.parse().ok()?,
            value,
            parameters,
        })
    }
}

/// Returns whether a request claims to be signed.
pub(crate) fn is_signed(headers: &HeaderMap) -> bool {
    let is_oauth = |value: &HeaderValue| {
        let scheme = value.as_bytes().split(|byte| !byte.is_ascii_alphanumeric()).next();
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"OAuth"))
    };
    headers.get(AUTHORIZATION).is_some_and(is_oauth)
}

/// Reads `name="value"` pairs with commas between them, in which `+` is no blank (RFC 5849 §3.6). No name may be there twice:
/// it would be unclear which one counts.
fn parameters(text: &str) -> Option<BTreeMap<String, String>> {
    let decoded = |text| Some(percent_decode_str(text).decode_utf8().ok()?.into_owned());
    let mut parameters = BTreeMap::new();
    for pair in text.split(',') {
        let (name, value) = pair.trim().split_once('=')?;
        let value = value.strip_prefix('"')?.strip_suffix('"')?;
        let is_twice = parameters.insert(decoded(name)?, decoded(value)?).is_some();
        if is_twice || parameters.len() > MAX_PARAMETERS {
            return None;
        }
    }
    Some(parameters)
}
