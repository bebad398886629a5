//! Makes the tokens that `testdata/forged-tokens.toml` describes.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
    RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use token_provider::{Clock as _, SystemClock};

use crate::support::identity::{AUDIENCE, public_key_der, public_key_pem};

/// A shared secret that the provider publishes by mistake.
const PUBLISHED_SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// One line of the table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    pub(super) is: String,
    header: Option<String>,
    more: Option<String>,
    claims: Option<String>,
    also: Option<String>,
    #[serde(default)]
    no: Vec<String>,
    text: Option<String>,
    by: Option<String>,
    form: Option<String>,
    pub(super) refused: Option<String>,
    pub(super) status: Option<u16>,
}

/// The provider's keys, and those of somebody who would like to be it.
#[derive(Debug)]
pub(super) struct Forger {
    issuer: String,
    elsewhere: String,
    now: u64,
    keys: Keys,
    stranger: Keys,
}

#[derive(Debug)]
pub(super) struct Keys {
    rsa: RsaKeyPair,
    p256: Vec<u8>,
    p384: EcdsaKeyPair,
    p521: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
}

impl Keys {
    pub(super) fn new() -> Self {
        let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("can be made");
        Self {
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).expect("can be made"),
            p256: p256.to_pkcs8v1().expect("has a form").as_ref().to_vec(),
            p384: EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("can be made"),
            p521: EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).expect("can be made"),
            ed25519: Ed25519KeyPair::generate().expect("can be made"),
        }
    }

    fn p256(&self) -> EcdsaKeyPair {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &self.p256).expect("is one")
    }

    /// What the provider publishes: good keys by their names, and those that must not be used.
    pub(super) fn published(&self) -> Vec<Value> {
        let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(self.rsa.public_key());
        let rsa = json!({ "kty": "RSA", "n": encode(&n), "e": encode(e) });
        let p256 = ec("P-256", &self.p256());
        let ed25519 = |x: [u8; 32]| json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(x) });
        let public = self.ed25519.public_key().as_ref().try_into().expect("has 32 bytes");
        let (half, zeros) = (&n[..128], vec![0; 128]);
        let with = |key: &Value, name: &str, value: Value| {
            let mut key = key.clone();
            key[name] = value;
            key
        };
        let keys = [
            ("rsa", rsa.clone()),
            ("only-rs256", with(&rsa, "alg", "RS256".into())),
            ("p256", with(&p256, "use", "sig".into())),
            ("p384", ec("P-384", &self.p384)),
            ("p521", ec("P-521", &self.p521)),
            ("ed25519", ed25519(public)),
            ("oct", json!({ "kty": "oct", "k": encode(PUBLISHED_SECRET), "alg": "HS256" })),
            ("for-encryption", with(&p256, "use", "enc".into())),
            ("for-signing", with(&p256, "key_ops", json!(["sign"]))),
            ("for-hs256", with(&rsa, "alg", "HS256".into())),
            ("for-es256", with(&rsa, "alg", "ES256".into())),
            ("private", with(&p256, "d", "AAAA".into())),
            ("1024-bits", with(&rsa, "n", encode(half).into())),
            ("1024-bits-padded", with(&rsa, "n", encode([&zeros, half].concat()).into())),
            ("exponent-1", with(&rsa, "e", encode([1]).into())),
            ("exponent-2", with(&rsa, "e", encode([2]).into())),
            ("order-1", ed25519(neutral(0))),
            ("order-1-signed", ed25519(neutral(0x80))),
            ("off-its-curve", with(&p256, "y", encode([1; 32]).into())),
            ("half-a-point", with(&p256, "y", Value::Null)),
            ("kindless", json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA" })),
        ];
        keys.into_iter().map(|(kid, key)| with(&key, "kid", kid.into())).collect()
    }
}

impl Forger {
    pub(super) fn new(keys: Keys, issuer: &str, elsewhere: &str) -> Self {
        let now = SystemClock.now().wall.as_secs();
        let stranger = Keys::new();
        Self { issuer: issuer.to_owned(), elsewhere: elsewhere.to_owned(), now, keys, stranger }
    }

    /// A token that lets its bearer in.
    pub(super) fn good(&self) -> String {
        let text = r#"{"is":""}"#;
        self.token(&serde_json::from_str(text).expect("is a row"))
    }

