//! Tokens that somebody made who has not the provider's key, and what their bearer learns.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::support::{Bench, Key, claims, claims_with, header};
use crate::reason::Rejection;

#[tokio::test(start_paused = true)]
async fn refusal_says_what_is_wrong_and_nothing_of_the_token() {
    let key = Key::p256();
    let bench = Bench::new(vec![key.jwk("a")]);
    let claims = claims_with(&json!({ "exp": 1, "sub": "planted-subject" }));
    let token = key.token(&header("ES256", "planted-key-id"), &claims);
    let problem = bench.judge(&token).await.expect_err("has expired");
    let debug = format!("{problem:?}");
    let response = crate::http::answer::problem(&problem, "7");
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
fn every_rejection_has_its_own_text_that_fits_into_a_header() {
    let mut texts = Rejection::ALL.map(Rejection::as_str).to_vec();
    for text in &texts {
        assert!(text.bytes().all(|byte| matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~')), "{text}");
    }
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), Rejection::ALL.len());
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
