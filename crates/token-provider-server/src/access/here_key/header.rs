//! The header of a signed request, `Authorization: OAuth …` (RFC 5849 §3.5.1).

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
    /// All that is signed, the above included.
    pub(super) parameters: Vec<(String, String)>,
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
        let parameters = only.and_then(|value| parameters(value.to_str().ok()?.split_once(' ')?.1));
        let malformed =
            || Problem::rejected_signature(401_202, "the OAuth 1.0 Authorization header is malformed");
        let parameters = parameters.ok_or_else(malformed)?;
        let text =
            |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, text)| text.clone());
        if text("oauth_signature_method").is_some_and(|method| method != "HMAC-SHA256") {
            return Err(Problem::rejected_signature(401_205, "oauth_signature_method: expected HMAC-SHA256"));
        }
        if text("oauth_version").is_some_and(|version| version != "1.0") {
            return Err(Problem::rejected_signature(401_206, "oauth_version: expected 1.0"));
        }
        let read = || {
            text("oauth_signature_method")?;
            let nonce = text("oauth_nonce").filter(|nonce| (1..=MAX_NONCE).contains(&nonce.len()));
            let digits =
                text("oauth_timestamp").filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let (key_id, value) = (text("oauth_consumer_key")?, text("oauth_signature")?);
            Some((key_id, nonce?, digits?.parse().ok()?, value))
        };
        let (key_id, nonce, timestamp, value) = read().ok_or_else(malformed)?;
        let is_covered = |(name, _): &(String, String)| name != "realm" && name != "oauth_signature";
        let parameters = parameters.into_iter().filter(is_covered).collect();
        Ok(Some(Self { key_id, nonce, timestamp, value, parameters }))
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

/// Reads `name="value"` pairs with commas between them. No name may be there twice: it would be unclear which one counts.
fn parameters(mut text: &str) -> Option<Vec<(String, String)>> {
    let mut parameters: Vec<(String, String)> = Vec::new();
    loop {
        let (name, rest) = text.split_once("=\"")?;
        let (value, rest) = rest.split_once('"')?;
        let (name, value) = (decoded(name.trim())?, decoded(value)?);
        if parameters.len() == MAX_PARAMETERS || parameters.iter().any(|(other, _)| *other == name) {
            return None;
        }
        parameters.push((name, value));
        let rest = rest.trim_start();
        if rest.is_empty() {
            return Some(parameters);
        }
        text = rest.strip_prefix(',')?;
    }
}

/// `+` is no blank here (RFC 5849 §3.6).
fn decoded(text: &str) -> Option<String> {
    Some(percent_decode_str(text).decode_utf8().ok()?.into_owned())
}
