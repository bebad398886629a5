//! The header of a signed request, `Authorization: OAuth …` (RFC 5849 §3.5.1).

use std::collections::BTreeMap;

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderValue};
use percent_encoding::percent_decode_str;
use token_provider::Moment;

use crate::problem::Problem;

/// HERE's SDKs send some 400 bytes.
const MAX_HEADER: usize = 1024;
/// A request's timestamp may differ from this server's clock by so many seconds.
pub(super) const WINDOW: u64 = 300;

/// What a signed request says of itself, decoded.
pub(crate) struct Signature {
    pub(crate) key_id: String,
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
    pub(crate) fn of(headers: &HeaderMap) -> Option<Result<Self, Problem>> {
        is_signed(headers).then(|| Self::read(headers))
    }

    fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let only = values.next().filter(|value| value.len() <= MAX_HEADER && values.next().is_none());
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
        Ok(signature)
    }

    fn parse(value: &str) -> Option<Self> {
        let mut parameters = parameters(value.split_once(' ')?.1)?;
        parameters.remove("realm");
        let value = parameters.remove("oauth_signature")?;
        parameters.get("oauth_signature_method")?;
        Some(Self {
            key_id: parameters.get("oauth_consumer_key")?.clone(),
            nonce: parameters.get("oauth_nonce")?.clone(),
            timestamp: parameters.get("oauth_timestamp")?.parse().ok()?,
            value,
            parameters,
        })
    }

    /// Returns whether it was made just now.
    pub(crate) fn is_timely(&self, now: Moment) -> bool {
        self.timestamp.abs_diff(now.wall.as_secs()) <= WINDOW
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
/// it would be unclear which one counts. Nor may another parameter than OAuth's: it could be a field of a signed form that was
/// taken out of it.
fn parameters(text: &str) -> Option<BTreeMap<String, String>> {
    let decoded = |text| Some(percent_decode_str(text).decode_utf8().ok()?.into_owned());
    let mut parameters = BTreeMap::new();
    for pair in text.split(',') {
        let (name, value) = pair.trim().split_once('=')?;
        let value = value.strip_prefix('"')?.strip_suffix('"')?;
        let name = decoded(name)?;
        let is_known = name.starts_with("oauth_") || name == "realm";
        if !is_known || parameters.insert(name, decoded(value)?).is_some() {
            return None;
        }
    }
    Some(parameters)
}
