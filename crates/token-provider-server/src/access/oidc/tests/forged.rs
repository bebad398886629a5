//! Tokens that somebody made who has not the provider's key, and what their bearer learns.

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::support::{Bench, Key, claims, claims_with, encode, header};
use crate::access::oidc::fault::Fault;

const WRONG_ALGORITHM: &str = "401 the token's signature algorithm is not accepted";
const WRONG_SIGNATURE: &str = "401 the token's signature is wrong";

#[tokio::test(start_paused = true)]
async fn token_without_signature_is_refused() {
    let key = Key::p256();
    let bench = Bench::new(vec![key.jwk("a")]);
    for alg in ["none", "None", "NONE", "nOnE", "", "null", "ES256 ", "es256"] {
        let header = encode(header(alg, "a").to_string());
        let signed = format!("{header}.{}", encode(claims().to_string()));
        for token in
            [format!("{signed}."), format!("{signed}.{}", encode(key.sign("ES256", signed.as_bytes())))]
        {
            assert_eq!(bench.refusal(&token).await, WRONG_ALGORITHM, "{alg:?}");
        }
    }
    // The right name, and nothing behind it.
    let signed = format!("{}.{}", encode(header("ES256", "a").to_string()), encode(claims().to_string()));
    assert_eq!(bench.refusal(&format!("{signed}.")).await, WRONG_SIGNATURE);
}

#[tokio::test(start_paused = true)]
async fn public_key_is_no_shared_secret() {
    let key = Key::rsa();
    let jwk = key.jwk("a");
    let bench = Bench::new(vec![jwk.clone()]);
    let Key::Rsa(pair) = &key else { unreachable!("made above") };
    let public: PublicKeyX509Der<'_> =
        aws_lc_rs::signature::KeyPair::public_key(pair).as_der().expect("has a form");
    let base64 = STANDARD.encode(public.as_ref());
    let lines: Vec<&str> =
        base64.as_bytes().chunks(64).map(|line| str::from_utf8(line).expect("is ASCII")).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
    let text = |name: &str| jwk[name].as_str().expect("is text").to_owned();
    let modulus = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text("n")).expect("is base64url");
    let secrets = [
        pem.clone().into_bytes(),
        pem.trim_end().as_bytes().to_vec(),
        public.as_ref().to_vec(),
        modulus,
        text("n").into_bytes(),
        jwk.to_string().into_bytes(),
        Vec::new(),
    ];
    for secret in secrets {
        for (name, algorithm) in [
            ("HS256", hmac::HMAC_SHA256),
            ("HS384", hmac::HMAC_SHA384),
            ("HS512", hmac::HMAC_SHA512),
            // The same signature under a name that is accepted.
            ("RS256", hmac::HMAC_SHA256),
        ] {
            let signed =
                format!("{}.{}", encode(header(name, "a").to_string()), encode(claims().to_string()));
            let signature = hmac::sign(&hmac::Key::new(algorithm, &secret), signed.as_bytes());
            let expected = if name == "RS256" { WRONG_SIGNATURE } else { WRONG_ALGORITHM };
            assert_eq!(bench.refusal(&format!("{signed}.{}", encode(signature))).await, expected, "{name}");
        }
    }
    // A set with a shared secret in it does not make one of it either.
    let secret = b"0123456789abcdef0123456789abcdef";
    let bench = Bench::new(vec![json!({ "kty": "oct", "k": encode(secret), "kid": "a", "alg": "HS256" })]);
    let signed = format!("{}.{}", encode(header("HS256", "a").to_string()), encode(claims().to_string()));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    assert_eq!(bench.refusal(&format!("{signed}.{}", encode(signature))).await, WRONG_ALGORITHM);
}