    pub(super) fn token(&self, row: &Row) -> String {
        let header = row.header.as_deref().unwrap_or(r#"{"alg":"ES256","kid":"p256","typ":"at+jwt"}"#);
        let header = match &row.more {
            Some(more) => header.replacen('{', &format!("{{{more},"), 1),
            None => header.to_owned(),
        };
        let header = self.filled(&header);
        let claims = self.claims(row);
        let message = format!("{}.{}", encode(&header), encode(&claims));
        let signature = encode(self.sign(row.by.as_deref().unwrap_or("p256"), &header, &message));
        let form = row.form.as_deref().unwrap_or("<header>.<claims>.<signature>");
        let form = form
            .replace("<header>", &encode(&header))
            .replace("<header, padded>", &padded(&header))
            .replace("<header, other alphabet>", &STANDARD_NO_PAD.encode(&header))
            .replace("<claims>", &encode(&claims))
            .replace("<claims, padded>", &padded(&claims))
            .replace("<text>", std::str::from_utf8(&claims).unwrap_or_default())
            .replace("<signature>", &signature)
            .replace("<signature, stray bits>", &with_stray_bits(&signature));
        self.filled(&form)
    }

    fn claims(&self, row: &Row) -> Vec<u8> {
        if row.text.as_deref() == Some("<UTF-16>") {
            return self.default_claims().to_string().encode_utf16().flat_map(u16::to_le_bytes).collect();
        }
        if let Some(text) = &row.text {
            return self.filled(text).into_bytes();
        }
        let changes = row.claims.as_ref().map(|claims| self.filled(claims)).unwrap_or_default();
        // What cannot be read replaces the claim that it is the first to name.
        let is_changed = |name: &str| {
            let named = serde_json::from_str::<Map<String, Value>>(&format!("{{{changes}}}"));
            named.map_or_else(
                |_| changes.starts_with(&format!("\"{name}\"")),
                |named| named.contains_key(name),
            )
        };
        let kept = self.default_claims();
        let kept = kept.as_object().expect("is an object").iter();
        let kept = kept.filter(|(name, _)| !is_changed(name) && !row.no.contains(name));
        let mut members: Vec<String> = kept.map(|(name, value)| format!("\"{name}\":{value}")).collect();
        members.extend(row.claims.is_some().then_some(changes.clone()));
        members.extend(row.also.as_ref().map(|also| self.filled(also)));
        format!("{{{}}}", members.join(",")).into_bytes()
    }

    fn default_claims(&self) -> Value {
        json!({
            "iss": self.issuer, "aud": AUDIENCE, "sub": "dashboard", "iat": self.now - 10, "exp": self.now + 3600
        })
    }

    /// Puts in what only this run knows.
    fn filled(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, (name, after))) =
            rest.split_once('<').and_then(|(before, rest)| Some((before, rest.split_once('>')?)))
        {
            filled.push_str(before);
            match name {
                "issuer" => filled.push_str(&self.issuer),
                "elsewhere" => filled.push_str(&self.elsewhere),
                "own" => filled.push_str(&ec("P-256", &self.stranger.p256()).to_string()),
                "good" => filled.push_str(&self.good()),
                "good in base64url" => filled.push_str(&encode(self.good())),
                "a NUL" => filled.push('\0'),
                _ => filled.push_str(&self.number_or_repetition(name)),
            }
            rest = after;
        }
        filled + rest
    }

    fn number_or_repetition(&self, name: &str) -> String {
        if let Some(offset) = name.strip_prefix("now") {
            let offset: i64 = if offset.is_empty() { 0 } else { offset.parse().expect("is a number") };
            return self.now.saturating_add_signed(offset).to_string();
        }
        let (count, letter) = name.split_once(' ').unwrap_or_else(|| panic!("<{name}>"));
        letter.repeat(count.parse().expect("is a number"))
    }

    /// The signature in the way that the table calls `by`.
    fn sign(&self, by: &str, header: &str, message: &str) -> Vec<u8> {
        let names = serde_json::from_str::<Value>(header).ok();
        let algorithm = names.as_ref().and_then(|names| names["alg"].as_str()).unwrap_or_default();
        let message = message.as_bytes();
        let p256 = |keys: &Keys, message: &[u8]| ecdsa(&keys.p256(), message);
        match by {
            "nobody" => Vec::new(),
            "p256" => p256(&self.keys, message),
            "p384" => ecdsa(&self.keys.p384, message),
            "p521" => ecdsa(&self.keys.p521, message),
            "ed25519" => self.keys.ed25519.sign(message).as_ref().to_vec(),
            "rsa" => rsa(&self.keys.rsa, algorithm, message),
            "stranger" => p256(&self.stranger, message),
            "stranger-p384" => ecdsa(&self.stranger.p384, message),
            "stranger-rsa" => rsa(&self.stranger.rsa, algorithm, message),
            "p256 for other claims" => p256(&self.keys, format!("{}.e30", encode(header)).as_bytes()),
            "p256 for another header" => p256(&self.keys, &[b"e30", message].concat()),
            "p256 in ASN.1" => {
                let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &self.keys.p256);
                ecdsa(&key.expect("is one"), message)
            }
            "p256 and a byte" => [p256(&self.keys, message), vec![0]].concat(),
            "p256 but a byte" => p256(&self.keys, message)[1..].to_vec(),
            "rsa and a byte" => [vec![0], rsa(&self.keys.rsa, algorithm, message)].concat(),
            "rsa but a byte" => rsa(&self.keys.rsa, algorithm, message)[1..].to_vec(),
            "exponent 1" => encoded_message(message),
            "order 1" => [neutral(0), [0; 32]].concat(),
            _ => self.sign_with_argument(by, algorithm, message),
        }
    }

    fn sign_with_argument(&self, by: &str, algorithm: &str, message: &[u8]) -> Vec<u8> {
        if let Some(other) = by.strip_prefix("rsa as ") {
            return rsa(&self.keys.rsa, other, message);
        }
        if let Some((count, byte)) = by.split_once(" times ") {
            return vec![byte.parse().expect("is a byte"); count.parse().expect("is a number")];
        }
        let secret = by.strip_prefix("secret ").unwrap_or_else(|| panic!("by = {by}"));
        let public = self.keys.rsa.public_key();
        let modulus = RsaPublicKeyComponents::<Vec<u8>>::from(public).n;
        let secret = match secret {
            "pem" => public_key_pem(public).into_bytes(),
            "pem-trimmed" => public_key_pem(public).trim_end().into(),
            "der" => public_key_der(public),
            "modulus" => modulus,
            "modulus-text" => encode(modulus).into_bytes(),
            "jwk" => self.keys.published()[0].to_string().into_bytes(),
            "oct" => PUBLISHED_SECRET.to_vec(),
            "empty" => Vec::new(),
            _ => panic!("by = {by}"),
        };
        let hash = match algorithm {
            "HS384" => hmac::HMAC_SHA384,
            "HS512" => hmac::HMAC_SHA512,
            _ => hmac::HMAC_SHA256,
        };
        hmac::sign(&hmac::Key::new(hash, &secret), message).as_ref().to_vec()
    }
}

