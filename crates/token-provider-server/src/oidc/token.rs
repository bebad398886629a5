//! A token taken apart, before anything in it is believed (RFC 7515 §5.2, RFC 7519 §7.2, RFC 8725).
//!
//! Stricter than the RFCs where they leave a choice: a member given twice, padding and stray bits are refused, because
//! two readers that differ in what they make of one token are an attack.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::reason::Rejection;

/// The request's head may have 16 KiB; no token in it is longer.
const MAX_TOKEN: usize = 16 * 1024;
/// A key id longer than this is no id.
const MAX_KEY_ID: usize = 256;

/// The `typ` that a token may have (RFC 9068 §2.1, RFC 7519 §5.1); none will do too. A list of what is known, and not
/// of what is refused: a logout token or a proof of possession from the same issuer is not for access (RFC 8725 §3.11).
const TYPES: [&str; 4] = ["jwt", "at+jwt", "application/jwt", "application/at+jwt"];

/// A token's parts, decoded.
#[derive(Debug)]
pub(super) struct Jwt<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
    pub(super) claims: Members,
    /// What the signature is about.
    pub(super) signed: &'a str,
    /// The signature, in base64url.
    pub(super) signature: &'a str,
}

/// The members of a JSON object, each given once.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Members(pub(super) Map<String, Value>);

impl<'a> Jwt<'a> {
    /// Parses a token. Keys in its header (`jwk`, `jku`, `x5u`, `x5c`) are ignored: a forger can put their own there.
    pub(super) fn parse(token: &'a [u8]) -> Result<Self, Rejection> {
        if token.len() > MAX_TOKEN {
            return Err(Rejection::TooLong);
        }
        let token = std::str::from_utf8(token).map_err(|_| Rejection::Malformed)?;
        let (signed, signature) = token.rsplit_once('.').ok_or(Rejection::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Rejection::Malformed)?;
        // Decoded to see that it is base64url; a dot among the claims, as in an encrypted token, is not.
        URL_SAFE_NO_PAD.decode(signature).map_err(|_| Rejection::Malformed)?;
        let header = Members::decode(header)?;
        // RFC 7515 §4.1.11: an extension that must be understood, and none is.
        if header.get("crit").is_some() {
            return Err(Rejection::CriticalHeader);
        }
        let algorithm = algorithm(header.text("alg")?.ok_or(Rejection::Malformed)?);
        let algorithm = algorithm.ok_or(Rejection::Algorithm)?;
        let is_known = |given: &str| TYPES.iter().any(|known| known.eq_ignore_ascii_case(given));
        if !header.text("typ")?.is_none_or(is_known) {
            return Err(Rejection::Type);
        }
        let key_id = header.text("kid")?.map(str::to_owned);
        if key_id.as_ref().is_some_and(|id| id.len() > MAX_KEY_ID) {
            return Err(Rejection::Malformed);
        }
        Ok(Self { algorithm, key_id, claims: Members::decode(claims)?, signed, signature })
    }
}

/// Reads an algorithm's name, which is case-sensitive. The library has none for `none`; and a shared secret (`HS256`) is
/// not accepted: a public key taken for a secret is the oldest trick with these tokens.
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    // RFC 9864 gave EdDSA a name for each curve.
    let name = if name == "Ed25519" { "EdDSA" } else { name };
    name.parse().ok().filter(|algorithm: &Algorithm| algorithm.family() != AlgorithmFamily::Hmac)
}

impl Members {
    fn decode(part: &str) -> Result<Self, Rejection> {
        let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| Rejection::Malformed)?;
        serde_json::from_slice(&json).map_err(|_| Rejection::Malformed)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Returns a member that must be a string if it is there.
    fn text(&self, name: &str) -> Result<Option<&str>, Rejection> {
        self.get(name).map(|value| value.as_str().ok_or(Rejection::Malformed)).transpose()
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once;

        impl<'de> Visitor<'de> for Once {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Map::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("a member is given twice"));
                    }
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Once)
    }
}
