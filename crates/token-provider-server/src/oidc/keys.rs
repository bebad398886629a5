//! The identity provider's public keys (RFC 7517), and which of them a token may be checked with.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::token::{self, Jwt};
use crate::printable::excerpt;
use crate::reason::Rejection;

/// An identity provider has a handful; any beyond this are ignored.
const MAX_KEYS: usize = 100;
/// RFC 7518 §3.3: "A key of size 2048 bits or larger MUST be used". The cryptographic library takes no more than 8192.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// How the Ed25519 points begin whose order divides the cofactor (RFC 7748 §7), for which anybody can sign: those whose `y`
/// is 0, 1, one of the two of order eight, or p - 1, p or p + 1. (The two characters that are left out hold the sign.) The
/// cryptographic library accepts them, and signatures that hold for any text.
const OF_SMALL_ORDER: [&str; 7] = [
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "JuiVj8KyJ7BFw_SJ8u-Y8NXfrAXTxjM5sTgCiG1T_",
    "xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA",
    "7P_______________________________________",
    "7f_______________________________________",
    "7v_______________________________________",
];

const WRONG_LENGTH: &str = "a point with more or fewer characters than its curve has";

/// Public keys for checking signatures, and nothing else.
#[derive(Debug, Default)]
pub(super) struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    jwk: Jwk,
    public: DecodingKey,
    /// What it may be used with: what its kind can do, or the one algorithm that its publisher says it is for.
    algorithms: Vec<Algorithm>,
}

/// RFC 7517 §5.
#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads a key set. A key that is not for signatures, too weak, or not of a kind known here is left out, and the
    /// others are used (RFC 7517 §5).
    pub(super) fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        let set: JwkSet = serde_json::from_slice(json)?;
        let mut keys = Vec::new();
        for jwk in set.keys.into_iter().take(MAX_KEYS) {
            let name = jwk.get("kid").and_then(Value::as_str).map(excerpt);
            match Key::new(jwk) {
                Ok(key) => keys.push(key),
                Err(reason) => {
                    tracing::debug!(key.id = name, reason, "ignoring a key of the identity provider");
                }
            }
        }
        Ok(Self(keys))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns how many keys are not in the other set.
    pub(super) fn count_not_in(&self, other: &Self) -> usize {
        self.0.iter().filter(|key| !other.0.iter().any(|other| other.jwk == key.jwk)).count()
    }

    /// Checks a token's signature.
    pub(super) fn verify(&self, jwt: &Jwt<'_>) -> Result<(), Rejection> {
        let has_id = jwt.key_id.is_some();
        // RFC 7517 §4.5: keys of different kinds may go by one name.
        let is_named = |key: &&Key| !has_id || key.jwk.common.key_id == jwt.key_id;
        let named: Vec<&Key> = self.0.iter().filter(is_named).collect();
        let fits = |key: &&&Key| key.algorithms.contains(&jwt.algorithm);
        let fitting: Vec<&&Key> = named.iter().filter(fits).collect();
        match fitting.as_slice() {
            [] if has_id && !named.is_empty() => Err(Rejection::Algorithm),
            [] => Err(Rejection::UnknownKey),
            // Without an id it can have been signed with the only key that fits (OpenID Connect Core §10.1); trying several is
            // not our work.
            [_, _, ..] if !has_id => Err(Rejection::NoKeyId),
            fitting if fitting.iter().any(|key| key.has_signed(jwt)) => Ok(()),
            _ if has_id => Err(Rejection::Signature),
            // If the only key did not sign it, there may be a new one.
            _ => Err(Rejection::UnknownKey),
        }
    }
}

