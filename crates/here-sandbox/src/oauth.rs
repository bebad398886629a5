//! Reads an OAuth 1.0a `Authorization` header (RFC 5849 §3.5.1) without guessing what a malformed one may
//! have meant.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, header};

use crate::percent;
use crate::problem::Refusal;

/// The longest nonce that is accepted: far beyond every SDK's (6 to 36 characters), short enough to log.
const MAX_NONCE: usize = 256;

/// The parts of a well-formed header, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authorization {
    /// Every parameter that the signature covers: all but `realm` and `oauth_signature`.
    pub(crate) signed: BTreeMap<String, String>,
    pub(crate) consumer_key: String,
    pub(crate) signature_method: String,
    /// Base64 text.
    pub(crate) signature: String,
    pub(crate) timestamp: i64,
    pub(crate) nonce: String,
    pub(crate) version: String,
}

impl Authorization {
    /// Reads the one `Authorization` header.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let value = values.next().ok_or(Refusal::AUTHORIZATION_MISSING)?;
        if values.next().is_some() {
            return Err(malformed("there is more than one Authorization header"));
        }
        Self::parse(value.to_str().map_err(|_| malformed("the header is not ASCII"))?)
    }

    /// Accepts the parameters in any order, with or without white space around the commas: HERE's Java SDK
    /// writes a space, its C++ and JavaScript SDKs none.
    pub(crate) fn parse(header: &str) -> Result<Self, Refusal> {
        let (scheme, parameters) =
            header.trim().split_once(' ').ok_or_else(|| malformed("there are no parameters"))?;
        if !scheme.eq_ignore_ascii_case("OAuth") {
            return Err(malformed("the scheme is not OAuth"));
        }
        let mut signed = split_parameters(parameters)?;
        let signature = signed.remove("oauth_signature");
        let signature = signature.ok_or_else(|| malformed("oauth_signature is missing"))?;
        let value = |name| match signed.get(name) {
            Some(value) if !value.is_empty() => Ok(value.clone()),
            Some(_) => Err(malformed(format!("{name} is empty"))),
            None => Err(malformed(format!("{name} is missing"))),
        };
        if value("oauth_token").is_ok() {
            return Err(malformed("oauth_token has no place in a request for a token"));
        }
        Ok(Self {
            consumer_key: value("oauth_consumer_key")?,
            signature_method: value("oauth_signature_method")?,
            timestamp: parse_timestamp(&value("oauth_timestamp")?)?,
            nonce: check_nonce(value("oauth_nonce")?)?,
            version: value("oauth_version")?,
            signature,
            signed,
        })
    }
}

/// `name="value"` pairs, decoded, without `realm`.
fn split_parameters(text: &str) -> Result<BTreeMap<String, String>, Refusal> {
    let mut parameters = BTreeMap::new();
    let mut rest = text.trim_start();
    loop {
        let (name, after_name) = rest.split_once('=').ok_or_else(|| malformed("a parameter has no value"))?;
        let quoted = after_name.strip_prefix('"').and_then(|text| text.split_once('"'));
        let (value, after_value) = quoted.ok_or_else(|| malformed("a value is not in quotes"))?;
        // RFC 5849 §3.4.1.3.1 leaves realm out of the signature; its value is free text.
        if !name.eq_ignore_ascii_case("realm") {
            let decode = |text| {
                percent::decode_strictly(text).ok_or_else(|| malformed("a parameter is not percent-encoded"))
            };
            if parameters.insert(decode(name)?, decode(value)?).is_some() {
                return Err(malformed(format!("{name} is given twice")));
            }
        }
        let after_value = after_value.trim_start();
        if after_value.is_empty() {
            return Ok(parameters);
        }
        rest = after_value
            .strip_prefix(',')
            .ok_or_else(|| malformed("a comma is missing between parameters"))?
            .trim_start();
    }
}

/// Digits only: `str::parse` would take a sign. More digits than fit are still a timestamp, far outside
/// every window.
fn parse_timestamp(text: &str) -> Result<i64, Refusal> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed("oauth_timestamp is not a number of seconds"));
    }
    Ok(text.parse().unwrap_or(i64::MAX))
}

/// A signer whose nonce needs percent-encoding is reported to fail at HERE (heremaps/here-aaa-java-sdk#57),
/// so it fails here.
fn check_nonce(nonce: String) -> Result<String, Refusal> {
    if !nonce.bytes().all(percent::is_unreserved) {
        return Err(malformed("oauth_nonce holds characters that need percent-encoding"));
    }
    if nonce.len() > MAX_NONCE {
        return Err(malformed("oauth_nonce is too long"));
    }
    Ok(nonce)
}