#[tokio::test(start_paused = true)]
async fn key_that_comes_with_the_token_is_not_looked_at() {
    let (key, stranger) = (Key::p256(), Key::p256());
    let bench = Bench::new(vec![key.jwk("a")]);
    let own = stranger.jwk("own");
    let places = [
        ("jwk", own.clone()),
        ("jku", "https://evil.example/keys".into()),
        ("x5u", "https://evil.example/chain".into()),
        ("x5c", json!([STANDARD.encode("certificate")])),
    ];
    for (place, value) in places {
        for (kid, expected) in [("a", WRONG_SIGNATURE), ("own", "401 the token's key is unknown")] {
            let mut header = header("ES256", kid);
            header[place] = value.clone();
            assert_eq!(bench.refusal(&stranger.token(&header, &claims())).await, expected, "{place} {kid}");
            // Nor does it make a token bad that the provider has signed.
            header["kid"] = "a".into();
            assert!(bench.judge(&key.token(&header, &claims())).await.is_ok(), "{place}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn parts_of_two_tokens_make_no_third() {
    let key = Key::p256();
    let bench = Bench::new(vec![key.jwk("a")]);
    let mine = key.token(&header("ES256", "a"), &claims());
    let yours = key.token(&header("ES256", "a"), &claims_with(&json!({ "sub": "admin" })));
    let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
    let (mine, yours) = (parts(&mine), parts(&yours));
    assert_eq!(bench.refusal(&[&*mine[0], &yours[1], &mine[2]].join(".")).await, WRONG_SIGNATURE);
    assert_eq!(bench.refusal(&[&*mine[0], &mine[1], &yours[2]].join(".")).await, WRONG_SIGNATURE);
}

/// The psychic signature of CVE-2022-21449, and its relatives.
#[tokio::test(start_paused = true)]
async fn signature_of_zeros_is_refused() {
    let (key, ed) = (Key::p256(), Key::ed25519());
    let bench = Bench::new(vec![key.jwk("a"), ed.jwk("b")]);
    for (alg, kid) in [("ES256", "a"), ("EdDSA", "b")] {
        let signed = format!("{}.{}", encode(header(alg, kid).to_string()), encode(claims().to_string()));
        for signature in
            [vec![0; 64], vec![0xff; 64], vec![0; 63], vec![0; 65], vec![0x30, 6, 2, 1, 0, 2, 1, 0]]
        {
            let token = format!("{signed}.{}", encode(&signature));
            assert_eq!(bench.refusal(&token).await, WRONG_SIGNATURE, "{alg} {signature:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn refusal_says_what_is_wrong_and_nothing_of_the_token() {
    let key = Key::p256();
    let bench = Bench::new(vec![key.jwk("a")]);
    let claims = claims_with(&json!({ "exp": 1, "sub": "planted-subject" }));
    let token = key.token(&header("ES256", "planted-key-id"), &claims);
    let problem = bench.judge(&token).await.expect_err("has expired");
    let debug = format!("{problem:?}");
    let response = problem.into_response("7");
    assert_eq!(response.status(), 401);
    assert_eq!(
        response.headers()["www-authenticate"],
        r#"Bearer realm="token-provider", error="invalid_token", error_description="the token has expired""#
    );
    for part in token.split('.').chain(["planted", "token-provider/", "login.example.com"]) {
        assert!(!debug.contains(part), "{part}: {debug}");
    }
}

/// RFC 6750 §3: what stands in `error_description` has neither quotation marks nor backslashes.
#[test]
fn every_fault_has_a_text_of_its_own_that_fits_into_a_header() {
    let faults = [
        Fault::TooLong,
        Fault::Malformed,
        Fault::Type,
        Fault::Algorithm,
        Fault::CriticalHeader,
        Fault::Issuer,
        Fault::Audience,
        Fault::Expired,
        Fault::NotYetValid,
        Fault::IssuedInFuture,
        Fault::Subject,
        Fault::Bound,
        Fault::NoKeyId,
        Fault::UnknownKey,
        Fault::Signature,
    ];
    let mut texts: Vec<&str> = faults.iter().map(|fault| fault.as_str()).collect();
    for text in &texts {
        assert!(text.bytes().all(|byte| matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~')), "{text}");
    }
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), faults.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn changing_any_one_character_makes_a_token_bad(place in any::<prop::sample::Index>(), by in 1_usize..64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("can be made").block_on(async {
            const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let key = Key::ed25519();
            let bench = Bench::new(vec![key.jwk("a")]);
            let token = key.token(&header("EdDSA", "a"), &claims());
            let mut bytes = token.clone().into_bytes();
            let place = place.index(bytes.len());
            bytes[place] = match ALPHABET.iter().position(|byte| *byte == bytes[place]) {
                Some(position) => ALPHABET[(position + by) % 64],
                None => b'A',
            };
            let changed = String::from_utf8(bytes).expect("is ASCII");
            assert!(bench.judge(&changed).await.is_err(), "{changed}");
            assert!(bench.judge(&token).await.is_ok());
        });
    }

    #[test]
    fn header_of_any_content_lets_nobody_in_without_the_key(
        alg in "[A-Za-z0-9]{0,8}", kid in ".*", more in "[a-z]{1,4}", value in ".*",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("can be made").block_on(async {
            let (key, stranger) = (Key::ed25519(), Key::ed25519());
            let bench = Bench::new(vec![key.jwk("a")]);
            let mut header = json!({ "alg": alg, "kid": kid });
            header[more] = Value::from(value);
            assert!(bench.judge(&stranger.token(&header, &claims())).await.is_err(), "{header}");
        });
    }
}
