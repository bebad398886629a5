//! What is no token, or one that two readers could read differently.

use proptest::prelude::*;

use super::support::{Bench, Key, claims, encode, header};
use crate::oidc::token::Jwt;

#[tokio::test(start_paused = true)]
async fn huge_token_is_refused_before_it_is_read() {
    let key = Key::p256();
    let bench = Bench::new(vec![key.jwk("a")]);
    let token = |padding: usize| {
        let mut claims = claims();
        claims["padding"] = "x".repeat(padding).into();
        key.token(&header("ES256", "a"), &claims)
    };
    let short = token(12_000 - 400);
    assert!(short.len() < 16 * 1024 && bench.judge(&short).await.is_ok(), "{}", short.len());
    let long = token(12_500);
    assert!(long.len() > 16 * 1024);
    assert_eq!(bench.refusal(&long).await, "401 the token is too long");
}

proptest! {
    #[test]
    fn reader_comes_to_an_end_whatever_it_is_given(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Jwt::parse(&bytes);
        let part = encode(&bytes);
        let _ = Jwt::parse(format!("{part}.{part}.{part}").as_bytes());
        let head = encode(r#"{"alg":"ES256"}"#);
        let _ = Jwt::parse(format!("{head}.{part}.{part}").as_bytes());
    }
}
