//! Signatures: every algorithm that is accepted, and keys that are not for the token they are meant to have signed.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::support::{Bench, Key, SUBJECT, claims, encode, header};
use crate::oidc::keys::KeySet;

#[tokio::test(start_paused = true)]
async fn token_of_every_accepted_algorithm_lets_its_caller_in() {
    let keys = [
        (Key::rsa(), ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"].as_slice()),
        (Key::p256(), &["ES256"]),
        (Key::p384(), &["ES384"]),
        (Key::ed25519(), &["EdDSA", "Ed25519"]),
    ];
    let published = keys.iter().enumerate().map(|(number, (key, _))| key.jwk(&number.to_string()));
    let bench = Bench::new(published.collect());
    for (number, (key, algorithms)) in keys.iter().enumerate() {
        for algorithm in *algorithms {
            let token = key.token(&header(algorithm, &number.to_string()), &claims());
            let subject = bench.judge(&token).await;
            let subject = subject.unwrap_or_else(|problem| panic!("{algorithm}: {problem:?}"));
            assert_eq!(&*subject, SUBJECT, "{algorithm}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn algorithm_must_be_one_that_the_key_is_for() {
    let (rsa, p256, p384) = (Key::rsa(), Key::p256(), Key::p384());
    let mut only_rs256 = rsa.jwk("only RS256");
    only_rs256["alg"] = "RS256".into();
    let bench = Bench::new(vec![rsa.jwk("any RSA"), only_rs256, p256.jwk("P-256"), p384.jwk("P-384")]);
    for (key, algorithm, kid, expected) in [
        (&rsa, "PS256", "any RSA", None),
        (&rsa, "RS256", "only RS256", None),
        (&rsa, "PS256", "only RS256", Some("the token's signature algorithm is not accepted")),
        (&rsa, "RS512", "only RS256", Some("the token's signature algorithm is not accepted")),
        (&rsa, "RS256", "P-256", Some("the token's signature algorithm is not accepted")),
        (&p256, "ES256", "any RSA", Some("the token's signature algorithm is not accepted")),
        (&p256, "ES256", "P-384", Some("the token's signature algorithm is not accepted")),
        (&p384, "ES384", "P-256", Some("the token's signature algorithm is not accepted")),
        (&p256, "EdDSA", "P-256", Some("the token's signature algorithm is not accepted")),
        (&p384, "ES512", "P-384", Some("the token's signature algorithm is not accepted")),
        // Signed by the key's owner, but in another way than the header says.
        (&p384, "ES256", "P-256", Some("the token's signature is wrong")),
        (&p256, "RS256", "any RSA", Some("the token's signature is wrong")),
    ] {
        let token = key.token(&header(algorithm, kid), &claims());
        match expected {
            None => assert!(bench.judge(&token).await.is_ok(), "{algorithm} {kid}"),
            Some(reason) => {
                assert_eq!(bench.refusal(&token).await, format!("401 {reason}"), "{algorithm} {kid}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn token_without_key_id_is_checked_with_the_only_key_that_fits() {
    let (old, new, other) = (Key::p256(), Key::p256(), Key::p384());
    let without = |key: &Key| key.token(&json!({ "alg": "ES256" }), &claims());

    let bench = Bench::new(vec![old.jwk("1"), other.jwk("2")]);
    assert!(bench.judge(&without(&old)).await.is_ok());

    let bench = Bench::new(vec![old.jwk("1"), new.jwk("2")]);
    for key in [&old, &new] {
        assert_eq!(bench.refusal(&without(key)).await, "401 the token does not identify its signing key");
    }
    // The ids stand in the key set, so a token that has one is still judged by it.
    assert!(bench.judge(&new.token(&header("ES256", "2"), &claims())).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn keys_of_different_kinds_may_share_an_id() {
    let (p256, p384, again) = (Key::p256(), Key::p384(), Key::p256());
    let bench = Bench::new(vec![p256.jwk("one"), p384.jwk("one"), again.jwk("one")]);
    for (key, algorithm) in [(&p256, "ES256"), (&p384, "ES384"), (&again, "ES256")] {
        assert!(bench.judge(&key.token(&header(algorithm, "one"), &claims())).await.is_ok(), "{algorithm}");
    }
}

#[test]
fn only_keys_that_may_be_used_are_taken_from_a_key_set() {
    let count = |jwk: Value| {
        let json = json!({ "keys": [jwk] }).to_string();
        KeySet::parse(json.as_bytes()).expect("is a key set").len()
    };
    let (rsa, p256, ed) = (Key::rsa().jwk("a"), Key::p256().jwk("a"), Key::ed25519().jwk("a"));
    let with = |jwk: &Value, name: &str, value: Value| {
        let mut jwk = jwk.clone();
        jwk[name] = value;
        jwk
    };
    let modulus = |bytes: usize, first: u8| {
        let mut modulus = vec![0xa5; bytes];
        modulus[0] = first;
        with(&rsa, "n", encode(modulus).into())
    };
    let cut_at = |at: usize| {
        let half = |name: &str| {
            BASE64URL_NOPAD.decode(p256[name].as_str().expect("is text").as_bytes()).expect("is base64url")
        };
        let point = [half("x"), half("y")].concat();
        let (x, y) = point.split_at(at);
        with(&with(&p256, "x", encode(x).into()), "y", encode(y).into())
    };
    for (what, jwk, expected) in [
        ("RSA", rsa.clone(), 1),
        ("P-256", p256.clone(), 1),
        ("P-521", Key::p521().jwk("a"), 0),
        ("off its curve", with(&p256, "y", encode([1; 32]).into()), 0),
        ("Ed25519", ed.clone(), 1),
        ("no use", with(&rsa, "use", Value::Null), 1),
        ("for encryption", with(&rsa, "use", "enc".into()), 0),
        ("for checking", with(&rsa, "key_ops", json!(["verify"])), 1),
        ("for signing", with(&rsa, "key_ops", json!(["sign"])), 0),
        ("for HMAC", with(&rsa, "alg", "HS256".into()), 0),
        ("for encryption by its algorithm", with(&rsa, "alg", "RSA-OAEP".into()), 0),
        ("for another kind of key", with(&rsa, "alg", "ES256".into()), 0),
        ("for its kind of key", with(&ed, "alg", "EdDSA".into()), 1),
        ("with its private half", with(&p256, "d", "AAAA".into()), 0),
        ("a secret", json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "a" }), 0),
        ("2048 bits", modulus(256, 0x80), 1),
        ("2047 bits", modulus(256, 0x7f), 0),
        ("1024 bits", modulus(128, 0xff), 0),
        ("2040 bits and a zero in front", modulus(256, 0), 0),
        ("8192 bits", modulus(1024, 0x80), 1),
        ("8193 bits", modulus(1025, 0x01), 0),
        ("exponent 1", with(&rsa, "e", encode([1]).into()), 0),
        ("exponent 0", with(&rsa, "e", encode([0]).into()), 0),
        ("exponent 2", with(&rsa, "e", encode([2]).into()), 0),
        ("exponent 3", with(&rsa, "e", encode([3]).into()), 1),
        ("no modulus", with(&rsa, "n", Value::Null), 0),
        ("modulus with padding", with(&rsa, "n", "AAA=".into()), 0),
        ("half a point", with(&p256, "y", Value::Null), 0),
        ("point in two halves", cut_at(32), 1),
        ("point that is cut elsewhere", cut_at(31), 0),
        ("short point", with(&p256, "y", encode([1; 31]).into()), 0),
        (
            "point with a zero in front",
            with(&p256, "x", format!("AAAA{}", p256["x"].as_str().expect("is text")).into()),
            0,
        ),
        ("another curve", with(&p256, "crv", "P-384".into()), 0),
        ("unknown curve", with(&ed, "crv", "Ed448".into()), 0),
        ("key agreement", with(&ed, "crv", "X25519".into()), 0),
        ("unknown kind", json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA" }), 0),
        ("no kind", json!({ "kid": "a" }), 0),
        ("no object", json!("key"), 0),
    ] {
        assert_eq!(count(jwk), expected, "{what}");
    }
}

#[test]
fn key_set_that_is_none_is_refused_and_one_with_a_strange_key_is_not() {
    for text in ["", "{}", "[]", "null", r#"{"keys":{}}"#, r#"{"keys":null}"#, "<html>", r#"{"keys":[]"#] {
        assert!(KeySet::parse(text.as_bytes()).is_err(), "{text}");
    }
    let json = json!({ "keys": [1, {}, Key::p256().jwk("a"), { "kty": 7 }], "more": true }).to_string();
    assert_eq!(KeySet::parse(json.as_bytes()).expect("is a key set").len(), 1);
    assert_eq!(KeySet::parse(br#"{"keys":[]}"#).expect("is a key set").len(), 0);
    let many: Vec<Value> = vec![Key::p256().jwk("a"); 1000];
    assert_eq!(
        KeySet::parse(json!({ "keys": many }).to_string().as_bytes()).expect("is a key set").len(),
        100
    );
}

/// A signature of nothing but the neutral element holds for any text under a key of order one: R = 0, S = 0.
#[tokio::test(start_paused = true)]
async fn key_for_which_anybody_can_sign_is_left_out() {
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let signature = [neutral, [0; 32]].concat();
    let accepted = UnparsedPublicKey::new(&ED25519, neutral).verify(b"any text", &signature);
    assert!(accepted.is_ok(), "the cryptographic library does not look at the key's order");
    let jwk = |x: &[u8]| json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(x), "kid": "a" });
    let bench = Bench::new(vec![jwk(&neutral), Key::p256().jwk("b")]);
    let signed = format!("{}.{}", encode(header("EdDSA", "a").to_string()), encode(claims().to_string()));
    let token = format!("{signed}.{}", encode(&signature));
    assert!(bench.judge(&token).await.is_err());

    // The same point in X.509 (RFC 8410 §4), which the cryptographic library reads as well.
    let in_x509 = [b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00".as_slice(), &neutral].concat();
    let accepted = UnparsedPublicKey::new(&ED25519, &in_x509).verify(b"any text", &signature);
    assert!(accepted.is_ok(), "nor in this form");
    let bench = Bench::new(vec![jwk(&in_x509), Key::p256().jwk("b")]);
    assert_eq!(bench.refusal(&token).await, "401 the token's key is unknown");

    // Modulo p = 2^255 - 19: 0, 1, -1, and 0 and 1 once more; and the two of order eight.
    let near_p = |first: u8| {
        let mut y = [0xff; 32];
        (y[0], y[31]) = (first, 0x7f);
        y
    };
    let of_order_eight = |hex: &str| -> [u8; 32] {
        let digit = |digit: u8| char::from(digit).to_digit(16).expect("is hex").to_le_bytes()[0];
        std::array::from_fn(|place| {
            digit(hex.as_bytes()[2 * place]) << 4 | digit(hex.as_bytes()[2 * place + 1])
        })
    };
    for mut y in [
        [0; 32],
        neutral,
        near_p(0xec),
        near_p(0xed),
        near_p(0xee),
        of_order_eight("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        of_order_eight("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    ] {
        for sign in [0, 0x80] {
            y[31] = y[31] & 0x7f | sign;
            let json = json!({ "keys": [jwk(&y), Key::ed25519().jwk("b")] }).to_string();
            assert_eq!(KeySet::parse(json.as_bytes()).expect("is a key set").len(), 1, "{y:x?}");
        }
    }
}