fn ecdsa(key: &EcdsaKeyPair, message: &[u8]) -> Vec<u8> {
    key.sign(&SystemRandom::new(), message).expect("can sign").as_ref().to_vec()
}

fn rsa(key: &RsaKeyPair, algorithm: &str, message: &[u8]) -> Vec<u8> {
    let encoding: &'static dyn RsaEncoding = match algorithm {
        "RS384" => &RSA_PKCS1_SHA384,
        "RS512" => &RSA_PKCS1_SHA512,
        "PS256" => &RSA_PSS_SHA256,
        "PS384" => &RSA_PSS_SHA384,
        "PS512" => &RSA_PSS_SHA512,
        _ => &RSA_PKCS1_SHA256,
    };
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(encoding, &SystemRandom::new(), message, &mut signature).expect("can sign");
    signature
}

/// RFC 8017 §9.2: what an RSA signature by SHA-256 is, to the power of the exponent.
fn encoded_message(message: &[u8]) -> Vec<u8> {
    const DIGEST_INFO: [u8; 19] = [
        0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
        0x04, 0x20,
    ];
    let hash = digest(&SHA256, message);
    let padding = vec![0xff; 256 - 3 - DIGEST_INFO.len() - hash.as_ref().len()];
    [&[0, 1], padding.as_slice(), &[0], &DIGEST_INFO, hash.as_ref()].concat()
}

/// The neutral element of Ed25519, with a sign that it should not have.
fn neutral(sign: u8) -> [u8; 32] {
    let mut point = [0; 32];
    (point[0], point[31]) = (1, sign);
    point
}

fn ec(curve: &str, key: &EcdsaKeyPair) -> Value {
    let point = &key.public_key().as_ref()[1..];
    let (x, y) = point.split_at(point.len() / 2);
    json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) })
}

/// The same bytes in another way: of the last character's six bits, 64 bytes leave four that count for nothing.
fn with_stray_bits(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let Some((last, start)) = text.as_bytes().split_last() else { return String::new() };
    let position = ALPHABET.iter().position(|letter| letter == last).expect("is base64url");
    let start = std::str::from_utf8(start).expect("is ASCII");
    format!("{start}{}", char::from(ALPHABET[position ^ 1]))
}

/// With padding, where there would be some.
fn padded(bytes: impl AsRef<[u8]>) -> String {
    let text = URL_SAFE.encode(bytes);
    if text.ends_with('=') { text } else { text + "=" }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
