//! The identity provider's public keys (RFC 7517), and which of them a token may be checked with.

use std::fmt::Write as _;

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::algorithm::{Algorithm, Family};
use super::fault::Fault;
use super::jwt::Jwt;
use crate::printable::excerpt;

/// An identity provider has a handful; the rest of more is not looked at.
const MAX_KEYS: usize = 100;
/// RFC 7518 §3.3: "A key of size 2048 bits or larger MUST be used".
const MIN_RSA_BITS: usize = 2048;
/// What the cryptographic library checks signatures with.
const MAX_RSA_BITS: usize = 8192;

/// What tells one key from another, whatever it is called: a hash over all that there is to it.
pub(super) type KeyId = [u8; 32];

/// Public keys for checking signatures, and nothing else.
#[derive(Debug, Default)]
pub(super) struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: KeyId,
    name: Option<String>,
    family: Family,
    /// The one algorithm that the key is for, where its publisher says so.
    algorithm: Option<Algorithm>,
    public: PublicKey,
}

#[derive(Debug)]
enum PublicKey {
    /// In the form of the library for tokens.
    Usual(DecodingKey),
    /// A point on P-521, a curve that the library does not have: the cryptographic library behind it does.
    P521(Vec<u8>),
}

/// RFC 7517 §5.
#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Value>,
}

/// RFC 7517 §4, RFC 7518 §6, RFC 8037 §2.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    /// The private half.
    d: Option<IgnoredAny>,
}

impl KeySet {
    /// Reads a key set. A key that is not for signatures, or not of a kind known here, is left out (RFC 7517 §5); so is
    /// one that is too weak.
    pub(super) fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        let set: JwkSet = serde_json::from_slice(json)?;
        let mut keys = Vec::new();
        for jwk in set.keys.into_iter().take(MAX_KEYS) {
            let name = jwk.get("kid").and_then(Value::as_str).map(excerpt);
            match serde_json::from_value::<Jwk>(jwk).map_err(|_| "not well-formed").and_then(Key::new) {
                Ok(key) => keys.push(key),
                Err(reason) => {
                    tracing::debug!(key.id = name, reason, "a key of the identity provider is left out");
                }
            }
        }
        Ok(Self(keys))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn holds(&self, id: &KeyId) -> bool {
        self.0.iter().any(|key| key.id == *id)
    }

    /// Says how many keys are not in the other set.
    pub(super) fn count_not_in(&self, other: &Self) -> usize {
        self.0.iter().filter(|key| !other.holds(&key.id)).count()
    }

    /// Checks a token's signature.
    ///
    /// A token that does not name its key can have been signed with the only one that fits (`OpenID` Connect Core §10.1);
    /// where there are several, trying them all is not our work. If that only key did not sign it, it may be that there
    /// is a new one.
    pub(super) fn verify(&self, jwt: &Jwt<'_>) -> Result<(), Fault> {
        let named: Vec<&Key> = match &jwt.key_id {
            Some(name) => self.0.iter().filter(|key| key.name.as_ref() == Some(name)).collect(),
            None => self.0.iter().filter(|key| key.fits(jwt.algorithm)).collect(),
        };
        if named.is_empty() {
            return Err(Fault::UnknownKey);
        }
        if jwt.key_id.is_none() && named.len() > 1 {
            return Err(Fault::NoKeyId);
        }
        // RFC 7517 §4.5: keys of different kinds may go by one name.
        let mut fitting = named.into_iter().filter(|key| key.fits(jwt.algorithm)).peekable();
        if fitting.peek().is_none() {
            return Err(Fault::Algorithm);
        }
        match fitting.any(|key| key.has_signed(jwt)) {
            true => Ok(()),
            false if jwt.key_id.is_none() => Err(Fault::UnknownKey),
            false => Err(Fault::Signature),
        }
    }
}