impl Key {
    fn new(value: Value) -> Result<Self, &'static str> {
        if value.get("d").is_some() {
            return Err("its private half is published");
        }
        let only = value.get("alg").and_then(Value::as_str).map(token::algorithm);
        let jwk: Jwk = serde_json::from_value(value).map_err(|_| "not well-formed")?;
        let (purpose, operations) = (&jwk.common.public_key_use, &jwk.common.key_operations);
        if purpose.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature)
            || operations.as_ref().is_some_and(|operations| !operations.contains(&KeyOperations::Verify))
        {
            return Err("not for checking signatures");
        }
        let (public, mut algorithms) = public_key(&jwk.algorithm)?;
        if let Some(only) = only {
            algorithms.retain(|algorithm| Some(*algorithm) == only);
        }
        if algorithms.is_empty() {
            return Err("for an algorithm that is not accepted, or not for its kind of key");
        }
        Ok(Self { jwk, public, algorithms })
    }

    fn has_signed(&self, jwt: &Jwt<'_>) -> bool {
        let signed = jwt.signed.as_bytes();
        jsonwebtoken::crypto::verify(jwt.signature, signed, &self.public, jwt.algorithm).unwrap_or(false)
    }
}

/// Returns the key, and what its kind can be used with.
fn public_key(jwk: &AlgorithmParameters) -> Result<(DecodingKey, Vec<Algorithm>), &'static str> {
    match jwk {
        AlgorithmParameters::RSA(key) => {
            let key = rsa(&number(&key.n)?, &number(&key.e)?)?;
            Ok((key, AlgorithmFamily::Rsa.algorithms().to_vec()))
        }
        // RFC 7518 §3.4: a curve has one algorithm.
        AlgorithmParameters::EllipticCurve(key) => {
            let (algorithm, curve, length): (_, &dyn VerificationAlgorithm, _) = match key.curve {
                EllipticCurve::P256 => (Algorithm::ES256, &ECDSA_P256_SHA256_FIXED, 43),
                EllipticCurve::P384 => (Algorithm::ES384, &ECDSA_P384_SHA384_FIXED, 64),
                _ => return Err("of a kind that is not used here"),
            };
            // RFC 7518 §6.2.1.2: each is whole. Else what one lacks could be at the other's end.
            if key.x.len() != length || key.y.len() != length {
                return Err(WRONG_LENGTH);
            }
            Ok((point(DecodingKey::from_ec_components(&key.x, &key.y), curve)?, vec![algorithm]))
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            // A longer one is read as X.509 (SPKI), in which a point of small order does not stand at the start.
            if key.x.len() != 43 {
                return Err(WRONG_LENGTH);
            }
            if OF_SMALL_ORDER.iter().any(|start| key.x.starts_with(start)) {
                return Err("a point of small order, for which anybody can sign");
            }
            Ok((point(DecodingKey::from_ed_components(&key.x), &ED25519)?, vec![Algorithm::EdDSA]))
        }
        _ => Err("of a kind that is not used here"),
    }
}

fn rsa(n: &[u8], e: &[u8]) -> Result<DecodingKey, &'static str> {
    let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err("an RSA key of less than 2048 or more than 8192 bits");
    }
    // With an exponent of 1 everybody can sign; an even one has no inverse.
    if e == [1] || e.last().is_none_or(|last| last % 2 == 0) {
        return Err("an RSA key with an invalid exponent");
    }
    Ok(DecodingKey::from_rsa_raw_components(n, e))
}

/// RFC 7518 §2: an unsigned number has no zeros in front. Some publish them all the same.
fn number(text: &str) -> Result<Vec<u8>, &'static str> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| "not base64url")?;
    Ok(bytes.into_iter().skip_while(|byte| *byte == 0).collect())
}

/// Has the cryptographic library look whether the point is one.
fn point(
    key: jsonwebtoken::errors::Result<DecodingKey>,
    curve: &'static dyn VerificationAlgorithm,
) -> Result<DecodingKey, &'static str> {
    let key = key.map_err(|_| "not base64url")?;
    let is_on_curve = key.try_get_as_bytes().is_ok_and(|bytes| ParsedPublicKey::new(curve, bytes).is_ok());
    if is_on_curve { Ok(key) } else { Err("a point that is not on its curve") }
}