/// What is wrong with a header, for the person who wrote the signer.
fn malformed(why: impl Into<String>) -> Refusal {
    Refusal::HEADER_MALFORMED.with_hint(why)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: [(&str, &str); 6] = [
        ("oauth_consumer_key", "key%2Bid"),
        ("oauth_nonce", "LIIpk4"),
        ("oauth_signature_method", "HMAC-SHA256"),
        ("oauth_timestamp", "1456945283"),
        ("oauth_version", "1.0"),
        ("oauth_signature", "qTXW%2B%3D"),
    ];

    fn header(parameters: &[(&str, &str)], separator: &str) -> String {
        let pairs: Vec<_> = parameters.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        format!("OAuth {}", pairs.join(separator))
    }

    fn refusal(header: &str) -> Refusal {
        Authorization::parse(header).expect_err(header)
    }

    #[test]
    fn both_layouts_in_any_order_are_read_alike() {
        let compact = Authorization::parse(&header(&GOOD, ",")).unwrap();
        assert_eq!(compact.consumer_key, "key+id");
        assert_eq!(compact.signature, "qTXW+=");
        assert_eq!((compact.timestamp, compact.nonce.as_str()), (1_456_945_283, "LIIpk4"));
        assert_eq!(compact.signed.len(), 5);

        let mut reversed = GOOD;
        reversed.reverse();
        for text in [
            header(&GOOD, ", "),
            header(&reversed, " ,\t"),
            header(&GOOD, ",").replacen("OAuth ", "oauth  ", 1),
        ] {
            let spaced = Authorization::parse(&text).unwrap();
            assert_eq!(spaced.signed, compact.signed, "{text}");
        }
    }

    #[test]
    fn realm_is_not_signed_and_other_parameters_are() {
        let mut parameters = GOOD.to_vec();
        parameters.push(("Realm", "any thing, even a comma="));
        parameters.push(("oauth_token", ""));
        parameters.push(("oauth_body_hash", "abc"));
        let parsed = Authorization::parse(&header(&parameters, ",")).unwrap();
        assert!(["oauth_token", "oauth_body_hash"].iter().all(|name| parsed.signed.contains_key(*name)));
        assert!(!["Realm", "oauth_signature"].iter().any(|name| parsed.signed.contains_key(*name)));
    }

    #[test]
    fn each_parameter_is_needed_once_and_filled() {
        for missing in 0..GOOD.len() {
            let mut parameters = GOOD.to_vec();
            let (name, value) = parameters.remove(missing);
            assert_eq!(refusal(&header(&parameters, ",")), malformed(format!("{name} is missing")));
            parameters.extend([(name, value), (name, value)]);
            assert_eq!(refusal(&header(&parameters, ",")), malformed(format!("{name} is given twice")));
        }
        for empty in 0..5 {
            let mut parameters = GOOD;
            parameters[empty].1 = "";
            assert_eq!(
                refusal(&header(&parameters, ",")),
                malformed(format!("{} is empty", parameters[empty].0))
            );
        }
    }

    #[test]
    fn malformed_headers_say_what_is_wrong() {
        let good = header(&GOOD, ",");
        let cases = [
            ("OAuth".to_owned(), "no parameters"),
            (good.replace("OAuth", "Bearer"), "scheme"),
            (good.replace("\"LIIpk4\"", "LIIpk4"), "quotes"),
            (good.replace("\",oauth_version", "\" oauth_version"), "comma"),
            (format!("{good},"), "no value"),
            (good.replace("oauth_nonce=", "oauth_nonce ="), "percent-encoded"),
            (good.replace("qTXW%2B%3D", "qTXW+="), "percent-encoded"),
            (good.replace("LIIpk4", "LII%2Fpk4"), "need percent-encoding"),
            (good.replace("LIIpk4", &"n".repeat(257)), "too long"),
            (good.replace("1456945283", "-1"), "number of seconds"),
            (good.replace("1456945283", "%2B1"), "number of seconds"),
            (good.replace("1456945283", "1e9"), "number of seconds"),
            (format!("{good},oauth_token=\"t\""), "oauth_token"),
        ];
        for (text, expected) in cases {
            assert!(format!("{:?}", refusal(&text)).contains(expected), "{text}: {:?}", refusal(&text));
        }
    }

    #[test]
    fn timestamp_beyond_any_clock_is_still_a_timestamp() {
        let text = header(&GOOD, ",").replace("1456945283", "99999999999999999999");
        assert_eq!(Authorization::parse(&text).unwrap().timestamp, i64::MAX);
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(text in "(OAuth )?[ -~]{0,120}") {
            let _ = Authorization::parse(&text);
        }
    }
}