impl Key {
    fn new(jwk: Jwk) -> Result<Self, &'static str> {
        if jwk.d.is_some() {
            return Err("its private half is published");
        }
        if jwk.purpose.is_some_and(|purpose| purpose != "sig") {
            return Err("not for signatures");
        }
        if jwk.key_ops.is_some_and(|operations| !operations.iter().any(|operation| operation == "verify")) {
            return Err("not for checking signatures");
        }
        let (family, public, material) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => rsa(jwk.n.as_deref(), jwk.e.as_deref())?,
            ("EC", Some("P-256")) => ec(Family::P256, 32, jwk.x.as_deref(), jwk.y.as_deref())?,
            ("EC", Some("P-384")) => ec(Family::P384, 48, jwk.x.as_deref(), jwk.y.as_deref())?,
            ("EC", Some("P-521")) => ec(Family::P521, 66, jwk.x.as_deref(), jwk.y.as_deref())?,
            ("OKP", Some("Ed25519")) => ed25519(jwk.x.as_deref())?,
            _ => return Err("of a kind that is not used here"),
        };
        let algorithm = match jwk.alg.as_deref().map(Algorithm::parse) {
            None => None,
            Some(Some(algorithm)) if algorithm.family() == family => Some(algorithm),
            Some(_) => return Err("for an algorithm that is not accepted, or not for its kind of key"),
        };
        let mut id = Context::new(&SHA256);
        // With the name and the algorithm: a key that is published anew under another name, or for another use, is
        // another one for the tokens it signs.
        for part in [jwk.kid.as_deref(), jwk.alg.as_deref()] {
            id.update(part.unwrap_or_default().as_bytes());
            id.update(&[0]);
        }
        id.update(&material);
        let mut hash = KeyId::default();
        hash.copy_from_slice(id.finish().as_ref());
        Ok(Self { id: hash, name: jwk.kid, family, algorithm, public })
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        self.family == algorithm.family() && self.algorithm.is_none_or(|only| only == algorithm)
    }

    fn has_signed(&self, jwt: &Jwt<'_>) -> bool {
        let signed = jwt.signed.as_bytes();
        match &self.public {
            PublicKey::Usual(key) => jwt.algorithm.in_library().is_some_and(|algorithm| {
                jsonwebtoken::crypto::verify(jwt.signature, signed, key, algorithm).unwrap_or(false)
            }),
            PublicKey::P521(point) => URL_SAFE_NO_PAD.decode(jwt.signature).is_ok_and(|signature| {
                UnparsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, point).verify(signed, &signature).is_ok()
            }),
        }
    }
}

type Parts = (Family, PublicKey, Vec<u8>);

fn rsa(modulus: Option<&str>, exponent: Option<&str>) -> Result<Parts, &'static str> {
    let (modulus, exponent) = (number(modulus)?, number(exponent)?);
    let bits = modulus.first().map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize);
    if bits < MIN_RSA_BITS {
        return Err("an RSA key of less than 2048 bits");
    }
    if bits > MAX_RSA_BITS {
        return Err("an RSA key of more than 8192 bits");
    }
    // With an exponent of 1 everybody can sign; an even one has no inverse.
    if exponent.last().is_none_or(|last| last % 2 == 0) || exponent == [1] {
        return Err("an RSA key with an exponent that is none");
    }
    let public = PublicKey::Usual(DecodingKey::from_rsa_raw_components(&modulus, &exponent));
    // The one length says where the other begins.
    let length = modulus.len().to_be_bytes();
    Ok((Family::Rsa, public, [&length, modulus.as_slice(), exponent.as_slice()].concat()))
}

/// RFC 7518 §6.2.1: both coordinates in full length. The library wants them as a point (SEC 1 §2.3.3), and checks that
/// it is on the curve.
fn ec(family: Family, length: usize, x: Option<&str>, y: Option<&str>) -> Result<Parts, &'static str> {
    let (x, y) = (bytes(x)?, bytes(y)?);
    if x.len() != length || y.len() != length {
        return Err("a point that is not on its curve");
    }
    let point = [[4].as_slice(), &x, &y].concat();
    let public = match family {
        Family::P521 => PublicKey::P521(point.clone()),
        _ => PublicKey::Usual(DecodingKey::from_ec_der(&point)),
    };
    Ok((family, public, point))
}

fn ed25519(x: Option<&str>) -> Result<Parts, &'static str> {
    let x = bytes(x)?;
    if x.len() != 32 {
        return Err("a point that is not on its curve");
    }
    if is_of_small_order(&x) {
        return Err("a point of small order, for which anybody can sign");
    }
    Ok((Family::Ed25519, PublicKey::Usual(DecodingKey::from_ed_der(&x)), x))
}

/// The eight points whose order divides the cofactor (RFC 7748 §7), in every encoding of their `y`, canonical or not, and
/// with either sign: 0, 1, the two of order eight, p - 1, p, p + 1. The cryptographic library accepts them, and signatures
/// that hold for any text.
fn is_of_small_order(point: &[u8]) -> bool {
    const ENCODINGS: [&str; 7] = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    // The highest bit is the sign of `x`.
    let without_sign = |(place, byte): (usize, &u8)| if place == 31 { byte & 0x7f } else { *byte };
    let y = point.iter().enumerate().map(without_sign).fold(String::new(), |mut hex, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    ENCODINGS.contains(&y.as_str())
}

fn bytes(text: Option<&str>) -> Result<Vec<u8>, &'static str> {
    let text = text.ok_or("a part of it is missing")?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| "not base64url")
}

/// RFC 7518 §2: an unsigned number has no zeros in front. Some publish them all the same.
fn number(text: Option<&str>) -> Result<Vec<u8>, &'static str> {
    let bytes = bytes(text)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Ok(bytes.into_iter().skip(zeros).collect())
}
